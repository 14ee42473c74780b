//! What an activation says of its plugin, and what follows for the term.

use std::time::Duration;

use super::{Contender, Outcome};
use crate::activation::Notice;
use soloist_core::clock;
use soloist_core::election::Input;

impl Contender {
    pub(super) fn notified(&mut self, notice: Notice) {
        // What the plugin of a deployed task says is judged by the rules of its rollout.
        let leads = self.leads(&notice);
        match notice {
            Notice::Running { .. } => {}
            Notice::Restarting {
                failures,
                cause,
                pause,
            } => self.count_restart(failures, &cause, pause),
            Notice::Completed | Notice::Healthy => {
                if notice == Notice::Completed {
                    self.completed();
                }
                if let Some(tenure) = &mut self.tenure
                    && !std::mem::replace(&mut tenure.healthy, true)
                {
                    self.unmark();
                }
            }
            Notice::Failed(failed) => {
                if self.task.once.is_some() {
                    self.outcome
                        .get_or_insert_with(|| Outcome::Failed(failed.clone()));
                }
                if let Some(tenure) = &mut self.tenure {
                    tenure.failed = Some(failed.clone());
                }
                if !leads {
                    self.mark(failed);
                }
            }
            Notice::ResignRequested { reason } => {
                self.explain(reason);
                if !leads {
                    self.give_up();
                }
            }
            Notice::Stuck => self.stuck = true,
            Notice::Stopped { .. } => {
                if let Some(tenure) = &mut self.tenure {
                    tenure.activation = None;
                    tenure.turn = None;
                }
                self.inputs.push_back(Input::Stopped);
            }
        }
        if leads {
            self.lead();
        }
        self.publish(clock::now());
    }

    /// Gives the term back because the plugin, or this host, has no use for it. The host stays out for a while if that comes too
    /// often.
    pub(super) fn give_up(&mut self) {
        if let Some(tenure) = &mut self.tenure
            && tenure.reason.is_none()
        {
            let led = clock::now().saturating_since(tenure.since);
            tenure.stay_out = self.given_up.completed(led);
            let stay_out = tenure.stay_out;
            self.resign(stay_out);
        }
    }

    pub(super) fn resign(&mut self, stay_out: Duration) {
        self.inputs.push_back(Input::Resign { stay_out });
    }
}
