//! Writes the messages that clients are sent.

use super::super::access::Acl;
use super::super::node::Stat;

/// A whole message, with its length before it.
pub(in super::super) type Message = Vec<u8>;

/// A message that is being written.
#[derive(Debug)]
pub(in super::super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A message without a header.
    pub(in super::super) fn new() -> Self {
        Self { bytes: vec![0; 4] }
    }

    /// A message that begins as answers do.
    pub(in super::super) fn reply(xid: i32, zxid: i64, code: i32) -> Self {
        let mut writer = Self::new();
        writer.int(xid).long(zxid).int(code);
        writer
    }

    /// How long it is by now.
    pub(in super::super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(in super::super) fn finish(mut self) -> Message {
        let length = u32::try_from(self.bytes.len() - 4).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }

    pub(in super::super) fn int(&mut self, value: i32) -> &mut Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(in super::super) fn long(&mut self, value: i64) -> &mut Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(in super::super) fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes.push(value.into());
        self
    }

    pub(in super::super) fn count(&mut self, count: usize) -> &mut Self {
        // What a client can have put there fits.
        self.int(i32::try_from(count).unwrap_or(i32::MAX))
    }

    pub(in super::super) fn buffer(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => {
                self.count(bytes.len());
                self.bytes.extend_from_slice(bytes);
                self
            }
            None => self.int(-1),
        }
    }

    pub(in super::super) fn text(&mut self, text: &str) -> &mut Self {
        self.buffer(Some(text.as_bytes()))
    }

    pub(in super::super) fn texts<'a>(
        &mut self,
        texts: impl ExactSizeIterator<Item = &'a String>,
    ) -> &mut Self {
        self.count(texts.len());
        for text in texts {
            self.text(text);
        }
        self
    }

    pub(in super::super) fn acl(&mut self, acl: &[Acl]) -> &mut Self {
        self.count(acl.len());
        for entry in acl {
            self.int(entry.permissions);
            self.text(&entry.identity.scheme).text(&entry.identity.id);
        }
        self
    }

    pub(in super::super) fn stat(&mut self, stat: &Stat) -> &mut Self {
        self.long(stat.czxid).long(stat.mzxid);
        self.long(stat.ctime).long(stat.mtime);
        self.int(stat.version).int(stat.cversion).int(stat.aversion);
        self.long(stat.ephemeral_owner);
        self.int(stat.data_length).int(stat.num_children);
        self.long(stat.pzxid)
    }
}
