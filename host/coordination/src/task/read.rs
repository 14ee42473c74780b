//! Reads and watches who holds the master node.

use futures::TryFutureExt;
use futures::future::try_join4;

use super::{HistorySnapshot, TaskError, TaskNodes, none_if_missing};
use crate::error::{Doing, NodeError};
use crate::watches::WatchSet;
use soloist_core::election::Holder;
use soloist_core::records::{self, TermRecord};

/// Who holds the master node, as read.
#[derive(Debug)]
pub struct MasterSnapshot {
    /// The holder.
    pub holder: Holder,
    /// The term record, if this session leads the term.
    pub record: Option<TermRecord>,
    /// The terms before, if this session leads the term.
    pub kept: Option<HistorySnapshot>,
    /// Watches on what was read; none if nobody holds the master node.
    pub watches: Option<WatchSet>,
}

impl TaskNodes {
    /// Whether anybody holds the master node.
    pub async fn is_held(self) -> Result<bool, TaskError> {
        let master = self.session.client().check_stat(&self.paths.master).await;
        let master = master.map_err(NodeError::at(Doing::ReadMaster, &self.paths.master))?;
        Ok(master.is_some())
    }

    /// Reads who holds the master node, and watches that node. If this session holds it, the term record and the candidate
    /// `own` are watched as well, because the term ends when one of them is deleted. The history is read for that end.
    pub async fn read_master(self, own: Option<String>) -> Result<MasterSnapshot, TaskError> {
        let client = self.session.client();
        let read = try_join4(
            client
                .get_and_watch_data(&self.paths.master)
                .map_ok(Some)
                .or_else(none_if_missing),
            client
                .get_and_watch_data(&self.paths.term)
                .map_ok(Some)
                .or_else(none_if_missing),
            self.watch_candidate(own),
            client
                .get_data(&self.paths.history)
                .map_ok(Some)
                .or_else(none_if_missing),
        );
        let (master, term, place, history) = read
            .await
            .map_err(NodeError::at(Doing::ReadMaster, &self.paths.master))?;
        let held = |holder, watchers: Vec<_>| MasterSnapshot {
            holder,
            record: None,
            kept: None,
            watches: Some(WatchSet::new(watchers)),
        };
        let Some((data, stat, master)) = master else {
            return Ok(MasterSnapshot {
                holder: Holder::Nobody,
                record: None,
                kept: None,
                watches: None,
            });
        };
        if !records::is_session(stat.ephemeral_owner) {
            return Err(TaskError::Unowned {
                path: self.paths.master.clone(),
            });
        }
        if stat.ephemeral_owner != self.session.id() {
            return Ok(held(
                Holder::Other(records::holder_name(&data, stat.ephemeral_owner)),
                vec![master],
            ));
        }
        match (term, place) {
            (_, None) => Ok(held(Holder::MeWithoutPlace, vec![master])),
            (Some((record, record_stat, term)), Some(place)) if record_stat.mzxid == stat.czxid => {
                let (kept, record) = TermRecord::read(&record, record_stat.version);
                let holder = Holder::Me(self.term(record.number, &record_stat));
                let history = history.map(HistorySnapshot::read);
                Ok(MasterSnapshot {
                    holder,
                    record: Some(kept),
                    kept: history,
                    watches: Some(WatchSet::new(vec![master, term, place])),
                })
            }
            _ => Ok(held(Holder::MeWithoutTerm, vec![master])),
        }
    }
}
