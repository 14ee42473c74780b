//! What a host reads and says of a deployed task besides its manifest, whether or not it leads.

use std::sync::Arc;

use zookeeper_client::{CreateMode, Error};

use super::error::{Doing, NodeError};
use super::rights::same;
use super::session::Session;
use soloist_core::records::{self, ReadyRecord, TaskPaths};

/// The nodes of a deployed task, as one session sees them.
#[derive(Debug)]
pub struct DeployedNodes {
    session: Arc<Session>,
    paths: Arc<TaskPaths>,
}

/// The node of a generation, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationNode {
    /// What it holds.
    pub data: Vec<u8>,
    /// The transactions that made the node and that wrote it last.
    written: (i64, i64),
}

impl DeployedNodes {
    /// Those at `paths`.
    pub fn new(session: Arc<Session>, paths: Arc<TaskPaths>) -> Self {
        Self { session, paths }
    }

    /// The node of the generation of that number, if it is there. Anybody may have written it.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn generation(&self, number: u64) -> Result<Option<GenerationNode>, NodeError> {
        let path = self.paths.generation(number);
        match self.session.client().get_data(&path).await {
            Ok((data, stat)) => Ok(Some(GenerationNode {
                data,
                written: (stat.czxid, stat.mzxid),
            })),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(NodeError::at(Doing::Read, &path)(error)),
        }
    }

    /// Whether those alone can have written the node of a generation who have this host's identity: it is the node that was
    /// read, and it gives the rights that this host's own node gives. Nobody sets the rights of such a node right, see [`rights`](crate::rights).
    ///
    /// # Errors
    /// The rights cannot be read.
    pub async fn is_guarded(
        &self,
        number: u64,
        read: &GenerationNode,
        root: &str,
    ) -> Result<bool, NodeError> {
        let client = self.session.client();
        let (own, path) = (
            records::host_path(root, self.session.host()),
            self.paths.generation(number),
        );
        let right = client.get_acl(&own).await;
        let (right, _) = right.map_err(NodeError::at(Doing::Read, &own))?;
        let given = client.get_acl(&path).await;
        let (given, stat) = given.map_err(NodeError::at(Doing::Read, &path))?;
        // Whoever may make nodes there could put a guarded one in the place of the one whose text was read.
        let is_same = (stat.czxid, stat.mzxid) == read.written;
        Ok(is_same && same(&given, &right))
    }

    /// Says in `ready/<host>` how far this host is. It goes with the session.
    ///
    /// # Errors
    /// It cannot be written.
    ///
    /// # Cancellation safety
    /// Dropped, it may or may not have been said.
    pub async fn say(&self, record: &ReadyRecord) -> Result<(), NodeError> {
        let path = self.own();
        let data = records::encode(record);
        let client = self.session.client();
        self.session.guardian().holds(self.session.id(), &path);
        let options = CreateMode::Ephemeral.with_acls(self.session.acls());
        let said = async {
            match client.set_data(&path, &data, None).await {
                Ok(stat) if stat.ephemeral_owner == self.session.id() => return Ok(()),
                // Somebody else's would outlive this host.
                Ok(_) => client.delete(&path, None).await?,
                Err(Error::NoNode) => {}
                Err(error) => return Err(error),
            }
            match client.create(&path, &data, &options).await {
                Err(Error::NoNode) => {
                    self.session.ensure(&self.paths.ready).await?;
                    client.create(&path, &data, &options).await.map(drop)
                }
                created => created.map(drop),
            }
        };
        said.await.map_err(NodeError::at(Doing::Write, &path))
    }

    /// Takes back what this host has said.
    ///
    /// # Errors
    /// It is there, and cannot be deleted.
    pub async fn fall_silent(&self) -> Result<(), NodeError> {
        let path = self.own();
        match self.session.client().delete(&path, None).await {
            Ok(()) | Err(Error::NoNode) => {
                self.session.guardian().let_go(self.session.id(), &path);
                Ok(())
            }
            Err(error) => Err(NodeError::at(Doing::Write, &path)(error)),
        }
    }

    /// Whether another host stands for the task. A node that looks like a candidate counts as one.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub async fn has_others(&self) -> Result<bool, NodeError> {
        let path = &self.paths.candidates;
        let names = match self.session.client().list_children(path).await {
            Ok(names) => names,
            Err(Error::NoNode) => return Ok(false),
            Err(error) => return Err(NodeError::at(Doing::Read, path)(error)),
        };
        let own = self.session.id();
        Ok(records::queue(names)
            .iter()
            .any(|candidate| candidate.session != own))
    }

    fn own(&self) -> String {
        format!("{}/{}", self.paths.ready, self.session.host())
    }
}
