use soloist_sdk::{Plugin, Result, Term, info, schedule, state};

#[derive(Default)]
struct Cron;

impl Plugin for Cron {
    async fn on_elected(&mut self, _: Term) -> Result {
        // Seconds, minute, hour, day of month, month, day of week; the first can be left out.
        let slots = schedule::cron("*/10 * * * * *", "UTC");
        loop {
            let slot = slots.next().await?;
            // What is due then stands here. Hand the key to whatever it changes.
            info!(key = slot.key(), "doing what is due at {slot}");
            slot.complete(state::transaction().set("last", slot.key()))
                .await?;
        }
    }
}

soloist_sdk::export!(Cron);

#[cfg(test)]
mod tests;
