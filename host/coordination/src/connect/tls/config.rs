//! What rustls is told, from the text of the files, each of which is judged.

use std::sync::Arc;

use soloist_tls::FileError;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};

use super::{Material, Verify};

/// Judges what the files hold.
pub(super) fn config(material: &Material, verify: Verify) -> Result<ClientConfig, FileError> {
    let Material { ca, identity } = material;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(ca.authorities()?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .with_crls(ca.revocations()?)
        .build()
        .map_err(|source| ca.bad_revocations(source))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(FileError::Setup)?;
    let builder = match verify {
        Verify::Full => builder.with_webpki_verifier(verifier),
        Verify::Ca => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(WithoutNames(verifier))),
    };
    match identity {
        Some(identity) => {
            identity.configure(|chain, key| builder.with_client_auth_cert(chain, key))
        }
        None => Ok(builder.with_no_client_auth()),
    }
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
