use soloist_sdk::{Plugin, Result, Term, info, sleep, state};
use std::time::Duration;

#[derive(Default)]
struct Worker;

impl Plugin for Worker {
    async fn on_elected(&mut self, term: Term) -> Result {
        loop {
            let item = state::get::<u64>("done").await?.unwrap_or(0) + 1;
            // The work on the item stands here. Hand the token to whatever it changes.
            info!(token = term.fencing_token, "item {item}");
            state::set("done", &item).await?;
            sleep(Duration::from_secs(1)).await;
        }
    }
}

soloist_sdk::export!(Worker);

#[cfg(test)]
mod tests;
