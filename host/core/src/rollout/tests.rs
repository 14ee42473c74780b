use super::*;
use crate::cause::Cause;
use crate::clock::Moment;
use crate::digest::Digest;
use crate::permit::LeaseLost;
use crate::records::{
    Changed, Generation, Readiness, ReadyRecord, RolloutRecord, Stage, StateCopy,
};
use crate::restart::PluginFailed;

mod leading;
mod ordering;

const SETTINGS: Settings = Settings {
    healthy_after: Duration::from_secs(60),
    on_rollback: OnRollback::Restore,
    migrates: true,
    max_restarts: 2,
};

fn generation(number: u64) -> Generation {
    Generation {
        number,
        sha256: Digest::of(&number.to_le_bytes()),
    }
}

fn by(who: &str) -> Changed {
    Changed::new(who, "2026-11-26T12:00:00.000Z")
}

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(0) + Duration::from_secs(seconds)
}

/// The first generation of a task, found healthy.
fn healthy() -> RolloutRecord {
    let first = deploy(None, generation(1), None, by("ann")).unwrap();
    change::healthy(&first, by("a"))
}

/// The second one is wanted.
fn wanted() -> RolloutRecord {
    deploy(
        Some(&healthy()),
        generation(2),
        Some(generation(1)),
        by("ann"),
    )
    .unwrap()
}

/// The second one is on probation, and the state is copied.
fn probation() -> RolloutRecord {
    change::copied(&change::promote(&wanted(), by("a")), by("a"))
}

fn rolled_back() -> RolloutRecord {
    let cause = ("trap", "unreachable");
    change::take_back(&probation(), OnRollback::Restore, cause, by("a"))
}

fn failed(cause: Cause) -> PluginFailed {
    PluginFailed { cause, restarts: 2 }
}

fn trap() -> PluginFailed {
    failed(Cause::Trapped("unreachable".into()))
}

fn ready() -> Prepared {
    Prepared {
        current: Readiness::Ready,
        wanted: Readiness::Ready,
        back: Readiness::Ready,
    }
}

/// A host that stands and says this of a generation.
fn participant(host: &str, number: u64, readiness: Readiness) -> Participant {
    Participant {
        host: host.into(),
        stands: true,
        says: Some(ReadyRecord {
            generation: number,
            readiness,
        }),
    }
}
