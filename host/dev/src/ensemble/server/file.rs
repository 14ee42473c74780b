//! The snapshot's file: read when the ensemble starts, and written anew, as a whole, when something has changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::super::error::EnsembleError;
use super::super::machine::Machine;
use super::super::snapshot;
use super::{Shared, TREE_BYTES_MAX};

/// A file of more bytes is not read.
const FILE_BYTES_MAX: u64 = 2 * TREE_BYTES_MAX as u64;
/// The pause between two snapshots, for each MiB that they have, and at least one of them.
const PAUSE: Duration = Duration::from_millis(200);

/// The state in a file; none if there is no such file.
pub(super) fn read(
    path: &Path,
    tick: Duration,
    now: Duration,
) -> Result<Option<Machine>, EnsembleError> {
    let failed = |error| EnsembleError::ReadSnapshot {
        path: path.to_owned(),
        source: Arc::new(error),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no file")));
    }
    let mut content = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content);
    let bad = |source| EnsembleError::BadSnapshot {
        path: path.to_owned(),
        source,
    };
    if read.map_err(failed)? as u64 > FILE_BYTES_MAX {
        return Err(bad(snapshot::BadSnapshot::TooLarge));
    }
    let machine = snapshot::decode(&content, TREE_BYTES_MAX, tick, now).map_err(bad)?;
    Ok(Some(machine))
}

/// Writes the state to a file, in the place of the one before.
pub(super) async fn write(shared: &Arc<Shared>, path: &Path) -> Result<usize, EnsembleError> {
    let (shared, path) = (shared.clone(), path.to_owned());
    let writing = tokio::task::spawn_blocking(move || {
        // One after the other, so that the newest is the last.
        let _turn = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let content = snapshot::encode(&shared.lock().machine);
        let written = replace(&path, &content);
        let failed = |error| EnsembleError::WriteSnapshot {
            path,
            source: Arc::new(error),
        };
        written.map(|()| content.len()).map_err(failed)
    });
    // Nobody aborts it, and it does not panic.
    writing
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Writes the state whenever it has changed, until the ensemble ends.
pub(super) async fn keep(
    shared: Arc<Shared>,
    path: PathBuf,
    mut running: watch::Receiver<()>,
    failure: watch::Sender<Option<EnsembleError>>,
) {
    let mut changes = shared.changes.subscribe();
    let write_changes = async {
        // The sender lives in what they share.
        while changes.changed().await.is_ok() {
            let size = match write(&shared, &path).await {
                Ok(size) => size,
                Err(error) => return drop(failure.send_replace(Some(error))),
            };
            let mebibytes = u32::try_from(size >> 20).unwrap_or(u32::MAX);
            tokio::time::sleep(PAUSE.saturating_mul(mebibytes.saturating_add(1))).await;
        }
    };
    tokio::select! {
        () = write_changes => {}
        _ = running.changed() => {}
    }
}

/// Puts a file in the place of another: whoever opens it finds the one or the other, whole.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new_name = std::ffi::OsString::from(".");
    new_name.push(name);
    new_name.push(".new");
    let new = path.with_file_name(new_name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // It holds what the passwords of sessions are made from.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    match written.and_then(|()| fs::rename(&new, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            // The error that is told is the first one.
            let _ = fs::remove_file(&new);
            Err(error)
        }
    }
}
