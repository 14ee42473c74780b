//! `wasi:filesystem` 0.2, as languages' standard libraries use it.

use bytes::Bytes;
use rustix::fs::FileType;
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, HostDescriptor, MetadataHashValue, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{
    DynOutputStream, FsResult, OutputStream, Pollable, StreamError, StreamResult,
};

use super::listing::{Entry, Listing};
use super::writing::{CHUNK_BYTES, Place, Refused, Writing};
use super::{FilesView, GetView, NoRoom};

pub(super) const INTERFACE: &str = "wasi:filesystem/types@0.2.12";
pub(super) const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

type Answer<V> = (Result<V, ErrorCode>,);
type Begun = Answer<Resource<DynOutputStream>>;
type Opened = Answer<Resource<Descriptor>>;
type Listed = Answer<Resource<DirectoryEntryStream>>;

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
        pub(super) fn $add<T: Send + 'static>(
            types: &mut LinkerInstance<'_, T>,
            view: GetView<T>,
        ) -> wasmtime::Result<()> {
            type Parameters = (Resource<Descriptor>, $($type,)? String);
            types.func_wrap_async(
                $name,
                move |mut store: StoreContextMut<'_, T>, (place, $($more,)? path): Parameters| {
                    Box::new(async move {
                        let mut view = view(store.data_mut());
                        if view.is_ungranted(&place, &path, false)? {
                            return Ok((Err(ErrorCode::Access),));
                        }
                        answer::<$value>(view.wasi().$function(place, $($more,)? path).await)
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

/// What wasmtime's function returns, as the guest gets it.
fn answer<V>(returned: FsResult<V>) -> wasmtime::Result<Answer<V>> {
    match returned {
        Ok(value) => Ok((Ok(value),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

pub(super) fn add_write<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let write = move |mut store: StoreContextMut<'_, T>,
                      (file, place): (Resource<Descriptor>, u64)| {
        begin(&mut view(store.data_mut()), &file, Place::At(place))
    };
    types.func_wrap("[method]descriptor.write-via-stream", write)
}

pub(super) fn add_append<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let append = move |mut store: StoreContextMut<'_, T>, (file,): (Resource<Descriptor>,)| {
        begin(&mut view(store.data_mut()), &file, Place::End)
    };
    types.func_wrap("[method]descriptor.append-via-stream", append)
}

fn begin(
    view: &mut FilesView<'_>,
    file: &Resource<Descriptor>,
    place: Place,
) -> wasmtime::Result<Begun> {
    let writing = match Writing::begin(view, file, place) {
        Ok(writing) => writing,
        Err(Refused::NotAFile) => return Ok((Err(ErrorCode::BadDescriptor),)),
        Err(Refused::ReadOnly) => return Ok((Err(ErrorCode::NotPermitted),)),
        Err(Refused::Unknown(error)) => return Err(error),
    };
    let stream = Box::new(Writer::new(writing)) as DynOutputStream;
    Ok((Ok(view.table.push(stream)?),))
}

pub(super) fn add_open<T: Send + 'static>(
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
    types.func_wrap_async(
        "[method]descriptor.open-at",
        move |mut store: StoreContextMut<'_, T>,
              (directory, links, path, how, flags): Parameters| {
            Box::new(async move {
                open(view(store.data_mut()), directory, links, path, how, flags).await
            })
        },
    )
}

async fn open(
    mut view: FilesView<'_>,
    directory: Resource<Descriptor>,
    links: PathFlags,
    path: String,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> wasmtime::Result<Opened> {
    if view.is_ungranted(&directory, &path, how.contains(OpenFlags::DIRECTORY))? {
        return Ok((Err(ErrorCode::Access),));
    }
    if let Err(NoRoom) = view.room_for_file(&directory)? {
        return Ok((Err(ErrorCode::Quota),));
    }
    let opened = view
        .wasi()
        .open_at(directory, links, path, how, flags)
        .await;
    if let Ok(opened) = &opened {
        view.opened(opened)?;
    }
    answer(opened)
}

pub(super) fn add_list<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let list = move |mut store: StoreContextMut<'_, T>, (directory,): (Resource<Descriptor>,)| {
        list(view(store.data_mut()), &directory)
    };
    types.func_wrap("[method]descriptor.read-directory", list)
}

fn list(mut view: FilesView<'_>, directory: &Resource<Descriptor>) -> wasmtime::Result<Listed> {
    if let Err(NoRoom) = view.room_for_file(directory)? {
        return Ok((Err(ErrorCode::Quota),));
    }
    let listing = match view.table.get(directory)? {
        Descriptor::Dir(directory) => Listing::open(&directory.dir),
        Descriptor::File(_) => return Ok((Err(ErrorCode::NotDirectory),)),
    };
    let listing = match listing {
        Ok(listing) => listing,
        Err(error) => return Ok((Err(error.into()),)),
    };
    view.open.note(listing.file());
    let listing = view.table.push(listing)?;
    // The bindings know it by the name of wasmtime's own type.
    Ok((Ok(Resource::new_own(listing.rep())),))
}

pub(super) fn add_next_entry<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    let next = move |mut store: StoreContextMut<'_, T>,
                     (listing,): (Resource<DirectoryEntryStream>,)| {
        let listing = view(store.data_mut())
            .table
            .get_mut(&Resource::<Listing>::new_borrow(listing.rep()))?;
        Ok((next(listing),))
    };
    types.func_wrap("[method]directory-entry-stream.read-directory-entry", next)
}

fn next(listing: &mut Listing) -> Result<Option<DirectoryEntry>, ErrorCode> {
    let Some(Entry { name, kind }) = listing.next()? else {
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
        FileType::Unknown => DescriptorType::Unknown,
    };
    Ok(Some(DirectoryEntry {
        type_,
        name: name.ok_or(ErrorCode::IllegalByteSequence)?,
    }))
}

/// Adds the type of the streams of entries. A guest that drops such a stream drops the [`Listing`] behind it.
pub(super) fn add_listing<T: 'static>(
    types: &mut LinkerInstance<'_, T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    types.resource(
        "directory-entry-stream",
        ResourceType::host::<DirectoryEntryStream>(),
        move |mut store, listing| {
            view(store.data_mut())
                .table
                .delete(Resource::<Listing>::new_own(listing))?;
            Ok(())
        },
    )
}

/// What the guest writes to. Nothing waits in it.
pub(super) struct Writer {
    writing: Writing,
    closed: bool,
}

impl Writer {
    pub(super) fn new(writing: Writing) -> Self {
        Self {
            writing,
            closed: false,
        }
    }

    fn check(&self) -> StreamResult<()> {
        if self.closed {
            Err(StreamError::Closed)
        } else {
            Ok(())
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if bytes.len() > CHUNK_BYTES {
            return Err(StreamError::trap(
                "more was written than `check-write` allowed",
            ));
        }
        while !bytes.is_empty() {
            let written = self
                .writing
                .write(&bytes)
                .map_err(|lost| StreamError::Trap(lost.into()))?;
            match written {
                Ok(written) => drop(bytes.split_to(written)),
                Err(error) => {
                    self.closed = true;
                    return Err(StreamError::LastOperationFailed(error.into()));
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check().map(|()| CHUNK_BYTES)
    }
}
