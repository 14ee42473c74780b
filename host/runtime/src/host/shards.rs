//! A host's sessions: as many as its tasks need.
//!
//! Each is a shard: it has a keeper, and with it a lease and heartbeats of its own, and some of the tasks. When one is lost, its
//! tasks alone are demoted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::HostError;
use super::seats::{FIRST, Left, Seats};
use soloist_coordination::connect::SessionSettings;
use soloist_coordination::session::{GaveUp, Keeper, SessionEnd, Siblings, View};
use soloist_core::placement::HostLoad;
use soloist_core::records::{WATCHED_BYTES_MAX, drain_path, manifests_path};

/// The sessions of a host, and which task is in which.
#[derive(Debug)]
pub(super) struct Shards {
    siblings: Siblings,
    seats: Seats,
    open: BTreeMap<u32, Shard>,
    /// Those that nobody needs any more, until they are closed.
    closing: BTreeMap<u32, oneshot::Receiver<()>>,
    keepers: JoinSet<(u32, Result<(), GaveUp>)>,
    /// How the first has ended, if it has ended by itself.
    ended: Option<Result<(), HostError>>,
    load: watch::Sender<Option<HostLoad>>,
}

/// A session, or the lack of one for a while.
#[derive(Debug)]
struct Shard {
    view: watch::Receiver<View>,
    demote_timeout: watch::Sender<Duration>,
    end: oneshot::Sender<SessionEnd>,
    closed: oneshot::Receiver<()>,
}

impl Shards {
    /// The first session.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub(super) fn start(settings: SessionSettings) -> Self {
        let ensemble = &settings.ensemble;
        // Each session watches whether the host is drained, and the first what is deployed.
        let of_host = [
            drain_path(&ensemble.root, &settings.host),
            manifests_path(&ensemble.root),
        ];
        let of_host = of_host
            .iter()
            .map(|path| ensemble.chroot.len() + path.len());
        let bytes_max = WATCHED_BYTES_MAX.saturating_sub(of_host.sum());
        let (keeper, view) = Keeper::new(settings);
        let mut shards = Self {
            siblings: keeper.siblings(),
            seats: Seats::new(bytes_max),
            open: BTreeMap::new(),
            closing: BTreeMap::new(),
            keepers: JoinSet::new(),
            ended: None,
            load: keeper.load(),
        };
        shards.keep(FIRST, keeper, view);
        shards
    }

    /// Sets what the host says of itself with the heartbeats of its first session.
    pub(super) fn load(&self) -> watch::Sender<Option<HostLoad>> {
        self.load.clone()
    }

    /// Where the first session is, which stands for the host.
    pub(super) fn first(&self) -> &watch::Receiver<View> {
        &self.open[&FIRST].view
    }

    /// Where the session is that the task is in, for as long as it needs it. It is needed until it has [left](Self::leave) as
    /// often as it has come. Its watches take so many bytes.
    pub(super) fn come(&mut self, task: &Arc<str>, bytes: usize) -> watch::Receiver<View> {
        let number = self.seats.come(task, bytes);
        if !self.open.contains_key(&number) {
            let (keeper, view) = self.siblings.keeper(number);
            self.keep(number, keeper, view);
        }
        self.open[&number].view.clone()
    }

    /// The task needs its session once less.
    pub(super) fn leave(&mut self, task: &str) {
        let Left::Empty(number) = self.seats.leave(task) else {
            return;
        };
        if let Some(Shard { end, closed, .. }) = self.open.remove(&number) {
            let _ = end.send(SessionEnd::Close);
            self.closing.insert(number, closed);
        }
    }

    /// The demotion of a task takes so long now, instead of what was said before.
    pub(super) fn demotion(&mut self, task: &str, before: Option<Duration>, now: Option<Duration>) {
        let Some((number, longest)) = self.seats.demotion(task, before, now) else {
            return;
        };
        if let Some(shard) = self.open.get(&number) {
            shard.demote_timeout.send_replace(longest);
        }
    }

    /// Resolves when the host can have no first session any more, or a keeper has panicked. After that it never does.
    ///
    /// # Cancellation safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn ended(&mut self) {
        while self.ended.is_none() {
            match self.keepers.join_next().await {
                Some(ended) => self.keeper_ended(ended),
                None => break,
            }
        }
    }

    /// Whether [`Shards::ended`] has resolved.
    pub(super) fn have_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Closes all sessions; that of the task `stuck`, which cannot be given back, is left to expire.
    ///
    /// # Errors
    /// The first session has ended by itself before, or a keeper has panicked.
    pub(super) async fn end(mut self, stuck: Option<&str>) -> Result<(), HostError> {
        let expires = stuck.and_then(|task| self.seats.session_of(task));
        for (number, shard) in std::mem::take(&mut self.open) {
            let end = if Some(number) == expires {
                SessionEnd::Expire
            } else {
                SessionEnd::Close
            };
            // Whoever holds a session keeps it open.
            drop(shard.view);
            let _ = shard.end.send(end);
        }
        while let Some(ended) = self.keepers.join_next().await {
            self.keeper_ended(ended);
        }
        self.ended.unwrap_or(Ok(()))
    }

    fn keep(&mut self, number: u32, keeper: Keeper, view: watch::Receiver<View>) {
        let demote_timeout = keeper.demote_timeout();
        let (end, ends) = oneshot::channel();
        let (is_closed, closed) = oneshot::channel();
        let before = self.closing.remove(&number);
        self.keepers.spawn(async move {
            if let Some(before) = before {
                // That one had the same node. It says nothing, but goes away.
                let _ = before.await;
            }
            let kept = keeper
                .run(async { ends.await.unwrap_or(SessionEnd::Close) })
                .await;
            drop::<oneshot::Sender<()>>(is_closed);
            (number, kept)
        });
        let shard = Shard {
            view,
            demote_timeout,
            end,
            closed,
        };
        self.open.insert(number, shard);
    }

    fn keeper_ended(&mut self, ended: Result<(u32, Result<(), GaveUp>), JoinError>) {
        let ended = match ended {
            Ok((FIRST, kept)) => kept.map_err(HostError::from),
            // A further one ends only when nobody needs it.
            Ok(_) => return,
            Err(panicked) => Err(HostError::Panicked(panicked)),
        };
        match &self.ended {
            Some(Err(_)) => {}
            _ => self.ended = Some(ended),
        }
    }
}
