//! The mounts that this process sees, and where in its file system a file lies.
//!
//! A bind mount shows one directory at a second path, without the names above it. So the host compares two paths by the
//! places in the file system that they lead to.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use soloist_core::directories::{mount_id, open_to_identify};

/// How much of the list of mounts the host reads, in bytes. It is enough for the 100000 mounts that Linux allows.
const LIST_BYTES: u64 = 16 << 20;

/// The kinds of file systems that show the kernel's state and hold nobody's files, by their names in mount(8).
const KERNEL_KINDS: [&str; 22] = [
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "mqueue",
    "pstore",
    "cgroup",
    "cgroup2",
    "cpuset",
    "resctrl",
    "debugfs",
    "tracefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "configfs",
    "bpf",
    "efivarfs",
    "binfmt_misc",
    "fusectl",
    "nfsd",
    "rpc_pipefs",
];

/// How many overlays the host follows down. Linux allows fewer on top of each other.
const MAX_OVERLAYS: usize = 4;

/// Where a file lies in its file system. Mounts make no difference to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file_system: Vec<u8>,
    path: PathBuf,
}

impl Place {
    /// Whether the other place is this one, or lies below it.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.file_system == other.file_system && other.path.starts_with(&self.path)
    }
}

/// One mount: a line of the list.
#[derive(Debug)]
struct Mount {
    id: u64,
    file_system: Vec<u8>,
    /// The directory of the file system that is mounted.
    root: PathBuf,
    /// The path at which it is mounted.
    point: PathBuf,
    kind: Vec<u8>,
    options: Vec<u8>,
}

/// All mounts that this process sees.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads the list of mounts. Without /proc, or if the list is longer than [`LIST_BYTES`], there are no mounts: the place of
    /// every file is unknown then.
    pub(crate) fn read() -> Self {
        let read = || -> io::Result<Vec<u8>> {
            let mut list = Vec::new();
            File::open("/proc/self/mountinfo")?
                .take(LIST_BYTES)
                .read_to_end(&mut list)?;
            Ok(list)
        };
        let list = read().unwrap_or_default();
        if list.len() as u64 == LIST_BYTES {
            return Self::default();
        }
        Self::parse(&list)
    }

    fn parse(list: &[u8]) -> Self {
        Self(
            list.split(|byte| *byte == b'\n')
                .filter_map(Mount::parse)
                .collect(),
        )
    }

    /// The places where an open file lies. There are several if its file system is an overlay, and none if they are unknown.
    pub(crate) fn places(&self, file: &impl AsFd) -> Vec<Place> {
        let mut places = Vec::new();
        self.add_places(file, Path::new(""), 0, &mut places);
        places
    }

    fn add_places(&self, file: &impl AsFd, below: &Path, overlays: usize, places: &mut Vec<Place>) {
        let Some((mount, path)) = self.mount(file).zip(path(file)) else {
            return;
        };
        let Ok(within) = path.strip_prefix(&mount.point) else {
            return;
        };
        let within = within.join(below);
        places.push(mount.place(&within));
        for (layer, is_whole) in mount.layers().iter().filter(|_| overlays < MAX_OVERLAYS) {
            // The options name a layer as the process that mounted the overlay saw it. In a container it may be out of sight.
            if let Ok(layer) = open_to_identify(layer) {
                let below = if *is_whole { Path::new("") } else { &within };
                self.add_places(&layer, below, overlays + 1, places);
            }
        }
    }

    /// The kind of the kernel's own file system in which an open file lies. None if it lies in another one.
    pub(crate) fn kernel_kind(&self, file: &impl AsFd) -> Option<&'static str> {
        self.mount(file)?.kernel_kind()
    }

    /// The first mount of a kernel's own file system at the directory or below it, with its kind.
    pub(crate) fn kernel_below(&self, directory: &Path) -> Option<(PathBuf, &'static str)> {
        self.0
            .iter()
            .filter(|mount| mount.point.starts_with(directory))
            .find_map(|mount| Some((mount.point.clone(), mount.kernel_kind()?)))
    }

    /// All mounts below a directory: the path of each, and the place that it shows.
    pub(crate) fn below(&self, directory: &Path) -> impl Iterator<Item = (&Path, Place)> {
        self.0
            .iter()
            .filter(move |mount| mount.point != directory && mount.point.starts_with(directory))
            .map(|mount| (&*mount.point, mount.place(Path::new(""))))
    }

    fn mount(&self, file: &impl AsFd) -> Option<&Mount> {
        let id = mount_id(file)?;
        self.0.iter().find(|mount| mount.id == id)
    }
}

