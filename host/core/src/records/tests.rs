use super::*;
use crate::cause::Cause;
use crate::restart::PluginFailed;

#[test]
fn the_queue_is_ordered_by_sequence_and_strangers_have_no_place_in_it() {
    let names = [
        "c-00000000000000ff-b-1-0000000012",
        "c-ffffffffffffffaa-a-0000000003",
        "lock",
        "c-x",
        "c-aa--",
    ];
    let queue = queue(names.map(str::to_owned).to_vec());
    let seen: Vec<_> = queue
        .iter()
        .map(|it| (it.sequence, it.session, it.host.as_str()))
        .collect();
    assert_eq!(seen, [(3, -86, "a"), (12, 0xff, "b-1")]);
    assert!(queue[1].name.starts_with(&Candidate::prefix(0xff, "b-1")));
}

#[test]
fn a_candidate_is_a_node_of_the_session_in_its_name() {
    let candidate = |session| {
        Candidate::read(format!("{}0000000000", Candidate::prefix(session, "a"))).unwrap()
    };
    assert!(candidate(0xff).is_held_by(0xff) && candidate(-86).is_held_by(-86));
    for (session, owner) in [(0xff, 0), (0xff, 0xfe), (0, 0), (i64::MIN, i64::MIN)] {
        assert!(
            !candidate(session).is_held_by(owner),
            "{session:#x} {owner:#x}"
        );
    }
}

#[test]
fn failed_terms_are_counted_and_the_host_that_stands_again_first_is_named() {
    let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let failed = PluginFailed {
        cause: Cause::Trapped("why".into()),
        restarts: 3,
    };
    let term = |number, host: &str| Term {
        number,
        fencing_token: crate::term::FencingToken(number),
        task: "t".into(),
        host: host.into(),
        record_version: 1,
    };
    let first = FailedRecord::after(None, &term(4, "a"), &failed, at(100), |terms| {
        Some(at(100 + 60 * u64::from(terms)))
    });
    assert_eq!(
        (first.terms, first.retry_at.as_deref()),
        (1, Some("1970-01-01T00:02:40.000Z"))
    );
    let second = FailedRecord::after(Some(first.clone()), &term(5, "b"), &failed, at(150), |_| {
        Some(at(500))
    });
    assert_eq!(
        (second.terms, second.host.as_str(), &second.retry_at),
        (2, "b", &first.retry_at)
    );
    let third = FailedRecord::after(Some(second), &term(6, "c"), &failed, at(200), |_| None);
    assert_eq!(
        (third.terms, third.retry_at.clone()),
        (3, None),
        "what is past is not awaited"
    );
    assert_eq!(first.clone().at(at(159)), first);
    assert_eq!(
        first.clone().at(at(160)),
        FailedRecord {
            retry_at: None,
            ..first
        }
    );
    assert_eq!(decode::<FailedRecord>(&encode(&third)), Some(third));
}

#[test]
fn an_order_is_for_a_term_by_its_token_and_only_without_one_by_its_number() {
    let term = Term {
        number: 2,
        fencing_token: crate::term::FencingToken(70),
        task: "t".into(),
        host: "a".into(),
        record_version: 3,
    };
    let is_for = |text: &str| {
        decode::<ResignOrder>(text.as_bytes())
            .unwrap()
            .is_for(&term)
    };
    assert!(
        is_for(r#"{"term":2,"fencing_token":70}"#) && is_for(r#"{"term":9,"fencing_token":70}"#)
    );
    assert!(is_for(r#"{"term":2}"#) && is_for(r#"{"term":2,"to":"b","reason":"why"}"#));
    assert!(!is_for(r#"{"term":2,"fencing_token":69}"#) && !is_for(r#"{"term":3}"#));
}

#[test]
fn holders_are_named_whatever_they_wrote() {
    assert_eq!(holder_name(br#"{"host":"b","term":3}"#, 1), "b");
    assert_eq!(holder_name(b"10.0.0.1\x1b[2J:80", 1), "10.0.0.1[2J:80");
    assert_eq!(holder_name(b"", 0xab), "session 0xab");
    assert_eq!(
        holder_name(&[0xff; 10_000], 1).chars().count(),
        FOREIGN_SHOWN_CHARS
    );
}

#[test]
fn parents_stop_below_the_root() {
    assert_eq!(parent("/a/b"), Some("/a"));
    assert_eq!(parent("/a"), None);
}
