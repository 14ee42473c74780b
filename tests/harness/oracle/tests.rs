use std::time::{Duration, SystemTime};

use super::Violation;
use super::judge::judge_records;
use crate::history::{Event, Record, What};

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

/// As with both hosts of `soloist dev`: one may hear of its release once the other leads.
#[test]
fn hosts_of_one_process_are_told_apart() {
    let of = |host: &str, mut record: Record| {
        record.host = host.into();
        record
    };
    let handed_over = [
        of("a", event(0, 1, "activated", 1)),
        of("a", event(10, 1, "demoted", 1)),
        of("b", event(12, 1, "activated", 2)),
        of("a", event(13, 1, "released", 1)),
        of("a", done(14, 1, What::Killed)),
    ];
    let verdict = judge_records(&handed_over);
    assert_eq!(verdict.violations, []);
    let ends: Vec<_> = verdict.activities.iter().map(|it| it.to).collect();
    assert_eq!(ends, [Some(at(10)), None]);

    let both = [
        of("a", event(0, 1, "activated", 1)),
        of("b", event(12, 1, "activated", 2)),
    ];
    assert!(matches!(
        judge_records(&both).violations[..],
        [Violation::Overlap { time: None, .. }]
    ));
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
