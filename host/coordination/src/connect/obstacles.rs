//! What is in the way of a session.

use futures::future::join_all;
use zookeeper_client::Error;

use super::Ensemble;
use super::greeting::{Silence, greet};
use super::servers::servers;

/// Says what is in the way of a session, server by server, once it could not be had for `error`. That error alone does not tell
/// a server that is not there from one that is slow, or whose certificate is not right.
pub(crate) async fn obstacles(ensemble: &Ensemble, error: &Error) -> String {
    let several = ensemble.servers.contains(',');
    let asked = ensemble.servers.split(',').map(async |name| {
        let servers = servers(name).await;
        let greeted = servers
            .iter()
            .map(|server| greet(server, ensemble.session_timeout, ensemble));
        // One that gives a session would have been found.
        let obstacle = match join_all(greeted).await.into_iter().find_map(Result::err) {
            None | Some(Silence::Closed) => {
                format!("connections are accepted, but no session is given: {error}")
            }
            Some(silence) => silence.to_string(),
        };
        if several {
            format!("{name}: {obstacle}")
        } else {
            obstacle
        }
    });
    join_all(asked).await.join("; ")
}
