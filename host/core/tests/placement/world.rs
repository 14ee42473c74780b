//! Hosts that say what they lead, read what others say, and hand over.

use std::collections::BTreeMap;
use std::time::Duration;

use soloist_core::clock::Moment;
use soloist_core::placement::{
    HostLoad, Led, MOVES_MAX, Move, Pace, Peer, Sightings, TaskPlacement, Why, decide,
};
use soloist_core::term::FencingToken;
use soloist_seed::Random;

/// Milliseconds.
type Time = u64;

pub const SECOND: Time = 1_000;
pub const MINUTE: Time = 60 * SECOND;
/// How often a host says what it leads.
const BEAT: Time = SECOND;
/// How often a host looks at what others say, but for a quarter more or less.
const ROUND: Time = 5 * SECOND;
/// How long it takes until the terms of a host that died are others'.
const FAILOVER: Time = 2 * SECOND;
const PACE: Pace = Pace {
    grace: Duration::from_secs(60),
    cool_down: Duration::from_secs(300),
};

/// How hosts go about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// As Soloist does.
    Proved,
    /// Broken: each gives what it has above the mean to whoever it sees with the least load.
    LightestFirst,
    /// Broken: whoever is not there is forgotten at once.
    Forgets,
    /// Broken: decides again before it can see what came of its last moves.
    Hurries,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Beat(usize),
    Round(usize),
    Handed { task: usize, from: usize, to: usize },
    Lost(usize),
}

struct Host {
    id: String,
    /// Since when it is there.
    up: Option<Time>,
    weight: u32,
    tasks: Vec<usize>,
    /// What it said last, and before.
    said: [Option<HostLoad>; 2],
    /// How often it has said anything.
    written: i32,
    sightings: Sightings,
}

struct Task {
    name: String,
    leader: usize,
    since: Time,
    /// When it was handed over last, in this run of the world.
    moved: Option<Time>,
}

/// What came of a while.
#[derive(Debug, Default)]
pub struct Report {
    pub moves: usize,
    /// How many of them moved a task that had been moved already.
    pub again: usize,
    /// After how long the load was even, and stayed so.
    pub even_after: Option<Time>,
    /// When the last move was.
    pub last_move: Time,
}

pub struct World {
    rule: Rule,
    round: Time,
    now: Time,
    random: Random,
    hosts: Vec<Host>,
    tasks: Vec<Task>,
    events: BTreeMap<(Time, u64), Event>,
    next: u64,
    began: Time,
    report: Report,
    usual: TaskPlacement,
}

impl World {
    /// A world in which all has been as it is for a long time.
    pub fn new(
        rule: Rule,
        hosts: usize,
        tasks: usize,
        mut leader: impl FnMut(usize) -> usize,
    ) -> Self {
        let now = 60 * MINUTE;
        let mut world = Self {
            rule,
            round: ROUND,
            now,
            random: Random::new(soloist_seed::seed()),
            hosts: Vec::new(),
            tasks: Vec::new(),
            events: BTreeMap::new(),
            next: 0,
            began: now,
            report: Report::default(),
            usual: TaskPlacement::default(),
        };
        for host in 0..hosts {
            world.hosts.push(Host {
                id: format!("host-{host:03}"),
                up: None,
                weight: 1,
                tasks: Vec::new(),
                said: [None, None],
                written: 0,
                sightings: Sightings::default(),
            });
        }
        for task in 0..tasks {
            let leader = leader(task);
            world.hosts[leader].tasks.push(task);
            let name = format!("task-{task}");
            world.tasks.push(Task {
                name,
                leader,
                since: 0,
                moved: None,
            });
        }
        for host in 0..hosts {
            world.start(host);
            world.hosts[host].up = Some(0);
            world.say(host);
        }
        world
    }

    /// Lets all hosts look so often instead.
    pub fn every(mut self, round: Time) -> Self {
        self.round = round;
        self
    }

    pub fn weigh(&mut self, host: usize, weight: u32) {
        self.hosts[host].weight = weight;
        self.say(host);
    }

