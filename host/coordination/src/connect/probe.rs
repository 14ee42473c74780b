//! Finds out whether the servers are as the lease assumes, by sessions that are thrown away.
//!
//! The client library does not tell which timeout a server agrees to when a session moves there. So the host asks every
//! server by itself, when a session begins and whenever the session may have moved.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;

use super::Ensemble;
use super::greeting::greet;
use super::servers::{Server, servers};
use soloist_core::backoff::Backoff;

/// Short enough to be answered with the shortest timeout there is, long enough to be answered in time.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// The pause before servers that did not answer are asked again; it doubles up to [`SILENT_PAUSE_MAX`].
const SILENT_PAUSE: Duration = Duration::from_secs(1);
/// The time from one round of questions to the next, at the least.
const ROUND: Duration = Duration::from_millis(100);
/// The longest pause before servers that did not answer are asked again. Whenever the session may have moved to one of them
/// all are asked anew.
const SILENT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// The session timeouts that the servers agree to, as far as they answer.
#[derive(Debug)]
pub(crate) struct Probe {
    ensemble: Ensemble,
    agreed: watch::Sender<BTreeMap<Server, Duration>>,
    /// Counts how often the servers were to be asked.
    wanted: watch::Sender<u64>,
}

impl Probe {
    /// A probe of the servers that asks for the ensemble's session timeout.
    pub(crate) fn new(ensemble: Ensemble) -> Self {
        Self {
            ensemble,
            agreed: watch::Sender::default(),
            wanted: watch::Sender::default(),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.ensemble.servers.split(',')
    }

    /// Tells of every change of what is known.
    pub(crate) fn changes(&self) -> watch::Receiver<impl Sized> {
        self.agreed.subscribe()
    }

    /// The server that agrees to the shortest timeout, and that, if it is shorter than the one asked for.
    pub(crate) fn shortest(&self) -> Option<(String, Duration)> {
        let agreed = self.agreed.borrow();
        let (server, shortest) = agreed.iter().min_by_key(|(_, agreed)| **agreed)?;
        (*shortest < self.ensemble.session_timeout).then(|| (server.to_string(), *shortest))
    }

    /// Asks every server. The answers of servers that no longer answer are forgotten, because no session can move there now.
    pub(crate) async fn ask(&self) {
        let servers = join_all(self.names().map(servers)).await.concat();
        self.agreed.send_if_modified(|known| {
            let before = known.len();
            known.retain(|server, _| servers.contains(server));
            known.len() < before
        });
        join_all(servers.iter().map(|server| self.ask_one(server))).await;
    }

    /// Has all servers asked by [`Probe::run`]: a session begins, or may have moved to another server.
    pub(crate) fn wake(&self) {
        self.wanted.send_modify(|wanted| *wanted += 1);
    }

    /// Asks the servers whenever that is wanted, for ever. Those that want it within [`ROUND`] share an answer: when a server has
    /// gone, all sessions of the host reconnect at once.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut wanted = self.wanted.subscribe();
        // Whoever wanted it before this ran has not been answered.
        if *wanted.borrow_and_update() == 0 && wanted.changed().await.is_err() {
            return;
        }
        loop {
            let again = async {
                tokio::time::sleep(ROUND).await;
                // This holds the sender.
                let _ = wanted.changed().await;
            };
            let asked = async {
                self.ask_until_answered().await;
                pending::<()>().await;
            };
            tokio::select! {
                () = again => {}
                () = asked => {}
            }
        }
    }

    /// Asks every server until it has answered.
    async fn ask_until_answered(&self) {
        join_all(self.names().map(|name| self.ask_all_of(name))).await;
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
        let answer = greet(server, self.ensemble.session_timeout, &self.ensemble)
            .await
            .ok();
        self.agreed.send_if_modified(|known| match answer {
            Some(agreed) => known.insert(server.clone(), agreed) != Some(agreed),
            None => known.remove(server).is_some(),
        });
        answer.is_some()
    }
}

/// Warns of servers whose tick is too long for the lease. Servers that do not answer are passed over.
///
/// The shortest timeout there is is two ticks, unless `minSessionTimeout` says otherwise. A tick of up to twice the
/// configured one is harmless: the lease waits for one tick where half of one would do.
pub(crate) async fn check_ticks(ensemble: Ensemble, configured: Duration) {
    for server in join_all(ensemble.servers.split(',').map(servers))
        .await
        .concat()
    {
        let shortest = greet(&server, SHORT, &ensemble).await.ok();
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
