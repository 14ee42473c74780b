//! What commands have in common: where the ensemble is, what to run, and the settings that can be given beside a file.

use std::env::{self, VarError};
use std::path::PathBuf;

use anyhow::bail;
use clap::ArgMatches;
use clap::parser::ValueSource;
use soloist_config::{
    AclWire, Amount, BadValue, Config, ConfigError, DirectoryWire, EnsembleWire, Given, GrantsWire,
    LimitsWire, Place, Problem, SecretFileWire, SecretWire, TaskWire, Written,
};
use soloist_core::secret::Secret;

use super::Failure;

const AUTH_VARIABLE: &str = "SOLOIST_ZOOKEEPER_AUTH";

/// How to reach the ensemble, for hosts and operators alike.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct EnsembleOptions {
    /// Servers of the ensemble and a chroot [default: localhost:2181]
    #[arg(long, env = "SOLOIST_ZOOKEEPER", value_name = "HOST:PORT,...[/CHROOT]", help_heading = ENSEMBLE)]
    zookeeper: Option<String>,

    /// Node, below the chroot, that everything Soloist keeps lies below [default: /soloist]
    #[arg(long, env = "SOLOIST_ROOT", value_name = "NODE", help_heading = ENSEMBLE)]
    root: Option<String>,

    /// Session timeout to ask for: a host that dies is replaced after about this time [default: 10s]
    #[arg(long, env = "SOLOIST_SESSION_TIMEOUT", value_name = "DURATION", help_heading = ENSEMBLE)]
    session_timeout: Option<String>,

    /// Give up after this time without a first session; whoever has had one tries for ever [default: never to run, 10s to
    /// ask a question]
    #[arg(long, env = "SOLOIST_CONNECT_TIMEOUT", value_name = "DURATION", help_heading = ENSEMBLE)]
    connect_timeout: Option<String>,

    /// File that holds the identity to show, SCHEME:CREDENTIAL; the variable SOLOIST_ZOOKEEPER_AUTH can hold it instead
    /// [default: none]
    #[arg(long, env = "SOLOIST_AUTH_FILE", value_name = "FILE", help_heading = ENSEMBLE)]
    auth_file: Option<PathBuf>,

    /// Who may do what with the nodes: world, creator, creator-world-read, or SCHEME:ID:PERMISSIONS,...
    /// [default: world]
    #[arg(long, env = "SOLOIST_ACL", help_heading = ENSEMBLE)]
    acl: Option<String>,
}

