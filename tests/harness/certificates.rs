//! A certificate authority, whose servers are on this machine, and an ensemble that speaks TLS with what it vouches for.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// An authority that nobody trusts unless told so.
pub struct Authority {
    /// Its certificate, in PEM.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a server shows, in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its certificate.
    pub certificate: String,
    /// The key to it.
    pub key: String,
}

impl Authority {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Servers tell authorities apart by their names.
        let name = format!("an authority of tests, {}", fresh_number());
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: parameters.self_signed(&key)?.pem(),
            issuer: Issuer::new(parameters, key),
        })
    }

    /// Vouches for a server at `localhost` and at 127.0.0.1.
    pub fn server(&self) -> Result<Identity> {
        self.identity(&Wanted::names(["localhost", "127.0.0.1"]))
    }

    /// Vouches for somebody.
    pub fn identity(&self, wanted: &Wanted) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(wanted.names.clone())?;
        let subject = &mut parameters.distinguished_name;
        subject.push(DnType::CommonName, wanted.subject.clone());
        if wanted.expired {
            parameters.not_before = date_time_ymd(2020, 1, 1);
            parameters.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn fresh_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Wanted {
    names: Vec<String>,
    subject: String,
    expired: bool,
}

impl Wanted {
    /// DNS names and addresses.
    pub fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            names: names.into_iter().map(str::to_owned).collect(),
            subject: "a test".into(),
            expired: false,
        }
    }

    /// A subject, and no names.
    pub fn subject(name: &str) -> Self {
        Self {
            subject: name.to_owned(),
            ..Self::names([])
        }
    }

    /// Has it have expired long ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.expired = true;
        self
    }
}

/// The files of an ensemble that speaks TLS, and of those who connect to it.
pub struct Certificates {
    directory: TempDir,
    authority: Authority,
}

/// The files of somebody who connects.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Who vouches for the servers.
    pub ca: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Servers on the loopback device, at `localhost` and 127.0.0.1.
    pub fn new() -> Result<Self> {
        Self::of_servers(&Wanted::names(["localhost", "127.0.0.1"]))
    }

    /// Servers at these addresses.
    pub fn at(addresses: impl IntoIterator<Item = IpAddr>) -> Result<Self> {
        let names: Vec<_> = addresses.into_iter().map(|it| it.to_string()).collect();
        Self::of_servers(&Wanted::names(names.iter().map(String::as_str)))
    }

    /// Servers with that certificate.
    pub fn of_servers(wanted: &Wanted) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("soloist-certificates-")
            .tempdir()?;
        let authority = Authority::new()?;
        let Identity { certificate, key } = authority.identity(wanted)?;
        fs::write(directory.path().join("ca.pem"), &authority.certificate)?;
        fs::write(
            directory.path().join("server.pem"),
            format!("{certificate}{key}"),
        )?;
        Ok(Self {
            directory,
            authority,
        })
    }

    /// Who vouches for all.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The certificate of the authority.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The certificate of the servers, with its key.
    pub fn server(&self) -> PathBuf {
        self.directory.path().join("server.pem")
    }

    /// Makes the files of somebody who connects, or makes them anew.
    pub fn holder(&self, name: &str, wanted: &Wanted) -> Result<Holder> {
        let holder = Holder {
            ca: self.ca(),
            certificate: self.directory.path().join(format!("{name}.pem")),
            key: self.directory.path().join(format!("{name}.key")),
        };
        holder.write(&self.authority.identity(wanted)?)?;
        Ok(holder)
    }
}

impl Holder {
    /// Writes another certificate and its key.
    pub fn write(&self, identity: &Identity) -> Result<()> {
        fs::write(&self.certificate, &identity.certificate)?;
        fs::write(&self.key, &identity.key)?;
        Ok(())
    }

    /// The variables that say so to `soloist`.
    pub fn variables(&self) -> [(&'static str, &Path); 3] {
        [
            ("SOLOIST_TLS_CA", &self.ca),
            ("SOLOIST_TLS_CERTIFICATE", &self.certificate),
            ("SOLOIST_TLS_KEY", &self.key),
        ]
    }
}
