//! Says who leads, again and again: every second, or every `interval` of the task's config (`interval = "250ms"`).

use std::time::Duration;

use soloist_sdk::{Demotion, Plugin, Result, Term, config, every, info};

#[derive(Default)]
struct Heartbeat {
    beats: u64,
}

impl Plugin for Heartbeat {
    async fn on_elected(&mut self, term: Term) -> Result {
        let interval = config::get_as("interval")?.unwrap_or(Duration::from_secs(1));
        let mut beats = every(interval);
        loop {
            beats.tick().await;
            self.beats += 1;
            info!(
                beat = self.beats,
                "{} leads {} in term {}", term.host, term.task, term.number
            );
        }
    }

    async fn on_demoted(&mut self, reason: Demotion) {
        info!(
            beats = self.beats,
            "stops after {} beats: {reason}", self.beats
        );
    }
}

soloist_sdk::export!(Heartbeat);

#[cfg(test)]
mod tests {
    use soloist_sdk::testing::Harness;

    use super::*;

    #[test]
    fn it_beats_at_every_interval_and_says_how_often_when_it_stops() {
        let test = Harness::new().task("beat").config("interval", "1m");
        let mut leader = test.elect::<Heartbeat>();
        leader.advance(Duration::from_secs(150));
        leader.demote(Demotion::Shutdown);
        let beat = "host-1 leads beat in term 1";
        assert_eq!(
            test.messages(),
            [beat, beat, beat, "stops after 3 beats: shutdown"]
        );
    }

    #[test]
    fn an_interval_that_is_none_is_said() {
        let test = Harness::new().config("interval", "often");
        let error = test.elect::<Heartbeat>().finish().unwrap_err();
        assert!(error.starts_with("config `interval`: "), "{error}");
    }
}
