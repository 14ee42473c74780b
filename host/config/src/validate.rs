//! From what was written to what is valid, with every bad value named at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access;
use super::limits::{KIB, MIB, bytes};
use super::problem::{BadValue, ConfigError, Excerpt, PROBLEMS_MAX, Place, Problem};
use super::settings::{
    AclText, EnsembleSettings, Given, RestartSettings, Settings, SettingsFile, Source,
    TaskSettings, Written,
};
use super::values::{self, ConnectString, TaskName};
use super::{Config, EnsembleConfig, TaskConfig};
use soloist_core::access::{AclSetting, Auth};
use soloist_core::digest::Digest;
use soloist_core::grants::Nat64;
use soloist_core::lease::Timing;
use soloist_core::limits::HOST_STATE_RATE;
use soloist_core::records::{TaskPaths, WATCHED_BYTES_MAX};
use soloist_core::restart::{OnComplete, RestartPolicy};
use soloist_core::secret::Secret;

const ROOT_DEFAULT: &str = "/soloist";
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const TICK_TIME_DEFAULT: Duration = Duration::from_secs(2);
const DEMOTE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
const TASKS_MAX: usize = 1000;

const CONFIG_ENTRIES_MAX: usize = 256;
const CONFIG_VALUE_BYTES_MAX: usize = 64 * 1024;

impl Config {
    /// Puts together what flags and environment say with `subject`: a configuration, if its name ends in `.toml`, and
    /// a plugin to run as the only task otherwise.
    ///
    /// # Errors
    /// Every bad value at once, unless the file cannot be read as TOML in the first place.
    pub fn load(subject: &Path, given: Given) -> Result<Self, ConfigError> {
        if subject
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            Self::from_file(&SettingsFile::read(subject)?, given)
        } else {
            Self::from_plugin(subject, given)
        }
    }

    pub(super) fn from_file(file: &SettingsFile, given: Given) -> Result<Self, ConfigError> {
        let settings = file.settings()?;
        let mut validator = Validator::new(Some(file));
        validator.refuse_task_settings(file.path(), &given.task);
        validator.settings(&given.over(settings))
    }

    pub(super) fn from_plugin(plugin: &Path, mut given: Given) -> Result<Self, ConfigError> {
        let mut task = std::mem::take(&mut given.task);
        task.name = task.name.or_else(|| {
            let name = plugin
                .file_stem()
                .unwrap_or(plugin.as_os_str())
                .to_string_lossy();
            Some(Written::flag(
                name.into_owned(),
                "PLUGIN, after which the task is named unless --task names it",
            ))
        });
        task.plugin = Some(Written::flag(plugin.to_owned(), "PLUGIN"));
        let settings = Settings {
            task: vec![Written::flag(task, "PLUGIN")],
            ..Settings::default()
        };
        Validator::new(None).settings(&given.over(settings))
    }
}

impl EnsembleConfig {
    /// Puts together what flags and environment say with the `[zookeeper]` of a configuration, if there is one: all
    /// that whoever stands for nothing needs to know.
    ///
    /// # Errors
    /// Every bad value of the ensemble at once, unless the file cannot be read as a configuration in the first place.
    pub fn load(file: Option<&Path>, given: EnsembleSettings) -> Result<Self, ConfigError> {
        let file = file.map(SettingsFile::read).transpose()?;
        let settings = match &file {
            Some(file) => given.over(file.settings()?.zookeeper),
            None => given,
        };
        let mut validator = Validator::new(file.as_ref());
        validator
            .ensemble(&settings)
            .map_err(|Reported| ConfigError::Invalid(validator.problems))
    }
}

/// A problem has been reported, so there is no value.
pub(super) struct Reported;

/// Collects what is wrong.
pub(super) struct Validator<'a> {
    file: Option<&'a SettingsFile>,
    problems: Vec<Problem>,
}

impl<'a> Validator<'a> {
    fn new(file: Option<&'a SettingsFile>) -> Self {
        Self {
            file,
            problems: Vec::new(),
        }
    }

