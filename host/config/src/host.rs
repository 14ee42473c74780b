//! All of a host's configuration, and the rules that only the whole knows: each name once, paths that do not meet, a lease
//! that leaves every task time to act.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer};
use soloist_core::access::AclSetting;
use soloist_core::grants::Nat64;
use soloist_core::lease::Timing;
use soloist_core::spans::Collector;

use crate::deploy::{DeployConfig, DeployWire};
use crate::ensemble::{EnsembleConfig, EnsembleWire};
use crate::file::{Document, Format};
use crate::grants::reachable;
use crate::listen::{ListenConfig, ListenWire};
use crate::node;
use crate::placement::{HostPlacement, HostPlacementWire};
use crate::problem::{BadValue, ConfigError, Excerpt};
use crate::servers::is_host_name_character;
use crate::shape;
use crate::task::{PluginSource, TaskConfig, TaskWire};
use crate::validator::{Reported, Validator, every};
use crate::written::{Source, Written};

#[cfg(test)]
mod tests;

/// Everything a host needs to know, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The ensemble that decides.
    pub zookeeper: EnsembleConfig,
    /// The id of this host, unique in the ensemble.
    pub host: Arc<str>,
    /// The prefixes by which this host's network translates IPv6 to IPv4.
    pub nat64: Vec<Nat64>,
    /// The file that all of this was read from, if there is one.
    pub file: Option<PathBuf>,
    /// Where the host tells how it is, if anywhere.
    pub listen: Option<ListenConfig>,
    /// Where the host sends spans, if anywhere.
    pub otlp: Option<Collector>,
    /// Which deployed tasks the host takes, if any.
    pub deploy: Option<DeployConfig>,
    /// What it says of itself to those who decide where tasks are led.
    pub placement: HostPlacement,
    /// The tasks to stand for, each name once: at least one, unless the host takes deployed ones.
    pub tasks: Vec<TaskConfig>,
}

/// What flags and environment say.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// See [`Config::host`].
    pub host_id: Option<Written<String>>,
    /// See [`Config::nat64`].
    pub nat64: Option<Vec<Written<String>>>,
    /// Where the host tells how it is.
    pub listen: ListenWire,
    /// See [`Config::otlp`].
    pub otlp: Option<Written<String>>,
    /// The ensemble.
    pub zookeeper: EnsembleWire,
    /// The task, where a plugin is run as the only one.
    pub task: TaskWire,
}

/// What can be set of a host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HostWire {
    host_id: Option<Written<String>>,
    #[serde(deserialize_with = "shape::list")]
    nat64: Vec<Written<String>>,
    listen: Option<Written<String>>,
    listen_token_file: Option<Written<PathBuf>>,
    listen_open: Option<Written<bool>>,
    listen_values: Option<Written<bool>>,
    listen_admin_token_file: Option<Written<PathBuf>>,
    listen_certificate: Option<Written<PathBuf>>,
    listen_key: Option<Written<PathBuf>>,
    listen_client_ca: Option<Written<PathBuf>>,
    otlp: Option<Written<String>>,
    #[serde(deserialize_with = "shape::table")]
    zookeeper: EnsembleWire,
    #[serde(deserialize_with = "shape::some_table")]
    deploy: Option<Written<DeployWire>>,
    #[serde(deserialize_with = "shape::table")]
    placement: HostPlacementWire,
    #[serde(deserialize_with = "tasks")]
    task: Vec<Written<TaskWire>>,
}

/// Opens what is named on the command line, if it is a configuration by its name, and not a plugin.
pub(crate) fn document(subject: &Path) -> Result<Option<Document>, ConfigError> {
    // What is fetched is a plugin, whatever it is called.
    let is_fetched = !matches!(PluginSource::read(subject), Ok(PluginSource::Path(_)));
    match Format::of(subject)? {
        Some(format) if !is_fetched => Document::open(subject, format).map(Some),
        _ => Ok(None),
    }
}

pub(crate) fn tasks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Written<TaskWire>>, D::Error> {
    let wanted = "a table [[task]], its name in two pairs of brackets, for each task; in JSON a list of them";
    shape::list_of(wanted, deserializer)
}

impl Config {
    /// Puts together what flags and environment say with `subject`: a configuration, if its name ends in `.toml` or
    /// `.json`, and a plugin to run as the only task otherwise.
    ///
    /// # Errors
    /// Every bad value at once, unless the file cannot be read as a configuration in the first place.
    pub fn load(subject: &Path, given: Given) -> Result<Self, ConfigError> {
        match document(subject)? {
            Some(document) => Self::from_document(&document, given),
            None => Self::from_plugin(subject, given),
        }
    }

    pub(crate) fn from_document(document: &Document, given: Given) -> Result<Self, ConfigError> {
        let wire = document.parse("")?;
        Validator::run(Some(document), |validator| {
            refuse_task_settings(document.path(), &given.task, validator);
            let mut config = given.over(wire).validate(validator)?;
            config.file = Some(document.path().to_owned());
            Ok(config)
        })
    }

