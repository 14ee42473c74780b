//! Registries that do what they should not.

use std::io::Write as _;
use std::net::TcpStream;

use super::server::Asked;
use super::*;
use crate::error::OciError;
use crate::oci::Manifest;

/// The text of an image's manifest, which says that its plugin has so many bytes.
fn manifest(bytes: usize) -> String {
    let (_, text) = Manifest::write(BODY);
    let text = String::from_utf8(text).unwrap();
    let right = format!("\"size\":{}", BODY.len());
    assert_eq!(text.matches(&right).count(), 1, "{text}");
    text.replace(&right, &format!("\"size\":{bytes}"))
}

/// What a registry has at an address, by the text of its manifest.
fn image(address: SocketAddr, manifest: &str) -> ArtefactSource {
    let digest = Digest::of(manifest.as_bytes());
    ArtefactSource::new(&format!("oci://{address}/acme/report@sha256:{digest}")).unwrap()
}

/// A registry that has one manifest, and answers with `blob` when it is asked for a blob.
fn registry(
    manifest: String,
    blob: impl Fn(&str, &mut TcpStream) + Send + 'static,
) -> (SocketAddr, Asked) {
    server(move |_, asked, stream| {
        if asked.starts_with("GET /v2/acme/report/manifests/") {
            say(stream, head("200 OK", &[]) + &manifest);
        } else {
            blob(asked, stream);
        }
    })
}

fn fetch_image(artefacts: &Artefacts, source: &ArtefactSource) -> Result<Vec<u8>, FetchError> {
    let fetched = block_on(artefacts.fetch(source, Some(Digest::of(BODY)), patience()))?;
    Ok(std::fs::read(fetched.path).unwrap())
}

#[test]
fn a_registry_that_sends_elsewhere_does_not_send_the_credentials_along() {
    let (there, asked_there) = server(|_, _, stream| {
        say(stream, head("200 OK", &[]));
        say(stream, BODY);
    });
    let text = manifest(BODY.len());
    let served = text.clone();
    let (address, asked) = server(move |_, asked, stream| {
        let to = format!("http://{there}/elsewhere");
        match asked.to_ascii_lowercase() {
            asked if !asked.contains("authorization: basic ywrhomh1c2g=") => {
                let who = [("WWW-Authenticate", "Basic"), ("Content-Length", "0")];
                say(stream, head("401 Who", &who));
            }
            asked if asked.contains("/manifests/") => say(stream, head("200 OK", &[]) + &served),
            _ => say(stream, head("307 There", &[("Location", &to)])),
        }
    });
    let (directory, mut artefacts) = artefacts(bounds());
    let config = directory.path().join("config.json");
    // ada:hush
    let json = format!(r#"{{"auths": {{"{address}": {{"auth": "YWRhOmh1c2g="}}}}}}"#);
    std::fs::write(&config, json).unwrap();
    let cache = artefacts.fetcher.cache.clone();
    artefacts = Artefacts::new(cache, bounds(), DockerConfig { path: Some(config) });
    assert_eq!(
        fetch_image(&artefacts, &image(address, &text)).unwrap(),
        BODY
    );
    let shows = |asked: &Asked| -> Vec<bool> {
        let asked = asked.lock().unwrap();
        asked
            .iter()
            .map(|asked| asked.contains("YWRhOmh1c2g="))
            .collect()
    };
    // The manifest twice, since nobody shows credentials unasked; then the blob.
    assert_eq!(shows(&asked), [false, true, true]);
    assert_eq!(shows(&asked_there), [false]);
}

#[test]
fn a_registry_that_lies_about_a_length_is_not_believed() {
    // What the manifest says bounds what is read, and is bounded itself.
    for (said, expected) in [(3, "more than 3 bytes"), (10_001, "more than 10000 bytes")] {
        let text = manifest(said);
        let (address, asked) = registry(text.clone(), |_, stream| {
            say(stream, head("200 OK", &[]));
            while stream.write_all(&[0; 4096]).is_ok() {}
        });
        let (directory, artefacts) = artefacts(bounds());
        let error = fetch_image(&artefacts, &image(address, &text)).unwrap_err();
        assert!(
            error.to_string().contains(expected) && !error.is_transient(),
            "{error}"
        );
        assert!(asked.lock().unwrap().len() <= 2);
        // The manifest alone.
        let kept = std::fs::read_dir(directory.path().join("artefacts")).unwrap();
        assert_eq!(kept.count(), 1);
    }
}

#[test]
fn a_plugin_that_breaks_off_goes_on_and_one_that_is_shorter_is_another() {
    let text = manifest(BODY.len());
    let length = BODY.len().to_string();
    let (address, _) = registry(text.clone(), move |asked, stream| {
        if asked.to_ascii_lowercase().contains("range: bytes=10-") {
            let range = format!("bytes 10-{}/{length}", BODY.len() - 1);
            say(stream, head("206 Part", &[("Content-Range", &range)]));
            say(stream, &BODY[10..]);
        } else {
            say(stream, head("200 OK", &[("Content-Length", &length)]));
            say(stream, &BODY[..10]);
        }
    });
    let (_directory, artefacts) = artefacts(bounds());
    assert_eq!(
        fetch_image(&artefacts, &image(address, &text)).unwrap(),
        BODY
    );

    let (address, _) = registry(text.clone(), |_, stream| {
        say(stream, head("200 OK", &[("Content-Length", "10")]));
        say(stream, &BODY[..10]);
    });
    let (directory, artefacts) = super::artefacts(bounds());
    let error = fetch_image(&artefacts, &image(address, &text)).unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    let kept = std::fs::read_dir(directory.path().join("artefacts")).unwrap();
    assert_eq!(kept.count(), 1, "nothing but the manifest");
}

#[test]
fn a_registry_that_answers_with_another_manifest_is_not_believed() {
    let (address, _) = registry(manifest(BODY.len() + 1), |_, _| {});
    let (_directory, artefacts) = artefacts(bounds());
    let source = image(address, &manifest(BODY.len()));
    let error = fetch_image(&artefacts, &source).unwrap_err();
    let other = matches!(error, FetchError::Oci(OciError::OtherManifest { .. }));
    assert!(other && !error.is_transient(), "{error}");
    let (address, _) = registry(" ".repeat(10 << 20), |_, _| {});
    let error = fetch_image(&artefacts, &image(address, "long")).unwrap_err();
    assert!(
        error.to_string().contains("more than 262144 bytes"),
        "{error}"
    );
}
