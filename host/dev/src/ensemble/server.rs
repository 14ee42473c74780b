//! The server: the machine with its connections, its clock and its doors.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::clock::Clock;
use super::error::EnsembleError;
use super::machine::{Machine, Now};
use super::node::{CONTAINER, Node};
use super::sessions::{Secret, Sessions};
use super::tree::Tree;

mod connection;
mod door;
mod file;
mod outlets;
mod words;

pub use door::Door;
use outlets::Outlets;

/// How much memory the nodes may take, about.
const TREE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What kind of ensemble to have.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens: a loopback address. With port 0 the system chooses a free one.
    pub listen: SocketAddr,
    /// Its tick: session timeouts are between 2 and 20 of them.
    pub tick: Duration,
    /// What sessions go by.
    pub clock: Clock,
    /// A file that holds all of it, sessions included, when it ends; what is there already is read first. What changes
    /// reaches the file within a second or so: it may be lost if the process is killed.
    pub snapshot: Option<PathBuf>,
}

impl Default for Settings {
    /// A free port of 127.0.0.1, ZooKeeper's own tick of 2 s, real time, no snapshot.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tick: Duration::from_secs(2),
            clock: Clock::real(),
            snapshot: None,
        }
    }
}

/// A running ensemble. It ends when this is dropped.
#[derive(Debug)]
pub struct Ensemble {
    shared: Arc<Shared>,
    door: Door,
    /// Whoever waits for it is to end when it is gone.
    running: watch::Sender<()>,
    snapshot: Option<PathBuf>,
    /// Why the snapshot could not be written.
    failure: watch::Receiver<Option<EnsembleError>>,
}

/// A session, for whoever wants to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: i64,
    /// The timeout that was agreed on.
    pub timeout: Duration,
    /// After which time it is over, if nothing is heard of it.
    pub expires_in: Duration,
    /// Whether it has a connection.
    pub connected: bool,
    /// The nodes that go with it.
    pub ephemerals: Vec<String>,
}

/// A node, for whoever wants to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its path.
    pub path: String,
    /// What it holds.
    pub data: Vec<u8>,
    /// How often that was changed.
    pub version: i32,
    /// The session that it goes with.
    pub ephemeral_owner: Option<i64>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: Clock,
    /// Whose turn it is to write the snapshot.
    turn: Mutex<()>,
    /// The newest transaction.
    changes: watch::Sender<i64>,
    /// The next session may be over sooner than was known.
    sooner: Notify,
}

#[derive(Debug)]
struct State {
    machine: Machine,
    outlets: Outlets,
}

