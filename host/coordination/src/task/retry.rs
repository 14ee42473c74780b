//! Orders to try again, as hosts hear of them that rest because the plugin has failed for good.

use std::time::Duration;

use futures::future::OptionFuture;
use zookeeper_client::{Error, OneshotWatcher};

use super::TaskNodes;
use soloist_core::backoff::Backoff;
use soloist_core::records::{self, FailedRecord, RetryOrder};

/// The pause after the mark could not be read; it doubles up to [`READ_RETRY_MAX`].
const READ_RETRY: Duration = Duration::from_secs(1);
const READ_RETRY_MAX: Duration = Duration::from_mins(1);

impl TaskNodes {
    /// Waits until an operator orders the hosts that rest after failures to stand again, this one among them: the term in which
    /// its plugin failed has that fencing token.
    ///
    /// An order stays in the mark when later terms fail, so none is missed that is given while this waits. It is gone with the mark,
    /// once the plugin runs well elsewhere: then the host stands again in its own time.
    pub async fn retry_order(self, token: u64) -> RetryOrder {
        let mut pauses = Backoff::new(READ_RETRY, READ_RETRY_MAX);
        loop {
            let watcher = match self.watch_mark().await {
                Ok((mark, watcher)) => {
                    let order = mark.and_then(|mark| mark.retried);
                    if let Some(order) = order.filter(|order| order.is_for(token)) {
                        return order.cleaned();
                    }
                    watcher.changed().await;
                    pauses.reset();
                    continue;
                }
                // Nobody decides by it but this host, which stands again in its own time whatever becomes of it.
                Err((_, watcher)) => watcher,
            };
            let changed = OptionFuture::from(watcher.map(OneshotWatcher::changed));
            tokio::select! {
                Some(_) = changed => {}
                () = tokio::time::sleep(pauses.step()) => {}
            }
        }
    }

    /// Reads the mark, and watches it, whether it can be read or not.
    async fn watch_mark(
        &self,
    ) -> Result<(Option<FailedRecord>, OneshotWatcher), (Error, Option<OneshotWatcher>)> {
        let client = self.session.client();
        let looked = client.check_and_watch_stat(&self.paths.failed).await;
        let (_, watcher) = looked.map_err(|error| (error, None))?;
        match client.get_data(&self.paths.failed).await {
            Ok((data, _)) => Ok((records::decode(&data), watcher)),
            Err(Error::NoNode) => Ok((None, watcher)),
            Err(error) => Err((error, Some(watcher))),
        }
    }
}
