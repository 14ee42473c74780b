//! What a task grants to its plugin: `[task.allow]`, or the flags of a single plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use soloist_core::grants::{
    Access, Directory, Endpoint, Grants, Network, NetworkPolicy, Origin, PolicyError,
};
use soloist_core::secret::SecretSource;

use crate::problem::{BadValue, Excerpt};
use crate::shape;
use crate::validator::{Reported, Validator, every};
use crate::written::{Source, Written};

/// The most entries of each kind of grant.
pub(crate) const GRANTS_MAX: usize = 256;
/// The longest value of a variable.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What can be granted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantsWire {
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
    pub dirs: Option<Vec<Written<DirectoryWire>>>,
    /// See [`Grants::env`].
    #[serde(deserialize_with = "shape::table")]
    pub env: BTreeMap<String, Written<String>>,
    /// See [`Grants::secrets`].
    #[serde(deserialize_with = "shape::list")]
    pub secrets: Vec<Written<SecretWire>>,
}

/// A directory as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(
    deny_unknown_fields,
    expecting = "{ host = \"DIRECTORY\", guest = \"/AS\" }"
)]
pub struct DirectoryWire {
    /// See [`Directory::host`].
    pub host: PathBuf,
    /// See [`Directory::guest`].
    pub guest: String,
    /// See [`Directory::access`]; reading, unless it is said.
    #[serde(default)]
    pub mode: Option<String>,
}

/// Where a secret is: in the variable of its name, or in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "expected \"NAME\" or { name = \"NAME\", file = \"FILE\" }"
)]
pub enum SecretWire {
    /// In the host's environment.
    Variable(String),
    /// In a file.
    File(SecretFileWire),
}

/// A secret that is kept in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFileWire {
    /// What the plugin calls it.
    pub name: String,
    /// The file.
    pub file: PathBuf,
}

impl GrantsWire {
    /// The first grant that is written: its key in a task, and the place it comes from.
    pub(crate) fn first(&self) -> Option<(&'static str, &Source)> {
        let all = [
            ("allow.state", self.state.as_ref().map(Written::source)),
            ("allow.http", first(self.http.as_deref())),
            ("allow.tcp", first(self.tcp.as_deref())),
            ("allow.networks", first(Some(&self.networks))),
            (
                "allow.identify",
                self.identify.as_ref().map(Written::source),
            ),
            ("allow.dirs", first(self.dirs.as_deref())),
            ("allow.env", self.env.values().next().map(Written::source)),
            ("allow.secrets", first(Some(&self.secrets))),
        ];
        all.into_iter()
            .find_map(|(key, source)| Some((key, source?)))
    }

    pub(crate) fn validate(
        &self,
        task: &Source,
        validator: &mut Validator<'_>,
    ) -> Result<Grants, Reported> {
        let counts = [
            ("origins", self.http.as_ref().map_or(0, Vec::len)),
            ("endpoints", self.tcp.as_ref().map_or(0, Vec::len)),
            ("networks", self.networks.len()),
            ("directories", self.dirs.as_ref().map_or(0, Vec::len)),
            ("variables", self.env.len()),
            ("secrets", self.secrets.len()),
        ];
        let max = GRANTS_MAX;
        for (what, found) in counts {
            if found > max {
                let bad = BadValue::TooMany { what, found, max };
                return Err(validator.report("task.allow", task, bad));
            }
        }
        let network = self.network(validator);
        let dirs = self.directories(validator);
        let env = self.environment(validator);
        let secrets = self.secret_sources(validator);
        Ok(Grants {
            state: self.state.as_ref().is_some_and(|state| state.value),
            network: network?,
            dirs: dirs?,
            dirs_said: self.dirs.is_some(),
            env: env?,
            secrets: secrets?,
        })
    }

    fn network(&self, validator: &mut Validator<'_>) -> Result<NetworkPolicy, Reported> {
        let http = self.http.as_ref().map(|list| {
            validator.list("task.allow.http", list, reachable("an origin", Origin::new))
        });
        let tcp = self.tcp.as_ref().map(|list| {
            let endpoint = reachable("an endpoint", Endpoint::new);
            validator.list("task.allow.tcp", list, endpoint)
        });
        let network = reachable("a network", Network::new);
        let networks = validator.list("task.allow.networks", &self.networks, network);
        Ok(NetworkPolicy {
            http: http.transpose()?,
            tcp: tcp.transpose()?,
            networks: networks?,
            // The host's network has these, not the task.
            nat64: Vec::new(),
            identify: self.identify.as_ref().is_none_or(|identify| identify.value),
        })
    }

