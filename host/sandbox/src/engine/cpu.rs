//! A plugin's share of a processor: what it has used, and how long it has to rest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use soloist_core::clock::{self, Moment};
use soloist_core::meter::TaskMeter;

/// How much a plugin that was idle may use at once, in time on a processor.
const BURST: Duration = Duration::from_millis(20);

/// What one plugin uses of a processor, on whatever thread it runs. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(Option<Arc<Mutex<Meter>>>);

#[derive(Debug)]
struct Meter {
    /// None if it may use as much as there is, and is only measured.
    budget: Option<Budget>,
    told: Option<Arc<TaskMeter>>,
    /// Up to where the time of the thread that runs the plugin now has been charged.
    charged: Duration,
}

impl Cpu {
    /// A share of so many percent; from 100 on there is nothing to hold back. What is used is `told`, if it is measured.
    pub(crate) fn new(percent: u32, told: Option<&Arc<TaskMeter>>) -> Self {
        let is_held_back = percent < 100;
        let meter = || Meter {
            budget: is_held_back.then(|| Budget::new(percent, clock::now())),
            told: told.cloned(),
            charged: Duration::ZERO,
        };
        Self((is_held_back || told.is_some()).then(|| Arc::new(Mutex::new(meter()))))
    }

    /// This thread begins to run the plugin.
    pub(crate) fn resumed(&self) {
        self.with(|meter| meter.charged = thread_time());
    }

    /// This thread stops running the plugin, or might: says how long the plugin has to rest now.
    pub(crate) fn charge(&self) -> Duration {
        self.with(|meter| {
            let now = thread_time();
            let used = now.saturating_sub(std::mem::replace(&mut meter.charged, now));
            if let Some(told) = &meter.told {
                told.ran(used);
            }
            let budget = meter.budget.as_mut()?;
            Some(budget.charge(clock::now(), used))
        })
        .flatten()
        .unwrap_or_default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Meter) -> T) -> Option<T> {
        // The figures are right whoever panicked while holding them.
        let mut meter = self
            .0
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(act(&mut meter))
    }
}

/// What this thread has used of a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Time on a processor, earned while time goes by and spent by running.
#[derive(Debug)]
struct Budget {
    percent: i64,
    /// In nanoseconds; below zero there is something to make up for.
    left: i64,
    as_of: Moment,
}

impl Budget {
    fn new(percent: u32, now: Moment) -> Self {
        Self {
            percent: i64::from(percent.clamp(1, 100)),
            left: 0,
            as_of: now,
        }
    }

    /// Spends `used`; says how long it takes to earn what is owed.
    fn charge(&mut self, now: Moment, used: Duration) -> Duration {
        let elapsed = nanos(now.saturating_since(self.as_of));
        self.as_of = now;
        let earned = elapsed.saturating_mul(self.percent) / 100;
        self.left = self
            .left
            .saturating_add(earned)
            .min(nanos(BURST))
            .saturating_sub(nanos(used));
        let owed = self.left.saturating_neg().max(0);
        Duration::from_nanos((owed.saturating_mul(100) / self.percent).unsigned_abs())
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    #[test]
    fn a_plugin_that_always_runs_gets_its_share_and_no_more() {
        for percent in [1, 10, 33, 50, 99] {
            let mut now = Moment::from_nanos(0);
            let (mut budget, mut used) = (Budget::new(percent, now), Duration::ZERO);
            while now < Moment::from_nanos(0) + Duration::from_secs(100) {
                now = now + TICK;
                used += TICK;
                now = now + budget.charge(now, TICK);
            }
            let share =
                used.as_secs_f64() / now.saturating_since(Moment::from_nanos(0)).as_secs_f64();
            assert!(
                (share - f64::from(percent) / 100.0).abs() < 0.002,
                "{share} of {percent} %"
            );
        }
    }

    #[test]
    fn a_plugin_that_was_idle_may_run_for_a_burst_at_most() {
        let mut budget = Budget::new(10, Moment::from_nanos(0));
        let later = Moment::from_nanos(0) + Duration::from_secs(3600);
        assert_eq!(budget.charge(later, BURST), Duration::ZERO);
        assert_eq!(budget.charge(later, TICK), TICK * 10);
    }
}
