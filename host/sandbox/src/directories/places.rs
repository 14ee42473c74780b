//! What a granted directory would give away besides itself.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::directories::Opened;
use crate::directories::mounts::Mounts;
use crate::directories::walk::{Spot, Walk};
use soloist_core::grants::Access;

/// How much of the list of what is mapped into the host is read, in bytes.
const MAPPED_BYTES: u64 = 16 << 20;

/// What every program on the machine reads: what is loaded into it, how names are looked up, and whom it trusts.
const SYSTEM_FILES: [&str; 9] = [
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// The variables that name other certificates.
const CERTIFICATE_VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What a plugin could do that no grant is meant to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// It could write native code, which this host would run.
    Cache(PathBuf),
    /// It could do so while a plugin is compiled.
    Temporary(PathBuf),
    /// It could replace the program of this host.
    Program(PathBuf),
    /// It could grant itself whatever it likes.
    Configuration(PathBuf),
    /// It could replace what this host reads, or have it read another file.
    File(PathBuf),
    /// It could be any of these: where the directory lies in its file system is not known.
    Unknown,
    /// It could change the machine itself: the directory is this one, or lies in it.
    Machine(&'static str),
    /// It could change the machine itself: the kernel shows itself there.
    Kernel {
        /// Where.
        mounted: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(path) => write!(
                f,
                "compiled plugins are kept in {}, and whoever writes there has this host run native code: grant another \
                 directory, or set XDG_CACHE_HOME to one",
                path.display()
            ),
            Self::Temporary(path) => write!(
                f,
                "plugins may be compiled in {}, and whoever writes there has this host run native code: grant a directory \
                 in it, or another one",
                path.display()
            ),
            Self::Program(path) => {
                write!(f, "the program of this host lies in it, {}", path.display())
            }
            Self::Configuration(path) => write!(
                f,
                "the configuration of this host lies in it, {}, which says what plugins are granted",
                path.display()
            ),
            Self::File(path) => write!(
                f,
                "this host reads {}, and whoever writes there can replace it, or have this host read another file",
                path.display()
            ),
            Self::Unknown => f.write_str(
                "where it lies cannot be known, so it could hold what no plugin may write to (this host asks \
                 /proc/self/mountinfo: mount /proc)",
            ),
            Self::Machine(what) => write!(f, "by {what} the machine itself can be changed"),
            Self::Kernel { mounted, kind } => {
                write!(
                    f,
                    "by {} ({kind}) the machine itself can be changed",
                    mounted.display()
                )
            }
        }
    }
}

/// What lies on a host that no plugin may change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept<'a> {
    /// Where compiled plugins are kept: as the path is given, and where it led when the cache was opened.
    pub(crate) caches: &'a [&'a Path],
    /// Where plugins are compiled that are not kept: what lies in these places beside them is nobody's concern.
    pub(crate) temporary: &'a [PathBuf],
    pub(crate) configuration: Option<&'a Path>,
    /// What else this host reads.
    pub(crate) files: &'a [PathBuf],
}

impl Kept<'_> {
    /// Says what a plugin could do with the directory that nobody can have meant.
    pub(crate) fn danger(&self, opened: &Opened, mounts: &Mounts) -> Option<Danger> {
        let granted = opened.above.first()?;
        if opened.granted.access == Access::Read {
            return None;
        }
        if !granted.is_known() {
            return Some(Danger::Unknown);
        }
        let meets = |path: &Path| {
            opened
                .reached()
                .any(|spot| Walk::along(path, mounts).meets(spot))
        };
        for cache in self.caches {
            // Each part of the cache may be mounted from elsewhere.
            let parts = [cache.to_path_buf(), cache.join("code"), cache.join("kept")];
            let lies_in = |spot: &Spot| {
                let mut all = opened.above.iter().chain(&opened.inside);
                all.any(|reached| spot.holds(reached))
            };
            let of_the_cache =
                |spot: &Spot| lies_in(spot) || opened.reached().any(|reached| reached.holds(spot));
            for part in parts {
                let end = Walk::along(&part, mounts).end;
                if meets(&part) || end.as_ref().is_some_and(lies_in) {
                    return Some(Danger::Cache(part));
                }
            }
            if Spot::reached_by(cache, mounts).iter().any(of_the_cache) {
                return Some(Danger::Cache(cache.to_path_buf()));
            }
        }
        let first = |paths: Vec<PathBuf>| paths.into_iter().find(|path| meets(path));
        machine(opened, mounts)
            .or_else(|| {
                let path = self.configuration.filter(|file| meets(file))?;
                Some(Danger::Configuration(path.to_owned()))
            })
            .or_else(|| {
                let path = std::env::current_exe().ok().filter(|path| meets(path))?;
                Some(Danger::Program(path))
            })
            .or_else(|| first(self.files.to_vec()).map(Danger::File))
            .or_else(|| first(self.temporary.to_vec()).map(Danger::Temporary))
            .or_else(|| first(system_files()).map(Danger::File))
    }
}

