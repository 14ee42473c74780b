//! The transaction of an election.

use zookeeper_client::{CreateMode, Error, MultiWriteError, MultiWriteResult};

use super::{MASTER_VERSION, QueueSnapshot, TaskError, TaskNodes};
use crate::error::{Doing, NodeError};
use crate::rollout::SmallCopy;
use soloist_core::digest::Digest;
use soloist_core::election::Record;
use soloist_core::records::{self, History, MasterRecord, NUMBER_MAX, RolloutRecord, TermRecord};
use soloist_core::term::Term;

/// The place in the transaction of the check of the manifest, or of its change. What follows is the copy of the state.
const MANIFEST_CHECK: usize = 5;

/// What came of an attempt to be elected.
#[derive(Debug)]
pub enum ElectOutcome {
    /// The master node and this term record are written.
    Won {
        /// The term.
        term: Term,
        /// Its record.
        record: Box<TermRecord>,
        /// The queue as this host has changed it, if it was elected out of turn.
        seen: Option<Box<QueueSnapshot>>,
        /// Whether the state is copied.
        is_copied: bool,
    },
    /// The master node is there already.
    Held,
    /// The queue or the term record is no longer as it was read; nothing was written.
    Outdated,
    /// The manifest is no longer as this host knows it; nothing was written.
    OtherManifest,
}

/// What a term runs, if the task was deployed: its election fails once the manifest has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// What its plugin is known by. None if the host does not know that: then its terms do not run it.
    pub digest: Option<Digest>,
    /// The data version of the manifest that says that terms run it.
    pub manifest_version: i32,
}

/// What the transaction of an election is made of.
struct Attempt<'a> {
    seen: &'a QueueSnapshot,
    over: &'a Record,
    generation: Option<Generation>,
    /// The copy of the state, and the text of the manifest that says that it is made.
    copy: Option<(SmallCopy, Vec<u8>)>,
}

impl TaskNodes {
    /// Creates the master node and writes the term record over `over`, both or neither. Nothing is written unless `over` is
    /// the record that was `seen`, or what the release of its term makes of it.
    ///
    /// `copied` is what the manifest becomes if the state is copied in the same transaction. It is, if the term before was given
    /// back and the copy is small. Otherwise the leader has to make it.
    pub async fn elect(
        self,
        seen: Option<QueueSnapshot>,
        over: Record,
        generation: Option<Generation>,
        copied: Option<&RolloutRecord>,
    ) -> Result<ElectOutcome, TaskError> {
        let Some(seen) = seen.filter(|seen| seen.queue.record.leads_to(&over)) else {
            return Ok(ElectOutcome::Outdated);
        };
        let copied = copied.and_then(|record| record.encode().ok());
        let copy = match copied.filter(|_| over.released) {
            Some(manifest) => self.small_copy(&over).await.map(|copy| (copy, manifest)),
            None => None,
        };
        let mut attempt = Attempt {
            seen: &seen,
            over: &over,
            generation,
            copy,
        };
        if attempt.copy.is_some()
            && let Some(outcome) = self.attempt(&attempt).await?
        {
            return Ok(outcome);
        }
        attempt.copy = None;
        let outcome = self.attempt(&attempt).await?;
        Ok(outcome.unwrap_or(ElectOutcome::Outdated))
    }

    /// A copy of the state as the term before has left it, if that can be made in one transaction.
    ///
    /// All writes of that term check the version of its record, which its release has made another one. So what is read after
    /// the version that the release has left does not change before the next election.
    async fn small_copy(&self, over: &Record) -> Option<SmallCopy> {
        // Requests are sent in this order, and no answer is older than the one before.
        let record = self.session.client().get_data(&self.paths.term);
        let copy = SmallCopy::read(&self.session, &self.paths);
        let (record, copy) = futures::join!(record, copy);
        let is_given_back = record.is_ok_and(|(_, stat)| stat.version == over.version);
        // Whatever is wrong with the state, the leader says so.
        copy.ok().flatten().filter(|_| is_given_back)
    }

