//! The mark on a task whose plugin fails for good, on one host after another: there from the first term that failed until
//! a later one runs healthy.
//!
//! Only the leader sets or removes it, in a transaction that checks the term: so what it reads while it leads stays true.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zookeeper_client::{CreateMode, Error};

use super::error::{Doing, NodeError};
use super::fence::Fence;
use super::session::Session;
use soloist_core::records::{self, FailedRecord, RestartsRecord, TaskPaths};
use soloist_core::restart::{PluginFailed, RestartPolicy};
use soloist_core::term::Term;

/// How often a request is made before it is given up, and the pause before the next one.
const ATTEMPTS_MAX: u32 = 50;
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The mark on a task, as the leader of one term sees it.
#[derive(Debug)]
pub struct Mark {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
    term: Term,
    /// The generation that the term runs, if the task was deployed.
    generation: Option<u64>,
    fence: Fence,
}

impl Mark {
    /// The mark on the task at `paths`, which this session leads in `term`. That runs `generation`, if the task was deployed.
    pub fn new(
        session: Arc<Session>,
        paths: Arc<TaskPaths>,
        term: Term,
        generation: Option<u64>,
        fence: Fence,
    ) -> Self {
        Self {
            session,
            paths,
            term,
            generation,
            fence,
        }
    }

    /// Removes it: the plugin is healthy. Nothing happens once the term is over.
    ///
    /// # Cancellation safety
    /// Dropped, it may or may not have been removed.
    pub async fn remove(&self) -> Result<(), NodeError> {
        let mut attempts = 0;
        loop {
            match self.try_remove().await {
                Err(error) => self.pause(&mut attempts, error).await?,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Sets it, one failed term further than it was; says what it is now. Nothing is written once the term is over.
    ///
    /// `stays` says whether this host stands again after its cool-down.
    ///
    /// # Cancellation safety
    /// Dropped, it may or may not have been set.
    pub async fn set(
        &self,
        failed: &PluginFailed,
        policy: RestartPolicy,
        stays: bool,
    ) -> Result<FailedRecord, NodeError> {
        let now = SystemTime::now();
        let retry_at = |terms| stays.then(|| now + policy.cool_down(terms));
        let mut attempts = 0;
        loop {
            match self
                .try_set(|before| {
                    // What another generation has done does not count against this one.
                    let before = before.filter(|it| it.is_about_generation(self.generation));
                    FailedRecord::after(before, &self.term, failed, now, retry_at)
                        .in_generation(self.generation)
                })
                .await
            {
                Err(error) => self.pause(&mut attempts, error).await?,
                Ok(record) => return Ok(record),
            }
        }
    }

    /// Says that the plugin was restarted, and how often in this term. Nothing is written once the term is over.
    ///
    /// # Cancellation safety
    /// Dropped, it may or may not have been said.
    pub async fn restarted(&self, record: &RestartsRecord) -> Result<(), NodeError> {
        let data = records::encode(record);
        let mut attempts = 0;
        loop {
            match self.write(&self.paths.restarts, Some(&data)).await {
                Err(error) => self.pause(&mut attempts, error).await?,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn try_remove(&self) -> Result<(), Error> {
        match self.session.client().check_stat(&self.paths.failed).await? {
            Some(_) => self.write(&self.paths.failed, None).await,
            None => Ok(()),
        }
    }

    async fn try_set(
        &self,
        next: impl FnOnce(Option<FailedRecord>) -> FailedRecord,
    ) -> Result<FailedRecord, Error> {
        let before = match self.session.client().get_data(&self.paths.failed).await {
            Ok((data, _)) => records::decode::<FailedRecord>(&data),
            Err(Error::NoNode) => None,
            Err(error) => return Err(error),
        };
        match before {
            // An attempt that was cut off has been done after all.
            Some(own) if own.is_of(&self.term) => Ok(own),
            before => {
                let record = next(before);
                let data = records::encode(&record);
                self.write(&self.paths.failed, Some(&data)).await?;
                Ok(record)
            }
        }
    }

    /// Writes or deletes a node, if the term lasts.
    async fn write(&self, path: &str, data: Option<&[u8]>) -> Result<(), Error> {
        let client = self.session.client();
        let exists = client.check_stat(path).await?.is_some();
        let options = CreateMode::Persistent.with_acls(self.session.acls());
        let mut multi = self.session.client().new_multi_writer();
        self.fence.check(&mut multi)?;
        match data {
            Some(data) if exists => multi.add_set_data(path, data, None)?,
            Some(data) => multi.add_create(path, data, &options)?,
            None => multi.add_delete(path, None)?,
        }
        match multi.commit().await {
            Ok(_) => Ok(()),
            // The term is over: whoever leads next says what is true then.
            Err(error) if Fence::has_refused(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits before the next attempt, unless there have been enough or none can succeed.
    async fn pause(&self, attempts: &mut u32, source: Error) -> Result<(), NodeError> {
        *attempts += 1;
        if *attempts == ATTEMPTS_MAX || !may_pass(&source) {
            return Err(NodeError::at(Doing::Mark, &self.paths.failed)(source));
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        Ok(())
    }
}

/// Whether the same request may succeed later: it was cut off, or a server was asked that lags behind.
fn may_pass(error: &Error) -> bool {
    !matches!(
        error,
        Error::NoAuth
            | Error::InvalidAcl
            | Error::SessionExpired
            | Error::AuthFailed
            | Error::ClientClosed
    )
}
