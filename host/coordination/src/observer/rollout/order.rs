//! One change of a task's rollout record, with all that belongs to it, in one transaction.
//!
//! A change whose answer was lost may still be done. Whoever tries again does so over the version that was read, so it is done
//! once at the most; and a record that reads like the one that was sent says that it was done.

use zookeeper_client::{Acls, CreateMode, Error, MultiWriteError};

use super::{Observer, ObserverError, Versioned};
use crate::artefacts::Stored;
use crate::error::{Doing, NodeError};
use soloist_core::records::{Envelope, RolloutRecord};
use soloist_core::rollout::Refused;

/// How often an order is written anew because somebody else has changed the record meanwhile.
const CONFLICTS_MAX: u32 = 10;

/// What the record becomes, by the record as it is.
pub type Decide<'a> = dyn Fn(Option<&RolloutRecord>) -> Result<RolloutRecord, Refused> + 'a;

/// An order of an operator: what the record becomes, and what is written with it.
pub struct Order<'a> {
    /// The task.
    pub task: &'a str,
    /// The rule. It is asked again if somebody has changed the record meanwhile.
    pub decide: &'a Decide<'a>,
    /// A generation that is written with the record, and its number.
    pub generation: Option<(u64, &'a Envelope)>,
    /// An artefact that has to be there.
    pub artefact: Option<Stored>,
}

impl<'a> Order<'a> {
    /// An order that writes nothing but the record.
    pub fn of_record(task: &'a str, decide: &'a Decide<'a>) -> Self {
        Self {
            task,
            decide,
            generation: None,
            artefact: None,
        }
    }
}

/// What is known of an order, from one connection to the next.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Whether the record was read before.
    is_read: bool,
    /// The version that it had when it was first read; None if it was not there.
    first: Option<i32>,
    /// The record that was sent, without an answer.
    sent: Option<RolloutRecord>,
}

impl Attempt {
    /// Whether it is not known if the order was done.
    pub fn is_open(&self) -> bool {
        self.sent.is_some()
    }
}

impl Observer {
    /// Gives an order; gives the record that was written.
    ///
    /// If somebody has changed the record meanwhile, and the order is still right, it is written over the new record. If it is
    /// not right any more, whoever has changed it is named.
    ///
    /// # Errors
    /// [`ObserverError::Refused`]; [`ObserverError::ArtefactGone`]; [`ObserverError::NumberTaken`];
    /// [`ObserverError::Node`]. After an error that [may pass](ObserverError::may_pass) the same order can be given again with
    /// the same `attempt`, by this connection or another.
    ///
    /// # Cancellation safety
    /// Dropped, the order may be done or not; the same `attempt` finds out.
    pub async fn order(
        &self,
        order: &Order<'_>,
        attempt: &mut Attempt,
    ) -> Result<RolloutRecord, ObserverError> {
        let paths = self.paths(order.task);
        let mut conflicts = 0;
        loop {
            let before = self.rollout(order.task).await?;
            if let (Some(sent), Some(before)) = (&attempt.sent, &before)
                && (*sent == before.record || self.is_written(order).await?)
            {
                return Ok(before.record.clone());
            }
            let version = before.as_ref().map(|before| before.version);
            if !attempt.is_read {
                attempt.is_read = true;
                attempt.first = version;
            }
            let is_first = attempt.first == version;
            let record = match (order.decide)(before.as_ref().map(|before| &before.record)) {
                Ok(record) => record,
                // It was right when it was given.
                Err(refused) => {
                    let now = before.filter(|_| !is_first);
                    let refused = now.map_or(refused, |now| Refused::changed(&now.record));
                    return Err(refused.into());
                }
            };
            self.ensure_parents(&paths.manifest).await?;
            self.ensure_parents(&paths.generation(0)).await?;
            attempt.sent = Some(record.clone());
            match self.write_order(order, before.as_ref(), &record).await {
                Ok(()) => return Ok(record),
                Err(Failed::Other(error)) if error.may_pass() => return Err(error),
                failed => {
                    // The ensemble has answered that nothing was written.
                    attempt.sent = None;
                    match failed {
                        Err(Failed::Other(error)) => return Err(error),
                        _ if conflicts < CONFLICTS_MAX => conflicts += 1,
                        _ => {
                            let at = NodeError::at(Doing::Write, &paths.manifest);
                            return Err(at(Error::BadVersion).into());
                        }
                    }
                }
            }
        }
    }

