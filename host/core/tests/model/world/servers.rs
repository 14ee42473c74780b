//! Servers: what they are asked, what they pass on to the leader, and what they agree on.

use soloist_core::election::Input;

use super::reads::{look, read, read_master, watch_candidates};
use super::{Answer, Event, Tell, World};
use crate::change::{Change, Verdict};
use crate::ensemble::{Entry, Origin};
use crate::host::{Ask, Seen, Watch};
use crate::plan::{HostId, SERVERS};

impl World {
    pub(super) fn tell(&mut self, host: HostId, connection: u64, id: u64, tell: Tell) {
        let it = &self.hosts[host];
        if it.isolated_until <= self.now && it.connection == connection && it.server.is_some() {
            let arrives = self.behind(it.from_server);
            self.hosts[host].from_server = arrives;
            self.at(
                arrives,
                Event::ToHost {
                    host,
                    connection,
                    id,
                    tell,
                },
            );
        }
    }

    pub(super) fn served(
        &mut self,
        server: usize,
        host: HostId,
        connection: u64,
        id: u64,
        ask: Ask,
    ) {
        let closes = if let Ask::Close(session) = ask {
            Some(session)
        } else {
            None
        };
        if self.hosts[host].connection != connection && closes.is_none() {
            return;
        }
        let it = &self.ensemble.servers[server];
        if it.stopped {
            return;
        }
        // One that has given up closes the connection, and so does one that knows less than the client.
        let behind = matches!(ask, Ask::Attach(_)) && it.applied < self.hosts[host].applied;
        if !self.ensemble.serves(server, self.now) || behind {
            return self.cut(host);
        }
        let is_leader = self.ensemble.leader == Some(server);
        let session = closes.or(self.hosts[host].session);
        if let Some(session) = session.filter(|_| !matches!(ask, Ask::Attach(_))) {
            if is_leader {
                self.ensemble.touch(session, self.now);
            } else {
                self.ensemble.servers[server].touched.insert(session);
            }
        }
        if let Ask::Ping = ask {
            return self.tell(host, connection, id, Tell::Pong);
        }
        if let Some(session) = session
            && let Some(answer) = read(
                &self.ensemble.servers[server].tree,
                session,
                host,
                &ask,
                self.hosts[host].rule,
                self.plan.older,
            )
        {
            return self.answer(host, connection, id, answer);
        }
        if let Ask::Attach(_) = ask {
            let agrees_to = self.ensemble.servers[server].agrees_to;
            self.shorten(host, agrees_to);
        }
        let session = match (&ask, session) {
            (Ask::Attach(None), _) => {
                self.next_session += 1;
                self.next_session
            }
            (_, Some(session)) => session,
            _ => return,
        };
        let origin = Origin {
            server,
            host,
            connection,
            id,
            session,
            attaching: false,
        };
        if is_leader {
            self.decide(origin, ask);
        } else if self.ensemble.servers[server].linked {
            let epoch = self.ensemble.epoch;
            let arrives = self.behind(self.ensemble.servers[server].to_leader);
            self.ensemble.servers[server].to_leader = arrives;
            self.at(arrives, Event::Forwarded { epoch, origin, ask });
        }
    }

    /// An answer, unless the host is told that its request failed, whether or not that was done.
    fn answer(&mut self, host: HostId, connection: u64, id: u64, answer: Answer) {
        let failed = self.fails(self.plan.failing);
        let answer = if failed { Input::Failed.into() } else { answer };
        self.tell(host, connection, id, Tell::Answer(Box::new(answer)));
        if self.fails(4 * self.plan.failing) {
            // The answer is lost with its connection.
            self.cut(host);
        }
    }

    /// The leader takes a request up.
    pub(super) fn decide(&mut self, origin: Origin, ask: Ask) {
        let Origin {
            server,
            host,
            connection,
            id,
            session,
            ..
        } = origin;
        let alive = self.ensemble.head.sessions.contains_key(&session);
        let asked = self.plan.session_timeout;
        let timeout = asked.min(self.ensemble.servers[server].agrees_to);
        let change = match ask {
            Ask::Attach(None) => Change::CreateSession { session, timeout },
            Ask::Attach(Some(_)) if alive => {
                self.ensemble.attach(session, server, timeout, self.now);
                return self.tell(host, connection, id, Tell::Attached(session));
            }
            Ask::Attach(Some(_)) => return self.tell(host, connection, id, Tell::Expired),
            // The session has ended, or has moved on to another server.
            _ if !alive || self.ensemble.attached.get(&session) != Some(&server) => {
                if self.hosts[host].connection == connection {
                    self.cut(host);
                }
                return;
            }
            Ask::Close(session) => Change::CloseSession(session),
            Ask::Heartbeat => Change::Heartbeat,
            Ask::Store { term, candidate } => Change::Store { term, candidate },
            _ if self.refuses(host, &ask) => {
                return self.tell(
                    host,
                    connection,
                    id,
                    Tell::Answer(Box::new(Input::Refused.into())),
                );
            }
            _ if self.fails(self.plan.failing) => {
                return self.tell(
                    host,
                    connection,
                    id,
                    Tell::Answer(Box::new(Input::Failed.into())),
                );
            }
            Ask::Look => Change::Prepare,
            Ask::Join => Change::Join { session, host },
            Ask::StepBack(own) => Change::StepBack { session, host, own },
            Ask::Elect {
                over,
                candidate,
                place,
            } => Change::Elect {
                session,
                host,
                candidate,
                over,
                place,
            },
            Ask::Wake { other, own } => Change::Touch { other, own },
            Ask::Release(release) => Change::Release(release),
            Ask::Ping | Ask::Await { .. } | Ask::ReadMaster { .. } => return,
        };
        let attaching = matches!(change, Change::CreateSession { .. });
        if attaching {
            self.ensemble.attached.insert(session, server);
        }
        self.append(
            change,
            Some(Origin {
                attaching,
                ..origin
            }),
        );
    }

