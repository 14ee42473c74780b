use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::settings::SettingsFile;
use super::*;
use soloist_core::access::Permission;
use soloist_core::grants::{Access, Directory, Origin};
use soloist_core::limits::HOST_STATE_RATE;
use soloist_core::secret::Secret;

const TASK: &str = "[[task]]\nname = \"report\"\nplugin = \"report.wasm\"\n";

fn load(text: &str, given: Given) -> Result<Config, ConfigError> {
    Config::from_file(
        &SettingsFile::new(Path::new("etc/soloist.toml"), text),
        given,
    )
}

fn refused(text: &str) -> String {
    load(text, Given::default()).expect_err(text).to_string()
}

fn plugin(given: Given) -> Result<Config, ConfigError> {
    Config::load(Path::new("plugins/hello.wasm"), given)
}

fn flag(text: &str) -> Written<String> {
    Written::flag(text.to_owned(), "--flag")
}

#[test]
fn the_example_holds_every_key_and_means_what_it_says() {
    let config = load(include_str!("../../example.toml"), Given::default()).unwrap();
    assert_eq!(&*config.host, "alpha");
    assert_eq!(config.nat64, [Nat64::new("2001:db8:64::/96").unwrap()]);
    let zookeeper = &config.zookeeper;
    assert_eq!(zookeeper.state_rate, HOST_STATE_RATE);
    assert_eq!(zookeeper.servers.hosts(), "zk1:2181,zk2:2181,zk3:2181");
    assert_eq!(zookeeper.servers.chroot(), "/apps");
    assert_eq!(zookeeper.root, "/soloist");
    assert_eq!(
        (zookeeper.session_timeout, zookeeper.tick_time),
        (Duration::from_secs(10), Duration::from_secs(2))
    );
    assert_eq!(zookeeper.connect_timeout, Some(Duration::from_mins(1)));
    let auth = zookeeper.auth.as_ref().unwrap();
    assert_eq!(
        (auth.scheme.as_str(), auth.credential.expose()),
        ("digest", "soloist:secret")
    );
    assert_eq!(zookeeper.acl, Some(AclSetting::CreatorWorldRead));
    let [report, cleanup] = &config.tasks[..] else {
        panic!("two tasks: {:?}", config.tasks)
    };
    assert_eq!(
        (&*report.name, report.plugin.as_path()),
        ("report", Path::new("etc/report.wasm"))
    );
    assert_eq!(
        (report.sha256, cleanup.sha256),
        (Some(Digest::of(b"abc")), None)
    );
    assert_eq!(report.config["interval"], "1m");
    assert_eq!(
        (report.demote_timeout, report.on_complete),
        (Duration::from_secs(2), OnComplete::Hold)
    );
    assert_eq!(report.restart, RestartPolicy::default());
    assert_eq!(report.limits, Limits::default());
    let grants = &report.grants;
    assert!(grants.state && !cleanup.grants.state);
    let network = &grants.network;
    let shown = |list: &Option<Vec<Origin>>| {
        list.iter()
            .flatten()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&network.http),
        ["https://api.example.com", "http://*.internal:8080"]
    );
    assert_eq!(
        network.tcp.as_ref().unwrap()[0].to_string(),
        "db.internal:5432"
    );
    assert_eq!(
        (network.networks[0].to_string().as_str(), network.identify),
        ("10.0.0.0/8", true)
    );
    assert_eq!(network.nat64, config.nat64);
    assert_eq!(
        (&cleanup.grants.network.http, &cleanup.grants.network.tcp),
        (&None, &None)
    );
    let data = Directory {
        host: "/var/lib/report".into(),
        guest: "/data".into(),
        access: Access::Write,
    };
    assert_eq!(grants.dirs, [data]);
    assert_eq!(grants.env["TZ"], "UTC");
    let secrets = grants
        .secrets
        .iter()
        .map(|source| (source.name.as_str(), source.file.as_deref()));
    assert!(secrets.eq([
        ("API_TOKEN", None),
        ("DB_PASSWORD", Some(Path::new("/run/secrets/db")))
    ]));
    assert_eq!(cleanup.path.as_deref(), Some("/legacy/cleanup/master"));
}

