//! What the election of one task asks of ZooKeeper.
//!
//! Every function makes its request at once and can be tried again whatever became of it: an outcome that was never
//! heard of shows in what is read next.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt;
use futures::future::{try_join, try_join3};
use zookeeper_client::{
    CreateMode, CreateOptions, Error, MultiReadResult, MultiWriteError, MultiWriteResult, OneshotWatcher, Stat,
};

use super::nodes::{self, Candidate, MasterRecord, ResignOrder, TaskPaths, TermRecord};
use super::session::Session;
use crate::election::{Holder, Queue};
use crate::term::{FencingToken, Term};

/// The data version of a master node that one of our hosts created: it is written once more in the transaction that
/// creates it. Deleting that version only, a host cannot delete a node that a foreign program has created in between.
const MASTER_VERSION: i32 = 1;

/// How often a release is tried against nodes that change under it.
const RELEASE_ATTEMPTS: usize = 5;

/// The pause after a failure to watch for orders to resign.
const ORDER_RETRY: Duration = Duration::from_secs(1);

/// A request about a task that failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The nodes that the task needs could not be created.
    #[error("cannot create node {path}{}", hint(.source))]
    Prepare {
        /// The node.
        path: String,
        /// Why.
        source: Error,
    },
    /// The queue or the term record could not be read.
    #[error("cannot read the queue at {path}{}", hint(.source))]
    Look {
        /// The parent of the candidates.
        path: String,
        /// Why.
        source: Error,
    },
    /// The queue could not be joined.
    #[error("cannot join the queue at {path}{}", hint(.source))]
    Join {
        /// The parent of the candidates.
        path: String,
        /// Why.
        source: Error,
    },
    /// The election failed, or its outcome was never heard of.
    #[error("cannot elect at {path}{}", hint(.source))]
    Elect {
        /// The master node.
        path: String,
        /// Why.
        source: Error,
    },
    /// The ensemble answered with a node that was not asked for.
    #[error("asked for master node {asked}, but {created} was created")]
    WrongNode {
        /// The master node.
        asked: String,
        /// What the ensemble says it created.
        created: String,
    },
    /// The master node could not be read.
    #[error("cannot read the master node {path}{}", hint(.source))]
    ReadMaster {
        /// The master node.
        path: String,
        /// Why.
        source: Error,
    },
    /// Leadership could not be given back.
    #[error("cannot release {path}{}", hint(.source))]
    Release {
        /// The master node.
        path: String,
        /// Why.
        source: Error,
    },
}

/// What to do about an error, where that is known.
pub(crate) fn hint(error: &Error) -> &'static str {
    match error {
        Error::NoAuth => {
            " (the ACL there does not admit this identity: check `auth`, and the node's ACL with `getAcl` in zkCli.sh)"
        }
        Error::InvalidAcl => " (an ACL for the creator needs `auth`)",
        _ => "",
    }
}

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
    /// The term record, as kept.
    pub record: TermRecord,
    /// The transaction that last changed it.
    pub zxid: u64,
}

