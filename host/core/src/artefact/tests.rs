use proptest::prelude::*;

use super::*;

const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn every_kind_of_place_is_read_and_written_the_same() {
    for text in [
        "ensemble:".to_owned(),
        "file:///srv/plugins/report 2.wasm".to_owned(),
        "https://plugins.example/report.wasm".to_owned(),
        "https://plugins.example:8443/a/~b@1.wasm".to_owned(),
        "https://[fd00::1]/report.wasm".to_owned(),
        format!("oci://registry.example/team/report@sha256:{SHA}"),
        format!("oci://127.0.0.1:5000/report@sha256:{SHA}"),
    ] {
        let source = ArtefactSource::new(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(source.to_string(), text);
    }
    let disguised = ArtefactSource::new("https://PLUGINS.example.:443/A.wasm").unwrap();
    assert_eq!(disguised.to_string(), "https://plugins.example/A.wasm");
}

#[test]
fn what_is_no_place_is_told_why() {
    let oci = |rest: &str| format!("oci://registry.example{rest}");
    for (text, expected) in [
        ("", "begins neither"),
        ("report.wasm", "begins neither"),
        ("ensemble:report", "begins neither"),
        ("HTTPS://a/b", "a scheme other than"),
        ("http://a/b", "without encryption"),
        ("ftp://a/b", "a scheme other than"),
        ("file://", "no path"),
        ("file://host/a", "names a host"),
        ("file:///", "names no file"),
        ("file:///a/../b", "component of dots"),
        ("file:///a//b", "empty component"),
        ("file:///a\u{202e}b", "could mean something else"),
        ("https://a", "no path"),
        ("https://a/", "names no file"),
        ("https:///a", "has no host"),
        ("https://user:pw@a/b", "names a user"),
        ("https://*.a/b", "a pattern"),
        ("https://a/b?token=1", "could mean something else"),
        ("https://a/b#c", "could mean something else"),
        ("https://a/%2e%2e/b", "could mean something else"),
        ("https://a\\b/c", "goes on after the port"),
        ("https://a?b/c", "goes on after the port"),
        ("https://a/b/../c", "component of dots"),
        ("https://a/é", "could mean something else"),
        (&oci("/report:1.2"), "since a tag can be moved"),
        (&oci("/report@sha256:ab"), "64 hexadecimal"),
        (&oci(&format!("/report@md5:{SHA}")), "64 hexadecimal"),
        (
            &oci(&format!("/Report@sha256:{SHA}")),
            "a repository that is none",
        ),
        (
            &oci(&format!("/-report@sha256:{SHA}")),
            "a repository that is none",
        ),
        (&oci(&format!("/a/../b@sha256:{SHA}")), "component of dots"),
        (&format!("https://a/{}", "b".repeat(1024)), "1024 bytes"),
    ] {
        let rule = ArtefactSource::new(text).expect_err(text).0;
        assert!(rule.contains(expected), "{text}: {rule}");
    }
}

#[test]
fn a_prefix_ends_with_a_component_and_covers_what_is_below_it() {
    let covers = |prefix: &str, source: &str| {
        let source = source.replace("@@", &format!("@sha256:{SHA}"));
        let source =
            ArtefactSource::new(&source).unwrap_or_else(|error| panic!("{source}: {error}"));
        SourcePrefix::new(prefix).unwrap().covers(&source)
    };
    for (prefix, source) in [
        ("ensemble:", "ensemble:"),
        ("file:///", "file:///a"),
        ("file:///srv", "file:///srv/a"),
        ("file:///srv/a", "file:///srv/a"),
        ("https://a", "https://a/b"),
        ("https://A.:443/", "https://a/b/c"),
        ("https://a:8443/b/", "https://a:8443/b/c"),
        ("oci://registry.example", "oci://registry.example/a@@"),
        (
            "oci://registry.example/team/",
            "oci://registry.example/team/a/b@@",
        ),
        (
            "oci://registry.example/team/a",
            "oci://registry.example/team/a@@",
        ),
    ] {
        assert!(covers(prefix, source), "{prefix} {source}");
    }
    for (prefix, source) in [
        ("ensemble:", "file:///a"),
        ("file:///srv/", "file:///srv"),
        ("file:///srv", "file:///srv2/a"),
        ("https://a", "oci://a/b@@"),
        ("https://a", "https://a.evil/b"),
        ("https://a", "https://b.a/b"),
        ("https://a", "https://a:8443/b"),
        ("https://a/b", "https://a/bc"),
        ("https://a/b/", "https://a/b"),
        ("https://a/b/", "https://a/B/c"),
        ("oci://registry.example/", "oci://registry.example.evil/a@@"),
        (
            "oci://registry.example/team/",
            "oci://registry.example/team-evil/a@@",
        ),
        (
            "oci://registry.example/team",
            "oci://registry.example:5000/team/a@@",
        ),
    ] {
        assert!(!covers(prefix, source), "{prefix} {source}");
    }
    for bad in [
        "https://",
        "oci:///a",
        "https://a//",
        "https://a/../b/",
        "https://u@a/",
        "file://a/",
        "*",
        "https://*/",
    ] {
        assert!(SourcePrefix::new(bad).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn what_a_prefix_covers_begins_with_it_as_it_is_written(
        prefix in "(https|oci|file)://[ab.]{0,3}(:1)?(/[ab.%]{0,2}){0,3}",
        source in "(https|oci|file)://[ab.@]{0,4}(:1)?(/[ab.%]{0,2}){0,4}",
    ) {
        let source = if source.starts_with("oci") { format!("{source}@sha256:{SHA}") } else { source };
        let (Ok(prefix), Ok(source)) = (SourcePrefix::new(&prefix), ArtefactSource::new(&source)) else {
            return Ok(());
        };
        prop_assert_eq!(SourcePrefix::new(&prefix.to_string()), Ok(prefix.clone()));
        prop_assert_eq!(ArtefactSource::new(&source.to_string()), Ok(source.clone()));
        let (prefix_text, text) = (prefix.to_string(), source.to_string());
        let text = text.split("@sha256:").next().unwrap_or_default().to_owned();
        let begins = text == prefix_text
            || text.strip_prefix(&prefix_text).is_some_and(|rest| prefix_text.ends_with('/') || rest.starts_with('/'));
        prop_assert_eq!(prefix.covers(&source), begins);
    }
}
