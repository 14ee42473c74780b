//! What the plugin does in a life, in the order in which it happens. How much of that is kept is bounded.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Uri};
use soloist_core::clock::{self, Moment};
use soloist_core::schedule::Time;
use tokio::sync::Notify;

/// How much is kept of a life, in bytes: of the plugin's calls, its requests and its writes, and in its state.
pub(super) const KEPT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// All entries of a state.
pub(super) type Entries = BTreeMap<String, Vec<u8>>;

/// A slot of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlotId {
    pub(super) schedule: String,
    pub(super) at: Time,
}

/// Something that the plugin has done, or that happened to it.
#[derive(Clone, Debug)]
pub(super) struct Act {
    /// The call that was made last, counted from 1.
    pub(super) call: u64,
    pub(super) moment: Moment,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    TermBegan,
    TermEnded,
    /// The failover that is tried.
    Struck,
    /// The plugin has asked for a slot, or is about to complete one: the record of the schedule was read.
    Asked(String),
    Claimed(SlotId),
    Completed(SlotId),
    Wrote(Written),
    Sent(Made),
}

/// A key of the state that was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) key: String,
    /// The fingerprint of the value; `None` if it was deleted.
    pub(super) value: Option<u64>,
    /// Whether that was done together with the completion of a slot.
    pub(super) with_slot: bool,
}

/// A request that the plugin has made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) method: Method,
    pub(super) url: Uri,
    /// The fingerprint of its body.
    pub(super) body: u64,
    pub(super) idempotency_key: Option<Bytes>,
    pub(super) has_token: bool,
    /// Whether the script has an answer for it.
    pub(super) is_answered: bool,
    /// Whether that answer says that it was done.
    pub(super) is_done: bool,
    /// The schedules whose last slot it names.
    pub(super) names: Vec<String>,
}

impl Made {
    /// Whether it may change something at the server.
    pub(super) fn has_effect(&self) -> bool {
        ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.method)
    }

    /// Whether it may change more when it is sent again: HTTP says that PUT and DELETE do not.
    pub(super) fn adds_up(&self) -> bool {
        self.has_effect() && ![Method::PUT, Method::DELETE].contains(&self.method)
    }
}

/// Tells one value from another.
pub(super) fn fingerprint(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Keeps what the plugin does.
#[derive(Debug)]
pub(super) struct Recorder {
    bytes_max: usize,
    /// Woken when no more is kept: the life has to end.
    pub(super) full: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    begun: u64,
    kept: Kept,
    /// The slot of each schedule that was claimed last.
    claimed: BTreeMap<String, Time>,
    bytes: usize,
    state_bytes: usize,
    is_full: bool,
}

/// What was kept of a life.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// The group of imports of each call.
    pub(super) imports: Vec<&'static str>,
    pub(super) states: Vec<State>,
    pub(super) acts: Vec<Act>,
}

/// A state that was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) fingerprint: u64,
    /// When it came to be.
    since: Moment,
    /// Whether anything rests on it: a term began or ended.
    rests: bool,
}

impl Kept {
    pub(super) fn made(&self) -> impl Iterator<Item = &Made> {
        self.acts.iter().filter_map(|act| match &act.what {
            What::Sent(made) => Some(made),
            _ => None,
        })
    }
}

