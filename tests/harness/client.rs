//! A bare client, and a foreign contender of the plain recipe, made with nothing but the client library.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zookeeper_client::{Acls, Client, CreateMode, Error, EventType, SessionState};

use crate::PATIENCE;

/// Opens a session, trying until the ensemble answers.
pub async fn connect(servers: &str, session_timeout: Duration) -> Result<Client> {
    connect_as(servers, session_timeout, None).await
}

/// Opens a session with the credentials `user:password`, if any, of the digest scheme.
pub async fn connect_as(
    servers: &str,
    session_timeout: Duration,
    credentials: Option<&str>,
) -> Result<Client> {
    let connecting = async {
        loop {
            let mut connector = Client::connector().with_session_timeout(session_timeout);
            if let Some(credentials) = credentials {
                connector = connector.with_auth("digest", credentials.as_bytes());
            }
            match connector.connect(servers).await {
                Err(Error::Timeout | Error::NoHosts | Error::ConnectionLoss) => {}
                other => return other,
            }
        }
    };
    let client = tokio::time::timeout(PATIENCE, connecting)
        .await
        .context("the ensemble does not answer")?;
    client.with_context(|| format!("cannot open a session with {servers}"))
}

/// Closes the session and returns when the ensemble has closed it. No clone of `client` may be left.
pub async fn close(client: Client) {
    let mut states = client.state_watcher();
    drop(client);
    while !states.peek_state().is_terminated() {
        states.changed().await;
    }
}

/// Creates a persistent node and its parents, those that are not there yet.
pub async fn make_path(client: &Client, path: &str) -> Result<()> {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client
        .mkdir(path, &options)
        .await
        .with_context(|| format!("cannot create {path}"))
}

/// Deletes a node and all below it, round after round while others create new ones, until it was gone for a moment; gives
/// the number of rounds. Each may end a term that has begun since the one before.
pub async fn delete_all(client: &Client, path: &str) -> Result<u32> {
    let mut rounds = 0;
    loop {
        rounds += 1;
        let (mut paths, mut all) = (vec![path.to_owned()], Vec::new());
        while let Some(path) = paths.pop() {
            if let Ok(children) = client.list_children(&path).await {
                paths.extend(children.iter().map(|child| format!("{path}/{child}")));
            }
            all.push(path);
        }
        let mut last = Ok(());
        for path in all.iter().rev() {
            last = client.delete(path, None).await;
        }
        match last {
            Ok(()) | Err(Error::NoNode) => return Ok(rounds),
            Err(Error::NotEmpty) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Which session holds a node, if it is there.
pub async fn owner(client: &Client, path: &str) -> Result<Option<i64>> {
    let stat = client
        .check_stat(path)
        .await
        .with_context(|| format!("cannot look at {path}"))?;
    Ok(stat.map(|stat| stat.ephemeral_owner))
}

/// Where a contender stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not tried yet.
    Connecting,
    /// Somebody else holds the node.
    Waiting,
    /// It holds the node.
    Leading,
}

/// A foreign program that contends by the plain recipe: create the ephemeral node; if it is there, watch it; when it
/// is deleted, try again.
#[derive(Debug)]
pub struct Contender {
    client: Client,
    path: String,
    standing: watch::Receiver<Standing>,
    contending: JoinHandle<()>,
}

impl Contender {
    /// Begins to contend for the node at `path`, whose parents are made.
    pub async fn stand(servers: &str, session_timeout: Duration, path: &str) -> Result<Self> {
        let client = connect(servers, session_timeout).await?;
        if let Some((parent, _)) = path
            .rsplit_once('/')
            .filter(|(parent, _)| !parent.is_empty())
        {
            make_path(&client, parent).await?;
        }
        let (report, standing) = watch::channel(Standing::Connecting);
        let contending = tokio::spawn({
            let (client, path) = (client.clone(), path.to_owned());
            async move {
                // It contends for as long as its session lives.
                while contend(&client, &path, &report).await.is_ok() {}
            }
        });
        Ok(Self {
            client,
            path: path.to_owned(),
            standing,
            contending,
        })
    }

    /// Waits until it stands so.
    pub async fn until(&mut self, standing: Standing) -> Result<()> {
        let reached = self.standing.wait_for(|now| *now == standing);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached
            .with_context(|| format!("the foreign contender is not {standing:?}"))?
            .context("its session is gone")?;
        Ok(())
    }

    /// Where it stands now.
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// The id of its session, by which others know who holds the node.
    pub fn session_id(&self) -> i64 {
        self.client.session_id().0
    }

    /// Deletes the node it holds and contends no more.
    pub async fn resign(self) -> Result<()> {
        self.contending.abort();
        self.client
            .delete(&self.path, None)
            .await
            .context("the foreign contender cannot delete its node")?;
        self.leave().await;
        Ok(())
    }

    /// Closes its session, and with it gives up the node, if it holds it.
    pub async fn leave(self) {
        self.contending.abort();
        // The task holds a clone of the client.
        let _ = self.contending.await;
        close(self.client).await;
    }
}

/// One round of the recipe: returns when it is time to try again.
pub async fn contend(
    client: &Client,
    path: &str,
    report: &watch::Sender<Standing>,
) -> Result<(), Error> {
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let standing = match client.create(path, b"a foreign contender", &options).await {
        Ok(_) => Standing::Leading,
        Err(Error::NodeExists) => Standing::Waiting,
        Err(error) => return Err(error),
    };
    let (stat, watcher) = client.check_and_watch_stat(path).await?;
    let Some(stat) = stat else { return Ok(()) };
    let ours = stat.ephemeral_owner == client.session_id().0;
    report.send_replace(if ours { Standing::Leading } else { standing });
    let event = watcher.changed().await;
    report.send_replace(Standing::Waiting);
    match event.event_type {
        EventType::Session if event.session_state == SessionState::Expired => {
            Err(Error::SessionExpired)
        }
        EventType::Session if event.session_state.is_terminated() => Err(Error::ClientClosed),
        _ => Ok(()),
    }
}
