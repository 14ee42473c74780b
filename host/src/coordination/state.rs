//! The fenced state of a task, kept in ZooKeeper.
//!
//! Every write is a transaction that first checks that the term record is the one of the writer's term.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit};
use zookeeper_client::{CreateMode, Error, MultiWriteError, MultiWriteResult};

use super::nodes::TaskPaths;
use super::session::Session;
use crate::state::{Entry, KEYS_MAX, State, StateError, check_key, check_value};

/// Requests under way at once. Heartbeats share the connection, and must not queue behind a flood.
const IN_FLIGHT_MAX: usize = 8;
/// The pause before a request that was cut off is made again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The state of one task in one term.
#[derive(Debug)]
pub struct TaskState {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
    record_version: i32,
    in_flight: Semaphore,
}

/// What is done to an entry, once the term is checked.
#[derive(Clone, Copy)]
enum Write<'a> {
    Create(&'a [u8]),
    Set(&'a [u8], Option<i32>),
    Delete,
}

impl TaskState {
    /// The state of the task at `paths`, written in the term whose record has `record_version`.
    pub fn new(session: Arc<Session>, paths: Arc<TaskPaths>, record_version: i32) -> Self {
        Self { session, paths, record_version, in_flight: Semaphore::new(IN_FLIGHT_MAX) }
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{key}", self.paths.state)
    }

    /// Waits for a turn: held while a plugin's request is under way. The semaphore is never closed.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.in_flight.acquire().await.ok()
    }

    /// Makes a request until it is answered. It must be one that can be made twice.
    async fn until_answered<T, F>(&self, request: impl Fn() -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Refused>>,
    {
        loop {
            match request().await {
                Err(Refused::Unanswered) => tokio::time::sleep(RETRY_PAUSE).await,
                answered => return answered,
            }
        }
    }

    async fn read(&self, path: &str) -> Result<Option<(Entry, i32)>, Refused> {
        self.until_answered(|| async {
            match self.session.client().get_data(path).await {
                Ok((value, stat)) => Ok(Some((Entry { value, version: stat.mzxid.unsigned_abs() }, stat.version))),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Writes if the term lasts; gives the new version.
    async fn write(&self, path: &str, write: Write<'_>) -> Result<u64, Refused> {
        let mut multi = self.session.client().new_multi_writer();
        multi.add_check_version(&self.paths.term, self.record_version)?;
        match write {
            Write::Create(value) => {
                multi.add_create(path, b"", &CreateMode::Persistent.with_acls(self.session.acls()))?;
                // A transaction tells the zxid of what it sets, not always that of what it creates.
                multi.add_set_data(path, value, None)?;
            }
            Write::Set(value, version) => multi.add_set_data(path, value, version)?,
            Write::Delete => multi.add_delete(path, None)?,
        }
        match multi.commit().await {
            Ok(results) => Ok(match results.last() {
                Some(MultiWriteResult::SetData { stat }) => stat.mzxid.unsigned_abs(),
                _ => 0,
            }),
            Err(MultiWriteError::OperationFailed { index: 0, source: Error::BadVersion | Error::NoNode }) => {
                Err(Refused::State(StateError::Fenced))
            }
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Creates an entry, if there is room for one more.
    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, Refused> {
        let parent = self.until_answered(|| async { Ok(self.session.client().check_stat(&self.paths.state).await?) });
        match parent.await? {
            Some(stat) if usize::try_from(stat.num_children).is_ok_and(|keys| keys >= KEYS_MAX) => {
                return Err(Refused::State(StateError::TooMany));
            }
            Some(_) => {}
            None => super::ensure_path(self.session.client(), &self.paths.state, self.session.acls()).await?,
        }
        self.write(path, Write::Create(value)).await
    }

    async fn set_or_create(&self, path: &str, value: &[u8]) -> Result<u64, Refused> {
        match self.write(path, Write::Set(value, None)).await {
            Err(Refused::NoNode) => self.create(path, value).await,
            written => written,
        }
    }

    async fn exchange(&self, path: &str, expected: Option<u64>, value: &[u8]) -> Result<u64, StateError> {
        let mut unanswered = false;
        loop {
            let current = self.read(path).await?;
            let version = current.as_ref().map(|(entry, _)| entry.version);
            if version != expected {
                // Nobody else writes in this term: what stands there is what an unanswered attempt has written.
                return match current {
                    Some((entry, _)) if unanswered && entry.value == value => Ok(entry.version),
                    _ => Err(StateError::Changed(version)),
                };
            }
            let written = match current {
                Some((_, data_version)) => self.write(path, Write::Set(value, Some(data_version))).await,
                None => self.create(path, value).await,
            };
            match written {
                // It changed in between: the next read tells how.
                Err(Refused::NoNode | Refused::NodeExists | Refused::BadVersion) => {}
                Err(Refused::Unanswered) => {
                    unanswered = true;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
                Ok(version) => return Ok(version),
            }
        }
    }
}

impl State for TaskState {
    fn get(&self, key: String) -> BoxFuture<'_, Result<Option<Entry>, StateError>> {
        async move {
            check_key(&key)?;
            let _turn = self.turn().await;
            Ok(self.read(&self.path(&key)).await?.map(|(entry, _)| entry))
        }
        .boxed()
    }

    fn set(&self, key: String, value: Vec<u8>) -> BoxFuture<'_, Result<u64, StateError>> {
        async move {
            check_key(&key)?;
            let _turn = self.turn().await;
            check_value(&value)?;
            let path = self.path(&key);
            loop {
                match self.until_answered(|| self.set_or_create(&path, &value)).await {
                    // It came or went in between.
                    Err(Refused::NoNode | Refused::NodeExists) => {}
                    written => return Ok(written?),
                }
            }
        }
        .boxed()
    }

    fn delete(&self, key: String) -> BoxFuture<'_, Result<(), StateError>> {
        async move {
            check_key(&key)?;
            let _turn = self.turn().await;
            let path = self.path(&key);
            match self.until_answered(|| self.write(&path, Write::Delete)).await {
                Ok(_) | Err(Refused::NoNode) => Ok(()),
                Err(refused) => Err(refused.into()),
            }
        }
        .boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<String>, StateError>> {
        async move {
            let list = || async {
                match self.session.client().list_children(&self.paths.state).await {
                    Err(Error::NoNode) => Ok(Vec::new()),
                    listed => Ok(listed?),
                }
            };
            let _turn = self.turn().await;
            let mut keys = self.until_answered(list).await?;
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
            let _turn = self.turn().await;
            check_value(&value)?;
            self.exchange(&self.path(&key), expected, &value).await
        }
        .boxed()
    }
}

/// What the ensemble said of a request.
enum Refused {
    NoNode,
    NodeExists,
    BadVersion,
    /// The outcome is not known.
    Unanswered,
    State(StateError),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            Error::NoNode => Self::NoNode,
            Error::NodeExists => Self::NodeExists,
            Error::BadVersion => Self::BadVersion,
            Error::ConnectionLoss | Error::Custom(_) | Error::Throttled => Self::Unanswered,
            // The session is over, and with it the term.
            Error::SessionExpired | Error::ClientClosed => Self::State(StateError::Fenced),
            error => Self::State(StateError::Unavailable(error.to_string())),
        }
    }
}

impl From<Refused> for StateError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::State(error) => error,
            Refused::NoNode | Refused::NodeExists | Refused::BadVersion => Self::Changed(None),
            Refused::Unanswered => Self::Unavailable("no answer".into()),
        }
    }
}
