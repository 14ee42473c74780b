//! Hosts, operators, an ensemble, and what goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use soloist_core::records::{Changed, Readiness, RolloutRecord, Stage};
use soloist_core::rollout::{
    GiveBack, Leader, Next, OnRollback, Plugin, Purpose, Seen as Record, Settings, Standing,
    View as Look, elected, prepares, rollback, says, stand,
};
use soloist_seed::Random;

use crate::chronicle::{Author, Chronicle};
use crate::ensemble::{Ensemble, Master, Read};
use crate::fate::{Fate, READY_TIMEOUT};
use crate::host::{Acts, Host, Job, Tenure, View, Work};
use crate::people::Order;
use crate::{Broken, Rule, Seen};

/// How long a host rests on which a generation has failed for good.
const REST: u64 = 15;

/// A write that arrives late.
#[derive(Debug)]
struct Late {
    term: u64,
    work: Work,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    broken: Option<Rule>,
    pub(crate) now: u64,
    pub(crate) ensemble: Ensemble,
    pub(crate) hosts: Vec<Host>,
    pub(crate) fates: BTreeMap<u64, Fate>,
    pub(crate) chronicle: Chronicle,
    pub(crate) orders: Vec<(Order, Read)>,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    late: Vec<Late>,
    writes: u64,
}

impl World {
    pub(crate) fn new(seed: u64, broken: Option<Rule>) -> Self {
        let mut random = Random::new(seed);
        let hosts = 1 + random.below(4);
        let hosts = (0..hosts).map(|_| Host::new(random.below(1_000))).collect();
        Self {
            random,
            broken,
            now: 1_000,
            ensemble: Ensemble::new(),
            hosts,
            fates: BTreeMap::new(),
            chronicle: Chronicle::default(),
            orders: Vec::new(),
            calm: false,
            late: Vec::new(),
            writes: 0,
        }
    }

