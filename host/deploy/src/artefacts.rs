//! From a source to a file of the cache.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use soloist_core::artefact::{ArtefactSource, OciTag};
use soloist_core::digest::Digest;
use soloist_core::grants::Origin;
use tokio::runtime;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::bounds::Bounds;
use crate::cache::{Cache, Part};
use crate::download::{download, retried, verified};
use crate::error::{FetchError, OciError};
use crate::http::{Ask, Client, HttpError};
use crate::oci::{DockerConfig, MANIFEST_BYTES_MAX, Manifest, Registry};

/// Fetches artefacts, and keeps them.
#[derive(Clone, Debug)]
pub struct Artefacts {
    cache: Cache,
    client: Client,
    docker: DockerConfig,
}

/// An artefact that was fetched and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Its file. Whoever reads it compares the SHA-256 of what was read once more.
    pub path: PathBuf,
    /// Its SHA-256.
    pub digest: Digest,
}

impl Artefacts {
    /// Fetches within these bounds, into this cache, with the credentials that docker knows.
    pub fn new(cache: Cache, bounds: Bounds, docker: DockerConfig) -> Self {
        Self {
            cache,
            client: Client::new(bounds),
            docker,
        }
    }

    /// Fetches into this user's cache, with this user's credentials.
    ///
    /// # Errors
    /// The cache cannot be opened.
    pub fn of_user() -> Result<Self, FetchError> {
        let cache = Cache::of_user()?;
        Ok(Self::new(cache, Bounds::default(), DockerConfig::of_user()))
    }

    /// Asks a registry which image a tag names now. Blocks the thread, for as long as the bounds allow.
    ///
    /// # Errors
    /// The registry gives no answer, or the image is no plugin.
    pub fn resolve(&self, tag: &OciTag) -> Result<ArtefactSource, FetchError> {
        self.block_on(async {
            let registry = self.registry(&tag.registry, &tag.repository, false).await?;
            let text = self.manifest_text(&registry, &tag.tag).await?;
            Manifest::read(&text)?;
            self.cache.keep(&text)?;
            Ok(tag.at(Digest::of(&text)))
        })
    }

    /// Puts a plugin into a registry, under a tag. Blocks the thread, for as long as the bounds allow.
    ///
    /// # Errors
    /// It is no binary WebAssembly file, or the registry does not take it.
    pub fn push(&self, plugin: Vec<u8>, tag: &OciTag) -> Result<ArtefactSource, FetchError> {
        if !plugin.starts_with(b"\0asm") {
            return Err(OciError::NotWasm.into());
        }
        self.block_on(async {
            let registry = self.registry(&tag.registry, &tag.repository, true).await?;
            let digest = registry.push(plugin.into(), &tag.tag).await?;
            Ok(tag.at(digest))
        })
    }

    /// Fetches an artefact unless it is in the cache. `sha256` is that of the artefact. Blocks the thread, for as long as the
    /// bounds allow.
    ///
    /// What was fetched before an error stays, and the next call goes on from there, also one in another process.
    ///
    /// # Errors
    /// It cannot be had, or is another one than was asked for.
    pub fn fetch(
        &self,
        source: &ArtefactSource,
        sha256: Option<Digest>,
    ) -> Result<Artefact, FetchError> {
        self.block_on(self.fetch_within(source, sha256))
    }

    fn block_on<T>(
        &self,
        fetched: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(FetchError::Runtime)?;
        let whole = self.client.bounds().whole;
        let fetched = runtime.block_on(async { timeout(whole, fetched).await });
        // The system may still be looking for an address.
        runtime.shutdown_background();
        fetched.map_err(|_| FetchError::Late { after: whole })?
    }

