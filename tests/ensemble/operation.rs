//! Operations: how they are asked for, and how their answers look, without what differs between any two servers.

use anyhow::{Result, bail, ensure};

use crate::raw::{Body, Parts};

/// An entry of an ACL: rights, scheme, id.
pub(crate) type Entry = (i32, &'static str, String);

/// An operation.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Create {
        code: i32,
        path: String,
        data: Option<Vec<u8>>,
        acl: Vec<Entry>,
        flags: i32,
    },
    Delete {
        path: String,
        version: i32,
    },
    SetData {
        path: String,
        data: Option<Vec<u8>>,
        version: i32,
    },
    SetAcl {
        path: String,
        acl: Vec<Entry>,
        version: i32,
    },
    /// Within a transaction only.
    Check {
        path: String,
        version: i32,
    },
    Exists {
        path: String,
        watch: bool,
    },
    GetData {
        path: String,
        watch: bool,
    },
    GetAcl {
        path: String,
    },
    GetChildren {
        code: i32,
        path: String,
        watch: bool,
    },
    Sync {
        path: String,
    },
    Multi(Vec<Operation>),
    MultiRead(Vec<Operation>),
    AddWatch {
        path: String,
        mode: i32,
    },
    CheckWatches {
        path: String,
        kind: i32,
    },
    RemoveWatches {
        path: String,
        kind: i32,
    },
    Ephemerals {
        prefix: String,
    },
    AllChildrenNumber {
        path: String,
    },
    WhoAmI,
    Auth {
        scheme: &'static str,
        secret: &'static str,
    },
    SetWatches {
        since: i64,
        lists: [Vec<String>; 5],
    },
    CloseSession,
    /// Any other code with any other body.
    Odd {
        code: i32,
        body: Vec<u8>,
    },
}

/// Codes that several operations share.
pub(crate) const CREATE: i32 = 1;
pub(crate) const CREATE_2: i32 = 15;
pub(crate) const CREATE_CONTAINER: i32 = 19;
pub(crate) const GET_CHILDREN: i32 = 8;
pub(crate) const GET_CHILDREN_2: i32 = 12;

impl Operation {
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Create { code, .. } | Self::GetChildren { code, .. } | Self::Odd { code, .. } => {
                *code
            }
            Self::Delete { .. } => 2,
            Self::Exists { .. } => 3,
            Self::GetData { .. } => 4,
            Self::SetData { .. } => 5,
            Self::GetAcl { .. } => 6,
            Self::SetAcl { .. } => 7,
            Self::Sync { .. } => 9,
            Self::Check { .. } => 13,
            Self::Multi(_) => 14,
            Self::CheckWatches { .. } => 17,
            Self::RemoveWatches { .. } => 18,
            Self::MultiRead(_) => 22,
            Self::Auth { .. } => 100,
            Self::Ephemerals { .. } => 103,
            Self::AllChildrenNumber { .. } => 104,
            Self::SetWatches { .. } => 105,
            Self::AddWatch { .. } => 106,
            Self::WhoAmI => 107,
            Self::CloseSession => -11,
        }
    }

    pub(crate) fn body(&self) -> Body {
        let body = Body::default();
        match self {
            Self::Create {
                path,
                data,
                acl,
                flags,
                ..
            } => entries(body.text(path).buffer(data.as_deref()), acl).int(*flags),
            Self::Delete { path, version } | Self::Check { path, version } => {
                body.text(path).int(*version)
            }
            Self::SetData {
                path,
                data,
                version,
            } => body.text(path).buffer(data.as_deref()).int(*version),
            Self::SetAcl { path, acl, version } => entries(body.text(path), acl).int(*version),
            Self::Exists { path, watch }
            | Self::GetData { path, watch }
            | Self::GetChildren { path, watch, .. } => body.text(path).bool(*watch),
            Self::GetAcl { path } | Self::Sync { path } | Self::AllChildrenNumber { path } => {
                body.text(path)
            }
            Self::Ephemerals { prefix } => body.text(prefix),
            Self::Multi(operations) | Self::MultiRead(operations) => {
                let mut body = body;
                for operation in operations {
                    body = body.int(operation.code()).bool(false).int(-1);
                    body.0.extend(operation.body().0);
                }
                body.int(-1).bool(true).int(-1)
            }
            Self::AddWatch { path, mode } => body.text(path).int(*mode),
            Self::CheckWatches { path, kind } | Self::RemoveWatches { path, kind } => {
                body.text(path).int(*kind)
            }
            Self::Auth { scheme, secret } => {
                body.int(0).text(scheme).buffer(Some(secret.as_bytes()))
            }
            Self::SetWatches { since, lists } => lists
                .iter()
                .fold(body.long(*since), |body, list| body.texts(list)),
            Self::WhoAmI | Self::CloseSession => body,
            Self::Odd { body, .. } => Body(body.clone()),
        }
    }

    /// Whether the answer is the last thing that comes over a connection.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            Self::CloseSession => true,
            Self::Auth { scheme, .. } => !matches!(*scheme, "digest" | "ip"),
            Self::Odd { code, .. } => *code == 12345,
            _ => false,
        }
    }

    /// What an answer without an error says.
    pub(crate) fn answer(&self, parts: &mut Parts<'_>, sessions: &[i64]) -> Result<String> {
        Ok(match self {
            Self::Create { code, .. } => {
                let path = parts.text()?;
                match *code {
                    CREATE => path,
                    _ => format!("{path} {}", stat(parts, sessions)?),
                }
            }
            Self::SetData { .. } | Self::SetAcl { .. } | Self::Exists { .. } => {
                stat(parts, sessions)?
            }
            Self::GetData { .. } => data(parts, sessions)?,
            Self::GetAcl { .. } => {
                let mut acl = Vec::new();
                for _ in 0..parts.int()? {
                    acl.push(format!(
                        "{}:{}:{}",
                        parts.int()?,
                        parts.text()?,
                        parts.text()?
                    ));
                }
                acl.sort();
                format!("{acl:?} {}", stat(parts, sessions)?)
            }
            Self::GetChildren { code, .. } => {
                let names = sorted(parts)?;
                match *code {
                    GET_CHILDREN => names,
                    _ => format!("{names} {}", stat(parts, sessions)?),
                }
            }
            Self::Sync { .. } => parts.text()?,
            Self::Ephemerals { .. } => sorted(parts)?,
            Self::AllChildrenNumber { .. } | Self::AddWatch { .. } => parts.int()?.to_string(),
            Self::WhoAmI => {
                let mut all = Vec::new();
                for _ in 0..parts.int()? {
                    all.push(format!("{}:{}", parts.text()?, parts.text()?));
                }
                all.sort();
                format!("{all:?}")
            }
            Self::Multi(_) | Self::MultiRead(_) => results(parts, sessions)?,
            Self::Delete { .. }
            | Self::Check { .. }
            | Self::CheckWatches { .. }
            | Self::RemoveWatches { .. }
            | Self::Auth { .. }
            | Self::SetWatches { .. }
            | Self::CloseSession => String::new(),
            Self::Odd { .. } => bail!("no answer was expected"),
        })
    }
}