impl Ensemble {
    /// Starts it, within a tokio runtime.
    ///
    /// # Errors
    /// [`EnsembleError`]: no loopback address, or one that is in use; a snapshot that cannot be used or written.
    pub async fn start(settings: Settings) -> Result<Self, EnsembleError> {
        let Settings {
            listen,
            tick,
            clock,
            snapshot,
        } = settings;
        let before = match &snapshot {
            Some(path) => file::read(path, tick, clock.elapsed())?,
            None => None,
        };
        let machine = if let Some(machine) = before {
            machine
        } else {
            let sessions = Sessions::new(tick, first_session(&clock), secret()?);
            Machine::new(Tree::new(TREE_BYTES_MAX), sessions, 0)
        };
        let zxid = machine.zxid();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                machine,
                outlets: Outlets::default(),
            }),
            clock,
            turn: Mutex::new(()),
            changes: watch::Sender::new(zxid),
            sooner: Notify::new(),
        });
        let running = watch::Sender::new(());
        let door = Door::open(listen, shared.clone(), running.subscribe()).await?;
        tokio::spawn(expire(shared.clone(), running.subscribe()));
        let (failed, failure) = watch::channel(None);
        if let Some(path) = &snapshot {
            // At once, so that a place where nothing can be written is known before anything is lost.
            file::write(&shared, path).await?;
            let (shared, path) = (shared.clone(), path.clone());
            tokio::spawn(file::keep(shared, path, running.subscribe(), failed));
        }
        Ok(Self {
            shared,
            door,
            running,
            snapshot,
            failure,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Where it listens: a door that can be closed for a while.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Listens on another free port of the same address as well, for clients that are to be cut off without the others.
    ///
    /// # Errors
    /// [`EnsembleError::Listen`].
    pub async fn open_door(&self) -> Result<Door, EnsembleError> {
        let listen = SocketAddr::new(self.address().ip(), 0);
        Door::open(listen, self.shared.clone(), self.running.subscribe()).await
    }

    /// What sessions go by.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The sessions.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let now = self.shared.clock.elapsed();
        let state = self.shared.lock();
        let tree = state.machine.tree();
        let all = state.machine.sessions().all();
        all.map(|(id, session)| SessionInfo {
            id,
            timeout: session.timeout,
            expires_in: session.expiry.saturating_sub(now),
            connected: session.connection.is_some(),
            ephemerals: tree.ephemerals(id).cloned().collect(),
        })
        .collect()
    }

    /// All nodes, in the order of their paths.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let state = self.shared.lock();
        let all = state.machine.tree().sorted().into_iter();
        all.map(|(path, node)| info(path, node)).collect()
    }

    /// The node at a path.
    pub fn node(&self, path: &str) -> Option<NodeInfo> {
        let state = self.shared.lock();
        state.machine.tree().get(path).map(|node| info(path, node))
    }

    /// Ends a session at once, as if its time were over; tells whether there was one.
    pub fn expire(&self, session: i64) -> bool {
        self.shared.with(|machine, _| machine.expire(session))
    }

    /// Closes the connection of a session, and gives it no other one for a while; tells whether there is such a session.
    /// Other sessions of the same client are not cut off: see [`Ensemble::open_door`] for that.
    pub fn cut(&self, session: i64, time: Duration) -> bool {
        self.shared
            .with(|machine, now| machine.cut(session, now.elapsed.saturating_add(time)))
    }

    /// Waits until the snapshot cannot be written any more, and says why; for ever if there is none.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn failed(&self) -> EnsembleError {
        let mut failure = self.failure.clone();
        match failure
            .wait_for(Option::is_some)
            .await
            .map(|error| error.clone())
        {
            Ok(Some(error)) => error,
            // Nobody writes one.
            _ => std::future::pending().await,
        }
    }

    /// Ends it: nobody is listening any more when this returns, and the snapshot is written.
    ///
    /// # Errors
    /// [`EnsembleError::WriteSnapshot`].
    pub async fn stop(self) -> Result<(), EnsembleError> {
        self.running.send_replace(());
        self.running.closed().await;
        match &self.snapshot {
            Some(path) => file::write(&self.shared, path).await.map(drop),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now {
            elapsed: self.clock.elapsed(),
            wall: i64::try_from(self.clock.wall().as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Does something with the machine, and sends what comes of it before anything else can happen.
    fn with<T>(&self, act: impl FnOnce(&mut Machine, Now) -> T) -> T {
        let mut state = self.lock();
        let State { machine, outlets } = &mut *state;
        let before = machine.next_tick();
        let result = act(machine, self.now());
        outlets.carry_out(machine);
        let zxid = machine.zxid();
        self.changes
            .send_if_modified(|newest| std::mem::replace(newest, zxid) != zxid);
        if machine.next_tick() < before || before.is_none() {
            self.sooner.notify_one();
        }
        result
    }
}

/// Ends sessions when their time is over, until the ensemble ends.
async fn expire(shared: Arc<Shared>, mut running: watch::Receiver<()>) {
    /// How often containers are looked after where no session is there.
    const IDLE: Duration = Duration::from_secs(60);
    loop {
        let next = shared.lock().machine.next_tick();
        let next = next.unwrap_or_else(|| shared.clock.elapsed().saturating_add(IDLE));
        tokio::select! {
            () = shared.clock.sleep_until(next) => shared.with(Machine::tick),
            () = shared.sooner.notified() => {}
            _ = running.changed() => return,
        }
    }
}

/// What session ids begin after: such as no server before this one has given.
fn first_session(clock: &Clock) -> i64 {
    // As ZooKeeper's: a byte for the server, then the time.
    let millis = u64::try_from(clock.wall().as_millis()).unwrap_or(0);
    ((millis << 24) >> 8).cast_signed()
}

fn secret() -> Result<Secret, EnsembleError> {
    let mut secret = [0; 32];
    let filled = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut secret));
    match filled {
        Ok(()) => Ok(Secret(secret)),
        Err(error) => Err(EnsembleError::Random {
            source: Arc::new(error),
        }),
    }
}

fn info(path: &str, node: &Node) -> NodeInfo {
    NodeInfo {
        path: path.to_owned(),
        data: node.data.clone().unwrap_or_default(),
        version: node.record.version,
        ephemeral_owner: Some(node.record.owner).filter(|owner| !matches!(*owner, 0 | CONTAINER)),
    }
}
