//! Watches on what was read: each says once that something has changed, or that the session has ended.

use std::fmt;
use std::future::pending;

use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use zookeeper_client::{OneshotWatcher, WatchedEvent};

/// Watches that were set together. There is at least one.
#[derive(Debug)]
pub struct WatchSet(Vec<OneshotWatcher>);

/// Those of a set that have not fired.
type Unfired = Vec<BoxFuture<'static, WatchedEvent>>;

impl WatchSet {
    /// The watches that `watchers` are, of which there is at least one.
    pub(crate) fn new(watchers: Vec<OneshotWatcher>) -> Self {
        debug_assert!(!watchers.is_empty(), "nothing would ever fire");
        Self(watchers)
    }

    /// Waits until one of the watches has fired, and lets go of the others.
    pub async fn fired(self) {
        drop(self.unfired().await);
    }

    /// Waits until one of the watches has fired; gives the others.
    fn unfired(self) -> BoxFuture<'static, Unfired> {
        let changes = self.0.into_iter().map(|watcher| watcher.changed().boxed());
        select_all(changes).map(|(_, _, rest)| rest).boxed()
    }
}

/// What one contender watches: one set counts at a time.
///
/// A watch of no more interest is not let go of at once. That is a request of its own, and whatever the contender asks for
/// next would wait behind it. So retired watches are kept until new ones are set, which is when nothing is urgent.
#[derive(Default)]
pub struct Watches {
    current: Option<BoxFuture<'static, Unfired>>,
    retired: Vec<Box<dyn Send>>,
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches")
            .field("watching", &self.current.is_some())
            .field("retired", &self.retired.len())
            .finish()
    }
}

impl Watches {
    /// Makes `set` the one that counts, and lets go of all others.
    pub fn set(&mut self, set: WatchSet) {
        self.retired.clear();
        self.current = Some(set.unfired());
    }

    /// The set that counts is of no more interest.
    pub fn retire(&mut self) {
        if let Some(current) = self.current.take() {
            self.keep(current);
        }
    }

    /// Lets go of all watches, when nothing is urgent.
    pub fn let_go(&mut self) {
        self.current = None;
        self.retired.clear();
    }

    /// Keeps `holder`, which holds a watch of no more interest, for as long as retired watches are kept.
    pub fn keep(&mut self, holder: impl Send + 'static) {
        self.retired.push(Box::new(holder));
    }

    /// Waits until a watch of the set that counts has fired, and retires the others; for ever, if no set counts.
    ///
    /// # Cancellation safety
    /// Dropped before it has returned, it has changed nothing.
    pub async fn fired(&mut self) {
        let Some(current) = &mut self.current else {
            return pending().await;
        };
        let unfired = current.await;
        self.current = None;
        self.keep(unfired);
    }
}
