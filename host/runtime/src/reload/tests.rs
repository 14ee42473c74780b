use std::path::Path;
use std::time::Duration;

use soloist_config::{Given, TaskName};
use soloist_core::access::{AclSetting, SaslUser};

use super::*;

fn config() -> Config {
    Config::load(Path::new("plugins/report.wasm"), Given::default()).unwrap()
}

fn setup(name: &str) -> Setup {
    let mut task = config().tasks.remove(0);
    task.name = TaskName::new(name).unwrap();
    Setup {
        task,
        digest: Digest::of(b"one"),
        secrets: vec![Secret::new("s".into())],
    }
}

#[test]
fn what_is_the_same_is_no_change_in_whatever_order() {
    let (one, other) = ([setup("a"), setup("b")], [setup("b"), setup("a")]);
    let changes = Changes::between(&one, &other);
    let expected = Changes {
        unchanged: 2,
        ..Changes::default()
    };
    assert_eq!(changes, expected);
    assert_eq!(changes.to_string(), "nothing has changed");
}

#[test]
fn tasks_come_go_and_are_replaced() {
    let old = ["e", "a", "b"].map(setup);
    let mut new = ["d", "c", "b", "a"].map(setup);
    new[2].task.limits.memory += 1;
    let changes = Changes::between(&old, &new);
    assert_eq!(changes.to_string(), "added c, d; removed e; replaced b");
    assert_eq!(changes.unchanged, 1);
    let touched = |is: &dyn Fn(&str) -> bool| {
        "abcde"
            .split("")
            .filter(|name| is(name))
            .collect::<String>()
    };
    assert_eq!(touched(&|name| changes.starts(name)), "bcd");
    assert_eq!(touched(&|name| changes.stops(name)), "be");
}

#[test]
fn whatever_decides_how_a_task_runs_is_a_change_of_it() {
    let old = [setup("a")];
    let changes: [fn(&mut Setup); 8] = [
        |setup| setup.digest = Digest::of(b"other"),
        |setup| setup.secrets = vec![Secret::new("t".into())],
        |setup| setup.task.plugin = std::path::PathBuf::from("elsewhere.wasm").into(),
        |setup| setup.task.path = Some("/leader".into()),
        |setup| drop(setup.task.config.insert("key".into(), "value".into())),
        |setup| setup.task.grants.state = true,
        |setup| setup.task.demote_timeout += Duration::from_millis(1),
        |setup| setup.task.restart.max_restarts += 1,
    ];
    for change in changes {
        let mut new = [setup("a")];
        change(&mut new[0]);
        assert_eq!(Changes::between(&old, &new).replaced, ["a"], "{new:?}");
    }
}

#[test]
fn what_belongs_to_the_process_or_its_session_needs_a_restart_and_every_key_is_named() {
    let old = config();
    assert_eq!(NeedsRestart::check(&old, &old), Ok(()));
    let mut new = old.clone();
    new.tasks.clear();
    new.zookeeper.auth_file = Some("auth".into());
    new.zookeeper.sasl_file = Some("sasl".into());
    assert_eq!(NeedsRestart::check(&old, &new), Ok(()));
    new.host = "other".into();
    new.zookeeper.root = "/other".into();
    new.zookeeper.session_timeout *= 2;
    new.zookeeper.sasl = Some(SaslUser {
        name: "soloist".into(),
        password: Secret::new("secret".into()),
    });
    new.zookeeper.acl = Some(AclSetting::Creator);
    assert_eq!(
        NeedsRestart::check(&old, &new).unwrap_err().to_string(),
        "host_id, zookeeper.root, zookeeper.session_timeout, zookeeper.sasl_file, zookeeper.acl cannot change while a host runs: restart it, or \
         take that back"
    );
}