    fn directories(&self, validator: &mut Validator<'_>) -> Result<Vec<Directory>, Reported> {
        let mut seen = BTreeSet::new();
        every(self.dirs.iter().flatten().map(|written| {
            let host = validator.resolved(&written.source, &written.value.host);
            validator.checked("task.allow.dirs", written, |wire| {
                let directory = wire.directory(host)?;
                if !seen.insert(directory.guest.clone()) {
                    return Err(wire.refused("stands for another directory already"));
                }
                Ok(directory)
            })
        }))
    }

    fn environment(
        &self,
        validator: &mut Validator<'_>,
    ) -> Result<BTreeMap<String, String>, Reported> {
        every(self.env.iter().map(|(name, written)| {
            let key = format!("task.allow.env.{name}");
            validator.checked(&key, written, |value| {
                check_variable(name)?;
                check_value(value)?;
                Ok((name.clone(), value.clone()))
            })
        }))
    }

    fn secret_sources(&self, validator: &mut Validator<'_>) -> Result<Vec<SecretSource>, Reported> {
        let mut seen = BTreeSet::new();
        every(self.secrets.iter().map(|written| {
            let (name, file) = match &written.value {
                SecretWire::Variable(name) => (name, None),
                SecretWire::File(SecretFileWire { name, file }) => {
                    (name, Some(validator.resolved(&written.source, file)))
                }
            };
            validator.checked("task.allow.secrets", written, |_| {
                // Whoever takes this for the place of the secret has written that.
                check_variable(name).map_err(|_| BadValue::SecretName)?;
                if self.env.contains_key(name) || !seen.insert(name.clone()) {
                    return Err(BadValue::VariableTwice {
                        text: Excerpt::of(name),
                    });
                }
                Ok(SecretSource {
                    name: name.clone(),
                    file,
                })
            })
        }))
    }
}

impl DirectoryWire {
    /// The directory, if the guest can see it so; `host` is its path with the directory of the document before it.
    fn directory(&self, host: PathBuf) -> Result<Directory, BadValue> {
        let access = match self.mode.as_deref() {
            None | Some("read") => Access::Read,
            Some("write") => Access::Write,
            Some(mode) => return Err(BadValue::choice(mode, "\"read\" or \"write\"")),
        };
        if !self.guest.starts_with('/') {
            return Err(self.refused("does not begin with a slash"));
        }
        let has_dots = self.guest.split('/').any(|part| matches!(part, "." | ".."));
        if has_dots || self.guest.chars().any(char::is_control) {
            return Err(self.refused("has a component of dots, or a control character"));
        }
        Ok(Directory {
            host,
            guest: self.guest.clone(),
            access,
        })
    }

    fn refused(&self, rule: &'static str) -> BadValue {
        BadValue::GuestPath {
            text: Excerpt::of(&self.guest),
            rule,
        }
    }
}

/// The place of the first entry of a list.
fn first<T>(list: Option<&[Written<T>]>) -> Option<&Source> {
    list?.first().map(Written::source)
}

/// Reads what can be reached on a network with a function of the core.
pub(crate) fn reachable<T>(
    what: &'static str,
    parse: impl Fn(&str) -> Result<T, PolicyError>,
) -> impl Fn(&String) -> Result<T, BadValue> {
    move |text| {
        parse(text).map_err(|source| BadValue::Network {
            text: Excerpt::of(text),
            what,
            source,
        })
    }
}