    fn from_plugin(plugin: &Path, mut given: Given) -> Result<Self, ConfigError> {
        let task = std::mem::take(&mut given.task).of_plugin(plugin);
        let wire = HostWire {
            task: vec![task],
            ..HostWire::default()
        };
        Validator::run(None, |validator| given.over(wire).validate(validator))
    }
}

impl EnsembleConfig {
    /// Puts together what flags and environment say with the `[zookeeper]` of a configuration, if there is one: all
    /// that whoever stands for nothing needs to know. The configuration is TOML, unless its name ends in `.json`.
    ///
    /// # Errors
    /// Every bad value of the ensemble at once, unless the file cannot be read as a configuration in the first place.
    pub fn load(file: Option<&Path>, given: EnsembleWire) -> Result<Self, ConfigError> {
        let document = file
            .map(|path| {
                let format = Format::of(path).ok().flatten();
                Document::open(path, format.unwrap_or(Format::Toml))
            })
            .transpose()?;
        let wire = match &document {
            Some(document) => given.over(document.parse::<HostWire>("")?.zookeeper),
            None => given,
        };
        Validator::run(document.as_ref(), |validator| wire.validate(validator))
    }
}

impl Given {
    /// What is given where something is, else what the document says; the tasks are those of the document.
    fn over(self, document: HostWire) -> HostWire {
        let ListenWire {
            address,
            token_file,
            open,
            values,
            admin_token_file,
            certificate,
            key,
            client_ca,
        } = self.listen.over(document.listen());
        HostWire {
            host_id: self.host_id.or(document.host_id),
            nat64: self.nat64.unwrap_or(document.nat64),
            listen: address,
            listen_token_file: token_file,
            listen_open: open,
            listen_values: values,
            listen_admin_token_file: admin_token_file,
            listen_certificate: certificate,
            listen_key: key,
            listen_client_ca: client_ca,
            otlp: self.otlp.or(document.otlp),
            zookeeper: self.zookeeper.over(document.zookeeper),
            deploy: document.deploy,
            placement: document.placement,
            task: document.task,
        }
    }
}

/// Refuses settings of a single task where a file describes the tasks.
pub(crate) fn refuse_task_settings(file: &Path, task: &TaskWire, validator: &mut Validator<'_>) {
    for (key, source) in task.given() {
        let file = file.to_owned();
        validator.report(key, source, BadValue::OfOneTask { file, key });
    }
}

impl HostWire {
    fn listen(&self) -> ListenWire {
        ListenWire {
            address: self.listen.clone(),
            token_file: self.listen_token_file.clone(),
            open: self.listen_open.clone(),
            values: self.listen_values.clone(),
            admin_token_file: self.listen_admin_token_file.clone(),
            certificate: self.listen_certificate.clone(),
            key: self.listen_key.clone(),
            client_ca: self.listen_client_ca.clone(),
        }
    }

    fn validate(&self, validator: &mut Validator<'_>) -> Result<Config, Reported> {
        let host = validator.optional("host_id", self.host_id.as_ref(), |text| node::name(text));
        let nat64 = reachable("a NAT64 prefix", Nat64::new);
        let nat64 = validator.list("nat64", &self.nat64, nat64);
        let listen = self.listen().validate(validator);
        let otlp = validator.optional("otlp", self.otlp.as_ref(), |text| {
            Collector::new(text).map_err(|source| BadValue::Collector { source })
        });
        let zookeeper = self.zookeeper.validate(validator);
        let deploy = self.deploy.as_ref().map(|deploy| {
            let Written { value, source } = deploy;
            value.validate(source, validator)
        });
        let deploy = deploy.transpose().map(Option::flatten);
        let placement = self.placement.validate(validator);
        self.check_has_tasks(deploy.as_ref().ok(), validator)?;
        let tasks: Vec<_> = self
            .task
            .iter()
            .map(|task| task.value.validate(&task.source, validator))
            .collect();
        self.check_names(validator);
        if let Ok(zookeeper) = &zookeeper {
            self.check_unsigned(zookeeper, deploy.as_ref().ok(), validator);
            self.check_paths(&zookeeper.root, validator);
            self.check_timing(zookeeper, &tasks, validator);
        }
        let nat64 = nat64?;
        let mut tasks: Vec<_> = every(tasks.into_iter())?;
        for task in &mut tasks {
            task.grants.network.nat64.clone_from(&nat64);
        }
        Ok(Config {
            zookeeper: zookeeper?,
            host: host?.unwrap_or_else(host_id_default),
            nat64,
            file: None,
            listen: listen?,
            otlp: otlp?,
            deploy: deploy?,
            placement: placement?,
            tasks,
        })
    }

    /// `deploy` is none if it is not known whether deployed tasks are taken.
    fn check_has_tasks(
        &self,
        deploy: Option<&Option<DeployConfig>>,
        validator: &mut Validator<'_>,
    ) -> Result<(), Reported> {
        if self.task.is_empty() && deploy == Some(&None) {
            let remedy = "describe at least one task, in a [[task]] with a name and a plugin (in JSON: in the list \"task\"), or take deployed ones, in [deploy]";
            let start = Source::Document(0..0);
            return Err(validator.report("task", &start, BadValue::Missing { remedy }));
        }
        Ok(())
    }