    /// Reports a bad value, once: what follows from it at the same place is no second problem.
    pub(super) fn report(&mut self, key: &str, origin: &Source, bad: BadValue) -> Reported {
        if self.problems.len() == PROBLEMS_MAX {
            return Reported;
        }
        let place = match origin {
            Source::Flag(name) => Place::Flag(name.clone()),
            Source::Variable(name) => Place::Variable(name.clone()),
            Source::File(span) => self
                .file
                .expect("only a settings file makes such an origin")
                .place(span, Some(key.to_owned())),
        };
        if self.problems.iter().all(|problem| problem.place != place) {
            self.problems.push(Problem { place, bad });
        }
        Reported
    }

    /// Validates a value, if there is one.
    pub(super) fn optional<T, V>(
        &mut self,
        key: &str,
        written: Option<&Written<V>>,
        parse: impl FnOnce(&V) -> Result<T, BadValue>,
    ) -> Result<Option<T>, Reported> {
        written
            .map(|written| self.checked(key, written, parse))
            .transpose()
    }

    /// Validates a value.
    pub(super) fn checked<T, V>(
        &mut self,
        key: &str,
        written: &Written<V>,
        parse: impl FnOnce(&V) -> Result<T, BadValue>,
    ) -> Result<T, Reported> {
        parse(&written.value).map_err(|bad| self.report(key, &written.source, bad))
    }

    /// Validates a value that every task needs.
    fn required<T, V>(
        &mut self,
        key: &str,
        written: Option<&Written<V>>,
        task: &Source,
        remedy: &'static str,
        parse: impl FnOnce(&V) -> Result<T, BadValue>,
    ) -> Result<T, Reported> {
        let value = self.optional(key, written, parse)?;
        value.ok_or_else(|| self.report(key, task, BadValue::Missing { remedy }))
    }

    fn duration(
        &mut self,
        key: &str,
        written: Option<&Written<String>>,
        default: Duration,
    ) -> Result<Duration, Reported> {
        Ok(self
            .optional(key, written, |text| values::duration(text))?
            .unwrap_or(default))
    }

    /// Refuses settings of a single task where a file describes the tasks.
    fn refuse_task_settings(&mut self, file: &Path, task: &TaskSettings) {
        let config = task.config.values().next();
        let given = [
            ("name", task.name.as_ref().map(|written| &written.source)),
            (
                "sha256",
                task.sha256.as_ref().map(|written| &written.source),
            ),
            ("path", task.path.as_ref().map(|written| &written.source)),
            ("config", config.map(|written| &written.source)),
            (
                "demote_timeout",
                task.demote_timeout.as_ref().map(|written| &written.source),
            ),
            (
                "successor_delay",
                task.successor_delay.as_ref().map(|written| &written.source),
            ),
            (
                "on_complete",
                task.on_complete.as_ref().map(|written| &written.source),
            ),
        ];
        let (allow, limits) = (task.allow.first(), task.limits.first());
        let given = given
            .into_iter()
            .filter_map(|(key, origin)| Some((key, origin?)));
        for (key, origin) in given.chain(allow).chain(limits) {
            self.report(
                key,
                origin,
                BadValue::OfOneTask {
                    file: file.to_owned(),
                    key,
                },
            );
        }
    }

    fn settings(mut self, settings: &Settings) -> Result<Config, ConfigError> {
        let host = self.optional("host_id", settings.host_id.as_ref(), |text| {
            values::name(text)
        });
        let host = host.map(|host| host.unwrap_or_else(values::host_id_default));
        let nat64 = self.list("nat64", &settings.nat64, "a NAT64 prefix", Nat64::new);
        let zookeeper = self.ensemble(&settings.zookeeper);
        if self.number_of_tasks(&settings.task).is_err() {
            return Err(ConfigError::Invalid(self.problems));
        }
        let tasks: Vec<_> = settings.task.iter().map(|task| self.task(task)).collect();
        self.names(&settings.task);
        if let Ok(zookeeper) = &zookeeper {
            self.paths(&settings.task, &zookeeper.root);
            self.timing(settings, zookeeper, &tasks);
        }
        let tasks: Result<Vec<_>, _> = tasks.into_iter().collect();
        if let (Ok(zookeeper), Ok(host), Ok(nat64), Ok(mut tasks)) = (zookeeper, host, nat64, tasks)
        {
            for task in &mut tasks {
                task.grants.network.nat64.clone_from(&nat64);
            }
            let file = self.file.map(|file| file.path().to_owned());
            let config = Config {
                zookeeper,
                host,
                nat64,
                file,
                tasks,
            };
            self.watched(&settings.task, &config);
            if self.problems.is_empty() {
                return Ok(config);
            }
        }
        Err(ConfigError::Invalid(self.problems))
    }

