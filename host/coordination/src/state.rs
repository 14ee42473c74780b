//! The fenced state of a task, kept in ZooKeeper.
//!
//! Every write is a transaction that first checks that the writer's term lasts: see [`Fence`]. A term's reads
//! see every write of the terms before it: those were committed before the election that this session has seen.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::RwLock;
use zookeeper_client::{CreateMode, Error, MultiWriteResult};

use super::error::{hint, hint_of_size, is_refusal};
use super::fence::Fence;
use super::session::Session;
use soloist_core::records::TaskPaths;
use soloist_core::schedule::{RECORD_MAX_BYTES, SCHEDULES_MAX};
use soloist_core::state::{
    Entry, KEYS_MAX, Operation, RecordWrite, Refusal, State, StateError, check_key,
    check_transaction, check_value,
};

mod attempts;
mod transaction;

use attempts::{ATTEMPTS_MAX, Attempts};

/// Reads under way at once. Heartbeats share the connection, and must not queue behind a flood.
const READS_MAX: u32 = 8;

/// The state of one task in one term.
#[derive(Debug)]
pub struct TaskState {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
    fence: Fence,
    keys_max: usize,
    /// Writes go one at a time. Nobody else writes in this term, so whoever holds it for writing knows what stands there.
    turn: RwLock<()>,
}

