//! What a host tells the world: one event for everything that happens to a session or a task.
//!
//! The names and fields are an interface (README, "Events"): people's dashboards and scripts read them.

use std::fmt::Display;

use serde_json::{Map, Value};
use tracing::Level;

use crate::term::Term;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $level:ident;)*) => {
        /// Something that happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Event {
            $($(#[$doc])* $variant,)*
        }

        impl Event {
            /// Every event there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the `event` field.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How grave it is. A plugin's own lines carry their own level instead.
            pub const fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }
        }
    };
}

events! {
    /// The host has begun to look for the ensemble.
    SessionConnecting = "session-connecting", INFO;
    /// A session is there and can write.
    SessionConnected = "session-connected", INFO;
    /// The session hangs on a server that cannot write: nobody can be elected through it.
    SessionReadOnly = "session-read-only", WARN;
    /// The connection is gone; the session, and with it leadership, may live on.
    SessionDisconnected = "session-disconnected", WARN;
    /// A server agrees to a shorter session timeout than was known: the lease is shortened to it.
    SessionShortened = "session-shortened", WARN;
    /// The ensemble has refused the credentials.
    SessionAuthFailed = "session-auth-failed", ERROR;
    /// The ensemble has ended the session; what it owned is gone. A new one follows.
    SessionExpired = "session-expired", WARN;
    /// The host has closed the session.
    SessionClosed = "session-closed", INFO;
    /// Something that talks to the ensemble failed and will be tried again.
    SessionError = "session-error", WARN;
    /// Nodes that are there gave other rights than `acl` says; the host has set them right.
    AclCorrected = "acl-corrected", WARN;
    /// Nodes that are there give other rights than `acl` says, and the host may not change that.
    AclDiffers = "acl-differs", ERROR;
    /// The host waits its turn for a task; `leader` names who leads now, where that is known.
    Standby = "standby", INFO;
    /// The election is committed: this host holds the master node.
    Elected = "elected", INFO;
    /// The plugin is being entered.
    Activated = "activated", INFO;
    /// A line that the plugin wrote, with its own level and `fields`.
    PluginLog = "plugin-log", INFO;
    /// The plugin's `on_elected` has returned without an error.
    PluginCompleted = "plugin-completed", INFO;
    /// What was to be done once has been done already: the host ends. `by` says which host did it.
    CompletedBefore = "completed-before", INFO;
    /// The plugin has failed; `cause` is the kind of failure.
    PluginFailed = "plugin-failed", ERROR;
    /// The plugin has failed on this host as often as it may: another one is to try. `cause` is the kind of the last
    /// failure, `terms` says how many terms in a row have ended so.
    Failed = "failed", ERROR;
    /// Demotion has begun; `reason` says why.
    Draining = "draining", INFO;
    /// The plugin has stopped by itself: from here on it can have no effect.
    Demoted = "demoted", INFO;
    /// The plugin was stopped by force: from here on it can have no effect.
    Revoked = "revoked", WARN;
    /// The plugin cannot be stopped, since the system does not come back from a call that it made: the host ends.
    PluginStuck = "plugin-stuck", ERROR;
    /// The master node has been given back.
    Released = "released", INFO;
    /// A step of the election failed and will be tried again.
    ElectionError = "election-error", WARN;
}

/// What an event is about: fields that stay the same for a task or a term.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// The task's name.
    pub task: Option<&'a str>,
    /// The term, where there is one.
    pub term: Option<&'a Term>,
}

impl<'a> About<'a> {
    /// About no task in particular: the session.
    pub const SESSION: About<'static> = About {
        task: None,
        term: None,
    };

    /// About a task outside any term.
    pub const fn task(task: &'a str) -> Self {
        Self {
            task: Some(task),
            term: None,
        }
    }

    /// About a term of a task.
    pub fn term(term: &'a Term) -> Self {
        Self {
            task: Some(&term.task),
            term: Some(term),
        }
    }

    /// Says whether anybody wants to see events of that level.
    pub fn shows(level: Level) -> bool {
        // As below: a level is part of a callsite.
        match level {
            Level::ERROR => tracing::enabled!(target: "soloist", Level::ERROR),
            Level::WARN => tracing::enabled!(target: "soloist", Level::WARN),
            Level::INFO => tracing::enabled!(target: "soloist", Level::INFO),
            Level::DEBUG => tracing::enabled!(target: "soloist", Level::DEBUG),
            Level::TRACE => tracing::enabled!(target: "soloist", Level::TRACE),
        }
    }

    /// Reports the event with its usual level and no further fields.
    pub fn report(self, event: Event, message: impl Display) {
        self.report_with(event, event.level(), message, Map::new());
    }

    /// Reports the event with further fields, which stand beside `event` and `task` in JSON.
    pub fn report_with(
        self,
        event: Event,
        level: Level,
        message: impl Display,
        details: Map<String, Value>,
    ) {
        let task = self.task;
        let term = self.term.map(|term| term.number);
        let fencing_token = self.term.map(|term| term.fencing_token.0);
        let details = (!details.is_empty()).then(|| Value::Object(details).to_string());
        let details = details.as_deref();
        // A level is part of a tracing callsite, hence one callsite for each.
        macro_rules! at {
            ($level:expr) => {
                tracing::event!(
                    target: "soloist",
                    $level,
                    event = event.name(),
                    task,
                    term,
                    fencing_token,
                    details,
                    "{message}"
                )
            };
        }
        match level {
            Level::ERROR => at!(Level::ERROR),
            Level::WARN => at!(Level::WARN),
            Level::INFO => at!(Level::INFO),
            Level::DEBUG => at!(Level::DEBUG),
            Level::TRACE => at!(Level::TRACE),
        }
    }
}

/// Builds the further fields of an event.
pub fn details<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
