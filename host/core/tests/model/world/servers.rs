//! Servers: what they answer by themselves, what they agree on, and how long a session lives.

use soloist_core::election::{Action, Holder, Input, Queue, Record};
use soloist_core::term::{FencingToken, Term};

use super::{Ask, Event, Tell, World};
use crate::ensemble::{Change, HostId, MS, Origin, SECOND, SERVERS, Session, Tree, Verdict};
use crate::host::{Rule, Watch};

impl World {
    pub(super) fn leading(&self) -> bool {
        self.ensemble.leader.is_some_and(|leader| !self.ensemble.servers[leader].stopped)
    }

    fn tell(&mut self, host: HostId, connection: u64, id: u64, tell: Tell) {
        let isolated = self.hosts[host].isolated_until > self.now;
        if !isolated && self.hosts[host].connection == connection && self.hosts[host].server.is_some() {
            let arrives = self.behind(self.hosts[host].from_server);
            self.hosts[host].from_server = arrives;
            self.at(arrives, Event::ToHost { host, connection, id, tell });
        }
    }

    pub(super) fn served(&mut self, server: usize, host: HostId, connection: u64, id: u64, ask: Ask) {
        if self.hosts[host].connection != connection {
            return;
        }
        if !self.ensemble.serves(server, self.now) {
            // A stopped server answers nothing; one that has given up closes the connection.
            if !self.ensemble.servers[server].stopped {
                self.after(MS, Event::CutHost { host });
            }
            return;
        }
        let session = self.hosts[host].session;
        let is_leader = self.ensemble.leader == Some(server);
        if let Some(session) = session.filter(|_| !matches!(ask, Ask::Attach(_))) {
            if is_leader {
                self.ensemble.touch(session, self.now);
            } else {
                self.ensemble.servers[server].touched.insert(session);
            }
        }
        match &ask {
            Ask::Ping => return self.tell(host, connection, id, Tell::Pong),
            Ask::Action(action) => {
                let blind = self.hosts[host].rule == Rule::BlindToCandidate;
                if let Some((input, watch)) =
                    session.and_then(|it| read(&self.ensemble.servers[server].tree, it, action, blind))
                {
                    return self.tell(host, connection, id, Tell::Answer(input, watch));
                }
            }
            Ask::Attach(_) | Ask::Heartbeat => {}
        }
        let session = match (&ask, session) {
            (Ask::Attach(None), _) => {
                self.next_session += 1;
                self.next_session
            }
            (_, Some(session)) => session,
            _ => return,
        };
        if is_leader {
            self.decide(Origin { server, host, connection, id, session, attaching: false }, ask);
        } else if self.ensemble.servers[server].linked {
            let epoch = self.ensemble.epoch;
            let arrives = self.behind(self.ensemble.servers[server].to_leader);
            self.ensemble.servers[server].to_leader = arrives;
            self.at(arrives, Event::Forwarded { epoch, server, host, connection, id, session, ask });
        }
    }

    /// The leader takes a request up.
    pub(super) fn decide(&mut self, origin: Origin, ask: Ask) {
        let Origin { server, host, connection, id, session, .. } = origin;
        let alive = self.ensemble.head.sessions.contains(&session);
        let change = match ask {
            Ask::Attach(None) => Change::CreateSession(session),
            Ask::Attach(Some(_)) if alive => {
                self.ensemble.touch(session, self.now);
                self.ensemble.attached.insert(session, server);
                return self.tell(host, connection, id, Tell::Attached(session));
            }
            Ask::Attach(Some(_)) => return self.tell(host, connection, id, Tell::Expired),
            // The session has ended, or has moved on to another server.
            _ if !alive || self.ensemble.attached.get(&session) != Some(&server) => return,
            Ask::Heartbeat => Change::Heartbeat,
            Ask::Action(Action::Join) => Change::Join(session),
            Ask::Action(Action::Elect { over }) if !same_versions(&over, &self.ensemble.head.record) => {
                return self.tell(host, connection, id, Tell::Answer(Input::Outdated, None));
            }
            Ask::Action(Action::Elect { over }) => Change::Elect { session, host, number: over.number + 1 },
            Ask::Action(Action::Release { term }) => {
                Change::Release { session, version: term.map(|term| term.record_version) }
            }
            Ask::Action(_) | Ask::Ping => return,
        };
        let attaching = matches!(change, Change::CreateSession(_));
        if attaching {
            self.ensemble.attached.insert(session, server);
        }
        self.append(change, Some(Origin { attaching, ..origin }));
    }

