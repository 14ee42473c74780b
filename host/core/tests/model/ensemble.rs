//! A ZooKeeper ensemble of three, as far as leases depend on it.
//!
//! What it has of the real one: requests through a follower are forwarded and do not touch the session at the leader;
//! a follower tells the leader whom it has heard in its answers to the leader's pings, every half tick; a follower cut
//! off from the leader goes on answering pings and reads for a while; a leader that was stopped does so as well when
//! it wakes; the leader looks for dead sessions once a tick; a new leader gives every session its full time again;
//! a write is committed when a majority has it, and a read is answered from what the server at hand has heard of.

use std::collections::{BTreeMap, BTreeSet};

use soloist_core::election::{RELEASE_WRITES, Record};

pub type Nanos = u64;
pub type Session = u64;
pub type HostId = usize;

pub const MS: Nanos = 1_000_000;
pub const SECOND: Nanos = 1_000 * MS;
pub const SERVERS: usize = 3;

/// What the nodes of one task hold.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub sessions: BTreeSet<Session>,
    pub candidates: BTreeMap<u64, Session>,
    pub master: Option<Master>,
    pub record: Record,
    /// The transaction that wrote the record.
    pub record_zxid: u64,
    next_candidate: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Master {
    pub owner: Session,
    pub host: HostId,
    pub zxid: u64,
}

/// A committed change.
#[derive(Clone, Debug)]
pub enum Change {
    CreateSession(Session),
    CloseSession(Session),
    Heartbeat,
    Join(Session),
    Elect {
        session: Session,
        host: HostId,
        /// The number of the term, as the host counts.
        number: u64,
    },
    Release {
        session: Session,
        version: Option<i32>,
    },
    /// Somebody else deletes the master node.
    DeleteMaster,
    /// Somebody else deletes a candidate.
    DeleteCandidate(u64),
}

/// What a write came to.
#[derive(Clone, Debug)]
pub enum Verdict {
    Done,
    Elected { number: u64, token: u64, version: i32 },
    Held,
    Outdated,
}

impl Tree {
    pub fn apply(&mut self, change: &Change, zxid: u64) {
        match *change {
            Change::CreateSession(session) => {
                self.sessions.insert(session);
            }
            Change::CloseSession(session) => {
                self.sessions.remove(&session);
                self.candidates.retain(|_, owner| *owner != session);
                self.master = self.master.filter(|master| master.owner != session);
            }
            Change::Heartbeat => {}
            Change::Join(session) => {
                self.candidates.insert(self.next_candidate, session);
                self.next_candidate += 1;
            }
            Change::Elect { session, host, number } => {
                self.master = Some(Master { owner: session, host, zxid });
                let lost = self.record.number > 0 && !self.record.released;
                self.record = Record {
                    number,
                    version: self.record.version + 1,
                    history: self.record.history + i32::from(lost),
                    host: Some(host.to_string()),
                    released: false,
                };
                self.record_zxid = zxid;
            }
            Change::Release { session, version } => {
                self.candidates.retain(|_, owner| *owner != session);
                self.master = self.master.filter(|master| master.owner != session);
                if version == Some(self.record.version) {
                    self.record.version += 1;
                    self.record.history += RELEASE_WRITES;
                    self.record.released = true;
                    self.record_zxid = zxid;
                }
            }
            Change::DeleteMaster => self.master = None,
            Change::DeleteCandidate(candidate) => {
                self.candidates.remove(&candidate);
            }
        }
    }

    /// Whether a session's candidate stands before all others: one that joined twice, because the first answer was lost,
    /// may have another one further back.
    pub fn at_head(&self, session: Session) -> bool {
        self.place(session).is_some_and(|(ahead, _)| ahead == 0)
    }

    /// How many candidates stand before a session, and the one right before it.
    pub fn place(&self, session: Session) -> Option<(usize, Option<u64>)> {
        let ahead = self.candidates.values().position(|owner| *owner == session)?;
        Some((ahead, ahead.checked_sub(1).and_then(|before| self.candidates.keys().nth(before).copied())))
    }
}

/// Who waits for a write.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub server: usize,
    pub host: HostId,
    pub connection: u64,
    pub id: u64,
    pub session: Session,
    pub attaching: bool,
}

/// A write on its way to being committed.
#[derive(Clone, Debug)]
pub struct Entry {
    pub zxid: u64,
    pub change: Option<Change>,
    /// Answered when its server has applied the entry.
    pub origin: Option<Origin>,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, Default)]
pub struct Server {
    /// A stopped server does nothing at all.
    pub stopped: bool,
    /// Whether it can reach the leader (a follower) or is the leader.
    pub linked: bool,
    /// Without a link, clients are served until then.
    pub serves_until: Nanos,
    /// How much of the log it has, and how much of that it knows to be committed.
    pub log: usize,
    pub applied: usize,
    pub tree: Tree,
    /// Sessions heard since the last answer to a ping.
    pub touched: BTreeSet<Session>,
    pub to_leader: Nanos,
    pub from_leader: Nanos,
}