#[test]
fn what_is_not_said_has_a_default() {
    let config = load(TASK, Given::default()).unwrap();
    let zookeeper = &config.zookeeper;
    assert_eq!(zookeeper.servers.to_string(), "localhost:2181");
    assert_eq!(zookeeper.root, "/soloist");
    assert_eq!(
        (zookeeper.session_timeout, zookeeper.tick_time),
        (Duration::from_secs(10), Duration::from_secs(2))
    );
    assert_eq!(
        (&zookeeper.auth, &zookeeper.acl, zookeeper.connect_timeout),
        (&None, &None, None)
    );
    assert!(!config.tasks[0].grants.dirs_said);
    let none = load(&format!("{TASK}allow.dirs = []\n"), Given::default()).unwrap();
    assert!(none.tasks[0].grants.dirs_said && none.tasks[0].grants.dirs.is_empty());
    assert_eq!(
        (config.nat64.len(), zookeeper.state_rate),
        (0, HOST_STATE_RATE)
    );
    // One for each process, also when the configuration is read again.
    assert_eq!(config.host, load(TASK, Given::default()).unwrap().host);
    assert_ne!(values::random_host_id(), values::random_host_id());
    let task = &config.tasks[0];
    assert_eq!(
        (task.demote_timeout, task.on_complete),
        (Duration::from_secs(2), OnComplete::Hold)
    );
    assert_eq!(
        (&task.path, task.config.len(), task.restart),
        (&None, 0, RestartPolicy::default())
    );
}

#[test]
fn a_plugin_is_a_task_named_after_its_file() {
    let config = plugin(Given::default()).unwrap();
    assert_eq!(&*config.tasks[0].name, "hello");
    assert_eq!(config.tasks[0].plugin, Path::new("plugins/hello.wasm"));
    let named = Given {
        task: TaskSettings {
            name: Some(flag("other")),
            ..TaskSettings::default()
        },
        ..Given::default()
    };
    assert_eq!(&*plugin(named).unwrap().tasks[0].name, "other");
    for (path, rule) in [(".", "only dots"), ("/", "slash"), (" .wasm", "space")] {
        let error = Config::load(Path::new(path), Given::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("PLUGIN, ") && error.contains("--task") && error.contains(rule),
            "{error}"
        );
    }
}

#[test]
fn what_is_given_is_preferred_to_the_file() {
    let file = format!(
        "host_id = \"file\"\n[zookeeper]\nroot = \"/file\"\nservers = \"file\"\nauth = \"digest:a:b\"\n{TASK}"
    );
    let zookeeper = EnsembleSettings {
        root: Some(flag("/flag")),
        auth: Some(Written::variable(
            Secret::new("digest:c:d".to_owned()),
            "VARIABLE",
        )),
        ..EnsembleSettings::default()
    };
    let config = load(
        &file,
        Given {
            host_id: Some(flag("flag")),
            zookeeper,
            ..Given::default()
        },
    )
    .unwrap();
    assert_eq!(&*config.host, "flag");
    assert_eq!(config.zookeeper.root, "/flag");
    assert_eq!(config.zookeeper.servers.hosts(), "file:2181");
    assert_eq!(config.zookeeper.auth.unwrap().credential.expose(), "c:d");
}

#[test]
fn settings_of_one_task_do_not_go_with_a_file() {
    let task = TaskSettings {
        name: Some(flag("x")),
        ..TaskSettings::default()
    };
    let error = load(
        TASK,
        Given {
            task,
            ..Given::default()
        },
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("--flag: belongs to a single plugin"),
        "{error}"
    );
    assert!(
        error.contains("etc/soloist.toml") && error.contains("`name`"),
        "{error}"
    );
}

