//! Which of this host's terms are handed to whom, by the rules of [`soloist_core::placement`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::mpsc;
use soloist_core::records::TaskPaths;
use tokio::sync::watch;

use crate::contender::{ContenderHandle, Status, Work};
use crate::duties::HandOver;

mod mover;

pub use mover::Mover;

/// The contenders of a host, for whoever decides where their tasks are led.
#[derive(Clone, Debug, Default)]
pub struct Members(Arc<Mutex<BTreeMap<Arc<str>, Member>>>);

/// One of them.
#[derive(Clone, Debug)]
struct Member {
    paths: Arc<TaskPaths>,
    status: watch::Receiver<Status>,
    works: watch::Receiver<Arc<Work>>,
    orders: mpsc::UnboundedSender<HandOver>,
}

impl Members {
    /// Notes a contender. It is forgotten when it has ended.
    pub fn enter(&self, task: &Arc<str>, handle: &ContenderHandle, paths: &Arc<TaskPaths>) {
        let member = Member {
            paths: Arc::clone(paths),
            status: handle.status(),
            works: handle.works(),
            orders: handle.orders(),
        };
        let members = self.0.lock();
        let mut members = members.unwrap_or_else(PoisonError::into_inner);
        members.insert(Arc::clone(task), member);
    }

    /// Those that have not ended.
    fn all(&self) -> Vec<(Arc<str>, Member)> {
        let members = self.0.lock();
        let mut members = members.unwrap_or_else(PoisonError::into_inner);
        members.retain(|_, member| member.status.has_changed().is_ok());
        let members = members.iter();
        members
            .map(|(task, member)| (Arc::clone(task), member.clone()))
            .collect()
    }
}
