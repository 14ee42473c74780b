//! Single values: text in, a valid value out.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

/// The longest duration that is taken seriously.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The longest node path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// The most servers in a connect string.
const SERVERS_MAX: usize = 100;
/// The port of a server that names none.
const PORT_DEFAULT: u16 = 2181;

/// What is wrong with a value, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum BadValue {
    /// Not a duration.
    #[error("{text} is not a duration ({source}): write a number and its unit, like \"500ms\", \"10s\" or \"1m 30s\"")]
    Duration {
        /// What was written.
        text: Excerpt,
        /// What the parser says.
        source: humantime::DurationError,
    },
    /// A duration of no use.
    #[error("{text} is out of range: write a duration from 1ms to 1day")]
    DurationRange {
        /// What was written.
        text: Excerpt,
    },
    /// Not a name.
    #[error(
        "{text} cannot be a name: it {rule}; a name has 1 to 128 bytes, no slash, no control character, no space at either end"
    )]
    Name {
        /// What was written.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not the path of a node.
    #[error("{text} is not the path of a node: it {rule}; write it like \"/soloist/report\"")]
    Path {
        /// What was written.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not a list of servers.
    #[error(
        "{text} is not a server: it {rule}; write servers like \"zk1:2181,zk2:2181\", IPv6 like \"[::1]:2181\", and a chroot once, at the end, like \"zk1,zk2/apps\""
    )]
    Server {
        /// The part that is wrong.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not an identity. The text is kept out of the message: it is a secret.
    #[error("not an identity: {rule}; write SCHEME:CREDENTIAL, like \"digest:user:password\"")]
    Auth {
        /// The rule it breaks.
        rule: &'static str,
    },
    /// An identity is kept in a file that cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not an entry of an access control list.
    #[error(
        "{text} {rule}; write \"world\", \"creator\", \"creator-world-read\" or entries SCHEME:ID:PERMISSIONS like \"world:anyone:r\" (permissions out of c, d, r, w, a)"
    )]
    Acl {
        /// The entry.
        text: Excerpt,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// Not one of the possible words.
    #[error("{text} is not possible here: write {choices}")]
    Choice {
        /// What was written.
        text: Excerpt,
        /// The words that are possible.
        choices: &'static str,
    },
    /// A key without which nothing goes.
    #[error("is missing: {remedy}")]
    Missing {
        /// What to write.
        remedy: &'static str,
    },
    /// A number outside its bounds.
    #[error("{found} {what} are too many: write {max} at most")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        max: usize,
    },
    /// Two tasks of one name.
    #[error("{text} is the name of another task already: give each task a name of its own")]
    NameTwice {
        /// The name.
        text: Excerpt,
    },
    /// A master node where other nodes are kept.
    #[error("{text} meets {other}, and the master node has no children: choose a node apart from it")]
    PathTaken {
        /// The path.
        text: Excerpt,
        /// What is there already.
        other: String,
    },
    /// An access control list that refers to an identity when there is none.
    #[error(
        "{text} refers to the identity of this host, which has none: set `auth`, `auth_file` or SOLOIST_ZOOKEEPER_AUTH"
    )]
    AclWithoutAuth {
        /// The access control list.
        text: Excerpt,
    },
    /// An identity written twice.
    #[error("an identity is given twice: keep either the identity or the file that holds it")]
    AuthTwice,
    /// A setting of a single task where a file describes the tasks.
    #[error("belongs to a single plugin, but the tasks are described in {}: set it there, as `{key}` of its [[task]]", file.display())]
    OfOneTask {
        /// The file.
        file: PathBuf,
        /// The key to use there.
        key: &'static str,
    },
    /// The longest wait is shorter than the first one.
    #[error("the longest wait, {max:?}, is shorter than the first, {initial:?}: raise `max` or lower `initial`")]
    RestartOrder {
        /// The first wait.
        initial: Duration,
        /// The longest wait.
        max: Duration,
    },
    /// Values that leave a lease no room.
    #[error("session_timeout, tick_time and demote_timeout do not go together: {0}")]
    NoRoom(#[from] crate::lease::NoRoom),
}

