//! What plugins did: judges the effects of the guest `effects` by themselves, whatever the hosts say of their terms.
//!
//! An effect is a numbered line that the plugin hands to its host about every 5 ms. It counts at the moment at which
//! the host takes it: the host stamps it then, inside the import, after the check of the lease; all stamps are of one
//! machine's clock. The line leaves the host a little later, by a thread of its own. When the harness received it is
//! kept too, because a host that is frozen between the two delivers a line long after its stamp: see
//! [`Findings::received_late`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::history::Record;

/// All effects of one plugin in one term on one host: told apart by the fencing token.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// The host's id.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The term.
    pub term: u64,
    /// The fencing token.
    pub fencing_token: u64,
    /// When each effect was taken, in order.
    pub effects: Vec<SystemTime>,
    /// When the harness had received each of them.
    pub received: Vec<SystemTime>,
    /// The end of the lease as the guest was told with its last effect.
    pub deadline: SystemTime,
    /// What had been stored in the task's state before each effect, where the plugin stores: a count.
    pub stored: Vec<u64>,
    sequence: u64,
}

impl Tenure {
    fn first(&self) -> SystemTime {
        self.effects[0]
    }

    fn last(&self) -> SystemTime {
        self.effects[self.effects.len() - 1]
    }
}

/// What the effects say.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The tenures in the order of their first effects.
    pub tenures: Vec<Tenure>,
    /// For how long the effects of two tenures overlapped, at worst: zero if never.
    pub overlap: Duration,
    /// How many lines of a tenure the harness received after the first of a later one, though they were taken before.
    pub received_late: usize,
    /// The longest time without any effect, and between the last effect of a tenure and the first of the next.
    pub unavailable: Duration,
    /// What must never be, besides an overlap.
    pub violations: Vec<String>,
}

/// Judges the effects in a history.
pub fn examine(records: &[Record]) -> Findings {
    let mut findings = Findings::default();
    let mut tenures: BTreeMap<(u64, u32), Tenure> = BTreeMap::new();
    for record in records {
        let Some(event) = record.event().filter(|event| event.name == "plugin-log") else {
            continue;
        };
        let number = |name: &str| {
            event
                .line
                .get("fields")?
                .get(name)?
                .as_str()?
                .parse::<u64>()
                .ok()
        };
        let (Some(term), Some(fencing_token), Some(sequence), Some(left)) = (
            event.term,
            event.fencing_token,
            number("sequence"),
            number("left_us"),
        ) else {
            findings
                .violations
                .push(format!("a line that is no effect: {}", event.line));
            continue;
        };
        let tenure = tenures
            .entry((fencing_token, record.pid))
            .or_insert_with(|| Tenure {
                host: record.host.clone(),
                pid: record.pid,
                term,
                fencing_token,
                effects: Vec::new(),
                received: Vec::new(),
                deadline: record.at,
                stored: Vec::new(),
                sequence: 0,
            });
        // A line that was lost could be the one that overlaps.
        if sequence != tenure.sequence + 1 {
            let (host, after) = (&record.host, tenure.sequence);
            findings.violations.push(format!(
                "effect {sequence} of {host} in term {term} came after {after}"
            ));
        }
        tenure.sequence = sequence;
        tenure.effects.push(record.at);
        tenure.received.push(record.received);
        tenure.deadline = record.at + Duration::from_micros(left);
        tenure.stored.extend(number("stored"));
    }
    findings.tenures = tenures.into_values().collect();
    findings.tenures.sort_by_key(Tenure::first);
    findings.compare();
    findings
}

impl Findings {
    fn compare(&mut self) {
        for (index, later) in self.tenures.iter().enumerate() {
            for earlier in &self.tenures[..index] {
                if later.fencing_token <= earlier.fencing_token {
                    let (before, after) = (earlier.fencing_token, later.fencing_token);
                    self.violations
                        .push(format!("fencing token {after} came after {before}"));
                }
                if let Ok(overlap) = earlier.last().duration_since(later.first()) {
                    // At the same microsecond is too late as well.
                    self.overlap = self.overlap.max(overlap.max(Duration::from_micros(1)));
                }
                let first = later.received[0];
                self.received_late += earlier
                    .received
                    .iter()
                    .filter(|received| **received > first)
                    .count();
            }
        }
        self.compare_stored();
        let mut effects: Vec<SystemTime> = self
            .tenures
            .iter()
            .flat_map(|tenure| tenure.effects.clone())
            .collect();
        effects.sort();
        let silences = effects
            .windows(2)
            .filter_map(|pair| pair[1].duration_since(pair[0]).ok());
        self.unavailable = silences.max().unwrap_or_default();
    }
}

