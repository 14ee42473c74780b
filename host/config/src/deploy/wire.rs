//! `[deploy]` as it is written, and its rules.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use soloist_core::artefact::SourcePrefix;
use soloist_core::grants::{
    Access, DirectoryBound, Endpoint, GrantsBound, Network, NetworkPolicy, Origin, SecretBound,
    is_below,
};
use soloist_core::pattern::NamePattern;
use soloist_core::secret::Secret;

use super::{DeployConfig, PublicKey};
use crate::amount::{Amount, GIB, MIB};
use crate::grants::{GRANTS_MAX, check_variable, reachable};
use crate::limits::LimitsWire;
use crate::manifest::check_absolute;
use crate::problem::{BadValue, Excerpt};
use crate::shape;
use crate::validator::{Reported, Validator, every};
use crate::written::{Source, Written};

/// The most keys, patterns and prefixes.
const ENTRIES_MAX: usize = 64;
const CACHE_SIZE_DEFAULT: u64 = GIB;

/// What can be set of deployments.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeployWire {
    enabled: Option<Written<bool>>,
    #[serde(deserialize_with = "shape::list")]
    keys: Vec<Written<KeyWire>>,
    require: Option<Written<Amount>>,
    unsigned: Option<Written<bool>>,
    #[serde(deserialize_with = "shape::list")]
    tasks: Vec<Written<String>>,
    #[serde(deserialize_with = "shape::some_list")]
    sources: Option<Vec<Written<String>>>,
    directory: Option<Written<PathBuf>>,
    cache_size: Option<Written<Amount>>,
    #[serde(deserialize_with = "shape::table")]
    allow: AllowWire,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a key of minisign, like \"RWQ...\", or { file = \"FILE\" }"
)]
enum KeyWire {
    Text(String),
    File(FileWire),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWire {
    file: PathBuf,
}

/// The most that a deployed task may have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AllowWire {
    state: Option<Written<bool>>,
    #[serde(deserialize_with = "shape::list")]
    http: Vec<Written<String>>,
    #[serde(deserialize_with = "shape::list")]
    tcp: Vec<Written<String>>,
    #[serde(deserialize_with = "shape::list")]
    networks: Vec<Written<String>>,
    #[serde(deserialize_with = "shape::list")]
    dirs: Vec<Written<DirectoryBoundWire>>,
    #[serde(deserialize_with = "shape::list")]
    env: Vec<Written<String>>,
    #[serde(deserialize_with = "shape::list")]
    secrets: Vec<Written<SecretBoundWire>>,
    #[serde(deserialize_with = "shape::table")]
    limits: LimitsWire,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{ host = \"DIRECTORY\" }")]
struct DirectoryBoundWire {
    host: PathBuf,
    #[serde(default)]
    mode: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"NAME\", or { file = \"FILE OR DIRECTORY\" }"
)]
enum SecretBoundWire {
    Variable(String),
    File(FileWire),
}

