//! Single values: text in, a valid value out.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::problem::{BadValue, Excerpt};

/// The longest duration that is taken seriously.
const DURATION_MAX: Duration = Duration::from_hours(24);
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The longest node path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// The most servers in a connect string.
const SERVERS_MAX: usize = 100;
/// The port of a server that names none.
const PORT_DEFAULT: u16 = 2181;

/// Reads a duration with its unit, from 1 ms to a day.
pub(super) fn duration(text: &str) -> Result<Duration, BadValue> {
    let duration = humantime::parse_duration(text).map_err(|source| BadValue::Duration {
        text: Excerpt::of(text),
        source,
    })?;
    if (Duration::from_millis(1)..=DURATION_MAX).contains(&duration) {
        Ok(duration)
    } else {
        Err(BadValue::DurationRange {
            text: Excerpt::of(text),
        })
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
    Err(BadValue::Name {
        text: Excerpt::of(text),
        rule,
    })
}

/// How many characters tell a process from others on hosts of the same name.
const PROCESS_CHARACTERS: usize = 6;

/// A host id that no other process has, so that a restarted host never waits for the session it had before. The process id
/// would not do: in a container it is always the same, and containers can share a host name. A process has one, however
/// often it reads its configuration.
pub(super) fn host_id_default() -> Arc<str> {
    static ID: LazyLock<Arc<str>> = LazyLock::new(random_host_id);
    Arc::clone(&ID)
}

pub(super) fn random_host_id() -> Arc<str> {
    // Digits and letters that nobody confuses with each other.
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .map(|character| {
            if is_host_name_character(character) {
                character
            } else {
                '-'
            }
        })
        .collect();
    // The keys of the standard library's maps come from the system's source of random numbers.
    let random = RandomState::new().hash_one(()).to_le_bytes();
    let process = random
        .into_iter()
        .take(PROCESS_CHARACTERS)
        .map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()]);
    format!("{host}-{}", process.map(char::from).collect::<String>()).into()
}

/// ZooKeeper refuses the others in the path of a node.
fn is_node_character(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
}

/// Validates the absolute path of a node other than `/`.
pub(super) fn path(text: &str) -> Result<String, BadValue> {
    let rule = match text.strip_prefix('/') {
        None => "does not begin with a slash",
        Some("") => "is the root of all nodes",
        Some(_) if text.len() > PATH_BYTES_MAX => "is too long",
        Some(_) if text.ends_with('/') => "ends with a slash",
        Some(rest) if rest.split('/').any(str::is_empty) => "has an empty component",
        Some(rest)
            if rest
                .split('/')
                .any(|component| matches!(component, "." | "..")) =>
        {
            "has a component of dots"
        }
        Some(rest) if !rest.chars().all(is_node_character) => {
            "contains a character that no node may have"
        }
        Some(_) => return Ok(text.to_owned()),
    };
    Err(BadValue::Path {
        text: Excerpt::of(text),
        rule,
    })
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
        let refuse = |rule| BadValue::Server {
            text: Excerpt::of(text),
            rule,
        };
        if text.contains("://") {
            return Err(refuse("names a protocol"));
        }
        if chroot.contains(',') {
            return Err(refuse("has a server after the chroot"));
        }
        let chroot = if matches!(chroot, "" | "/") {
            String::new()
        } else {
            path(chroot)?
        };
        let hosts = servers
            .split(',')
            .map(server)
            .collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > SERVERS_MAX {
            return Err(refuse("has more than 100 servers"));
        }
        Ok(Self {
            hosts: hosts.join(","),
            chroot,
        })
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
        Self {
            hosts: "localhost:2181".to_owned(),
            chroot: String::new(),
        }
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
    let refuse = |rule| BadValue::Server {
        text: Excerpt::of(text),
        rule,
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed
                .split_once(']')
                .ok_or_else(|| refuse("has no closing bracket"))?;
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| refuse("has no IPv6 address in its brackets"))?;
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
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| refuse("has no port from 1 to 65535"))?,
        Some(more) if more.contains(':') => return Err(refuse("has more than one colon")),
        _ => return Err(refuse("has no port from 1 to 65535")),
    };
    Ok(format!("{host}:{port}"))
}
