//! What is told of the process, by itself or by its guardian.

use super::Family;
use super::Kind::{Counter, Gauge};
use crate::metrics::text::label;

pub(super) const FAMILIES: &[Family] = &[
    Family::process(
        Gauge,
        "soloist_build_info",
        "The version of this host; always 1.",
        |text, _| {
            text.sample(&[&label("version", env!("CARGO_PKG_VERSION"))], 1);
        },
    ),
    Family::process(
        Gauge,
        "soloist_host_info",
        "The id of this host; always 1.",
        |text, process| {
            text.sample(&[&label("host", process.id)], 1);
        },
    ),
    Family::process(
        Gauge,
        "soloist_process_up",
        "Whether the process of this host lives; when it is dead, its guardian says so.",
        |text, process| {
            text.sample(&[], u8::from(process.is_up));
        },
    ),
    Family::process(
        Counter,
        "soloist_guardian_restarts_total",
        "Deaths of the process after which its guardian starts it again.",
        |text, process| {
            if let Some(past) = process.past {
                text.sample(&[], past.restarts);
            }
        },
    ),
    Family::process(
        Gauge,
        "soloist_guardian_last_death_timestamp_seconds",
        "When the process died last, by the cause: abort, exit, fault, kill, panic or signal.",
        |text, process| {
            if let Some(last) = process.past.and_then(|past| past.last_death) {
                text.sample(&[&label("cause", last.death.label())], last.at);
            }
        },
    ),
];
