//! Both hosts and the ensemble: each order as it is carried out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use soloist_config::Config;
use soloist_coordination::connect::tls::TlsError;
use soloist_coordination::observer::{Asked, Observer, ObserverError};
use soloist_core::clock::TaskClock;
use soloist_core::lease::Timing;
use soloist_core::records::{TaskPaths, host_path, hosts_path};
use soloist_runtime::host::{HostError, ensemble};
use soloist_runtime::reload::{NeedsRestart, Setup};
use tokio::time::{sleep, timeout};
use tracing::Level;

use super::member::{HOSTS, Member, Part};
use super::shown::Shown;
use super::teller::{Leads, Teller};
use crate::ensemble::Ensemble;

/// How long nothing may happen beside the time that a session takes to expire.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest that a connection is cut for a while.
const CUT_TIME: Duration = Duration::from_secs(2);
/// How long an order waits until both hosts have a session, after whatever has happened before: one that was cut off looks
/// for the ensemble every third of its session timeout.
const RETURN_TIME: Duration = Duration::from_secs(10);
/// How long it waits until both stand.
const STAND_TIME: Duration = Duration::from_secs(2);
/// The pause between two looks at the ensemble.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How far the clock of the tasks is put ahead.
const HOUR: Duration = Duration::from_secs(3600);

