//! Puts hosts and ensemble together: messages, timers and faults, in one order given by the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use soloist::election::{Action, Holder, Input, Queue, Record};
use soloist::term::{FencingToken, Term};

use crate::ensemble::{Change, Ensemble, HostId, MS, Nanos, Origin, SECOND, SERVERS, Session, Tree, Verdict};
use crate::host::{Activation, Host, Rule, Watch};
use crate::random::Random;

const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(2);
const DEMOTE_TIMEOUT: Duration = Duration::from_secs(2);
const HEARTBEAT: Nanos = SECOND;
/// How long a server serves its clients without its leader: syncLimit ticks.
const SYNC_LIMIT: Nanos = 5 * 2 * SECOND;
/// A connection that is silent for this long is given up.
const SILENCE: Nanos = 4 * SECOND;

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

    // ---- hosts ----

    fn send(&mut self, host: HostId, ask: Ask) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.hosts[host].isolated_until > self.now {
            return id;
        }
        if let Some(server) = self.hosts[host].server {
            let arrives = self.behind(self.hosts[host].to_server);
            self.hosts[host].to_server = arrives;
            let connection = self.hosts[host].connection;
            self.at(arrives, Event::ToServer { server, host, connection, id, ask });
        }
        id
    }

    fn connect(&mut self, host: HostId) {
        if self.hosts[host].server.is_some() {
            return;
        }
        if self.hosts[host].isolated_until > self.now {
            return self.after(300 * MS, Event::Connect { host });
        }
        let server = usize::try_from(self.random.below(SERVERS as u64)).expect("small");
        let (now, clock) = (self.now, self.hosts[host].clock(self.now));
        let it = &mut self.hosts[host];
        it.connection += 1;
        (it.server, it.ready, it.last_heard) = (Some(server), false, now);
        let session = it.session;
        if session.is_none() {
            it.asked = clock;
        }
        self.send(host, Ask::Attach(session));
    }

    fn disconnect(&mut self, host: HostId) {
        let it = &mut self.hosts[host];
        if it.server.take().is_none() {
            return;
        }
        (it.ready, it.heartbeat, it.ping) = (false, None, None);
        let lost = it.request.is_some() && !it.unsent;
        let pause = self.random.below(300 * MS);
        self.after(pause, Event::Connect { host });
        if lost {
            self.hosts[host].request = None;
            self.feed(host, Input::Failed);
        }
    }

    /// The session has ended, as the ensemble says or as the client believes.
    fn end_session(&mut self, host: HostId) {
        let it = &mut self.hosts[host];
        (it.server, it.ready, it.heartbeat, it.ping) = (None, false, None, None);
        if it.session.is_some() {
            // What was asked in the old session is no longer of interest.
            (it.request, it.watch) = (None, None);
            it.deadline = soloist::clock::Moment::default();
            it.session = None;
            self.feed(host, Input::SessionEnded);
        }
        self.after(MS, Event::Connect { host });
    }

    fn heartbeat(&mut self, host: HostId) {
        self.after(HEARTBEAT, Event::Heartbeat { host });
        let silent = self.now - self.hosts[host].last_heard > SILENCE;
        if self.hosts[host].server.is_some() && silent {
            return self.disconnect(host);
        }
        if !self.hosts[host].ready {
            return;
        }
        let stamp = self.hosts[host].clock(self.now);
        if self.hosts[host].heartbeat.is_none() {
            let id = self.send(host, Ask::Heartbeat);
            self.hosts[host].heartbeat = Some((id, stamp));
        }
        if self.hosts[host].ping.is_none() {
            let id = self.send(host, Ask::Ping);
            self.hosts[host].ping = Some((id, stamp));
        }
    }

    fn heard(&mut self, host: HostId, connection: u64, id: u64, tell: Tell) {
        if self.hosts[host].connection != connection || self.hosts[host].server.is_none() {
            return;
        }
        let now = self.now;
        self.hosts[host].last_heard = now;
        match tell {
            Tell::Attached(session) => self.attached(host, session),
            Tell::Expired => self.end_session(host),
            Tell::Pong => {
                if let Some((_, sent)) = self.hosts[host].ping.take_if(|(asked, _)| *asked == id) {
                    self.hosts[host].ping_answered(sent);
                }
            }
            Tell::Beaten => {
                if let Some((_, sent)) = self.hosts[host].heartbeat.take_if(|(asked, _)| *asked == id) {
                    self.hosts[host].heartbeat_committed(sent, now);
                }
            }
            Tell::Changed => {
                if self.hosts[host].watch.take().is_some() {
                    self.feed(host, Input::Changed);
                }
            }
            Tell::Answer(input, watch) => {
                if self.hosts[host].request.take_if(|(asked, _)| *asked == id).is_some() {
                    self.hosts[host].watch = watch;
                    self.feed(host, input);
                }
            }
        }
    }

    fn attached(&mut self, host: HostId, session: Session) {
        self.hosts[host].ready = true;
        if self.hosts[host].session == Some(session) {
            // What was asked for while there was no connection is sent now.
            if self.hosts[host].unsent
                && let Some((_, action)) = self.hosts[host].request.take()
            {
                self.request(host, action);
            }
            self.feed(host, Input::Reconnected);
        } else {
            let first = self.hosts[host].timing_started();
            self.hosts[host].begin(session);
            if first {
                let phase = self.random.below(HEARTBEAT);
                self.after(phase, Event::Heartbeat { host });
            }
            self.feed(host, Input::SessionStarted);
        }
    }

    fn feed(&mut self, host: HostId, input: Input) {
        let now = self.now;
        self.hosts[host].feed(now, input);
        for action in std::mem::take(&mut self.hosts[host].actions) {
            self.perform(host, action);
        }
        let deadline = self.hosts[host].now(now).deadline;
        if let Some(wake) = self.hosts[host].election.wake_at(deadline) {
            let wake = self.hosts[host].real(wake);
            self.at(wake.max(now + MS), Event::Timer { host });
        }
    }

    fn request(&mut self, host: HostId, action: Action) {
        self.hosts[host].watch = None;
        if self.hosts[host].ready {
            let id = self.send(host, Ask::Action(action.clone()));
            (self.hosts[host].request, self.hosts[host].unsent) = (Some((id, action)), false);
        } else {
            (self.hosts[host].request, self.hosts[host].unsent) = (Some((0, action)), true);
        }
    }

    fn perform(&mut self, host: HostId, action: Action) {
        match action {
            Action::Activate(term) => self.activate(host, term),
            Action::Demote(_) => {
                let (wanted, activation) = (self.random.below(6_000 * MS), self.hosts[host].activations);
                if let Some(it) = &mut self.hosts[host].activation {
                    it.stopping = true;
                    // A plugin that takes longer is stopped by force.
                    self.after(wanted.min(2 * SECOND), Event::Stopped { host, activation });
                }
            }
            Action::Revoke => {
                let activation = self.hosts[host].activations;
                let delay = self.random.below(20 * MS);
                self.after(delay, Event::Stopped { host, activation });
            }
            Action::AnnounceElected(_) | Action::AnnounceReleased(_) | Action::AnnounceStandby { .. } => {}
            Action::Finish => unreachable!("no host is shut down"),
            request => self.request(host, request),
        }
    }

    // ---- plugins ----

    fn activate(&mut self, host: HostId, term: Term) {
        let now = self.now;
        // The property: whoever was elected before can have no effect any more, now or later.
        for old in (0..self.hosts.len()).filter(|old| *old != host) {
            if self.hosts[old].permitted(now).is_some() {
                self.overlaps.push(Overlap { at: now, old, new: host });
            }
        }
        let Some(session) = self.hosts[host].session else { return };
        assert!(self.hosts[host].activation.is_none(), "a host runs a plugin twice");
        self.terms += 1;
        self.hosts[host].activations += 1;
        let id = self.hosts[host].activations;
        self.hosts[host].activation = Some(Activation { term, session, id, stopping: false });
        self.after(0, Event::Effect { host, activation: id });
    }

    fn effect(&mut self, host: HostId, activation: u64) {
        let now = self.now;
        if self.hosts[host].activation.as_ref().is_none_or(|it| it.id != activation) {
            return;
        }
        let Some(token) = self.hosts[host].permitted(now).map(|it| it.term.fencing_token.0) else {
            // The permit has ended: the plugin is stopped by force, and the election hears of it.
            return self.after(MS, Event::Stopped { host, activation });
        };
        self.effects += 1;
        if token < self.last_token {
            self.overlaps.push(Overlap { at: now, old: host, new: usize::MAX });
        }
        self.last_token = self.last_token.max(token);
        let pause = self.random.below(100 * MS);
        self.after(pause, Event::Effect { host, activation });
    }

    fn plugin_stopped(&mut self, host: HostId, activation: u64) {
        if self.hosts[host].activation.take_if(|it| it.id == activation).is_some() {
            self.feed(host, Input::Stopped);
        }
    }

    // ---- servers ----

    fn leading(&self) -> bool {
        self.ensemble.leader.is_some_and(|leader| !self.ensemble.servers[leader].stopped)
    }

    fn tell(&mut self, host: HostId, connection: u64, id: u64, tell: Tell) {
        let isolated = self.hosts[host].isolated_until > self.now;
        if !isolated && self.hosts[host].connection == connection && self.hosts[host].server.is_some() {
            let arrives = self.behind(self.hosts[host].from_server);
            self.hosts[host].from_server = arrives;
            self.at(arrives, Event::ToHost { host, connection, id, tell });
        }
    }

    fn served(&mut self, server: usize, host: HostId, connection: u64, id: u64, ask: Ask) {
        if self.hosts[host].connection != connection {
            return;
        }
        if !self.ensemble.serves(server, self.now) {
            // A stopped server answers nothing; one that has given up closes the connection.
            if !self.ensemble.servers[server].stopped {
                self.after(MS, Event::CutHost { host });
            }
            return;
        }
        let session = self.hosts[host].session;
        let is_leader = self.ensemble.leader == Some(server);
        if let Some(session) = session.filter(|_| !matches!(ask, Ask::Attach(_))) {
            if is_leader {
                self.ensemble.touch(session, self.now);
            } else {
                self.ensemble.servers[server].touched.insert(session);
            }
        }
        match &ask {
            Ask::Ping => return self.tell(host, connection, id, Tell::Pong),
            Ask::Action(action) => {
                let blind = self.hosts[host].rule == Rule::BlindToCandidate;
                if let Some((input, watch)) =
                    session.and_then(|it| read(&self.ensemble.servers[server].tree, it, action, blind))
                {
                    return self.tell(host, connection, id, Tell::Answer(input, watch));
                }
            }
            Ask::Attach(_) | Ask::Heartbeat => {}
        }
        let session = match (&ask, session) {
            (Ask::Attach(None), _) => {
                self.next_session += 1;
                self.next_session
            }
            (_, Some(session)) => session,
            _ => return,
        };
        if is_leader {
            self.decide(Origin { server, host, connection, id, session, attaching: false }, ask);
        } else if self.ensemble.servers[server].linked {
            let epoch = self.ensemble.epoch;
            let arrives = self.behind(self.ensemble.servers[server].to_leader);
            self.ensemble.servers[server].to_leader = arrives;
            self.at(arrives, Event::Forwarded { epoch, server, host, connection, id, session, ask });
        }
    }

    /// The leader takes a request up.
    fn decide(&mut self, origin: Origin, ask: Ask) {
        let Origin { server, host, connection, id, session, .. } = origin;
        let alive = self.ensemble.head.sessions.contains(&session);
        let change = match ask {
            Ask::Attach(None) => Change::CreateSession(session),
            Ask::Attach(Some(_)) if alive => {
                self.ensemble.touch(session, self.now);
                self.ensemble.attached.insert(session, server);
                return self.tell(host, connection, id, Tell::Attached(session));
            }
            Ask::Attach(Some(_)) => return self.tell(host, connection, id, Tell::Expired),
            // The session has ended, or has moved on to another server.
            _ if !alive || self.ensemble.attached.get(&session) != Some(&server) => return,
            Ask::Heartbeat => Change::Heartbeat,
            Ask::Action(Action::Join) => Change::Join(session),
            Ask::Action(Action::Elect { over }) if !same_versions(&over, &self.ensemble.head.record) => {
                return self.tell(host, connection, id, Tell::Answer(Input::Outdated, None));
            }
            Ask::Action(Action::Elect { over }) => Change::Elect { session, host, number: over.number + 1 },
            Ask::Action(Action::Release { term }) => {
                Change::Release { session, version: term.map(|term| term.record_version) }
            }
            Ask::Action(_) | Ask::Ping => return,
        };
        let attaching = matches!(change, Change::CreateSession(_));
        if attaching {
            self.ensemble.attached.insert(session, server);
        }
        self.append(change, Some(Origin { attaching, ..origin }));
    }

    fn append(&mut self, change: Change, origin: Option<Origin>) {
        let Some(leader) = self.ensemble.leader else { return };
        self.ensemble.append(change, origin, self.now);
        let (epoch, log) = (self.ensemble.epoch, self.ensemble.log.len());
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(arrives, Event::Propose { epoch, server, log });
            }
        }
    }

    fn proposed(&mut self, epoch: u64, server: usize, log: usize) {
        let it = &mut self.ensemble.servers[server];
        if epoch != self.ensemble.epoch || it.stopped || !it.linked {
            return;
        }
        it.log = it.log.max(log);
        let arrives = self.behind(self.ensemble.servers[server].to_leader);
        self.ensemble.servers[server].to_leader = arrives;
        self.at(arrives, Event::Acknowledge { epoch, log });
    }

    fn acknowledged(&mut self, epoch: u64, log: usize) {
        if epoch != self.ensemble.epoch || !self.leading() || log <= self.ensemble.committed {
            return;
        }
        self.ensemble.committed = log;
        let leader = self.ensemble.leader.expect("it is leading");
        self.apply(leader, log);
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(arrives, Event::Commit { epoch, server, applied: log });
            }
        }
    }

    /// A server applies what is committed: it answers those who wait at it and fires watches.
    fn apply(&mut self, server: usize, up_to: usize) {
        for entry in self.ensemble.apply(server, up_to) {
            if let Some(origin) = entry.origin.filter(|origin| origin.server == server) {
                let tell = match (&entry.change, &entry.verdict) {
                    _ if origin.attaching => Tell::Attached(origin.session),
                    (Some(Change::Heartbeat), _) => Tell::Beaten,
                    (Some(Change::Join(_)), _) => Tell::Answer(Input::Joined, None),
                    (Some(Change::Release { .. }), _) => Tell::Answer(Input::Released, None),
                    (_, Verdict::Elected { number, token, version }) => {
                        let term = Term {
                            number: *number,
                            fencing_token: FencingToken(*token),
                            task: "task".into(),
                            host: origin.host.to_string().into(),
                            record_version: *version,
                        };
                        Tell::Answer(Input::Elected(term), None)
                    }
                    (_, Verdict::Held) => {
                        let blind = self.hosts[origin.host].rule == Rule::BlindToCandidate;
                        let tree = &self.ensemble.servers[server].tree;
                        let (input, watch) = read_master(tree, origin.session, blind);
                        Tell::Answer(input, watch)
                    }
                    _ => Tell::Answer(Input::Outdated, None),
                };
                self.tell(origin.host, origin.connection, origin.id, tell);
            }
            self.fire_watches(server);
        }
    }

    fn fire_watches(&mut self, server: usize) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].server != Some(server) {
                continue;
            }
            let tree = &self.ensemble.servers[server].tree;
            let fires = match self.hosts[host].watch {
                Some(Watch::Candidates { predecessor, own }) => {
                    !tree.candidates.contains_key(&predecessor) || tree.place(own).is_none()
                }
                Some(Watch::Master) => tree.master.is_none(),
                Some(Watch::Leadership(own)) => tree.master.is_none() || !tree.at_head(own),
                None => false,
            };
            if fires {
                let connection = self.hosts[host].connection;
                self.tell(host, connection, 0, Tell::Changed);
            }
        }
    }

    fn leader_pings(&mut self) {
        self.after(SECOND, Event::LeaderPings);
        let Some(leader) = self.ensemble.leader.filter(|_| self.leading()) else { return };
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let epoch = self.ensemble.epoch;
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(arrives, Event::PeerPing { epoch, server });
            }
        }
    }

    fn peer_ping(&mut self, epoch: u64, server: usize) {
        let it = &mut self.ensemble.servers[server];
        if epoch != self.ensemble.epoch || it.stopped || !it.linked {
            return;
        }
        let touched = std::mem::take(&mut it.touched).into_iter().collect();
        let arrives = self.behind(self.ensemble.servers[server].to_leader);
        self.ensemble.servers[server].to_leader = arrives;
        self.at(arrives, Event::PeerPong { epoch, touched });
    }

    fn expiry_sweep(&mut self) {
        self.after(2 * SECOND, Event::ExpirySweep);
        if !self.leading() {
            return;
        }
        let dead: Vec<Session> =
            self.ensemble.expiry.iter().filter(|(_, at)| **at <= self.now).map(|(session, _)| *session).collect();
        for session in dead {
            self.append(Change::CloseSession(session), None);
        }
    }

    // ---- faults ----

    fn fault(&mut self) {
        let next = 2 * SECOND + self.random.below(15 * SECOND);
        self.after(next, Event::Fault);
        self.one_fault();
        // Faults like company.
        if self.random.below(2) == 0 {
            self.one_fault();
        }
    }

    fn one_fault(&mut self) {
        let server = usize::try_from(self.random.below(SERVERS as u64)).expect("small");
        let any = usize::try_from(self.random.below(self.hosts.len() as u64)).expect("small");
        // Faults strike whoever leads more often than chance would.
        let leads = (0..self.hosts.len()).find(|host| self.hosts[*host].permitted(self.now).is_some());
        let host = leads.filter(|_| self.random.below(2) == 0).unwrap_or(any);
        let time = 500 * MS + self.random.below(16 * SECOND);
        match self.random.below(9) {
            0 => self.break_server(server, time, false),
            1 => self.break_server(server, time, true),
            2 => {
                // The server goes with the host that it serves.
                self.hosts[host].isolated_until = self.now + time;
                if let Some(server) = self.hosts[host].server {
                    self.break_server(server, time, true);
                }
            }
            3 => self.hosts[host].isolated_until = self.now + time,
            4 => {
                // The connection is lost with all that was on its way.
                let connection = self.hosts[host].connection;
                self.events.retain(|_, event| match event {
                    Event::ToServer { connection: it, host: of, .. }
                    | Event::ToHost { connection: it, host: of, .. } => (*it, *of) != (connection, host),
                    _ => true,
                });
                self.disconnect(host);
            }
            5 => self.hosts[host].stopped_until = self.now + time,
            6 => self.delete_master(),
            7 => self.delete_candidate(host),
            _ => {
                for host in 0..self.hosts.len() {
                    self.disconnect(host);
                }
            }
        }
    }

    fn delete_master(&mut self) {
        let Some(owner) = self.ensemble.head.master.map(|master| master.owner).filter(|_| self.leading()) else {
            return;
        };
        self.note_loss(owner);
        if self.ensemble.head.at_head(owner) || self.loss_is_over(owner) {
            self.append(Change::DeleteMaster, None);
        }
    }

    fn delete_candidate(&mut self, host: HostId) {
        let Some(session) = self.hosts[host].session.filter(|_| self.leading()) else { return };
        let mut candidates = self.ensemble.head.candidates.iter();
        let Some(candidate) = candidates.find(|(_, owner)| **owner == session).map(|(candidate, _)| *candidate) else {
            return;
        };
        self.note_loss(session);
        let holds = self.ensemble.head.master.is_some_and(|master| master.owner == session);
        if holds || self.loss_is_over(session) {
            self.append(Change::DeleteCandidate(candidate), None);
        }
    }

    /// A deletion is about to come: the first that a session suffers, if it has all its parts (again, it may be, because
    /// the leader that was told of the last one took it along).
    fn note_loss(&mut self, session: Session) {
        let head = &self.ensemble.head;
        if head.at_head(session) && head.master.is_some_and(|master| master.owner == session) {
            self.lost.insert(session, self.now);
        }
    }

    /// Whether nothing of a session's hold on leadership is needed any more: it never led, or it lost the other part so
    /// long ago that its host has heard of it, or has no lease left.
    fn loss_is_over(&self, session: Session) -> bool {
        let host = self.hosts.iter().find(|host| host.session == Some(session));
        let may_act = host
            .is_some_and(|host| host.activation.is_some() || matches!(host.request, Some((_, Action::Elect { .. }))));
        let long_ago = self.lost.get(&session).is_some_and(|lost| self.now >= lost + 10 * SECOND);
        !may_act || long_ago
    }

    /// Stops a server, or cuts it off from its peers while its clients still reach it.
    fn break_server(&mut self, server: usize, time: Nanos, stop: bool) {
        if !self.ensemble.servers[server].linked || self.ensemble.servers[server].stopped {
            return;
        }
        let it = &mut self.ensemble.servers[server];
        (it.stopped, it.linked) = (stop, false);
        it.serves_until = self.now + if stop { time + SECOND } else { SYNC_LIMIT };
        self.after(time, Event::HealServer { server });
        if self.ensemble.leader == Some(server) {
            self.ensemble.leader = None;
            for other in &mut self.ensemble.servers {
                other.linked = false;
                other.serves_until = other.serves_until.max(self.now + SYNC_LIMIT);
            }
            let takes = 200 * MS + self.random.below(3 * SECOND);
            self.after(takes, Event::ElectLeader);
        } else if self.ensemble.servers.iter().filter(|server| server.linked).count() <= SERVERS / 2 {
            self.ensemble.leader = None;
        }
    }

    fn heal(&mut self, server: usize) {
        self.ensemble.servers[server].stopped = false;
        // For a moment it serves what it had when it broke; then it finds the leader.
        let takes = 200 * MS + self.random.below(SECOND);
        self.after(takes, Event::ElectLeader);
    }

    fn elect_leader(&mut self) {
        let broken: Vec<usize> = (0..SERVERS).filter(|server| self.pending_heal(*server)).collect();
        let reachable: Vec<usize> = (0..SERVERS).filter(|server| !broken.contains(server)).collect();
        if self.ensemble.leader.is_none() {
            self.ensemble.elect(&reachable, self.now);
        } else {
            for server in reachable {
                if !self.ensemble.servers[server].linked {
                    self.ensemble.join(server);
                }
            }
        }
    }

    fn pending_heal(&self, server: usize) -> bool {
        self.events.values().any(|event| matches!(event, Event::HealServer { server: it } if *it == server))
    }
}

