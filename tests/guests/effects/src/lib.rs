//! A guest for the fault suite: has an effect about every 5 ms, a numbered line, in the way its config value `by` says.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use soloist_sdk::{Demotion, Plugin, Result, Term, config, info, remaining, sleep, state};

const INTERVAL: Duration = Duration::from_millis(5);

/// How much of its memory a guest fills at once.
const FILLED_BYTES: usize = 250 << 20;

/// How often a stored number is repeated in its value: one that were torn would hold two different ones.
const REPEATED: usize = 1000;

#[derive(Default)]
struct Effects {
    count: u64,
}

impl Effects {
    /// What it says is left tells the deadline, as known to the guest when it acted.
    fn act(&mut self) {
        self.count += 1;
        info!(
            sequence = self.count,
            left_us = remaining().as_micros(),
            "effect"
        );
    }

    async fn act_and_wait(&mut self) -> ! {
        loop {
            self.act();
            sleep(INTERVAL).await;
        }
    }

    /// Computes and never waits, so that nothing can reach it.
    fn act_and_compute(&mut self) -> ! {
        let mut rounds = 100_000_u64;
        loop {
            self.act();
            let from = Instant::now();
            black_box((0..rounds).fold(0_u64, |sum, round| black_box(sum ^ round)));
            rounds = if from.elapsed() < INTERVAL {
                rounds + rounds / 8
            } else {
                rounds - rounds / 8
            };
        }
    }

    /// Calls the host again and again and never waits.
    fn act_and_call(&mut self) -> ! {
        loop {
            self.act();
            let from = Instant::now();
            while from.elapsed() < INTERVAL {
                black_box(remaining());
            }
        }
    }

    /// Counts in the task's state, and says how far, once that is stored.
    async fn act_and_store(&mut self) -> ! {
        loop {
            let next = |stored: Option<Vec<u64>>| {
                let stored = stored.unwrap_or_else(|| vec![0; REPEATED]);
                let whole =
                    stored.len() == REPEATED && stored.iter().all(|number| *number == stored[0]);
                vec![if whole { stored[0] + 1 } else { 0 }; REPEATED]
            };
            // Without an answer it is tried again: another term may begin in the meantime, but not end this loop.
            if let Ok(stored) = state::update("count", next).await {
                self.count += 1;
                info!(
                    sequence = self.count,
                    left_us = remaining().as_micros(),
                    stored = stored[0],
                    "effect"
                );
            }
            sleep(INTERVAL).await;
        }
    }

    /// Fills its memory, all that it has by default, in one instruction: between two of them it can be stopped, not in one.
    fn act_and_fill(&mut self) -> ! {
        let mut memory = vec![0_u8; FILLED_BYTES];
        loop {
            self.act();
            memory.fill(black_box(1));
            black_box(&memory);
        }
    }

    /// Waits in a way that holds the whole store.
    fn act_and_block(&mut self) -> ! {
        loop {
            self.act();
            thread::sleep(INTERVAL);
        }
    }
}

impl Plugin for Effects {
    async fn on_elected(&mut self, _: Term) -> Result {
        match config("by").as_deref() {
            None | Some("waiting" | "lingering") => self.act_and_wait().await,
            Some("computing") => self.act_and_compute(),
            Some("calling") => self.act_and_call(),
            Some("filling") => self.act_and_fill(),
            Some("blocking") => self.act_and_block(),
            Some("storing") => self.act_and_store().await,
            Some(other) => Err(format!("config `by`: nothing known about {other}"))?,
        }
    }

    async fn on_demoted(&mut self, _: Demotion) {
        self.act();
        if config("by").as_deref() == Some("lingering") {
            self.act_and_wait().await;
        }
    }
}

soloist_sdk::export!(Effects);