    /// Manifests that nobody has signed are taken from those alone who have the identity.
    fn check_unsigned(
        &self,
        zookeeper: &EnsembleConfig,
        deploy: Option<&Option<DeployConfig>>,
        validator: &mut Validator<'_>,
    ) {
        let takes_unsigned = deploy.is_some_and(|it| it.as_ref().is_some_and(|it| it.require == 0));
        // Such an ACL refers to an identity, which has to be there.
        let is_guarded = matches!(
            zookeeper.acl,
            Some(AclSetting::Creator | AclSetting::CreatorWorldRead)
        );
        if let Some(table) = self
            .deploy
            .as_ref()
            .filter(|_| takes_unsigned && !is_guarded)
        {
            validator.report(
                "deploy.unsigned",
                &table.source,
                BadValue::UnsignedByAnybody,
            );
        }
    }

    fn check_names(&self, validator: &mut Validator<'_>) {
        let mut seen = BTreeSet::new();
        for name in self.task.iter().filter_map(|task| task.value.name.as_ref()) {
            if !seen.insert(&name.value) {
                let text = Excerpt::of(&name.value);
                validator.report("task.name", &name.source, BadValue::NameTwice { text });
            }
        }
    }

    /// A master node is ephemeral and so has no children: none may stand above or below what else is kept.
    fn check_paths(&self, root: &str, validator: &mut Validator<'_>) {
        let mut taken = BTreeSet::new();
        for task in &self.task {
            let (Some(path), name) = (&task.value.path, &task.value.name) else {
                continue;
            };
            let own = name
                .as_ref()
                .is_some_and(|name| path.value == format!("{root}/tasks/{}/master", name.value));
            let other = match met(&path.value, &taken) {
                Some(other) => format!("the master node of another task, {other:?}"),
                None if !own && met(&path.value, &BTreeSet::from([root])).is_some() => {
                    format!("what Soloist keeps below {root:?}")
                }
                None => {
                    taken.insert(path.value.as_str());
                    continue;
                }
            };
            let text = Excerpt::of(&path.value);
            let bad = BadValue::PathTaken { text, other };
            validator.report("task.path", &path.source, bad);
        }
    }

    /// The lease must leave each task time to act.
    fn check_timing(
        &self,
        zookeeper: &EnsembleConfig,
        tasks: &[Result<TaskConfig, Reported>],
        validator: &mut Validator<'_>,
    ) {
        for (written, task) in self.task.iter().zip(tasks) {
            let Ok(task) = task else { continue };
            let Err(no_room) = Timing::new(
                zookeeper.session_timeout,
                zookeeper.tick_time,
                task.demote_timeout,
            ) else {
                continue;
            };
            let places = [
                ("task.demote_timeout", &written.value.demote_timeout),
                ("zookeeper.session_timeout", &self.zookeeper.session_timeout),
                ("zookeeper.tick_time", &self.zookeeper.tick_time),
            ];
            let place = places
                .into_iter()
                .find_map(|(key, written)| Some((key, &written.as_ref()?.source)));
            let (key, source) = place.unwrap_or(("task", &written.source));
            validator.report(key, source, no_room.into());
        }
    }
}

/// One of these paths that this one is, or is below, or above.
fn met<'a>(path: &str, others: &BTreeSet<&'a str>) -> Option<&'a str> {
    let slashes = path.match_indices('/').map(|(at, _)| &path[..at]);
    let mut above = slashes.chain([path]);
    let above = above.find_map(|it| others.get(it).copied());
    above.or_else(|| {
        let parent = format!("{path}/");
        let from = (Bound::Included(&*parent), Bound::Unbounded);
        let below = others.range::<str, _>(from).next();
        below.copied().filter(|it| it.starts_with(&parent))
    })
}

/// How many characters tell a process from others on hosts of the same name.
const PROCESS_CHARACTERS: usize = 6;

/// A host id that no other process has, so that a restarted host never waits for the session it had before. The process id
/// would not do: in a container it is always the same, and containers can share a host name. A process has one, however
/// often it reads its configuration.
fn host_id_default() -> Arc<str> {
    static ID: LazyLock<Arc<str>> = LazyLock::new(random_host_id);
    Arc::clone(&ID)
}

/// Whether a host has this id because none was set: then no other process has it, unless it is told to.
pub fn is_drawn_host_id(id: &str) -> bool {
    *host_id_default() == *id
}

fn random_host_id() -> Arc<str> {
    // Digits and letters that nobody confuses with each other.
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .map(|character| {
            if is_host_name_character(character) {
                character
            } else {
                '-'
            }
        })
        .collect();
    // The keys of the standard library's maps come from the system's source of random numbers.
    let random = RandomState::new().hash_one(()).to_le_bytes();
    let process = random
        .into_iter()
        .take(PROCESS_CHARACTERS)
        .map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()]);
    format!("{host}-{}", process.map(char::from).collect::<String>()).into()
}
