//! What is told of a task's plugin.

use super::Kind::{Counter, Gauge, Histogram};
use super::{Family, counts, some};
use crate::metrics::text::label;

pub(super) const FAMILIES: &[Family] = &[
    Family::task(
        Counter,
        "soloist_plugin_failures_total",
        "Runs of the plugin that have failed here, by the cause.",
        |text, task| {
            counts(text, task, "plugin_failures", "cause");
        },
    ),
    Family::task(
        Counter,
        "soloist_plugin_restarts_total",
        "Runs of the plugin that follow another one in the same term: after a failure or a completion.",
        |text, task| {
            counts(text, task, "plugin_restarts", "after");
        },
    ),
    Family::task(
        Counter,
        "soloist_plugin_given_up_total",
        "Terms that ended because the plugin had failed here as often as it may, by the cause.",
        |text, task| {
            counts(text, task, "plugin_given_up", "cause");
        },
    ),
    Family::task(
        Counter,
        "soloist_plugin_completions_total",
        "Runs of the plugin that have returned without an error.",
        |text, task| {
            counts(text, task, "plugin_completions", "");
        },
    ),
    Family::task(
        Counter,
        "soloist_plugin_revocations_total",
        "Plugins that were stopped by force.",
        |text, task| {
            counts(text, task, "plugin_revocations", "");
        },
    ),
    Family::task(
        Histogram,
        "soloist_lease_margin_seconds",
        "What was left of the lease at each call of the plugin into the host.",
        |text, task| {
            if task.reading.margins.count > 0 {
                text.histogram(&[&task.label], &task.reading.margins);
            }
        },
    ),
    Family::task(
        Counter,
        "soloist_calls_refused_total",
        "Calls of the plugin that were refused because the lease was over or revoked.",
        |text, task| {
            some(text, task, task.reading.refused_calls);
        },
    ),
    Family::task(
        Counter,
        "soloist_effects_total",
        "What the plugin has done to the world, by the kind of effect and by its outcome: done, refused for want of the lease or of a grant, or failed.",
        |text, task| {
            for (effect, outcome, count) in &task.reading.effects {
                let effect = label("effect", effect.name());
                text.sample(
                    &[&task.label, &effect, &label("outcome", outcome.name())],
                    count,
                );
            }
        },
    ),
    Family::task(
        Counter,
        "soloist_plugin_cpu_seconds_total",
        "Time on a processor that the plugin has used.",
        |text, task| {
            if !task.reading.cpu.is_zero() {
                text.sample(&[&task.label], task.reading.cpu.as_secs_f64());
            }
        },
    ),
    Family::task(
        Gauge,
        "soloist_plugin_memory_bytes",
        "Bytes of all memories of the plugin that runs.",
        |text, task| {
            some(text, task, task.reading.memory_bytes);
        },
    ),
    Family::task(
        Counter,
        "soloist_plugin_interruptions_total",
        "How often the plugin was interrupted while it computed, to let others run.",
        |text, task| {
            some(text, task, task.reading.interruptions);
        },
    ),
    Family::task(
        Counter,
        "soloist_state_written_bytes_total",
        "Bytes of keys and values that the plugin has written to its state.",
        |text, task| {
            some(text, task, task.reading.state_bytes);
        },
    ),
    Family::task(
        Counter,
        "soloist_schedule_slots_total",
        "Slots of schedules: run, completed, or missed.",
        |text, task| {
            counts(text, task, "schedule_slots", "outcome");
        },
    ),
    Family::task(
        Counter,
        "soloist_schedule_slots_late_total",
        "Slots that were run more than ten seconds after they were due.",
        |text, task| {
            counts(text, task, "schedule_slots_late", "");
        },
    ),
    Family::task(
        Counter,
        "soloist_log_lines_total",
        "Lines of the plugin that were shown.",
        |text, task| {
            counts(text, task, "log_lines", "");
        },
    ),
    Family::task(
        Counter,
        "soloist_log_lines_dropped_total",
        "Lines of the plugin that were dropped because there were too many.",
        |text, task| {
            counts(text, task, "log_lines_dropped", "");
        },
    ),
];
