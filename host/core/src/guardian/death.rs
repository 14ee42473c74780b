//! How a process has ended, and whether another one takes its place.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;

/// The pause before the first restart; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a restart.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A process that lived so long did not die of its start: the pauses begin anew.
const STEADY: Duration = Duration::from_secs(60);

/// Exit codes with which the process says itself that it is not to be started again: a clean end, what was asked for is wrong,
/// and no ensemble within the time that was allowed.
const SAID: [i32; 3] = [0, 2, 3];

/// How a process has ended. All its threads are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Death {
    /// It has ended with this code.
    Exited(i32),
    /// This signal has ended it.
    Killed(i32),
}

/// What the guardian does after a death that nobody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDeath {
    /// It starts the process again, after a pause.
    #[default]
    Restart,
    /// It ends as the process has ended.
    Exit,
}

impl Death {
    /// The reason in the history, and what is told beside it.
    pub fn reason(self) -> (&'static str, String) {
        match self {
            Self::Exited(code) => ("exited", format!("code {code}")),
            Self::Killed(signal) => ("killed", format!("signal {signal}")),
        }
    }

    /// One word of a few for the cause, as a label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            // What Rust's library exits with.
            Self::Exited(101) => "panic",
            Self::Exited(_) => "exit",
            Self::Killed(6) => "abort",
            Self::Killed(9) => "kill",
            Self::Killed(4 | 7 | 8 | 11) => "fault",
            Self::Killed(_) => "signal",
        }
    }

    /// The code with which the guardian ends if it follows: that of the process, or 128 and the number of the signal.
    pub fn exit_code(self) -> u8 {
        let code = match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }

    /// Whether the process has said itself that it is not to be started again.
    fn is_meant(self) -> bool {
        matches!(self, Self::Exited(code) if SAID.contains(&code))
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, detail) = self.reason();
        write!(f, "{reason}: {detail}")
    }
}

/// The pause after which the process is started again. None if the guardian is to end. `lived` is how long the process has
/// lived, and `asked_to_stop` whether somebody has asked it to end.
pub fn next_pause(
    death: Death,
    on_death: OnDeath,
    asked_to_stop: bool,
    lived: Duration,
    pauses: &mut Option<Backoff>,
) -> Option<Duration> {
    if death.is_meant() || asked_to_stop || on_death == OnDeath::Exit {
        return None;
    }
    let pauses = pauses.get_or_insert_with(|| Backoff::new(PAUSE, PAUSE_MAX));
    if lived >= STEADY {
        pauses.reset();
    }
    Some(pauses.step())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(death: Death, on_death: OnDeath, asked: bool) -> Option<Duration> {
        next_pause(death, on_death, asked, Duration::ZERO, &mut None)
    }

    #[test]
    fn a_process_that_died_is_started_again_and_one_that_ended_is_not() {
        for death in [
            Death::Killed(9),
            Death::Killed(6),
            Death::Exited(101),
            Death::Exited(1),
        ] {
            assert_eq!(
                pause(death, OnDeath::Restart, false),
                Some(PAUSE),
                "{death}"
            );
            assert_eq!(pause(death, OnDeath::Exit, false), None);
            assert_eq!(pause(death, OnDeath::Restart, true), None);
        }
        for code in SAID {
            assert_eq!(pause(Death::Exited(code), OnDeath::Restart, false), None);
        }
    }

    #[test]
    fn pauses_grow_until_a_process_lives_for_a_while() {
        let mut pauses = None;
        let mut next = |lived| {
            let on_death = OnDeath::Restart;
            next_pause(Death::Killed(9), on_death, false, lived, &mut pauses).unwrap()
        };
        let short: Vec<_> = (0..12).map(|_| next(Duration::from_secs(1))).collect();
        assert_eq!(
            (short[0], short[1], short[11]),
            (PAUSE, 2 * PAUSE, PAUSE_MAX)
        );
        assert_eq!(next(STEADY), PAUSE);
    }

    #[test]
    fn the_guardian_ends_as_a_shell_tells_the_end_of_a_process() {
        assert_eq!(Death::Killed(9).exit_code(), 137);
        assert_eq!(Death::Exited(4).exit_code(), 4);
        assert_eq!(Death::Killed(9).to_string(), "killed: signal 9");
        assert_eq!(Death::Exited(101).to_string(), "exited: code 101");
    }
}
