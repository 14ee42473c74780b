//! The network, as far as it was granted: `http` and `tcp`.
//!
//! ```text
//! guest -> http, tcp (the imports) -> policy: is that name granted? -> resolver -> policy: is that address?
//!                                          -> gate: is there room, and still leadership? -> connection
//! ```
//!
//! The host looks a name up once, and connects to the address that it has judged. The gate knows every connection of a
//! plugin, and cuts all of them when the term ends.

mod connection;
mod contacts;
mod gate;
mod http;
mod resolver;
mod tcp;
mod tls;
mod unsent;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use contacts::{Contacted, Contacts};
pub use gate::CONNECT_TIME;
pub use http::{AnswerHttp, HEADER_BYTES};
pub use resolver::{ADDRESSES_MAX, LOOKUP_TIME, Resolve, SystemResolver};
use rustix::io::Errno;
pub(super) use tcp::{SocketsView, add_to_linker};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;

use self::gate::Gate;
use self::resolver::LookupError;
use crate::descriptors;
use crate::log::PluginLog;
use soloist_core::grants::{Endpoint, HostPattern, Network, NetworkPolicy, Refusal};
use soloist_core::meter::{Effect, Outcome};
use soloist_core::permit::Permit;
use soloist_core::term::Term;

/// How many looked-up addresses are remembered. A plugin has to look older ones up again.
const VETTED_MAX: usize = 1024;

/// The network as one store has it. When it is dropped, no connection is left.
pub(super) struct NetworkAccess {
    outbound: Arc<Outbound>,
    _watch: AbortOnDropJoinHandle<()>,
}

/// The part that outlives a call of the guest.
struct Outbound {
    /// What a server is told of who asks, if the policy says so.
    term: Arc<Term>,
    policy: NetworkPolicy,
    /// Where somebody only tries what would have to be granted: what the policy refuses passes, and is recorded.
    contacts: Option<Contacts>,
    resolver: Arc<dyn Resolve>,
    /// What answers in the place of servers, for those who try a plugin.
    answers: Option<Arc<dyn AnswerHttp>>,
    log: PluginLog,
    gate: Arc<Gate>,
    /// The addresses of granted names, each with a port that is granted there.
    vetted: Mutex<VecDeque<SocketAddr>>,
}

impl NetworkAccess {
    /// What `policy` grants, for as long as `permit` lasts, and everything if there are `contacts`. At most `sockets_max`
    /// sockets are open at once.
    ///
    /// Must be called on the runtime on which the connections live.
    pub(super) fn new(
        term: Arc<Term>,
        permit: Permit,
        (policy, contacts): (NetworkPolicy, Option<Contacts>),
        resolver: Arc<dyn Resolve>,
        answers: Option<Arc<dyn AnswerHttp>>,
        sockets_max: usize,
        log: PluginLog,
    ) -> Self {
        let (gate, watch) = Gate::new(permit, sockets_max);
        let outbound = Outbound {
            term,
            policy,
            contacts,
            resolver,
            answers,
            log,
            gate,
            vetted: Mutex::default(),
        };
        Self {
            outbound: Arc::new(outbound),
            _watch: watch,
        }
    }

    /// A socket for TCP. `EMFILE` when there are as many connections as there may be, `ENFILE` when there are on the whole
    /// host, `EACCES` once effects have ended.
    fn open_socket(&self, ipv6: bool) -> io::Result<tcp::Socket> {
        if self.outbound.policy.tcp.is_none() {
            self.outbound.gate.count(Effect::Tcp, Outcome::Grant);
            return Err(Errno::ACCESS.into());
        }
        if self.outbound.answers.is_some() {
            self.outbound.report(&LookupError::NoSockets);
            return Err(Errno::ACCESS.into());
        }
        tcp::Socket::open(&self.outbound.gate, ipv6).inspect_err(|error| {
            self.outbound.report_no_room(error);
        })
    }

    /// Lets a socket connect to an address that a lookup has given, or that a grant names.
    fn check_endpoint(&self, endpoint: SocketAddr) -> io::Result<()> {
        let host = HostPattern::from(endpoint.ip());
        let named = self
            .outbound
            .policy
            .tcp_ports(&host)
            .is_ok_and(|ports| ports.contains(&endpoint.port()));
        let is_granted = named || self.outbound.vetted().contains(&endpoint);
        let asked = match &self.outbound.contacts {
            Some(contacts) => contacts.endpoint(endpoint),
            None => Endpoint {
                host,
                port: endpoint.port(),
            },
        };
        let judged = if is_granted {
            Ok(())
        } else {
            Err(Refusal::Endpoint(asked.clone()))
        };
        let passed = self
            .outbound
            .pass(judged, |contacts| contacts.add_endpoint(&asked));
        passed.map_err(|refusal| {
            self.outbound.gate.count(Effect::Tcp, Outcome::Grant);
            self.outbound.report(&refusal);
            Errno::ACCESS.into()
        })
    }

