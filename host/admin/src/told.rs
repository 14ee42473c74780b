//! What events tell: how the session is, whether the host is drained, and how often what has happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soloist_core::event::{About, Event, Origin, PluginLine, Report, Subscriber};
use soloist_core::meter::TaskMeter;
use soloist_core::roster::Roster;
use tracing::Level;

/// Where the host's session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Session {
    /// The host looks for the ensemble, and has no session.
    #[default]
    Connecting,
    /// It has a session that can write.
    Connected,
    /// The connection of the session is lost.
    Disconnected,
    /// The session is connected to a server that cannot write.
    ReadOnly,
}

impl Session {
    pub(crate) const ALL: [Self; 4] = [
        Self::Connecting,
        Self::Connected,
        Self::Disconnected,
        Self::ReadOnly,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Hears the events of the host.
#[derive(Debug)]
pub struct Told {
    roster: Arc<Roster>,
    heard: Mutex<Heard>,
}

/// What was heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) session: Session,
    /// The further sessions of the host, by their numbers, which count from 2.
    pub(crate) further: BTreeMap<u32, Session>,
    pub(crate) is_drained: bool,
    /// How often each event came that is about no task.
    pub(crate) events: BTreeMap<&'static str, u64>,
}

impl Told {
    /// Counts what is about tasks in the roster.
    pub fn new(roster: Arc<Roster>) -> Self {
        Self {
            roster,
            heard: Mutex::default(),
        }
    }

    /// What was heard so far.
    pub(crate) fn heard(&self) -> Heard {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Each field is right by itself.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `further`: the number of the session that it is about, if that is not the first.
    fn of_host(&self, event: &Event, further: Option<u32>) {
        let mut heard = self.lock();
        *heard.events.entry(event.name()).or_default() += 1;
        match event {
            Event::HostDraining { .. } => heard.is_drained = true,
            Event::HostUndrained => heard.is_drained = false,
            _ => {}
        }
        let session = match event {
            Event::SessionConnecting { .. }
            | Event::SessionExpired { .. }
            | Event::SessionClosed { .. }
            | Event::SessionAuthFailed { .. } => Session::Connecting,
            Event::SessionConnected { .. } => Session::Connected,
            Event::SessionDisconnected { .. } => Session::Disconnected,
            Event::SessionReadOnly { .. } => Session::ReadOnly,
            _ => return,
        };
        match (further, event) {
            (None, _) => heard.session = session,
            // It is there no more, until it connects again.
            (Some(number), Event::SessionClosed { .. }) => drop(heard.further.remove(&number)),
            (Some(number), _) => drop(heard.further.insert(number, session)),
        }
    }
}

impl Subscriber for Told {
    fn event(&self, report: &Report<'_>) {
        let (about, event) = (report.about, report.event);
        let task = match about {
            About::Term(term) => &*term.task,
            About::Task(task) => task,
            About::Session => return self.of_host(event, None),
            About::Shard(number) => return self.of_host(event, Some(number)),
        };
        if let Some(member) = self.roster.task(task) {
            count(&member.meter, event);
        }
    }

    fn wants_line(&self, _: Level) -> bool {
        // Lines are counted where they are made.
        false
    }
}

/// Counts an event of a task: by a kind, which is the name of a metric without its prefix, and by what its label says.
fn count(meter: &TaskMeter, event: &Event) {
    let unknown = "none";
    match event {
        Event::PluginFailed {
            cause, restart_in, ..
        } => {
            meter.count("plugin_failures", cause.name(), 1);
            if restart_in.is_some() {
                meter.count("plugin_restarts", "failure", 1);
            }
        }
        Event::PluginCompleted { restart_in } => {
            meter.count("plugin_completions", "", 1);
            if restart_in.is_some() {
                meter.count("plugin_restarts", "completion", 1);
            }
        }
        Event::Failed { cause, .. } => meter.count("plugin_given_up", cause.name(), 1),
        Event::Demoted { reason } => {
            let reason = reason.map_or(unknown, |reason| reason.name());
            meter.count("terms_ended", reason, 1);
        }
        Event::Revoked { reason, .. } => {
            let reason = reason.map_or(unknown, |reason| reason.name());
            meter.count("terms_ended", reason, 1);
            meter.count("plugin_revocations", "", 1);
        }
        Event::SlotsMissed { missed, .. } => {
            meter.count("schedule_slots", "missed", missed.slots.unwrap_or(1).into());
        }
        Event::ElectionError { .. } => meter.count("election_errors", "", 1),
        Event::PluginLog(PluginLine {
            origin: Origin::Dropped { dropped },
            ..
        }) => meter.count("log_lines_dropped", "", *dropped),
        Event::PluginLog(PluginLine {
            origin: Origin::Log { .. } | Origin::Stdio { .. },
            ..
        }) => meter.count("log_lines", "", 1),
        Event::GenerationPromoted { .. } => rollout(meter, "promoted"),
        Event::GenerationHealthy { .. } => rollout(meter, "healthy"),
        Event::RolledBack { .. } => rollout(meter, "rolled-back"),
        Event::RolloutWaiting { .. } => rollout(meter, "waiting"),
        _ => {}
    }
}

fn rollout(meter: &TaskMeter, what: &'static str) {
    meter.count("rollout_changes", what, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_is_where_its_own_events_say_and_one_that_is_closed_is_not_there() {
        let told = Told::new(Arc::default());
        let tell = |about: About<'_>, event: Event| {
            told.event(&Report {
                about,
                event: &event,
            });
        };
        let connecting = || Event::SessionConnecting {
            servers: "a".into(),
        };
        let lost = Event::SessionDisconnected {
            lease: std::time::Duration::ZERO,
        };
        tell(About::Session, connecting());
        tell(About::Shard(2), connecting());
        tell(About::Shard(3), lost);
        let heard = told.heard();
        assert_eq!(heard.session, Session::Connecting);
        let further: Vec<_> = heard.further.into_iter().collect();
        let expected = [(2, Session::Connecting), (3, Session::Disconnected)];
        assert_eq!(further, expected);
        let closed = Event::SessionClosed {
            session: soloist_core::event::SessionId(1),
            how: String::new(),
        };
        tell(About::Shard(2), closed);
        assert_eq!(told.heard().further.len(), 1);
        assert_eq!(told.heard().events["session-connecting"], 2);
    }
}
