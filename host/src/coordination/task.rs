//! What the election of one task asks of ZooKeeper.
//!
//! Every function makes its request at once and can be tried again whatever became of it: an outcome that was never
//! heard of shows in what is read next.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt;
use futures::future::{OptionFuture, try_join, try_join4};
use zookeeper_client::{
    CreateMode, CreateOptions, Error, MultiReadResult, MultiWriteError, MultiWriteResult, OneshotWatcher, Stat,
};

use super::nodes::{self, Candidate, History, MasterRecord, ResignOrder, TaskPaths, TermRecord};
use super::session::Session;
use crate::election::{Holder, Queue, Record};
use crate::events::{About, Event, chain};
use crate::term::{FencingToken, Term};

mod error;
mod release;

pub use error::TaskError;
pub(crate) use error::hint;
pub use release::Ended;

/// The data version of a master node that one of our hosts created: it is written once more in the transaction that
/// creates it. Deleting that version only, a host cannot delete a node that a foreign program has created in between.
const MASTER_VERSION: i32 = 1;

/// The pause after orders to resign could not be read; it doubles up to [`ORDER_RETRY_MAX`] while the ensemble refuses it.
const ORDER_RETRY: Duration = Duration::from_secs(1);
/// The longest pause after orders to resign could not be read.
const ORDER_RETRY_MAX: Duration = Duration::from_mins(1);

/// The nodes of one task, seen by one session.
#[derive(Clone, Debug)]
pub struct TaskNodes {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
    task: Arc<str>,
}

/// The queue and the term record, as read.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What the election goes by.
    pub queue: Queue,
    /// The name of this session's candidate.
    pub candidate: Option<String>,
    /// The names of all candidates of this session: more than one if it joined again because it had not heard that it had.
    pub own: Vec<String>,
    /// The term record, as kept.
    pub record: TermRecord,
    /// The transaction that last changed it.
    pub zxid: u64,
    /// The terms before.
    pub history: Kept,
}

/// The history, as read.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it says.
    pub history: History,
    /// Its data version.
    pub version: i32,
}

/// Who holds the master node, as read.
#[derive(Debug)]
pub struct Held {
    /// The holder.
    pub holder: Holder,
    /// The term record, if this session leads the term.
    pub record: Option<TermRecord>,
    /// The terms before, if this session leads the term.
    pub kept: Option<Kept>,
    /// Fire when what was read changes.
    pub watchers: Vec<OneshotWatcher>,
}

