//! The loop around each host's election: what happened goes in, what is to be done comes out.

use soloist_core::election::{self, Action, Input, Record};

use super::{Event, World};
use crate::belief::Rule;
use crate::change::Release;
use crate::chronicle::Wrong;
use crate::host::{Ask, Host, Request, Seen, Stay};
use crate::plan::{HostId, MS, time};

impl World {
    /// A process starts.
    pub(super) fn start(&mut self, host: HostId) {
        self.hosts[host].running = true;
        self.read_drain(host);
        self.connect(host);
    }

    /// What has happened is handled in turn: what follows from one thing is done before the next is looked at.
    pub(super) fn feed(&mut self, host: HostId, input: Input) {
        self.hosts[host].inputs.push_back(input);
        if std::mem::replace(&mut self.hosts[host].handling, true) {
            return;
        }
        while let Some(input) = self.hosts[host].inputs.pop_front() {
            let forgets =
                self.hosts[host].rule == Rule::ReadsOnce && self.hosts[host].activation.is_some();
            if !self.hosts[host].running || input == Input::Failed && forgets {
                continue;
            }
            self.print(format_args!("host {host}: {input:?}"));
            match (&input, self.hosts[host].stay) {
                (Input::Withdraw, Stay::Stands) => self.hosts[host].stay = Stay::Withdraws,
                (Input::Shutdown, Stay::WithoutTask) => {
                    self.finish(host);
                    continue;
                }
                (Input::Shutdown, _) => self.hosts[host].stay = Stay::ShutsDown,
                _ => {}
            }
            match &input {
                // The election takes note of it only while it still wants to be elected.
                Input::Full => {
                    self.hosts[host].full =
                        self.hosts[host].election.stage() == election::Stage::Electing;
                }
                Input::SessionEnded | Input::Room => self.hosts[host].full = false,
                _ => {}
            }
            let input = match input {
                Input::Full if self.rule == Rule::RoomForAll => Input::Outdated,
                Input::Drain { .. } if self.rule == Rule::DrainResigns => {
                    Input::Resign { stay_out: time(0) }
                }
                input => input,
            };
            for action in self.hosts[host].handle(self.now, input) {
                self.print(format_args!("host {host}:   -> {action:?}"));
                self.perform(host, action);
            }
        }
        self.hosts[host].handling = false;
        self.set_timer(host);
    }

    /// The one timer that the loop waits for.
    pub(super) fn set_timer(&mut self, host: HostId) {
        self.hosts[host].timer += 1;
        if let Some(wake) = self.hosts[host].wake_at() {
            let timer = self.hosts[host].timer;
            self.at(wake.max(self.now + MS), Event::Timer { host, timer });
        }
    }

    pub(super) fn request(&mut self, host: HostId, ask: Ask) {
        self.hosts[host].watch = None;
        let unsent = !self.hosts[host].ready;
        let id = if unsent {
            0
        } else {
            self.send(host, ask.clone())
        };
        self.hosts[host].request = Some(Request { id, ask, unsent });
    }

    fn perform(&mut self, host: HostId, action: Action) {
        let seen = self.hosts[host].seen.clone();
        let own = seen.as_ref().and_then(|seen| seen.own.first().copied());
        let stands = matches!(
            action,
            Action::Join | Action::StepBack | Action::Elect { .. } | Action::Activate(_)
        );
        if stands && self.hosts[host].drained.is_some() {
            self.wrong(Wrong::StandsWhileDrained { host });
        }
        if stands && self.hosts[host].full {
            self.wrong(Wrong::StandsWhileFull { host });
        }
        match action {
            Action::Look => self.request(host, Ask::Look),
            Action::Join => self.request(host, Ask::Join),
            Action::StepBack => self.request(
                host,
                Ask::StepBack(seen.map(|seen| seen.own).unwrap_or_default()),
            ),
            Action::AwaitPredecessor(name) => {
                let other = name.parse().expect("names are numbers here");
                self.request(host, Ask::Await { other, own });
            }
            Action::AwaitAppointed(name) => {
                let other = name.parse().expect("names are numbers here");
                match own {
                    Some(own) => self.request(host, Ask::Wake { other, own }),
                    None => self.feed(host, Input::Gone),
                }
            }
            Action::Elect { over } if !self.is_admitted(host, &over) => {}
            Action::Elect { over } => match seen {
                Some(Seen { own, queue, place })
                    if queue.record.leads_to(&over) && !own.is_empty() =>
                {
                    let takes = queue.takes_the_head(&over) && self.rule != Rule::LeadsFromBehind;
                    self.request(
                        host,
                        Ask::Elect {
                            place: place.filter(|_| takes),
                            over,
                            candidate: own[0],
                        },
                    );
                }
                _ => self.feed(host, Input::Outdated),
            },
            Action::ReadMaster => self.request(host, Ask::ReadMaster { own }),
            Action::Release { .. }
                if self.hosts[host].stay == Stay::Withdraws
                    && self.rule == Rule::KeepsWhatItHas =>
            {
                self.feed(host, Input::Released);
            }
            Action::Release { term } => {
                self.must_have_stopped(host, Wrong::ReleasedWhileRunning { host });
                let Host {
                    session,
                    successor,
                    history,
                    ..
                } = self.hosts[host];
                let own = seen.map(|seen| seen.own).unwrap_or_default();
                let session = session.expect("nothing is asked for without a session");
                self.request(
                    host,
                    Ask::Release(Release {
                        session,
                        term,
                        successor,
                        own,
                        history,
                    }),
                );
            }
            Action::Activate(term) => self.activate(host, term, own.unwrap_or_default()),
            Action::Demote(_) => {
                self.demote(host);
                if self.hosts[host].stay == Stay::Withdraws && self.rule == Rule::WithdrawsAtOnce {
                    self.feed(host, Input::Stopped);
                }
            }
            Action::Revoke => self.revoke(host),
            Action::AnnounceElected(_) => {
                (self.hosts[host].successor, self.hosts[host].history) = (None, None);
            }
            Action::AnnounceReleased(_)
            | Action::AnnounceStandby { .. }
            | Action::AnnounceRest(_) => {}
            Action::LeaveSession => self.leave_session(host),
            Action::Finish if self.hosts[host].stay == Stay::Withdraws => self.lose_task(host),
            Action::Finish => self.finish(host),
        }
    }

