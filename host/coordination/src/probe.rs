//! Finds out whether the servers are as the lease assumes, by sessions that are thrown away.
//!
//! The client library does not tell which timeout a server agrees to when a session moves there, so the servers are
//! asked, each by itself: when a session begins, and whenever it may have moved. A name can stand for several servers, and
//! the library connects to any of them: so every address is asked that a name has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;

use super::connect::{Credentials, writing_connector};
use soloist_core::backoff::Backoff;

/// Short enough to be answered with the shortest timeout there is, long enough to be answered in time.
const SHORT: Duration = Duration::from_millis(200);

/// The pause before servers that did not answer are asked again; it doubles up to [`SILENT_PAUSE_MAX`].
const SILENT_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before servers that did not answer are asked again. Whenever the session may have moved to one of them
/// all are asked anew.
const SILENT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// No more addresses of a name are asked.
const ADDRESSES_MAX: usize = 64;

/// The session timeouts that the servers agree to, as far as they answer.
#[derive(Debug)]
pub(super) struct Probe {
    servers: Vec<String>,
    asked: Duration,
    /// Servers may be set to admit nobody without.
    auth: Option<Credentials>,
    agreed: watch::Sender<BTreeMap<Server, Duration>>,
}

/// A server: one address of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Server {
    name: String,
    address: String,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, address } = self;
        if name == address {
            f.write_str(name)
        } else {
            write!(f, "{name} ({address})")
        }
    }
}

impl Probe {
    /// A probe of `servers` (`host:port,...`) that asks for the session timeout `asked`.
    pub(super) fn new(servers: &str, asked: Duration, auth: Option<Credentials>) -> Self {
        let servers = servers.split(',').map(str::to_owned).collect();
        Self {
            servers,
            asked,
            auth,
            agreed: watch::Sender::default(),
        }
    }

    /// Tells of every change of what is known.
    pub(super) fn changes(&self) -> watch::Receiver<impl Sized> {
        self.agreed.subscribe()
    }

    /// The server that agrees to the shortest timeout, and that, if it is shorter than the one asked for.
    pub(super) fn shortest(&self) -> Option<(String, Duration)> {
        let agreed = self.agreed.borrow();
        let (server, shortest) = agreed.iter().min_by_key(|(_, agreed)| **agreed)?;
        (*shortest < self.asked).then(|| (server.to_string(), *shortest))
    }

    /// Asks every server, and forgets what those have said before that do not answer: no session can move there now.
    pub(super) async fn ask(&self) {
        let servers = join_all(self.servers.iter().map(|name| servers(name)))
            .await
            .concat();
        self.agreed.send_if_modified(|known| {
            let before = known.len();
            known.retain(|server, _| servers.contains(server));
            known.len() < before
        });
        join_all(servers.iter().map(|server| self.ask_one(server))).await;
    }

    /// Asks every server until it has answered.
    ///
    /// # Cancellation safety
    /// What was answered before the future is dropped is kept.
    pub(super) async fn ask_until_answered(&self) {
        join_all(self.servers.iter().map(|name| self.ask_all_of(name))).await;
    }

    /// Asks every server of that name until it has answered.
    async fn ask_all_of(&self, name: &str) {
        let mut answered = BTreeSet::new();
        let mut pauses = Backoff::new(SILENT_PAUSE, SILENT_PAUSE_MAX);
        loop {
            let silent: Vec<_> = servers(name)
                .await
                .into_iter()
                .filter(|server| !answered.contains(server))
                .collect();
            let asked = silent
                .into_iter()
                .map(async |server| (self.ask_one(&server).await, server));
            let (answers, silent): (Vec<_>, Vec<_>) = join_all(asked)
                .await
                .into_iter()
                .partition(|(answer, _)| *answer);
            if silent.is_empty() {
                return;
            }
            answered.extend(answers.into_iter().map(|(_, server)| server));
            tokio::time::sleep(pauses.step()).await;
        }
    }

    /// Asks a server; says whether it has answered.
    async fn ask_one(&self, server: &Server) -> bool {
        let answer = agreed(&server.address, self.asked, self.auth.as_ref()).await;
        self.agreed.send_if_modified(|known| match answer {
            Some(agreed) => known.insert(server.clone(), agreed) != Some(agreed),
            None => known.remove(server).is_some(),
        });
        answer.is_some()
    }
}

/// The servers that a name stands for; the name itself while it cannot be looked up.
async fn servers(name: &str) -> Vec<Server> {
    let server = |address: String| Server {
        name: name.to_owned(),
        address,
    };
    match tokio::net::lookup_host(name).await {
        Ok(addresses) => {
            let addresses: BTreeSet<_> = addresses.take(ADDRESSES_MAX).collect();
            addresses
                .into_iter()
                .map(|address| server(address.to_string()))
                .collect()
        }
        Err(_) => vec![server(name.to_owned())],
    }
}

/// Warns of servers whose tick is too long for the lease; those that do not answer are passed over.
///
/// The shortest timeout there is is two ticks, unless `minSessionTimeout` says otherwise. A tick of up to twice the
/// configured one is harmless: the lease waits for one tick where half of one would do.
pub(super) async fn check_ticks(names: String, configured: Duration, auth: Option<Credentials>) {
    for server in join_all(names.split(',').map(servers)).await.concat() {
        let shortest = agreed(&server.address, SHORT, auth.as_ref()).await;
        let Some(shortest) = shortest.filter(|shortest| *shortest > SHORT) else {
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

async fn agreed(address: &str, asked: Duration, auth: Option<&Credentials>) -> Option<Duration> {
    let connector = writing_connector(asked, auth).with_fail_eagerly();
    Some(connector.connect(address).await.ok()?.session_timeout())
}