/// An order was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("nobody has come to lead within {0:?}: see what the hosts say above")]
    NobodyLeads(Duration),
    #[error("{what} within {time:?}: see what the hosts say above")]
    NotSeen { what: &'static str, time: Duration },
    #[error("host {0} has no session at the moment: try again")]
    NoSession(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Observer(#[from] ObserverError),
    #[error(transparent)]
    NeedsRestart(#[from] NeedsRestart),
    #[error("the session is too short for this `demote_timeout`")]
    NoRoom(#[from] soloist_core::lease::NoRoom),
    #[error("cannot start a host's thread")]
    Thread(#[from] io::Error),
}

/// Both hosts and the ensemble.
pub(super) struct Pair {
    ensemble: Ensemble,
    /// Of both hosts; it says where the ensemble is.
    config: Config,
    /// What each host stands for.
    part: Part,
    /// Each host, unless it is being killed.
    members: [Option<Member>; 2],
    teller: Arc<Teller>,
    clock: TaskClock,
}

impl Pair {
    /// Starts both hosts.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        ensemble: Ensemble,
        config: Config,
        part: Part,
        teller: Arc<Teller>,
        clock: TaskClock,
    ) -> io::Result<Self> {
        let [a, b] = HOSTS.map(|name| Member::start(name, &config, part.clone()));
        let members = [Some(a?), Some(b?)];
        Ok(Self {
            ensemble,
            config,
            part,
            members,
            teller,
            clock,
        })
    }

    /// What is being played.
    pub(super) fn setup(&self) -> &Setup {
        &self.part.setup
    }

    /// The leader hands over, to the other host or to whoever is next.
    pub(super) async fn hand_over(&self, to_the_other: bool) -> Result<(), OrderError> {
        let leads = self.leader().await?;
        let to = HOSTS
            .into_iter()
            .find(|host| to_the_other && *host != leads.host);
        let (task, patience) = (&*self.part.task().name, self.patience());
        let reason = if to_the_other {
            "ordered: elect"
        } else {
            "ordered: demote"
        };
        let resigned = async |observer: &Observer| {
            observer
                .resign(task, to, Some(reason), patience)
                .await
                .map(drop)
        };
        self.ask(resigned).await?;
        self.follower(leads.term).await
    }

    /// The leader dies without a word, and comes back as a standby.
    pub(super) async fn fail_over(&mut self) -> Result<(), OrderError> {
        let leads = self.leader().await?;
        let session = self.session_of(&leads.host);
        for (name, place) in HOSTS.into_iter().zip(&mut self.members) {
            let Some(member) = place.take_if(|member| member.name == leads.host) else {
                continue;
            };
            self.teller.silence(name);
            member.kill().await;
            let timeout = self.config.zookeeper.session_timeout;
            let message = format!(
                "killed, as SIGKILL does: it gives nothing back and tells nobody. Its session, which would last up to \
                 {timeout:?} more, expires at once"
            );
            self.teller.say(Level::WARN, Some(name), "killed", &message);
            // Nothing of it is left that could have an effect.
            if let Ok(session) = session {
                self.ensemble.expire(session);
            }
            self.teller.hear_again();
            *place = Some(Member::start(name, &self.config, self.part.clone())?);
        }
        self.follower(leads.term).await
    }

    /// The leader is cut off until its session is over.
    pub(super) async fn expire(&self) -> Result<(), OrderError> {
        let leads = self.leader().await?;
        let session = self.session_of(&leads.host)?;
        let timeout = self.config.zookeeper.session_timeout;
        let message = format!(
            "its connection is cut until its session has expired, after {timeout:?}: it has to stop its plugin before that"
        );
        self.teller
            .say(Level::WARN, Some(&leads.host), "cut-off", &message);
        self.ensemble.cut(session, Duration::MAX);
        let is_over = || self.ensemble.sessions().iter().all(|it| it.id != session);
        see("the session has not expired", self.patience(), is_over).await?;
        self.follower(leads.term).await
    }

    /// The leader is cut off for a while that its lease outlasts.
    pub(super) async fn cut(&self) -> Result<(), OrderError> {
        let leads = self.leader().await?;
        let session = self.session_of(&leads.host)?;
        let (zookeeper, task) = (&self.config.zookeeper, self.part.task());
        let timing = Timing::new(
            zookeeper.session_timeout,
            zookeeper.tick_time,
            task.demote_timeout,
        )?;
        let time = CUT_TIME.min(timing.ridden_out() / 2);
        let message = format!("its connection is cut for {time:?}, which its lease outlasts");
        self.teller
            .say(Level::WARN, Some(&leads.host), "cut-off", &message);
        self.ensemble.cut(session, time);
        // It is there again, or over: a busy machine may have taken its time.
        let is_back = || {
            self.ensemble
                .sessions()
                .iter()
                .all(|it| it.id != session || it.connected)
        };
        sleep(time).await;
        see("the host has not come back", self.patience(), is_back).await
    }

    /// It is an hour later for the plugin.
    pub(super) fn put_ahead(&self) {
        self.clock.advance(HOUR);
        let message = format!(
            "an hour later: for the plugin it is {}; leases do not notice",
            self.plugin_time()
        );
        self.teller.say(Level::INFO, None, "later", &message);
    }

    /// Who leads, and what is kept.
    pub(super) async fn show(&self) -> Result<(), OrderError> {
        let task = self.part.task();
        let (status, terms) = self
            .ask(async |observer| {
                Ok((
                    observer.status(Asked::One(&task.name)).await?,
                    observer.history(&task.name).await?,
                ))
            })
            .await?;
        let below = format!("{}/", self.paths().state);
        let nodes = self.ensemble.nodes().into_iter();
        let state = nodes
            .filter_map(|node| Some((node.path.strip_prefix(&below)?.to_owned(), node.data)))
            .collect();
        if let Some(status) = status.tasks.into_iter().next() {
            let shown = Shown {
                status,
                terms: terms.clone(),
                state,
                plugin_time: self.plugin_time(),
            };
            let message = if self.teller.is_for_programs() {
                String::from("as it stands")
            } else {
                shown.text()
            };
            let fields = if self.teller.is_for_programs() {
                shown.fields()
            } else {
                serde_json::Map::new()
            };
            self.teller
                .say_with(Level::INFO, None, "shown", &message, fields);
        }
        Ok(())
    }

    /// Exchanges the plugin: on the standby first, to which the leader then hands over.
    pub(super) async fn exchange(&mut self, config: &Config, part: Part) -> Result<(), OrderError> {
        let mut config = config.clone();
        config.zookeeper.servers = self.config.zookeeper.servers.clone();
        NeedsRestart::check(&self.config, &config)?;
        let zookeeper = &config.zookeeper;
        Timing::new(
            zookeeper.session_timeout,
            zookeeper.tick_time,
            part.task().demote_timeout,
        )?;
        let leads = self.teller.leads().borrow().clone();
        (self.config, self.part) = (config, part);
        for member in self.standby_first(leads.as_ref()) {
            member.exchange(self.part.clone()).await;
            // The leader finds a successor.
            self.settle().await;
        }
        match leads {
            Some(leads) => self.follower(leads.term).await,
            None => Ok(()),
        }
    }

    /// Waits until a host has ended by itself.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn failed(&mut self) -> (&'static str, Result<(), HostError>) {
        let [a, b] = &mut self.members;
        let (Some(a), Some(b)) = (a, b) else {
            return std::future::pending().await;
        };
        tokio::select! {
            ended = a.failed() => (a.name, ended),
            ended = b.failed() => (b.name, ended),
        }
    }

    /// Ends both hosts as they do when they are asked to stop: the standby first, so that it is not elected for a moment.
    ///
    /// # Errors
    /// Of the first host that could not end well.
    pub(super) async fn end(mut self) -> Result<(), (&'static str, HostError)> {
        let leads = self.teller.leads().borrow().clone();
        let is_leader = |member: &Member| {
            leads
                .as_ref()
                .is_some_and(|leads| leads.host == member.name)
        };
        let mut members: Vec<_> = self.members.iter_mut().filter_map(Option::take).collect();
        members.sort_by_key(is_leader);
        let mut outcome = Ok(());
        for member in members {
            let name = member.name;
            let ended = member.end().await.map_err(|error| (name, error));
            outcome = outcome.and(ended);
        }
        // Nothing holds the ensemble up: it has no errors to tell.
        let _ = self.ensemble.stop().await;
        outcome
    }

    /// Waits a little until both hosts stand. A host that stays out after a failure does not.
    pub(super) async fn settle(&self) {
        let root = &self.config.zookeeper.root;
        let candidates = &self.paths().candidates;
        for (parent, time) in [(&hosts_path(root), RETURN_TIME), (candidates, STAND_TIME)] {
            let both_are_there = async {
                while self.children(parent) < HOSTS.len() {
                    sleep(LOOK_PAUSE).await;
                }
            };
            let _ = timeout(time, both_are_there).await;
        }
    }

    /// How many nodes lie below one.
    fn children(&self, parent: &str) -> usize {
        let below = format!("{parent}/");
        let nodes = self.ensemble.nodes();
        nodes
            .iter()
            .filter(|node| node.path.starts_with(&below))
            .count()
    }

    fn paths(&self) -> TaskPaths {
        let task = self.part.task();
        TaskPaths::new(
            &self.config.zookeeper.root,
            &task.name,
            task.path.as_deref(),
        )
    }

    fn standby_first(&self, leads: Option<&Leads>) -> Vec<&Member> {
        let mut members: Vec<_> = self.members.iter().flatten().collect();
        members.sort_by_key(|member| leads.is_some_and(|leads| leads.host == member.name));
        members
    }

    /// Who leads, as soon as somebody does.
    async fn leader(&self) -> Result<Leads, OrderError> {
        self.see_leader(|_| true).await
    }

    /// Waits until somebody leads in a later term.
    async fn follower(&self, term: u64) -> Result<(), OrderError> {
        self.see_leader(|leads| leads.term > term).await.map(drop)
    }

    async fn see_leader(&self, fits: impl Fn(&Leads) -> bool) -> Result<Leads, OrderError> {
        let (mut leads, patience) = (self.teller.leads(), self.patience());
        let fit = leads.wait_for(|leads| leads.as_ref().is_some_and(&fits));
        match timeout(patience, fit).await {
            Ok(Ok(leads)) => leads.clone().ok_or(OrderError::NobodyLeads(patience)),
            _ => Err(OrderError::NobodyLeads(patience)),
        }
    }

    /// How long it may take until somebody leads again.
    fn patience(&self) -> Duration {
        let task = self.part.task();
        PATIENCE
            + self.config.zookeeper.session_timeout * 2
            + task.demote_timeout
            + task.successor_delay
    }

    fn session_of(&self, host: &str) -> Result<i64, OrderError> {
        let node = host_path(&self.config.zookeeper.root, host);
        let sessions = self.ensemble.sessions();
        let found = sessions
            .iter()
            .find(|session| session.ephemerals.contains(&node));
        found
            .map(|session| session.id)
            .ok_or_else(|| OrderError::NoSession(host.to_owned()))
    }

    /// Asks the ensemble as an operator does.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Observer) -> Result<T, ObserverError>,
    ) -> Result<T, OrderError> {
        let observer = Observer::connect(&ensemble(&self.config.zookeeper)?, PATIENCE).await?;
        let answer = question(&observer).await;
        observer.close().await;
        Ok(answer?)
    }

    fn plugin_time(&self) -> String {
        humantime::format_rfc3339_seconds(self.clock.date()).to_string()
    }
}

/// Waits until something is so; `what` is not true otherwise.
async fn see(
    what: &'static str,
    time: Duration,
    is_so: impl Fn() -> bool,
) -> Result<(), OrderError> {
    let seen = async {
        while !is_so() {
            sleep(LOOK_PAUSE).await;
        }
    };
    let not_seen = |_| OrderError::NotSeen { what, time };
    timeout(time, seen).await.map_err(not_seen)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_named_and_not_taken_for_a_lack_of_leaders() {
        let looks = Cell::new(0);
        let third = || looks.replace(looks.get() + 1) == 2;
        see("nothing came", PATIENCE, third).await.unwrap();
        let error = see("nothing came", PATIENCE, || false).await.unwrap_err();
        let text = "nothing came within 30s: see what the hosts say above";
        assert_eq!(error.to_string(), text);
    }
}
