//! Requests to the ensemble, and what their answers bring. Each waits for its turn: there may be hundreds of tasks in a session.
//! What it needs to be under way it gets when that comes, since thousands may wait.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;

use super::standing::Standing;
use super::{Contender, Work};
use soloist_coordination::session::Urgency;
use soloist_coordination::task::{
    self, HistorySnapshot, MasterSnapshot, QueueSnapshot, TaskError, TaskNodes, TermEnding,
};
use soloist_coordination::watches::WatchSet;
use soloist_core::election::{Input, Record};
use soloist_core::event::{About, Event, chain};
use soloist_core::records::{RolloutRecord, TermRecord};

/// How long a host waits to hear of a manifest that has changed, before it looks again.
const MANIFEST_TIME: Duration = Duration::from_secs(1);

/// How many nodes that are no candidates are named at once.
const STRANGERS_NAMED: usize = 3;

/// The most that is said of the name of such a node: more than the name of a candidate has.
const STRANGER_CHARS_MAX: usize = 200;

/// What a request brings: an input, watches, and what was learnt of the nodes.
pub(super) struct Answer {
    input: Input,
    watches: Option<WatchSet>,
    seen: Option<QueueSnapshot>,
    record: Option<TermRecord>,
    kept: Option<HistorySnapshot>,
    /// What is to be done in the term that was elected.
    won: Option<Won>,
    /// The end of the term that was given back is written down.
    recorded: bool,
}

/// What an election was for, and what it has written besides.
pub(super) struct Won {
    /// What the term does.
    pub(super) work: Arc<Work>,
    /// The record of the rollout before and after, and its data version, if the state was copied with the election.
    pub(super) copied: Option<Copied>,
}

pub(super) struct Copied {
    pub(super) before: Box<RolloutRecord>,
    pub(super) after: Box<RolloutRecord>,
    pub(super) version: i32,
}

impl From<Arc<Work>> for Won {
    fn from(work: Arc<Work>) -> Self {
        Self { work, copied: None }
    }
}

impl From<Input> for Answer {
    fn from(input: Input) -> Self {
        Self {
            input,
            watches: None,
            seen: None,
            record: None,
            kept: None,
            won: None,
            recorded: false,
        }
    }
}

impl Contender {
    /// Puts a request to the ensemble. Whatever was under way or watched is no longer of interest.
    pub(super) fn request<F>(&mut self, make: impl FnOnce(TaskNodes, &Standing) -> F)
    where
        F: Future<Output = Result<Answer, TaskError>> + Send + 'static,
    {
        // The election asks for nothing while there is no session.
        let Some(standing) = &mut self.standing else {
            return;
        };
        standing.watches.retire();
        let candidate = self.works.borrow().candidate();
        let nodes = self.task.nodes(Arc::clone(&standing.session));
        let nodes = nodes.with_candidate(candidate);
        standing.request = Some(make(nodes, standing).boxed());
    }

    /// Takes in what a request has brought.
    pub(super) fn answered(&mut self, answer: Result<Answer, TaskError>) {
        match answer {
            Ok(Answer {
                input,
                watches,
                seen,
                record,
                kept,
                won,
                recorded,
            }) => {
                // What an election has written counts for the term that it has begun, and for no later one.
                let before = self.electing.take().map(|before| before.work.into());
                self.electing = won.or(before);
                if let Some(seen) = &seen {
                    self.name_strangers(seen);
                }
                if let Some(standing) = &mut self.standing {
                    if let Some(watches) = watches {
                        standing.watches.set(watches);
                    }
                    standing.seen = seen.or(standing.seen.take());
                    standing.record = record.or(standing.record.take());
                }
                if let Some(tenure) = &mut self.tenure {
                    tenure.kept = kept.or(tenure.kept.take());
                }
                self.finish_if_done(&input, recorded);
                self.inputs.push_back(input);
            }
            Err(error) => {
                About::Task(&self.task.name).report(&Event::election_error(chain(&error)));
                self.inputs.push_back(error.input());
            }
        }
    }

    /// Names what is in the queue and is no candidate, when that has changed.
    fn name_strangers(&mut self, seen: &QueueSnapshot) {
        if seen.strangers != self.strangers && !seen.strangers.is_empty() {
            let text = no_candidates(&self.task.paths.candidates, &seen.strangers);
            About::Task(&self.task.name).report(&Event::election_error(text));
        }
        self.strangers.clone_from(&seen.strangers);
    }
}

/// What is said of nodes in the queue that are no candidates. Anybody may have made them, with names of a megabyte.
fn no_candidates(queue: &str, strangers: &[String]) -> String {
    let (named, more) = strangers.split_at(strangers.len().min(STRANGERS_NAMED));
    let named: Vec<_> = named
        .iter()
        .map(|name| match name.char_indices().nth(STRANGER_CHARS_MAX) {
            Some((end, _)) => format!("{queue}/{}…", &name[..end]),
            None => format!("{queue}/{name}"),
        })
        .collect();
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(" and {} more", more.len())
    };
    format!(
        "no candidate, since the session in its name does not own it: {}{more}; it is passed over, delete it",
        named.join(", "),
    )
}

