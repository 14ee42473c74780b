//! One attempt at a term: from a fresh store to its end.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::try_join;
use wasmtime::Store;
use wasmtime::component::Accessor;

use super::exports::{OnDemoted, OnElected};
use super::failure::{Cause, Failure};
use super::leadership::Leadership;
use super::store::Host;
use super::{Plugin, store};
use crate::permit::{LeaseLost, Permit};

impl Plugin {
    /// Runs the plugin in a fresh store: `on_elected`, and `on_demoted` once demotion has begun. Returns when both have
    /// returned and the store is gone.
    ///
    /// `completed` is called when `on_elected` returns without an error while the plugin still leads.
    ///
    /// A plugin that computes or waits without end is not stopped here, only interrupted: the caller ends it by dropping
    /// the future, from a task of its own.
    ///
    /// # Errors
    /// [`Failure`] when the plugin trapped, returned an error, or wanted to go on after its permit had ended.
    ///
    /// # Cancellation safety
    /// Dropping the future drops the store: the plugin can have no effect any more.
    pub async fn run(&self, leadership: Leadership, completed: impl FnOnce() + Send) -> Result<(), Failure> {
        let _ticking = self.engine.tick();
        let permit = leadership.permit.clone();
        let mut store = store::new(self.engine.wasmtime(), leadership, Arc::clone(&self.settings))
            .map_err(|error| Failure::new(Cause::Host(error)))?;
        let outcome = while_permitted(&permit, self.call(&mut store, completed)).await;
        match outcome {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(message))) => Err(Failure::new(Cause::Returned(super::log::cut(&message)))),
            Ok(Err(error)) => Err(Failure::of_guest(error, store.data_mut())),
            Err(lost) => Err(Failure::new(Cause::LeaseLost(lost))),
        }
    }

    async fn call(
        &self,
        store: &mut Store<Host>,
        completed: impl FnOnce() + Send,
    ) -> wasmtime::Result<Result<(), String>> {
        let leadership = store.data().leadership.clone();
        let instance = self.linked.instantiate_async(&mut *store).await?;
        let (on_elected, on_demoted) = self.exports.bind(store, instance)?;
        store
            .run_concurrent(async |accessor| conduct(accessor, &leadership, &on_elected, &on_demoted, completed).await)
            .await?
    }
}

/// Calls `on_elected`, then `on_demoted` when demotion begins, whether or not the former has returned by then.
async fn conduct(
    accessor: &Accessor<Host>,
    leadership: &Leadership,
    on_elected: &OnElected,
    on_demoted: &OnDemoted,
    completed: impl FnOnce(),
) -> wasmtime::Result<Result<(), String>> {
    let term = &leadership.term;
    let mut elected = pin!(on_elected.call(accessor, term));
    let mut demotion = pin!(leadership.demotion());
    tokio::select! {
        outcome = &mut elected => {
            if let Err(message) = outcome? {
                return Ok(Err(message));
            }
            completed();
            let drain = demotion.await;
            on_demoted.call(accessor, term, drain.reason).await?;
            Ok(Ok(()))
        }
        drain = &mut demotion => {
            let (outcome, ()) = try_join(elected, on_demoted.call(accessor, term, drain.reason)).await?;
            Ok(outcome)
        }
    }
}

/// Runs the future, but only for as long as the permit lasts: what the guest has waiting in the host when the permit ends
/// is never looked at again.
async fn while_permitted<T>(permit: &Permit, future: impl Future<Output = T>) -> Result<T, LeaseLost> {
    let mut future = pin!(future);
    poll_fn(|context| match permit.check() {
        Ok(_) => future.as_mut().poll(context).map(Ok),
        Err(lost) => Poll::Ready(Err(lost)),
    })
    .await
}