/// All that decides what a host does. Every option that can stand alone has a variable of its own.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Options {
    /// A configuration, if its name ends in .toml or .json, else a plugin to run as the only task
    #[arg(value_name = "PLUGIN|CONFIG.toml|CONFIG.json")]
    subject: PathBuf,

    #[command(flatten)]
    ensemble: EnsembleOptions,

    /// tickTime of the ensemble [default: 2s]
    #[arg(long, env = "SOLOIST_TICK_TIME", value_name = "DURATION", help_heading = ENSEMBLE)]
    tick_time: Option<String>,

    /// Bytes a second that all plugins of this host together may write to their states in the long run [default: 1MiB]
    #[arg(long, env = "SOLOIST_STATE_RATE", value_name = "BYTES", help_heading = ENSEMBLE)]
    state_rate: Option<String>,

    /// Prefixes by which this host's network translates IPv6 to IPv4 (NAT64), like 2001:db8:64::/96: an address in one is
    /// judged as the IPv4 address that it stands for [default: none besides 64:ff9b::/96]
    #[arg(long, env = "SOLOIST_NAT64", value_name = "PREFIX,...", value_delimiter = ',', help_heading = ENSEMBLE)]
    nat64: Option<Vec<String>>,

    /// Id of this host, unique in the ensemble [default: HOSTNAME-RANDOM, new for every process, so that a restarted host
    /// never waits for the session it had before]
    #[arg(long, env = "SOLOIST_HOST_ID", value_name = "ID", help_heading = ENSEMBLE)]
    host_id: Option<String>,

    /// Name of the task [default: the plugin's file name without its extension]
    #[arg(long, env = "SOLOIST_TASK", value_name = "NAME", help_heading = TASK)]
    task: Option<String>,

    /// SHA-256 that the plugin's file must have, in 64 hexadecimal digits [default: any]
    #[arg(long, env = "SOLOIST_SHA256", value_name = "DIGITS", help_heading = TASK)]
    sha256: Option<String>,

    /// Master node, below the chroot, to contend for with programs that know nothing of Soloist
    /// [default: ROOT/tasks/NAME/master]
    #[arg(long, env = "SOLOIST_PATH", value_name = "NODE", help_heading = TASK)]
    path: Option<String>,

    /// An entry of the plugin's configuration; can be repeated, the last one of a key counts [no variable]
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry, help_heading = TASK)]
    config: Vec<(String, String)>,

    /// Let the plugin keep state in the ensemble [default: false]
    #[arg(long, env = "SOLOIST_ALLOW_STATE", value_name = "true|false", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", help_heading = TASK)]
    allow_state: Option<String>,

    /// Let the plugin make requests to these origins, like https://api.example.com or http://*.internal:8080
    /// [default: none]
    #[arg(long, env = "SOLOIST_ALLOW_HTTP", value_name = "ORIGIN,...", value_delimiter = ',', help_heading = TASK)]
    allow_http: Option<Vec<String>>,

    /// Let the plugin connect to these endpoints by TCP, like db.example.com:5432 [default: none]
    #[arg(long, env = "SOLOIST_ALLOW_TCP", value_name = "HOST:PORT,...", value_delimiter = ',', help_heading = TASK)]
    allow_tcp: Option<Vec<String>>,

    /// Let the names granted to the plugin lie in these networks besides the public ones, like 10.0.0.0/8
    /// [default: none]
    #[arg(long, env = "SOLOIST_ALLOW_NETWORKS", value_name = "NETWORK,...", value_delimiter = ',', help_heading = TASK)]
    allow_networks: Option<Vec<String>>,

    /// Let the plugin's requests carry the headers Soloist-Task and Soloist-Fencing-Token [default: true]
    #[arg(long, env = "SOLOIST_IDENTIFY", value_name = "true|false", help_heading = TASK)]
    identify: Option<String>,

    /// Let the plugin see a directory; read only, unless MODE is write; can be repeated [default: none; no variable]
    #[arg(long, value_name = "DIR:AS[:MODE]", value_parser = directory, help_heading = TASK)]
    allow_dir: Vec<DirectoryWire>,

    /// A variable of the plugin's environment; can be repeated [default: none; no variable]
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry, help_heading = TASK)]
    env: Vec<(String, String)>,

    /// A variable of the plugin's environment, taken from this host's or from a file, that no log shows; can be
    /// repeated [default: none; no variable]
    #[arg(long, value_name = "NAME[=FILE]", value_parser = secret, help_heading = TASK)]
    secret: Vec<SecretWire>,

    /// A limit of the plugin, by its key in the configuration, like memory=64MiB; can be repeated [default: each has its
    /// own; no variable]
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry, help_heading = TASK)]
    limit: Vec<(String, String)>,

    /// Time for on_demoted; then the plugin is stopped by force [default: 2s]
    #[arg(long, env = "SOLOIST_DEMOTE_TIMEOUT", value_name = "DURATION", help_heading = TASK)]
    demote_timeout: Option<String>,

    /// Time to wait before leading when the leader before did not say that it had stopped [default: none]
    #[arg(long, env = "SOLOIST_SUCCESSOR_DELAY", value_name = "DURATION", help_heading = TASK)]
    successor_delay: Option<String>,

    /// What follows when on_elected returns: hold leadership, resign, or restart it after a pause [default: hold]
    #[arg(long, env = "SOLOIST_ON_COMPLETE", value_name = "hold|resign|restart", help_heading = TASK)]
    on_complete: Option<String>,
}

