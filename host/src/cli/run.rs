//! `soloist run`: stand for the tasks until asked to stop.

use std::env;
use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use clap::builder::{FalseyValueParser, PossibleValuesParser, TypedValueParser as _};
use clap::parser::ValueSource;
use soloist::host::{self, HostError, Until};
use soloist::reporter::{LastLines, LineQueue, LogFormat, Reporter};
use soloist::shutdown::Shutdown;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Failure;
use super::options::Options;

/// Stand for one task, a plugin, or for those of a configuration, until SIGINT or SIGTERM; with --once until the plugin
/// has completed.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    options: Options,

    /// Stand for the only task until on_elected has returned without an error on this host, whatever `on_complete` says: give
    /// it back then, and end with code 0. If the plugin fails once more than it may be restarted, end with code 1
    #[arg(long, env = "SOLOIST_ONCE", value_parser = FalseyValueParser::new(), help_heading = RUN)]
    once: bool,

    /// How lines look: for a person, or one JSON object each
    #[arg(long, env = "SOLOIST_LOG_FORMAT", value_name = "FORMAT", default_value = "text", help_heading = OUTPUT)]
    log_format: LogFormat,

    /// The least grave lines to show
    #[arg(long, env = "SOLOIST_LOG_LEVEL", value_name = "LEVEL", default_value = "info", help_heading = OUTPUT,
          value_parser = PossibleValuesParser::new(LEVELS).try_map(|level| level.parse::<Level>()))]
    log_level: Level,
}

const RUN: &str = "How long";
const OUTPUT: &str = "Output";
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

impl Run {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let config = self.options.config(matches)?;
        if self.once && config.tasks.len() > 1 {
            let typed = matches.value_source("once") == Some(ValueSource::CommandLine);
            let place = if typed { "--once" } else { "SOLOIST_ONCE" };
            let tasks = config.tasks.len();
            return Err(Failure::Invalid(anyhow!(
                "{place}: is for a single task, but there are {tasks}: leave it out"
            )));
        }
        let until = if self.once { Until::Completion } else { Until::Shutdown };
        let _flushed_when_dropped = report(self.log_format, self.log_level, &config.host).map_err(Failure::RunTime)?;
        // Before the plugins are compiled, which takes its time.
        let shutdown = Shutdown::on_signals().context("cannot listen to signals").map_err(Failure::RunTime)?;
        // This thread runs the elections and renews the lease; plugins have threads of their own.
        let coordination = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the coordination runtime")
            .map_err(Failure::RunTime)?;
        let loaded = coordination.block_on(super::plugins::load_until(&shutdown, &config))?;
        let Some(plugins) = loaded else {
            return if self.once { Err(HostError::Interrupted.into()) } else { Ok(()) };
        };
        coordination.block_on(host::run(config, plugins, until, shutdown)).map_err(Failure::from)
    }
}

/// Sends every line to stdout, by way of a thread of its own.
///
/// Lines are dropped rather than waited for: whoever does not read what a host says must not be able to cost it the
/// lease.
fn report(format: LogFormat, level: Level, host: &str) -> anyhow::Result<LastLines> {
    let colour = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (lines, guard) = LineQueue::to(io::stdout()).context("cannot start the thread that writes the log")?;
    tracing_subscriber::registry()
        .with(Reporter::new(lines, format, level, colour, host.to_owned()))
        .try_init()
        .context("cannot set up the log")?;
    Ok(guard)
}
