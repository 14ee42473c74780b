//! What goes wrong with machines and the network, and how it heals.

use super::{Event, World};
use crate::belief::Rule;
use crate::plan::{HostId, Nanos, SERVERS};

/// What becomes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    /// Its peers hear no more of it, nor it of them; its clients do.
    Cut,
    /// It does nothing, and goes on later as if nothing had been.
    Stop,
    /// It is gone at once, and its clients know.
    Kill,
}

impl World {
    pub(super) fn fault(&mut self) {
        if self.calm {
            return;
        }
        let next = self.plan.session_timeout / 8 + self.random.below(self.plan.session_timeout);
        self.after(next, Event::Fault);
        self.one_fault();
        // Faults like company.
        if self.random.below(2) == 0 {
            self.one_fault();
        }
    }

    fn one_fault(&mut self) {
        let server = self.pick(SERVERS);
        // Faults strike whoever leads more often than chance would.
        let leads =
            (0..self.hosts.len()).find(|host| self.hosts[*host].permitted(self.now).is_some());
        let any = self.pick(self.hosts.len());
        let host = leads.filter(|_| self.random.below(2) == 0).unwrap_or(any);
        let time =
            self.plan.session_timeout / 20 + self.random.below(self.plan.session_timeout / 10 * 16);
        let fault = self.random.below(16);
        self.print(format_args!(
            "fault {fault} at host {host}, server {server}"
        ));
        match fault {
            0 => self.break_server(server, time, Break::Cut),
            1 => self.break_server(server, time, Break::Stop),
            2 => self.break_server(server, time, Break::Kill),
            3 => {
                // The server goes with the host that it serves.
                self.isolate(host, time);
                if let Some(server) = self.hosts[host].server {
                    self.break_server(server, time, Break::Stop);
                }
            }
            4 => self.isolate(host, time),
            5 => self.cut(host),
            6 => {
                self.hosts[host].stopped_until = self.now + time;
                if self.rule == Rule::GuardianFreesTheStopped {
                    self.guardian_begins(host);
                }
            }
            7 | 8 => self.stall(host),
            9 => (0..self.hosts.len()).for_each(|host| self.cut(host)),
            _ => self.somebody_acts(host),
        }
    }

    fn isolate(&mut self, host: HostId, time: Nanos) {
        self.hosts[host].isolated_until = self.now + time;
        // What was lost is lost for good, and a connection that has lost something is of no use.
        let connection = self.hosts[host].connection;
        self.after(time, Event::Reset { host, connection });
    }

    /// What the leader sends to the server of a host comes late, or not; then what that server sends gets stuck, the link
    /// breaks, and the host loses its connection as well: it knows of its last heartbeats, and the leader may not.
    fn stall(&mut self, host: HostId) {
        let Some(server) = self.hosts[host].server else {
            return;
        };
        let late = self.random.below(2) * self.random.below(3 * self.plan.tick);
        let it = &mut self.ensemble.servers[server];
        it.from_leader = it.from_leader.max(self.now + late);
        self.after(late, Event::Stuck { server, host });
    }

    pub(super) fn stuck(&mut self, server: usize, host: HostId) {
        let time = self.plan.tick / 4 + self.random.below(2 * self.plan.tick);
        let it = &mut self.ensemble.servers[server];
        it.to_leader = it.to_leader.max(self.now + time);
        let snaps = self.random.below(time) / (1 + self.random.below(10));
        self.after(snaps, Event::Snap { server, host });
    }

    pub(super) fn snap(&mut self, server: usize, host: HostId) {
        if !self.calm {
            let time = self.plan.session_timeout + self.random.below(self.plan.session_timeout / 2);
            self.lose_peer_messages(server);
            self.break_server(server, time, Break::Cut);
            self.isolate(host, time);
        }
    }

    fn lose_peer_messages(&mut self, server: usize) {
        self.events.retain(|_, event| match &**event {
            Event::Forwarded { origin, .. } => origin.server != server,
            Event::Propose { server: it, .. }
            | Event::Acknowledge { server: it, .. }
            | Event::Commit { server: it, .. }
            | Event::PeerPing { server: it, .. }
            | Event::PeerPong { server: it, .. } => *it != server,
            _ => true,
        });
    }

    fn break_server(&mut self, server: usize, time: Nanos, how: Break) {
        let it = &self.ensemble.servers[server];
        if !it.linked || it.stopped {
            return;
        }
        // What is on its way between it and the others is lost with the link, or has just arrived.
        if self.random.below(4) > 0 {
            self.lose_peer_messages(server);
        }
        let sync_limit = self.now + self.plan.sync_limit();
        let it = &mut self.ensemble.servers[server];
        (it.stopped, it.linked, it.broken_until) = (how != Break::Cut, false, self.now + time);
        it.serves_until = match how {
            Break::Cut => sync_limit,
            Break::Stop => self.now + time + self.plan.tick / 2,
            Break::Kill => self.now,
        };
        self.after(time, Event::Heal { server });
        if how == Break::Kill {
            // Whoever starts it again may have changed its settings.
            let agrees_to = [self.plan.session_timeout, self.plan.shorter_timeout][self.pick(2)];
            self.ensemble.servers[server].agrees_to = agrees_to;
            self.cut_clients(server);
        }
        if self.ensemble.leader == Some(server) {
            self.lose_leader();
            let takes = self.plan.tick / 10 + self.random.below(self.plan.tick * 3 / 2);
            self.after(takes, Event::ElectLeader);
        } else if self
            .ensemble
            .servers
            .iter()
            .filter(|server| server.linked)
            .count()
            <= SERVERS / 2
        {
            self.lose_leader();
        }
    }

    /// There is no leader, or it has no majority: the others go on answering what they can by themselves for a while.
    fn lose_leader(&mut self) {
        self.ensemble.leader = None;
        let sync_limit = self.now + self.plan.sync_limit();
        for it in self.ensemble.servers.iter_mut().filter(|it| it.linked) {
            (it.linked, it.serves_until) = (false, sync_limit);
        }
    }

    fn cut_clients(&mut self, server: usize) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].server == Some(server) {
                self.cut(host);
            }
        }
    }

    pub(super) fn heal(&mut self, server: usize) {
        self.ensemble.servers[server].stopped = false;
        // For a moment it serves what it had when it broke; then it finds the leader.
        let takes = self.plan.tick / 10 + self.random.below(self.plan.tick / 2);
        self.after(takes, Event::ElectLeader);
    }

    /// The servers that can meet a leader find it, or make one of them the leader.
    pub(super) fn elect_leader(&mut self) {
        let broken = |server: &usize| self.ensemble.servers[*server].broken_until > self.now;
        let unlinked = |server: &usize| !self.ensemble.servers[*server].linked;
        let reachable: Vec<usize> = (0..SERVERS).filter(|server| !broken(server)).collect();
        let joining: Vec<usize> = reachable.iter().copied().filter(unlinked).collect();
        if self.ensemble.leader.is_none() {
            self.ensemble.elect(&reachable, self.now);
            self.write_down();
        }
        if self.ensemble.leader.is_none() {
            return;
        }
        for server in joining {
            // Whoever begins to follow a leader has let go of its clients.
            self.cut_clients(server);
            self.ensemble.join(server);
            let (epoch, log) = (self.ensemble.epoch, self.ensemble.log.len());
            if self.ensemble.leader != Some(server) {
                let arrives = self.behind(self.ensemble.servers[server].to_leader);
                self.ensemble.servers[server].to_leader = arrives;
                self.at(arrives, Event::Acknowledge { epoch, server, log });
            }
        }
    }
}
