//! What a dead process has left in a task, and how it is given back.

use zookeeper_client::{Error, MultiReadResult};

use super::release::{OwnNodes, RELEASE_ATTEMPTS, Writes};
use super::{HistorySnapshot, TaskNodes, TermEnding};
use crate::error::{Doing, NodeError};
use soloist_core::guardian::Place;
use soloist_core::records::{End, TermRecord};
use soloist_core::term::{FencingToken, Term};

/// What has been given back of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    /// The term that the dead process led.
    pub(crate) term: Option<Term>,
    /// Whether it had a candidate.
    pub(crate) stood: bool,
    /// It still has the master node: nothing is left that would fence its release.
    pub(crate) is_left: bool,
}

impl TaskNodes {
    /// Gives back what the dead owner has in the task, by the transaction of a release. `place` is where it stood, as it told
    /// last: it may have gone on since. `end` is the end of its term.
    ///
    /// Whatever was read, the transaction does nothing unless it still holds: it deletes the candidate of the dead session, and
    /// it checks the version of the term record. So it neither touches another's term nor passes over an election of the dead
    /// process that was still on its way. Once the candidate is deleted, no such election can succeed.
    pub(crate) async fn give_back(self, place: &Place, end: &End) -> Result<Returned, NodeError> {
        let release_error = NodeError::at(Doing::Release, &self.paths.master);
        let mut returned = Returned {
            term: None,
            stood: false,
            is_left: false,
        };
        let mut last = Error::NodeExists;
        for attempt in 0..RELEASE_ATTEMPTS {
            let read = if attempt == 0 && !place.candidates.is_empty() {
                self.read_told(place).await
            } else {
                self.read_own().await
            };
            let own = read.map_err(release_error)?;
            if own.candidates.is_empty() {
                returned.is_left = own.master.is_some();
                return Ok(returned);
            }
            let term = self.term_of(&own);
            let ending = term.clone().map(|term| {
                let record = own.record.as_ref().map(|(record, _)| record.clone());
                TermEnding::new(term, record, own.kept.clone(), end.clone(), None, None)
            });
            if ending.is_some() && own.kept.is_none() && attempt == 0 {
                // It did not tell that it led, so the history was not read.
                continue;
            }
            match self
                .write_release(own.returns(ending.as_ref()), &own.candidates)
                .await
            {
                Ok(()) => {
                    returned.term = term;
                    returned.stood = true;
                    return Ok(returned);
                }
                Err(error @ (Error::NoNode | Error::NodeExists | Error::BadVersion)) => {
                    last = error;
                }
                Err(error) => return Err(release_error(error)),
            }
        }
        Err(release_error(last))
    }

    /// Reads what the transaction needs if all is as it was told, without the queue: in one request, because there may be ten
    /// thousand tasks.
    async fn read_told(&self, place: &Place) -> Result<OwnNodes, Error> {
        let mut multi = self.session.client().new_multi_reader();
        multi.add_get_data(&self.paths.master)?;
        multi.add_get_data(&self.paths.term)?;
        if place.leads.is_some() {
            multi.add_get_data(&self.paths.history)?;
        }
        let mut answers = multi
            .commit()
            .await?
            .into_iter()
            .map(|answer| match answer {
                MultiReadResult::Data { data, stat } => Ok(Some((data, stat))),
                MultiReadResult::Error { err: Error::NoNode } => Ok(None),
                MultiReadResult::Error { err } => Err(err),
                _ => Err(Error::UnexpectedError("not what was asked for".into())),
            });
        let mut next = || answers.next().transpose().map(Option::flatten);
        let (master, term, history) = match (next(), next(), next()) {
            // Whoever may not read the master node may ask whose it is.
            (Err(Error::NoAuth), ..) => return self.read_own().await,
            (master, term, history) => (master?, term?, history?),
        };
        let master = master.map(|(_, stat)| stat);
        Ok(OwnNodes {
            master: master.filter(|stat| stat.ephemeral_owner == self.owner),
            record: term.map(|(data, stat)| (TermRecord::read(&data, stat.version).0, stat)),
            kept: history.map(HistorySnapshot::read),
            candidates: place.candidates.clone(),
        })
    }

    /// The term of the owner: the transaction that created its master node has written the record.
    fn term_of(&self, own: &OwnNodes) -> Option<Term> {
        let (master, (record, stat)) = own.master.as_ref().zip(own.record.as_ref())?;
        (master.czxid == stat.mzxid).then(|| Term {
            number: record.term.number,
            fencing_token: FencingToken(stat.mzxid.unsigned_abs()),
            task: self.task.clone(),
            host: self.session.host().clone(),
            record_version: stat.version,
        })
    }
}

impl OwnNodes {
    /// What is to be written, beside the deletion of the candidates, of a dead owner's term.
    fn returns<'a>(&'a self, ended: Option<&'a TermEnding>) -> Writes<'a> {
        let version = self.record.as_ref().map(|(_, stat)| stat.version);
        Writes {
            master: self.master.as_ref().map(|stat| stat.version),
            record: ended,
            unchanged: version.filter(|_| ended.is_none()),
            history: ended.map(|ended| (ended, self.kept.as_ref())),
        }
    }
}
