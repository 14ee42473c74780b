//! The directories that a task grants, opened once for all attempts of its plugin.
//!
//! They are judged and used by the same handles: whoever renames one, or puts a link in its place, changes nothing of what
//! the plugin sees.

pub(crate) mod mounts;
pub(crate) mod places;
pub(crate) mod walk;

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::{Descriptor, FsPerms, WasiFilesystemCtx, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::directories::mounts::Mounts;
use crate::directories::walk::{Spot, Walk, ancestry};
use soloist_core::grants::{Access, Directory};

/// An open directory.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// What was granted.
    pub(crate) granted: Directory,
    /// Itself, and all that it lies in, up to the root.
    pub(crate) above: Vec<Spot>,
    /// What is mounted in it: a plugin gets there as well.
    pub(crate) inside: Vec<Spot>,
    /// The kernel's own kind of file system that it lies in, if it does.
    pub(crate) kind: Option<&'static str>,
    /// How often it was named when it was opened; some file systems do not count that.
    links: u64,
    handle: Arc<File>,
}

/// All directories that a plugin is granted.
#[derive(Default)]
pub(crate) struct Directories {
    all: Vec<Opened>,
    /// The mounts as they were when the directories were opened.
    pub(crate) mounts: Mounts,
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
        // Most tasks have none. Each would keep the list of all mounts.
        if granted.is_empty() {
            return Ok(Self::default());
        }
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
        let (mounts, mut all) = (Mounts::read(), Vec::new());
        let unusable = |error: wasmtime::Error| {
            (
                PathBuf::new(),
                error.downcast().unwrap_or_else(io::Error::other),
            )
        };
        for (granted, handle) in granted.iter().zip(view.handles().map_err(unusable)?) {
            let opened = Opened::new(granted.clone(), handle, &mounts);
            all.push(opened.map_err(|error| (granted.host.clone(), error))?);
        }
        Ok(Self {
            all,
            mounts,
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
        // It looks at the directories of all tasks, and there may be thousands of tasks.
        if self.all.is_empty() {
            return Ok(());
        }
        let own = self.all.iter().flat_map(|opened| {
            let reached = opened.reached().cloned();
            reached.map(|spot| (&opened.granted, spot))
        });
        let others = others.iter().flat_map(|granted| {
            let reached = Spot::reached_by(&granted.host, &self.mounts);
            reached.into_iter().map(move |spot| (granted, spot))
        });
        let writable: Vec<_> = own
            .chain(others)
            .filter(|(granted, _)| granted.access == Access::Write)
            .collect();
        for Opened { granted, above, .. } in &self.all {
            let walk = Walk::along(&granted.host, &self.mounts);
            let leads = |through: &Spot| {
                let mut on_the_way = walk.through.iter().chain(above.iter().skip(1));
                on_the_way.any(|spot| through.holds(spot))
                    || above.first().is_some_and(|own| through.holds_strictly(own))
            };
            if let Some((through, _)) = writable.iter().find(|(_, spot)| leads(spot)) {
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
    fn new(granted: Directory, handle: Arc<File>, mounts: &Mounts) -> io::Result<Self> {
        let inside = mounts::path(&handle).map(|path| Spot::all_mounted_below(&path, mounts));
        Ok(Self {
            granted,
            above: ancestry(&handle, mounts)?,
            inside: inside.unwrap_or_default(),
            kind: mounts.kernel_kind(&handle),
            links: handle.metadata()?.nlink(),
            handle,
        })
    }

    /// All that a plugin reaches by it: the directory itself, and what is mounted in it.
    pub(crate) fn reached(&self) -> impl Iterator<Item = &Spot> {
        self.above.first().into_iter().chain(&self.inside)
    }

    /// Where it is now, without links. None where there is no /proc to ask.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        mounts::path(&self.handle)
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
