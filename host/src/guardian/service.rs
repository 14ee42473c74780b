//! What the guardian tells the service manager: what its process tells, and while there is none, that this is so.

use std::future::pending;
use std::time::Duration;

use soloist_core::guardian::Death;
use soloist_core::service::{ServicePhase, ServiceState, feeding};
use tokio::time::sleep;

use crate::service::{Manager, watchdog};

/// How soon the manager is told again what it did not read.
const TELL_AGAIN: Duration = Duration::from_millis(200);

/// What the manager is told.
#[derive(Debug)]
pub(super) struct Service {
    manager: Option<Manager>,
    feeding: Option<Duration>,
    state: ServiceState,
    is_behind: bool,
}

impl Service {
    /// What tells this manager, if there is one.
    pub(super) fn new(manager: Option<Manager>) -> Self {
        let watchdog = watchdog(None).filter(|_| manager.is_some());
        Self {
            manager,
            feeding: watchdog.map(feeding),
            state: ServiceState::default(),
            is_behind: false,
        }
    }

    /// The process tells how it is. Its pulse is its own: while it is silent, nobody tells the manager anything else.
    pub(super) fn heard(&mut self, state: ServiceState) {
        self.state = state;
        self.tell();
    }

    /// A process is about to be started. It has the time of the watchdog to say something.
    pub(super) fn starts(&mut self) {
        self.state.pulse = self.state.pulse.wrapping_add(1);
        self.tell();
    }

    /// The process has died.
    pub(super) fn died(&mut self, death: Death, pause: Option<Duration>) {
        let then = match pause {
            Some(pause) => format!("it is started again in {pause:?}"),
            None => "the guardian ends".to_owned(),
        };
        self.state.status = format!("the process that runs plugins has died ({death}): {then}");
        self.state.phase = match pause {
            Some(_) => ServicePhase::Starting,
            None => ServicePhase::Stopping,
        };
        self.tell();
    }

    /// The guardian ends, and there is no process that could say so.
    pub(super) fn stops(&mut self) {
        self.state.phase = ServicePhase::Stopping;
        self.tell();
    }

    /// Tells the manager again and again that the guardian is there, while there is no process that could.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn feed(&mut self) {
        loop {
            self.starts();
            match self.feeding {
                Some(feeding) => sleep(feeding / 2).await,
                None => pending().await,
            }
        }
    }

    /// Tells the manager what it did not read, if there is such.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn tell_again(&mut self) {
        while self.is_behind {
            sleep(TELL_AGAIN).await;
            self.tell();
        }
        pending::<()>().await;
    }

    fn tell(&mut self) {
        if let Some(manager) = &mut self.manager {
            self.is_behind = !manager.tell(&self.state);
        }
    }
}