    pub fn start(&mut self, host: usize) {
        self.hosts[host].up = Some(self.now);
        self.hosts[host].sightings = Sightings::default();
        self.say(host);
        let (beat, round) = (self.random.below(BEAT), self.random.below(ROUND));
        self.after(beat, Event::Beat(host));
        self.after(round, Event::Round(host));
    }

    pub fn kill(&mut self, host: usize) {
        self.hosts[host].up = None;
        self.events
            .retain(|_, event| !matches!(event, Event::Beat(it) | Event::Round(it) if *it == host));
        self.after(FAILOVER, Event::Lost(host));
    }

    fn after(&mut self, pause: Time, event: Event) {
        self.next += 1;
        self.events.insert((self.now + pause, self.next), event);
    }

    /// How many moves it takes at least until the load is even.
    pub fn least_moves(&self) -> usize {
        let there = || self.hosts.iter().filter(|host| host.up.is_some());
        let weights: usize = there().map(|host| host.weight as usize).sum();
        there()
            .map(|host| {
                let share = (self.tasks.len() * host.weight as usize).div_ceil(weights);
                host.tasks.len().saturating_sub(share)
            })
            .sum()
    }

    /// Whether each host leads its fair share, or one more or less.
    fn is_even(&self) -> bool {
        let there = || self.hosts.iter().filter(|host| host.up.is_some());
        let weights: usize = there().map(|host| host.weight as usize).sum();
        there().all(|host| {
            let (led, all) = (host.tasks.len(), self.tasks.len() * host.weight as usize);
            (all / weights..=all.div_ceil(weights)).contains(&led)
        })
    }

