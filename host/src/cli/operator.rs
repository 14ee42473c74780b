//! What the operators' commands have in common: how they reach the ensemble.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use soloist_config::{BadValue, EnsembleConfig, TaskName};
use soloist_coordination::connect::Ensemble;
use soloist_coordination::observer::{Observer, ObserverError};

use soloist_core::pattern::NamePattern;
use soloist_runtime::host::ensemble;

use super::Failure;
use super::options::{ENSEMBLE, EnsembleOptions};

/// How long the ensemble is tried for unless told otherwise.
pub(super) const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Where to ask.
#[derive(Clone, Debug, clap::Args)]
// Of hosts the help says other things.
#[command(
    mut_arg("session_timeout", |it| it.help("Session timeout to ask for, for this command alone [default: 10s]")),
    mut_arg("connect_timeout", |it| it.help("Give up after this time without a session [default: 10s]"))
)]
pub(super) struct OperatorOptions {
    /// A configuration, of which only [zookeeper] matters: the same as that of the hosts will do [default: none]
    #[arg(long, env = "SOLOIST_CONFIG_FILE", value_name = "CONFIG.toml|CONFIG.json", help_heading = ENSEMBLE)]
    config_file: Option<PathBuf>,

    #[command(flatten)]
    ensemble: EnsembleOptions,
}

/// How to reach the ensemble, validated.
#[derive(Debug)]
pub(super) struct Operator {
    ensemble: Ensemble,
    connect_timeout: Duration,
}

impl OperatorOptions {
    /// Puts everything together; `matches` are those that the options come from.
    pub(super) fn operator(self, matches: &ArgMatches) -> Result<Operator, Failure> {
        let file = self.config_file;
        let given = self.ensemble.given(matches);
        let config = given.and_then(|given| {
            EnsembleConfig::load(file.as_deref(), given).map_err(anyhow::Error::from)
        });
        let config = config.map_err(Failure::Invalid)?;
        let connect_timeout = config.connect_timeout.unwrap_or(CONNECT_TIMEOUT_DEFAULT);
        let ensemble = ensemble(&config).map_err(|error| Failure::Invalid(error.into()))?;
        Ok(Operator {
            ensemble,
            connect_timeout,
        })
    }
}

impl Operator {
    /// Connects.
    pub(super) async fn connect(&self) -> Result<Observer, ObserverError> {
        Observer::connect(&self.ensemble, self.connect_timeout).await
    }

    /// Connects for one question, and closes the connection when it is answered.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Observer) -> Result<T, ObserverError>,
    ) -> Result<T, Failure> {
        self.work(async |observer| Ok(question(observer).await?))
            .await
    }

    /// Connects for work that may take further connections, and closes the last one, whatever has come of it.
    pub(super) async fn work<T>(
        &self,
        work: impl AsyncFnOnce(&mut Observer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut observer = self.connect().await?;
        let done = work(&mut observer).await;
        observer.close().await;
        done
    }
}

/// Runs a command to its end.
pub(super) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .context("cannot start a runtime")
        .map_err(Failure::RunTime)?
        .block_on(command)
}

/// Reads the id of a host from the command line: what is a name for a task is one for a host.
pub(super) fn host_id(text: &str) -> Result<String, BadValue> {
    TaskName::new(text).map(|id| id.to_string())
}

/// Reads the name of a task from the command line.
pub(super) fn task_name(text: &str) -> Result<TaskName, BadValue> {
    TaskName::new(text)
}

/// Reads the name of a task from the command line, or one with a `*` in the place of some characters.
pub(super) fn task_pattern(text: &str) -> Result<NamePattern, BadValue> {
    // What a star stands for may be a letter, so that is tried as one.
    TaskName::new(&text.replacen('*', "x", 1))?;
    Ok(NamePattern::new(text).unwrap_or_else(|| NamePattern::exactly(text)))
}
