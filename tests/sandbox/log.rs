//! What plugins write, through every import that carries text: it is bounded, and ends with the term's effects.

use std::sync::Arc;

use serde_json::Value;
use soloist_core::limits::Limits;
use soloist_core::restart::RestartPolicy;
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::Plugin;

use crate::apart::apart;
use crate::guests::{limited, misbehave};
use crate::terms::patient;

/// The address space that a host takes, which is 4 GiB for the one memory of its plugin, and half a GiB more.
const MEMORY_KIB: u64 = 5_100_000;

fn settings() -> ActivationSettings {
    let restart = RestartPolicy {
        max_restarts: 0,
        ..RestartPolicy::default()
    };
    ActivationSettings {
        restart,
        ..ActivationSettings::default()
    }
}

/// The guest has room for much that it writes.
fn writes(what: &str, limits: &Limits) -> Arc<Plugin> {
    limited(
        what,
        Limits {
            memory: 512 << 20,
            ..limits.clone()
        },
    )
}

/// As much as can be said.
fn unbounded() -> Limits {
    Limits {
        log_rate: 1_000_000,
        log_burst: 1_000_000,
        log_bytes: 1 << 30,
        ..Limits::default()
    }
}

fn ends(mut tested: Tested) -> Vec<Value> {
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped(), "{:#?}", tested.story());
    tested.events()
}

/// Every line is reported or counted, as are some others of the guest's.
#[track_caller]
fn every_line(lines: u64, written: u64) {
    assert!(
        (written..written + 5).contains(&lines),
        "{lines} of {written}"
    );
}

#[test]
fn what_a_plugin_prints_becomes_its_log_line_by_line() {
    let mut tested = Tested::start(misbehave("print"), patient());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let printed = ["first", "second", "to stderr", "not ended"]
        .map(|line| tested.wait_for("plugin-log", line, 1));
    assert_eq!(
        printed
            .each_ref()
            .map(|event| event["stream"].as_str().unwrap()),
        ["stdout", "stdout", "stderr", "stdout"]
    );
    assert_eq!(
        printed
            .each_ref()
            .map(|event| event["level"].as_str().unwrap()),
        ["info", "info", "warn", "info"]
    );
    assert_eq!(
        tested.lines().last().unwrap(),
        "not ended",
        "a line that was not ended comes at the end"
    );
}

#[test]
fn a_log_line_has_its_level_and_its_fields() {
    let mut tested = Tested::start(misbehave("fields"), patient());
    let line = tested.wait_for("plugin-log", "with 2 fields", 1);
    assert_eq!(line["level"], "error");
    assert_eq!(
        line["fields"],
        serde_json::json!({ "answer": "42", "path": "a b" })
    );
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}

#[test]
fn a_long_line_is_cut_and_a_flood_is_dropped_and_both_are_said() {
    let mut tested = Tested::start(misbehave("long-line"), patient());
    let line = tested.wait_for("plugin-log", "xxx", 1);
    let line = line["message"].as_str().unwrap();
    assert!(
        line.ends_with(&format!(
            "x [{} more bytes]",
            100_000 - Limits::default().log_line
        )),
        "{}",
        line.len()
    );
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());

    let mut tested = Tested::start(misbehave("flood"), patient());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let dropped = tested
        .events()
        .iter()
        .filter_map(|event| event["dropped"].as_u64())
        .sum::<u64>();
    let lines = tested
        .lines()
        .iter()
        .filter(|line| !line.contains("lines dropped"))
        .count() as u64;
    assert!(lines >= u64::from(Limits::default().log_burst));
    // 5000 lines, and three that tell of the life of on_elected.
    assert_eq!(lines + dropped, 5003);
    assert!(dropped > 0);
}

#[test]
fn a_plugin_that_writes_line_breaks_takes_no_memory_of_the_host() {
    apart(&format!("ulimit -v {MEMORY_KIB}"), || {
        let limits = Limits {
            log_rate: 1,
            ..Limits::default()
        };
        let tested = Tested::start(writes("newlines", &limits), settings());
        tested.wait_for("plugin-completed", "", 1);
        let events = ends(tested);
        let dropped: u64 = events
            .iter()
            .filter_map(|event| event["dropped"].as_u64())
            .sum();
        let lines = events
            .iter()
            .filter(|event| event["stream"] == "stdout")
            .count() as u64;
        every_line(dropped + lines, 32 << 20);
    });
}

