//! What a host tells the world: one event for everything that happens to a session or a task.
//!
//! The names and fields are an interface (REFERENCE.md, "Events"): people's dashboards and scripts read them. An event is a
//! value until a [`Subscriber`] makes something of it: a line on stdout, a number, a row of a page.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tracing::Level;

use crate::cause::Cause;
use crate::term::Demotion;
use crate::text::printable;

mod examples;
mod report;

pub use report::{About, AlreadySubscribed, Report, Subscriber, subscribe, wants_line};

/// Something that happened. It is serialised as its fields; those that only its [message](Event::message) tells are not
/// among them. Durations are numbers of seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// The host has begun to look for the ensemble.
    SessionConnecting {
        /// Where it looks.
        #[serde(skip)]
        servers: String,
    },
    /// A session is there and can write.
    SessionConnected {
        /// Which.
        session: SessionId,
        /// What was agreed on.
        #[serde(serialize_with = "seconds")]
        session_timeout: Duration,
        /// It was there before: its connection is there again.
        #[serde(skip)]
        again: bool,
    },
    /// The session hangs on a server that cannot write: nobody can be elected through it.
    SessionReadOnly {
        /// What was found.
        #[serde(skip)]
        text: String,
        /// The pause before the host connects anew, if it does.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        retry_in: Option<Duration>,
    },
    /// The connection is gone; the session, and with it leadership, may live on.
    SessionDisconnected {
        /// How long the lease lasts.
        #[serde(skip)]
        lease: Duration,
    },
    /// A server agrees to a shorter session timeout than was known: the lease is shortened to it.
    SessionShortened {
        /// Which server.
        server: String,
        /// What it agrees to.
        #[serde(serialize_with = "seconds")]
        session_timeout: Duration,
        /// What was known before.
        #[serde(skip)]
        before: Duration,
    },
    /// The ensemble has refused the credentials.
    SessionAuthFailed {
        /// What it said.
        #[serde(skip)]
        text: String,
        /// The pause before the host connects anew; none when a session has ended so.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        retry_in: Option<Duration>,
    },
    /// The ensemble has ended the session; what it owned is gone. A new one follows.
    SessionExpired {
        /// Which.
        #[serde(skip)]
        session: SessionId,
    },
    /// The host has closed the session.
    SessionClosed {
        /// Which.
        #[serde(skip)]
        session: SessionId,
        /// What became of it.
        #[serde(skip)]
        how: String,
    },
    /// Something that talks to the ensemble failed and will be tried again.
    SessionError {
        /// What failed.
        #[serde(skip)]
        text: String,
        /// The pause before the host connects anew, if it does.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        retry_in: Option<Duration>,
    },
    /// Nodes that are there gave other rights than `acl` says; the host has set them right.
    AclCorrected {
        /// How many.
        nodes: usize,
        /// The path of the first.
        node: String,
    },
    /// Nodes that are there give other rights than `acl` says, and the host may not change that.
    AclDiffers {
        /// How many.
        nodes: usize,
        /// The path of the first.
        node: String,
        /// What may help.
        #[serde(skip)]
        hint: String,
    },
    /// The host waits its turn for a task.
    Standby {
        /// How many candidates stand before it.
        ahead: usize,
        /// The host that leads now, where that is known.
        leader: Option<String>,
    },
    /// The election is committed: this host holds the master node.
    Elected {
        /// The number of the term.
        #[serde(skip)]
        number: u64,
    },
    /// The plugin is being entered.
    Activated,
    /// A line of a plugin's log.
    PluginLog(PluginLine),
    /// The plugin's `on_elected` has returned without an error.
    PluginCompleted {
        /// The pause before it is run again, if it is.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        restart_in: Option<Duration>,
    },
    /// What was to be done once has been done already: the host ends.
    CompletedBefore {
        /// The host that did it.
        by: String,
        /// The number of the term in which it did.
        in_term: u64,
        /// When: RFC 3339, UTC, by that host's clock.
        at: String,
        /// For which name, if it was given one.
        #[serde(skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
    /// The plugin has failed.
    PluginFailed {
        /// Why.
        cause: Cause,
        /// Where in the plugin, innermost function first, one line each.
        #[serde(skip_serializing_if = "Option::is_none")]
        backtrace: Option<String>,
        /// The pause before it is run again, if it is.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        restart_in: Option<Duration>,
    },
    /// The plugin has failed on this host as often as it may: another one is to try.
    Failed {
        /// Why it failed the last time.
        cause: Cause,
        /// How often it was restarted before.
        restarts: u32,
        /// How many terms in a row have ended so.
        terms: u32,
        /// How long this host stays out of the queue, if it stands again.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        retry_in: Option<Duration>,
    },
    /// Demotion has begun.
    Draining {
        /// Why.
        reason: Demotion,
    },
    /// The plugin has stopped by itself: from here on it can have no effect.
    Demoted {
        /// Why it was to stop.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Demotion>,
    },
    /// The plugin was stopped by force: from here on it can have no effect.
    Revoked {
        /// Why it was to stop.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Demotion>,
        /// How long ago the lease ended, if it has: the plugin has had no effect since then.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        overdue: Option<Duration>,
        /// It was asked to stop before.
        #[serde(skip)]
        drained: bool,
    },
    /// The plugin cannot be stopped, since the system does not come back from a call that it made: the host ends.
    PluginStuck,
    /// The master node has been given back.
    Released {
        /// The number of the term.
        #[serde(skip)]
        number: u64,
        /// How long the host stays out of the queue, if it does.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        stands_again_in: Option<Duration>,
    },
    /// A step of the election failed and will be tried again, or a node is in its way.
    ElectionError {
        /// What failed.
        #[serde(skip)]
        text: String,
        /// How long the host leaves the queue, if it does.
        #[serde(
            serialize_with = "maybe_seconds",
            skip_serializing_if = "Option::is_none"
        )]
        retry_in: Option<Duration>,
    },
}

