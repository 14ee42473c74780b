//! What the SDK adds to the contract, in the sandbox. That it does what it says, its own tests show, natively.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use soloist_core::term::Demotion;
use soloist_dev::testbed::{PATIENCE, Tested};
use soloist_runtime::activation::ActivationSettings;
use soloist_sandbox::{Plugin, PluginSettings};

use crate::guests::{config, engine, guest};

/// Runs the guest `toolbox` with these steps, as it was built to `file`.
fn start(file: &Path, steps: &str) -> Tested {
    let settings = config(&[("steps", steps), ("pause", "20ms")]);
    let plugin = Plugin::load(&engine(), file, settings).expect("the guest loads");
    let activation = ActivationSettings {
        demote_timeout: PATIENCE,
        ..ActivationSettings::default()
    };
    Tested::start(Arc::new(plugin), activation)
}

fn end(tested: &mut Tested) {
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

#[test]
fn time_tasks_and_checkpoints_work_in_the_sandbox() {
    let mut tested = start(&guest("toolbox"), "time, tasks, checkpoint");
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(
        tested.lines(),
        [
            "time is done",
            "tasks is done",
            "at 3",
            "checkpoint is done"
        ]
    );
    assert_eq!(tested.state.get("at").unwrap(), b"3");
    end(&mut tested);
}

#[test]
fn a_task_ends_with_on_elected() {
    let mut tested = start(&guest("toolbox"), "hang");
    tested.wait_for("plugin-log", "hangs", 1);
    end(&mut tested);
    assert_eq!(tested.lines(), ["hangs", "the task is dropped", "demoted"]);
}

/// Its wait ends with `on_elected`, and it is told at once, whether it imports `should-stop` or has asked as well.
#[test]
fn a_plugin_that_waits_is_demoted_the_same_way_if_it_could_ask_whether_it_should_stop() {
    for steps in ["wait", "ask and wait"] {
        let mut tested = start(&guest("toolbox"), steps);
        tested.wait_for("plugin-log", "waits", 1);
        end(&mut tested);
        assert_eq!(
            tested.lines(),
            ["waits", "the wait is over", "demoted"],
            "{steps}"
        );
    }
}

#[test]
fn a_configuration_that_does_not_fit_is_said_with_its_key() {
    let mut tested = start(&guest("toolbox"), "nonsense");
    let failed = tested.wait_for("plugin-failed", "", 1);
    let told = |failed: &serde_json::Value, what: &str| {
        assert!(
            failed["message"].as_str().unwrap().contains(what),
            "{failed:#}"
        );
    };
    told(&failed, "there is no step nonsense");
    end(&mut tested);

    let settings = config(&[("steps", "time"), ("pause", "20")]);
    let plugin = Plugin::load(&engine(), &guest("toolbox"), settings).unwrap();
    let mut tested = Tested::start(Arc::new(plugin), ActivationSettings::default());
    let failed = tested.wait_for("plugin-failed", "", 1);
    let message = "config `pause`: \"20\" is not a duration, such as 250ms or 1h 30m";
    told(&failed, message);
    end(&mut tested);
}

/// What a reader has who follows `guest-sdk/README.md` from an empty folder.
#[test]
fn the_first_plugin_of_the_readme_is_tested_built_refused_and_run() {
    let test = std::env::current_exe().unwrap();
    let directory = test.ancestors().nth(3).unwrap().join("first-plugin");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sdk = workspace.join("guest-sdk");
    let readme = fs::read_to_string(sdk.join("README.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        let rest = readme.split(&fence[..]).skip(1);
        rest.filter_map(|rest| rest.split("```").next().map(str::to_owned))
            .collect()
    };
    // Its test is a module of the plugin, and no program of its own: only this test compiles it.
    let ([code, ..], [tests]) = (&blocks("rust")[..], &blocks("rust,ignore")[..]) else {
        panic!("the README begins with a plugin and its test");
    };
    let [grant, script] = &blocks("toml")[..] else {
        panic!("the README has one grant and one script");
    };
    fs::create_dir_all(directory.join("src")).unwrap();
    fs::create_dir_all(directory.join("tests")).unwrap();
    fs::write(directory.join("src/lib.rs"), code).unwrap();
    fs::write(directory.join("src/tests.rs"), tests).unwrap();
    fs::write(directory.join("tests/failover.toml"), script).unwrap();
    let configuration = format!(
        "[[task]]\nname = \"greeter\"\nplugin = \"target/wasm32-wasip2/release/greeter.wasm\"\n{grant}"
    );
    fs::write(directory.join("soloist.toml"), configuration).unwrap();
    let manifest = format!(
        "[package]\nname = \"greeter\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nsoloist-sdk = {{ path = {sdk:?} }}\n\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\n[workspace]\n"
    );
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    // The versions that are tested here, which are on this machine.
    fs::copy(workspace.join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    let cargo = |args: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(args)
            .args(["--offline", "--target-dir"])
            .arg(directory.join("target"))
            .current_dir(&directory)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let tested = cargo(&["test"]);
    assert!(
        tested.contains("the_next_leader_counts_on ... ok"),
        "{tested}"
    );
    cargo(&["build", "--release", "--target", "wasm32-wasip2"]);

    let file = directory.join("target/wasm32-wasip2/release/greeter.wasm");
    let refused = Plugin::load(&engine(), &file, PluginSettings::default()).unwrap_err();
    let told = refused.problem.to_string();
    assert!(told.contains("soloist:plugin/state"), "{told}");

    let plugin = Plugin::load(&engine(), &file, config(&[])).unwrap();
    let mut tested = Tested::start(Arc::new(plugin), ActivationSettings::default());
    tested.wait_for("plugin-log", "hello from tested", 1);
    end(&mut tested);

    let lived = soloist_tests::project::soloist(&directory, &["test", "--explore"]).unwrap();
    let told = String::from_utf8_lossy(&lived.stdout);
    assert!(
        told.starts_with("ok tests/failover.toml: 2 terms, 1m") && told.contains("; 0 findings"),
        "{told}{}",
        String::from_utf8_lossy(&lived.stderr)
    );
}

#[test]
fn lines_of_log_and_tracing_arrive_with_level_and_fields() {
    let test = std::env::current_exe().unwrap();
    let directory = test.ancestors().nth(3).unwrap().join("toolbox");
    let target = "wasm32-wasip2";
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "toolbox"])
        .args(["--features", "bridges", "--target", target, "--target-dir"])
        .arg(&directory)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .status()
        .unwrap();
    assert!(built.success(), "toolbox does not build with its bridges");

    let file = directory.join(target).join("release/toolbox.wasm");
    let mut tested = start(&file, "bridges");
    let by_log = tested.wait_for("plugin-log", "by log", 1);
    assert_eq!(by_log["level"], "warn", "{by_log:#}");
    assert_eq!(by_log["fields"]["bytes"], "12");
    assert_eq!(by_log["fields"]["target"], "toolbox");
    let by_tracing = tested.wait_for("plugin-log", "by tracing", 1);
    assert_eq!(by_tracing["level"], "error", "{by_tracing:#}");
    for (field, value) in [("left", "3"), ("task", "t"), ("span", "outer")] {
        assert_eq!(by_tracing["fields"][field], value, "{by_tracing:#}");
    }
    end(&mut tested);
}
