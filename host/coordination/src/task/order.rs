//! Orders to resign, as the leader of a term hears of them.

use std::time::Duration;

use futures::future::OptionFuture;
use zookeeper_client::{Error, OneshotWatcher, Stat};

use super::TaskNodes;
use crate::error::{Doing, NodeError};
use soloist_core::backoff::Backoff;
use soloist_core::event::{About, Event, chain};
use soloist_core::records::{self, ResignOrder};
use soloist_core::term::Term;

/// The pause after orders to resign could not be read; it doubles up to [`ORDER_RETRY_MAX`] while the ensemble refuses it.
const ORDER_RETRY: Duration = Duration::from_secs(1);
/// The longest pause after orders to resign could not be read.
const ORDER_RETRY_MAX: Duration = Duration::from_mins(1);

/// What stands where orders are given.
type Written = Option<(Vec<u8>, Stat)>;

impl TaskNodes {
    /// Waits until somebody asks for the end of this term.
    pub async fn resign_order(self, term: Term) -> ResignOrder {
        let mut pauses = Backoff::new(ORDER_RETRY, ORDER_RETRY_MAX);
        loop {
            let (error, watcher) = match self.watch_order().await {
                Ok((Ok(written), watcher)) => {
                    if let Some(order) = self.heard(written, &term).await {
                        return order;
                    }
                    watcher.changed().await;
                    pauses.reset();
                    continue;
                }
                Ok((Err(error), watcher)) => (error, Some(watcher)),
                Err(error) => (error, None),
            };
            let changed = OptionFuture::from(watcher.map(OneshotWatcher::changed));
            if matches!(
                error,
                Error::ConnectionLoss | Error::SessionExpired | Error::Custom(_)
            ) {
                // That is reported elsewhere; the watch has to be set anew.
                tokio::time::sleep(ORDER_RETRY).await;
                continue;
            }
            if pauses.steps() == 0 {
                let error = NodeError::at(Doing::ReadOrders, &self.paths.resign)(error);
                About::Task(&self.task).report(&Event::election_error(chain(&error)));
            }
            // A node that is deleted fires the watch; one whose ACL is changed does not.
            tokio::select! {
                Some(_) = changed => {}
                () = tokio::time::sleep(pauses.step()) => {}
            }
        }
    }

    /// The order, if it is for this term. What was written before the term began is for another one, whatever it says: it is
    /// removed, so that it cannot be mistaken.
    async fn heard(&self, written: Written, term: &Term) -> Option<ResignOrder> {
        let (data, stat) = written?;
        if stat.mzxid.unsigned_abs() > term.fencing_token.0 {
            return records::decode::<ResignOrder>(&data).filter(|order| order.is_for(term));
        }
        if let Err(error) = self
            .session
            .client()
            .delete(&self.paths.resign, Some(stat.version))
            .await
        {
            tracing::debug!(%error, path = self.paths.resign, "cannot remove an order left behind");
        }
        None
    }

    /// Reads the order, and watches it, whether it can be read or not.
    async fn watch_order(&self) -> Result<(Result<Written, Error>, OneshotWatcher), Error> {
        let (stat, watcher) = self
            .session
            .client()
            .check_and_watch_stat(&self.paths.resign)
            .await?;
        // As a rule there is none. One that comes later fires the watch.
        if stat.is_none() {
            return Ok((Ok(None), watcher));
        }
        let read = self.session.client().get_data(&self.paths.resign).await;
        Ok((
            read.map(Some).or_else(|error| {
                if error == Error::NoNode {
                    Ok(None)
                } else {
                    Err(error)
                }
            }),
            watcher,
        ))
    }
}
