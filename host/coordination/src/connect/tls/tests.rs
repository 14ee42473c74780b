use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::*;

/// A directory with good files.
struct Files {
    directory: TempDir,
    files: TlsFiles,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = TlsFiles {
            ca: path("ca.pem"),
            identity: Some(IdentityFiles {
                certificate: path("host.pem"),
                key: path("host.key"),
            }),
            verify: Verify::Full,
        };
        let files = Self { directory, files };
        files.write();
        files
    }

    /// Writes other ones.
    fn write(&self) {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = parameters.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(parameters, key);
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["host".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        self.set("ca.pem", &ca);
        self.set("host.pem", &certificate.pem());
        self.set("host.key", &key.serialize_pem());
    }

    fn set(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(self.files.clone(), "localhost:2182,[::1]:2182")
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_the_file_and_nothing_of_a_key() {
    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVudGVyMg==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let good = |name: &str| {
        let files = Files::new();
        fs::read_to_string(files.directory.path().join(name)).unwrap()
    };
    let no_ca = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n";
    let one_bad = format!("{}{no_ca}", good("ca.pem"));
    let no_list = format!(
        "{}{}",
        good("ca.pem"),
        no_ca.replace("CERTIFICATE", "X509 CRL")
    );
    let long = "x".repeat(1024 * 1024 + 1);
    #[rustfmt::skip]
    let cases = [
        ("ca.pem", "", "ca.pem holds no certificate"),
        ("ca.pem", "hunter2", "ca.pem holds no certificate"),
        ("ca.pem", "-----BEGIN CERTIFICATE-----\nhunter2", "ca.pem is not PEM"),
        ("ca.pem", &one_bad, "certificate 2 of"),
        ("ca.pem", &no_list, "revocation list (X509 CRL) of"),
        ("ca.pem", &long, "ca.pem cannot be read"),
        ("host.pem", "", "host.pem holds no certificate"),
        ("host.pem", no_ca, "host.pem and the key in"),
        ("host.key", "", "host.key holds no private key"),
        ("host.key", ENCRYPTED, "not encrypted"),
        ("host.key", "-----BEGIN PRIVATE KEY-----\nhunter2", "host.key holds no private key"),
        ("host.key", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----", "cannot be used"),
        ("host.key", &good("host.key"), "host.key is not that of the certificate in"),
    ];
    for (name, text, part) in cases {
        let files = Files::new();
        files.set(name, text);
        let error = soloist_core::event::chain(&files.load().unwrap_err());
        assert!(error.contains(part), "{error}");
        assert!(error.contains(name), "{error}");
        assert!(
            !error.contains("hunter2") && !error.contains("aHVud"),
            "{error}"
        );
        fs::remove_file(files.directory.path().join(name)).unwrap();
        let error = files.load().unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("cannot be read"),
            "{error}"
        );
    }
}

#[test]
fn a_server_that_no_certificate_can_be_for_is_refused() {
    let files = Files::new();
    for bad in ["a..b:1", "-a:1", "..:1", &format!("{}:1", "a".repeat(64))] {
        let error = Tls::load(files.files.clone(), &format!("good:1,{bad}")).unwrap_err();
        assert!(
            matches!(&error, TlsError::Name { server } if server == bad),
            "{error}"
        );
    }
    let good = "zk_1.example:1,10.0.0.1:1,[fe80::1]:1";
    Tls::load(files.files.clone(), good).unwrap();
}

#[test]
fn other_files_are_taken_if_they_are_good() {
    let files = Files::new();
    let tls = files.load().unwrap();
    assert!(!tls.reload().unwrap());
    files.write();
    let shared = tls.clone();
    assert!(tls.reload().unwrap());
    assert!(!shared.reload().unwrap());
    files.set("host.key", "");
    tls.reload().unwrap_err();
    let config = || Arc::clone(&tls.current().config);
    let before = config();
    tls.reload().unwrap_err();
    assert!(Arc::ptr_eq(&before, &config()));
    files.write();
    assert!(tls.reload().unwrap());
}

#[test]
fn nothing_of_the_files_is_printed() {
    let files = Files::new();
    let shown = format!("{:?}", files.load().unwrap());
    assert!(
        !shown.contains("BEGIN") && shown.contains("host.key"),
        "{shown}"
    );
}
