//! From a source to a file of the cache, on a thread that may block.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

use soloist_core::artefact::{ArtefactSource, OciTag};
use soloist_core::digest::Digest;
use soloist_core::grants::Origin;
use tokio::task::yield_now;
use tokio::time::sleep;
use url::Url;

use crate::bounds::Bounds;
use crate::cache::{Artefact, Cache, Part};
use crate::download::{download, verified};
use crate::error::{FetchError, OciError};
use crate::http::{Ask, Client, HttpError};
use crate::oci::{DockerConfig, MANIFEST_BYTES_MAX, Manifest, Registry};
use crate::retries::Retries;

/// How much of a file is copied at once, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// Fetches one thing at a time. It blocks its thread for files, digests and credential helpers.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    pub(crate) cache: Cache,
    client: Client,
    docker: DockerConfig,
}

impl Fetcher {
    pub(crate) fn new(cache: Cache, bounds: Bounds, docker: DockerConfig) -> Self {
        Self {
            cache,
            client: Client::new(bounds),
            docker,
        }
    }

    /// Which image a tag names.
    pub(crate) async fn resolve(
        &self,
        tag: &OciTag,
        deadline: Instant,
    ) -> Result<ArtefactSource, FetchError> {
        let registry = self
            .registry(&tag.registry, &tag.repository, false, deadline)
            .await?;
        let text = self.manifest_text(&registry, &tag.tag, deadline).await?;
        Manifest::read(&text)?;
        self.cache.keep(&text)?;
        Ok(tag.at(Digest::of(&text)))
    }

    /// Puts a plugin into a registry.
    pub(crate) async fn push(
        &self,
        plugin: Vec<u8>,
        tag: &OciTag,
        deadline: Instant,
    ) -> Result<ArtefactSource, FetchError> {
        if !plugin.starts_with(b"\0asm") {
            return Err(OciError::NotWasm.into());
        }
        let registry = self
            .registry(&tag.registry, &tag.repository, true, deadline)
            .await?;
        let digest = registry.push(plugin.into(), &tag.tag).await?;
        Ok(tag.at(digest))
    }

    /// Fetches an artefact unless it is in the cache.
    pub(crate) async fn fetch(
        &self,
        source: &ArtefactSource,
        sha256: Option<Digest>,
        deadline: Instant,
    ) -> Result<Artefact, FetchError> {
        if let ArtefactSource::Oci {
            registry,
            repository,
            digest,
        } = source
        {
            return self
                .fetch_image(registry, repository, *digest, sha256, deadline)
                .await;
        }
        let digest = sha256.ok_or(FetchError::NoDigest)?;
        match source {
            ArtefactSource::Ensemble | ArtefactSource::Oci { .. } => Err(FetchError::Ensemble),
            ArtefactSource::File(path) => self.fetch_file(path, digest, deadline).await,
            ArtefactSource::Https { .. } => {
                let url = source.to_string();
                let url = Url::parse(&url).map_err(|_| HttpError::Url { url })?;
                self.fetch_url(&url, digest, deadline).await
            }
        }
    }

    async fn fetch_file(
        &self,
        path: &str,
        digest: Digest,
        deadline: Instant,
    ) -> Result<Artefact, FetchError> {
        self.obtain(digest, async |part| {
            let mut retries = self.retries(deadline);
            loop {
                match copy(Path::new(path), part, self.client.bounds().bytes).await {
                    Ok(()) => return Ok(()),
                    Err(error) => retries.pause(error).await?,
                }
            }
        })
        .await
    }

    pub(crate) async fn fetch_url(
        &self,
        url: &Url,
        digest: Digest,
        deadline: Instant,
    ) -> Result<Artefact, FetchError> {
        self.obtain(digest, async |part| {
            let get = async |headers| {
                let ask = Ask {
                    headers,
                    ..Ask::get()
                };
                Ok(self.client.send(url, ask).await?)
            };
            let max = self.client.bounds().bytes;
            download(get, part, max, self.retries(deadline)).await
        })
        .await
    }

