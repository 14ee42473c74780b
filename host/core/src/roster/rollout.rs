//! How far the rollout of a task is, for whoever asks at this moment.

use std::fmt;
use std::sync::Arc;

use crate::records::{RolloutRecord, Stage};

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolloutShown {
    /// One word for what is known of the current generation, or `paused`.
    pub state: &'static str,
    /// The number of the current generation.
    pub current: Option<u64>,
    /// The number of the one that hosts prepare.
    pub wanted: Option<u64>,
    /// The number of the one to go back to.
    pub back: Option<u64>,
}

impl RolloutShown {
    /// What the record says.
    pub fn of(record: &RolloutRecord) -> Self {
        let state = match &record.stage {
            _ if record.paused.is_some() => "paused",
            Stage::Probation { .. } => "probation",
            Stage::Healthy => "healthy",
            Stage::RolledBack(_) => "rolled-back",
            Stage::Failed(_) => "failed",
            Stage::Undeployed => "undeployed",
        };
        let number = |generation: &Option<crate::records::Generation>| {
            generation.as_ref().map(|generation| generation.number)
        };
        Self {
            state,
            current: number(&record.current),
            wanted: number(&record.wanted),
            back: number(&record.back),
        }
    }
}

/// What tells how far a rollout is. It looks when it is asked, so that what is shown cannot stay behind.
#[derive(Clone, Default)]
pub struct RolloutSight(Option<Arc<dyn Fn() -> Option<RolloutShown> + Send + Sync>>);

impl RolloutSight {
    /// Looks so. It must not block.
    pub fn new(look: impl Fn() -> Option<RolloutShown> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look)))
    }

    /// How far the rollout is now, if there is one.
    pub fn now(&self) -> Option<RolloutShown> {
        self.0.as_ref().and_then(|look| look())
    }
}

impl fmt::Debug for RolloutSight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RolloutSight").field(&self.now()).finish()
    }
}
