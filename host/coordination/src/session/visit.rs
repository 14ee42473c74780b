//! A session without a lease and without a node of its own, for as long as something is to be done.

use std::sync::Arc;
use std::time::Duration;

use zookeeper_client::StateWatcher;

use super::turns::{Together, Turns};
use super::view::Session;
use crate::connect::{ConnectError, Ensemble, SessionError, connect, obstacles};
use soloist_core::guardian::Teller;

/// A session that its holder ends.
#[derive(Debug)]
pub(crate) struct Visit {
    session: Arc<Session>,
    states: StateWatcher,
}

impl Visit {
    /// Asks for a session.
    pub(crate) async fn begin(ensemble: &Ensemble, host: &Arc<str>) -> Result<Self, SessionError> {
        let client = match connect(ensemble).await {
            Ok(client) => client,
            Err(ConnectError::Identity(error)) => return Err(error.into()),
            Err(ConnectError::Client(error)) => {
                return Err(SessionError::Connect {
                    obstacles: obstacles(ensemble, &error).await,
                    servers: ensemble.servers.clone(),
                });
            }
        };
        let states = client.state_watcher();
        let session = Session::new(
            client,
            ensemble,
            Arc::clone(host),
            Teller::default(),
            Turns::among(&Together::default()),
        )?;
        Ok(Self {
            session: Arc::new(session),
            states,
        })
    }

    /// The session.
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Closes the session, and waits so long for the ensemble to do so.
    pub(crate) async fn end(self, within: Duration) {
        let Self {
            session,
            mut states,
        } = self;
        drop(session);
        let closed = async { while !states.changed().await.is_terminated() {} };
        // What is not closed expires, and holds nothing.
        let _ = tokio::time::timeout(within, closed).await;
    }
}
