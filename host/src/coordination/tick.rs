//! Finds out whether the ensemble's tick is what the settings say: the lease rests on it.

use std::time::Duration;

use zookeeper_client::Client;

/// Short enough to be answered with the shortest timeout there is, long enough to be answered in time.
const ASKED: Duration = Duration::from_millis(200);

/// The ensemble's tick, at most: the shortest session timeout it agrees to is two ticks, or its `minSessionTimeout`.
///
/// `None` when nothing can be said: no answer in time, or a tick too short to tell.
async fn measure(servers: &str) -> Option<Duration> {
    let client = Client::connector().with_session_timeout(ASKED).connect(servers).await.ok()?;
    let shortest = client.session_timeout();
    (shortest > ASKED).then_some(shortest / 2)
}

/// Warns when the ensemble's tick may be more than twice the one that is configured.
///
/// Up to that the lease holds; beyond, it could outlive the session.
pub(super) async fn check(servers: String, configured: Duration) {
    match measure(&servers).await {
        Some(tick) if tick > configured * 2 => tracing::warn!(
            "the ensemble's tick seems to be {tick:?}, more than twice `tick_time` = {configured:?}: the lease does not \
             hold then. Set tick_time to the ensemble's tickTime (unless it is minSessionTimeout that says {:?})",
            tick * 2
        ),
        Some(tick) => tracing::debug!("the ensemble's tick is {tick:?} at most"),
        None => {}
    }
}