    /// Fetches the image whose manifest has this digest. With both of it in the cache, no registry is asked.
    async fn fetch_image(
        &self,
        registry: &Origin,
        repository: &str,
        image: Digest,
        sha256: Option<Digest>,
        deadline: Instant,
    ) -> Result<Artefact, FetchError> {
        let kept = match self.cache.find(image)? {
            Some(held) => manifest_at(&held.path).ok(),
            None => None,
        };
        let mut opened = None;
        let text = if let Some(text) = kept.filter(|text| Digest::of(text) == image) {
            text
        } else {
            let registry = self.registry(registry, repository, false, deadline).await?;
            let text = self
                .manifest_text(&registry, &format!("sha256:{image}"), deadline)
                .await?;
            let found = Digest::of(&text);
            if found != image {
                let wanted = image;
                return Err(OciError::OtherManifest { found, wanted }.into());
            }
            self.cache.keep(&text)?;
            opened = Some(registry);
            text
        };
        let Manifest { plugin, bytes } = Manifest::read(&text)?;
        if let Some(wanted) = sha256.filter(|wanted| *wanted != plugin) {
            let found = plugin;
            return Err(OciError::Other { found, wanted }.into());
        }
        let max = self.client.bounds().bytes;
        if bytes > max {
            return Err(FetchError::TooLarge { max });
        }
        self.obtain(plugin, async |part| {
            let registry = match opened {
                Some(registry) => registry,
                None => self.registry(registry, repository, false, deadline).await?,
            };
            let get = async |headers| registry.blob(plugin, headers).await;
            download(get, part, bytes, self.retries(deadline)).await
        })
        .await
    }

    /// Opens a repository, in as many attempts as the bounds allow.
    async fn registry(
        &self,
        registry: &Origin,
        repository: &str,
        writes: bool,
        deadline: Instant,
    ) -> Result<Registry<'_>, FetchError> {
        self.retries(deadline)
            .until_done(async || {
                Registry::open(&self.client, &self.docker, registry, repository, writes).await
            })
            .await
    }

    async fn manifest_text(
        &self,
        registry: &Registry<'_>,
        reference: &str,
        deadline: Instant,
    ) -> Result<Vec<u8>, FetchError> {
        self.retries(deadline)
            .until_done(async || registry.manifest(reference).await)
            .await
    }

    fn retries(&self, deadline: Instant) -> Retries {
        Retries::new(self.client.bounds(), deadline)
    }

    /// Puts an artefact that is at hand into the cache.
    pub(crate) async fn keep(&self, artefact: &[u8]) -> Result<Artefact, FetchError> {
        self.obtain(Digest::of(artefact), async |part| {
            part.restart()?;
            Ok(part.append(artefact)?)
        })
        .await
    }

    /// The file in the cache, after `fill` has put all of it there unless it is there. While another process fetches it, this
    /// one waits.
    async fn obtain(
        &self,
        digest: Digest,
        fill: impl AsyncFnOnce(&mut Part) -> Result<(), FetchError>,
    ) -> Result<Artefact, FetchError> {
        let mut part = loop {
            if let Some(held) = self.cache.find(digest)? {
                return Ok(held);
            }
            if let Some(part) = self.cache.begin(digest)? {
                break part;
            }
            sleep(self.client.bounds().first_pause).await;
        };
        // Another process may have finished between the two.
        if let Some(held) = self.cache.find(digest)? {
            part.discard();
            return Ok(held);
        }
        match fill(&mut part).await {
            Ok(()) => Ok(part.keep()?),
            Err(error) => {
                if matches!(
                    error,
                    FetchError::Mismatch { .. } | FetchError::TooLarge { .. }
                ) {
                    part.discard();
                }
                Err(error)
            }
        }
    }
}

/// Copies a file, which may lie in a directory of another machine. Gives way now and then, so that it can be dropped.
async fn copy(path: &Path, part: &mut Part, max: u64) -> Result<(), FetchError> {
    let failed = |source| FetchError::File {
        path: path.to_owned(),
        source,
    };
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    // A pipe would wait for a writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(FetchError::NoFile {
            path: path.to_owned(),
        });
    }
    part.restart()?;
    let mut file = file.take(max + 1);
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => part.append(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        yield_now().await;
    }
    if part.length() > max {
        return Err(FetchError::TooLarge { max });
    }
    verified(part)
}

/// A manifest that is kept. The cache may have a plugin under the same digest, which is none.
fn manifest_at(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(MANIFEST_BYTES_MAX as u64 + 1)
        .read_to_end(&mut text)?;
    Ok(text)
}
