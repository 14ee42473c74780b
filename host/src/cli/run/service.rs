//! How a host is, for the service manager that runs it: told by a thread of its own, so that nothing of it holds the lease up.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use soloist_coordination::session::View;
use soloist_core::election::Stage;
use soloist_core::guardian::{Message, Teller};
use soloist_core::roster::{self, Member, Roster};
use soloist_core::service::{ServicePhase, ServiceState, feeding};
use tokio::sync::watch;

use crate::service::Manager;

/// How often the thread looks whether something has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// So long after it got its session a host is ready, though it does not stand for all its tasks: from some it may have to rest.
const STANDS_WITHIN: Duration = Duration::from_secs(10);

/// Who is told.
#[derive(Debug)]
pub(super) enum Outlet {
    /// The guardian, which tells the manager.
    Guardian(Teller),
    /// The manager itself.
    Manager(Manager),
}

/// Tells the manager how the host is, if there is one.
#[derive(Clone, Debug)]
pub(super) struct Service(Option<Managed>);

#[derive(Clone, Debug)]
struct Managed {
    shared: Arc<Shared>,
    roster: Arc<Roster>,
    feeding: Option<Duration>,
}

#[derive(Debug, Default)]
struct Shared {
    said: Mutex<Said>,
    changed: Condvar,
}

/// What the host has said of itself.
#[derive(Clone, Debug, Default)]
struct Said {
    /// Its sessions, once its plugins are loaded and it is about to stand.
    view: Option<watch::Receiver<View>>,
    /// When the last reload began.
    reload: Option<u64>,
    reloads: bool,
    not_reloaded: bool,
}

