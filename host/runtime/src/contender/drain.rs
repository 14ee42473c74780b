//! Whether an operator has drained this host.

use super::Contender;
use soloist_coordination::session::{Drain, Presence, Present};
use soloist_core::election::Input;

/// What a contender knows of that.
#[derive(Default)]
pub(super) struct Drained {
    /// The order that was heard last, if it counts.
    order: Option<u64>,
    presence: Presence,
    /// While there is, or may be, something of this host in the task.
    present: Option<Present>,
}

impl Contender {
    /// Tells the election of an order to drain this host, or of its end.
    pub(super) fn drain_seen(&mut self, drain: Option<&Drain>, presence: Presence) {
        self.drained.presence = presence;
        let order = drain.map(|drain| drain.zxid);
        if std::mem::replace(&mut self.drained.order, order) == order {
            return;
        }
        let Some(Drain { order, .. }) = drain else {
            return self.inputs.push_back(Input::Undrain);
        };
        let ends = |reason: Option<_>| !order.keep && reason.is_none();
        if self.tenure.as_ref().is_some_and(|it| ends(it.reason)) {
            self.explain(order.why());
        }
        self.inputs.push_back(Input::Drain { keep: order.keep });
    }

    /// Counts this contender among those that keep the host from being empty, or not.
    pub(super) fn count(&mut self) {
        if self.election.is_drained() {
            self.drained.present = None;
        } else {
            let presence = &self.drained.presence;
            self.drained.present.get_or_insert_with(|| presence.enter());
        }
    }
}
