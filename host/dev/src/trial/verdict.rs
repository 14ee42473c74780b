//! What a life has shown to be wrong with the plugin, or with the script.

use super::lived::{Early, Unmet};
use super::patience::STEP_MAX;
use super::recorder::{KEPT_BYTES_MAX, Made};
use super::shown;

/// How many things are told that are not as they should be.
const UNMET_MAX: usize = 100;

/// What is found of the plugin.
#[derive(Default)]
pub(super) struct Verdict {
    /// What is not as it should be, in order. It is bounded.
    pub(super) unmet: Vec<Unmet>,
    /// How many failures of the plugin have been looked at.
    pub(super) failures: usize,
    /// Whether it was ever stopped by force though it had `demote_timeout`.
    pub(super) was_forced: bool,
}

impl Verdict {
    pub(super) fn add(&mut self, unmet: Unmet) {
        match self.unmet.len() {
            ..UNMET_MAX => self.unmet.push(unmet),
            UNMET_MAX => self.unmet.push(Unmet {
                place: None,
                what: "there is more, which is not told".to_owned(),
            }),
            _ => {}
        }
    }

    /// Whoever expected something of a request that nothing answered wants to know that first.
    pub(super) fn blame_answers(&mut self, unanswered: Option<Made>) {
        if let Some(made) = unanswered
            && !self.unmet.is_empty()
        {
            let request = shown::request(made.method.as_str(), &made.url.to_string());
            let what = format!(
                "no [[answer]] of the script was for {request}: the connection was refused"
            );
            self.add(Unmet { place: None, what });
        }
    }

    /// Whoever has something go wrong in a plugin that uses TCP has mostly met the lack of that.
    pub(super) fn blame_sockets(&mut self, has_asked: bool) {
        if has_asked && !self.unmet.is_empty() {
            let what = "the plugin asked for TCP, and there is none in a test, as no script can answer it: try that with \
                        `soloist dev`, which has the real network, and test what does without with `cargo test`";
            self.add(Unmet {
                place: None,
                what: what.to_owned(),
            });
        }
    }
}

/// Why a life had to end before its end, for whoever wrote the step.
pub(super) fn told(early: Early) -> String {
    match early {
        Early::Stalled => format!(
            "this step took more than {} s of real time: the plugin computes without end, or waits for something that is not \
             simulated",
            STEP_MAX.as_secs()
        ),
        Early::Full => format!(
            "what the plugin has called, sent and written up to this step takes more than {} MiB: let less time pass, or have \
             the plugin keep less",
            KEPT_BYTES_MAX / (1024 * 1024)
        ),
    }
}