impl DeployWire {
    /// Validates it; `table` is its place. `None` if deployed tasks are not taken.
    pub(crate) fn validate(
        &self,
        table: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<Option<DeployConfig>, Reported> {
        let enabled = self.enabled.as_ref().is_some_and(|enabled| enabled.value);
        let counts = [
            ("keys", self.keys.len()),
            ("patterns", self.tasks.len()),
            ("sources", self.sources.as_ref().map_or(0, Vec::len)),
        ];
        too_many("deploy", &counts, ENTRIES_MAX, table, validator)?;
        let keys = self.keys(validator);
        let unsigned = self.unsigned.as_ref().filter(|unsigned| unsigned.value);
        if let Some(unsigned) = unsigned.filter(|_| !self.keys.is_empty()) {
            validator.report(
                "deploy.unsigned",
                &unsigned.source,
                BadValue::UnsignedWithKeys,
            );
        }
        let max = self.keys.len().max(1) as u64;
        let require = validator.optional("deploy.require", self.require.as_ref(), |amount| {
            amount.count(1..=max)
        });
        let tasks = validator.list("deploy.tasks", &self.tasks, |text| pattern(text));
        let ensemble = [Written {
            value: "ensemble:".to_owned(),
            source: table.clone(),
        }];
        let sources = self.sources.as_deref().unwrap_or(&ensemble);
        let sources = validator.list("deploy.sources", sources, |text| {
            SourcePrefix::new(text).map_err(|source| BadValue::Artefact { source })
        });
        let directory = self.directory.as_ref();
        // What is kept there has to be found again, whatever directory the host is started in.
        let own = validator.optional("deploy.directory", directory, |directory| {
            check_absolute(directory)?;
            Ok(directory.clone())
        });
        let cache_size =
            validator.optional("deploy.cache_size", self.cache_size.as_ref(), |amount| {
                amount.bytes(MIB..=1024 * GIB)
            });
        let grants = self
            .allow
            .grants(directory.map(|own| own.value.as_path()), table, validator);
        let limits = self.allow.limits.validate("deploy.allow.limits", validator);
        if enabled {
            let lists = [
                (
                    "deploy.keys",
                    self.keys.is_empty() && unsigned.is_none(),
                    "write the public keys of those who may deploy: without them everybody could who can write to the ensemble",
                ),
                (
                    "deploy.tasks",
                    self.tasks.is_empty(),
                    "write the names of the tasks that this host takes, like [\"report-*\"]",
                ),
                (
                    "deploy.directory",
                    directory.is_none(),
                    "name a directory in which this host keeps what it has accepted, like \"/var/lib/soloist\"",
                ),
            ];
            for (key, is_missing, remedy) in lists {
                if is_missing {
                    validator.report(key, table, BadValue::Missing { remedy });
                }
            }
        }
        let config = DeployConfig {
            keys: keys?,
            key_files: self.key_files(validator),
            require: match (unsigned, require?) {
                (Some(_), _) => 0,
                (None, require) => usize::try_from(require.unwrap_or(1)).unwrap_or(usize::MAX),
            },
            tasks: tasks?,
            sources: sources?,
            directory: own?.unwrap_or_default(),
            cache_size: cache_size?.unwrap_or(CACHE_SIZE_DEFAULT),
            grants: grants?,
            limits: limits?,
        };
        Ok(Some(config).filter(|_| enabled))
    }

    fn key_files(&self, validator: &Validator<'_>) -> Vec<PathBuf> {
        let files = self.keys.iter().filter_map(|written| match &written.value {
            KeyWire::File(FileWire { file }) => Some(validator.resolved(&written.source, file)),
            KeyWire::Text(_) => None,
        });
        files.collect()
    }

    fn keys(&self, validator: &mut Validator<'_>) -> Result<Vec<PublicKey>, Reported> {
        let mut seen: Vec<PublicKey> = Vec::new();
        every(self.keys.iter().map(|written| {
            let file = match &written.value {
                KeyWire::File(FileWire { file }) => Some(validator.resolved(&written.source, file)),
                KeyWire::Text(_) => None,
            };
            validator.checked("deploy.keys", written, |wire| {
                let key = match (wire, &file) {
                    (KeyWire::Text(text), _) => PublicKey::new(text)?,
                    (_, file) => key_of_file(file.as_deref().unwrap_or(Path::new("")))?,
                };
                if seen.iter().any(|other| other.is_same(&key)) {
                    return Err(BadValue::KeyTwice);
                }
                seen.push(key.clone());
                Ok(key)
            })
        }))
    }
}

/// The reader of secrets bounds what it reads, as a wrong file could be long, or be a secret key.
fn key_of_file(path: &Path) -> Result<PublicKey, BadValue> {
    let content = Secret::read(path).map_err(|source| BadValue::KeyFile {
        path: path.to_owned(),
        source,
    })?;
    PublicKey::of_file(content.expose())
}

fn pattern(text: &str) -> Result<NamePattern, BadValue> {
    NamePattern::new(text)
        .filter(|_| !text.is_empty())
        .ok_or_else(|| BadValue::Pattern {
            text: Excerpt::of(text),
        })
}

fn too_many(
    key: &str,
    counts: &[(&'static str, usize)],
    max: usize,
    table: &Source,
    validator: &mut Validator<'_>,
) -> Result<(), Reported> {
    match counts.iter().find(|(_, found)| *found > max) {
        Some(&(what, found)) => {
            Err(validator.report(key, table, BadValue::TooMany { what, found, max }))
        }
        None => Ok(()),
    }
}

impl AllowWire {
    /// `own` is the directory that the host keeps for deployments.
    fn grants(
        &self,
        own: Option<&Path>,
        table: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<GrantsBound, Reported> {
        let counts = [
            ("origins", self.http.len()),
            ("endpoints", self.tcp.len()),
            ("networks", self.networks.len()),
            ("directories", self.dirs.len()),
            ("variables", self.env.len()),
            ("secrets", self.secrets.len()),
        ];
        too_many("deploy.allow", &counts, GRANTS_MAX, table, validator)?;
        let http = reachable("an origin", Origin::new);
        let http = validator.list("deploy.allow.http", &self.http, http);
        let tcp = reachable("an endpoint", Endpoint::new);
        let tcp = validator.list("deploy.allow.tcp", &self.tcp, tcp);
        let networks = reachable("a network", Network::new);
        let networks = validator.list("deploy.allow.networks", &self.networks, networks);
        let dirs = validator.list("deploy.allow.dirs", &self.dirs, |wire| wire.directory(own));
        let env = validator.list("deploy.allow.env", &self.env, |text| {
            check_variable(&text.replacen('*', "_", 1))?;
            pattern(text)
        });
        let secrets = validator.list(
            "deploy.allow.secrets",
            &self.secrets,
            SecretBoundWire::secret,
        );
        Ok(GrantsBound {
            state: self.state.as_ref().is_some_and(|state| state.value),
            network: NetworkPolicy {
                http: Some(http?),
                tcp: Some(tcp?),
                networks: networks?,
                ..NetworkPolicy::default()
            },
            dirs: dirs?,
            env: env?,
            secrets: secrets?,
        })
    }
}

impl DirectoryBoundWire {
    fn directory(&self, own: Option<&Path>) -> Result<DirectoryBound, BadValue> {
        let access = match self.mode.as_deref() {
            None | Some("read") => Access::Read,
            Some("write") => Access::Write,
            Some(mode) => return Err(BadValue::choice(mode, "\"read\" or \"write\"")),
        };
        check_absolute(&self.host)?;
        let meets = |own: &Path| is_below(own, &self.host) || is_below(&self.host, own);
        if own.is_some_and(meets) {
            return Err(BadValue::DeployDirectory {
                text: Excerpt::of(&self.host.to_string_lossy()),
            });
        }
        Ok(DirectoryBound {
            host: self.host.clone(),
            access,
        })
    }
}

impl SecretBoundWire {
    fn secret(&self) -> Result<SecretBound, BadValue> {
        match self {
            Self::Variable(name) => {
                let variable = check_variable(&name.replacen('*', "_", 1));
                let pattern = NamePattern::new(name).filter(|_| variable.is_ok());
                pattern
                    .map(SecretBound::Variable)
                    .ok_or(BadValue::SecretName)
            }
            Self::File(FileWire { file }) => {
                check_absolute(file)?;
                Ok(SecretBound::File(file.clone()))
            }
        }
    }
}
