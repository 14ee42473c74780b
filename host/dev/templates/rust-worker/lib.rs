use std::time::Duration;

use soloist_sdk::checkpoint::Checkpoint;
use soloist_sdk::{Plugin, Result, Term, info, sleep};

#[derive(Default)]
struct Worker;

impl Plugin for Worker {
    async fn on_elected(&mut self, term: Term) -> Result {
        let mut done = Checkpoint::<u64>::load("done").await?;
        loop {
            let item = done.position() + 1;
            // The work on the item stands here. Hand the token to whatever it changes.
            info!(token = term.fencing_token, "item {item}");
            done.advance(item).await?;
            sleep(Duration::from_secs(1)).await;
        }
    }
}

soloist_sdk::export!(Worker);

#[cfg(test)]
mod tests;
