//! What is told of what was seen: bounded, and made printable. Anybody may have written the texts, and the browser that shows them
//! takes them as texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use soloist_core::clock;
use soloist_core::journal::{Excerpt, Journal, Wanted};
use soloist_core::placement::Label;
use soloist_core::records::{Generation, RolloutRecord, Stage, TermEntry, timestamp};
use soloist_core::roster::Roster;
use soloist_core::status::LastFailure;
use soloist_core::text::printable;

use super::Reader;
use super::lookout::Seen;
use super::query::{Query, Rows};
use super::seen::{Detail, HostRow, PlanRow, Row};

/// The longest text that is told, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// How many standbys are told in a list of tasks, and how many of one task.
const STANDBYS_MAX: usize = 8;
const ALL_STANDBYS_MAX: usize = 500;
/// How many keys are told.
const KEYS_MAX: usize = 1_000;
/// How many labels are told of a host.
const LABELS_MAX: usize = 32;
/// How many bytes are told of a value.
const VALUE_BYTES_MAX: usize = 16 * 1024;
/// How many bytes of lines are told at once, and how many lines.
const LINES_BYTES_MAX: usize = 128 * 1024;
pub(super) const LINES_MAX: usize = 200;

/// How much is left of leases, in seconds.
#[derive(Debug, Default)]
pub(super) struct Leases {
    host: String,
    /// Of the tasks that this host leads: exactly, at this moment.
    own: BTreeMap<String, f64>,
}

impl Leases {
    pub(super) fn of(host: &str, roster: &Roster) -> Self {
        let now = clock::now();
        let tasks = roster.tasks().into_iter().filter_map(|member| {
            let standing = member.standing().clone();
            let permit = standing.permit.as_ref().filter(|_| standing.leads())?;
            let left = permit.deadline().saturating_since(now);
            Some((member.name.to_string(), left.as_secs_f64()))
        });
        Self {
            host: host.to_owned(),
            own: tasks.collect(),
        }
    }

    /// What is left of the lease on a task, and what a lease has at most. Of another host it is at least so much, by its last
    /// heartbeat.
    fn left(&self, row: &Row, seen: Option<&Seen>) -> Option<Value> {
        let leader = &row.leader.as_ref()?.host;
        let (left, full) = seen?.left_at_least(leader)?;
        let own = self.own.get(&row.task).filter(|_| *leader == self.host);
        let full = full.as_secs_f64();
        Some(match own {
            Some(left) => json!([left, full, true]),
            None => json!([left.as_secs_f64(), full, false]),
        })
    }
}

/// One page of the tasks, and one of the hosts.
pub(super) fn tasks(seen: &Seen, query: &Query, reader: Reader, leases: &Leases) -> Value {
    let rows = query.rows(&seen.glance.tasks);
    let mut told = list(seen, query, &rows, reader);
    told["now"] = tick(seen, &rows.page, leases);
    told
}

/// The same without what changes by itself from moment to moment.
pub(super) fn list(seen: &Seen, query: &Query, rows: &Rows<'_>, reader: Reader) -> Value {
    let glance = &seen.glance;
    let mut health: BTreeMap<&str, usize> = BTreeMap::new();
    for task in &glance.tasks {
        *health.entry(task.health.name()).or_default() += 1;
    }
    let (hosts, number, pages) = query.page_of_hosts(&glance.hosts);
    json!({
        "tasks": glance.tasks.len(),
        "health": health,
        "matched": rows.matched,
        "page": rows.number,
        "pages": rows.pages,
        "rows": rows.page.iter().map(|it| row(it, reader, STANDBYS_MAX)).collect::<Vec<_>>(),
        "hosts": {
            "all": glance.hosts.iter().filter(|host| host.there).count(),
            "page": number,
            "pages": pages,
            "rows": hosts.map(host).collect::<Vec<_>>(),
        },
    })
}

/// What changes from moment to moment: the time of what was seen, and what is left of leases.
pub(super) fn tick(seen: &Seen, rows: &[&Row], leases: &Leases) -> Value {
    let left = rows.iter().filter_map(|row| {
        let left = leases.left(row, Some(seen))?;
        Some((text(&row.task), left))
    });
    json!({
        "at": timestamp(),
        "age": seen.begun.elapsed().as_secs_f64(),
        "took": seen.took.as_secs_f64(),
        "leases": left.collect::<Map<_, _>>(),
    })
}

