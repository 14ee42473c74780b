//! Servers that send to another one, and who is told a secret.

use super::server::Asked;
use super::*;
use crate::http::{Ask, Client, HttpError};

#[test]
fn redirects_lead_to_the_artefact_and_never_in_a_circle() {
    let (there, asked) = server(|_, _, stream| {
        say(stream, head("200 OK", &[]));
        say(stream, BODY);
    });
    let (address, _) = server(move |_, asked, stream| {
        let to = if asked.starts_with("GET /report.wasm") {
            "/next".to_owned()
        } else {
            format!("http://{there}/elsewhere")
        };
        say(stream, head("302 Found", &[("Location", &to)]));
    });
    let (_directory, artefacts) = artefacts(bounds());
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    assert!(asked.lock().unwrap()[0].starts_with("GET /elsewhere"));
    for (location, expected) in [
        ("/report.wasm", "on and on"),
        ("ftp://a/b", "nothing can be asked for"),
        (
            "http://user:password@127.0.0.1/b",
            "nothing can be asked for",
        ),
        ("http://", "nothing can be asked for"),
        ("http://192.0.2.1/report.wasm", "without TLS"),
    ] {
        let (address, _) = server(move |_, _, stream| {
            say(stream, head("302 Found", &[("Location", location)]));
        });
        let told = failure(address, bounds());
        assert!(told.contains(expected), "{location}: {told}");
    }
}

#[test]
fn credentials_are_for_one_server() {
    let (there, asked) = server(|_, _, stream| say(stream, head("200 OK", &[])));
    let (address, asked_first) = server(move |number, _, stream| {
        let to = if number == 0 {
            "/b".to_owned()
        } else {
            format!("http://{there}/c")
        };
        say(stream, head("307 There", &[("Location", &to)]));
    });
    let client = Client::new(bounds());
    let url = Url::parse(&format!("http://{address}/a")).unwrap();
    let ask = Ask {
        credentials: Some(::http::HeaderValue::from_static("Basic secret")),
        ..Ask::get()
    };
    let (_directory, artefacts) = artefacts(bounds());
    block_on(apart(&artefacts.servers, patience(), async move || {
        Ok(client.send(&url, ask).await.map(drop)?)
    }))
    .unwrap();
    let shows = |asked: &Asked| -> Vec<bool> {
        let asked = asked.lock().unwrap();
        asked.iter().map(|asked| asked.contains("secret")).collect()
    };
    assert_eq!(
        (shows(&asked_first), shows(&asked)),
        (vec![true, true], vec![false])
    );
}

#[test]
fn nothing_but_this_machine_is_asked_without_tls() {
    let (_directory, artefacts) = artefacts(bounds());
    let error = fetch(
        &artefacts,
        "192.0.2.1:80".parse().unwrap(),
        Digest::of(BODY),
    )
    .unwrap_err();
    assert!(
        matches!(&error, FetchError::Http(HttpError::Plain { .. })),
        "{error}"
    );
}
