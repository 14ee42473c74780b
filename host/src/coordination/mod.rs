//! Everything that talks to ZooKeeper, and the only place that knows how.
//!
//! [`session`] keeps a session and its lease; [`task`] does what the election of one task asks for; [`state`] keeps what
//! its plugin writes; [`failed`] marks a task whose plugin fails for good; [`observer`] answers an operator's questions;
//! [`rights`] compares ACLs with what is configured; [`nodes`] says what is kept where.

pub mod acl;
pub mod connect;
pub mod failed;
pub mod nodes;
pub mod observer;
mod probe;
pub mod rights;
pub mod session;
pub mod state;
pub mod task;

use zookeeper_client::{Acls, Client, CreateMode, Error};

/// Makes sure that `path` and all above it exist: persistent, with the ACL given where they are created.
pub(crate) async fn ensure_path(client: &Client, path: &str, acls: Acls<'_>) -> Result<(), Error> {
    // To look first is cheaper: an attempt to create what is there costs the ensemble as much as a write.
    if client.check_stat(path).await?.is_some() {
        return Ok(());
    }
    if let Some(parent) = nodes::parent(path) {
        Box::pin(ensure_path(client, parent, acls)).await?;
    }
    match client.create(path, b"", &CreateMode::Persistent.with_acls(acls)).await {
        Ok(_) | Err(Error::NodeExists) => Ok(()),
        Err(error) => Err(error),
    }
}
