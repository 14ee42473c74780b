//! A plugin and its state, from the guest's call to whoever keeps it, here in memory.

use std::sync::Arc;
use std::time::Instant;

use soloist_core::clock;
use soloist_core::limits::Limits;
use soloist_core::permit::SharedDeadline;
use soloist_core::state::{StateError, VALUE_MAX_BYTES};
use soloist_core::term::Demotion;
use soloist_dev::testbed::{Memory, PATIENCE, Tested};
use soloist_runtime::activation::Notice;

use crate::guests::{limited, misbehave};
use crate::terms::{demote, without_restart};

fn start(what: &str) -> Tested {
    Tested::start(misbehave(what), without_restart())
}

/// Waits until so many more writes have been made.
fn wait_for_writes(tested: &Tested, more: u64) {
    let (end, enough) = (Instant::now() + PATIENCE, tested.state.writes() + more);
    while tested.state.writes() < enough {
        assert!(Instant::now() < end, "no writes: {:#?}", tested.events());
        std::thread::yield_now();
    }
}

#[test]
fn what_is_written_is_read_again() {
    let tested = start("state-roundtrip");
    tested.wait_for("plugin-completed", "", 1);
    tested.wait_for("plugin-log", "all is well", 1);
    assert_eq!(tested.state.get("name").unwrap(), br#"["Grace",2]"#);
    demote(tested);
}

#[test]
fn a_transaction_of_a_guest_is_done_whole_or_not_at_all() {
    let tested = start("state-transaction");
    tested.wait_for("plugin-completed", "", 1);
    tested.wait_for("plugin-log", "all or nothing", 1);
    demote(tested);
}

#[test]
fn every_error_reaches_the_guest_with_its_type() {
    let limits = Limits {
        state_value: VALUE_MAX_BYTES as u64,
        ..Limits::default()
    };
    let tested = Tested::start(limited("state-errors", limits), without_restart());
    tested.wait_for("plugin-log", "every error but one", 1);
    tested
        .state
        .refuse(StateError::Unavailable("it rains".into()));
    let failed = tested.wait_for("plugin-failed", "", 1);
    assert_eq!(failed["cause"], "error");
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .ends_with("the state is unavailable: it rains"),
        "{failed:#}"
    );
    demote(tested);
}

#[test]
fn updates_side_by_side_are_all_counted() {
    let tested = start("state-update");
    tested.wait_for("plugin-completed", "", 1);
    assert_eq!(tested.state.get("count").unwrap(), b"20");
    demote(tested);
}

#[test]
fn more_calls_than_the_limit_are_refused_and_the_others_are_done() {
    let (state, deadline) = (Arc::<Memory>::default(), SharedDeadline::default());
    state.held.send_replace(true);
    deadline.set(clock::now() + 100 * PATIENCE);
    let tested = Tested::start_in(
        state,
        misbehave("state-crowd"),
        without_restart(),
        deadline,
        |_| (),
    );
    let calls = Limits::default().calls as usize;
    let why = format!(
        "refused: {calls} calls are under way already, which is what `limits.calls` allows"
    );
    tested.wait_for("plugin-log", &why, 100 - calls);
    tested.state.held.send_replace(false);
    tested.wait_for("plugin-log", &format!("{calls} calls were done"), 1);
    demote(tested);
}

/// No more is written than the buckets have and earn in the time that it takes.
#[test]
fn writes_wait_for_their_turn_and_are_refused_when_that_is_far_off() {
    const RATE: u64 = 64 << 10;
    let limits = Limits {
        state_rate: RATE,
        state_burst: RATE,
        ..Limits::default()
    };
    let begun = Instant::now();
    let tested = Tested::start(limited("state-rate", limits), without_restart());
    let refused = tested.wait_for("plugin-log", "refused: ", 1);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("`limits.state_rate` allows 65536 bytes"),
        "{refused:#}"
    );
    tested.wait_for("plugin-log", "wrote", 1);
    let (bytes, earned) = (
        tested.state.written_bytes(),
        RATE * (begun.elapsed().as_secs() + 1),
    );
    assert!(bytes <= RATE + earned, "{bytes} bytes, earned {earned}");
    demote(tested);
}

#[test]
fn what_is_put_away_at_the_end_does_not_wait_for_what_was_written_before() {
    let limits = Limits {
        state_rate: 1 << 10,
        state_burst: 64 << 10,
        ..Limits::default()
    };
    let mut tested = Tested::start(limited("state-late", limits), without_restart());
    tested.wait_for("plugin-log", "written once", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(
        tested.state.get("put-away").map(|value| value.len()),
        Some(32_000),
        "{:?}",
        tested.lines()
    );
}

#[test]
fn a_plugin_that_is_being_demoted_can_still_write() {
    let mut tested = start("state-drain");
    tested.wait_for("plugin-log", "entered", 1);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(tested.state.get("put-away").unwrap(), b"true");
}

#[test]
fn a_call_under_way_holds_up_neither_demotion_nor_its_end() {
    let mut tested = start("state-work");
    wait_for_writes(&tested, 1);
    tested.state.held.send_replace(true);
    tested.activation().demote(Demotion::Shutdown);
    assert!(!tested.stopped());
    assert_eq!(tested.story(), ["activated", "draining", "demoted"]);
    assert!(
        tested
            .lines()
            .contains(&"on_elected was dropped".to_owned())
    );
    // The call that was under way went with the store.
    let writes = tested.state.writes();
    tested.state.held.send_replace(false);
    assert_eq!(tested.state.writes(), writes);
}

#[test]
fn a_revoked_plugin_writes_nothing_more() {
    for held in [false, true] {
        let mut tested = start("state-work");
        wait_for_writes(&tested, 10);
        tested.state.held.send_replace(held);
        tested.activation().revoke();
        assert!(tested.stopped());
        let writes = tested.state.writes();
        tested.state.held.send_replace(false);
        std::thread::yield_now();
        assert_eq!(tested.state.writes(), writes);
        assert_eq!(tested.story(), ["activated", "revoked"]);
    }
}

#[test]
fn a_fenced_write_ends_the_term_and_the_guest_never_hears_of_it() {
    let mut tested = start("state-work");
    wait_for_writes(&tested, 1);
    tested.state.refuse(StateError::Fenced);
    assert_eq!(tested.notice(), Notice::Stopped { by_force: true });
    assert!(tested.permit.check().is_err());
    assert_eq!(tested.story(), ["activated", "revoked"]);
    assert_eq!(tested.lines(), ["entered"]);
}
