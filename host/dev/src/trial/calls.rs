//! The calls of the plugin to its host, and the one at which a failover strikes.

use std::sync::{Arc, Mutex, MutexGuard};

use soloist_core::term::Demotion;
use soloist_runtime::activation::Activation;
use soloist_sandbox::ObserveCalls;
use tokio::sync::Notify;

use super::point::{Point, Strike};
use super::recorder::{Recorder, What};
use crate::testbed::Memory;

/// Counts the calls of a life, looks at the state between them, and strikes at one of them.
#[derive(Debug)]
pub(super) struct Calls {
    memory: Arc<Memory>,
    recorder: Arc<Recorder>,
    at: Option<Point>,
    /// Woken when the failover has struck.
    pub(super) struck: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    leader: Option<Arc<Activation>>,
    has_struck: bool,
}

impl Calls {
    pub(super) fn new(memory: Arc<Memory>, recorder: Arc<Recorder>, at: Option<Point>) -> Self {
        Self {
            memory,
            recorder,
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
        self.recorder.rest();
    }

    fn look(&self) {
        let (fingerprint, bytes) = self.memory.fingerprint();
        self.recorder.look(fingerprint, bytes);
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
        self.recorder.note(What::Struck);
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
        let call = self.recorder.begin();
        if self.recorder.is_full()
            && let Some(leader) = self.lock().leader.take()
        {
            leader.revoke();
        }
        self.strike(call, false);
    }

    fn after(&self, import: &'static str) {
        if ["state", "schedule"].contains(&import) {
            self.look();
        }
        let call = self.recorder.done(import);
        self.strike(call, true);
    }
}
