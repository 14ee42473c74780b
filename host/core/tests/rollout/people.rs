//! Operators, who give orders by what they have read a while ago.

use soloist_core::records::{Changed, RolloutRecord};
use soloist_core::rollout::{
    OnRollback, Refused, deploy, draft, expendable, pause, resume, rollback, undeploy,
};

use crate::chronicle::Author;
use crate::ensemble::Read;
use crate::fate::{Fate, generation};
use crate::world::World;
use crate::{Broken, Rule};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Deploy,
    Rollback,
    Pause,
    Resume,
    Undeploy,
}

impl World {
    /// An operator reads the record, and decides what to do.
    pub(crate) fn operator_reads(&mut self) {
        let order = match self.random.below(20) {
            0..11 => Order::Deploy,
            11..14 => Order::Rollback,
            14 => Order::Pause,
            15..19 => Order::Resume,
            _ if self.one_in(3) => Order::Undeploy,
            _ => return,
        };
        self.orders.push((order, self.ensemble.read()));
    }

    /// One of the operators who have decided does it.
    pub(crate) fn operator_acts(&mut self) -> Result<(), Broken> {
        let index = self.index(self.orders.len());
        let (order, read) = self.orders.remove(index);
        match self.made(order, &read) {
            Ok(record) => {
                if read.version == self.ensemble.version() || !self.holds(Rule::Over) {
                    return self.put(&record, Author::Operator);
                }
                if let Some(now) = self.ensemble.read().record {
                    let refused = Refused::changed(&now).to_string();
                    assert!(refused.contains(&now.changed.by), "{refused}");
                }
                self.chronicle.seen.refused += 1;
            }
            Err(refused) => {
                assert!(!refused.to_string().is_empty());
                self.chronicle.seen.refused += 1;
            }
        }
        Ok(())
    }

    fn made(&mut self, order: Order, read: &Read) -> Result<RolloutRecord, Refused> {
        let record = read.record.as_ref();
        let changed = Changed::new("ann@desk", &self.now.to_string());
        match order {
            Order::Deploy => {
                let draft = draft(record);
                // The node of a generation is written once: whoever comes second takes the next number.
                let last = self.fates.keys().last().copied().unwrap_or(0);
                let number = draft.number.max(last + 1);
                let fate = Fate::draw(&mut self.random, self.hosts.len(), draft.replaces);
                self.fates.insert(number, fate);
                deploy(record, generation(number), draft.replaces, changed)
            }
            Order::Rollback => {
                let current = record.and_then(|record| record.current);
                let fate = current.map(|current| &self.fates[&current.number]);
                let on_rollback = fate.map_or(OnRollback::Restore, |fate| fate.on_rollback);
                let (record, _) = rollback(record, on_rollback, "it looks odd", changed)?;
                let there = self.fates.keys().copied();
                let unneeded = expendable(&record, there);
                assert!(record.named().all(|it| !unneeded.contains(&it.number)));
                Ok(record)
            }
            Order::Pause => pause(record, "a look at the disk", changed),
            Order::Resume => resume(record, changed),
            Order::Undeploy => undeploy(record, changed),
        }
    }
}
