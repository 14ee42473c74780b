//! A clock that moves when the test says so.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Time in nanoseconds since the harness was made, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now: Cell<u64>,
    last_id: Cell<u64>,
    /// By the time that is waited for, then in the order in which the waiting began.
    waiting: RefCell<BTreeMap<(u64, u64), Waker>>,
}

/// Takes its entry off the clock when the wait is over or dropped.
struct Entry<'a> {
    clock: &'a Clock,
    key: (u64, u64),
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.clock.waiting.borrow_mut().remove(&self.key);
    }
}

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Waits until the clock shows `deadline`.
    pub(super) async fn wait_until(&self, deadline: u64) {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let entry = Entry {
            clock: self,
            key: (deadline, id),
        };
        poll_fn(|context| {
            if self.now() >= deadline {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            self.waiting.borrow_mut().insert(entry.key, waker);
            Poll::Pending
        })
        .await;
    }

    /// Moves the clock to the next time that anybody waits for, if that is not after `until`. Says whether it did.
    pub(super) fn step(&self, until: u64) -> bool {
        let next = self.waiting.borrow().keys().next().map(|key| key.0);
        let Some(next) = next.filter(|next| *next <= until) else {
            return false;
        };
        self.set(next);
        true
    }

    /// Moves the clock on to `time`, and wakes who waited for that.
    pub(super) fn set(&self, time: u64) {
        self.now.set(time.max(self.now()));
        let due: Vec<Waker> = {
            let waiting = self.waiting.borrow();
            let due = waiting.range(..=(self.now(), u64::MAX));
            due.map(|(_, waker)| waker.clone()).collect()
        };
        due.into_iter().for_each(Waker::wake);
    }
}