/// What an election asks the ensemble to check.
fn same_versions(over: &Record, record: &Record) -> bool {
    (over.version, over.history) == (record.version, record.history)
}

/// What a server answers by itself.
fn read(tree: &Tree, session: Session, action: &Action, blind: bool) -> Option<(Input, Option<Watch>)> {
    match action {
        Action::Look => {
            let place = tree.place(session);
            let queue = Queue {
                ahead: place.map(|(ahead, _)| ahead),
                predecessor: place.and_then(|(_, predecessor)| predecessor).map(|it| it.to_string()),
                appointed: false,
                record: tree.record.clone(),
            };
            Some((Input::Looked(queue), None))
        }
        Action::AwaitPredecessor(name) => {
            let predecessor = name.parse().expect("names are numbers here");
            Some(if tree.candidates.contains_key(&predecessor) && tree.place(session).is_some() {
                (Input::Awaiting, Some(Watch::Candidates { predecessor, own: session }))
            } else {
                (Input::Gone, None)
            })
        }
        Action::ReadMaster => Some(read_master(tree, session, blind)),
        _ => None,
    }
}

fn read_master(tree: &Tree, session: Session, blind: bool) -> (Input, Option<Watch>) {
    let holder = match tree.master {
        None => return (Input::MasterSeen(Holder::Nobody), None),
        Some(master) if master.owner != session => {
            return (Input::MasterSeen(Holder::Other(master.host.to_string())), Some(Watch::Master));
        }
        _ if !blind && !tree.at_head(session) => Holder::MeWithoutPlace,
        Some(master) if master.zxid != tree.record_zxid => Holder::MeWithoutTerm,
        Some(master) => Holder::Me(Term {
            number: tree.record.number,
            fencing_token: FencingToken(master.zxid),
            task: "task".into(),
            host: master.host.to_string().into(),
            record_version: tree.record.version,
        }),
    };
    let watch = if blind { Watch::Master } else { Watch::Leadership(session) };
    (Input::MasterSeen(holder), Some(watch))
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
