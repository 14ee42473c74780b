//! What the ensemble's leader does by its clock: it asks the others whom they have heard, and ends sessions.

use super::{Event, World};
use crate::change::Change;
use crate::plan::{SERVERS, Session};

impl World {
    pub(super) fn leader_pings(&mut self) {
        self.after(self.plan.tick / 2, Event::LeaderPings);
        let Some(leader) = self.ensemble.leader.filter(|_| self.leading()) else {
            return;
        };
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let epoch = self.ensemble.epoch;
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(arrives, Event::PeerPing { epoch, server });
            }
        }
    }

    pub(super) fn peer_ping(&mut self, server: usize) {
        let touched = std::mem::take(&mut self.ensemble.servers[server].touched)
            .into_iter()
            .collect();
        let (epoch, arrives) = (
            self.ensemble.epoch,
            self.behind(self.ensemble.servers[server].to_leader),
        );
        self.ensemble.servers[server].to_leader = arrives;
        self.at(
            arrives,
            Event::PeerPong {
                epoch,
                server,
                touched,
            },
        );
    }

    pub(super) fn expiry_sweep(&mut self) {
        self.after(self.plan.tick, Event::ExpirySweep);
        if !self.leading() {
            return;
        }
        let ended = self
            .ensemble
            .lives
            .iter()
            .filter(|(_, life)| life.ends <= self.now);
        let ended: Vec<Session> = ended.map(|(session, _)| *session).collect();
        for session in ended {
            // The property of the lease itself: whoever's session the leader ends has no lease left, if it does end.
            let outlives = self
                .hosts
                .iter()
                .find(|it| it.session == Some(session) && it.has_lease(self.now));
            let outlives = outlives.map(|host| host.id);
            self.append(Change::CloseSession(session), None);
            if let (Some(host), Some(entry)) = (outlives, self.ensemble.log.last()) {
                self.chronicle.outlives(entry.zxid, host);
            }
        }
    }
}