/// Who holds the master node, as read.
#[derive(Debug)]
pub struct Held {
    /// The holder.
    pub holder: Holder,
    /// The term record, if this session leads the term.
    pub record: Option<TermRecord>,
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
        let (children, (data, stat)) = match self.read_queue().await {
            Err(Error::NoNode) => {
                self.prepare().await?;
                self.read_queue().await.map_err(look_error)?
            }
            read => read.map_err(look_error)?,
        };
        let (kept, record) = TermRecord::read(&data, stat.version);
        let candidates = nodes::queue(children);
        let place = candidates.iter().position(|candidate| candidate.session == self.session.id());
        let before = place.and_then(|place| place.checked_sub(1)).map(|before| candidates[before].name.clone());
        let appointed = kept.successor.as_deref().filter(|host| record.released && **host != **self.session.host());
        let queue = Queue {
            ahead: place,
            predecessor: before,
            appointed: appointed.is_some_and(|host| candidates.iter().any(|candidate| candidate.host == host)),
            record,
        };
        let candidate = place.map(|place| candidates[place].name.clone());
        Ok(Seen { queue, candidate, record: kept, zxid: stat.mzxid.unsigned_abs() })
    }

    /// One request, not two: the second would wait for the answer to the first, since the client's connections gather
    /// what is small (Nagle's algorithm).
    async fn read_queue(&self) -> Result<(Vec<String>, (Vec<u8>, Stat)), Error> {
        let mut multi = self.session.client().new_multi_reader();
        multi.add_get_children(&self.paths.candidates)?;
        multi.add_get_data(&self.paths.term)?;
        let mut answers = multi.commit().await?.into_iter();
        match (answers.next(), answers.next()) {
            (Some(MultiReadResult::Children { children }), Some(MultiReadResult::Data { data, stat })) => {
                Ok((children, (data, stat)))
            }
            (Some(MultiReadResult::Error { err }), _) | (_, Some(MultiReadResult::Error { err })) => Err(err),
            _ => Err(Error::UnexpectedError("not what was asked for".into())),
        }
    }

    /// Creates what the task needs: the parents of all its nodes, and the first term record.
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
        match client.create(&self.paths.term, &record, &CreateMode::Persistent.with_acls(acls)).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(source) => Err(TaskError::Prepare { path: self.paths.term.clone(), source }),
        }
    }

    /// Joins the end of the queue.
    pub async fn join(self) -> Result<(), TaskError> {
        let (path, options) = self.new_candidate();
        match self.session.client().create(&path, b"", &options).await {
            Ok(_) => Ok(()),
            Err(source) => Err(TaskError::Join { path: self.paths.candidates.clone(), source }),
        }
    }

    /// Leaves the queue and joins its end, in one step.
    pub async fn step_back(self, candidate: String) -> Result<(), TaskError> {
        let (path, options) = self.new_candidate();
        let mut multi = self.session.client().new_multi_writer();
        let commit = async {
            multi.add_delete(&self.candidate_path(&candidate), None)?;
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

    /// Creates the master node and writes the term record, both or neither, over what was seen.
    pub async fn elect(self, seen: Seen) -> Result<Election, TaskError> {
        let elect_error = |source| TaskError::Elect { path: self.paths.master.clone(), source };
        let host = self.session.host();
        let number = seen.queue.record.number.saturating_add(1);
        let candidate = seen.candidate.unwrap_or_default();
        let path = self.paths.elsewhere.then_some(self.paths.master.as_str());
        let record = seen.record.next(number, host, path, seen.zxid);
        let (term, over) = (nodes::encode(&record), seen.queue.record.version);
        let master = nodes::encode(&MasterRecord { host: host.to_string(), term: number });
        let mut multi = self.session.client().new_multi_writer();
        let options = CreateMode::Ephemeral.with_acls(self.session.acls());
        multi
            .add_check_version(&self.candidate_path(&candidate), -1)
            .and_then(|()| multi.add_create(&self.paths.master, &master, &options))
            .and_then(|()| multi.add_set_data(&self.paths.master, &master, Some(MASTER_VERSION - 1)))
            .and_then(|()| multi.add_set_data(&self.paths.term, &term, Some(over)))
            .map_err(elect_error)?;
        let results = match multi.commit().await {
            Ok(results) => results,
            Err(MultiWriteError::OperationFailed { index: 1, source: Error::NodeExists }) => return Ok(Election::Held),
            Err(MultiWriteError::OperationFailed { index: 0, source: Error::NoNode }) => return Ok(Election::Outdated),
            Err(MultiWriteError::OperationFailed { index: 3, source: Error::BadVersion }) => {
                return Ok(Election::Outdated);
            }
            Err(MultiWriteError::OperationFailed { source: Error::NoNode, .. }) => {
                self.prepare().await?;
                return Ok(Election::Outdated);
            }
            Err(error) => return Err(elect_error(error.into())),
        };
        match results.as_slice() {
            [_, MultiWriteResult::Create { path, .. }, _, MultiWriteResult::SetData { stat }] => {
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
    /// `own`: whoever takes one of them away ends the term.
    pub async fn read_master(self, own: Option<String>) -> Result<Held, TaskError> {
        let client = self.session.client();
        let read = try_join3(
            client.get_and_watch_data(&self.paths.master).map_ok(Some).or_else(none_if_missing),
            client.get_and_watch_data(&self.paths.term).map_ok(Some).or_else(none_if_missing),
            self.watch_candidate(own),
        );
        let (master, term, place) =
            read.await.map_err(|source| TaskError::ReadMaster { path: self.paths.master.clone(), source })?;
        let held = |holder, watchers| Held { holder, record: None, watchers };
        let Some((data, stat, master)) = master else { return Ok(held(Holder::Nobody, Vec::new())) };
        if stat.ephemeral_owner != self.session.id() {
            return Ok(held(Holder::Other(nodes::holder_name(&data, stat.ephemeral_owner)), vec![master]));
        }
        match (term, place) {
            (_, None) => Ok(held(Holder::MeWithoutPlace, vec![master])),
            (Some((record, record_stat, term)), Some(place)) if record_stat.mzxid == stat.czxid => {
                let (kept, record) = TermRecord::read(&record, record_stat.version);
                let holder = Holder::Me(self.term(record.number, &record_stat));
                Ok(Held { holder, record: Some(kept), watchers: vec![master, term, place] })
            }
            _ => Ok(held(Holder::MeWithoutTerm, vec![master])),
        }
    }

    /// Waits until somebody asks for the end of this term.
    pub async fn resign_order(self, term: u64) -> ResignOrder {
        loop {
            match self.watch_order().await {
                Ok((Some(order), _)) if order.term == term => return order,
                Ok((_, watcher)) => drop(watcher.changed().await),
                // A lost connection, mostly: the watch has to be set anew.
                Err(error) => {
                    tracing::debug!(%error, path = self.paths.resign, "cannot watch for orders to resign");
                    tokio::time::sleep(ORDER_RETRY).await;
                }
            }
        }
    }

    async fn watch_order(&self) -> Result<(Option<ResignOrder>, OneshotWatcher), Error> {
        let (_, watcher) = self.session.client().check_and_watch_stat(&self.paths.resign).await?;
        match self.session.client().get_data(&self.paths.resign).await {
            Ok((data, _)) => Ok((nodes::decode(&data), watcher)),
            Err(Error::NoNode) => Ok((None, watcher)),
            Err(error) => Err(error),
        }
    }

    /// Gives back all that this session holds in the task; `candidate` is its candidate as last seen, `ended` a term
    /// of this host with the record that says so.
    pub async fn release(self, ended: Option<(Term, TermRecord)>, candidate: Option<String>) -> Result<(), TaskError> {
        let release_error = |source| TaskError::Release { path: self.paths.master.clone(), source };
        // As things usually are: one request.
        if let (Some(ended), Some(candidate)) = (&ended, candidate)
            && self.write_release(Some(MASTER_VERSION), Some(ended), &[candidate]).await.is_ok()
        {
            return Ok(());
        }
        let mut last = Error::NodeExists;
        for _ in 0..RELEASE_ATTEMPTS {
            let (master, record, own) = self.read_own().await.map_err(release_error)?;
            let ended = ended.as_ref().filter(|(term, _)| record == Some(term.record_version));
            match self.write_release(master, ended, &own).await {
                Ok(()) => return Ok(()),
                Err(error @ (Error::NoNode | Error::BadVersion)) => last = error,
                Err(error) => return Err(release_error(error)),
            }
        }
        Err(release_error(last))
    }

    /// The version of the master node if it is this session's, that of the term record, and this session's candidates.
    async fn read_own(&self) -> Result<(Option<i32>, Option<i32>, Vec<String>), Error> {
        let client = self.session.client();
        // Reads may come from a server that has not yet heard of this session's last write.
        client.sync("/").await?;
        let ((master, term), children) = try_join(
            try_join(client.check_stat(&self.paths.master), client.check_stat(&self.paths.term)),
            client.list_children(&self.paths.candidates).or_else(|error| match error {
                Error::NoNode => futures::future::ok(Vec::new()),
                error => futures::future::err(error),
            }),
        )
        .await?;
        let master = master.filter(|stat| stat.ephemeral_owner == self.session.id());
        let own = nodes::queue(children).into_iter().filter(|candidate| candidate.session == self.session.id());
        Ok((master.map(|stat| stat.version), term.map(|stat| stat.version), own.map(|own| own.name).collect()))
    }

    async fn write_release(
        &self,
        master: Option<i32>,
        ended: Option<&(Term, TermRecord)>,
        candidates: &[String],
    ) -> Result<(), Error> {
        let mut multi = self.session.client().new_multi_writer();
        if let Some(version) = master {
            multi.add_delete(&self.paths.master, Some(version))?;
        }
        if let Some((term, record)) = ended {
            multi.add_set_data(&self.paths.term, &nodes::encode(record), Some(term.record_version))?;
        }
        for candidate in candidates {
            multi.add_delete(&self.candidate_path(candidate), None)?;
        }
        multi.commit().await?;
        Ok(())
    }
}

fn none_if_missing<T>(error: Error) -> impl Future<Output = Result<Option<T>, Error>> {
    futures::future::ready(match error {
        Error::NoNode => Ok(None),
        error => Err(error),
    })
}
