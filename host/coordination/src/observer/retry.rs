//! An order to try a task again that has failed for good, and what comes of it.

use std::time::Duration;

use zookeeper_client::{Error, MultiWriteError};

use super::{Asked, Observer, ObserverError, RETRY};
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, Changed, FailedRecord, Stage, TaskPaths, TermRecord};
use soloist_core::status::Leader;

impl Observer {
    /// Orders all hosts to stand again that rest because the plugin of a task has failed for good on them. Gives the mark as it was
    /// before. Waits no longer than `within` for a leader that is about to give the task up.
    ///
    /// The order is written in one transaction with two checks: nobody was elected since the task was read, and the mark is as it was.
    ///
    /// # Errors
    /// See [`ObserverError`]: above all [`ObserverError::TriedAlready`] and [`ObserverError::NothingToRetry`].
    ///
    /// # Cancellation safety
    /// Dropped, it may or may not have given the order, which may be given again.
    pub async fn retry(
        &self,
        task: &str,
        given: &Changed,
        within: Duration,
    ) -> Result<FailedRecord, ObserverError> {
        self.catch_up().await?;
        self.can_be_retried(task).await?;
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let changes = self.watch(Asked::One(task)).await?.set;
            match self.try_retry(task, given).await? {
                Attempt::Given(mark) => return Ok(*mark),
                Attempt::Overtaken => {}
                Attempt::GivesUp => {
                    let next = tokio::time::timeout_at(deadline, changes.fired());
                    let task = task.to_owned();
                    let too_late = |_| ObserverError::NotRetried { task, within };
                    next.await.map_err(too_late)?;
                }
            }
        }
    }

    /// Waits until somebody has led a task after the term with this fencing token, and says what came of it.
    ///
    /// # Errors
    /// [`ObserverError::NobodyTries`] if nobody does `within` the time: the order stands. [`ObserverError::FailsAgain`].
    pub async fn tried(
        &self,
        task: &str,
        token: u64,
        within: Duration,
    ) -> Result<Leader, ObserverError> {
        match tokio::time::timeout(within, self.next_try(task, token)).await {
            Ok(tried) => tried,
            Err(_) => Err(ObserverError::NobodyTries {
                task: task.to_owned(),
                within,
            }),
        }
    }

    /// A term may be over, and the plugin have failed in it, before anybody has seen its leader.
    async fn next_try(&self, task: &str, token: u64) -> Result<Leader, ObserverError> {
        loop {
            let look = async {
                let changes = self.watch(Asked::One(task)).await?.set;
                Ok::<_, ObserverError>((changes, self.task(task).await?))
            };
            let (changes, status) = match look.await {
                Ok(seen) => seen,
                Err(error) if error.may_pass() && !self.is_lost() => {
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let failed = status
                .failure
                .filter(|it| it.fencing_token.is_some_and(|it| it != token));
            match (status.leader, failed) {
                (_, Some(failed)) => {
                    return Err(ObserverError::FailsAgain {
                        task: task.to_owned(),
                        failed: Box::new(failed),
                    });
                }
                (Some(leader), None) if leader.fencing_token != token => return Ok(leader),
                _ => changes.fired().await,
            }
        }
    }

    async fn try_retry(&self, task: &str, given: &Changed) -> Result<Attempt, ObserverError> {
        let paths = TaskPaths::new(&self.root, task, None);
        let Some((term, term_stat)) = self.data(&paths.term).await? else {
            return Err(self.no_task(task).await);
        };
        let number = TermRecord::read(&term, term_stat.version).0.term.number;
        let status = self.task(task).await?;
        let read = self.data(&paths.failed).await?;
        let mark = read.and_then(|(data, stat)| {
            let mark = records::decode::<FailedRecord>(&data)?;
            Some((mark, stat))
        });
        let task = task.to_owned();
        match (status.leader, mark) {
            (
                Some(Leader {
                    term: None, host, ..
                }),
                _,
            ) => Err(ObserverError::Foreign { task, holder: host }),
            (Some(leader), Some((mark, _))) if mark.fencing_token == Some(leader.fencing_token) => {
                Ok(Attempt::GivesUp)
            }
            (Some(Leader { host, .. }), _) => Err(ObserverError::TriedAlready { task, host }),
            (None, None) => Err(ObserverError::NothingToRetry { task, term: number }),
            (None, Some((mark, stat))) => {
                let order = mark
                    .clone()
                    .retried(stat.mzxid.unsigned_abs(), given.clone());
                let data = records::encode(&order);
                let failed = NodeError::at(Doing::Write, &paths.failed);
                let mut multi = self.client.new_multi_writer();
                multi
                    .add_check_version(&paths.term, term_stat.version)
                    .and_then(|()| multi.add_set_data(&paths.failed, &data, Some(stat.version)))
                    .map_err(failed)?;
                match multi.commit().await {
                    Ok(_) => Ok(Attempt::Given(Box::new(mark))),
                    Err(MultiWriteError::OperationFailed {
                        source: Error::BadVersion | Error::NoNode,
                        ..
                    }) => Ok(Attempt::Overtaken),
                    Err(error) => Err(failed(error.into()).into()),
                }
            }
        }
    }

    /// Whether hosts would stand for a task if they did not rest.
    async fn can_be_retried(&self, task: &str) -> Result<(), ObserverError> {
        let Some(rollout) = self.record(task).await? else {
            return Ok(());
        };
        let task = task.to_owned();
        match (rollout.record.paused, rollout.record.stage) {
            (Some(_), _) => Err(ObserverError::Paused { task }),
            (None, Stage::Failed(failure)) => Err(ObserverError::GenerationFailed {
                task,
                generation: failure.from.number,
            }),
            _ => Ok(()),
        }
    }
}

/// What came of an attempt to give the order.
enum Attempt {
    /// It is given. This was the mark before.
    Given(Box<FailedRecord>),
    /// Something has changed meanwhile.
    Overtaken,
    /// The leader has marked the task, and is about to give its term back.
    GivesUp,
}
