//! Bounds how much one plugin, and all plugins of a host, may write to the state in a second.
//!
//! Every ZooKeeper server holds the whole state in memory. It also holds the latest 500 writes there, and logs each write on
//! disk. A plugin that writes without a pause would bring down the ensemble, and every task with it. So writes wait for their
//! turn, and the host refuses a write that would wait too long.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use soloist_core::clock::{self, Moment};
use soloist_core::limits::Limits;
use soloist_core::permit::{Permit, Phase};

/// The longest time that a write waits.
pub const WRITE_WAIT: Duration = Duration::from_secs(10);

/// How many bytes a write counts for besides its key and its value, because ZooKeeper stores more than these.
const WRITE_BYTES: u64 = 512;

/// A bucket that fills with a number of bytes a second. A write that takes more than the bucket holds has to wait for the
/// rest.
#[derive(Debug)]
pub struct Bucket {
    rate: u64,
    burst: u64,
    /// When the bucket is full again, if no write comes before.
    full: Mutex<Moment>,
}

impl Bucket {
    /// A full bucket that fills with `rate` bytes a second and holds `burst` bytes.
    pub fn new(rate: u64, burst: u64) -> Self {
        Self {
            rate: rate.max(1),
            burst,
            full: Mutex::default(),
        }
    }

    /// The bucket of all plugins of a host. It holds the bytes of four seconds.
    pub fn of_host(rate: u64) -> Self {
        Self::new(rate, rate.saturating_mul(4))
    }

    fn full(&self) -> MutexGuard<'_, Moment> {
        // The value is a single number: a thread that panicked cannot have left half of it.
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the bucket is full again after a write of so many bytes.
    fn full_after(&self, full: Moment, bytes: u64, now: Moment) -> Moment {
        full.max(now) + self.time_for(bytes)
    }

    /// How long a write waits if the bucket is full at `full` after it. The bucket may hold `bursts` times its burst.
    fn wait(&self, full: Moment, bursts: u32, now: Moment) -> Duration {
        full.saturating_since(now)
            .saturating_sub(self.time_for(self.burst).saturating_mul(bursts))
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        // The host refuses a write that would wait so long.
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }
}

/// A write that would have to wait longer than [`WRITE_WAIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMuch {
    setting: &'static str,
    rate: u64,
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self { setting, rate }, wait) = (self, WRITE_WAIT.as_secs());
        write!(
            f,
            "nothing was written: it would wait for more than {wait} s, since `{setting}` allows {rate} bytes a second"
        )
    }
}

/// The two buckets of a plugin's writes: its own and that of the host. They outlive the plugin's terms.
#[derive(Clone, Debug)]
pub(crate) struct Writes {
    task: Arc<Bucket>,
    host: Arc<Bucket>,
}

impl Writes {
    pub(crate) fn new(limits: &Limits, host: Arc<Bucket>) -> Self {
        Self {
            task: Arc::new(Bucket::new(limits.state_rate, limits.state_burst)),
            host,
        }
    }

    /// Takes a write of so many bytes from the buckets, and gives the time that it has to wait.
    fn take(&self, bytes: usize, phase: Phase, now: Moment) -> Result<Duration, TooMuch> {
        let bytes = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(WRITE_BYTES);
        // A plugin that is demoted has little time to save its work: the buckets hold twice as much for it.
        let bursts = if phase == Phase::Held { 1 } else { 2 };
        let (mut task, mut host) = (self.task.full(), self.host.full());
        let (task_after, host_after) = (
            self.task.full_after(*task, bytes, now),
            self.host.full_after(*host, bytes, now),
        );
        let task_wait = self.task.wait(task_after, bursts, now);
        let host_wait = self.host.wait(host_after, bursts, now);
        if task_wait > WRITE_WAIT {
            return Err(TooMuch {
                setting: "limits.state_rate",
                rate: self.task.rate,
            });
        }
        if host_wait > WRITE_WAIT {
            return Err(TooMuch {
                setting: "zookeeper.state_rate",
                rate: self.host.rate,
            });
        }
        (*task, *host) = (task_after, host_after);
        Ok(task_wait.max(host_wait))
    }

