//! What goes wrong, and how it heals.

use soloist_core::election::Action;

use super::{Event, World};
use crate::ensemble::{Change, HostId, MS, Nanos, SECOND, SERVERS, Session};

/// How long a server serves its clients without its leader: syncLimit ticks.
const SYNC_LIMIT: Nanos = 5 * 2 * SECOND;

impl World {
    pub(super) fn fault(&mut self) {
        let next = 2 * SECOND + self.random.below(15 * SECOND);
        self.after(next, Event::Fault);
        self.one_fault();
        // Faults like company.
        if self.random.below(2) == 0 {
            self.one_fault();
        }
    }

    fn one_fault(&mut self) {
        let server = usize::try_from(self.random.below(SERVERS as u64)).expect("small");
        let any = usize::try_from(self.random.below(self.hosts.len() as u64)).expect("small");
        // Faults strike whoever leads more often than chance would.
        let leads = (0..self.hosts.len()).find(|host| self.hosts[*host].permitted(self.now).is_some());
        let host = leads.filter(|_| self.random.below(2) == 0).unwrap_or(any);
        let time = 500 * MS + self.random.below(16 * SECOND);
        match self.random.below(9) {
            0 => self.break_server(server, time, false),
            1 => self.break_server(server, time, true),
            2 => {
                // The server goes with the host that it serves.
                self.hosts[host].isolated_until = self.now + time;
                if let Some(server) = self.hosts[host].server {
                    self.break_server(server, time, true);
                }
            }
            3 => self.hosts[host].isolated_until = self.now + time,
            4 => {
                // The connection is lost with all that was on its way.
                let connection = self.hosts[host].connection;
                self.events.retain(|_, event| match event {
                    Event::ToServer { connection: it, host: of, .. }
                    | Event::ToHost { connection: it, host: of, .. } => (*it, *of) != (connection, host),
                    _ => true,
                });
                self.disconnect(host);
            }
            5 => self.hosts[host].stopped_until = self.now + time,
            6 => self.delete_master(),
            7 => self.delete_candidate(host),
            _ => {
                for host in 0..self.hosts.len() {
                    self.disconnect(host);
                }
            }
        }
    }

    fn delete_master(&mut self) {
        let Some(owner) = self.ensemble.head.master.map(|master| master.owner).filter(|_| self.leading()) else {
            return;
        };
        self.note_loss(owner);
        if self.ensemble.head.at_head(owner) || self.loss_is_over(owner) {
            self.append(Change::DeleteMaster, None);
        }
    }

    fn delete_candidate(&mut self, host: HostId) {
        let Some(session) = self.hosts[host].session.filter(|_| self.leading()) else { return };
        let mut candidates = self.ensemble.head.candidates.iter();
        let Some(candidate) = candidates.find(|(_, owner)| **owner == session).map(|(candidate, _)| *candidate) else {
            return;
        };
        self.note_loss(session);
        let holds = self.ensemble.head.master.is_some_and(|master| master.owner == session);
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
    /// long ago that its host has heard of it, or has no lease left.
    fn loss_is_over(&self, session: Session) -> bool {
        let host = self.hosts.iter().find(|host| host.session == Some(session));
        let may_act = host
            .is_some_and(|host| host.activation.is_some() || matches!(host.request, Some((_, Action::Elect { .. }))));
        let long_ago = self.lost.get(&session).is_some_and(|lost| self.now >= lost + 10 * SECOND);
        !may_act || long_ago
    }

    /// Stops a server, or cuts it off from its peers while its clients still reach it.
    fn break_server(&mut self, server: usize, time: Nanos, stop: bool) {
        if !self.ensemble.servers[server].linked || self.ensemble.servers[server].stopped {
            return;
        }
        let it = &mut self.ensemble.servers[server];
        (it.stopped, it.linked) = (stop, false);
        it.serves_until = self.now + if stop { time + SECOND } else { SYNC_LIMIT };
        self.after(time, Event::HealServer { server });
        if self.ensemble.leader == Some(server) {
            self.ensemble.leader = None;
            for other in &mut self.ensemble.servers {
                other.linked = false;
                other.serves_until = other.serves_until.max(self.now + SYNC_LIMIT);
            }
            let takes = 200 * MS + self.random.below(3 * SECOND);
            self.after(takes, Event::ElectLeader);
        } else if self.ensemble.servers.iter().filter(|server| server.linked).count() <= SERVERS / 2 {
            self.ensemble.leader = None;
        }
    }

    pub(super) fn heal(&mut self, server: usize) {
        self.ensemble.servers[server].stopped = false;
        // For a moment it serves what it had when it broke; then it finds the leader.
        let takes = 200 * MS + self.random.below(SECOND);
        self.after(takes, Event::ElectLeader);
    }

    pub(super) fn elect_leader(&mut self) {
        let broken: Vec<usize> = (0..SERVERS).filter(|server| self.pending_heal(*server)).collect();
        let reachable: Vec<usize> = (0..SERVERS).filter(|server| !broken.contains(server)).collect();
        if self.ensemble.leader.is_none() {
            self.ensemble.elect(&reachable, self.now);
        } else {
            for server in reachable {
                if !self.ensemble.servers[server].linked {
                    self.ensemble.join(server);
                }
            }
        }
    }

    fn pending_heal(&self, server: usize) -> bool {
        self.events.values().any(|event| matches!(event, Event::HealServer { server: it } if *it == server))
    }
}