    /// Whether the host has room for the task, and need not give way. If not, the election is told.
    fn is_admitted(&mut self, host: HostId, over: &Record) -> bool {
        // At last there is room for all.
        if !self.plan.placement || self.calm {
            return true;
        }
        let insists = self.hosts[host].given_way.as_ref() == Some(over);
        match self.random.below(6) {
            0 => {
                self.not_admitted.0 += 1;
                self.feed(host, Input::Full);
                let pause = self.random.below(self.plan.session_timeout);
                let told = Event::Told {
                    host,
                    input: Input::Room,
                    successor: None,
                };
                self.after(pause, told);
                false
            }
            1 if !insists => {
                self.not_admitted.1 += 1;
                self.hosts[host].given_way = Some(over.clone());
                self.feed(host, Input::Yield);
                false
            }
            _ => true,
        }
    }

    /// The session is let go, once what other tasks have in it has stopped.
    fn leave_session(&mut self, host: HostId) {
        let takes = self.random.below(self.plan.demote_timeout + MS);
        let session = self.hosts[host].session;
        self.after(takes, Event::Leave { host, session });
    }

    /// The process ends in order: the session is closed, if there is a connection, and else left to expire.
    fn finish(&mut self, host: HostId) {
        self.must_have_stopped(host, Wrong::FinishedWhileRunning { host });
        self.leave(host);
        self.end_process(host);
    }

    /// The task is no longer the host's, and all that the host held in it is given back. A later reload gives the task back.
    fn lose_task(&mut self, host: HostId) {
        self.must_have_stopped(host, Wrong::FinishedWhileRunning { host });
        let tree = &self.chronicle.tree;
        let holds = |session| {
            let is_leader = tree.master.is_some_and(|master| master.owner == session);
            is_leader || tree.place(session).is_some()
        };
        if self.hosts[host].session.is_some_and(holds) {
            self.wrong(Wrong::LeftBehind);
        }
        self.withdrawals += 1;
        self.hosts[host].lose_task();
        let process = self.hosts[host].process;
        let pause = if self.calm {
            0
        } else {
            self.random.below(self.plan.session_timeout)
        };
        self.after(pause, Event::Regain { host, process });
    }

    /// A host knows whether it is drained before it stands for anything.
    fn read_drain(&mut self, host: HostId) {
        if let Some(keep) = self.hosts[host].drained {
            self.feed(host, Input::Drain { keep });
        }
    }

    pub(super) fn regain_task(&mut self, host: HostId) {
        self.hosts[host].regain_task(&self.plan);
        self.read_drain(host);
        if self.hosts[host].session.is_some() {
            self.feed(host, Input::SessionStarted);
        }
    }

    /// Notes what is wrong if a plugin runs that has to have stopped by now. Where a host does not wait for it, that is not
    /// the news, but what comes of it.
    pub(super) fn must_have_stopped(&mut self, host: HostId, wrong: Wrong) {
        if self.hosts[host].activation.is_some() && self.rule != Rule::WithdrawsAtOnce {
            self.wrong(wrong);
        }
    }

    /// A process is gone, for whatever reason, and begins anew later.
    pub(super) fn end_process(&mut self, host: HostId) {
        self.hosts[host].end(&self.plan);
        if !self.ending {
            let pause = self.random.below(self.plan.session_timeout);
            self.after(pause, Event::Start { host });
        }
    }
}