    /// None if the ensemble refuses the copy, and not the election.
    async fn attempt(&self, attempt: &Attempt<'_>) -> Result<Option<ElectOutcome>, TaskError> {
        let Attempt {
            seen,
            over,
            generation,
            copy,
        } = attempt;
        let elect_error = NodeError::at(Doing::Elect, &self.paths.master);
        let host = self.session.host();
        let number = over.number.saturating_add(1).min(NUMBER_MAX);
        let candidate = seen.candidate.as_deref().unwrap_or_default();
        let path = self.paths.elsewhere.then_some(self.paths.master.as_str());
        let record = TermRecord {
            completed: seen.record.completed.clone(),
            ..TermRecord::new(number, host, path).running(
                generation.map(|generation| generation.number),
                generation.and_then(|generation| generation.digest),
            )
        };
        let master = records::encode(&MasterRecord {
            host: host.to_string(),
            term: number,
        });
        let Ok(lost) = lost(seen, over) else {
            return Ok(Some(ElectOutcome::Outdated));
        };
        let mut multi = self.session.client().new_multi_writer();
        let options = CreateMode::Ephemeral.with_acls(self.session.acls());
        // Whoever is elected out of turn leads from the head of the queue like any other: its candidate says that it may act,
        // and holds back those who stood before it.
        let head = seen.head.as_ref();
        let head = head.filter(|_| seen.queue.takes_the_head(over));
        let path = self.candidate_path(candidate);
        match head {
            Some(_) => multi.add_delete(&path, None),
            None => multi.add_check_version(&path, -1),
        }
        .and_then(|()| multi.add_create(&self.paths.master, &master, &options))
        .and_then(|()| multi.add_set_data(&self.paths.master, &master, Some(MASTER_VERSION - 1)))
        .and_then(|()| {
            let record = records::encode(&record);
            multi.add_set_data(&self.paths.term, &record, Some(over.version))
        })
        .and_then(|()| match &lost {
            // The host writes the history even if it stays as it is, because the next leader counts its versions: see
            // `given_back`.
            Some(history) => {
                let history = records::encode(history);
                multi.add_set_data(&self.paths.history, &history, Some(over.history))
            }
            None => multi.add_check_version(&self.paths.history, over.history),
        })
        .map_err(elect_error)?;
        if let Some(Generation {
            manifest_version: version,
            ..
        }) = *generation
        {
            let manifest = &self.paths.manifest;
            match copy {
                None => multi.add_check_version(manifest, version),
                Some((_, copied)) => multi.add_set_data(manifest, copied, Some(version)),
            }
            .map_err(elect_error)?;
        }
        if let Some(head) = head {
            let path = self.candidate_path(head);
            multi
                .add_create(&path, &self.candidate_record(), &options)
                .map_err(elect_error)?;
        }
        if let Some((copy, _)) = copy {
            let options = CreateMode::Persistent.with_acls(self.session.acls());
            copy.add(&mut multi, &options).map_err(elect_error)?;
        }
        let error = match multi.commit().await {
            Ok(results) => {
                let (term, record) = self.elected(number, record, &results)?;
                let seen = head.map(|head| Box::new(out_of_turn(seen, head)));
                return Ok(Some(ElectOutcome::Won {
                    term,
                    record,
                    seen,
                    is_copied: copy.is_some(),
                }));
            }
            Err(error) => error,
        };
        match refusal(&error) {
            Some(refusal) => Ok(Some(refusal)),
            None if copy.is_some() && is_of_the_copy(&error) => Ok(None),
            None if is_missing(&error) => {
                self.prepare().await?;
                Ok(Some(ElectOutcome::Outdated))
            }
            None => Err(elect_error(error.into()).into()),
        }
    }

    /// The term that an election has begun, from what the ensemble answered.
    fn elected(
        &self,
        number: u64,
        record: TermRecord,
        results: &[MultiWriteResult],
    ) -> Result<(Term, Box<TermRecord>), TaskError> {
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
        Ok((self.term(number, stat), Box::new(record)))
    }
}

/// What it means that the ensemble has refused the transaction, if that is for what it checks.
fn refusal(error: &MultiWriteError) -> Option<ElectOutcome> {
    let MultiWriteError::OperationFailed { index, source } = error else {
        return None;
    };
    match (*index, source) {
        (1, Error::NodeExists) => Some(ElectOutcome::Held),
        (MANIFEST_CHECK, Error::BadVersion | Error::NoNode) => Some(ElectOutcome::OtherManifest),
        (0, Error::NoNode) | (_, Error::BadVersion) => Some(ElectOutcome::Outdated),
        _ => None,
    }
}

/// Whether a node is missing that the transaction writes.
fn is_missing(error: &MultiWriteError) -> bool {
    matches!(
        error,
        MultiWriteError::OperationFailed {
            source: Error::NoNode,
            ..
        }
    )
}

/// Whether the ensemble has refused what the copy adds to the transaction.
fn is_of_the_copy(error: &MultiWriteError) -> bool {
    matches!(
        error,
        MultiWriteError::OperationFailed {
            index: MANIFEST_CHECK..,
            ..
        }
    )
}

/// The history has to be read anew.
struct Unread;

/// The history with the term before, if that was lost. A record that a stranger has lowered or made up adds no term.
fn lost(seen: &QueueSnapshot, over: &Record) -> Result<Option<History>, Unread> {
    let Some(lost) = seen.record.lost(seen.zxid).filter(|_| !over.released) else {
        return Ok(None);
    };
    let history = seen.history.clone().ok_or(Unread)?;
    let adds = lost.number > history.highest() && !lost.host.is_empty();
    Ok(Some(if adds { history.with(lost) } else { *history }))
}

/// The queue in which this host stands before all others, with the candidate of that name.
fn out_of_turn(seen: &QueueSnapshot, head: &str) -> QueueSnapshot {
    let before = seen.candidate.as_deref().unwrap_or_default();
    let own = seen.own.iter().filter(|own| *own != before).cloned();
    QueueSnapshot {
        own: [head.to_owned()].into_iter().chain(own).collect(),
        candidate: Some(head.to_owned()),
        ..seen.clone()
    }
}
