use std::fmt::Write as _;

use proptest::prelude::*;

use soloist_core::records::NUMBER_MAX;

use super::*;
use crate::task::TaskName;

const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn read(text: &str) -> Result<Manifest, ConfigError> {
    Manifest::read(Path::new("report/7"), text.as_bytes())
}

/// A manifest with these keys besides those that it must have; a key that is given twice is not doubled.
fn with(keys: &str) -> String {
    let required = [
        ("manifest", "1".to_owned()),
        ("generation", "7".to_owned()),
        (
            "artefact",
            format!("{{ \"sha256\": \"{SHA}\", \"source\": \"ensemble:\" }}"),
        ),
        ("task", "{ \"name\": \"report\" }".to_owned()),
        ("at", "\"2026-11-26T21:00:00Z\"".to_owned()),
        ("by", "\"ops@build-1\"".to_owned()),
    ];
    let mut text = format!("{{ {keys}");
    for (key, value) in required {
        if !keys.starts_with(&format!("\"{key}\"")) {
            let comma = if text.ends_with("{ ") { "" } else { ",\n" };
            write!(text, "{comma}\"{key}\": {value}").unwrap();
        }
    }
    text + " }"
}

fn task(keys: &str) -> String {
    with(&format!("\"task\": {{ \"name\": \"report\", {keys} }}"))
}

