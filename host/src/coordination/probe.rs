//! Finds out whether the ensemble is as the lease assumes, by sessions that are thrown away; warns where it is not.

use std::time::Duration;

use zookeeper_client::Client;

/// Short enough to be answered with the shortest timeout there is, long enough to be answered in time.
const SHORT: Duration = Duration::from_millis(200);

/// Looks at every server by itself: at its tick, and at the session timeout that it agrees to.
///
/// Servers that do not answer are passed over.
pub(super) async fn check(servers: String, session_timeout: Duration, tick_time: Duration) {
    for server in servers.split(',') {
        if let Some(shortest) = agreed(server, SHORT).await.filter(|shortest| *shortest > SHORT) {
            warn_of_tick(server, shortest, tick_time);
        }
        if let Some(agreed) = agreed(server, session_timeout).await.filter(|agreed| *agreed < session_timeout) {
            tracing::warn!(
                "{server} agrees to a session timeout of {agreed:?} only, not {session_timeout:?}: the lease does not \
                 hold when a session moves there. Set the same maxSessionTimeout on all servers, or session_timeout = \
                 \"{agreed:?}\""
            );
        }
    }
}

/// The shortest timeout there is is two ticks, unless `minSessionTimeout` says otherwise. A tick of up to twice the
/// configured one is harmless: the lease waits for one tick where half of one would do.
fn warn_of_tick(server: &str, shortest: Duration, configured: Duration) {
    let tick = shortest / 2;
    if tick > configured * 2 {
        tracing::warn!(
            "the tick of {server} seems to be {tick:?}, more than twice tick_time = {configured:?}: the lease does not \
             hold then. Set tick_time to the ensemble's tickTime (unless it is minSessionTimeout that says {shortest:?})"
        );
    }
}

async fn agreed(server: &str, asked: Duration) -> Option<Duration> {
    let connector = Client::connector().with_session_timeout(asked).with_fail_eagerly();
    Some(connector.connect(server).await.ok()?.session_timeout())
}
