//! Counters of what a plugin does, and of how long things take.
//!
//! Plugins wait for what is counted here, so there are atomics, no lock and no allocation, but for what happens seldom.

mod histogram;
mod task;

pub use histogram::{Histogram, Reading};
pub use task::{Counts, Effect, Outcome, TaskMeter, TaskReading};
