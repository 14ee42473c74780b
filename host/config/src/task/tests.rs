use proptest::prelude::*;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::file::Format;
use crate::host::Given;
use crate::testing::{EXAMPLE, TASK, are_named, load, named, task};

/// A task by itself, as the data of a node.
fn read(data: &[u8]) -> Result<TaskConfig, ConfigError> {
    let path = "/soloist/manifest".into();
    TaskConfig::read(&Document::new(path, Format::Json, data.to_vec())?)
}

#[test]
fn a_task_is_validated_alone() {
    let task = read(br#"{ "name": "a", "plugin": "a.wasm", "limits": { "cpu": 50 } }"#).unwrap();
    assert_eq!(task.plugin, PathBuf::from("a.wasm").into());
    assert_eq!(task.limits.cpu, 50);
    for (data, told) in [
        (
            "{ \"name\": \"a/b\",\n\"limits\": { \"cpu\": 0 } }",
            &[
                "/soloist/manifest:1:11: task.name: ",
                "/soloist/manifest:2:20: task.limits.cpu: ",
                "/soloist/manifest:1:1: task.plugin: is missing",
            ][..],
        ),
        (
            "{ \"nam\": 1 }",
            &["/soloist/manifest:1:3: task.nam: unknown field"],
        ),
        (
            "{ \"name\": null }",
            &["/soloist/manifest:1:11: task.name: null"],
        ),
        ("5", &["/soloist/manifest:1:1: task: expected a table"]),
    ] {
        let message = read(data.as_bytes()).unwrap_err().to_string();
        assert_eq!(message.lines().count(), told.len(), "{message}");
        for (line, told) in message.lines().zip(told) {
            assert!(line.starts_with(told), "{line}");
        }
    }
    let wire = TaskWire {
        name: Some(Written::flag("a".to_owned(), "--task")),
        ..TaskWire::default()
    };
    let error = TaskConfig::validate(&Written::flag(wire, "PLUGIN"), None).unwrap_err();
    assert!(
        error.to_string().starts_with("PLUGIN: is missing"),
        "{error}"
    );
}

#[test]
fn a_task_is_written_with_every_key_of_the_example() {
    let mut config = load(EXAMPLE, Given::default()).unwrap();
    let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
    for (number, task) in config.tasks.iter_mut().enumerate() {
        task.grants.network.nat64.clear();
        let written = serde_json::to_vec(task).unwrap();
        assert_eq!(read(&written).unwrap(), *task);
        let mut keys = serde_json::from_slice::<Value>(&written).unwrap();
        let table = &example["task"][number];
        for group in ["allow", "limits", "restart"] {
            let keys = keys[group].as_object().unwrap().keys();
            let told = |key: &String| number > 0 || table[group].get(key).is_some();
            assert!(keys.clone().all(told), "{group}: {keys:?}");
        }
        let keys = keys.as_object_mut().unwrap();
        // The second task has the only key that is not in the first.
        assert!(
            number > 0 || keys.keys().all(|key| table.get(key).is_some()),
            "{keys:?}"
        );
    }
}

fn duration() -> impl Strategy<Value = String> {
    (1_u64..86_400_000).prop_map(|millis| format!("{millis}ms"))
}

fn grants() -> impl Strategy<Value = Value> {
    let origins = select(vec![
        "https://a",
        "http://*.internal:8080",
        "http://[fd00::1]:81",
    ]);
    let endpoints = select(vec![
        "db.internal:5432",
        "*.b:1",
        "[fd00::7]:2",
        "10.0.0.7:3",
    ]);
    let networks = select(vec!["10.0.0.0/8", "fd00::/8", "192.0.2.7"]);
    let secrets = select(vec![json!("A_1"), json!({ "name": "A_2", "file": "x/y" })]);
    let dirs = select(vec![
        json!({ "host": "a", "guest": "/a" }),
        json!({ "host": "/b", "guest": "/b", "mode": "write" }),
    ]);
    (
        option::of(vec(origins, 0..3)),
        option::of(vec(endpoints, 0..3)),
        vec(networks, 0..3),
        any::<Option<bool>>(),
        option::of(vec(dirs, 0..2)),
        btree_map("[B-Z]{1,8}", "\\PC{0,20}", 0..3),
        vec(secrets, 0..2),
    )
        .prop_map(|(http, tcp, networks, identify, dirs, env, secrets)| {
            json!({
                "http": http, "tcp": tcp, "networks": networks, "identify": identify, "dirs": dirs,
                "env": env, "secrets": secrets,
            })
        })
}

fn limits() -> impl Strategy<Value = Value> {
    let numbers = (65536_u64..=64 << 30, 1..=100_u32, 1..=1_000_000_u32);
    (numbers, duration(), duration()).prop_map(|((memory, cpu, log_rate), start, compile)| {
        json!({
            "memory": memory, "cpu": cpu, "log_rate": log_rate, "start_timeout": start,
            "compile_timeout": compile,
        })
    })
}

fn manifests() -> impl Strategy<Value = Value> {
    (
        ("[a-z][a-z0-9. -]{0,20}[a-z]", "\\PC{1,30}"),
        (option::of("[0-9a-f]{64}"), option::of("/[a-z]{1,8}")),
        btree_map("[a-z]{1,8}", "\\PC{0,30}", 0..3),
        (grants(), limits()),
        (option::of(duration()), option::of(duration())),
        option::of(select(vec!["hold", "resign", "restart"])),
        (duration(), any::<u32>()),
    )
        .prop_map(|(file, node, config, (allow, limits), times, complete, restart)| {
            json!({
                "name": file.0, "plugin": file.1, "sha256": node.0, "path": node.1, "config": config,
                "allow": allow, "limits": limits, "demote_timeout": times.0,
                "successor_delay": times.1, "on_complete": complete,
                "restart": { "initial": restart.0, "max": "1day", "max_restarts": restart.1 },
            })
        })
}

/// In JSON what is not said is left out.
fn without_nulls(value: &mut Value) {
    if let Value::Object(entries) = value {
        entries.retain(|_, value| !value.is_null());
        entries.values_mut().for_each(without_nulls);
    }
}

#[test]
fn every_bad_value_is_named_with_its_place() {
    #[rustfmt::skip]
    let cases = [
        (task("pathh = \"/x\""), "4:1", "task.pathh", "unknown field `pathh`"),
        (task("config = { n = 5 }"), "4:16", "task.config.n", "expected a string"),
        (format!("{TASK}name = \"again\"\n"), "4:1", "task.name", "duplicate key"),
        ("[[task]]\nplugin = \"a\"\n".to_owned(), "1:1", "task.name", "missing"),
        ("[[task]]\nname = \"a\"\n".to_owned(), "1:1", "task.plugin", "missing"),
        (named("\"\""), "2:8", "task.name", "is empty"),
        (task("demote_timeout = \"two seconds\""), "4:18", "task.demote_timeout", "not a duration"),
        (task("sha256 = \"ab\""), "4:10", "task.sha256", "64 hexadecimal digits"),
        (task("sha256 = 5"), "4:10", "task.sha256", "expected a string"),
        (task(&format!("sha256 = \"{}\"", "g".repeat(64))), "4:10", "task.sha256", "not a SHA-256"),
        (task("on_complete = \"stop\""), "4:15", "task.on_complete", "\"resign\" or \"restart\""),
        (task("config = { \"\" = \"x\" }"), "4:17", "task.config.", "is empty"),
        (task(&format!("config = {{ a = \"{}\" }}", "x".repeat(65537))), "4:16", "task.config.a", "65537 bytes"),
        (task("config = \"a\""), "4:10", "task.config", "a table"),
    ];
    are_named(&cases);
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    #[test]
    fn what_is_written_of_a_task_is_read_again(mut manifest in manifests()) {
        without_nulls(&mut manifest);
        let task = read(manifest.to_string().as_bytes()).unwrap();
        let written = serde_json::to_vec(&task).unwrap();
        prop_assert_eq!(read(&written).unwrap(), task);
    }

    #[test]
    fn what_is_accepted_as_a_name_is_one_component_of_a_path(name in "\\PC{0,140}") {
        if let Ok(name) = TaskName::new(&name) {
            let path = format!("/{name}");
            prop_assert!(node::path(&path).is_ok());
            prop_assert!(!name.contains('/'));
        }
    }
}
