//! Counts across failovers: whichever host leads goes on from what the last one kept. One more every second, or every
//! `interval` of the task's config (`interval = "250ms"`).

use std::time::Duration;

use soloist_sdk::{Plugin, Result, Term, config, info, sleep, state};

#[derive(Default)]
struct Counter;

impl Plugin for Counter {
    async fn on_elected(&mut self, term: Term) -> Result {
        let interval = match config("interval") {
            Some(text) => humantime::parse_duration(&text)
                .map_err(|error| format!("config `interval`: {error}"))?,
            None => Duration::from_secs(1),
        };
        loop {
            let count = state::update("count", |count: Option<u64>| count.unwrap_or(0) + 1).await?;
            info!(
                count = count,
                "{} counts {count} in term {}", term.host, term.number
            );
            sleep(interval).await;
        }
    }
}

soloist_sdk::export!(Counter);
