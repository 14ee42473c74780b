//! Where the kernel shows itself as files.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// How much of the list of mounts is read, in bytes; Linux allows for 100000 mounts.
const LIST_BYTES: u64 = 16 << 20;

/// Kinds of file systems that are not files of anybody, by what mount(8) calls them, and by their numbers in
/// linux/magic.h. One has no number of its own.
const KINDS: [(&str, Option<i64>); 13] = [
    ("proc", Some(0x9fa0)),
    ("sysfs", Some(0x6265_6572)),
    ("devtmpfs", None),
    ("cgroup", Some(0x0027_e0eb)),
    ("cgroup2", Some(0x6367_7270)),
    ("debugfs", Some(0x6462_6720)),
    ("tracefs", Some(0x7472_6163)),
    ("securityfs", Some(0x7363_6673)),
    ("selinuxfs", Some(0xf97c_ff8c)),
    ("configfs", Some(0x6265_6570)),
    ("bpf", Some(0xcafe_4a11)),
    ("efivarfs", Some(0xde5e_81e4)),
    ("binfmt_misc", Some(0x4249_4e4d)),
];

/// The kind of the kernel's own that has this number.
pub(crate) fn kind(magic: i64) -> Option<&'static str> {
    KINDS
        .iter()
        .find(|(_, number)| *number == Some(magic))
        .map(|(kind, _)| *kind)
}

/// The first of the kernel's own that is mounted on the directory or below it. None where there is no /proc to ask.
pub(crate) fn below(directory: &Path) -> Option<(PathBuf, &'static str)> {
    let mut list = Vec::new();
    File::open("/proc/self/mountinfo")
        .ok()?
        .take(LIST_BYTES)
        .read_to_end(&mut list)
        .ok()?;
    find(&list, directory)
}

/// As proc(5) has it: the mount point is the fifth word, and the kind follows on a dash.
fn find(list: &[u8], directory: &Path) -> Option<(PathBuf, &'static str)> {
    list.split(|byte| *byte == b'\n').find_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let point = PathBuf::from(OsString::from_vec(unescaped(words.nth(4)?)));
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        let (kind, _) = KINDS.iter().find(|(name, _)| name.as_bytes() == kind)?;
        point.starts_with(directory).then_some((point, *kind))
    })
}

/// Blanks and backslashes are written as three octal digits.
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
    use super::*;

    #[test]
    fn what_the_kernel_has_mounted_below_a_directory_is_found() {
        let list = br"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
25 22 0:22 / /sys rw shared:6 - sysfs sysfs rw
26 25 0:23 / /sys/fs/cgroup rw shared:9 master:2 - cgroup2 cgroup2 rw
30 22 0:5 / /srv/jail\040one/dev rw - devtmpfs udev rw
31 22 0:21 / /srv/b\134s/proc rw - proc proc rw
32 22 0:40 / /srv/data rw - tmpfs - rw
cut short - proc";
        let found = |directory: &str| find(list, Path::new(directory));
        for (directory, point, kind) in [
            ("/sys/fs", "/sys/fs/cgroup", "cgroup2"),
            ("/sys/fs/cgroup", "/sys/fs/cgroup", "cgroup2"),
            ("/srv", "/srv/jail one/dev", "devtmpfs"),
            ("/srv/jail one", "/srv/jail one/dev", "devtmpfs"),
            ("/srv/b\\s", "/srv/b\\s/proc", "proc"),
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
        assert_eq!(find(b"\xff\\7 \\ - \n\n - -", Path::new("/")), None);
    }

    #[test]
    fn this_machine_has_its_own_at_proc() {
        let proc = rustix::fs::statfs("/proc").unwrap().f_type;
        assert_eq!((kind(proc), kind(0)), (Some("proc"), None));
        assert_eq!(
            below(Path::new("/proc")).map(|(_, kind)| kind),
            Some("proc")
        );
    }
}
