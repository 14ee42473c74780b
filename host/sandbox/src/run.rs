//! One attempt at a term: from a fresh store to its end.

pub(crate) mod backtrace;
pub(crate) mod elected;
pub(crate) mod failure;
pub(crate) mod linker;
pub(crate) mod program;
pub(crate) mod start;
pub(crate) mod store;
pub(crate) mod usage;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures::future::try_join;
use wasmtime::Store;
use wasmtime::component::Accessor;

use crate::bounded::MAX_MESSAGE_BYTES;
use crate::contract::exports::{OnDemoted, OnElected};
use crate::directories::Directories;
use crate::engine::cpu::Cpu;
use crate::engine::turn::Turn;
use crate::imports::writes::Writes;
use crate::leadership::Leadership;
use crate::log::LogVolume;
use crate::run::elected::Elected;
use crate::run::failure::Failure;
use crate::run::program::Program;
use crate::run::start::Start;
use crate::run::store::InstanceData;
use crate::settings::PluginSettings;
use soloist_core::cause::Cause;
use soloist_core::limits::Limit;
use soloist_core::permit::Phase;

/// What follows when `on_elected` has returned without an error while the host leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCompletion {
    /// The plugin stays, and is told of its demotion.
    Stay,
    /// The plugin goes, and is told of nothing.
    Go,
}

/// How an attempt ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// `on_elected` has returned, and nothing was to follow.
    Completed,
    /// `on_demoted` has returned, or demotion began before anything was called.
    Demoted,
    /// Demotion began while `on_elected` ran, and nothing could have told the plugin of it: it was stopped at once.
    Unheard {
        /// It is the first time that this happens to the plugin.
        first: bool,
    },
}

/// How the attempt came to its end, or the error that `on_elected` returned, for people to read.
type Outcome = Result<RunEnd, String>;

/// A program, as one task runs it.
pub(crate) struct Linked {
    program: Arc<Program>,
    /// Whether the plugin was ever stopped for not hearing.
    was_unheard: AtomicBool,
    directories: Arc<Directories>,
    settings: Arc<PluginSettings>,
    writes: Writes,
    log_volume: LogVolume,
}

impl Linked {
    /// What runs the program with these settings.
    pub(crate) fn new(
        program: Arc<Program>,
        directories: Arc<Directories>,
        settings: PluginSettings,
    ) -> Self {
        Self {
            program,
            was_unheard: AtomicBool::new(false),
            directories,
            writes: Writes::new(&settings.limits, Arc::clone(&settings.host_writes)),
            log_volume: LogVolume::new(&settings.limits),
            settings: Arc::new(settings),
        }
    }

    /// The same with other settings, which must not ask for another way to load it. All that is counted over terms begins anew.
    pub(crate) fn with(&self, settings: PluginSettings) -> Self {
        let (program, directories) = (&self.program, &self.directories);
        Self::new(Arc::clone(program), Arc::clone(directories), settings)
    }

    /// Interrupts every guest that computes.
    pub(crate) fn interrupt(&self) {
        self.program.engine.increment_epoch();
    }

    pub(crate) fn settings(&self) -> &PluginSettings {
        &self.settings
    }

