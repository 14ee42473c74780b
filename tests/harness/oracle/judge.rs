//! Goes through the records of a history, one after the other, and compares the activities that it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::verdict::{Activity, Verdict, Violation};
use crate::history::{Event, Record, What};

/// Judges these records. They stand in the order of their times.
pub(super) fn judge_records(records: &[Record]) -> Verdict {
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

/// A run of a host may be active once for a task. Several hosts may share a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pid: u32,
    host: String,
    task: String,
}

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

impl Judge {
    fn event(&mut self, record: &Record, event: &Event) {
        if event.name == "host-died" {
            // The guardian says so, before it gives anything back.
            return self.killed(record);
        }
        let Some(task) = event.task.clone() else {
            return;
        };
        let key = Key {
            pid: record.pid,
            host: record.host.clone(),
            task,
        };
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
            task: key.task,
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
            .partition(|(key, _)| (key.pid, &key.host) == (record.pid, &record.host));
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
