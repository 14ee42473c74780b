//! Plugins: they try to have effects all the time, take their time to stop, and are stopped by force.

use soloist_core::election::Input;
use soloist_core::term::Term;

use super::{Event, World};
use crate::chronicle::Wrong;
use crate::host::{Activation, Ask};
use crate::plan::{HostId, MS};

impl World {
    pub(super) fn activate(&mut self, host: HostId, term: Term, candidate: u64) {
        // The property: whoever was elected before can have no effect any more, now or later.
        for old in (0..self.hosts.len()).filter(|old| *old != host) {
            if self.hosts[old].permitted(self.now).is_some() {
                self.wrong(Wrong::TwoAct { old, new: host });
            }
        }
        let Some(session) = self.hosts[host].session else {
            return self.feed(host, Input::Stopped);
        };
        self.must_have_stopped(host, Wrong::RunsTwice { host });
        self.terms += 1;
        self.hosts[host].activations += 1;
        let id = self.hosts[host].activations;
        self.hosts[host].activation = Some(Activation {
            term,
            session,
            candidate,
            id,
        });
        self.after(
            0,
            Event::Effect {
                host,
                activation: id,
            },
        );
    }

    pub(super) fn effect(&mut self, host: HostId, activation: u64) {
        if self.hosts[host]
            .activation
            .as_ref()
            .is_none_or(|it| it.id != activation)
        {
            return;
        }
        let Some(Activation {
            term, candidate, ..
        }) = self.hosts[host].permitted(self.now).cloned()
        else {
            // The permit has ended: the plugin is stopped by force, and the election hears of it.
            return self.after(MS, Event::Stopped { host, activation });
        };
        self.effects += 1;
        if !self.chronicle.effect(term.fencing_token.0) {
            self.wrong(Wrong::EffectAfterALaterOne { host });
        }
        if self.random.below(10) == 0 && self.hosts[host].ready {
            self.send(host, Ask::Store { term, candidate });
        }
        let pause = self.random.below(self.plan.session_timeout / 50);
        self.after(pause, Event::Effect { host, activation });
    }

    /// The plugin is asked to stop; one that takes longer than it may is stopped by force.
    pub(super) fn demote(&mut self, host: HostId) {
        let allowed = self.plan.demote_timeout;
        let wanted = self.random.below(3 * allowed + MS);
        self.stop_after(host, wanted.min(allowed));
    }

    pub(super) fn revoke(&mut self, host: HostId) {
        let takes = self.random.below(20 * MS);
        self.stop_after(host, takes);
    }

    fn stop_after(&mut self, host: HostId, time: u64) {
        let activation = self.hosts[host].activations;
        self.after(time, Event::Stopped { host, activation });
    }

    pub(super) fn plugin_stopped(&mut self, host: HostId, activation: u64) {
        if self.hosts[host]
            .activation
            .take_if(|it| it.id == activation)
            .is_some()
        {
            self.feed(host, Input::Stopped);
        }
    }
}