    pub(super) fn append(&mut self, change: Change, origin: Option<Origin>) {
        let Some(leader) = self.ensemble.leader else { return };
        self.ensemble.append(change, origin, self.now);
        let (epoch, log) = (self.ensemble.epoch, self.ensemble.log.len());
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(arrives, Event::Propose { epoch, server, log });
            }
        }
    }

    pub(super) fn proposed(&mut self, epoch: u64, server: usize, log: usize) {
        let it = &mut self.ensemble.servers[server];
        if epoch != self.ensemble.epoch || it.stopped || !it.linked {
            return;
        }
        it.log = it.log.max(log);
        let arrives = self.behind(self.ensemble.servers[server].to_leader);
        self.ensemble.servers[server].to_leader = arrives;
        self.at(arrives, Event::Acknowledge { epoch, log });
    }

    pub(super) fn acknowledged(&mut self, epoch: u64, log: usize) {
        if epoch != self.ensemble.epoch || !self.leading() || log <= self.ensemble.committed {
            return;
        }
        self.ensemble.committed = log;
        let leader = self.ensemble.leader.expect("it is leading");
        self.apply(leader, log);
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(arrives, Event::Commit { epoch, server, applied: log });
            }
        }
    }

    /// A server applies what is committed: it answers those who wait at it and fires watches.
    pub(super) fn apply(&mut self, server: usize, up_to: usize) {
        for entry in self.ensemble.apply(server, up_to) {
            if let Some(origin) = entry.origin.filter(|origin| origin.server == server) {
                let tell = match (&entry.change, &entry.verdict) {
                    _ if origin.attaching => Tell::Attached(origin.session),
                    (Some(Change::Heartbeat), _) => Tell::Beaten,
                    (Some(Change::Join(_)), _) => Tell::Answer(Input::Joined, None),
                    (Some(Change::Release { .. }), _) => Tell::Answer(Input::Released, None),
                    (_, Verdict::Elected { number, token, version }) => {
                        let term = Term {
                            number: *number,
                            fencing_token: FencingToken(*token),
                            task: "task".into(),
                            host: origin.host.to_string().into(),
                            record_version: *version,
                        };
                        Tell::Answer(Input::Elected(term), None)
                    }
                    (_, Verdict::Held) => {
                        let blind = self.hosts[origin.host].rule == Rule::BlindToCandidate;
                        let tree = &self.ensemble.servers[server].tree;
                        let (input, watch) = read_master(tree, origin.session, blind);
                        Tell::Answer(input, watch)
                    }
                    _ => Tell::Answer(Input::Outdated, None),
                };
                self.tell(origin.host, origin.connection, origin.id, tell);
            }
            self.fire_watches(server);
        }
    }

    fn fire_watches(&mut self, server: usize) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].server != Some(server) {
                continue;
            }
            let tree = &self.ensemble.servers[server].tree;
            let fires = match self.hosts[host].watch {
                Some(Watch::Candidates { predecessor, own }) => {
                    !tree.candidates.contains_key(&predecessor) || tree.place(own).is_none()
                }
                Some(Watch::Master) => tree.master.is_none(),
                Some(Watch::Leadership(own)) => tree.master.is_none() || !tree.at_head(own),
                None => false,
            };
            if fires {
                let connection = self.hosts[host].connection;
                self.tell(host, connection, 0, Tell::Changed);
            }
        }
    }

    pub(super) fn leader_pings(&mut self) {
        self.after(SECOND, Event::LeaderPings);
        let Some(leader) = self.ensemble.leader.filter(|_| self.leading()) else { return };
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let epoch = self.ensemble.epoch;
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(arrives, Event::PeerPing { epoch, server });
            }
        }
    }

    pub(super) fn peer_ping(&mut self, epoch: u64, server: usize) {
        let it = &mut self.ensemble.servers[server];
        if epoch != self.ensemble.epoch || it.stopped || !it.linked {
            return;
        }
        let touched = std::mem::take(&mut it.touched).into_iter().collect();
        let arrives = self.behind(self.ensemble.servers[server].to_leader);
        self.ensemble.servers[server].to_leader = arrives;
        self.at(arrives, Event::PeerPong { epoch, touched });
    }

    pub(super) fn expiry_sweep(&mut self) {
        self.after(2 * SECOND, Event::ExpirySweep);
        if !self.leading() {
            return;
        }
        let dead: Vec<Session> =
            self.ensemble.expiry.iter().filter(|(_, at)| **at <= self.now).map(|(session, _)| *session).collect();
        for session in dead {
            self.append(Change::CloseSession(session), None);
        }
    }
}

/// What an election asks the ensemble to check.
fn same_versions(over: &Record, record: &Record) -> bool {
    (over.version, over.history) == (record.version, record.history)
}

/// What a server answers by itself.
fn read(tree: &Tree, session: Session, action: &Action, blind: bool) -> Option<(Input, Option<Watch>)> {
    match action {
        Action::Look => {
            let place = tree.place(session);
            let queue = Queue {
                ahead: place.map(|(ahead, _)| ahead),
                predecessor: place.and_then(|(_, predecessor)| predecessor).map(|it| it.to_string()),
                appointed: false,
                record: tree.record.clone(),
            };
            Some((Input::Looked(queue), None))
        }
        Action::AwaitPredecessor(name) => {
            let predecessor = name.parse().expect("names are numbers here");
            Some(if tree.candidates.contains_key(&predecessor) && tree.place(session).is_some() {
                (Input::Awaiting, Some(Watch::Candidates { predecessor, own: session }))
            } else {
                (Input::Gone, None)
            })
        }
        Action::ReadMaster => Some(read_master(tree, session, blind)),
        _ => None,
    }
}

fn read_master(tree: &Tree, session: Session, blind: bool) -> (Input, Option<Watch>) {
    let holder = match tree.master {
        None => return (Input::MasterSeen(Holder::Nobody), None),
        Some(master) if master.owner != session => {
            return (Input::MasterSeen(Holder::Other(master.host.to_string())), Some(Watch::Master));
        }
        _ if !blind && !tree.at_head(session) => Holder::MeWithoutPlace,
        Some(master) if master.zxid != tree.record_zxid => Holder::MeWithoutTerm,
        Some(master) => Holder::Me(Term {
            number: tree.record.number,
            fencing_token: FencingToken(master.zxid),
            task: "task".into(),
            host: master.host.to_string().into(),
            record_version: tree.record.version,
        }),
    };
    let watch = if blind { Watch::Master } else { Watch::Leadership(session) };
    (Input::MasterSeen(holder), Some(watch))
}