/// Each: the text, where in it, the key, and a part of the message, which is one line.
fn are_named(cases: &[(String, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, at, key, part) in cases {
        let message = read(text).expect_err(text).to_string();
        let place = format!("report/7:{at}: {key}: ");
        let of_rust = ["struct ", "u64", "Wire"]
            .iter()
            .any(|word| message.contains(word));
        if !message.starts_with(&place)
            || !message.contains(part)
            || message.contains("hunter2")
            || of_rust
            || message.lines().count() != 1
        {
            wrong.push(format!("not {place:?} with {part:?}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_manifest_has_the_defaults_of_a_task_and_its_own() {
    let manifest = read(&with("")).unwrap();
    assert_eq!(manifest.generation, 7);
    assert_eq!(manifest.replaces, None);
    assert_eq!(manifest.artefact.source, ArtefactSource::Ensemble);
    assert_eq!(
        manifest.task.limits,
        soloist_core::limits::Limits::default()
    );
    assert_eq!(manifest.healthy_after, Duration::from_mins(1));
    assert_eq!(manifest.ready_timeout, Duration::from_mins(1));
    assert_eq!(manifest.on_rollback, OnRollback::Restore);
    assert!(manifest.migrates);
    assert_eq!(manifest.by, "ops@build-1");
    let all = with(&format!(
        "\"replaces\": {{ \"generation\": 6, \"sha256\": \"{SHA}\" }}, \"healthy_after\": \"2m\", \
         \"ready_timeout\": \"3s\", \"on_rollback\": \"keep\", \"migrates\": false"
    ));
    let manifest = read(&all).unwrap();
    assert_eq!(manifest.replaces.unwrap().number, 6);
    assert_eq!(manifest.healthy_after, Duration::from_mins(2));
    assert_eq!(manifest.ready_timeout, Duration::from_secs(3));
    assert_eq!(manifest.on_rollback, OnRollback::Keep);
    assert!(!manifest.migrates);
}

#[test]
fn the_text_of_a_manifest_begins_with_what_it_is_and_is_always_the_same() {
    let text = read(&with("")).unwrap().text().unwrap();
    let start = format!(
        "{{\n  \"manifest\": 1,\n  \"generation\": 7,\n  \"artefact\": {{\n    \"sha256\": \"{SHA}\",\n    \
         \"source\": \"ensemble:\"\n  }},\n  \"task\": {{\n    \"name\": \"report\",\n    \"config\": {{}},\n"
    );
    assert!(text.starts_with(&start), "{text}");
    let end = "  \"healthy_after\": \"1m\",\n  \"ready_timeout\": \"1m\",\n  \"on_rollback\": \"restore\",\n  \
               \"migrates\": true,\n  \"at\": \"2026-11-26T21:00:00.000Z\",\n  \"by\": \"ops@build-1\"\n}\n";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(read(&text).unwrap().text().unwrap(), text);
}

#[test]
fn every_bad_value_is_named_with_its_place() {
    let replaces = |keys: &str| with(&format!("\"replaces\": {{ {keys} }}"));
    let artefact = |source: &str| {
        with(&format!(
            "\"artefact\": {{ \"sha256\": \"{SHA}\", \"source\": \"{source}\" }}"
        ))
    };
    #[rustfmt::skip]
    let cases = [
        (with("\"generation\": 0"), "1:17", "generation", "write 1 to 9007199254740992"),
        (with("\"generation\": -1"), "1:17", "generation", "a whole number from 0"),
        (with("\"generation\": true"), "1:17", "generation", "a whole number from 0"),
        (with("\"generations\": 1"), "1:3", "generations", "unknown field `generations`"),
        (replaces(&format!("\"generation\": 7, \"sha256\": \"{SHA}\"")), "1:31", "replaces.generation", "write 1 to 6"),
        (replaces("\"generation\": 6"), "1:15", "replaces.sha256", "is missing"),
        (replaces("\"generation\": 6, \"sha256\": \"ab\""), "1:44", "replaces.sha256", "not a SHA-256"),
        (with("\"replaces\": [6]"), "1:15", "replaces", "a table"),
        (with(&format!("\"artefact\": {{ \"sha256\": \"{SHA}\" }}")), "1:15", "artefact.source", "is missing"),
        (with("\"artefact\": \"ensemble:\""), "1:15", "artefact", "a table"),
        (artefact("http://a/b"), "1:105", "artefact.source", "write https://"),
        (artefact("https://u:hunter2@a/b"), "1:105", "artefact.source", "names a user"),
        (artefact("oci://a/b:1"), "1:105", "artefact.source", "a tag can be moved"),
        (with("\"task\": []"), "1:11", "task", "a table"),
        (with("\"task\": {}"), "1:11", "task.name", "is missing"),
        (task("\"nam\": 1"), "1:31", "task.nam", "unknown field `nam`"),
        (task("\"plugin\": \"a.wasm\""), "1:41", "task.plugin", "artefact of the manifest"),
        (task("\"sha256\": \"ab\""), "1:41", "task.sha256", "artefact of the manifest"),
        (task("\"path\": \"/legacy\""), "1:39", "task.path", "hosts' own files"),
        (task("\"limits\": { \"cpu\": 0 }"), "1:50", "task.limits.cpu", "write 1 to 100"),
        (task("\"allow\": { \"dirs\": [{ \"host\": \"a\", \"guest\": \"/a\" }] }"), "1:51", "task.allow.dirs", "not a whole path"),
        (task("\"allow\": { \"dirs\": [{ \"host\": \"/a/../b\", \"guest\": \"/a\" }] }"), "1:51", "task.allow.dirs", "not a whole path"),
        (task("\"allow\": { \"secrets\": [{ \"name\": \"A\", \"file\": \"a\" }] }"), "1:54", "task.allow.secrets", "not a whole path"),
        (task("\"allow\": { \"secrets\": [\"A=hunter2\"] }"), "1:54", "task.allow.secrets", "may be the secret"),
        (with("\"healthy_after\": \"never\""), "1:20", "healthy_after", "not a duration"),
        (with("\"ready_timeout\": \"2days\""), "1:20", "ready_timeout", "out of range"),
        (with("\"on_rollback\": \"drop\""), "1:18", "on_rollback", "\"restore\" or \"keep\""),
        (with("\"migrates\": \"no\""), "1:15", "migrates", "expected a boolean"),
        (with("\"at\": \"yesterday\""), "1:9", "at", "is not a time"),
        (with("\"at\": \"2026-11-26 21:00:00+01:00\""), "1:9", "at", "is not a time"),
        (with("\"by\": \"\""), "1:9", "by", "is empty"),
        (with("\"by\": \"a\\u202eb\""), "1:9", "by", "not printable"),
        (with(&format!("\"by\": \"{}\"", "b".repeat(257))), "1:9", "by", "256 bytes"),
        (with("\"manifest\": 2, \"later\": true"), "1:15", "manifest", "\"2\" is not a version that is known here, 1"),
        ("{}".to_owned(), "1:1", "manifest", "is missing"),
    ];
    are_named(&cases);
    let first = with("\"replaces\": {}").replace("\"generation\": 7", "\"generation\": 1");
    are_named(&[(
        first,
        "1:15",
        "replaces",
        "the first generation replaces none",
    )]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = "{ \"manifest\": 1, \"generation\": 0, \"task\": { \"limits\": { \"cpu\": 0 } } }";
    let message = read(text).unwrap_err().to_string();
    for key in [
        "generation: ",
        "artefact: is missing",
        "task.name: is missing",
        "task.limits.cpu: ",
        "at: is missing",
        "by: is missing",
    ] {
        assert!(message.contains(key), "{key}: {message}");
    }
}

#[test]
fn what_looks_like_a_secret_is_refused_and_not_shown() {
    #[rustfmt::skip]
    let secrets = [
        ("DB_PASSWORD", "hunter2"), ("dbPassword", "hunter2"), ("TOKEN", "hunter2"), ("api-key", "hunter2"),
        ("client.secret", "hunter2"), ("url", "postgres://me:hunter2@db/x"), ("urls", "a://b,c://u:hunter2@d"),
        ("pem", "-----BEGIN EC PRIVATE KEY-----\\nhunter2"),
    ];
    for (name, value) in secrets {
        are_named(&[(
            task(&format!("\"config\": {{ \"{name}\": \"{value}\" }}")),
            &format!("1:{}", 47 + name.len()),
            &format!("task.config.{name}"),
            "looks like a secret",
        )]);
    }
    let env = task("\"allow\": { \"env\": { \"DB_PASSWORD\": \"hunter2\" } }");
    are_named(&[(
        env,
        "1:66",
        "task.allow.env.DB_PASSWORD",
        "name that in allow.secrets",
    )]);
    #[rustfmt::skip]
    let plain = [
        ("TOKEN_URL", "https://a"), ("PASSWORD_FILE", "/run/a"), ("secret", ""), ("max_tokens", "5"),
        ("url", "https://a:8080/@b:c"), ("url", "https://me@a"), ("pem", "-----BEGIN CERTIFICATE-----"),
    ];
    for (name, value) in plain {
        let text = task(&format!("\"config\": {{ \"{name}\": \"{value}\" }}"));
        assert!(read(&text).is_ok(), "{name} {value}");
    }
}

#[test]
fn what_is_too_long_for_a_manifest_is_refused_before_it_is_read() {
    let large = format!("{}{}", with(""), " ".repeat(2 << 20));
    let message = read(&large).unwrap_err().to_string();
    assert!(message.starts_with("report/7 has 20"), "{message}");
    assert!(
        message.contains("262144 at most; put what is larger"),
        "{message}"
    );
    let text = with("");
    let longest = format!("{text}{}", " ".repeat(MANIFEST_BYTES_MAX - text.len()));
    assert!(read(&longest).is_ok());
    assert!(matches!(
        read(&format!("{longest} ")),
        Err(ConfigError::ManifestTooLarge { .. })
    ));
}

#[test]
fn what_cannot_be_read_cannot_be_written() {
    let mut manifest = read(&with("")).unwrap();
    manifest.by.clear();
    let message = manifest.text().unwrap_err().to_string();
    assert!(message.contains("by: \"\" is empty"), "{message}");
}

fn manifests() -> impl Strategy<Value = Manifest> {
    (
        (1..=NUMBER_MAX, any::<bool>(), "[a-z]{1,8}"),
        proptest::sample::select(vec!["ensemble:", "file:///a/b.wasm", "https://a:1/b"]),
        (
            any::<bool>(),
            1..86_400_000_u64,
            0..=253_402_300_799_999_u64,
        ),
        (
            "[ -~éß\"\\\\]{1,40}",
            proptest::collection::btree_map("[a-z]{1,4}", "\\PC{0,20}", 0..3),
        ),
    )
        .prop_map(
            |((generation, replaces, name), source, (migrates, millis, at), (by, config))| {
                let mut manifest = read(&with("")).unwrap();
                manifest.generation = generation;
                let replaced = Generation {
                    number: generation.saturating_sub(1),
                    sha256: Digest::of(name.as_bytes()),
                };
                manifest.replaces = Some(replaced).filter(|_| replaces && generation > 1);
                manifest.artefact.source = source.parse().unwrap();
                manifest.task.name = TaskName::new(&name).unwrap();
                manifest.task.config = config;
                manifest.healthy_after = Duration::from_millis(millis);
                manifest.ready_timeout = Duration::from_millis(millis);
                manifest.migrates = migrates;
                manifest.at = Time::from_millis(at);
                manifest.by = by;
                manifest
            },
        )
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn what_is_written_of_a_manifest_is_read_again(manifest in manifests()) {
        let text = manifest.text().unwrap();
        let again = read(&text).unwrap();
        prop_assert_eq!(again.text().unwrap(), text);
        prop_assert_eq!(again, manifest);
    }

    #[test]
    fn no_text_makes_reading_panic(start in "\\PC{0,40}", cut in 0..400_usize) {
        let text = with("");
        let cut = text.floor_char_boundary(cut.min(text.len()));
        let _ = read(&format!("{}{start}{}", &text[..cut], &text[cut..]));
        let _ = read(&start);
    }
}
