//! `wasi:filesystem` 0.3. wasmtime's own streams use the plugin's thread too, but for all that the guest has at once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::fs::FileType;
use rustix::io::Errno;
use tokio::sync::oneshot;
use wasmtime::component::{
    Accessor, Destination, FutureReader, LinkerInstance, Resource, Source, StreamConsumer,
    StreamProducer, StreamReader, StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode,
    HostDescriptorWithStore, MetadataHashValue, OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::FilesystemResult;

use super::listing::{Entry, Listing};
use super::writing::{Place, Refused, Writing};
use super::{FilesView, GetView, NoRoom};

pub(super) const INTERFACE: &str = "wasi:filesystem/types@0.3.0";
pub(super) const PREOPENS: &str = "wasi:filesystem/preopens@0.3.0";

/// How much of a file is read before the guest runs again, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many entries of a directory are given to the guest at once.
const ENTRIES_MAX: usize = 64;

/// How a stream has ended.
type Outcome = Result<(), ErrorCode>;
type Data = StreamReader<u8>;
type Answer<V> = (Result<V, ErrorCode>,);

pub(super) fn add_directories<T: 'static>(
    preopens: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    preopens.func_wrap("get-directories", move |mut store, (): ()| {
        let mut view = view(store.data_mut());
        let granted = view.wasi().get_directories()?;
        Ok((view.directories(granted)?,))
    })
}

/// Has wasmtime do what the guest asks for by a path, if a grant covers the path.
macro_rules! add_path_function {
    ($add:ident, $name:literal, $function:ident, ($($more:ident: $type:ty)?), $value:ty) => {
        pub(super) fn $add<T: WasiFilesystemView + 'static>(
            types: &mut LinkerInstance<'_, T>,
            view: GetView<T>,
        ) -> wasmtime::Result<()> {
            type Parameters = (Resource<Descriptor>, $($type,)? String);
            types.func_wrap_concurrent(
                $name,
                move |accessor: &Accessor<T>, (place, $($more,)? path): Parameters| {
                    Box::pin(async move {
                        if is_ungranted(accessor, view, &place, &path, false)? {
                            return Ok((Err(ErrorCode::Access),));
                        }
                        let files = accessor.with_getter::<WasiFilesystem>(T::filesystem);
                        let done = WasiFilesystem::$function(&files, place, $($more,)? path).await;
                        answer::<$value>(done)
                    })
                },
            )
        }
    };
}

add_path_function!(add_stat, "[method]descriptor.stat-at", stat_at, (links: PathFlags), DescriptorStat);
add_path_function!(
    add_hash,
    "[method]descriptor.metadata-hash-at",
    metadata_hash_at,
    (links: PathFlags),
    MetadataHashValue
);
add_path_function!(
    add_make_directory,
    "[method]descriptor.create-directory-at",
    create_directory_at,
    (),
    ()
);
add_path_function!(
    add_remove_directory,
    "[method]descriptor.remove-directory-at",
    remove_directory_at,
    (),
    ()
);
add_path_function!(
    add_remove_file,
    "[method]descriptor.unlink-file-at",
    unlink_file_at,
    (),
    ()
);
add_path_function!(
    add_read_link,
    "[method]descriptor.readlink-at",
    readlink_at,
    (),
    String
);

fn is_ungranted<T: 'static>(
    accessor: &Accessor<T>,
    view: GetView<T>,
    place: &Resource<Descriptor>,
    path: &str,
    is_directory: bool,
) -> wasmtime::Result<bool> {
    accessor.with(|mut access| view(access.get()).is_ungranted(place, path, is_directory))
}

/// What wasmtime's function returns, as the guest gets it.
fn answer<V>(returned: FilesystemResult<V>) -> wasmtime::Result<Answer<V>> {
    match returned {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

pub(super) fn add_write<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let write = move |store: StoreContextMut<'_, T>,
                      (file, data, place): (Resource<Descriptor>, Data, u64)| {
        pipe(store, view, &file, data, Place::At(place))
    };
    types.func_wrap("[method]descriptor.write-via-stream", write)
}

pub(super) fn add_append<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let append = move |store: StoreContextMut<'_, T>,
                       (file, data): (Resource<Descriptor>, Data)| {
        pipe(store, view, &file, data, Place::End)
    };
    types.func_wrap("[method]descriptor.append-via-stream", append)
}

fn pipe<T: 'static>(
    mut store: StoreContextMut<'_, T>,
    view: GetView<T>,
    file: &Resource<Descriptor>,
    mut data: Data,
    place: Place,
) -> wasmtime::Result<(FutureReader<Outcome>,)> {
    let (ended, end) = oneshot::channel();
    let refused = match Writing::begin(&view(store.data_mut()), file, place) {
        Ok(writing) => {
            data.pipe(
                &mut store,
                Writer {
                    writing,
                    ended: Some(ended),
                },
            )?;
            return Ok((FutureReader::new(&mut store, end)?,));
        }
        Err(Refused::NotAFile) => ErrorCode::BadDescriptor,
        Err(Refused::ReadOnly) => ErrorCode::NotPermitted,
        Err(Refused::Unknown(error)) => return Err(error),
    };
    data.close(&mut store)?;
    let _ = ended.send(Err(refused));
    Ok((FutureReader::new(&mut store, end)?,))
}