/// It is demoted as any other, in the middle of what it writes.
#[test]
fn a_plugin_that_resigns_and_goes_on_writing_can_be_stopped() {
    let mut tested = Tested::start(
        writes("resign-and-newlines", &Limits::default()),
        settings(),
    );
    assert!(matches!(tested.notice(), Notice::ResignRequested { .. }));
    tested.activation().demote(Demotion::Resigned);
    tested.stopped();
    assert!(
        !tested.story().contains(&"plugin-stuck".to_owned()),
        "{:?}",
        tested.story()
    );
}

/// Whatever it writes with, what it has not said when its permit ends is not said.
#[test]
fn no_line_appears_after_the_end_of_effects() {
    for what in ["lines", "print-on", "log-on"] {
        let mut tested = Tested::start(writes(what, &unbounded()), settings());
        tested.wait_for("plugin-log", "on", 2);
        tested.activation().revoke();
        let lines = |tested: &Tested| tested.lines().len();
        let before = lines(&tested);
        assert!(tested.stopped());
        // One could have been on its way when the permit ended.
        assert!(
            lines(&tested) <= before + 1,
            "{what}: {before} lines, then {}",
            lines(&tested)
        );
    }
}

/// Even the beginning of a line, or what is known of lines that were dropped.
#[test]
fn nothing_is_left_to_be_said_after_the_end_of_effects() {
    let limits = Limits {
        log_rate: 1,
        log_burst: 3,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("print-and-compute", limits), settings());
    tested.wait_for("plugin-log", "second", 1);
    tested.activation().revoke();
    assert!(tested.stopped());
    let lines = tested.lines();
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("not ended") || line.contains("dropped")),
        "{lines:?}"
    );
}

#[test]
fn a_stream_of_wasi_0_2_takes_what_it_has_allowed_and_no_more() {
    for (what, said) in [("write-unasked", 0), ("write-too-much", 65536)] {
        let tested = Tested::start(limited(what, unbounded()), settings());
        let failed = tested.wait_for("plugin-failed", "more than `check-write` allowed", 1);
        assert!(
            failed["backtrace"].as_str().unwrap().contains("misbehave"),
            "{failed:#}"
        );
        assert_eq!(
            tested
                .lines()
                .iter()
                .any(|line| *line == format!("{said} were allowed")),
            said > 0
        );
        ends(tested);
    }
}

/// What is counted is what comes out, where a control character has six bytes.
#[test]
fn what_is_written_in_a_second_is_bounded_in_bytes() {
    let limits = Limits {
        log_bytes: 10_000,
        ..unbounded()
    };
    let tested = Tested::start(writes("lines-of-controls", &limits), settings());
    let begun = tested.wait_for("plugin-log", "entered", 1);
    tested.wait_for("plugin-completed", "", 1);
    let events = ends(tested);
    let time =
        |event: &Value| humantime::parse_rfc3339(event["timestamp"].as_str().unwrap()).unwrap();
    let seconds = time(events.last().unwrap())
        .duration_since(time(&begun))
        .unwrap()
        .as_secs()
        + 1;
    let lines = events.iter().filter(|event| event["event"] == "plugin-log");
    let bytes: u64 = lines
        .map(|event| soloist_core::text::json(event).unwrap().len() as u64 + 1)
        .sum();
    // Four seconds' worth at once, and what the last line and the last count are beyond what was left.
    let most = 10_000 * (4 + seconds) + 10_000;
    assert!(bytes <= most, "{bytes} bytes in {seconds} s");
    let dropped: u64 = events
        .iter()
        .filter_map(|event| event["dropped"].as_u64())
        .sum();
    let told = events
        .iter()
        .filter(|event| event["stream"] == "stdout")
        .count() as u64;
    every_line(dropped + told, 100_000);
    assert!(told >= 5, "{told} lines, of 6 kB each");
}
