//! What was written by the release before is read, and what a later one writes is read as far as it can be.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;
use soloist_core::cause::Cause;
use soloist_core::placement::HostLoad;
use soloist_core::records::{
    Candidate, CandidateRecord, DrainOrder, DrainProgress, Envelope, FailedRecord, FormatError,
    History, HostRecord, MasterRecord, Readiness, ReadyRecord, ResignOrder, RestartsRecord,
    RolloutRecord, Stage, StateCopy, TermRecord, TermState, decode, holder_name, queue,
};
use soloist_core::restart::PluginFailed;
use soloist_core::schedule::{self, RecordError};
use soloist_core::term::{FencingToken, Term};

use super::{NEWER, is_written_as_before, with_more, written};

fn term(number: u64, token: u64) -> Term {
    Term {
        number,
        fencing_token: FencingToken(token),
        task: "beat".into(),
        host: "host-b".into(),
        record_version: 3,
    }
}

fn is_newer<T: std::fmt::Debug>(read: Result<T, FormatError>) {
    let error = read.unwrap_err();
    assert!(
        matches!(
            error,
            FormatError::Version {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().ends_with("update this host"), "{error}");
}

/// What 0.1.0 at first knew of a host: it takes no notice of a drain.
#[derive(Deserialize)]
struct HostBefore {
    host: String,
    pid: u32,
}

#[test]
fn the_record_of_a_host() {
    let bytes = written!("host");
    let record: HostRecord = decode(bytes).unwrap();
    assert_eq!(
        (&*record.host, &*record.version, record.drain),
        ("host-a", "0.1.0", None)
    );
    is_written_as_before(&record, bytes);
    assert_eq!(decode(&with_more(bytes)), Some(record.clone()));
    assert_eq!(decode::<HostRecord>(NEWER), None);
    let drain = Some(DrainProgress {
        order: 7,
        empty: false,
    });
    let placement = Some(HostLoad {
        labels: vec!["zone=a".parse().unwrap()],
        weight: 2,
        max_active: Some(9),
        active: 3,
        load: 5,
        up: 60,
        spread: true,
    });
    let now = soloist_core::records::encode(&HostRecord {
        drain,
        placement,
        listen: Some("http://10.0.0.7:9464".into()),
        lease_ms: Some(9_900),
        ..record.clone()
    });
    let again: HostRecord = decode(&with_more(&now)).unwrap();
    assert_eq!(soloist_core::records::encode(&again), now);
    let before: HostBefore = decode(&now).unwrap();
    assert_eq!((before.host, before.pid), (record.host, record.pid));
}

#[test]
fn the_order_to_drain_a_host() {
    let bytes = written!("drain");
    let order = DrainOrder::decode(bytes).unwrap();
    assert_eq!(
        (order.keep, order.reason.as_deref()),
        (false, Some("kernel upgrade"))
    );
    is_written_as_before(&order, bytes);
    assert_eq!(DrainOrder::decode(&with_more(bytes)), Ok(order));
    is_newer(DrainOrder::decode(NEWER));
}

#[test]
fn the_record_of_a_leader() {
    let bytes = written!("master");
    let record: MasterRecord = decode(bytes).unwrap();
    assert_eq!((&*record.host, record.term), ("host-a", 3));
    is_written_as_before(&record, bytes);
    assert_eq!(decode(&with_more(bytes)), Some(record));
    assert_eq!(holder_name(&with_more(bytes), 1), "host-a");
    assert_eq!(
        holder_name(NEWER, 1),
        r#"{"version":2,"anything":["else"]}"#
    );
}

#[test]
fn the_record_of_a_term() {
    for bytes in [written!("term"), written!("term-completed")] {
        let (record, seen) = TermRecord::read(bytes, 9);
        assert_eq!(seen.number, record.term.number);
        is_written_as_before(&record, bytes);
        // The meaning of what is known stays; the rest is lost with the next record.
        assert_eq!(TermRecord::read(&with_more(bytes), 9), (record, seen));
    }
    let (active, _) = TermRecord::read(written!("term"), 9);
    assert_eq!((active.term.number, active.state), (3, TermState::Active));
    assert!(active.lost(70).is_some_and(|lost| lost.host == "host-a"));
    let (released, seen) = TermRecord::read(written!("term-completed"), 9);
    let completion = released.completion("2026-11-26").unwrap();
    assert!(seen.released && completion.host == "host-c" && completion.term == 1);
    // No number is used twice, and nobody takes the term for one that was given back.
    let (_, unknown) = TermRecord::read(NEWER, 9);
    assert_eq!(
        (unknown.number, unknown.released, unknown.host),
        (9, false, None)
    );
}

#[test]
fn the_history() {
    for bytes in [written!("history"), written!("history-failed")] {
        let history = History::read(bytes);
        assert_eq!(history.0.len(), 2);
        is_written_as_before(&history, bytes);
        assert_eq!(History::read(&with_more(bytes)), history);
    }
    let history = History::read(written!("history"));
    assert!(history.has_end_of(828) && history.has(724) && history.highest() == 2);
    let end = History::read(written!("history-failed")).0[0]
        .end
        .clone()
        .unwrap();
    assert_eq!(
        (&*end.reason, end.cause.as_deref()),
        ("failed", Some("panic"))
    );
    assert_eq!(History::read(NEWER), History::default());
}

#[test]
fn the_mark_on_a_task_that_fails() {
    let bytes = written!("failed");
    let record: FailedRecord = decode(bytes).unwrap();
    assert!(record.is_of(&term(8, 871)) && record.is_about_generation(None) && record.terms == 8);
    is_written_as_before(&record, bytes);
    assert_eq!(decode(&with_more(bytes)), Some(record.clone()));
    let failed = PluginFailed {
        cause: Cause::Panicked("why".into()),
        restarts: 1,
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let next = |before| FailedRecord::after(before, &term(9, 900), &failed, at, |_| None).terms;
    assert_eq!((next(Some(record)), next(decode(NEWER))), (9, 1));
}

/// The order of an operator to try again is kept when a later term fails, which begins to count anew.
#[test]
fn the_mark_on_a_task_that_is_tried_again() {
    let bytes = written!("failed-retried");
    let record: FailedRecord = decode(bytes).unwrap();
    is_written_as_before(&record, bytes);
    assert_eq!(decode(&with_more(bytes)), Some(record.clone()));
    let order = record.retried.clone().unwrap();
    assert!(record.is_retried() && order.is_for(871) && !order.is_for(902));
    let failed = PluginFailed {
        cause: Cause::Panicked("why".into()),
        restarts: 1,
    };
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let next = |before, token| FailedRecord::after(before, &term(9, token), &failed, at, |_| None);
    let first = next(Some(record), 910);
    assert_eq!((first.terms, first.retried.as_ref()), (1, Some(&order)));
    assert!(!first.is_retried());
    assert_eq!(next(Some(first), 920).terms, 2);
}

#[test]
fn what_a_leader_says_of_restarts() {
    let bytes = written!("restarts");
    let record: RestartsRecord = decode(bytes).unwrap();
    assert_eq!((record.fencing_token, record.restarts), (871, 4));
    let at = |time| humantime::parse_rfc3339(time).unwrap();
    assert!(record.healthy_after(at("2026-11-27T09:00:00Z")).is_some());
    is_written_as_before(&record, bytes);
    assert_eq!(decode(&with_more(bytes)), Some(record));
    assert_eq!(decode::<RestartsRecord>(NEWER), None);
}

#[test]
fn the_order_to_resign() {
    let bytes = written!("resign");
    let order: ResignOrder = decode(bytes).unwrap();
    assert!(order.is_for(&term(2, 828)) && !order.is_for(&term(2, 829)));
    assert_eq!(
        (order.to.as_deref(), order.reason.as_deref()),
        (Some("host-a"), Some("disk"))
    );
    is_written_as_before(&order, bytes);
    assert_eq!(decode(&with_more(bytes)), Some(order));
    assert_eq!(decode::<ResignOrder>(NEWER), None);
}

#[test]
fn the_record_of_a_schedule() {
    let bytes = written!("schedule");
    let record = schedule::Record::decode(bytes).unwrap();
    let claim = record.uncompleted().unwrap();
    assert_eq!((claim.attempt, claim.token, claim.missed), (1, 836, 6));
    is_written_as_before(&record, bytes);
    assert_eq!(schedule::Record::decode(&with_more(bytes)), Ok(record));
    let newer = schedule::Record::decode(NEWER).unwrap_err();
    assert_eq!(newer, RecordError::Version(2));
    assert!(newer.to_string().contains("update this host"), "{newer}");
}

#[test]
fn the_name_of_a_candidate() {
    let names = [
        "c-0100037bee360049-host-b-0000000003",
        "c-0100037bee360046-host-a-0000000002",
    ];
    let queue = queue(names.map(str::to_owned).into());
    let hosts: Vec<_> = queue.iter().map(|it| (it.sequence, &*it.host)).collect();
    assert_eq!(hosts, [(2, "host-a"), (3, "host-b")]);
    assert!(queue[0].is_held_by(0x0100_037b_ee36_0046));
    let prefix = Candidate::prefix(0x0100_037b_ee36_0046, "host-a");
    assert_eq!(
        format!("{prefix}0000000002"),
        names[1],
        "it is written as before"
    );
    assert_eq!(
        Candidate::read("c2-0100037bee360046-host-a-0000000002".into()),
        None
    );
}

#[test]
fn the_record_of_a_rollout() {
    for bytes in [
        written!("rollout"),
        written!("rollout-failed"),
        written!("rollout-resumed"),
    ] {
        let record = RolloutRecord::decode(bytes).unwrap();
        is_written_as_before(&record, bytes);
        // Whoever writes over it keeps what it does not know.
        let more = with_more(bytes);
        let kept = RolloutRecord::decode(&more).unwrap().encode().unwrap();
        let [more, kept]: [Value; 2] = [more, kept].map(|it| serde_json::from_slice(&it).unwrap());
        assert_eq!(more, kept);
    }
    let record = RolloutRecord::decode(written!("rollout")).unwrap();
    assert_eq!((record.newest, record.named().count()), (7, 3));
    assert_eq!(
        (&record.stage, record.copy),
        (&Stage::Probation { inconclusive: 2 }, Some(StateCopy::Kept))
    );
    is_newer(RolloutRecord::decode(NEWER));
}

#[test]
fn a_generation() {
    let bytes = written!("generation");
    let envelope = Envelope::decode(bytes).unwrap();
    assert_eq!(
        (&*envelope.text, envelope.signatures.len()),
        ("{\"manifest\":1}\n", 1)
    );
    is_written_as_before(&envelope, bytes);
    assert_eq!(Envelope::decode(&with_more(bytes)), Ok(envelope));
    is_newer(Envelope::decode(NEWER));
}

/// A host of 0.1.0 at first left it empty: such a host is not elected out of turn.
#[test]
fn what_a_host_writes_into_its_candidate() {
    let bytes = written!("candidate");
    let record: CandidateRecord = decode(bytes).unwrap();
    assert_eq!(record.priority, 0);
    is_written_as_before(&record, bytes);
    assert_eq!(decode(&with_more(bytes)), Some(record));
    assert_eq!(decode::<CandidateRecord>(b""), None);
}

#[test]
fn what_a_host_says_of_a_generation() {
    for (bytes, is_ready) in [(written!("ready"), true), (written!("unready"), false)] {
        let record = ReadyRecord::read(bytes).unwrap();
        assert_eq!(record.of(7).map(Readiness::is_ready), Some(is_ready));
        is_written_as_before(&record, bytes);
        assert_eq!(ReadyRecord::read(&with_more(bytes)), Some(record));
    }
    assert_eq!(ReadyRecord::read(NEWER), None);
    assert_eq!(
        ReadyRecord::read(br#"{"generation":7,"state":"eager"}"#),
        None
    );
}
