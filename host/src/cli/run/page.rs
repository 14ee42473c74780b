//! What the page of a host shows of the ensemble, read as `soloist status` reads it: by an observer, with a session of its own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use soloist_admin::page::{Detail, Glance, HostRow, Look, Order, PlanRow, Readied, Row, Sight};
use soloist_config::EnsembleConfig;
use soloist_coordination::connect::Ensemble;
use soloist_coordination::observer::rollout::{self, Attempt, Decide, HostReadiness};
use soloist_coordination::observer::{
    self, Close, DrainState, DrainedHost, Observer, ObserverError, TaskStatus,
};
use soloist_core::records::{Changed, Readiness, RolloutRecord, TermEntry, timestamp};
use soloist_core::rollout::{pause, resume};
use soloist_core::schedule::RecordError;
use soloist_core::status::HostStatus;
use soloist_runtime::host::ensemble;

use crate::cli;

/// How long the ensemble is tried for before the page says what is in the way.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long an order to resign is waited for.
const RESIGN_TIME: Duration = Duration::from_secs(20);

/// How to look at the ensemble.
pub(super) struct EnsembleLook {
    ensemble: Ensemble,
    host: Arc<str>,
}

struct EnsembleSight {
    observer: Observer,
    host: Arc<str>,
}

impl EnsembleLook {
    pub(super) fn new(config: &EnsembleConfig, host: &Arc<str>) -> Result<Self, cli::Failure> {
        let ensemble = ensemble(config);
        Ok(Self {
            ensemble: ensemble.map_err(|error| cli::Failure::Invalid(error.into()))?,
            host: Arc::clone(host),
        })
    }
}

#[async_trait(?Send)]
impl Look for EnsembleLook {
    async fn begin(&self) -> Result<Rc<dyn Sight>, String> {
        let observer = Observer::connect(&self.ensemble, CONNECT_TIME).await;
        Ok(Rc::new(EnsembleSight {
            observer: observer.map_err(told)?,
            host: Arc::clone(&self.host),
        }))
    }
}

#[async_trait(?Send)]
impl Sight for EnsembleSight {
    fn is_lost(&self) -> bool {
        self.observer.is_lost()
    }

    async fn glance(&self) -> Result<Glance, String> {
        let observer::Glance {
            tasks,
            hosts,
            drained,
            beats,
        } = self.observer.glance().await.map_err(told)?;
        let lease = |host: &HostStatus| {
            let lease = Duration::from_millis(host.lease_ms?);
            Some((host.host.clone(), lease))
        };
        Ok(Glance {
            leases: hosts.iter().filter_map(lease).collect(),
            tasks: tasks.into_iter().map(row).collect(),
            hosts: rows_of_hosts(hosts, drained),
            beats,
        })
    }

    async fn task(&self, task: &str) -> Result<Option<Detail>, String> {
        let close = self.observer.closely(task).await.map_err(told)?;
        Ok(close.map(detail))
    }

    async fn terms(&self, tasks: &[String]) -> Result<Vec<Vec<TermEntry>>, String> {
        self.observer.histories(tasks).await.map_err(told)
    }

    async fn value(&self, task: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.observer.value(task, key).await.map_err(told)
    }

    async fn order(&self, task: &str, order: &Order) -> Result<String, String> {
        let by = Changed::new(&format!("the page of {}", self.host), &timestamp());
        let observer = &self.observer;
        match order {
            Order::Resign { to, reason } => {
                let (to, reason) = (to.as_deref(), reason.as_deref());
                let resigned = observer.resign(task, to, reason, RESIGN_TIME).await;
                let leader = resigned.map_err(told)?.leader.host;
                Ok(format!("{leader} leads {task} now"))
            }
            Order::Pause { reason } => {
                let reason = reason.clone().unwrap_or_default();
                let decide = |record: Option<&RolloutRecord>| pause(record, &reason, by.clone());
                self.write(task, &decide).await?;
                Ok(format!("{task} is paused"))
            }
            Order::Resume { reason } => {
                let by = by.because(reason.as_deref());
                let decide = |record: Option<&RolloutRecord>| resume(record, by.clone());
                self.write(task, &decide).await?;
                Ok(format!("{task} is resumed"))
            }
            Order::Rollback { reason } => {
                let reason = reason.as_deref().unwrap_or_default();
                let undone = super::super::rollback::back_from(observer, task, reason, by).await;
                undone.map_err(|failure| failure.to_string())
            }
        }
    }

