//! When a plugin last gave a sign of life: a call of the host, or a wait for something.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Moment;

/// The signs of life of one plugin in one term. Clones share them.
///
/// Only what computes gives none: a plugin that has never run, or that waits, is alive now.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    /// Since when it computes, in nanoseconds of a [`Moment`]. Zero if it does not, or has just begun to.
    computes_since: Arc<AtomicU64>,
}

impl Pulse {
    /// It was found computing.
    pub fn computes(&self, now: Moment) {
        let since = &self.computes_since;
        // Only the first time since its last sign of life counts.
        let _ = since.compare_exchange(0, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// It gives a sign of life.
    pub fn lives(&self) {
        // Most calls have nothing to take back: whoever reads only is not slowed down.
        if self.computes_since.load(Ordering::Relaxed) != 0 {
            self.computes_since.store(0, Ordering::Relaxed);
        }
    }

    /// Its last sign of life, to an epoch tick: now, if it does not compute.
    pub fn last(&self, now: Moment) -> Moment {
        match self.computes_since.load(Ordering::Relaxed) {
            0 => now,
            since => Moment::from_nanos(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_computes_is_as_alive_as_when_it_began_to() {
        let at = Moment::from_nanos;
        let pulse = Pulse::default();
        assert_eq!(pulse.last(at(5)), at(5));
        pulse.computes(at(6));
        pulse.computes(at(7));
        assert_eq!(pulse.clone().last(at(9)), at(6));
        pulse.lives();
        assert_eq!(pulse.last(at(9)), at(9));
        pulse.computes(at(10));
        assert_eq!(pulse.last(at(12)), at(10));
    }
}
