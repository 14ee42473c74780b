use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use soloist_core::access::AclSetting;
use soloist_core::digest::Digest;
use soloist_core::grants::{Access, Directory, Origin};
use soloist_core::limits::{HOST_STATE_RATE, Limits};
use soloist_core::restart::{OnComplete, RestartPolicy};
use soloist_core::secret::Secret;

use super::*;
use crate::testing::{
    EXAMPLE, TASK, are_named, as_json, load, load_json, refused, task, zookeeper,
};

fn plugin(given: Given) -> Result<Config, ConfigError> {
    Config::load(Path::new("plugins/hello.wasm"), given)
}

fn flag(text: &str) -> Written<String> {
    Written::flag(text.to_owned(), "--flag")
}

#[test]
fn the_example_holds_every_key_and_means_what_it_says() {
    let config = load(EXAMPLE, Given::default()).unwrap();
    assert_eq!(&*config.host, "alpha");
    assert_eq!(config.nat64, [Nat64::new("2001:db8:64::/96").unwrap()]);
    let otlp = config.otlp.as_ref().unwrap();
    assert_eq!(otlp.origin.to_string(), "http://127.0.0.1:4318");
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
        (&*report.name, report.plugin.path().unwrap()),
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
fn the_example_means_the_same_in_json() {
    let toml = load(EXAMPLE, Given::default()).unwrap();
    let mut json = load_json(&as_json(EXAMPLE).unwrap()).unwrap();
    assert_eq!(json.file.as_deref(), Some(Path::new("etc/soloist.json")));
    json.file.clone_from(&toml.file);
    assert_eq!(json, toml);
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
    assert_ne!(random_host_id(), random_host_id());
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
    assert_eq!(
        config.tasks[0].plugin.path(),
        Some(Path::new("plugins/hello.wasm"))
    );
    let named = Given {
        task: TaskWire {
            name: Some(flag("other")),
            ..TaskWire::default()
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
    let zookeeper = EnsembleWire {
        root: Some(flag("/flag")),
        auth: Some(Written::variable(
            Secret::new("digest:c:d".to_owned()),
            "VARIABLE",
        )),
        ..EnsembleWire::default()
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
    let task = TaskWire {
        name: Some(flag("x")),
        ..TaskWire::default()
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

#[test]
fn every_bad_value_is_named_with_its_place() {
    let two = |path: &str, other: &str| {
        format!(
            "{TASK}path = \"{path}\"\n[[task]]\nname = \"two\"\nplugin = \"a\"\npath = \"{other}\"\n"
        )
    };
    #[rustfmt::skip]
    let cases = [
        // What is not TOML.
        ("[zookeeper]\nroot = = 1\n".to_owned(), "2:8", "zookeeper.root", ""),
        ("[zookeeper\n".to_owned(), "1:11", "", "expected"),
        // Tasks.
        (String::new(), "1:1", "task", "[[task]]"),
        ("[task]\nname = \"a\"\n".to_owned(), "1:1", "task", "a table [[task]], its name in two pairs of brackets"),
        ("task = 5\n".to_owned(), "1:8", "task", "a table [[task]]"),
        ("task = [5]\n".to_owned(), "1:9", "task", "a table with a name"),
        (format!("{TASK}{TASK}"), "5:8", "task.name", "another task"),
        (format!("nat64 = [\"10.0.0.0/8\"]\n{TASK}"), "1:10", "nat64", "is not a NAT64 prefix: it is not a range of IPv6"),
        // A lease without room.
        (zookeeper("session_timeout = \"4s\""), "2:19", "zookeeper.session_timeout", "demote_timeout"),
        (zookeeper("tick_time = \"8s\""), "2:13", "zookeeper.tick_time", "session_timeout"),
        (task("demote_timeout = \"6s\""), "4:18", "task.demote_timeout", "tick_time"),
        // Paths that meet.
        (task("path = \"/soloist\""), "4:8", "task.path", "what Soloist keeps"),
        (task("path = \"/soloist/tasks/other/master\""), "4:8", "task.path", "what Soloist keeps"),
        (two("/x", "/x"), "8:8", "task.path", "another task"),
        (two("/x", "/x/y"), "8:8", "task.path", "another task"),
        (two("/x/y", "/x"), "8:8", "task.path", "another task"),
    ];
    are_named(&cases);
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

#[test]
fn ten_thousand_tasks_are_as_good_as_one() {
    let task = |number| {
        let name = format!("a-task-with-quite-a-name-for-a-task-{number:05}");
        format!(
            "[[task]]\nname = \"{name}\"\nplugin = \"a.wasm\"\nconfig = {{ some = \"setting\" }}\n"
        )
    };
    let tasks: String = (0..10_000).map(task).collect();
    let config = load(&tasks, Given::default()).unwrap();
    assert_eq!(config.tasks.len(), 10_000);
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
fn files_that_cannot_be_read_say_so() {
    let directory = std::env::temp_dir().join(format!("soloist-config-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let load = |path: &Path| Config::load(path, Given::default());
    let large = load(&write("large.toml", &vec![b'#'; (16 << 20) + 1]));
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
}

#[test]
fn a_host_that_takes_deployed_tasks_needs_none_of_its_own() {
    let key = "RWTUd9qENU85J8INv7FT0GbKGZtTGmOGJrnU+I1flbha8m9MJGApBX8j";
    let deploy = format!(
        "[deploy]\nenabled = true\nkeys = [\"{key}\"]\ntasks = [\"*\"]\ndirectory = \"/d\"\n"
    );
    let config = load(&deploy, Given::default()).unwrap();
    assert!(config.tasks.is_empty() && config.deploy.is_some());
    assert_eq!(load(TASK, Given::default()).unwrap().deploy, None);
    let unsigned = deploy.replace(&format!("keys = [\"{key}\"]"), "unsigned = true");
    for acl in ["creator", "creator-world-read"] {
        let guarded = format!("{unsigned}\n[zookeeper]\nauth = \"digest:a:b\"\nacl = \"{acl}\"\n");
        assert_eq!(
            load(&guarded, Given::default())
                .unwrap()
                .deploy
                .unwrap()
                .require,
            0
        );
    }
    for open in [
        "",
        "auth = \"digest:a:b\"",
        "auth = \"digest:a:b\"\nacl = [\"world:anyone:cdrwa\"]",
    ] {
        let open = format!("{unsigned}\n[zookeeper]\n{open}\n");
        let refused = load(&open, Given::default()).unwrap_err().to_string();
        assert!(
            refused.contains("deploy.unsigned: takes what everybody"),
            "{refused}"
        );
    }
    are_named(&[
        (
            deploy.replace("true", "false"),
            "1:1",
            "task",
            "or take deployed ones",
        ),
        (
            format!("[deploy]\nrequire = 2\n{TASK}"),
            "2:11",
            "deploy.require",
            "write 1 to 1",
        ),
        (
            format!("[deploy]\nenabeld = true\n{TASK}"),
            "2:1",
            "deploy.enabeld",
            "unknown field",
        ),
        (
            format!("[[deploy]]\n{TASK}"),
            "1:1",
            "deploy",
            "in one pair of brackets",
        ),
    ]);
}
