//! A term of a deployed task goes by the rules of its rollout.

use std::time::Duration;

use super::leading::{Answer, Heeded, Step};
use super::request::Copied;
use super::standing::Asking;
use super::{Contender, Work};
use crate::activation::Notice;
use crate::rollout::Heard;
use soloist_core::election::Input;
use soloist_core::event::{About, Event, chain};
use soloist_core::records::{Changed, RolloutRecord, Stage, StateCopy, timestamp};
use soloist_core::rollout::{GiveBack, Progress, elected};
use soloist_core::term::Term;

/// How much is told of the name of a host, which anybody may have made up.
const HOST_MAX_CHARS: usize = 100;

impl Contender {
    /// Tells the part in the rollout what the activation says; says whether there is one.
    pub(super) fn leads(&mut self, notice: &Notice) -> bool {
        let leading = self.tenure.as_mut().and_then(|it| it.leading.as_mut());
        let Some(leading) = leading else { return false };
        leading.notice(notice);
        true
    }

    /// Does what is to be done next in the rollout, until something is awaited.
    pub(super) fn lead(&mut self) {
        loop {
            let (Some(standing), Some(tenure)) = (&mut self.standing, &mut self.tenure) else {
                return;
            };
            let Some(leading) = tenure
                .leading
                .as_mut()
                .filter(|_| standing.rollout.is_none())
            else {
                return;
            };
            match leading.next() {
                Step::Wait => return,
                Step::Tell(generation, progress) => {
                    self.report(&waiting(generation, progress));
                }
                Step::Ask(answer, is_finished) => {
                    standing.rollout = Some(Asking {
                        answer,
                        is_finished,
                    });
                    return;
                }
                Step::Activate => {
                    leading.activated();
                    if let Some(term) = self.election.active_term().cloned() {
                        self.start_plugin(term);
                    }
                }
                Step::GiveBack(why, record) => {
                    leading.end();
                    return self.give_back(why, record.as_deref());
                }
                Step::Fail(failed) => {
                    leading.end();
                    return self.mark(failed);
                }
            }
        }
    }

    /// Takes in what the ensemble has answered.
    pub(super) fn led(&mut self, answer: Answer) {
        let Some(leading) = self.tenure.as_mut().and_then(|it| it.leading.as_mut()) else {
            return;
        };
        match leading.heed(answer) {
            Heeded::Nothing => {}
            Heeded::Changed(before, after) => {
                for event in changes(&before, &after) {
                    self.report(&event);
                }
            }
            // What it knows of its nodes is out of date.
            Heeded::TermOver => self.inputs.push_back(Input::Changed),
            Heeded::Failed(error, gives_up) => {
                self.report(&Event::election_error(chain(&error)));
                if gives_up {
                    self.explain("this host cannot move the rollout on");
                    self.give_up();
                }
            }
        }
        self.lead();
    }

    /// Takes note of what the election of the term has written besides.
    pub(super) fn copied_with(&mut self, term: &Term, copied: Option<Copied>) {
        let (Some(tenure), Some(copied)) = (&mut self.tenure, copied) else {
            return;
        };
        for event in changes(&copied.before, &copied.after) {
            About::Term(term).report(&event);
        }
        tenure.copied = Some((copied.after, copied.version));
    }

    fn give_back(&mut self, why: GiveBack, record: Option<&RolloutRecord>) {
        match why {
            GiveBack::Paused => self.explain("an operator has paused the task"),
            GiveBack::Undeployed => self.explain("the task is undeployed"),
            GiveBack::Moved => self.explain(moved(record)),
            GiveBack::Frozen => {
                self.explain("the generation has failed, and there is none to go back to");
            }
            GiveBack::Unable => self.explain("this host cannot run the current generation"),
            GiveBack::Unreadable => {
                self.explain("only a newer host can read the record of the rollout");
            }
            GiveBack::LeaseLost => self.explain("the lease was over"),
            // The plugin has said why.
            GiveBack::Resigned => {}
        }
        match why {
            // Who stands, and for what, is about to change.
            GiveBack::Paused | GiveBack::Undeployed | GiveBack::Moved => {
                self.resign(Duration::ZERO);
            }
            _ => self.give_up(),
        }
    }

    fn report(&self, event: &Event) {
        match self.election.active_term() {
            Some(term) => About::Term(term).report(event),
            None => About::Task(&self.task.name).report(event),
        }
    }
}

impl Work {
    /// What the election of that host makes of the record, if the state is copied with it.
    pub(super) fn copied(&self, host: &str) -> Option<Copied> {
        let rollout = self.rollout.as_ref()?;
        let known = rollout.known.borrow();
        let (Heard::Record(before, version), Some(generation)) = (&known.record, self.generation)
        else {
            return None;
        };
        let by = Changed::new(host, &timestamp());
        let after = elected(before, rollout.purpose, rollout.settings, by)?;
        (*version == generation.manifest_version).then(|| Copied {
            before: before.clone(),
            after: Box::new(after),
            version: version.wrapping_add(1),
        })
    }
}

/// What is told of a term that ends because another generation is the current one.
fn moved(record: Option<&RolloutRecord>) -> String {
    let number = record.and_then(|it| it.current).map_or(0, |it| it.number);
    match record.map(|record| &record.stage) {
        Some(Stage::RolledBack(failure)) => format!(
            "generation {} is taken back, and generation {number} runs again: {}",
            failure.from.number, failure.detail
        ),
        _ => format!("generation {number} takes over"),
    }
}

fn waiting(generation: u64, progress: Progress) -> Event {
    let Progress {
        ready,
        standing,
        obstacle,
    } = progress;
    let (obstacle, detail) = obstacle.unzip();
    let named = |host: String| host.chars().take(HOST_MAX_CHARS).collect();
    Event::RolloutWaiting {
        generation,
        ready,
        standing,
        obstacle: obstacle.map(named),
        detail,
    }
}

/// What a leader has done that has written one record over another.
fn changes(before: &RolloutRecord, after: &RolloutRecord) -> Vec<Event> {
    let Some(current) = after.current.map(|current| current.number) else {
        return Vec::new();
    };
    let mut events = Vec::new();
    if after.copy == Some(StateCopy::Kept) && before.copy != after.copy {
        events.push(Event::StateCopied {
            generation: current,
        });
    }
    if before.restore && !after.restore {
        events.push(Event::StateRestored {
            generation: current,
        });
    }
    match &after.stage {
        stage if *stage == before.stage && before.current == after.current => {}
        Stage::Probation { .. } if before.current != after.current => {
            events.push(Event::GenerationPromoted {
                generation: current,
                from: before.current.map(|from| from.number),
            });
        }
        Stage::Healthy => events.push(Event::GenerationHealthy {
            generation: current,
        }),
        Stage::RolledBack(failure) | Stage::Failed(failure) => events.push(Event::RolledBack {
            from: failure.from.number,
            to: (failure.from.number != current).then_some(current),
            cause: failure.cause.clone(),
            detail: failure.detail.clone(),
        }),
        Stage::Probation { .. } | Stage::Undeployed => {}
    }
    events
}
