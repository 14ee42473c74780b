//! Looks for other certificates while a host runs.

use std::time::Duration;

use soloist_core::event::{About, Event, chain};
use soloist_core::followed::{Followed, Problem};

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
        match problem.heard(reloaded.map_err(|error| chain(&error))) {
            Some(Followed::Exchanged) => About::Session.report(&Event::SessionTlsReloaded),
            Some(Followed::Unusable(problem)) => {
                About::Session.report(&Event::SessionTlsNotReloaded { problem });
            }
            None => {}
        }
    }
}