fn entries(body: Body, acl: &[Entry]) -> Body {
    let count = i32::try_from(acl.len()).expect("short");
    acl.iter()
        .fold(body.int(count), |body, (rights, scheme, id)| {
            body.int(*rights).text(scheme).text(id)
        })
}

/// What came of each operation of a transaction.
fn results(parts: &mut Parts<'_>, sessions: &[i64]) -> Result<String> {
    let mut all = Vec::new();
    loop {
        let (code, done, error) = (parts.int()?, parts.bool()?, parts.int()?);
        if done {
            all.push(format!("end {code} {error}"));
            return Ok(all.join("; "));
        }
        let result = match code {
            -1 => parts.int()?.to_string(),
            CREATE => parts.text()?,
            CREATE_2 => format!("{} {}", parts.text()?, stat(parts, sessions)?),
            2 | 13 => String::new(),
            4 => data(parts, sessions)?,
            5 => stat(parts, sessions)?,
            GET_CHILDREN => sorted(parts)?,
            code => bail!("a result of code {code}"),
        };
        all.push(format!("{code} {error} {result}"));
    }
}

fn data(parts: &mut Parts<'_>, sessions: &[i64]) -> Result<String> {
    let data = parts
        .buffer()?
        .map(|data| String::from_utf8_lossy(data).into_owned());
    Ok(format!("{data:?} {}", stat(parts, sessions)?))
}

fn sorted(parts: &mut Parts<'_>) -> Result<String> {
    let mut names = parts.texts()?;
    names.sort();
    Ok(format!("{names:?}"))
}

/// A Stat, without times, and with the owner by its place among the sessions.
fn stat(parts: &mut Parts<'_>, sessions: &[i64]) -> Result<String> {
    let (czxid, mzxid) = (parts.long()?, parts.long()?);
    let (ctime, mtime) = (parts.long()?, parts.long()?);
    ensure!(ctime <= mtime, "made at {ctime}, changed at {mtime}");
    let (version, cversion, aversion) = (parts.int()?, parts.int()?, parts.int()?);
    let owner = match parts.long()? {
        0 => "nobody".to_owned(),
        i64::MIN => "container".to_owned(),
        owner => match sessions.iter().position(|session| *session == owner) {
            Some(place) => format!("session {place}"),
            None => bail!("a node of the unknown session {owner:#x}"),
        },
    };
    let (length, children, pzxid) = (parts.int()?, parts.int()?, parts.long()?);
    Ok(format!(
        "czxid {czxid} mzxid {mzxid} pzxid {pzxid} versions {version} {cversion} {aversion} of {owner} \
         length {length} children {children}"
    ))
}