/// Checks the name of a variable.
pub(crate) fn check_variable(name: &str) -> Result<(), BadValue> {
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

/// Writes every grant, and where a secret is: its text is not known here. NAT64 prefixes are the host's and left out.
pub(crate) fn write<S: Serializer>(grants: &Grants, serializer: S) -> Result<S::Ok, S::Error> {
    let network = &grants.network;
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("state", &grants.state)?;
    if let Some(http) = &network.http {
        map.serialize_entry("http", &texts(http))?;
    }
    if let Some(tcp) = &network.tcp {
        map.serialize_entry("tcp", &texts(tcp))?;
    }
    map.serialize_entry("networks", &texts(&network.networks))?;
    map.serialize_entry("identify", &network.identify)?;
    if grants.dirs_said {
        let dirs: Vec<_> = grants.dirs.iter().map(DirectoryWire::from).collect();
        map.serialize_entry("dirs", &dirs)?;
    }
    map.serialize_entry("env", &grants.env)?;
    let secrets: Vec<_> = grants.secrets.iter().map(SecretWire::from).collect();
    map.serialize_entry("secrets", &secrets)?;
    map.end()
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

impl From<&Directory> for DirectoryWire {
    fn from(directory: &Directory) -> Self {
        let mode = match directory.access {
            Access::Read => "read",
            Access::Write => "write",
        };
        Self {
            host: directory.host.clone(),
            guest: directory.guest.clone(),
            mode: Some(mode.to_owned()),
        }
    }
}

impl From<&SecretSource> for SecretWire {
    fn from(SecretSource { name, file }: &SecretSource) -> Self {
        let name = name.clone();
        match file.clone() {
            Some(file) => Self::File(SecretFileWire { name, file }),
            None => Self::Variable(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{are_named, refused, task, zookeeper};

    #[test]
    fn every_bad_grant_is_named_with_its_place() {
        #[rustfmt::skip]
        let cases = [
            (task("allow = { stat = true }"), "4:11", "task.allow.stat", "unknown field `stat`"),
            (task("allow = { state = \"yes\" }"), "4:19", "task.allow.state", "expected a boolean"),
            (task("allow.http = [\"api.example.com\"]"), "4:15", "task.allow.http", "is not an origin"),
            (task("allow.http = [\"https://a\", \"https://a/b\"]"), "4:28", "task.allow.http", "is not an origin"),
            (task("allow.tcp = [\"db.internal\"]"), "4:14", "task.allow.tcp", "is not an endpoint"),
            (task("allow.networks = [\"10.0.0.0/33\"]"), "4:19", "task.allow.networks", "is not a network"),
            (task("allow.dirs = [{ host = \"a\", guest = \"data\" }]"), "4:15", "task.allow.dirs", "begin with a slash"),
            (task("allow.dirs = [{ host = \"a\", guest = \"/a/../b\" }]"), "4:15", "task.allow.dirs", "dots"),
            (task("allow.dirs = [{ host = \"a\", guest = \"/a\", mode = \"rw\" }]"), "4:15", "task.allow.dirs", "\"write\""),
            (task("allow.dirs = [{ host = \"a\", guest = \"/a\" }, { host = \"b\", guest = \"/a\" }]"), "4:45", "task.allow.dirs", "another"),
            (task("allow.dirs = [{ host = \"a\" }]"), "4:15", "task.allow.dirs", "missing field `guest`"),
            (task("allow.env = { 1A = \"x\" }"), "4:20", "task.allow.env.1A", "letters, digits and _"),
            (task("allow.env = { A = \"x\\u0000\" }"), "4:19", "task.allow.env.A", "zero byte"),
            (task("allow.secrets = [\"A=B\"]"), "4:18", "task.allow.secrets", "letters, digits and _"),
            (task("allow.secrets = [{ name = \"A\" }]"), "4:17", "task.allow.secrets", "file"),
            (task("allow = { env = { A = \"x\" }, secrets = [\"A\"] }"), "4:41", "task.allow.secrets", "already"),
            (task(&format!("allow.secrets = [{}]", "\"A\",".repeat(257))), "1:1", "task.allow", "257 secrets"),
            (task("allow = true"), "4:9", "task.allow", "a table"),
            (task("allow.http = \"https://a\""), "4:14", "task.allow.http", "a list, in brackets"),
            (task("allow.dirs = [\"/a:/b\"]"), "4:15", "task.allow.dirs", "{ host = "),
            (task("allow.env = [\"A=B\"]"), "4:13", "task.allow.env", "a table"),
        ];
        are_named(&cases);
    }

    #[test]
    fn what_stands_in_the_place_of_a_secret_is_not_quoted() {
        #[rustfmt::skip]
        let cases = [
            (task("allow.secrets = [\"TOKEN=hunter2\"]"), "4:18", "task.allow.secrets", "may be the secret itself"),
            (task("allow.secrets = [{ name = \"TOKEN=hunter2\", file = \"f\" }]"), "4:18", "task.allow.secrets", "may be the secret"),
            (task("allow.secrets = \"hunter2\""), "4:17", "task.allow.secrets", "expected a list"),
            (task("allow.secrets = { TOKEN = \"hunter2\" }"), "4:17", "task.allow.secrets", "expected a list"),
            (task("allow.secrets = [{ name = \"TOKEN\", value = \"hunter2\" }]"), "4:17", "task.allow.secrets", "{ name = "),
            (zookeeper("auth = [\"digest:u:hunter2\"]"), "2:8", "zookeeper.auth", "a text, in quotes"),
            (zookeeper("auth = { digest = \"hunter2\" }"), "2:8", "zookeeper.auth", "a text, in quotes"),
            (zookeeper("auth = 20260731"), "2:8", "zookeeper.auth", "expected a text, in quotes"),
            ("zookeeper = \"digest:u:hunter2\"\n".to_owned(), "1:13", "zookeeper", "expected a table"),
        ];
        are_named(&cases);
        let told = cases.iter().map(|(text, ..)| refused(text));
        let numbers: Vec<_> = told.filter(|told| told.contains("20260731")).collect();
        assert!(numbers.is_empty(), "{numbers:?}");
    }
}
