//! Streams that the guest reads the entries of a directory from.

use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::FileType;
use wasmtime::component::{
    Destination, FutureReader, LinkerInstance, Resource, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p3::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use super::end::{End, Outcome};
use crate::imports::files::listing::{Entry, Listing};
use crate::imports::files::{FilesView, GetView, NoRoom};

/// How many entries of a directory are given to the guest at once.
const ENTRIES_MAX: usize = 64;

pub(crate) fn add_list<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    type Listed = (StreamReader<DirectoryEntry>, FutureReader<Outcome>);
    let list = move |mut store: StoreContextMut<'_, T>, (directory,): (Resource<Descriptor>,)| {
        let (mut end, ended) = End::new();
        let entries = match list(view(store.data_mut()), &directory)? {
            Ok(listing) => StreamReader::new(&mut store, Entries { listing, end })?,
            Err(code) => {
                end.tell(Err(code));
                StreamReader::new(&mut store, std::iter::empty())?
            }
        };
        Ok::<(Listed,), wasmtime::Error>(((entries, FutureReader::new(&mut store, ended)?),))
    };
    types.func_wrap("[method]descriptor.read-directory", list)
}

fn list(
    mut view: FilesView<'_>,
    directory: &Resource<Descriptor>,
) -> wasmtime::Result<Result<Listing, ErrorCode>> {
    if let Err(NoRoom) = view.room_for_file(directory)? {
        return Ok(Err(ErrorCode::Quota));
    }
    let listing = match view.table.get(directory)? {
        Descriptor::Dir(directory) => Listing::open(&directory.dir),
        Descriptor::File(_) => return Ok(Err(ErrorCode::NotDirectory)),
    };
    if let Ok(listing) = &listing {
        view.open.note(listing.file());
    }
    Ok(listing.map_err(ErrorCode::from))
}

/// What the guest reads a directory from.
struct Entries {
    listing: Listing,
    end: End,
}

impl Entries {
    fn next(&mut self) -> Result<Option<DirectoryEntry>, ErrorCode> {
        let Some(Entry { name, kind }) = self.listing.next()? else {
            return Ok(None);
        };
        let type_ = match kind {
            FileType::RegularFile => DescriptorType::RegularFile,
            FileType::Directory => DescriptorType::Directory,
            FileType::Symlink => DescriptorType::SymbolicLink,
            FileType::Fifo => DescriptorType::Fifo,
            FileType::Socket => DescriptorType::Socket,
            FileType::CharacterDevice => DescriptorType::CharacterDevice,
            FileType::BlockDevice => DescriptorType::BlockDevice,
            FileType::Unknown => DescriptorType::Other(None),
        };
        Ok(Some(DirectoryEntry {
            type_,
            name: name.ok_or(ErrorCode::IllegalByteSequence)?,
        }))
    }
}

impl<D> StreamProducer<D> for Entries {
    type Item = DirectoryEntry;
    type Buffer = VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, DirectoryEntry, Self::Buffer>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // The guest may have room for millions. Room for nothing asks whether there is something.
        let room = destination
            .remaining(store.as_context_mut())
            .unwrap_or(ENTRIES_MAX)
            .min(ENTRIES_MAX);
        let mut entries = Vec::with_capacity(room);
        let mut outcome = StreamResult::Completed;
        while entries.len() < room {
            match self.next() {
                Ok(Some(entry)) => entries.push(entry),
                ended => {
                    self.end.tell(ended.map(drop));
                    outcome = StreamResult::Dropped;
                    break;
                }
            }
        }
        destination.set_buffer(entries.into());
        Poll::Ready(Ok(outcome))
    }
}
