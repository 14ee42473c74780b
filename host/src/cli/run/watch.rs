//! `--listen`: telling over HTTP how the host is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use soloist_admin::page::Settings;
use soloist_admin::{Listener, Pages, Serving, Told};
use soloist_config::{Config, ListenConfig};
use soloist_core::event::{About, Event, Subscriber};
use soloist_core::guardian::Past;
use soloist_core::journal::Journal;
use soloist_core::roster::{self, Roster};
use soloist_runtime::report::{KeptLines, Levels};

use super::page::EnsembleLook;
use crate::cli::Failure;
use crate::cli::listener::{files, tls};
use crate::cli::plugins::warn_if_readable;
use crate::guardian::{self, Line};

/// How long nothing is asked after no server of the ensemble could be found.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// An address at which the host is about to tell how it is.
pub(super) struct Watch {
    listener: Listener,
    listen: ListenConfig,
    /// The address that the guardian has, if it is not the one of the configuration.
    elsewhere: Option<SocketAddr>,
    /// What the guardian has seen before, if there is one.
    past: Option<Past>,
    host: Arc<str>,
    roster: Arc<Roster>,
    told: Arc<Told>,
    journal: Arc<Journal>,
    look: EnsembleLook,
}

impl Watch {
    /// Takes the address, before anything that takes long. From here on the host measures. None if it is not to listen.
    /// A process that has a guardian has the address from there.
    pub(super) fn begin(config: &Config, line: Option<&mut Line>) -> Result<Option<Self>, Failure> {
        let Some(listen) = config.listen.clone() else {
            return Ok(None);
        };
        let tls = tls(&listen).map_err(|error| Failure::Invalid(error.into()))?;
        let past = line.as_ref().map(|line| line.past());
        let given = line.and_then(Line::take_listener);
        let listener = match given {
            Some(socket) => Listener::given(socket)
                .context("cannot listen at the address of the guardian")
                .map_err(Failure::RunTime)?,
            None => bind(&listen)?,
        };
        let elsewhere = listener.address().ok().filter(|at| !is_meant(&listen, *at));
        let listener = listener.over(tls);
        let roster = roster::start();
        let told = Arc::new(Told::new(Arc::clone(&roster)));
        Ok(Some(Self {
            listener,
            listen,
            elsewhere,
            past,
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

    /// How it is reached, but for the address, if it answers at all addresses of this machine: then [`tell_address`] has to say
    /// at which of them.
    pub(super) fn door_of_all(&self) -> Option<Door> {
        let address = self.listener.address().ok()?;
        address.ip().is_unspecified().then_some(Door {
            port: address.port(),
            over_tls: self.listen.tls.is_some(),
        })
    }

    /// Answers, until what is returned is dropped.
    pub(super) fn serve(self) -> Result<Serving, Failure> {
        let ListenConfig {
            address: _,
            token,
            token_file,
            values,
            orders,
            orders_file,
            tls,
        } = &self.listen;
        if let Some(file) = token_file {
            warn_if_readable("listen_token_file", file);
        }
        if let Some(file) = orders_file {
            warn_if_readable("listen_admin_token_file", file);
        }
        if let Some(tls) = tls {
            warn_if_readable("listen_key", &tls.key);
        }
        let over_tls = tls.is_some();
        let settings = Settings {
            tells_values: *values,
            orders: orders.as_ref(),
        };
        let is_open = is_open(&self.listen);
        let roster = Arc::clone(&self.roster);
        let pages = Pages::new(self.host, self.roster, self.told, token.as_ref(), is_open)
            .with_lines(self.journal)
            .with_guardian(self.past);
        let pages = match self.elsewhere {
            // Who may ask was decided for another address.
            Some(elsewhere) => {
                tracing::warn!(
                    "`listen` is {} now, and the guardian still listens at {elsewhere}: nothing but probes is answered there, until \
                     Soloist is stopped and started",
                    self.listen.address
                );
                pages.for_nobody()
            }
            None => pages
                .with_page(Box::new(self.look), settings)
                .context("cannot look at the ensemble for the page")
                .map_err(Failure::RunTime)?,
        };
        let open = || {
            let address = self.listener.address()?;
            if !address.ip().is_unspecified() && self.elsewhere.is_none() {
                roster.listens_at(url(address, over_tls));
            }
            About::Session.report(&Event::HostListening {
                address: address.to_string(),
                over_tls,
            });
            self.listener.serve(pages)
        };
        open()
            .context("cannot answer at `listen`")
            .map_err(Failure::RunTime)
    }
}

/// Where a guardian has the host answer.
pub(super) fn door(listen: &ListenConfig) -> Result<guardian::Door, Failure> {
    Ok(guardian::Door {
        listener: bind(listen)?,
        tls: files(listen),
        token: listen.token.clone(),
        is_open: is_open(listen),
    })
}

/// Whether an address is the one that the configuration has.
fn is_meant(listen: &ListenConfig, at: SocketAddr) -> bool {
    let wanted = listen.address;
    at.ip() == wanted.ip() && (wanted.port() == 0 || at.port() == wanted.port())
}

/// Whether everybody who can reach the address may ask, if there is no token.
fn is_open(listen: &ListenConfig) -> bool {
    !listen.address.ip().to_canonical().is_loopback()
}

/// Takes the address.
fn bind(listen: &ListenConfig) -> Result<Listener, Failure> {
    Listener::bind(listen.address)
        .with_context(|| format!("cannot listen at {}", listen.address))
        .map_err(Failure::RunTime)
}

/// Where the host is reached that answers at this address.
fn url(address: SocketAddr, over_tls: bool) -> String {
    let scheme = if over_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// How a host is reached, but for its address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Door {
    port: u16,
    over_tls: bool,
}

/// A number that no process of this host had before.
fn epoch() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

/// Finds out at which of its addresses others reach this host, if it listens at all of them: at the one from which it reaches
/// the ensemble. Without a network it tries again for ever.
pub(super) async fn tell_address(roster: Arc<Roster>, door: Door, servers: String) {
    loop {
        for server in servers.split(',') {
            if let Ok(mut found) = tokio::net::lookup_host(server).await
                && let Some(ip) = found.find_map(local_address)
            {
                return roster.listens_at(url(SocketAddr::new(ip, door.port), door.over_tls));
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
