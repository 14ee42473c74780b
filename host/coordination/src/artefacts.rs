//! Small artefacts, kept in the ensemble itself: compressed, in chunks, by the digest of their bytes.
//!
//! ```text
//! <root>/artefacts/<sha256>                 persistent  Head; empty until all chunks are there
//! <root>/artefacts/<sha256>/<upload>-<n>    persistent  a chunk
//! ```
//!
//! Two operators may write the same artefact at once, and compress it in different ways. So each upload has chunks of its
//! own, and the head names the upload that is whole.
//!
//! Every server of the ensemble holds all of it in memory: the sum of the compressed sizes of all artefacts.

use std::io;

use serde::{Deserialize, Serialize};
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, Stat};

use super::error::{Doing, NodeError};
use super::session::Session;
use soloist_core::digest::Digest;
use soloist_core::records;

/// The most that one artefact may have when it is compressed, in bytes.
pub const PACKED_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most that it may have otherwise.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;
/// The length of a chunk, in bytes: half of what a server takes in one request unless it is told otherwise.
const CHUNK_BYTES: usize = 512 * 1024;
/// Beyond that level it takes much longer, and a plugin gets hardly smaller.
const LEVEL: i32 = 12;

/// The artefacts of one ensemble.
#[derive(Debug)]
pub struct Artefacts {
    client: Client,
    acl: Vec<Acl>,
    root: String,
}

/// An artefact that is whole: the checks of a transaction that relies on it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The path of its head.
    pub(crate) path: String,
    /// The data version of its head.
    pub(crate) version: i32,
    /// How many bytes it takes in the memory of every server.
    pub packed: usize,
}

/// What the node of an artefact says.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    upload: String,
    chunks: usize,
    packed: usize,
    bytes: usize,
}

