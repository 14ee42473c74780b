//! `soloist ensemble`: an ensemble in this process, to develop with.

use std::net::SocketAddr;
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
/// nothing of what ZooKeeper is there for: it is one process, anybody on this machine can reach it, and when it ends, what
/// it holds is gone.
///
/// It runs until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub(super) struct Ensemble {
    /// Where to listen: an address of the loopback device. With port 0 the system chooses a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:2181")]
    listen: SocketAddr,

    /// The tick: sessions time out after 2 to 20 of them. The hosts' tick_time must say the same
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    tick_time: Duration,
}

impl Ensemble {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Self { listen, tick_time } = self;
        let (shutdown, _) = signals::listen(Hangup::End)
            .context("cannot listen to signals")
            .map_err(Failure::RunTime)?;
        block_on(async {
            let settings = Settings {
                listen,
                tick: tick_time,
                clock: Clock::real(),
            };
            let server = Server::start(settings).await?;
            print(&format!(
                "for development: an ensemble in memory at {}, which nothing outlives\n",
                server.address()
            ))?;
            shutdown.requested().await;
            Ok(server.stop().await?)
        })
    }
}

impl From<EnsembleError> for Failure {
    fn from(error: EnsembleError) -> Self {
        match error {
            EnsembleError::NotLoopback { .. } => Self::Invalid(error.into()),
            error => Self::RunTime(error.into()),
        }
    }
}
