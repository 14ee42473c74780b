//! Reads the queue of candidates and the term record.
//!
//! A name proves no candidate, because anybody may create a node of such a name. A candidate is an ephemeral node of the session
//! that its name tells. The host passes over every other node in the queue, because no session's end would remove that.

use futures::future::try_join_all;
use zookeeper_client::{Error, MultiReadResult, Stat};

use super::{HistorySnapshot, QueueSnapshot, TaskError, TaskNodes};
use crate::error::{Doing, NodeError};
use soloist_core::election::{Appointed, Queue, Record};
use soloist_core::records::{self, Candidate, TermRecord};

/// Stands for the version of a history that was not read. No node has it, so no election over such a record succeeds.
const UNREAD_VERSION: i32 = i32::MAX;

/// The names in the queue, the term record, and the history if it was read.
type ReadQueue = (Vec<String>, (Vec<u8>, Stat), Option<HistorySnapshot>);

/// Where this session stands in the queue.
struct Place {
    /// Its candidates, in the order in which they were created.
    own: Vec<String>,
    /// How many stand before the first of them, and the one right before it.
    ahead: Option<usize>,
    predecessor: Option<String>,
    /// Nodes right before it that are no candidates.
    strangers: Vec<String>,
}

impl TaskNodes {
    /// Reads the queue and the term record, creating their parents when they are missing. `with_history` has the history read in
    /// the same request. Otherwise it is read only if this host is to be elected next, which takes a request more: it is as large
    /// as all else together, and of three hundred standbys two need it.
    pub async fn look(self, with_history: bool) -> Result<QueueSnapshot, TaskError> {
        let look_error = NodeError::at(Doing::Look, &self.paths.candidates);
        let (children, (data, stat), history) = match self.read_queue(with_history).await {
            Err(Error::NoNode) => {
                self.prepare().await?;
                self.read_queue(with_history).await.map_err(look_error)?
            }
            read => read.map_err(look_error)?,
        };
        let (kept, record) = TermRecord::read(&data, stat.version);
        let candidates = records::queue(children);
        let Place {
            own,
            ahead,
            predecessor,
            strangers,
        } = self.place(&candidates).await.map_err(look_error)?;
        self.agree_on_path(&kept, &candidates, &own).await?;
        let (id, own_host) = (self.session.id(), self.session.host());
        let head = Candidate::before(&candidates, id, own_host);
        let appointed = match kept.successor.as_deref().filter(|_| record.released) {
            Some(host) if *host == **own_host && ahead.is_some() && head.is_some() => {
                Appointed::ThisHost
            }
            Some(host) if *host != **own_host => self
                .appointed(&candidates, host, head.is_some())
                .await
                .map_err(look_error)?,
            _ => Appointed::Nobody,
        };
        let is_next = matches!(ahead, Some(0 | 1)) || appointed == Appointed::ThisHost;
        let history = match history {
            // If it was written since, the record was too: an election over that record fails.
            None if is_next => Some(self.read_history().await.map_err(look_error)?),
            history => history,
        };
        let highest = history.as_ref().map_or(0, |it| it.history.highest());
        let queue = Queue {
            ahead,
            predecessor,
            appointed,
            record: Record {
                number: record.number.max(highest),
                history: history.as_ref().map_or(UNREAD_VERSION, |it| it.version),
                ..record
            },
        };
        let latest_ended = history.as_ref().and_then(|it| it.history.latest());
        let is_written = queue.ahead == Some(0) && !queue.record.released;
        let history = history.filter(|_| is_written);
        let candidate = own.first().cloned();
        Ok(QueueSnapshot {
            queue,
            candidates: candidates.len(),
            candidate,
            own,
            head,
            strangers,
            record: kept,
            zxid: stat.mzxid.unsigned_abs(),
            latest_ended,
            history: history.map(|it| Box::new(it.history)),
        })
    }