pub(super) const ENSEMBLE: &str = "Ensemble";
const TASK: &str = "Task (only with a PLUGIN)";

#[derive(Debug, thiserror::Error)]
#[error("write KEY=VALUE")]
struct NoEntry;

fn entry(text: &str) -> Result<(String, String), NoEntry> {
    let (key, value) = text.split_once('=').ok_or(NoEntry)?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Debug, thiserror::Error)]
#[error("write NAME or NAME=FILE")]
struct NoSecret;

fn secret(text: &str) -> Result<SecretWire, NoSecret> {
    match text.split_once('=') {
        Some((_, "")) => Err(NoSecret),
        Some((name, file)) => Ok(SecretWire::File(SecretFileWire {
            name: name.to_owned(),
            file: file.into(),
        })),
        None => Ok(SecretWire::Variable(text.to_owned())),
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "write DIR:AS or DIR:AS:MODE, where AS begins with a slash, like /var/lib/report:/data:write"
)]
struct NoDirectory;

fn directory(text: &str) -> Result<DirectoryWire, NoDirectory> {
    // What the plugin sees begins with a slash, a mode does not.
    let (rest, mode) = match text.rsplit_once(':') {
        Some((rest, mode)) if !mode.starts_with('/') => (rest, Some(mode.to_owned())),
        _ => (text, None),
    };
    let (host, guest) = rest.rsplit_once(':').ok_or(NoDirectory)?;
    Ok(DirectoryWire {
        host: host.into(),
        guest: guest.to_owned(),
        mode,
    })
}

impl EnsembleOptions {
    /// What was said of the ensemble; `matches` are those that the options come from.
    pub(super) fn given(self, matches: &ArgMatches) -> anyhow::Result<EnsembleWire> {
        let from = Sources(matches);
        let auth_file = from.written("auth_file", self.auth_file);
        // A flag is preferred to any variable, also to one that says the same thing in another way.
        let auth = if from.is_typed("auth_file") {
            None
        } else {
            auth_variable()?
        };
        Ok(EnsembleWire {
            servers: from.written("zookeeper", self.zookeeper),
            root: from.written("root", self.root),
            session_timeout: from.written("session_timeout", self.session_timeout),
            tick_time: None,
            connect_timeout: from.written("connect_timeout", self.connect_timeout),
            auth,
            auth_file,
            acl: from.written("acl", self.acl.map(AclWire::Line)),
            state_rate: None,
        })
    }
}

impl Options {
    /// Puts everything together; `matches` are those that the options come from.
    pub(super) fn config(self, matches: &ArgMatches) -> Result<Config, Failure> {
        let subject = self.subject.clone();
        self.given(matches)
            .and_then(|given| Config::load(&subject, given).map_err(anyhow::Error::from))
            .map_err(Failure::Invalid)
    }

    fn given(self, matches: &ArgMatches) -> anyhow::Result<Given> {
        let from = Sources(matches);
        let tick_time = from.written("tick_time", self.tick_time);
        let state_rate = from.written("state_rate", self.state_rate.map(Amount::Text));
        Ok(Given {
            host_id: from.written("host_id", self.host_id),
            nat64: from.list("nat64", self.nat64),
            zookeeper: EnsembleWire {
                tick_time,
                state_rate,
                ..self.ensemble.given(matches)?
            },
            task: TaskWire {
                name: from.written("task", self.task),
                sha256: from.written("sha256", self.sha256),
                path: from.written("path", self.path),
                config: self
                    .config
                    .into_iter()
                    .map(|(key, value)| {
                        (key.clone(), Written::flag(value, format!("--config {key}")))
                    })
                    .collect(),
                allow: GrantsWire {
                    state: from.written(
                        "allow_state",
                        from.parsed("allow_state", self.allow_state, boolean)?,
                    ),
                    http: from.list("allow_http", self.allow_http),
                    tcp: from.list("allow_tcp", self.allow_tcp),
                    networks: from
                        .list("allow_networks", self.allow_networks)
                        .unwrap_or_default(),
                    identify: from
                        .written("identify", from.parsed("identify", self.identify, boolean)?),
                    dirs: Some(flags(self.allow_dir, "--allow-dir"))
                        .filter(|dirs| !dirs.is_empty()),
                    env: self
                        .env
                        .into_iter()
                        .map(|(name, value)| {
                            (name.clone(), Written::flag(value, format!("--env {name}")))
                        })
                        .collect(),
                    secrets: flags(self.secret, "--secret"),
                },
                limits: limits(self.limit)?,
                demote_timeout: from.written("demote_timeout", self.demote_timeout),
                successor_delay: from.written("successor_delay", self.successor_delay),
                on_complete: from.written("on_complete", self.on_complete),
                ..TaskWire::default()
            },
        })
    }
}

