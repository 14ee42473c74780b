//! Guardians: when a process is dead, its guardian gives back what the process had.
//!
//! A guardian reads from any server, which may not have heard of the latest writes, and writes what follows from that. Either
//! may take long, as if the guardian were stopped or cut off, and what it asks for may be lost. Requests of the dead process are
//! still on their way meanwhile.

use super::{Event, World};
use crate::belief::Rule;
use crate::change::GiveBack;
use crate::chronicle::Wrong;
use crate::plan::{HostId, MS, Nanos, SERVERS, Session};
use crate::tree::new_term;

/// How often a guardian looks before it leaves the rest to the end of the session.
const ATTEMPTS: u32 = 20;

impl World {
    /// The process is dead at once. What it has sent still arrives.
    pub(super) fn kill(&mut self, host: HostId) {
        if self.plan.guardians {
            self.guardian_begins(host);
        }
        self.end_process(host);
    }

    /// The guardian knows the session, and takes the process for dead.
    pub(super) fn guardian_begins(&mut self, host: HostId) {
        if let Some(session) = self.hosts[host].session {
            let takes = self.guardian_takes();
            self.after(
                takes,
                Event::GuardianReads {
                    session,
                    attempts: 0,
                },
            );
        }
    }

    fn guardian_takes(&mut self) -> Nanos {
        match self.random.below(8) {
            0 => self.random.below(2 * self.plan.session_timeout),
            1 => self.random.below(self.plan.tick),
            _ => MS + self.random.below(self.plan.tick / 50 + MS),
        }
    }

    pub(super) fn guardian_reads(&mut self, session: Session, attempts: u32) {
        let server = self.pick(SERVERS);
        if self.ensemble.serves(server, self.now) {
            let tree = &self.ensemble.servers[server].tree;
            let master = tree.master.filter(|master| master.owner == session);
            let term = master
                .zip(tree.term)
                .filter(|(master, term)| master.zxid == term.zxid);
            let give_back = GiveBack {
                session,
                term: term.map(|(master, term)| {
                    new_term(tree.number(), master.zxid, master.host, term.version)
                }),
                has_master: master.is_some(),
                own: tree.own(session),
                record: tree.term.map(|term| term.version),
                history: tree.history.as_ref().map(|history| history.version),
                unchecked: self.rule == Rule::GuardianChecksNothing,
            };
            if !give_back.own.is_empty() {
                let takes = self.guardian_takes();
                self.after(takes, Event::GuardianWrites { give_back });
            }
        }
        // It looks again, whether or not it has had an answer by then.
        if attempts < ATTEMPTS {
            let takes = self.guardian_takes();
            let attempts = attempts + 1;
            self.after(takes, Event::GuardianReads { session, attempts });
        }
    }

    pub(super) fn guardian_writes(&mut self, give_back: GiveBack) {
        if self.fails(10) {
            return;
        }
        let session = give_back.session;
        let living =
            |host: &HostId| self.hosts[*host].running && self.hosts[*host].session == Some(session);
        // Where it frees the living, that is not the news, but what comes of it.
        if self.rule != Rule::GuardianFreesTheStopped
            && let Some(host) = (0..self.hosts.len()).find(living)
        {
            self.wrong(Wrong::FreedTheLiving { host });
        }
        self.print(format_args!("guardian: {give_back:?}"));
        self.given_back += u64::from(give_back.term.is_some());
        self.append(crate::change::Change::GiveBack(give_back), None);
    }
}
