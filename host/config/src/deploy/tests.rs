use std::fmt::Write as _;
use std::fs;

use super::*;
use crate::file::Format;

/// Made with `minisign -G`.
const KEY: &str = "RWTUd9qENU85J8INv7FT0GbKGZtTGmOGJrnU+I1flbha8m9MJGApBX8j";
const OTHER: &str = "RWRiR5hu9U+DrheGNpXejIsbF1Zx8yrQwkJFDq/2koP0Y3Xj0KpScdw8";
const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn read(text: &str) -> Result<Option<DeployConfig>, ConfigError> {
    DeployConfig::read(&Document::of_file("etc/deploy.toml", Format::Toml, text))
}

/// One that is enabled, with these lines below it; its tables come last.
fn enabled(lines: &str) -> String {
    let mut text = "enabled = true\n".to_owned();
    for (key, value) in [
        ("keys", format!("[\"{KEY}\"]")),
        ("tasks", "[\"report-*\"]".to_owned()),
        ("directory", "\"/var/lib/soloist\"".to_owned()),
    ] {
        if !lines.starts_with(&format!("{key} =")) {
            writeln!(text, "{key} = {value}").unwrap();
        }
    }
    text + lines + "\n"
}

fn host(lines: &str) -> DeployConfig {
    read(&enabled(lines))
        .unwrap_or_else(|error| panic!("{error}"))
        .unwrap()
}

