//! The end of a term, as it is written.

use futures::TryFutureExt;
use futures::future::{try_join, try_join3};
use zookeeper_client::{CreateMode, Error, Stat};

use super::{HistorySnapshot, MASTER_VERSION, TaskError, TaskNodes, none_if_missing};
use crate::error::{Doing, NodeError};
use soloist_core::election::RELEASE_WRITES;
use soloist_core::records::{self, Completion, End, TermEntry, TermRecord};
use soloist_core::term::Term;

/// How often a release is tried against nodes that change under it.
pub(super) const RELEASE_ATTEMPTS: usize = 5;

/// A term that has ended on this host, and what the host writes about it.
#[derive(Clone, Debug)]
pub struct TermEnding {
    /// The term.
    pub term: Term,
    /// Its record, given back.
    pub record: TermRecord,
    /// Whether this record tells of a completion that the record before did not tell of.
    pub completes: bool,
    /// Its entry in the history.
    pub entry: TermEntry,
    /// The history, if the host has read it in this term. No other host writes the history while the term lasts.
    pub kept: Option<HistorySnapshot>,
}

impl TermEnding {
    /// A term that ended by `end`. `successor` follows, if that host stands. `done` names what the plugin has completed in the
    /// term, of what is to be done once. `record` and `kept` are the term record and the history as the host read them in the
    /// term.
    pub fn new(
        term: Term,
        record: Option<TermRecord>,
        kept: Option<HistorySnapshot>,
        end: End,
        successor: Option<String>,
        done: Option<&str>,
    ) -> Self {
        let record = record.unwrap_or_else(TermRecord::before_the_first);
        let entry = record.term.clone().ended(term.fencing_token.0, end);
        let released = record.released(successor);
        Self {
            term,
            record: match done {
                Some(what) => released.completing(what),
                None => released,
            },
            completes: done.is_some(),
            entry,
            kept,
        }
    }
}

/// What a session holds in a task, as it was read.
pub(super) struct OwnNodes {
    /// The master node, if the session owns it.
    pub(super) master: Option<Stat>,
    /// The term record, and the node's state: the transaction that last changed it is the token of the term.
    pub(super) record: Option<(TermRecord, Stat)>,
    pub(super) kept: Option<HistorySnapshot>,
    pub(super) candidates: Vec<String>,
}

/// What a release writes besides deleting the candidates. The candidates fence it: their names carry the session, and they
/// are gone if somebody has deleted the task's nodes, so a release never writes to a task that was made anew.
pub(super) struct Writes<'a> {
    /// The version of the master node, if it is to be deleted.
    pub(super) master: Option<i32>,
    /// The term to be recorded as released. None if the record is of another term by now.
    pub(super) record: Option<&'a TermEnding>,
    /// The version that the term record still has to have, if it is not written: nobody was elected since it was read.
    pub(super) unchanged: Option<i32>,
    /// The term to be added to the history, and that.
    pub(super) history: Option<(&'a TermEnding, Option<&'a HistorySnapshot>)>,
}

impl Writes<'_> {
    fn is_nothing(&self) -> bool {
        self.master.is_none() && self.record.is_none() && self.history.is_none()
    }
}

impl TaskNodes {
    /// Gives back the places in the queue that this session is known to have, by its `candidates` as last seen, for one that
    /// holds nothing else and is about to be closed. One request, as a rule: ten thousand standbys may leave at once.
    pub async fn leave_queue(self, candidates: Vec<String>) -> Result<(), TaskError> {
        let nothing = Writes {
            master: None,
            record: None,
            unchanged: None,
            history: None,
        };
        if !candidates.is_empty() && self.write_release(nothing, &candidates).await.is_ok() {
            return Ok(());
        }
        self.release(None, candidates).await.map(drop)
    }

    /// Gives back all that this session holds in the task. `candidates` are its candidates as last seen, `ended` a term of this
    /// host. Says whether the end of that term is written, as far as the host knows: it is not if another client has changed
    /// the term record before.
    pub async fn release(
        self,
        ended: Option<TermEnding>,
        candidates: Vec<String>,
    ) -> Result<bool, TaskError> {
        let release_error = NodeError::at(Doing::Release, &self.paths.master);
        // The usual case takes one request.
        if let Some(
            ended @ TermEnding {
                kept: Some(kept), ..
            },
        ) = &ended
            && !candidates.is_empty()
        {
            let master = Some(MASTER_VERSION);
            let writes = Writes {
                master,
                record: Some(ended),
                unchanged: None,
                history: Some((ended, Some(kept))),
            };
            if self.write_release(writes, &candidates).await.is_ok() {
                return Ok(true);
            }
        }
        let mut last = Error::NodeExists;
        for _ in 0..RELEASE_ATTEMPTS {
            let own = self.read_own().await.map_err(release_error)?;
            let writes = own.writes(ended.as_ref());
            // An earlier attempt may have written it, and its answer was lost.
            let recorded = writes.record.is_some()
                || ended.as_ref().is_some_and(|ended| own.has_recorded(ended));
            let written = match own.candidates.as_slice() {
                [] if writes.is_nothing() => return Ok(recorded),
                // Somebody has deleted it. Another one fences the next attempt.
                [] => self.new_fence().await.and(Err(Error::NoNode)),
                candidates => self.write_release(writes, candidates).await,
            };
            match written {
                Ok(()) => return Ok(recorded),
                Err(error @ (Error::NoNode | Error::NodeExists | Error::BadVersion)) => {
                    last = error;
                }
                Err(error) => return Err(release_error(error).into()),
            }
        }
        Err(release_error(last).into())
    }