/// The beginning of what somebody wrote, safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const CHARS_MAX: usize = 60;

    pub(super) fn of(text: &str) -> Self {
        let mut characters = text.chars();
        let mut start: String = characters.by_ref().take(Self::CHARS_MAX).collect();
        if characters.next().is_some() {
            start.push('…');
        }
        Self(start)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Reads a duration with its unit, from 1 ms to a day.
pub(super) fn duration(text: &str) -> Result<Duration, BadValue> {
    let duration =
        humantime::parse_duration(text).map_err(|source| BadValue::Duration { text: Excerpt::of(text), source })?;
    if (Duration::from_millis(1)..=DURATION_MAX).contains(&duration) {
        Ok(duration)
    } else {
        Err(BadValue::DurationRange { text: Excerpt::of(text) })
    }
}

/// The name of a task: one component of a node path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskName(Arc<str>);

impl TaskName {
    /// Validates a name.
    ///
    /// # Errors
    /// [`BadValue::Name`] when it could not be a component of a node path, or would confuse whoever reads it.
    pub fn new(text: &str) -> Result<Self, BadValue> {
        name(text).map(Self)
    }
}

impl Deref for TaskName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<TaskName> for Arc<str> {
    fn from(name: TaskName) -> Self {
        name.0
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Validates what becomes a component of a node path: a task's name, a host's id.
pub(super) fn name(text: &str) -> Result<Arc<str>, BadValue> {
    let rule = if text.is_empty() {
        "is empty"
    } else if text.len() > NAME_BYTES_MAX {
        "is too long"
    } else if text.contains('/') {
        "contains a slash"
    } else if text.chars().all(|character| character == '.') {
        "has only dots"
    } else if !text.chars().all(is_node_character) {
        "contains a character that no node may have"
    } else if text.trim() != text {
        "begins or ends with a space"
    } else {
        return Ok(text.into());
    };
    Err(BadValue::Name { text: Excerpt::of(text), rule })
}

/// A host id that no other process has, so that a restarted host never waits for the session it had before.
pub(super) fn host_id_default() -> Arc<str> {
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .map(|character| if is_host_name_character(character) { character } else { '-' })
        .collect();
    format!("{host}-{}", std::process::id()).into()
}

/// ZooKeeper refuses the others in the path of a node.
fn is_node_character(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
}

/// Validates the absolute path of a node other than `/`.
pub(super) fn path(text: &str) -> Result<String, BadValue> {
    let rule = match text.strip_prefix('/') {
        None => "does not begin with a slash",
        Some("") => "is the root of all nodes",
        Some(_) if text.len() > PATH_BYTES_MAX => "is too long",
        Some(_) if text.ends_with('/') => "ends with a slash",
        Some(rest) if rest.split('/').any(str::is_empty) => "has an empty component",
        Some(rest) if rest.split('/').any(|component| matches!(component, "." | "..")) => "has a component of dots",
        Some(rest) if !rest.chars().all(is_node_character) => "contains a character that no node may have",
        Some(_) => return Ok(text.to_owned()),
    };
    Err(BadValue::Path { text: Excerpt::of(text), rule })
}

/// Where the servers of an ensemble are, and below which of its nodes to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectString {
    hosts: String,
    chroot: String,
}

impl ConnectString {
    /// Reads `host:port,host:port/chroot`.
    ///
    /// # Errors
    /// [`BadValue::Server`] names the server that is wrong, [`BadValue::Path`] the chroot.
    pub fn new(text: &str) -> Result<Self, BadValue> {
        let (servers, chroot) = text.split_at(text.find('/').unwrap_or(text.len()));
        let refuse = |rule| BadValue::Server { text: Excerpt::of(text), rule };
        if text.contains("://") {
            return Err(refuse("names a protocol"));
        }
        if chroot.contains(',') {
            return Err(refuse("has a server after the chroot"));
        }
        let chroot = if matches!(chroot, "" | "/") { String::new() } else { path(chroot)? };
        let hosts = servers.split(',').map(server).collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > SERVERS_MAX {
            return Err(refuse("has more than 100 servers"));
        }
        Ok(Self { hosts: hosts.join(","), chroot })
    }

    /// The servers, each with its port, separated by commas.
    pub fn hosts(&self) -> &str {
        &self.hosts
    }

    /// The chroot, beginning with a slash, or nothing.
    pub fn chroot(&self) -> &str {
        &self.chroot
    }
}

impl Default for ConnectString {
    fn default() -> Self {
        Self { hosts: "localhost:2181".to_owned(), chroot: String::new() }
    }
}

impl fmt::Display for ConnectString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.hosts, self.chroot)
    }
}

fn is_host_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_')
}

/// Reads one server and adds the port where there is none.
fn server(text: &str) -> Result<String, BadValue> {
    let refuse = |rule| BadValue::Server { text: Excerpt::of(text), rule };
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']').ok_or_else(|| refuse("has no closing bracket"))?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| refuse("has no IPv6 address in its brackets"))?;
            (&text[..address.len() + 2], port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() {
        return Err(refuse("has no host name"));
    }
    if !host.starts_with('[') && !host.chars().all(is_host_name_character) {
        return Err(refuse("has a character that no host name has"));
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT_DEFAULT,
        // `parse` alone would take "+2181".
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or_else(|| refuse("has no port from 1 to 65535"))?
        }
        Some(more) if more.contains(':') => return Err(refuse("has more than one colon")),
        _ => return Err(refuse("has no port from 1 to 65535")),
    };
    Ok(format!("{host}:{port}"))
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: not for a message, a log or a node.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An identity to show to the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The scheme, like `digest`.
    pub scheme: String,
    /// What the scheme wants, like `user:password`.
    pub credential: Secret,
}

impl Auth {
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
    /// [`BadValue::Acl`] names the entry that is wrong.
    pub fn list<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, BadValue> {
        let entries = entries.into_iter().map(AclEntry::new).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Err(BadValue::Acl { text: Excerpt::of(""), rule: "gives nobody any permission" });
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
