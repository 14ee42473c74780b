//! Who this host is to the ensemble, and who may do what with its nodes.

use crate::secret::Secret;

/// An identity to show to the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The scheme, like `digest`.
    pub scheme: String,
    /// What the scheme wants, like `user:password`.
    pub credential: Secret,
}

impl Auth {
    /// What of it is never shown: all that the scheme wants, and what follows a name in it.
    pub fn secrets(&self) -> Vec<Secret> {
        let password = self
            .credential
            .expose()
            .split_once(':')
            .map(|(_, password)| Secret::new(password.to_owned()));
        // What is shorter is in every other word.
        [self.credential.clone()]
            .into_iter()
            .chain(password)
            .filter(|secret| secret.expose().len() >= 4)
            .collect()
    }
}

/// Who this host is to the ensemble by SASL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslUser {
    /// What the servers call the user, and ACLs of the scheme `sasl` as well.
    pub name: String,
    /// What proves that it is that user.
    pub password: Secret,
}

/// Who may do what with the nodes that a host creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclSetting {
    /// Everybody may do everything.
    World,
    /// Only the identity of this host may do anything.
    Creator,
    /// The identity of this host may do everything, everybody else may read.
    CreatorWorldRead,
    /// As listed.
    List(Vec<AclEntry>),
}

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// The scheme of the identity, like `digest`.
    pub scheme: String,
    /// The identity, like `user:hash`.
    pub id: String,
    /// What it may do; each once.
    pub permissions: Vec<Permission>,
}

/// One thing that can be done with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Create a child.
    Create,
    /// Delete a child.
    Delete,
    /// Read the data and list the children.
    Read,
    /// Write the data.
    Write,
    /// Set the access control list.
    Admin,
}

impl AclSetting {
    /// Whether it means the identity of whoever creates a node, so that there must be one.
    pub fn needs_auth(&self) -> bool {
        match self {
            Self::World => false,
            Self::Creator | Self::CreatorWorldRead => true,
            Self::List(entries) => entries.iter().any(|entry| entry.scheme == "auth"),
        }
    }
}
