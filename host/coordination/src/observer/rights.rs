//! Who may do what with the node below which everything is kept.

use zookeeper_client::{Acl, Error};

use super::Observer;

/// Who may do what.
#[derive(Debug)]
pub(crate) enum Rights {
    /// The node is not there.
    Absent,
    /// This is not to know, or not to read what is below.
    Refused(Error),
    /// Those.
    Given(Vec<Acl>),
}

impl Observer {
    /// Who may do what with the root.
    pub(crate) async fn rights(&self) -> Rights {
        let read = async {
            self.client.list_children(&self.root).await?;
            self.client.get_acl(&self.root).await
        };
        match read.await {
            Ok((acl, _)) => Rights::Given(acl),
            Err(Error::NoNode) => Rights::Absent,
            Err(error) => Rights::Refused(error),
        }
    }
}
