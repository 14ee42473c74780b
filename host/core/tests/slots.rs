//! A small model of slots that are claimed over terms: hosts that are lost, frozen and deposed, answers that are lost, writes
//! that arrive late, and clocks that are set. What decides is the very code of a host.
//!
//! These things must never be:
//! - a claim or a completion in a term that is over;
//! - a slot that is claimed as a new one twice, or an attempt that is claimed twice;
//! - a slot that is completed twice, or whose state changes other than with its completion;
//! - a slot that is neither completed nor said to be missed, once a host has led for long enough.
//!
//! Each rule of [`Rules`] is broken in turn, and the model has to notice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use soloist_core::schedule::{
    Busy, Claim, Now, OnMissed, Overlap, Record, Rule, Schedule, Settings, Then, Time, complete,
};
use soloist_seed::Random;

const WORLDS: u64 = 150;
const STEPS: usize = 150;
/// Slots are a minute apart.
const MINUTE: Duration = Duration::from_secs(60);

/// What every write of a record holds to.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// It is done in the term of the writer alone.
    fence: bool,
    /// It is done over the record that was read alone.
    over: bool,
    /// The state is written with the completion, not before.
    together: bool,
}

const ALL: Rules = Rules {
    fence: true,
    over: true,
    together: true,
};

/// A write on its way.
#[derive(Clone)]
struct Write {
    term: u64,
    over: Option<Vec<u8>>,
    record: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Claim(Claim),
    Completion(Claim),
    Other,
}

/// A host that has been elected, and may not have heard that it leads no more.
struct Leader {
    term: u64,
    /// How far its clock is ahead.
    ahead: Duration,
    waiting_since: Time,
    claim: Option<Claim>,
    busy: Option<Busy>,
}

struct World {
    random: Random,
    rules: Rules,
    schedule: Schedule,
    time: Time,
    // What the ensemble has.
    term: u64,
    record: Option<Vec<u8>>,
    state: BTreeMap<Time, u32>,
    leaders: Vec<Leader>,
    late: Vec<Write>,
    // What has happened.
    claimed: BTreeSet<(Time, u32)>,
    completed: BTreeSet<Time>,
    /// The first and the last slot of each row that was said to be missed.
    missed: Vec<(Time, Time)>,
    began: Option<Time>,
}

type Broken = String;

fn one_of<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[index(random, all.len())]
}

fn index(random: &mut Random, length: usize) -> usize {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    usize::try_from(random.below(length)).unwrap_or(0)
}

