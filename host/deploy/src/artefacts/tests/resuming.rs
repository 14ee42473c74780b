//! What was fetched in part: the rest is asked for, and only that.

use super::*;

#[test]
fn what_was_cut_goes_on_where_it_broke_off() {
    let length = BODY.len().to_string();
    let (address, asked) = server(move |number, _, stream| {
        if number == 0 {
            say(
                stream,
                head("200 OK", &[("Content-Length", &length), ("ETag", "\"1\"")]),
            );
            say(stream, &BODY[..10]);
        } else {
            let range = format!("bytes 10-{}/{length}", BODY.len() - 1);
            say(
                stream,
                head(
                    "206 Partial Content",
                    &[("Content-Range", &range), ("ETag", "\"1\"")],
                ),
            );
            say(stream, &BODY[10..]);
        }
    });
    let (_directory, artefacts) = artefacts(bounds());
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    // The second time nobody is asked.
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    let asked = asked.lock().unwrap();
    let second = asked[1].to_ascii_lowercase();
    assert!(
        second.contains("range: bytes=10-\r\n") && second.contains("if-range: \"1\"\r\n"),
        "{second}"
    );
    assert_eq!(asked.len(), 2);
}

#[test]
fn a_process_goes_on_with_what_another_one_has_left() {
    let (address, asked) = server(|_, _, stream| {
        let range = format!("bytes 7-{}/*", BODY.len() - 1);
        say(
            stream,
            head("206 Partial Content", &[("Content-Range", &range)]),
        );
        say(stream, &BODY[7..]);
    });
    let (_directory, artefacts) = artefacts(bounds());
    let mut left = artefacts
        .fetcher
        .cache
        .begin(Digest::of(BODY))
        .unwrap()
        .unwrap();
    left.append(&BODY[..7]).unwrap();
    drop(left);
    assert_eq!(fetch(&artefacts, address, Digest::of(BODY)).unwrap(), BODY);
    assert!(
        asked.lock().unwrap()[0]
            .to_ascii_lowercase()
            .contains("range: bytes=7-")
    );
}

#[test]
fn a_file_that_is_another_one_by_now_is_fetched_from_its_beginning() {
    for version in ["\"1\"", "\"2\""] {
        let length = BODY.len().to_string();
        let (address, _) = server(move |number, head_asked, stream| match number {
            0 => {
                say(
                    stream,
                    head("200 OK", &[("Content-Length", &length), ("ETag", "\"1\"")]),
                );
                say(stream, "of an older file");
            }
            _ if head_asked.to_ascii_lowercase().contains("range:") => {
                let range = format!("bytes 16-{}/{length}", BODY.len() - 1);
                say(
                    stream,
                    head(
                        "206 Partial Content",
                        &[("Content-Range", &range), ("ETag", version)],
                    ),
                );
                say(stream, &BODY[16..]);
            }
            _ => {
                say(stream, head("200 OK", &[("Content-Length", &length)]));
                say(stream, BODY);
            }
        });
        let (_directory, artefacts) = artefacts(bounds());
        assert_eq!(
            fetch(&artefacts, address, Digest::of(BODY)).unwrap(),
            BODY,
            "{version}"
        );
    }
}

#[test]
fn a_server_that_answers_with_another_part_is_asked_anew() {
    for (status, range) in [
        ("206 Partial Content", "bytes 3-5/100"),
        ("206 Partial Content", "nonsense"),
        ("416 Range Not Satisfiable", "bytes */3"),
    ] {
        let (address, asked) = server(move |_, asked, stream| {
            if asked.to_ascii_lowercase().contains("range: bytes=") {
                say(stream, head(status, &[("Content-Range", range)]));
                say(stream, "abc");
            } else {
                say(stream, head("200 OK", &[]));
                say(stream, BODY);
            }
        });
        let (_directory, artefacts) = artefacts(bounds());
        let mut left = artefacts
            .fetcher
            .cache
            .begin(Digest::of(BODY))
            .unwrap()
            .unwrap();
        left.append(b"left by somebody").unwrap();
        drop(left);
        assert_eq!(
            fetch(&artefacts, address, Digest::of(BODY)).unwrap(),
            BODY,
            "{range}"
        );
        assert_eq!(asked.lock().unwrap().len(), 2);
    }
}
