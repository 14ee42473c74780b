//! The import `leadership`: what a plugin can know and do about the term it acts in.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use wasmtime::component::{HasData, Linker};

use crate::imports::bindings::{self, leadership};
use crate::imports::log::PluginLog;
use soloist_core::clock::{self, Moment};
use soloist_core::permit::Permit;
use soloist_core::state::State;
use soloist_core::term::{Demotion, Term};

/// How long the reason of a resignation may be, in bytes; what is longer is cut.
const MAX_REASON_BYTES: usize = 1024;

/// Demotion has begun.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Why.
    pub reason: Demotion,
    /// When the plugin is stopped by force if it has not stopped by then.
    pub until: Moment,
}

/// One term as its plugin sees it. Clones share it.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// The term.
    pub term: Arc<Term>,
    /// The permission to have effects in it.
    pub permit: Permit,
    /// What the task keeps from term to term.
    pub state: Arc<dyn State>,
    /// Holds something once demotion has begun.
    pub drain: watch::Receiver<Option<Drain>>,
    /// Where the reasons go that the plugin gives for resigning.
    pub resignations: mpsc::UnboundedSender<String>,
}

impl Leadership {
    /// Waits until demotion begins; for ever if nobody is left who could begin it.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn demotion(&self) -> Drain {
        let mut drain = self.drain.clone();
        let begun = drain
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|drain| *drain);
        match begun {
            Some(drain) => drain,
            None => std::future::pending().await,
        }
    }

    fn remaining(&self) -> Duration {
        let lease = self.permit.deadline();
        let end = self
            .drain
            .borrow()
            .map_or(lease, |drain| drain.until.min(lease));
        end.saturating_since(clock::now())
    }
}

/// What the import works on.
pub(crate) struct LeadershipView<'a> {
    pub(crate) leadership: &'a Leadership,
    /// What cleans the reason of a resignation.
    pub(crate) log: &'a PluginLog,
    /// Whether the plugin has resigned.
    pub(crate) resigned: &'a mut bool,
}

struct Import;

impl HasData for Import {
    type Data<'a> = LeadershipView<'a>;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> LeadershipView<'_>,
) -> wasmtime::Result<()> {
    leadership::add_to_linker::<_, Import>(linker, view)
}

impl leadership::Host for LeadershipView<'_> {
    fn remaining(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.leadership.remaining().as_nanos()).unwrap_or(u64::MAX))
    }

    fn resign(&mut self, reason: String) -> wasmtime::Result<()> {
        if !std::mem::replace(self.resigned, true) {
            let reason = self.log.clean(&reason, MAX_REASON_BYTES);
            // Nobody listens any more when the term is ending anyway.
            let _ = self.leadership.resignations.send(reason);
        }
        Ok(())
    }
}

impl From<&Term> for bindings::Term {
    fn from(term: &Term) -> Self {
        Self {
            number: term.number,
            fencing_token: term.fencing_token.0,
            task: term.task.to_string(),
            host: term.host.to_string(),
        }
    }
}

impl From<Demotion> for bindings::Demotion {
    fn from(reason: Demotion) -> Self {
        match reason {
            Demotion::Resigned => Self::Resigned,
            Demotion::Shutdown => Self::Shutdown,
            Demotion::LeaseExpiring => Self::LeaseExpiring,
            Demotion::NodeLost => Self::NodeLost,
            Demotion::Replaced => Self::Replaced,
        }
    }
}
