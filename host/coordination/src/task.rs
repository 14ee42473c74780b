//! What the election of one task asks of ZooKeeper.
//!
//! Every function makes its request at once and can be tried again whatever became of it: an outcome that was never
//! heard of shows in what is read next.

use std::future::Future;
use std::sync::Arc;

use futures::TryFutureExt;
use futures::future::try_join4;
use zookeeper_client::{CreateMode, Error, MultiWriteError, MultiWriteResult, Stat};

use super::error::{Doing, NodeError};
use super::session::Session;
use super::watches::WatchSet;
use soloist_core::election::{Holder, Queue, Record};
use soloist_core::records::{self, History, MasterRecord, NUMBER_MAX, TaskPaths, TermRecord};
use soloist_core::term::{FencingToken, Term};

mod error;
mod order;
mod queue;
mod release;

pub use error::TaskError;
pub use release::TermEnding;

/// The data version of a master node that one of our hosts created: it is written once more in the transaction that
/// creates it. Deleting that version only, a host cannot delete a node that a foreign program has created in between.
const MASTER_VERSION: i32 = 1;

/// The nodes of one task, seen by one session.
#[derive(Clone, Debug)]
pub struct TaskNodes {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
    task: Arc<str>,
}

/// The queue and the term record, as read.
#[derive(Clone, Debug)]
pub struct QueueSnapshot {
    /// What the election goes by.
    pub queue: Queue,
    /// The name of this session's candidate.
    pub candidate: Option<String>,
    /// The names of all candidates of this session: more than one if it joined again because it had not heard that it had.
    pub own: Vec<String>,
    /// The names of nodes among the candidates before this session's that are none.
    pub strangers: Vec<String>,
    /// The term record, as kept.
    pub record: TermRecord,
    /// The transaction that last changed it.
    pub zxid: u64,
    /// The terms before.
    pub history: HistorySnapshot,
}

/// The history, as read.
#[derive(Clone, Debug)]
pub struct HistorySnapshot {
    /// What it says.
    pub history: History,
    /// Its data version.
    pub version: i32,
}

/// Who holds the master node, as read.
#[derive(Debug)]
pub struct MasterSnapshot {
    /// The holder.
    pub holder: Holder,
    /// The term record, if this session leads the term.
    pub record: Option<TermRecord>,
    /// The terms before, if this session leads the term.
    pub kept: Option<HistorySnapshot>,
    /// They fire when what was read changes; none where there is nothing to be watched.
    pub watches: Option<WatchSet>,
}

/// What came of an attempt to be elected.
#[derive(Debug)]
pub enum ElectOutcome {
    /// The master node and this term record are written.
    Won(Term, Box<TermRecord>),
    /// The master node is there already.
    Held,
    /// The queue or the term record is no longer as it was read; nothing was written.
    Outdated,
}

impl TaskNodes {
    /// The nodes at `paths` of `task`.
    pub fn new(session: Arc<Session>, paths: Arc<TaskPaths>, task: Arc<str>) -> Self {
        Self {
            session,
            paths,
            task,
        }
    }

    fn candidate_path(&self, name: &str) -> String {
        format!("{}/{name}", self.paths.candidates)
    }

    /// Creates what the task needs: the parents of all its nodes, the first term record, and a history of nothing.
    async fn prepare(&self) -> Result<(), NodeError> {
        let (client, acls) = (self.session.client(), self.session.acls());
        let parents = [
            Some(self.paths.candidates.as_str()),
            records::parent(&self.paths.master),
        ];
        for path in parents.into_iter().flatten() {
            self.session
                .ensure(path)
                .await
                .map_err(NodeError::at(Doing::Create, path))?;
        }
        // Whoever asks for the leader before the first term has to know where to look.
        let path = self.paths.elsewhere.then(|| self.paths.master.clone());
        let record = records::encode(&TermRecord {
            path,
            ..TermRecord::before_the_first()
        });
        for (path, data) in [
            (&self.paths.term, record),
            (&self.paths.history, records::encode(&History::default())),
        ] {
            match client
                .create(path, &data, &CreateMode::Persistent.with_acls(acls))
                .await
            {
                Ok(_) | Err(Error::NodeExists) => {}
                Err(error) => return Err(NodeError::at(Doing::Create, path)(error)),
            }
        }
        Ok(())
    }