    pub(super) async fn read_own(&self) -> Result<OwnNodes, Error> {
        let client = self.session.client();
        // Reads may come from a server that has not yet heard of this session's last write.
        client.sync("/").await?;
        let ((master, term, history), children) = try_join(
            try_join3(
                client.check_stat(&self.paths.master),
                client
                    .get_data(&self.paths.term)
                    .map_ok(Some)
                    .or_else(none_if_missing),
                client
                    .get_data(&self.paths.history)
                    .map_ok(Some)
                    .or_else(none_if_missing),
            ),
            client
                .list_children(&self.paths.candidates)
                .or_else(|error| match error {
                    Error::NoNode => futures::future::ok(Vec::new()),
                    error => futures::future::err(error),
                }),
        )
        .await?;
        let master = master.filter(|stat| stat.ephemeral_owner == self.owner);
        Ok(OwnNodes {
            master,
            record: term.map(|(data, stat)| (TermRecord::read(&data, stat.version).0, stat)),
            kept: history.map(HistorySnapshot::read),
            candidates: self.own(&records::queue(children)).await?,
        })
    }

    /// Makes a candidate, and its parent if that is gone.
    async fn new_fence(&self) -> Result<(), Error> {
        self.session.ensure(&self.paths.candidates).await?;
        let (path, options) = self.new_candidate();
        self.session
            .client()
            .create(&path, &self.candidate_record(), &options)
            .await
            .map(drop)
    }

    pub(super) async fn write_release(
        &self,
        writes: Writes<'_>,
        candidates: &[String],
    ) -> Result<(), Error> {
        let Writes {
            master,
            record,
            unchanged,
            history,
        } = writes;
        let mut multi = self.session.client().new_multi_writer();
        if let Some(version) = unchanged {
            multi.add_check_version(&self.paths.term, version)?;
        }
        if let Some(version) = master {
            multi.add_delete(&self.paths.master, Some(version))?;
        }
        if let Some(TermEnding { term, record, .. }) = record {
            multi.add_set_data(
                &self.paths.term,
                &records::encode(record),
                Some(term.record_version),
            )?;
        }
        if let Some((
            TermEnding {
                record,
                completes,
                entry,
                ..
            },
            kept,
        )) = history
        {
            let history = kept.map(|kept| kept.history.clone()).unwrap_or_default();
            let history = records::encode(&history.with(entry.clone()));
            if let Some(kept) = kept {
                // The next host foresees the versions that a release leaves which names no successor: see `given_back`.
                let writes =
                    RELEASE_WRITES + i32::from(record.successor.is_some()) + i32::from(*completes);
                for written in 0..writes {
                    multi.add_set_data(
                        &self.paths.history,
                        &history,
                        Some(kept.version + written),
                    )?;
                }
            } else {
                let options = CreateMode::Persistent.with_acls(self.session.acls());
                multi.add_create(&self.paths.history, &history, &options)?;
            }
        }
        for candidate in candidates {
            multi.add_delete(&self.candidate_path(candidate), None)?;
        }
        multi.commit().await?;
        Ok(())
    }
}

impl OwnNodes {
    /// What is to be written of a term that has ended, given what is there. Its record may be gone, or another's: then the
    /// history has the term all the same, unless whoever came next has added it as lost.
    fn writes<'a>(&'a self, ended: Option<&'a TermEnding>) -> Writes<'a> {
        let token = |ended: &TermEnding| ended.term.fencing_token.0;
        let is_its = |ended: &&TermEnding| {
            self.record
                .as_ref()
                .is_some_and(|(_, stat)| stat.mzxid.unsigned_abs() == token(ended))
        };
        let record = ended.filter(is_its);
        let kept = self.kept.as_ref();
        let late = ended.filter(|ended| kept.is_some_and(|kept| !kept.history.has(token(ended))));
        Writes {
            master: self.master.as_ref().map(|stat| stat.version),
            record,
            unchanged: None,
            history: record.or(late).map(|ended| (ended, kept)),
        }
    }

    /// Whether the end of a term is written already, with what it completed. If the term's record was gone, only the history
    /// tells of the end; every later record carries on what was completed.
    fn has_recorded(&self, ended: &TermEnding) -> bool {
        let has_ended = self
            .kept
            .as_ref()
            .is_some_and(|kept| kept.history.has_end_of(ended.term.fencing_token.0));
        let done = ended.record.completed.first().filter(|_| ended.completes);
        let records = |done: &Completion| {
            self.record
                .as_ref()
                .is_some_and(|(record, _)| record.completed.iter().any(|it| it.is_same_as(done)))
        };
        has_ended && done.is_none_or(records)
    }
}
