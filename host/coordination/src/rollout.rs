//! The rollout of a deployed task, as the leader of one term reads and writes it.
//!
//! Every transaction checks that the writer's term lasts, and that the record of the rollout is the one that the leader has
//! decided by. So whatever arrives late does nothing.

use std::sync::Arc;
use std::time::Duration;

use zookeeper_client::{Error, MultiWriteError, MultiWriter};

use super::error::{Doing, NodeError, is_refusal};
use super::fence::Fence;
use super::session::Session;
use soloist_core::backoff::Backoff;
use soloist_core::records::{FormatError, RolloutRecord, TaskPaths};

mod copy;
mod hosts;
mod snapshot;

pub(crate) use snapshot::SmallCopy;

/// How often a write whose answer was lost is made again.
const ATTEMPTS_MAX: u32 = 10;
/// The first pause, and the longest.
const RETRY: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(500);

/// The nodes of one task's rollout, seen by the leader of one term.
#[derive(Clone, Debug)]
pub struct RolloutNodes {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
    fence: Fence,
}

/// The record of a rollout, as read.
#[derive(Clone, Debug)]
pub enum RecordSnapshot {
    /// There is none.
    Nothing,
    /// There is one that this host cannot read. Its node has this data version.
    Unreadable(i32),
    /// The record, and the data version of its node.
    Record(Box<RolloutRecord>, i32),
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is done, and the record has this data version.
    Done(i32),
    /// Somebody else has written the record since it was read.
    Overtaken,
    /// The term is over.
    TermOver,
}

/// Something about a rollout cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// A request about a node failed.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The record cannot be written.
    #[error("node {path}: {source}")]
    #[allow(missing_docs)]
    Record { path: String, source: FormatError },
    /// There are more keys than a task can have.
    #[error(
        "below node {path} are {keys} nodes, and a task has {max} at most: delete those that are not its own"
    )]
    #[allow(missing_docs)]
    TooMany {
        path: String,
        keys: usize,
        max: usize,
    },
    /// A value is larger than any that a plugin can write.
    #[error(
        "node {path} has {bytes} bytes, and no plugin writes more than {max}: delete it, or make it shorter"
    )]
    #[allow(missing_docs)]
    TooLarge {
        path: String,
        bytes: usize,
        max: usize,
    },
    /// The copy that the state is to be restored from is gone.
    #[error(
        "the state is to be restored, and its copy is gone: nothing runs until node {path} is there again, with what was below \
         it; if it is created with nothing below it, the state will be empty"
    )]
    #[allow(missing_docs)]
    NoCopy { path: String },
}

/// Why a transaction was not done.
enum Stopped {
    Overtaken,
    TermOver,
    Failed(RolloutError),
}

impl RolloutNodes {
    /// The nodes at `paths`, written in the term of that fence.
    pub fn new(session: Arc<Session>, paths: Arc<TaskPaths>, fence: Fence) -> Self {
        Self {
            session,
            paths,
            fence,
        }
    }

    /// Reads the record.
    ///
    /// # Errors
    /// If its node cannot be read.
    pub async fn read(&self) -> Result<RecordSnapshot, RolloutError> {
        Ok(match self.read_bytes().await? {
            None => RecordSnapshot::Nothing,
            Some((data, version)) => match RolloutRecord::decode(&data) {
                Ok(record) => RecordSnapshot::Record(Box::new(record), version),
                Err(_) => RecordSnapshot::Unreadable(version),
            },
        })
    }

    /// Writes the record over the one with the data version `over`. If an answer is lost, what is there then tells whether it
    /// was written.
    ///
    /// # Errors
    /// If it cannot be written, or nobody knows whether it is.
    ///
    /// # Cancellation safety
    /// Dropped, it may or may not have been written.
    pub async fn write(&self, record: &RolloutRecord, over: i32) -> Result<Written, RolloutError> {
        let path = &self.paths.manifest;
        let data = self.encode(record)?;
        let mut pauses = Backoff::new(RETRY, RETRY_MAX);
        loop {
            let error = match self.try_write(&data, over).await {
                Ok(()) => return Ok(Written::Done(over.wrapping_add(1))),
                Err(error) if Fence::has_refused(&error) => return Ok(Written::TermOver),
                Err(error) => Error::from(error),
            };
            if is_refusal(&error) || is_over(&error) {
                return Err(NodeError::at(Doing::Write, path)(error).into());
            }
            match self.read_bytes().await {
                Ok(Some((now, version))) if version == over.wrapping_add(1) && now == data => {
                    return Ok(Written::Done(version));
                }
                // It has not been done, or not yet.
                Ok(Some((_, version))) if version == over => {}
                Ok(_) => return Ok(Written::Overtaken),
                Err(error) if !error.may_pass() => return Err(error.into()),
                Err(_) => {}
            }
            let pause = pauses.step();
            if pauses.steps() >= ATTEMPTS_MAX {
                return Err(NodeError::at(Doing::Write, path)(error).into());
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn encode(&self, record: &RolloutRecord) -> Result<Vec<u8>, RolloutError> {
        let path = self.paths.manifest.clone();
        let encoded = record.encode();
        encoded.map_err(|source| RolloutError::Record { path, source })
    }

    async fn try_write(&self, data: &[u8], over: i32) -> Result<(), MultiWriteError> {
        let mut multi = self.session.client().new_multi_writer();
        self.fence.check(&mut multi)?;
        multi.add_set_data(&self.paths.manifest, data, Some(over))?;
        multi.commit().await.map(drop)
    }

    async fn read_bytes(&self) -> Result<Option<(Vec<u8>, i32)>, NodeError> {
        let path = &self.paths.manifest;
        match self.session.client().get_data(path).await {
            Ok((data, stat)) => Ok(Some((data, stat.version))),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error)),
        }
    }

    /// Begins a transaction with the checks of the fence and of the record. Gives none if `changes` has nothing to do.
    async fn commit(
        &self,
        over: i32,
        path: &str,
        changes: impl FnOnce(&mut MultiWriter<'_>) -> Result<(), Error>,
    ) -> Result<(), Stopped> {
        let error = NodeError::at(Doing::Write, path);
        let mut multi = self.session.client().new_multi_writer();
        self.fence
            .check(&mut multi)
            .and_then(|()| multi.add_check_version(&self.paths.manifest, over))
            .and_then(|()| changes(&mut multi))
            .map_err(error)?;
        match multi.commit().await {
            Ok(_) => Ok(()),
            Err(refused) if Fence::has_refused(&refused) => Err(Stopped::TermOver),
            Err(MultiWriteError::OperationFailed {
                index: Fence::CHECKS,
                source: Error::BadVersion | Error::NoNode,
            }) => Err(Stopped::Overtaken),
            Err(failed) => Err(error(failed.into()).into()),
        }
    }
}

/// Whether the session has ended, and with it the term.
fn is_over(error: &Error) -> bool {
    matches!(
        error,
        Error::SessionExpired | Error::ClientClosed | Error::AuthFailed
    )
}

impl From<NodeError> for Stopped {
    fn from(error: NodeError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<RolloutError> for Stopped {
    fn from(error: RolloutError) -> Self {
        Self::Failed(error)
    }
}
