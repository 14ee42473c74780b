//! What can be set of the only task beside its plugin, where there is no file.

use anyhow::bail;
use clap::ArgMatches;
use soloist_config::{
    Amount, DirectoryWire, GrantsWire, LimitsWire, SecretFileWire, SecretWire, TaskWire, Written,
};

use super::{Sources, boolean};

const TASK: &str = "Task (only with a PLUGIN)";

/// All that can be set of a single task.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct TaskOptions {
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
    #[arg(long, visible_alias = "set", value_name = "KEY=VALUE", value_parser = entry, help_heading = TASK)]
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

impl TaskOptions {
    /// What was said of the task; `matches` are those that the options come from.
    pub(in crate::cli) fn given(self, matches: &ArgMatches) -> anyhow::Result<TaskWire> {
        let from = Sources(matches);
        Ok(TaskWire {
            name: from.written("task", self.task),
            sha256: from.written("sha256", self.sha256),
            path: from.written("path", self.path),
            config: self
                .config
                .into_iter()
                .map(|(key, value)| (key.clone(), Written::flag(value, format!("--config {key}"))))
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
                dirs: Some(flags(self.allow_dir, "--allow-dir")).filter(|dirs| !dirs.is_empty()),
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