impl World {
    fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let on_missed = [OnMissed::Skip, OnMissed::RunLast, OnMissed::RunAll];
        let settings = Settings {
            name: "main".into(),
            rule: Rule::Every(MINUTE),
            jitter: Duration::from_secs(random.below(2) * 20),
            overlap: one_of(&mut random, &[Overlap::Skip, Overlap::BufferOne]),
            catch_up: MINUTE * one_of(&mut random, &[0, 3, 1000]),
            on_missed: one_of(&mut random, &on_missed),
        };
        Self {
            random,
            rules,
            schedule: Schedule::new("report", settings).expect("it can be used"),
            time: Time::from_secs(1_800_000_000),
            term: 0,
            record: None,
            state: BTreeMap::new(),
            leaders: Vec::new(),
            late: Vec::new(),
            claimed: BTreeSet::new(),
            completed: BTreeSet::new(),
            missed: Vec::new(),
            began: None,
        }
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.random.below(times) == 0
    }

    /// Elects a host; those who led before may go on for a while, without knowing.
    fn elect(&mut self) {
        self.term += 1;
        let ahead = Duration::from_secs(self.random.below(3) * 40);
        let time = self.time + ahead;
        self.leaders.push(Leader {
            term: self.term,
            ahead,
            waiting_since: time,
            claim: None,
            busy: None,
        });
        if self.leaders.len() > 2 || self.leaders.len() > 1 && self.one_in(2) {
            self.leaders.remove(0);
        }
    }

    /// The ensemble takes a write in.
    fn take_in(&mut self, write: &Write) -> Result<bool, Broken> {
        let is_fenced = self.rules.fence && write.term != self.term;
        if is_fenced || self.rules.over && write.over != self.record {
            return Ok(false);
        }
        if write.term != self.term {
            return Err("a write was done in a term that is over".into());
        }
        match write.kind {
            Kind::Claim(claim) => {
                if !self.claimed.insert((claim.at, claim.attempt)) {
                    return Err(format!("claimed twice: {claim:?}"));
                }
                if claim.attempt > 1 && !self.claimed.contains(&(claim.at, claim.attempt - 1)) {
                    return Err(format!("claimed again, and never before: {claim:?}"));
                }
            }
            Kind::Completion(claim) => {
                if !self.completed.insert(claim.at) {
                    return Err(format!("completed twice: {claim:?}"));
                }
                if self.rules.together {
                    *self.state.entry(claim.at).or_default() += 1;
                }
            }
            Kind::Other => {}
        }
        self.record = Some(write.record.clone());
        Ok(true)
    }

    /// A host writes until it knows what came of it, as the keeper of the state does. Says whether it was done, or nothing
    /// if the host was lost in between.
    fn write(&mut self, write: &Write) -> Result<Option<bool>, Broken> {
        loop {
            match self.random.below(8) {
                // The answer is lost, and maybe the host.
                0 => {
                    self.take_in(write)?;
                }
                // It is lost, or comes late.
                1 => {
                    if self.one_in(2) {
                        self.late.push(write.clone());
                    }
                }
                _ => return self.take_in(write).map(Some),
            }
            if self.one_in(4) {
                return Ok(None);
            }
            if self.record.as_ref() == Some(&write.record) {
                return Ok(Some(true));
            }
        }
    }

    /// One of those who believe that they lead does what is next.
    fn act(&mut self) -> Result<(), Broken> {
        if self.leaders.is_empty() {
            return Ok(());
        }
        let index = index(&mut self.random, self.leaders.len());
        let lives = if self.leaders[index].claim.is_some() {
            self.complete(index)?
        } else {
            self.next(index)?
        };
        if !lives {
            self.leaders.remove(index);
        }
        Ok(())
    }

    /// A plugin waits for a slot, for as long as it takes to decide once. Says whether its host lives.
    fn next(&mut self, index: usize) -> Result<bool, Broken> {
        let leader = &self.leaders[index];
        let term = leader.term;
        let now = Now {
            time: self.time + leader.ahead,
            waiting_since: leader.waiting_since,
            busy: leader.busy,
            token: term,
        };
        let over = self.record.clone();
        let record = over.as_deref().map(Record::decode).transpose();
        let record = record.map_err(|error| error.to_string())?;
        let decision = self.schedule.decide(record.as_ref(), now);
        let said = decision.missed.iter().map(|it| (it.first, it.last));
        let said: Vec<_> = said.collect();
        if let Some(written) = decision.record {
            let kind = match decision.then {
                Then::Run(claim) => Kind::Claim(claim),
                _ => Kind::Other,
            };
            let write = Write {
                term,
                over,
                record: written.encode(),
                kind,
            };
            // What a host says whose write is refused, the next leader says again, or runs it.
            let is_leader = term == self.term;
            let Some(is_done) = self.write(&write)? else {
                self.missed.extend(said);
                return Ok(false);
            };
            if is_done || is_leader {
                self.missed.extend(said);
            }
            if !is_done {
                return Ok(is_leader);
            }
            if record.is_none() {
                self.began.get_or_insert(now.time);
            }
        }
        let leader = &mut self.leaders[index];
        match decision.then {
            Then::Run(claim) => {
                leader.claim = Some(claim);
                leader.busy.get_or_insert(Busy { since: now.time });
            }
            Then::Wait(until) => {
                if until <= now.time {
                    return Err(format!("it would wait until {until}, which has passed"));
                }
                leader.busy = None;
            }
            Then::Again => {}
        }
        Ok(true)
    }

    /// A plugin completes its slot. Says whether its host lives.
    fn complete(&mut self, index: usize) -> Result<bool, Broken> {
        let leader = &self.leaders[index];
        let term = leader.term;
        let Some(claim) = leader.claim else {
            return Ok(true);
        };
        let over = self.record.clone();
        let record = over.as_deref().map(Record::decode).transpose();
        let record = record.map_err(|error| error.to_string())?;
        let completed = record.and_then(|record| complete(&record, claim));
        let Some(completed) = completed else {
            // It is completed, or somebody else has claimed it.
            self.idle(index);
            return Ok(true);
        };
        if !self.rules.together && term == self.term {
            *self.state.entry(claim.at).or_default() += 1;
        }
        let write = Write {
            term,
            over,
            record: completed.encode(),
            kind: Kind::Completion(claim),
        };
        let done = self.write(&write)?;
        if done == Some(true) {
            self.idle(index);
        }
        Ok(done == Some(true) || done == Some(false) && term == self.term)
    }

    fn idle(&mut self, index: usize) {
        let time = self.time;
        let leader = &mut self.leaders[index];
        leader.claim = None;
        leader.waiting_since = time + leader.ahead;
    }

    fn step(&mut self) -> Result<(), Broken> {
        match self.random.below(12) {
            0 => self.elect(),
            1 => {
                let minutes = self.random.below(10);
                self.time = self.time + MINUTE * u32::try_from(minutes).unwrap_or(0);
            }
            2 => self.time = self.time + Duration::from_secs(self.random.below(50)),
            3 if !self.late.is_empty() => {
                let index = index(&mut self.random, self.late.len());
                let write = self.late.remove(index);
                self.take_in(&write)?;
            }
            4 => {
                // A clock is set.
                let ahead = Duration::from_secs(self.random.below(3) * 40);
                if let Some(leader) = self.leaders.first_mut() {
                    leader.ahead = ahead;
                }
            }
            _ => self.act()?,
        }
        self.look()
    }

    /// What has to be true at any time.
    fn look(&self) -> Result<(), Broken> {
        let written: Vec<_> = self.state.keys().collect();
        if !written.iter().all(|slot| self.completed.contains(slot))
            || written.len() != self.completed.len()
        {
            return Err("the state of a slot changed without its completion".into());
        }
        match self.state.iter().find(|(_, changes)| **changes != 1) {
            Some((slot, changes)) => Err(format!("the state changed {changes} times for {slot}")),
            None => Ok(()),
        }
    }

    /// Hosts lead one after the other until nothing is left to be done: then no slot is missing.
    fn settle(&mut self) -> Result<(), Broken> {
        self.leaders.clear();
        self.late.clear();
        self.time = self.time + 5 * MINUTE;
        self.elect();
        for _ in 0..4_000 {
            if self.leaders.is_empty() {
                self.elect();
            }
            self.act()?;
        }
        let (Some(began), Some(record)) = (self.began, &self.record) else {
            return Ok(());
        };
        let record = Record::decode(record).map_err(|error| error.to_string())?;
        if record.uncompleted().is_some() {
            return Err("a slot is still not completed".into());
        }
        let mut slot = began;
        while let Some(next) = self
            .schedule
            .next_after(slot)
            .filter(|next| *next <= self.time - MINUTE)
        {
            slot = next;
            let is_said = |(first, last): &(Time, Time)| *first <= slot && slot <= *last;
            if !self.completed.contains(&slot) && !self.missed.iter().any(is_said) {
                return Err(format!("{slot} was neither completed nor missed"));
            }
        }
        Ok(())
    }
}

