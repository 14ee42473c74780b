//! A host that does not lead: it reads, joins the queue or leaves it, and is elected.

use std::time::Duration;

use soloist_core::records::{Changed, Readiness, RolloutRecord, Stage};
use soloist_core::rollout::{
    Leader, OnRollback, Participant, Purpose, Settings, elected, rollback, stand,
};

use super::World;
use crate::chronicle::Author;
use crate::ensemble::Master;
use crate::fate::READY_TIMEOUT;
use crate::host::{Job, Tenure, View, Work};
use crate::{Broken, Rule};

impl World {
    /// What a host reads: all of it at once, and maybe not this time.
    pub(super) fn look(&mut self, host: usize) {
        if self.hosts[host].view.is_some() && self.goes_wrong(2) {
            return;
        }
        let hosts = (0..self.hosts.len()).map(|it| Participant {
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

    /// The host joins the queue or leaves it.
    pub(super) fn stand(&mut self, id: usize, record: &RolloutRecord) {
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
    pub(super) fn elect(&mut self, id: usize) -> Result<(), Broken> {
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
            self.expires(id);
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
}