/// Why an artefact could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// It is too large for the ensemble.
    #[error(
        "it has {bytes} bytes, {packed} when compressed: the ensemble holds every artefact in the memory of each server, and \
         takes up to {BYTES_MAX} and {PACKED_MAX_BYTES}. Put it into a registry, and name it with --source oci://..."
    )]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
        /// How many it has when it is compressed.
        packed: usize,
    },
    /// It is not there.
    #[error("the ensemble has no artefact {0}: deploy it again")]
    Missing(Digest),
    /// What is there was not written by Soloist, or was changed.
    #[error(
        "the artefact at {path} is damaged ({reason}): delete the node with what is below it, and deploy it again"
    )]
    Damaged {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It could not be compressed.
    #[error("cannot compress it")]
    Compress(#[source] io::Error),
    /// A node could not be read or written.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl Head {
    const VERSION: u32 = 1;

    fn read(data: &[u8]) -> Result<Self, String> {
        let head: Self = records::decode(data).ok_or("its head is no record of one")?;
        if head.version != Self::VERSION {
            return Err(format!(
                "its head has version {}, and this program knows version {}",
                head.version,
                Self::VERSION
            ));
        }
        let chunks = head.packed.div_ceil(CHUNK_BYTES);
        let is_possible = head.chunks == chunks
            && head.packed <= PACKED_MAX_BYTES
            && head.bytes <= BYTES_MAX
            && head.upload.len() <= 64
            && head.upload.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_possible
            .then_some(head)
            .ok_or_else(|| "its head says what no upload has".to_owned())
    }
}

impl Artefacts {
    /// Those below `root`, as this session sees them.
    pub fn of(session: &Session, root: &str) -> Self {
        Self::new(session.client().clone(), root, session.acl().to_vec())
    }

    pub(crate) fn new(client: Client, root: &str, acl: Vec<Acl>) -> Self {
        Self {
            client,
            acl,
            root: root.to_owned(),
        }
    }

    /// Keeps an artefact, unless it is kept already.
    ///
    /// # Errors
    /// See [`ArtefactError`].
    ///
    /// # Cancellation safety
    /// Dropped, it may leave chunks that nobody reads, which [`sweep`](Self::sweep) removes.
    pub async fn put(&self, digest: Digest, artefact: &[u8]) -> Result<Stored, ArtefactError> {
        let path = self.node(digest);
        self.create_parents(&path).await?;
        let (data, before) = self.read(&path).await?;
        // Whoever wrote it may have left chunks out, or changed them.
        if !data.is_empty() && self.get(digest).await.is_ok() {
            return stored(path, &data, before.version);
        }
        let packed = pack(artefact)?;
        let session = self.client.session_id().0;
        let upload = format!("{session:x}v{}", before.version.unsigned_abs());
        for (number, chunk) in packed.chunks(CHUNK_BYTES).enumerate() {
            self.create(&chunk_path(&path, &upload, number), chunk)
                .await?;
        }
        let head = Head {
            version: Head::VERSION,
            upload,
            chunks: packed.len().div_ceil(CHUNK_BYTES),
            packed: packed.len(),
            bytes: artefact.len(),
        };
        let written = self
            .client
            .set_data(&path, &records::encode(&head), Some(before.version))
            .await;
        match written {
            // Another upload was faster, or this one was whole before its answer was lost.
            Ok(_) | Err(Error::BadVersion) => {}
            Err(error) => return Err(NodeError::at(Doing::Write, &path)(error).into()),
        }
        // Somebody may have removed chunks meanwhile.
        self.get(digest).await?;
        let stored = self.stored(digest).await?;
        stored.ok_or(ArtefactError::Missing(digest))
    }

    /// The artefact, if all of it is kept.
    ///
    /// # Errors
    /// [`ArtefactError::Damaged`], [`ArtefactError::Node`].
    pub async fn stored(&self, digest: Digest) -> Result<Option<Stored>, ArtefactError> {
        let path = self.node(digest);
        let (data, stat) = match self.client.get_data(&path).await {
            Ok(read) => read,
            Err(Error::NoNode) => return Ok(None),
            Err(error) => return Err(NodeError::at(Doing::Read, &path)(error).into()),
        };
        if data.is_empty() {
            return Ok(None);
        }
        stored(path, &data, stat.version).map(Some)
    }

    /// Reads an artefact, and compares it with the digest.
    ///
    /// # Errors
    /// See [`ArtefactError`].
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn get(&self, digest: Digest) -> Result<Vec<u8>, ArtefactError> {
        let path = self.node(digest);
        let missing = |error| match error {
            Error::NoNode => ArtefactError::Missing(digest),
            error => NodeError::at(Doing::Read, &path)(error).into(),
        };
        let (data, _) = self.client.get_data(&path).await.map_err(missing)?;
        if data.is_empty() {
            return Err(ArtefactError::Missing(digest));
        }
        let head = Head::read(&data).map_err(|reason| damaged(&path, reason))?;
        let mut packed = Vec::with_capacity(head.packed);
        for number in 0..head.chunks {
            let chunk = chunk_path(&path, &head.upload, number);
            let (chunk, _) = self.client.get_data(&chunk).await.map_err(missing)?;
            packed.extend_from_slice(&chunk);
            if packed.len() > head.packed {
                return Err(damaged(&path, "its chunks have more than its head says"));
            }
        }
        let unpacked = zstd::bulk::decompress(&packed, head.bytes)
            .map_err(|error| damaged(&path, error.to_string()))?;
        if Digest::of(&unpacked) != digest {
            return Err(damaged(&path, "it is another artefact"));
        }
        Ok(unpacked)
    }

    /// Removes the artefact, if it is still as it was `stored`. A transaction that relies on it, and comes later, fails.
    ///
    /// # Errors
    /// [`ArtefactError::Node`].
    ///
    /// # Cancellation safety
    /// Dropped, it may leave chunks that nobody reads.
    pub async fn remove(&self, stored: &Stored) -> Result<(), ArtefactError> {
        let Stored { path, version, .. } = stored;
        // First nobody may rely on it any more.
        match self.client.set_data(path, b"", Some(*version)).await {
            Ok(_) => {}
            Err(Error::NoNode | Error::BadVersion) => return Ok(()),
            Err(error) => return Err(NodeError::at(Doing::Write, path)(error).into()),
        }
        self.delete_all(path).await
    }

    /// Every artefact that is kept, and what was left of uploads that were cut off before `before`, in milliseconds since 1970
    /// by the ensemble's clock, which it removes.
    ///
    /// # Errors
    /// [`ArtefactError::Node`].
    pub async fn sweep(&self, before: i64) -> Result<Vec<(Digest, Stored)>, ArtefactError> {
        let mut kept = Vec::new();
        for name in self.children(&records::artefacts_path(&self.root)).await? {
            let Some(digest) = Digest::parse(&name) else {
                continue;
            };
            match self.stored(digest).await {
                Ok(Some(stored)) => kept.push((digest, stored)),
                Ok(None) => {
                    let path = self.node(digest);
                    if self
                        .read(&path)
                        .await
                        .is_ok_and(|(_, stat)| stat.mtime < before)
                    {
                        self.delete_all(&path).await?;
                    }
                }
                // Whoever reads it is told.
                Err(ArtefactError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    fn node(&self, digest: Digest) -> String {
        records::artefact_path(&self.root, digest)
    }

    async fn delete_all(&self, path: &str) -> Result<(), ArtefactError> {
        let mut paths = self.children(path).await?;
        for name in &mut paths {
            *name = format!("{path}/{name}");
        }
        paths.push(path.to_owned());
        for path in paths {
            match self.client.delete(&path, None).await {
                // Somebody writes it again.
                Ok(()) | Err(Error::NoNode | Error::NotEmpty) => {}
                Err(error) => return Err(NodeError::at(Doing::Write, &path)(error).into()),
            }
        }
        Ok(())
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, ArtefactError> {
        match self.client.list_children(path).await {
            Ok(children) => Ok(children),
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error).into()),
        }
    }

    async fn read(&self, path: &str) -> Result<(Vec<u8>, Stat), ArtefactError> {
        let read = self.client.get_data(path).await;
        Ok(read.map_err(NodeError::at(Doing::Read, path))?)
    }

    async fn create_parents(&self, path: &str) -> Result<(), ArtefactError> {
        if let Some(parent) = records::parent(path) {
            Box::pin(self.create_parents(parent)).await?;
        }
        self.create(path, b"").await
    }

    /// Creates a node, unless it is there.
    async fn create(&self, path: &str, data: &[u8]) -> Result<(), ArtefactError> {
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        match self.client.create(path, data, &options).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(error) => Err(NodeError::at(Doing::Create, path)(error).into()),
        }
    }
}

fn stored(path: String, head: &[u8], version: i32) -> Result<Stored, ArtefactError> {
    let head = Head::read(head).map_err(|reason| damaged(&path, reason))?;
    Ok(Stored {
        path,
        version,
        packed: head.packed,
    })
}

fn chunk_path(path: &str, upload: &str, number: usize) -> String {
    format!("{path}/{upload}-{number:04}")
}

fn damaged(path: &str, reason: impl Into<String>) -> ArtefactError {
    ArtefactError::Damaged {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// Whether the ensemble takes an artefact of that size.
///
/// # Errors
/// [`ArtefactError::TooLarge`], [`ArtefactError::Compress`].
pub fn check_size(artefact: &[u8]) -> Result<(), ArtefactError> {
    pack(artefact).map(drop)
}

fn pack(artefact: &[u8]) -> Result<Vec<u8>, ArtefactError> {
    let bytes = artefact.len();
    if bytes > BYTES_MAX {
        return Err(ArtefactError::TooLarge {
            bytes,
            packed: bytes,
        });
    }
    let packed = zstd::bulk::compress(artefact, LEVEL).map_err(ArtefactError::Compress)?;
    if packed.len() > PACKED_MAX_BYTES {
        let packed = packed.len();
        return Err(ArtefactError::TooLarge { bytes, packed });
    }
    Ok(packed)
}
