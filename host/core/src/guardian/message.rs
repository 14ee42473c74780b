//! What the guarded process tells its guardian. Both are the same executable, so the format needs no version.

use serde::{Deserialize, Serialize};

use crate::service::ServiceState;

/// The longest message, in bytes. Each is sent as a whole.
pub const MESSAGE_MAX_BYTES: usize = 64 * 1024;

/// A message that is longer than any that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message to the guardian would have {0} bytes, and {MESSAGE_MAX_BYTES} are the most")]
pub struct TooLong(usize);

/// One thing that the guarded process tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The process stands for a task in a session, or is about to: what was told of the two before is replaced.
    Stands(Place),
    /// The process has nothing in the task any more in that session.
    Left {
        /// The session.
        session: i64,
        /// The name of the task.
        task: String,
    },
    /// A session of the process has an ephemeral node, or is about to create it.
    Holds(Node),
    /// The node is gone, or its session has ended.
    LetGo(Node),
    /// How the process is, for the service manager, which the guardian tells.
    Service(ServiceState),
}

/// Where the guarded process stands for a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The session in which it stands.
    pub session: i64,
    /// The name of the task.
    pub task: String,
    /// The path of the master node, if it is not beside the other nodes of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// The names of the candidates of the session. None are known while it joins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// The fencing token of the term that it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads: Option<u64>,
}

/// An ephemeral node, and the session that owns it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Node {
    /// The session.
    pub session: i64,
    /// The path below the chroot.
    pub path: String,
}

/// What a message is about. Of two messages about the same the later one counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A task in a session.
    Task(i64, String),
    /// A node of a session.
    Node(Node),
    /// How the process is.
    Service,
}

impl Message {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Stands(place) => Subject::Task(place.session, place.task.clone()),
            Self::Left { session, task } => Subject::Task(*session, task.clone()),
            Self::Holds(node) | Self::LetGo(node) => Subject::Node(node.clone()),
            Self::Service(_) => Subject::Service,
        }
    }

    /// The bytes that are sent.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let bytes = crate::records::encode(self);
        if bytes.len() > MESSAGE_MAX_BYTES {
            return Err(TooLong(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads what was sent. None if it is too long, or no message.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MESSAGE_MAX_BYTES {
            return None;
        }
        serde_json::from_slice(bytes).ok()
    }
}