    pub(super) fn append(&mut self, change: Change, origin: Option<Origin>) {
        let Some(leader) = self.ensemble.leader else {
            return;
        };
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

    pub(super) fn proposed(&mut self, server: usize, log: usize) {
        let it = &mut self.ensemble.servers[server];
        it.log = it.log.max(log);
        let (epoch, arrives) = (
            self.ensemble.epoch,
            self.behind(self.ensemble.servers[server].to_leader),
        );
        self.ensemble.servers[server].to_leader = arrives;
        self.at(arrives, Event::Acknowledge { epoch, server, log });
    }

    /// One of the two others has it: that is a majority.
    pub(super) fn acknowledged(&mut self, log: usize) {
        if log <= self.ensemble.committed {
            return;
        }
        self.ensemble.committed = log;
        self.write_down();
        let leader = self.ensemble.leader.expect("it is leading");
        self.apply(leader, log);
        let epoch = self.ensemble.epoch;
        for server in (0..SERVERS).filter(|server| *server != leader) {
            if self.ensemble.servers[server].linked {
                let arrives = self.behind(self.ensemble.servers[server].from_leader);
                self.ensemble.servers[server].from_leader = arrives;
                self.at(
                    arrives,
                    Event::Commit {
                        epoch,
                        server,
                        applied: log,
                    },
                );
            }
        }
    }

    /// A server applies what is committed: it answers those who wait at it and fires watches.
    pub(super) fn apply(&mut self, server: usize, up_to: usize) {
        for entry in self.ensemble.apply(server, up_to) {
            if let Some(origin) = entry.origin.filter(|origin| origin.server == server) {
                self.conclude(server, origin, &entry);
            }
            self.fire_watches(server);
        }
    }

    fn conclude(&mut self, server: usize, origin: Origin, entry: &Entry) {
        let Origin {
            host,
            connection,
            id,
            session,
            ..
        } = origin;
        let tree = &self.ensemble.servers[server].tree;
        let answer = match (&entry.change, &entry.verdict) {
            _ if origin.attaching => {
                return self.tell(host, connection, id, Tell::Attached(session));
            }
            (Change::Heartbeat, _) => return self.tell(host, connection, id, Tell::Beaten),
            (Change::Prepare, _) => {
                look(tree, session, host, self.plan.older).unwrap_or(Input::Failed.into())
            }
            (Change::Join { .. }, _) | (Change::StepBack { .. }, Verdict::Done) => {
                Input::Joined.into()
            }
            (Change::StepBack { .. }, _) => Input::Failed.into(),
            (Change::Release(_), _) => Input::Released.into(),
            (Change::Touch { other, own }, _) => watch_candidates(tree, *other, Some(*own)),
            (Change::Elect { place, .. }, Verdict::Elected(term)) => {
                let seen = self.hosts[host].seen.clone();
                let moved = place.map(|place| vec![place]);
                self.out_of_turn += u64::from(place.is_some());
                Answer {
                    seen: seen.zip(moved).map(|(seen, own)| Seen { own, ..seen }),
                    ..Input::Elected(term.clone()).into()
                }
            }
            (Change::Elect { candidate, .. }, Verdict::Held) => {
                read_master(tree, session, Some(*candidate), self.hosts[host].rule)
            }
            (Change::Elect { .. }, _) => Input::Outdated.into(),
            _ => return,
        };
        self.answer(host, connection, id, answer);
    }

    fn fire_watches(&mut self, server: usize) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].server != Some(server) {
                continue;
            }
            let tree = &self.ensemble.servers[server].tree;
            let master = |zxid| tree.master.is_some_and(|master| master.zxid == zxid);
            let fires = match self.hosts[host].watch {
                Some(Watch::Candidates { other, own }) => {
                    let is_same = |(candidate, version)| tree.version(candidate) == Some(version);
                    !is_same(other) || !is_same(own)
                }
                Some(Watch::Master(zxid)) => !master(zxid),
                Some(Watch::Leadership { zxid, own }) => {
                    let term = tree.term.is_some_and(|term| term.zxid == zxid);
                    !(master(zxid) && term && tree.candidates.contains_key(&own))
                }
                None => false,
            };
            if fires {
                let connection = self.hosts[host].connection;
                self.tell(host, connection, 0, Tell::Changed);
            }
        }
    }
}
