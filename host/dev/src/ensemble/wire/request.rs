//! Requests of clients.

use super::super::access::{Acl, Identity};
use super::{Malformed, Reader, code};

/// The first message of a connection: a new session is asked for, or an old one.
#[derive(Debug)]
pub(in super::super) struct Connect {
    /// The newest transaction that the client has heard of.
    pub(in super::super) last_zxid: i64,
    /// The session timeout that is asked for, in milliseconds.
    pub(in super::super) timeout: i32,
    /// 0 for a new one.
    pub(in super::super) session: i64,
    pub(in super::super) password: Vec<u8>,
    /// Old clients do not say whether a read-only server will do, and are not told whether this is one.
    pub(in super::super) is_old: bool,
}

/// What each further message begins with.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Header {
    /// The client's own number.
    pub(in super::super) xid: i32,
    pub(in super::super) code: i32,
}

/// What is asked for.
#[derive(Debug)]
pub(in super::super) enum Request {
    Write(Write),
    Multi(Vec<Write>),
    Read(Read),
    MultiRead(Vec<Read>),
    Sync {
        path: String,
    },
    Ping,
    Auth {
        scheme: String,
        secret: Vec<u8>,
    },
    SetWatches {
        since: i64,
        paths: Paths,
    },
    AddWatch {
        path: String,
        mode: WatchMode,
    },
    CheckWatches {
        path: String,
        kind: WatchKind,
    },
    RemoveWatches {
        path: String,
        kind: WatchKind,
    },
    CloseSession,
    Reconfig,
    /// What no client may ask for, or nobody knows.
    Unknown,
}

/// A change.
#[derive(Debug)]
pub(in super::super) enum Write {
    Create(Create),
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
        acl: Vec<Acl>,
        version: i32,
    },
    Check {
        path: String,
        version: i32,
    },
    /// One that this server does not know: a node with a time to live.
    Unimplemented,
}

/// A node to be made.
#[derive(Debug)]
pub(in super::super) struct Create {
    pub(in super::super) path: String,
    pub(in super::super) data: Option<Vec<u8>>,
    pub(in super::super) acl: Vec<Acl>,
    pub(in super::super) flags: i32,
    pub(in super::super) is_container: bool,
    /// Whether the answer tells the node's Stat.
    pub(in super::super) with_stat: bool,
}

/// A question about nodes.
#[derive(Debug)]
pub(in super::super) enum Read {
    Exists {
        path: String,
        watch: bool,
    },
    Data {
        path: String,
        watch: bool,
    },
    Acl {
        path: String,
    },
    Children {
        path: String,
        watch: bool,
        with_stat: bool,
    },
    Ephemerals {
        prefix: String,
    },
    AllChildrenNumber {
        path: String,
    },
    WhoAmI,
}

/// The paths whose watches are set again after a connection was lost, one list a kind.
#[derive(Debug, Default)]
pub(in super::super) struct Paths {
    pub(in super::super) data: Vec<String>,
    pub(in super::super) exist: Vec<String>,
    pub(in super::super) child: Vec<String>,
    pub(in super::super) persistent: Vec<String>,
    pub(in super::super) recursive: Vec<String>,
}

/// How a watch that is added by itself stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum WatchMode {
    Persistent,
    PersistentRecursive,
}

/// Which watches are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum WatchKind {
    Child,
    Data,
    Any,
}

impl Connect {
    pub(in super::super) fn read(message: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message);
        let _protocol = reader.int()?;
        Ok(Self {
            last_zxid: reader.long()?,
            timeout: reader.int()?,
            session: reader.long()?,
            password: reader.buffer()?.unwrap_or_default().to_vec(),
            is_old: reader.is_empty(),
        })
    }
}

impl Header {
    pub(in super::super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            xid: reader.int()?,
            code: reader.int()?,
        })
    }
}

/// Reads what comes after the header. What comes after that is passed over, as ZooKeeper does it.
pub(in super::super) fn decode(code: i32, reader: &mut Reader<'_>) -> Result<Request, Malformed> {
    if let Some(write) = write(code, reader)? {
        return Ok(Request::Write(write));
    }
    if let Some(read) = read(code, reader)? {
        return Ok(Request::Read(read));
    }
    Ok(match code {
        code::MULTI => Request::Multi(multi(reader, |code, reader| match code {
            code::SET_ACL => Ok(None),
            // In a transaction ZooKeeper 3.8 does not tell the Stat of what it creates.
            code::CREATE_2 => write(code::CREATE, reader),
            code => write(code, reader),
        })?),
        code::MULTI_READ => Request::MultiRead(multi(reader, |code, reader| match code {
            code::GET_DATA | code::GET_CHILDREN => read(code, reader),
            _ => Ok(None),
        })?),
        code::SYNC => Request::Sync {
            path: reader.text()?,
        },
        code::PING => Request::Ping,
        code::AUTH => {
            let _type = reader.int()?;
            Request::Auth {
                scheme: reader.text()?,
                secret: reader.buffer()?.unwrap_or_default().to_vec(),
            }
        }
        code::SET_WATCHES | code::SET_WATCHES_2 => set_watches(code, reader)?,
        code::ADD_WATCH => Request::AddWatch {
            path: reader.text()?,
            mode: match reader.int()? {
                0 => WatchMode::Persistent,
                1 => WatchMode::PersistentRecursive,
                _ => return Err(Malformed),
            },
        },
        code::CHECK_WATCHES => Request::CheckWatches {
            path: reader.text()?,
            kind: watch_kind(reader)?,
        },
        code::REMOVE_WATCHES => Request::RemoveWatches {
            path: reader.text()?,
            kind: watch_kind(reader)?,
        },
        code::CLOSE_SESSION => Request::CloseSession,
        code::RECONFIG => Request::Reconfig,
        _ => Request::Unknown,
    })
}