/// A line of a plugin's log, bounded and without secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginLine {
    /// How grave it is.
    #[serde(skip)]
    pub level: Level,
    /// What it says.
    #[serde(skip)]
    pub text: String,
    /// Who wrote it, and with what.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Who wrote a line of a plugin's log, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Origin {
    /// The plugin, with the import `log`.
    Log {
        /// Texts that it gave with the line.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<String, String>,
        /// How many more it gave.
        #[serde(skip_serializing_if = "Option::is_none")]
        omitted_fields: Option<usize>,
    },
    /// The plugin, on a stream.
    Stdio {
        /// `stdout` or `stderr`.
        stream: &'static str,
    },
    /// The host, which refused something to an import of the plugin, or saw it fail.
    Import {
        /// `network` or `files`.
        import: &'static str,
    },
    /// The host, which has dropped lines of the plugin.
    Dropped {
        /// How many.
        dropped: u64,
    },
}

/// The id of a session, told in hexadecimal as ZooKeeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(pub i64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! kinds {
    ($($variant:ident = $name:literal, $level:ident;)*) => {
        impl Event {
            /// The name of every event there is.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The name in the `event` field.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }

            /// How grave it is. A line of a plugin's log has its own level.
            pub fn level(&self) -> Level {
                if let Self::PluginLog(line) = self {
                    return line.level;
                }
                match self { $(Self::$variant { .. } => Level::$level,)* }
            }
        }
    };
}

kinds! {
    SessionConnecting = "session-connecting", INFO;
    SessionConnected = "session-connected", INFO;
    SessionReadOnly = "session-read-only", WARN;
    SessionDisconnected = "session-disconnected", WARN;
    SessionShortened = "session-shortened", WARN;
    SessionAuthFailed = "session-auth-failed", ERROR;
    SessionExpired = "session-expired", WARN;
    SessionClosed = "session-closed", INFO;
    SessionError = "session-error", WARN;
    AclCorrected = "acl-corrected", WARN;
    AclDiffers = "acl-differs", ERROR;
    Standby = "standby", INFO;
    Elected = "elected", INFO;
    Activated = "activated", INFO;
    PluginLog = "plugin-log", INFO;
    PluginCompleted = "plugin-completed", INFO;
    CompletedBefore = "completed-before", INFO;
    PluginFailed = "plugin-failed", ERROR;
    Failed = "failed", ERROR;
    Draining = "draining", INFO;
    Demoted = "demoted", INFO;
    Revoked = "revoked", WARN;
    PluginStuck = "plugin-stuck", ERROR;
    Released = "released", INFO;
    ElectionError = "election-error", WARN;
}

