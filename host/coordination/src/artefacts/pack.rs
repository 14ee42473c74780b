//! Compressing an artefact, and the bounds on its size.

use std::io;
use std::thread;

use tokio::sync::oneshot;

use super::error::ArtefactError;
use soloist_core::digest::Digest;

/// The most that one artefact may have when it is compressed, in bytes.
pub const PACKED_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most that it may have otherwise.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
/// Beyond that level it takes much longer, and a plugin gets hardly smaller.
const LEVEL: i32 = 12;

/// Whether the ensemble takes an artefact of that size. Compresses it on this thread.
///
/// # Errors
/// [`ArtefactError::TooLarge`], [`ArtefactError::Compress`].
pub fn check_size(artefact: &[u8]) -> Result<(), ArtefactError> {
    check_bytes(artefact)?;
    packed(artefact).map(drop)
}

fn check_bytes(artefact: &[u8]) -> Result<(), ArtefactError> {
    let bytes = artefact.len();
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    Err(ArtefactError::TooLarge {
        bytes,
        packed: bytes,
    })
}

fn packed(artefact: &[u8]) -> Result<Vec<u8>, ArtefactError> {
    let packed = zstd::bulk::compress(artefact, LEVEL).map_err(ArtefactError::Compress)?;
    if packed.len() <= PACKED_MAX_BYTES {
        return Ok(packed);
    }
    Err(ArtefactError::TooLarge {
        bytes: artefact.len(),
        packed: packed.len(),
    })
}

pub(super) async fn pack(artefact: &[u8]) -> Result<Vec<u8>, ArtefactError> {
    // Before it is copied.
    check_bytes(artefact)?;
    let artefact = artefact.to_vec();
    let packed = apart(move || packed(&artefact)).await;
    packed.map_err(ArtefactError::Compress)?
}

pub(super) async fn unpack(
    packed: Vec<u8>,
    bytes: usize,
    digest: Digest,
) -> Result<Vec<u8>, String> {
    let unpacked = apart(move || {
        let unpacked = zstd::bulk::decompress(&packed, bytes).map_err(|error| error.to_string())?;
        let is_right = Digest::of(&unpacked) == digest;
        is_right
            .then_some(unpacked)
            .ok_or_else(|| "it is another artefact".to_owned())
    });
    unpacked.await.map_err(|ended| ended.to_string())?
}

/// Does what takes long on a thread of its own, for which the end of the process does not wait.
async fn apart<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, done) = oneshot::channel();
    thread::Builder::new()
        .name("artefact".into())
        .spawn(move || drop(sender.send(job())))?;
    done.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::apart;

    #[test]
    fn what_takes_long_is_done_on_another_thread_and_may_panic_there() {
        let id = futures::executor::block_on(apart(|| thread::current().id())).unwrap();
        assert_ne!(id, thread::current().id());
        let panics = futures::executor::block_on(apart(|| panic!("for a test")));
        assert!(panics.is_err());
    }
}