/// One task, closely.
pub(super) fn task(detail: &Detail, reader: Reader, leases: &Leases, seen: Option<&Seen>) -> Value {
    let hosts = detail.hosts.iter().take(ALL_STANDBYS_MAX).map(|host| {
        json!({
            "host": text(&host.host),
            "generation": host.generation,
            "digest": host.digest.as_deref().map(text),
            "state": host.state,
            "reason": host.reason.as_deref().filter(|_| reader == Reader::Known).map(text),
        })
    });
    let keys = detail.keys.iter().filter(|_| reader == Reader::Known);
    let mut told = json!({
        "row": row(&detail.row, reader, ALL_STANDBYS_MAX),
        "hosts": hosts.collect::<Vec<_>>(),
        "terms": terms_of(&detail.row, &detail.ended, reader),
        "keys": keys.take(KEYS_MAX).map(|key| text(key)).collect::<Vec<_>>(),
        "keys_all": detail.keys.len(),
        "plans": detail.plans.iter().map(plan).collect::<Vec<_>>(),
        "rollout": detail.rollout.as_ref().map(|it| rollout(it.as_ref(), reader)),
        "generations": detail.generations.iter().take(LABELS_MAX).collect::<Vec<_>>(),
    });
    if let (Some(seen), Some(leader)) = (seen, &detail.row.leader) {
        let host = seen
            .glance
            .hosts
            .iter()
            .find(|it| it.status.host == leader.host);
        let listen = host.and_then(|host| host.status.listen.as_deref());
        told["leader_listen"] = listen.map(text).into();
    }
    if let Some(left) = leases.left(&detail.row, seen) {
        told["lease"] = left;
    }
    told
}

/// The terms of the tasks of one page.
pub(super) fn terms(rows: &[&Row], ended: &[Vec<TermEntry>], reader: Reader) -> Value {
    let none = Vec::new();
    let lanes = rows.iter().enumerate().map(|(at, row)| {
        let ended = ended.get(at).unwrap_or(&none);
        json!({ "task": text(&row.task), "terms": terms_of(row, ended, reader) })
    });
    json!({ "at": timestamp(), "lanes": lanes.collect::<Vec<_>>() })
}

