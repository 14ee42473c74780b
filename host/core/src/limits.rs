//! How much a plugin may have and do, and what is said when it wants more.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::state::KEYS_MAX;

/// A limit in bytes or pieces as a `usize`. A limit beyond what this machine can count becomes the most that it can.
pub fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The bounds on one plugin. Each is a key of `limits` in the configuration of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all linear memories together.
    pub memory: u64,
    /// Elements in all tables together.
    pub table_elements: u64,
    /// Core instances: one for each module of a component, more for one that is instantiated more than once.
    pub instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// Bytes of the stack of WebAssembly's own calls.
    pub stack: u64,
    /// Bytes that may pass to the host in one call.
    pub call_bytes: u64,
    /// Calls to the state that may be under way at once.
    pub calls: u32,
    /// Sockets that may be open at once.
    pub sockets: u32,
    /// Files, directories and listings of directories that may be open at once, besides the granted directories.
    pub files: u32,
    /// Resources of the host that it may have at once: whatever is open, streams, headers of requests.
    pub resources: u32,
    /// Keys in the state. Above [`KEYS_MAX`] it means that.
    pub state_keys: u32,
    /// Bytes of a value in the state. Above [`VALUE_MAX_BYTES`](crate::state::VALUE_MAX_BYTES) it means that.
    pub state_value: u64,
    /// Bytes a second that may be written to the state in the long run.
    pub state_rate: u64,
    /// Bytes that may be written to the state at once.
    pub state_burst: u64,
    /// Lines a second that may be logged in the long run.
    pub log_rate: u32,
    /// Lines that may be logged at once.
    pub log_burst: u32,
    /// Bytes a second that may be logged in the long run, counted as JSON writes them; four times as many at once.
    pub log_bytes: u64,
    /// Bytes of a logged line with all its fields; what is longer is cut.
    pub log_line: u64,
    /// How long the plugin may take to show a sign of life: from when its instance is entered until `on_elected` has
    /// returned, called the host, or waits.
    pub start_timeout: Duration,
    /// Percent of one processor, from 1 to 100.
    pub cpu: u32,
    /// How long it may take to load the plugin, which is mostly to compile it.
    pub compile_timeout: Duration,
    /// Bytes of address space that the process may have that compiles the plugin.
    pub compile_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 200_000,
            // What componentize-py makes has about forty.
            instances: 128,
            memories: 16,
            tables: 64,
            stack: 512 << 10,
            call_bytes: 16 << 20,
            calls: 64,
            sockets: 16,
            files: 128,
            resources: 1000,
            state_keys: u32::try_from(KEYS_MAX).expect("it is small"),
            state_value: 64 << 10,
            state_rate: 512 << 10,
            state_burst: 1 << 20,
            log_rate: 200,
            log_burst: 1000,
            log_bytes: 256 << 10,
            log_line: 8 << 10,
            start_timeout: Duration::from_secs(30),
            cpu: 100,
            // Ten times what an interpreter of 20 MB takes on two busy processors.
            compile_timeout: Duration::from_secs(120),
            // Ten times what an interpreter of 20 MB takes.
            compile_memory: 4 << 30,
        }
    }
}

impl Limits {
    /// The most that [`Limits::table_elements`] can be.
    pub const TABLE_ELEMENTS_MAX: u64 = 1_000_000;
    /// The most that [`Limits::memories`] can be.
    pub const MEMORIES_MAX: u32 = 64;
    /// The most that [`Limits::tables`] can be.
    pub const TABLES_MAX: u32 = 256;
    /// The most that [`Limits::stack`] can be.
    pub const STACK_MAX: u64 = 64 << 20;
}

/// A limit that ends the plugin when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Limit {
    /// See [`Limits::memory`].
    Memory,
    /// See [`Limits::table_elements`].
    TableElements,
    /// See [`Limits::instances`].
    Instances,
    /// See [`Limits::memories`].
    Memories,
    /// See [`Limits::tables`].
    Tables,
    /// See [`Limits::stack`].
    Stack,
    /// See [`Limits::call_bytes`].
    CallBytes,
    /// See [`Limits::resources`].
    Resources,
    /// See [`Limits::start_timeout`].
    StartTimeout,
}

