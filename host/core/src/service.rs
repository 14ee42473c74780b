//! What a host tells the service manager that runs it, in the words of `sd_notify(3)`: pure, no IO.
//!
//! A host tells how it is, as a value: [`ServiceState`]. [`Told`] makes messages of what has changed. So nothing is lost when a
//! state overtakes another one on its way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text::printable;

/// The longest text of `STATUS=`, in characters.
const STATUS_MAX_CHARS: usize = 400;

/// How far a host is, for the service manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServicePhase {
    /// It loads plugins, looks for the ensemble, or does not stand for its tasks yet.
    #[default]
    Starting,
    /// It stands for its tasks.
    Ready,
    /// It reads its configuration again.
    Reloading,
    /// It gives its tasks back, and ends.
    Stopping,
}

/// How a host is, for the service manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// How far it is.
    pub phase: ServicePhase,
    /// The same for a person.
    pub status: String,
    /// When the last reload began, in microseconds of the monotonic clock. None if there was none.
    pub reload: Option<u64>,
    /// Grows while the thread that renews the lease makes progress, if there is a watchdog.
    pub pulse: u64,
}

/// What the service manager was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told(ServiceState);

impl Told {
    /// The messages that tell what is not told yet, in their order. Each is a datagram of its own.
    pub fn missing(&self, now: &ServiceState) -> Vec<String> {
        let Self(told) = self;
        let mut messages = Vec::new();
        let mut phase = told.phase;
        let reloads = now.reload.is_some() && now.reload != told.reload;
        if let (true, Some(begun)) = (reloads && phase != ServicePhase::Starting, now.reload) {
            messages.push(format!("RELOADING=1\nMONOTONIC_USEC={begun}"));
            phase = ServicePhase::Reloading;
        }
        match now.phase {
            // A new process of a host that was ready, and will be again.
            ServicePhase::Starting | ServicePhase::Reloading => {}
            ServicePhase::Ready if phase == ServicePhase::Ready => {}
            ServicePhase::Ready => messages.push("READY=1".into()),
            ServicePhase::Stopping if phase == ServicePhase::Stopping => {}
            ServicePhase::Stopping => messages.push("STOPPING=1".into()),
        }
        if now.status != told.status {
            let text: String = printable(&now.status)
                .chars()
                .take(STATUS_MAX_CHARS)
                .collect();
            let status = format!("STATUS={text}");
            match messages.last_mut() {
                Some(message) => *message = format!("{message}\n{status}"),
                None => messages.push(status),
            }
        }
        if now.pulse != told.pulse {
            messages.push("WATCHDOG=1".into());
        }
        messages
    }

    /// All of [`Self::missing`] was sent.
    pub fn take_in(&mut self, now: ServiceState) {
        let Self(told) = self;
        let phase = match now.phase {
            // The manager still holds the host for what it was: it has no word for this.
            ServicePhase::Starting => told.phase,
            // Nobody reloads what was never ready.
            ServicePhase::Reloading if told.phase == ServicePhase::Starting => told.phase,
            phase => phase,
        };
        *told = ServiceState {
            phase,
            reload: now.reload.or(told.reload),
            ..now
        };
    }
}

/// How often somebody who has to be heard of within `watchdog` says something.
pub fn feeding(watchdog: Duration) -> Duration {
    watchdog / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use ServicePhase::{Ready, Reloading, Starting, Stopping};

    fn state(phase: ServicePhase, status: &str, reload: Option<u64>, pulse: u64) -> ServiceState {
        ServiceState {
            phase,
            status: status.into(),
            reload,
            pulse,
        }
    }

    /// Tells one state after the other.
    fn told(states: &[ServiceState]) -> Vec<String> {
        let mut told = Told::default();
        let tell = |state: &ServiceState| {
            let messages = told.missing(state);
            told.take_in(state.clone());
            messages
        };
        states.iter().flat_map(tell).collect()
    }

    #[test]
    fn each_change_is_told_once_and_in_its_order() {
        let states = [
            state(Starting, "loads 2 plugins", None, 0),
            state(Starting, "loads 2 plugins", None, 1),
            state(Ready, "leads 1 of 2 tasks", None, 2),
            state(Ready, "leads 1 of 2 tasks", None, 2),
            state(Reloading, "reads", Some(7), 2),
            state(Ready, "leads 2 of 2 tasks", Some(7), 2),
            state(Stopping, "gives 2 tasks back", Some(7), 2),
            state(Stopping, "gives 1 task back", Some(7), 3),
        ];
        let expected = [
            "STATUS=loads 2 plugins",
            "WATCHDOG=1",
            "READY=1\nSTATUS=leads 1 of 2 tasks",
            "WATCHDOG=1",
            "RELOADING=1\nMONOTONIC_USEC=7\nSTATUS=reads",
            "READY=1\nSTATUS=leads 2 of 2 tasks",
            "STOPPING=1\nSTATUS=gives 2 tasks back",
            "STATUS=gives 1 task back",
            "WATCHDOG=1",
        ];
        assert_eq!(told(&states), expected);
    }

    #[test]
    fn a_reload_is_told_though_its_end_has_overtaken_its_beginning() {
        let states = [state(Ready, "", None, 0), state(Ready, "", Some(9), 0)];
        let expected = ["READY=1", "RELOADING=1\nMONOTONIC_USEC=9", "READY=1"];
        assert_eq!(told(&states), expected);
    }

    /// Whoever waits for the end of the reload must not wait for ever.
    #[test]
    fn a_process_that_died_while_it_reloaded_is_ready_again_when_the_next_one_is() {
        let states = [
            state(Ready, "", None, 0),
            state(Reloading, "", Some(9), 0),
            state(Starting, "dead", None, 0),
            state(Ready, "back", None, 0),
            state(Starting, "dead", None, 0),
            state(Ready, "back", None, 0),
        ];
        let expected = [
            "READY=1",
            "RELOADING=1\nMONOTONIC_USEC=9",
            "STATUS=dead",
            "READY=1\nSTATUS=back",
            "STATUS=dead",
            "STATUS=back",
        ];
        assert_eq!(told(&states), expected);
    }

    #[test]
    fn a_reload_before_it_was_ever_ready_is_not_told() {
        let states = [
            state(Reloading, "", Some(9), 0),
            state(Ready, "", Some(9), 0),
        ];
        assert_eq!(told(&states), ["READY=1"]);
    }

    #[test]
    fn a_status_is_one_line_and_says_nothing_else() {
        let forged = state(
            Starting,
            &format!("x\nMAINPID=1{}", "y".repeat(9000)),
            None,
            0,
        );
        let [message] = &told(&[forged])[..] else {
            panic!("one message")
        };
        assert!(
            !message.contains('\n') && message.len() < 500,
            "{message:?}"
        );
    }
}
