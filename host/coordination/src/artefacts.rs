//! Small artefacts, kept in the ensemble itself: compressed, in chunks, by the digest of their bytes.
//!
//! ```text
//! <root>/artefacts/<sha256>                 persistent  Head; empty until all chunks are there
//! <root>/artefacts/<sha256>/<upload>-<n>    persistent  a chunk
//! ```
//!
//! Two operators may write the same artefact at once, and compress it in different ways. So each upload has chunks of its
//! own, and the head names the upload that is whole. Others may sweep meanwhile. These rules keep an artefact that looks whole
//! from having lost a chunk:
//!
//! 1. The transaction that writes a head checks that every chunk of its upload is there, and that the head is the one that the
//!    upload began with.
//! 2. Whoever removes an artefact empties its head first. Each chunk is deleted together with a check of the head's version:
//!    once another upload is whole, nothing more is deleted.
//! 3. The name of an upload has the creation of the head in it, so nobody deletes a chunk of a head that was made anew.
//!
//! An upload that a sweep has removed something of fails by the first rule, and is done once more.
//!
//! # Memory
//!
//! Every server of the ensemble holds all of it in memory: the sum of the compressed sizes of all artefacts. A server also
//! keeps its last 500 transactions (`zookeeper.commitLogCount`) for servers that were away. What these have written takes three
//! times its size until 500 others have followed, also if it was removed since (seen with ZooKeeper 3.8: 24 MiB more for each
//! of three artefacts of 8 MiB, as much after they were removed, and none of it 500 transactions later). So the heap of a
//! server needs for artefacts, beyond what it needs otherwise:
//!
//! ```text
//! 8 MiB * artefacts  +  3 * 64 KiB * 500 = 94 MiB
//! ```
//!
//! Ten tasks with three generations each, of plugins that have 2 MiB when compressed, take 60 MiB, and up to 154 MiB just after
//! they were deployed.

mod error;
mod head;
mod pack;

use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, MultiWriteError, Stat};

use super::error::{Doing, NodeError};
use super::session::Session;
use head::{CHUNK_BYTES, Head};
use pack::{pack, unpack};
use soloist_core::digest::Digest;
use soloist_core::records;

pub use error::ArtefactError;
pub use pack::{BYTES_MAX, PACKED_MAX_BYTES, check_size};

