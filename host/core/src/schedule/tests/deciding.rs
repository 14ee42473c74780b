//! Which slot is run next.

use super::*;

/// A schedule of a slot a minute that began at 3 o'clock; what came of it at the time told is checked.
struct Minutes {
    schedule: Schedule,
    record: Record,
}

impl Minutes {
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(every(60));
        change(&mut settings);
        let schedule = schedule(settings);
        let record = begun(&schedule, at("2026-11-26T03:00:00Z"));
        Self { schedule, record }
    }

    /// Which minutes are run, and which are missed and why.
    fn run(&mut self, now: Now) -> (Vec<u64>, Vec<(MissedCause, u64, u64)>) {
        let minute = |slot: Time| (slot.as_secs() - at("2026-11-26T03:00:00Z").as_secs()) / 60;
        let (claims, missed) = run_all(&self.schedule, &mut self.record, now);
        let claims = claims.iter().map(|claim| minute(claim.at)).collect();
        let missed = missed
            .iter()
            .map(|missed| (missed.cause, minute(missed.first), minute(missed.last)));
        (claims, missed.collect())
    }
}

fn minute(minute: u64) -> Time {
    at("2026-11-26T03:00:00Z") + Duration::from_secs(60 * minute)
}

#[test]
fn a_schedule_begins_when_it_is_first_waited_for() {
    let mut minutes = Minutes::with(|_| ());
    assert_eq!(minutes.run(now(minute(0))), (vec![], vec![]));
    let decision = minutes
        .schedule
        .decide(Some(&minutes.record), now(minute(0)));
    assert_eq!(
        (decision.record, decision.then),
        (None, Then::Wait(minute(1)))
    );
    assert_eq!(minutes.run(now(minute(1))), (vec![1], vec![]));
}

#[test]
fn a_slot_that_was_waited_for_is_run_whatever_becomes_of_late_ones() {
    for on_missed in [OnMissed::Skip, OnMissed::RunLast, OnMissed::RunAll] {
        let mut minutes = Minutes::with(|settings| {
            settings.on_missed = on_missed;
            settings.catch_up = Duration::ZERO;
        });
        let waited = Now {
            time: minute(1) + Duration::from_secs(7),
            ..now(minute(0))
        };
        assert_eq!(minutes.run(waited), (vec![1], vec![]));
    }
}

#[test]
fn late_slots_are_run_as_on_missed_says() {
    use MissedCause::OnMissed as Cause;
    let late =
        |on_missed| Minutes::with(|settings| settings.on_missed = on_missed).run(now(minute(4)));
    // The fourth is due at that very moment: it is waited for.
    assert_eq!(late(OnMissed::Skip), (vec![4], vec![(Cause, 1, 3)]));
    assert_eq!(late(OnMissed::RunLast), (vec![4], vec![(Cause, 1, 3)]));
    assert_eq!(late(OnMissed::RunAll), (vec![1, 2, 3, 4], vec![]));
    let time = minute(4) + Duration::from_secs(30);
    let late = |on_missed| Minutes::with(|settings| settings.on_missed = on_missed).run(now(time));
    assert_eq!(late(OnMissed::Skip), (vec![], vec![(Cause, 1, 4)]));
    assert_eq!(late(OnMissed::RunLast), (vec![4], vec![(Cause, 1, 3)]));
}

#[test]
fn slots_older_than_the_catch_up_window_are_missed() {
    let mut minutes = Minutes::with(|settings| {
        settings.on_missed = OnMissed::RunAll;
        settings.catch_up = Duration::from_secs(150);
    });
    let (claims, missed) = minutes.run(now(minute(10)));
    assert_eq!(
        (claims, missed),
        (vec![8, 9, 10], vec![(MissedCause::CatchUp, 1, 7)])
    );
    // A machine that was suspended waited, but not for so long.
    let woken = Now {
        time: minute(20) + Duration::from_secs(5),
        waiting_since: minute(10),
        ..now(minute(20))
    };
    assert_eq!(
        minutes.run(woken),
        (vec![18, 19, 20], vec![(MissedCause::CatchUp, 11, 17)])
    );
}

