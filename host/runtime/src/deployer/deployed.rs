//! One deployed task on this host: what is prepared, what the host stands for, and what it says.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use soloist_config::{Config, TaskName};
use soloist_coordination::deployed::DeployedNodes;
use soloist_core::backoff::Backoff;
use soloist_core::clock::{self, Moment};
use soloist_core::election::Stage;
use soloist_core::event::{About, Event, Seconds, chain};
use soloist_core::records::{Generation, Readiness, ReadyRecord, RolloutRecord, TaskPaths};
use soloist_core::rollout::{
    Idle, Prepared, Purpose, READY_TIMEOUT_DEFAULT, prepares, says, stand,
};
use tokio::sync::watch;

use super::Common;
use super::prepare::{Ready, Unready, prepare};
use crate::host::{Place, Taken};
use crate::rollout::{Heard, Known};

mod part;
mod preparations;
mod work;

use part::{Does, Part};
use preparations::Preparations;

/// How often a host that cannot run the current generation looks whether others stand.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// The pause before the host is asked again to stand, when it still gives the task back.
const START_PAUSE: Duration = Duration::from_millis(100);
/// The pauses before what could not be said in the ensemble is said again.
const SAY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

/// One deployed task on this host.
pub(super) struct Deployed {
    task: TaskName,
    paths: Arc<TaskPaths>,
    /// In the session in which its contender stands.
    place: Place,
    common: Arc<Common>,
    heard: watch::Receiver<Heard>,
    known: watch::Sender<Known>,
    preparations: Preparations,
    part: Part,
    /// What the host has said, and in which session.
    said: Option<(i64, Option<ReadyRecord>)>,
    say: Backoff,
    /// The generation that was last accepted: what the disk says of it is known.
    accepted: Option<Generation>,
    /// Since when no other host has stood, as far as this one has looked.
    alone_since: Option<Moment>,
    /// The generation whose plugin has failed for good here, while the host rests or stands for something else meanwhile.
    rests: Option<Generation>,
    /// Why it does not stand, as told last.
    idle: Option<Idle>,
    /// When to look again.
    wake: Option<Moment>,
}

impl Deployed {
    /// Goes on until there is no manifest any more and everything is given back, or the host ends.
    pub(super) async fn follow_one(
        task: TaskName,
        common: Arc<Common>,
        heard: watch::Receiver<Heard>,
    ) {
        let root = common.config.borrow().zookeeper.root.clone();
        let paths = Arc::new(TaskPaths::new(&root, &task, None));
        let name = Arc::<str>::from(task.clone());
        if let Some(place) = common.host.place(name, Arc::clone(&paths)).await {
            let deployed = Self::new(task, paths, place, Arc::clone(&common), heard);
            deployed.run().await;
        }
    }

    fn new(
        task: TaskName,
        paths: Arc<TaskPaths>,
        place: Place,
        common: Arc<Common>,
        heard: watch::Receiver<Heard>,
    ) -> Self {
        let known = Known {
            record: heard.borrow().clone(),
            prepared: Prepared::default(),
            ready_timeout: READY_TIMEOUT_DEFAULT,
        };
        Self {
            paths,
            place,
            task,
            common,
            heard,
            known: watch::Sender::new(known),
            preparations: Preparations::default(),
            part: Part::None,
            said: None,
            say: SAY,
            accepted: None,
            alone_since: None,
            rests: None,
            idle: None,
            wake: None,
        }
    }

    async fn run(mut self) {
        let mut config = self.common.config.clone();
        let mut judged_by = Arc::clone(&config.borrow_and_update());
        let mut view = self.place.view.clone();
        loop {
            self.wake = None;
            let heard = self.heard.borrow_and_update().clone();
            let is_over = match &heard {
                Heard::Record(record, version) => {
                    self.follow(record, *version).await;
                    false
                }
                // The leader goes by it, and whoever stands goes on to: a newer host knows what to do.
                Heard::Unreadable => {
                    self.known.send_modify(|known| known.record = heard.clone());
                    self.hold().await;
                    false
                }
                Heard::Nothing => self.end().await,
            };
            if is_over {
                return;
            }
            let timer = OptionFuture::from(self.wake.map(clock::sleep_until));
            tokio::select! {
                Ok(()) = self.heard.changed() => {}
                Ok(()) = view.changed() => {}
                Ok(()) = config.changed() => {
                    let now = Arc::clone(&config.borrow_and_update());
                    if judges_otherwise(&judged_by, &now) {
                        self.preparations.doubt();
                    }
                    judged_by = now;
                }
                () = self.preparations.progress() => {}
                () = self.part.changed() => {}
                Some(()) = timer => {}
                else => return,
            }
        }
    }

