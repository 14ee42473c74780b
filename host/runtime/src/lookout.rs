//! Looks who leads the tasks for which this host does not stand at the moment, so that their metrics tell it.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use soloist_coordination::session::{Session, View};
use soloist_coordination::task::TaskNodes;
use soloist_core::clock;
use soloist_core::election::Stage;
use soloist_core::roster::{Member, Roster};
use tokio::sync::watch;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many requests are under way at once.
const REQUESTS_MAX: usize = 16;

/// How often it says that the thread that it runs on lives.
const TICK: Duration = Duration::from_secs(1);

/// Says that the coordination thread lives, for as long as it does: every second, or more often if `at_least` says so. It has
/// to run on that thread.
pub async fn tick(roster: Arc<Roster>, at_least: Option<Duration>) {
    let rest = at_least.map_or(TICK, |it| it.min(TICK));
    loop {
        roster.tick();
        tokio::time::sleep(rest).await;
    }
}

/// Looks for leaders, for ever. A host that stands in a queue hears of them by itself.
pub async fn look(view: watch::Receiver<View>, roster: Arc<Roster>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let session = view.borrow().session.clone();
        let Some(session) = session else { continue };
        let away = roster.tasks().into_iter().filter(is_away);
        stream::iter(away)
            .for_each_concurrent(REQUESTS_MAX, |member| look_at(member, Arc::clone(&session)))
            .await;
    }
}

async fn look_at(member: Arc<Member>, session: Arc<Session>) {
    let nodes = TaskNodes::new(session, Arc::clone(&member.paths), Arc::clone(&member.name));
    // Without an answer it knows no more than before.
    let Ok(is_led) = nodes.is_held().await else {
        return;
    };
    // It may stand by now, and hear of leaders by itself.
    if is_away(&member) {
        member.standing().leaderless.know(is_led, clock::now());
    }
}

fn is_away(member: &Arc<Member>) -> bool {
    matches!(member.standing().stage, Stage::Away | Stage::Full)
}
