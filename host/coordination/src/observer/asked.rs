//! Which tasks an operator asks for.

use super::{Observer, ObserverError};
use crate::error::NodeError;
use soloist_core::pattern::NamePattern;
use soloist_core::records;
use soloist_core::similar;

/// Which tasks are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// All that anybody ever stood for.
    All,
    /// The one of this name.
    One(&'a str),
    /// Those whose names match one of these.
    These(&'a [NamePattern]),
}

impl Asked<'_> {
    /// Whether this very name was given: then the task has to be there.
    pub(super) fn names(&self, task: &str) -> bool {
        match self {
            Self::All => false,
            Self::One(name) => *name == task,
            Self::These(patterns) => patterns.iter().any(|it| it.name() == Some(task)),
        }
    }

    /// Whether tasks are asked for that may come later.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::All => true,
            Self::One(_) => false,
            Self::These(patterns) => patterns.iter().any(|it| it.name().is_none()),
        }
    }
}

impl Observer {
    /// The names of the tasks that are asked for, sorted. A name that is given may be that of no task.
    ///
    /// # Errors
    /// [`ObserverError::NoMatch`], [`ObserverError::Node`].
    pub async fn names(&self, asked: Asked<'_>) -> Result<Vec<String>, ObserverError> {
        let patterns = match asked {
            Asked::All => return Ok(self.all().await?),
            Asked::One(task) => return Ok(vec![task.to_owned()]),
            Asked::These(patterns) => patterns,
        };
        let mut names: Vec<String> = Vec::new();
        let (exact, open): (Vec<_>, Vec<_>) = patterns.iter().partition(|it| it.name().is_some());
        names.extend(exact.iter().filter_map(|it| it.name().map(str::to_owned)));
        if !open.is_empty() {
            let all = self.all().await?;
            for pattern in open {
                let before = names.len();
                names.extend(all.iter().filter(|name| pattern.matches(name)).cloned());
                if names.len() == before {
                    return Err(ObserverError::NoMatch {
                        pattern: pattern.to_string(),
                        path: records::tasks_path(&self.root),
                    });
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The error of a task that nobody ever stood for, with the name that was meant, if there is one like it.
    pub(super) async fn no_task(&self, task: &str) -> ObserverError {
        // Without an answer there is nothing to propose.
        let all = self.all().await.unwrap_or_default();
        ObserverError::NoTask {
            task: task.to_owned(),
            path: records::tasks_path(&self.root),
            similar: similar::closest(task, all.iter().map(String::as_str)).map(str::to_owned),
        }
    }

    async fn all(&self) -> Result<Vec<String>, NodeError> {
        self.children(&records::tasks_path(&self.root)).await
    }
}
