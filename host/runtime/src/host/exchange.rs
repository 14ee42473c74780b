//! Tasks that go and tasks that come, while the others go on.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use soloist_config::TaskConfig;
use soloist_core::records::TaskPaths;
use soloist_sandbox::Plugin;

use super::Host;

impl Host {
    /// Stops some tasks and starts others, each as soon as nobody is left that it would contend with on this host. Returns when
    /// all have left and all are started; nothing if the host is to end before.
    ///
    /// # Cancellation safety
    /// What leaves does so whether or not anybody waits for it; what was to start after that is not started.
    pub async fn exchange(
        &mut self,
        mut leaving: Vec<TaskConfig>,
        mut starting: Vec<(TaskConfig, Arc<Plugin>)>,
        why: &str,
    ) -> Option<()> {
        let mut left: FuturesUnordered<_> = leaving
            .iter()
            .map(|task| (task.name.clone(), self.stop(&task.name, why)))
            .map(|(name, left)| left.map(move |()| name))
            .collect();
        let root = self.ensemble.root.clone();
        loop {
            let (waiting, ready) = starting
                .into_iter()
                .partition(|(task, _)| leaving.iter().any(|other| contend(task, other, &root)));
            starting = waiting;
            let ready: Vec<_> = ready;
            for (task, plugin) in ready {
                self.start(&task, plugin);
            }
            if leaving.is_empty() {
                return Some(());
            }
            let gone = self.run(left.next()).await?;
            leaving.retain(|task| Some(&task.name) != gone.as_ref());
        }
    }
}

/// Whether two tasks want the same master node. Two contenders of one session must not.
fn contend(one: &TaskConfig, other: &TaskConfig, root: &str) -> bool {
    let master = |task: &TaskConfig| TaskPaths::new(root, &task.name, task.path.as_deref()).master;
    one.name == other.name || master(one) == master(other)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use soloist_config::{Config, Given, TaskName};

    use super::*;

    fn task(name: &str, path: Option<&str>) -> TaskConfig {
        let config = Config::load(Path::new("plugins/report.wasm"), Given::default()).unwrap();
        let [task] = &config.tasks[..] else {
            panic!("one task: {config:?}")
        };
        TaskConfig {
            name: TaskName::new(name).unwrap(),
            path: path.map(str::to_owned),
            ..task.clone()
        }
    }

    #[test]
    fn whoever_wants_a_master_node_waits_until_nobody_else_on_this_host_has_it() {
        let (a, b) = (task("a", None), task("b", None));
        let c = task("c", Some("/soloist/tasks/a/master"));
        assert!(contend(&a, &a, "/soloist") && !contend(&a, &b, "/soloist"));
        assert!(contend(&a, &c, "/soloist") && contend(&c, &a, "/soloist"));
        assert!(!contend(&a, &c, "/other") && !contend(&b, &c, "/soloist"));
        assert!(contend(&a, &task("a", Some("/elsewhere")), "/soloist"));
    }
}