impl Limit {
    /// The key in the configuration of a task.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Memory => "limits.memory",
            Self::TableElements => "limits.table_elements",
            Self::Instances => "limits.instances",
            Self::Memories => "limits.memories",
            Self::Tables => "limits.tables",
            Self::Stack => "limits.stack",
            Self::CallBytes => "limits.call_bytes",
            Self::Resources => "limits.resources",
            Self::StartTimeout => "limits.start_timeout",
        }
    }

    /// The name as a cause of failure.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Memory => "out-of-memory",
            Self::TableElements => "table-limit",
            Self::Instances => "instances-limit",
            Self::Memories => "memories-limit",
            Self::Tables => "tables-limit",
            Self::Stack => "stack-overflow",
            Self::CallBytes => "call-too-large",
            Self::Resources => "resource-limit",
            Self::StartTimeout => "start-timeout",
        }
    }
}

/// A plugin wanted more than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct LimitReached {
    /// Which limit.
    pub limit: Limit,
    /// Its value: in bytes, in pieces, or in milliseconds.
    pub allowed: u64,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, allowed } = self;
        match limit {
            Limit::Memory => write!(f, "it wanted more than the {allowed} bytes of memory"),
            Limit::TableElements => write!(f, "it wanted more than the {allowed} table elements"),
            Limit::Instances => write!(f, "it wanted more than the {allowed} core instances"),
            Limit::Memories => write!(f, "it wanted more than the {allowed} memories"),
            Limit::Tables => write!(f, "it wanted more than the {allowed} tables"),
            Limit::Stack => write!(f, "its calls went deeper than the {allowed} bytes of stack"),
            Limit::CallBytes => write!(
                f,
                "it passed more to the host than the {allowed} bytes a call"
            ),
            Limit::Resources => {
                write!(f, "it wanted more than the {allowed} resources of the host")
            }
            Limit::StartTimeout => {
                let allowed = humantime::format_duration(Duration::from_millis(*allowed));
                write!(
                    f,
                    "it neither returned nor called the host nor waited within the {allowed}"
                )
            }
        }?;
        write!(f, " that `{}` allows", limit.setting())
    }
}

impl Limits {
    /// That a limit was reached.
    pub fn reached(&self, limit: Limit) -> LimitReached {
        let allowed = match limit {
            Limit::Memory => self.memory,
            Limit::TableElements => self.table_elements,
            Limit::Instances => self.instances.into(),
            Limit::Memories => self.memories.into(),
            Limit::Tables => self.tables.into(),
            Limit::Stack => self.stack,
            Limit::CallBytes => self.call_bytes,
            Limit::Resources => self.resources.into(),
            Limit::StartTimeout => {
                u64::try_from(self.start_timeout.as_millis()).unwrap_or(u64::MAX)
            }
        };
        LimitReached { limit, allowed }
    }
}

/// How many bytes a second all plugins of a host may write to their states, unless it is said.
pub const HOST_STATE_RATE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Limit; 9] = [
        Limit::Memory,
        Limit::TableElements,
        Limit::Instances,
        Limit::Memories,
        Limit::Tables,
        Limit::Stack,
        Limit::CallBytes,
        Limit::Resources,
        Limit::StartTimeout,
    ];

    #[test]
    fn what_is_said_of_a_limit_names_its_value_and_its_setting() {
        for limit in ALL {
            let reached = Limits::default().reached(limit);
            let text = reached.to_string();
            assert!(text.contains(limit.setting()), "{text}");
            let value = if limit == Limit::StartTimeout {
                "30s".to_owned()
            } else {
                reached.allowed.to_string()
            };
            assert!(text.contains(&value), "{text}");
        }
    }
}
