//! What a generation does when it is run, and on which hosts it can be.

use std::time::Duration;

use soloist_core::cause::Cause;
use soloist_core::digest::Digest;
use soloist_core::records::Generation;
use soloist_core::rollout::{OnRollback, Settings};
use soloist_seed::Random;

pub(crate) const HEALTHY_AFTER: u64 = 10;
pub(crate) const READY_TIMEOUT: u64 = 20;
pub(crate) const MAX_RESTARTS: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It runs.
    Good,
    /// It completes.
    Completes,
    /// It fails for good.
    Bad,
    /// It fails again and again, but each time only after a while.
    Crashes,
    /// It resigns after a while.
    Resigns,
    /// No host can run it, which shows only when one tries.
    Hosts,
    /// It is healthy at first, and fails later.
    Later,
}

/// What becomes of a generation.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) kind: Kind,
    pub(crate) replaces: Option<Generation>,
    /// The hosts that can be ready for it.
    pub(crate) hosts: Vec<bool>,
    pub(crate) on_rollback: OnRollback,
    pub(crate) migrates: bool,
    /// It is nowhere to be had any more.
    pub(crate) gone: bool,
}

impl Fate {
    pub(crate) fn draw(random: &mut Random, hosts: usize, replaces: Option<Generation>) -> Self {
        let kind = match random.below(12) {
            0..5 => Kind::Good,
            5 => Kind::Completes,
            6 | 7 => Kind::Bad,
            8 => Kind::Crashes,
            9 => Kind::Resigns,
            10 => Kind::Hosts,
            _ => Kind::Later,
        };
        let can = random.below(5);
        let hosts = (0..hosts).map(|_| can > 1 || can == 1 && random.below(2) == 0);
        Self {
            kind,
            replaces,
            hosts: hosts.collect(),
            on_rollback: if random.below(4) == 0 {
                OnRollback::Keep
            } else {
                OnRollback::Restore
            },
            migrates: random.below(4) > 0,
            gone: false,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            healthy_after: Duration::from_secs(HEALTHY_AFTER),
            on_rollback: self.on_rollback,
            migrates: self.migrates,
            max_restarts: MAX_RESTARTS,
        }
    }

    /// Whether its plugin runs for long enough, or completes.
    pub(crate) fn can_be_healthy(&self) -> bool {
        matches!(self.kind, Kind::Good | Kind::Completes | Kind::Later)
    }

    /// Whether hosts run it for good once it is the current one.
    pub(crate) fn stays(&self) -> bool {
        matches!(self.kind, Kind::Good | Kind::Completes)
    }

    pub(crate) fn can_be_ready(&self, host: usize) -> bool {
        self.hosts[host] && !self.gone
    }

    pub(crate) fn anybody_can_be_ready(&self) -> bool {
        (0..self.hosts.len()).any(|host| self.can_be_ready(host))
    }

    /// Why it fails, if it does.
    pub(crate) fn cause(&self) -> Cause {
        match self.kind {
            Kind::Hosts => Cause::Host("no memory for it".into()),
            _ => Cause::Trapped("unreachable".into()),
        }
    }
}

/// A generation of that number.
pub(crate) fn generation(number: u64) -> Generation {
    Generation {
        number,
        sha256: Digest::of(&number.to_le_bytes()),
    }
}
