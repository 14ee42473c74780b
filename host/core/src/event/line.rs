//! A line of a plugin's log.

use std::collections::BTreeMap;

use serde::Serialize;
use tracing::Level;

use super::Event;

/// A line of a plugin's log, bounded and without secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginLine {
    /// The level that the plugin gave the line, or that the host gave it.
    #[serde(skip)]
    pub level: Level,
    /// The line itself.
    #[serde(skip)]
    pub text: String,
    /// Who wrote the line, and with what.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Who wrote a line of a plugin's log, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Origin {
    /// The plugin wrote it with the import `log`.
    Log {
        /// The fields that the plugin gave with the line.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<String, String>,
        /// How many more fields the plugin gave: the host left them out.
        #[serde(skip_serializing_if = "Option::is_none")]
        omitted_fields: Option<usize>,
    },
    /// The plugin wrote it to a stream.
    Stdio {
        /// The stream: `stdout` or `stderr`.
        stream: &'static str,
    },
    /// The host wrote it: it refused something to an import of the plugin, or the import failed.
    Import {
        /// The import: `network` or `files`.
        import: &'static str,
    },
    /// The host wrote it: it has dropped lines of the plugin.
    Dropped {
        /// How many lines the host has dropped.
        dropped: u64,
    },
}

impl Event {
    /// Whether the plugin itself wrote what the event tells.
    pub fn is_of_plugin(&self) -> bool {
        let Self::PluginLog(PluginLine { origin, .. }) = self else {
            return false;
        };
        matches!(origin, Origin::Log { .. } | Origin::Stdio { .. })
    }
}
