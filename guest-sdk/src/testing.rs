//! Tests of a plugin that `cargo test` runs natively: fakes in memory answer what a host answers otherwise.
//!
//! A [`Harness`] is everything around the plugin: configuration, state, servers, the log, and a clock that stands until
//! the test moves it. So a plugin that sleeps for a day is tested in a millisecond, and every run is the same.
//!
//! ```
//! use std::time::Duration;
//!
//! use soloist_sdk::testing::Harness;
//! use soloist_sdk::{Demotion, Plugin, Result, Term, info, sleep, state};
//!
//! #[derive(Default)]
//! struct Daily;
//!
//! impl Plugin for Daily {
//!     async fn on_elected(&mut self, _: Term) -> Result {
//!         loop {
//!             let day = state::update("day", |day: Option<u32>| day.unwrap_or(0) + 1).await?;
//!             info!("day {day}");
//!             sleep(Duration::from_hours(24)).await;
//!         }
//!     }
//! }
//!
//! // In your plugin: #[test] fn it_goes_on_where_the_last_leader_stopped() {
//! let test = Harness::new();
//! let mut leader = test.elect::<Daily>();
//! leader.advance(Duration::from_hours(48));
//! assert_eq!(test.messages(), ["day 1", "day 2", "day 3"]);
//! leader.demote(Demotion::Shutdown);
//!
//! let _successor = test.elect::<Daily>();
//! assert_eq!(test.messages().last().unwrap(), "day 4");
//! assert_eq!(test.state::<u32>("day"), Some(4));
//! // }
//! ```
//!
//! - [`Harness::elect`] begins a term and runs the plugin until it waits; [`Elected`] lets time pass, demotes, or kills.
//! - [`Harness::block_on`] runs any other future of yours, such as a function that asks a server.
//! - What the test does not fake fails it with a sentence: a request that nothing answers, a call outside of a harness.
//!   A log line outside of a harness is printed.
//! - What is `std`'s is this machine's: `std::time`, `std::fs`, `std::net`, `std::thread::sleep`. For time that the test
//!   moves, use [`time`](crate::time).
//! - The plugin is native code in here: limits, grants and the sandbox are for a run of the real file to show.
//!
//! This module is there in native builds alone, so a plugin built for WebAssembly has nothing of it.

mod answer;
mod clock;
mod drive;
mod elected;
mod harness;
pub(crate) mod imports;
mod kept;
mod slots;
mod world;

pub use answer::{Answer, Request};
pub use elected::Elected;
pub use harness::Harness;
pub use world::Line;

#[cfg(test)]
mod tests;
