//! Counts across failovers: whichever host leads goes on from what the last one kept. One more every second, or every
//! `interval` of the task's config (`interval = "250ms"`).

use std::time::Duration;

use soloist_sdk::{Plugin, Result, Term, config, every, info, state};

#[derive(Default)]
struct Counter;

impl Plugin for Counter {
    async fn on_elected(&mut self, term: Term) -> Result {
        let interval = config::get_as("interval")?.unwrap_or(Duration::from_secs(1));
        let mut turns = every(interval);
        loop {
            turns.tick().await;
            let count = state::update("count", |count: Option<u64>| count.unwrap_or(0) + 1).await?;
            info!(
                count = count,
                "{} counts {count} in term {}", term.host, term.number
            );
        }
    }
}

soloist_sdk::export!(Counter);

#[cfg(test)]
mod tests {
    use soloist_sdk::testing::Harness;

    use super::*;

    #[test]
    fn the_next_leader_counts_on() {
        let test = Harness::new();
        test.elect::<Counter>().advance(Duration::from_secs(2));
        test.elect::<Counter>().advance(Duration::from_secs(1));
        let counts: Vec<_> = test
            .logs()
            .iter()
            .filter_map(|line| line.field("count").map(str::to_owned))
            .collect();
        assert_eq!(counts, ["1", "2", "3", "4", "5"]);
        assert_eq!(test.state::<u64>("count"), Some(5));
    }
}
