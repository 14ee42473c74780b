//! A host that leads: what it does next, and the plugin that it runs.

use std::time::Duration;

use soloist_core::records::{Readiness, RolloutRecord, Stage};
use soloist_core::rollout::{GiveBack, Next, Plugin, Seen as Record, View as Look};

use super::World;
use crate::fate::READY_TIMEOUT;
use crate::host::{Acts, Host, Job, Tenure, Work};
use crate::{Broken, Rule};

/// How long a host rests on which a generation has failed for good.
const REST: u64 = 15;

impl World {
    /// The leader does one step of what it is at, or decides what is next.
    pub(super) fn lead(&mut self, id: usize, record: &RolloutRecord) -> Result<(), Broken> {
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
}
