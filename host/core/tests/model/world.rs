//! Puts hosts and ensemble together: messages, timers and faults, in one order given by the seed.

use std::collections::BTreeMap;

use soloist_core::election::Input;

use crate::belief::Rule;
use crate::change::Change;
use crate::chronicle::{Chronicle, Violation, Wrong};
use crate::ensemble::Ensemble;
use crate::host::Host;
use crate::plan::{MS, Nanos, Plan, Session, time};
use crate::random::Random;

mod clients;
mod contenders;
mod event;
mod faults;
mod guardian;
mod leader;
mod people;
mod plugins;
mod reads;
mod servers;
mod stages;

use event::{Answer, Event, Tell};
use stages::Stage;

pub struct World {
    rule: Rule,
    plan: Plan,
    random: Random,
    now: Nanos,
    order: u64,
    events: BTreeMap<(Nanos, u64), Box<Event>>,
    ensemble: Ensemble,
    hosts: Vec<Host>,
    next_session: Session,
    next_id: u64,
    /// From here on nothing goes wrong any more.
    calm: bool,
    /// Whoever ends does not begin again.
    ending: bool,
    /// When a part of a session's hold on leadership, master node or candidate, was deleted by somebody else.
    lost: BTreeMap<Session, Nanos>,
    chronicle: Chronicle,
    /// Whether to print what happens.
    told: bool,
    pub violation: Option<Violation>,
    pub effects: u64,
    pub terms: u64,
    /// How often a task was taken away from a host, and given back.
    pub withdrawals: u64,
    /// How often another generation took over.
    pub renewals: u64,
    /// How often a host was drained.
    pub drains: u64,
    /// How often a host had no room for the task, and how often one gave way.
    pub not_admitted: (u64, u64),
    /// How often somebody was elected past those who stand before it.
    pub out_of_turn: u64,
    /// How often a guardian gave a term back.
    pub given_back: u64,
    /// How long it took until all was well again, at most, in percent of the time allowed.
    pub recovered_within: u64,
}

impl World {
    pub fn new(seed: u64, rule: Rule, told: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(seed, &mut random);
        let hosts = (0..plan.hosts)
            .map(|id| {
                // Within 1 %, and often at the bounds of that.
                let clock_error_ppm = match random.below(4) {
                    0 => -9_900,
                    1 => 9_900,
                    _ => i64::try_from(random.below(19_800)).expect("small") - 9_900,
                };
                Host::new(id, rule, clock_error_ppm, &plan)
            })
            .collect();
        if told {
            println!("{plan:?}");
        }
        let mut world = Self {
            rule,
            plan,
            random,
            now: plan.tick,
            order: 0,
            events: BTreeMap::new(),
            ensemble: Ensemble::new(&plan),
            hosts,
            next_session: 1,
            next_id: 1,
            calm: false,
            ending: false,
            lost: BTreeMap::new(),
            chronicle: Chronicle::new(&plan),
            told,
            violation: None,
            effects: 0,
            terms: 0,
            withdrawals: 0,
            renewals: 0,
            drains: 0,
            not_admitted: (0, 0),
            out_of_turn: 0,
            given_back: 0,
            recovered_within: 0,
        };
        for host in 0..plan.hosts {
            world.after(0, Event::Connect { host });
            let phase = world.random.below(plan.session_timeout / plan.beats);
            world.after(phase, Event::Heartbeat { host });
        }
        world.after(plan.tick / 2, Event::LeaderPings);
        // Sessions end at whole ticks, which is when the leader looks.
        world.at(2 * plan.tick, Event::ExpirySweep);
        let fault = world.random.below(plan.session_timeout);
        world.after(fault, Event::Fault);
        world.after(12 * plan.session_timeout, Event::Stage(Stage::Calm));
        world
    }

    /// Runs to its end, or until something has happened that must not.
    pub fn run(&mut self) {
        while self.violation.is_none()
            && let Some(((at, _), event)) = self.events.pop_first()
        {
            self.now = at;
            self.happen(*event);
        }
    }

    /// One line of a world that is told.
    fn print(&self, line: std::fmt::Arguments<'_>) {
        if self.told {
            println!("{:10.3?} {line}", time(self.now));
        }
    }

    fn wrong(&mut self, wrong: Wrong) {
        self.violation.get_or_insert(Violation {
            at: self.now,
            wrong,
        });
    }

