use proptest::prelude::*;
use serde_json::json;

use super::super::{
    DETAIL_MAX_CHARS, Envelope, FailedRecord, GENERATION_MAX_BYTES, History, Readiness,
    ReadyRecord, SIGNATURES_MAX, TermRecord, TermState, decode,
};
use super::*;
use crate::digest::Digest;
use crate::text::is_printable;

fn generation(number: u64) -> Generation {
    Generation {
        number,
        sha256: Digest::of(&number.to_le_bytes()),
    }
}

fn full() -> RolloutRecord {
    RolloutRecord {
        newest: 8,
        current: Some(generation(6)),
        stage: Stage::RolledBack(Failure::new(generation(7), "trap", "unreachable")),
        wanted: Some(generation(8)),
        copy: Some(StateCopy::Kept),
        restore: true,
        paused: Some(Paused {
            reason: "a look at the disk".into(),
        }),
        ..RolloutRecord::before_the_first(Changed::new("ann@desk", "2026-11-26T12:00:00.000Z"))
    }
}

/// The record of `full`, with some of its fields replaced.
fn written(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(&full().encode().unwrap()).unwrap();
    change(value.as_object_mut().unwrap());
    value.to_string().into_bytes()
}

#[test]
fn a_record_reads_as_it_was_written() {
    let first = RolloutRecord {
        newest: 1,
        current: Some(generation(1)),
        stage: Stage::Probation { inconclusive: 2 },
        ..RolloutRecord::before_the_first(Changed::new("a", "b"))
    };
    for record in [first.clone(), full()] {
        let read = RolloutRecord::decode(&record.encode().unwrap());
        assert_eq!(read, Ok(record));
    }
    let sha256 = generation(1).sha256.to_string();
    let shape = json!({
        "version": 1,
        "newest": 1,
        "current": {"generation": 1, "sha256": sha256},
        "stage": {"probation": {"inconclusive": 2}},
        "changed": {"by": "a", "at": "b"},
    });
    let read: Value = serde_json::from_slice(&first.encode().unwrap()).unwrap();
    assert_eq!(read, shape, "what other programs read does not change");
}

