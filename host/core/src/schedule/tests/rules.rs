//! When slots are, and what cannot be a schedule.

use super::*;

/// The next slots after a moment, as UTC has them.
fn slots(rule: Rule, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(settings(rule));
    let next = |time: &Time| schedule.next_after(*time);
    let slots = std::iter::successors(schedule.next_after(at(after)), next);
    slots.take(count).map(|slot| slot.to_string()).collect()
}

#[test]
fn an_expression_has_five_fields_or_six_or_a_name() {
    let after = "2026-11-26T12:34:56Z";
    for (expression, slot) in [
        ("0 3 * * *", "2026-11-27T03:00:00Z"),
        ("*/15 * * * *", "2026-11-26T12:45:00Z"),
        ("30 * * * * *", "2026-11-26T12:35:30Z"),
        ("  0   9  * *  MON-FRI ", "2026-11-27T09:00:00Z"),
        ("0 0 L * *", "2026-11-30T00:00:00Z"),
        // Either day will do, as in Vixie's cron.
        ("0 0 13 * FRI", "2026-11-27T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("@hourly", "2026-11-26T13:00:00Z"),
        ("@Daily", "2026-11-27T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
    ] {
        assert_eq!(slots(cron(expression, "UTC"), after, 1), [slot]);
    }
    assert_eq!(
        slots(cron("0 3 * * *", "Europe/Berlin"), after, 1),
        ["2026-11-27T02:00:00Z"]
    );
    assert_eq!(slots(every(3600), after, 1), ["2026-11-26T13:00:00Z"]);
    assert_eq!(
        slots(every(1), "2026-11-26T12:34:56.789Z", 2),
        ["2026-11-26T12:34:57Z", "2026-11-26T12:34:58Z"]
    );
}

/// In Berlin the clock goes from 2 to 3 on 2026-03-29 at 01:00 UTC, and from 3 to 2 on 2026-10-25 at 01:00 UTC.
#[test]
fn slots_at_changes_of_the_clock_are_those_of_vixies_cron() {
    let berlin = |expression| cron(expression, "Europe/Berlin");
    let (gap, fold) = ("2026-03-28T22:59:00Z", "2026-10-24T21:59:00Z");
    // A fixed time that is left out comes right after the change, and once.
    assert_eq!(
        slots(berlin("30 2 * * *"), gap, 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    // A fixed time that comes twice is the first of the two.
    assert_eq!(
        slots(berlin("30 2 * * *"), fold, 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    // What comes every so often goes by the time that passes.
    assert_eq!(
        slots(berlin("*/30 * * * *"), "2026-03-29T00:29:00Z", 4),
        [
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:30:00Z",
            "2026-03-29T02:00:00Z"
        ]
    );
    assert_eq!(
        slots(berlin("*/30 * * * *"), "2026-10-24T23:59:00Z", 6)
            .last()
            .unwrap(),
        "2026-10-25T02:30:00Z"
    );
    assert_eq!(
        slots(berlin("@hourly"), "2026-10-24T23:59:00Z", 3),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z"
        ]
    );
}

#[test]
fn what_cannot_be_a_schedule_is_named() {
    let refused = |settings: Settings| Schedule::new("report", settings).unwrap_err().to_string();
    let of = |rule: Rule| refused(settings(rule));
    for (expression, told) in [
        (
            "61 * * * *",
            "cron: \"61\" in the field minute: number out of bounds",
        ),
        (
            "* * * * * * *",
            "cron: \"* * * * * * *\" has 7 fields: write five",
        ),
        (
            "0 25 * * *",
            "cron: \"25\" in the field hour: number out of bounds",
        ),
        (
            "90 0 5 * * *",
            "cron: \"90\" in the field second: number out of bounds",
        ),
        (
            "0 0 * * FOO",
            "cron: \"FOO\" in the field day of week: write numbers, names like MON",
        ),
        (
            "0 0 32 * *",
            "cron: \"32\" in the field day of month: number out of bounds",
        ),
        (
            "0 0 1 13 *",
            "cron: \"13\" in the field month: number out of bounds",
        ),
        (
            "*/0 * * * *",
            "cron: \"*/0\" in the field minute: step cannot be zero",
        ),
        (
            "é * * * *",
            "cron: \"é\" in the field minute: write numbers",
        ),
        ("", "cron: \"\" has 0 fields"),
        (
            "@reboot",
            "cron: \"@reboot\" is no name: write @yearly, @annually, @monthly",
        ),
        (
            "0 0 30 2 *",
            "cron: \"0 0 30 2 *\" is never: no such day comes",
        ),
        (
            &"1,".repeat(100),
            "cron: the expression is longer than 128 bytes",
        ),
    ] {
        let text = of(cron(expression, "UTC"));
        assert!(text.starts_with(told), "{text}");
    }
    assert_eq!(
        of(cron("@daily", "Mars/Base")),
        "zone: \"Mars/Base\" is no time zone: write UTC, or a name like \"Europe/Berlin\""
    );
    assert!(of(cron("@daily", &"x".repeat(10_000))).len() < 200);
    for period in [
        Duration::ZERO,
        Duration::from_millis(1500),
        Duration::from_secs(367 * 24 * 60 * 60),
    ] {
        assert!(of(Rule::Every(period)).starts_with("every: write whole seconds"));
    }
    let base = || settings(every(60));
    for name in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(65)] {
        let name = name.to_owned();
        assert!(refused(Settings { name, ..base() }).starts_with("name: write "));
    }
    let jitter = Duration::from_secs(61);
    assert!(refused(Settings { jitter, ..base() }).starts_with("jitter: "));
    let (rule, jitter) = (cron("@daily", "UTC"), Duration::from_secs(24 * 60 * 60 + 1));
    assert!(
        refused(Settings {
            rule,
            jitter,
            ..base()
        })
        .starts_with("jitter: ")
    );
    let catch_up = Duration::MAX;
    assert!(refused(Settings { catch_up, ..base() }).starts_with("catch-up: "));
}

#[test]
fn a_slot_has_a_key_and_a_delay_of_its_own() {
    let jitter = Duration::from_secs(30);
    let schedule = schedule(Settings {
        jitter,
        ..settings(every(60))
    });
    let slot = at("2026-11-26T03:00:00Z");
    assert_eq!(schedule.key(slot), "report/main@2026-11-26T03:00:00Z");
    let delays: BTreeSet<u64> = (0..100)
        .map(|number| {
            let slot = slot + Duration::from_secs(60 * number);
            (schedule.due(slot) - Duration::from_millis(slot.as_millis())).as_millis()
        })
        .collect();
    assert!(
        delays.len() > 90 && *delays.last().unwrap() < 30_000,
        "{delays:?}"
    );
}

/// The slots that a plugin would have looked for are counted: none of them may hold the thread for long.
#[test]
fn slots_that_are_rare_and_then_dense_are_not_all_looked_for() {
    use std::cell::Cell;

    use crate::schedule::rule::last_between;

    let (start, now) = (at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"));
    for gap_days in [1, 30, 180, 363] {
        // Every second up to a day, and nothing since.
        let end = now - Duration::from_secs(gap_days * 24 * 60 * 60);
        let searches = Cell::new(0);
        let next = |time: Time| {
            searches.set(searches.get() + 1);
            let slot = Time::from_secs(time.as_secs() + 1);
            (slot <= end).then_some(slot)
        };
        let (slots, forgotten) = last_between(start, now, next);
        assert!(searches.get() < 100_000, "{gap_days}: {}", searches.get());
        assert!(
            slots.len() <= REMEMBERED_MAX && slots.last() == Some(&end),
            "{gap_days}"
        );
        assert!(slots.is_sorted());
        if end.saturating_since(start) > Duration::from_secs(REMEMBERED_MAX as u64) {
            assert_eq!(slots.len(), REMEMBERED_MAX);
            let (_, last) = forgotten.unwrap();
            assert_eq!(last + Duration::from_secs(1), slots[0]);
        }
    }
}

#[test]
fn texts_that_are_longer_than_any_are_known_before_they_are_kept() {
    let long = "x".repeat(1000);
    let fine = settings(cron("@hourly", "UTC"));
    assert!(!fine.is_too_long());
    let named = Settings {
        name: long.clone(),
        ..fine
    };
    for bad in [
        named,
        settings(cron(&long, "UTC")),
        settings(cron("@hourly", &long)),
    ] {
        assert!(bad.is_too_long());
        assert!(Schedule::new("task", bad).is_err());
    }
}

#[test]
fn a_record_tells_when_its_next_slots_are() {
    let rules = [
        cron("0 3 * * *", "Europe/Berlin"),
        cron("  30 0   9 * *  MON-FRI ", "UTC"),
        cron("@hourly", "UTC"),
        every(90),
    ];
    let time = at("2026-11-26T12:34:56Z");
    for rule in rules {
        let schedule = schedule(settings(rule));
        let next = |slot: &Time| schedule.next_after(*slot);
        let expected: Vec<_> = std::iter::successors(schedule.next_after(time), next)
            .take(3)
            .collect();
        assert_eq!(begun(&schedule, time).slots_after(time, 3), Some(expected));
    }
    for rule in [
        "",
        "every",
        "every 0 s",
        "every x s",
        "cron",
        "cron UTC",
        "cron 0 3 * * * Nowhere",
    ] {
        let record = Record::new(rule.into(), time);
        assert_eq!(record.slots_after(time, 3), None, "{rule}");
    }
}

/// Anybody may have written the rule, and whoever shows it must not search until the end of all calendars.
#[test]
fn the_next_slots_of_a_record_are_not_looked_for_beyond_some_years() {
    let time = at("2026-11-26T12:34:56Z");
    for (rule, expected) in [
        // No such day.
        ("cron 0 0 31 2 * UTC", &[][..]),
        // The first of a month is not the fifth Monday of it.
        ("cron 0 0 1 * +MON#5 UTC", &[]),
        // In 2044.
        ("cron 0 0 29 2 +MON UTC", &[]),
        // The clock goes forward on that day, over that hour.
        ("cron * 2 * 3 SUN#L Europe/Berlin", &[]),
        (
            "cron 0 0 29 2 * UTC",
            &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
        ),
        (
            "cron 30 2 * 3 SUN#L Europe/Berlin",
            &["2027-03-28T01:00:00Z", "2028-03-26T01:00:00Z"],
        ),
    ] {
        let slots = Record::new(rule.into(), time).slots_after(time, 2).unwrap();
        let slots: Vec<_> = slots.iter().map(Time::to_string).collect();
        assert_eq!(slots, expected, "{rule}");
    }
}
