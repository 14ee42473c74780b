//! What is tried, and what is known of it afterwards.

use std::sync::Arc;
use std::time::Duration;

use soloist_config::Place;
use soloist_runtime::activation::ActivationSettings;
use soloist_sandbox::Plugin;

use super::recorder::{Entries, Kept};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The plugin, as a host has loaded it.
    pub plugin: Arc<Plugin>,
    /// How a host runs it.
    pub settings: ActivationSettings,
    /// The name of its task.
    pub task: Arc<str>,
    /// What its random numbers come of.
    pub seed: u64,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The step at which that was found, if the life was scripted.
    pub place: Option<Place>,
    /// What is wrong, for a person.
    pub what: String,
}

/// A life that was lived to its end, or until its plugin took too long, or did too much.
#[derive(Debug)]
pub struct Lived {
    /// How many terms there were.
    pub terms: u64,
    /// How much time has passed, by the clock of the task.
    pub passed: Duration,
    /// Everything that is not as it should be.
    pub unmet: Vec<Unmet>,
    pub(super) traces: Traces,
}

impl Lived {
    /// How many calls the plugin has made to its host.
    pub fn calls(&self) -> usize {
        self.traces.kept.imports.len()
    }
}

/// What a life leaves for comparison.
#[derive(Debug, Default)]
pub(super) struct Traces {
    pub(super) kept: Kept,
    pub(super) end: Entries,
    pub(super) has_struck: bool,
    /// What the host that took over has found, after a failover.
    pub(super) taken_over: Option<TakenOver>,
    /// How the plugin has failed: after the failover, if there was one.
    pub(super) failures: Vec<String>,
    /// Whether the plugin was stopped by force though it was asked to stop.
    pub(super) was_forced: bool,
    pub(super) end_early: Option<Early>,
}

/// What a host has found when it took over.
#[derive(Clone, Debug)]
pub(super) struct TakenOver {
    /// The term of that host.
    pub(super) term: u64,
    pub(super) entries: Entries,
    pub(super) fingerprint: u64,
}

/// Why a life has ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// The plugin computes without end, or the system does not come back from what it asked for.
    Stalled,
    /// The plugin has done more than is kept.
    Full,
}