/// Each bad value: the file, where in it, and parts of the message.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_bad_value_is_named_with_its_place() {
    let zookeeper = |line: &str| format!("[zookeeper]\n{line}\n{TASK}");
    let task = |line: &str| format!("{TASK}{line}\n");
    let named = |name: &str| format!("[[task]]\nname = {name}\nplugin = \"a.wasm\"\n");
    let two = |path: &str, other: &str| {
        format!(
            "{TASK}path = \"{path}\"\n[[task]]\nname = \"two\"\nplugin = \"a\"\npath = \"{other}\"\n"
        )
    };
    #[rustfmt::skip]
    let cases = [
        // What is not TOML, or not these keys and types.
        ("[zookeeper]\nroot = = 1\n".to_owned(), "2:8", "zookeeper.root", ""),
        ("[zookeeper\n".to_owned(), "1:11", "", "expected"),
        (zookeeper("session_timout = \"10s\""), "2:1", "zookeeper.session_timout", "unknown field `session_timout`"),
        (task("pathh = \"/x\""), "4:1", "task.pathh", "unknown field `pathh`"),
        (task("restart = { first = \"1s\" }"), "4:13", "task.restart.first", "unknown field `first`"),
        (zookeeper("session_timeout = 10"), "2:19", "zookeeper.session_timeout", "expected a string"),
        (zookeeper("acl = 5"), "2:7", "zookeeper.acl", "creator-world-read"),
        (task("config = { n = 5 }"), "4:16", "task.config.n", "expected a string"),
        (format!("{TASK}name = \"again\"\n"), "4:1", "task.name", "duplicate key"),
        // Tasks.
        (String::new(), "1:1", "task", "[[task]]"),
        ("[[task]]\nplugin = \"a\"\n".to_owned(), "1:1", "task.name", "missing"),
        ("[[task]]\nname = \"a\"\n".to_owned(), "1:1", "task.plugin", "missing"),
        (named("\"\""), "2:8", "task.name", "is empty"),
        (named("\"a/b\""), "2:8", "task.name", "slash"),
        (named("\"..\""), "2:8", "task.name", "only dots"),
        (named("\" a\""), "2:8", "task.name", "space"),
        (named("\"a\\u0007\""), "2:8", "task.name", "character"),
        (named("\"a\\uE000\""), "2:8", "task.name", "character"),
        (named(&format!("\"{}\"", "a".repeat(129))), "2:8", "task.name", "too long"),
        (format!("{TASK}{TASK}"), "5:8", "task.name", "another task"),
        (TASK.repeat(1001), "3001:1", "task", "1001 tasks"),
        // Durations.
        (zookeeper("session_timeout = \"10\""), "2:19", "zookeeper.session_timeout", "unit"),
        (zookeeper("session_timeout = \"-1s\""), "2:19", "zookeeper.session_timeout", "not a duration"),
        (zookeeper("tick_time = \"0s\""), "2:13", "zookeeper.tick_time", "out of range"),
        (zookeeper("tick_time = \"10us\""), "2:13", "zookeeper.tick_time", "out of range"),
        (zookeeper("connect_timeout = \"999999999y\""), "2:19", "zookeeper.connect_timeout", "out of range"),
        (zookeeper("connect_timeout = \"99999999999999999999s\""), "2:19", "zookeeper.connect_timeout", "not a duration"),
        (task("demote_timeout = \"two seconds\""), "4:18", "task.demote_timeout", "not a duration"),
        (task("restart = { healthy_after = \"\" }"), "4:29", "task.restart.healthy_after", "not a duration"),
        (task("restart = { initial = \"2s\", max = \"1s\" }"), "4:35", "task.restart", "shorter"),
        (task("restart = { initial = \"2m\" }"), "4:23", "task.restart", "shorter"),
        // A lease without room.
        (zookeeper("session_timeout = \"4s\""), "2:19", "zookeeper.session_timeout", "demote_timeout"),
        (zookeeper("tick_time = \"8s\""), "2:13", "zookeeper.tick_time", "session_timeout"),
        (task("demote_timeout = \"6s\""), "4:18", "task.demote_timeout", "tick_time"),
        // Servers.
        (zookeeper("servers = \"\""), "2:11", "zookeeper.servers", "no host name"),
        (zookeeper("servers = \"a,,b\""), "2:11", "zookeeper.servers", "no host name"),
        (zookeeper("servers = \"a:0\""), "2:11", "zookeeper.servers", "port"),
        (zookeeper("servers = \"a:65536\""), "2:11", "zookeeper.servers", "port"),
        (zookeeper("servers = \"a:+1\""), "2:11", "zookeeper.servers", "port"),
        (zookeeper("servers = \"a:\""), "2:11", "zookeeper.servers", "port"),
        (zookeeper("servers = \"a b\""), "2:11", "zookeeper.servers", "character"),
        (zookeeper("servers = \"::1\""), "2:11", "zookeeper.servers", "[::1]:2181"),
        (zookeeper("servers = \"[::1\""), "2:11", "zookeeper.servers", "bracket"),
        (zookeeper("servers = \"[zk]:1\""), "2:11", "zookeeper.servers", "IPv6"),
        (zookeeper("servers = \"[::1]1\""), "2:11", "zookeeper.servers", "port"),
        (zookeeper("servers = \"a/b,c\""), "2:11", "zookeeper.servers", "after the chroot"),
        (zookeeper("servers = \"a/b/\""), "2:11", "zookeeper.servers", "ends with a slash"),
        (zookeeper("servers = \"tcp://a\""), "2:11", "zookeeper.servers", "protocol"),
        (zookeeper(&format!("servers = \"{}a\"", "a,".repeat(100))), "2:11", "zookeeper.servers", "100 servers"),
        // Paths.
        (zookeeper("root = \"soloist\""), "2:8", "zookeeper.root", "begin with a slash"),
        (zookeeper("root = \"/\""), "2:8", "zookeeper.root", "root of all nodes"),
        (zookeeper("root = \"/a//b\""), "2:8", "zookeeper.root", "empty component"),
        (zookeeper("root = \"/a/../b\""), "2:8", "zookeeper.root", "component of dots"),
        (zookeeper(&format!("root = \"/{}\"", "a".repeat(1024))), "2:8", "zookeeper.root", "too long"),
        (task("path = \"/x/\""), "4:8", "task.path", "ends with a slash"),
        (task("path = \"/soloist\""), "4:8", "task.path", "what Soloist keeps"),
        (task("path = \"/soloist/tasks/other/master\""), "4:8", "task.path", "what Soloist keeps"),
        (two("/x", "/x"), "8:8", "task.path", "another task"),
        (two("/x", "/x/y"), "8:8", "task.path", "another task"),
        (two("/x/y", "/x"), "8:8", "task.path", "another task"),
        (zookeeper("state_rate = 1"), "2:14", "zookeeper.state_rate", "write 1KiB to 1GiB"),
        (format!("nat64 = [\"10.0.0.0/8\"]\n{TASK}"), "1:10", "nat64", "is not a NAT64 prefix: it is not a range of IPv6"),
        // The rest.
        (task("sha256 = \"ab\""), "4:10", "task.sha256", "64 hexadecimal digits"),
        (task("sha256 = 5"), "4:10", "task.sha256", "expected a string"),
        (task(&format!("sha256 = \"{}\"", "g".repeat(64))), "4:10", "task.sha256", "not a SHA-256"),
        (task("limits.compile_timeout = \"0s\""), "4:26", "task.limits.compile_timeout", "out of range"),
        ("host_id = \"a/b\"\n".to_owned() + TASK, "1:11", "host_id", "slash"),
        (task("on_complete = \"stop\""), "4:15", "task.on_complete", "\"resign\" or \"restart\""),
        (task("config = { \"\" = \"x\" }"), "4:17", "task.config.", "is empty"),
        (task(&format!("config = {{ a = \"{}\" }}", "x".repeat(65537))), "4:16", "task.config.a", "65537 bytes"),
        (zookeeper("auth = \"hunter2\""), "2:8", "zookeeper.auth", "no colon"),
        (zookeeper("auth = \"digest:hunter2\""), "2:8", "zookeeper.auth", "USER:PASSWORD"),
        (zookeeper("auth = \"dig est:hunter2\""), "2:8", "zookeeper.auth", "scheme"),
        (zookeeper("auth = \"x509:\""), "2:8", "zookeeper.auth", "empty"),
        (zookeeper("auth = \"digest:u:hunter2\"\nauth_file = \"x\""), "3:13", "zookeeper.auth_file", "twice"),
        (zookeeper("auth_file = \"no-such-file\""), "2:13", "zookeeper.auth_file", "etc/no-such-file"),
        (zookeeper("acl = \"creator\""), "2:7", "zookeeper.acl", "SOLOIST_ZOOKEEPER_AUTH"),
        (zookeeper("acl = [\"auth::cdrw\"]"), "2:7", "zookeeper.acl", "SOLOIST_ZOOKEEPER_AUTH"),
        (zookeeper("acl = \"open\""), "2:7", "zookeeper.acl", "known word"),
        (zookeeper("acl = []"), "2:7", "zookeeper.acl", "nobody"),
        (zookeeper("acl = [\"world:anyone:crwa\"]"), "2:7", "zookeeper.acl", "lets nobody delete (d)"),
        (zookeeper("acl = [\"world:anyone:cdra\", \"ip:10.0.0.1:r\"]"), "2:7", "zookeeper.acl", "lets nobody write (w)"),
        (zookeeper("acl = [\"world:anyone:x\"]"), "2:7", "zookeeper.acl", "unknown permission"),
        (zookeeper("acl = [\"world:anyone:rr\"]"), "2:7", "zookeeper.acl", "twice"),
        (zookeeper("acl = [\"world:anyone:\"]"), "2:7", "zookeeper.acl", "no permissions"),
        (zookeeper("acl = [\"world:me:r\"]"), "2:7", "zookeeper.acl", "anyone"),
        (zookeeper("acl = [\"digest:user:r\"]"), "2:7", "zookeeper.acl", "USER:HASH"),
        (zookeeper("acl = [\"ip::r\"]"), "2:7", "zookeeper.acl", "no id"),
        (zookeeper("acl = [\":x:r\"]"), "2:7", "zookeeper.acl", "no scheme"),
    ];
    are_named(&cases);
}

