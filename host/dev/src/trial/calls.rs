//! The calls of the plugin to its host, and the one at which a failover strikes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};

use soloist_core::clock::{self, Moment};
use soloist_core::term::Demotion;
use soloist_runtime::activation::Activation;
use soloist_sandbox::ObserveCalls;
use tokio::sync::Notify;

use crate::testbed::Memory;

/// What happens to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strike {
    /// The host dies: another is elected when its session has timed out.
    Kill,
    /// The plugin is stopped by force, and another host is elected at once.
    Revoke,
    /// The host is stopped in good order: the plugin is demoted, and another host is elected.
    Demote,
}

/// A call of the plugin, and what happens there to its leader: written like `17:kill` or `17:demote-after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The call, counted from 1.
    pub(super) call: u64,
    pub(super) strike: Strike,
    /// Whether the call has been done, and its answer never arrives.
    pub(super) is_after: bool,
}

impl Point {
    const KINDS: [(&'static str, Strike, bool); 6] = [
        ("kill", Strike::Kill, false),
        ("kill-after", Strike::Kill, true),
        ("revoke", Strike::Revoke, false),
        ("revoke-after", Strike::Revoke, true),
        ("demote", Strike::Demote, false),
        ("demote-after", Strike::Demote, true),
    ];

    /// All there are at a call.
    pub(super) fn at(call: u64) -> impl Iterator<Item = Self> {
        Self::KINDS
            .into_iter()
            .map(move |(_, strike, is_after)| Self {
                call,
                strike,
                is_after,
            })
    }

    fn kind(self) -> &'static str {
        let is_it = |(_, strike, is_after): &&(_, Strike, bool)| {
            *strike == self.strike && *is_after == self.is_after
        };
        Self::KINDS.iter().find(is_it).map_or("", |(name, ..)| name)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.call, self.kind())
    }
}

/// A text is no [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write CALL:KIND, like 17:kill, where KIND is kill, revoke or demote, or one of these with -after, like kill-after"
)]
pub struct BadPoint;

impl FromStr for Point {
    type Err = BadPoint;

    fn from_str(text: &str) -> Result<Self, BadPoint> {
        let (call, kind) = text.split_once(':').ok_or(BadPoint)?;
        let call: u64 = call.parse().map_err(|_| BadPoint)?;
        let found = Self::at(call).find(|point| point.kind() == kind);
        found.filter(|_| call > 0).ok_or(BadPoint)
    }
}

/// All entries of a state.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// Counts the calls of a life, keeps the states between them, and strikes at one of them.
#[derive(Debug)]
pub(super) struct Calls {
    memory: Arc<Memory>,
    at: Option<Point>,
    /// Woken when the failover has struck.
    pub(super) struck: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    leader: Option<Arc<Activation>>,
    /// The group of imports of each call so far.
    imports: Vec<&'static str>,
    begun: u64,
    has_struck: bool,
    /// Each state that was seen, the moment at which it came to be, and whether anything rests on it: a term began or ended.
    states: Vec<(Moment, bool, Entries)>,
}

impl Calls {
    pub(super) fn new(memory: Arc<Memory>, at: Option<Point>) -> Self {
        Self {
            memory,
            at,
            struck: Notify::new(),
            inner: Mutex::default(),
        }
    }

    /// Who leads now, if anybody does.
    pub(super) fn led_by(&self, leader: Option<Arc<Activation>>) {
        self.lock().leader = leader;
    }

    /// Notes the state with which a term begins or ends.
    pub(super) fn rest(&self) {
        self.look();
        if let Some((_, rests, _)) = self.lock().states.last_mut() {
            *rests = true;
        }
    }

    /// Notes the state as it is now.
    fn look(&self) {
        let now = clock::now();
        let entries = self.memory.entries();
        let mut inner = self.lock();
        match inner.states.last_mut() {
            Some((.., last)) if *last == entries => {}
            // Whatever is followed by another state at the same moment was on the way to it.
            Some((moment, false, last)) if *moment == now => *last = entries,
            _ => inner.states.push((now, false, entries)),
        }
    }

    /// The states in which the plugin has let time pass.
    pub(super) fn states(&self) -> Vec<Entries> {
        let states = std::mem::take(&mut self.lock().states);
        states.into_iter().map(|(.., entries)| entries).collect()
    }

    /// The group of imports of every call so far.
    pub(super) fn imports(&self) -> Vec<&'static str> {
        self.lock().imports.clone()
    }

    pub(super) fn has_struck(&self) -> bool {
        self.lock().has_struck
    }

    fn strike(&self, call: u64, is_after: bool) {
        let Some(point) = self.at else { return };
        let leader = {
            let mut inner = self.lock();
            if inner.has_struck || point.call != call || point.is_after != is_after {
                return;
            }
            inner.has_struck = true;
            inner.leader.clone()
        };
        if let Some(leader) = leader {
            match point.strike {
                Strike::Kill | Strike::Revoke => leader.revoke(),
                Strike::Demote => leader.demote(Demotion::Shutdown),
            }
        }
        self.struck.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nobody panics while it holds the lock")
    }
}

impl ObserveCalls for Calls {
    fn before(&self) {
        let call = {
            let mut inner = self.lock();
            inner.begun += 1;
            inner.begun
        };
        self.strike(call, false);
    }

    fn after(&self, import: &'static str) {
        if ["state", "schedule"].contains(&import) {
            self.look();
        }
        let call = {
            let mut inner = self.lock();
            inner.imports.push(import);
            inner.begun
        };
        self.strike(call, true);
    }
}
