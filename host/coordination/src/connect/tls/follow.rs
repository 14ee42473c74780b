//! Looks for other certificates while a host runs.

use std::time::Duration;

use soloist_core::event::{About, Event, chain};

use super::Tls;

/// How often the files are read: certificates are exchanged long before they are needed.
const PERIOD: Duration = Duration::from_secs(5);

/// Reads the files again and again, and tells when they hold something else, or what cannot be used: then what was read before
/// stays.
///
/// # Cancellation safety
/// Nothing is lost.
pub(crate) async fn follow(tls: Tls) {
    let mut problem = Problem::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        let read = tls.clone();
        // A file may be on a disk that hangs.
        let Ok(reloaded) = tokio::task::spawn_blocking(move || read.reload()).await else {
            continue;
        };
        let told = problem.heard(reloaded.map_err(|error| chain(&error)));
        if let Some(event) = told {
            About::Session.report(&event);
        }
    }
}

/// What is wrong with the files.
#[derive(Default)]
struct Problem {
    /// What was wrong when they were last read.
    last: Option<String>,
    /// What has been told.
    told: Option<String>,
}

impl Problem {
    /// What is to be told of an attempt. Who exchanges a certificate exchanges its key a moment later: a problem counts when it
    /// is still there at the next attempt, and is told once.
    fn heard(&mut self, reloaded: Result<bool, String>) -> Option<Event> {
        match reloaded {
            Ok(has_changed) => {
                *self = Self::default();
                has_changed.then_some(Event::SessionTlsReloaded)
            }
            Err(problem) => {
                let stays = self.last.as_ref() == Some(&problem);
                let is_new = self.told.as_ref() != Some(&problem);
                self.last = Some(problem.clone());
                (stays && is_new).then(|| {
                    self.told = Some(problem.clone());
                    Event::SessionTlsNotReloaded { problem }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_once_and_only_if_it_stays() {
        let mut problem = Problem::default();
        let bad = |text: &str| Err(text.to_owned());
        assert!(problem.heard(bad("a")).is_none());
        assert!(matches!(
            problem.heard(bad("a")),
            Some(Event::SessionTlsNotReloaded { .. })
        ));
        assert!(problem.heard(bad("a")).is_none());
        assert!(problem.heard(bad("b")).is_none());
        assert!(problem.heard(bad("b")).is_some());
        assert!(matches!(
            problem.heard(Ok(true)),
            Some(Event::SessionTlsReloaded)
        ));
        assert!(problem.heard(Ok(false)).is_none());
        assert!(problem.heard(bad("b")).is_none());
        assert!(problem.heard(bad("b")).is_some());
    }
}
