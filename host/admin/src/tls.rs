//! TLS of the listener: what the files hold, judged when they are read, at the start and again while the host runs.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soloist_core::event::Event;
use soloist_tls::{FileError, Identity, PemFile, follow};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

/// Which files the listener needs, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of this host, then those of the authorities between it and the one that whoever asks knows.
    pub certificate: PathBuf,
    /// The key to it.
    pub key: PathBuf,
    /// The certificates of those who vouch for whoever asks, and revocation lists, if there are any.
    pub client_ca: Option<PathBuf>,
}

/// TLS of the listener. Clones share what was last read from the files.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    current: Mutex<Current>,
}

/// What was last read from the files, if it was good.
struct Current {
    read: Material,
    config: Arc<ServerConfig>,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Material {
    identity: Identity,
    client_ca: Option<PemFile>,
}

impl Tls {
    /// Reads and judges the files. It blocks.
    ///
    /// # Errors
    /// [`FileError`] names the key of the configuration and the file, and says what to do.
    pub fn load(files: TlsFiles) -> Result<Self, FileError> {
        let read = Material::read(&files)?;
        let config = Arc::new(read.judged()?);
        let current = Mutex::new(Current { read, config });
        Ok(Self(Arc::new(Inner { files, current })))
    }

    /// Whether a request has to come with a certificate.
    pub fn wants_certificates(&self) -> bool {
        self.0.files.client_ca.is_some()
    }

    /// What greets a new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current().config))
    }

    /// Reads the files again. True if they hold something else, which new connections go by. It blocks.
    ///
    /// # Errors
    /// [`FileError`]: new connections go by what was read before.
    fn reload(&self) -> Result<bool, FileError> {
        let read = Material::read(&self.0.files)?;
        if self.current().read == read {
            return Ok(false);
        }
        let config = Arc::new(read.judged()?);
        *self.current() = Current { read, config };
        Ok(true)
    }

    /// Reads the files again and again, and tells when they hold something else, or what cannot be used.
    ///
    /// # Cancellation safety
    /// Nothing is lost.
    pub(crate) async fn follow(self) {
        let unusable = |problem| Event::HostTlsNotReloaded { problem };
        follow(move || self.reload(), Event::HostTlsReloaded, unusable).await;
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // It is exchanged as a whole.
        self.0
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Material {
    fn read(files: &TlsFiles) -> Result<Self, FileError> {
        let client_ca = files.client_ca.as_ref();
        Ok(Self {
            identity: Identity {
                certificate: PemFile::read("listen_certificate", &files.certificate)?,
                key: PemFile::read("listen_key", &files.key)?,
            },
            client_ca: client_ca
                .map(|file| PemFile::read("listen_client_ca", file))
                .transpose()?,
        })
    }

    fn judged(&self) -> Result<ServerConfig, FileError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(FileError::Setup)?;
        let builder = match &self.client_ca {
            Some(ca) => {
                // Probes have no certificate, and are answered: what else is answered is for the pages to say. Whoever shows one
                // that nobody vouches for is turned away here.
                let roots = Arc::new(ca.authorities()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .with_crls(ca.revocations()?)
                    .allow_unauthenticated()
                    .build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|source| ca.bad_revocations(source))?,
                )
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = self
            .identity
            .configure(|chain, key| builder.with_single_cert(chain, key))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
