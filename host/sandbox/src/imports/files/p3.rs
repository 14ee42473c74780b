//! `wasi:filesystem` 0.3. wasmtime's own streams use the plugin's thread too, but for all that the guest has at once.

use wasmtime::component::{Accessor, LinkerInstance, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p3::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::p3::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, ErrorCode, HostDescriptorWithStore, MetadataHashValue,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p3::filesystem::FilesystemResult;

use super::{GetView, NoRoom};

mod end;
mod list;
mod read;
mod write;

pub(super) use list::add_list;
pub(super) use read::add_read;
pub(super) use write::{add_append, add_write};

pub(super) const INTERFACE: &str = "wasi:filesystem/types@0.3.0";
pub(super) const PREOPENS: &str = "wasi:filesystem/preopens@0.3.0";

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
