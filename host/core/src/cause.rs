//! Why a plugin failed: a name for every cause.

use serde::{Serialize, Serializer};

use crate::limits::LimitReached;
use crate::permit::LeaseLost;

/// What went wrong. It is displayed as what happened, and serialised as its [name](Self::name).
///
/// What the runtime of WebAssembly says is text here: a cause outlives the store that made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The permit ended while the plugin ran.
    #[error(transparent)]
    LeaseLost(LeaseLost),
    /// `on_elected` returned an error.
    #[error("{0}")]
    Returned(String),
    /// The plugin panicked, and said why.
    #[error("{0}")]
    Panicked(String),
    /// The plugin aborted itself; what it last wrote to stderr may say why.
    #[error("it aborted; the last it wrote to stderr: {}", stderr.replace('\n', " / "))]
    Aborted {
        /// The last lines of stderr.
        stderr: String,
    },
    /// The plugin ended itself, with this code if it told one. What 0.2 of WASI has on trial tells a code, and what it has besides only success or failure.
    #[error("it called exit({})", .0.map_or_else(|| "a code other than 0, which WASI does not tell".into(), |code| code.to_string()))]
    Exited(Option<u8>),
    /// The plugin reached one of its limits.
    #[error(transparent)]
    Limit(LimitReached),
    /// The plugin's functions called each other until the stack in its own memory was full.
    #[error(
        "it called itself ever deeper until the stack was full that it has in its memory, whose size its compiler chose"
    )]
    StackOverflow,
    /// The plugin did something that WebAssembly forbids.
    #[error("{0}")]
    Trapped(String),
    /// The host could not run the plugin.
    #[error("{0}")]
    Host(String),
    /// The host itself panicked while it ran the plugin: a bug.
    #[error("the host panicked while it ran the plugin")]
    HostPanicked,
}

impl Cause {
    /// The name in the `cause` field of events, in the history and in the status.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeaseLost(_) => "lease-lost",
            Self::Returned(_) => "error",
            Self::Panicked(_) => "panic",
            Self::Aborted { .. } => "abort",
            Self::Exited(_) => "exit",
            Self::Limit(reached) => reached.limit.cause(),
            Self::StackOverflow => "stack-overflow",
            Self::Trapped(_) => "trap",
            Self::Host(_) => "host",
            Self::HostPanicked => "host-panic",
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_in_words_and_written_by_its_name() {
        let aborted = Cause::Aborted {
            stderr: "no luck\nat all".into(),
        };
        let told = [
            (
                aborted,
                "it aborted; the last it wrote to stderr: no luck / at all",
                "abort",
            ),
            (Cause::Exited(Some(7)), "it called exit(7)", "exit"),
            (
                Cause::Exited(None),
                "it called exit(a code other than 0, which WASI does not tell)",
                "exit",
            ),
            (Cause::Trapped("it trapped".into()), "it trapped", "trap"),
        ];
        for (cause, words, name) in told {
            assert_eq!(cause.to_string(), words);
            assert_eq!(serde_json::to_value(&cause).unwrap(), name);
        }
    }
}
