//! Whether the host lives, whether it is ready, and whether it leads a task.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use soloist_core::clock;
use soloist_core::election::Stage;
use soloist_core::roster::{Member, Roster};

use crate::told::{Heard, Session};

/// How long the coordination thread may be silent. It says every second that it lives.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// An answer in words.
pub(crate) type Answer = (StatusCode, String);

/// Whether the coordination thread lives.
pub(crate) fn live(roster: &Roster) -> Answer {
    match roster.silent_for() {
        None => no("the coordination thread has not begun yet"),
        Some(silence) if silence > SILENCE_MAX => no(&format!(
            "the coordination thread is silent for {silence:.0?}"
        )),
        Some(_) => (StatusCode::OK, "live\n".into()),
    }
}

/// Whether the host stands for its tasks, or leads one.
pub(crate) fn ready(roster: &Roster, heard: &Heard) -> Answer {
    let lives = live(roster);
    if lives.0 != StatusCode::OK {
        return lives;
    }
    if roster.is_stopping() {
        return no("this host gives its tasks back, and ends");
    }
    if heard.is_drained {
        return no("this host is drained");
    }
    let leads = || roster.tasks().iter().any(|task| task.standing().leads());
    if heard.session == Session::Connected || leads() {
        (StatusCode::OK, "ready\n".into())
    } else {
        no(&format!("the session is {}", heard.session.name()))
    }
}

/// Whether the host leads the task, as its permit says at this moment.
pub(crate) fn leader(host: &str, task: &Member) -> (StatusCode, Value) {
    let standing = task.standing().clone();
    let leads = standing.leads();
    let mut told = json!({
        "task": &*task.name,
        "host": host,
        "leads": leads,
        "stage": stage(standing.stage),
    });
    if let (true, Some(term), Some(permit)) = (leads, &standing.term, &standing.permit) {
        let lease = permit.deadline().saturating_since(clock::now());
        told["term"] = term.number.into();
        told["fencing_token"] = term.fencing_token.0.into();
        told["lease_seconds"] = lease.as_secs_f64().into();
    }
    let status = if leads {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, told)
}

/// How a stage is called in answers and labels.
pub(crate) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Away => "away",
        Stage::Full => "full",
        Stage::Standby => "standby",
        Stage::Electing => "electing",
        Stage::Leading => "leading",
        Stage::Stopping => "stopping",
        Stage::Releasing => "releasing",
        Stage::Finished => "finished",
    }
}

fn no(why: &str) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use soloist_core::event::{About, Event, Report, SessionId, Subscriber as _};
    use soloist_core::permit::{Permit, SharedDeadline};
    use soloist_core::records::TaskPaths;

    use super::*;
    use crate::told::Told;

    #[test]
    fn a_standby_is_ready_and_so_is_a_leader_that_has_lost_its_connection() {
        let roster = Arc::new(Roster::default());
        let told = Told::new(Arc::clone(&roster));
        let tell = |event| {
            let about = About::Session;
            told.event(&Report {
                about,
                event: &event,
            });
        };
        let status = || ready(&roster, &told.heard()).0.as_u16();
        assert_eq!(status(), 503, "the coordination thread has not begun");
        roster.tick();
        assert_eq!((live(&roster).0.as_u16(), status()), (200, 503));
        tell(Event::SessionConnected {
            session: SessionId(1),
            session_timeout: soloist_core::event::Seconds(Duration::from_secs(10)),
            again: false,
        });
        assert_eq!(status(), 200);
        tell(Event::SessionDisconnected { lease: SILENCE_MAX });
        assert_eq!(status(), 503);
        let name: Arc<str> = "report".into();
        let task = roster.enlist(&name, &Arc::new(TaskPaths::new("/s", &name, None)));
        assert_eq!(leader("a", task.member()).0.as_u16(), 503);
        let deadline = SharedDeadline::default();
        deadline.set(clock::now() + Duration::from_secs(60));
        task.member().standing().permit = Some(Permit::new(deadline.clone()));
        assert_eq!(
            (status(), leader("a", task.member()).0.as_u16()),
            (200, 200)
        );
        deadline.end();
        assert_eq!(
            (status(), leader("a", task.member()).0.as_u16()),
            (503, 503)
        );
        deadline.set(clock::now() + Duration::from_secs(60));
        tell(Event::HostDraining {
            by: "me".into(),
            reason: None,
            keep: true,
        });
        assert_eq!(status(), 503);
        tell(Event::HostUndrained);
        assert_eq!(status(), 200);
        roster.stopping();
        assert_eq!(status(), 503);
    }
}
