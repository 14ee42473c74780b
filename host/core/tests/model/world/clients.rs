//! Hosts as clients of the ensemble: their connections, their sessions, and the heartbeats that renew their leases.

use soloist_core::election::{Appointed, Input};

use super::{Event, Tell, World};
use crate::belief::Rule;
use crate::host::{Ask, Request};
use crate::plan::{HostId, MS, SERVERS, Session};

impl World {
    pub(super) fn send(&mut self, host: HostId, ask: Ask) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.hosts[host].isolated_until > self.now {
            return id;
        }
        if let Some(server) = self.hosts[host].server {
            let arrives = self.behind(self.hosts[host].to_server);
            self.hosts[host].to_server = arrives;
            let connection = self.hosts[host].connection;
            self.at(
                arrives,
                Event::ToServer {
                    server,
                    host,
                    connection,
                    id,
                    ask,
                },
            );
        }
        id
    }

    pub(super) fn connect(&mut self, host: HostId) {
        if self.hosts[host].server.is_some() || !self.hosts[host].running {
            return;
        }
        if self.hosts[host].isolated_until > self.now {
            return self.after(self.plan.tick / 5, Event::Connect { host });
        }
        let server = self.pick(SERVERS);
        let it = &mut self.hosts[host];
        it.connection += 1;
        (it.server, it.ready, it.connecting_since) = (Some(server), false, self.now);
        let session = it.session;
        if session.is_none() {
            it.asked = it.clock(self.now);
        }
        self.print(format_args!("host {host}: connects to server {server}"));
        self.send(host, Ask::Attach(session));
    }

    /// The connection is gone, with all that was on its way.
    pub(super) fn cut(&mut self, host: HostId) {
        let connection = self.hosts[host].connection;
        self.events.retain(|_, event| match &**event {
            Event::ToServer {
                connection: it,
                host: of,
                ..
            }
            | Event::ToHost {
                connection: it,
                host: of,
                ..
            } => (*it, *of) != (connection, host),
            _ => true,
        });
        self.disconnect(host);
    }

    pub(super) fn disconnect(&mut self, host: HostId) {
        let it = &mut self.hosts[host];
        if it.server.take().is_none() {
            return;
        }
        (it.ready, it.heartbeat, it.ping) = (false, None, None);
        if self.told {
            println!("host {host}: disconnected");
        }
        let lost = it.request.take_if(|request| !request.unsent).is_some();
        let pause = self.random.below(self.plan.tick / 5);
        self.after(pause, Event::Connect { host });
        if lost {
            self.feed(host, Input::Failed);
        }
    }

    /// The host closes its session.
    pub(super) fn leave(&mut self, host: HostId) {
        if let Some(session) = self.hosts[host].session.filter(|_| self.hosts[host].ready) {
            self.send(host, Ask::Close(session));
        }
        self.end_session(host);
    }

    /// The session has ended, as the ensemble says or as the client believes.
    pub(super) fn end_session(&mut self, host: HostId) {
        let it = &mut self.hosts[host];
        (it.server, it.ready, it.heartbeat, it.ping) = (None, false, None, None);
        it.connection += 1;
        if it.session.take().is_some() {
            // What was asked in the old session is no longer of interest.
            (it.request, it.watch, it.seen) = (None, None, None);
            self.feed(host, Input::SessionEnded);
        }
        self.after(MS, Event::Connect { host });
    }

    pub(super) fn heartbeat(&mut self, host: HostId) {
        let it = &self.hosts[host];
        let (timeout, ready) = (it.timeout, it.ready);
        self.after(timeout / self.plan.beats, Event::Heartbeat { host });
        let it = &self.hosts[host];
        let silent_since = it.last_heard.max(it.connecting_since);
        if it.session.is_some() && self.now - it.last_heard > timeout / 5 * 7 {
            // The client library does not wait to be told.
            return self.end_session(host);
        }
        if it.server.is_some() && self.now - silent_since > timeout / 5 * 2 {
            return self.disconnect(host);
        }
        if !ready {
            return;
        }
        let stamp = self.hosts[host].clock(self.now);
        if self.hosts[host].heartbeat.is_none() {
            let id = self.send(host, Ask::Heartbeat);
            self.hosts[host].heartbeat = Some((id, stamp));
        }
        if self.hosts[host].ping.is_none() {
            let id = self.send(host, Ask::Ping);
            self.hosts[host].ping = Some((id, stamp));
        }
    }

    pub(super) fn heard(&mut self, host: HostId, connection: u64, id: u64, tell: Tell) {
        let now = self.now;
        let it = &mut self.hosts[host];
        let Some(server) = it.server.filter(|_| it.connection == connection) else {
            return;
        };
        it.last_heard = now;
        it.applied = it.applied.max(self.ensemble.servers[server].applied);
        match tell {
            Tell::Attached(session) => self.attached(host, session),
            Tell::Expired => self.end_session(host),
            Tell::Pong => {
                if let Some((_, sent)) = it.ping.take_if(|(asked, _)| *asked == id) {
                    it.belief.answered(sent);
                }
            }
            Tell::Beaten => {
                if let Some((_, sent)) = it.heartbeat.take_if(|(asked, _)| *asked == id) {
                    let committed = it.clock(now);
                    it.belief.committed(sent, committed);
                    self.set_timer(host);
                }
            }
            Tell::Changed => {
                if it.watch.take().is_some() {
                    self.feed(host, Input::Changed);
                }
            }
            Tell::Answer(answer) => {
                if it.request.take_if(|request| request.id == id).is_some() {
                    it.watch = answer.watch;
                    it.seen = answer.seen.or(it.seen.take());
                    it.history = answer.history.or(it.history);
                    let input = self.named(host, answer.input);
                    self.feed(host, input);
                }
            }
        }
    }

    /// What a host makes of what it reads of the queue, if it takes having been named once for good.
    fn named(&mut self, host: HostId, input: Input) -> Input {
        let Input::Looked(mut queue) = input else {
            return input;
        };
        let it = &mut self.hosts[host];
        it.named += u64::from(queue.appointed == Appointed::ThisHost);
        if it.rule == Rule::AppointedForGood && it.named > 0 && queue.ahead.is_some() {
            queue.appointed = Appointed::ThisHost;
            if let Some(seen) = &mut it.seen {
                seen.queue = queue.clone();
            }
        }
        Input::Looked(queue)
    }

    fn attached(&mut self, host: HostId, session: Session) {
        self.hosts[host].ready = true;
        if self.hosts[host].session == Some(session) {
            // What was asked for while there was no connection is sent now.
            if let Some(Request { ask, .. }) =
                self.hosts[host].request.take_if(|request| request.unsent)
            {
                self.request(host, ask);
            }
            self.feed(host, Input::Reconnected);
        } else {
            self.hosts[host].begin(session);
            self.feed(host, Input::SessionStarted);
        }
    }

    /// A server agrees to no more than `timeout`. Hosts ask every server; that one is not asked in time, in the milliseconds
    /// in which a session moves to it, is left out here as it is in what is promised.
    pub(super) fn shorten(&mut self, host: HostId, timeout: u64) {
        let it = &mut self.hosts[host];
        if timeout < it.timeout {
            it.timeout = timeout;
            it.belief.shorten(crate::plan::time(timeout));
            self.set_timer(host);
        }
    }
}