fn manifest(source: &str, task: &str) -> Manifest {
    let text = format!(
        "{{ \"manifest\": 1, \"generation\": 1, \"artefact\": {{ \"sha256\": \"{SHA}\", \"source\": \"{source}\" }}, \
         \"task\": {{ {task} }}, \"at\": \"2026-11-26T21:00:00Z\", \"by\": \"ops@build-1\" }}"
    );
    Manifest::read(Path::new("manifest"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn told(judged: Result<(), Vec<Refusal>>) -> Vec<String> {
    judged
        .err()
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_host_takes_no_deployed_task_unless_it_is_enabled() {
    assert_eq!(read("").unwrap(), None);
    assert_eq!(read("enabled = false\ntasks = [\"a\"]").unwrap(), None);
    let config = host("");
    assert_eq!((config.require, config.cache_size), (1, 1 << 30));
    assert_eq!(config.sources, [SourcePrefix::new("ensemble:").unwrap()]);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.artefacts(), Path::new("/var/lib/soloist/artefacts"));
    assert_eq!(config.accepted(), Path::new("/var/lib/soloist/accepted"));
    // What is written is judged before it is enabled.
    assert!(read("enabled = false\nrequire = 0").is_err());
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let message = read("enabled = true").unwrap_err().to_string();
    for key in [
        "deploy.keys: is missing",
        "deploy.tasks: is missing",
        "deploy.directory: is missing",
    ] {
        assert!(message.contains(key), "{message}");
    }
}

#[test]
fn every_bad_value_is_named_with_its_place() {
    let signature = format!("RWS{}", "A".repeat(97));
    #[rustfmt::skip]
    let cases = [
        ("enable = true".to_owned(), "1:1", "enable", "unknown field `enable`"),
        ("enabled = 1".to_owned(), "1:11", "enabled", "expected a boolean"),
        (enabled("keys = [\"\"]"), "4:9", "keys", "does not have its form"),
        (enabled(&format!("keys = [\"{}\"]", &KEY[1..])), "4:9", "keys", "does not have its form"),
        (enabled(&format!("keys = [\"{}\"]", KEY.replace("RW", "RU"))), "4:9", "keys", "does not have its form"),
        (enabled(&format!("keys = [\"{signature}\"]")), "4:9", "keys", "as long as a signature"),
        (enabled("keys = [\"untrusted comment: a\\nRW\"]"), "4:9", "keys", "its second line alone"),
        (enabled(&format!("keys = [\"{KEY}\", \"{KEY}\"]")), "4:69", "keys", "counts once"),
        (enabled(&format!("keys = [\"{KEY}\", \"RWQAAAAAAAAAA{}\"]", &KEY[13..])), "4:69", "keys", "counts once"),
        (enabled("keys = [{ file = \"/nowhere/key.pub\" }]"), "4:9", "keys", "/nowhere/key.pub cannot be read"),
        (enabled("keys = [5]"), "4:8", "keys", "a key of minisign"),
        (enabled("keys = \"a\""), "4:8", "keys", "a list, in brackets"),
        (enabled("require = 2"), "5:11", "require", "write 1 to 1"),
        (enabled("require = 0"), "5:11", "require", "write 1 to 1"),
        (enabled("unsigned = true"), "5:12", "unsigned", "nobody's signature counts"),
        (enabled("tasks = [\"a*b*\"]"), "4:10", "tasks", "one * at most"),
        (enabled("tasks = [\"\"]"), "4:10", "tasks", "no pattern"),
        (enabled("sources = [\"https://u:hunter2@a/\"]"), "5:12", "sources", "names a user"),
        (enabled("sources = [\"https://\"]"), "5:12", "sources", "has no host"),
        (enabled("directory = \"lib\""), "4:13", "directory", "not a whole path"),
        (enabled("cache_size = \"1KiB\""), "5:14", "cache_size", "write 1MiB to 1024GiB"),
        (enabled("allow.stat = true"), "5:7", "allow.stat", "unknown field `stat`"),
        (enabled("allow.http = [\"https://*\"]"), "5:15", "allow.http", "is not an origin"),
        (enabled("allow.tcp = [\"a\"]"), "5:14", "allow.tcp", "is not an endpoint"),
        (enabled("allow.networks = [\"10.0.0.0/33\"]"), "5:19", "allow.networks", "is not a network"),
        (enabled("allow.dirs = [{ host = \"srv\" }]"), "5:15", "allow.dirs", "not a whole path"),
        (enabled("allow.dirs = [{ host = \"/srv/..\" }]"), "5:15", "allow.dirs", "not a whole path"),
        (enabled("allow.dirs = [{ host = \"/srv\", mode = \"rw\" }]"), "5:15", "allow.dirs", "\"write\""),
        (enabled("allow.dirs = [{ host = \"/var\" }]"), "5:15", "allow.dirs", "meets the directory of [deploy]"),
        (enabled("allow.dirs = [{ host = \"/var/lib/soloist/a\" }]"), "5:15", "allow.dirs", "meets the directory"),
        (enabled("allow.dirs = [\"/srv\"]"), "5:15", "allow.dirs", "{ host = "),
        (enabled("allow.env = [\"A=B\"]"), "5:14", "allow.env", "letters, digits and _"),
        (enabled("allow.secrets = [\"A=hunter2\"]"), "5:18", "allow.secrets", "may be the secret itself"),
        (enabled("allow.secrets = [{ file = \"a\" }]"), "5:18", "allow.secrets", "not a whole path"),
        (enabled("allow.limits.cpu = 0"), "5:20", "allow.limits.cpu", "write 1 to 100"),
        (enabled(&format!("allow.env = [{}]", "\"A\",".repeat(257))), "1:1", "allow", "257 variables"),
        (enabled(&format!("tasks = [{}]", "\"A\",".repeat(65))), "1:1", "", "65 patterns"),
    ];
    let mut wrong = Vec::new();
    for (text, at, key, part) in cases {
        let message = read(&text).expect_err(&text).to_string();
        let dot = if key.is_empty() { "" } else { "." };
        let place = format!("etc/deploy.toml:{at}: deploy{dot}{key}: ");
        let secret = message.contains("hunter2");
        if !message.starts_with(&place)
            || !message.contains(part)
            || secret
            || message.lines().count() != 1
        {
            wrong.push(format!("not {place:?} with {part:?}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_key_may_be_in_the_file_that_minisign_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ops.pub");
    let read = |content: &str| {
        fs::write(&file, content).unwrap();
        read(&enabled(&format!(
            "keys = [\"{KEY}\", {{ file = {file:?} }}]\nrequire = 2"
        )))
    };
    let config = read(&format!(
        "untrusted comment: minisign public key A7\n{OTHER}\n"
    ))
    .unwrap()
    .unwrap();
    assert_eq!(config.keys[1].as_str(), OTHER);
    assert_eq!(config.key_files, std::slice::from_ref(&file));
    assert_eq!(read(OTHER).unwrap().unwrap(), config);
    for (content, part) in [
        (format!("untrusted comment: x\n{KEY}\n"), "counts once"),
        (
            "untrusted comment: x\n".to_owned(),
            "does not have its form",
        ),
        ("x".repeat(100_000), "cannot be read"),
    ] {
        let message = read(&content).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_manifest_is_taken_if_all_that_it_wants_is_allowed() {
    let host = host(
        "sources = [\"oci://registry.example/team/\"]\n[allow]\nstate = true\nhttp = [\"https://*.example.com\"]\n\
         dirs = [{ host = \"/srv/report\", mode = \"write\" }]\nenv = [\"TZ\", \"REPORT_*\"]\n\
         secrets = [\"REPORT_*\", { file = \"/run/secrets/report\" }]\nlimits = { memory = \"512MiB\", cpu = 50 }\n",
    );
    let oci = format!("oci://registry.example/team/report@sha256:{SHA}");
    let allowed = "\"name\": \"report-1\", \"allow\": { \"state\": true, \"http\": [\"https://api.example.com\"], \
        \"dirs\": [{ \"host\": \"/srv/report/a\", \"guest\": \"/a\", \"mode\": \"write\" }], \"env\": { \"REPORT_A\": \"x\" }, \
        \"secrets\": [\"REPORT_B\", { \"name\": \"DB\", \"file\": \"/run/secrets/report/db\" }] }, \
        \"limits\": { \"memory\": \"512MiB\", \"cpu\": 50 }";
    assert_eq!(host.judge(&manifest(&oci, allowed)), Ok(()));
    let too_much = "\"name\": \"cleanup\", \"allow\": { \"http\": [\"https://example.com\"], \"tcp\": [\"db:5432\"], \
        \"networks\": [\"10.0.0.0/8\"], \"dirs\": [{ \"host\": \"/etc\", \"guest\": \"/etc\" }], \"env\": { \"LANG\": \"hunter2\" }, \
        \"secrets\": [\"HOME\", { \"name\": \"SHADOW\", \"file\": \"/etc/shadow\" }] }, \"limits\": { \"memory\": \"1GiB\" }";
    let source = "https://registry.example/team/report.wasm";
    let refused = told(host.judge(&manifest(source, too_much)));
    let expected = [
        "the name \"cleanup\" matches no pattern",
        "the artefact comes from \"https://registry.example/team/report.wasm\", which no entry in `sources`",
        "[deploy.allow] of this host does not allow: allow.http = [\"https://example.com\"]",
        "[deploy.allow] of this host does not allow: allow.tcp = [\"db:5432\"]",
        "[deploy.allow] of this host does not allow: allow.networks = [\"10.0.0.0/8\"]",
        "[deploy.allow] of this host does not allow: allow.dirs = [{ host = \"/etc\"",
        "[deploy.allow] of this host does not allow: allow.env = { LANG = ... }",
        "[deploy.allow] of this host does not allow: allow.secrets = [\"HOME\"]",
        "[deploy.allow] of this host does not allow: allow.secrets = [{ name = \"SHADOW\"",
        "[deploy.allow] of this host does not allow: limits.memory = \"1GiB\" instead of \"512MiB\"",
        "[deploy.allow] of this host does not allow: limits.cpu = \"100%\" instead of \"50%\"",
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:#?}");
    for (told, expected) in refused.iter().zip(expected) {
        assert!(
            told.starts_with(expected) && !told.contains("hunter2"),
            "{told}"
        );
    }
    // A host that says nothing of it allows nothing but the defaults.
    assert_eq!(
        told(self::host("").judge(&manifest("ensemble:", "\"name\": \"report-1\""))),
        [""; 0]
    );
    assert_eq!(
        told(self::host("").judge(&manifest(
            "ensemble:",
            "\"name\": \"report-1\", \"allow\": { \"state\": true }"
        )))
        .len(),
        1
    );
}

#[test]
fn a_link_leads_nowhere_that_is_not_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let (srv, elsewhere) = (root.join("srv"), root.join("elsewhere"));
    for made in [srv.join("a"), elsewhere.clone()] {
        fs::create_dir_all(made).unwrap();
    }
    fs::write(elsewhere.join("key"), "hunter2").unwrap();
    std::os::unix::fs::symlink(&elsewhere, srv.join("link")).unwrap();
    std::os::unix::fs::symlink(&srv, root.join("alias")).unwrap();
    let host = host(&format!(
        "[allow]\ndirs = [{{ host = {alias:?}, mode = \"write\" }}]\nsecrets = [{{ file = {alias:?} }}]\n",
        alias = root.join("alias"),
    ));
    let judge = |host_path: &Path, file: &Path| {
        let task = format!(
            "\"name\": \"report-1\", \"allow\": {{ \"dirs\": [{{ \"host\": {host_path:?}, \"guest\": \"/a\" }}], \
             \"secrets\": [{{ \"name\": \"KEY\", \"file\": {file:?} }}] }}"
        );
        let manifest = manifest("ensemble:", &task);
        assert_eq!(host.judge(&manifest), Ok(()));
        host.judge_places(&manifest.task, Path::canonicalize)
    };
    let alias = root.join("alias");
    fs::write(srv.join("key"), "hunter2").unwrap();
    assert_eq!(judge(&alias.join("a"), &alias.join("key")), Ok(()));
    let refused = judge(&alias.join("link"), &alias.join("link/key")).unwrap_err();
    assert_eq!(
        refused,
        [
            Refusal::LeadsOut {
                path: alias.join("link"),
                real: elsewhere.clone()
            },
            Refusal::LeadsOut {
                path: alias.join("link/key"),
                real: elsewhere.join("key")
            },
        ]
    );
    let gone = judge(&alias.join("gone"), &alias.join("key")).unwrap_err();
    assert!(
        matches!(&gone[..], [Refusal::Unseen { path, .. }] if *path == alias.join("gone")),
        "{gone:?}"
    );
}