/// The files of the machine that this host is made of, or believes.
fn system_files() -> Vec<PathBuf> {
    let named = CERTIFICATE_VARIABLES
        .into_iter()
        .filter_map(std::env::var_os);
    let named: Vec<_> = named
        .flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>())
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    let read = || -> io::Result<Vec<u8>> {
        let mut list = Vec::new();
        File::open("/proc/self/maps")?
            .take(MAPPED_BYTES)
            .read_to_end(&mut list)?;
        Ok(list)
    };
    let mut files = mapped(&read().unwrap_or_default());
    files.extend(SYSTEM_FILES.map(PathBuf::from));
    files.extend(named);
    files
}

/// The files in a list of what is mapped, as proc(5) has it: the path is what follows the fifth word.
fn mapped(list: &[u8]) -> Vec<PathBuf> {
    let mut files: Vec<_> = list
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let start = line.iter().position(|byte| *byte == b'/')?;
            Some(PathBuf::from(OsStr::from_bytes(&line[start..])))
        })
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// What deserves a word about a directory that a plugin may read.
pub(crate) fn warning(opened: &Opened, mounts: &Mounts) -> Option<String> {
    let what = match machine(opened, mounts)? {
        Danger::Kernel { mounted, kind } => format!("{}, {kind}", mounted.display()),
        Danger::Machine(what) => what.to_owned(),
        _ => return None,
    };
    Some(format!(
        "the granted directory {} gives away what is the machine's own ({what}): by it a plugin can read this host's memory \
         and variables, secrets among them, or its devices",
        opened.granted.host.display()
    ))
}

/// What deserves a word about the path of a directory: whoever else decides where it leads.
pub(crate) fn exposed(opened: &Opened, mounts: &Mounts) -> Option<String> {
    let path = &opened.granted.host;
    let exposed = Walk::along(path, mounts).exposed?;
    Some(format!(
        "other users of this machine decide where the path of the granted directory {} leads: they can write to {}, or it \
         is theirs",
        path.display(),
        exposed.display()
    ))
}

/// The part of the machine that the directory is, lies in, or holds.
fn machine(opened: &Opened, mounts: &Mounts) -> Option<Danger> {
    let known = |path: &str| Spot::at(Path::new(path), mounts);
    if known("/").is_some_and(|root| opened.reached().any(|spot| spot.holds(&root))) {
        return Some(Danger::Machine("/"));
    }
    let lies_in = |path: &str, spots: &[Spot]| {
        known(path).is_some_and(|known| spots.iter().any(|spot| known.holds(spot)))
    };
    // Shared memory is a directory like any other.
    let is_of = |path: &str, spots: &[Spot]| lies_in(path, spots) && !lies_in("/dev/shm", spots);
    let found = ["/proc", "/sys", "/dev"].into_iter().find(|path| {
        let mut inside = opened.inside.iter().map(std::slice::from_ref);
        is_of(path, &opened.above) || inside.any(|spot| is_of(path, spot))
    });
    if let Some(path) = found {
        return Some(Danger::Machine(path));
    }
    let place = opened.path();
    if let Some(kind) = opened.kind {
        return Some(Danger::Kernel {
            mounted: place.unwrap_or_else(|| opened.granted.host.clone()),
            kind,
        });
    }
    let (mounted, kind) = mounts.kernel_below(&place?)?;
    Some(Danger::Kernel { mounted, kind })
}

#[cfg(test)]
mod tests;