impl Mount {
    /// Reads a line in the format of proc(5), which has any number of optional words before a dash.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ');
        let id = str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let mut file_system = words.nth(1)?.to_vec();
        let root = PathBuf::from(OsString::from_vec(unescaped(words.next()?)));
        let point = PathBuf::from(OsString::from_vec(unescaped(words.next()?)));
        let mut rest = words.skip_while(|word| *word != b"-").skip(1);
        let (kind, source) = (rest.next()?.to_vec(), rest.next()?);
        let options = rest.next().unwrap_or_default().to_vec();
        // All directories of one NFS server can share a device, and all have "/" as their root: the source tells them apart.
        if kind.starts_with(b"nfs") {
            file_system.extend_from_slice(source);
        }
        Some(Self {
            id,
            file_system,
            root,
            point,
            kind,
            options,
        })
    }

    fn place(&self, within: &Path) -> Place {
        Place {
            file_system: self.file_system.clone(),
            path: self.root.join(within),
        }
    }

    fn kernel_kind(&self) -> Option<&'static str> {
        KERNEL_KINDS
            .into_iter()
            .find(|kind| kind.as_bytes() == self.kind)
    }

    /// The directories that an overlay shows as one. The flag is true for its work directory, in which the overlay prepares
    /// any file that it shows: so every file of the overlay may lie anywhere in it.
    fn layers(&self) -> Vec<(PathBuf, bool)> {
        let mut layers = Vec::new();
        if self.kind != b"overlay" {
            return layers;
        }
        for option in self.options.split(|byte| *byte == b',') {
            let option = unescaped(option);
            let mut parts = option.splitn(2, |byte| *byte == b'=');
            let (key, value) = (parts.next(), parts.next().unwrap_or_default());
            match key {
                Some(b"lowerdir" | b"lowerdir+" | b"datadir+") => {
                    layers.extend(lower(value).into_iter().map(|path| (path, false)));
                }
                Some(b"upperdir") => {
                    layers.push((OsString::from_vec(value.to_vec()).into(), false));
                }
                Some(b"workdir") => layers.push((OsString::from_vec(value.to_vec()).into(), true)),
                _ => {}
            }
        }
        // Only the process that mounted the overlay knew what a relative path leads to.
        layers.retain(|(path, _)| path.is_absolute());
        layers
    }
}

/// The paths in a list of lower directories. A colon separates two paths, unless a backslash stands before it.
fn lower(value: &[u8]) -> Vec<PathBuf> {
    let (mut paths, mut bytes) = (vec![Vec::new()], value.iter());
    while let Some(byte) = bytes.next() {
        let letter = match byte {
            b':' => None,
            b'\\' => Some(bytes.next().unwrap_or(byte)),
            letter => Some(letter),
        };
        match (letter, paths.last_mut()) {
            (Some(letter), Some(path)) => path.push(*letter),
            _ => paths.push(Vec::new()),
        }
    }
    paths
        .into_iter()
        .map(|path| OsString::from_vec(path).into())
        .collect()
}

/// The present path of an open file, without links. None without /proc.
pub(crate) fn path(file: &impl AsFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).ok()
}

/// Decodes a word of the list. The kernel writes blanks, backslashes and separators as a backslash and three octal digits.
fn unescaped(mut word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    while let Some((first, rest)) = word.split_first() {
        let digits = rest.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        match digits
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
            .filter(|_| *first == b'\\')
        {
            Some(byte) => (bytes.push(byte), word = &rest[3..]),
            None => (bytes.push(*first), word = rest),
        };
    }
    bytes
}

#[cfg(test)]
mod tests;
