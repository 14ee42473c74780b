//! What people do: operators, who stop hosts, have leaders resign and take tasks away from hosts, and strangers, who delete nodes and write garbage.

use soloist_core::election::Input;

use super::stages::Stage;
use super::{Event, World};
use crate::belief::Rule;
use crate::change::Change;
use crate::host::{Ask, settings};
use crate::plan::{HostId, Refusal, SECOND, Session, time};
use crate::tree::NOBODY;

impl World {
    pub(super) fn somebody_acts(&mut self, host: HostId) {
        if self.plan.reloads && self.random.below(3) == 0 {
            return self.withdraw(host);
        }
        if self.plan.renewals && self.random.below(3) == 0 {
            return self.renew(host);
        }
        if self.plan.drains && self.random.below(3) == 0 {
            return self.drain(host);
        }
        match self.random.below(10) {
            0 => self.kill(host),
            1 => self.shut_down(host),
            3 if self.random.below(2) == 0 => self.retry(host),
            2 | 3 => self.resign(host),
            4 => self.delete_master(),
            5 => self.delete_candidate(host),
            6 => self.change(&[Change::DeleteTerm, Change::GarbleTerm]),
            7 => self.change(&[Change::DeleteHistory, Change::GarbleHistory]),
            8 => self.change(&[Change::PlantMaster]),
            _ => {
                let session = self.hosts[host].session.unwrap_or_default();
                self.change(&[Change::PlantCandidate { session, host }]);
            }
        }
    }

    /// A process is told to end, to resign, or to leave the task, and hears it when it runs.
    pub(super) fn told(&mut self, host: HostId, input: Input, successor: Option<HostId>) {
        let it = &mut self.hosts[host];
        match input {
            Input::Drain { keep } => it.drained = Some(keep),
            Input::Undrain => it.drained = None,
            _ => {}
        }
        if !it.running {
            return;
        }
        if input == Input::Shutdown {
            // What it holds, its lease included, ends by then, or it has tried to give it back often enough.
            let takes = self.plan.demote_timeout + 2 * self.plan.session_timeout + 15 * SECOND;
            let process = it.process;
            self.after(takes, Event::Stage(Stage::ShutDown { host, process }));
        } else if it.activation.is_some() {
            it.successor = successor;
        }
        self.feed(host, input);
    }

    fn shut_down(&mut self, host: HostId) {
        self.after(
            0,
            Event::Told {
                host,
                input: Input::Shutdown,
                successor: None,
            },
        );
    }

    /// The task is taken away from a host by a reload of its configuration. The process and its session go on.
    fn withdraw(&mut self, host: HostId) {
        self.after(
            0,
            Event::Told {
                host,
                input: Input::Withdraw,
                successor: None,
            },
        );
    }

    /// A host hears that another generation of the task takes over.
    fn renew(&mut self, host: HostId) {
        self.renewals += 1;
        let input = Input::Renewed(settings(&self.plan));
        let successor = None;
        self.after(
            0,
            Event::Told {
                host,
                input,
                successor,
            },
        );
    }

    /// A host that may rest is told to stand again.
    fn retry(&mut self, host: HostId) {
        let (input, successor) = (Input::Retry, None);
        self.after(
            0,
            Event::Told {
                host,
                input,
                successor,
            },
        );
    }

    /// A host is drained, or drained no more.
    fn drain(&mut self, host: HostId) {
        let input = if self.hosts[host].drained.is_some() && self.random.below(2) == 0 {
            Input::Undrain
        } else {
            self.drains += 1;
            let keep = self.random.below(3) == 0;
            Input::Drain { keep }
        };
        let successor = None;
        self.after(
            0,
            Event::Told {
                host,
                input,
                successor,
            },
        );
    }

    /// The plugin wants to resign, or an operator orders it to, in favour of somebody or not.
    fn resign(&mut self, host: HostId) {
        let leads = (0..self.hosts.len()).find(|it| self.hosts[*it].activation.is_some());
        let stay_out = if self.random.below(2) == 0 {
            0
        } else {
            self.random.below(self.plan.session_timeout)
        };
        let successor = self.pick(2 * self.plan.hosts);
        let successor = Some(successor).filter(|successor| *successor < self.plan.hosts);
        let input = Input::Resign {
            stay_out: time(stay_out),
        };
        self.after(
            0,
            Event::Told {
                host: leads.unwrap_or(host),
                input,
                successor,
            },
        );
    }

    /// Whether the ensemble refuses a request: it does so to the first host, at times, and at last for good.
    pub(super) fn refuses(&self, host: HostId, ask: &Ask) -> bool {
        let refused = match self.plan.refused {
            Some(Refusal::Elections) => matches!(ask, Ask::Elect { .. }),
            Some(Refusal::All) => !matches!(ask, Ask::Look),
            None => false,
        };
        refused && host == 0 && (self.calm || self.now / self.plan.session_timeout % 4 > 1)
    }

    fn change(&mut self, changes: &[Change]) {
        if self.leading() {
            let change = changes[self.pick(changes.len())].clone();
            self.append(change, None);
        }
    }

    fn delete_master(&mut self) {
        let Some(owner) = self
            .ensemble
            .head
            .master
            .map(|master| master.owner)
            .filter(|_| self.leading())
        else {
            return;
        };
        self.note_loss(owner);
        let holds_back = if self.rule == Rule::LeadsFromBehind {
            self.ensemble.head.place(owner).is_some()
        } else {
            self.ensemble.head.at_head(owner)
        };
        if owner == NOBODY || holds_back || self.loss_is_over(owner) {
            self.append(Change::DeleteMaster, None);
        }
    }

    fn delete_candidate(&mut self, host: HostId) {
        let Some(session) = self.hosts[host].session.filter(|_| self.leading()) else {
            return;
        };
        let Some(candidate) = self.ensemble.head.own(session).first().copied() else {
            return;
        };
        self.note_loss(session);
        let holds = self
            .ensemble
            .head
            .master
            .is_some_and(|master| master.owner == session);
        if holds || self.loss_is_over(session) {
            self.append(Change::DeleteCandidate(candidate), None);
        }
    }

    /// A deletion is about to come: the first that a session suffers, if it has all its parts (again, it may be, because
    /// the leader that was told of the last one took it along).
    fn note_loss(&mut self, session: Session) {
        let head = &self.ensemble.head;
        if head.at_head(session) && head.master.is_some_and(|master| master.owner == session) {
            self.lost.insert(session, self.now);
        }
    }

    /// Whether nothing of a session's hold on leadership is needed any more: it never led, or it lost the other part so
    /// long ago that its host has no lease left, or has heard of it and has stopped its plugin, which takes time as well.
    fn loss_is_over(&self, session: Session) -> bool {
        let host = self.hosts.iter().find(|host| host.session == Some(session));
        let may_act = host.is_some_and(|host| {
            let electing = host
                .request
                .as_ref()
                .is_some_and(|request| matches!(request.ask, Ask::Elect { .. }));
            host.activation.is_some() || electing
        });
        let takes = self.plan.session_timeout
            + self.plan.demote_timeout
            + self.plan.demote_timeout / 50
            + SECOND;
        let long_ago = self
            .lost
            .get(&session)
            .is_some_and(|lost| self.now >= lost + takes);
        !may_act || long_ago
    }
}
