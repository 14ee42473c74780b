//! The changes that a record goes through. Each one is written over the record that it was made of, or not at all.

use super::OnRollback;
use crate::records::{Changed, Failure, RolloutRecord, Stage, StateCopy};

/// The wanted generation becomes the current one, on probation. The same record if none is wanted.
pub(super) fn promote(record: &RolloutRecord, changed: Changed) -> RolloutRecord {
    let Some(wanted) = record.wanted else {
        return record.clone();
    };
    // The copy is of the state as the generation to go back to has left it. If the current one is that generation and has run
    // since, the copy is out of date. If it has not, the copy is still to be restored.
    let copy = if record.is_proven() && !record.restore {
        record.copy.map(|_| StateCopy::Stale)
    } else {
        record.copy
    };
    RolloutRecord {
        current: Some(wanted),
        stage: Stage::Probation { inconclusive: 0 },
        back: record.replaced_next(),
        wanted: None,
        copy,
        changed,
        ..record.clone()
    }
}

/// The current generation is taken back. Without one to go back to, it has failed, and nobody runs it any more.
pub(super) fn take_back(
    record: &RolloutRecord,
    on_rollback: OnRollback,
    (cause, detail): (&str, &str),
    changed: Changed,
) -> RolloutRecord {
    let Some(from) = record.current else {
        return record.clone();
    };
    let failure = Failure::new(from, cause, detail);
    let changed = RolloutRecord {
        changed,
        ..record.clone()
    };
    let Some(back) = record.back else {
        return RolloutRecord {
            stage: Stage::Failed(failure),
            ..changed
        };
    };
    let is_kept = record.copy == Some(StateCopy::Kept);
    let restore = record.restore || is_kept && on_rollback == OnRollback::Restore;
    RolloutRecord {
        current: Some(back),
        stage: Stage::RolledBack(failure),
        back: None,
        copy: if restore {
            record.copy
        } else {
            record.copy.map(|_| StateCopy::Stale)
        },
        restore,
        ..changed
    }
}

/// The current generation has shown that it is healthy.
pub(super) fn healthy(record: &RolloutRecord, changed: Changed) -> RolloutRecord {
    RolloutRecord {
        stage: Stage::Healthy,
        copy: record.copy.map(|_| StateCopy::Stale),
        changed,
        ..record.clone()
    }
}

/// The current generation is still on probation, after one more term that showed nothing.
pub(super) fn inconclusive(record: &RolloutRecord, terms: u32, changed: Changed) -> RolloutRecord {
    RolloutRecord {
        stage: Stage::Probation {
            inconclusive: terms,
        },
        changed,
        ..record.clone()
    }
}

/// The state has been copied.
pub(super) fn copied(record: &RolloutRecord, changed: Changed) -> RolloutRecord {
    RolloutRecord {
        copy: Some(StateCopy::Kept),
        changed,
        ..record.clone()
    }
}

/// The state has been restored. A generation on probation may need the same copy once more.
pub(super) fn restored(record: &RolloutRecord, changed: Changed) -> RolloutRecord {
    RolloutRecord {
        restore: false,
        copy: if record.is_proven() {
            Some(StateCopy::Stale)
        } else {
            record.copy
        },
        changed,
        ..record.clone()
    }
}

/// The copy has been deleted.
pub(super) fn dropped(record: &RolloutRecord, changed: Changed) -> RolloutRecord {
    RolloutRecord {
        copy: None,
        changed,
        ..record.clone()
    }
}