/// What to write instead is said in the words of the file, not in those of Rust.
#[test]
fn what_has_another_shape_is_named_with_its_place() {
    let task = |line: &str| format!("{TASK}{line}\n");
    #[rustfmt::skip]
    let cases = [
        ("[task]\nname = \"a\"\n".to_owned(), "1:1", "task", "a table [[task]], its name in two pairs of brackets"),
        ("task = 5\n".to_owned(), "1:8", "task", "a table [[task]]"),
        ("task = [5]\n".to_owned(), "1:9", "task", "a table with a name"),
        ("zookeeper = 5\n".to_owned(), "1:13", "zookeeper", "a table, its name in one pair of brackets"),
        ("[[zookeeper]]\n".to_owned(), "1:1", "zookeeper", "in one pair of brackets"),
        (task("[[task.restart]]"), "4:1", "task.restart", "in one pair of brackets"),
        (task("restart = \"1s\""), "4:11", "task.restart", "a table"),
        (task("config = \"a\""), "4:10", "task.config", "a table"),
        (task("restart = { max_restarts = -1 }"), "4:28", "task.restart.max_restarts", "`-1`, expected a whole number from 0 to 4294967295"),
        (task("restart = { max_restarts = 5000000000 }"), "4:28", "task.restart.max_restarts", "a whole number from 0"),
        (task("restart = { max_restarts = \"5\" }"), "4:28", "task.restart.max_restarts", "a whole number from 0"),
        (task("allow = true"), "4:9", "task.allow", "a table"),
        (task("allow.http = \"https://a\""), "4:14", "task.allow.http", "a list, in brackets"),
        (task("allow.dirs = [\"/a:/b\"]"), "4:15", "task.allow.dirs", "{ host = "),
        (task("allow.env = [\"A=B\"]"), "4:13", "task.allow.env", "a table"),
        (task("limits = 5"), "4:10", "task.limits", "a table"),
        (task("[[task.limits]]"), "4:1", "task.limits", "in one pair of brackets"),
        (task("limits.memory = true"), "4:17", "task.limits.memory", "expected a whole number from 0, or text"),
        (task("limits.memory = -5"), "4:17", "task.limits.memory", "`-5`, expected a whole number from 0, or text"),
        (task("limits.cpu = 0.5"), "4:14", "task.limits.cpu", "`0.5`, expected a whole number from 0, or text"),
        (task("limits.memory = 99999999999999999999"), "4:17", "task.limits.memory", "more than 64 bits, expected a whole number"),
    ];
    are_named(&cases);
    for (text, ..) in &cases {
        let message = refused(text);
        let of_rust = ["struct ", "u32", "i128", "Settings"]
            .iter()
            .any(|word| message.contains(word));
        assert!(!of_rust, "{message}");
    }
}