fn limits(entries: Vec<(String, String)>) -> anyhow::Result<LimitsWire> {
    let mut limits = LimitsWire::default();
    for (key, value) in entries {
        if !limits.set(
            &key,
            Written::flag(Amount::Text(value), format!("--limit {key}")),
        ) {
            bail!(
                "--limit: there is no limit {key:?}; there are {}",
                LimitsWire::KEYS.join(", ")
            );
        }
    }
    Ok(limits)
}

fn flags<T>(values: Vec<T>, name: &str) -> Vec<Written<T>> {
    values
        .into_iter()
        .map(|value| Written::flag(value, name))
        .collect()
}

/// Reads what a flag or a variable that is on or off says.
pub(super) fn boolean(text: &str) -> Result<bool, BadValue> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(BadValue::choice(
            text,
            "\"true\", \"yes\", \"on\" or \"1\", or \"false\", \"no\", \"off\" or \"0\"",
        )),
    }
}

fn auth_variable() -> anyhow::Result<Option<Written<Secret>>> {
    match env::var(AUTH_VARIABLE) {
        Ok(auth) => Ok(Some(Written::variable(Secret::new(auth), AUTH_VARIABLE))),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            bail!("{AUTH_VARIABLE}: not an identity: it is not text in UTF-8")
        }
    }
}

/// Knows where the value of each option comes from: the command line, or the environment.
pub(super) struct Sources<'a>(pub(super) &'a ArgMatches);

impl Sources<'_> {
    fn is_typed(&self, id: &str) -> bool {
        self.0.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// Where the value of an option comes from.
    pub(super) fn place(&self, id: &str) -> Place {
        if self.is_typed(id) {
            Place::Flag(flag(id))
        } else {
            Place::Variable(variable(id))
        }
    }

    /// Reads the value of an option. clap would, but blames a flag for what its variable says.
    pub(super) fn parsed<T>(
        &self,
        id: &str,
        value: Option<String>,
        parse: impl FnOnce(&str) -> Result<T, BadValue>,
    ) -> Result<Option<T>, ConfigError> {
        let bad = |bad| {
            ConfigError::Invalid(vec![Problem {
                place: self.place(id),
                bad,
            }])
        };
        value.map(|text| parse(&text).map_err(bad)).transpose()
    }

    /// Notes where the values of a list come from. What is empty is a list of nothing.
    fn list(&self, id: &str, values: Option<Vec<String>>) -> Option<Vec<Written<String>>> {
        let values = values?.into_iter().filter(|value| !value.is_empty());
        Some(
            values
                .filter_map(|value| self.written(id, Some(value)))
                .collect(),
        )
    }

    /// Notes where the value of an option comes from.
    fn written<T>(&self, id: &str, value: Option<T>) -> Option<Written<T>> {
        let value = value?;
        Some(if self.is_typed(id) {
            Written::flag(value, flag(id))
        } else {
            Written::variable(value, variable(id))
        })
    }
}

/// The flag of an option is named after its id.
fn flag(id: &str) -> String {
    format!("--{}", id.replace('_', "-"))
}

/// The variable of an option is named after its id.
fn variable(id: &str) -> String {
    format!("SOLOIST_{}", id.to_uppercase())
}