    fn ensemble(&mut self, settings: &EnsembleSettings) -> Result<EnsembleConfig, Reported> {
        let servers = self.optional("zookeeper.servers", settings.servers.as_ref(), |text| {
            ConnectString::new(text)
        });
        let root = self.optional("zookeeper.root", settings.root.as_ref(), |text| {
            values::path(text)
        });
        let session_timeout = self.duration(
            "zookeeper.session_timeout",
            settings.session_timeout.as_ref(),
            SESSION_TIMEOUT_DEFAULT,
        );
        let tick_time = self.duration(
            "zookeeper.tick_time",
            settings.tick_time.as_ref(),
            TICK_TIME_DEFAULT,
        );
        let connect_timeout = self.optional(
            "zookeeper.connect_timeout",
            settings.connect_timeout.as_ref(),
            |text| values::duration(text),
        );
        let auth = self.auth(settings);
        let auth_file = settings
            .auth_file
            .as_ref()
            .map(|file| self.beside_file(&file.source, &file.value));
        let acl = self.acl(settings);
        let state_rate = self.optional(
            "zookeeper.state_rate",
            settings.state_rate.as_ref(),
            |amount| bytes(amount, KIB..=1024 * MIB),
        );
        Ok(EnsembleConfig {
            servers: servers?.unwrap_or_default(),
            root: root?.unwrap_or_else(|| ROOT_DEFAULT.to_owned()),
            session_timeout: session_timeout?,
            tick_time: tick_time?,
            auth: auth?,
            auth_file,
            acl: acl?,
            connect_timeout: connect_timeout?,
            state_rate: state_rate?.unwrap_or(HOST_STATE_RATE),
        })
    }

    fn auth(&mut self, settings: &EnsembleSettings) -> Result<Option<Auth>, Reported> {
        let auth = self.optional("zookeeper.auth", settings.auth.as_ref(), access::auth);
        let Some(file) = &settings.auth_file else {
            return auth;
        };
        if settings.auth.is_some() {
            return Err(self.report("zookeeper.auth_file", &file.source, BadValue::AuthTwice));
        }
        let path = self.beside_file(&file.source, &file.value);
        self.optional("zookeeper.auth_file", Some(file), |_| {
            let secret =
                Secret::read(&path).map_err(|source| BadValue::AuthFile { path, source })?;
            access::auth(&secret)
        })
    }

    fn acl(&mut self, settings: &EnsembleSettings) -> Result<Option<AclSetting>, Reported> {
        let has_auth = settings.auth.is_some() || settings.auth_file.is_some();
        self.optional("zookeeper.acl", settings.acl.as_ref(), |text| {
            let (acl, text) = match text {
                AclText::Line(line) => (access::acl(line)?, line.as_str()),
                AclText::List(entries) => (
                    access::acl_list(entries.iter().map(String::as_str))?,
                    "the list",
                ),
            };
            if acl.needs_auth() && !has_auth {
                return Err(BadValue::AclWithoutAuth {
                    text: Excerpt::of(text),
                });
            }
            Ok(acl)
        })
    }

