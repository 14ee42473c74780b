//! Judges a history.
//!
//! A host is *active* for a task from `activated` to `demoted` or `revoked`, or to its death. A host whose lease is over
//! can have no effect any more, whenever it gets to say so: when it was paused, or its machine kept it waiting. So one
//! whose plugin was stopped by force counts as active up to the pause, or to the end of its lease, and is held to that:
//! a line of its plugin after it counts as an effect.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::history::{Event, History, Record, What};

/// One host's activity in one term of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The task.
    pub task: String,
    /// The host's id.
    pub host: String,
    /// The process that was active.
    pub pid: u32,
    /// The term.
    pub term: u64,
    /// The fencing token.
    pub fencing_token: u64,
    /// When the plugin was entered.
    pub from: SystemTime,
    /// From when on it could have no effect; `None` while it still can.
    pub to: Option<SystemTime>,
}

/// Something that must never happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two hosts were active at once.
    Overlap {
        /// The one that was active first.
        earlier: Box<Activity>,
        /// The one that came too soon.
        later: Box<Activity>,
        /// For how long; `None` if the earlier one never ended.
        time: Option<Duration>,
    },
    /// A later activity has no larger token, or a term number was used again.
    TokenNotLarger {
        /// The one before.
        earlier: Box<Activity>,
        /// The one after.
        later: Box<Activity>,
    },
    /// A host was activated and never said it had stopped, though it lives or has ended in good order.
    NeverEnded(Box<Activity>),
    /// An event came when it could not be true: the reason, and the line.
    OutOfPlace(&'static str, String),
    /// A host wrote something on stdout that is no event.
    Unreadable(String),
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            task,
            host,
            term,
            fencing_token,
            ..
        } = self;
        write!(f, "{host} in term {term} of {task} (token {fencing_token})")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap {
                earlier,
                later,
                time: Some(time),
            } => {
                write!(f, "two hosts active for {time:?}: {earlier}, and {later}")
            }
            Self::Overlap {
                earlier,
                later,
                time: None,
            } => {
                write!(
                    f,
                    "two hosts active: {earlier} had not stopped when {later} began"
                )
            }
            Self::TokenNotLarger { earlier, later } => {
                write!(f, "tokens do not grow: {earlier}, then {later}")
            }
            Self::NeverEnded(activity) => write!(f, "never said to have stopped: {activity}"),
            Self::OutOfPlace(reason, line) => write!(f, "{reason}: {line}"),
            Self::Unreadable(line) => write!(f, "no event: {line}"),
        }
    }
}

/// What the oracle has found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Every activity, in order.
    pub activities: Vec<Activity>,
    /// Everything that must not be; empty when all is well.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// How long two hosts were active at once for any task, all overlaps together.
    pub fn overlap(&self) -> Duration {
        let times = self.violations.iter().map(|violation| match violation {
            Violation::Overlap { time, .. } => time.unwrap_or(Duration::MAX),
            _ => Duration::ZERO,
        });
        times.fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Fails if anything happened that must not, and shows it.
    pub fn check(&self) -> anyhow::Result<()> {
        let list: Vec<String> = self
            .violations
            .iter()
            .map(|violation| format!("\n  {violation}"))
            .collect();
        anyhow::ensure!(list.is_empty(), "the oracle objects:{}", list.concat());
        Ok(())
    }
}

/// Judges all that has happened; hosts may still be running and active.
pub fn judge(history: &History) -> Verdict {
    judge_records(&history.in_order())
}

/// A run of a host may be active once for a task.
type Key = (u32, String);

#[derive(Default)]
struct Judge {
    verdict: Verdict,
    /// Where each present activity stands in the list of all.
    active: BTreeMap<Key, usize>,
    /// Who was elected and has not been activated yet.
    elected: BTreeSet<Key>,
    /// When a run was last paused, if it was.
    paused: BTreeMap<u32, SystemTime>,
    /// When the plugin of a present activity last wrote a line.
    wrote: BTreeMap<Key, SystemTime>,
}

fn judge_records(records: &[Record]) -> Verdict {
    let mut judge = Judge::default();
    for record in records {
        match &record.what {
            What::Event(event) => judge.event(record, event),
            What::Unreadable(line) => judge
                .verdict
                .violations
                .push(Violation::Unreadable(line.clone())),
            What::Paused => {
                judge.paused.insert(record.pid, record.at);
            }
            What::Resumed => {}
            What::Killed => judge.killed(record),
        }
    }
    judge.compare();
    judge.verdict
}

