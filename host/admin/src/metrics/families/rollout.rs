//! What is told of a task's rollout.

use super::Kind::{Counter, Gauge};
use super::{Family, counts};
use crate::metrics::text::label;

pub(super) const FAMILIES: &[Family] = &[
    Family::task(
        Gauge,
        "soloist_generation",
        "The number of the generation of the task that this host runs, or would run.",
        |text, task| {
            if let Some(generation) = task.standing.generation {
                text.sample(&[&task.label], generation);
            }
        },
    ),
    Family::task(
        Gauge,
        "soloist_rollout_state",
        "How far the rollout of the task is, as this host knows: probation, healthy, rolled-back, failed, undeployed or paused; always 1.",
        |text, task| {
            if let Some(rollout) = task.standing.rollout.now() {
                text.sample(&[&task.label, &label("state", rollout.state)], 1);
            }
        },
    ),
    Family::task(
        Gauge,
        "soloist_rollout_generation",
        "Numbers of generations in the rollout of the task: the current one, the one that is wanted, and the one to go back to.",
        |text, task| {
            let Some(rollout) = task.standing.rollout.now() else {
                return;
            };
            let numbers = [
                ("current", rollout.current),
                ("wanted", rollout.wanted),
                ("back", rollout.back),
            ];
            for (which, number) in numbers {
                if let Some(number) = number {
                    text.sample(&[&task.label, &label("which", which)], number);
                }
            }
        },
    ),
    Family::task(
        Counter,
        "soloist_rollout_changes_total",
        "What a leader here has done in rollouts: waiting, promoted, healthy, rolled-back.",
        |text, task| {
            counts(text, task, "rollout_changes", "change");
        },
    ),
];
