//! Write a Soloist plugin: a task that runs on exactly one machine of many.
//!
//! A plugin is a type that implements [`Plugin`], exported with [`export!`]. Its `on_elected` runs on the one host that
//! leads the task. When leadership ends, the future of `on_elected` is dropped where it waits, and `on_demoted` is
//! called. So write `on_elected` as if it ran for ever:
//!
//! ```
//! use std::time::Duration;
//!
//! use soloist_sdk::{Demotion, Plugin, Result, Term, config, info, sleep};
//!
//! #[derive(Default)]
//! struct Counter {
//!     count: u64,
//! }
//!
//! impl Plugin for Counter {
//!     async fn on_elected(&mut self, term: Term) -> Result {
//!         let step = config("step").map_or(Ok(1), |step| step.parse::<u64>())?;
//!         loop {
//!             self.count += step;
//!             info!(count = self.count, "{} counts in term {}", term.host, term.number);
//!             sleep(Duration::from_secs(1)).await;
//!         }
//!     }
//!
//!     async fn on_demoted(&mut self, reason: Demotion) {
//!         info!("stopped at {}: {reason:?}", self.count);
//!     }
//! }
//!
//! soloist_sdk::export!(Counter);
//! # fn main() {}
//! ```
//!
//! Make it a library of crate type `cdylib` and build it with `cargo build --release --target wasm32-wasip2`.
//!
//! What is to be done at certain times, each time once, has a [`schedule`]. What the next leader has to know goes into the
//! [`state`]; [`http`] reaches what the task is granted.
//!
//! Two things to know:
//! - Wait with [`sleep`], not with `std::thread::sleep`: the latter holds the whole plugin, so `on_demoted` cannot
//!   be called, and the host stops the plugin by force. The same is true of a loop that never waits.
//! - Whatever the plugin changes outside, hand it [`Term::fencing_token`] where you can, so that it can refuse a
//!   leader that is not the last one any more.

/// The plugins that the documents show are plugins.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../GUIDE.md")]
struct Documents;

// The first, because those below use its macros.
#[macro_use]
mod log;

#[doc(hidden)]
pub mod bindings;
mod bridges;
pub mod checkpoint;
pub mod config;
#[cfg(target_os = "wasi")]
mod exit;
#[doc(hidden)]
pub mod export;
pub mod http;
mod imports;
pub mod schedule;
pub mod state;
pub mod tasks;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod time;

use std::fmt;
use std::time::Duration;

pub use bindings::soloist::plugin::leadership::{Demotion, Term};
pub use bindings::soloist::plugin::log::Level;
pub use config::{config, config_as};
#[doc(hidden)]
pub use log::write as __write;
pub use tasks::{Either, join, join_all, select, spawn_scoped};
pub use time::{every, interval, sleep, sleep_until, timeout};

/// An error of any type: `?` makes one of whatever a library returns.
pub type Error = Box<dyn std::error::Error>;

/// What `on_elected` returns.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// A task that runs on exactly one machine.
///
/// A fresh value is made with `Default` for every run: for every term, after a failure, and with `on_complete = "restart"`
/// after a completion.
#[allow(
    async_fn_in_trait,
    reason = "a plugin has one thread, so nothing needs to be Send"
)]
pub trait Plugin: Default + 'static {
    /// Does the work of the task for as long as this host leads.
    ///
    /// Dropped where it waits when leadership ends. Returning `Ok` leaves this host the leader, idle, unless the task's
    /// `on_complete` says otherwise.
    ///
    /// # Errors
    /// An error is reported, and the host starts the plugin again after a while.
    async fn on_elected(&mut self, term: Term) -> Result;

    /// Leadership ends: puts away what is at hand, in [`remaining`] time.
    ///
    /// Called when demotion begins while this value is there: while `on_elected` waits, which is dropped then, or after it
    /// has returned `Ok`, unless `on_complete = "restart"` has it run again. It is not called for a value whose
    /// `on_elected` has failed, nor where the plugin has to be stopped by force. The contract, `wit/plugin.wit` of this crate,
    /// has a table of all cases.
    async fn on_demoted(&mut self, reason: Demotion) {
        let _ = reason;
    }
}

/// As the events of a host name it, like `lease-expiring`.
impl fmt::Display for Demotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resigned => "resigned",
            Self::Shutdown => "shutdown",
            Self::LeaseExpiring => "lease-expiring",
            Self::NodeLost => "node-lost",
            Self::Replaced => "replaced",
        })
    }
}

/// The term that this host leads in.
///
/// # Panics
/// Panics before the plugin was elected, as in the initialiser of a static.
pub fn term() -> Term {
    export::current_term().expect("there is no term before on_elected")
}

/// How long the plugin may still run, as known now: while it leads, the lease, which the host keeps extending; once
/// demotion has begun, what is left of it.
pub fn remaining() -> Duration {
    Duration::from_nanos(imports::remaining())
}

/// Gives leadership up, so that another host takes over; `on_demoted` follows, unless `on_elected` fails before.
///
/// Returns at once. Only the first call of a term counts.
pub fn resign(reason: &str) {
    imports::resign(reason);
}
