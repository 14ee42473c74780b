//! `soloist ensemble`: an ensemble in this process, to develop with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use soloist_dev::ensemble::{Clock, Ensemble as Server, EnsembleError, Settings};
use soloist_runtime::signals::{self, Hangup};

use super::Failure;
use super::operator::block_on;
use super::output::print;

/// Serve as an ensemble, for development: in memory, on this machine alone, without Java
///
/// It speaks ZooKeeper's protocol, so `soloist run`, `soloist status` and ZooKeeper's own clients can use it. It promises
/// nothing of what ZooKeeper is there for: it is one process, anybody on this machine can reach it, and without a
/// --snapshot what it holds is gone when it ends.
///
/// It runs until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub(super) struct Ensemble {
    /// Where to listen: an address of the loopback device. With port 0 the system chooses a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2181")]
    listen: SocketAddr,

    /// A file that holds all of it, sessions included, when it ends, and is read at the next start. What changes reaches it
    /// within a second or so: it may be lost if the process is killed [default: none]
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,

    /// The tick: sessions time out after 2 to 20 of them. The hosts' tick_time must say the same
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = tick)]
    tick_time: Duration,
}

/// Reads a tick: ZooKeeper counts in milliseconds, and a session of 20 of them is to be counted too.
fn tick(text: &str) -> Result<Duration, String> {
    let tick = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_millis(1)..=Duration::from_hours(1);
    if range.contains(&tick) {
        Ok(tick)
    } else {
        Err("a tick is between 1ms and 1h".into())
    }
}

impl Ensemble {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Self {
            listen,
            snapshot,
            tick_time,
        } = self;
        let (shutdown, _) = signals::listen(Hangup::End)
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        block_on(async {
            let settings = Settings {
                listen,
                tick: tick_time,
                clock: Clock::real(),
                snapshot,
            };
            let server = Server::start(settings).await?;
            print(&format!(
                "for development: an ensemble at {}, in one process and in memory; it promises nothing of what ZooKeeper \
                 is there for\n",
                server.address()
            ))?;
            tokio::select! {
                () = shutdown.requested() => Ok(server.stop().await?),
                error = server.failed() => Err(error.into()),
            }
        })
    }
}

impl From<EnsembleError> for Failure {
    fn from(error: EnsembleError) -> Self {
        match error {
            EnsembleError::NotLoopback { .. } | EnsembleError::BadSnapshot { .. } => {
                Self::Invalid(error.into())
            }
            error => Self::RunTime(error.into()),
        }
    }
}
