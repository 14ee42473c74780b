//! The mark on a task whose plugin fails for good: set before its host resigns, removed once it runs well.

use std::time::Duration;

use futures::FutureExt;
use serde_json::Value;

use super::Contender;
use soloist_coordination::failed::Mark;
use soloist_core::events::{About, Event, chain, details};
use soloist_core::restart::PluginFailed;
use soloist_core::term::Term;

/// How long a failure may take to be written down before the host resigns all the same.
const MARK_TIME: Duration = Duration::from_secs(10);

impl Contender {
    /// Says in the ensemble that the plugin has failed for good, and how often in a row; then resigns.
    pub(super) fn mark(&mut self, failed: PluginFailed) {
        self.ending.failed = Some(failed.clone());
        let (policy, stays) = (self.task.activation.restart, self.task.once.is_none());
        let Some((term, mark)) = self.mark_of_term() else {
            return;
        };
        let was_healthy = self.healthy;
        self.marking = Some(
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
                        About::term(&term).report(Event::ElectionError, chain(&error));
                        1
                    }
                    Err(_) => 1,
                };
                let cool_down = policy.cool_down(terms);
                report_failed(&term, &failed, terms, stays.then_some(cool_down));
                Some(cool_down)
            }
            .boxed(),
        );
    }

    /// Says in the ensemble, if need be, that the plugin runs well again.
    pub(super) fn unmark(&mut self) {
        let Some((term, mark)) = self.mark_of_term() else {
            return;
        };
        self.marking = Some(
            async move {
                if let Err(error) = mark.remove().await {
                    About::term(&term).report(Event::ElectionError, chain(&error));
                }
                None
            }
            .boxed(),
        );
    }

    fn mark_of_term(&self) -> Option<(Term, Mark)> {
        let (session, term) = (self.session.clone()?, self.election.active_term()?.clone());
        let fence = self.fence(&term);
        Some((
            term.clone(),
            Mark::new(session, self.task.paths.clone(), term, fence),
        ))
    }
}

fn report_failed(term: &Term, failed: &PluginFailed, terms: u32, retry_in: Option<Duration>) {
    let PluginFailed { cause, restarts } = failed;
    let mut fields = details([
        ("cause", Value::from(cause.name())),
        ("terms", terms.into()),
        ("restarts", (*restarts).into()),
    ]);
    if let Some(retry_in) = retry_in {
        fields.insert(
            "retry_in".into(),
            humantime::format_duration(retry_in).to_string().into(),
        );
    }
    let message = format_args!(
        "the plugin has failed for good on this host, restarted {restarts} times: {cause}"
    );
    About::term(term).report_with(Event::Failed, Event::Failed.level(), message, fields);
}