/// How often an artefact is written or read once more because others write or remove it meanwhile.
const UPLOADS_MAX: usize = 5;

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

    /// Keeps an artefact, unless it is kept already. Compresses it on another thread.
    ///
    /// # Errors
    /// See [`ArtefactError`].
    ///
    /// # Cancellation safety
    /// Dropped, it may leave chunks that nobody reads, which [`sweep`](Self::sweep) removes.
    pub async fn put(&self, digest: Digest, artefact: &[u8]) -> Result<Stored, ArtefactError> {
        let path = self.node(digest);
        let mut packed = None;
        for _ in 0..UPLOADS_MAX {
            self.create_parents(&path).await?;
            let (data, before) = match self.client.get_data(&path).await {
                Err(Error::NoNode) => continue,
                read => read.map_err(NodeError::at(Doing::Read, &path))?,
            };
            if !data.is_empty() {
                match self.get(digest).await {
                    Ok(_) => return stored(path, &data, before.version),
                    // Nobody writes over what only a newer program knows.
                    Err(newer @ ArtefactError::Version { .. }) => return Err(newer),
                    // Whoever wrote it may have left chunks out, or changed them.
                    Err(_) => {}
                }
            }
            let packed = match &packed {
                Some(packed) => packed,
                None => packed.insert(pack(artefact).await?),
            };
            if let Some(stored) = self.upload(&path, &before, packed, artefact.len()).await? {
                return Ok(stored);
            }
        }
        Err(ArtefactError::Contended { path })
    }

    /// Writes all chunks, and the head if they and it are still there. None if somebody else was at it: another upload that was
    /// faster, a sweep, or this one, if it was whole before its answer was lost.
    async fn upload(
        &self,
        path: &str,
        before: &Stat,
        packed: &[u8],
        bytes: usize,
    ) -> Result<Option<Stored>, ArtefactError> {
        let session = self.client.session_id().0;
        let (made, version) = (before.czxid, before.version);
        let head = Head {
            version: Head::VERSION,
            upload: format!("{session:x}v{version}c{made:x}"),
            chunks: packed.len().div_ceil(CHUNK_BYTES),
            packed: packed.len(),
            bytes,
        };
        let mut multi = self.client.new_multi_writer();
        let at = NodeError::at(Doing::Write, path);
        for (number, chunk) in packed.chunks(CHUNK_BYTES).enumerate() {
            let node = chunk_path(path, &head.upload, number);
            if !self.create(&node, chunk).await? {
                return Ok(None);
            }
            multi.add_check_version(&node, 0).map_err(at)?;
        }
        multi
            .add_set_data(path, &records::encode(&head), Some(version))
            .map_err(at)?;
        match multi.commit().await {
            Ok(_) => Ok(Some(Stored {
                path: path.to_owned(),
                version: version + 1,
                packed: head.packed,
            })),
            Err(MultiWriteError::OperationFailed {
                source: Error::NoNode | Error::BadVersion,
                ..
            }) => Ok(None),
            Err(error) => Err(at(error.into()).into()),
        }
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

    /// Reads an artefact, and compares it with the digest, on another thread.
    ///
    /// # Errors
    /// See [`ArtefactError`].
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub async fn get(&self, digest: Digest) -> Result<Vec<u8>, ArtefactError> {
        let path = self.node(digest);
        for _ in 0..UPLOADS_MAX {
            let (data, stat) = match self.client.get_data(&path).await {
                Err(Error::NoNode) => return Err(ArtefactError::Missing(digest)),
                read => read.map_err(NodeError::at(Doing::Read, &path))?,
            };
            if data.is_empty() {
                return Err(ArtefactError::Missing(digest));
            }
            let head = Head::read(&path, &data)?;
            if let Some(packed) = self.read_chunks(&path, &head).await? {
                return unpack(packed, head.bytes, digest)
                    .await
                    .map_err(|reason| ArtefactError::damaged(&path, reason));
            }
            // Unless it was removed, or written anew, since its head was read.
            let now = self.client.check_stat(&path).await;
            let now = now.map_err(NodeError::at(Doing::Read, &path))?;
            if now.is_some_and(|now| (now.czxid, now.version) == (stat.czxid, stat.version)) {
                return Err(ArtefactError::damaged(&path, "a chunk of it is not there"));
            }
        }
        Err(ArtefactError::Contended { path })
    }

    /// All chunks of an upload. None if one is not there.
    async fn read_chunks(&self, path: &str, head: &Head) -> Result<Option<Vec<u8>>, ArtefactError> {
        let mut packed = Vec::with_capacity(head.packed);
        for number in 0..head.chunks {
            let node = chunk_path(path, &head.upload, number);
            let (chunk, _) = match self.client.get_data(&node).await {
                Err(Error::NoNode) => return Ok(None),
                read => read.map_err(NodeError::at(Doing::Read, &node))?,
            };
            packed.extend_from_slice(&chunk);
            if packed.len() > head.packed {
                return Err(ArtefactError::damaged(
                    path,
                    "its chunks have more than its head says",
                ));
            }
        }
        Ok(Some(packed))
    }

    /// Removes the artefact, if it is still as it was `stored`. A transaction that relies on it, and comes later, fails.
    ///
    /// # Errors
    /// [`ArtefactError::Node`].
    ///
    /// # Cancellation safety
    /// Dropped, it may leave chunks that nobody reads.
    pub async fn remove(&self, stored: &Stored) -> Result<(), ArtefactError> {
        self.empty(&stored.path, stored.version).await
    }

    /// Every artefact that is kept, and what was left of uploads that were cut off before `before`, in milliseconds since 1970
    /// by the ensemble's clock, which it removes. An upload that is under way all the same is done once more.
    ///
    /// Whoever wants to remove those that nobody needs calls this first, then finds out which are needed, and then
    /// [removes](Self::remove) the others: one that was written again meanwhile has another version, and stays.
    ///
    /// # Errors
    /// [`ArtefactError::Node`].
    ///
    /// # Cancellation safety
    /// Dropped, some of it is left for the next time.
    pub async fn sweep(&self, before: i64) -> Result<Vec<(Digest, Stored)>, ArtefactError> {
        let mut kept = Vec::new();
        for name in self.children(&records::artefacts_path(&self.root)).await? {
            let Some(digest) = Digest::parse(&name) else {
                continue;
            };
            let path = self.node(digest);
            let (data, stat) = match self.client.get_data(&path).await {
                Err(Error::NoNode) => continue,
                read => read.map_err(NodeError::at(Doing::Read, &path))?,
            };
            if data.is_empty() {
                if stat.mtime < before {
                    self.empty(&path, stat.version).await?;
                }
                continue;
            }
            // Of one that is damaged, whoever reads it is told.
            if let Ok(head) = Head::read(&path, &data) {
                if usize::try_from(stat.num_children).is_ok_and(|chunks| chunks > head.chunks) {
                    self.delete_chunks(&path, stat.version, Some(&head)).await?;
                }
                kept.push((digest, stored(path, &data, stat.version)?));
            }
        }
        Ok(kept)
    }

    /// Removes what is at a head that has this version.
    async fn empty(&self, path: &str, version: i32) -> Result<(), ArtefactError> {
        // First nobody may rely on it any more, and no upload become whole that has begun before.
        let emptied = match self.client.set_data(path, b"", Some(version)).await {
            Err(Error::NoNode | Error::BadVersion) => return Ok(()),
            written => written.map_err(NodeError::at(Doing::Write, path))?,
        };
        if self.delete_chunks(path, emptied.version, None).await? {
            match self.client.delete(path, Some(emptied.version)).await {
                // Somebody writes it again.
                Ok(()) | Err(Error::NoNode | Error::BadVersion | Error::NotEmpty) => {}
                Err(error) => return Err(NodeError::at(Doing::Write, path)(error).into()),
            }
        }
        Ok(())
    }

    /// Deletes the chunks of all uploads but the one that the head names, as long as the head has this version. False if it
    /// has another one by now.
    async fn delete_chunks(
        &self,
        path: &str,
        version: i32,
        head: Option<&Head>,
    ) -> Result<bool, ArtefactError> {
        let is_needed = |name: &str| {
            let upload = name.rsplit_once('-').map_or(name, |(upload, _)| upload);
            head.is_some_and(|head| head.upload == upload)
        };
        for name in self.children(path).await? {
            if is_needed(&name) {
                continue;
            }
            let node = format!("{path}/{name}");
            let at = NodeError::at(Doing::Write, &node);
            let mut multi = self.client.new_multi_writer();
            multi.add_check_version(path, version).map_err(at)?;
            multi.add_delete(&node, None).map_err(at)?;
            match multi.commit().await {
                Ok(_)
                | Err(MultiWriteError::OperationFailed {
                    index: 1,
                    source: Error::NoNode,
                }) => {}
                Err(MultiWriteError::OperationFailed {
                    source: Error::NoNode | Error::BadVersion,
                    ..
                }) => return Ok(false),
                Err(error) => return Err(at(error.into()).into()),
            }
        }
        Ok(true)
    }

    fn node(&self, digest: Digest) -> String {
        records::artefact_path(&self.root, digest)
    }

    async fn children(&self, path: &str) -> Result<Vec<String>, ArtefactError> {
        match self.client.list_children(path).await {
            Ok(children) => Ok(children),
            Err(Error::NoNode) => Ok(Vec::new()),
            Err(error) => Err(NodeError::at(Doing::Read, path)(error).into()),
        }
    }

    async fn create_parents(&self, path: &str) -> Result<(), ArtefactError> {
        if let Some(parent) = records::parent(path) {
            Box::pin(self.create_parents(parent)).await?;
        }
        self.create(path, b"").await.map(drop)
    }

    /// Creates a node, unless it is there. False if that above it is not there.
    async fn create(&self, path: &str, data: &[u8]) -> Result<bool, ArtefactError> {
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        match self.client.create(path, data, &options).await {
            Ok(_) | Err(Error::NodeExists) => Ok(true),
            Err(Error::NoNode) => Ok(false),
            Err(error) => {
                let error = NodeError::at(Doing::Create, path)(error);
                Err(error.writing(data.len()).into())
            }
        }
    }
}

fn stored(path: String, head: &[u8], version: i32) -> Result<Stored, ArtefactError> {
    let head = Head::read(&path, head)?;
    Ok(Stored {
        path,
        version,
        packed: head.packed,
    })
}

fn chunk_path(path: &str, upload: &str, number: usize) -> String {
    format!("{path}/{upload}-{number:04}")
}