#[test]
fn a_newer_record_is_refused_whatever_its_shape_and_what_is_no_record_as_well() {
    let newer = FormatError::Version {
        what: "record of a rollout",
        found: 2,
        known: 1,
    };
    let read = RolloutRecord::decode(br#"{"version":2,"stage":["anything"]}"#);
    assert_eq!(read, Err(newer.clone()));
    assert_eq!(
        newer.to_string(),
        "it is a record of a rollout of version 2, and this host knows version 1: update this host"
    );
    let no_record = RolloutRecord::decode(b"{}").unwrap_err().to_string();
    assert!(no_record.contains("deploy the task again"), "{no_record}");
    let long = vec![b' '; RECORD_MAX_BYTES + 1];
    assert!(matches!(
        RolloutRecord::decode(&long),
        Err(FormatError::TooLong { .. })
    ));
    for data in [b"".as_slice(), b"null", b"[1]", &vec![b'['; 9_000]] {
        assert_eq!(RolloutRecord::decode(data), Err(FORMAT.unreadable()));
    }
}

#[test]
fn what_contradicts_itself_is_no_record() {
    let contradictions: [(&str, Value); 9] = [
        ("newest", json!(7)),
        ("newest", json!(NUMBER_MAX + 1)),
        ("current", Value::Null),
        (
            "current",
            json!({"generation": 0, "sha256": "00".repeat(32)}),
        ),
        ("wanted", json!({"generation": 8, "sha256": "00"})),
        ("stage", json!("undeployed")),
        ("stage", json!("unheard-of")),
        ("stage", json!("rolled-back")),
        ("copy", json!("stale")),
    ];
    for (field, value) in contradictions {
        let data = written(|record| {
            record.insert(field.into(), value.clone());
        });
        assert_eq!(
            RolloutRecord::decode(&data),
            Err(FORMAT.unreadable()),
            "{field}: {value}"
        );
    }
}

#[test]
fn fields_of_another_build_are_kept_and_bounded() {
    let data = written(|record| {
        record.insert("canary".into(), json!({"percent": 10}));
    });
    let mut read = RolloutRecord::decode(&data).unwrap();
    read.wanted = None;
    let again: Value = serde_json::from_slice(&read.encode().unwrap()).unwrap();
    assert_eq!(again["canary"], json!({"percent": 10}));
    assert_eq!(again.get("wanted"), None);
    read.other
        .insert("much".into(), json!("x".repeat(RECORD_MAX_BYTES)));
    assert!(matches!(read.encode(), Err(FormatError::TooLong { .. })));
}

#[test]
fn texts_that_anybody_wrote_are_printable_and_bounded() {
    let hostile = format!("\u{1b}[2J\u{202e}{}", "é".repeat(1_000));
    let failure = json!({
        "from": {"generation": 7, "sha256": "00".repeat(32)}, "cause": hostile, "detail": hostile,
    });
    let data = written(|record| {
        record.insert("stage".into(), json!({"rolled-back": failure}));
        record.insert("paused".into(), json!({"reason": hostile}));
        record.insert("changed".into(), json!({"by": hostile, "at": "\n"}));
    });
    let read = RolloutRecord::decode(&data).unwrap();
    let Stage::RolledBack(failure) = &read.stage else {
        panic!("{read:?}")
    };
    let ready = json!({"generation": 3, "state": "unready", "reason": hostile});
    let ready = ReadyRecord::read(ready.to_string().as_bytes()).unwrap();
    let Some(Readiness::Unready { reason }) = ready.of(3) else {
        panic!("{ready:?}")
    };
    let paused = &read.paused.as_ref().unwrap().reason;
    for text in [
        &failure.cause,
        &failure.detail,
        paused,
        &read.changed.by,
        reason,
    ] {
        assert!(text.starts_with("\\u{1b}[2J\\u{202e}é"), "{text}");
        assert!(text.chars().all(is_printable) && text.chars().count() <= DETAIL_MAX_CHARS);
    }
    assert_eq!(read.changed.at, "\\n");
}

#[test]
fn a_host_says_how_far_it_is_and_only_about_one_generation() {
    for readiness in [
        Readiness::Preparing,
        Readiness::Ready,
        Readiness::unready("the disk is full"),
    ] {
        let record = ReadyRecord {
            generation: 7,
            readiness,
        };
        let read = ReadyRecord::read(&encode(&record)).unwrap();
        assert_eq!(read, record);
        assert_eq!((read.of(7), read.of(8)), (Some(&record.readiness), None));
    }
    let ready = br#"{"generation":7,"state":"ready","later":1}"#;
    assert!(ReadyRecord::read(ready).unwrap().readiness.is_ready());
    for data in [
        b"".as_slice(),
        b"{}",
        br#"{"generation":7,"state":"unready"}"#,
        br#"{"generation":7,"state":"eager"}"#,
        br#"{"generation":-1,"state":"ready"}"#,
        &vec![b' '; 90_000],
    ] {
        assert_eq!(ReadyRecord::read(data), None);
    }
}

#[test]
fn a_generation_is_kept_byte_for_byte_and_bounded() {
    let text = "{ \"manifest\": 1,\r\n\t\"by\": \"né\" }\n".to_owned();
    let envelope = Envelope::new(text.clone(), vec!["untrusted comment: x\nRW".into()]).unwrap();
    let read = Envelope::decode(&envelope.encode()).unwrap();
    assert_eq!((&read, &read.text), (&envelope, &text));
    assert_eq!(read.sha256(), Digest::of(text.as_bytes()));
    // Each quote takes two bytes in the node.
    let long = "\"".repeat(GENERATION_MAX_BYTES / 2);
    assert!(matches!(
        Envelope::new(long, Vec::new()),
        Err(FormatError::TooLong { .. })
    ));
    let fits = Envelope::new("x".repeat(GENERATION_MAX_BYTES - 64), Vec::new()).unwrap();
    assert!(fits.encode().len() <= GENERATION_MAX_BYTES);
    assert!(Envelope::new(text, vec![String::new(); SIGNATURES_MAX + 1]).is_err());
    let newer = Envelope::decode(br#"{"version":3}"#).unwrap_err();
    assert!(newer.to_string().ends_with("update this host"), "{newer}");
    for data in [
        b"".as_slice(),
        b"{}",
        br#"{"version":1}"#,
        br#"{"version":1,"text":""}"#,
    ] {
        assert!(matches!(
            Envelope::decode(data),
            Err(FormatError::Unreadable { .. })
        ));
    }
}

/// What hosts wrote before tasks could be deployed.
#[test]
fn records_of_earlier_hosts_read_and_are_written_as_before() {
    let term = br#"{"number":4,"host":"b","since":"2026-11-20T08:00:00.000Z","state":"active","completed":[{"what":"import","term":2,"host":"a","at":"2026-11-19T08:00:00.000Z"}]}"#;
    let (record, _) = TermRecord::read(term, 9);
    assert_eq!((record.term.generation, record.term.digest), (None, None));
    assert_eq!((record.term.number, record.state), (4, TermState::Active));
    assert_eq!(encode(&record), term);
    let history = br#"[{"number":3,"host":"a","since":"2026-11-20T07:00:00.000Z","fencing_token":4294967301,"end":{"at":"2026-11-20T07:59:00.000Z","reason":"failed","cause":"trap","detail":"unreachable"}}]"#;
    let read = History::read(history);
    assert_eq!((read.0.len(), read.0[0].generation), (1, None));
    assert_eq!(encode(&read), history);
    let failed = br#"{"terms":2,"term":3,"fencing_token":4294967301,"host":"a","at":"2026-11-20T07:59:00.000Z","cause":"trap","detail":"unreachable","retry_at":null}"#;
    let read: FailedRecord = decode(failed).unwrap();
    assert!(read.is_about_generation(None) && !read.is_about_generation(Some(7)));
    assert_eq!(encode(&read), failed);
    assert!(read.in_generation(Some(7)).is_about_generation(Some(7)));
}

#[test]
fn a_term_keeps_its_generation_when_it_is_lost() {
    let digest = Digest::of(b"plugin");
    let record = TermRecord::new(4, "b", None).running(Some(7), Some(digest));
    let (read, _) = TermRecord::read(&encode(&record), 9);
    assert_eq!(read, record);
    let lost = read.lost(70).unwrap();
    assert_eq!((lost.generation, lost.digest), (Some(7), Some(digest)));
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn whatever_the_bytes_reading_ends(data: Vec<u8>, field in "[a-z]{1,8}", text: String, number: u64) {
        let _ = RolloutRecord::decode(&data);
        let _ = Envelope::decode(&data);
        let _ = ReadyRecord::read(&data);
        let data = written(|record| {
            record.insert(field, json!({ text: number }));
        });
        if let Ok(read) = RolloutRecord::decode(&data) {
            prop_assert_eq!(RolloutRecord::decode(&read.encode().unwrap()), Ok(read));
        }
    }
}
