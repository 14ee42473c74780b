//! `--listen`: telling over HTTP how the host is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use soloist_admin::page::Settings;
use soloist_admin::{Listener, Pages, Serving, Told};
use soloist_config::{Config, ListenConfig};
use soloist_core::event::{About, Event, Subscriber};
use soloist_core::journal::Journal;
use soloist_core::roster::{self, Roster};
use soloist_runtime::report::{KeptLines, Levels};

use super::page::EnsembleLook;
use crate::cli::Failure;
use crate::cli::plugins::warn_if_readable;

/// How long nothing is asked after no server of the ensemble could be found.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// An address at which the host is about to tell how it is.
pub(super) struct Watch {
    listener: Listener,
    listen: ListenConfig,
    host: Arc<str>,
    roster: Arc<Roster>,
    told: Arc<Told>,
    journal: Arc<Journal>,
    look: EnsembleLook,
}

impl Watch {
    /// Takes the address, before anything that takes long. From here on the host measures. None if it is not to listen.
    pub(super) fn begin(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(listen) = config.listen.clone() else {
            return Ok(None);
        };
        let listener = Listener::bind(listen.address)
            .with_context(|| format!("cannot listen at {}", listen.address))
            .map_err(Failure::RunTime)?;
        let roster = roster::start();
        let told = Arc::new(Told::new(Arc::clone(&roster)));
        Ok(Some(Self {
            listener,
            listen,
            host: Arc::clone(&config.host),
            roster,
            told,
            journal: Arc::new(Journal::new(epoch())),
            look: EnsembleLook::new(&config.zookeeper, &config.host)?,
        }))
    }

    /// What has to hear of events: what counts them, and what keeps the lines of these levels that are about tasks.
    pub(super) fn subscribers(&self, levels: &Levels) -> Vec<Box<dyn Subscriber>> {
        let journal = Arc::clone(&self.journal);
        let kept = KeptLines::new(journal, levels.clone(), self.host.to_string());
        vec![Box::new(Arc::clone(&self.told)), Box::new(kept)]
    }

    /// The port, if it answers at all addresses of this machine: then [`tell_address`] has to say at which of them.
    pub(super) fn port_of_all(&self) -> Option<u16> {
        let address = self.listener.address().ok()?;
        address.ip().is_unspecified().then_some(address.port())
    }

    /// Answers, until what is returned is dropped.
    pub(super) fn serve(self) -> Result<Serving, Failure> {
        let ListenConfig {
            address,
            token,
            token_file,
            values,
            orders,
            orders_file,
        } = &self.listen;
        if let Some(file) = token_file {
            warn_if_readable("listen_token_file", file);
        }
        if let Some(file) = orders_file {
            warn_if_readable("listen_admin_token_file", file);
        }
        let settings = Settings {
            tells_values: *values,
            orders: orders.as_ref(),
        };
        let is_open = !address.ip().to_canonical().is_loopback();
        let roster = Arc::clone(&self.roster);
        let pages = Pages::new(self.host, self.roster, self.told, token.as_ref(), is_open)
            .with_lines(self.journal)
            .with_page(Box::new(self.look), settings)
            .context("cannot look at the ensemble for the page")
            .map_err(Failure::RunTime)?;
        let open = || {
            let address = self.listener.address()?;
            if !address.ip().is_unspecified() {
                roster.listens_at(url(address));
            }
            About::Session.report(&Event::HostListening {
                address: address.to_string(),
            });
            self.listener.serve(pages)
        };
        open()
            .context("cannot answer at `listen`")
            .map_err(Failure::RunTime)
    }
}

/// Where the host is reached that answers at this address.
fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A number that no process of this host had before.
fn epoch() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

/// Finds out at which of its addresses others reach this host, if it listens at all of them: at the one from which it reaches
/// the ensemble. Without a network it tries again for ever.
pub(super) async fn tell_address(roster: Arc<Roster>, port: u16, servers: String) {
    loop {
        for server in servers.split(',') {
            if let Ok(mut found) = tokio::net::lookup_host(server).await
                && let Some(ip) = found.find_map(local_address)
            {
                return roster.listens_at(url(SocketAddr::new(ip, port)));
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// From which address of its own this machine reaches that one. Nothing is sent.
fn local_address(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
