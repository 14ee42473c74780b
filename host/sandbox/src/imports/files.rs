//! The functions of `wasi:filesystem` that are not wasmtime's: opening, listing, and streams.
//!
//! wasmtime resolves paths, and lets none lead out of a granted directory. These functions stand in the place of some of
//! wasmtime's, in both versions of the interface, because wasmtime sets no bound to what they take of the host: how many
//! files a plugin has open ([`OpenFiles`]), how much of a listing is in memory (`listing`), and how long a write goes on
//! (`writing`). Others tell what is missing to who asks for a path that no grant covers ([`Ungranted`]).

mod listing;
mod p2;
mod p3;
mod ungranted;
mod writing;

use std::fs::File;
use std::sync::{Arc, Weak};

use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{
    Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView, WasiFilesystemView,
};

pub(crate) use self::ungranted::Ungranted;
use crate::descriptors;
use crate::log::PluginLog;
use soloist_core::limits::count;
use soloist_core::permit::Permit;

/// What these functions work on.
pub(crate) struct FilesView<'a> {
    pub(crate) ctx: &'a mut WasiFilesystemCtx,
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) open: &'a mut OpenFiles,
    pub(crate) ungranted: &'a mut Ungranted,
    pub(crate) permit: &'a Permit,
    pub(crate) log: &'a PluginLog,
}

/// Makes the view of a store's data.
type GetView<T> = fn(&mut T) -> FilesView<'_>;

/// Adds one function to its interface.
type Add<T> = fn(&mut LinkerInstance<'_, T>, GetView<T>) -> wasmtime::Result<()>;

/// Puts these functions in the place of wasmtime's. The others of wasmtime are in the linker already, and stay there.
pub(crate) fn add_to_linker<T: WasiFilesystemView + 'static>(
    linker: &mut Linker<T>,
    view: GetView<T>,
) -> wasmtime::Result<()> {
    for (interface, add) in functions() {
        add(&mut linker.instance(interface)?, view)?;
    }
    Ok(())
}

fn functions<T: WasiFilesystemView + 'static>() -> [(&'static str, Add<T>); 25] {
    [
        (p2::PREOPENS, p2::add_directories),
        (p2::INTERFACE, p2::add_stat),
        (p2::INTERFACE, p2::add_hash),
        (p2::INTERFACE, p2::add_make_directory),
        (p2::INTERFACE, p2::add_remove_directory),
        (p2::INTERFACE, p2::add_remove_file),
        (p2::INTERFACE, p2::add_read_link),
        (p2::INTERFACE, p2::add_write),
        (p2::INTERFACE, p2::add_append),
        (p2::INTERFACE, p2::add_open),
        (p2::INTERFACE, p2::add_list),
        (p2::INTERFACE, p2::add_next_entry),
        (p2::INTERFACE, p2::add_listing),
        (p3::PREOPENS, p3::add_directories),
        (p3::INTERFACE, p3::add_stat),
        (p3::INTERFACE, p3::add_hash),
        (p3::INTERFACE, p3::add_make_directory),
        (p3::INTERFACE, p3::add_remove_directory),
        (p3::INTERFACE, p3::add_remove_file),
        (p3::INTERFACE, p3::add_read_link),
        (p3::INTERFACE, p3::add_write),
        (p3::INTERFACE, p3::add_append),
        (p3::INTERFACE, p3::add_read),
        (p3::INTERFACE, p3::add_open),
        (p3::INTERFACE, p3::add_list),
    ]
}

/// The files, directories and listings that a plugin has open. A file is open while anything holds it: a stream does, even
/// when the plugin has dropped the descriptor.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    files: Vec<Weak<File>>,
    max: u32,
}

impl OpenFiles {
    /// None so far, and never more than `max`.
    pub(crate) fn new(max: u32) -> Self {
        Self {
            files: Vec::new(),
            max,
        }
    }

    fn count(&mut self) -> usize {
        self.files.retain(|file| file.strong_count() > 0);
        self.files.len()
    }

    fn note(&mut self, file: &Arc<File>) {
        self.files.push(Arc::downgrade(file));
    }
}

/// There is no room for one more.
struct NoRoom;

impl FilesView<'_> {
    /// Says whether the plugin may open something in a directory. WASI has no word for a lack of room, so the reason goes to
    /// the log.
    fn room_for_file(
        &mut self,
        directory: &Resource<Descriptor>,
    ) -> wasmtime::Result<Result<(), NoRoom>> {
        let max = self.open.max;
        if self.open.count() >= count(max.into()) {
            self.refuse_file(&format!(
                "{max} files and directories are open, which is what `limits.files` allows"
            ));
            return Ok(Err(NoRoom));
        }
        // The number that the system gives next, found out before the plugin's call creates or cuts a file.
        let next = match self.table.get(directory)? {
            Descriptor::Dir(directory) => directory.dir.try_clone(),
            Descriptor::File(file) => file.file.try_clone(),
        };
        if next.is_ok_and(|next| descriptors::is_for_plugins(&next)) {
            return Ok(Ok(()));
        }
        self.refuse_file(&descriptors::NoneLeft.to_string());
        Ok(Err(NoRoom))
    }

    fn refuse_file(&self, message: &str) {
        self.log.warn(message, "files");
    }

    /// Notes what the plugin has opened.
    fn opened(&mut self, opened: &Resource<Descriptor>) -> wasmtime::Result<()> {
        match self.table.get(opened)? {
            Descriptor::Dir(directory) => self.open.note(&directory.dir),
            Descriptor::File(file) => self.open.note(&file.file),
        }
        Ok(())
    }

    /// The part that wasmtime's own functions work on.
    fn wasi(&mut self) -> WasiFilesystemCtxView<'_> {
        WasiFilesystemCtxView {
            ctx: self.ctx,
            table: self.table,
        }
    }
}

#[cfg(test)]
mod tests;
