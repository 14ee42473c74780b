//! HTTPS.

use std::sync::Arc;

use soloist_tests::certificates::{Authority, Identity};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::case::{Case, Names};
use super::server::{Server, serve};
use crate::apart::apart;
use crate::guests::File;

/// The process trusts what is in a file, which it fills itself before it looks.
#[test]
fn https_trusts_whom_this_machine_trusts() {
    let authorities = File::new("pem", b"");
    apart(
        &format!("export SSL_CERT_FILE='{}'", authorities.0.display()),
        || {
            let authorities = [(); 2].map(|()| Authority::new().unwrap());
            let trusted = &authorities[0].certificate;
            std::fs::write(std::env::var_os("SSL_CERT_FILE").unwrap(), trusted).unwrap();
            let servers = authorities.map(|authority| authority.server().unwrap());
            let [trusted, strange] = servers.map(|Identity { certificate, key }| {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                let provider =
                    Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
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
