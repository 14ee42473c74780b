//! Hosts: their sessions, their requests, and the plugins that they activate.

use soloist_core::election::{Action, Input};
use soloist_core::term::Term;

use super::{Ask, Event, Overlap, Tell, World};
use crate::ensemble::{HostId, MS, Nanos, SECOND, SERVERS, Session};
use crate::host::Activation;

const HEARTBEAT: Nanos = SECOND;
/// A connection that is silent for this long is given up.
const SILENCE: Nanos = 4 * SECOND;

impl World {
    fn send(&mut self, host: HostId, ask: Ask) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.hosts[host].isolated_until > self.now {
            return id;
        }
        if let Some(server) = self.hosts[host].server {
            let arrives = self.behind(self.hosts[host].to_server);
            self.hosts[host].to_server = arrives;
            let connection = self.hosts[host].connection;
            self.at(arrives, Event::ToServer { server, host, connection, id, ask });
        }
        id
    }

    pub(super) fn connect(&mut self, host: HostId) {
        if self.hosts[host].server.is_some() {
            return;
        }
        if self.hosts[host].isolated_until > self.now {
            return self.after(300 * MS, Event::Connect { host });
        }
        let server = usize::try_from(self.random.below(SERVERS as u64)).expect("small");
        let (now, clock) = (self.now, self.hosts[host].clock(self.now));
        let it = &mut self.hosts[host];
        it.connection += 1;
        (it.server, it.ready, it.last_heard) = (Some(server), false, now);
        let session = it.session;
        if session.is_none() {
            it.asked = clock;
        }
        self.send(host, Ask::Attach(session));
    }

    pub(super) fn disconnect(&mut self, host: HostId) {
        let it = &mut self.hosts[host];
        if it.server.take().is_none() {
            return;
        }
        (it.ready, it.heartbeat, it.ping) = (false, None, None);
        let lost = it.request.is_some() && !it.unsent;
        let pause = self.random.below(300 * MS);
        self.after(pause, Event::Connect { host });
        if lost {
            self.hosts[host].request = None;
            self.feed(host, Input::Failed);
        }
    }

    /// The session has ended, as the ensemble says or as the client believes.
    fn end_session(&mut self, host: HostId) {
        let it = &mut self.hosts[host];
        (it.server, it.ready, it.heartbeat, it.ping) = (None, false, None, None);
        if it.session.is_some() {
            // What was asked in the old session is no longer of interest.
            (it.request, it.watch) = (None, None);
            it.deadline = soloist_core::clock::Moment::default();
            it.session = None;
            self.feed(host, Input::SessionEnded);
        }
        self.after(MS, Event::Connect { host });
    }

    pub(super) fn heartbeat(&mut self, host: HostId) {
        self.after(HEARTBEAT, Event::Heartbeat { host });
        let silent = self.now - self.hosts[host].last_heard > SILENCE;
        if self.hosts[host].server.is_some() && silent {
            return self.disconnect(host);
        }
        if !self.hosts[host].ready {
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
        if self.hosts[host].connection != connection || self.hosts[host].server.is_none() {
            return;
        }
        let now = self.now;
        self.hosts[host].last_heard = now;
        match tell {
            Tell::Attached(session) => self.attached(host, session),
            Tell::Expired => self.end_session(host),
            Tell::Pong => {
                if let Some((_, sent)) = self.hosts[host].ping.take_if(|(asked, _)| *asked == id) {
                    self.hosts[host].ping_answered(sent);
                }
            }
            Tell::Beaten => {
                if let Some((_, sent)) = self.hosts[host].heartbeat.take_if(|(asked, _)| *asked == id) {
                    self.hosts[host].heartbeat_committed(sent, now);
                }
            }
            Tell::Changed => {
                if self.hosts[host].watch.take().is_some() {
                    self.feed(host, Input::Changed);
                }
            }
            Tell::Answer(input, watch) => {
                if self.hosts[host].request.take_if(|(asked, _)| *asked == id).is_some() {
                    self.hosts[host].watch = watch;
                    self.feed(host, input);
                }
            }
        }
    }

    fn attached(&mut self, host: HostId, session: Session) {
        self.hosts[host].ready = true;
        if self.hosts[host].session == Some(session) {
            // What was asked for while there was no connection is sent now.
            if self.hosts[host].unsent
                && let Some((_, action)) = self.hosts[host].request.take()
            {
                self.request(host, action);
            }
            self.feed(host, Input::Reconnected);
        } else {
            let first = self.hosts[host].timing_started();
            self.hosts[host].begin(session);
            if first {
                let phase = self.random.below(HEARTBEAT);
                self.after(phase, Event::Heartbeat { host });
            }
            self.feed(host, Input::SessionStarted);
        }
    }

    pub(super) fn feed(&mut self, host: HostId, input: Input) {
        let now = self.now;
        self.hosts[host].feed(now, input);
        for action in std::mem::take(&mut self.hosts[host].actions) {
            self.perform(host, action);
        }
        let deadline = self.hosts[host].now(now).deadline;
        if let Some(wake) = self.hosts[host].election.wake_at(deadline) {
            let wake = self.hosts[host].real(wake);
            self.at(wake.max(now + MS), Event::Timer { host });
        }
    }

    fn request(&mut self, host: HostId, action: Action) {
        self.hosts[host].watch = None;
        if self.hosts[host].ready {
            let id = self.send(host, Ask::Action(action.clone()));
            (self.hosts[host].request, self.hosts[host].unsent) = (Some((id, action)), false);
        } else {
            (self.hosts[host].request, self.hosts[host].unsent) = (Some((0, action)), true);
        }
    }

    fn perform(&mut self, host: HostId, action: Action) {
        match action {
            Action::Activate(term) => self.activate(host, term),
            Action::Demote(_) => {
                let (wanted, activation) = (self.random.below(6_000 * MS), self.hosts[host].activations);
                if let Some(it) = &mut self.hosts[host].activation {
                    it.stopping = true;
                    // A plugin that takes longer is stopped by force.
                    self.after(wanted.min(2 * SECOND), Event::Stopped { host, activation });
                }
            }
            Action::Revoke => {
                let activation = self.hosts[host].activations;
                let delay = self.random.below(20 * MS);
                self.after(delay, Event::Stopped { host, activation });
            }
            Action::AnnounceElected(_) | Action::AnnounceReleased(_) | Action::AnnounceStandby { .. } => {}
            Action::Finish => unreachable!("no host is shut down"),
            request => self.request(host, request),
        }
    }

    fn activate(&mut self, host: HostId, term: Term) {
        let now = self.now;
        // The property: whoever was elected before can have no effect any more, now or later.
        for old in (0..self.hosts.len()).filter(|old| *old != host) {
            if self.hosts[old].permitted(now).is_some() {
                self.overlaps.push(Overlap { at: now, old, new: host });
            }
        }
        let Some(session) = self.hosts[host].session else { return };
        assert!(self.hosts[host].activation.is_none(), "a host runs a plugin twice");
        self.terms += 1;
        self.hosts[host].activations += 1;
        let id = self.hosts[host].activations;
        self.hosts[host].activation = Some(Activation { term, session, id, stopping: false });
        self.after(0, Event::Effect { host, activation: id });
    }

    pub(super) fn effect(&mut self, host: HostId, activation: u64) {
        let now = self.now;
        if self.hosts[host].activation.as_ref().is_none_or(|it| it.id != activation) {
            return;
        }
        let Some(token) = self.hosts[host].permitted(now).map(|it| it.term.fencing_token.0) else {
            // The permit has ended: the plugin is stopped by force, and the election hears of it.
            return self.after(MS, Event::Stopped { host, activation });
        };
        self.effects += 1;
        if token < self.last_token {
            self.overlaps.push(Overlap { at: now, old: host, new: usize::MAX });
        }
        self.last_token = self.last_token.max(token);
        let pause = self.random.below(100 * MS);
        self.after(pause, Event::Effect { host, activation });
    }

    pub(super) fn plugin_stopped(&mut self, host: HostId, activation: u64) {
        if self.hosts[host].activation.take_if(|it| it.id == activation).is_some() {
            self.feed(host, Input::Stopped);
        }
    }
}
