//! A plugin and its schedules: the slots of days, on a clock that the test puts ahead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::guests::{config, engine, guest, misbehave};
use soloist_core::clock::{self, TaskClock};
use soloist_core::permit::SharedDeadline;
use soloist_core::restart::RestartPolicy;
use soloist_core::schedule::{SCHEDULES_MAX, Time};
use soloist_core::state::StateError;
use soloist_core::term::Demotion;
use soloist_dev::testbed::{Memory, PATIENCE, Tested};
use soloist_runtime::activation::{ActivationSettings, Notice};
use soloist_sandbox::{Plugin, PluginProblem, PluginSettings};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn settings() -> ActivationSettings {
    let restart = RestartPolicy {
        max_restarts: 0,
        ..RestartPolicy::default()
    };
    ActivationSettings {
        demote_timeout: PATIENCE,
        restart,
        ..ActivationSettings::default()
    }
}

/// A task with a calendar of its own, which terms follow each other in.
#[derive(Default)]
struct Calendar {
    clock: TaskClock,
    state: Arc<Memory>,
}

impl Calendar {
    fn start(&self, what: &str) -> Tested {
        let settings = PluginSettings {
            clock: self.clock.clone(),
            ..config(&[("do", what)])
        };
        let plugin = Plugin::load(&engine(), &guest("misbehave"), settings);
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + 100 * PATIENCE);
        Tested::start_in(
            Arc::clone(&self.state),
            Arc::new(plugin.expect("the guest loads")),
            self::settings(),
            deadline,
            |_| (),
        )
    }

    /// Waits until the schedule is waited for, and gives the day that it is.
    fn begun(&self) -> Time {
        self.until("no record", |state| state.schedule("main").is_some());
        self.clock.date().into()
    }

    fn until(&self, what: &str, is_so: impl Fn(&Memory) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(&self.state) {
            assert!(Instant::now() < end, "{what}");
            std::thread::yield_now();
        }
    }

    fn count(&self) -> u64 {
        let count = self.state.get("count");
        count.map_or(0, |count| String::from_utf8_lossy(&count).parse().unwrap())
    }
}

/// What becomes of a term that ends here, with the state that outlives it.
fn demote(mut tested: Tested) {
    tested.activation().demote(Demotion::Shutdown);
    assert!(!stopped(&mut tested), "it was stopped by force");
    let story = tested.story();
    assert!(!story.contains(&"plugin-failed".to_owned()), "{story:?}");
}

/// As [`Tested::stopped`], for a state that the test holds as well.
fn stopped(tested: &mut Tested) -> bool {
    loop {
        if let Notice::Stopped { by_force } = tested.notice() {
            return by_force;
        }
    }
}

#[test]
fn every_slot_counts_once() {
    let calendar = Calendar::default();
    let tested = calendar.start("schedule-daily");
    calendar.begun();
    for day in 1..=3 {
        calendar.clock.advance(DAY);
        calendar.until("the slot does not count", |_| calendar.count() == day);
        let told = tested.wait_for("plugin-log", "attempt 1", usize::try_from(day).unwrap());
        assert_eq!(told["fields"]["missed"], "0");
    }
    demote(tested);
    assert_eq!(calendar.count(), 3);
}

#[test]
fn a_slot_whose_run_was_lost_is_claimed_again_with_the_same_key() {
    let calendar = Calendar::default();
    let mut first = calendar.start("schedule-held");
    calendar.begun();
    calendar.clock.advance(DAY);
    let claimed = first.wait_for("plugin-log", "claimed ", 1);
    // Each term of these tests has a task of its own.
    let (_, slot) = claimed["message"]
        .as_str()
        .unwrap()
        .split_once("/main@")
        .unwrap();
    let slot = format!("/main@{slot} attempt 2");
    first.activation().revoke();
    assert!(stopped(&mut first));
    assert_eq!(calendar.state.get("completed"), None);
    let second = calendar.start("schedule-daily");
    second.wait_for("plugin-log", &slot, 1);
    calendar.until("the slot does not count", |_| calendar.count() == 1);
    demote(second);
}

#[test]
fn a_slot_can_be_completed_while_the_plugin_is_demoted_and_none_is_claimed() {
    let calendar = Calendar::default();
    let tested = calendar.start("schedule-held");
    calendar.begun();
    calendar.clock.advance(DAY);
    tested.wait_for("plugin-log", "claimed ", 1);
    tested.activation().demote(Demotion::Shutdown);
    tested.wait_for("plugin-log", "completed", 1);
    tested.wait_for("plugin-log", "no slot is claimed any more", 1);
    assert!(calendar.state.get("completed").is_some());
    // One that waits is let go at once, and so is one that asks before it has heard of its demotion: neither has failed.
    let waiting = calendar.start("schedule-daily");
    demote(waiting);
    let late = calendar.start("schedule-late");
    late.wait_for("plugin-log", "computing", 1);
    demote(late);
}