/// A value of a task's state: as text if it is one.
pub(super) fn value(value: &[u8]) -> Value {
    let part = &value[..value.len().min(VALUE_BYTES_MAX)];
    let text = match std::str::from_utf8(part) {
        Ok(text) => Some(text),
        // The cut may have gone through a character.
        Err(error) if error.error_len().is_none() && part.len() < value.len() => {
            std::str::from_utf8(&part[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let hex = || {
        part.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    json!({
        "bytes": value.len(),
        "shown": part.len(),
        "text": text.is_some(),
        "value": text.map_or_else(hex, |text| soloist_core::text::printable_lines(text).into_owned()),
    })
}

/// The lines of a task that came after the last ones, and how many of those are not told.
pub(super) fn lines(journal: &Journal, task: &str, wanted: &mut Wanted) -> Option<Value> {
    let Excerpt {
        lines,
        next,
        missed,
    } = journal.read(task, wanted)?;
    let is_first = wanted.after.is_none();
    (wanted.after, wanted.tail) = (Some(next), None);
    let mut room = LINES_BYTES_MAX;
    let latest = lines.iter().rev().take(LINES_MAX).take_while(|line| {
        let fits = line.len() <= room;
        room = room.saturating_sub(line.len());
        fits
    });
    let mut told: Vec<_> = latest.map(|line| line_of(line)).collect();
    told.reverse();
    let skipped = (lines.len() - told.len()) as u64;
    // Those before somebody began to look are no loss.
    let missed = if is_first { 0 } else { missed + skipped };
    (!told.is_empty() || missed > 0).then(|| json!({ "lines": told, "missed": missed }))
}

/// A line as it was logged: an object of JSON whose texts were made printable.
fn line_of(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| text(line).into())
}

fn row(row: &Row, reader: Reader, standbys: usize) -> Value {
    let leader = row.leader.as_ref().map(|it| {
        json!({
            "host": text(&it.host),
            "term": it.term,
            "fencing_token": it.fencing_token,
            "since": text(&it.since),
            "generation": it.generation,
            "digest": it.digest.map(|digest| digest.to_string()),
        })
    });
    json!({
        "task": text(&row.task),
        "health": row.health.name(),
        "leader": leader,
        "standbys": row.standbys.iter().take(standbys).map(|it| text(it)).collect::<Vec<_>>(),
        "more_standbys": row.standbys.len().saturating_sub(standbys),
        "restarts": row.restarts,
        "failure": row.failure.as_ref().map(|it| failure(it, reader)),
        "retry_at": row.retry_at.as_deref().map(text),
    })
}

fn failure(failure: &LastFailure, reader: Reader) -> Value {
    json!({
        "at": text(&failure.at),
        "host": text(&failure.host),
        "term": failure.term,
        "cause": text(&failure.cause),
        "detail": (reader == Reader::Known).then(|| text(&failure.detail)),
    })
}

fn host(host: &HostRow) -> Value {
    let status = &host.status;
    let labels = status.labels.iter().take(LABELS_MAX).map(Label::as_str);
    json!({
        "host": text(&status.host),
        "pid": status.pid,
        "version": status.version.as_deref().map(text),
        "started": status.started.as_deref().map(text),
        "leads": status.leads,
        "max_active": status.max_active,
        "labels": labels.map(text).collect::<Vec<_>>(),
        "listen": status.listen.as_deref().map(text),
        "drained": host.drained,
        "there": host.there,
    })
}

/// The present term, if somebody leads, and those before it.
fn terms_of(row: &Row, ended: &[TermEntry], reader: Reader) -> Vec<Value> {
    let leader = row.leader.as_ref();
    let is_over = |token| ended.iter().any(|term| term.fencing_token == Some(token));
    let present = leader.filter(|it| !is_over(it.fencing_token)).map(|it| {
        json!({
            "number": it.term,
            "host": text(&it.host),
            "since": text(&it.since),
            "fencing_token": it.fencing_token,
            "generation": it.generation,
            "end": null,
        })
    });
    let ended = ended.iter().map(|term| {
        let end = term.end.as_ref().map(|end| {
            json!({
                "at": text(&end.at),
                "reason": text(&end.reason),
                "cause": end.cause.as_deref().map(text),
                "detail": end.detail.as_deref().filter(|_| reader == Reader::Known).map(text),
            })
        });
        json!({
            "number": term.number,
            "host": text(&term.host),
            "since": text(&term.since),
            "fencing_token": term.fencing_token,
            "generation": term.generation,
            "end": end,
        })
    });
    present.into_iter().chain(ended).collect()
}

fn plan(plan: &PlanRow) -> Value {
    let record = match &plan.record {
        Ok(record) => record,
        Err(problem) => return json!({ "name": text(&plan.name), "problem": text(problem) }),
    };
    let last = record.slot().map(|slot| {
        json!({
            "at": slot.at,
            "attempt": slot.attempt,
            "fencing_token": slot.token,
            "missed_before": slot.missed,
            "done": slot.is_done(),
        })
    });
    json!({
        "name": text(&plan.name),
        "rule": text(record.rule()),
        "decided_up_to": record.after(),
        "last": last,
        "missed": record.missed(),
        "next": plan.next,
    })
}

fn rollout(record: Result<&RolloutRecord, &String>, reader: Reader) -> Value {
    let record = match record {
        Ok(record) => record,
        Err(problem) => return json!({ "problem": text(problem) }),
    };
    let number = |it: Option<Generation>| it.map(|it| it.number);
    let (stage, why) = match &record.stage {
        Stage::Probation { .. } => ("probation", None),
        Stage::Healthy => ("healthy", None),
        Stage::RolledBack(failure) => ("rolled back", Some(failure)),
        Stage::Failed(failure) => ("failed", Some(failure)),
        Stage::Undeployed => ("undeployed", None),
    };
    let known = |text: &str| Some(self::text(text)).filter(|_| reader == Reader::Known);
    let why = why.map(|it| {
        json!({ "from": it.from.number, "cause": text(&it.cause), "detail": known(&it.detail) })
    });
    json!({
        "stage": stage,
        "newest": record.newest,
        "current": number(record.current),
        "current_sha256": record.current.map(|it| it.sha256.to_string()),
        "wanted": number(record.wanted),
        "back": number(record.back),
        "failure": why,
        "paused": record.paused.as_ref().map(|it| json!({ "reason": known(&it.reason) })),
        "changed": {
            "by": text(&record.changed.by),
            "at": text(&record.changed.at),
            "reason": record.changed.reason.as_deref().and_then(known),
        },
    })
}

/// A text that somebody else wrote, cut and made printable.
fn text(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", printable(&text[..end])),
        None => printable(text).into_owned(),
    }
}
