//! Finds out whether the servers are as the lease assumes, by sessions that are thrown away.
//!
//! The client library does not tell which timeout a server agrees to when a session moves there, so the servers are
//! asked, each by itself: when a session begins, and whenever it may have moved.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;

use super::connect::{Credentials, writing_connector};

/// Short enough to be answered with the shortest timeout there is, long enough to be answered in time.
const SHORT: Duration = Duration::from_millis(200);

/// The pause before servers that did not answer are asked again.
const SILENT_PAUSE: Duration = Duration::from_secs(1);

/// The session timeouts that the servers agree to, as far as they answer.
#[derive(Debug)]
pub(super) struct Probe {
    servers: Vec<String>,
    asked: Duration,
    /// Servers may be set to admit nobody without.
    auth: Option<Credentials>,
    agreed: watch::Sender<BTreeMap<String, Duration>>,
}

impl Probe {
    /// A probe of `servers` (`host:port,...`) that asks for the session timeout `asked`.
    pub(super) fn new(servers: &str, asked: Duration, auth: Option<Credentials>) -> Self {
        let servers = servers.split(',').map(str::to_owned).collect();
        Self { servers, asked, auth, agreed: watch::Sender::default() }
    }

    /// Tells of every change of what is known.
    pub(super) fn subscribe(&self) -> watch::Receiver<BTreeMap<String, Duration>> {
        self.agreed.subscribe()
    }

    /// The server that agrees to the shortest timeout, and that, if it is shorter than the one asked for.
    pub(super) fn shortest(&self) -> Option<(String, Duration)> {
        let agreed = self.agreed.borrow();
        let (server, shortest) = agreed.iter().min_by_key(|(_, agreed)| **agreed)?;
        (*shortest < self.asked).then(|| (server.clone(), *shortest))
    }

    /// Asks every server, and forgets what those have said before that do not answer: no session can move there now.
    pub(super) async fn ask(&self) {
        join_all(self.servers.iter().map(|server| self.ask_one(server))).await;
    }

    /// Asks every server until it has answered.
    ///
    /// # Cancellation safety
    /// What was answered before the future is dropped is kept.
    pub(super) async fn ask_until_answered(&self) {
        let asking = self.servers.iter().map(|server| async move {
            while !self.ask_one(server).await {
                tokio::time::sleep(SILENT_PAUSE).await;
            }
        });
        join_all(asking).await;
    }

    /// Asks a server; says whether it has answered.
    async fn ask_one(&self, server: &str) -> bool {
        let answer = agreed(server, self.asked, self.auth.as_ref()).await;
        self.agreed.send_if_modified(|known| match answer {
            Some(agreed) => known.insert(server.to_owned(), agreed) != Some(agreed),
            None => known.remove(server).is_some(),
        });
        answer.is_some()
    }
}

/// Warns of servers whose tick is too long for the lease; those that do not answer are passed over.
///
/// The shortest timeout there is is two ticks, unless `minSessionTimeout` says otherwise. A tick of up to twice the
/// configured one is harmless: the lease waits for one tick where half of one would do.
pub(super) async fn check_ticks(servers: String, configured: Duration, auth: Option<Credentials>) {
    for server in servers.split(',') {
        let Some(shortest) = agreed(server, SHORT, auth.as_ref()).await.filter(|shortest| *shortest > SHORT) else {
            continue;
        };
        let tick = shortest / 2;
        if tick > configured * 2 {
            tracing::warn!(
                "the tick of {server} seems to be {tick:?}, more than twice tick_time = {configured:?}: the lease does \
                 not hold then. Set tick_time to the ensemble's tickTime (unless it is minSessionTimeout that says \
                 {shortest:?})"
            );
        }
    }
}

async fn agreed(server: &str, asked: Duration, auth: Option<&Credentials>) -> Option<Duration> {
    let connector = writing_connector(asked, auth).with_fail_eagerly();
    Some(connector.connect(server).await.ok()?.session_timeout())
}
