//! Hears of manifests, and has one task of the runtime for each deployed task.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use soloist_config::TaskName;
use soloist_coordination::error::NodeError;
use soloist_coordination::manifests::{Changed, Manifest, Manifests, Node};
use soloist_coordination::session::{Session, View};
use soloist_core::backoff::Backoff;
use soloist_core::clock;
use soloist_core::event::{About, Event, Seconds, chain};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Common;
use super::deployed::Deployed;
use crate::rollout::Heard;

/// The pauses after a failure to read the manifests.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

/// Follows the manifests, for ever: in each session anew.
pub(super) async fn follow(common: Arc<Common>) {
    let mut follower = Follower {
        view: common.view.clone(),
        common,
        heard: BTreeMap::new(),
        passed_over: BTreeSet::new(),
        tasks: JoinSet::new(),
    };
    let mut retry = RETRY;
    loop {
        let session = follower.session().await;
        let mut view = follower.view.clone();
        let id = session.id();
        let ended = tokio::select! {
            // Whoever holds the session holds it open.
            _ = view.wait_for(|view| view.session.as_ref().is_none_or(|it| it.id() != id)) => continue,
            ended = follower.in_session(session, &mut retry) => ended,
        };
        if let Err(error) = ended {
            let pause = retry.step();
            About::Session.report(&Event::DeployError {
                text: format!("deployed tasks stay as they are: {}", chain(&error)),
                retry_in: Some(Seconds(pause)),
            });
            clock::sleep_until(clock::now() + pause).await;
        } else {
            // The keeper is about to say so too.
            clock::sleep_until(clock::now() + RETRY.nth(0)).await;
        }
    }
}

struct Follower {
    common: Arc<Common>,
    view: watch::Receiver<View>,
    /// What was heard of each task that there is.
    heard: BTreeMap<TaskName, watch::Sender<Heard>>,
    /// What lies among the manifests and is none. Each is named once.
    passed_over: BTreeSet<String>,
    tasks: JoinSet<()>,
}

impl Follower {
    async fn session(&mut self) -> Arc<Session> {
        loop {
            if let Some(session) = self.view.borrow_and_update().session.clone() {
                return session;
            }
            if self.view.changed().await.is_err() {
                // The host ends, and with it this.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Follows until the session has ended.
    async fn in_session(
        &mut self,
        session: Arc<Session>,
        retry: &mut Backoff,
    ) -> Result<(), NodeError> {
        let root = self.common.config.borrow().zookeeper.root.clone();
        let (mut manifests, all) = Manifests::follow(session, &root).await?;
        self.take(Changed::All(all));
        loop {
            let changed = self.while_waiting(manifests.changed()).await?;
            let Some(changed) = changed else {
                return Ok(());
            };
            self.take(changed);
            retry.reset();
        }
    }

    /// Waits, and looks after what has ended of the tasks meanwhile.
    async fn while_waiting<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        let mut awaited = pin!(awaited);
        loop {
            tokio::select! {
                awaited = &mut awaited => return awaited,
                Some(ended) = self.tasks.join_next() => {
                    // Nobody would hear of a key that is taken out, or of an order: the host ends by it.
                    if let Err(panicked) = ended
                        && panicked.is_panic()
                    {
                        resume_unwind(panicked.into_panic());
                    }
                    self.heard.retain(|_, task| !task.is_closed());
                }
            }
        }
    }

    fn take(&mut self, changed: Changed) {
        match changed {
            Changed::Some(some) => some
                .into_iter()
                .for_each(|manifest| self.heard_of(manifest)),
            Changed::All(all) => {
                let there: BTreeSet<_> = all.iter().map(|it| it.task.clone()).collect();
                let gone = self.heard.keys().filter(|name| !there.contains(&***name));
                let gone: Vec<_> = gone.cloned().collect();
                for name in gone {
                    self.tell(name, Heard::Nothing);
                }
                for manifest in all {
                    self.heard_of(manifest);
                }
            }
        }
    }

    fn heard_of(&mut self, Manifest { task, node }: Manifest) {
        let Ok(name) = TaskName::new(&task) else {
            self.pass_over(&task, "its name is that of no task");
            return;
        };
        let heard = match node {
            Node::Gone => Heard::Nothing,
            Node::Unreadable(why) => {
                self.pass_over(&task, &why);
                Heard::Unreadable
            }
            Node::Record(record, version) => Heard::Record(record, version),
        };
        self.tell(name, heard);
    }

    fn tell(&mut self, name: TaskName, heard: Heard) {
        let there = self.heard.get(&name);
        if let Some(task) = there.filter(|task| !task.is_closed()) {
            task.send_replace(heard);
            return;
        }
        // There is nothing to take back of a task of which there was nothing.
        if !matches!(heard, Heard::Record(..)) {
            return;
        }
        let (sender, receiver) = watch::channel(heard);
        let common = Arc::clone(&self.common);
        self.tasks
            .spawn_local(Deployed::follow_one(name.clone(), common, receiver));
        self.heard.insert(name, sender);
    }

    fn pass_over(&mut self, name: &str, why: &str) {
        if self.passed_over.len() < 100 && self.passed_over.insert(name.to_owned()) {
            let name: String = name.chars().take(100).collect();
            let text = format!("manifest {name} is passed over: {why}");
            let retry_in = None;
            About::Session.report(&Event::DeployError { text, retry_in });
        }
    }
}
