//! What the tests of schedules have done.

use std::cell::RefCell;
use std::time::Duration;

use soloist_sdk::schedule::{self, Error, Slot};
use soloist_sdk::{Result, info, should_stop, sleep, state};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const FOREVER: Duration = Duration::from_secs(1_000_000);

thread_local! {
    /// A slot that is completed in `on_demoted`.
    static CLAIMED: RefCell<Option<Slot>> = const { RefCell::new(None) };
}

pub async fn run(what: &str) -> Result {
    match what {
        "schedule-errors" => errors().await,
        // A slot a day, each of which counts.
        "schedule-daily" => {
            let days = schedule::every(DAY);
            loop {
                let slot = days.next().await?;
                let count: u64 = state::get("count").await?.unwrap_or(0);
                info!(
                    missed = slot.missed(),
                    "{} attempt {}",
                    slot.key(),
                    slot.attempt()
                );
                slot.complete(state::transaction().set("count", &(count + 1)))
                    .await?;
            }
        }
        // Longer than the slots are apart.
        "schedule-slow" => {
            let seconds = schedule::every(Duration::from_secs(1));
            loop {
                let slot = seconds.next().await?;
                sleep(Duration::from_millis(2500)).await;
                slot.done().await?;
            }
        }
        // It is completed when it is demoted.
        "schedule-held" => {
            let slot = schedule::every(DAY).next().await?;
            info!("claimed {}", slot.key());
            CLAIMED.set(Some(slot));
            sleep(FOREVER).await;
            Ok(())
        }
        // It computes when demotion begins, and then asks for a slot.
        "schedule-late" => {
            info!("computing");
            while !should_stop() {}
            let _unclaimed = schedule::every(DAY).next().await?;
            Ok(())
        }
        other => super::state::run(other).await,
    }
}

/// Completes the slot that was claimed, and asks for another one.
pub async fn demoted() {
    if let Some(slot) = CLAIMED.take() {
        let writes = state::transaction().set("completed", slot.key());
        match slot.complete(writes).await {
            Ok(()) => info!("completed"),
            Err(error) => info!("not completed: {error}"),
        }
    }
    if let Err(error) = schedule::every(DAY).next().await {
        info!("{error}");
    }
}

async fn errors() -> Result {
    for (schedule, told) in [
        (
            schedule::cron("61 * * * *", "UTC"),
            "cron: \"61\" in the field minute: number out of bounds",
        ),
        (
            schedule::cron("0 0 30 2 *", "UTC"),
            "cron: \"0 0 30 2 *\" is never: no such day comes",
        ),
        (
            schedule::cron("@daily", "Mars/Base"),
            "zone: \"Mars/Base\" is no time zone: write UTC, or a name like \"Europe/Berlin\"",
        ),
        (
            schedule::every(Duration::from_millis(100)),
            "every: write whole seconds, from 1 second to 366 days",
        ),
        (
            schedule::every(DAY).jitter(2 * DAY),
            "jitter: write at most 24 hours",
        ),
        (
            schedule::every(DAY).name("a/b"),
            "name: write letters, digits, `-`, `_` and `.`",
        ),
    ] {
        let error = schedule.next().await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        let text = error.to_string();
        assert_eq!(text, format!("the schedule cannot be used: {told}"));
    }
    let seconds = schedule::every(Duration::from_secs(1));
    let slot = seconds.next().await?;
    let early = seconds.next().await;
    assert!(
        matches!(&early, Err(Error::OutOfTurn { reason }) if reason.contains("has not been completed")),
        "{early:?}"
    );
    for writes in [
        state::transaction().check("a", Some(1)).set("b", &1),
        state::transaction()
            .set("b", &1)
            .set_bytes("a", vec![0; 70_000]),
        state::transaction().set("b", &1).set("a", &1).delete("a"),
    ] {
        let refused = slot.complete(writes).await;
        assert!(
            matches!(
                &refused,
                Err(Error::Refused(
                    state::Error::Changed { key, .. }
                        | state::Error::TooLarge { key }
                        | state::Error::BadKey { key, .. }
                )) if key == "a"
            ),
            "{refused:?}"
        );
        assert!(state::list().await?.is_empty(), "some of it was written");
    }
    slot.complete(state::transaction().set("b", &1)).await?;
    let again = slot.done().await;
    assert!(matches!(again, Err(Error::OutOfTurn { .. })), "{again:?}");
    info!("every error but one");
    // There is room for nine more.
    for number in 0.. {
        let schedule = seconds.clone().name(&format!("s{number}"));
        match schedule.next().await {
            Ok(slot) => slot.done().await?,
            Err(error) => {
                info!("{number}: {error}");
                return Ok(());
            }
        }
    }
    Ok(())
}