impl Recorder {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            full: Notify::new(),
            inner: Mutex::default(),
        }
    }

    /// A call begins; gives its number.
    pub(super) fn begin(&self) -> u64 {
        let mut inner = self.lock();
        inner.begun += 1;
        inner.begun
    }

    /// A call is done; gives its number.
    pub(super) fn done(&self, import: &'static str) -> u64 {
        let mut inner = self.lock();
        if self.has_room(&mut inner, size_of::<&str>()) {
            inner.kept.imports.push(import);
        }
        inner.begun
    }

    /// Notes that something has happened.
    pub(super) fn note(&self, what: What) {
        let mut inner = self.lock();
        let more = match &what {
            What::TermBegan | What::TermEnded | What::Struck => 0,
            What::Asked(schedule) => schedule.len(),
            What::Claimed(slot) | What::Completed(slot) => slot.schedule.len(),
            What::Wrote(written) => written.key.len(),
            What::Sent(made) => {
                let key = made.idempotency_key.as_ref().map_or(0, Bytes::len);
                let names: usize = made.names.iter().map(String::len).sum();
                made.url.to_string().len() + key + names
            }
        };
        if !self.has_room(&mut inner, size_of::<Act>() + more) {
            return;
        }
        if let What::Claimed(slot) = &what {
            inner.claimed.insert(slot.schedule.clone(), slot.at);
        }
        let (call, moment) = (inner.begun, clock::now());
        inner.kept.acts.push(Act { call, moment, what });
    }

    /// Notes the state as it is now.
    pub(super) fn look(&self, fingerprint: u64, state_bytes: usize) {
        let now = clock::now();
        let mut inner = self.lock();
        inner.state_bytes = state_bytes;
        match inner.kept.states.last_mut() {
            Some(last) if last.fingerprint == fingerprint => {}
            // Whatever is followed by another state at the same moment was on the way to it.
            Some(last) if !last.rests && last.since == now => last.fingerprint = fingerprint,
            _ => {
                if self.has_room(&mut inner, size_of::<State>()) {
                    inner.kept.states.push(State {
                        fingerprint,
                        since: now,
                        rests: false,
                    });
                }
            }
        }
    }

    /// A term begins or ends with the state that was seen last.
    pub(super) fn rest(&self) {
        if let Some(last) = self.lock().kept.states.last_mut() {
            last.rests = true;
        }
    }

    /// The slots that were claimed last, each with its schedule.
    pub(super) fn claimed(&self) -> Vec<(String, Time)> {
        self.lock().claimed.clone().into_iter().collect()
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> usize {
        self.lock().kept.made().count()
    }

    /// Whether the plugin has made a call of that group.
    pub(super) fn has_called(&self, import: &str) -> bool {
        self.lock().kept.imports.contains(&import)
    }

    /// The first request that nothing answered.
    pub(super) fn unanswered(&self) -> Option<Made> {
        let inner = self.lock();
        inner.kept.made().find(|made| !made.is_answered).cloned()
    }

    /// Whether no more is kept.
    pub(super) fn is_full(&self) -> bool {
        self.lock().is_full
    }

    /// What was kept, which is kept no longer.
    pub(super) fn take(&self) -> Kept {
        std::mem::take(&mut self.lock().kept)
    }

    fn has_room(&self, inner: &mut Inner, more: usize) -> bool {
        inner.bytes = inner.bytes.saturating_add(more);
        let all = inner.bytes.saturating_add(inner.state_bytes);
        if all > self.bytes_max && !inner.is_full {
            inner.is_full = true;
            self.full.notify_one();
        }
        !inner.is_full
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nobody panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrote(bytes: usize) -> What {
        What::Wrote(Written {
            key: "k".repeat(bytes),
            value: None,
            with_slot: false,
        })
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let recorder = Recorder::new(10_000);
        for _ in 0..100_000 {
            recorder.begin();
            recorder.done("state");
            recorder.note(wrote(100));
        }
        assert!(recorder.is_full());
        let kept = recorder.take();
        assert!(kept.acts.len() * (size_of::<Act>() + 100) <= 10_000);
        assert!(kept.acts.len() > 10, "{}", kept.acts.len());
    }

    #[test]
    fn a_large_state_takes_room_as_well() {
        let recorder = Recorder::new(10_000);
        recorder.look(1, 9_000);
        recorder.note(wrote(100));
        assert!(!recorder.is_full());
        recorder.look(2, 10_000);
        recorder.note(wrote(100));
        assert!(recorder.is_full());
        assert_eq!(recorder.take().acts.len(), 1);
    }
}
