//! A certificate authority, whose servers are on this machine.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

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
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: parameters.self_signed(&key)?.pem(),
            issuer: Issuer::new(parameters, key),
        })
    }

    /// Vouches for a server at `localhost` and at 127.0.0.1.
    pub fn server(&self) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}
