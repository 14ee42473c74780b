//! TLS to the ensemble: what the files hold, judged here before the client library sees it.
//!
//! The library passes over CA certificates that it cannot read, panics on a bad revocation list and on a server that is
//! neither DNS name nor IP address, and tells a failed handshake to its debug log alone. So the files are read and judged
//! with rustls itself, and `Tls::handshake` is a handshake whose failure can be told.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soloist_core::event::Event;
use soloist_tls::{Identity, PemFile, follow};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use zookeeper_client::{TlsCa, TlsCerts, TlsDynamicCerts, TlsIdentity, TlsOptions};

mod config;
mod error;

pub use error::TlsError;

/// What is said to name the files.
const SETTING: &str = "zookeeper.tls";

/// Which files a connection with TLS needs, and what is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of those who vouch for the servers, in PEM, and revocation lists, if there are any.
    pub ca: PathBuf,
    /// Who this is to the servers, if they are to know.
    pub identity: Option<IdentityFiles>,
    /// What is verified.
    pub verify: Verify,
}

/// A certificate with its chain, and the key to it, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate, then those of the authorities between it and the one that servers know.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What of a server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Who vouches for it, how long it is valid, and that it is for the name in the connect string.
    #[default]
    Full,
    /// The same without the name: whoever has a certificate of the same authority can pass for a server.
    Ca,
}

/// TLS to the ensemble. Clones share what was last read from the files.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    /// What the client library goes by.
    certificates: TlsDynamicCerts,
    current: Mutex<Current>,
}

/// What was last read from the files, if it was good.
struct Current {
    read: Material,
    config: Arc<ClientConfig>,
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Material {
    ca: PemFile,
    identity: Option<Identity>,
}

impl Tls {
    /// Reads and judges the files. `servers` (`host:port,...`) have to be what certificates can name.
    ///
    /// # Errors
    /// [`TlsError`] names the file or the server, and what to do.
    pub fn load(files: TlsFiles, servers: &str) -> Result<Self, TlsError> {
        // The client library takes the provider of the process. Where rustls was built with several there is none unless it is
        // chosen, and the library panics. Whoever has chosen one before, has chosen.
        let _ = CryptoProvider::install_default(aws_lc_rs::default_provider());
        for server in servers.split(',') {
            server_name(server)?;
        }
        let read = Material::read(&files)?;
        let (certificates, config) = read.judged(files.verify)?;
        Ok(Self(Arc::new(Inner {
            files,
            certificates: TlsDynamicCerts::new(certificates),
            current: Mutex::new(Current {
                read,
                config: Arc::new(config),
            }),
        })))
    }

    /// The files, and what is verified.
    pub fn files(&self) -> &TlsFiles {
        &self.0.files
    }

    /// Reads the files again. True if they hold something else, which new connections go by. It blocks.
    ///
    /// # Errors
    /// [`TlsError`]: new connections go by what was read before.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Inner {
            files,
            certificates,
            ..
        } = &*self.0;
        let read = Material::read(files)?;
        if self.current().read == read {
            return Ok(false);
        }
        let (new, config) = read.judged(files.verify)?;
        let config = Arc::new(config);
        *self.current() = Current { read, config };
        certificates.update(new);
        Ok(true)
    }

    /// Reads the files again and again, and tells when they hold something else, or what cannot be used.
    ///
    /// # Cancellation safety
    /// Nothing is lost.
    pub(crate) async fn follow(self) {
        let unusable = |problem| Event::SessionTlsNotReloaded { problem };
        follow(move || self.reload(), Event::SessionTlsReloaded, unusable).await;
    }

    /// What the client library is told.
    pub(super) fn options(&self) -> TlsOptions {
        let options = TlsOptions::new().with_certs(self.0.certificates.clone());
        match self.0.files.verify {
            Verify::Full => options,
            Verify::Ca => without_names(options),
        }
    }

    /// Greets the server that `name` (`host:port`) names, on a connection to it.
    ///
    /// # Errors
    /// See [`io::Error`]; [`cause`] finds what rustls says.
    pub(super) async fn handshake(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = server_name(name).map_err(io::Error::other)?;
        let config = Arc::clone(&self.current().config);
        TlsConnector::from(config).connect(name, stream).await
    }

    fn current(&self) -> MutexGuard<'_, Current> {
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

/// The client library marks this as unsafe, though it cannot harm memory: it is to be seen that names are not verified.
#[expect(
    unsafe_code,
    reason = "the library's mark for what weakens a handshake"
)]
fn without_names(options: TlsOptions) -> TlsOptions {
    // SAFETY: nothing is asked of the caller but to know that whoever has a certificate of the same authority can pass for a
    // server: whoever sets `verify = "ca"` has been told, and a host warns.
    unsafe { options.with_no_hostname_verification() }
}

impl Material {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let ca = PemFile::read(SETTING, &files.ca)?;
        let identity = files.identity.as_ref().map(|files| {
            let certificate = PemFile::read(SETTING, &files.certificate)?;
            let key = PemFile::read(SETTING, &files.key)?;
            Ok::<_, TlsError>(Identity { certificate, key })
        });
        let identity = identity.transpose()?;
        Ok(Self { ca, identity })
    }

    /// What the client library goes by, and what we go by ourselves.
    fn judged(&self, verify: Verify) -> Result<(TlsCerts, ClientConfig), TlsError> {
        let config = config::config(self, verify)?;
        let refused = |file: &PemFile| {
            let path = file.path().to_owned();
            move |source| TlsError::Refused { path, source }
        };
        let ca = TlsCa::from_pem(self.ca.expose()).map_err(refused(&self.ca))?;
        let mut certificates = TlsCerts::builder().with_ca(ca);
        if let Some(Identity { certificate, key }) = &self.identity {
            let identity = TlsIdentity::from_pem(certificate.expose(), key.expose())
                .map_err(refused(certificate))?;
            certificates = certificates.with_identity(identity);
        }
        let certificates = certificates.build().map_err(refused(&self.ca))?;
        Ok((certificates, config))
    }
}

/// What the certificate of a server (`host:port`) has to be for.
fn server_name(server: &str) -> Result<ServerName<'static>, TlsError> {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name {
        server: server.to_owned(),
    })
}

/// What rustls says, if it was rustls.
pub(super) fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests;
