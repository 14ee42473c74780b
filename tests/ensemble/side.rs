//! One of two servers that are asked the same.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use crate::operation::Operation;
use crate::raw::{Body, Claim, EVENT, PING, Parts, Raw};

/// The code of a ping.
const PING_CODE: i32 = 11;

/// What a client did at a step of the plan.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Requests that are sent one after the other, without waiting for an answer.
    Ask {
        client: usize,
        operations: Vec<Operation>,
    },
    /// A new connection, for the same session. The first requests are sent before it is answered.
    Reconnect {
        client: usize,
        timeout: i32,
        operations: Vec<Operation>,
    },
    /// A claim to the session with another password.
    Forge { client: usize },
    /// The session is closed, and a new one begins.
    Renew { client: usize, timeout: i32 },
}

/// A server, and the clients that ask it.
#[derive(Debug)]
pub(crate) struct Side {
    address: SocketAddr,
    clients: Vec<Client>,
    /// All sessions there ever were, in their order.
    sessions: Vec<i64>,
}

#[derive(Debug, Default)]
struct Client {
    connection: Option<Raw>,
    claim: Claim,
    xid: i32,
    /// What was asked and is not answered yet.
    asked: Vec<(i32, Operation)>,
}

impl Side {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            clients: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// Begins anew with so many clients, each with a session of its own.
    pub(crate) async fn begin(&mut self, clients: usize) -> Result<Vec<String>> {
        self.clients = (0..clients).map(|_| Client::default()).collect();
        let mut seen = Vec::new();
        for client in 0..clients {
            self.connect(client, Claim::default(), 60_000, &[], &mut seen)
                .await?;
        }
        Ok(seen)
    }

    /// Closes all sessions.
    pub(crate) async fn end(&mut self) -> Result<Vec<String>> {
        let mut seen = Vec::new();
        for client in 0..self.clients.len() {
            self.ask(client, &[Operation::CloseSession], &mut seen)
                .await?;
            self.hear(client, &mut seen).await?;
        }
        seen.sort();
        Ok(seen)
    }

    /// The newest transaction that a client has heard of.
    pub(crate) fn last_zxid(&self, client: usize) -> i64 {
        self.clients[client].claim.last_zxid
    }

    /// What all clients saw at a step.
    pub(crate) async fn take(&mut self, step: &Step) -> Result<Vec<String>> {
        let mut seen = Vec::new();
        match step {
            Step::Ask { client, operations } => {
                self.ask(*client, operations, &mut seen).await?;
                self.hear(*client, &mut seen).await?;
            }
            Step::Reconnect {
                client,
                timeout,
                operations,
            } => {
                let claim = self.clients[*client].claim.clone();
                self.connect(*client, claim, *timeout, operations, &mut seen)
                    .await?;
                self.hear(*client, &mut seen).await?;
            }
            Step::Forge { client } => {
                let mut claim = self.clients[*client].claim.clone();
                claim.password[3] ^= 1;
                let mut raw = Raw::dial(self.address).await?;
                let answer = raw.greet(&claim, 5000).await?;
                let answer =
                    answer.map(|(timeout, claim)| (timeout, claim.session, claim.password));
                seen.push(format!("a forged claim: {answer:?}"));
                // ZooKeeper takes the session's own connection away even for such a claim; the ensemble does not.
                self.clients[*client].connection = None;
            }
            Step::Renew { client, timeout } => {
                self.ask(*client, &[Operation::CloseSession], &mut seen)
                    .await?;
                self.hear(*client, &mut seen).await?;
                self.clients[*client] = Client::default();
                self.connect(*client, Claim::default(), *timeout, &[], &mut seen)
                    .await?;
            }
        }
        for client in 0..self.clients.len() {
            self.listen(client, &mut seen).await?;
        }
        if matches!(step, Step::Renew { .. }) {
            // In which order the nodes of a session go, nobody promises.
            seen.sort();
        }
        Ok(seen)
    }