#[test]
fn every_bad_grant_and_limit_is_named_with_its_place() {
    let task = |line: &str| format!("{TASK}{line}\n");
    #[rustfmt::skip]
    let cases = [
        // Grants.
        (task("allow = { stat = true }"), "4:11", "task.allow.stat", "unknown field `stat`"),
        (task("allow = { state = \"yes\" }"), "4:19", "task.allow.state", "expected a boolean"),
        (task("allow.http = [\"api.example.com\"]"), "4:15", "task.allow.http", "is not an origin"),
        (task("allow.http = [\"https://a\", \"https://a/b\"]"), "4:28", "task.allow.http", "is not an origin"),
        (task("allow.tcp = [\"db.internal\"]"), "4:14", "task.allow.tcp", "is not an endpoint"),
        (task("allow.networks = [\"10.0.0.0/33\"]"), "4:19", "task.allow.networks", "is not a network"),
        (task("allow.dirs = [{ host = \"a\", guest = \"data\" }]"), "4:15", "task.allow.dirs", "begin with a slash"),
        (task("allow.dirs = [{ host = \"a\", guest = \"/a/../b\" }]"), "4:15", "task.allow.dirs", "dots"),
        (task("allow.dirs = [{ host = \"a\", guest = \"/a\", mode = \"rw\" }]"), "4:15", "task.allow.dirs", "\"write\""),
        (task("allow.dirs = [{ host = \"a\", guest = \"/a\" }, { host = \"b\", guest = \"/a\" }]"), "4:45", "task.allow.dirs", "another"),
        (task("allow.dirs = [{ host = \"a\" }]"), "4:15", "task.allow.dirs", "missing field `guest`"),
        (task("allow.env = { 1A = \"x\" }"), "4:20", "task.allow.env.1A", "letters, digits and _"),
        (task("allow.env = { A = \"x\\u0000\" }"), "4:19", "task.allow.env.A", "zero byte"),
        (task("allow.secrets = [\"A=B\"]"), "4:18", "task.allow.secrets", "letters, digits and _"),
        (task("allow.secrets = [{ name = \"A\" }]"), "4:17", "task.allow.secrets", "file"),
        (task("allow = { env = { A = \"x\" }, secrets = [\"A\"] }"), "4:41", "task.allow.secrets", "already"),
        (task(&format!("allow.secrets = [{}]", "\"A\",".repeat(257))), "1:1", "task.allow", "257 secrets"),
        // Limits.
        (task("limits = { memroy = \"1MiB\" }"), "4:12", "task.limits.memroy", "unknown field `memroy`"),
        (task("limits.memory = \"much\""), "4:17", "task.limits.memory", "not a number of bytes"),
        (task("limits.memory = \"1KiB\""), "4:17", "task.limits.memory", "out of range: write 64KiB to 64GiB"),
        (task("limits.state_value = \"1GiB\""), "4:22", "task.limits.state_value", "write 0 to 512KiB"),
        (task("limits.files = 0"), "4:16", "task.limits.files", "write 1 to 10000"),
        (task("limits.resources = 1"), "4:20", "task.limits.resources", "write 16 to 10000"),
        (task("limits.state_rate = 1"), "4:21", "task.limits.state_rate", "write 1KiB to 64MiB"),
        (task("limits.state_burst = \"1GiB\""), "4:22", "task.limits.state_burst", "write 1KiB to 64MiB"),
        (task("limits.sockets = \"many\""), "4:18", "task.limits.sockets", "not a number"),
        (task("limits.sockets = 0"), "4:18", "task.limits.sockets", "write 1 to"),
        (task("limits.state_keys = 1001"), "4:21", "task.limits.state_keys", "write 0 to 1000"),
        (task("limits.cpu = \"101%\""), "4:14", "task.limits.cpu", "write 1 to 100"),
        (task("limits.start_timeout = 5"), "4:24", "task.limits.start_timeout", "not a duration"),
    ];
    are_named(&cases);
}