#[test]
fn slots_that_come_while_one_is_run_are_skipped_or_one_is_kept() {
    let while_busy = |overlap| {
        let mut minutes = Minutes::with(|settings| settings.overlap = overlap);
        let time = minute(5) + Duration::from_secs(1);
        let busy = Some(Busy {
            since: minute(1) + Duration::from_secs(1),
        });
        assert_eq!(minutes.run(now(minute(1))).0, [1]);
        minutes.run(Now {
            time,
            waiting_since: time,
            busy,
            token: TOKEN,
        })
    };
    let cause = MissedCause::Overlap;
    assert_eq!(while_busy(Overlap::Skip), (vec![], vec![(cause, 2, 5)]));
    assert_eq!(
        while_busy(Overlap::BufferOne),
        (vec![5], vec![(cause, 2, 4)])
    );
}

#[test]
fn a_slot_that_was_not_completed_is_run_again_with_the_same_key() {
    let mut minutes = Minutes::with(|_| ());
    let decision = minutes
        .schedule
        .decide(Some(&minutes.record), now(minute(1)));
    let Then::Run(first) = decision.then else {
        panic!("{decision:?}")
    };
    let record = decision.record.unwrap();
    let next = Now {
        token: TOKEN + 1,
        ..now(minute(3))
    };
    // Whatever its rule is by then.
    for rule in [every(60), every(10)] {
        let schedule = schedule(settings(rule));
        let decision = schedule.decide(Some(&record), next);
        let Then::Run(again) = decision.then else {
            panic!("{decision:?}")
        };
        assert_eq!(
            (again.at, again.attempt, again.token),
            (first.at, 2, TOKEN + 1)
        );
        let record = decision.record.unwrap();
        assert_eq!(
            complete(&record, first),
            None,
            "it was claimed by somebody else"
        );
        let completed = complete(&record, again).unwrap();
        assert_eq!(complete(&completed, again), None, "it is completed once");
    }
    minutes.record = complete(&record, first).unwrap();
    assert_eq!(minutes.run(now(minute(2))).0, [2]);
}

#[test]
fn a_slot_tells_how_many_were_missed_before_it() {
    let minutes = Minutes::with(|settings| settings.on_missed = OnMissed::Skip);
    let time = minute(3) + Duration::from_secs(30);
    let decision = minutes.schedule.decide(Some(&minutes.record), now(time));
    assert_eq!(decision.then, Then::Again);
    let record = decision.record.unwrap();
    let waited = Now {
        time: minute(4),
        ..now(time)
    };
    let decision = minutes.schedule.decide(Some(&record), waited);
    let Then::Run(claim) = decision.then else {
        panic!("{decision:?}")
    };
    assert_eq!((claim.missed, claim.at), (3, minute(4)));
    let record = complete(&decision.record.unwrap(), claim).unwrap();
    let Then::Run(claim) = minutes.schedule.decide(Some(&record), now(minute(5))).then else {
        panic!("the next one is due")
    };
    assert_eq!(claim.missed, 0);
}

#[test]
fn a_schedule_of_another_rule_begins_anew() {
    let minutes = Minutes::with(|_| ());
    let tens = schedule(settings(every(10)));
    let decision = tens.decide(Some(&minutes.record), now(minute(9)));
    assert_eq!((decision.missed.len(), decision.then), (0, Then::Again));
    let record = decision.record.unwrap();
    let decision = tens.decide(Some(&record), now(minute(9)));
    assert_eq!(
        decision.then,
        Then::Wait(minute(9) + Duration::from_secs(10))
    );
}

