//! The mark on a task whose plugin fails for good: set before its host resigns, removed once it runs well.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::Contender;
use super::standing::Marking;
use soloist_coordination::failed::Mark;
use soloist_core::event::{About, Event, Seconds, chain};
use soloist_core::restart::PluginFailed;
use soloist_core::term::Term;

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