/// Each: the file, where in it, the key, and a part of the message.
fn are_named(cases: &[(String, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, at, key, part) in cases {
        let message = refused(text);
        let place = if key.is_empty() {
            format!("etc/soloist.toml:{at}: ")
        } else {
            format!("etc/soloist.toml:{at}: {key}: ")
        };
        let one_line = message.lines().count() == 1;
        if !message.starts_with(&place)
            || !message.contains(part)
            || message.contains("hunter2")
            || !one_line
        {
            wrong.push(format!(
                "not one line of {place:?} with {part:?}, or with a secret: {message}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_bad_value_is_told_at_once() {
    let message = refused(&format!(
        "[zookeeper]\nroot = \"\"\ntick_time = \"\"\n{TASK}path = \"x\"\n"
    ));
    let places: Vec<_> = message
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(
        places,
        ["zookeeper.root", "zookeeper.tick_time", "task.path"]
    );
}

#[test]
fn what_is_wrong_for_every_task_is_told_once() {
    let second = "[[task]]\nname = \"second\"\nplugin = \"a.wasm\"\n";
    let message = refused(&format!(
        "[zookeeper]\nsession_timeout = \"4s\"\n{TASK}{second}"
    ));
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// The client library could not tell a server what a host watches when a connection is found again.
#[test]
fn tasks_that_one_session_cannot_watch_are_refused() {
    let tasks = |count| {
        let task =
            |number| format!("[[task]]\nname = \"report-{number:04}\"\nplugin = \"a.wasm\"\n");
        (0..count).map(task).collect::<Vec<_>>().concat()
    };
    let zookeeper = "host_id = \"host-1\"\n[zookeeper]\nservers = \"a/chroot\"\n";
    load(&format!("{zookeeper}{}", tasks(400)), Given::default()).unwrap();
    let message = refused(&format!("{zookeeper}{}", tasks(500)));
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("task: with this task the paths") && message.contains("131072"),
        "{message}"
    );
}

#[test]
fn a_flood_of_bad_values_is_cut_short() {
    let message = refused(&"[[task]]\n".repeat(1000));
    assert_eq!(message.lines().count(), 51);
    assert!(message.ends_with("there may be more)"), "{message}");
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let message = refused("\"a\\u001b[2J\" = 1\n");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn good_servers_get_their_ports() {
    for (text, hosts, chroot) in [
        ("a", "a:2181", ""),
        ("a,b:1/", "a:2181,b:1", ""),
        (
            "127.0.0.1:1,[::1],[fe80::1]:2/x/y",
            "127.0.0.1:1,[::1]:2181,[fe80::1]:2",
            "/x/y",
        ),
    ] {
        let servers = ConnectString::new(text).unwrap();
        assert_eq!((servers.hosts(), servers.chroot()), (hosts, chroot));
    }
}

#[test]
fn access_control_lists_are_read_from_a_line_and_from_a_list() {
    let line = access::acl("digest:user:hash:cdrwa,world:anyone:r").unwrap();
    assert_eq!(
        line,
        access::acl_list(["digest:user:hash:cdrwa", "world:anyone:r"]).unwrap()
    );
    let AclSetting::List(entries) = line else {
        panic!("a list")
    };
    assert_eq!(
        (entries[0].scheme.as_str(), entries[0].id.as_str()),
        ("digest", "user:hash")
    );
    assert_eq!(entries[0].permissions.len(), 5);
    assert_eq!(entries[1].permissions, [Permission::Read]);
}

#[test]
fn a_secret_that_looks_like_a_key_is_not_printed() {
    for broken in [
        "auth = { \"digest:user:hunter2\" }",
        "auth = \"\" \"digest:user:hunter2\"",
        "auth = {x=1 \"u:hunter2\"",
    ] {
        let message = refused(&format!("[zookeeper]\n{broken}\n"));
        assert!(
            message.starts_with("etc/soloist.toml:2:") && !message.contains("hunter2"),
            "{message}"
        );
    }
}

#[test]
fn secrets_are_not_printed() {
    let auth = access::auth(&Secret::new("digest:user:secret".to_owned())).unwrap();
    assert!(!format!("{auth:?}").contains("secret"));
}

#[test]
fn files_that_cannot_be_read_say_so() {
    let directory = std::env::temp_dir().join(format!("soloist-config-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let load = |path: &Path| Config::load(path, Given::default());
    let large = load(&write("large.toml", &vec![b'#'; (1 << 20) + 1]));
    let binary = load(&write("binary.toml", b"a = \"\xff\"\n"));
    let missing = load(&directory.join("missing.toml"));
    std::fs::create_dir(directory.join("directory.toml")).unwrap();
    let not_a_file = load(&directory.join("directory.toml"));
    write("identity", b"digest:user:secret\r\n");
    let auth_file = load(&write(
        "good.toml",
        format!("[zookeeper]\nauth_file = \"identity\"\n{TASK}").as_bytes(),
    ));
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(
        matches!(large, Err(ConfigError::TooLarge { .. })),
        "{large:?}"
    );
    assert!(
        matches!(binary, Err(ConfigError::NotText { .. })),
        "{binary:?}"
    );
    assert!(
        matches!(missing, Err(ConfigError::Read { .. })),
        "{missing:?}"
    );
    assert!(
        matches!(not_a_file, Err(ConfigError::NotAFile { .. })),
        "{not_a_file:?}"
    );
    assert_eq!(
        auth_file
            .unwrap()
            .zookeeper
            .auth
            .unwrap()
            .credential
            .expose(),
        "user:secret"
    );
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = load(&text, Given::default()).map_err(|error| error.to_string());
    }

    #[test]
    fn no_value_makes_it_panic(
        key in "root|servers|auth|acl|session_timeout|tick_time",
        value in "\"\\PC{0,20}\"|'[a-z:/.,0-9\\[\\]]{0,20}'|\\PC{0,10}",
        name in "\\PC{0,10}",
    ) {
        let text = format!("[zookeeper]\n{key} = {value}\n[[task]]\nname = '{name}'\nplugin = \"a\"\n");
        let _ = load(&text, Given::default()).map_err(|error| error.to_string());
    }

    #[test]
    fn what_is_accepted_as_a_name_is_one_component_of_a_path(name in "\\PC{0,140}") {
        if let Ok(name) = TaskName::new(&name) {
            let path = format!("/{name}");
            prop_assert!(super::values::path(&path).is_ok());
            prop_assert!(!name.contains('/'));
        }
    }
}
