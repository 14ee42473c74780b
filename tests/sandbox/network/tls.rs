//! HTTPS.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::case::{Case, Names};
use super::server::{Server, serve};
use crate::apart::apart;
use crate::guests::File;

/// A certificate authority, a server that it vouches for, and one that it does not.
fn certificates() -> [String; 5] {
    let authority = || {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        (certificate.pem(), rcgen::Issuer::new(parameters, key))
    };
    let server = |issuer: &rcgen::Issuer<'_, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, issuer)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let ((trusted, issuer), (_, stranger)) = (authority(), authority());
    let ((certificate, key), (strange, strange_key)) = (server(&issuer), server(&stranger));
    [trusted, certificate, key, strange, strange_key]
}

/// The process trusts what is in a file, which it fills itself before it looks.
#[test]
fn https_trusts_whom_this_machine_trusts() {
    let authorities = File::new("pem", b"");
    apart(
        &format!("export SSL_CERT_FILE='{}'", authorities.0.display()),
        || {
            let [authority, certificate, key, strange, strange_key] = certificates();
            std::fs::write(std::env::var_os("SSL_CERT_FILE").unwrap(), authority).unwrap();
            let servers = [(certificate, key), (strange, strange_key)];
            let [trusted, strange] = servers.map(|(certificate, key)| {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
                let config = ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .unwrap();
                let config = config
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate], key)
                    .unwrap();
                let acceptor = TlsAcceptor::from(Arc::new(config));
                Server::start(move |stream| {
                    let acceptor = acceptor.clone();
                    async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream).await;
                        }
                    }
                })
            });
            let plain = Server::http();
            let names = Names::new(&[("localhost", "127.0.0.1"), ("other.example", "127.0.0.1")]);
            let get = |host: &str, port: u16| {
                let origin = format!("https://{host}:{port}");
                Case::new("get")
                    .http(&origin)
                    .this_machine()
                    .names(&names)
                    .get(&format!("{origin}/"))
            };
            for host in ["localhost", "127.0.0.1"] {
                let outcome = get(host, trusted.port());
                assert!(
                    outcome.line().starts_with("200 GET /|"),
                    "{} {:?}",
                    outcome.line(),
                    outcome.refusals
                );
                assert!(
                    outcome
                        .line()
                        .contains(&format!("|host={host}:{}|", trusted.port())),
                    "{}",
                    outcome.line()
                );
            }
            for (host, port, told) in [
                ("localhost", strange.port(), "TlsCertificateError"),
                ("other.example", trusted.port(), "TlsCertificateError"),
                ("localhost", plain.port(), "TlsProtocolError"),
            ] {
                let outcome = get(host, port);
                assert!(outcome.line().contains(told), "{}", outcome.line());
                assert!(
                    outcome
                        .refusal()
                        .starts_with(&format!("no secure connection to https://{host}:")),
                    "{}",
                    outcome.refusal()
                );
            }
        },
    );
}