    /// Fails, and leaves the queue, if a host stands for the task with another master node than this host's. The head of the
    /// queue may change the master node while nobody holds the old one: its election writes the new path over the record that
    /// was read, so no other election has come in between.
    async fn agree_on_path(
        &self,
        kept: &TermRecord,
        named: &[Candidate],
        own: &[String],
    ) -> Result<(), TaskError> {
        let theirs = self.paths.master_in(kept);
        // A record that cannot be read names nobody and no path.
        if theirs == self.paths.master || (kept.term.host.is_empty() && kept.term.number > 0) {
            return Ok(());
        }
        let look_error = NodeError::at(Doing::Look, &theirs);
        let client = self.session.client();
        let host = match self.first(named).await.map_err(look_error)? {
            Some(first) if first.session != self.session.id() => first.host.clone(),
            _ => match client.get_data(&theirs).await {
                Ok((data, stat)) if records::is_session(stat.ephemeral_owner) => {
                    records::holder_name(&data, stat.ephemeral_owner)
                }
                // What no host can have written cannot be held.
                Ok(_) | Err(Error::NoNode | Error::BadArguments(_)) => return Ok(()),
                Err(error) => return Err(look_error(error).into()),
            },
        };
        for own in own {
            match client.delete(&self.candidate_path(own), None).await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(look_error(error).into()),
            }
        }
        Err(TaskError::OtherPath {
            own: self.paths.master.clone(),
            theirs,
            host,
        })
    }

    /// Another host, if it stands. It may be elected out of turn if there is a place before all others, and if its candidate
    /// says something: an earlier release left it empty.
    async fn appointed(
        &self,
        named: &[Candidate],
        host: &str,
        has_place: bool,
    ) -> Result<Appointed, Error> {
        for candidate in named.iter().filter(|candidate| candidate.host == host) {
            let path = self.candidate_path(&candidate.name);
            match self.session.client().check_stat(&path).await? {
                Some(stat) if candidate.is_held_by(stat.ephemeral_owner) => {
                    return Ok(Appointed::Another {
                        candidate: candidate.name.clone(),
                        out_of_turn: has_place && stat.data_length > 0,
                    });
                }
                _ => {}
            }
        }
        Ok(Appointed::Nobody)
    }

    /// The first of the candidates.
    async fn first<'a>(&self, named: &'a [Candidate]) -> Result<Option<&'a Candidate>, Error> {
        for candidate in named {
            if self.is_candidate(candidate).await? == Some(true) {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Reads the queue, the term record and, if that is wanted, the history in one request. A second request would wait for the
    /// answer to the first, because the client's connections gather small messages (Nagle's algorithm).
    async fn read_queue(&self, with_history: bool) -> Result<ReadQueue, Error> {
        let mut multi = self.session.client().new_multi_reader();
        multi.add_get_children(&self.paths.candidates)?;
        multi.add_get_data(&self.paths.term)?;
        if with_history {
            multi.add_get_data(&self.paths.history)?;
        }
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
        let mut data = data.into_iter();
        Ok((
            children.ok_or_else(unexpected)?,
            data.next().ok_or_else(unexpected)?,
            data.next().map(HistorySnapshot::read),
        ))
    }

    async fn read_history(&self) -> Result<HistorySnapshot, Error> {
        let read = self.session.client().get_data(&self.paths.history).await;
        read.map(HistorySnapshot::read)
    }

    /// Finds this session among those whose names are `named`.
    async fn place(&self, named: &[Candidate]) -> Result<Place, Error> {
        let own = self.own(named).await?;
        let first = own
            .first()
            .and_then(|own| named.iter().position(|candidate| candidate.name == *own));
        let mut place = Place {
            own,
            ahead: first.map(|_| 0),
            predecessor: None,
            strangers: Vec::new(),
        };
        for (before, candidate) in named[..first.unwrap_or_default()].iter().enumerate().rev() {
            match self.is_candidate(candidate).await? {
                Some(true) => {
                    (place.ahead, place.predecessor) =
                        (Some(before + 1), Some(candidate.name.clone()));
                    break;
                }
                Some(false) => place.strangers.push(candidate.name.clone()),
                None => {}
            }
        }
        Ok(place)
    }

    /// The names of the owner's candidates among those named.
    pub(super) async fn own(&self, named: &[Candidate]) -> Result<Vec<String>, Error> {
        let mine = named
            .iter()
            .filter(|candidate| candidate.session == self.owner);
        let own = mine.map(async |candidate| {
            let is_own = self.is_candidate(candidate).await? == Some(true);
            Ok::<_, Error>(is_own.then(|| candidate.name.clone()))
        });
        Ok(try_join_all(own).await?.into_iter().flatten().collect())
    }

    /// Whether the node of that name is a candidate; none if it is gone.
    async fn is_candidate(&self, named: &Candidate) -> Result<Option<bool>, Error> {
        let stat = self
            .session
            .client()
            .check_stat(&self.candidate_path(&named.name))
            .await?;
        Ok(stat.map(|stat| named.is_held_by(stat.ephemeral_owner)))
    }
}
