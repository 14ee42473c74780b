//! The one clock that leases are measured on.

pub use soloist_core::clock::Moment;

/// Reads the clock.
pub fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Moment::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Waits until the clock has reached `moment`.
///
/// Timers run on CLOCK_MONOTONIC, so after a suspension of the machine this may return late, never early.
///
/// # Cancellation safety
/// Nothing is lost when the future is dropped.
pub async fn sleep_until(moment: Moment) {
    loop {
        let left = moment.saturating_since(now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}
