//! What can go wrong with a request about a task.

use zookeeper_client::Error;

use soloist_core::election::{Holder, Input};

/// A request about a task that failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The nodes that the task needs could not be created.
    #[error("cannot create node {path}{}", hint(.source))]
    Prepare {
        /// The node.
        path: String,
        /// Why.
        source: Error,
    },
    /// The queue or the term record could not be read.
    #[error("cannot read the queue at {path}{}", hint(.source))]
    Look {
        /// The parent of the candidates.
        path: String,
        /// Why.
        source: Error,
    },
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
    /// The queue could not be joined.
    #[error("cannot join the queue at {path}{}", hint(.source))]
    Join {
        /// The parent of the candidates.
        path: String,
        /// Why.
        source: Error,
    },
    /// The election failed, or its outcome was never heard of.
    #[error("cannot elect at {path}{}", hint(.source))]
    Elect {
        /// The master node.
        path: String,
        /// Why.
        source: Error,
    },
    /// The ensemble answered with a node that was not asked for.
    #[error("asked for master node {asked}, but {created} was created")]
    WrongNode {
        /// The master node.
        asked: String,
        /// What the ensemble says it created.
        created: String,
    },
    /// The master node could not be read.
    #[error("cannot read the master node {path}{}", hint(.source))]
    ReadMaster {
        /// The master node.
        path: String,
        /// Why.
        source: Error,
    },
    /// Orders to resign could not be read.
    #[error("cannot read orders to resign at {path}: none is heard until that can be read or is gone{}", hint(.source))]
    Order {
        /// Where they are.
        path: String,
        /// Why.
        source: Error,
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
    /// Leadership could not be given back.
    #[error("cannot release {path}{}", hint(.source))]
    Release {
        /// The master node.
        path: String,
        /// Why.
        source: Error,
    },
}

impl TaskError {
    /// What the election is told.
    pub fn input(&self) -> Input {
        match self {
            Self::Unowned { .. } => Input::MasterSeen(Holder::Unowned),
            Self::Prepare { source, .. }
            | Self::Look { source, .. }
            | Self::Join { source, .. }
            | Self::Elect { source, .. }
            | Self::ReadMaster { source, .. }
            | Self::Release { source, .. }
                if is_refusal(source) =>
            {
                Input::Refused
            }
            _ => Input::Failed,
        }
    }
}

/// Whether the ensemble has answered, and will answer the same to the same request.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::NoAuth
            | Error::InvalidAcl
            | Error::QuotaExceeded
            | Error::NotEmpty
            | Error::NoChildrenForEphemerals
            | Error::BadArguments(_)
            | Error::Unimplemented
            | Error::UnexpectedErrorCode(_)
    )
}

/// What to do about an error, where that is known.
pub(crate) fn hint(error: &Error) -> &'static str {
    match error {
        Error::NoAuth => {
            " (the ACL there does not admit this identity: check `auth`, and the node's ACL with `getAcl` in zkCli.sh)"
        }
        Error::InvalidAcl => " (an ACL for the creator needs `auth`)",
        _ => "",
    }
}
