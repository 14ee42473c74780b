//! Whether some grants stay within a bound: the most that a host lets any deployed task have, or what the generation before
//! had. Pure.
//!
//! What is within the bound permits nothing that the bound does not: the tests compare that with [`NetworkPolicy`]'s own
//! judgement of names and addresses.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::policy::{Endpoint, Network, NetworkPolicy, Origin};
use super::{Access, Directory, Grants};
use crate::pattern::NamePattern;
use crate::secret::SecretSource;
use crate::text::quoted;

/// How the variables of a host begin that are the host's own, like its identity in the ensemble. No bound lets them be given
/// to a plugin.
const HOST_VARIABLES: &str = "SOLOIST_";

/// The most that a task may be granted. By default it is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsBound {
    /// Whether the state may be granted.
    pub state: bool,
    /// The network that may be granted.
    pub network: NetworkPolicy,
    /// The directories that may be granted, with all that is below them.
    pub dirs: Vec<DirectoryBound>,
    /// The names of variables that may be set.
    pub env: Vec<NamePattern>,
    /// The secrets of the host that may be given.
    pub secrets: Vec<SecretBound>,
}

/// A directory that may be granted, or any that is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryBound {
    /// Its path on the host.
    pub host: PathBuf,
    /// The most that may be granted of it.
    pub access: Access,
}

/// Secrets of the host that may be given to a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretBound {
    /// Variables of the host with these names.
    Variable(NamePattern),
    /// This file, or any file below this directory.
    File(PathBuf),
}

/// A grant that goes beyond a bound. It is displayed as the line of `[task.allow]` that grants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// The state.
    State,
    /// Requests to an origin.
    Http(Origin),
    /// Connections to an endpoint.
    Tcp(Endpoint),
    /// Addresses in a network.
    Network(Network),
    /// A directory.
    Directory(Directory),
    /// A variable with this name.
    Variable(String),
    /// A secret of the host.
    Secret(SecretSource),
}

impl GrantsBound {
    /// The bound that these grants are, so that others can be compared with them. The variables that they set are no bound:
    /// whoever sets one gives away nothing of the host.
    pub fn of(grants: &Grants) -> Self {
        let secret = |secret: &SecretSource| match &secret.file {
            Some(file) => SecretBound::File(file.clone()),
            None => SecretBound::Variable(NamePattern::exactly(&secret.name)),
        };
        let directory = |directory: &Directory| DirectoryBound {
            host: directory.host.clone(),
            access: directory.access,
        };
        Self {
            state: grants.state,
            network: grants.network.clone(),
            dirs: grants.dirs.iter().map(directory).collect(),
            env: NamePattern::new("*").into_iter().collect(),
            secrets: grants.secrets.iter().map(secret).collect(),
        }
    }

    /// What these grants have beyond the bound.
    pub fn exceeded_by(&self, grants: &Grants) -> Vec<Excess> {
        let state = (grants.state && !self.state).then_some(Excess::State);
        let mut excess: Vec<_> = state.into_iter().collect();
        self.network.exceeded_by(&grants.network, &mut excess);
        let dirs = grants.dirs.iter().filter(|it| !self.covers_directory(it));
        excess.extend(dirs.cloned().map(Excess::Directory));
        let covered = |name: &str| self.env.iter().any(|pattern| pattern.matches(name));
        let env = grants.env.keys().filter(|name| !covered(name));
        excess.extend(env.cloned().map(Excess::Variable));
        let secrets = grants.secrets.iter().filter(|it| !self.covers_secret(it));
        excess.extend(secrets.cloned().map(Excess::Secret));
        excess
    }

    fn covers_directory(&self, granted: &Directory) -> bool {
        self.dirs.iter().any(|bound| {
            let writes = granted.access == Access::Write;
            is_below(&granted.host, &bound.host) && (!writes || bound.access == Access::Write)
        })
    }

    fn covers_secret(&self, secret: &SecretSource) -> bool {
        self.secrets
            .iter()
            .any(|bound| match (bound, &secret.file) {
                (SecretBound::File(bound), Some(file)) => is_below(file, bound),
                (SecretBound::Variable(pattern), None) => {
                    pattern.matches(&secret.name) && !secret.name.starts_with(HOST_VARIABLES)
                }
                _ => false,
            })
    }
}

/// Whether a path is another one, or below it, as both are written. A path that goes up again is below none.
pub fn is_below(path: &Path, parent: &Path) -> bool {
    let goes_up = path.components().any(|part| part == Component::ParentDir);
    path.is_absolute() && !goes_up && path.starts_with(parent)
}

impl NetworkPolicy {
    fn exceeded_by(&self, granted: &Self, excess: &mut Vec<Excess>) {
        let covered = |origin: &Origin| self.http.iter().flatten().any(|it| it.covers_all(origin));
        let http = granted.http.iter().flatten().filter(|it| !covered(it));
        excess.extend(http.cloned().map(Excess::Http));
        let covered = |endpoint: &Endpoint| {
            let mut all = self.tcp.iter().flatten();
            all.any(|it| it.port == endpoint.port && it.host.covers_all(&endpoint.host))
        };
        let tcp = granted.tcp.iter().flatten().filter(|it| !covered(it));
        excess.extend(tcp.cloned().map(Excess::Tcp));
        let networks = granted.networks.iter();
        let networks = networks.filter(|it| !it.is_within(&self.networks));
        excess.extend(networks.copied().map(Excess::Network));
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => write!(f, "state = true"),
            Self::Http(origin) => write!(f, "http = [\"{origin}\"]"),
            Self::Tcp(endpoint) => write!(f, "tcp = [\"{endpoint}\"]"),
            Self::Network(network) => write!(f, "networks = [\"{network}\"]"),
            Self::Directory(directory) => {
                let mode = match directory.access {
                    Access::Read => "read",
                    Access::Write => "write",
                };
                let host = quoted(&directory.host.to_string_lossy());
                let guest = quoted(&directory.guest);
                write!(
                    f,
                    "dirs = [{{ host = {host}, guest = {guest}, mode = \"{mode}\" }}]"
                )
            }
            Self::Variable(name) => write!(f, "env = {{ {name} = ... }}"),
            Self::Secret(SecretSource { name, file: None }) => write!(f, "secrets = [\"{name}\"]"),
            Self::Secret(SecretSource {
                name,
                file: Some(file),
            }) => {
                let file = quoted(&file.to_string_lossy());
                write!(f, "secrets = [{{ name = \"{name}\", file = {file} }}]")
            }
        }
    }
}

#[cfg(test)]
mod tests;
