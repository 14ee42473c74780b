//! What is told of a task's election and its terms.

use soloist_core::election::Stage;

use super::Kind::{Counter, Gauge};
use super::{Family, counts};
use crate::health::stage;
use crate::metrics::text::label;

pub(super) const FAMILIES: &[Family] = &[
    Family::task(
        Gauge,
        "soloist_leader",
        "Whether the plugin may have effects here, as its permit says at this moment.",
        |text, task| {
            text.sample(&[&task.label], u8::from(task.leads));
        },
    ),
    Family::task(
        Gauge,
        "soloist_task_stage",
        "How far this host is in the election of the task; always 1.",
        |text, task| {
            text.sample(
                &[&task.label, &label("stage", stage(task.standing.stage))],
                1,
            );
        },
    ),
    Family::task(
        Gauge,
        "soloist_task_stage_seconds",
        "For how long it has been at that stage.",
        |text, task| {
            if task.standing.since.as_nanos() > 0 {
                let age = task.now.saturating_since(task.standing.since);
                text.sample(&[&task.label], age.as_secs_f64());
            }
        },
    ),
    Family::task(
        Gauge,
        "soloist_queue_ahead",
        "How many candidates stand before this host, as last read from the queue.",
        |text, task| {
            let ahead = task
                .standing
                .ahead
                .filter(|_| task.standing.stage == Stage::Standby);
            if let Some(ahead) = ahead {
                text.sample(&[&task.label], ahead);
            }
        },
    ),
    Family::task(
        Counter,
        "soloist_leaderless_seconds_total",
        "For how long this host knew that no host led: it stood at the head of the queue and was not elected yet, or stood out of the queue and found no master node.",
        |text, task| {
            let total = task.standing.leaderless.total(task.now);
            text.sample(&[&task.label], total.as_secs_f64());
        },
    ),
    Family::task(
        Gauge,
        "soloist_term",
        "The number of the term that this host has.",
        |text, task| {
            if let Some(term) = &task.standing.term {
                text.sample(&[&task.label], term.number);
            }
        },
    ),
    Family::task(
        Gauge,
        "soloist_term_seconds",
        "How long ago this host was elected for it.",
        |text, task| {
            if let Some(elected) = task.standing.elected {
                let age = task.now.saturating_since(elected);
                text.sample(&[&task.label], age.as_secs_f64());
            }
        },
    ),
    Family::task(
        Gauge,
        "soloist_lease_seconds",
        "How long the plugin may still have effects, unless the lease is renewed.",
        |text, task| {
            if let Some(permit) = task.standing.permit.as_ref().filter(|_| task.leads) {
                let left = permit.deadline().saturating_since(task.now);
                text.sample(&[&task.label], left.as_secs_f64());
            }
        },
    ),
    Family::task(
        Counter,
        "soloist_terms_total",
        "Terms that this host was elected for, by what became of the term before: none, released or lost.",
        |text, task| {
            counts(text, task, "terms", "after");
        },
    ),
    Family::task(
        Counter,
        "soloist_terms_ended_total",
        "Terms whose plugin this host has stopped, by the reason.",
        |text, task| {
            counts(text, task, "terms_ended", "reason");
        },
    ),
    Family::task(
        Counter,
        "soloist_election_errors_total",
        "Steps of the election that have failed.",
        |text, task| {
            counts(text, task, "election_errors", "");
        },
    ),
];