    /// More may be committed than was.
    fn write_down(&mut self) {
        let committed = &self.ensemble.log[..self.ensemble.committed];
        for entry in committed.iter().skip(self.chronicle.written) {
            if !matches!(entry.change, Change::Heartbeat | Change::Store { .. }) {
                self.print(format_args!(
                    "  committed {:x}: {:?}: {:?}",
                    entry.zxid, entry.change, entry.verdict
                ));
            }
        }
        if let Some(wrong) = self.chronicle.write_down(committed) {
            self.wrong(wrong);
        }
    }

    fn at(&mut self, time: Nanos, event: Event) {
        self.order += 1;
        self.events
            .insert((time.max(self.now), self.order), Box::new(event));
    }

    fn after(&mut self, time: Nanos, event: Event) {
        self.at(self.now + time, event);
    }

    /// One of so many.
    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.random.below(of as u64)).expect("small")
    }

    /// Whether something happens that does so once in so many times, while things go wrong.
    fn fails(&mut self, once_in: u64) -> bool {
        !self.calm && self.random.below(once_in) == 0
    }

    /// When a message sent now arrives behind those sent before it: mostly soon, sometimes late.
    fn behind(&mut self, last: Nanos) -> Nanos {
        let delay = match self.random.below(20) {
            0 if !self.calm => self.random.below(self.plan.tick),
            _ => MS / 10 + self.random.below(self.plan.tick / 50),
        };
        (self.now + delay).max(last + 1)
    }

    fn happen(&mut self, event: Event) {
        if let Some(host) = event.host() {
            let stopped_until = self.hosts[host].stopped_until;
            if stopped_until > self.now {
                // It waits in a buffer, or is a timer that fires late.
                return self.at(stopped_until, event);
            }
        }
        match event {
            Event::ToServer {
                server,
                host,
                connection,
                id,
                ask,
            } => self.served(server, host, connection, id, ask),
            Event::ToHost {
                host,
                connection,
                id,
                tell,
            } => self.heard(host, connection, id, tell),
            Event::Reset { host, connection } if self.hosts[host].connection == connection => {
                self.cut(host);
            }
            Event::Forwarded { epoch, origin, ask } if self.leads(epoch) => {
                self.decide(origin, ask);
            }
            Event::Propose { epoch, server, log } if self.follows(epoch, server) => {
                self.proposed(server, log);
            }
            Event::Acknowledge { epoch, log, .. } if self.leads(epoch) => self.acknowledged(log),
            Event::Commit {
                epoch,
                server,
                applied,
            } if self.follows(epoch, server) => self.apply(server, applied),
            Event::PeerPing { epoch, server } if self.follows(epoch, server) => {
                self.peer_ping(server);
            }
            Event::PeerPong { epoch, touched, .. } if self.leads(epoch) => {
                for session in touched {
                    self.ensemble.touch(session, self.now);
                }
            }
            Event::LeaderPings => self.leader_pings(),
            Event::ExpirySweep => self.expiry_sweep(),
            Event::ElectLeader => self.elect_leader(),
            Event::Heal { server } => self.heal(server),
            Event::Start { host } => self.start(host),
            Event::Regain { host, process } if self.hosts[host].process == process => {
                self.regain_task(host);
            }
            Event::Connect { host } => self.connect(host),
            Event::Leave { host, session } if self.hosts[host].session == session => {
                self.leave(host);
            }
            Event::Heartbeat { host } => self.heartbeat(host),
            Event::Timer { host, timer } if self.hosts[host].timer == timer => {
                self.feed(host, Input::Timer);
            }
            Event::Effect { host, activation } => self.effect(host, activation),
            Event::Stopped { host, activation } => self.plugin_stopped(host, activation),
            Event::GuardianReads { session, attempts } => self.guardian_reads(session, attempts),
            Event::GuardianWrites { give_back } => self.guardian_writes(give_back),
            Event::Told {
                host,
                input,
                successor,
            } => self.told(host, input, successor),
            Event::Stuck { server, host } => self.stuck(server, host),
            Event::Snap { server, host } => self.snap(server, host),
            Event::Fault => self.fault(),
            Event::Stage(stage) => self.stage(stage),
            // A message of another epoch, or to a server that is cut off; a timer that has been set anew.
            _ => {}
        }
    }

    /// Whether messages of this epoch reach the leader.
    fn leads(&self, epoch: u64) -> bool {
        epoch == self.ensemble.epoch && self.leading()
    }

    /// Whether messages of this epoch reach a follower.
    fn follows(&self, epoch: u64, server: usize) -> bool {
        let it = &self.ensemble.servers[server];
        epoch == self.ensemble.epoch && it.linked && !it.stopped
    }

    fn leading(&self) -> bool {
        self.ensemble
            .leader
            .is_some_and(|leader| !self.ensemble.servers[leader].stopped)
    }
}
