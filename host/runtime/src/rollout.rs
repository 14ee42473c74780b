//! What a host's contender knows of the rollout of a deployed task.
//!
//! Data flows one way: the deployer follows the manifests and prepares generations, and publishes what it knows; the contender
//! that leads reads that, decides by [`soloist_core::rollout`], and writes the record.

use std::time::Duration;

use soloist_core::records::RolloutRecord;
use soloist_core::rollout::{Prepared, Purpose, Settings};
use tokio::sync::watch;

/// The part that a host plays in the rollout of a deployed task, while its contender does one piece of work.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// What the host stands for.
    pub purpose: Purpose,
    /// What the manifest of the current generation says of its rollout.
    pub settings: Settings,
    /// What the host knows.
    pub known: watch::Receiver<Known>,
}

/// What a host knows of a rollout.
#[derive(Clone, Debug)]
pub struct Known {
    /// The record, as the host has last heard of it.
    pub record: Heard,
    /// How far this host is with the generations that the record names.
    pub prepared: Prepared,
    /// The `ready_timeout` of the wanted generation.
    pub ready_timeout: Duration,
}

/// What a host has heard of the record of a rollout.
#[derive(Clone, Debug)]
pub enum Heard {
    /// There is none.
    Nothing,
    /// There is one, and only a newer host can read it.
    Unreadable,
    /// The record, and the data version of its node.
    Record(Box<RolloutRecord>, i32),
}