impl Service {
    /// Begins to tell `outlet`, if there is one. The manager wants to hear of the host within `watchdog`. From here on the host
    /// measures.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn begin(outlet: Option<Outlet>, watchdog: Option<Duration>) -> io::Result<Self> {
        let Some(outlet) = outlet else {
            return Ok(Self(None));
        };
        let managed = Managed {
            shared: Arc::default(),
            roster: roster::start(),
            feeding: watchdog.map(feeding),
        };
        let telling = Telling {
            managed: managed.clone(),
            outlet,
            told: None,
            state: ServiceState::default(),
            fed: Instant::now(),
            session: None,
            is_ready: false,
        };
        thread::Builder::new()
            .name("service".into())
            .spawn(move || telling.run())?;
        Ok(Self(Some(managed)))
    }

    /// How often the thread that renews the lease has to say that it makes progress, if somebody watches it more closely than
    /// is usual.
    pub(super) fn tick(&self) -> Option<Duration> {
        let feeding = self.0.as_ref()?.feeding?;
        Some(feeding / 4)
    }

    /// The plugins are loaded, and the host begins to stand for its tasks.
    pub(super) fn stands(&self, view: watch::Receiver<View>) {
        self.say(|said| said.view = Some(view));
    }

    /// The host begins to read its configuration again.
    pub(super) fn reloads(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = u64::try_from(now.tv_sec * 1_000_000 + now.tv_nsec / 1_000);
        self.say(|said| (said.reloads, said.reload) = (true, micros.ok()));
    }

    /// It has read its configuration, and stands by it; or not, and goes on as before.
    pub(super) fn reloaded(&self, done: bool) {
        self.say(|said| (said.reloads, said.not_reloaded) = (false, !done));
    }

    /// The host has begun to stop: the roster says so too.
    pub(super) fn stops(&self) {
        self.say(|_| {});
    }

    fn say(&self, change: impl FnOnce(&mut Said)) {
        if let Some(Managed { shared, .. }) = &self.0 {
            change(&mut shared.lock());
            shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Said> {
        // Each field is right by itself.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that tells.
struct Telling {
    managed: Managed,
    outlet: Outlet,
    told: Option<ServiceState>,
    state: ServiceState,
    /// When it last said that the host makes progress.
    fed: Instant,
    /// Since when there is a session.
    session: Option<Instant>,
    is_ready: bool,
}

impl Telling {
    fn run(mut self) {
        let rest = self.managed.feeding.map_or(LOOK_EVERY, |it| it / 4);
        let rest = rest.min(LOOK_EVERY);
        let shared = Arc::clone(&self.managed.shared);
        loop {
            let said = shared.lock().clone();
            self.look(&said);
            self.tell();
            let said = shared.lock();
            let (_said, _) = shared
                .changed
                .wait_timeout(said, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn look(&mut self, said: &Said) {
        let roster = &self.managed.roster;
        let tasks = roster.tasks();
        let (has_session, is_drained) = said.view.as_ref().map_or((false, false), |view| {
            let view = view.borrow();
            (view.session.is_some(), view.drain.is_some())
        });
        if !has_session {
            self.session = None;
        } else if self.session.is_none() {
            self.session = Some(Instant::now());
        }
        let stands = is_drained || tasks.iter().all(stands);
        self.is_ready |= self
            .session
            .is_some_and(|since| stands || since.elapsed() >= STANDS_WITHIN);
        let (phase, status) = if roster.is_stopping() {
            (ServicePhase::Stopping, leaves(&tasks))
        } else if said.view.is_none() {
            (ServicePhase::Starting, "loads plugins".to_owned())
        } else if !self.is_ready && !has_session {
            (ServicePhase::Starting, "looks for the ensemble".to_owned())
        } else if said.reloads {
            let status = "reads the configuration again".to_owned();
            (ServicePhase::Reloading, status)
        } else {
            let phase = if self.is_ready {
                ServicePhase::Ready
            } else {
                ServicePhase::Starting
            };
            let mut status = leads(&tasks);
            for (is_so, what) in [
                (!has_session, "no session"),
                (is_drained, "drained"),
                (said.not_reloaded, "the configuration could not be reloaded"),
            ] {
                if is_so {
                    status = format!("{status}; {what}");
                }
            }
            (phase, status)
        };
        (self.state.phase, self.state.status, self.state.reload) = (phase, status, said.reload);
        if let Some(feeding) = self.managed.feeding
            && self.fed.elapsed() >= feeding / 2
            && roster.silent_for().is_some_and(|silence| silence < feeding)
        {
            self.state.pulse += 1;
            self.fed = Instant::now();
        }
    }

    fn tell(&mut self) {
        match &mut self.outlet {
            // It knows itself what was told.
            Outlet::Manager(manager) => drop(manager.tell(&self.state)),
            Outlet::Guardian(teller) => {
                if self.told.as_ref() != Some(&self.state) {
                    teller.tell(Message::Service(self.state.clone()));
                    self.told = Some(self.state.clone());
                }
            }
        }
    }
}

/// Whether the host stands for the task, or knows that it cannot now.
fn stands(task: &Arc<Member>) -> bool {
    let standing = task.standing();
    match standing.stage {
        Stage::Away => false,
        Stage::Standby => standing.ahead.is_some(),
        Stage::Full
        | Stage::Electing
        | Stage::Leading
        | Stage::Stopping
        | Stage::Releasing
        | Stage::Finished => true,
    }
}

/// What the host does for its tasks.
fn leads(tasks: &[Arc<Member>]) -> String {
    let (mut leads, mut stands) = (0, 0);
    for task in tasks {
        let standing = task.standing();
        if standing.leads() {
            leads += 1;
        } else if matches!(standing.stage, Stage::Standby | Stage::Electing) {
            stands += 1;
        }
    }
    let of = counted(tasks.len());
    format!("leads {leads} of {of}, stands by for {stands}")
}

/// What the host still has to give back.
fn leaves(tasks: &[Arc<Member>]) -> String {
    format!("gives {} back", counted(tasks.len()))
}

fn counted(tasks: usize) -> String {
    match tasks {
        1 => "1 task".to_owned(),
        _ => format!("{tasks} tasks"),
    }
}
