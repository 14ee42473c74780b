//! Who this host is to the ensemble, and who may do what with its nodes.

use super::problem::{BadValue, Excerpt};
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
        let password = self.credential.expose().split_once(':').map(|(_, password)| Secret::new(password.to_owned()));
        // What is shorter is in every other word.
        [self.credential.clone()].into_iter().chain(password).filter(|secret| secret.expose().len() >= 4).collect()
    }

    /// Reads `SCHEME:CREDENTIAL`.
    ///
    /// # Errors
    /// [`BadValue::Auth`], without a word of the text.
    pub fn new(text: &Secret) -> Result<Self, BadValue> {
        let refuse = |rule| BadValue::Auth { rule };
        let text = text.expose();
        if text.chars().any(char::is_control) {
            return Err(refuse("it has a line break or another control character"));
        }
        let (scheme, credential) = text.split_once(':').ok_or_else(|| refuse("it has no colon"))?;
        if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(refuse("what stands before the first colon is not a scheme"));
        }
        let user = credential.split_once(':').map(|(user, _)| user);
        match (scheme, user) {
            ("digest", None | Some("")) => Err(refuse("the scheme digest wants USER:PASSWORD")),
            _ if credential.is_empty() => Err(refuse("the credential is empty")),
            _ => Ok(Self { scheme: scheme.to_owned(), credential: Secret::new(credential.to_owned()) }),
        }
    }
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
    /// Reads one of the words, or entries separated by commas.
    ///
    /// # Errors
    /// [`BadValue::Acl`] names the entry that is wrong.
    pub fn new(text: &str) -> Result<Self, BadValue> {
        match text {
            "world" => Ok(Self::World),
            "creator" => Ok(Self::Creator),
            "creator-world-read" => Ok(Self::CreatorWorldRead),
            entries => Self::list(entries.split(',')),
        }
    }

    /// Reads entries.
    ///
    /// # Errors
    /// [`BadValue::Acl`] names the entry that is wrong, or what no entry permits that hosts need.
    pub fn list<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, BadValue> {
        let written: Vec<&str> = entries.into_iter().collect();
        let entries = written.iter().copied().map(AclEntry::new).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Err(BadValue::Acl { text: Excerpt::of(""), rule: "gives nobody any permission" });
        }
        let granted = |wanted| entries.iter().any(|entry| entry.permissions.contains(&wanted));
        for (wanted, rule) in [
            (Permission::Create, "lets nobody create (c): hosts have to"),
            (Permission::Delete, "lets nobody delete (d): hosts have to, or no term could be given back"),
            (Permission::Read, "lets nobody read (r): hosts have to"),
            (Permission::Write, "lets nobody write (w): hosts have to"),
        ] {
            if !granted(wanted) {
                let entries = written.join(",");
                return Err(BadValue::Acl { text: Excerpt::of(&entries), rule });
            }
        }
        Ok(Self::List(entries))
    }

    /// Whether it means the identity of whoever creates a node, so that there must be one.
    pub fn needs_auth(&self) -> bool {
        match self {
            Self::World => false,
            Self::Creator | Self::CreatorWorldRead => true,
            Self::List(entries) => entries.iter().any(|entry| entry.scheme == "auth"),
        }
    }
}

impl AclEntry {
    fn new(text: &str) -> Result<Self, BadValue> {
        let refuse = |rule| BadValue::Acl { text: Excerpt::of(text), rule };
        if text.chars().any(char::is_control) {
            return Err(refuse("has a control character"));
        }
        let parts = text.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
        let (scheme, (id, letters)) = parts.ok_or_else(|| refuse("is neither a known word nor an entry"))?;
        match (scheme, id) {
            ("", _) => return Err(refuse("has no scheme")),
            ("world", id) if id != "anyone" => return Err(refuse("needs the id anyone for the scheme world")),
            ("auth", id) if !id.is_empty() => return Err(refuse("cannot have an id for the scheme auth")),
            ("digest", id) if !id.contains(':') => return Err(refuse("needs the id USER:HASH for the scheme digest")),
            (scheme, "") if scheme != "auth" => return Err(refuse("has no id")),
            _ => {}
        }
        let mut permissions = Vec::new();
        for letter in letters.chars() {
            let permission = match letter {
                'c' => Permission::Create,
                'd' => Permission::Delete,
                'r' => Permission::Read,
                'w' => Permission::Write,
                'a' => Permission::Admin,
                _ => return Err(refuse("has an unknown permission")),
            };
            if permissions.contains(&permission) {
                return Err(refuse("has a permission twice"));
            }
            permissions.push(permission);
        }
        if permissions.is_empty() {
            return Err(refuse("has no permissions"));
        }
        Ok(Self { scheme: scheme.to_owned(), id: id.to_owned(), permissions })
    }
}
