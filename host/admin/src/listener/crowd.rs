//! The connections that are open, and which of them gives way to a further one.
//!
//! Whoever opens connections without end must not get those cut that are used. So there is a bound on handshakes of TLS under way,
//! which cost the most, and one on connections that were answered nothing yet: beyond it one of these gives way, and else one of
//! the others. A probe that asks every few seconds on a connection of its own is done with both within milliseconds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

/// How many connections there are at once.
const CONNECTIONS_MAX: usize = 256;

/// How many of them may have been answered nothing yet, if there is no room for all.
const NEW_MAX: usize = CONNECTIONS_MAX / 2;

/// How many handshakes of TLS are under way at once.
const HANDSHAKES_MAX: usize = 64;

/// How long a handshake keeps its place when others want it.
const HANDSHAKE_TIME: Duration = Duration::from_millis(250);

/// How far a connection is.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<AtomicU8>);

const GREETING: u8 = 0;
const ASKING: u8 = 1;
const ANSWERED: u8 = 2;

impl Progress {
    /// Of one that was accepted, and begins with a handshake or without.
    pub(super) fn new(has_handshake: bool) -> Self {
        let stage = if has_handshake { GREETING } else { ASKING };
        Self(Arc::new(AtomicU8::new(stage)))
    }

    /// The handshake is over.
    pub(super) fn greeted(&self) {
        self.0.fetch_max(ASKING, Relaxed);
    }

    /// Something was answered.
    pub(super) fn answered(&self) {
        self.0.fetch_max(ANSWERED, Relaxed);
    }

    fn is_at(&self, stage: u8) -> bool {
        self.0.load(Relaxed) == stage
    }
}

/// A connection that is open.
#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    progress: Progress,
    since: Instant,
}

/// The connections that are open, those that are open for the longest time first.
#[derive(Debug, Default)]
pub(super) struct Crowd(VecDeque<Connection>);

impl Crowd {
    /// Makes room for a further connection. False if it has to be refused.
    pub(super) fn make_room(&mut self, now: Instant) -> bool {
        let is_handshake = |it: &Connection| it.progress.is_at(GREETING);
        if self.0.len() >= HANDSHAKES_MAX {
            self.0.retain(|it| !it.task.is_finished());
        }
        if self.count(is_handshake) >= HANDSHAKES_MAX {
            let oldest = self.0.iter().position(is_handshake);
            let is_late = |at: &usize| now.duration_since(self.0[*at].since) >= HANDSHAKE_TIME;
            return match oldest.filter(is_late) {
                Some(at) => self.cut(at),
                None => false,
            };
        }
        if self.0.len() < CONNECTIONS_MAX {
            return true;
        }
        let is_new = |it: &Connection| !it.progress.is_at(ANSWERED);
        let new_give_way = self.count(is_new) >= NEW_MAX;
        let oldest = self.0.iter().position(|it| is_new(it) == new_give_way);
        oldest.is_none_or(|at| self.cut(at))
    }

    /// Takes note of a connection that is open now.
    pub(super) fn add(&mut self, task: AbortHandle, progress: Progress, since: Instant) {
        self.0.push_back(Connection {
            task,
            progress,
            since,
        });
    }

    fn count(&self, is_so: impl Fn(&Connection) -> bool) -> usize {
        self.0.iter().filter(|it| is_so(it)).count()
    }

    fn cut(&mut self, at: usize) -> bool {
        if let Some(connection) = self.0.remove(at) {
            connection.task.abort();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::task::JoinSet;

    use super::*;

    /// Opens so many connections that are as far as that. Gives how many are refused.
    fn open(
        crowd: &mut Crowd,
        tasks: &mut JoinSet<()>,
        count: usize,
        stage: u8,
        now: Instant,
    ) -> usize {
        let mut refused = 0;
        for _ in 0..count {
            if !crowd.make_room(now) {
                refused += 1;
                continue;
            }
            let progress = Progress(Arc::new(AtomicU8::new(stage)));
            crowd.add(tasks.spawn(pending()), progress, now);
        }
        refused
    }

    fn counts(crowd: &Crowd) -> [usize; 3] {
        [GREETING, ASKING, ANSWERED].map(|stage| crowd.count(|it| it.progress.is_at(stage)))
    }

    /// So those get through whose handshake is under way, and those who only hold one lose it.
    #[tokio::test]
    async fn a_flood_of_handshakes_cuts_no_connection_and_each_keeps_its_place_for_a_while() {
        let (mut crowd, mut tasks) = (Crowd::default(), JoinSet::new());
        let now = Instant::now();
        open(&mut crowd, &mut tasks, 100, ANSWERED, now);
        let refused = open(&mut crowd, &mut tasks, 10_000, GREETING, now);
        assert_eq!(refused, 10_000 - HANDSHAKES_MAX);
        assert_eq!(counts(&crowd), [HANDSHAKES_MAX, 0, 100]);
        let refused = open(&mut crowd, &mut tasks, 100, GREETING, now + HANDSHAKE_TIME);
        assert_eq!(refused, 100 - HANDSHAKES_MAX);
        assert_eq!(counts(&crowd), [HANDSHAKES_MAX, 0, 100]);
        crowd.0.iter().for_each(|it| it.progress.greeted());
        assert!(crowd.make_room(now));
    }

    #[tokio::test]
    async fn neither_who_asks_nothing_nor_who_was_answered_takes_all_places() {
        let (mut crowd, mut tasks) = (Crowd::default(), JoinSet::new());
        let now = Instant::now();
        open(&mut crowd, &mut tasks, 1_000, ANSWERED, now);
        assert_eq!(counts(&crowd), [0, 0, CONNECTIONS_MAX]);
        open(&mut crowd, &mut tasks, 1_000, ASKING, now);
        assert_eq!(counts(&crowd), [0, NEW_MAX, NEW_MAX]);
        open(&mut crowd, &mut tasks, 1_000, ANSWERED, now);
        assert_eq!(counts(&crowd), [0, NEW_MAX - 1, NEW_MAX + 1]);
    }

    #[tokio::test]
    async fn a_connection_that_has_ended_leaves_its_place() {
        let (mut crowd, mut tasks) = (Crowd::default(), JoinSet::new());
        let now = Instant::now();
        open(&mut crowd, &mut tasks, HANDSHAKES_MAX, GREETING, now);
        assert!(!crowd.make_room(now));
        tasks.shutdown().await;
        assert!(crowd.make_room(now));
        assert_eq!(counts(&crowd), [0, 0, 0]);
    }
}
