//! What a task grants to its plugin, and whether that covers what the plugin imports.

mod address;
mod bound;
mod policy;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::secret::SecretSource;

pub use address::{AddressKind, Nat64};
pub use bound::{DirectoryBound, Excess, GrantsBound, SecretBound, is_below};
pub use policy::{
    Endpoint, HostPattern, Network, NetworkPolicy, Origin, PolicyError, Refusal, Scheme,
};

/// What a plugin may use besides its log, its configuration, clocks and random numbers. By default it is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Whether the plugin may use the state of the task.
    pub state: bool,
    /// Which part of the network the plugin may reach.
    pub network: NetworkPolicy,
    /// The directories of the host that the plugin may use.
    pub dirs: Vec<Directory>,
    /// Whether the configuration has the key `dirs`, even with an empty list. Then a plugin without directories is no surprise
    /// that a warning should explain.
    pub dirs_said: bool,
    /// The variables of the plugin's environment.
    pub env: BTreeMap<String, String>,
    /// The variables of the plugin's environment that hold secrets. The host prints their values nowhere.
    pub secrets: Vec<SecretSource>,
}

/// A directory of the host that the plugin sees, with all that is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The path of the directory on the host.
    pub host: PathBuf,
    /// The path under which the plugin sees the directory.
    pub guest: String,
    /// What the plugin may do in the directory.
    pub access: Access,
}

/// What a plugin may do in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The plugin may read.
    Read,
    /// The plugin may read and write.
    Write,
}

/// A grant that a plugin needs for an import. In JSON it is the key that grants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// The task's state, and its schedules.
    State,
    /// Requests by HTTP.
    Http,
    /// Connections by TCP.
    Tcp,
}

impl Grant {
    /// The grant that this import needs. None if every plugin may import it.
    pub fn for_import(import: &str) -> Option<Self> {
        let interface = import.split('@').next().unwrap_or(import);
        match interface.split_once('/')? {
            ("soloist:plugin", "state" | "blocking-state" | "schedule") => Some(Self::State),
            ("wasi:http", _) => Some(Self::Http),
            ("wasi:sockets", _) => Some(Self::Tcp),
            _ => None,
        }
    }

    /// The key of `[task.allow]`.
    pub fn key(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }

    /// The line to write below `[task.allow]`.
    pub fn line(self) -> &'static str {
        match self {
            Self::State => "state = true",
            Self::Http => "http = [\"https://HOST\"]",
            Self::Tcp => "tcp = [\"HOST:PORT\"]",
        }
    }

    /// The flag that grants it to a single plugin.
    pub fn flag(self) -> &'static str {
        match self {
            Self::State => "--allow-state",
            Self::Http => "--allow-http https://HOST",
            Self::Tcp => "--allow-tcp HOST:PORT",
        }
    }

    /// When an empty list in place of the line is enough.
    pub fn note(self) -> &'static str {
        match self {
            Self::State => "",
            Self::Http => " (or http = [], if it imports it without any use)",
            Self::Tcp => {
                " (or tcp = [], if it imports it without any use, as languages' libraries do)"
            }
        }
    }
}

/// Imports of a plugin that its task does not grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotGranted(BTreeMap<Grant, String>);

impl NotGranted {
    /// Checks that all imports are granted.
    pub fn check<'a>(
        imports: impl IntoIterator<Item = &'a str>,
        is_granted: impl Fn(Grant) -> bool,
    ) -> Result<(), Self> {
        let mut missing = BTreeMap::new();
        for import in imports {
            if let Some(grant) = Grant::for_import(import).filter(|grant| !is_granted(*grant)) {
                missing.entry(grant).or_insert_with(|| import.to_owned());
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Self(missing))
        }
    }
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let imports = self
            .0
            .values()
            .map(|import| format!("`{import}`"))
            .collect::<Vec<_>>()
            .join(", ");
        writeln!(
            f,
            "it imports {imports}, which its task does not grant. If it is meant to have that, write"
        )?;
        writeln!(f, "    [task.allow]")?;
        for grant in self.0.keys() {
            writeln!(f, "    {}{}", grant.line(), grant.note())?;
        }
        let flags = self
            .0
            .keys()
            .map(|grant| grant.flag())
            .collect::<Vec<_>>()
            .join(" ");
        write!(
            f,
            "below its [[task]], or, for a single plugin, add {flags}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_grant_is_refused_with_the_lines_to_write() {
        let imports = [
            "wasi:clocks/monotonic-clock@0.3.0",
            "wasi:filesystem/types@0.2.6",
            "soloist:plugin/state@0.1.0",
            "wasi:sockets/tcp@0.2.6",
            "wasi:sockets/network@0.2.6",
            "soloist:plugin/log@0.1.0",
        ];
        let refused = NotGranted::check(imports, |_| false)
            .unwrap_err()
            .to_string();
        for part in [
            "`soloist:plugin/state@0.1.0`",
            "`wasi:sockets/tcp@0.2.6`",
            "state = true",
            "tcp = [\"HOST:PORT\"]",
        ] {
            assert!(refused.contains(part), "{part} is missing in: {refused}");
        }
        assert!(
            refused.contains("--allow-state --allow-tcp HOST:PORT") && !refused.contains("http"),
            "{refused}"
        );
        let state = NotGranted::check(imports, |grant| grant == Grant::Tcp)
            .unwrap_err()
            .to_string();
        assert!(
            state.contains("state") && !state.contains("tcp ="),
            "{state}"
        );
        assert_eq!(NotGranted::check(imports, |_| true), Ok(()));
    }
}
