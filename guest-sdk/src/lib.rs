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
//! | for | see |
//! |---|---|
//! | waiting, and several things at once | [`time`], [`tasks`] |
//! | what is to be done at certain times, each time once | [`schedule`] |
//! | what the next leader has to know | [`state`], [`checkpoint`] |
//! | the task's configuration | [`mod@config`] |
//! | requests to what the task is granted | [`http`] |
//! | lines of the log | [`info!`] and its kin; the crates `log` and `tracing`, with the features of those names |
//! | tests by `cargo test`, in virtual time | [`testing`] |
//!
//! The README of this crate has the first plugin step by step, and says which crates cannot work in a plugin (`reqwest`,
//! `tokio::time`) and what to use instead.
//!
//! Two things to know:
//! - Wait with [`sleep`], not with `std::thread::sleep`: the latter holds the whole plugin, so `on_demoted` cannot
//!   be called, and the host stops the plugin by force. The same is true of a loop that never waits.
//! - Whatever the plugin changes outside, hand it [`Term::fencing_token`] where you can, so that it can refuse a
//!   leader that is not the last one any more.

/// The plugins that the documents show are plugins.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
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

/// ```
/// use soloist_sdk::{Demotion, warn};
///
/// fn tell(reason: Demotion) {
///     if reason == Demotion::LeaseExpiring {
///         warn!("the ensemble is out of reach ({reason})");
///     }
/// }
/// ```
pub use bindings::soloist::plugin::leadership::Demotion;
/// ```
/// use soloist_sdk::{Term, info};
///
/// fn tell(term: &Term) {
///     info!(token = term.fencing_token, "{} leads {} in term {}", term.host, term.task, term.number);
/// }
/// ```
pub use bindings::soloist::plugin::leadership::Term;
/// ```
/// use soloist_sdk::{Level, log};
///
/// fn tell(failures: u32) {
///     let level = if failures > 3 { Level::Error } else { Level::Warn };
///     log!(level, failures = failures, "the shop is closed");
/// }
/// ```
pub use bindings::soloist::plugin::log::Level;
pub use config::{config, config_as};
#[doc(hidden)]
pub use log::write as __write;
pub use tasks::{Either, join, join_all, select, spawn_scoped};
pub use time::{every, interval, sleep, sleep_until, timeout};

/// An error of any type: `?` makes one of whatever a library returns.
///
/// ```
/// let error: soloist_sdk::Error = "out of paper".into();
/// assert_eq!(error.to_string(), "out of paper");
/// ```
pub type Error = Box<dyn std::error::Error>;

/// What `on_elected` returns.
///
/// ```
/// fn port(text: &str) -> soloist_sdk::Result<u16> {
///     let port = text.parse()?;
///     if port == 0 {
///         return Err("0 is no port".into());
///     }
///     Ok(port)
/// }
/// assert!(port("80").is_ok() && port("x").is_err());
/// ```
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// A task that runs on exactly one machine.
///
/// ```
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Demotion, Plugin, Result, Term, info, state};
///
/// #[derive(Default)]
/// struct Greeter {
///     greeted: u32,
/// }
///
/// impl Plugin for Greeter {
///     async fn on_elected(&mut self, term: Term) -> Result {
///         info!("hello from {}", term.host);
///         self.greeted += 1;
///         std::future::pending().await
///     }
///
///     async fn on_demoted(&mut self, _: Demotion) {
///         if let Err(error) = state::set("greeted", &self.greeted).await {
///             info!("{error}");
///         }
///     }
/// }
///
/// soloist_sdk::export!(Greeter);
/// # fn main() {
/// let test = Harness::new();
/// test.elect::<Greeter>().demote(Demotion::Shutdown);
/// assert_eq!(test.state::<u32>("greeted"), Some(1));
/// # }
/// ```
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
/// ```
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::term;
///
/// let test = Harness::new().task("report");
/// assert_eq!(test.block_on(async { term().task }), "report");
/// ```
///
/// # Panics
/// Panics before the plugin was elected, as in the initialiser of a static.
pub fn term() -> Term {
    export::current_term().expect("there is no term before on_elected")
}

/// How long the plugin may still run, as known now: while it leads, the lease, which the host keeps extending; once
/// demotion has begun, what is left of it.
///
/// ```
/// use std::time::Duration;
///
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Demotion, Plugin, Result, Term, info, remaining, sleep};
///
/// #[derive(Default)]
/// struct Tidy;
///
/// impl Plugin for Tidy {
///     async fn on_elected(&mut self, _: Term) -> Result {
///         Ok(())
///     }
///
///     async fn on_demoted(&mut self, _: Demotion) {
///         // As much as there is time for, and some to spare.
///         while remaining() > Duration::from_millis(500) {
///             sleep(Duration::from_millis(300)).await;
///             info!("one more is put away");
///         }
///     }
/// }
///
/// let test = Harness::new();
/// test.elect::<Tidy>().demote(Demotion::Shutdown);
/// assert_eq!(test.messages().len(), 5);
/// ```
pub fn remaining() -> Duration {
    Duration::from_nanos(imports::remaining())
}

/// Whether demotion has begun, for a plugin that computes: where `on_elected` waits it is ended without asking.
///
/// ```
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Result, Term, info, should_stop};
///
/// async fn count(_: Term) -> Result {
///     let mut counted: u64 = 0;
///     while !should_stop() {
///         counted += 1;
///     }
///     info!("counted to {counted}");
///     Ok(())
/// }
///
/// soloist_sdk::export!(fn count);
/// # fn main() {
/// let test = Harness::new().stop_after(1_000);
/// test.elect::<Exported>().finish().unwrap();
/// assert_eq!(test.messages(), ["counted to 1000"]);
/// # }
/// ```
pub fn should_stop() -> bool {
    imports::should_stop()
}

/// Gives leadership up, so that another host takes over; `on_demoted` follows, unless `on_elected` fails before.
///
/// Returns at once. Only the first call of a term counts.
///
/// ```
/// use soloist_sdk::testing::Harness;
/// use soloist_sdk::{Result, Term, resign};
///
/// async fn work(_: Term) -> Result {
///     resign("the printer of this machine is out of paper");
///     Ok(())
/// }
///
/// soloist_sdk::export!(fn work);
/// # fn main() {
/// let test = Harness::new();
/// assert!(!test.elect::<Exported>().leads());
/// assert!(test.resigned().is_some());
/// # }
/// ```
pub fn resign(reason: &str) {
    imports::resign(reason);
}
