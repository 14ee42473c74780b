//! What of `wasi:filesystem` is not wasmtime's: opening, listing, and streams.
//!
//! wasmtime resolves paths, and lets none lead out of a granted directory. These functions stand in the place of some of
//! its own, in both versions of the interface, because the host bounds what they take of it: how many files a plugin has
//! open ([`OpenFiles`]), how much of a listing is in memory (`listing`), and how long a write goes on (`writing`).

mod listing;
mod p2;
mod p3;
mod writing;

use std::fs::File;
use std::sync::{Arc, Weak};

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::Descriptor;

use crate::imports::descriptors;
use crate::run::store::InstanceData;
use crate::run::usage::count;
use soloist_core::events::details;

/// Puts these functions in place of wasmtime's, whose others are in the linker already.
pub(crate) fn add_to_linker(linker: &mut Linker<InstanceData>) -> wasmtime::Result<()> {
    for (interface, function) in FUNCTIONS {
        let mut interface = linker.instance(interface)?;
        function(&mut interface)?;
    }
    Ok(())
}

type Function =
    fn(&mut wasmtime::component::LinkerInstance<'_, InstanceData>) -> wasmtime::Result<()>;

const FUNCTIONS: [(&str, Function); 11] = [
    (p2::INTERFACE, p2::add_write),
    (p2::INTERFACE, p2::add_append),
    (p2::INTERFACE, p2::add_open),
    (p2::INTERFACE, p2::add_list),
    (p2::INTERFACE, p2::add_next_entry),
    (p2::INTERFACE, p2::add_listing),
    (p3::INTERFACE, p3::add_write),
    (p3::INTERFACE, p3::add_append),
    (p3::INTERFACE, p3::add_read),
    (p3::INTERFACE, p3::add_open),
    (p3::INTERFACE, p3::add_list),
];

/// The files, directories and listings that a plugin has opened. A stream holds its file open, whatever becomes of the
/// descriptor; so what counts is whether anything still holds it.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles(Vec<Weak<File>>);

impl OpenFiles {
    fn count(&mut self) -> usize {
        self.0.retain(|file| file.strong_count() > 0);
        self.0.len()
    }

    fn note(&mut self, file: &Arc<File>) {
        self.0.push(Arc::downgrade(file));
    }
}

/// There is no room for one more.
struct NoRoom;

impl InstanceData {
    /// Says whether the plugin may open something in a directory. Whatever has no room is told in the log, since WASI has
    /// no word for it.
    fn room_for_file(
        &mut self,
        directory: &Resource<Descriptor>,
    ) -> wasmtime::Result<Result<(), NoRoom>> {
        let max = self.settings.limits.files;
        if self.files.count() >= count(max.into()) {
            self.refuse_file(&format!(
                "{max} files and directories are open, which is what `limits.files` allows"
            ));
            return Ok(Err(NoRoom));
        }
        // The next number that the system gives, found out before anything is created or cut.
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
        self.log
            .warn(message, details([("import", "files".into())]));
    }

    /// Notes what the plugin has opened.
    fn opened(&mut self, opened: &Resource<Descriptor>) -> wasmtime::Result<()> {
        match self.table.get(opened)? {
            Descriptor::Dir(directory) => self.files.note(&directory.dir),
            Descriptor::File(file) => self.files.note(&file.file),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