    /// The addresses of a name that is granted for TCP. From then on a socket may connect to them, at the granted ports.
    fn look_up(
        &self,
        name: String,
    ) -> impl Future<Output = Result<Vec<IpAddr>, LookupError>> + Send + use<> {
        let outbound = Arc::clone(&self.outbound);
        async move {
            let host =
                HostPattern::new(&name).map_err(|source| LookupError::NoName { name, source })?;
            if outbound.answers.is_some() {
                // The answer would differ from day to day, and lead to no socket.
                return Err(LookupError::NoSockets).inspect_err(|error| outbound.report(error));
            }
            let ports =
                outbound
                    .policy
                    .tcp_ports(&host)
                    .or_else(|refusal| match &outbound.contacts {
                        // It is the connection that is recorded.
                        Some(_) => Ok(Vec::new()),
                        None => Err(LookupError::Refused(refusal)),
                    });
            let found = match ports {
                Ok(ports) => outbound
                    .addresses(&host)
                    .await
                    .map(|addresses| (addresses, ports)),
                Err(refused) => Err(refused),
            };
            let (addresses, ports) = found.inspect_err(|error| outbound.report(error))?;
            if let Some(contacts) = &outbound.contacts {
                contacts.found(&host, &addresses);
            }
            let mut vetted = outbound.vetted();
            for address in &addresses {
                for endpoint in ports.iter().map(|port| SocketAddr::new(*address, *port)) {
                    vetted.retain(|known| *known != endpoint);
                    vetted.push_back(endpoint);
                }
            }
            let surplus = vetted.len().saturating_sub(VETTED_MAX);
            vetted.drain(..surplus);
            Ok(addresses)
        }
    }
}

impl Drop for NetworkAccess {
    fn drop(&mut self) {
        self.outbound.gate.close();
    }
}

impl Outbound {
    /// The addresses of a granted host that may be connected to.
    async fn addresses(&self, host: &HostPattern) -> Result<Vec<IpAddr>, LookupError> {
        if !self.gate.is_open() {
            return Err(LookupError::Ended);
        }
        let found = self.addresses_in(&self.policy, host).await;
        if self.contacts.is_none() || !matches!(found, Err(LookupError::Refused(_))) {
            return found;
        }
        let everywhere = ["0.0.0.0/0", "::/0"].map(Network::new).into_iter();
        let policy = NetworkPolicy {
            networks: everywhere.filter_map(Result::ok).collect(),
            ..self.policy.clone()
        };
        let found = self.addresses_in(&policy, host).await?;
        for address in &found {
            let judged = self.policy.check_address(host, *address);
            self.pass(judged, |contacts| contacts.add_address(*address))
                .map_err(LookupError::Refused)?;
        }
        Ok(found)
    }

    async fn addresses_in(
        &self,
        policy: &NetworkPolicy,
        host: &HostPattern,
    ) -> Result<Vec<IpAddr>, LookupError> {
        tokio::select! {
            () = self.gate.closed() => Err(LookupError::Ended),
            found = resolver::addresses(&*self.resolver, policy, host) => found,
        }
    }

    /// Lets what the policy refuses pass if that is to be recorded, and says so the first time.
    fn pass(
        &self,
        judged: Result<(), Refusal>,
        record: impl FnOnce(&Contacts) -> bool,
    ) -> Result<(), Refusal> {
        let Some(contacts) = &self.contacts else {
            return judged;
        };
        let is_new = record(contacts);
        if let Err(refusal) = judged
            && is_new
        {
            let told = format!("let pass, and recorded: {refusal}");
            self.log.warn(&told, "network");
        }
        Ok(())
    }

    /// Tells in the log what was refused or failed. The guest gets no more than a code.
    fn report(&self, error: &dyn std::error::Error) {
        self.log.warn(&error.to_string(), "network");
    }

    /// Tells in the log why there is no socket, if there is no room for one.
    fn report_no_room(&self, error: &io::Error) {
        let max = self.gate.slots_max();
        let message = match Errno::from_io_error(error) {
            Some(Errno::NFILE) => descriptors::NoneLeft.to_string(),
            Some(Errno::MFILE) if self.gate.is_clogged() => String::from(
                "too many connections were closed whose other sides have not got all that was sent",
            ),
            Some(Errno::MFILE) => {
                format!("{max} connections are open, which is what `limits.sockets` allows")
            }
            _ => return,
        };
        self.log.warn(&message, "network");
    }

    fn vetted(&self) -> MutexGuard<'_, VecDeque<SocketAddr>> {
        // Each entry is right by itself.
        self.vetted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