    pub(crate) fn holds(&self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.chronicle.seen
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.random.below(length)).unwrap_or(0)
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.random.below(times) == 0
    }

    /// Something goes wrong, and never when it is calm.
    fn goes_wrong(&mut self, times: u64) -> bool {
        !self.calm && self.one_in(times)
    }

    pub(crate) fn step(&mut self) -> Result<(), Broken> {
        match self.random.below(60) {
            0..8 => self.now += self.random.below(4),
            8 => self.now += self.random.below(READY_TIMEOUT),
            9 if self.one_in(3) => self.operator_reads(),
            10 if !self.orders.is_empty() => self.operator_acts()?,
            11 if self.one_in(2) => self.kill(),
            12 | 13 => self.revive(),
            14 => self.expire_a_session(),
            15 if !self.late.is_empty() => {
                let index = self.index(self.late.len());
                let late = self.late.remove(index);
                self.take_in(late.term, &late.work)?;
            }
            16 if self.one_in(4) => {
                let host = self.index(self.hosts.len());
                self.hosts[host].full_until = self.now + 2 * READY_TIMEOUT;
            }
            17 if self.one_in(6) => {
                if let Some(current) = self.ensemble.read().record.and_then(|it| it.current) {
                    let fate = self.fates.get_mut(&current.number);
                    fate.expect("it was deployed").gone = true;
                }
            }
            _ => {
                let host = self.index(self.hosts.len());
                self.host_acts(host)?;
            }
        }
        Ok(())
    }

    fn kill(&mut self) {
        let host = self.index(self.hosts.len());
        self.hosts[host].dies();
    }

    pub(crate) fn revive(&mut self) {
        let host = self.index(self.hosts.len());
        if !self.hosts[host].lives {
            self.ensemble.expire(host);
            self.hosts[host].lives = true;
        }
    }

    /// A session ends; if its host lives, the lease has ended before, and with it the plugin.
    pub(crate) fn expire_a_session(&mut self) {
        let host = self.index(self.hosts.len());
        if let Some(tenure) = &self.hosts[host].tenure
            && let Some(work) = &tenure.work
        {
            let late = Late {
                term: tenure.term,
                work: work.clone(),
            };
            self.late.push(late);
        }
        self.ensemble.expire(host);
        self.hosts[host].forgets();
    }

    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.late.clear();
        self.orders.clear();
        for host in 0..self.hosts.len() {
            self.hosts[host].full_until = 0;
            if !self.hosts[host].lives {
                self.ensemble.expire(host);
                self.hosts[host].lives = true;
            }
        }
    }

    pub(crate) fn put(&mut self, record: &RolloutRecord, author: Author) -> Result<(), Broken> {
        let old = self.ensemble.read().record;
        self.chronicle
            .written((old.as_ref(), record), author, &self.fates, &self.ensemble)?;
        self.ensemble.put(record);
        Ok(())
    }

    /// The ensemble takes one step of a leader's work in. Says whether it was done.
    fn take_in(&mut self, term: u64, work: &Work) -> Result<bool, Broken> {
        if self.holds(Rule::Fence) && !self.ensemble.is_term(term) {
            return Ok(false);
        }
        let restores_late = work.job == Job::Restore && !self.holds(Rule::Restore);
        let step = if restores_late {
            // The broken rule: the record says so, and then it is done.
            [2, 0, 1][work.step]
        } else {
            work.step
        };
        let is_over = work.over == self.ensemble.version() || restores_late && step < 2;
        if self.holds(Rule::Over) && !is_over {
            return Ok(false);
        }
        let copies = self.holds(Rule::Copy);
        let ensemble = &mut self.ensemble;
        match (work.job, step) {
            (Job::Write, _) | (_, 2) => {
                let can_be_ready = work.can_be_ready;
                self.put(&work.record, Author::Host { can_be_ready })?;
            }
            (Job::Copy, 0) if copies => ensemble.copy = Some(None),
            (Job::Copy, _) if copies => ensemble.copy = Some(ensemble.state),
            (Job::Restore, 0) => ensemble.state = None,
            (Job::Restore, _) => ensemble.state = ensemble.copy.flatten(),
            (Job::Drop, 0) => ensemble.copy = Some(None),
            (Job::Drop, _) => ensemble.copy = None,
            (Job::Copy, _) => {}
        }
        Ok(true)
    }

    /// What a host reads: all of it at once, and maybe not this time.
    fn look(&mut self, host: usize) {
        if self.hosts[host].view.is_some() && self.goes_wrong(2) {
            return;
        }
        let hosts = (0..self.hosts.len()).map(|it| Standing {
            host: it.to_string(),
            stands: self.ensemble.queue.contains(&it),
            says: self.ensemble.ready.get(&it).cloned(),
        });
        let others = self.ensemble.queue.iter().any(|it| *it != host);
        let view = View {
            hosts: hosts.filter(|it| it.stands || it.says.is_some()).collect(),
            read: self.ensemble.read(),
            state: self.ensemble.state,
            given_back: self.ensemble.given_back(),
        };
        let now = self.now;
        let host = &mut self.hosts[host];
        host.alone_since = (!others).then(|| host.alone_since.unwrap_or(now));
        host.view = Some(view);
    }

    pub(crate) fn host_acts(&mut self, id: usize) -> Result<(), Broken> {
        if !self.hosts[id].lives {
            return Ok(());
        }
        self.look(id);
        let record = self.hosts[id].view.as_ref();
        let Some(record) = record.and_then(|view| view.read.record.clone()) else {
            return Ok(());
        };
        for generation in prepares(&record) {
            if self.calm || self.one_in(2) {
                let fate = &self.fates[&generation.number];
                self.hosts[id].prepares(id, generation, fate, self.now);
            }
        }
        let prepared = self.hosts[id].prepared(&record);
        match says(&record, &prepared) {
            Some(says) => self.ensemble.ready.insert(id, says),
            None => self.ensemble.ready.remove(&id),
        };
        if self.hosts[id].tenure.is_some() {
            return self.lead(id, &record);
        }
        self.stand(id, &record);
        self.elect(id)
    }

    /// The host joins the queue or leaves it.
    fn stand(&mut self, id: usize, record: &RolloutRecord) {
        let host = &self.hosts[id];
        let mut prepared = host.prepared(record);
        if !self.holds(Rule::Ready) {
            prepared.current = Readiness::Ready;
        }
        let alone_for = host
            .alone_since
            .map(|since| Duration::from_secs(self.now - since));
        let rests = host.rests(record.current, self.now);
        let patience = Duration::from_secs(READY_TIMEOUT);
        let purpose = stand(record, &prepared, rests, alone_for, patience).ok();
        let purpose = purpose.filter(|it| self.holds(Rule::StandIn) || *it == Purpose::Run);
        self.hosts[id].purpose = purpose;
        let queue = &mut self.ensemble.queue;
        match purpose {
            Some(_) if !queue.contains(&id) => queue.push(id),
            Some(_) => {}
            None => queue.retain(|it| *it != id),
        }
    }

    /// The head of the queue elects itself, over the record that it has read.
    fn elect(&mut self, id: usize) -> Result<(), Broken> {
        let host = &self.hosts[id];
        let (Some(purpose), Some(view)) = (host.purpose, &host.view) else {
            return Ok(());
        };
        let is_free = self.ensemble.master.is_none() && self.ensemble.queue.first() == Some(&id);
        let is_now = view.read.version == self.ensemble.version() || !self.holds(Rule::Election);
        let current = view.read.record.as_ref().and_then(|record| record.current);
        let (true, true, Some(generation)) = (is_free, is_now, current) else {
            return Ok(());
        };
        let now = self.ensemble.read().record;
        if now.and_then(|record| record.current) != Some(generation) {
            return Err("a term runs another generation than the current one".into());
        }
        let settings = self.fates[&generation.number].settings();
        self.copy_with_election(id, purpose, settings)?;
        let was_lost = std::mem::replace(&mut self.ensemble.lost, false);
        self.ensemble.terms += 1;
        self.chronicle.seen.elections += 1;
        let term = self.ensemble.terms;
        self.ensemble.master = Some(Master {
            term,
            host: id,
            generation,
        });
        let leader = Leader::new(&id.to_string(), generation, purpose, settings);
        let mut tenure = Tenure {
            term,
            generation,
            leader,
            work: None,
            acts: None,
            ends: None,
        };
        if was_lost && !self.holds(Rule::Deaths) {
            tenure.work = self.blames(id);
        }
        if self.goes_wrong(10) {
            // The host never hears of it.
            self.expire_later(id);
            return Ok(());
        }
        self.hosts[id].tenure = Some(tenure);
        Ok(())
    }

    /// The election copies the state as the host has read it, if the copy is small and was read after the term before was given
    /// back.
    fn copy_with_election(
        &mut self,
        id: usize,
        purpose: Purpose,
        settings: Settings,
    ) -> Result<(), Broken> {
        let is_small = self.one_in(2);
        let Some(view) = &self.hosts[id].view else {
            return Ok(());
        };
        let is_late = view.given_back.is_some() && view.given_back == self.ensemble.given_back();
        let is_there = self.ensemble.copy.is_some();
        let record = view.read.record.as_ref();
        let changed = Changed::new(&id.to_string(), &self.now.to_string());
        let after = record.and_then(|record| elected(record, purpose, settings, changed));
        let state = view.state;
        let copies = self.holds(Rule::Copy) && is_small && !is_there;
        match after.filter(|_| copies && (is_late || !self.holds(Rule::Settled))) {
            Some(after) => {
                self.ensemble.copy = Some(state);
                self.chronicle.seen.copied_with_election += 1;
                let can_be_ready = true;
                self.put(&after, Author::Host { can_be_ready })
            }
            None => Ok(()),
        }
    }

    /// The broken rule: whoever was lost is to blame.
    fn blames(&self, id: usize) -> Option<Work> {
        let read = &self.hosts[id].view.as_ref()?.read;
        let record = read.record.as_ref()?;
        let is_on_probation = matches!(record.stage, Stage::Probation { .. });
        let (record, _) = rollback(
            Some(record).filter(|_| is_on_probation),
            OnRollback::Restore,
            "it was lost",
            record.changed.clone(),
        )
        .ok()?;
        Some(Work {
            job: Job::Write,
            step: 0,
            record,
            over: read.version,
            can_be_ready: true,
        })
    }

    fn expire_later(&mut self, id: usize) {
        self.ensemble.expire(id);
        self.hosts[id].forgets();
    }

    /// The leader does one step of what it is at, or decides what is next.
    fn lead(&mut self, id: usize, record: &RolloutRecord) -> Result<(), Broken> {
        let Some(mut tenure) = self.hosts[id].tenure.take() else {
            return Ok(());
        };
        if let Some(has_failed) = tenure.ends {
            self.ensemble.release(id);
            if has_failed {
                self.hosts[id].rest = Some((tenure.generation, self.now + REST));
            }
            return Ok(());
        }
        if let Some(work) = tenure.work.take() {
            tenure.work = self.work(tenure.term, work)?;
            if tenure.work.is_none() {
                self.hosts[id].view = None;
            }
            self.hosts[id].tenure = Some(tenure);
            return Ok(());
        }
        let next = self.next(id, record, &mut tenure);
        let over = self.hosts[id]
            .view
            .as_ref()
            .map_or(0, |view| view.read.version);
        let can_be_ready = self.hosts[id].readiness(Some(tenure.generation)).is_ready();
        let mut at = |job, record| {
            tenure.work = Some(Work {
                job,
                step: 0,
                record,
                over,
                can_be_ready,
            });
        };
        match next {
            Next::Write(mut record) => {
                if !self.holds(Rule::OneWay)
                    && let Stage::RolledBack(failure) = &record.stage
                {
                    record.back = record.back.or(Some(failure.from));
                }
                at(Job::Write, record);
            }
            Next::Copy(record) => at(Job::Copy, record),
            Next::Restore(record) => at(Job::Restore, record),
            Next::Drop(record) => at(Job::Drop, record),
            Next::Activate => self.activate(id, record, &mut tenure)?,
            Next::GiveBack(GiveBack::Moved) if !self.holds(Rule::HandOver) => {}
            Next::GiveBack(_) => {
                // The plugin may write until it has stopped.
                self.store(&tenure);
                (tenure.ends, tenure.acts) = (Some(false), None);
            }
            Next::Fail => (tenure.ends, tenure.acts) = (Some(true), None),
            Next::Wait { .. } => self.store(&tenure),
        }
        self.hosts[id].tenure = Some(tenure);
        Ok(())
    }

    fn next(&mut self, id: usize, record: &RolloutRecord, tenure: &mut Tenure) -> Next {
        let host = &self.hosts[id];
        let mut prepared = host.prepared(record);
        if !self.holds(Rule::Ready) {
            prepared.current = Readiness::Ready;
        }
        let fate = &self.fates[&tenure.generation.number];
        let is_proven = record.is_proven();
        let plugin = match &mut tenure.acts {
            None => Plugin::Idle,
            Some(acts) => acts.plugin(fate.kind, self.now, host.ahead, is_proven),
        };
        let timeout = if self.holds(Rule::Timeout) {
            READY_TIMEOUT
        } else {
            1_000_000
        };
        let mut seen = record.clone();
        if !self.holds(Rule::Held) {
            // The broken rule: the leader does not look at what is wanted before it finds its own generation healthy.
            let is_healthy = matches!(plugin, Plugin::Running { since, .. }
                if host.moment(self.now) >= since + fate.settings().healthy_after);
            if is_healthy && matches!(seen.stage, Stage::Probation { .. }) {
                seen.wanted = None;
            }
        }
        let now = host.moment(self.now);
        let at = self.now.to_string();
        let look = Look {
            record: Record::Record(&seen),
            hosts: &host.view.as_ref().expect("it has looked").hosts,
            prepared: &prepared,
            plugin,
            ready_timeout: Duration::from_secs(timeout),
            at: &at,
        };
        let mut next = tenure.leader.next(now, &look);
        if let Next::Write(written) = &mut next {
            let counted = |record: &RolloutRecord| match record.stage {
                Stage::Probation { inconclusive } => inconclusive,
                _ => 0,
            };
            if !self.holds(Rule::Counted) && counted(written) > counted(record) {
                return Next::GiveBack(GiveBack::Resigned);
            }
            if !self.holds(Rule::Held) && written.stage == Stage::Healthy {
                written.wanted = record.wanted;
            }
        }
        next
    }

    /// One step of what a leader is at; what is left of it.
    fn work(&mut self, term: u64, work: Work) -> Result<Option<Work>, Broken> {
        let last = if work.job == Job::Write { 0 } else { 2 };
        // What a session has sent before arrives before, or not at all: the ensemble refuses what comes by a connection that
        // the session has left.
        self.late.retain(|late| late.term != term);
        if self.goes_wrong(8) {
            // The request or its answer is lost; the host looks, and decides anew.
            match self.random.below(4) {
                0 | 1 => {
                    self.take_in(term, &work)?;
                }
                2 => self.late.push(Late { term, work }),
                _ => {}
            }
            return Ok(None);
        }
        let is_done = self.take_in(term, &work)?;
        let step = work.step + 1;
        Ok((is_done && step <= last).then_some(Work { step, ..work }))
    }

    fn activate(
        &mut self,
        id: usize,
        record: &RolloutRecord,
        tenure: &mut Tenure,
    ) -> Result<(), Broken> {
        let generation = tenure.generation;
        let master = self.ensemble.master;
        let Some(master) = master.filter(|master| master.term == tenure.term) else {
            return Err("a plugin is started, and its host does not lead".into());
        };
        if self.hosts.iter().any(Host::acts) {
            return Err("two plugins act at once".into());
        }
        if master.generation != generation || record.current != Some(generation) {
            return Err("a plugin is not of the generation of its term".into());
        }
        if !self.hosts[id].readiness(Some(generation)).is_ready() {
            return Err(format!(
                "a host runs {}, and is not ready",
                generation.number
            ));
        }
        let fate = &self.fates[&generation.number];
        self.chronicle
            .activated(master, fate, record, &self.ensemble)?;
        tenure.acts = Some(Acts::new(self.now, fate.cause()));
        self.store(tenure);
        Ok(())
    }

    /// The plugin writes its state.
    fn store(&mut self, tenure: &Tenure) {
        if tenure.acts.is_some() && self.ensemble.is_term(tenure.term) {
            self.writes += 1;
            let number = tenure.generation.number;
            self.ensemble.state = Some((number, self.writes));
            self.chronicle.stored(number, &self.ensemble);
        }
    }

    /// Whether a plugin acts, and of which generation.
    pub(crate) fn acting(&self) -> Option<u64> {
        let tenures = self.hosts.iter().filter_map(|host| host.tenure.as_ref());
        let mut acting = tenures.filter(|tenure| tenure.acts.is_some());
        acting.next().map(|tenure| tenure.generation.number)
    }
}