    /// Lets so much time pass.
    pub fn run(&mut self, time: Time) -> Report {
        let end = self.now + time;
        (self.began, self.report) = (self.now, Report::default());
        for task in &mut self.tasks {
            task.moved = None;
        }
        let mut even_since = self.is_even().then_some(self.now);
        while let Some(next) = self.events.first_entry() {
            if next.key().0 > end {
                break;
            }
            let ((now, _), event) = next.remove_entry();
            self.now = now;
            let changes = matches!(event, Event::Handed { .. } | Event::Lost(_));
            self.happens(event);
            if changes {
                even_since = self.is_even().then(|| even_since.unwrap_or(now));
            }
        }
        self.now = end;
        self.report.even_after = even_since.map(|since| since - self.began);
        std::mem::take(&mut self.report)
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Beat(host) => {
                self.say(host);
                self.after(BEAT, Event::Beat(host));
            }
            Event::Round(host) => {
                self.look(host);
                let pause = self.round * 3 / 4 + self.random.below(self.round / 2);
                self.after(pause, Event::Round(host));
            }
            Event::Handed { task, from, to } => {
                // One that has died meanwhile, or is gone, takes nothing.
                if self.tasks[task].leader == from
                    && self.hosts[to].up.is_some()
                    && self.hosts[from].up.is_some()
                {
                    self.lead(task, to);
                }
            }
            Event::Lost(host) => {
                // A handful of hosts stand right behind it.
                for task in std::mem::take(&mut self.hosts[host].tasks) {
                    let to = (1..).map(|step| (host + 11 * step + task % 3) % self.hosts.len());
                    let to = to
                        .into_iter()
                        .find(|it| self.hosts[*it].up.is_some() && *it != host);
                    self.hosts[host].tasks.push(task);
                    self.lead(task, to.unwrap());
                }
            }
        }
    }

    fn lead(&mut self, task: usize, host: usize) {
        let before = self.tasks[task].leader;
        self.hosts[before].tasks.retain(|it| *it != task);
        self.hosts[host].tasks.push(task);
        self.tasks[task].leader = host;
        self.tasks[task].since = self.now;
    }

    /// A host says what it leads.
    fn say(&mut self, host: usize) {
        let now = self.now;
        let it = &mut self.hosts[host];
        let led = u32::try_from(it.tasks.len()).unwrap();
        let load = HostLoad {
            labels: Vec::new(),
            weight: it.weight,
            max_active: None,
            active: led,
            load: led,
            up: it.up.map_or(0, |up| (now - up) / SECOND),
            spread: true,
        };
        it.said = [Some(load), it.said[0].take()];
        it.written += 1;
    }

    /// A host reads what others say, and hands over what it should. Some of what it reads is what they said before.
    fn look(&mut self, host: usize) {
        let mut peers = Vec::new();
        for other in 0..self.hosts.len() {
            let old = usize::from(self.random.below(4) == 0 && other != host);
            let it = &self.hosts[other];
            let said = it.said[old].clone().or_else(|| it.said[0].clone());
            // A record goes with its session.
            let dead = it.up.is_none()
                && !self
                    .events
                    .values()
                    .any(|event| matches!(event, Event::Lost(it) if *it == other));
            if let Some(load) = said.filter(|_| !dead) {
                peers.push(Peer {
                    host: it.id.clone(),
                    load,
                    drained: false,
                    absent: false,
                    written: it.written - i32::try_from(old).unwrap(),
                });
            }
        }
        let grace = if self.rule == Rule::Forgets {
            Duration::ZERO
        } else {
            PACE.grace
        };
        let now = Moment::from_nanos(self.now * 1_000_000);
        let peers = self.hosts[host].sightings.see(now, peers, grace);
        let tasks = &self.tasks;
        let leads = |task: &str, token| {
            let task = &tasks[number(task)];
            task.leader == host && FencingToken(task.since) == token
        };
        let it = &mut self.hosts[host];
        if !it.sightings.are_current(&it.id, now, PACE.grace, leads) && self.rule != Rule::Hurries {
            return;
        }
        let led: Vec<Led<'_>> = it
            .tasks
            .iter()
            .map(|task| Led {
                task: &self.tasks[*task].name,
                placement: &self.usual,
                led_for: Duration::from_millis(self.now - self.tasks[*task].since),
                steady: true,
                crowded: false,
                standbys: None,
                shunned: &[],
            })
            .collect();
        let moves = match self.rule {
            Rule::LightestFirst => lightest_first(&it.id, &peers, &led),
            _ => decide(&it.id, &peers, &led, &PACE),
        };
        assert!(moves.len() <= MOVES_MAX);
        for Move { task, to, .. } in moves {
            self.hand_over(host, &task, &to);
        }
    }

    fn hand_over(&mut self, from: usize, task: &str, to: &str) {
        let until = Moment::from_nanos((self.now + MINUTE) * 1_000_000);
        let token = FencingToken(self.tasks[number(task)].since);
        self.hosts[from].sightings.ordered(token, task, to, until);
        let (task, to) = (number(task), number(to));
        let (now, began) = (self.now, self.began);
        let it = &mut self.tasks[task];
        assert!(now - it.since >= 300 * SECOND, "it was moved a while ago");
        self.report.again += usize::from(it.moved.replace(now).is_some());
        self.report.moves += 1;
        self.report.last_move = now - began;
        let takes = 5 + self.random.below(500);
        self.after(takes, Event::Handed { task, from, to });
    }
}

/// The number in a name.
fn number(name: &str) -> usize {
    name.rsplit_once('-').unwrap().1.parse().unwrap()
}

/// What each would do that sees a host with a lesser load: a broken rule.
fn lightest_first(own: &str, peers: &[Peer], led: &[Led<'_>]) -> Vec<Move> {
    let all: u32 = peers.iter().map(|peer| peer.load.load).sum();
    let mean = all as usize / peers.len();
    let to = peers
        .iter()
        .filter(|peer| peer.host != own)
        .min_by_key(|peer| peer.load.load)
        .unwrap();
    let rested = led.iter().filter(|led| led.led_for >= PACE.cool_down);
    rested
        .take(led.len().saturating_sub(mean + 1).div_ceil(8))
        .map(|led| Move {
            task: led.task.to_owned(),
            to: to.host.clone(),
            why: Why::Spread,
        })
        .collect()
}