/// What is done to an entry, once the term is checked.
#[derive(Clone, Copy)]
enum Write<'a> {
    Create { value: &'a [u8], with_parent: bool },
    Set { value: &'a [u8], over: Option<i32> },
    Delete,
}

impl TaskState {
    /// The state of the task at `paths`, written in the term of that fence.
    pub fn new(session: Arc<Session>, paths: Arc<TaskPaths>, fence: Fence) -> Self {
        Self {
            session,
            paths,
            fence,
            keys_max: KEYS_MAX,
            turn: RwLock::with_max_readers((), READS_MAX),
        }
    }

    /// The same, with room for fewer keys than [`KEYS_MAX`].
    #[must_use]
    pub fn with_keys_max(mut self, keys_max: usize) -> Self {
        self.keys_max = keys_max.min(KEYS_MAX);
        self
    }

    /// How many nodes there may be below `parent`.
    fn children_max(&self, parent: &str) -> usize {
        if parent == self.paths.state {
            self.keys_max
        } else {
            SCHEDULES_MAX
        }
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.paths.state)
    }

    /// The entry, and the data version of its node.
    async fn read(&self, path: &str) -> Result<Option<(Entry, i32)>, Refused> {
        until_answered(|| async {
            match self.session.client().get_data(path).await {
                Ok((value, stat)) => Ok(Some((
                    Entry {
                        value,
                        version: stat.mzxid.unsigned_abs(),
                    },
                    stat.version,
                ))),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Says whether a schedule's record can be one, before it is read: what somebody else has put there may be as large as a
    /// message, and a plugin asks for the record again and again.
    async fn check_record(&self, path: &str) -> Result<(), Refused> {
        let check = || async { Ok(self.session.client().check_stat(path).await?) };
        let bytes = until_answered(check)
            .await?
            .map_or(0, |stat| stat.data_length);
        if usize::try_from(bytes).is_ok_and(|bytes| bytes <= RECORD_MAX_BYTES) {
            return Ok(());
        }
        let reason = format!(
            "node {path}: it has {bytes} bytes, and no record of a schedule has more than {RECORD_MAX_BYTES}: delete the \
             node, and the schedule begins anew"
        );
        Err(Refused::State(StateError::Unavailable(reason)))
    }

    /// Writes if the term lasts; gives the new version.
    async fn write(&self, path: &str, write: Write<'_>) -> Result<u64, Refused> {
        let options = CreateMode::Persistent.with_acls(self.session.acls());
        let mut multi = self.session.client().new_multi_writer();
        self.fence.check(&mut multi)?;
        match write {
            Write::Create { value, with_parent } => {
                if with_parent {
                    multi.add_create(&self.paths.state, b"", &options)?;
                }
                multi.add_create(path, b"", &options)?;
                // A transaction tells the zxid of what it sets, not always that of what it creates.
                multi.add_set_data(path, value, None)?;
            }
            Write::Set { value, over } => multi.add_set_data(path, value, over)?,
            Write::Delete => multi.add_delete(path, None)?,
        }
        match multi.commit().await {
            Ok(results) => Ok(match results.last() {
                Some(MultiWriteResult::SetData { stat }) => stat.mzxid.unsigned_abs(),
                _ => 0,
            }),
            Err(error) if Fence::has_refused(&error) => Err(Refused::State(StateError::Fenced)),
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Creates an entry, if there is room for one more.
    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, Refused> {
        let parent = self.session.client().check_stat(&self.paths.state).await?;
        let keys = parent
            .as_ref()
            .map_or(0, |stat| usize::try_from(stat.num_children).unwrap_or(0));
        if keys >= self.keys_max {
            return Err(Refused::State(StateError::TooMany));
        }
        self.write(
            path,
            Write::Create {
                value,
                with_parent: parent.is_none(),
            },
        )
        .await
    }

    async fn set_or_create(&self, path: &str, value: &[u8]) -> Result<u64, Refused> {
        let mut attempts = Attempts::new();
        loop {
            let written = match self.write(path, Write::Set { value, over: None }).await {
                Err(Refused::NoNode) => self.create(path, value).await,
                written => written,
            };
            match written {
                // An attempt that was cut off has created it after all, or an operator was quicker.
                Err(refused) if refused.may_pass() => attempts.again(refused).await?,
                written => return written,
            }
        }
    }

    async fn exchange(
        &self,
        path: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<u64, Refused> {
        let mut attempts = Attempts::new();
        loop {
            let current = self.read(path).await?;
            let version = current.as_ref().map(|(entry, _)| entry.version);
            if version != expected {
                return match current {
                    // What stands there is what the attempt that was cut off has written.
                    Some((entry, _)) if attempts.was_cut_off() && entry.value == value => {
                        Ok(entry.version)
                    }
                    _ => Err(Refused::State(StateError::Changed(version))),
                };
            }
            let written = match current {
                Some((_, over)) => {
                    self.write(
                        path,
                        Write::Set {
                            value,
                            over: Some(over),
                        },
                    )
                    .await
                }
                None => self.create(path, value).await,
            };
            match written {
                Err(refused) if refused.may_pass() => attempts.again(refused).await?,
                written => return written,
            }
        }
    }
}

impl State for TaskState {
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Entry>, StateError>> {
        async move {
            check_key(&key)?;
            let path = self.path(&key);
            let _turn = self.turn.read().await;
            let read = self
                .read(&path)
                .await
                .map_err(|refused| refused.told(&path))?;
            Ok(read.map(|(entry, _)| entry))
        }
        .boxed()
    }

    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<u64, StateError>> {
        async move {
            check_key(&key)?;
            check_value(&value)?;
            let path = self.path(&key);
            let _turn = self.turn.write().await;
            let written = self.set_or_create(&path, &value).await;
            written.map_err(|refused| refused.told_of(&path, value.len()))
        }
        .boxed()
    }

    fn delete(&self, key: String) -> BoxFuture<'_, Result<(), StateError>> {
        async move {
            check_key(&key)?;
            let path = self.path(&key);
            let _turn = self.turn.write().await;
            match until_answered(|| self.write(&path, Write::Delete)).await {
                Ok(_) | Err(Refused::NoNode) => Ok(()),
                Err(refused) => Err(refused.told(&path)),
            }
        }
        .boxed()
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        async move {
            let list = || async {
                match self.session.client().list_children(&self.paths.state).await {
                    Err(Error::NoNode) => Ok(Vec::new()),
                    listed => Ok(listed?),
                }
            };
            let _turn = self.turn.read().await;
            let mut keys = until_answered(list)
                .await
                .map_err(|refused| refused.told(&self.paths.state))?;
            keys.retain(|key| key.starts_with(&prefix));
            keys.sort_unstable();
            Ok(keys)
        }
        .boxed()
    }

    fn compare_and_set(
        &self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> BoxFuture<'_, Result<u64, StateError>> {
        async move {
            check_key(&key)?;
            check_value(&value)?;
            let path = self.path(&key);
            let _turn = self.turn.write().await;
            self.exchange(&path, expected, &value)
                .await
                .map_err(|refused| refused.told_of(&path, value.len()))
        }
        .boxed()
    }

    fn transact(&self, operations: Vec<Operation>) -> BoxFuture<'_, Result<Option<u64>, Refusal>> {
        async move {
            check_transaction(&operations)?;
            let _turn = self.turn.write().await;
            let parts = transaction::parts(&operations, |key| self.path(key));
            self.write_all(&parts).await
        }
        .boxed()
    }

    fn read_schedule(&self, name: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, StateError>> {
        async move {
            check_key(&name)?;
            let path = format!("{}/{name}", self.paths.schedules);
            let _turn = self.turn.read().await;
            let told = |refused: Refused| refused.told(&path);
            self.check_record(&path).await.map_err(told)?;
            let read = self.read(&path).await.map_err(told)?;
            Ok(read.map(|(entry, _)| entry.value))
        }
        .boxed()
    }

    fn write_schedule(
        &self,
        RecordWrite {
            schedule,
            over,
            record,
        }: RecordWrite,
        operations: Vec<Operation>,
    ) -> BoxFuture<'_, Result<(), Refusal>> {
        async move {
            check_key(&schedule)?;
            check_transaction(&operations)?;
            let _turn = self.turn.write().await;
            let mut parts = transaction::parts(&operations, |key| self.path(key));
            let path = format!("{}/{schedule}", self.paths.schedules);
            parts.push(transaction::record(path, over.as_deref(), &record));
            self.write_all(&parts).await.map(drop)
        }
        .boxed()
    }
}

/// Makes a request until it is answered. It must be one that can be made twice.
async fn until_answered<T, F>(request: impl Fn() -> F) -> Result<T, Refused>
where
    F: Future<Output = Result<T, Refused>>,
{
    let mut attempts = Attempts::new();
    loop {
        match request().await {
            Err(refused @ Refused::Unanswered(_)) => attempts.again(refused).await?,
            answered => return answered,
        }
    }
}

/// What the ensemble said of a request.
enum Refused {
    NoNode,
    NodeExists,
    BadVersion,
    /// The outcome is not known.
    Unanswered(Error),
    /// It was answered, and will be answered so again.
    Denied(Error),
    State(StateError),
}

impl Refused {
    /// Whether the nodes are to be read again, and the request to be made again: it was cut off, or it was not as was read,
    /// since a server that lags behind was asked, or somebody else was quicker.
    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NoNode | Self::NodeExists | Self::BadVersion | Self::Unanswered(_)
        )
    }

    fn told(self, path: &str) -> StateError {
        self.told_of(path, 0)
    }

    /// The same, of a request that writes so many bytes.
    fn told_of(self, path: &str, bytes: usize) -> StateError {
        match self {
            Self::State(error) => error,
            Self::NoNode | Self::NodeExists | Self::BadVersion => StateError::Unavailable(format!(
                "node {path}: {ATTEMPTS_MAX} times in a row it was not as it had just been read: find out who else writes \
                 it, as only this task should"
            )),
            Self::Denied(error) => denied(path, &error),
            Self::Unanswered(error) => StateError::Unavailable(format!(
                "node {path}: {ATTEMPTS_MAX} times without an answer ({error}){}; a write may have been done",
                hint_of_size(&error, bytes)
            )),
        }
    }
}

fn denied(path: &str, error: &Error) -> StateError {
    StateError::Unavailable(format!("node {path}: {error}{}", hint(error)))
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::NoNode => Self::NoNode,
            Error::NodeExists => Self::NodeExists,
            Error::BadVersion => Self::BadVersion,
            // The session is over, and with it the term.
            Error::SessionExpired | Error::ClientClosed => Self::State(StateError::Fenced),
            error if is_refusal(&error) || matches!(error, Error::AuthFailed) => {
                Self::Denied(error)
            }
            // Whatever is no verdict of a server says nothing of the outcome.
            error => Self::Unanswered(error),
        }
    }
}