fn write(code: i32, reader: &mut Reader<'_>) -> Result<Option<Write>, Malformed> {
    Ok(Some(match code {
        code::CREATE | code::CREATE_2 | code::CREATE_CONTAINER => Write::Create(Create {
            path: reader.text()?,
            data: data(reader)?,
            acl: read_acl(reader)?,
            flags: reader.int()?,
            is_container: code == code::CREATE_CONTAINER,
            with_stat: code != code::CREATE,
        }),
        code::CREATE_TTL => {
            reader.text()?;
            data(reader)?;
            read_acl(reader)?;
            reader.int()?;
            reader.long()?;
            Write::Unimplemented
        }
        code::DELETE => Write::Delete {
            path: reader.text()?,
            version: reader.int()?,
        },
        code::SET_DATA => Write::SetData {
            path: reader.text()?,
            data: data(reader)?,
            version: reader.int()?,
        },
        code::SET_ACL => Write::SetAcl {
            path: reader.text()?,
            acl: read_acl(reader)?,
            version: reader.int()?,
        },
        code::CHECK => Write::Check {
            path: reader.text()?,
            version: reader.int()?,
        },
        _ => return Ok(None),
    }))
}

fn read(code: i32, reader: &mut Reader<'_>) -> Result<Option<Read>, Malformed> {
    Ok(Some(match code {
        code::EXISTS => Read::Exists {
            path: reader.text()?,
            watch: reader.bool()?,
        },
        code::GET_DATA => Read::Data {
            path: reader.text()?,
            watch: reader.bool()?,
        },
        code::GET_ACL => Read::Acl {
            path: reader.text()?,
        },
        code::GET_CHILDREN | code::GET_CHILDREN_2 => Read::Children {
            path: reader.text()?,
            watch: reader.bool()?,
            with_stat: code == code::GET_CHILDREN_2,
        },
        code::GET_EPHEMERALS => Read::Ephemerals {
            prefix: reader.text()?,
        },
        code::GET_ALL_CHILDREN_NUMBER => Read::AllChildrenNumber {
            path: reader.text()?,
        },
        code::WHO_AM_I => Read::WhoAmI,
        _ => return Ok(None),
    }))
}

/// The operations of a transaction, each with a header of its own: code, whether it is the end, and an error.
fn multi<T>(
    reader: &mut Reader<'_>,
    operation: impl Fn(i32, &mut Reader<'_>) -> Result<Option<T>, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut operations = Vec::new();
    loop {
        let (code, done, _error) = (reader.int()?, reader.bool()?, reader.int()?);
        if done {
            return Ok(operations);
        }
        operations.push(operation(code, reader)?.ok_or(Malformed)?);
    }
}

fn set_watches(code: i32, reader: &mut Reader<'_>) -> Result<Request, Malformed> {
    let since = reader.long()?;
    let mut texts = || reader.list(Reader::text)?.ok_or(Malformed);
    let mut paths = Paths {
        data: texts()?,
        exist: texts()?,
        child: texts()?,
        ..Paths::default()
    };
    if code == code::SET_WATCHES_2 {
        (paths.persistent, paths.recursive) = (texts()?, texts()?);
    }
    Ok(Request::SetWatches { since, paths })
}

fn watch_kind(reader: &mut Reader<'_>) -> Result<WatchKind, Malformed> {
    match reader.int()? {
        1 => Ok(WatchKind::Child),
        2 => Ok(WatchKind::Data),
        3 => Ok(WatchKind::Any),
        _ => Err(Malformed),
    }
}

fn data(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, Malformed> {
    Ok(reader.buffer()?.map(<[u8]>::to_vec))
}

/// An ACL. None at all is as good as an empty one.
pub(in super::super) fn read_acl(reader: &mut Reader<'_>) -> Result<Vec<Acl>, Malformed> {
    let acl = reader.list(|reader| {
        Ok(Acl {
            permissions: reader.int()?,
            identity: Identity {
                scheme: reader.text()?,
                id: reader.text()?,
            },
        })
    })?;
    Ok(acl.unwrap_or_default())
}
