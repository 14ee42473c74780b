//! Slots in a test: when they are, the test says; what becomes of them follows the host's rules.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use super::world::{Standing, World, nanos};
use crate::bindings::soloist::plugin::schedule::{Error, OnMissed, Overlap, Rule, Schedule, Slot};
use crate::bindings::soloist::plugin::state::Operation;

const SECOND: u64 = 1_000_000_000;

/// What is kept of each schedule from term to term, by its name.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// When slots are, in nanoseconds since the test began, as the test says.
    pub(super) given: BTreeMap<String, Vec<u64>>,
    kept: BTreeMap<String, Record>,
}

#[derive(Clone, Debug)]
struct Record {
    /// Every slot up to then has been claimed or missed.
    after: u64,
    claim: Option<Claim>,
    missed: u32,
}

#[derive(Clone, Debug)]
struct Claim {
    slot: Slot,
    /// The number of the term.
    term: u64,
    /// When it was claimed.
    since: u64,
    is_done: bool,
}

pub(crate) async fn next(schedule: Schedule) -> Result<Slot, Error> {
    let world = World::of("schedule");
    let waiting_since = world.clock.now();
    let is_ending = || matches!(world.standing.get(), Standing::Demoting { .. });
    if is_ending() {
        let reason = "demotion has begun: no slot is claimed any more";
        return Err(Error::Unavailable(reason.into()));
    }
    loop {
        if is_ending() {
            return std::future::pending().await;
        }
        if let Some(slot) = claim(&world, &schedule, waiting_since)? {
            return Ok(slot);
        }
        let next = coming(&world, &schedule, world.clock.now());
        world.clock.wait_until(next).await;
    }
}

pub(crate) async fn complete(slot: Slot, writes: Vec<Operation>) -> Result<(), Error> {
    let world = World::of("schedule");
    let done = world.after(world.state_takes.get());
    world.clock.wait_until(done).await;
    let mut slots = world.slots.borrow_mut();
    let kept = slots.kept.get_mut(&slot.schedule);
    let claim = kept.and_then(|record| record.claim.as_mut());
    let is_same = |claim: &&mut Claim| {
        (&claim.slot.key, claim.slot.attempt) == (&slot.key, slot.attempt) && !claim.is_done
    };
    let Some(claim) = claim.filter(is_same) else {
        let key = slot.key;
        let reason =
            format!("this run has not claimed the slot {key}, or has completed it already");
        return Err(Error::OutOfTurn(reason));
    };
    let mut state = world.kept.borrow_mut();
    state.transact(writes).map_err(Error::Refused)?;
    claim.is_done = true;
    Ok(())
}

/// The slot that is run now, if one is.
fn claim(
    world: &Rc<World>,
    schedule: &Schedule,
    waiting_since: u64,
) -> Result<Option<Slot>, Error> {
    let (now, term) = (world.clock.now(), world.terms.get());
    let task = world.term().task;
    let mut slots = world.slots.borrow_mut();
    let record = slots.kept.entry(schedule.name.clone()).or_insert(Record {
        after: now,
        claim: None,
        missed: 0,
    });
    let last = record.claim.clone();
    if let Some(claim) = record.claim.as_mut().filter(|claim| !claim.is_done) {
        if claim.term == term {
            let key = &claim.slot.key;
            let reason = format!("the slot {key} has not been completed: complete it first");
            return Err(Error::OutOfTurn(reason));
        }
        claim.slot.attempt += 1;
        (claim.term, claim.since) = (term, now);
        return Ok(Some(claim.slot.clone()));
    }
    let after = record.after;
    drop(slots);
    let due: Vec<u64> = std::iter::successors(Some(coming(world, schedule, after)), |slot| {
        Some(coming(world, schedule, *slot))
    })
    .take_while(|slot| *slot <= now)
    .collect();
    let busy = last
        .filter(|claim| claim.term == term)
        .map(|claim| claim.since);
    let is_overlapped = |slot: u64| busy.is_some_and(|since| slot > since) && slot < waiting_since;
    let is_in_time = |slot: u64| now - slot <= schedule.catch_up || slot >= waiting_since;
    let is_run = |slot: u64| {
        let is_like = |other: &&u64| is_overlapped(**other) == is_overlapped(slot);
        let is_last = due.iter().rfind(is_like) == Some(&slot);
        is_in_time(slot)
            && match (is_overlapped(slot), schedule.overlap, schedule.on_missed) {
                (true, Overlap::Skip, _) => false,
                (true, Overlap::BufferOne, _) | (false, _, OnMissed::RunLast) => is_last,
                (false, _, OnMissed::Skip) => is_last && slot >= waiting_since,
                (false, _, OnMissed::RunAll) => true,
            }
    };
    let run = due.iter().position(|slot| is_run(*slot));
    let mut slots = world.slots.borrow_mut();
    let record = slots.kept.get_mut(&schedule.name);
    let record = record.expect("it was kept above, and nothing takes it away");
    let passed = u32::try_from(run.unwrap_or(due.len())).unwrap_or(u32::MAX);
    record.missed = record.missed.saturating_add(passed);
    record.after = due
        .get(run.unwrap_or(due.len().saturating_sub(1)))
        .copied()
        .unwrap_or(after);
    let Some(run) = run else { return Ok(None) };
    let date = world.began.get() + Duration::from_nanos(due[run]);
    let time = date
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let slot = Slot {
        schedule: schedule.name.clone(),
        key: format!("{task}/{}@{}", schedule.name, rfc3339(time)),
        time,
        attempt: 1,
        missed: std::mem::take(&mut record.missed),
    };
    record.claim = Some(Claim {
        slot: slot.clone(),
        term,
        since: now,
        is_done: false,
    });
    Ok(Some(slot))
}