    async fn fetch_within(
        &self,
        source: &ArtefactSource,
        sha256: Option<Digest>,
    ) -> Result<Artefact, FetchError> {
        if let ArtefactSource::Oci {
            registry,
            repository,
            digest,
        } = source
        {
            return self
                .fetch_image(registry, repository, *digest, sha256)
                .await;
        }
        let digest = sha256.ok_or(FetchError::NoDigest)?;
        let path = match source {
            ArtefactSource::Ensemble | ArtefactSource::Oci { .. } => {
                return Err(FetchError::Ensemble);
            }
            ArtefactSource::File(path) => {
                self.obtain(digest, async |part| {
                    copy(Path::new(path), part, self.client.bounds().bytes)
                })
                .await?
            }
            ArtefactSource::Https { .. } => {
                let url = source.to_string();
                let url = Url::parse(&url).map_err(|_| HttpError::Url { url })?;
                self.fetch_url(&url, digest).await?
            }
        };
        Ok(Artefact { path, digest })
    }

    async fn fetch_url(&self, url: &Url, digest: Digest) -> Result<PathBuf, FetchError> {
        self.obtain(digest, async |part| {
            let get = async |headers| {
                let ask = Ask {
                    headers,
                    ..Ask::get()
                };
                Ok(self.client.send(url, ask).await?)
            };
            download(get, part, self.client.bounds()).await
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
    ) -> Result<Artefact, FetchError> {
        let kept = match self.cache.find(image)? {
            // Another process may have removed it.
            Some(path) => manifest_at(&path).ok(),
            None => None,
        };
        let mut opened = None;
        let text = if let Some(text) = kept.filter(|text| Digest::of(text) == image) {
            text
        } else {
            let registry = self.registry(registry, repository, false).await?;
            let text = self
                .manifest_text(&registry, &format!("sha256:{image}"))
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
        let path = self
            .obtain(plugin, async |part| {
                let registry = match opened {
                    Some(registry) => registry,
                    None => self.registry(registry, repository, false).await?,
                };
                let bounds = Bounds {
                    bytes,
                    ..*self.client.bounds()
                };
                let get = async |headers| registry.blob(plugin, headers).await;
                download(get, part, &bounds).await
            })
            .await?;
        Ok(Artefact {
            path,
            digest: plugin,
        })
    }

    /// Opens a repository, in as many attempts as the bounds allow.
    async fn registry(
        &self,
        registry: &Origin,
        repository: &str,
        writes: bool,
    ) -> Result<Registry<'_>, FetchError> {
        retried(self.client.bounds(), async || {
            Registry::open(&self.client, &self.docker, registry, repository, writes).await
        })
        .await
    }

    async fn manifest_text(
        &self,
        registry: &Registry<'_>,
        reference: &str,
    ) -> Result<Vec<u8>, FetchError> {
        retried(self.client.bounds(), async || {
            registry.manifest(reference).await
        })
        .await
    }

    /// The file in the cache, after `fill` has put all of it there unless it is there. While another process fetches it, this
    /// one waits.
    async fn obtain(
        &self,
        digest: Digest,
        fill: impl AsyncFnOnce(&mut Part) -> Result<(), FetchError>,
    ) -> Result<PathBuf, FetchError> {
        let mut part = loop {
            if let Some(path) = self.cache.find(digest)? {
                return Ok(path);
            }
            if let Some(part) = self.cache.begin(digest)? {
                break part;
            }
            sleep(self.client.bounds().first_pause).await;
        };
        // Another process may have finished between the two.
        if let Some(path) = self.cache.find(digest)? {
            part.discard();
            return Ok(path);
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

/// Copies a file, which may lie in a directory of another machine.
fn copy(path: &Path, part: &mut Part, max: u64) -> Result<(), FetchError> {
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
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => part.append(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if part.length() > max {
        return Err(FetchError::TooLarge { max });
    }
    verified(part)
}

/// A manifest that is kept. The cache may have a plugin under the same digest, which is none.
fn manifest_at(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MANIFEST_BYTES_MAX as u64 + 1)
        .read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
