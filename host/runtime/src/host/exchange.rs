//! Tasks that go and tasks that come, while the others go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use soloist_config::{TaskConfig, TaskName};
use soloist_core::records::TaskPaths;
use soloist_sandbox::Plugin;

use super::Host;

impl Host {
    /// Stops some tasks and starts others, each as soon as nobody is left that it would contend with on this host. Returns when
    /// all have left and all are started; nothing if the host is to end before. No two of those that leave have the same
    /// name or master node, nor have two of those that start.
    ///
    /// # Cancellation safety
    /// What leaves does so whether or not anybody waits for it; what was to start after that is not started.
    pub async fn exchange(
        &mut self,
        leaving: Vec<TaskConfig>,
        starting: Vec<(TaskConfig, Arc<Plugin>)>,
        why: &str,
    ) -> Option<()> {
        let mut left: FuturesUnordered<_> = leaving
            .iter()
            .map(|task| (task.name.clone(), self.stop(&task.name, why)))
            .map(|(name, left)| left.map(move |()| name))
            .collect();
        let root = self.ensemble.root.clone();
        let places = leaving.iter().map(|task| Place::of(task, &root));
        let starting = starting
            .into_iter()
            .map(|start| (Place::of(&start.0, &root), start));
        let (mut waiting, mut ready) = Waiting::new(places, starting);
        loop {
            for (task, plugin) in ready {
                self.start(&task, plugin);
            }
            if left.is_empty() {
                return Some(());
            }
            ready = match self.run(left.next()).await? {
                Some(name) => waiting.left(&name),
                None => Vec::new(),
            };
        }
    }
}

/// What no two contenders of one session may both have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    name: TaskName,
    master: String,
}

impl Place {
    fn of(task: &TaskConfig, root: &str) -> Self {
        let paths = TaskPaths::new(root, &task.name, task.path.as_deref());
        Self {
            name: task.name.clone(),
            master: paths.master,
        }
    }
}

/// Things to be started, each once nobody who leaves has its name or its master node: pure, no IO. There may be a thousand on
/// both sides, and the thread that this runs on renews the lease: whoever leaves is looked up, not looked for.
#[derive(Debug)]
struct Waiting<T> {
    /// The master nodes of those that have not left yet.
    leaving: BTreeMap<TaskName, String>,
    held: BTreeSet<String>,
    by_name: BTreeMap<TaskName, (Place, T)>,
    by_master: BTreeMap<String, TaskName>,
}

impl<T> Waiting<T> {
    /// What waits for those that leave, and what does not have to.
    fn new(
        leaving: impl IntoIterator<Item = Place>,
        starting: impl IntoIterator<Item = (Place, T)>,
    ) -> (Self, Vec<T>) {
        let leaving: BTreeMap<_, _> = leaving
            .into_iter()
            .map(|Place { name, master }| (name, master))
            .collect();
        let mut waiting = Self {
            held: leaving.values().cloned().collect(),
            leaving,
            by_name: BTreeMap::new(),
            by_master: BTreeMap::new(),
        };
        let mut ready = Vec::new();
        for (place, start) in starting {
            if waiting.is_free(&place) {
                ready.push(start);
            } else {
                let Place { name, master } = place.clone();
                waiting.by_master.insert(master, name.clone());
                waiting.by_name.insert(name, (place, start));
            }
        }
        (waiting, ready)
    }

    fn is_free(&self, place: &Place) -> bool {
        !self.leaving.contains_key(&place.name) && !self.held.contains(&place.master)
    }

    /// What can be started now that a task has left.
    fn left(&mut self, task: &TaskName) -> Vec<T> {
        let master = self.leaving.remove(task).unwrap_or_default();
        self.held.remove(&master);
        let names = [Some(task.clone()), self.by_master.get(&master).cloned()];
        let mut ready = Vec::new();
        for name in names.into_iter().flatten() {
            let Some((place, _)) = self.by_name.get(&name) else {
                continue;
            };
            if self.is_free(place)
                && let Some((place, start)) = self.by_name.remove(&name)
            {
                self.by_master.remove(&place.master);
                ready.push(start);
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use soloist_config::{Config, Given};

    use super::*;

    fn place(name: &str, path: Option<&str>) -> Place {
        let config = Config::load(Path::new("plugins/report.wasm"), Given::default()).unwrap();
        let [task] = &config.tasks[..] else {
            panic!("one task: {config:?}")
        };
        let mut task = task.clone();
        task.name = TaskName::new(name).unwrap();
        task.path = path.map(str::to_owned);
        Place::of(&task, "/soloist")
    }

    /// Begins an exchange, and lets all leave in order; gives what is started at once, and with each that leaves.
    fn order(
        leaving: &[(&str, Option<&str>)],
        starting: &[(&str, Option<&str>)],
    ) -> Vec<Vec<String>> {
        let leaving: Vec<_> = leaving
            .iter()
            .map(|(name, path)| place(name, *path))
            .collect();
        let starting = starting
            .iter()
            .map(|(name, path)| (place(name, *path), (*name).to_owned()));
        let (mut waiting, ready) = Waiting::new(leaving.clone(), starting);
        let mut started = vec![ready];
        started.extend(leaving.iter().map(|place| waiting.left(&place.name)));
        assert!(waiting.by_name.is_empty() && waiting.by_master.is_empty());
        started
    }

    #[test]
    fn whoever_wants_a_master_node_waits_until_nobody_else_on_this_host_has_it() {
        let usual = Some("/soloist/tasks/a/master");
        let cases: [(&[_], &[_], &[&[&str]]); 6] = [
            (&[], &[("a", None)], &[&["a"]]),
            (
                &[("a", None)],
                &[("b", None), ("a", None)],
                &[&["b"], &["a"]],
            ),
            (&[("a", None)], &[("b", usual)], &[&[], &["b"]]),
            (&[("b", usual)], &[("a", None)], &[&[], &["a"]]),
            (&[("a", None)], &[("a", Some("/elsewhere"))], &[&[], &["a"]]),
            // They exchange their master nodes: each waits for both.
            (
                &[("a", Some("/p")), ("b", Some("/q")), ("c", None)],
                &[("a", Some("/q")), ("b", Some("/p")), ("c", None)],
                &[&[], &[], &["b", "a"], &["c"]],
            ),
        ];
        for (leaving, starting, started) in cases {
            assert_eq!(
                order(leaving, starting),
                started,
                "{leaving:?} {starting:?}"
            );
        }
    }

    /// Whoever leaves is told on the thread that renews the lease, a thousand times in a row.
    #[test]
    fn the_largest_exchange_keeps_no_thread_busy_for_long() {
        let names: Vec<_> = (0..1000).map(|number| format!("task-{number}")).collect();
        let tasks: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        let begun = Instant::now();
        let started = order(&tasks, &tasks);
        assert!(started[1..].iter().all(|started| started.len() == 1));
        // It takes milliseconds. To compare each with all, each time, takes minutes.
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