impl Judge {
    fn event(&mut self, record: &Record, event: &Event) {
        let Some(task) = event.task.clone() else {
            return;
        };
        let key = (record.pid, task);
        match event.name.as_str() {
            "elected" => {
                self.elected.insert(key);
            }
            "activated" => {
                self.elected.remove(&key);
                self.activated(record, event, key);
            }
            "plugin-log" => {
                if !self.active.contains_key(&key) {
                    self.out_of_place("a plugin wrote outside its activity", event);
                }
                self.wrote.insert(key, record.at);
            }
            "demoted" | "revoked" => {
                let Some(index) = self.active.remove(&key) else {
                    // A term may end before the plugin was entered.
                    if self.elected.remove(&key) {
                        return;
                    }
                    return self.out_of_place("the end of an activity that never began", event);
                };
                let wrote = self.wrote.remove(&key);
                let activity = &mut self.verdict.activities[index];
                let mut to = record.at;
                if event.name == "revoked" {
                    let paused = self
                        .paused
                        .get(&record.pid)
                        .filter(|at| **at > activity.from);
                    let lease_over = event
                        .duration("overdue")
                        .and_then(|since| record.at.checked_sub(since));
                    let ends = [paused.copied(), lease_over].into_iter().flatten();
                    // An effect after it: that was not the end of the activity.
                    to = ends
                        .filter(|end| wrote.is_none_or(|wrote| wrote <= *end))
                        .fold(to, SystemTime::min);
                }
                activity.to = Some(to);
            }
            "released" if self.active.contains_key(&key) => {
                self.out_of_place("the node was released before the plugin had stopped", event);
            }
            _ => {}
        }
    }

    fn activated(&mut self, record: &Record, event: &Event, key: Key) {
        let (Some(term), Some(fencing_token)) = (event.term, event.fencing_token) else {
            return self.out_of_place("an activation without term or token", event);
        };
        if let Some(index) = self.active.get(&key) {
            // A failed plugin is started again within its term.
            if self.verdict.activities[*index].term != term {
                self.out_of_place("an activation before the end of the last one", event);
            }
            return;
        }
        self.active
            .insert(key.clone(), self.verdict.activities.len());
        self.verdict.activities.push(Activity {
            task: key.1,
            host: record.host.clone(),
            pid: record.pid,
            term,
            fencing_token,
            from: record.at,
            to: None,
        });
    }

    fn killed(&mut self, record: &Record) {
        let (ended, others) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|((pid, _), _)| *pid == record.pid);
        let ended: BTreeMap<Key, usize> = ended;
        self.active = others;
        for index in ended.into_values() {
            self.verdict.activities[index].to = Some(record.at);
        }
    }

    fn out_of_place(&mut self, reason: &'static str, event: &Event) {
        self.verdict
            .violations
            .push(Violation::OutOfPlace(reason, event.line.to_string()));
    }

    fn compare(&mut self) {
        let mut by_task: BTreeMap<&str, Vec<&Activity>> = BTreeMap::new();
        for activity in &self.verdict.activities {
            by_task.entry(&activity.task).or_default().push(activity);
        }
        let mut violations = Vec::new();
        for activities in by_task.into_values() {
            for (index, earlier) in activities.iter().enumerate() {
                let boxed = |activity: &Activity| Box::new(activity.clone());
                if let Some(later) = activities.get(index + 1)
                    && (later.fencing_token <= earlier.fencing_token || later.term <= earlier.term)
                {
                    violations.push(Violation::TokenNotLarger {
                        earlier: boxed(earlier),
                        later: boxed(later),
                    });
                }
                for later in &activities[index + 1..] {
                    let end = earlier
                        .to
                        .map(|to| later.to.map_or(to, |other| to.min(other)));
                    let time = end.map(|end| end.duration_since(later.from).unwrap_or_default());
                    if time.is_none_or(|time| !time.is_zero()) {
                        let (earlier, later) = (boxed(earlier), boxed(later));
                        violations.push(Violation::Overlap {
                            earlier,
                            later,
                            time,
                        });
                    }
                }
            }
        }
        self.verdict.violations.append(&mut violations);
    }
}