#[test]
fn what_is_missed_is_said_with_its_cause_and_told_to_the_plugin() {
    let calendar = Calendar::default();
    let first = calendar.start("schedule-daily");
    calendar.begun();
    calendar.clock.advance(DAY);
    calendar.until("the slot does not count", |_| calendar.count() == 1);
    demote(first);
    calendar.clock.advance(5 * DAY);
    let second = calendar.start("schedule-daily");
    let told = second.wait_for("slots-missed", "schedule main: 4 slots were missed", 1);
    // Four are older than the day in which a slot is caught up with; the last one is run.
    assert_eq!(
        (&told["cause"], &told["slots"], &told["schedule"]),
        (&"catch-up".into(), &4.into(), &"main".into())
    );
    assert!(told["first"].as_str() < told["last"].as_str(), "{told}");
    let run = second.wait_for("plugin-log", "attempt 1", 1);
    assert_eq!(run["fields"]["missed"], "4");
    calendar.until("the slot does not count", |_| calendar.count() == 2);
    demote(second);
    // It is not said again.
    let third = calendar.start("schedule-daily");
    calendar.clock.advance(DAY);
    third.wait_for("plugin-log", "attempt 1", 1);
    assert!(!third.story().contains(&"slots-missed".to_owned()));
    demote(third);
}

#[test]
fn every_error_reaches_the_guest_with_its_type() {
    let tested = Tested::start(misbehave("schedule-errors"), settings());
    tested.wait_for("plugin-log", "every error but one", 1);
    let told = tested.wait_for("plugin-log", "as many schedules as it can have", 1);
    // Six that were invalid, and `main`, are among those that one run can try.
    let room = SCHEDULES_MAX - 7;
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("{room}: ")), "{message}");
    tested.wait_for("plugin-completed", "", 1);
    demote(tested);
}

#[test]
fn a_record_that_no_host_wrote_is_said_with_what_to_do() {
    for (bytes, told) in [
        (
            &b"\xff\0{"[..],
            "it is no record of a schedule: delete the node, and the schedule begins anew",
        ),
        (
            br#"{"version":7}"#,
            "it has version 7, and this host knows version 1: update this host",
        ),
        (&vec![b'['; 100_000], "it is no record of a schedule"),
    ] {
        let calendar = Calendar::default();
        calendar.state.set_schedule("main", bytes);
        let tested = calendar.start("schedule-daily");
        let failed = tested.wait_for("plugin-failed", told, 1);
        let message = failed["message"].as_str().unwrap();
        assert!(
            message.contains("node schedules/main of the task cannot be used"),
            "{message}"
        );
        assert_eq!(
            calendar.state.schedule("main").unwrap(),
            bytes,
            "it was written over"
        );
    }
}

#[test]
fn slots_that_were_claimed_ahead_of_the_clock_are_said() {
    let calendar = Calendar::default();
    calendar.state.set_schedule(
        "main",
        br#"{"version":1,"rule":"every 86400 s","after":"2099-01-01T00:00:00Z"}"#,
    );
    let tested = calendar.start("schedule-daily");
    let told = tested.wait_for("plugin-log", "ahead of this host's clock", 1);
    assert_eq!(told["import"], "schedule");
    let message = told["message"].as_str().unwrap();
    assert!(
        message.contains("none is due before 2099-01-02T00:00:00Z"),
        "{message}"
    );
    demote(tested);
}

#[test]
fn a_claim_that_the_ensemble_refuses_as_of_another_term_ends_the_term() {
    let calendar = Calendar::default();
    let mut tested = calendar.start("schedule-daily");
    calendar.begun();
    calendar.state.refuse(StateError::Fenced);
    calendar.clock.advance(DAY);
    assert_eq!(tested.notice(), Notice::Stopped { by_force: true });
    assert_eq!(tested.lines(), ["entered"], "the guest heard of it");
}

#[test]
fn a_schedule_needs_the_grant_of_the_state() {
    let settings = PluginSettings::default();
    let refused = Plugin::load(&engine(), &guest("cron-report"), settings).unwrap_err();
    let PluginProblem::NotGranted(missing) = &refused.problem else {
        panic!("{refused:?}")
    };
    assert!(missing.to_string().contains("state = true"), "{missing}");
}