impl Findings {
    /// What is stored counts: a number that does not grow, from one effect to the next and from one term to the next,
    /// was lost, stored by two, or torn (then it is 0).
    fn compare_stored(&mut self) {
        let mut by_token: Vec<&Tenure> = self.tenures.iter().collect();
        by_token.sort_by_key(|tenure| tenure.fencing_token);
        let mut last = 0;
        for tenure in by_token {
            for stored in &tenure.stored {
                if *stored <= last {
                    let Tenure { host, term, .. } = tenure;
                    self.violations.push(format!(
                        "the state went from {last} to {stored} on {host} in term {term}"
                    ));
                }
                last = *stored;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Event, What};

    fn effect(millis: u64, pid: u32, token: u64, sequence: u64) -> Record {
        let line = format!(
            r#"{{"timestamp":"2026-01-01T00:00:00.000000Z","message":"effect","event":"plugin-log","task":"t",
                "term":{token},"fencing_token":{token},"fields":{{"sequence":"{sequence}","left_us":"1000"}}}}"#
        );
        let (_, event) = Event::parse(&line).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        Record {
            at,
            received: at,
            host: format!("h{pid}"),
            pid,
            what: What::Event(event),
        }
    }

    #[test]
    fn a_handover_is_measured_from_the_last_effect_to_the_first() {
        let findings = examine(&[effect(0, 1, 1, 1), effect(5, 1, 1, 2), effect(45, 2, 2, 1)]);
        assert_eq!(findings.violations, Vec::<String>::new());
        assert_eq!(
            (findings.unavailable, findings.overlap),
            (Duration::from_millis(40), Duration::ZERO)
        );
        assert_eq!(findings.tenures.len(), 2);
    }

    #[test]
    fn one_late_effect_is_an_overlap() {
        let records = [effect(0, 1, 1, 1), effect(5, 2, 2, 1), effect(12, 1, 1, 2)];
        let findings = examine(&records);
        assert_eq!(findings.overlap, Duration::from_millis(7));
        let same_moment = examine(&[effect(5, 1, 1, 1), effect(5, 2, 2, 1)]);
        assert!(!same_moment.overlap.is_zero());
    }

    #[test]
    fn a_lost_effect_and_a_smaller_token_are_seen() {
        assert_eq!(
            examine(&[effect(0, 1, 1, 1), effect(5, 1, 1, 3)])
                .violations
                .len(),
            1
        );
        assert_eq!(
            examine(&[effect(0, 1, 2, 1), effect(5, 2, 1, 1)])
                .violations
                .len(),
            1
        );
    }

    #[test]
    fn state_that_was_lost_or_torn_is_seen() {
        let stored = |number: u64, at: u64, token: u64, sequence: u64| {
            let mut record = effect(at, u32::try_from(token).unwrap(), token, sequence);
            let What::Event(event) = &mut record.what else {
                unreachable!()
            };
            event.line["fields"]["stored"] = number.to_string().into();
            record
        };
        let examine = |last: u64| {
            let records = [
                stored(1, 0, 1, 1),
                stored(4, 5, 1, 2),
                stored(last, 45, 2, 1),
            ];
            examine(&records).violations.len()
        };
        assert_eq!(examine(5), 0);
        assert_eq!(examine(4), 1, "one that was stored before was lost");
        assert_eq!(examine(0), 1, "torn");
    }

    #[test]
    fn a_line_received_after_a_later_tenure_began_is_counted() {
        let mut late = effect(1, 1, 1, 2);
        late.received += Duration::from_millis(30);
        let findings = examine(&[effect(0, 1, 1, 1), effect(5, 2, 2, 1), late]);
        assert_eq!(
            (findings.received_late, findings.overlap),
            (1, Duration::ZERO)
        );
    }
}
