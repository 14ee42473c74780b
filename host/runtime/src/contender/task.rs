//! The task that a contender stands for.

use std::sync::Arc;

use super::Once;
use super::standing::Standing;
use soloist_coordination::fence::Fence;
use soloist_coordination::session::Session;
use soloist_coordination::task::TaskNodes;
use soloist_core::records::TaskPaths;
use soloist_core::term::Term;

/// What a contender stands for.
#[derive(Debug)]
pub struct Task {
    /// The task's name.
    pub name: Arc<str>,
    /// Where its nodes are.
    pub paths: Arc<TaskPaths>,
    /// Whether to stand only until the plugin has completed once, or failed for good on this host.
    pub once: Option<Once>,
}

impl Task {
    /// The task's nodes, seen by this session.
    pub(super) fn nodes(&self, session: Arc<Session>) -> TaskNodes {
        TaskNodes::new(session, self.paths.clone(), self.name.clone())
    }

    /// What ties the writes of a term to it.
    pub(super) fn fence(&self, standing: &Standing, term: &Term) -> Fence {
        let candidate = standing.candidate().unwrap_or_default();
        Fence::new(&self.paths, term, &candidate)
    }
}
