//! What the commands for deployed tasks have in common: who orders, an order that is given until it is known what came of it,
//! and manifests as operators read them.

use std::env;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use soloist_config::{ConfigError, Manifest, OnRollback};
use soloist_coordination::observer::rollout::{Attempt, Decide, Order};
use soloist_coordination::observer::{Observer, ObserverError};
use soloist_core::records::{Changed, Envelope, Generation, RolloutRecord, timestamp};
use soloist_core::rollout;
use soloist_core::schedule::Time;
use soloist_core::text::printable;
use tokio::time::{Instant, sleep, timeout_at};

use super::Failure;
use super::operator::Operator;

pub(super) mod follow;

/// How long an order is tried for. After that it is not known what came of it, if a connection was lost.
const ORDER_TIME: Duration = Duration::from_secs(30);
/// The pause between two attempts.
const RETRY: Duration = Duration::from_millis(200);
/// The longest name of who orders, in bytes.
const WHO_BYTES_MAX: usize = 200;

/// Who gives orders here, as `user@machine`: for people to read, no rule goes by it.
pub(super) fn who() -> String {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let system = rustix::system::uname();
    let who = format!("{user}@{}", system.nodename().to_string_lossy());
    let mut who = printable(&who).into_owned();
    who.truncate(who.floor_char_boundary(WHO_BYTES_MAX));
    who
}

/// A change by whoever runs this, now.
pub(super) fn changed() -> Changed {
    Changed::new(&who(), &timestamp())
}

/// The present time.
pub(super) fn now() -> Time {
    SystemTime::now().into()
}

/// Gives an order until it is known what came of it, by as many connections as that takes.
pub(super) async fn give(
    operator: &Operator,
    observer: &mut Observer,
    order: &Order<'_>,
) -> Result<RolloutRecord, Failure> {
    let mut attempt = Attempt::default();
    let given = again(operator, observer, async |observer| {
        observer.order(order, &mut attempt).await
    });
    let given = given.await;
    given.map_err(|failure| untold(order.task, &attempt, failure))
}

/// Gives an order that writes nothing but the record.
pub(super) async fn change(
    operator: &Operator,
    observer: &mut Observer,
    task: &str,
    decide: &Decide<'_>,
) -> Result<RolloutRecord, Failure> {
    give(operator, observer, &Order::of_record(task, decide)).await
}

/// Does what can be done again, by as many connections as that takes.
pub(super) async fn again<T>(
    operator: &Operator,
    observer: &mut Observer,
    mut work: impl AsyncFnMut(&Observer) -> Result<T, ObserverError>,
) -> Result<T, Failure> {
    let deadline = Instant::now() + ORDER_TIME;
    loop {
        let error = match timeout_at(deadline, work(observer)).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) if error.may_pass() && Instant::now() < deadline => error,
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let error = anyhow!("the ensemble has not answered within {ORDER_TIME:?}");
                return Err(Failure::Unreachable(error));
            }
        };
        tracing::debug!("trying again: {error}");
        sleep(RETRY).await;
        if observer.is_lost() {
            *observer = operator.connect().await?;
        }
    }
}

/// Says of an order that failed whether it may have been done.
fn untold(task: &str, attempt: &Attempt, failure: Failure) -> Failure {
    let told = if attempt.is_open() {
        format!(
            "it is not known whether the order was done: the connection was lost while it was given. It was done as a whole or not \
             at all, which `soloist tasks show {task}` tells"
        )
    } else {
        "nothing was changed".to_owned()
    };
    failure.context(told)
}

/// Reads a generation as it was deployed.
pub(super) async fn manifest(
    observer: &Observer,
    task: &str,
    generation: Generation,
) -> Result<(Envelope, Manifest), Failure> {
    let envelope = observer.generation_of(task, generation).await?;
    let manifest = read(task, generation.number, &envelope)?;
    Ok((envelope, manifest))
}

/// Reads the manifest of a generation.
pub(super) fn read(
    task: &str,
    generation: u64,
    envelope: &Envelope,
) -> Result<Manifest, ConfigError> {
    let place = format!("generation {generation} of {task}");
    Manifest::read(Path::new(&place), envelope.text.as_bytes())
}

/// What becomes of the state when the current generation is taken back, in the terms of the rules.
pub(super) fn on_rollback(manifest: &Manifest) -> rollout::OnRollback {
    match manifest.on_rollback {
        OnRollback::Restore => rollout::OnRollback::Restore,
        OnRollback::Keep => rollout::OnRollback::Keep,
    }
}

/// The record of a task.
pub(super) async fn record(
    observer: &Observer,
    task: &str,
) -> Result<RolloutRecord, ObserverError> {
    let rollout = observer.rollout(task).await?;
    let rollout = rollout.ok_or_else(|| observer.no_rollout(task))?;
    Ok(rollout.record)
}