    /// Whether the generation of the order is there. A leader may have changed the record since, but nobody writes this node
    /// again.
    async fn is_written(&self, order: &Order<'_>) -> Result<bool, ObserverError> {
        let Some((number, envelope)) = order.generation else {
            return Ok(false);
        };
        let there = self
            .data(&self.paths(order.task).generation(number))
            .await?;
        Ok(there.is_some_and(|(data, _)| data == envelope.encode()))
    }

    async fn write_order(
        &self,
        order: &Order<'_>,
        before: Option<&Versioned>,
        record: &RolloutRecord,
    ) -> Result<(), Failed> {
        let paths = self.paths(order.task);
        let data = record.encode().map_err(|problem| super::Unreadable {
            path: paths.manifest.clone(),
            problem,
        })?;
        let envelope = order
            .generation
            .map(|(number, envelope)| (paths.generation(number), envelope.encode()));
        let head = match &order.artefact {
            Some(stored) => Some(self.head(stored).await?),
            None => None,
        };
        let at = NodeError::at(Doing::Write, &paths.manifest);
        let options = CreateMode::Persistent.with_acls(Acls::new(&self.acl));
        let mut multi = self.client.new_multi_writer();
        // What each operation of the transaction is about, in their order.
        let mut about = vec![About::Record];
        match before {
            Some(before) => multi.add_set_data(&paths.manifest, &data, Some(before.version)),
            None => multi.add_create(&paths.manifest, &data, &options),
        }
        .map_err(at)?;
        if let Some((path, data)) = &envelope {
            about.push(About::Generation);
            multi.add_create(path, data, &options).map_err(at)?;
        }
        if let Some((path, data, version)) = &head {
            about.push(About::Artefact);
            multi.add_set_data(path, data, Some(*version)).map_err(at)?;
        }
        let Err(error) = multi.commit().await else {
            return Ok(());
        };
        let failed = match &error {
            MultiWriteError::OperationFailed { index, .. } => about.get(*index).copied(),
            MultiWriteError::RequestFailed { .. } => None,
        };
        let source = Error::from(error);
        Err(match (failed, &source) {
            (Some(About::Record), Error::BadVersion | Error::NoNode | Error::NodeExists) => {
                Failed::Changed
            }
            (Some(About::Generation), Error::NodeExists) => {
                let path = envelope.map(|(path, _)| path).unwrap_or_default();
                ObserverError::NumberTaken { path }.into()
            }
            (Some(About::Artefact), Error::BadVersion | Error::NoNode) => {
                ObserverError::ArtefactGone.into()
            }
            _ => {
                let generation = envelope.map_or(0, |(_, data)| data.len());
                Failed::Other(at(source).writing(data.len() + generation).into())
            }
        })
    }
}

impl Observer {
    /// The head of an artefact. The transaction writes it again as it is: that gives it another version, so whoever has listed
    /// it as one that nobody needs does not remove it.
    async fn head(&self, stored: &Stored) -> Result<(String, Vec<u8>, i32), ObserverError> {
        match self.data(&stored.path).await? {
            Some((data, stat)) if stat.version == stored.version => {
                Ok((stored.path.clone(), data, stored.version))
            }
            _ => Err(ObserverError::ArtefactGone),
        }
    }
}

/// What an operation of the transaction is about.
#[derive(Clone, Copy)]
enum About {
    Record,
    Generation,
    Artefact,
}

enum Failed {
    /// Somebody else has changed the record.
    Changed,
    Other(ObserverError),
}

impl<E: Into<ObserverError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}
