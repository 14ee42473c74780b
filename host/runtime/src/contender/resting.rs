//! What ends the rest of a host on which the plugin has failed for good, before its time: an order of an operator.

use std::sync::Arc;

use futures::FutureExt;

use super::Contender;
use soloist_core::election::{Input, Stage};
use soloist_core::event::{About, Event};
use soloist_core::records::{Changed, RetryOrder};

impl Contender {
    /// The plugin has failed for good in the present term: this host rests once the term is given back, unless it was to run once.
    pub(super) fn rests_after_term(&mut self) {
        let term = self.election.active_term();
        let token = term.map(|term| term.fencing_token);
        self.rests_since = token.filter(|_| self.task.once.is_none());
    }

    /// Listens for an order to stand again for as long as this host rests, in whichever session.
    pub(super) fn listen_while_resting(&mut self) {
        let Some(token) = self.rests_since else {
            return;
        };
        match self.election.stage() {
            Stage::Away => {
                if let Some(standing) = &mut self.standing
                    && standing.retry.is_none()
                {
                    // A session watches no more than it has room for, and nothing else is of interest now.
                    standing.watches.let_go();
                    let nodes = self.task.nodes(Arc::clone(&standing.session));
                    standing.retry = Some(nodes.retry_order(token.0).boxed());
                }
            }
            // It is about to rest.
            Stage::Leading | Stage::Stopping | Stage::Releasing => {}
            Stage::Full | Stage::Standby | Stage::Electing | Stage::Finished => {
                self.rests_since = None;
                if let Some(standing) = &mut self.standing
                    && let Some(retry) = standing.retry.take()
                {
                    standing.watches.keep(retry);
                }
            }
        }
    }

    /// Somebody has ordered that the task is tried again.
    pub(super) fn retried(&mut self, RetryOrder { given, .. }: RetryOrder) {
        let Changed { by, reason, .. } = given;
        About::Task(&self.task.name).report(&Event::Retried { by, reason });
        self.rests_since = None;
        self.inputs.push_back(Input::Retry);
    }
}
