//! What holds for every schedule, whatever the clock does.

use super::*;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Sao_Paulo",
];

fn rules() -> impl Strategy<Value = Rule> {
    let field = |max: u32| {
        prop_oneof![
            Just("*".to_owned()),
            (0..=max).prop_map(|number| number.to_string()),
            (1..=max.max(1)).prop_map(|step| format!("*/{step}")),
            (0..=max, 0..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        ]
    };
    let seconds = prop_oneof![Just(String::new()), field(59).prop_map(|it| it + " ")];
    let days = prop_oneof![
        Just("* * *".to_owned()),
        (1..=31).prop_map(|day| format!("{day} * *")),
        (0..=6).prop_map(|day| format!("* * {day}")),
        (1..=28, 1..=12).prop_map(|(day, month)| format!("{day} {month} *")),
    ];
    let expressions = (seconds, field(59), field(23), days)
        .prop_map(|(seconds, minute, hour, days)| format!("{seconds}{minute} {hour} {days}"));
    prop_oneof![
        (expressions, 0..ZONES.len()).prop_map(|(expression, zone)| cron(&expression, ZONES[zone])),
        (1..100_000_u64).prop_map(every),
    ]
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let overlap = prop_oneof![Just(Overlap::Skip), Just(Overlap::BufferOne)];
    let on_missed = prop_oneof![
        Just(OnMissed::Skip),
        Just(OnMissed::RunLast),
        Just(OnMissed::RunAll)
    ];
    (rules(), 0..100_u64, overlap, on_missed, 0..1_000_000_u64).prop_map(
        |(rule, jitter, overlap, on_missed, catch_up)| {
            let jitter = match rule {
                Rule::Every(period) => {
                    (period / 100 * u32::try_from(jitter).unwrap()).min(JITTER_MAX)
                }
                Rule::Cron { .. } => Duration::from_secs(jitter * jitter),
            };
            schedule(Settings {
                jitter,
                overlap,
                on_missed,
                catch_up: Duration::from_secs(catch_up),
                ..settings(rule)
            })
        },
    )
}

/// Between 2020 and 2030: the changes of the clock are known.
fn times() -> impl Strategy<Value = Time> {
    (1_577_836_800_000..1_893_456_000_000_u64).prop_map(Time::from_millis)
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn slots_strictly_increase(rule in rules(), start in times()) {
        let schedule = schedule(settings(rule));
        let mut last = start;
        for _ in 0..200 {
            let next = schedule.next_after(last).unwrap();
            prop_assert!(next > last, "{next} follows {last}");
            // Whoever asks from anywhere in between is told the same slot.
            let between = Time::from_millis(u64::midpoint(last.as_millis(), next.as_millis() - 1));
            prop_assert_eq!(schedule.next_after(between), Some(next));
            last = next;
        }
    }

    /// In the hours around a change of the clock no minute that comes is left out or comes twice.
    #[test]
    fn slots_of_every_minute_are_a_minute_apart(zone in 0..ZONES.len(), start in times()) {
        let schedule = schedule(settings(cron("* * * * *", ZONES[zone])));
        let mut last = schedule.next_after(start).unwrap();
        for _ in 0..300 {
            let next = schedule.next_after(last).unwrap();
            prop_assert_eq!(next, last + Duration::from_secs(60));
            last = next;
        }
    }

    #[test]
    fn a_slot_is_due_within_its_jitter(schedule in schedules(), time in times()) {
        let slot = schedule.next_after(time).unwrap();
        let due = schedule.due(slot);
        let jitter = schedule.settings().jitter;
        prop_assert!(due >= slot && due.saturating_since(slot) < jitter.max(Duration::from_millis(1)));
        prop_assert_eq!(due, schedule.due(slot));
    }

    #[test]
    fn what_came_between_two_moments_is_remembered_up_to_a_bound(
        schedule in schedules(), start in times(), length in 0..10_000_000_u64
    ) {
        let end = start + Duration::from_secs(length);
        let (slots, forgotten) = schedule.slots.between(start, end);
        prop_assert!(slots.len() <= REMEMBERED_MAX);
        prop_assert!(slots.iter().all(|slot| *slot > start && *slot <= end) && slots.is_sorted());
        if let Some((first, last)) = forgotten {
            prop_assert_eq!(slots.len(), REMEMBERED_MAX);
            prop_assert_eq!(schedule.next_after(start), Some(first));
            prop_assert_eq!(schedule.next_after(last), Some(slots[0]));
        } else {
            prop_assert_eq!(schedule.next_after(start).filter(|slot| *slot <= end), slots.first().copied());
        }
    }
}

proptest! {
    // A schedule that runs all that it missed makes thousands of decisions in each case.
    #![proptest_config(ProptestConfig { cases: 24, ..soloist_seed::properties() })]

    /// Whatever the clock does, backwards too: every slot is claimed as a new one at most once, in order; none is run
    /// that is older than the catch-up window; and each that is passed over is missed, and said once.
    #[test]
    fn slots_are_claimed_once_or_missed_whatever_the_clock_does(
        schedule in schedules(), start in times(), steps in prop::collection::vec((-5_000..20_000_i64, 0..4_u8), 1..40)
    ) {
        let mut record = begun(&schedule, start);
        let mut clock = start;
        let mut after = record.after;
        let mut busy = None;
        for (step, kind) in steps {
            let before = clock;
            let by = Duration::from_secs(step.unsigned_abs());
            clock = if step < 0 { clock - by } else { clock + by };
            // It waited all the time, or begins to wait now.
            let waiting_since = if kind == 0 { before.min(clock) } else { clock };
            let mut now = Now { time: clock, waiting_since, busy, token: TOKEN };
            loop {
                let decision = schedule.decide(Some(&record), now);
                for missed in &decision.missed {
                    prop_assert!(missed.first > after && missed.last >= missed.first);
                    prop_assert_eq!(
                        schedule.next_after(after),
                        Some(missed.first),
                        "some were left out"
                    );
                    after = missed.last;
                }
                if let Some(written) = decision.record {
                    prop_assert!(written != record, "it would be written for ever");
                    record = written;
                }
                match decision.then {
                    Then::Wait(until) => {
                        prop_assert!(until > clock);
                        break;
                    }
                    Then::Again => {}
                    Then::Run(claim) => {
                        prop_assert_eq!(schedule.next_after(after), Some(claim.at), "some were left out");
                        after = claim.at;
                        let late = clock.saturating_since(schedule.due(claim.at));
                        let most = schedule.settings().catch_up.max(Duration::from_secs(60));
                        prop_assert!(schedule.due(claim.at) <= clock && late <= most, "{late:?} late");
                        record = complete(&record, claim).unwrap();
                        now.busy.get_or_insert(Busy { since: clock });
                        // The run takes its time.
                        if kind == 3 {
                            clock = clock + Duration::from_secs(90);
                            (now.time, now.waiting_since) = (clock, clock);
                        }
                    }
                }
            }
            busy = None;
        }
    }
}
