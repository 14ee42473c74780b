//! The native protocol of systemd's journal: a datagram for each line, with fields that can be searched for.

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use humantime::format_rfc3339_micros;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};
use serde_json::Value;
use tracing::Level;

use soloist_core::text::{self, printable};

use super::line::Line;

/// Where the journal listens.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// The longest name of a field, in bytes. The journal leaves out what is longer.
const NAME_MAX_BYTES: usize = 64;

/// Brings each line that is written to it to the journal, which has to be written at once.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    /// It is looked up for each line: a journal that is started again listens anew.
    path: PathBuf,
}

impl Journal {
    /// The journal that listens there, usually at [`JOURNAL`].
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Self {
            socket: UnixDatagram::unbound()?,
            path: path.to_owned(),
        })
    }

    /// Sends what is too long for a datagram as a file that nobody can change any more.
    fn send_long(&self, entry: &[u8]) -> Result<(), Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("soloist-line", flags)?;
        let mut rest = entry;
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&files));
        let address = SocketAddrUnix::new(&self.path)?;
        let nothing = [IoSlice::new(&[])];
        let flags = SendFlags::NOSIGNAL;
        sendmsg_addr(&self.socket, &address, &nothing, &mut control, flags).map(drop)
    }
}

impl Write for Journal {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let sent = self.socket.send_to(entry, &self.path);
        let Err(error) = sent else {
            return Ok(entry.len());
        };
        match Errno::from_io_error(&error) {
            Some(Errno::MSGSIZE | Errno::NOBUFS) => self.send_long(entry)?,
            Some(_) | None => return Err(error),
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line<'_> {
    /// The line as an entry of the journal. Names of fields are the host's own: what a plugin calls its fields stands in one
    /// value.
    pub(super) fn journal(&self) -> Vec<u8> {
        let mut entry = Vec::new();
        // As syslog counts: 3 is an error, 4 a warning, 6 tells something, 7 is for debugging.
        let priority = match self.level {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            _ => "7",
        };
        let time = format_rfc3339_micros(self.time).to_string();
        let level = self.level.as_str().to_ascii_lowercase();
        put(&mut entry, "MESSAGE", &self.sentence());
        put(&mut entry, "PRIORITY", priority);
        put(&mut entry, "SYSLOG_IDENTIFIER", "soloist");
        put(&mut entry, "SOLOIST_TIMESTAMP", &time);
        put(&mut entry, "SOLOIST_LEVEL", &level);
        put(&mut entry, "SOLOIST_HOST", &printable(self.host));
        if let Some(event) = self.event {
            put(&mut entry, "SOLOIST_EVENT", event);
        }
        if let Some(target) = &self.target {
            put(&mut entry, "SOLOIST_TARGET", &printable(target));
        }
        for (name, value) in &self.fields {
            let value = match value {
                Value::Null => continue,
                Value::String(text) => printable(text).into_owned(),
                other => text::json(other).unwrap_or_default(),
            };
            put(&mut entry, &field(name), &value);
        }
        entry
    }
}

/// What a field is called in the journal.
fn field(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
        _ => '_',
    });
    "SOLOIST_"
        .chars()
        .chain(letters)
        .take(NAME_MAX_BYTES)
        .collect()
}

fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::SystemTime;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use serde_json::json;

    use super::*;

    fn line(message: &str, fields: Value) -> Vec<u8> {
        let Value::Object(fields) = fields else {
            panic!("fields are an object")
        };
        let line = Line {
            time: SystemTime::UNIX_EPOCH,
            level: Level::WARN,
            host: "a",
            message: message.into(),
            event: Some("plugin-log"),
            is_of_plugin: true,
            target: None,
            fields,
        };
        line.journal()
    }

    #[test]
    fn an_entry_has_a_field_for_each_of_an_event_and_none_that_a_plugin_names() {
        let fields = json!({
            "task": "report", "term": 7, "leader": null, "stream": "stdout",
            "fields": { "task": "forged", "a\nPRIORITY": "0" },
        });
        let entry = String::from_utf8(line("x\nPRIORITY=0", fields)).unwrap();
        let expected = "MESSAGE=report#7| x\\nPRIORITY=0 a\\nPRIORITY=0 task=forged leader=null stream=stdout\n\
            PRIORITY=4\nSYSLOG_IDENTIFIER=soloist\nSOLOIST_TIMESTAMP=1970-01-01T00:00:00.000000Z\nSOLOIST_LEVEL=warn\n\
            SOLOIST_HOST=a\nSOLOIST_EVENT=plugin-log\n\
            SOLOIST_FIELDS={\"a\\nPRIORITY\":\"0\",\"task\":\"forged\"}\nSOLOIST_STREAM=stdout\nSOLOIST_TASK=report\nSOLOIST_TERM=7\n";
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&entry), sorted(expected), "{entry}");
    }

    #[test]
    fn a_value_of_several_lines_has_its_length_before_it() {
        let entry = line("x", json!({ "task": "t", "backtrace": "0: a\n1: b" }));
        let message = "t| x\n    0: a\n    1: b";
        let mut expected = b"MESSAGE\n".to_vec();
        expected.extend_from_slice(&(message.len() as u64).to_le_bytes());
        expected.extend_from_slice(message.as_bytes());
        expected.extend_from_slice(b"\nPRIORITY=4\n");
        assert!(entry.starts_with(&expected), "{entry:?}");
    }

    #[test]
    fn an_entry_that_is_too_long_for_a_datagram_comes_as_a_file() {
        let directory =
            std::env::temp_dir().join(format!("soloist-journal-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let listening = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::open(&path).unwrap();
        journal.write_all(b"MESSAGE=short\n").unwrap();
        let mut short = [0; 64];
        let length = listening.recv(&mut short).unwrap();
        assert_eq!(&short[..length], b"MESSAGE=short\n");
        let long = [b"MESSAGE=".to_vec(), vec![b'x'; 4 << 20], b"\n".to_vec()].concat();
        journal.write_all(&long).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        recvmsg(&listening, &mut [], &mut control, RecvFlags::empty()).unwrap();
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        let mut file = std::fs::File::from(file.unwrap());
        let mut read = Vec::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut read).unwrap();
        assert!(read == long);
        assert!(file.write_all(b"forged").is_err(), "it is sealed");
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(journal.write_all(b"MESSAGE=nobody\n").is_err());
        assert!(Journal::open(&path).is_err());
    }
}
