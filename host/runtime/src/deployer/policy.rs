//! Whether this host takes a generation: whoever can write to the ensemble must not be able to run anything here.

use std::path::Path;
use std::time::Duration;

use soloist_config::{DeployConfig, Manifest, PublicKey, Refusal};
use soloist_core::records::{Envelope, Generation};
use soloist_deploy::accepted::{Accepted, AcceptedStore, Verdict};
use soloist_deploy::trust::Trust;
use tokio::time::timeout;

use crate::apart::apart;

/// How long the directory of `[deploy]` may take to answer.
const DISK_TIME: Duration = Duration::from_secs(30);

/// A generation that this host takes.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) manifest: Manifest,
    /// What the host keeps of it once terms run it.
    pub(super) accepted: Accepted,
}

/// Judges what was found in the node of a generation: that it is the one that the record names, that enough of the keys have
/// signed it, that it is not an old one, and that it wants no more than it may. Reads the disk.
///
/// # Errors
/// Why the host does not take it, for a person.
pub(super) fn judge(
    config: &DeployConfig,
    store: &AcceptedStore,
    task: &str,
    generation: Generation,
    data: &[u8],
) -> Result<Taken, String> {
    let envelope = Envelope::decode(data).map_err(|error| error.to_string())?;
    let found = envelope.sha256();
    if found != generation.sha256 {
        return Err(format!(
            "the record names the manifest {}, and that of generation {} is {found}: deploy it again",
            generation.sha256, generation.number
        ));
    }
    // Otherwise the ACL says who may deploy.
    if config.require > 0 {
        let keys = config.keys.iter().map(PublicKey::as_str);
        let trust = Trust::new(keys, config.require).map_err(|error| error.to_string())?;
        trust
            .check(&envelope.text, &envelope.signatures)
            .map_err(|untrusted| untrusted.to_string())?;
    }
    let place = format!("generation {}", generation.number);
    let manifest = Manifest::read(Path::new(&place), envelope.text.as_bytes())
        .map_err(|error| error.to_string())?;
    let itself = Generation {
        number: manifest.generation,
        sha256: found,
    };
    let accepted = Accepted::new(&manifest.task.name, itself, manifest.replaces);
    let before = store.read(task).map_err(|error| with_sources(&error))?;
    accepted
        .judge(task, generation.number, before.as_ref())
        .map_err(|replayed| replayed.to_string())?;
    config.judge(&manifest).map_err(|it| refused(&it))?;
    Ok(Taken { manifest, accepted })
}

/// Keeps on the disk that a generation was accepted, if it is newer than all before. Blocks for as long as the disk takes.
///
/// # Errors
/// It is old by now, or cannot be kept.
pub(super) fn accept(store: &AcceptedStore, accepted: &Accepted) -> Result<(), String> {
    let before = store
        .read(&accepted.task)
        .map_err(|error| with_sources(&error))?;
    let verdict = accepted.judge(&accepted.task, accepted.generation, before.as_ref());
    match verdict.map_err(|replayed| replayed.to_string())? {
        Verdict::Known => Ok(()),
        Verdict::Newer => store.write(accepted).map_err(|error| with_sources(&error)),
    }
}

/// What is refused, for a person.
pub(super) fn refused(refusals: &[Refusal]) -> String {
    let all: Vec<_> = refusals.iter().map(Refusal::to_string).collect();
    all.join("; ")
}

/// Does what reads or writes the directory of `[deploy]` on a thread of its own, and does not wait for a disk that hangs.
///
/// # Errors
/// Those of the job, or that it has no result.
pub(super) async fn in_time<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match timeout(DISK_TIME, apart(job)).await {
        Ok(done) => done.map_err(|error| with_sources(&error))?,
        Err(_) => Err(format!(
            "the `directory` of [deploy] of this host has not answered for {DISK_TIME:?}"
        )),
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    soloist_core::event::chain(error)
}