#[derive(Debug)]
pub struct Ensemble {
    pub servers: Vec<Server>,
    pub leader: Option<usize>,
    /// Counts leaders; messages of an earlier one are void.
    pub epoch: u64,
    pub log: Vec<Entry>,
    pub committed: usize,
    /// What the leader validates writes against: the whole log applied.
    pub head: Tree,
    /// When the leader ends a session, unless it is touched.
    pub expiry: BTreeMap<Session, Nanos>,
    /// The server through which a session was last attached.
    pub attached: BTreeMap<Session, usize>,
    pub session_timeout: Nanos,
    pub tick: Nanos,
}

impl Ensemble {
    pub fn new(session_timeout: Nanos, tick: Nanos) -> Self {
        let servers = vec![Server { linked: true, ..Server::default() }; SERVERS];
        Self {
            servers,
            leader: Some(0),
            epoch: 1,
            log: Vec::new(),
            committed: 0,
            head: Tree::default(),
            expiry: BTreeMap::new(),
            attached: BTreeMap::new(),
            session_timeout,
            tick,
        }
    }

    pub fn touch(&mut self, session: Session, now: Nanos) {
        if let Some(expiry) = self.expiry.get_mut(&session) {
            *expiry = (*expiry).max((now + self.session_timeout).next_multiple_of(self.tick));
        }
    }

    pub fn serves(&self, server: usize, now: Nanos) -> bool {
        let it = &self.servers[server];
        !it.stopped && (it.linked && self.leader.is_some() || now < it.serves_until)
    }

    /// Takes a write at the leader: validates it and appends it to the log.
    pub fn append(&mut self, change: Change, origin: Option<Origin>, now: Nanos) {
        let zxid = (self.epoch << 32) + self.log.len() as u64;
        let verdict = self.validate(&change, zxid);
        let change = matches!(verdict, Verdict::Done | Verdict::Elected { .. }).then_some(change);
        match change {
            Some(Change::CreateSession(session)) => {
                self.expiry.insert(session, 0);
                self.touch(session, now);
            }
            Some(Change::CloseSession(session)) => {
                self.expiry.remove(&session);
            }
            _ => {}
        }
        if let Some(change) = &change {
            self.head.apply(change, zxid);
        }
        self.log.push(Entry { zxid, change, origin, verdict });
        let leader = self.leader.expect("only a leader appends");
        self.servers[leader].log = self.log.len();
    }

    fn validate(&self, change: &Change, zxid: u64) -> Verdict {
        match change {
            Change::Elect { session, .. } if self.head.place(*session).is_none() => Verdict::Outdated,
            Change::Elect { .. } if self.head.master.is_some() => Verdict::Held,
            Change::Elect { number, .. } => {
                assert_eq!(*number, self.head.record.number + 1, "a term number was used again, or passed over");
                Verdict::Elected { number: *number, token: zxid, version: self.head.record.version + 1 }
            }
            _ => Verdict::Done,
        }
    }

    /// Lets a server apply what it knows to be committed, and gives the entries it applied.
    pub fn apply(&mut self, server: usize, up_to: usize) -> Vec<Entry> {
        let it = &mut self.servers[server];
        let up_to = up_to.min(it.log);
        let mut applied = Vec::new();
        while it.applied < up_to {
            let entry = &self.log[it.applied];
            if let Some(change) = &entry.change {
                it.tree.apply(change, entry.zxid);
            }
            it.applied += 1;
            applied.push(entry.clone());
        }
        applied
    }

    /// Makes the server with the longest log among those that can meet the leader; nobody without a majority.
    pub fn elect(&mut self, reachable: &[usize], now: Nanos) -> bool {
        if reachable.len() <= SERVERS / 2 {
            return false;
        }
        let &leader =
            reachable.iter().max_by_key(|server| self.servers[**server].log).expect("a majority is not empty");
        let kept = self.servers[leader].log;
        self.log.truncate(kept);
        self.committed = kept;
        // What an absent one has beyond that is of an earlier epoch: it is thrown away when it is back, and does not count
        // for what comes in its place.
        for it in &mut self.servers {
            it.log = it.log.min(kept);
            assert!(it.applied <= it.log, "what was committed is kept");
        }
        self.leader = Some(leader);
        self.epoch += 1;
        self.head = Tree::default();
        for entry in &self.log {
            if let Some(change) = &entry.change {
                self.head.apply(change, entry.zxid);
            }
        }
        (self.servers[leader].tree, self.servers[leader].applied) = (self.head.clone(), kept);
        self.expiry = self.head.sessions.iter().map(|session| (*session, 0)).collect();
        let sessions: Vec<Session> = self.head.sessions.iter().copied().collect();
        for session in sessions {
            self.touch(session, now);
        }
        for &server in reachable {
            self.join(server);
        }
        true
    }

    /// Brings a server up to date with the leader.
    pub fn join(&mut self, server: usize) {
        let Some(leader) = self.leader else { return };
        let Server { tree, applied, .. } = self.servers[leader].clone();
        let log = self.log.len();
        let it = &mut self.servers[server];
        let (to_leader, from_leader) = (it.to_leader, it.from_leader);
        *it = Server { linked: true, log, applied, tree, to_leader, from_leader, ..Server::default() };
    }
}