    /// There is a record that this host cannot read. What it may not run any more ends all the same: anybody may have written it.
    async fn hold(&mut self) {
        if !self.is_taken() {
            self.end().await;
            return;
        }
        self.prepare(&self.preparations.generations());
        let Part::Stands { does, .. } = &self.part else {
            return;
        };
        if let Readiness::Unready { reason } = self.preparations.readiness(does.generation)
            && does.purpose == Purpose::Run
        {
            self.idle(Idle::Unready(reason));
        }
    }

    /// Prepares these generations, and no others.
    fn prepare(&mut self, generations: &[Generation]) {
        let (common, task, paths) = (&self.common, &self.task, &self.paths);
        self.preparations.keep(generations, |generation, before| {
            prepare(
                Arc::clone(common),
                task.clone(),
                Arc::clone(paths),
                generation,
                before,
            )
        });
        self.tell_of_preparations();
        self.wake_at(self.preparations.wake());
    }

    /// Goes by the record.
    async fn follow(&mut self, record: &RolloutRecord, version: i32) {
        if !self.is_taken() {
            self.end().await;
            return;
        }
        self.prepare(&prepares(record));
        let readiness = |generation: Option<Generation>| {
            generation.map_or_else(Readiness::default, |it| self.preparations.readiness(it))
        };
        let mut prepared = Prepared {
            current: readiness(record.current),
            wanted: readiness(record.wanted),
            back: readiness(record.back),
        };
        let ready_timeout = self.ready_timeout(record.wanted);
        let known = |prepared: &Prepared| Known {
            record: Heard::Record(Box::new(record.clone()), version),
            prepared: prepared.clone(),
            ready_timeout,
        };
        self.known.send_replace(known(&prepared));
        self.settle(record, version, &mut prepared).await;
        self.known.send_replace(known(&prepared));
        self.say(says(record, &prepared)).await;
    }

    /// Stands, leaves or goes on, as the rules say.
    async fn settle(&mut self, record: &RolloutRecord, version: i32, prepared: &mut Prepared) {
        self.note_rest(record);
        let purpose = self.purpose(record, prepared).await;
        let does = match (purpose, record.current) {
            (Ok(purpose), Some(generation)) => Does {
                generation,
                purpose,
                manifest_version: version,
            },
            (Err(idle), _) => return self.idle(idle),
            (Ok(_), None) => return self.idle(Idle::Undeployed),
        };
        self.idle = None;
        if matches!(&self.part, Part::Stands { does: before, .. } if *before == does) {
            return;
        }
        if let Part::Leaves(_) = self.part {
            return;
        }
        let Some(work) = self.work(does, prepared).await else {
            return self.idle(match &prepared.current {
                Readiness::Unready { reason } => Idle::Unready(reason.clone()),
                _ => Idle::Preparing,
            });
        };
        let (host, name) = (&self.common.host, Arc::<str>::from(self.task.clone()));
        if let Part::Stands { does: before, .. } = &mut self.part {
            *before = does;
            return host.renew(name, work);
        }
        match host.start(name, Arc::clone(&self.paths), work).await {
            Ok(status) => {
                self.part = Part::Stands {
                    status,
                    does,
                    has_stood: false,
                }
            }
            Err(Taken) => self.wake_at(Some(clock::now() + START_PAUSE)),
        }
    }

    /// What the host stands for. It looks at the queue where that matters.
    async fn purpose(
        &mut self,
        record: &RolloutRecord,
        prepared: &Prepared,
    ) -> Result<Purpose, Idle> {
        let patience = self.ready_timeout(record.current);
        let rests = self.rests.is_some();
        let stands = |alone_for| stand(record, prepared, rests, alone_for, patience);
        // Whatever it would be if nobody else had stood for long.
        if !matches!(
            stands(Some(Duration::MAX)),
            Ok(Purpose::Promote | Purpose::TakeBack)
        ) {
            self.alone_since = None;
            return stands(None);
        }
        let session = self.place.view.borrow().session.clone();
        let Some(session) = session else {
            self.alone_since = None;
            return stands(None);
        };
        let nodes = DeployedNodes::new(session, Arc::clone(&self.paths));
        let now = clock::now();
        self.wake_at(Some(now + LOOK_PAUSE));
        self.alone_since = match nodes.has_others().await {
            Ok(false) => Some(self.alone_since.unwrap_or(now)),
            // It is looked again.
            Ok(true) | Err(_) => None,
        };
        stands(self.alone_since.map(|since| now.saturating_since(since)))
    }