    /// Creates the master node and writes the term record over `over`, both or neither. Nothing is written unless `over` is
    /// the record that was `seen`, or what the release of its term makes of it.
    pub async fn elect(
        self,
        seen: Option<QueueSnapshot>,
        over: Record,
    ) -> Result<ElectOutcome, TaskError> {
        let Some(seen) = seen.filter(|seen| seen.queue.record.leads_to(&over)) else {
            return Ok(ElectOutcome::Outdated);
        };
        let elect_error = NodeError::at(Doing::Elect, &self.paths.master);
        let host = self.session.host();
        let number = over.number.saturating_add(1).min(NUMBER_MAX);
        let candidate = seen.candidate.unwrap_or_default();
        let path = self.paths.elsewhere.then_some(self.paths.master.as_str());
        let record = TermRecord {
            completed: seen.record.completed.clone(),
            ..TermRecord::new(number, host, path)
        };
        let master = records::encode(&MasterRecord {
            host: host.to_string(),
            term: number,
        });
        let history = seen.history.history;
        // A record that somebody has lowered or made up tells of no term that is not in the history already.
        let lost = seen
            .record
            .lost(seen.zxid)
            .filter(|_| !over.released)
            .map(|lost| {
                if lost.number > history.highest() && !lost.host.is_empty() {
                    history.with(lost)
                } else {
                    history
                }
            });
        let mut multi = self.session.client().new_multi_writer();
        let options = CreateMode::Ephemeral.with_acls(self.session.acls());
        multi
            .add_check_version(&self.candidate_path(&candidate), -1)
            .and_then(|()| multi.add_create(&self.paths.master, &master, &options))
            .and_then(|()| {
                multi.add_set_data(&self.paths.master, &master, Some(MASTER_VERSION - 1))
            })
            .and_then(|()| {
                multi.add_set_data(
                    &self.paths.term,
                    &records::encode(&record),
                    Some(over.version),
                )
            })
            .map_err(elect_error)?;
        match lost {
            // Written even if it stays as it is: whoever is next counts on that, see `given_back`.
            Some(history) => multi.add_set_data(
                &self.paths.history,
                &records::encode(&history),
                Some(over.history),
            ),
            None => multi.add_check_version(&self.paths.history, over.history),
        }
        .map_err(elect_error)?;
        match multi.commit().await {
            Ok(results) => self.elected(number, record, &results),
            Err(MultiWriteError::OperationFailed {
                index: 1,
                source: Error::NodeExists,
            }) => Ok(ElectOutcome::Held),
            Err(
                MultiWriteError::OperationFailed {
                    index: 0,
                    source: Error::NoNode,
                }
                | MultiWriteError::OperationFailed {
                    source: Error::BadVersion,
                    ..
                },
            ) => Ok(ElectOutcome::Outdated),
            Err(MultiWriteError::OperationFailed {
                source: Error::NoNode,
                ..
            }) => {
                self.prepare().await?;
                Ok(ElectOutcome::Outdated)
            }
            Err(error) => Err(elect_error(error.into()).into()),
        }
    }

    /// The term that an election has begun, from what the ensemble answered.
    fn elected(
        &self,
        number: u64,
        record: TermRecord,
        results: &[MultiWriteResult],
    ) -> Result<ElectOutcome, TaskError> {
        let [
            _,
            MultiWriteResult::Create { path, .. },
            _,
            MultiWriteResult::SetData { stat },
            ..,
        ] = results
        else {
            let error = Error::UnexpectedError(format!("answer of {} parts", results.len()));
            return Err(NodeError::at(Doing::Elect, &self.paths.master)(error).into());
        };
        if *path != self.paths.master {
            return Err(TaskError::WrongNode {
                asked: self.paths.master.clone(),
                created: path.clone(),
            });
        }
        Ok(ElectOutcome::Won(self.term(number, stat), Box::new(record)))
    }

    fn term(&self, number: u64, record: &Stat) -> Term {
        Term {
            number,
            // The transaction that wrote the record created the master node: mzxid here is czxid there.
            fencing_token: FencingToken(record.mzxid.unsigned_abs()),
            task: self.task.clone(),
            host: self.session.host().clone(),
            record_version: record.version,
        }
    }

    /// Reads who holds the master node, and watches it; if it is this session, also the term record and the candidate
    /// `own`: whoever takes one of them away ends the term. The history is read for when it does.
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

impl QueueSnapshot {
    /// Whether nobody has led since the term of that token, as far as the nodes tell.
    pub fn nobody_led_since(&self, token: FencingToken) -> bool {
        // A record that was deleted, and made anew, is of no term.
        let of_that_term = self.zxid == token.0 || self.record.term.number == 0;
        let ended = &self.history.history.0;
        of_that_term && ended.iter().all(|it| it.fencing_token <= Some(token.0))
    }
}

impl HistorySnapshot {
    fn read((data, stat): (Vec<u8>, Stat)) -> Self {
        Self {
            history: History::read(&data),
            version: stat.version,
        }
    }
}

fn none_if_missing<T>(error: Error) -> impl Future<Output = Result<Option<T>, Error>> {
    futures::future::ready(match error {
        Error::NoNode => Ok(None),
        error => Err(error),
    })
}