#[test]
fn more_missed_slots_than_are_looked_at_stop_nothing() {
    let mut seconds = settings(every(1));
    seconds.on_missed = OnMissed::RunAll;
    seconds.catch_up = CATCH_UP_MAX;
    let schedule = schedule(seconds);
    let mut record = begun(&schedule, at("2020-01-01T00:00:00Z"));
    let time = at("2020-11-26T03:00:00Z");
    let (claims, missed) = run_all(&schedule, &mut record, now(time));
    assert_eq!(claims.len(), REMEMBERED_MAX);
    assert_eq!(claims.last().unwrap().at, time);
    let forgotten = Missed {
        cause: MissedCause::TooMany,
        slots: None,
        first: at("2020-01-01T00:00:01Z"),
        last: claims[0].at - Duration::from_secs(1),
    };
    assert_eq!(missed, [forgotten]);
}

/// With a jitter of a day, the last thousand slots of a schedule that is as dense as can be are not due yet.
#[test]
fn slots_that_are_forgotten_before_they_are_due_stop_nothing() {
    let mut seconds = settings(cron("* * * * * *", "UTC"));
    seconds.jitter = JITTER_MAX;
    let schedule = schedule(seconds);
    let mut record = begun(&schedule, at("2020-01-01T00:00:00Z"));
    let (_, missed) = run_all(&schedule, &mut record, now(at("2020-01-02T12:00:00Z")));
    assert_eq!(missed[0].cause, MissedCause::TooMany);
}

#[test]
fn a_record_far_ahead_of_the_clock_is_said() {
    let minutes = Minutes::with(|_| ());
    let ahead = |time| {
        minutes
            .schedule
            .decide(Some(&minutes.record), now(time))
            .ahead
    };
    assert_eq!(ahead(minute(0) - Duration::from_secs(60)), None);
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(ahead(minute(0) - day), Some(day));
}

#[test]
fn records_that_no_host_wrote_are_refused_with_a_reason() {
    let minutes = Minutes::with(|_| ());
    let Then::Run(claim) = minutes
        .schedule
        .decide(Some(&minutes.record), now(minute(1)))
        .then
    else {
        panic!("one is due")
    };
    let full = Record {
        slot: Some(Claim {
            attempt: u32::MAX,
            token: u64::MAX,
            missed: u32::MAX,
            ..claim
        }),
        missed: u32::MAX,
        rule: cron(&"1,".repeat(64), &"x".repeat(64)).to_string(),
        ..minutes.record.clone()
    };
    for record in [full, minutes.record.clone()] {
        let written = record.encode();
        assert!(written.len() < RECORD_MAX_BYTES / 2);
        assert_eq!(Record::decode(&written), Ok(record));
    }
    let text = String::from_utf8(minutes.record.encode()).unwrap();
    assert_eq!(
        text,
        r#"{"version":1,"rule":"every 60 s","after":"2026-11-26T03:00:00.000Z","missed":0}"#
    );
    let later = text.replacen('1', "2", 1);
    assert_eq!(
        Record::decode(later.as_bytes()),
        Err(RecordError::Version(2))
    );
    for bad in [
        "",
        "null",
        "{}",
        "[1]",
        "\u{0}",
        r#"{"version":1}"#,
        r#"{"version":-1,"rule":"","after":"2026-11-26T03:00:00Z"}"#,
        r#"{"version":1,"rule":"","after":"soon"}"#,
        r#"{"version":1,"rule":"","after":"99999-11-26T03:00:00Z"}"#,
        r#"{"version":1,"rule":"","after":"2026-11-26T03:00:00Z","slot":{"at":1}}"#,
        r#"{"version":1,"rule":"","after":"2026-11-26T03:00:00Z","missed":-1}"#,
        &"[".repeat(9_000),
        &text.replace("every", &"x".repeat(RECORD_MAX_BYTES)),
    ] {
        assert_eq!(
            Record::decode(bad.as_bytes()),
            Err(RecordError::Unreadable),
            "{bad}"
        );
    }
    assert_eq!(Record::decode(&[0xff, 0xfe]), Err(RecordError::Unreadable));
}