/// The first slot after `after`, in nanoseconds since the test began.
fn coming(world: &Rc<World>, schedule: &Schedule, after: u64) -> u64 {
    let slots = world.slots.borrow();
    match (slots.given.get(&schedule.name), &schedule.rule) {
        (Some(given), _) => {
            let mut later = given.iter().filter(|slot| **slot > after);
            later.next().copied().unwrap_or(u64::MAX)
        }
        (None, Rule::Every(period)) => {
            assert!(
                *period >= SECOND && period % SECOND == 0,
                "every: write whole seconds, from 1 second to 366 days"
            );
            let began = world.began.get().duration_since(UNIX_EPOCH);
            let began = nanos(began.unwrap_or_default());
            ((began + after) / period + 1) * period - began
        }
        (None, Rule::Cron(cron)) => panic!(
            "the plugin waits for the cron expression {:?}, which a host computes: say when the slots of the schedule \
             are in this test, with `Harness::slots({:?}, [Duration::from_hours(3)])`",
            cron.expression, schedule.name
        ),
    }
}

/// A moment in seconds since 1970, as the host writes it in keys.
fn rfc3339(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the leap day is the last one, counted from the year 0.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{self, Error as Failed};
    use crate::testing::Harness;
    use crate::{Demotion, Plugin, Result, Term, config, sleep, state};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Counts hours; each takes as many minutes as `minutes` says.
    #[derive(Default)]
    struct Hourly;

    impl Plugin for Hourly {
        async fn on_elected(&mut self, _: Term) -> Result {
            let hours = schedule::every(HOUR).on_missed(OnMissed::RunAll);
            let minutes = config("minutes").map_or(Ok(0), |minutes| minutes.parse::<u64>())?;
            loop {
                let slot = hours.next().await?;
                info!(missed = slot.missed(), "{slot} attempt {}", slot.attempt());
                let count: u64 = state::get("count").await?.unwrap_or(0);
                sleep(Duration::from_secs(60 * minutes)).await;
                slot.complete(state::transaction().set("count", &(count + 1)))
                    .await?;
            }
        }
    }

    #[test]
    fn a_slot_whose_leader_is_lost_is_run_again_and_its_state_changes_once() {
        let test = Harness::new().config("minutes", 10);
        let mut first = test.elect::<Hourly>();
        first.advance(2 * HOUR + HOUR / 12);
        first.kill();
        // Nobody leads for a while.
        test.elect::<Hourly>().advance(HOUR);
        let told = [
            "2026-01-01T01:00:00Z attempt 1",
            "2026-01-01T02:00:00Z attempt 1",
            "2026-01-01T02:00:00Z attempt 2",
            "2026-01-01T03:00:00Z attempt 1",
        ];
        assert_eq!(test.messages(), told);
        assert_eq!(test.state::<u64>("count"), Some(2));
    }

    #[test]
    fn slots_that_come_while_one_is_run_are_missed() {
        let test = Harness::new().config("minutes", 150);
        test.elect::<Hourly>().advance(6 * HOUR);
        let lines = test.logs();
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.message.as_str(), line.field("missed")))
            .collect();
        assert_eq!(
            told,
            [
                ("2026-01-01T01:00:00Z attempt 1", Some("0")),
                ("2026-01-01T04:00:00Z attempt 1", Some("2")),
            ]
        );
    }

    #[test]
    fn what_is_out_of_turn_is_refused() {
        let test = Harness::new().slots("main", [HOUR]);
        test.block_on(async {
            let once = schedule::cron("0 1 1 1 *", "UTC");
            let slot = once.next().await.unwrap();
            assert!(matches!(once.next().await, Err(Failed::OutOfTurn { .. })));
            let writes = state::transaction().check("a", Some(1));
            let refused = slot.complete(writes).await;
            assert!(
                matches!(&refused, Err(Failed::Refused(state::Error::Changed { key, .. })) if key == "a"),
                "{refused:?}"
            );
            slot.done().await.unwrap();
            assert!(matches!(slot.done().await, Err(Failed::OutOfTurn { .. })));
        });
    }

    #[test]
    fn a_demoted_plugin_is_given_no_slot() {
        #[derive(Default)]
        struct Late;
        impl Plugin for Late {
            async fn on_elected(&mut self, _: Term) -> Result {
                std::future::pending().await
            }
            async fn on_demoted(&mut self, _: Demotion) {
                let refused = schedule::every(HOUR).next().await;
                info!("{}", refused.unwrap_err());
            }
        }
        let test = Harness::new();
        test.elect::<Late>().demote(Demotion::Shutdown);
        assert_eq!(
            test.messages(),
            ["the schedule is unavailable: demotion has begun: no slot is claimed any more"]
        );
    }

    #[test]
    fn moments_are_written_as_the_host_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_795_662_000, "2026-11-26T03:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
