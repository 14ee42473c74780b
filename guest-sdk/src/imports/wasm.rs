//! The host's imports.

use std::time::SystemTime;

pub(crate) use crate::bindings::soloist::plugin::leadership::{remaining, resign, should_stop};
pub(crate) use crate::bindings::soloist::plugin::log::log;
pub(crate) use crate::bindings::soloist::plugin::{schedule, state};
use crate::bindings::wasi::clocks::monotonic_clock;
pub(crate) use crate::bindings::wasi::clocks::monotonic_clock::now;
use crate::bindings::wasi::config::store;
pub(crate) use crate::http::exchange::exchange;

/// The value of `key` in the task's configuration.
pub(crate) fn config(key: &str) -> Option<String> {
    // Soloist serves the configuration from memory: reading it cannot fail.
    store::get(key).ok().flatten()
}

/// Every entry of the task's configuration.
pub(crate) fn config_all() -> Vec<(String, String)> {
    store::get_all().unwrap_or_default()
}

/// Waits until the monotonic clock shows `deadline`, in nanoseconds.
pub(crate) async fn wait_until(deadline: u64) {
    monotonic_clock::wait_until(deadline).await;
}

/// The time of day.
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}
