//! What is in the way of a session.

use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;
use zookeeper_client::Error;

/// How long a server may take to accept a connection.
const OBSTACLE_TIME: Duration = Duration::from_secs(1);

/// Says what is in the way of a session, server by server, once it could not be had for `error`. That error alone does not tell
/// a server that is not there from one that is slow.
pub(crate) async fn obstacles(servers: &str, error: &Error) -> String {
    let several = servers.contains(',');
    let asked = servers.split(',').map(|server| async move {
        let obstacle = match tokio::time::timeout(OBSTACLE_TIME, TcpStream::connect(server)).await {
            Ok(Ok(_)) => format!("connections are accepted, but no session is given: {error}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if several {
            format!("{server}: {obstacle}")
        } else {
            obstacle
        }
    });
    join_all(asked).await.join("; ")
}
