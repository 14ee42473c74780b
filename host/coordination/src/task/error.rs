//! What can go wrong with a request about a task.

use crate::error::NodeError;
use soloist_core::election::{Holder, Input};

/// A request about a task that failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A request about one of its nodes failed.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Hosts are told of different master nodes for the same task: only the queue would hold them apart.
    #[error(
        "this host has {own} as the master node, but the task's is {theirs}, for which {host} stands: give all hosts the \
         same `path`. It changes when nobody stands for the task with the old one any more"
    )]
    OtherPath {
        /// The master node of this host.
        own: String,
        /// That of the term record.
        theirs: String,
        /// Who stands or leads.
        host: String,
    },
    /// The ensemble answered with a node that was not asked for.
    #[error("asked for master node {asked}, but {created} was created")]
    WrongNode {
        /// The master node.
        asked: String,
        /// What the ensemble says it created.
        created: String,
    },
    /// A node that no session owns stands where the master node is to be.
    #[error(
        "node {path} is persistent: no session holds it, and nobody can lead while it is there; delete it (a program that \
         contends for it has to create it as an ephemeral node)"
    )]
    Unowned {
        /// The master node.
        path: String,
    },
}

impl TaskError {
    /// What the election is told.
    pub fn input(&self) -> Input {
        match self {
            Self::Unowned { .. } => Input::MasterSeen(Holder::Unowned),
            Self::Node(error) if error.is_refusal() => Input::Refused,
            _ => Input::Failed,
        }
    }
}