fn try_world(seed: u64, rules: Rules) -> Result<usize, Broken> {
    let mut world = World::new(seed, rules);
    for _ in 0..STEPS {
        world.step()?;
    }
    world.settle()?;
    Ok(world.completed.len())
}

#[test]
fn every_slot_is_claimed_and_completed_once_or_missed_and_said() {
    let first = soloist_seed::seed();
    let mut completed = 0;
    for world in 0..WORLDS {
        let seed = first.wrapping_add(world);
        match try_world(seed, ALL) {
            Ok(slots) => completed += slots,
            Err(broken) => panic!("world {seed}: {broken}"),
        }
    }
    assert!(
        completed > 1_000,
        "only {completed} slots were completed: nothing is shown"
    );
}

#[test]
fn a_model_in_which_a_rule_is_broken_notices() {
    let first = soloist_seed::seed();
    let broken = [
        (
            "fence",
            Rules {
                fence: false,
                ..ALL
            },
        ),
        ("over", Rules { over: false, ..ALL }),
        (
            "together",
            Rules {
                together: false,
                ..ALL
            },
        ),
    ];
    for (name, rules) in broken {
        let notices = |world| try_world(first.wrapping_add(world), rules).is_err();
        assert!(
            (0..WORLDS).any(notices),
            "nothing is noticed without {name}"
        );
    }
}
