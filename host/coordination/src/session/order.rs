//! Whether an operator has drained this host. The order is a node: the host reads it before it stands for anything in a session,
//! watches it, and reads it again after each reconnection.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use zookeeper_client::{Error, OneshotWatcher};

use super::drain::Drain;
use super::keeper::Keeper;
use super::view::Session;
use crate::error::{Doing, NodeError};
use soloist_core::backoff::Backoff;
use soloist_core::event::{About, Event, chain};
use soloist_core::records::{self, DrainOrder, DrainProgress, FormatError};

/// The pause before the order is read again after it could not be; it doubles up to [`RETRY_MAX`] while that stays so.
const RETRY: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Whether a host is drained cannot be known.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    /// The ensemble does not let the host read the order, or does not answer.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Something else stands in its place.
    #[error("{path}: {source}")]
    Format { path: String, source: FormatError },
}

impl Keeper {
    /// Reads whether this host is drained, before anybody stands in the session. What cannot be read is left as it was:
    /// [`Keeper::follow_drain`] says so, and tries again.
    pub(super) async fn read_drain(&self, session: &Session) -> Result<(), NodeError> {
        match self.drain_order(session).await {
            Ok(drain) => self.set_drain(drain),
            Err(Unknown::Node(error)) if error.may_pass() => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Follows whether this host is drained, for as long as the session lasts.
    pub(super) async fn follow_drain(&self, session: &Session) {
        let path = self.drain_path();
        let mut view = self.view.subscribe();
        let mut pauses = Backoff::new(RETRY, RETRY_MAX);
        let mut told = None;
        loop {
            let reconnects = view.borrow_and_update().reconnects;
            // Whoever may not read a node may watch it.
            let (read, watcher) = match session.client.check_and_watch_stat(&path).await {
                Ok((_, watcher)) => (self.drain_order(session).await, Some(watcher)),
                Err(error) => (Err(reading(&path)(error).into()), None),
            };
            let mut retry = None;
            match read {
                Ok(drain) => {
                    pauses.reset();
                    told = None;
                    self.set_drain(drain);
                }
                // The end of the connection is reported elsewhere.
                Err(Unknown::Node(error)) if error.may_pass() => retry = Some(RETRY),
                Err(error) => {
                    let text = format!(
                        "whether this host is drained cannot be known, so all goes on as before: {}",
                        chain(&error)
                    );
                    // Another one may have taken its place before the host has seen that it was gone.
                    if self.is_first() && told.as_ref() != Some(&text) {
                        self.about().report(&Event::session_error(&*text));
                        told = Some(text);
                    }
                    // A node that is deleted fires the watch; one whose ACL is changed does not.
                    retry = Some(pauses.step());
                }
            }
            tokio::select! {
                () = fired(watcher) => {}
                () = elapsed(retry) => {}
                // The sender lives as long as the keeper.
                _ = view.wait_for(|view| view.reconnects != reconnects) => {}
            }
        }
    }

    /// Says once for each order that the host is empty, until the keeper is gone.
    pub(super) fn tell_when_empty(&self) -> impl Future<Output = ()> + use<> {
        let mut view = self.view.subscribe();
        async move {
            let mut present = view.borrow().presence.changes();
            let mut told = None;
            loop {
                let progress = view.borrow_and_update().drain_progress();
                if let Some(DrainProgress { order, empty: true }) = progress
                    && told.replace(order) != Some(order)
                {
                    About::Session.report(&Event::HostDrained);
                }
                tokio::select! {
                    changed = view.changed() => if changed.is_err() {
                        return;
                    },
                    // The view holds the sender.
                    _ = present.changed() => {}
                }
            }
        }
    }

    async fn drain_order(&self, session: &Session) -> Result<Option<Drain>, Unknown> {
        let path = self.drain_path();
        let (data, stat) = match session.client.get_data(&path).await {
            Ok(read) => read,
            Err(Error::NoNode) => return Ok(None),
            Err(error) => return Err(reading(&path)(error).into()),
        };
        let zxid = stat.mzxid.unsigned_abs();
        match DrainOrder::decode(&data) {
            Ok(order) => Ok(Some(Drain { order, zxid })),
            Err(source) => Err(Unknown::Format { path, source }),
        }
    }

    fn drain_path(&self) -> String {
        records::drain_path(&self.settings.ensemble.root, &self.settings.host)
    }

    /// Tells the contenders, and the world, if that is new.
    fn set_drain(&self, drain: Option<Drain>) {
        let is_new = self.view.send_if_modified(|view| {
            let is_new = view.drain.as_deref() != drain.as_ref();
            if is_new {
                view.drain = drain.clone().map(Arc::new);
            }
            is_new
        });
        match drain {
            // That is said once, and not for each session.
            _ if !is_new || !self.is_first() => {}
            Some(Drain { order, .. }) => self.about().report(&Event::HostDraining {
                by: order.by,
                reason: order.reason,
                keep: order.keep,
            }),
            None => self.about().report(&Event::HostUndrained),
        }
    }
}

fn reading(path: &str) -> impl Fn(Error) -> NodeError + Copy {
    NodeError::at(Doing::Read, path)
}

async fn fired(watcher: Option<OneshotWatcher>) {
    match watcher {
        Some(watcher) => drop(watcher.changed().await),
        None => pending().await,
    }
}

async fn elapsed(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => pending().await,
    }
}
