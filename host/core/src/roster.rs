//! The tasks of a host, where it is in each, and what it measures of itself, for whoever watches it.
//!
//! The threads that lead and that run plugins write it, with atomics and short locks. Whoever reads it has a thread of its own.
//! Nothing is measured until [`start`] was called, so a host that nobody watches pays nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::clock::{self, Moment};
use crate::meter::{Histogram, Reading, TaskMeter};
use crate::records::TaskPaths;

mod leaderless;
mod rollout;
mod standing;

pub use leaderless::Leaderless;
pub use rollout::{RolloutShown, RolloutSight};
pub use standing::Standing;

/// The upper bounds of heartbeats that were answered, in microseconds.
const HEARTBEAT_BOUNDS: [u64; 11] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
];

/// The roster of this process. It is global for the reason that the subscribers of events are: every import of every plugin
/// would hold the same handle.
static ROSTER: OnceLock<Arc<Roster>> = OnceLock::new();

/// Has this process measure from here on.
pub fn start() -> Arc<Roster> {
    Arc::clone(ROSTER.get_or_init(Arc::default))
}

/// The roster of this process, if it measures.
pub fn roster() -> Option<&'static Arc<Roster>> {
    ROSTER.get()
}

/// All that a host measures.
#[derive(Debug)]
pub struct Roster {
    tasks: Mutex<BTreeMap<Arc<str>, Arc<Member>>>,
    heartbeats: Histogram<{ HEARTBEAT_BOUNDS.len() }>,
    /// When the coordination thread last said that it lives, in nanoseconds since boot.
    ticked: AtomicU64,
    stopping: AtomicBool,
    lines_dropped: AtomicU64,
    /// Where this host answers over HTTP, for operators: `http://ADDRESS:PORT`.
    address: OnceLock<String>,
}

/// A task of the host.
#[derive(Debug)]
pub struct Member {
    /// The name of the task.
    pub name: Arc<str>,
    /// Where its nodes are.
    pub paths: Arc<TaskPaths>,
    /// What is measured of it.
    pub meter: Arc<TaskMeter>,
    standing: Mutex<Standing>,
}

/// A task that is measured. When it is dropped, its series end.
#[derive(Debug)]
pub struct Enlisted {
    roster: Arc<Roster>,
    member: Arc<Member>,
}

impl Default for Roster {
    fn default() -> Self {
        Self {
            tasks: Mutex::default(),
            heartbeats: Histogram::new(HEARTBEAT_BOUNDS),
            ticked: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            lines_dropped: AtomicU64::new(0),
            address: OnceLock::new(),
        }
    }
}

impl Roster {
    /// Measures a task from here on, until what is returned is dropped.
    pub fn enlist(self: &Arc<Self>, task: &Arc<str>, paths: &Arc<TaskPaths>) -> Enlisted {
        let member = Arc::new(Member {
            name: Arc::clone(task),
            paths: Arc::clone(paths),
            meter: Arc::default(),
            standing: Mutex::default(),
        });
        self.lock().insert(Arc::clone(task), Arc::clone(&member));
        let roster = Arc::clone(self);
        Enlisted { roster, member }
    }

    /// The tasks of the host, by name.
    pub fn tasks(&self) -> Vec<Arc<Member>> {
        self.lock().values().cloned().collect()
    }

    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<Arc<Member>> {
        self.lock().get(name).cloned()
    }

    /// A heartbeat was answered after so long.
    pub fn heartbeat(&self, took: Duration) {
        self.heartbeats.observe(took);
    }

    /// How long heartbeats took.
    pub fn heartbeats(&self) -> Reading {
        self.heartbeats.read()
    }

    /// The coordination thread lives.
    pub fn tick(&self) {
        self.ticked
            .store(clock::now().as_nanos(), Ordering::Relaxed);
    }

    /// How long ago the coordination thread last said that it lives; none before the first time.
    pub fn silent_for(&self) -> Option<Duration> {
        let ticked = self.ticked.load(Ordering::Relaxed);
        (ticked > 0).then(|| clock::now().saturating_since(Moment::from_nanos(ticked)))
    }

    /// The host has begun to give its tasks back, and ends.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the host ends.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// A line of the host's own log was dropped.
    pub fn line_dropped(&self) {
        self.lines_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// How many lines of the host's own log were dropped.
    pub fn lines_dropped(&self) -> u64 {
        self.lines_dropped.load(Ordering::Relaxed)
    }

    /// This host answers over HTTP at that address, `http://ADDRESS:PORT`: its record says so to operators. The first address
    /// counts.
    pub fn listens_at(&self, address: String) {
        let _ = self.address.set(address);
    }

    /// Where this host answers over HTTP, if that is known yet.
    pub fn address(&self) -> Option<&str> {
        self.address.get().map(String::as_str)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Member>>> {
        // The map is right whoever panicked while holding it.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Where the host is in the task. It is held for no longer than it takes to read or change it.
    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        // Each field is right by itself.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Enlisted {
    /// The task.
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        let mut tasks = self.roster.lock();
        // A task of the same name may have come since.
        if tasks
            .get(&self.member.name)
            .is_some_and(|member| Arc::ptr_eq(member, &self.member))
        {
            tasks.remove(&self.member.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_a_task_end_with_it_and_not_with_the_one_before() {
        let roster = Arc::new(Roster::default());
        let name: Arc<str> = "report".into();
        let paths = Arc::new(TaskPaths::new("/soloist", &name, None));
        let old = roster.enlist(&name, &paths);
        let new = roster.enlist(&name, &paths);
        drop(old);
        let found = roster.task("report").unwrap();
        assert!(Arc::ptr_eq(&found, new.member()));
        drop(new);
        assert!(roster.tasks().is_empty());
    }

    #[test]
    fn a_thread_that_never_ticked_is_not_taken_for_one_that_is_silent() {
        let roster = Roster::default();
        assert_eq!(roster.silent_for(), None);
        roster.tick();
        assert!(roster.silent_for().unwrap() < Duration::from_secs(60));
    }
}
