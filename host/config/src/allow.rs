//! What a task grants to its plugin: `[task.allow]`, or the flags of a single plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

use super::problem::{BadValue, Excerpt};
use super::settings::{Source as Place, Written};
use super::shape;
use super::validate::{Reported, Validator};
use soloist_core::grants::{
    Access, Directory, Endpoint, Grants, Network, NetworkPolicy, Origin, PolicyError,
};
use soloist_core::secret::SecretSource;

/// The most entries of each kind of grant.
const GRANTS_MAX: usize = 256;
/// The longest value of a variable.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What can be granted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AllowSettings {
    /// See [`Grants::state`].
    pub state: Option<Written<bool>>,
    /// See [`NetworkPolicy::http`].
    #[serde(deserialize_with = "shape::some_list")]
    pub http: Option<Vec<Written<String>>>,
    /// See [`NetworkPolicy::tcp`].
    #[serde(deserialize_with = "shape::some_list")]
    pub tcp: Option<Vec<Written<String>>>,
    /// See [`NetworkPolicy::networks`].
    #[serde(deserialize_with = "shape::list")]
    pub networks: Vec<Written<String>>,
    /// See [`NetworkPolicy::identify`].
    pub identify: Option<Written<bool>>,
    /// See [`Grants::dirs`].
    #[serde(deserialize_with = "shape::some_list")]
    pub dirs: Option<Vec<Written<DirectorySettings>>>,
    /// See [`Grants::env`].
    #[serde(deserialize_with = "shape::table")]
    pub env: BTreeMap<String, Written<String>>,
    /// See [`Grants::secrets`].
    #[serde(deserialize_with = "shape::list")]
    pub secrets: Vec<Written<SecretSettings>>,
}

/// A directory as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "{ host = \"DIRECTORY\", guest = \"/AS\" }"
)]
pub struct DirectorySettings {
    /// See [`Directory::host`].
    pub host: PathBuf,
    /// See [`Directory::guest`].
    pub guest: String,
    /// See [`Directory::access`]; reading, unless it is said.
    #[serde(default)]
    pub mode: Option<String>,
}

/// Where a secret is: in the variable of its name, or in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"NAME\" or { name = \"NAME\", file = \"FILE\" }"
)]
pub enum SecretSettings {
    /// In the host's environment.
    Variable(String),
    /// In a file.
    File(SecretFile),
}

/// A secret that is kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// What the plugin calls it.
    pub name: String,
    /// The file.
    pub file: PathBuf,
}

impl AllowSettings {
    /// Where the first of what was said comes from, with its key.
    pub(super) fn first(&self) -> Option<(&'static str, &Place)> {
        let state = self
            .state
            .as_ref()
            .map(|state| ("allow.state", &state.source));
        let lists = [("allow.http", &self.http), ("allow.tcp", &self.tcp)];
        let lists = lists
            .into_iter()
            .find_map(|(key, list)| Some((key, &list.as_ref()?.first()?.source)));
        let networks = self
            .networks
            .first()
            .map(|network| ("allow.networks", &network.source));
        let identify = self
            .identify
            .as_ref()
            .map(|identify| ("allow.identify", &identify.source));
        let dirs = self
            .dirs
            .iter()
            .flatten()
            .next()
            .map(|dir| ("allow.dirs", &dir.source));
        let env = self
            .env
            .values()
            .next()
            .map(|value| ("allow.env", &value.source));
        let secrets = self
            .secrets
            .first()
            .map(|secret| ("allow.secrets", &secret.source));
        state
            .or(lists)
            .or(networks)
            .or(identify)
            .or(dirs)
            .or(env)
            .or(secrets)
    }
}

