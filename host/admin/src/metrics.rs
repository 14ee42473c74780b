//! `/metrics`, in the text format of Prometheus, version 0.0.4.
//!
//! Every series is computed when it is asked for, from what is so at that moment. A label is a name of the configuration or a
//! word of this program: nothing that a plugin wrote. What has never happened has no series, so that a task that only stands
//! by costs a few lines; a task that is gone has none.

use std::sync::Arc;

use soloist_core::clock::{self, Moment};
use soloist_core::guardian::Past;
use soloist_core::meter::TaskReading;
use soloist_core::roster::{Roster, Standing};

mod families;
mod process;
mod text;

pub use families::{Family, Kind, families};

use crate::told::Heard;
use families::Source;
use text::Text;

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of the process, by itself or by its guardian.
struct ProcessView<'a> {
    id: &'a str,
    is_up: bool,
    /// None if there is no guardian.
    past: Option<&'a Past>,
}

/// What is told of the host.
struct HostView<'a> {
    roster: &'a Roster,
    heard: &'a Heard,
    process: process::Process,
}

/// What is told of a task.
struct TaskView {
    /// `task="..."`, as it stands in a line.
    label: String,
    standing: Standing,
    leads: bool,
    reading: TaskReading,
    now: Moment,
}

/// All series, at this moment.
pub(crate) fn render(id: &str, roster: &Arc<Roster>, heard: &Heard, past: Option<&Past>) -> String {
    let process = ProcessView {
        id,
        is_up: true,
        past,
    };
    let host = HostView {
        roster,
        heard,
        process: process::Process::read(),
    };
    let now = clock::now();
    let tasks: Vec<TaskView> = roster
        .tasks()
        .iter()
        .map(|member| {
            let standing = member.standing().clone();
            TaskView {
                label: text::label("task", &member.name),
                leads: standing.leads(),
                standing,
                reading: member.meter.read(),
                now,
            }
        })
        .collect();
    let mut text = Text::default();
    for family in families() {
        text.begin(family);
        match family.source {
            Source::Process(tell) => tell(&mut text, &process),
            Source::Host(tell) => tell(&mut text, &host),
            Source::Task(tell) => tasks.iter().for_each(|task| tell(&mut text, task)),
        }
    }
    text.finish()
}

/// What is told of a process that is dead.
pub(crate) fn render_dead(id: &str, past: &Past) -> String {
    let process = ProcessView {
        id,
        is_up: false,
        past: Some(past),
    };
    let mut text = Text::default();
    for family in families() {
        if let Source::Process(tell) = family.source {
            text.begin(family);
            tell(&mut text, &process);
        }
    }
    text.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use soloist_core::election::Stage;
    use soloist_core::meter::{Effect, Outcome};
    use soloist_core::permit::{Permit, SharedDeadline};
    use soloist_core::records::TaskPaths;
    use soloist_core::roster::{RolloutShown, RolloutSight};

    use super::*;

    #[test]
    fn each_family_is_told_once_with_all_of_its_series_and_names_are_escaped() {
        let roster = Arc::new(Roster::default());
        let name: Arc<str> = "re\"po\\rt\n".into();
        let task = roster.enlist(&name, &Arc::new(TaskPaths::new("/s", "x", None)));
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + Duration::from_secs(60));
        {
            let mut standing = task.member().standing();
            standing.at(Stage::Leading, true, clock::now());
            standing.permit = Some(Permit::new(deadline.clone()));
            standing.rollout = RolloutSight::new(|| {
                Some(RolloutShown {
                    state: "probation",
                    current: Some(2),
                    wanted: None,
                    back: Some(1),
                })
            });
        }
        task.member().meter.effect(Effect::State, Outcome::Lease);
        let told = render("al\"pha", &roster, &Heard::default(), None);
        let label = r#"task="re\"po\\rt\n""#;
        for line in [
            format!("soloist_leader{{{label}}} 1"),
            format!("soloist_effects_total{{{label},effect=\"state\",outcome=\"lease\"}} 1"),
            format!("soloist_rollout_state{{{label},state=\"probation\"}} 1"),
            format!("soloist_rollout_generation{{{label},which=\"current\"}} 2"),
            format!("soloist_rollout_generation{{{label},which=\"back\"}} 1"),
            "soloist_lines_dropped_total 0".into(),
            r#"soloist_host_info{host="al\"pha"} 1"#.into(),
            r#"soloist_session_state{shard="1",state="connecting"} 1"#.into(),
        ] {
            assert!(told.lines().any(|told| *told == line), "{line}\n{told}");
        }
        for family in families() {
            let begin = format!("# TYPE {} ", family.name);
            assert_eq!(told.matches(&begin).count(), 1, "{begin}");
        }
        deadline.end();
        let told = render("alpha", &roster, &Heard::default(), None);
        assert!(
            told.contains(&format!("soloist_leader{{{label}}} 0\n")),
            "{told}"
        );
        let mut past = Past::default();
        past.died(
            soloist_core::guardian::Death::Killed(9),
            1_700_000_000,
            true,
        );
        let dead = render_dead("alpha", &past);
        for line in [
            "soloist_process_up 0",
            "soloist_guardian_restarts_total 1",
            "soloist_guardian_last_death_timestamp_seconds{cause=\"kill\"} 1700000000",
        ] {
            assert!(dead.lines().any(|told| told == line), "{line}\n{dead}");
        }
        assert!(!dead.contains("task=") && !dead.contains("soloist_session_state"));
        drop(task);
        assert!(!render("alpha", &roster, &Heard::default(), None).contains("task="));
    }
}
