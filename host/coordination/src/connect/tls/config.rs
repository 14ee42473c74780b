//! What rustls is told, from the text of the files, each of which is judged.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::{IdentityFiles, Material, TlsError, TlsFiles, Verify};

/// Judges what the files hold.
pub(super) fn config(material: &Material, files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (roots, lists) = (
        roots(&material.ca, &files.ca)?,
        items::<CertificateRevocationListDer<'_>>(&material.ca, &files.ca)?,
    );
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .with_crls(lists)
        .build()
        .map_err(|source| TlsError::Revocations {
            path: files.ca.clone(),
            source,
        })?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = match files.verify {
        Verify::Full => builder.with_webpki_verifier(verifier),
        Verify::Ca => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(WithoutNames(verifier))),
    };
    let (Some(identity), Some(files)) = (&material.identity, &files.identity) else {
        return Ok(builder.with_no_client_auth());
    };
    let IdentityFiles { certificate, key } = files;
    let chain = items::<CertificateDer<'_>>(&identity.certificate, certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: certificate.clone(),
        });
    }
    // What the parser says of a key is not told: it might quote it.
    let private = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())
        .map_err(|_| TlsError::NoKey { path: key.clone() })?;
    builder
        .with_client_auth_cert(chain, private)
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
        })
}

/// Those who vouch for the servers: at least one, and none that cannot be read.
fn roots(text: &str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in items::<CertificateDer<'_>>(text, path)?
        .into_iter()
        .enumerate()
    {
        roots.add(certificate).map_err(|source| TlsError::BadCa {
            path: path.to_owned(),
            number: index + 1,
            source,
        })?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

/// All of a kind that is in the text.
fn items<T: PemObject>(text: &str, path: &Path) -> Result<Vec<T>, TlsError> {
    T::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NotPem {
            path: path.to_owned(),
        })
}

/// Verifies all but the name.
#[derive(Debug)]
struct WithoutNames(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for WithoutNames {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name comes last, so all else is right.
        match self
            .0
            .verify_server_cert(certificate, intermediates, name, ocsp_response, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
