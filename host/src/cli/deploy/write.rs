//! From a manifest to what is written into the ensemble.

use std::time::Duration;

use anyhow::anyhow;
use soloist_config::{Manifest, widened};
use soloist_coordination::artefacts::Stored;
use soloist_coordination::observer::rollout::Order;
use soloist_coordination::observer::{Observer, ObserverError};
use soloist_core::artefact::ArtefactSource;
use soloist_core::records::{Generation, RolloutRecord};
use soloist_core::rollout::{Refused, deploy};

use super::super::Failure;
use super::super::operator::Operator;
use super::super::output::print_error;
use super::super::rollout::follow::WaitFor;
use super::super::rollout::{self, again, changed, give};
use super::Prepared;

/// How often an artefact is put there again that another operator has removed before the transaction.
const UPLOADS_MAX: u32 = 3;

/// How a generation is deployed.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Deploying {
    pub(in crate::cli) accept_grants: bool,
    /// What to wait for, and how long.
    pub(in crate::cli) wait: Option<(WaitFor, Duration)>,
    pub(in crate::cli) json: bool,
}

impl Deploying {
    /// Writes a generation, with the artefact that it needs of the ensemble, as the one that is wanted.
    pub(in crate::cli) async fn write(
        &self,
        operator: &Operator,
        observer: &mut Observer,
        prepared: &Prepared,
    ) -> Result<RolloutRecord, Failure> {
        let Prepared {
            manifest, envelope, ..
        } = prepared;
        let task = &*manifest.task.name;
        let rollout = observer.rollout(task).await?;
        let before = rollout.as_ref().map(|it| &it.record);
        let (generation, by) = (prepared.generation(), changed());
        // Before anything is written for it.
        deploy(before, generation, manifest.replaces, by.clone())
            .map_err(|refused| Failure::RunTime(anyhow!(refused).context("nothing was changed")))?;
        let compared = newest(before);
        let lines = widening(observer, compared, manifest).await?;
        accept(compared, &lines, generation.number, self.accept_grants)?;
        let decide = |record: Option<&RolloutRecord>| {
            let next = deploy(record, generation, manifest.replaces, by.clone())?;
            match record {
                // It may more than what runs by now, perhaps, and nobody has seen that.
                Some(record) if newest(Some(record)) != compared => Err(Refused::changed(record)),
                _ => Ok(next),
            }
        };
        let mut uploads = 0;
        loop {
            let put = self.put(operator, observer, prepared).await;
            let artefact = put.map_err(|failure| failure.context("nothing was changed".into()))?;
            let order = Order {
                task,
                decide: &decide,
                generation: Some((generation.number, envelope)),
                artefact,
            };
            let given = give(operator, observer, &order).await;
            uploads += 1;
            match given {
                Ok(record) => return Ok(record),
                Err(failure) if is_gone(&failure) && uploads < UPLOADS_MAX => {}
                Err(failure) => {
                    // What was put there for nothing goes now, or with the next deployment.
                    let _ = observer.sweep(task).await;
                    return Err(failure);
                }
            }
        }
    }

    /// Shows what the generation may more than the one before, and says whether that is anything.
    pub(in crate::cli) async fn show_widening(
        &self,
        observer: &Observer,
        prepared: &Prepared,
    ) -> Result<bool, Failure> {
        let manifest = &prepared.manifest;
        let rollout = observer.rollout(&manifest.task.name).await?;
        let before = newest(rollout.as_ref().map(|it| &it.record));
        let lines = widening(observer, before, manifest).await?;
        accept(before, &lines, manifest.generation, true)?;
        Ok(before.is_some() && !lines.is_empty())
    }

    /// Puts the artefact where hosts will fetch it, if that is the ensemble.
    async fn put(
        &self,
        operator: &Operator,
        observer: &mut Observer,
        prepared: &Prepared,
    ) -> Result<Option<Stored>, Failure> {
        let artefact = &prepared.manifest.artefact;
        if artefact.source != ArtefactSource::Ensemble {
            return Ok(None);
        }
        let plugin = prepared.plugin.as_ref();
        let stored = again(operator, observer, async |observer| {
            let artefacts = observer.artefacts();
            Ok(match plugin {
                Some(plugin) => Some(artefacts.put(artefact.sha256, plugin).await?),
                None => artefacts.stored(artefact.sha256).await?,
            })
        });
        let Some(stored) = stored.await? else {
            return Err(Failure::Invalid(anyhow!(
                "the manifest says that the plugin is in the ensemble, which does not have it: name the plugin's file as well"
            )));
        };
        if plugin.is_some() {
            self.tell(&format!(
                "the plugin takes {} bytes in the memory of each server of the ensemble",
                stored.packed
            ))?;
        }
        Ok(Some(stored))
    }

    /// Deletes what nobody needs any more. That it could not be deleted is no failure of what was deployed.
    pub(in crate::cli) async fn tidy(
        &self,
        observer: &Observer,
        task: &str,
        record: &RolloutRecord,
    ) {
        let tidied = async {
            let pruned = observer.prune(task, record).await?;
            if !pruned.is_empty() {
                observer.sweep(task).await?;
            }
            Ok::<_, ObserverError>(())
        };
        if let Err(error) = tidied.await {
            tracing::warn!("old generations and artefacts are left: {error}");
        }
    }
}

/// The generation that a new one is compared with.
fn newest(record: Option<&RolloutRecord>) -> Option<Generation> {
    record.and_then(|record| record.wanted.or(record.current))
}

fn is_gone(failure: &Failure) -> bool {
    let error = failure.error().downcast_ref::<ObserverError>();
    matches!(error, Some(ObserverError::ArtefactGone))
}

/// What a manifest may more than the generation before.
async fn widening(
    observer: &Observer,
    before: Option<Generation>,
    manifest: &Manifest,
) -> Result<Vec<String>, Failure> {
    let Some(before) = before else {
        return Ok(Vec::new());
    };
    match rollout::manifest(observer, &manifest.task.name, before).await {
        Ok((_, old)) => {
            let widened = widened(&old.task, &manifest.task);
            Ok(widened.iter().map(ToString::to_string).collect())
        }
        Err(unreachable @ Failure::Unreachable(_)) => Err(unreachable),
        Err(unreadable) => Ok(vec![format!(
            "all that it grants: generation {} cannot be read ({unreadable})",
            before.number
        )]),
    }
}

/// Shows what a generation may more than the one before.
///
/// # Errors
/// It may more, and that is not accepted.
fn accept(
    before: Option<Generation>,
    lines: &[String],
    number: u64,
    is_accepted: bool,
) -> Result<(), Failure> {
    let Some(before) = before.filter(|_| !lines.is_empty()) else {
        return Ok(());
    };
    print_error(&format!(
        "generation {number} may more than generation {}:\n  {}",
        before.number,
        lines.join("\n  ")
    ));
    if is_accepted {
        return Ok(());
    }
    Err(Failure::RunTime(anyhow!(
        "generation {number} may more than generation {}, and nothing was deployed: if it shall, add --accept-grants",
        before.number
    )))
}
