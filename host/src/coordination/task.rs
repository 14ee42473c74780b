//! What the election of one task asks of ZooKeeper.
//!
//! Every function makes its request at once and can be tried again whatever became of it: an outcome that was never
//! heard of shows in what is read next.

use std::future::Future;
use std::sync::Arc;

use futures::TryFutureExt;
use futures::future::try_join;
use zookeeper_client::{CreateMode, Error, MultiWriteError, MultiWriteResult, OneshotWatcher, Stat};

use super::nodes::{self, CandidateRecord, MasterRecord, TaskPaths, TermRecord, TermState};
use super::session::Session;
use crate::election::{Holder, Queue, Record};
use crate::term::{FencingToken, Term};

/// The data version of a master node that one of our hosts created: it is written once more in the transaction that
/// creates it. Deleting that version only, a host cannot delete a node that a foreign program has created in between.
const MASTER_VERSION: i32 = 1;

/// How often a release is tried against nodes that change under it.
const RELEASE_ATTEMPTS: usize = 5;

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
            " (the ACL there does not admit this host: check `auth`, and the node's ACL with `getAcl` in zkCli.sh)"
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

/// What came of an attempt to be elected.
#[derive(Debug)]
pub enum Election {
    /// The master node and the term record are written.
    Won(Term),
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

    /// Reads the queue and the term record, creating their parents when they are missing; also gives the name of this
    /// session's candidate.
    pub async fn look(self) -> Result<(Queue, Option<String>), TaskError> {
        let look_error = |source| TaskError::Look { path: self.paths.candidates.clone(), source };
        let (children, (term, stat)) = match self.read_queue().await {
            Err(Error::NoNode) => {
                self.prepare().await?;
                self.read_queue().await.map_err(look_error)?
            }
            read => read.map_err(look_error)?,
        };
        let record = TermRecord::read(&term, stat.version);
        let Some(place) = nodes::place(children, self.session.id()) else {
            return Ok((Queue { ahead: None, predecessor: None, record }, None));
        };
        let candidate = place.own.first().cloned();
        Ok((Queue { ahead: Some(place.ahead), predecessor: place.predecessor, record }, candidate))
    }

    async fn read_queue(&self) -> Result<(Vec<String>, (Vec<u8>, Stat)), Error> {
        let client = self.session.client();
        try_join(client.list_children(&self.paths.candidates), client.get_data(&self.paths.term)).await
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
        let record = nodes::encode(&TermRecord::before_the_first());
        match client.create(&self.paths.term, &record, &CreateMode::Persistent.with_acls(acls)).await {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            Err(source) => Err(TaskError::Prepare { path: self.paths.term.clone(), source }),
        }
    }

    /// Joins the end of the queue.
    pub async fn join(self) -> Result<(), TaskError> {
        let path = self.candidate_path(&nodes::candidate_prefix(self.session.id()));
        let record = nodes::encode(&CandidateRecord { host: self.session.host().to_string() });
        let options = CreateMode::EphemeralSequential.with_acls(self.session.acls());
        match self.session.client().create(&path, &record, &options).await {
            Ok(_) => Ok(()),
            Err(source) => Err(TaskError::Join { path: self.paths.candidates.clone(), source }),
        }
    }

    /// Watches another candidate; `None` when it is gone already.
    pub async fn watch_candidate(self, name: String) -> Result<Option<OneshotWatcher>, TaskError> {
        let path = self.candidate_path(&name);
        match self.session.client().check_and_watch_stat(&path).await {
            // The watch on a node that is not there would wait for its creation.
            Ok((stat, watcher)) => Ok(stat.map(|_| watcher)),
            Err(source) => Err(TaskError::Look { path, source }),
        }
    }

    /// Creates the master node and writes the term record, both or neither, while `candidate` is in the queue.
    pub async fn elect(self, candidate: String, over: Record) -> Result<Election, TaskError> {
        let elect_error = |source| TaskError::Elect { path: self.paths.master.clone(), source };
        let host = self.session.host();
        let number = over.number.saturating_add(1);
        let master = nodes::encode(&MasterRecord { host: host.to_string(), term: number });
        let term = nodes::encode(&TermRecord { number, host: host.to_string(), state: TermState::Active });
        let mut multi = self.session.client().new_multi_writer();
        let options = CreateMode::Ephemeral.with_acls(self.session.acls());
        multi
            .add_check_version(&self.candidate_path(&candidate), -1)
            .and_then(|()| multi.add_create(&self.paths.master, &master, &options))
            .and_then(|()| multi.add_set_data(&self.paths.master, &master, Some(MASTER_VERSION - 1)))
            .and_then(|()| multi.add_set_data(&self.paths.term, &term, Some(over.version)))
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
                Ok(Election::Won(self.term(number, stat)))
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

    /// Reads who holds the master node, with a watch on it.
    pub async fn read_master(self) -> Result<(Holder, Option<OneshotWatcher>), TaskError> {
        let client = self.session.client();
        let read = try_join(
            client.get_and_watch_data(&self.paths.master).map_ok(Some).or_else(none_if_missing),
            client.get_data(&self.paths.term).map_ok(Some).or_else(none_if_missing),
        );
        let (master, term) =
            read.await.map_err(|source| TaskError::ReadMaster { path: self.paths.master.clone(), source })?;
        let Some((data, stat, watcher)) = master else { return Ok((Holder::Nobody, None)) };
        let holder = if stat.ephemeral_owner != self.session.id() {
            Holder::Other(nodes::holder_name(&data, stat.ephemeral_owner))
        } else {
            match term {
                Some((record, record_stat)) if record_stat.mzxid == stat.czxid => {
                    Holder::Me(self.term(TermRecord::read(&record, record_stat.version).number, &record_stat))
                }
                _ => Holder::MeWithoutTerm,
            }
        };
        Ok((holder, Some(watcher)))
    }

    /// Gives back all that this session holds in the task; `candidate` is its candidate as last seen.
    pub async fn release(self, term: Option<Term>, candidate: Option<String>) -> Result<(), TaskError> {
        let release_error = |source| TaskError::Release { path: self.paths.master.clone(), source };
        // As things usually are: one request.
        if let (Some(term), Some(candidate)) = (&term, candidate)
            && self.write_release(Some(MASTER_VERSION), Some(term), &[candidate]).await.is_ok()
        {
            return Ok(());
        }
        let mut last = Error::NodeExists;
        for _ in 0..RELEASE_ATTEMPTS {
            let (master, record, own) = self.read_own().await.map_err(release_error)?;
            let term = term.as_ref().filter(|term| record == Some(term.record_version));
            match self.write_release(master, term, &own).await {
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
        let own = nodes::place(children, self.session.id()).map(|place| place.own).unwrap_or_default();
        Ok((master.map(|stat| stat.version), term.map(|stat| stat.version), own))
    }

    async fn write_release(
        &self,
        master: Option<i32>,
        term: Option<&Term>,
        candidates: &[String],
    ) -> Result<(), Error> {
        let mut multi = self.session.client().new_multi_writer();
        if let Some(version) = master {
            multi.add_delete(&self.paths.master, Some(version))?;
        }
        if let Some(term) = term {
            let record = TermRecord { number: term.number, host: term.host.to_string(), state: TermState::Released };
            multi.add_set_data(&self.paths.term, &nodes::encode(&record), Some(term.record_version))?;
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
