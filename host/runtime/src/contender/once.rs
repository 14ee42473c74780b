//! A task that is done once: by each host, or once for all of them.
//!
//! That it is done for all is written into the term record by the transaction that gives the term back. Until then it is
//! not done: a host that is lost before has another one do it again.

use std::sync::Arc;
use std::time::Duration;

use super::Contender;
use soloist_core::election::Input;
use soloist_core::event::{About, Event};
use soloist_core::records::Completion;
use soloist_core::restart::PluginFailed;

/// What is to be done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once {
    /// Each host does it for itself.
    EachHost,
    /// All hosts together do it, once for each name; the empty one will do.
    Task(Arc<str>),
}

/// What came of a task that is run once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `on_elected` has returned without an error.
    Completed,
    /// What was to be done once has been done, in a term of another host or of an earlier run of this one.
    CompletedBefore,
    /// The plugin has failed for good on this host.
    Failed(PluginFailed),
}

impl Contender {
    /// `on_elected` has returned without an error.
    pub(super) fn completed(&mut self) {
        match &self.task.once {
            None => return,
            Some(Once::EachHost) => drop(self.outcome.get_or_insert(Outcome::Completed)),
            Some(Once::Task(_)) => {
                self.done = self.election.active_term().map(|term| term.fencing_token);
            }
        }
        self.explain("the plugin has completed");
        self.inputs.push_back(Input::Resign {
            stay_out: Duration::ZERO,
        });
    }

    /// Whether this host has completed the task in a term whose end could not be written, and nobody has led since. If
    /// somebody has, they have begun the work anew: then it is not done until it has been done again.
    pub(super) fn only_has_to_be_written(&mut self) -> bool {
        let standing = self.standing.as_ref();
        let seen = standing.and_then(|standing| standing.seen.as_ref());
        self.done = self
            .done
            .filter(|done| seen.is_some_and(|seen| seen.nobody_led_since(*done)));
        self.done.is_some()
    }

    /// What this host has done once for all hosts, and has not yet written down.
    pub(super) fn has_done(&self) -> Option<&str> {
        match &self.task.once {
            Some(Once::Task(what)) if self.done.is_some() => Some(what),
            _ => None,
        }
    }

    /// Ends the standing of this host before `input` is handled, if what is to be done once has been done: by this host,
    /// when the end of its term is `recorded`; or before, as the record says that was just read.
    pub(super) fn finish_if_done(&mut self, input: &Input, recorded: bool) {
        let Some(Once::Task(what)) = &self.task.once else {
            return;
        };
        let outcome = match input {
            Input::Released if recorded && self.done.is_some() => Outcome::Completed,
            Input::Looked(_) => {
                let standing = self.standing.as_ref();
                let seen = standing.and_then(|standing| standing.seen.as_ref());
                let Some(before) = seen.and_then(|seen| seen.record.completion(what)) else {
                    return;
                };
                report_completed_before(&self.task.name, before);
                Outcome::CompletedBefore
            }
            _ => return,
        };
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            self.inputs.push_back(Input::Shutdown);
        }
    }
}

fn report_completed_before(task: &str, completion: &Completion) {
    let Completion {
        what,
        term,
        host,
        at,
    } = completion;
    About::Task(task).report(&Event::CompletedBefore {
        by: host.clone(),
        in_term: *term,
        at: at.clone(),
        what: Some(what).filter(|what| !what.is_empty()).cloned(),
    });
}
