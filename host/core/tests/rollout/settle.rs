//! What must come to be when nothing goes wrong any more.

use soloist_core::records::{RolloutRecord, Stage};

use crate::Broken;
use crate::fate::Fate;
use crate::world::World;

/// Enough for a generation that resigns or that no host can run to have its terms and rests, one after the other, on two that
/// follow each other.
const SECONDS: u64 = 600;
/// What is settled has to stay so for as long.
const STAYS: u64 = 15;

impl World {
    /// Lets everything go well until the rollout has come to an end.
    pub(crate) fn settle(&mut self) -> Result<(), Broken> {
        self.calm_down();
        let mut settled = 0;
        let mut last = String::new();
        for _ in 0..SECONDS {
            self.now += 1;
            for host in 0..self.hosts.len() {
                self.host_acts(host)?;
            }
            match self.unsettled() {
                None => settled += 1,
                Some(why) => (settled, last) = (0, why),
            }
            if settled > STAYS {
                return Ok(());
            }
        }
        Err(format!("it is stuck: {last}"))
    }

    /// What is still to come, if anything is.
    fn unsettled(&self) -> Option<String> {
        let record = self.ensemble.read().record;
        let acting = self.acting();
        let Some(record) = record.filter(|it| it.paused.is_none()) else {
            return acting.map(|number| format!("{number} acts, and nothing is to"));
        };
        let Some(current) = record.current.map(|current| current.number) else {
            return acting.map(|number| format!("{number} acts, and is undeployed"));
        };
        if acting.is_some_and(|number| number != current) {
            return Some(format!("{current} is current, and {acting:?} acts"));
        }
        if record
            .wanted
            .is_some_and(|wanted| self.fates[&wanted.number].anybody_can_be_ready())
        {
            return Some(format!("a generation is wanted: {record:?}"));
        }
        let acts = acting == Some(current);
        let can = self.fates[&current].anybody_can_be_ready();
        match record.stage {
            Stage::Failed(_) if acts => Some(format!("{current} acts, and is frozen")),
            Stage::Failed(_) | Stage::Undeployed => None,
            Stage::Probation { .. } => self.unjudged(&record, current, (acts, can)),
            Stage::Healthy | Stage::RolledBack(_) => {
                let stays = self.fates[&current].stays();
                (can && stays && !acts).then(|| format!("nobody runs {current}: {record:?}"))
            }
        }
    }

    /// What is still to come of a generation on probation.
    fn unjudged(
        &self,
        record: &RolloutRecord,
        current: u64,
        (acts, can): (bool, bool),
    ) -> Option<String> {
        let fate = &self.fates[&current];
        let back = record.back.map(|back| &self.fates[&back.number]);
        let is_held = record.wanted.is_some() && fate.can_be_healthy() && acts;
        let is_impossible = !can && !acts && !back.is_some_and(Fate::anybody_can_be_ready);
        let is_over = is_held || is_impossible;
        (!is_over).then(|| {
            let kind = fate.kind;
            format!("{current} ({kind:?}, acts {acts}, can {can}) is not judged: {record:?}")
        })
    }
}
