//! The paths of the nodes.

use super::{Candidate, TermRecord};
use crate::digest::Digest;

/// How many bytes the paths of all nodes that one session watches may have together. When a session reconnects, the client
/// library sends all these paths to the server in messages of 128 KiB, and it misreads the answers if there are two.
///
/// This bounds the ephemeral nodes of a session as well, since a host watches most of those that it has. The end of a session is
/// one transaction with all their paths, and servers cannot read their log again if these have more than 2 MB (ZOOKEEPER-4306).
pub const WATCHED_BYTES_MAX: usize = 128 * 1024;

/// The paths of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPaths {
    /// The master node.
    pub master: String,
    /// Whether the configuration of the task says where the master node is. Otherwise it is beside the other nodes.
    pub elsewhere: bool,
    /// The term record.
    pub term: String,
    /// The history of the terms.
    pub history: String,
    /// The parent of the candidates.
    pub candidates: String,
    /// The mark on a task whose plugin fails for good.
    pub failed: String,
    /// How often the plugin was restarted in a term.
    pub restarts: String,
    /// The order to the leader to resign.
    pub resign: String,
    /// The parent of the plugin's state.
    pub state: String,
    /// The parent of the records of the plugin's schedules.
    pub schedules: String,
    /// The record of the rollout.
    pub manifest: String,
    /// The parent of the generations.
    pub generations: String,
    /// The parent of what hosts say about a generation that they prepare.
    pub ready: String,
    /// The parent of the copy: `state` and `schedules` below it have the same keys as those of the task.
    pub saved: String,
}

impl TaskPaths {
    /// The paths of `task` below `root`. The master node is at `master`, if that is given.
    pub fn new(root: &str, task: &str, master: Option<&str>) -> Self {
        let own = format!("{}/{task}", tasks_path(root));
        Self {
            master: master.map_or_else(|| format!("{own}/master"), str::to_owned),
            elsewhere: master.is_some(),
            term: format!("{own}/term"),
            history: format!("{own}/history"),
            candidates: format!("{own}/candidates"),
            failed: format!("{own}/failed"),
            restarts: format!("{own}/restarts"),
            resign: format!("{own}/resign"),
            state: format!("{own}/state"),
            schedules: format!("{own}/schedules"),
            manifest: format!("{}/{task}", manifests_path(root)),
            generations: format!("{own}/generations"),
            ready: format!("{own}/ready"),
            saved: format!("{own}/saved"),
        }
    }

    /// The path of a generation.
    pub fn generation(&self, number: u64) -> String {
        format!("{}/{number}", self.generations)
    }

    /// The path of the master node, as `record` says it.
    pub fn master_in(&self, record: &TermRecord) -> String {
        let usual = || {
            self.term
                .strip_suffix("/term")
                .map(|own| format!("{own}/master"))
                .unwrap_or_default()
        };
        record.path.clone().unwrap_or_else(usual)
    }

    /// How many bytes the paths of the task's nodes that a host may watch at once have together, with the chroot.
    pub fn watched_bytes(&self, chroot: &str, host: &str) -> usize {
        // A host watches its own candidate and that of its predecessor.
        let candidate = self.candidates.len()
            + 1
            + Candidate::prefix(0, host).len()
            + Candidate::SEQUENCE_DIGITS;
        let paths = [
            self.master.len(),
            self.term.len(),
            self.resign.len(),
            candidate,
            candidate,
        ];
        paths.iter().map(|path| chroot.len() + path).sum()
    }
}

/// The parent of all hosts' nodes.
pub fn hosts_path(root: &str) -> String {
    format!("{root}/hosts")
}

/// The parent of all orders to drain a host.
pub fn drained_path(root: &str) -> String {
    format!("{root}/drained")
}

/// The path of the order to drain a host.
pub fn drain_path(root: &str, host: &str) -> String {
    format!("{}/{host}", drained_path(root))
}

/// The parent of all tasks.
pub fn tasks_path(root: &str) -> String {
    format!("{root}/tasks")
}

/// The parent of all manifests. They lie beside each other, and nothing else lies there, so that one watch follows all.
pub fn manifests_path(root: &str) -> String {
    format!("{root}/manifests")
}

/// The parent of all artefacts.
pub fn artefacts_path(root: &str) -> String {
    format!("{root}/artefacts")
}

/// The parent of an artefact's chunks.
pub fn artefact_path(root: &str, sha256: Digest) -> String {
    format!("{}/{sha256}", artefacts_path(root))
}

/// The path of a host's node.
pub fn host_path(root: &str, host: &str) -> String {
    format!("{root}/hosts/{host}")
}

/// The path of the node of a further session of a host: `number` counts from 2, since [`host_path`] is that of the first. It does
/// not lie among the hosts' nodes, where it would be taken for one more host.
pub fn shard_path(root: &str, number: u32, host: &str) -> String {
    format!("{}/{number}/{host}", shards_path(root))
}

/// The parent of all that hosts have of further sessions.
pub fn shards_path(root: &str) -> String {
    format!("{root}/shards")
}

/// The path of the parent node. None if the parent is `/`.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/')
        .map(|(parent, _)| parent)
        .filter(|parent| !parent.is_empty())
}
