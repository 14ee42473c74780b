use super::super::{DETAIL_MAX_CHARS, History, PAST_TERMS_MAX, RECORD_MAX_BYTES, encode};
use super::*;
use crate::cause::Cause;

#[test]
fn a_term_follows_a_term_and_the_history_is_bounded() {
    let mut history = History::default();
    for number in 1..100 {
        let record = TermRecord::new(number, "a", None);
        let entry = if number % 2 == 0 {
            assert_eq!(record.clone().released(Some("b".into())).lost(7), None);
            record.term.ended(
                number + 1_000,
                End::now("resigned", Some(&"x".repeat(10_000))),
            )
        } else {
            record.lost(number + 1_000).unwrap()
        };
        history = history.with(entry);
    }
    assert_eq!(history.0.len(), PAST_TERMS_MAX);
    let seen: Vec<_> = history.0[..2]
        .iter()
        .map(|it| (it.number, it.fencing_token, &it.end))
        .collect();
    let reasons = seen
        .iter()
        .map(|(_, _, end)| end.as_ref().unwrap().reason.as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["lost", "resigned"]);
    assert_eq!(
        (seen[0].0, seen[0].1, seen[1].1),
        (99, Some(1_099), Some(1_098))
    );
    let written = encode(&history);
    assert!(written.len() < RECORD_MAX_BYTES / 2);
    assert_eq!(History::read(&written), history);
}

#[test]
fn a_history_that_no_host_wrote_is_an_empty_one_or_bounded() {
    for data in [
        b"".as_slice(),
        b"{}",
        b"null",
        b"[1]",
        &vec![b'['; 9_000],
        &vec![b' '; 90_000],
    ] {
        assert_eq!(History::read(data), History::default());
    }
    let term = TermRecord::new(1, "a", None).term;
    assert_eq!(
        History::read(&encode(&vec![term; 100])).0.len(),
        PAST_TERMS_MAX
    );
    assert_eq!(TermRecord::before_the_first().lost(7), None);
}

#[test]
fn what_was_done_once_is_known_by_its_name_and_bounded() {
    let mut record = TermRecord::before_the_first();
    assert_eq!(record.completion(""), None);
    for number in 1..100 {
        record = TermRecord {
            completed: record.completed,
            ..TermRecord::new(number, &"h".repeat(128), None)
        };
        record = record
            .completing(&format!("{number:0128}"))
            .completing("again")
            .released(None);
    }
    let again = record.completion("again").unwrap();
    assert_eq!((again.term, record.completed.len()), (99, COMPLETIONS_MAX));
    assert!(
        record.completion(&format!("{:0128}", 99)).is_some() && record.completion("").is_none()
    );
    let written = encode(&record);
    assert!(written.len() < RECORD_MAX_BYTES / 2);
    assert_eq!(TermRecord::read(&written, 200).0, record);
}

#[test]
fn the_end_of_a_failed_term_is_bounded_and_older_records_read_as_well() {
    let failed = PluginFailed {
        cause: Cause::Panicked("é".repeat(10_000)),
        restarts: 3,
    };
    let end = End::failed(&failed);
    assert_eq!(
        (end.reason.as_str(), end.cause.as_deref()),
        ("failed", Some("panic"))
    );
    assert_eq!(
        end.detail.as_ref().unwrap().chars().count(),
        DETAIL_MAX_CHARS
    );
    assert_eq!(decode::<End>(&encode(&end)), Some(end));
    let older = decode::<End>(br#"{"at":"2026-01-01T00:00:00Z","reason":"lost"}"#).unwrap();
    assert_eq!(
        (older.reason.as_str(), older.cause, older.detail),
        ("lost", None, None)
    );
}

#[test]
fn a_term_that_is_told_late_has_its_place_and_the_highest_number_is_known() {
    let term = |number| TermRecord::new(number, "a", None).term;
    let ended = |number| term(number).ended(100 + number, End::now("resigned", None));
    let history = History::default()
        .with(ended(1))
        .with(ended(3))
        .with(ended(2))
        .with(term(NUMBER_MAX + 1));
    assert_eq!(
        history.0.iter().map(|term| term.number).collect::<Vec<_>>(),
        [3, 2, 1, NUMBER_MAX + 1]
    );
    assert_eq!((history.highest(), History::default().highest()), (3, 0));
    assert!(history.has(102) && !history.has(104));
}

#[test]
fn term_records_that_no_host_wrote_never_lower_the_number() {
    let version = 7;
    let record = |number| encode(&TermRecord::new(number, "a", None));
    let kept = Record {
        number: 5,
        version,
        history: 0,
        host: Some("a".into()),
        released: false,
    };
    assert_eq!(TermRecord::read(&record(5), version).1, kept);
    // One that was made anew when the history had five terms.
    assert_eq!(TermRecord::read(&record(6), 1).1.number, 6);
    for data in [
        record(NUMBER_MAX + 1).as_slice(),
        b"",
        b"{}",
        b"null",
        &vec![b'['; 9_000],
        &vec![b' '; 90_000],
    ] {
        let unknown = Record {
            number: 7,
            version,
            history: 0,
            host: None,
            released: false,
        };
        assert_eq!(TermRecord::read(data, version).1, unknown);
    }
}
