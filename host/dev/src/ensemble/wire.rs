//! ZooKeeper's wire protocol: what clients send, read with bounds, and what they are answered.
//!
//! A message is its length and as many bytes. Numbers are big-endian; a text, a buffer or a list is its length and what it
//! holds, and a length of −1 stands for none.

pub(super) mod code;
mod reader;
mod request;
mod writer;
pub(super) mod xid;

pub(super) use self::reader::{Malformed, Reader};
pub(super) use self::request::{
    Connect, Create, Header, Paths, Read, Request, WatchKind, WatchMode, Write, decode, read_acl,
};
pub(super) use self::writer::{Message, Writer};

/// The longest message that a client may send: ZooKeeper's `jute.maxbuffer`.
pub(super) const MESSAGE_BYTES_MAX: usize = 0xf_ffff;