/// What the guest writes to. Nothing waits in it.
struct Writer {
    writing: Writing,
    ended: Option<oneshot::Sender<Outcome>>,
}

impl Writer {
    fn end(&mut self, outcome: Outcome) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(outcome);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl<D> StreamConsumer<D> for Writer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        // Nothing to write asks whether there is room.
        if source.remaining().is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.writing.write(source.remaining())? {
            Ok(written) => {
                source.mark_read(written);
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Err(error) => {
                self.end(Err(error.into()));
                Poll::Ready(Ok(StreamResult::Dropped))
            }
        }
    }
}

pub(super) fn add_read<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    type Read = (StreamReader<u8>, FutureReader<Outcome>);
    let read = move |mut store: StoreContextMut<'_, T>,
                     (file, place): (Resource<Descriptor>, u64)| {
        let (ended, end) = oneshot::channel();
        let data = match view(store.data_mut()).table.get(&file)? {
            Descriptor::File(file) => {
                let reader = Reader {
                    file: Arc::clone(&file.file),
                    place,
                    ended: Some(ended),
                };
                StreamReader::new(&mut store, reader)?
            }
            Descriptor::Dir(_) => {
                let _ = ended.send(Err(ErrorCode::IsDirectory));
                StreamReader::new(&mut store, std::iter::empty())?
            }
        };
        Ok::<(Read,), wasmtime::Error>(((data, FutureReader::new(&mut store, end)?),))
    };
    types.func_wrap("[method]descriptor.read-via-stream", read)
}

/// What the guest reads a file from. It may have room for all of its memory, which no call of the system may be at.
struct Reader {
    file: Arc<File>,
    place: u64,
    ended: Option<oneshot::Sender<Outcome>>,
}

impl Reader {
    fn end(&mut self, outcome: Outcome) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(outcome);
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(room, self.place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    let read = read?;
                    self.place = self.place.checked_add(read as u64).ok_or(Errno::OVERFLOW)?;
                    return Ok(read);
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

impl<D> StreamProducer<D> for Reader {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut destination = destination.as_direct(store, CHUNK_BYTES);
        let room = destination.remaining();
        // Room for nothing asks whether there is something.
        if room.is_empty() {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let bytes = room.len().min(CHUNK_BYTES);
        Poll::Ready(Ok(match self.read(&mut room[..bytes]) {
            Ok(read) if read > 0 => {
                destination.mark_written(read);
                StreamResult::Completed
            }
            ended => {
                self.end(ended.map(drop).map_err(ErrorCode::from));
                StreamResult::Dropped
            }
        }))
    }
}

pub(super) fn add_open<T: WasiFilesystemView + 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    type Parameters = (
        Resource<Descriptor>,
        PathFlags,
        String,
        OpenFlags,
        DescriptorFlags,
    );
    types.func_wrap_concurrent(
        "[method]descriptor.open-at",
        move |accessor: &Accessor<T>, (directory, links, path, how, flags): Parameters| {
            Box::pin(open(accessor, view, directory, links, path, how, flags))
        },
    )
}

async fn open<T: WasiFilesystemView + 'static>(
    accessor: &Accessor<T>,
    view: GetView<T>,
    directory: Resource<Descriptor>,
    links: PathFlags,
    path: String,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> wasmtime::Result<Answer<Resource<Descriptor>>> {
    let is_directory = how.contains(OpenFlags::DIRECTORY);
    if is_ungranted(accessor, view, &directory, &path, is_directory)? {
        return Ok((Err(ErrorCode::Access),));
    }
    if let Err(NoRoom) = accessor.with(|mut access| view(access.get()).room_for_file(&directory))? {
        return Ok((Err(ErrorCode::Quota),));
    }
    let files = accessor.with_getter::<WasiFilesystem>(T::filesystem);
    let opened = WasiFilesystem::open_at(&files, directory, links, path, how, flags).await;
    if let Ok(opened) = &opened {
        accessor.with(|mut access| view(access.get()).opened(opened))?;
    }
    answer(opened)
}

pub(super) fn add_list<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    type Listed = (StreamReader<DirectoryEntry>, FutureReader<Outcome>);
    let list = move |mut store: StoreContextMut<'_, T>, (directory,): (Resource<Descriptor>,)| {
        let (ended, end) = oneshot::channel();
        let entries = match list(view(store.data_mut()), &directory)? {
            Ok(listing) => StreamReader::new(
                &mut store,
                Entries {
                    listing,
                    ended: Some(ended),
                },
            )?,
            Err(code) => {
                let _ = ended.send(Err(code));
                StreamReader::new(&mut store, std::iter::empty())?
            }
        };
        Ok::<(Listed,), wasmtime::Error>(((entries, FutureReader::new(&mut store, end)?),))
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
    ended: Option<oneshot::Sender<Outcome>>,
}

impl Entries {
    fn end(&mut self, outcome: Outcome) {
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(outcome);
        }
    }

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

impl Drop for Entries {
    fn drop(&mut self) {
        self.end(Ok(()));
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
                    self.end(ended.map(drop));
                    outcome = StreamResult::Dropped;
                    break;
                }
            }
        }
        destination.set_buffer(entries.into());
        Poll::Ready(Ok(outcome))
    }
}