/// Judges all that has happened, now that every host has ended: nothing may still be active.
pub fn judge_ended(history: &History) -> Verdict {
    let mut verdict = judge(history);
    let open = verdict
        .activities
        .iter()
        .filter(|activity| activity.to.is_none());
    let open: Vec<Violation> = open
        .map(|activity| Violation::NeverEnded(Box::new(activity.clone())))
        .collect();
    verdict.violations.extend(open);
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn event(millis: u64, pid: u32, name: &str, term: u64) -> Record {
        let line = format!(
            r#"{{"timestamp":"2026-01-01T00:00:00.000000Z","message":"","event":"{name}","task":"t","term":{term},"fencing_token":{}}}"#,
            term * 10
        );
        let (_, event) = Event::parse(&line).unwrap();
        Record {
            at: at(millis),
            received: at(millis),
            host: format!("h{pid}"),
            pid,
            what: What::Event(event),
        }
    }

    fn done(millis: u64, pid: u32, what: What) -> Record {
        Record {
            at: at(millis),
            received: at(millis),
            host: format!("h{pid}"),
            pid,
            what,
        }
    }

    #[test]
    fn a_clean_handover_is_no_overlap() {
        let verdict = judge_records(&[
            event(0, 1, "activated", 1),
            event(10, 1, "demoted", 1),
            event(11, 1, "released", 1),
            event(12, 2, "activated", 2),
        ]);
        assert_eq!(verdict.violations, []);
        assert_eq!(verdict.activities.len(), 2);
    }

    #[test]
    fn two_active_at_once_are_seen_and_measured() {
        let verdict = judge_records(&[
            event(0, 1, "activated", 1),
            event(20, 2, "activated", 2),
            event(25, 1, "revoked", 1),
            event(90, 2, "demoted", 2),
        ]);
        assert_eq!(verdict.overlap(), Duration::from_millis(5));
        assert!(verdict.check().is_err());
    }

    #[test]
    fn one_that_never_stops_overlaps_with_all_that_follow() {
        let verdict = judge_records(&[event(0, 1, "activated", 1), event(20, 2, "activated", 2)]);
        assert!(matches!(
            verdict.violations[..],
            [Violation::Overlap { time: None, .. }]
        ));
    }

    #[test]
    fn a_killed_host_is_active_to_its_death() {
        let kill = |millis| {
            let records = [
                event(0, 1, "activated", 1),
                done(millis, 1, What::Killed),
                event(20, 2, "activated", 2),
            ];
            let mut records = records.to_vec();
            records.sort_by_key(|record| record.at);
            judge_records(&records).violations.len()
        };
        assert_eq!(kill(19), 0);
        assert_eq!(kill(21), 1);
    }

    #[test]
    fn a_paused_host_that_is_revoked_without_an_effect_was_active_to_the_pause() {
        let with = |line: Option<Record>| {
            let mut records = vec![
                event(0, 1, "activated", 1),
                done(5, 1, What::Paused),
                event(20, 2, "activated", 2),
                done(30, 1, What::Resumed),
                event(32, 1, "revoked", 1),
            ];
            records.extend(line);
            records.sort_by_key(|record| record.at);
            judge_records(&records).overlap()
        };
        assert_eq!(with(None), Duration::ZERO);
        assert_eq!(
            with(Some(event(31, 1, "plugin-log", 1))),
            Duration::from_millis(12)
        );
    }

    #[test]
    fn a_host_that_is_kept_waiting_was_active_to_the_end_of_its_lease() {
        let with = |overdue: f64, line: Option<Record>| {
            let mut revoked = event(30, 1, "revoked", 1);
            let What::Event(inner) = &mut revoked.what else {
                unreachable!()
            };
            inner.line["overdue"] = overdue.into();
            let mut records = vec![
                event(0, 1, "activated", 1),
                event(20, 2, "activated", 2),
                revoked,
            ];
            records.extend(line);
            records.sort_by_key(|record| record.at);
            judge_records(&records).overlap()
        };
        assert_eq!(with(0.011, None), Duration::ZERO);
        assert_eq!(
            with(0.011, Some(event(19, 1, "plugin-log", 1))),
            Duration::ZERO
        );
        assert_eq!(
            with(0.011, Some(event(21, 1, "plugin-log", 1))),
            Duration::from_millis(10)
        );
        assert_eq!(
            with(0.008, None),
            Duration::from_millis(2),
            "the lease was too long"
        );
    }

    #[test]
    fn a_term_may_end_before_the_plugin_was_entered() {
        let verdict = judge_records(&[event(0, 1, "elected", 1), event(1, 1, "demoted", 1)]);
        assert_eq!(verdict.violations, []);
        assert_eq!(verdict.activities, []);
    }

    #[test]
    fn tokens_and_terms_must_grow() {
        let verdict = judge_records(&[
            event(0, 1, "activated", 2),
            event(10, 1, "demoted", 2),
            event(12, 2, "activated", 2),
        ]);
        assert!(matches!(
            verdict.violations[..],
            [Violation::TokenNotLarger { .. }]
        ));
    }

    #[test]
    fn events_out_of_place_are_seen() {
        for records in [
            vec![event(0, 1, "plugin-log", 1)],
            vec![event(0, 1, "demoted", 1)],
            vec![event(0, 1, "activated", 1), event(1, 1, "released", 1)],
            vec![event(0, 1, "activated", 1), event(1, 1, "activated", 2)],
        ] {
            assert!(
                matches!(
                    judge_records(&records).violations[..],
                    [Violation::OutOfPlace(..)]
                ),
                "{records:?}"
            );
        }
    }
}
