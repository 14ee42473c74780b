use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

mod deciding;
mod properties;
mod rules;

const TOKEN: u64 = 757;

/// A moment as people write it.
fn at(text: &str) -> Time {
    humantime::parse_rfc3339(text).unwrap().into()
}

fn settings(rule: Rule) -> Settings {
    Settings {
        name: "main".into(),
        rule,
        jitter: Duration::ZERO,
        overlap: Overlap::Skip,
        catch_up: Duration::from_secs(3600),
        on_missed: OnMissed::RunLast,
    }
}

fn cron(expression: &str, zone: &str) -> Rule {
    Rule::Cron {
        expression: expression.into(),
        zone: zone.into(),
    }
}

fn every(seconds: u64) -> Rule {
    Rule::Every(Duration::from_secs(seconds))
}

fn schedule(settings: Settings) -> Schedule {
    Schedule::new("report", settings).unwrap()
}

/// A plugin that begins to wait at that time, and ran nothing before.
fn now(time: Time) -> Now {
    Now {
        time,
        waiting_since: time,
        busy: None,
        token: TOKEN,
    }
}

/// The record of a schedule that began at that time.
fn begun(schedule: &Schedule, at: Time) -> Record {
    let decision = schedule.decide(None, now(at));
    assert_eq!((decision.then, decision.missed.len()), (Then::Again, 0));
    decision.record.unwrap()
}

/// The slots that are run at that time, one after the other, with what is missed; each is completed at once.
fn run_all(schedule: &Schedule, record: &mut Record, mut now: Now) -> (Vec<Claim>, Vec<Missed>) {
    let (mut claims, mut missed) = (Vec::new(), Vec::new());
    loop {
        let decision = schedule.decide(Some(record), now);
        missed.extend(decision.missed);
        if let Some(written) = decision.record {
            *record = written;
        }
        match decision.then {
            Then::Run(claim) => {
                claims.push(claim);
                now.busy.get_or_insert(Busy { since: now.time });
                *record = complete(record, claim).unwrap();
            }
            Then::Wait(until) => {
                assert!(until > now.time, "{until} is not after {}", now.time);
                return (claims, missed);
            }
            Then::Again => {}
        }
    }
}
