//! The door of this crate: fetching that a thread with better things to do can wait for.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use soloist_core::artefact::{ArtefactSource, OciTag};
use soloist_core::digest::Digest;
use tokio::sync::Semaphore;

use crate::apart::apart;
use crate::bounds::Bounds;
use crate::cache::{Artefact, Cache};
use crate::error::FetchError;
use crate::fetcher::Fetcher;
use crate::mounts::Mounts;
use crate::oci::DockerConfig;

/// How many servers are asked at once.
const SERVERS_MAX: usize = 4;

/// How often the cache alone is worked on at once.
const CACHED_MAX: usize = 2;

/// Fetches artefacts, and keeps them. Clones share what bounds how many are fetched at once.
///
/// Every call works on a thread of its own: neither the files, nor the digests, nor a directory that does not answer hold up
/// the thread that waits. It needs a tokio runtime that has its timer enabled, and leaves nothing behind there.
///
/// # Cancellation safety
/// When a call is dropped or its deadline has passed, its thread ends as soon as the system lets it. What was fetched of an
/// artefact stays, and the next call goes on from there, also one in another process.
#[derive(Clone, Debug)]
pub struct Artefacts {
    fetcher: Fetcher,
    servers: Arc<Semaphore>,
    files: Mounts,
    cached: Arc<Semaphore>,
}

impl Artefacts {
    /// Fetches within these bounds, into this cache, with the credentials that docker knows.
    pub fn new(cache: Cache, bounds: Bounds, docker: DockerConfig) -> Self {
        Self {
            fetcher: Fetcher::new(cache, bounds, docker),
            servers: Arc::new(Semaphore::new(SERVERS_MAX)),
            files: Mounts::default(),
            cached: Arc::new(Semaphore::new(CACHED_MAX)),
        }
    }

    /// Fetches into this user's cache, with this user's credentials. Looks at the directory of the cache, and blocks so long.
    ///
    /// # Errors
    /// The cache cannot be opened.
    pub fn of_user(bounds: Bounds) -> Result<Self, FetchError> {
        let cache = Cache::of_user()?;
        Ok(Self::new(cache, bounds, DockerConfig::of_user()))
    }

    /// Fetches an artefact unless it is in the cache. `sha256` is that of the artefact; only an image says its own.
    ///
    /// Attempts that fail in a way that passes are repeated, with pauses, as often as the bounds allow and until the deadline.
    ///
    /// # Errors
    /// It cannot be had by then, or is another one than was asked for. [`FetchError::is_transient`] tells whether another call
    /// may go better.
    pub async fn fetch(
        &self,
        source: &ArtefactSource,
        sha256: Option<Digest>,
        deadline: Instant,
    ) -> Result<Artefact, FetchError> {
        let slots = match source {
            ArtefactSource::Ensemble => return Err(FetchError::Ensemble),
            ArtefactSource::File(path) => self.files.slots(Path::new(path)),
            ArtefactSource::Https { .. } | ArtefactSource::Oci { .. } => Arc::clone(&self.servers),
        };
        let (fetcher, source) = (self.fetcher.clone(), source.clone());
        apart(&slots, deadline, async move || {
            fetcher.fetch(&source, sha256, deadline).await
        })
        .await
    }

    /// An artefact that is in the cache. None if it is not.
    ///
    /// # Errors
    /// It cannot be looked at by the deadline, or is damaged and cannot be removed.
    pub async fn kept(
        &self,
        digest: Digest,
        deadline: Instant,
    ) -> Result<Option<Artefact>, FetchError> {
        let fetcher = self.fetcher.clone();
        apart(&self.cached, deadline, async move || {
            Ok(fetcher.cache.find(digest)?)
        })
        .await
    }

    /// Puts an artefact that is at hand into the cache.
    ///
    /// # Errors
    /// It cannot be written by the deadline.
    pub async fn keep(&self, artefact: Vec<u8>, deadline: Instant) -> Result<Artefact, FetchError> {
        let fetcher = self.fetcher.clone();
        apart(&self.cached, deadline, async move || {
            fetcher.keep(&artefact).await
        })
        .await
    }

    /// Asks a registry which image a tag names now.
    ///
    /// # Errors
    /// The registry gives no answer by the deadline, or the image is no plugin.
    pub async fn resolve(
        &self,
        tag: &OciTag,
        deadline: Instant,
    ) -> Result<ArtefactSource, FetchError> {
        let (fetcher, tag) = (self.fetcher.clone(), tag.clone());
        apart(&self.servers, deadline, async move || {
            fetcher.resolve(&tag, deadline).await
        })
        .await
    }

    /// Puts a plugin into a registry, under a tag.
    ///
    /// # Errors
    /// It is no binary WebAssembly file, or the registry does not take it by the deadline.
    pub async fn push(
        &self,
        plugin: Vec<u8>,
        tag: &OciTag,
        deadline: Instant,
    ) -> Result<ArtefactSource, FetchError> {
        let (fetcher, tag) = (self.fetcher.clone(), tag.clone());
        apart(&self.servers, deadline, async move || {
            fetcher.push(plugin, &tag, deadline).await
        })
        .await
    }
}

#[cfg(test)]
mod tests;