    async fn connect(
        &mut self,
        client: usize,
        claim: Claim,
        timeout: i32,
        operations: &[Operation],
        seen: &mut Vec<String>,
    ) -> Result<()> {
        self.clients[client].connection = None;
        let mut raw = Raw::dial(self.address).await?;
        let answer = raw.greet(&claim, timeout).await?;
        let Some((agreed, claim)) = answer else {
            seen.push(format!("{client}: no session: closed"));
            return Ok(());
        };
        if !self.sessions.contains(&claim.session) {
            self.sessions.push(claim.session);
        }
        let place = self.sessions.iter().position(|it| *it == claim.session);
        seen.push(format!(
            "{client}: session {place:?} with a timeout of {agreed} ms"
        ));
        ensure!(agreed > 0, "{client}: its session is over");
        let known = &mut self.clients[client];
        (known.connection, known.claim) = (Some(raw), claim);
        self.ask(client, operations, seen).await
    }

    async fn ask(
        &mut self,
        client: usize,
        operations: &[Operation],
        seen: &mut Vec<String>,
    ) -> Result<()> {
        if self.clients[client].connection.is_none() && !operations.is_empty() {
            let claim = self.clients[client].claim.clone();
            Box::pin(self.connect(client, claim, 60_000, &[], seen)).await?;
        }
        let known = &mut self.clients[client];
        for operation in operations {
            known.xid += 1;
            let connection = known.connection.as_mut().context("no connection")?;
            connection
                .request(known.xid, operation.code(), &operation.body())
                .await?;
            known.asked.push((known.xid, operation.clone()));
        }
        Ok(())
    }

    /// Waits for the answers to all that was asked.
    async fn hear(&mut self, client: usize, seen: &mut Vec<String>) -> Result<()> {
        let ends = |(_, operation): &(i32, Operation)| operation.ends_connection();
        let ends = self.clients[client].asked.last().is_some_and(ends);
        while !self.clients[client].asked.is_empty() {
            if !self.message(client, seen).await? {
                return Ok(());
            }
        }
        if ends {
            let more = self.message(client, seen).await?;
            ensure!(!more, "{client}: the connection goes on");
        }
        Ok(())
    }

    /// Takes in what came without being asked for.
    async fn listen(&mut self, client: usize, seen: &mut Vec<String>) -> Result<()> {
        let Some(connection) = &mut self.clients[client].connection else {
            return Ok(());
        };
        connection
            .request(PING, PING_CODE, &Body::default())
            .await?;
        let begin = seen.len();
        while self.message(client, seen).await? {
            if seen.last().is_some_and(|last| last.contains("ping")) {
                break;
            }
        }
        ensure!(seen.len() > begin, "{client}: no answer to a ping");
        Ok(())
    }

    /// Takes a message in; tells whether there was one.
    async fn message(&mut self, client: usize, seen: &mut Vec<String>) -> Result<bool> {
        let known = &mut self.clients[client];
        let Some(connection) = &mut known.connection else {
            return Ok(false);
        };
        let Some(message) = connection.receive().await? else {
            seen.push(format!("{client}: closed"));
            known.connection = None;
            known.asked.clear();
            return Ok(false);
        };
        let mut parts = Parts(&message);
        let (xid, zxid, error) = (parts.int()?, parts.long()?, parts.int()?);
        known.claim.last_zxid = known.claim.last_zxid.max(zxid);
        let told = match xid {
            EVENT => {
                let (kind, state, path) = (parts.int()?, parts.int()?, parts.text()?);
                format!("event {kind} {state} {path:?} {zxid} {error}")
            }
            PING => format!("ping {zxid} {error}"),
            xid => {
                ensure!(!known.asked.is_empty(), "an answer to nothing: {xid}");
                let (asked, operation) = known.asked.remove(0);
                ensure!(
                    asked == xid,
                    "an answer to {xid}, where one to {asked} is due"
                );
                let answer = if error == 0 {
                    operation.answer(&mut parts, &self.sessions)?
                } else {
                    // Nobody reads what follows an error; ZooKeeper leaves half a list there if it was reading several.
                    parts = Parts(&[]);
                    String::new()
                };
                // What is said of a request that nobody knows has no number that means anything.
                let zxid = if error == -6 && operation.ends_connection() {
                    0
                } else {
                    zxid
                };
                format!("{xid} {zxid} {error} {answer}")
            }
        };
        ensure!(
            parts.0.is_empty(),
            "{client}: {} bytes after {told}",
            parts.0.len()
        );
        seen.push(format!("{client}: {told}"));
        Ok(true)
    }
}
