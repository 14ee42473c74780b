//! What passes from the plugin to the host: in one call, into the log, into the state.

use soloist_core::limits::{Limit, Limits};
use soloist_core::term::Demotion;
use soloist_dev::testbed::Tested;

use super::case::reached;
use crate::guests::limited;
use crate::terms::without_restart;

#[test]
fn what_passes_to_the_host_in_one_call() {
    let limits = Limits {
        call_bytes: 1 << 20,
        log_line: 100,
        ..Limits::default()
    };
    let failed = reached(
        limited("huge-log", limits.clone()),
        Limit::CallBytes,
        "1048576",
    );
    assert!(
        failed["backtrace"].as_str().unwrap().contains("misbehave"),
        "{failed:#}"
    );
    let mut tested = Tested::start(
        limited(
            "huge-log",
            Limits {
                call_bytes: 16 << 20,
                ..limits
            },
        ),
        without_restart(),
    );
    let line = tested.wait_for("plugin-log", "yyy", 1);
    assert!(
        line["message"].as_str().unwrap().len() < 200,
        "a line is cut at its own limit"
    );
    tested.activation().demote(Demotion::Resigned);
    assert!(!tested.stopped());
}

#[test]
fn a_giant_error_is_not_taken_either() {
    let limits = Limits {
        call_bytes: 1 << 20,
        ..Limits::default()
    };
    reached(limited("giant-error", limits), Limit::CallBytes, "1048576");
}

#[test]
fn log_lines_have_a_rate_a_burst_and_a_length() {
    let limits = Limits {
        log_rate: 1,
        log_burst: 10,
        log_line: 5,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("flood", limits), without_restart());
    tested.wait_for("plugin-completed", "", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    let lines = tested.lines();
    let said = lines
        .iter()
        .filter(|line| !line.contains("lines dropped"))
        .count();
    assert!((10..100).contains(&said), "{said} lines of 5003");
    assert!(
        lines.iter().any(|line| line.contains("`limits.log_rate`")),
        "{lines:?}"
    );
    assert!(lines[0] == "enter [2 more bytes]", "{lines:?}");
}

#[test]
fn the_state_has_limits_of_its_own() {
    let limits = Limits {
        state_value: 100,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("state-large", limits), without_restart());
    tested.wait_for("plugin-log", "too large", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
}
