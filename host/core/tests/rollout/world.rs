//! Hosts, operators, an ensemble, and what goes wrong.

use std::collections::BTreeMap;

use soloist_core::rollout::{prepares, says};
use soloist_seed::Random;

use crate::chronicle::Chronicle;
use crate::ensemble::{Ensemble, Read};
use crate::fate::{Fate, READY_TIMEOUT};
use crate::host::Host;
use crate::people::Order;
use crate::{Broken, Rule, Seen};

mod leading;
mod standing;
mod writes;

use writes::Late;

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
        self.expires(host);
    }

    fn expires(&mut self, id: usize) {
        self.ensemble.expire(id);
        self.hosts[id].forgets();
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

    /// Whether a plugin acts, and of which generation.
    pub(crate) fn acting(&self) -> Option<u64> {
        let tenures = self.hosts.iter().filter_map(|host| host.tenure.as_ref());
        let mut acting = tenures.filter(|tenure| tenure.acts.is_some());
        acting.next().map(|tenure| tenure.generation.number)
    }
}
