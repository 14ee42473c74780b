//! `soloist describe`: everything that is known of one task.

use std::fmt::Write as _;

use clap::ArgMatches;
use soloist_config::TaskName;
use soloist_coordination::observer::{Description, Place, Rollout, Schedule, StateSize};
use soloist_core::placement::Label;
use soloist_core::records::Readiness;
use soloist_core::text::printable;

use super::Failure;
use super::history;
use super::operator::{OperatorOptions, block_on, task_name};
use super::output::{NOTHING, ago, digest_short, print, print_json, shown, table, time_between};
use super::rollout::now;
use super::tasks::rollout_lines;

/// How many of the latest terms are shown as text.
const TERMS_SHOWN: usize = 5;

/// Describe a task: all that the ensemble knows of it, in one text
///
/// Who leads in which term and session, and when its lease was renewed last; how the plugin fares; who stands, in the order of the
/// queue, with what plugin, generation, priority and labels; the rollout; the schedules with their next slots; how much the plugin
/// keeps; and the latest terms. `soloist logs` has the lines of the leader.
///
/// With --json, one object on one line: that of the task in `soloist status --json`, and besides
///
///   {"master": PATH, "latest_term": NUMBER,
///    "session": {"id": ID, "heartbeat_at": TIME, "host": {...}},
///    "order": {"term": NUMBER, "fencing_token": NUMBER, "to": ID, "reason": TEXT},
///    "queue": [{"host": ID, "session": ID, "sequence": NUMBER, "since": TIME, "priority": NUMBER, "digest": DIGITS,
///               "leads": BOOLEAN}, ...],
///    "rollout": {"record": {...}, "problem": TEXT, "generations": [NUMBER, ...], "readiness": [...]},
///    "schedules": [{"name": NAME, "rule": TEXT, "slot": TIME, "attempt": NUMBER, "done": BOOLEAN, "missed": NUMBER,
///                   "next": [TIME, ...], "problem": TEXT}, ...],
///    "state": {"keys": NUMBER, "bytes": NUMBER, "largest": {"key": KEY, "bytes": NUMBER, "version": NUMBER,
///              "written": TIME}},
///    "saved_state": {...}, "completed": [{"what": NAME, "term": NUMBER, "host": ID, "at": TIME}, ...],
///    "terms": [...]}
///
/// "host" of the session is that of the hosts in `soloist status --json`, "terms" are those of `soloist history --json`. What is not
/// known is null. "saved_state" is the copy of the state that is kept while a generation is on probation.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Describe {
    /// The task
    #[arg(value_parser = task_name)]
    task: TaskName,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: OperatorOptions,
}

impl Describe {
    pub(super) fn execute(self, matches: &ArgMatches) -> Result<(), Failure> {
        let Self {
            task,
            json,
            options,
        } = self;
        let operator = options.operator(matches)?;
        let seen = block_on(operator.ask(async |observer| observer.describe(&task, now()).await))?;
        if json {
            print_json(&seen)
        } else {
            print(&text(&seen))
        }
        .map(drop)
    }
}

fn text(seen: &Description) -> String {
    let mut text = format!("task {}\n", printable(&seen.status.task));
    for (name, value) in lines(seen) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<14}{}", printable(&value));
    }
    let mut part = |title: &str, table: &str| {
        let _ = write!(text, "\n{title}\n{table}");
    };
    if seen.queue.is_empty() {
        part("queue: nobody stands\n", "");
    } else {
        part("queue, in order", &queue(seen));
    }
    if let Some(rollout) = &seen.rollout {
        part("rollout", &self::rollout(rollout));
    }
    if !seen.schedules.is_empty() {
        part("schedules", &schedules(&seen.schedules));
    }
    if !seen.completed.is_empty() {
        let done = seen.completed.iter().map(|it| {
            let what = if it.what.is_empty() {
                NOTHING
            } else {
                &it.what
            };
            [
                what.to_owned(),
                it.host.clone(),
                it.term.to_string(),
                it.at.clone(),
            ]
        });
        let rows: Vec<_> = done.collect();
        part("done once", &table(["WHAT", "HOST", "TERM", "AT"], &rows));
    }
    let shown = &seen.terms[..seen.terms.len().min(TERMS_SHOWN)];
    let title = format!("latest terms ({} of {})", shown.len(), seen.terms.len());
    part(&title, &history::text(shown));
    text
}

fn lines(seen: &Description) -> Vec<(&'static str, String)> {
    let status = &seen.status;
    let mut lines = vec![("health", status.health.name().to_owned())];
    match &status.leader {
        None => {
            let since = seen.terms.first().and_then(|term| term.end.as_ref());
            let since = since.map(|end| format!(", since {} ({})", end.at, ago(&end.at)));
            lines.push(("leader", format!("nobody{}", since.unwrap_or_default())));
        }
        Some(leader) => {
            let term = leader.term.map(|term| format!("term {term}"));
            let mut told = vec![
                leader.host.clone(),
                term.unwrap_or_else(|| "no host of Soloist".to_owned()),
                format!("token {}", leader.fencing_token),
            ];
            told.extend(leader.generation.map(|it| format!("generation {it}")));
            lines.push(("leader", told.join(", ")));
            let lasts = shown(time_between(&leader.since, None));
            lines.push(("since", format!("{}, for {lasts}", leader.since)));
            lines.extend(leader.digest.map(|digest| ("plugin", digest.to_string())));
        }
    }
    lines.push(("term", seen.latest_term.to_string()));
    lines.push(("master node", seen.master.clone()));
    if let Some(session) = &seen.session {
        let lease = session.heartbeat_at.as_ref().map_or_else(
            || ", and its host has no node".to_owned(),
            |at| format!(", lease renewed {} ({at} by the ensemble's clock)", ago(at)),
        );
        lines.push(("session", format!("{}{lease}", session.id)));
        if let Some(host) = &session.host {
            let pid = host.pid.map(|pid| format!("pid {pid}"));
            let version = host.version.as_ref().map(|it| format!("version {it}"));
            let started = host.started.as_ref().map(|it| format!("started {it}"));
            let labels = (!host.labels.is_empty()).then(|| {
                let labels: Vec<_> = host.labels.iter().map(Label::as_str).collect();
                format!("labels {}", labels.join(", "))
            });
            let known = [pid, version, started, labels];
            let known: Vec<_> = known.into_iter().flatten().collect();
            lines.push(("host", known.join(", ")));
            let listen = host.listen.clone();
            lines.push(("answers at", listen.unwrap_or_else(|| "nowhere".to_owned())));
        }
    }
    if let Some(order) = &seen.order {
        let to = order.to.as_ref().map(|to| format!(", in favour of {to}"));
        let why = order.reason.as_ref().map(|why| format!(": {why}"));
        let (to, why) = (to.unwrap_or_default(), why.unwrap_or_default());
        let order = format!("to resign from term {}{to}{why}", order.term);
        lines.push(("order", order));
    }
    lines.extend(failures(seen));
    lines.push(("state", size(&seen.state)));
    if seen.saved_state.keys > 0 {
        lines.push(("saved state", size(&seen.saved_state)));
    }
    lines
}

