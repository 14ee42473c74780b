//! What is on its way, or is to happen at its time.

use soloist_core::election::Input;

use super::stages::Stage;
use crate::change::GiveBack;
use crate::ensemble::Origin;
use crate::host::{Ask, Seen, Watch};
use crate::plan::{HostId, Session};

/// A message to a host.
#[derive(Clone, Debug)]
pub(super) enum Tell {
    Attached(Session),
    Expired,
    Pong,
    Beaten,
    Answer(Box<Answer>),
    Changed,
}

/// An answer to a request of an election.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) input: Input,
    pub(super) watch: Option<Watch>,
    pub(super) seen: Option<Seen>,
    pub(super) history: Option<i32>,
}

impl From<Input> for Answer {
    fn from(input: Input) -> Self {
        Self {
            input,
            watch: None,
            seen: None,
            history: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    // Between hosts and servers.
    ToServer {
        server: usize,
        host: HostId,
        connection: u64,
        id: u64,
        ask: Ask,
    },
    ToHost {
        host: HostId,
        connection: u64,
        id: u64,
        tell: Tell,
    },
    Reset {
        host: HostId,
        connection: u64,
    },
    // Between servers.
    Forwarded {
        epoch: u64,
        origin: Origin,
        ask: Ask,
    },
    Propose {
        epoch: u64,
        server: usize,
        log: usize,
    },
    Acknowledge {
        epoch: u64,
        server: usize,
        log: usize,
    },
    Commit {
        epoch: u64,
        server: usize,
        applied: usize,
    },
    PeerPing {
        epoch: u64,
        server: usize,
    },
    PeerPong {
        epoch: u64,
        server: usize,
        touched: Vec<Session>,
    },
    // What the ensemble does by its clock.
    LeaderPings,
    ExpirySweep,
    ElectLeader,
    Heal {
        server: usize,
    },
    // What a host does by its clock.
    Start {
        host: HostId,
    },
    /// The task that was taken away from a process is given to it again.
    Regain {
        host: HostId,
        process: u64,
    },
    Connect {
        host: HostId,
    },
    Leave {
        host: HostId,
        session: Option<Session>,
    },
    Heartbeat {
        host: HostId,
    },
    Timer {
        host: HostId,
        timer: u64,
    },
    Effect {
        host: HostId,
        activation: u64,
    },
    Stopped {
        host: HostId,
        activation: u64,
    },
    // What a guardian does after a death.
    GuardianReads {
        session: Session,
        attempts: u32,
    },
    GuardianWrites {
        give_back: GiveBack,
    },
    // What comes from outside.
    Told {
        host: HostId,
        input: Input,
        successor: Option<HostId>,
    },
    Stuck {
        server: usize,
        host: HostId,
    },
    Snap {
        server: usize,
        host: HostId,
    },
    Fault,
    Stage(Stage),
}

impl Event {
    /// The host on which it happens.
    pub(super) fn host(&self) -> Option<HostId> {
        match self {
            Event::ToHost { host, .. }
            | Event::Start { host }
            | Event::Regain { host, .. }
            | Event::Heartbeat { host }
            | Event::Connect { host }
            | Event::Leave { host, .. }
            | Event::Timer { host, .. }
            | Event::Told { host, .. }
            | Event::Effect { host, .. }
            | Event::Stopped { host, .. } => Some(*host),
            _ => None,
        }
    }
}
