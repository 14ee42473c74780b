//! The name and the level of every event.

use tracing::Level;

use super::Event;

macro_rules! kinds {
    ($($variant:ident = $name:literal, $level:ident;)*) => {
        impl Event {
            /// The names of all events.
            pub const NAMES: &'static [&'static str] = &[$($name,)*];

            /// The text of the field `event`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }

            /// The level of the event. A line of a plugin's log has its own level.
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
    SessionTlsReloaded = "session-tls-reloaded", INFO;
    SessionTlsNotReloaded = "session-tls-not-reloaded", ERROR;
    AclCorrected = "acl-corrected", WARN;
    AclDiffers = "acl-differs", ERROR;
    HostListening = "host-listening", INFO;
    HostTlsReloaded = "host-tls-reloaded", INFO;
    HostTlsNotReloaded = "host-tls-not-reloaded", ERROR;
    Reloaded = "reloaded", INFO;
    NotReloaded = "not-reloaded", ERROR;
    HostDraining = "host-draining", INFO;
    HostDrained = "host-drained", INFO;
    HostUndrained = "host-undrained", INFO;
    HostDied = "host-died", ERROR;
    GivenBack = "given-back", INFO;
    GuardianLost = "guardian-lost", ERROR;
    DeployError = "deploy-error", WARN;
    GenerationReady = "generation-ready", INFO;
    GenerationUnready = "generation-unready", WARN;
    NotStanding = "not-standing", INFO;
    Standby = "standby", INFO;
    Elected = "elected", INFO;
    Moved = "moved", INFO;
    Activated = "activated", INFO;
    PluginLog = "plugin-log", INFO;
    SlotsMissed = "slots-missed", WARN;
    PluginCompleted = "plugin-completed", INFO;
    CompletedBefore = "completed-before", INFO;
    PluginFailed = "plugin-failed", ERROR;
    Failed = "failed", ERROR;
    Retried = "retried", INFO;
    Draining = "draining", INFO;
    Demoted = "demoted", INFO;
    Revoked = "revoked", WARN;
    PluginStuck = "plugin-stuck", ERROR;
    PluginUnreachable = "plugin-unreachable", WARN;
    Released = "released", INFO;
    RolloutWaiting = "rollout-waiting", INFO;
    GenerationPromoted = "generation-promoted", INFO;
    StateCopied = "state-copied", INFO;
    StateRestored = "state-restored", INFO;
    GenerationHealthy = "generation-healthy", INFO;
    RolledBack = "rolled-back", ERROR;
    ElectionError = "election-error", WARN;
}