    /// Waits until the plugin may write so many bytes. When demotion begins, writes that wait go at once.
    ///
    /// # Cancellation safety
    /// If the future is dropped, the bytes count as written.
    pub(crate) async fn admit(&self, bytes: usize, permit: &Permit) -> Result<(), TooMuch> {
        let phase = permit.check().unwrap_or(Phase::Revoked);
        let wait = self.take(bytes, phase, clock::now())?;
        if wait.is_zero() {
            return Ok(());
        }
        if phase == Phase::Held {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = permit.effects_ended() => {}
            }
        } else {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_nanos(1_000_000_000_000);

    fn writes(rate: u64, burst: u64, host: u64) -> Writes {
        let limits = Limits {
            state_rate: rate,
            state_burst: burst,
            ..Limits::default()
        };
        Writes::new(&limits, Arc::new(Bucket::of_host(host)))
    }

    /// How long a value is for a write that counts for a round number.
    fn bytes(cost: usize) -> usize {
        cost - 512
    }

    #[test]
    fn what_is_there_is_had_at_once_and_the_rest_is_waited_for() {
        let writes = writes(1000, 4000, 1 << 30);
        for _ in 0..4 {
            assert_eq!(
                writes.take(bytes(1000), Phase::Held, START),
                Ok(Duration::ZERO)
            );
        }
        assert_eq!(
            writes.take(bytes(1000), Phase::Held, START),
            Ok(Duration::from_secs(1))
        );
        let later = START + Duration::from_secs(3);
        assert_eq!(
            writes.take(bytes(2000), Phase::Held, later),
            Ok(Duration::ZERO)
        );
        // The bucket overflows during a long rest.
        let later = later + Duration::from_secs(1_000_000);
        assert_eq!(
            writes.take(bytes(5000), Phase::Held, later),
            Ok(Duration::from_secs(1))
        );
    }

    #[test]
    fn what_would_wait_too_long_is_refused_and_costs_nothing() {
        let writes = writes(1000, 1000, 1 << 30);
        let refused = writes.take(bytes(12_000), Phase::Held, START).unwrap_err();
        assert_eq!(refused.setting, "limits.state_rate");
        assert_eq!(
            writes.take(bytes(11_000), Phase::Held, START),
            Ok(Duration::from_secs(10))
        );
        assert!(writes.take(bytes(1000), Phase::Held, START).is_err());
        assert!(writes.take(usize::MAX, Phase::Held, START).is_err());
    }

    #[test]
    fn one_task_cannot_take_what_the_host_has_not() {
        let host = Arc::new(Bucket::of_host(1000));
        let limits = Limits {
            state_rate: 1 << 30,
            state_burst: 1 << 30,
            ..Limits::default()
        };
        let (one, other) = (
            Writes::new(&limits, Arc::clone(&host)),
            Writes::new(&limits, host),
        );
        assert_eq!(
            one.take(bytes(4000), Phase::Held, START),
            Ok(Duration::ZERO)
        );
        assert_eq!(
            other.take(bytes(1000), Phase::Held, START),
            Ok(Duration::from_secs(1))
        );
        let refused = other.take(bytes(20_000), Phase::Held, START).unwrap_err();
        assert_eq!(refused.setting, "zookeeper.state_rate");
    }

    #[test]
    fn who_puts_work_away_has_as_much_again() {
        let writes = writes(1000, 1000, 1 << 30);
        assert_eq!(
            writes.take(bytes(1000), Phase::Held, START),
            Ok(Duration::ZERO)
        );
        assert_eq!(
            writes.take(bytes(1000), Phase::Draining, START),
            Ok(Duration::ZERO)
        );
        assert_eq!(
            writes.take(bytes(1000), Phase::Draining, START),
            Ok(Duration::from_secs(1))
        );
    }
}