    /// What [`Plugin::run`](crate::Plugin::run) says.
    pub(crate) async fn run(
        &self,
        leadership: Leadership,
        completed: impl FnOnce(bool) -> AfterCompletion + Send,
    ) -> Result<RunEnd, Failure> {
        leadership.permit.pulse().lives();
        // An interruption counts as a call of the guest: those who count the calls choose its moment.
        let is_counted = self.settings.calls.is_some();
        let _ticking = (!is_counted).then(|| self.program.pulse.tick());
        let mut store = store::new(
            &self.program.engine,
            leadership.clone(),
            Arc::clone(&self.settings),
            &self.directories,
            self.writes.clone(),
            self.log_volume.clone(),
        )
        .map_err(|error| Failure::of_host(&error))?;
        let data = store.data();
        let watched = Watched {
            leadership: &leadership,
            start: data.start.clone(),
            elected: data.elected.clone(),
            cpu: data.cpu.clone(),
            turn: data.turn.clone(),
        };
        let outcome = self.watch(watched, self.call(&mut store, completed)).await;
        match outcome? {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(message)) => Err(Failure::new(Cause::Returned(
                store.data().log.clean(&message, MAX_MESSAGE_BYTES),
            ))),
            Err(error) => Err(Failure::of_guest(&error, store.data_mut())),
        }
    }

    async fn call(
        &self,
        store: &mut Store<InstanceData>,
        completed: impl FnOnce(bool) -> AfterCompletion + Send,
    ) -> wasmtime::Result<Outcome> {
        let data = store.data();
        let (leadership, start) = (data.leadership.clone(), data.start.clone());
        let elected = data.elected.clone();
        let instance = self.program.pre.instantiate_async(&mut *store).await?;
        let (on_elected, on_demoted) = self.program.exports.bind(store, instance)?;
        start.elected();
        store
            .run_concurrent(async |accessor| {
                conduct(
                    accessor,
                    &leadership,
                    &elected,
                    &on_elected,
                    &on_demoted,
                    completed,
                )
                .await
            })
            .await?
    }

    /// Runs the future for as long as the permit lasts and the guest shows signs of life. When the permit ends, nothing that
    /// the guest waits for in the host is polled again; nor is it when demotion begins, for a guest that cannot hear of that.
    async fn watch(
        &self,
        watched: Watched<'_>,
        future: impl Future<Output = wasmtime::Result<Outcome>>,
    ) -> Result<wasmtime::Result<Outcome>, Failure> {
        let Watched {
            leadership,
            start,
            elected,
            cpu,
            turn,
        } = watched;
        let mut demotion = pin!(leadership.demotion());
        let mut is_demoted = false;
        let mut future = pin!(future);
        let mut due = pin!(start.clone().due());
        let mut is_due = false;
        poll_fn(|context| {
            if let Err(lost) = leadership.permit.check() {
                return Poll::Ready(Err(Failure::lease_lost(lost)));
            }
            if !self.program.exports.hear_of_demotion {
                is_demoted = is_demoted || demotion.as_mut().poll(context).is_ready();
                if is_demoted && elected.is_running() {
                    let first = !self.was_unheard.swap(true, Ordering::Relaxed);
                    return Poll::Ready(Ok(Ok(Ok(RunEnd::Unheard { first }))));
                }
            }
            cpu.resumed();
            let polled = future.as_mut().poll(context);
            cpu.charge();
            if polled.is_ready() {
                return polled.map(Ok);
            }
            if !start.is_interrupted() {
                turn.end();
                leadership.permit.pulse().lives();
            }
            is_due = is_due || due.as_mut().poll(context).is_ready();
            if is_due && start.has_failed() {
                let reached = self.settings.limits.reached(Limit::StartTimeout);
                return Poll::Ready(Err(Failure::new(Cause::Limit(reached))));
            }
            Poll::Pending
        })
        .await
    }
}

/// What the host looks at before it lets a guest run, and when the guest pauses.
struct Watched<'a> {
    leadership: &'a Leadership,
    start: Start,
    elected: Elected,
    cpu: Cpu,
    turn: Turn,
}

/// Calls `on_elected`, and `on_demoted` when demotion begins, whether or not `on_elected` has returned by then.
async fn conduct(
    accessor: &Accessor<InstanceData>,
    leadership: &Leadership,
    running: &Elected,
    on_elected: &OnElected,
    on_demoted: &OnDemoted,
    completed: impl FnOnce(bool) -> AfterCompletion,
) -> wasmtime::Result<Outcome> {
    let term = &leadership.term;
    let mut demotion = pin!(leadership.demotion());
    // A plugin that was told of no election is told of no demotion.
    if leadership.permit.check()? != Phase::Held {
        demotion.await;
        return Ok(Ok(RunEnd::Demoted));
    }
    let mut elected = pin!(running.during(on_elected.call(accessor, term)));
    tokio::select! {
        // If both are ready at once, `on_elected` is first: it is called before demotion, or it has completed before it.
        biased;
        outcome = &mut elected => {
            if let Err(message) = outcome? {
                return Ok(Err(message));
            }
            let resigned = accessor.with(|mut host| host.get().resigned);
            if completed(resigned) == AfterCompletion::Go {
                return Ok(Ok(RunEnd::Completed));
            }
            let drain = demotion.await;
            on_demoted.call(accessor, term, drain.reason).await?;
            Ok(Ok(RunEnd::Demoted))
        }
        drain = &mut demotion => {
            let (outcome, ()) = try_join(elected, on_demoted.call(accessor, term, drain.reason)).await?;
            Ok(outcome.map(|()| RunEnd::Demoted))
        }
    }
}
