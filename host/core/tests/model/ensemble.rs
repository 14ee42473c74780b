//! A ZooKeeper ensemble of three, as far as leases depend on it.
//!
//! What it has of the real one: requests through a follower are forwarded and do not touch the session at the leader;
//! a follower tells the leader whom it has heard in its answers to the leader's pings, every half tick; a follower cut
//! off from the leader goes on answering pings and reads for a while; a leader that was stopped does so as well when
//! it wakes; the leader looks for dead sessions once a tick; a new leader gives every session its full time again, as it
//! was when the session was created; a write is committed when a majority has it, and a read is answered from what the
//! server at hand has heard of.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Change, Verdict};
use crate::plan::{HostId, Nanos, Plan, SERVERS, Session};
use crate::tree::Tree;

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
    /// When the leader took it up.
    pub at: Nanos,
    pub change: Change,
    /// Answered when its server has applied the entry.
    pub origin: Option<Origin>,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Nothing heals it before.
    pub broken_until: Nanos,
    /// A stopped server does nothing at all.
    pub stopped: bool,
    /// Whether it can reach the leader (a follower) or is the leader.
    pub linked: bool,
    /// Without a link, clients are served until then.
    pub serves_until: Nanos,
    /// The longest session timeout that it agrees to.
    pub agrees_to: Nanos,
    /// How much of the log it has, and how much of that it knows to be committed.
    pub log: usize,
    pub applied: usize,
    pub tree: Tree,
    /// Sessions heard since the last answer to a ping.
    pub touched: BTreeSet<Session>,
    pub to_leader: Nanos,
    pub from_leader: Nanos,
}

/// What the leader knows of a session's life.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub timeout: Nanos,
    /// When it ends, unless it is touched.
    pub ends: Nanos,
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
    pub lives: BTreeMap<Session, Life>,
    /// The server through which a session was last attached.
    pub attached: BTreeMap<Session, usize>,
    tick: Nanos,
}

impl Ensemble {
    pub fn new(plan: &Plan) -> Self {
        let server = Server {
            linked: true,
            agrees_to: plan.session_timeout,
            ..Server::default()
        };
        Self {
            servers: vec![server; SERVERS],
            leader: Some(0),
            epoch: 1,
            log: Vec::new(),
            committed: 0,
            head: Tree::default(),
            lives: BTreeMap::new(),
            attached: BTreeMap::new(),
            tick: plan.tick,
        }
    }

    pub fn touch(&mut self, session: Session, now: Nanos) {
        if let Some(life) = self.lives.get_mut(&session) {
            life.ends = life
                .ends
                .max((now + life.timeout).next_multiple_of(self.tick));
        }
    }

    /// A session is attached through a server that agrees to `timeout` for it.
    pub fn attach(&mut self, session: Session, server: usize, timeout: Nanos, now: Nanos) {
        if let Some(life) = self.lives.get_mut(&session) {
            *life = Life {
                timeout,
                ends: (now + timeout).next_multiple_of(self.tick),
            };
        }
        self.attached.insert(session, server);
    }

    pub fn serves(&self, server: usize, now: Nanos) -> bool {
        let it = &self.servers[server];
        !it.stopped && (it.linked && self.leader.is_some() || now < it.serves_until)
    }

    /// Takes a write at the leader: validates it and appends it to the log.
    pub fn append(&mut self, change: Change, origin: Option<Origin>, now: Nanos) {
        let zxid = (self.epoch << 32) + self.log.len() as u64;
        let verdict = self.head.judge(&change, zxid);
        match change {
            Change::CreateSession { session, timeout } => {
                self.lives.insert(session, Life { timeout, ends: 0 });
                self.touch(session, now);
            }
            Change::CloseSession(session) => {
                self.lives.remove(&session);
            }
            _ => {}
        }
        if verdict.is_done() {
            self.head.apply(&change, zxid);
        }
        self.log.push(Entry {
            zxid,
            at: now,
            change,
            origin,
            verdict,
        });
        let leader = self.leader.expect("only a leader appends");
        self.servers[leader].log = self.log.len();
    }

    /// Lets a server apply what it knows to be committed, and gives the entries it applied.
    pub fn apply(&mut self, server: usize, up_to: usize) -> Vec<Entry> {
        let it = &mut self.servers[server];
        let up_to = up_to.min(it.log);
        let entries = self.log.get(it.applied..up_to).unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.verdict.is_done()) {
            it.tree.apply(&entry.change, entry.zxid);
        }
        it.applied = it.applied.max(up_to);
        entries.to_vec()
    }

    /// Makes the server with the longest log among those that can meet the leader; nobody without a majority.
    pub fn elect(&mut self, reachable: &[usize], now: Nanos) {
        let longest = reachable
            .iter()
            .copied()
            .max_by_key(|server| self.servers[*server].log);
        let Some(leader) = longest.filter(|_| reachable.len() > SERVERS / 2) else {
            return;
        };
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
        for entry in self.log.iter().filter(|entry| entry.verdict.is_done()) {
            self.head.apply(&entry.change, entry.zxid);
        }
        (self.servers[leader].tree, self.servers[leader].applied) = (self.head.clone(), kept);
        let sessions: Vec<Session> = self.head.sessions.keys().copied().collect();
        self.lives = self
            .head
            .sessions
            .iter()
            .map(|(session, timeout)| {
                (
                    *session,
                    Life {
                        timeout: *timeout,
                        ends: 0,
                    },
                )
            })
            .collect();
        for session in sessions {
            self.touch(session, now);
        }
        for &server in reachable {
            self.join(server);
        }
    }

    /// Brings a server up to date with the leader.
    pub fn join(&mut self, server: usize) {
        let Some(leader) = self.leader else { return };
        let Server { tree, applied, .. } = self.servers[leader].clone();
        let log = self.log.len();
        let it = &mut self.servers[server];
        let Server {
            to_leader,
            from_leader,
            agrees_to,
            ..
        } = *it;
        *it = Server {
            linked: true,
            log,
            applied,
            tree,
            to_leader,
            from_leader,
            agrees_to,
            ..Server::default()
        };
    }
}