fn failures(seen: &Description) -> Vec<(&'static str, String)> {
    let status = &seen.status;
    let mut lines = Vec::new();
    if let Some(restarts) = status.restarts {
        lines.push(("restarts", restarts.to_string()));
    }
    if let Some(failed) = &status.last_failure {
        lines.push((
            "last failure",
            format!(
                "{} ({}), on {} in term {}: {}",
                ago(&failed.at),
                failed.at,
                failed.host,
                failed.term,
                failed.detail
            ),
        ));
    }
    if let Some(failure) = &status.failure {
        let again = match (&status.leader, &failure.retry_at) {
            (Some(_), _) => "it is tried now".to_owned(),
            (None, Some(at)) => format!("it is tried again at {at}, or by `soloist retry`"),
            (None, None) if failure.is_retried() => "it is to be tried again at once".to_owned(),
            (None, None) => "no time is known at which it is tried again".to_owned(),
        };
        let terms = failure.terms;
        lines.push((
            "failed",
            format!(
                "for good in {terms} terms in a row, after {} restarts; {again}",
                failure.restarts.unwrap_or_default()
            ),
        ));
        if let Some(order) = failure.retried.clone().map(|order| order.cleaned().given) {
            let why = order.reason.as_ref().map(|why| format!(": {why}"));
            let why = why.unwrap_or_default();
            lines.push(("tried again", format!("by {}, {}{why}", order.by, order.at)));
        }
    }
    lines
}

fn size(state: &StateSize) -> String {
    let StateSize {
        keys,
        bytes,
        largest,
    } = state;
    let largest = largest.as_ref().map(|it| {
        let key = &it.key;
        format!("; the largest is {key}, {} bytes", it.bytes)
    });
    let largest = largest.filter(|_| *keys > 1).unwrap_or_default();
    format!("{keys} keys, {bytes} bytes{largest}")
}

fn queue(seen: &Description) -> String {
    let row = |place: &Place| {
        let host = seen.status.hosts.iter().find(|it| it.host == place.host);
        let generation = host.and_then(|it| it.generation);
        let state = match host.and_then(|it| it.readiness.as_ref()) {
            None => NOTHING.to_owned(),
            Some(Readiness::Preparing) => "preparing".to_owned(),
            Some(Readiness::Ready) => "ready".to_owned(),
            Some(Readiness::Unready { reason }) => format!("unready: {reason}"),
        };
        let digest = place.digest.or(host.and_then(|it| it.sha256));
        [
            place.host.clone(),
            if place.leads { "leads" } else { "stands by" }.to_owned(),
            place.session.clone(),
            shown(time_between(&place.since, None)),
            place.priority.to_string(),
            generation.map_or_else(|| NOTHING.to_owned(), |it| it.to_string()),
            digest.map_or_else(|| NOTHING.to_owned(), digest_short),
            state,
        ]
    };
    let rows: Vec<_> = seen.queue.iter().map(row).collect();
    let headings = [
        "HOST",
        "PLACE",
        "SESSION",
        "FOR",
        "PRIORITY",
        "GENERATION",
        "DIGEST",
        "STATE",
    ];
    table(headings, &rows)
}

fn rollout(rollout: &Rollout) -> String {
    match (&rollout.record, &rollout.problem) {
        (Some(record), _) => rollout_lines(record, &rollout.generations),
        (None, problem) => format!(
            "  {}\n",
            printable(problem.as_deref().unwrap_or("it cannot be read"))
        ),
    }
}

fn schedules(schedules: &[Schedule]) -> String {
    let nothing = || NOTHING.to_owned();
    let row = |it: &Schedule| {
        let state = match (it.done, it.attempt) {
            (Some(true), _) => "done".to_owned(),
            (Some(false), Some(attempt)) => format!("claimed, attempt {attempt}"),
            _ => it.problem.clone().unwrap_or_else(nothing),
        };
        [
            it.name.clone(),
            it.rule.clone().unwrap_or_else(nothing),
            it.slot.clone().unwrap_or_else(nothing),
            state,
            it.missed.map_or_else(nothing, |missed| missed.to_string()),
            it.next.first().cloned().unwrap_or_else(nothing),
        ]
    };
    let rows: Vec<_> = schedules.iter().map(row).collect();
    let headings = ["NAME", "RULE", "LAST SLOT", "STATE", "MISSED", "NEXT"];
    table(headings, &rows)
}
