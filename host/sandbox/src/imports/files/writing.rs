//! Writing to a granted file by a stream.
//!
//! wasmtime hands what is written to a stream of WASI 0.2 to another thread, and nobody can call such a write back: it would
//! be done after the plugin has stopped. The streams here stand in the place of wasmtime's. They write on the plugin's own
//! thread, a bounded piece at a time, each only while the permit lasts. What a stream has taken is in the file, and a store
//! that is gone has left nothing to be done.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;

use super::FilesView;
use soloist_core::meter::{Effect, Outcome};
use soloist_core::permit::{LeaseLost, Permit};

/// How much is written before the permit is looked at again, in bytes.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// Where the next byte goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    At(u64),
    End,
}

/// Why there is no stream.
pub(super) enum Refused {
    NotAFile,
    ReadOnly,
    /// There is no such descriptor.
    Unknown(wasmtime::Error),
}

/// One stream to a file.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) file: Arc<File>,
    pub(super) place: Place,
    pub(super) permit: Permit,
}

impl Writing {
    pub(super) fn begin(
        view: &FilesView<'_>,
        descriptor: &Resource<Descriptor>,
        place: Place,
    ) -> Result<Self, Refused> {
        match view.table.get(descriptor) {
            Ok(Descriptor::File(file)) if file.perms.write_not_permitted() => {
                view.permit.count(Effect::File, Outcome::Grant);
                Err(Refused::ReadOnly)
            }
            Ok(Descriptor::File(file)) => Ok(Self {
                file: Arc::clone(&file.file),
                place,
                permit: view.permit.clone(),
            }),
            Ok(Descriptor::Dir(_)) => Err(Refused::NotAFile),
            Err(error) => Err(Refused::Unknown(error.into())),
        }
    }

    /// Writes a part of the bytes, and returns how many. They are in the file then.
    ///
    /// # Errors
    /// The permit has ended, or else what the system says.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<io::Result<usize>, LeaseLost> {
        if let Err(lost) = self.permit.check() {
            self.permit.count(Effect::File, Outcome::Lease);
            return Err(lost);
        }
        let written = self.write_some(&bytes[..bytes.len().min(CHUNK_BYTES)]);
        let outcome = if written.is_ok() {
            Outcome::Done
        } else {
            Outcome::Error
        };
        self.permit.count(Effect::File, outcome);
        Ok(written.and_then(|written| self.go_on(written).map(|()| written)))
    }

    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self.place {
                Place::At(place) => self.file.write_at(bytes, place),
                Place::End => append(&self.file, bytes),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
                written => return written,
            }
        }
    }

    fn go_on(&mut self, written: usize) -> io::Result<()> {
        if let Place::At(place) = &mut self.place {
            *place = place.checked_add(written as u64).ok_or(Errno::OVERFLOW)?;
        }
        Ok(())
    }
}

fn append(file: &File, bytes: &[u8]) -> io::Result<usize> {
    match pwritev2(file, &[IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND) {
        // Not every system can append. Then the end is where it is now: no other thread of the plugin writes.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => file.write_at(bytes, file.metadata()?.len()),
        written => Ok(written?),
    }
}