pub(super) async fn look(
    nodes: TaskNodes,
    urgency: Urgency,
    with_history: bool,
) -> Result<Answer, TaskError> {
    let _turn = nodes.turn(urgency).await;
    let seen = Box::pin(nodes.look(with_history)).await?;
    Ok(Answer {
        seen: Some(seen.clone()),
        ..Input::Looked(seen.queue).into()
    })
}

pub(super) async fn join(nodes: TaskNodes) -> Result<Answer, TaskError> {
    let _turn = nodes.turn(Urgency::Begun).await;
    Box::pin(nodes.join()).await?;
    Ok(Input::Joined.into())
}

pub(super) async fn step_back(nodes: TaskNodes, own: Vec<String>) -> Result<Answer, TaskError> {
    let _turn = nodes.turn(Urgency::Begun).await;
    Box::pin(nodes.step_back(own)).await?;
    Ok(Input::Joined.into())
}

pub(super) async fn await_predecessor(
    nodes: TaskNodes,
    name: String,
    own: Option<String>,
) -> Result<Answer, TaskError> {
    let _turn = nodes.turn(Urgency::Begun).await;
    let watches = Box::pin(nodes.watch_candidates(name, own)).await?;
    let input = match watches {
        Some(_) => Input::Awaiting,
        None => Input::Gone,
    };
    Ok(Answer {
        watches,
        ..input.into()
    })
}

pub(super) async fn await_appointed(
    nodes: TaskNodes,
    name: String,
    own: Option<String>,
) -> Result<Answer, TaskError> {
    // Before the watch is set, which would fire by it.
    nodes.wake(&name).await?;
    await_predecessor(nodes, name, own).await
}

pub(super) async fn elect(
    nodes: TaskNodes,
    seen: Option<QueueSnapshot>,
    over: Record,
    mut works: watch::Receiver<Arc<Work>>,
) -> Result<Answer, TaskError> {
    let own = seen.as_ref().and_then(|seen| seen.candidate.clone());
    loop {
        let work = Arc::clone(&works.borrow_and_update());
        let copied = work.copied(nodes.host());
        let elected = if work.is_overtaken() {
            // An attempt would be in the way of the one that follows.
            task::ElectOutcome::OtherManifest
        } else {
            // It does not keep its turn while it waits to hear of a manifest.
            let _turn = nodes.turn(Urgency::Urgent).await;
            let (nodes, seen, over) = (nodes.clone(), seen.clone(), over.clone());
            let after = copied.as_ref().map(|copied| &*copied.after);
            Box::pin(nodes.elect(seen, over, work.generation, after)).await?
        };
        match elected {
            task::ElectOutcome::Won {
                term,
                record,
                seen,
                is_copied,
            } => {
                let copied = copied.filter(|_| is_copied);
                return Ok(Answer {
                    record: Some(*record),
                    seen: seen.map(|seen| *seen),
                    won: Some(Won { work, copied }),
                    ..Input::Elected(term).into()
                });
            }
            task::ElectOutcome::Outdated => return Ok(Input::Outdated.into()),
            task::ElectOutcome::OtherManifest => {
                // This host is about to hear of the change. Until then every attempt would fail. What was read of the queue may
                // still be true: a read would only add to the time in which nobody leads.
                let changed = tokio::time::timeout(MANIFEST_TIME, works.changed()).await;
                if !matches!(changed, Ok(Ok(()))) {
                    return Ok(Input::Outdated.into());
                }
            }
            task::ElectOutcome::Held => return read_master(nodes, own).await,
        }
    }
}

pub(super) async fn read_master(
    nodes: TaskNodes,
    own: Option<String>,
) -> Result<Answer, TaskError> {
    let _turn = nodes.turn(Urgency::Urgent).await;
    let MasterSnapshot {
        holder,
        record,
        kept,
        watches,
    } = Box::pin(nodes.read_master(own)).await?;
    Ok(Answer {
        watches,
        record,
        kept,
        ..Input::MasterSeen(holder).into()
    })
}

pub(super) async fn leave_queue(nodes: TaskNodes, own: Vec<String>) -> Result<Answer, TaskError> {
    let _turn = nodes.turn(Urgency::Urgent).await;
    Box::pin(nodes.leave_queue(own)).await?;
    Ok(Input::Released.into())
}

pub(super) async fn release(
    nodes: TaskNodes,
    ended: Option<TermEnding>,
    own: Vec<String>,
) -> Result<Answer, TaskError> {
    let _turn = nodes.turn(Urgency::Urgent).await;
    let recorded = Box::pin(nodes.release(ended, own)).await?;
    Ok(Answer {
        recorded,
        ..Input::Released.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fills_the_queue_with_other_nodes_does_not_fill_the_log() {
        let strangers = vec![
            "é".repeat(500_000),
            "c-2".into(),
            "c-3".into(),
            "c-4".into(),
        ];
        let told = no_candidates("/q", &strangers);
        assert!(told.len() < 1000, "{} bytes", told.len());
        assert!(told.contains("é…, /q/c-2, /q/c-3 and 1 more;"), "{told}");
        assert!(no_candidates("/q", &strangers[1..2]).contains(" /q/c-2;"));
    }
}
