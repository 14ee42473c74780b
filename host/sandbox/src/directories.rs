//! The directories that a task grants, opened once for all attempts of its plugin.
//!
//! They are judged and used by the same handles: whoever renames one, or puts a link in its place, changes nothing of what
//! the plugin sees.

pub(crate) mod mounts;
pub(crate) mod places;
pub(crate) mod walk;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::fstatfs;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::{Descriptor, FsPerms, WasiFilesystemCtx, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::directories::walk::{Id, Walk, ancestry, id};
use soloist_core::grants::{Access, Directory};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What was granted.
    pub(crate) granted: Directory,
    /// Itself, and all that it lies in, up to the root.
    pub(crate) above: Vec<Id>,
    /// The number of its file system's kind.
    pub(crate) kind: i64,
    /// How often it was named when it was opened; some file systems do not count that.
    links: u64,
    handle: Arc<File>,
}

/// All directories that a plugin is granted.
#[derive(Default)]
pub(crate) struct Directories {
    all: Vec<Opened>,
    wasi: WasiFilesystemCtx,
}

fn permissions(access: Access) -> FsPerms {
    match access {
        Access::Read => FsPerms::ReadOnly,
        Access::Write => FsPerms::ReadWrite,
    }
}

/// A directory that cannot be used.
pub(crate) type Unusable = (PathBuf, io::Error);

/// A directory whose path leads through another one, which a plugin can write to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Nested {
    pub(crate) path: PathBuf,
    pub(crate) writable: PathBuf,
}

impl Directories {
    /// Opens them: no link that comes later counts.
    pub(crate) fn open(granted: &[Directory]) -> Result<Self, Unusable> {
        let mut wasi = WasiCtx::builder();
        // On the plugin's own thread: what a thread of its own does would go on when the plugin is stopped.
        wasi.allow_blocking_current_thread(true);
        for Directory {
            host,
            guest,
            access,
        } in granted
        {
            let opened = wasi.preopened_dir(host, guest, permissions(*access));
            opened.map_err(|error| {
                (
                    host.clone(),
                    error.downcast().unwrap_or_else(io::Error::other),
                )
            })?;
        }
        let mut view = View {
            ctx: wasi.build(),
            table: ResourceTable::new(),
        };
        let mut all = Vec::new();
        let unusable = |error: wasmtime::Error| {
            (
                PathBuf::new(),
                error.downcast().unwrap_or_else(io::Error::other),
            )
        };
        for (granted, handle) in granted.iter().zip(view.handles().map_err(unusable)?) {
            let opened = Opened::new(granted.clone(), handle);
            all.push(opened.map_err(|error| (granted.host.clone(), error))?);
        }
        Ok(Self {
            all,
            wasi: view.filesystem().ctx.clone(),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Opened> {
        self.all.iter()
    }

    /// Gives them to a new instance.
    ///
    /// # Errors
    /// One of them is no more.
    pub(crate) fn give(&self, ctx: WasiCtx) -> wasmtime::Result<WasiCtx> {
        for Opened {
            granted,
            handle,
            links,
            ..
        } in &self.all
        {
            if handle.metadata()?.nlink() == 0 && *links > 0 {
                wasmtime::bail!(
                    "the granted directory {} has been removed since this host opened it: restart the host when there is one",
                    granted.host.display()
                );
            }
        }
        let mut view = View {
            ctx,
            table: ResourceTable::new(),
        };
        *view.filesystem().ctx = self.wasi.clone();
        Ok(view.ctx)
    }

    /// Looks for one whose path leads through a directory that its own plugin, or that of another task, can write to: that
    /// plugin could make it lead anywhere. `others` are all directories that the tasks of the host are granted.
    pub(crate) fn check_nesting(&self, others: &[Directory]) -> Result<(), Nested> {
        let own = self
            .all
            .iter()
            .filter_map(|opened| Some((&opened.granted, *opened.above.first()?)));
        let others = others
            .iter()
            .filter_map(|granted| Some((granted, id(&granted.host)?)));
        let writable: Vec<_> = own
            .chain(others)
            .filter(|(granted, _)| granted.access == Access::Write)
            .collect();
        for Opened { granted, above, .. } in &self.all {
            let walk = Walk::along(&granted.host);
            let leads =
                |id| walk.through.contains(id) || above.iter().skip(1).any(|above| above == id);
            if let Some((through, _)) = writable.iter().find(|(_, id)| leads(id)) {
                return Err(Nested {
                    path: granted.host.clone(),
                    writable: through.host.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Opened {
    fn new(granted: Directory, handle: Arc<File>) -> io::Result<Self> {
        let (above, kind) = (ancestry(&handle)?, fstatfs(&*handle)?.f_type);
        Ok(Self {
            granted,
            above,
            kind,
            links: handle.metadata()?.nlink(),
            handle,
        })
    }

    /// Where it is now, without links. None where there is no /proc to ask.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.handle.as_raw_fd())).ok()
    }
}

/// What lends wasmtime's functions a context.
struct View {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl View {
    /// The handles of what the context has open, in the order in which it was told.
    fn handles(&mut self) -> wasmtime::Result<Vec<Arc<File>>> {
        let descriptors = self.filesystem().get_directories()?;
        let handle = |descriptor| match self.table.get(&descriptor)? {
            Descriptor::Dir(directory) => Ok(Arc::clone(&directory.dir)),
            Descriptor::File(_) => Err(io::Error::from(io::ErrorKind::NotADirectory).into()),
        };
        descriptors
            .into_iter()
            .map(|(descriptor, _)| handle(descriptor))
            .collect()
    }
}

impl WasiView for View {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.ctx,
            table: &mut self.table,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_grant_leads_through_what_a_plugin_can_write_to() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for directory in ["n/sub/deep", "target", "other"] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        symlink("../target", path("n/led")).unwrap();
        symlink("n", path("alias")).unwrap();
        symlink("alias/led", path("outer")).unwrap();
        let dir = |name, access| Directory {
            host: path(name),
            guest: format!("/{name}"),
            access,
        };
        let check = |own: &[Directory], others: &[Directory]| {
            Directories::open(own).unwrap().check_nesting(others)
        };
        for name in [
            "n/sub",
            "n/sub/deep",
            "n/led",
            "alias/sub",
            "outer",
            "n/../other",
        ] {
            let nested = Err(Nested {
                path: path(name),
                writable: path("n"),
            });
            for access in [Access::Read, Access::Write] {
                assert_eq!(
                    check(&[dir("n", Access::Write), dir(name, access)], &[]),
                    nested,
                    "{name}"
                );
                assert_eq!(
                    check(&[dir(name, access), dir("n", Access::Write)], &[]),
                    nested,
                    "{name}"
                );
                assert_eq!(
                    check(&[dir(name, access)], &[dir("n", Access::Write)]),
                    nested,
                    "{name}"
                );
            }
            let others = [dir("n", Access::Read), dir(name, Access::Write)];
            assert_eq!(
                check(&[dir(name, Access::Write)], &others),
                Ok(()),
                "{name}"
            );
        }
        // What is shared is the same directory, by whatever path leads there.
        for name in ["n", "alias"] {
            let all = [
                dir("n", Access::Write),
                dir(name, Access::Write),
                dir(name, Access::Read),
            ];
            assert_eq!(check(&all, &all), Ok(()), "{name}");
        }
        let beside = [
            dir("n/sub", Access::Write),
            dir("target", Access::Write),
            dir("other", Access::Write),
        ];
        assert_eq!(check(&beside, &[dir("gone", Access::Write)]), Ok(()));
    }
}
