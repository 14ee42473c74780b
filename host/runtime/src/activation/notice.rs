//! What an activation tells whoever started it.

use std::time::Duration;

use soloist_core::cause::Cause;
use soloist_core::clock::Moment;
use soloist_core::restart::PluginFailed;

/// What an activation tells whoever started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A run begins: the first one, or another one after the pause that follows a failure or a completion.
    Running {
        /// When it began.
        since: Moment,
    },
    /// The plugin has failed, and is run again after a pause.
    Restarting {
        /// How many runs of this term have failed, whatever came in between.
        failures: u32,
        /// Why this one has.
        cause: Cause,
        /// The pause.
        pause: Duration,
    },
    /// `on_elected` has returned without an error.
    Completed,
    /// The plugin has run for so long that it has recovered from whatever was before. Said once in a term.
    Healthy,
    /// The plugin has failed, and been restarted as often as it may: the term has to end, and another host to try.
    Failed(PluginFailed),
    /// The plugin, or its completion, asks for the end of the term.
    ResignRequested {
        /// Why.
        reason: String,
    },
    /// The plugin could not be stopped, since the system does not come back from a call that it made: the process has to
    /// end. [`Notice::Stopped`] follows if it does come back.
    Stuck,
    /// The term is over for the plugin: it can have no effect any more. Always the last notice.
    Stopped {
        /// Whether it was stopped by force.
        by_force: bool,
    },
}