    /// Notes whether the plugin of the current generation has failed for good here, so that the host rests.
    fn note_rest(&mut self, record: &RolloutRecord) {
        if self.rests.is_some() && self.rests != record.current {
            self.rests = None;
        }
        let has_session = self.place.view.borrow().session.is_some();
        if let Part::Stands {
            status,
            does,
            has_stood,
        } = &mut self.part
            && does.purpose == Purpose::Run
        {
            let is_away = status.borrow().stage == Stage::Away;
            *has_stood |= !is_away;
            let rests = is_away && *has_stood && has_session;
            let is_current = Some(does.generation) == record.current;
            self.rests = (rests && is_current).then_some(does.generation);
        }
    }

    /// The host does not stand.
    fn idle(&mut self, idle: Idle) {
        // A contender that rests knows for how long.
        if idle == Idle::Resting {
            return;
        }
        let why = idle.to_string();
        if let Part::Stands { .. } = self.part {
            self.leave(&why);
        }
        if self.idle.as_ref() != Some(&idle) {
            About::Task(&self.task).report(&Event::NotStanding { reason: why });
            self.idle = Some(idle);
        }
    }

    fn leave(&mut self, why: &str) {
        let left = self.common.host.stop(self.task.clone().into(), why);
        self.part = Part::Leaves(left);
    }

    /// Whether the host takes tasks of this name. If not, it says nothing of them.
    fn is_taken(&self) -> bool {
        let config = self.common.config.borrow();
        let mut patterns = config.deploy.iter().flat_map(|deploy| &deploy.tasks);
        patterns.any(|pattern| pattern.matches(&self.task))
    }

    /// There is no manifest, or none for this host. Says whether everything is given back.
    async fn end(&mut self) -> bool {
        self.known
            .send_modify(|known| known.record = Heard::Nothing);
        self.preparations.keep(&[], |_, _| pending());
        match self.part {
            Part::Stands { .. } => self.leave("this host has no such task any more"),
            Part::Leaves(_) => {}
            Part::None => {
                self.say(None).await;
                return self.said.as_ref().is_none_or(|(_, said)| said.is_none());
            }
        }
        false
    }

    /// Says in the ensemble how far this host is, unless it has said so in this session.
    async fn say(&mut self, says: Option<ReadyRecord>) {
        let Some(session) = self.place.view.borrow().session.clone() else {
            return;
        };
        let id = session.id();
        let has_said = match &self.said {
            Some((session, said)) => *session == id && *said == says,
            None => says.is_none(),
        };
        if has_said {
            return;
        }
        let nodes = DeployedNodes::new(session, Arc::clone(&self.paths));
        let said = match &says {
            Some(record) => nodes.say(record).await,
            None => nodes.fall_silent().await,
        };
        match said {
            Ok(()) => {
                self.said = Some((id, says));
                self.say.reset();
            }
            Err(error) => {
                let pause = self.say.step();
                About::Task(&self.task).report(&Event::DeployError {
                    text: chain(&error),
                    retry_in: Some(Seconds(pause)),
                });
                self.wake_at(Some(clock::now() + pause));
            }
        }
    }

    fn tell_of_preparations(&mut self) {
        for news in self.preparations.news() {
            About::Task(&self.task).report(&news);
        }
    }

    fn ready_timeout(&self, generation: Option<Generation>) -> Duration {
        generation
            .and_then(|it| self.preparations.manifest(it))
            .map_or(READY_TIMEOUT_DEFAULT, |manifest| manifest.ready_timeout)
    }

    fn wake_at(&mut self, moment: Option<Moment>) {
        self.wake = [self.wake, moment].into_iter().flatten().min();
    }
}

/// Whether what one configuration lets deployed tasks do may differ from what the other does.
fn judges_otherwise(one: &Config, other: &Config) -> bool {
    let of = |config: &Config| -> Vec<_> {
        let tasks = config.tasks.iter();
        tasks
            .map(|it| (it.name.clone(), it.grants.dirs.clone()))
            .collect()
    };
    (&one.deploy, &one.nat64, of(one)) != (&other.deploy, &other.nat64, of(other))
}
