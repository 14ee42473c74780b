//! What a leader says of a plugin that fails: how often it was restarted in the term; and the mark on a task whose plugin fails
//! for good, set before the host resigns, removed once the plugin runs well.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt;

use super::Contender;
use super::standing::{Marking, Standing};
use soloist_coordination::failed::Mark;
use soloist_core::cause::Cause;
use soloist_core::event::{About, Event, Seconds, chain};
use soloist_core::records::RestartsRecord;
use soloist_core::restart::PluginFailed;
use soloist_core::term::Term;

/// How often a leader says at most that it has restarted its plugin. In between it counts.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// How long a failure may take to be written down before the host resigns all the same.
const MARK_TIME: Duration = Duration::from_secs(10);

impl Contender {
    /// Says in the ensemble that the plugin has failed for good, and how often in a row; then resigns.
    pub(super) fn mark(&mut self, failed: PluginFailed) {
        let Some(tenure) = &mut self.tenure else {
            return;
        };
        let was_healthy = tenure.healthy;
        let (policy, stays) = (tenure.work.activation.restart, self.task.once.is_none());
        let Some((marking, term, mark)) = self.mark_of_term() else {
            return;
        };
        *marking = Some(
            async move {
                let marking = async {
                    if was_healthy {
                        // What failed before that is another story, whether or not the mark on it is gone already.
                        mark.remove().await?;
                    }
                    mark.set(&failed, policy, stays).await
                };
                let marked = tokio::time::timeout(MARK_TIME, marking).await;
                let terms = match marked {
                    Ok(Ok(record)) => record.terms,
                    Ok(Err(error)) => {
                        About::Term(&term).report(&Event::election_error(chain(&error)));
                        1
                    }
                    Err(_) => 1,
                };
                let cool_down = policy.cool_down(terms);
                About::Term(&term).report(&Event::Failed {
                    cause: failed.cause,
                    restarts: failed.restarts,
                    terms,
                    retry_in: stays.then_some(Seconds(cool_down)),
                });
                Some(cool_down)
            }
            .boxed(),
        );
    }

    /// Says in the ensemble, if need be, that the plugin runs well again.
    pub(super) fn unmark(&mut self) {
        let Some((marking, term, mark)) = self.mark_of_term() else {
            return;
        };
        *marking = Some(
            async move {
                if let Err(error) = mark.remove().await {
                    About::Term(&term).report(&Event::election_error(chain(&error)));
                }
                None
            }
            .boxed(),
        );
    }

    /// Notes that the plugin has failed and runs again after a pause; says so in the ensemble, at once or a moment later.
    pub(super) fn count_restart(&mut self, restarts: u32, cause: &Cause, pause: Duration) {
        let (Some(tenure), Some(term)) = (&mut self.tenure, self.election.active_term()) else {
            return;
        };
        let healthy_after = tenure.work.activation.restart.healthy_after;
        let failed = (restarts, cause);
        let record = RestartsRecord::new(term, failed, SystemTime::now(), pause, healthy_after);
        tenure.restarts = Some(record.in_generation(tenure.work.number()));
        self.tell_restarts();
    }

    /// Says how often the plugin was restarted, if that is not said yet, and nothing is being said.
    pub(super) fn tell_restarts(&mut self) {
        let is_telling = |standing: &Standing| standing.counting.is_some();
        if self.standing.as_ref().is_none_or(is_telling) {
            return;
        }
        let Some(record) = self.tenure.as_mut().and_then(|it| it.restarts.take()) else {
            return;
        };
        let Some((_, term, mark)) = self.mark_of_term() else {
            return;
        };
        let counting = async move {
            if let Err(error) = mark.restarted(&record).await {
                About::Term(&term).report(&Event::election_error(chain(&error)));
            }
            // It keeps the session open.
            drop(mark);
            tokio::time::sleep(COUNT_EVERY).await;
        };
        if let Some(standing) = &mut self.standing {
            standing.counting = Some(counting.boxed());
        }
    }

    /// The mark on this term, and where what is done with it goes.
    fn mark_of_term(&mut self) -> Option<(&mut Option<Marking>, Term, Mark)> {
        let (standing, term) = (
            self.standing.as_mut()?,
            self.election.active_term()?.clone(),
        );
        let generation = self.tenure.as_ref().and_then(|tenure| tenure.work.number());
        let fence = self.task.fence(standing, &term);
        let session = Arc::clone(&standing.session);
        let mark = Mark::new(
            session,
            self.task.paths.clone(),
            term.clone(),
            generation,
            fence,
        );
        Some((&mut standing.marking, term, mark))
    }
}
