//! Whether a host takes deployed tasks, whose, and the most that it lets them have: `[deploy]`.
//!
//! Whoever signs a manifest is trusted with what `[deploy.allow]` holds, and with nothing else of the host.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use soloist_core::artefact::{ArtefactSource, SourcePrefix};
use soloist_core::grants::{Excess, GrantsBound, SecretBound};
use soloist_core::limits::Limits;
use soloist_core::pattern::NamePattern;
use soloist_core::text::{printable_path, quoted};

use crate::file::Document;
use crate::manifest::Manifest;
use crate::problem::ConfigError;
use crate::task::TaskSettings;
use crate::validator::Validator;
use crate::widening::{Widening, beyond};
use crate::written::Written;

mod key;
mod wire;

pub use key::PublicKey;
pub(crate) use wire::DeployWire;

/// Which deployed tasks a host takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployConfig {
    /// The keys that sign manifests, each once.
    pub keys: Vec<PublicKey>,
    /// The files that keys were read from, and are read from again: whoever can write to one decides who may deploy.
    pub key_files: Vec<PathBuf>,
    /// How many of the keys have to have signed a manifest: from 1 to all of them. None, if manifests are taken that nobody
    /// has signed, where the ACL lets nobody else write than those who have the host's identity.
    pub require: usize,
    /// The names of the tasks.
    pub tasks: Vec<NamePattern>,
    /// Where their artefacts may come from.
    pub sources: Vec<SourcePrefix>,
    /// Where this host keeps what it has accepted, and artefacts.
    pub directory: PathBuf,
    /// How many bytes of artefacts it keeps.
    pub cache_size: u64,
    /// The most that a task may be granted.
    pub grants: GrantsBound,
    /// The highest limits that a task may have.
    pub limits: Limits,
}

/// Why a host does not take a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name of the task is none that the host takes.
    Task(String),
    /// The artefact comes from elsewhere.
    Source(ArtefactSource),
    /// The task may have more than the host lets it.
    Beyond(Widening),
    /// A directory or a file is not where it seems to be: its path leads out of what the host allows.
    LeadsOut {
        /// The path, as the manifest has it.
        path: PathBuf,
        /// Where it leads.
        real: PathBuf,
    },
    /// It cannot be seen where a directory or a file is.
    Unseen {
        /// The path, as the manifest has it.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
}

impl DeployConfig {
    /// Reads and validates a document that is the table `[deploy]` and nothing else: `None` if it does not enable deployments.
    ///
    /// # Errors
    /// Every bad value at once, unless the document cannot be read as such a table in the first place.
    pub fn read(document: &Document) -> Result<Option<Self>, ConfigError> {
        let wire: Written<DeployWire> = document.parse("deploy")?;
        Validator::run(Some(document), |validator| {
            wire.value.validate(wire.source(), validator)
        })
    }

    /// Where this host keeps artefacts.
    pub fn artefacts(&self) -> PathBuf {
        self.directory.join("artefacts")
    }

    /// Where this host keeps which generations it has accepted.
    pub fn accepted(&self) -> PathBuf {
        self.directory.join("accepted")
    }

    /// Judges what a manifest wants of this host. Who signed it is judged elsewhere.
    ///
    /// Paths are judged as they are written: see [`DeployConfig::judge_places`] for where they lead.
    ///
    /// # Errors
    /// All that this host does not allow.
    pub fn judge(&self, manifest: &Manifest) -> Result<(), Vec<Refusal>> {
        let (name, source) = (&*manifest.task.name, &manifest.artefact.source);
        let mut refusals = Vec::new();
        if !self.tasks.iter().any(|pattern| pattern.matches(name)) {
            refusals.push(Refusal::Task(name.to_owned()));
        }
        if !self.sources.iter().any(|prefix| prefix.covers(source)) {
            refusals.push(Refusal::Source(source.clone()));
        }
        let beyond = beyond(&self.grants, &self.limits, &manifest.task);
        refusals.extend(beyond.into_iter().map(Refusal::Beyond));
        none_or(refusals)
    }

    /// Judges where the directories and files of a task lead on this host, right before they are opened: a plugin that may
    /// write to a directory can leave a link in it. `real` resolves a path with all links, as [`std::fs::canonicalize`] does.
    ///
    /// # Errors
    /// Each path that leads out of what this host allows, or that cannot be resolved.
    pub fn judge_places(
        &self,
        task: &TaskSettings,
        real: impl Fn(&Path) -> io::Result<PathBuf>,
    ) -> Result<(), Vec<Refusal>> {
        let mut bound = self.grants.clone();
        // What is not there allows nothing.
        bound
            .dirs
            .retain_mut(|bound| resolve(&mut bound.host, &real));
        bound.secrets.retain_mut(|bound| match bound {
            SecretBound::File(path) => resolve(path, &real),
            SecretBound::Variable(_) => true,
        });
        let mut resolved = task.grants.clone();
        let mut refusals = Vec::new();
        let dirs = resolved
            .dirs
            .iter_mut()
            .map(|directory| &mut directory.host);
        let secrets = resolved.secrets.iter_mut();
        let files = secrets.filter_map(|secret| secret.file.as_mut());
        let mut written = Vec::new();
        for path in dirs.chain(files) {
            match real(path) {
                Ok(real) => written.push((std::mem::replace(path, real.clone()), real)),
                Err(error) => refusals.push(Refusal::Unseen {
                    path: path.clone(),
                    problem: error.to_string(),
                }),
            }
        }
        for excess in bound.exceeded_by(&resolved) {
            let place = match &excess {
                Excess::Directory(directory) => Some(&directory.host),
                Excess::Secret(secret) => secret.file.as_ref(),
                _ => None,
            };
            let led = written.iter().find(|(_, real)| Some(real) == place);
            refusals.extend(led.map(|(path, real)| Refusal::LeadsOut {
                path: path.clone(),
                real: real.clone(),
            }));
        }
        none_or(refusals)
    }
}

/// Puts the real path in the place of a path, if there is one.
fn resolve(path: &mut PathBuf, real: impl Fn(&Path) -> io::Result<PathBuf>) -> bool {
    let Ok(real) = real(path) else { return false };
    *path = real;
    true
}

fn none_or(refusals: Vec<Refusal>) -> Result<(), Vec<Refusal>> {
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(refusals)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(name) => write!(
                f,
                "the name {} matches no pattern in `tasks` of [deploy] of this host",
                quoted(name)
            ),
            Self::Source(source) => write!(
                f,
                "the artefact comes from {}, which no entry in `sources` of [deploy] of this host covers",
                quoted(&source.to_string())
            ),
            Self::Beyond(widening) => {
                write!(f, "[deploy.allow] of this host does not allow: {widening}")
            }
            Self::LeadsOut { path, real } => write!(
                f,
                "{} leads to {}, which [deploy.allow] of this host does not allow",
                printable_path(path),
                printable_path(real)
            ),
            Self::Unseen { path, problem } => write!(
                f,
                "it cannot be seen where {} leads on this host: {problem}",
                printable_path(path)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
