//! `soloist run`: stand for the tasks until asked to stop.

use std::env;
use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use clap::ArgMatches;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use soloist::host;
use soloist::reporter::{LogFormat, Reporter};
use soloist::shutdown::Shutdown;
use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::Failure;
use super::options::Options;

/// Stand for one task, a plugin, or for those of a configuration, until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    options: Options,

    /// How lines look: for a person, or one JSON object each
    #[arg(long, env = "SOLOIST_LOG_FORMAT", value_name = "FORMAT", default_value = "text", help_heading = OUTPUT)]
    log_format: LogFormat,

    /// The least grave lines to show
    #[arg(long, env = "SOLOIST_LOG_LEVEL", value_name = "LEVEL", default_value = "info", help_heading = OUTPUT,
          value_parser = PossibleValuesParser::new(LEVELS).try_map(|level| level.parse::<Level>()))]
    log_level: Level,
}

const OUTPUT: &str = "Output";
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

impl Run {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let config = self.options.config(matches)?;
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
        let Some(plugins) = loaded else { return Ok(()) };
        coordination.block_on(host::run(config, plugins, shutdown)).map_err(Failure::from)
    }
}

/// Sends every line to stdout, by way of a thread of its own.
///
/// Lines are dropped rather than waited for: whoever does not read what a host says must not be able to cost it the
/// lease.
fn report(format: LogFormat, level: Level, host: &str) -> anyhow::Result<WorkerGuard> {
    let colour = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (lines, guard) = NonBlockingBuilder::default().lossy(true).finish(io::stdout());
    tracing_subscriber::registry()
        .with(Reporter::new(lines, format, level, colour, host.to_owned()))
        .try_init()
        .context("cannot set up the log")?;
    Ok(guard)
}