impl Validator<'_> {
    pub(super) fn grants(
        &mut self,
        settings: &AllowSettings,
        task: &Place,
    ) -> Result<Grants, Reported> {
        let counts = [
            ("origins", settings.http.as_ref().map_or(0, Vec::len)),
            ("endpoints", settings.tcp.as_ref().map_or(0, Vec::len)),
            ("networks", settings.networks.len()),
            ("directories", settings.dirs.as_ref().map_or(0, Vec::len)),
            ("variables", settings.env.len()),
            ("secrets", settings.secrets.len()),
        ];
        for (what, found) in counts {
            if found > GRANTS_MAX {
                return Err(self.report(
                    "task.allow",
                    task,
                    BadValue::TooMany {
                        what,
                        found,
                        max: GRANTS_MAX,
                    },
                ));
            }
        }
        let network = self.network(settings);
        let dirs = self.directories(settings.dirs.as_deref().unwrap_or_default());
        let env = self.environment(&settings.env);
        let secrets = self.secrets(&settings.secrets, &settings.env);
        Ok(Grants {
            state: settings.state.as_ref().is_some_and(|state| state.value),
            network: network?,
            dirs: dirs?,
            dirs_said: settings.dirs.is_some(),
            env: env?,
            secrets: secrets?,
        })
    }

    fn network(&mut self, settings: &AllowSettings) -> Result<NetworkPolicy, Reported> {
        let http = settings
            .http
            .as_ref()
            .map(|list| self.list("task.allow.http", list, "an origin", Origin::new));
        let tcp = settings
            .tcp
            .as_ref()
            .map(|list| self.list("task.allow.tcp", list, "an endpoint", Endpoint::new));
        let networks = self.list(
            "task.allow.networks",
            &settings.networks,
            "a network",
            Network::new,
        );
        Ok(NetworkPolicy {
            http: http.transpose()?,
            tcp: tcp.transpose()?,
            networks: networks?,
            // The network's, not the task's.
            nat64: Vec::new(),
            identify: settings
                .identify
                .as_ref()
                .is_none_or(|identify| identify.value),
        })
    }

    pub(super) fn list<T>(
        &mut self,
        key: &str,
        list: &[Written<String>],
        what: &'static str,
        parse: impl Fn(&str) -> Result<T, PolicyError>,
    ) -> Result<Vec<T>, Reported> {
        let mut entry = |written: &Written<String>| {
            self.checked(key, written, |text| {
                parse(text).map_err(|source| BadValue::Network {
                    text: Excerpt::of(text),
                    what,
                    source,
                })
            })
        };
        // Collected first, here and below: every entry is looked at, not only those up to the first bad one.
        list.iter()
            .map(&mut entry)
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    fn directories(
        &mut self,
        settings: &[Written<DirectorySettings>],
    ) -> Result<Vec<Directory>, Reported> {
        let mut seen = BTreeSet::new();
        let mut directory = |written: &Written<DirectorySettings>| {
            let host = self.beside_file(&written.source, &written.value.host);
            self.checked(
                "task.allow.dirs",
                written,
                |DirectorySettings { guest, mode, .. }| {
                    let refuse = |rule| BadValue::GuestPath {
                        text: Excerpt::of(guest),
                        rule,
                    };
                    let access = match mode.as_deref() {
                        None | Some("read") => Access::Read,
                        Some("write") => Access::Write,
                        Some(mode) => return Err(BadValue::choice(mode, "\"read\" or \"write\"")),
                    };
                    if !guest.starts_with('/') {
                        return Err(refuse("does not begin with a slash"));
                    }
                    if guest.split('/').any(|part| matches!(part, "." | ".."))
                        || guest.chars().any(char::is_control)
                    {
                        return Err(refuse("has a component of dots, or a control character"));
                    }
                    if !seen.insert(guest.clone()) {
                        return Err(refuse("stands for another directory already"));
                    }
                    Ok(Directory {
                        host: host.clone(),
                        guest: guest.clone(),
                        access,
                    })
                },
            )
        };
        settings
            .iter()
            .map(&mut directory)
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    fn environment(
        &mut self,
        settings: &BTreeMap<String, Written<String>>,
    ) -> Result<BTreeMap<String, String>, Reported> {
        let variable = |(name, written): (&String, &Written<String>)| {
            let key = format!("task.allow.env.{name}");
            self.checked(&key, written, |value| {
                check_variable(name)?;
                check_value(value)?;
                Ok((name.clone(), value.clone()))
            })
        };
        settings
            .iter()
            .map(variable)
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    fn secrets(
        &mut self,
        settings: &[Written<SecretSettings>],
        env: &BTreeMap<String, Written<String>>,
    ) -> Result<Vec<SecretSource>, Reported> {
        let mut seen = BTreeSet::new();
        let mut secret = |written: &Written<SecretSettings>| {
            let (name, file) = match &written.value {
                SecretSettings::Variable(name) => (name, None),
                SecretSettings::File(SecretFile { name, file }) => {
                    (name, Some(self.beside_file(&written.source, file)))
                }
            };
            self.checked("task.allow.secrets", written, |_| {
                check_variable(name)?;
                if env.contains_key(name) || !seen.insert(name.clone()) {
                    return Err(BadValue::VariableTwice {
                        text: Excerpt::of(name),
                    });
                }
                Ok(SecretSource {
                    name: name.clone(),
                    file,
                })
            })
        };
        settings
            .iter()
            .map(&mut secret)
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }
}

fn check_variable(name: &str) -> Result<(), BadValue> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first_is_digit = name.starts_with(|first: char| first.is_ascii_digit());
    if name.is_empty() || name.len() > 128 || first_is_digit || !name.bytes().all(plain) {
        return Err(BadValue::Variable {
            text: Excerpt::of(name),
        });
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), BadValue> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(BadValue::TooMany {
            what: "bytes",
            found: value.len(),
            max: VALUE_BYTES_MAX,
        });
    }
    if value.contains('\0') {
        return Err(BadValue::ZeroByte);
    }
    Ok(())
}
