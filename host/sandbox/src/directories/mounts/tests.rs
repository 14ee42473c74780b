use proptest::prelude::*;

use super::*;

const LIST: &[u8] = br"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
25 22 0:22 / /sys rw shared:6 - sysfs sysfs rw
26 25 0:23 / /sys/fs/cgroup rw shared:9 master:2 - cgroup2 cgroup2 rw
30 22 0:5 / /srv/jail\040one/dev rw - devtmpfs udev rw
31 22 0:21 / /srv/b\134s/proc rw - proc proc rw
32 22 0:40 / /srv/data rw - tmpfs - rw
33 22 254:0 /vol/app/cache /vol2/.cache rw - ext4 /dev/vda1 rw
34 22 0:50 / /merged rw - overlay overlay rw,lowerdir=/l\134:1:/l2\054x,upperdir=/up,workdir=/work,xino=off
35 22 0:60 / /vol3 rw - nfs4 server:/vol rw
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
        "/vol",
    ] {
        assert_eq!(found(directory), None, "{directory}");
    }
    assert!(Mounts::parse(b"\xff\\7 \\ - \n\n - -").0.is_empty());
    let below = mounts.below(Path::new("/sys/fs/cgroup"));
    assert_eq!(below.count(), 0);
    let below: Vec<_> = mounts.below(Path::new("/vol2")).collect();
    let place = mount(&mounts, 22).place(Path::new("vol/app/cache"));
    assert_eq!(below, [(Path::new("/vol2/.cache"), place)]);
}

#[test]
fn a_bind_mount_shows_what_lies_elsewhere() {
    let mounts = Mounts::parse(LIST);
    let place = |id, within: &str| mount(&mounts, id).place(Path::new(within));
    assert_eq!(place(33, "soloist"), place(22, "vol/app/cache/soloist"));
    assert!(place(22, "vol/app").holds(&place(33, "")));
    assert!(place(33, "").holds(&place(22, "vol/app/cache/soloist")));
    assert!(!place(22, "vol/ap").holds(&place(33, "")));
    assert!(!place(33, "").holds(&place(22, "vol/app")));
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
    let proc = open_to_identify(Path::new("/proc/self")).unwrap();
    assert_eq!(mounts.kernel_kind(&proc), Some("proc"));
    assert_eq!(
        mounts
            .kernel_below(Path::new("/proc"))
            .map(|(_, kind)| kind),
        Some("proc")
    );
    let directory = tempfile::tempdir().unwrap();
    let places = |path: &Path| mounts.places(&open_to_identify(path).unwrap());
    let (outer, inner) = (places(&std::env::temp_dir()), places(directory.path()));
    assert!(outer[0].holds(&inner[0]) && !inner[0].holds(&outer[0]));
    assert_eq!(
        mounts.kernel_kind(&open_to_identify(directory.path()).unwrap()),
        None
    );
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
