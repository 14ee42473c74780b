//! TLS of the listener: what the files hold, judged when they are read, at the start and again while the host runs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use soloist_core::event::{About, Event, chain};
use soloist_core::followed::{Followed, Problem};
use soloist_core::secret::Secret;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{Error, RootCertStore, ServerConfig};

mod error;

pub use error::TlsError;

/// No file of certificates is longer.
const BYTES_MAX: u64 = 1024 * 1024;

/// How often the files are read: certificates are exchanged long before they are needed.
const PERIOD: Duration = Duration::from_secs(5);

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
    certificate: String,
    key: Secret,
    client_ca: Option<String>,
}

impl Tls {
    /// Reads and judges the files. It blocks.
    ///
    /// # Errors
    /// [`TlsError`] names the key of the configuration and the file, and says what to do.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let read = Material::read(&files)?;
        let config = Arc::new(read.judged(&files)?);
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
    /// [`TlsError`]: new connections go by what was read before.
    fn reload(&self) -> Result<bool, TlsError> {
        let read = Material::read(&self.0.files)?;
        if self.current().read == read {
            return Ok(false);
        }
        let config = Arc::new(read.judged(&self.0.files)?);
        *self.current() = Current { read, config };
        Ok(true)
    }

    /// Reads the files again and again, and tells when they hold something else, or what cannot be used.
    ///
    /// # Cancellation safety
    /// Nothing is lost.
    pub(crate) async fn follow(self) {
        let mut problem = Problem::default();
        loop {
            tokio::time::sleep(PERIOD).await;
            let read = self.clone();
            // A file may be on a disk that hangs.
            let Ok(reloaded) = tokio::task::spawn_blocking(move || read.reload()).await else {
                continue;
            };
            match problem.heard(reloaded.map_err(|error| chain(&error))) {
                Some(Followed::Exchanged) => About::Session.report(&Event::HostTlsReloaded),
                Some(Followed::Unusable(problem)) => {
                    About::Session.report(&Event::HostTlsNotReloaded { problem });
                }
                None => {}
            }
        }
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
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: text("listen_certificate", &files.certificate)?,
            key: Secret::new(text("listen_key", &files.key)?),
            client_ca: files
                .client_ca
                .as_ref()
                .map(|file| text("listen_client_ca", file))
                .transpose()?,
        })
    }

    fn judged(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(text), Some(path)) => {
                let lists = items::<CertificateRevocationListDer<'_>>(CLIENT_CA, text, path)?;
                let roots = Arc::new(roots(text, path)?);
                // Probes have no certificate, and are answered: what else is answered is for the pages to say. Whoever shows one
                // that nobody vouches for is turned away here.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .with_crls(lists)
                    .allow_unauthenticated()
                    .build();
                let verifier = verifier.map_err(|source| TlsError::Revocations {
                    path: path.clone(),
                    source,
                })?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let TlsFiles {
            certificate, key, ..
        } = files;
        let chain =
            items::<CertificateDer<'_>>("listen_certificate", &self.certificate, certificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate {
                key: "listen_certificate",
                path: certificate.clone(),
            });
        }
        // What the parser says of a key is not told: it might quote it.
        let private = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|_| TlsError::NoKey { path: key.clone() })?;
        let mut config =
            builder
                .with_single_cert(chain, private)
                .map_err(|source| match source {
                    Error::InconsistentKeys(_) => TlsError::OtherKey {
                        certificate: certificate.clone(),
                        key: key.clone(),
                    },
                    source => TlsError::Identity {
                        certificate: certificate.clone(),
                        key: key.clone(),
                        source,
                    },
                })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

const CLIENT_CA: &str = "listen_client_ca";

/// Those who vouch for whoever asks: at least one, and none that cannot be read.
fn roots(text: &str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let certificates = items::<CertificateDer<'_>>(CLIENT_CA, text, path)?;
    for (index, certificate) in certificates.into_iter().enumerate() {
        roots.add(certificate).map_err(|source| TlsError::BadCa {
            path: path.to_owned(),
            number: index + 1,
            source,
        })?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate {
            key: CLIENT_CA,
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

/// All of a kind that is in the text.
fn items<T: PemObject>(key: &'static str, text: &str, path: &Path) -> Result<Vec<T>, TlsError> {
    T::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NotPem {
            key,
            path: path.to_owned(),
        })
}

fn text(key: &'static str, path: &Path) -> Result<String, TlsError> {
    let failed = |source| TlsError::Read {
        key,
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let read = File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(failed)?;
    if read as u64 > BYTES_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(text)
}