    fn task(&mut self, written: &Written<TaskSettings>) -> Result<TaskConfig, Reported> {
        let settings = &written.value;
        let (name, plugin) = (settings.name.as_ref(), settings.plugin.as_ref());
        let plugin_path = plugin
            .map(|plugin| self.beside_file(&plugin.source, &plugin.value))
            .unwrap_or_default();
        let name = self.required(
            "task.name",
            name,
            &written.source,
            "give the task a name",
            |text| TaskName::new(text),
        );
        let remedy = "name the file that holds the plugin";
        let plugin = self.required("task.plugin", plugin, &written.source, remedy, |_| {
            Ok(plugin_path)
        });
        let sha256 = self.optional("task.sha256", settings.sha256.as_ref(), |text| {
            Digest::parse(text).ok_or_else(|| BadValue::Digest {
                text: Excerpt::of(text),
            })
        });
        let path = self.optional("task.path", settings.path.as_ref(), |text| {
            values::path(text)
        });
        let config = self.plugin_config(&settings.config, &written.source);
        let grants = self.grants(&settings.allow, &written.source);
        let limits = self.limits(&settings.limits);
        let demote_timeout = self.duration(
            "task.demote_timeout",
            settings.demote_timeout.as_ref(),
            DEMOTE_TIMEOUT_DEFAULT,
        );
        let successor_delay = self.duration(
            "task.successor_delay",
            settings.successor_delay.as_ref(),
            Duration::ZERO,
        );
        let on_complete = self.optional(
            "task.on_complete",
            settings.on_complete.as_ref(),
            |text| match text.as_str() {
                "hold" => Ok(OnComplete::Hold),
                "resign" => Ok(OnComplete::Resign),
                "restart" => Ok(OnComplete::Restart),
                _ => Err(BadValue::choice(
                    text,
                    "\"hold\", \"resign\" or \"restart\"",
                )),
            },
        );
        let restart = self.restart(&settings.restart);
        Ok(TaskConfig {
            name: name?,
            plugin: plugin?,
            sha256: sha256?,
            path: path?,
            config: config?,
            grants: grants?,
            limits: limits?,
            demote_timeout: demote_timeout?,
            successor_delay: successor_delay?,
            on_complete: on_complete?.unwrap_or_default(),
            restart: restart?,
        })
    }

    fn plugin_config(
        &mut self,
        entries: &BTreeMap<String, Written<String>>,
        task: &Source,
    ) -> Result<BTreeMap<String, String>, Reported> {
        if entries.len() > CONFIG_ENTRIES_MAX {
            let bad = BadValue::TooMany {
                what: "entries",
                found: entries.len(),
                max: CONFIG_ENTRIES_MAX,
            };
            return Err(self.report("task.config", task, bad));
        }
        let entry = |(key, written): (&String, &Written<String>)| {
            let value = self.optional(&format!("task.config.{key}"), Some(written), |value| {
                values::name(key)?;
                if value.len() > CONFIG_VALUE_BYTES_MAX {
                    return Err(BadValue::TooMany {
                        what: "bytes",
                        found: value.len(),
                        max: CONFIG_VALUE_BYTES_MAX,
                    });
                }
                Ok(value.clone())
            });
            Ok((key.clone(), value?.unwrap_or_default()))
        };
        // Collected first: every entry is looked at, not only those up to the first bad one.
        entries
            .iter()
            .map(entry)
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    }

    fn restart(&mut self, settings: &RestartSettings) -> Result<RestartPolicy, Reported> {
        let default = RestartPolicy::default();
        let initial = self.duration(
            "task.restart.initial",
            settings.initial.as_ref(),
            default.initial,
        );
        let max = self.duration("task.restart.max", settings.max.as_ref(), default.max);
        let healthy_after = self.duration(
            "task.restart.healthy_after",
            settings.healthy_after.as_ref(),
            default.healthy_after,
        );
        let (initial, max, healthy_after) = (initial?, max?, healthy_after?);
        let written = settings.max.as_ref().or(settings.initial.as_ref());
        if let Some(written) = written.filter(|_| max < initial) {
            return Err(self.report(
                "task.restart",
                &written.source,
                BadValue::RestartOrder { initial, max },
            ));
        }
        Ok(RestartPolicy {
            initial,
            max,
            healthy_after,
            max_restarts: settings.max_restarts.unwrap_or(default.max_restarts),
        })
    }