/// What came of an attempt to be elected.
#[derive(Debug)]
pub enum Election {
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
        Self { session, paths, task }
    }

    fn candidate_path(&self, name: &str) -> String {
        format!("{}/{name}", self.paths.candidates)
    }

    /// Reads the queue and the term record, creating their parents when they are missing.
    pub async fn look(self) -> Result<Seen, TaskError> {
        let look_error = |source| TaskError::Look { path: self.paths.candidates.clone(), source };
        let (children, (data, stat), history) = match self.read_queue().await {
            Err(Error::NoNode) => {
                self.prepare().await?;
                self.read_queue().await.map_err(look_error)?
            }
            read => read.map_err(look_error)?,
        };
        let (kept, record) = TermRecord::read(&data, stat.version);
        let record = Record { history: history.version, ..record };
        let candidates = nodes::queue(children);
        self.agree_on_path(&kept, &candidates).await?;
        let place = candidates.iter().position(|candidate| candidate.session == self.session.id());
        let before = place.and_then(|place| place.checked_sub(1)).map(|before| candidates[before].name.clone());
        let appointed = kept.successor.as_deref().filter(|host| record.released && **host != **self.session.host());
        let queue = Queue {
            ahead: place,
            predecessor: before,
            appointed: appointed.is_some_and(|host| candidates.iter().any(|candidate| candidate.host == host)),
            record,
        };
        let own = candidates.iter().filter(|candidate| candidate.session == self.session.id());
        let own: Vec<_> = own.map(|candidate| candidate.name.clone()).collect();
        let candidate = own.first().cloned();
        Ok(Seen { queue, candidate, own, record: kept, zxid: stat.mzxid.unsigned_abs(), history })
    }

    /// Sees to it that nobody stands for the task with another master node than this host's: a host that finds one leaves the
    /// queue. Whoever is at the head while nobody holds that other node may change it: its election writes it down, over the
    /// record that was read, so that nobody else's has come in between.
    async fn agree_on_path(&self, kept: &TermRecord, candidates: &[Candidate]) -> Result<(), TaskError> {
        let theirs = self.paths.master_in(kept);
        // A record that cannot be read names nobody and no path.
        if theirs == self.paths.master || (kept.term.host.is_empty() && kept.term.number > 0) {
            return Ok(());
        }
        let look_error = |source| TaskError::Look { path: theirs.clone(), source };
        let client = self.session.client();
        let host = match candidates.first() {
            Some(first) if first.session != self.session.id() => first.host.clone(),
            _ => match client.get_data(&theirs).await {
                Ok((data, stat)) if stat.ephemeral_owner != 0 => nodes::holder_name(&data, stat.ephemeral_owner),
                // What no host can have written cannot be held.
                Ok(_) | Err(Error::NoNode | Error::BadArguments(_)) => return Ok(()),
                Err(error) => return Err(look_error(error)),
            },
        };
        for own in candidates.iter().filter(|candidate| candidate.session == self.session.id()) {
            match client.delete(&self.candidate_path(&own.name), None).await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(look_error(error)),
            }
        }
        Err(TaskError::OtherPath { own: self.paths.master.clone(), theirs, host })
    }

    /// One request, not two: the second would wait for the answer to the first, since the client's connections gather
    /// what is small (Nagle's algorithm).
    async fn read_queue(&self) -> Result<(Vec<String>, (Vec<u8>, Stat), Kept), Error> {
        let mut multi = self.session.client().new_multi_reader();
        multi.add_get_children(&self.paths.candidates)?;
        multi.add_get_data(&self.paths.term)?;
        multi.add_get_data(&self.paths.history)?;
        let unexpected = || Error::UnexpectedError("not what was asked for".into());
        let (mut children, mut data) = (None, Vec::new());
        for answer in multi.commit().await? {
            match answer {
                MultiReadResult::Children { children: read } => children = Some(read),
                MultiReadResult::Data { data: read, stat } => data.push((read, stat)),
                MultiReadResult::Error { err } => return Err(err),
                _ => return Err(unexpected()),
            }
        }
        let [term, history] = <[_; 2]>::try_from(data).map_err(|_| unexpected())?;
        Ok((children.ok_or_else(unexpected)?, term, Kept::read(history)))
    }

    /// Creates what the task needs: the parents of all its nodes, the first term record, and a history of nothing.
    async fn prepare(&self) -> Result<(), TaskError> {
        let (client, acls) = (self.session.client(), self.session.acls());
        let parents = [Some(self.paths.candidates.as_str()), nodes::parent(&self.paths.master)];
        for path in parents.into_iter().flatten() {
            super::ensure_path(client, path, acls)
                .await
                .map_err(|source| TaskError::Prepare { path: path.to_owned(), source })?;
        }
        // Whoever asks for the leader before the first term has to know where to look.
        let path = self.paths.elsewhere.then(|| self.paths.master.clone());
        let record = nodes::encode(&TermRecord { path, ..TermRecord::before_the_first() });
        for (path, data) in [(&self.paths.term, record), (&self.paths.history, nodes::encode(&History::default()))] {
            match client.create(path, &data, &CreateMode::Persistent.with_acls(acls)).await {
                Ok(_) | Err(Error::NodeExists) => {}
                Err(source) => return Err(TaskError::Prepare { path: path.clone(), source }),
            }
        }
        Ok(())
    }

    /// Joins the end of the queue.
    pub async fn join(self) -> Result<(), TaskError> {
        let (path, options) = self.new_candidate();
        match self.session.client().create(&path, b"", &options).await {
            Ok(_) => Ok(()),
            Err(source) => Err(TaskError::Join { path: self.paths.candidates.clone(), source }),
        }
    }

    /// Leaves the queue with all candidates and joins its end, in one step.
    pub async fn step_back(self, candidates: Vec<String>) -> Result<(), TaskError> {
        let (path, options) = self.new_candidate();
        let mut multi = self.session.client().new_multi_writer();
        let commit = async {
            for candidate in &candidates {
                multi.add_delete(&self.candidate_path(candidate), None)?;
            }
            multi.add_create(&path, b"", &options)?;
            multi.commit().await.map_err(Error::from)
        };
        match commit.await {
            Ok(_) => Ok(()),
            Err(source) => Err(TaskError::Join { path: self.paths.candidates.clone(), source }),
        }
    }

    fn new_candidate(&self) -> (String, CreateOptions<'_>) {
        let path = self.candidate_path(&Candidate::prefix(self.session.id(), self.session.host()));
        (path, CreateMode::EphemeralSequential.with_acls(self.session.acls()))
    }

    /// Watches another candidate, and `own`; no watches when one of them is gone already.
    pub async fn watch_candidates(self, name: String, own: Option<String>) -> Result<Vec<OneshotWatcher>, TaskError> {
        let watched = try_join(self.watch_candidate(Some(name)), self.watch_candidate(own));
        let watched =
            watched.await.map_err(|source| TaskError::Look { path: self.paths.candidates.clone(), source })?;
        Ok(match watched {
            (Some(other), Some(own)) => vec![other, own],
            _ => Vec::new(),
        })
    }

    async fn watch_candidate(&self, name: Option<String>) -> Result<Option<OneshotWatcher>, Error> {
        let Some(name) = name else { return Ok(None) };
        let (stat, watcher) = self.session.client().check_and_watch_stat(&self.candidate_path(&name)).await?;
        // The watch on a node that is not there would wait for its creation.
        Ok(stat.map(|_| watcher))
    }

    /// Creates the master node and writes the term record over `over`, both or neither. That record is the one that was
    /// seen, or what the release of its term makes of it.
    pub async fn elect(self, seen: Seen, over: Record) -> Result<Election, TaskError> {
        let elect_error = |source| TaskError::Elect { path: self.paths.master.clone(), source };
        let host = self.session.host();
        let number = over.number.saturating_add(1);
        let candidate = seen.candidate.unwrap_or_default();
        let path = self.paths.elsewhere.then_some(self.paths.master.as_str());
        let record = TermRecord { completed: seen.record.completed.clone(), ..TermRecord::new(number, host, path) };
        let master = nodes::encode(&MasterRecord { host: host.to_string(), term: number });
        let lost = seen.record.lost(seen.zxid).filter(|_| !over.released);
        let mut multi = self.session.client().new_multi_writer();
        let options = CreateMode::Ephemeral.with_acls(self.session.acls());
        multi
            .add_check_version(&self.candidate_path(&candidate), -1)
            .and_then(|()| multi.add_create(&self.paths.master, &master, &options))
            .and_then(|()| multi.add_set_data(&self.paths.master, &master, Some(MASTER_VERSION - 1)))
            .and_then(|()| multi.add_set_data(&self.paths.term, &nodes::encode(&record), Some(over.version)))
            .map_err(elect_error)?;
        let history = lost.map(|lost| nodes::encode(&seen.history.history.with(lost)));
        match history {
            Some(history) => multi.add_set_data(&self.paths.history, &history, Some(over.history)),
            None => multi.add_check_version(&self.paths.history, over.history),
        }
        .map_err(elect_error)?;
        let results = match multi.commit().await {
            Ok(results) => results,
            Err(MultiWriteError::OperationFailed { index: 1, source: Error::NodeExists }) => return Ok(Election::Held),
            Err(
                MultiWriteError::OperationFailed { index: 0, source: Error::NoNode }
                | MultiWriteError::OperationFailed { source: Error::BadVersion, .. },
            ) => return Ok(Election::Outdated),
            Err(MultiWriteError::OperationFailed { source: Error::NoNode, .. }) => {
                self.prepare().await?;
                return Ok(Election::Outdated);
            }
            Err(error) => return Err(elect_error(error.into())),
        };
        match results.as_slice() {
            [_, MultiWriteResult::Create { path, .. }, _, MultiWriteResult::SetData { stat }, ..] => {
                if *path != self.paths.master {
                    return Err(TaskError::WrongNode { asked: self.paths.master.clone(), created: path.clone() });
                }
                Ok(Election::Won(self.term(number, stat), Box::new(record)))
            }
            _ => Err(elect_error(Error::UnexpectedError(format!("answer of {} parts", results.len())))),
        }
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
    pub async fn read_master(self, own: Option<String>) -> Result<Held, TaskError> {
        let client = self.session.client();
        let read = try_join4(
            client.get_and_watch_data(&self.paths.master).map_ok(Some).or_else(none_if_missing),
            client.get_and_watch_data(&self.paths.term).map_ok(Some).or_else(none_if_missing),
            self.watch_candidate(own),
            client.get_data(&self.paths.history).map_ok(Some).or_else(none_if_missing),
        );
        let (master, term, place, history) =
            read.await.map_err(|source| TaskError::ReadMaster { path: self.paths.master.clone(), source })?;
        let held = |holder, watchers| Held { holder, record: None, kept: None, watchers };
        let Some((data, stat, master)) = master else { return Ok(held(Holder::Nobody, Vec::new())) };
        if stat.ephemeral_owner != self.session.id() {
            return Ok(held(Holder::Other(nodes::holder_name(&data, stat.ephemeral_owner)), vec![master]));
        }
        match (term, place) {
            (_, None) => Ok(held(Holder::MeWithoutPlace, vec![master])),
            (Some((record, record_stat, term)), Some(place)) if record_stat.mzxid == stat.czxid => {
                let (kept, record) = TermRecord::read(&record, record_stat.version);
                let holder = Holder::Me(self.term(record.number, &record_stat));
                let history = history.map(Kept::read);
                Ok(Held { holder, record: Some(kept), kept: history, watchers: vec![master, term, place] })
            }
            _ => Ok(held(Holder::MeWithoutTerm, vec![master])),
        }
    }

    /// Waits until somebody asks for the end of this term.
    pub async fn resign_order(self, term: u64) -> ResignOrder {
        let mut pause = ORDER_RETRY;
        loop {
            let (error, watcher) = match self.watch_order().await {
                Ok((Ok(Some(order)), _)) if order.term == term => return order,
                Ok((Ok(_), watcher)) => {
                    watcher.changed().await;
                    pause = ORDER_RETRY;
                    continue;
                }
                Ok((Err(error), watcher)) => (error, Some(watcher)),
                Err(error) => (error, None),
            };
            let changed = OptionFuture::from(watcher.map(OneshotWatcher::changed));
            if matches!(error, Error::ConnectionLoss | Error::SessionExpired | Error::Custom(_)) {
                // That is reported elsewhere; the watch has to be set anew.
                tokio::time::sleep(ORDER_RETRY).await;
                continue;
            }
            if pause == ORDER_RETRY {
                let error = TaskError::Order { path: self.paths.resign.clone(), source: error };
                About::task(&self.task).report(Event::ElectionError, chain(&error));
            }
            // A node that is deleted fires the watch; one whose ACL is changed does not.
            tokio::select! {
                Some(_) = changed => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = (2 * pause).min(ORDER_RETRY_MAX);
        }
    }

    /// Reads the order, and watches it, whether it can be read or not.
    async fn watch_order(&self) -> Result<(Result<Option<ResignOrder>, Error>, OneshotWatcher), Error> {
        let (_, watcher) = self.session.client().check_and_watch_stat(&self.paths.resign).await?;
        let read = self.session.client().get_data(&self.paths.resign).await;
        let read = read.map(Some).or_else(|error| if error == Error::NoNode { Ok(None) } else { Err(error) });
        Ok((read.map(|order| order.and_then(|(data, _)| nodes::decode(&data))), watcher))
    }
}

impl Kept {
    fn read((data, stat): (Vec<u8>, Stat)) -> Self {
        Self { history: History::read(&data), version: stat.version }
    }
}

fn none_if_missing<T>(error: Error) -> impl Future<Output = Result<Option<T>, Error>> {
    futures::future::ready(match error {
        Error::NoNode => Ok(None),
        error => Err(error),
    })
}
