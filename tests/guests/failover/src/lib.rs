//! A guest for the tests: what its config value `do` names shows when a host takes over in the middle of it, or never does.

mod slots;

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use soloist_sdk::http::Request;
use soloist_sdk::{Demotion, Plugin, Result, Term, config, info, sleep, state};

/// What it sends its requests to.
const URL: &str = "http://api.example.com/jobs";
const FOREVER: Duration = Duration::from_secs(1_000_000_000);

thread_local! {
    /// Whether it is in the middle of something that it will not leave.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

#[derive(Default)]
struct Failover;

impl Plugin for Failover {
    async fn on_elected(&mut self, _: Term) -> Result {
        match config("do").unwrap_or_default().as_str() {
            // It remembers what it has sent, afterwards.
            "send" => {
                if state::get::<bool>("sent").await?.is_none() {
                    send(Request::post(URL).body("job")).await?;
                    state::set("sent", &true).await?;
                }
            }
            "put" => {
                if state::get::<bool>("sent").await?.is_none() {
                    send(Request::put(URL).body("job")).await?;
                    state::set("sent", &true).await?;
                }
            }
            // It takes a beginning without an end for something that cannot be mended.
            "begin" => {
                let begun = state::get::<bool>("begun").await?.is_some();
                let ended = state::get::<bool>("ended").await?.is_some();
                if begun && !ended {
                    return Err("it was begun and not ended".into());
                }
                state::set("begun", &true).await?;
                sleep(Duration::from_secs(30)).await;
                state::set("ended", &true).await?;
            }
            "busy" => {
                BUSY.set(true);
                state::set("one", &1).await?;
                sleep(Duration::from_secs(30)).await;
                BUSY.set(false);
            }
            "random" => {
                let drawn = random();
                info!("drew {drawn}");
                // Another number of calls for every number.
                for _ in 0..drawn % 50 {
                    state::list().await?;
                }
            }
            "flood" => loop {
                let path = "x".repeat(60_000);
                send(Request::put(format!("{URL}/{path}"))).await.ok();
            },
            other => slots::run(other).await?,
        }
        sleep(FOREVER).await;
        Ok(())
    }

    async fn on_demoted(&mut self, _: Demotion) {
        if BUSY.get() {
            sleep(FOREVER).await;
        }
    }
}

/// A number that the system draws for the first hash map.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

async fn send(request: Request) -> Result {
    request.send().await?.error_for_status()?;
    Ok(())
}

soloist_sdk::export!(Failover);
