//! The mounts that this process sees, and where in its file system a file lies.
//!
//! A bind mount shows one directory at a second path, without the names above it. So two paths are compared by where they
//! lead to in the file system itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// How much of the list of mounts is read, in bytes; Linux allows for 100000 mounts.
const LIST_BYTES: u64 = 16 << 20;

/// How much is read of what the kernel says of a descriptor, in bytes.
const DESCRIPTOR_BYTES: u64 = 4 << 10;

/// Kinds of file systems that are not files of anybody, by what mount(8) calls them.
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

/// How many overlays may lie on each other: more than Linux allows.
const MAX_OVERLAYS: usize = 4;

/// Where something lies in its file system, whatever is mounted where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file_system: Vec<u8>,
    path: PathBuf,
}

impl Place {
    /// Whether the other place is this one, or lies in it.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.file_system == other.file_system && other.path.starts_with(&self.path)
    }
}

/// One line of the list.
#[derive(Debug)]
struct Mount {
    id: u64,
    file_system: Vec<u8>,
    /// What of the file system is mounted.
    root: PathBuf,
    /// Where it is mounted.
    point: PathBuf,
    kind: Vec<u8>,
    options: Vec<u8>,
}

/// All mounts that this process sees.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads the list of mounts. It is empty where there is no /proc to ask, and where the list is longer than is read: then
    /// nobody knows where anything lies.
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

    /// The places where an open file lies: one, or several if its file system lies on others. None if that is not known.
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
            // A layer is named as whoever mounted the overlay saw it: in a container it may be out of sight.
            if let Ok(layer) = open(layer) {
                let below = if *is_whole { Path::new("") } else { &within };
                self.add_places(&layer, below, overlays + 1, places);
            }
        }
    }

    /// The kernel's own kind of file system that an open file lies in.
    pub(crate) fn kernel_kind(&self, file: &impl AsFd) -> Option<&'static str> {
        self.mount(file)?.kernel_kind()
    }

    /// The first of the kernel's own file systems that is mounted on the directory or below it.
    pub(crate) fn kernel_below(&self, directory: &Path) -> Option<(PathBuf, &'static str)> {
        self.0
            .iter()
            .filter(|mount| mount.point.starts_with(directory))
            .find_map(|mount| Some((mount.point.clone(), mount.kernel_kind()?)))
    }

    /// Where something is mounted below a path, and the place of what is mounted there.
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
    /// Reads a line as proc(5) has it: any number of optional words stands before a dash.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|byte| *byte == b' ');
        let id = str::from_utf8(words.next()?).ok()?.parse().ok()?;
        let mut file_system = words.nth(1)?.to_vec();
        let root = PathBuf::from(OsString::from_vec(unescaped(words.next()?)));
        let point = PathBuf::from(OsString::from_vec(unescaped(words.next()?)));
        let mut rest = words.skip_while(|word| *word != b"-").skip(1);
        let (kind, source) = (rest.next()?.to_vec(), rest.next()?);
        let options = rest.next().unwrap_or_default().to_vec();
        // All directories that come from one server can share a device, and all have "/" as their root.
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

    /// The directories that an overlay shows as one, and whether all of such a directory belongs to every file: an overlay
    /// writes in its work directory what it is about to show.
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
        // What a relative path leads to only the one who mounted the overlay knew.
        layers.retain(|(path, _)| path.is_absolute());
        layers
    }
}

/// The paths in a list of lower directories: colons separate them, and a backslash takes a colon for a letter.
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

/// Opens what a path leads to without the right to read it.
///
/// # Errors
/// It is not there, or out of reach.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Where an open file is now, without links. None where there is no /proc to ask.
pub(crate) fn path(file: &impl AsFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).ok()
}

/// The number of the mount that an open file was reached by. None where there is no /proc to ask.
pub(crate) fn mount_id(file: &impl AsFd) -> Option<u64> {
    let mut text = String::new();
    File::open(format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd()))
        .ok()?
        .take(DESCRIPTOR_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    id.trim().parse().ok()
}

