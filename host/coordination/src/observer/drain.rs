//! Orders that drain a host, and what comes of them.

use std::time::Duration;

use zookeeper_client::{Acls, CreateMode, Error};

use super::{Asked, DrainState, DrainedHost, Observer, ObserverError, RETRY, TaskStatus};
use crate::error::{Doing, NodeError};
use crate::session::ensure_path;
use crate::watches::WatchSet;
use soloist_core::records::{self, DrainOrder, DrainProgress, HostRecord};
use soloist_core::status::HostStatus;

/// How long nothing may change before an operator's command looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A host that is being drained, as an operator follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drainage {
    /// The host.
    pub host: String,
    /// The order that counts, which may have been there before.
    pub order: DrainOrder,
    /// Whether it was there before.
    pub was_there: bool,
    /// How far the host has come.
    pub state: DrainState,
    /// The tasks that it led when the order was given, and that nobody else is known to lead.
    pub led: Vec<String>,
    /// The tasks that it stood by for when the order was given.
    pub stood_by: Vec<String>,
    zxid: u64,
}

/// What an operator sees of a task that the host led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Another host leads it, or a foreign program.
    Led(Box<TaskStatus>),
    /// Nobody leads it, and nobody stands by.
    Vacant(String),
}

impl Drainage {
    /// Whether the host leads nothing, and stands for nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self.state, DrainState::Absent | DrainState::Empty)
    }
}

impl DrainState {
    /// How far a host that runs has come with the order of that transaction, by what the host says of it.
    fn of(said: Option<DrainProgress>, zxid: u64) -> Self {
        match said.filter(|said| said.order == zxid) {
            None => Self::Ordered,
            Some(DrainProgress { empty: false, .. }) => Self::Draining,
            Some(DrainProgress { empty: true, .. }) => Self::Empty,
        }
    }
}

impl Observer {
    /// Orders a host to be drained, unless it is already. Nothing is waited for.
    ///
    /// # Errors
    /// [`ObserverError::NoHost`] if the host does not run, unless it may be `absent`; [`ObserverError::Order`] if something else
    /// stands in the place of the order: it is left there.
    pub async fn drain(
        &self,
        host: &str,
        order: DrainOrder,
        absent: bool,
    ) -> Result<Drainage, ObserverError> {
        let status = self.status(Asked::All).await?;
        let runs = status.hosts.iter().any(|it| it.host == host);
        if !runs && !absent {
            let (host, hosts) = (host.to_owned(), status.hosts);
            let hosts = hosts.into_iter().map(|it| it.host).collect();
            return Err(ObserverError::NoHost { host, hosts });
        }
        let tasks_where = |fits: fn(&TaskStatus, &str) -> bool| {
            let tasks = status.tasks.iter().filter(|task| fits(task, host));
            tasks.map(|task| task.task.clone()).collect()
        };
        let (led, stood_by) = (tasks_where(leads), tasks_where(stands_by));
        let (order, zxid, was_there) = self.write_drain(host, order).await?;
        Ok(Drainage {
            host: host.to_owned(),
            order,
            was_there,
            state: if runs {
                DrainState::Ordered
            } else {
                DrainState::Absent
            },
            led,
            stood_by,
            zxid,
        })
    }

    /// Ends the drain of a host; gives the order, if it could be read.
    ///
    /// # Errors
    /// [`ObserverError::NotDrained`], [`ObserverError::Node`].
    pub async fn undrain(&self, host: &str) -> Result<Option<DrainOrder>, ObserverError> {
        self.catch_up().await?;
        let path = records::drain_path(&self.root, host);
        let read = self.data(&path).await?;
        match self.client.delete(&path, None).await {
            Ok(()) => Ok(read.and_then(|(data, _)| DrainOrder::decode(&data).ok())),
            Err(Error::NoNode) => Err(ObserverError::NotDrained {
                host: host.to_owned(),
                drained: self.children(&records::drained_path(&self.root)).await?,
            }),
            Err(error) => Err(NodeError::at(Doing::Write, &path)(error).into()),
        }
    }

