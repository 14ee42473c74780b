//! What a host measures of one task.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::histogram::{Histogram, Reading};

/// The upper bounds of what is left of a lease at an effect, in microseconds.
const MARGIN_BOUNDS: [u64; 10] = [
    50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 4_000_000, 6_000_000, 8_000_000,
    16_000_000,
];

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            /// All there are.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// How it is called in labels.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// What a plugin does to the world.
    Effect {
        /// A request over HTTP.
        Http = "http",
        /// A connection over TCP.
        Tcp = "tcp",
        /// A write to a file.
        File = "file",
        /// A request to the task's state, or to the record of a schedule.
        State = "state",
    }
}

named! {
    /// What came of it.
    Outcome {
        /// It was done.
        Done = "done",
        /// The lease was over, or demotion had begun.
        Lease = "lease",
        /// The task does not grant it, or not so much of it.
        Grant = "grant",
        /// It failed.
        Error = "error",
    }
}

/// Counts of what happens seldom: by the kind, and by what tells it from others of its kind.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// What a host measures of one task.
#[derive(Debug)]
pub struct TaskMeter {
    margins: Histogram<{ MARGIN_BOUNDS.len() }>,
    refused_calls: AtomicU64,
    effects: [[AtomicU64; Outcome::ALL.len()]; Effect::ALL.len()],
    interruptions: AtomicU64,
    cpu_nanos: AtomicU64,
    memory_bytes: AtomicU64,
    state_bytes: AtomicU64,
    counts: Mutex<Counts>,
}

/// What was measured of one task, at one moment.
#[derive(Clone, Debug)]
pub struct TaskReading {
    /// What was left of the lease at each call of the plugin.
    pub margins: Reading,
    /// How many calls came when the lease was over.
    pub refused_calls: u64,
    /// How many effects had which outcome; none of what has never happened.
    pub effects: Vec<(Effect, Outcome, u64)>,
    /// How often the plugin was interrupted while it computed.
    pub interruptions: u64,
    /// How long it ran on a processor.
    pub cpu: Duration,
    /// How many bytes its memories have.
    pub memory_bytes: u64,
    /// How many bytes it has written to its state.
    pub state_bytes: u64,
    /// What else was counted.
    pub counts: Counts,
}

impl Default for TaskMeter {
    fn default() -> Self {
        Self {
            margins: Histogram::new(MARGIN_BOUNDS),
            refused_calls: AtomicU64::new(0),
            effects: Default::default(),
            interruptions: AtomicU64::new(0),
            cpu_nanos: AtomicU64::new(0),
            memory_bytes: AtomicU64::new(0),
            state_bytes: AtomicU64::new(0),
            counts: Mutex::default(),
        }
    }
}

impl TaskMeter {
    /// The plugin has called the host when so much was left of the lease; nothing, when it was over.
    pub fn called(&self, left: Duration) {
        if left.is_zero() {
            self.refused_calls.fetch_add(1, Ordering::Relaxed);
        } else {
            self.margins.observe(left);
        }
    }

    /// An effect was had, or not.
    pub fn effect(&self, effect: Effect, outcome: Outcome) {
        self.effects[effect as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The plugin was interrupted while it computed.
    pub fn interrupted(&self) {
        self.interruptions.fetch_add(1, Ordering::Relaxed);
    }

    /// The plugin has run on a processor for so long.
    pub fn ran(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The plugin's memories have so many bytes.
    pub fn has_memory(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The plugin has written so many bytes to its state.
    pub fn wrote_state(&self, bytes: u64) {
        self.state_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts something that happens seldom. `kind` and `what` become a metric and a label.
    pub fn count(&self, kind: &'static str, what: &'static str, by: u64) {
        *self.counts().entry((kind, what)).or_default() += by;
    }

    /// All of it, at this moment.
    pub fn read(&self) -> TaskReading {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut effects = Vec::new();
        for effect in Effect::ALL {
            for outcome in Outcome::ALL {
                let count = of(&self.effects[effect as usize][outcome as usize]);
                if count > 0 {
                    effects.push((effect, outcome, count));
                }
            }
        }
        TaskReading {
            margins: self.margins.read(),
            refused_calls: of(&self.refused_calls),
            effects,
            interruptions: of(&self.interruptions),
            cpu: Duration::from_nanos(of(&self.cpu_nanos)),
            memory_bytes: of(&self.memory_bytes),
            state_bytes: of(&self.state_bytes),
            counts: self.counts().clone(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Each count is right by itself.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read_and_what_never_happened_is_not_there() {
        let meter = TaskMeter::default();
        meter.effect(Effect::Http, Outcome::Grant);
        meter.effect(Effect::Http, Outcome::Grant);
        meter.called(Duration::from_millis(700));
        meter.called(Duration::ZERO);
        meter.count("slots", "missed", 3);
        meter.count("slots", "missed", 1);
        let read = meter.read();
        assert_eq!(read.effects, [(Effect::Http, Outcome::Grant, 2)]);
        assert_eq!((read.margins.count, read.refused_calls), (1, 1));
        assert_eq!(read.counts, BTreeMap::from([(("slots", "missed"), 4)]));
    }
}