    async fn close(self: Rc<Self>) {
        // Whoever still asks ends the session when the answer is there.
        if let Some(sight) = Rc::into_inner(self) {
            sight.observer.close().await;
        }
    }
}

impl EnsembleSight {
    /// Writes what becomes of a rollout. Without an answer it is not known whether that was done: the page shows it.
    async fn write(&self, task: &str, decide: &Decide<'_>) -> Result<(), String> {
        let order = rollout::Order::of_record(task, decide);
        let given = self.observer.order(&order, &mut Attempt::default()).await;
        given.map(drop).map_err(told)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is handed over by map_err"
)]
fn told(error: ObserverError) -> String {
    soloist_core::event::chain(&error)
}

fn row(status: TaskStatus) -> Row {
    let TaskStatus {
        task,
        health,
        restarts,
        last_failure,
        failure,
        leader,
        standbys,
        ..
    } = status;
    Row {
        task,
        health,
        leader,
        standbys,
        restarts,
        failure: last_failure,
        retry_at: failure.and_then(|it| it.retry_at),
    }
}

/// The hosts that are there, and those that are not and yet drained.
fn rows_of_hosts(hosts: Vec<HostStatus>, drained: Vec<DrainedHost>) -> Vec<HostRow> {
    let there = hosts.into_iter().map(|status| {
        let row = HostRow {
            status,
            drained: None,
            there: true,
        };
        (row.status.host.clone(), row)
    });
    let mut rows: BTreeMap<String, HostRow> = there.collect();
    for order in drained {
        let state = match order.state {
            DrainState::Absent => "drained, and absent",
            DrainState::Ordered => "ordered",
            DrainState::Draining if order.keep => "keeps what it leads",
            DrainState::Draining => "draining",
            DrainState::Empty => "empty",
        };
        let absent = || HostRow {
            status: HostStatus {
                host: order.host.clone(),
                ..HostStatus::default()
            },
            ..HostRow::default()
        };
        let row = rows.entry(order.host.clone()).or_insert_with(absent);
        row.drained = Some(state);
    }
    rows.into_values().collect()
}

fn detail(close: Close) -> Detail {
    let Close {
        mut status,
        readiness,
        ended,
        keys,
        schedules,
        rollout,
        generations,
    } = close;
    let of_files = std::mem::take(&mut status.hosts).into_iter();
    let hosts = if readiness.is_empty() {
        of_files
            .map(|it| Readied {
                host: it.host,
                digest: it.digest.map(|digest| digest.to_string()),
                ..Readied::default()
            })
            .collect()
    } else {
        readiness.into_iter().map(readied).collect()
    };
    // Slots are moments by the clock on the wall.
    let now = SystemTime::now().into();
    let plan = |(name, record): (String, Result<_, RecordError>)| {
        PlanRow::read(name, record.map_err(|error| error.to_string()), now)
    };
    Detail {
        row: row(status),
        hosts,
        ended,
        keys,
        plans: schedules.into_iter().map(plan).collect(),
        rollout: rollout.map(|it| it.map_err(|problem| problem.to_string())),
        generations,
    }
}

fn readied(told: HostReadiness) -> Readied {
    let (state, reason) = match told.readiness {
        None => (None, None),
        Some(Readiness::Preparing) => (Some("preparing"), None),
        Some(Readiness::Ready) => (Some("ready"), None),
        Some(Readiness::Unready { reason }) => (Some("unready"), Some(reason)),
    };
    Readied {
        host: told.host,
        generation: told.generation,
        digest: None,
        state,
        reason,
    }
}
