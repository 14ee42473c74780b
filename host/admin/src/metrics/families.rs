//! All metrics there are. REFERENCE.md has the same table; a test compares the two.

use soloist_core::election::Stage;

use soloist_core::spans::tracer;

use super::text::{Text, label};
use super::{HostView, ProcessView, TaskView};
use crate::health::stage;
use crate::told::Session;

/// What kind of a metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins anew with the process or the task.
    Counter,
    /// It is as it is at the moment.
    Gauge,
    /// Counts of durations by their length.
    Histogram,
}

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
    pub(super) source: Source,
}

/// Where its series come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// What a guardian tells as well.
    Process(fn(&mut Text, &ProcessView<'_>)),
    Host(fn(&mut Text, &HostView<'_>)),
    Task(fn(&mut Text, &TaskView)),
}

const fn process(
    kind: Kind,
    name: &'static str,
    help: &'static str,
    tell: fn(&mut Text, &ProcessView<'_>),
) -> Family {
    let source = Source::Process(tell);
    Family {
        name,
        kind,
        help,
        source,
    }
}

const fn host(
    kind: Kind,
    name: &'static str,
    help: &'static str,
    tell: fn(&mut Text, &HostView<'_>),
) -> Family {
    let source = Source::Host(tell);
    Family {
        name,
        kind,
        help,
        source,
    }
}

const fn task(
    kind: Kind,
    name: &'static str,
    help: &'static str,
    tell: fn(&mut Text, &TaskView),
) -> Family {
    let source = Source::Task(tell);
    Family {
        name,
        kind,
        help,
        source,
    }
}

use Kind::{Counter, Gauge, Histogram};

/// All metrics, in the order in which they are told.
pub static FAMILIES: &[Family] = &[
    process(
        Gauge,
        "soloist_build_info",
        "The version of this host; always 1.",
        |text, _| {
            text.sample(&[&label("version", env!("CARGO_PKG_VERSION"))], 1);
        },
    ),
    process(
        Gauge,
        "soloist_host_info",
        "The id of this host; always 1.",
        |text, process| {
            text.sample(&[&label("host", process.id)], 1);
        },
    ),
    process(
        Gauge,
        "soloist_process_up",
        "Whether the process of this host lives; when it is dead, its guardian says so.",
        |text, process| {
            text.sample(&[], u8::from(process.is_up));
        },
    ),
    process(
        Counter,
        "soloist_guardian_restarts_total",
        "Deaths of the process after which its guardian starts it again.",
        |text, process| {
            if let Some(past) = process.past {
                text.sample(&[], past.restarts);
            }
        },
    ),
    process(
        Gauge,
        "soloist_guardian_last_death_timestamp_seconds",
        "When the process died last, by the cause: abort, exit, fault, kill, panic or signal.",
        |text, process| {
            if let Some(last) = process.past.and_then(|past| past.last_death) {
                text.sample(&[&label("cause", last.death.label())], last.at);
            }
        },
    ),
    host(
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
    host(
        Counter,
        "soloist_host_events_total",
        "Events of the host and its session, by name.",
        |text, host| {
            for (event, count) in &host.heard.events {
                text.sample(&[&label("event", event)], count);
            }
        },
    ),
    host(
        Gauge,
        "soloist_host_drained",
        "Whether an operator has drained this host.",
        |text, host| {
            text.sample(&[], u8::from(host.heard.is_drained));
        },
    ),
    host(
        Gauge,
        "soloist_coordination_silence_seconds",
        "How long ago the thread that renews the lease said that it lives, which it does every second.",
        |text, host| {
            if let Some(silence) = host.roster.silent_for() {
                text.sample(&[], silence.as_secs_f64());
            }
        },
    ),
    host(
        Histogram,
        "soloist_heartbeat_seconds",
        "How long the ensemble took to answer the heartbeats that it committed.",
        |text, host| {
            text.histogram(&[], &host.roster.heartbeats());
        },
    ),
    host(
        Counter,
        "soloist_lines_dropped_total",
        "Lines of the host's own log that were dropped because nobody read them on its stdout.",
        |text, host| {
            text.sample(&[], host.roster.lines_dropped());
        },
    ),
    host(
        Counter,
        "soloist_spans_total",
        "Spans of terms and effects by what became of them: sent, failed for want of a collector that takes them, or dropped for want of room.",
        |text, _| {
            for (sent, count) in tracer().into_iter().flat_map(|tracer| tracer.counts()) {
                text.sample(&[&label("outcome", sent.name())], count);
            }
        },
    ),
    host(
        Gauge,
        "soloist_tasks",
        "How many tasks this host stands for.",
        |text, host| {
            text.sample(&[], host.roster.tasks().len());
        },
    ),
    host(
        Gauge,
        "process_resident_memory_bytes",
        "Memory of this process.",
        |text, host| {
            if let Some(bytes) = host.process.resident_bytes {
                text.sample(&[], bytes);
            }
        },
    ),
    host(
        Counter,
        "process_cpu_seconds_total",
        "Time on a processor of this process.",
        |text, host| {
            if let Some(seconds) = host.process.cpu_seconds {
                text.sample(&[], seconds);
            }
        },
    ),
    host(
        Gauge,
        "process_open_fds",
        "Open files and sockets of this process.",
        |text, host| {
            if let Some(open) = host.process.open_files {
                text.sample(&[], open);
            }
        },
    ),
    task(
        Gauge,
        "soloist_leader",
        "Whether the plugin may have effects here, as its permit says at this moment.",
        |text, task| {
            text.sample(&[&task.label], u8::from(task.leads));
        },
    ),
    task(
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
    task(
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
    task(
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
    task(
        Counter,
        "soloist_leaderless_seconds_total",
        "For how long this host knew that no host led: it stood at the head of the queue and was not elected yet, or stood out of the queue and found no master node.",
        |text, task| {
            let total = task.standing.leaderless.total(task.now);
            text.sample(&[&task.label], total.as_secs_f64());
        },
    ),
    task(
        Gauge,
        "soloist_term",
        "The number of the term that this host has.",
        |text, task| {
            if let Some(term) = &task.standing.term {
                text.sample(&[&task.label], term.number);
            }
        },
    ),
    task(
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
    task(
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
    task(
        Counter,
        "soloist_terms_total",
        "Terms that this host was elected for, by what became of the term before: none, released or lost.",
        |text, task| {
            counts(text, task, "terms", "after");
        },
    ),
    task(
        Counter,
        "soloist_terms_ended_total",
        "Terms whose plugin this host has stopped, by the reason.",
        |text, task| {
            counts(text, task, "terms_ended", "reason");
        },
    ),
    task(
        Counter,
        "soloist_election_errors_total",
        "Steps of the election that have failed.",
        |text, task| {
            counts(text, task, "election_errors", "");
        },
    ),
    task(
        Counter,
        "soloist_plugin_failures_total",
        "Runs of the plugin that have failed here, by the cause.",
        |text, task| {
            counts(text, task, "plugin_failures", "cause");
        },
    ),
    task(
        Counter,
        "soloist_plugin_restarts_total",
        "Runs of the plugin that follow another one in the same term: after a failure or a completion.",
        |text, task| {
            counts(text, task, "plugin_restarts", "after");
        },
    ),
    task(
        Counter,
        "soloist_plugin_given_up_total",
        "Terms that ended because the plugin had failed here as often as it may, by the cause.",
        |text, task| {
            counts(text, task, "plugin_given_up", "cause");
        },
    ),
    task(
        Counter,
        "soloist_plugin_completions_total",
        "Runs of the plugin that have returned without an error.",
        |text, task| {
            counts(text, task, "plugin_completions", "");
        },
    ),
    task(
        Counter,
        "soloist_plugin_revocations_total",
        "Plugins that were stopped by force.",
        |text, task| {
            counts(text, task, "plugin_revocations", "");
        },
    ),
    task(
        Histogram,
        "soloist_lease_margin_seconds",
        "What was left of the lease at each call of the plugin into the host.",
        |text, task| {
            if task.reading.margins.count > 0 {
                text.histogram(&[&task.label], &task.reading.margins);
            }
        },
    ),
    task(
        Counter,
        "soloist_calls_refused_total",
        "Calls of the plugin that were refused because the lease was over or revoked.",
        |text, task| {
            some(text, task, task.reading.refused_calls);
        },
    ),
    task(
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
    task(
        Counter,
        "soloist_plugin_cpu_seconds_total",
        "Time on a processor that the plugin has used.",
        |text, task| {
            if !task.reading.cpu.is_zero() {
                text.sample(&[&task.label], task.reading.cpu.as_secs_f64());
            }
        },
    ),
    task(
        Gauge,
        "soloist_plugin_memory_bytes",
        "Bytes of all memories of the plugin that runs.",
        |text, task| {
            some(text, task, task.reading.memory_bytes);
        },
    ),
    task(
        Counter,
        "soloist_plugin_interruptions_total",
        "How often the plugin was interrupted while it computed, to let others run.",
        |text, task| {
            some(text, task, task.reading.interruptions);
        },
    ),
    task(
        Counter,
        "soloist_state_written_bytes_total",
        "Bytes of keys and values that the plugin has written to its state.",
        |text, task| {
            some(text, task, task.reading.state_bytes);
        },
    ),
    task(
        Counter,
        "soloist_schedule_slots_total",
        "Slots of schedules: run, completed, or missed.",
        |text, task| {
            counts(text, task, "schedule_slots", "outcome");
        },
    ),
    task(
        Counter,
        "soloist_schedule_slots_late_total",
        "Slots that were run more than ten seconds after they were due.",
        |text, task| {
            counts(text, task, "schedule_slots_late", "");
        },
    ),
    task(
        Counter,
        "soloist_log_lines_total",
        "Lines of the plugin that were shown.",
        |text, task| {
            counts(text, task, "log_lines", "");
        },
    ),
    task(
        Counter,
        "soloist_log_lines_dropped_total",
        "Lines of the plugin that were dropped because there were too many.",
        |text, task| {
            counts(text, task, "log_lines_dropped", "");
        },
    ),
    task(
        Gauge,
        "soloist_generation",
        "The number of the generation of the task that this host runs, or would run.",
        |text, task| {
            if let Some(generation) = task.standing.generation {
                text.sample(&[&task.label], generation);
            }
        },
    ),
    task(
        Gauge,
        "soloist_rollout_state",
        "How far the rollout of the task is, as this host knows: probation, healthy, rolled-back, failed, undeployed or paused; always 1.",
        |text, task| {
            if let Some(rollout) = task.standing.rollout.now() {
                text.sample(&[&task.label, &label("state", rollout.state)], 1);
            }
        },
    ),
    task(
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
    task(
        Counter,
        "soloist_rollout_changes_total",
        "What a leader here has done in rollouts: waiting, promoted, healthy, rolled-back.",
        |text, task| {
            counts(text, task, "rollout_changes", "change");
        },
    ),
];

/// The counts of a kind, each with this label; with none, the only one.
fn counts(text: &mut Text, task: &TaskView, kind: &'static str, name: &str) {
    for ((_, what), count) in task
        .reading
        .counts
        .range((kind, "")..)
        .take_while(|((found, _), _)| *found == kind)
    {
        if name.is_empty() {
            text.sample(&[&task.label], count);
        } else {
            text.sample(&[&task.label, &label(name, what)], count);
        }
    }
}

/// A count, if there is something.
fn some(text: &mut Text, task: &TaskView, count: u64) {
    if count > 0 {
        text.sample(&[&task.label], count);
    }
}
