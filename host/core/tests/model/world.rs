//! Puts hosts and ensemble together: messages, timers and faults, in one order given by the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use soloist_core::election::{Action, Input};

use crate::ensemble::{Ensemble, HostId, MS, Nanos, Origin, SECOND, Session};
use crate::host::{Host, Rule, Watch};
use crate::random::Random;

mod faults;
mod hosts;
mod servers;

const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(2);
const DEMOTE_TIMEOUT: Duration = Duration::from_secs(2);

/// A message from a host.
#[derive(Clone, Debug)]
enum Ask {
    Attach(Option<Session>),
    Ping,
    Heartbeat,
    Action(Action),
}

/// A message to a host.
#[derive(Clone, Debug)]
enum Tell {
    Attached(Session),
    Expired,
    Pong,
    Beaten,
    Answer(Input, Option<Watch>),
    Changed,
}

#[derive(Clone, Debug)]
enum Event {
    ToServer { server: usize, host: HostId, connection: u64, id: u64, ask: Ask },
    ToHost { host: HostId, connection: u64, id: u64, tell: Tell },
    Forwarded { epoch: u64, server: usize, host: HostId, connection: u64, id: u64, session: Session, ask: Ask },
    Propose { epoch: u64, server: usize, log: usize },
    Acknowledge { epoch: u64, log: usize },
    Commit { epoch: u64, server: usize, applied: usize },
    PeerPing { epoch: u64, server: usize },
    PeerPong { epoch: u64, touched: Vec<Session> },
    LeaderPings,
    ExpirySweep,
    ElectLeader,
    Heartbeat { host: HostId },
    Connect { host: HostId },
    Timer { host: HostId },
    Effect { host: HostId, activation: u64 },
    Stopped { host: HostId, activation: u64 },
    Fault,
    HealServer { server: usize },
    CutHost { host: HostId },
}

/// Two hosts that could act at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub at: Nanos,
    pub old: HostId,
    pub new: HostId,
}

pub struct World {
    random: Random,
    now: Nanos,
    order: u64,
    events: BTreeMap<(Nanos, u64), Event>,
    ensemble: Ensemble,
    hosts: Vec<Host>,
    next_session: Session,
    next_id: u64,
    last_token: u64,
    /// When a part of a session's hold on leadership, master node or candidate, was deleted by somebody else.
    lost: BTreeMap<Session, Nanos>,
    pub overlaps: Vec<Overlap>,
    pub effects: u64,
    pub terms: u64,
}

impl World {
    pub fn new(seed: u64, rule: Rule, hosts: usize) -> Self {
        let mut random = Random::new(seed);
        let hosts = (0..hosts)
            .map(|_| {
                let clock_error_ppm = i64::try_from(random.below(18_000)).expect("small") - 9_000;
                Host::new(rule, clock_error_ppm, (SESSION_TIMEOUT, TICK), DEMOTE_TIMEOUT)
            })
            .collect();
        let mut world = Self {
            random,
            now: SECOND,
            order: 0,
            events: BTreeMap::new(),
            ensemble: Ensemble::new(10 * SECOND, 2 * SECOND),
            hosts,
            next_session: 1,
            next_id: 1,
            last_token: 0,
            lost: BTreeMap::new(),
            overlaps: Vec::new(),
            effects: 0,
            terms: 0,
        };
        for host in 0..world.hosts.len() {
            world.after(0, Event::Connect { host });
        }
        world.after(SECOND, Event::LeaderPings);
        // Sessions end at whole ticks, which is when the leader looks.
        world.at(2 * SECOND, Event::ExpirySweep);
        let fault = world.random.below(10 * SECOND);
        world.after(fault, Event::Fault);
        world
    }

    /// Runs for so long, or until two hosts could act at once.
    pub fn run(&mut self, time: Nanos) {
        let end = self.now + time;
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at > end || !self.overlaps.is_empty() {
                break;
            }
            self.now = at;
            self.happen(event);
        }
    }

    fn at(&mut self, time: Nanos, event: Event) {
        self.order += 1;
        self.events.insert((time.max(self.now), self.order), event);
    }

    fn after(&mut self, time: Nanos, event: Event) {
        self.at(self.now + time, event);
    }

    /// How long a message takes: mostly little, sometimes much.
    fn delay(&mut self) -> Nanos {
        match self.random.below(20) {
            0 => self.random.below(800 * MS),
            _ => MS / 10 + self.random.below(20 * MS),
        }
    }

    /// When a message sent now arrives behind those sent before it.
    fn behind(&mut self, last: Nanos) -> Nanos {
        (self.now + self.delay()).max(last + 1)
    }

    fn happen(&mut self, event: Event) {
        if let Some(host) = host_of(&event) {
            let stopped_until = self.hosts[host].stopped_until;
            if stopped_until > self.now {
                // It waits in a buffer, or is a timer that fires late.
                return self.at(stopped_until, event);
            }
        }
        match event {
            Event::ToServer { server, host, connection, id, ask } => self.served(server, host, connection, id, ask),
            Event::ToHost { host, connection, id, tell } => self.heard(host, connection, id, tell),
            Event::Forwarded { epoch, server, host, connection, id, session, ask } => {
                if epoch == self.ensemble.epoch && self.leading() {
                    self.decide(Origin { server, host, connection, id, session, attaching: false }, ask);
                }
            }
            Event::Propose { epoch, server, log } => self.proposed(epoch, server, log),
            Event::Acknowledge { epoch, log } => self.acknowledged(epoch, log),
            Event::Commit { epoch, server, applied } => {
                if epoch == self.ensemble.epoch && !self.ensemble.servers[server].stopped {
                    self.apply(server, applied);
                }
            }
            Event::PeerPing { epoch, server } => self.peer_ping(epoch, server),
            Event::PeerPong { epoch, touched } => {
                if epoch == self.ensemble.epoch && self.leading() {
                    for session in touched {
                        self.ensemble.touch(session, self.now);
                    }
                }
            }
            Event::LeaderPings => self.leader_pings(),
            Event::ExpirySweep => self.expiry_sweep(),
            Event::ElectLeader => self.elect_leader(),
            Event::Heartbeat { host } => self.heartbeat(host),
            Event::Connect { host } => self.connect(host),
            Event::Timer { host } => self.feed(host, Input::Timer),
            Event::Effect { host, activation } => self.effect(host, activation),
            Event::Stopped { host, activation } => self.plugin_stopped(host, activation),
            Event::Fault => self.fault(),
            Event::HealServer { server } => self.heal(server),
            Event::CutHost { host } => self.disconnect(host),
        }
    }
}

fn host_of(event: &Event) -> Option<HostId> {
    match event {
        Event::ToHost { host, .. }
        | Event::Heartbeat { host }
        | Event::Connect { host }
        | Event::Timer { host }
        | Event::Effect { host, .. }
        | Event::Stopped { host, .. } => Some(*host),
        _ => None,
    }
}