    /// Follows a host until the order to drain it is carried out: until the host is empty and each task that it led is led by
    /// somebody else, or nobody stands for it; if it keeps its terms, until it stands by for nothing. Tells of each task that it
    /// led, once.
    ///
    /// # Errors
    /// [`ObserverError::Undrained`], [`ObserverError::Node`].
    ///
    /// # Cancellation safety
    /// The order stands. `drainage` says how far the host has come.
    pub async fn follow_drain(
        &self,
        drainage: &mut Drainage,
        mut tell: impl FnMut(Seen),
    ) -> Result<(), ObserverError> {
        loop {
            let look = async {
                let changes = self.watch_drain(&drainage.host).await?;
                let done = self.look_at(drainage, &mut tell).await?;
                Ok::<_, ObserverError>((changes, done))
            };
            match look.await {
                Ok((_, true)) => return Ok(()),
                Ok((changes, false)) => {
                    // What the host says changes with its heartbeats; what its tasks are is not watched.
                    let _ = tokio::time::timeout(LOOK_AGAIN, changes.fired()).await;
                }
                Err(error) if error.may_pass() && !self.is_lost() => {
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks how far the host has come; says whether the order is carried out.
    async fn look_at(
        &self,
        drainage: &mut Drainage,
        tell: &mut impl FnMut(Seen),
    ) -> Result<bool, ObserverError> {
        let path = records::drain_path(&self.root, &drainage.host);
        let Some((data, stat)) = self.data(&path).await? else {
            let host = drainage.host.clone();
            return Err(ObserverError::Undrained { host });
        };
        // Somebody may have said more since.
        drainage.order = read_order(&path, &data)?;
        drainage.zxid = stat.mzxid.unsigned_abs();
        let node = self
            .data(&records::host_path(&self.root, &drainage.host))
            .await?
            .filter(|(_, stat)| records::is_session(stat.ephemeral_owner));
        drainage.state = node.map_or(DrainState::Absent, |(data, _)| {
            let said = records::decode::<HostRecord>(&data).and_then(|record| record.drain);
            DrainState::of(said, drainage.zxid)
        });
        let empty = drainage.is_empty();
        if drainage.order.keep && !empty {
            let heard = drainage.state == DrainState::Draining;
            return Ok(heard && self.stands_by_for_nothing(drainage).await?);
        }
        for task in std::mem::take(&mut drainage.led) {
            let status = match self.task(&task).await {
                Ok(status) => status,
                Err(ObserverError::NoTask { .. }) => continue,
                Err(error) => {
                    drainage.led.push(task);
                    return Err(error);
                }
            };
            if leads(&status, &drainage.host) {
                drainage.led.push(task);
            } else if status.leader.is_some() {
                tell(Seen::Led(Box::new(status)));
            } else if empty && status.standbys.is_empty() {
                tell(Seen::Vacant(task));
            } else {
                drainage.led.push(task);
            }
        }
        Ok(empty && drainage.led.is_empty())
    }

    async fn stands_by_for_nothing(&self, drainage: &Drainage) -> Result<bool, ObserverError> {
        for task in &drainage.stood_by {
            match self.task(task).await {
                Ok(status) if stands_by(&status, &drainage.host) => return Ok(false),
                Ok(_) | Err(ObserverError::NoTask { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn watch_drain(&self, host: &str) -> Result<WatchSet, ObserverError> {
        let order = records::drain_path(&self.root, host);
        let host = records::host_path(&self.root, host);
        Ok(WatchSet::new(vec![
            self.watch_node(&order).await?,
            self.watch_node(&host).await?,
        ]))
    }

    /// Writes the order, unless there is one that says as much. Gives the one that counts, the transaction that last wrote it,
    /// and whether it was there before.
    async fn write_drain(
        &self,
        host: &str,
        order: DrainOrder,
    ) -> Result<(DrainOrder, u64, bool), ObserverError> {
        let path = records::drain_path(&self.root, host);
        let failed = NodeError::at(Doing::Write, &path);
        let parent = records::drained_path(&self.root);
        ensure_path(&self.client, &parent, Acls::new(&self.acl))
            .await
            .map_err(NodeError::at(Doing::Write, &parent))?;
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        loop {
            match self.client.create(&path, &order.encode(), &options).await {
                Ok((stat, _)) => return Ok((order, stat.mzxid.unsigned_abs(), false)),
                Err(Error::NodeExists) => {}
                Err(error) => return Err(failed(error).into()),
            }
            let Some((data, stat)) = self.data(&path).await? else {
                continue;
            };
            let before = read_order(&path, &data)?;
            if order.keep || !before.keep {
                return Ok((before, stat.mzxid.unsigned_abs(), true));
            }
            let version = Some(stat.version);
            match self.client.set_data(&path, &order.encode(), version).await {
                Ok(stat) => return Ok((order, stat.mzxid.unsigned_abs(), false)),
                // Another operator was faster.
                Err(Error::BadVersion | Error::NoNode) => {}
                Err(error) => return Err(failed(error).into()),
            }
        }
    }

    /// The hosts that are drained.
    pub(super) async fn drained(
        &self,
        hosts: &[HostStatus],
    ) -> Result<Vec<DrainedHost>, NodeError> {
        let mut drained = Vec::new();
        for host in self.children(&records::drained_path(&self.root)).await? {
            let read = self.data(&records::drain_path(&self.root, &host)).await;
            let (order, zxid) = match read {
                Ok(Some((data, stat))) => {
                    (DrainOrder::decode(&data).ok(), stat.mzxid.unsigned_abs())
                }
                // Somebody has ended it between the two reads.
                Ok(None) => continue,
                Err(error) if error.is_refusal() => (None, 0),
                Err(error) => return Err(error),
            };
            let runs = hosts.iter().find(|it| it.host == host);
            let state = runs.map_or(DrainState::Absent, |it| DrainState::of(it.drain, zxid));
            let order = order.as_ref();
            drained.push(DrainedHost {
                host,
                state,
                keep: order.is_some_and(|order| order.keep),
                by: order.map(|order| order.by.clone()),
                at: order.map(|order| order.at.clone()),
                reason: order.and_then(|order| order.reason.clone()),
            });
        }
        Ok(drained)
    }
}

fn leads(task: &TaskStatus, host: &str) -> bool {
    task.leader
        .as_ref()
        .is_some_and(|leader| leader.host == host)
}

fn stands_by(task: &TaskStatus, host: &str) -> bool {
    task.standbys.iter().any(|standby| standby == host)
}

fn read_order(path: &str, data: &[u8]) -> Result<DrainOrder, ObserverError> {
    DrainOrder::decode(data).map_err(|source| {
        let path = path.to_owned();
        ObserverError::Order { path, source }
    })
}
