//! What is told of the host.

use soloist_core::spans::tracer;

use super::Family;
use super::Kind::{Counter, Gauge, Histogram};
use crate::metrics::text::label;
use crate::told::Session;

pub(super) const FAMILIES: &[Family] = &[
    Family::host(
        Gauge,
        "soloist_session_state",
        "Where each session of the host is: 1 for the state that it has, else 0. The first is shard 1.",
        |text, host| {
            let heard = &host.heard;
            let further = heard
                .further
                .iter()
                .map(|(number, session)| (*number, *session));
            for (number, session) in std::iter::once((1, heard.session)).chain(further) {
                let shard = label("shard", &number.to_string());
                for state in Session::ALL {
                    let has = u8::from(state == session);
                    text.sample(&[&shard, &label("state", state.name())], has);
                }
            }
        },
    ),
    Family::host(
        Counter,
        "soloist_host_events_total",
        "Events of the host and its session, by name.",
        |text, host| {
            for (event, count) in &host.heard.events {
                text.sample(&[&label("event", event)], count);
            }
        },
    ),
    Family::host(
        Gauge,
        "soloist_host_drained",
        "Whether an operator has drained this host.",
        |text, host| {
            text.sample(&[], u8::from(host.heard.is_drained));
        },
    ),
    Family::host(
        Gauge,
        "soloist_coordination_silence_seconds",
        "How long ago the thread that renews the lease said that it lives, which it does every second.",
        |text, host| {
            if let Some(silence) = host.roster.silent_for() {
                text.sample(&[], silence.as_secs_f64());
            }
        },
    ),
    Family::host(
        Histogram,
        "soloist_heartbeat_seconds",
        "How long the ensemble took to answer the heartbeats that it committed.",
        |text, host| {
            text.histogram(&[], &host.roster.heartbeats());
        },
    ),
    Family::host(
        Counter,
        "soloist_lines_dropped_total",
        "Lines of the host's own log that were dropped because nobody read them on its stdout.",
        |text, host| {
            text.sample(&[], host.roster.lines_dropped());
        },
    ),
    Family::host(
        Counter,
        "soloist_spans_total",
        "Spans of terms and effects by what became of them: sent, failed for want of a collector that takes them, or dropped for want of room.",
        |text, _| {
            for (sent, count) in tracer().into_iter().flat_map(|tracer| tracer.counts()) {
                text.sample(&[&label("outcome", sent.name())], count);
            }
        },
    ),
    Family::host(
        Gauge,
        "soloist_tasks",
        "How many tasks this host stands for.",
        |text, host| {
            text.sample(&[], host.roster.tasks().len());
        },
    ),
    Family::host(
        Gauge,
        "process_resident_memory_bytes",
        "Memory of this process.",
        |text, host| {
            if let Some(bytes) = host.process.resident_bytes {
                text.sample(&[], bytes);
            }
        },
    ),
    Family::host(
        Counter,
        "process_cpu_seconds_total",
        "Time on a processor of this process.",
        |text, host| {
            if let Some(seconds) = host.process.cpu_seconds {
                text.sample(&[], seconds);
            }
        },
    ),
    Family::host(
        Gauge,
        "process_open_fds",
        "Open files and sockets of this process.",
        |text, host| {
            if let Some(open) = host.process.open_files {
                text.sample(&[], open);
            }
        },
    ),
];
