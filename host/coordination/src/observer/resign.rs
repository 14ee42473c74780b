//! An order to resign, and what comes of it.

use std::time::Duration;

use zookeeper_client::{Acls, CreateMode, Error};

use super::{Asked, Handover, Observer, ObserverError, RETRY, TaskStatus};
use crate::error::{Doing, NodeError};
use soloist_core::records::{self, ResignOrder, TaskPaths};
use soloist_core::status::Leader;

impl Observer {
    /// Asks the leader of a task to resign, in favour of `to` if that is given, and waits until it has and another term
    /// has begun.
    ///
    /// # Errors
    /// See [`ObserverError`]. [`ObserverError::StillLeading`] after `within`: the order is not withdrawn.
    ///
    /// # Cancellation safety
    /// Dropped while it waits, the order stands.
    pub async fn resign(
        &self,
        task: &str,
        to: Option<&str>,
        reason: Option<&str>,
        within: Duration,
    ) -> Result<Handover, ObserverError> {
        self.catch_up().await?;
        let TaskStatus {
            leader, standbys, ..
        } = self.task(task).await?;
        let task = task.to_owned();
        let Some(leader) = leader else {
            return Err(ObserverError::NoLeader { task });
        };
        let Some(term) = leader.term else {
            return Err(ObserverError::Foreign {
                task,
                holder: leader.host,
            });
        };
        match to {
            Some(to) if to == leader.host => {
                return Err(ObserverError::LeadsAlready {
                    task,
                    host: to.to_owned(),
                });
            }
            Some(to) if !standbys.iter().any(|standby| standby == to) => {
                return Err(ObserverError::NotStanding {
                    task,
                    host: to.to_owned(),
                    standbys,
                });
            }
            _ => {}
        }
        let reason = reason.map(|reason| reason.chars().take(records::DETAIL_MAX_CHARS).collect());
        let token = Some(leader.fencing_token);
        let order = ResignOrder {
            term,
            fencing_token: token,
            to: to.map(str::to_owned),
            reason,
        };
        let path = TaskPaths::new(&self.root, &task, None).resign;
        let version = self.write(&path, &records::encode(&order)).await?;
        let Ok(next) =
            tokio::time::timeout(within, self.next_leader(&task, leader.fencing_token)).await
        else {
            let ended = self
                .history(&task)
                .await?
                .iter()
                .any(|it| it.fencing_token == token && it.end.is_some());
            let host = leader.host;
            return Err(if ended {
                ObserverError::NobodyFollows { task, host, within }
            } else {
                ObserverError::StillLeading { host, within }
            });
        };
        let next = next?;
        // The term of this order has ended, so the order means nothing any more, even if it cannot be deleted.
        let _ = self.client.delete(&path, Some(version)).await;
        match to {
            Some(to) if to != next.host => Err(ObserverError::OtherLeads {
                task,
                host: next.host,
                wanted: to.to_owned(),
            }),
            _ => {
                let ended = self
                    .history(&task)
                    .await?
                    .into_iter()
                    .find(|entry| entry.fencing_token == token);
                Ok(Handover {
                    ended,
                    leader: next,
                })
            }
        }
    }

    /// Waits until somebody leads in another term than the one with the fencing token `before`.
    pub(super) async fn next_leader(
        &self,
        task: &str,
        before: u64,
    ) -> Result<Leader, ObserverError> {
        loop {
            let look = async {
                let changes = self.watch(Asked::One(task)).await?.set;
                Ok::<_, ObserverError>((changes, self.task(task).await?))
            };
            match look.await {
                Ok((changes, status)) => match status.leader {
                    Some(leader) if leader.fencing_token != before => {
                        return Ok(leader);
                    }
                    _ => changes.fired().await,
                },
                Err(error) if error.may_pass() && !self.is_lost() => {
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a node, whether it is there or not; gives its version.
    async fn write(&self, path: &str, data: &[u8]) -> Result<i32, NodeError> {
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        let written = match self.client.create(path, data, &options).await {
            Err(Error::NodeExists) => self.client.set_data(path, data, None).await,
            created => created.map(|(stat, _)| stat),
        };
        written
            .map(|stat| stat.version)
            .map_err(NodeError::at(Doing::Write, path))
    }
}
