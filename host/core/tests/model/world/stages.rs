//! What has to come to pass: somebody leads again once nothing goes wrong any more, and whoever is told to end does.

use soloist_core::election::Input;

use super::{Event, World};
use crate::belief::Rule;
use crate::change::Change;
use crate::chronicle::Wrong;
use crate::plan::{HostId, Nanos, SECOND};
use crate::tree::NOBODY;

/// In how many parts the time until all is well is looked at: in percent.
const PARTS: u64 = 100;

#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// From here on nothing goes wrong.
    Calm,
    /// All faults have healed.
    Quiet,
    /// Somebody should lead and everybody stand, when the last part of the time is over.
    Recovering { part: u64, killed: bool },
    /// A host that was told to end should have.
    ShutDown { host: HostId, process: u64 },
    /// Everybody was told to end, and nothing should be left.
    AllShutDown,
}

impl World {
    pub(super) fn stage(&mut self, stage: Stage) {
        match stage {
            // What a broken rule leads to has been seen by now.
            Stage::Calm if self.rule != Rule::Proved => self.events.clear(),
            Stage::Calm => {
                self.calm = true;
                self.at(self.quiet_at(), Event::Stage(Stage::Quiet));
            }
            Stage::Quiet if !self.leading() => {
                self.after(self.plan.tick, Event::Stage(Stage::Quiet));
            }
            Stage::Quiet => {
                // Nobody can be elected beside a node that does not go by itself.
                if self
                    .ensemble
                    .head
                    .master
                    .is_some_and(|master| master.owner == NOBODY)
                {
                    self.append(Change::DeleteMaster, None);
                }
                self.recover(self.now, false);
            }
            Stage::Recovering { part, killed } => self.recovering(part, killed),
            Stage::ShutDown { host, process } => {
                let it = &self.hosts[host];
                if it.running && it.process == process && it.stopped_until < self.now {
                    self.wrong(Wrong::NotShutDown { host });
                }
            }
            Stage::AllShutDown => {
                if let Some(host) = self.hosts.iter().find(|host| host.running) {
                    self.wrong(Wrong::NotShutDown { host: host.id });
                } else if self.chronicle.tree.queue().next().is_some()
                    || self.chronicle.tree.master.is_some()
                {
                    self.wrong(Wrong::LeftBehind);
                }
                self.events.clear();
            }
        }
    }

    /// When the last of all faults has healed.
    fn quiet_at(&self) -> Nanos {
        let hosts = self
            .hosts
            .iter()
            .flat_map(|host| [host.stopped_until, host.isolated_until]);
        let servers = self
            .ensemble
            .servers
            .iter()
            .map(|server| server.broken_until);
        let starts = self
            .events
            .iter()
            .filter(|(_, event)| matches!(***event, Event::Start { .. } | Event::Regain { .. }))
            .map(|((at, _), _)| *at);
        hosts
            .chain(servers)
            .chain(starts)
            .fold(self.now, Nanos::max)
    }

    fn recover(&mut self, from: Nanos, killed: bool) {
        for part in 1..=PARTS {
            self.at(
                from + part * self.plan.recovery() / PARTS,
                Event::Stage(Stage::Recovering { part, killed }),
            );
        }
    }

    fn recovering(&mut self, part: u64, killed: bool) {
        let leader =
            (0..self.hosts.len()).find(|host| self.hosts[*host].permitted(self.now).is_some());
        // Whom the ensemble refuses need not stand, and must not hold up others.
        let is_refused = |host: usize| host == 0 && self.plan.refused.is_some();
        let standing = |host: usize| {
            let it = &self.hosts[host];
            killed && !it.running
                || it
                    .session
                    .is_some_and(|it| self.chronicle.tree.place(it).is_some())
        };
        let is_drained = |host: usize| self.hosts[host].drained.is_some();
        let fallen = (0..self.hosts.len())
            .find(|host| !is_refused(*host) && !is_drained(*host) && !standing(*host));
        // A host that is drained has left the task, unless it keeps its term.
        let keeps = |host: usize| self.hosts[host].drained == Some(true) && Some(host) == leader;
        let stays = (0..self.hosts.len())
            .any(|host| !is_refused(host) && is_drained(host) && standing(host) && !keeps(host));
        // Whoever is refused may lead in spite of that.
        let can_lead = |host: usize| !is_refused(host) && !is_drained(host);
        let has_nobody = leader.is_none() && (0..self.hosts.len()).any(can_lead);
        let successors = (0..self.hosts.len())
            .filter(|host| !is_refused(*host) && Some(*host) != leader)
            .count();
        if (has_nobody || fallen.is_some() || stays) && part < PARTS {
            return;
        }
        self.recovered_within = self.recovered_within.max(part);
        self.events
            .retain(|_, event| !matches!(**event, Event::Stage(Stage::Recovering { .. })));
        let drained: Vec<_> = (0..self.hosts.len())
            .filter(|host| is_drained(*host))
            .collect();
        match (leader, fallen) {
            (None, _) if has_nobody => self.wrong(Wrong::NobodyLeads),
            (_, Some(host)) => self.wrong(Wrong::DoesNotStand { host }),
            _ if stays => self.wrong(Wrong::LeftBehind),
            // Then everybody has to stand again.
            _ if !drained.is_empty() => {
                for host in drained {
                    self.told(host, Input::Undrain, None);
                }
                self.recover(self.now, false);
            }
            (None, _) => self.wrong(Wrong::NobodyLeads),
            // Those who stand must be awake: one of them follows a leader that is gone without a word.
            (Some(leader), None) if !killed && successors > 0 => {
                self.end_process(leader);
                self.events
                    .retain(|_, event| !matches!(**event, Event::Start { .. }));
                self.recover(self.now, true);
            }
            (Some(_), None) => {
                self.ending = true;
                self.events
                    .retain(|_, event| !matches!(**event, Event::Start { .. }));
                for host in 0..self.hosts.len() {
                    self.feed(host, Input::Shutdown);
                }
                let refused = if self.plan.refused.is_some() {
                    20 * SECOND
                } else {
                    0
                };
                let takes = self.plan.demote_timeout + 2 * self.plan.tick + refused;
                self.after(takes, Event::Stage(Stage::AllShutDown));
            }
        }
    }
}
