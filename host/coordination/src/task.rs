//! What the election of one task asks of ZooKeeper.
//!
//! Each function is one request, and may be tried again whatever became of it: if the answer was lost, the next read shows
//! the outcome.

use std::future::Future;
use std::sync::Arc;

use zookeeper_client::{CreateMode, Error, Stat};

use super::error::{Doing, NodeError};
use super::session::{Session, Turn, Urgency};
use soloist_core::election::Queue;
use soloist_core::records::{self, CandidateRecord, History, TaskPaths, TermRecord};
use soloist_core::term::{FencingToken, Term};

mod elect;
mod error;
mod join;
mod leave;
mod look;
mod order;
mod read;
mod release;
mod retry;

pub use elect::{ElectOutcome, Generation};
pub use error::TaskError;
pub(crate) use leave::Returned;
pub use read::MasterSnapshot;
pub use release::TermEnding;

/// The data version of a master node that a Soloist host created: the host writes the node once more in the transaction that
/// creates it. A host deletes this version only, so it cannot delete a node that a foreign program has created since.
const MASTER_VERSION: i32 = 1;

/// The nodes of one task, seen by one session.
#[derive(Clone, Debug)]
pub struct TaskNodes {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
    task: Arc<str>,
    /// What this host writes into its candidates.
    candidate: CandidateRecord,
    /// The session whose nodes these are to be: this session, or that of a dead process.
    owner: i64,
}

/// The queue and the term record, as read.
#[derive(Clone, Debug)]
pub struct QueueSnapshot {
    /// What the election goes by.
    pub queue: Queue,
    /// How many names of candidates there were.
    pub candidates: usize,
    /// The name of this session's candidate.
    pub candidate: Option<String>,
    /// The names of all candidates of this session: more than one if it joined again because it had not heard that it had.
    pub own: Vec<String>,
    /// The name of the candidate that it makes if it is elected out of turn: it stands before all others.
    pub head: Option<String>,
    /// The names of nodes among the candidates before this session's that are none.
    pub strangers: Vec<String>,
    /// The term record, as kept.
    pub record: TermRecord,
    /// The transaction that last changed it.
    pub zxid: u64,
    /// The highest token of a term that the history says has ended, if it was read.
    pub latest_ended: Option<u64>,
    /// The terms before, if this host is to write them anew: the latest term was lost, and it is the head of the queue. A standby
    /// does not keep them.
    pub history: Option<Box<History>>,
}

/// The history, as read.
#[derive(Clone, Debug)]
pub struct HistorySnapshot {
    /// What it says.
    pub history: History,
    /// Its data version.
    pub version: i32,
}

impl TaskNodes {
    /// The nodes at `paths` of `task`.
    pub fn new(session: Arc<Session>, paths: Arc<TaskPaths>, task: Arc<str>) -> Self {
        let owner = session.id();
        Self {
            session,
            paths,
            task,
            candidate: CandidateRecord::default(),
            owner,
        }
    }

    /// The nodes that the session `owner` of a dead process has at `paths` of `task`, as another session sees them.
    pub(crate) fn left_by(
        owner: i64,
        session: Arc<Session>,
        paths: Arc<TaskPaths>,
        task: Arc<str>,
    ) -> Self {
        Self {
            owner,
            ..Self::new(session, paths, task)
        }
    }

    /// The same, where candidates of this host say this.
    #[must_use]
    pub fn with_candidate(self, candidate: CandidateRecord) -> Self {
        Self { candidate, ..self }
    }

    /// What this host writes into its candidates.
    fn candidate_record(&self) -> Vec<u8> {
        records::encode(&self.candidate)
    }

    /// Waits until one more request may be under way in the session.
    pub async fn turn(&self, urgency: Urgency) -> Turn {
        self.session.turn(urgency).await
    }

    /// The host whose session it is.
    pub fn host(&self) -> &str {
        self.session.host()
    }

    fn candidate_path(&self, name: &str) -> String {
        format!("{}/{name}", self.paths.candidates)
    }

    /// Creates what the task needs: the parents of all its nodes, the first term record, and a history of nothing.
    async fn prepare(&self) -> Result<(), NodeError> {
        // Whatever is in the way of that, what follows copes with it.
        if !self.paths.elsewhere && self.prepare_at_once().await.is_ok() {
            return Ok(());
        }
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

    /// Creates it all in one request: a host may begin with ten thousand tasks that nobody ever stood for. It fails if any of it
    /// is there, or if what is above the task is not.
    async fn prepare_at_once(&self) -> Result<(), Error> {
        let options = CreateMode::Persistent.with_acls(self.session.acls());
        let record = records::encode(&TermRecord::before_the_first());
        let history = records::encode(&History::default());
        let mut multi = self.session.client().new_multi_writer();
        if let Some(task) = records::parent(&self.paths.candidates) {
            multi.add_create(task, b"", &options)?;
        }
        multi.add_create(&self.paths.candidates, b"", &options)?;
        multi.add_create(&self.paths.term, &record, &options)?;
        multi.add_create(&self.paths.history, &history, &options)?;
        multi.commit().await?;
        Ok(())
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
}

impl QueueSnapshot {
    /// Whether nobody has led since the term of that token, as far as the nodes tell.
    pub fn nobody_led_since(&self, token: FencingToken) -> bool {
        // A record that was deleted, and made anew, is of no term.
        let of_that_term = self.zxid == token.0 || self.record.term.number == 0;
        of_that_term && self.latest_ended <= Some(token.0)
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