    fn number_of_tasks(&mut self, tasks: &[Written<TaskSettings>]) -> Result<(), Reported> {
        if tasks.is_empty() {
            let remedy = "describe at least one task, in a [[task]] with a name and a plugin";
            return Err(self.report("task", &Source::File(0..0), BadValue::Missing { remedy }));
        }
        if let Some(first_too_many) = tasks.get(TASKS_MAX) {
            let bad = BadValue::TooMany {
                what: "tasks",
                found: tasks.len(),
                max: TASKS_MAX,
            };
            return Err(self.report("task", &first_too_many.source, bad));
        }
        Ok(())
    }

    /// Whether one session can watch what all tasks need; see [`WATCHED_BYTES_MAX`].
    fn watched(&mut self, tasks: &[Written<TaskSettings>], config: &Config) {
        let chroot = config.zookeeper.servers.chroot();
        let mut found = 0;
        for (task, written) in config.tasks.iter().zip(tasks) {
            let paths = TaskPaths::new(&config.zookeeper.root, &task.name, task.path.as_deref());
            found += paths.watched_bytes(chroot, &config.host);
            if found > WATCHED_BYTES_MAX {
                let bad = BadValue::TooMuchToWatch {
                    found,
                    max: WATCHED_BYTES_MAX,
                };
                self.report("task", &written.source, bad);
                return;
            }
        }
    }

    fn names(&mut self, tasks: &[Written<TaskSettings>]) {
        let mut seen = BTreeSet::new();
        for name in tasks.iter().filter_map(|task| task.value.name.as_ref()) {
            if !seen.insert(&name.value) {
                self.report(
                    "task.name",
                    &name.source,
                    BadValue::NameTwice {
                        text: Excerpt::of(&name.value),
                    },
                );
            }
        }
    }

    /// A master node is ephemeral and so has no children: none may stand above or below what else is kept.
    fn paths(&mut self, tasks: &[Written<TaskSettings>], root: &str) {
        let meet = |one: &str, other: &str| {
            let below = |path: &str, parent: &str| {
                path.strip_prefix(parent)
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            one == other || below(one, other) || below(other, one)
        };
        let mut taken: Vec<&str> = Vec::new();
        for task in tasks {
            let (Some(path), name) = (&task.value.path, &task.value.name) else {
                continue;
            };
            let own = name
                .as_ref()
                .is_some_and(|name| path.value == format!("{root}/tasks/{}/master", name.value));
            let other = match taken.iter().find(|other| meet(&path.value, other)) {
                Some(other) => format!("the master node of another task, {other:?}"),
                None if !own && meet(&path.value, root) => {
                    format!("what Soloist keeps below {root:?}")
                }
                None => {
                    taken.push(&path.value);
                    continue;
                }
            };
            self.report(
                "task.path",
                &path.source,
                BadValue::PathTaken {
                    text: Excerpt::of(&path.value),
                    other,
                },
            );
        }
    }

    /// The lease must leave each task time to act.
    fn timing(
        &mut self,
        settings: &Settings,
        zookeeper: &EnsembleConfig,
        tasks: &[Result<TaskConfig, Reported>],
    ) {
        for (written, task) in settings.task.iter().zip(tasks) {
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
                (
                    "zookeeper.session_timeout",
                    &settings.zookeeper.session_timeout,
                ),
                ("zookeeper.tick_time", &settings.zookeeper.tick_time),
            ];
            let place = places
                .into_iter()
                .find_map(|(key, written)| Some((key, &written.as_ref()?.source)));
            let (key, origin) = place.unwrap_or(("task", &written.source));
            self.report(key, origin, no_room.into());
        }
    }

    /// A relative path that stands in a file is relative to the file.
    pub(super) fn beside_file(&self, origin: &Source, path: &Path) -> PathBuf {
        match (origin, self.file.and_then(|file| file.path().parent())) {
            (Source::File(_), Some(directory)) => directory.join(path),
            _ => path.to_owned(),
        }
    }
}
