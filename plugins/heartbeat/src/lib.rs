//! Says who leads, again and again: every second, or every `interval` of the task's config (`interval = "250ms"`).

use std::time::Duration;

use soloist_sdk::{Demotion, Plugin, Result, Term, config, info, sleep};

#[derive(Default)]
struct Heartbeat {
    beats: u64,
}

impl Plugin for Heartbeat {
    async fn on_elected(&mut self, term: Term) -> Result {
        let interval = match config("interval") {
            Some(text) => humantime::parse_duration(&text)
                .map_err(|error| format!("config `interval`: {error}"))?,
            None => Duration::from_secs(1),
        };
        loop {
            self.beats += 1;
            info!(
                beat = self.beats,
                "{} leads {} in term {}", term.host, term.task, term.number
            );
            sleep(interval).await;
        }
    }

    async fn on_demoted(&mut self, reason: Demotion) {
        info!(
            beats = self.beats,
            "stops after {} beats: {reason:?}", self.beats
        );
    }
}

soloist_sdk::export!(Heartbeat);
