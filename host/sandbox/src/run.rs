//! One attempt at a term: from a fresh store to its end.

pub(crate) mod failure;
pub(crate) mod linker;
pub(crate) mod start;
pub(crate) mod store;
pub(crate) mod usage;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::try_join;
use wasmtime::Store;
use wasmtime::component::Accessor;

use crate::Plugin;
use crate::bounded::MAX_MESSAGE_BYTES;
use crate::contract::exports::{OnDemoted, OnElected};
use crate::engine::cpu::Cpu;
use crate::engine::turn::Turn;
use crate::leadership::Leadership;
use crate::run::failure::Failure;
use crate::run::start::Start;
use crate::run::store::InstanceData;
use soloist_core::cause::Cause;
use soloist_core::limits::Limit;
use soloist_core::permit::Phase;

/// What becomes of a plugin whose `on_elected` has returned without an error while its host leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCompletion {
    /// It stays, and is told of its demotion.
    Stay,
    /// It goes, and is told of nothing.
    Go,
}

/// How an attempt ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// `on_elected` has returned, and nothing was to follow.
    Completed,
    /// `on_demoted` has returned, or demotion began before anything was called.
    Demoted,
}

/// What `on_elected` returned, as an error for people to read, or how the attempt went on to its end.
type Outcome = Result<RunEnd, String>;

impl Plugin {
    /// Runs the plugin in a fresh store: `on_elected`, and `on_demoted` once demotion has begun. Returns when both have
    /// returned and the store is gone.
    ///
    /// `completed` is called when `on_elected` returns without an error while the plugin still leads. It is told whether the
    /// plugin has resigned before, and says what follows. When `on_demoted` is called, and when it is not, the contract says (`guest-sdk/wit/plugin.wit`).
    ///
    /// A plugin that computes or waits without end is not stopped here, only interrupted: the caller ends it by dropping
    /// the future, from a task of its own.
    ///
    /// # Errors
    /// [`Failure`] when the plugin trapped, returned an error, reached a limit, or wanted to go on after its permit had
    /// ended.
    ///
    /// # Cancellation safety
    /// Dropping the future drops the store: the plugin can have no effect any more.
    pub async fn run(
        &self,
        leadership: Leadership,
        completed: impl FnOnce(bool) -> AfterCompletion + Send,
    ) -> Result<RunEnd, Failure> {
        let _ticking = self.shared.tick(&self.engine);
        let (settings, writes, volume) = (
            Arc::clone(&self.settings),
            self.writes.clone(),
            self.log_volume.clone(),
        );
        let mut store = store::new(
            &self.engine,
            leadership.clone(),
            settings,
            &self.directories,
            writes,
            volume,
        )
        .map_err(|error| Failure::of_host(&error))?;
        let (start, cpu, turn) = (
            store.data().start.clone(),
            store.data().cpu.clone(),
            store.data().turn.clone(),
        );
        let watched = Watched {
            leadership: &leadership,
            start,
            cpu,
            turn,
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
        let (leadership, start) = (store.data().leadership.clone(), store.data().start.clone());
        let instance = self.linked.instantiate_async(&mut *store).await?;
        let (on_elected, on_demoted) = self.exports.bind(store, instance)?;
        start.elected();
        store
            .run_concurrent(async |accessor| {
                conduct(accessor, &leadership, &on_elected, &on_demoted, completed).await
            })
            .await?
    }

    /// Runs the future, but only for as long as the permit lasts: what the guest has waiting in the host when the permit
    /// ends is never looked at again. A guest that shows no sign of life is not waited for either.
    async fn watch<T>(
        &self,
        watched: Watched<'_>,
        future: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let Watched {
            leadership,
            start,
            cpu,
            turn,
        } = watched;
        let mut future = pin!(future);
        let mut due = pin!(start.clone().due());
        let mut is_due = false;
        poll_fn(|context| {
            if let Err(lost) = leadership.permit.check() {
                return Poll::Ready(Err(Failure::lease_lost(lost)));
            }
            cpu.resumed();
            let polled = future.as_mut().poll(context);
            cpu.charge();
            if polled.is_ready() {
                return polled.map(Ok);
            }
            if !start.is_interrupted() {
                turn.end();
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

/// What is looked at whenever a plugin is let run, and when it stops for a moment.
struct Watched<'a> {
    leadership: &'a Leadership,
    start: Start,
    cpu: Cpu,
    turn: Turn,
}

/// Calls `on_elected`, then `on_demoted` when demotion begins, whether or not the former has returned by then.
async fn conduct(
    accessor: &Accessor<InstanceData>,
    leadership: &Leadership,
    on_elected: &OnElected,
    on_demoted: &OnDemoted,
    completed: impl FnOnce(bool) -> AfterCompletion,
) -> wasmtime::Result<Outcome> {
    let term = &leadership.term;
    let mut demotion = pin!(leadership.demotion());
    // Who was never told of an election is told of no demotion.
    if leadership.permit.check()? != Phase::Held {
        demotion.await;
        return Ok(Ok(RunEnd::Demoted));
    }
    let mut elected = pin!(on_elected.call(accessor, term));
    tokio::select! {
        // Whatever is to be done at once, `on_elected` is called first, and has completed if it has returned first.
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