impl Event {
    /// Something about the session has failed; what becomes of it is told elsewhere.
    pub fn session_error(text: impl Into<String>) -> Self {
        let (text, retry_in) = (text.into(), None);
        Self::SessionError { text, retry_in }
    }

    /// A step of the election has failed, and is tried again at once.
    pub fn election_error(text: impl Into<String>) -> Self {
        let (text, retry_in) = (text.into(), None);
        Self::ElectionError { text, retry_in }
    }

    /// What it says to people.
    pub fn message(&self) -> Cow<'_, str> {
        let said = match self {
            Self::SessionReadOnly { text, .. }
            | Self::SessionAuthFailed { text, .. }
            | Self::SessionError { text, .. }
            | Self::ElectionError { text, .. }
            | Self::PluginLog(PluginLine { text, .. }) => return text.into(),
            Self::Activated => return "the plugin leads".into(),
            Self::PluginCompleted { .. } => return "on_elected has returned".into(),
            Self::Draining { .. } => return "demotion has begun".into(),
            Self::Demoted { .. } => return "the plugin has stopped".into(),
            Self::Revoked { drained: true, .. } => {
                return "the plugin did not stop in time and was stopped by force".into();
            }
            Self::Revoked { drained: false, .. } => {
                return "leadership has ended and the plugin was stopped by force".into();
            }
            Self::PluginStuck => {
                return "the plugin cannot be stopped: the system does not come back from a call, to a file or a pipe, \
                        that it made"
                    .into();
            }
            Self::SessionConnecting { servers } => format!("connecting to {servers}"),
            Self::SessionConnected {
                session,
                again: true,
                ..
            } => format!("session {session} again"),
            Self::SessionConnected {
                session,
                session_timeout,
                ..
            } => format!("session {session} with a timeout of {session_timeout:?}"),
            Self::SessionDisconnected { lease } => {
                format!("connection lost; the lease lasts {lease:.1?} more")
            }
            Self::SessionShortened {
                server,
                session_timeout: to,
                before,
            } => format!(
                "{server} agrees to a session timeout of {to:?} only, not {before:?}: the lease is that short from here on. \
                 Set the same maxSessionTimeout on all servers, or session_timeout = \"{to:?}\""
            ),
            Self::SessionExpired { session } => format!("session {session} has ended"),
            Self::SessionClosed { session, how } => format!("session {session} {how}"),
            Self::AclCorrected { nodes, node } => format!(
                "{nodes} nodes gave other rights than `acl` says, {} and maybe others: they are right now",
                printable(node)
            ),
            Self::AclDiffers { nodes, node, hint } => format!(
                "{nodes} nodes give other rights than `acl` says, {} and maybe others, and this host may not set them \
                 right: whom they admit may change who leads; set them right with setAcl in zkCli.sh{hint}",
                printable(node)
            ),
            Self::Standby { ahead, leader } => {
                let leader = leader.as_deref().unwrap_or("nobody");
                format!("standing by behind {ahead}; {leader} leads")
            }
            Self::Elected { number } => format!("elected for term {number}"),
            Self::CompletedBefore {
                by,
                in_term,
                at,
                what,
            } => {
                let what = what.as_ref().map(|what| format!(" for {what}"));
                let what = what.unwrap_or_default();
                format!(
                    "{by} has completed it{what} in term {in_term}, at {at}: nothing is left to be done"
                )
            }
            Self::PluginFailed { cause, .. } => format!("the plugin failed: {cause}"),
            Self::Failed {
                cause, restarts, ..
            } => format!(
                "the plugin has failed for good on this host, restarted {restarts} times: {cause}"
            ),
            Self::Released {
                number,
                stands_again_in: None,
            } => format!("released term {number}"),
            Self::Released {
                number,
                stands_again_in: Some(pause),
            } => {
                let pause = humantime::format_duration(*pause);
                format!("released term {number}; this host stands again in {pause}")
            }
        };
        said.into()
    }

    /// Whether the plugin itself says it.
    pub fn is_of_plugin(&self) -> bool {
        let Self::PluginLog(PluginLine { origin, .. }) = self else {
            return false;
        };
        matches!(origin, Origin::Log { .. } | Origin::Stdio { .. })
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn maybe_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests;
