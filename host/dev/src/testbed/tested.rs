//! A term of a plugin, without an election.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use soloist_core::clock;
use soloist_core::permit::{Permit, SharedDeadline};
use soloist_core::term::{FencingToken, Term};
use soloist_runtime::activation::{Activation, ActivationSettings, Notice};
use soloist_sandbox::Plugin;
use tokio::sync::mpsc;

use super::{Memory, PATIENCE, reported};

/// The term of a task that a test leads: number 7, by a host `tested`.
pub fn term(task: &str) -> Term {
    Term {
        number: 7,
        fencing_token: FencingToken(1007),
        task: task.into(),
        host: "tested".into(),
        record_version: 7,
    }
}

/// A runtime for plugins. It has one worker, so that a guest which does not yield is noticed at once.
///
/// # Panics
/// Panics if the system gives no thread.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads")
}

/// One term of a plugin under test. When it is dropped the plugin is stopped, by force if need be.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use soloist_core::term::Demotion;
/// use soloist_dev::testbed::Tested;
/// use soloist_sandbox::Plugin;
///
/// fn it_stops_in_time(plugin: Arc<Plugin>) {
///     let mut tested = Tested::start(plugin, Default::default());
///     tested.wait_for("plugin-log", "elected", 1);
///     tested.activation().demote(Demotion::Shutdown);
///     assert!(!tested.stopped(), "the plugin was stopped by force");
/// }
/// ```
#[must_use = "the term ends when it is dropped"]
pub struct Tested {
    /// The running plugin, until the test drops it.
    pub activation: Option<Activation>,
    /// The plugin's permission to have effects.
    pub permit: Permit,
    /// The end of the lease, which the test may move.
    pub deadline: SharedDeadline,
    /// The task's state.
    pub state: Arc<Memory>,
    /// What the term tells its host.
    pub notices: mpsc::UnboundedReceiver<Notice>,
    task: String,
    handle: tokio::runtime::Handle,
    /// `None` for a term that runs beside another.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Tested {
    /// Starts a term with a lease that does not end by itself.
    pub fn start(plugin: Arc<Plugin>, settings: ActivationSettings) -> Self {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + 100 * PATIENCE);
        Self::start_with(plugin, settings, deadline, |_| ())
    }

    /// Starts a term; `first` is called with the activation before anything else can happen to it.
    pub fn start_with(
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        deadline: SharedDeadline,
        first: impl FnOnce(&Activation),
    ) -> Self {
        Self::start_in(Arc::default(), plugin, settings, deadline, first)
    }

    /// Starts a term as [`Tested::start_with`] does, with a state that exists already.
    pub fn start_in(
        state: Arc<Memory>,
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        deadline: SharedDeadline,
        first: impl FnOnce(&Activation),
    ) -> Self {
        let runtime = runtime();
        let mut tested = Self::start_on(
            runtime.handle().clone(),
            state,
            plugin,
            settings,
            deadline,
            first,
        );
        tested.runtime = Some(runtime);
        tested
    }

    /// Starts a term on the thread that this one runs on.
    pub fn beside(&self, plugin: Arc<Plugin>, settings: ActivationSettings) -> Self {
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + 100 * PATIENCE);
        Self::start_on(
            self.handle.clone(),
            Arc::default(),
            plugin,
            settings,
            deadline,
            |_| (),
        )
    }

    fn start_on(
        handle: tokio::runtime::Handle,
        state: Arc<Memory>,
        plugin: Arc<Plugin>,
        settings: ActivationSettings,
        deadline: SharedDeadline,
        first: impl FnOnce(&Activation),
    ) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        reported::listen();
        let task = format!("task-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let term = term(&task);
        let permit = Permit::new(deadline.clone());
        let (sender, notices) = mpsc::unbounded_channel();
        let activation = Activation::start(
            &handle,
            plugin,
            settings,
            term,
            permit.clone(),
            state.clone(),
            sender,
        );
        first(&activation);
        Self {
            activation: Some(activation),
            permit,
            deadline,
            state,
            notices,
            task,
            handle,
            runtime: None,
        }
    }

    /// The running plugin.
    ///
    /// # Panics
    /// Panics if the test has dropped it.
    pub fn activation(&self) -> &Activation {
        self.activation.as_ref().expect("not dropped by the test")
    }

    /// Everything reported of this term so far.
    pub fn events(&self) -> Vec<Value> {
        self.of(&reported::so_far())
    }

    fn of(&self, events: &[Value]) -> Vec<Value> {
        events
            .iter()
            .filter(|event| event["task"] == *self.task)
            .cloned()
            .collect()
    }

    /// Waits until `event` was reported of this term `times` times with a message that contains `message`, and returns the
    /// last of them.
    ///
    /// # Panics
    /// Panics when that has not happened within [`PATIENCE`].
    pub fn wait_for(&self, event: &str, message: &str, times: usize) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut events = reported::so_far();
        loop {
            let mut found = self.of(&events);
            found.retain(|found| {
                found["event"] == event && found["message"].as_str().unwrap_or("").contains(message)
            });
            if found.len() >= times {
                return found.swap_remove(times - 1);
            }
            let reported = self.of(&events);
            let more = reported::more(events, end);
            events =
                more.unwrap_or_else(|| panic!("no {event} {message:?} ({times}): {reported:#?}"));
        }
    }

    /// Waits for the next notice that asks the host for something: not one of a plugin that fares well.
    ///
    /// # Panics
    /// Panics when none comes within [`PATIENCE`].
    pub fn notice(&mut self) -> Notice {
        loop {
            match self.any_notice() {
                Notice::Completed | Notice::Healthy => {}
                notice => return notice,
            }
        }
    }

    /// Waits for the next notice, other than that a run begins or is to be begun again.
    ///
    /// # Panics
    /// Panics when none comes within [`PATIENCE`].
    pub fn any_notice(&mut self) -> Notice {
        let runtime = self.handle.clone();
        let notice = async {
            loop {
                match self.notices.recv().await {
                    Some(Notice::Running { .. } | Notice::Restarting { .. }) => {}
                    notice => return notice,
                }
            }
        };
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, notice).await })
            .unwrap_or_else(|_| panic!("no notice: {:#?}", self.events()))
            .expect("the last notice has not come")
    }

    /// The processor time of the thread that runs the plugin.
    ///
    /// # Panics
    /// Panics when the thread has ended.
    pub fn processor_time(&self) -> Duration {
        let runtime = self.handle.clone();
        let time = async { rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime) };
        let time = runtime
            .block_on(runtime.spawn(time))
            .expect("it does not panic");
        Duration::new(
            time.tv_sec.unsigned_abs(),
            u32::try_from(time.tv_nsec).expect("less than a second"),
        )
    }

    /// Waits for the end of the term, and returns whether the host stopped the plugin by force.
    ///
    /// # Panics
    /// Panics if the term does not end within [`PATIENCE`], or if anything of it is left: a notice, the state, the permit.
    pub fn stopped(&mut self) -> bool {
        let by_force = loop {
            match self.notice() {
                Notice::Stopped { by_force } => break by_force,
                Notice::ResignRequested { .. }
                | Notice::Running { .. }
                | Notice::Restarting { .. }
                | Notice::Completed
                | Notice::Healthy
                | Notice::Failed(_)
                | Notice::Stuck => {}
            }
        };
        assert_eq!(
            Arc::strong_count(&self.state),
            1,
            "the term still holds its state"
        );
        let runtime = self.handle.clone();
        let after =
            runtime.block_on(async { tokio::time::timeout(PATIENCE, self.notices.recv()).await });
        assert_eq!(
            after.expect("the sender is gone after the last notice"),
            None
        );
        let last = self.events().pop().expect("something was reported");
        assert_eq!(last["event"], if by_force { "revoked" } else { "demoted" });
        assert!(self.permit.check().is_err(), "nothing is allowed any more");
        by_force
    }

    /// The names of the events that were reported of this term, without the lines of the plugin.
    pub fn story(&self) -> Vec<String> {
        let names = self
            .events()
            .into_iter()
            .filter_map(|event| event["event"].as_str().map(str::to_owned));
        names.filter(|name| name != "plugin-log").collect()
    }

    /// The lines that the plugin wrote.
    pub fn lines(&self) -> Vec<String> {
        let events = self
            .events()
            .into_iter()
            .filter(|event| event["event"] == "plugin-log");
        events
            .filter_map(|event| event["message"].as_str().map(str::to_owned))
            .collect()
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        drop(self.activation.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}