/// Blanks, backslashes and what separates options are written as three octal digits.
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: &[u8] = br"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
25 22 0:22 / /sys rw shared:6 - sysfs sysfs rw
26 25 0:23 / /sys/fs/cgroup rw shared:9 master:2 - cgroup2 cgroup2 rw
30 22 0:5 / /srv/jail\040one/dev rw - devtmpfs udev rw
31 22 0:21 / /srv/b\134s/proc rw - proc proc rw
32 22 0:40 / /srv/data rw - tmpfs - rw
33 22 254:0 /home/app/cache /home2/.cache rw - ext4 /dev/vda1 rw
34 22 0:50 / /merged rw - overlay overlay rw,lowerdir=/l\134:1:/l2\054x,upperdir=/up,workdir=/work,xino=off
35 22 0:60 / /home3 rw - nfs4 server:/home rw
36 22 0:60 / /data3 rw - nfs4 server:/data rw
37 22 0:70 / /pts rw - devpts devpts rw
cut short - proc";

    fn mount(mounts: &Mounts, id: u64) -> &Mount {
        mounts.0.iter().find(|mount| mount.id == id).unwrap()
    }

    #[test]
    fn what_the_kernel_has_mounted_below_a_directory_is_found() {
        let mounts = Mounts::parse(LIST);
        let found = |directory: &str| mounts.kernel_below(Path::new(directory));
        for (directory, point, kind) in [
            ("/sys/fs", "/sys/fs/cgroup", "cgroup2"),
            ("/sys/fs/cgroup", "/sys/fs/cgroup", "cgroup2"),
            ("/srv", "/srv/jail one/dev", "devtmpfs"),
            ("/srv/jail one", "/srv/jail one/dev", "devtmpfs"),
            ("/srv/b\\s", "/srv/b\\s/proc", "proc"),
            ("/pts", "/pts", "devpts"),
        ] {
            assert_eq!(found(directory), Some((point.into(), kind)), "{directory}");
        }
        for directory in [
            "/srv/data",
            "/srv/jail",
            "/sys/fs/cgroup/system.slice",
            "/home",
        ] {
            assert_eq!(found(directory), None, "{directory}");
        }
        assert!(Mounts::parse(b"\xff\\7 \\ - \n\n - -").0.is_empty());
        let below = mounts.below(Path::new("/sys/fs/cgroup"));
        assert_eq!(below.count(), 0);
        let below: Vec<_> = mounts.below(Path::new("/home2")).collect();
        let place = mount(&mounts, 22).place(Path::new("home/app/cache"));
        assert_eq!(below, [(Path::new("/home2/.cache"), place)]);
    }

    #[test]
    fn a_bind_mount_shows_what_lies_elsewhere() {
        let mounts = Mounts::parse(LIST);
        let place = |id, within: &str| mount(&mounts, id).place(Path::new(within));
        assert_eq!(place(33, "soloist"), place(22, "home/app/cache/soloist"));
        assert!(place(22, "home/app").holds(&place(33, "")));
        assert!(place(33, "").holds(&place(22, "home/app/cache/soloist")));
        assert!(!place(22, "home/ap").holds(&place(33, "")));
        assert!(!place(33, "").holds(&place(22, "home/app")));
        assert!(!place(32, "").holds(&place(22, "")));
        // A server's directories look alike.
        assert!(!place(35, "").holds(&place(36, "")));
        assert!(place(35, "").holds(&place(35, "user")));
    }

    #[test]
    fn an_overlay_is_made_of_layers() {
        let mounts = Mounts::parse(LIST);
        let layers = mount(&mounts, 34).layers();
        let named: Vec<_> = layers
            .iter()
            .map(|(path, is_whole)| (path.to_str().unwrap(), *is_whole))
            .collect();
        assert_eq!(
            named,
            [
                ("/l:1", false),
                ("/l2,x", false),
                ("/up", false),
                ("/work", true)
            ]
        );
        assert!(mount(&mounts, 22).layers().is_empty());
        let relative = b"34 22 0:50 / /m rw - overlay o rw,lowerdir=l/A:l/B,upperdir=u";
        assert!(Mount::parse(relative).unwrap().layers().is_empty());
    }

    #[test]
    fn this_machine_has_its_own_at_proc_and_everything_has_a_place() {
        let mounts = Mounts::read();
        let proc = open(Path::new("/proc/self")).unwrap();
        assert_eq!(mounts.kernel_kind(&proc), Some("proc"));
        assert_eq!(
            mounts
                .kernel_below(Path::new("/proc"))
                .map(|(_, kind)| kind),
            Some("proc")
        );
        let directory = tempfile::tempdir().unwrap();
        let places = |path: &Path| mounts.places(&open(path).unwrap());
        let (outer, inner) = (places(&std::env::temp_dir()), places(directory.path()));
        assert!(outer[0].holds(&inner[0]) && !inner[0].holds(&outer[0]));
        assert_eq!(mounts.kernel_kind(&open(directory.path()).unwrap()), None);
        assert!(Mounts::default().places(&proc).is_empty());
    }

    proptest! {
        #![proptest_config(soloist_seed::properties())]

        /// What the kernel would write of a path is read as that path.
        #[test]
        fn every_path_is_read_as_it_was_written(names in prop::collection::vec("[ -~\\t\\n]{1,8}", 1..5)) {
            let path = format!("/{}", names.join("/").replace("//", "/"));
            let written: String = path
                .chars()
                .map(|letter| match letter {
                    ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", u32::from(letter)),
                    letter => letter.to_string(),
                })
                .collect();
            let line = format!("7 1 8:1 {written} {written} rw - ext4 /dev/sda rw");
            let mount = Mount::parse(line.as_bytes()).unwrap();
            prop_assert_eq!(&mount.root, Path::new(&path));
            prop_assert_eq!(&mount.point, Path::new(&path));
        }

        /// Nothing that is read makes a host fall.
        #[test]
        fn whatever_the_list_says_is_read(list in prop::collection::vec(any::<u8>(), 0..400)) {
            let start = b"1 2 3:4 / / - overlay o lowerdir=";
            for mount in Mounts::parse(&[start, &*list].concat()).0 {
                let _ = mount.layers();
            }
        }

        /// One place holds another exactly if its names are the first of the other's.
        #[test]
        fn places_are_compared_by_whole_names(
            one in prop::collection::vec("[ab]{1,2}", 0..4),
            other in prop::collection::vec("[ab]{1,2}", 0..4),
        ) {
            let place = |names: &[String]| Place {
                file_system: b"8:1".to_vec(),
                path: Path::new("/").join(names.join("/")),
            };
            prop_assert_eq!(place(&one).holds(&place(&other)), other.starts_with(&one));
        }
    }
}
