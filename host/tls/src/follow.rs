//! Files that are read again and again while a host runs, and what is told of that.

use std::error::Error;
use std::time::Duration;

use soloist_core::event::{About, Event, chain};

/// How often the files are read: certificates are exchanged long before they are needed.
const PERIOD: Duration = Duration::from_secs(5);

/// What is to be told of an attempt to read files again.
#[derive(Debug, PartialEq, Eq)]
enum Followed {
    /// They hold something else, which is used from here on.
    Exchanged,
    /// They cannot be used any more, for this reason. What they held before stays in use.
    Unusable(String),
}

/// Reads files again and again, and tells when they hold something else, which is used from here on, or why they cannot be used:
/// then what was read before stays. `reload` reads them, and is true if they hold something else. It may block.
///
/// # Cancellation safety
/// Nothing is lost.
pub async fn follow<E: Error + Send + 'static>(
    reload: impl Fn() -> Result<bool, E> + Clone + Send + 'static,
    exchanged: Event,
    unusable: impl Fn(String) -> Event,
) {
    let mut problem = Problem::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        // A file may be on a disk that hangs.
        let Ok(reloaded) = tokio::task::spawn_blocking(reload.clone()).await else {
            continue;
        };
        match problem.heard(reloaded.map_err(|error| chain(&error))) {
            Some(Followed::Exchanged) => About::Session.report(&exchanged),
            Some(Followed::Unusable(problem)) => About::Session.report(&unusable(problem)),
            None => {}
        }
    }
}

/// What is wrong with the files.
#[derive(Debug, Default)]
struct Problem {
    /// What was wrong when they were last read.
    last: Option<String>,
    /// What has been told.
    told: Option<String>,
}

impl Problem {
    /// What is to be told of an attempt: true if the files hold something else, or what is wrong. Who exchanges a certificate
    /// exchanges its key a moment later: a problem counts when it is still there at the next attempt, and is told once.
    fn heard(&mut self, read: Result<bool, String>) -> Option<Followed> {
        match read {
            Ok(has_changed) => {
                *self = Self::default();
                has_changed.then_some(Followed::Exchanged)
            }
            Err(problem) => {
                let stays = self.last.as_ref() == Some(&problem);
                let is_new = self.told.as_ref() != Some(&problem);
                self.last = Some(problem.clone());
                (stays && is_new).then(|| {
                    self.told = Some(problem.clone());
                    Followed::Unusable(problem)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_once_and_only_if_it_stays() {
        let mut problem = Problem::default();
        let bad = |text: &str| Err(text.to_owned());
        let told = |text: &str| Some(Followed::Unusable(text.into()));
        assert_eq!(problem.heard(bad("a")), None);
        assert_eq!(problem.heard(bad("a")), told("a"));
        assert_eq!(problem.heard(bad("a")), None);
        assert_eq!(problem.heard(bad("b")), None);
        assert_eq!(problem.heard(bad("b")), told("b"));
        assert_eq!(problem.heard(Ok(true)), Some(Followed::Exchanged));
        assert_eq!(problem.heard(Ok(false)), None);
        assert_eq!(problem.heard(bad("b")), None);
        assert_eq!(problem.heard(bad("b")), told("b"));
    }
}
