//! What is done at each slot of a schedule: with care, or so that a failover loses it or has it done twice.

use std::time::Duration;

use soloist_sdk::http::Request;
use soloist_sdk::schedule::{self, Slot};
use soloist_sdk::{Result, join, sleep, state};

use crate::{FOREVER, URL, random, send};

const PERIOD: Duration = Duration::from_secs(60);

pub(super) async fn run(what: &str) -> Result {
    if what == "beside" {
        let (slots, beats) = join(each("send-key"), beats()).await;
        return slots.and(beats);
    }
    each(what).await
}

async fn each(what: &str) -> Result {
    let slots = schedule::every(PERIOD);
    loop {
        let slot = slots.next().await?;
        work(what, &slot).await?;
    }
}

/// Another task of the plugin, which has nothing to do with the slots.
async fn beats() -> Result {
    loop {
        send(Request::put(URL)).await?;
        count("beats").await?;
        sleep(Duration::from_secs(25)).await;
    }
}

async fn work(what: &str, slot: &Slot) -> Result {
    let job = || Request::post(URL).body(format!("attempt {}", slot.attempt()));
    match what {
        "done-send" => {
            slot.done().await?;
            send(job()).await?;
        }
        "send-done" => {
            send(job()).await?;
            slot.done().await?;
        }
        "send-random" => {
            send(job().idempotency_key(random())).await?;
            slot.done().await?;
        }
        "send-key" => {
            send(job().idempotency_key(slot.key())).await?;
            slot.done().await?;
        }
        "send-header" => {
            send(job().header("x-slot", slot)).await?;
            slot.done().await?;
        }
        "put-slot" => {
            send(Request::put(URL).body(slot.attempt().to_string())).await?;
            slot.done().await?;
        }
        "count-done" => {
            count("count").await?;
            slot.done().await?;
        }
        "done-count" => {
            slot.done().await?;
            count("count").await?;
        }
        "count-with" => {
            let count: u64 = state::get("count").await?.unwrap_or_default();
            let writes = state::transaction().set("count", &(count + 1));
            slot.complete(writes).await?;
        }
        // Whoever takes over has nothing left of it.
        "forget" if slot.attempt() == 1 => {
            state::list().await?;
            slot.done().await?;
        }
        "forget" => sleep(FOREVER).await,
        "keep" => {
            send(job().idempotency_key(slot.key())).await?;
            sleep(FOREVER).await;
        }
        other => return Err(format!("nothing known to do about {other}").into()),
    }
    Ok(())
}

async fn count(key: &str) -> Result {
    state::update(key, |count: Option<u64>| count.unwrap_or_default() + 1).await?;
    Ok(())
}
