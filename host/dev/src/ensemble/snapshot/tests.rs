use super::super::machine::Now;
use super::*;

const TICK: Duration = Duration::from_secs(1);
const BYTES_MAX: usize = 100_000;

fn new_node(acl: &[Acl], owner: i64) -> Node {
    Node::new(Some(b"data".to_vec()), acl.into(), owner, 3, 4)
}

/// An ensemble with a session and some nodes.
fn machine() -> Machine {
    let mut sessions = Sessions::new(TICK, 7, Secret([1; 32]));
    let id = sessions.begin(TICK * 3, Duration::ZERO);
    let mut read_only = access::open();
    read_only[0].permissions = access::permission::READ;
    let mut tree = Tree::new(BYTES_MAX);
    tree.insert("/a", new_node(&access::open(), 0));
    tree.insert("/a/b", new_node(&read_only, id));
    tree.insert(
        "/a/c",
        new_node(&access::open(), super::super::node::CONTAINER),
    );
    Machine::new(tree, sessions, 9)
}

fn with(change: impl FnOnce(&mut Tree, &mut Sessions)) -> Vec<u8> {
    let mut sessions = Sessions::new(TICK, 7, Secret([1; 32]));
    let mut tree = Tree::new(BYTES_MAX);
    change(&mut tree, &mut sessions);
    encode(&Machine::new(tree, sessions, 9))
}

fn read(file: &[u8]) -> Result<Machine, BadSnapshot> {
    decode(file, BYTES_MAX, TICK, TICK)
}

/// With a digest that fits: whoever wants to can make one.
fn sealed(content: &[u8]) -> Vec<u8> {
    let digest = Sha1::digest(content);
    [content, &digest[..]].concat()
}

fn unsealed(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() - DIGEST_BYTES);
    file
}

/// Uses what was read: whatever the file said, nothing of that panics.
fn live(mut machine: Machine) {
    let now = |elapsed| Now { elapsed, wall: 0 };
    machine.open(1, "127.0.0.1".into());
    let mut greeting = Writer::new();
    greeting.int(0).long(0).int(1000).long(0).buffer(None);
    machine.receive(1, &greeting.finish()[4..], now(TICK));
    let mut create = Writer::new();
    create.int(1).int(super::super::wire::code::CREATE);
    create
        .text("/a/n-")
        .buffer(None)
        .acl(&access::open())
        .int(2);
    machine.receive(1, &create.finish()[4..], now(TICK));
    let mut count = Writer::new();
    count
        .int(2)
        .int(super::super::wire::code::GET_ALL_CHILDREN_NUMBER)
        .text("/");
    machine.receive(1, &count.finish()[4..], now(TICK));
    // All sessions end, and all that goes with them.
    machine.tick(now(Duration::MAX));
    assert_eq!(machine.sessions().all().len(), 0);
    assert_eq!(machine.tree().ephemeral_count(), 0);
    decode(&encode(&machine), usize::MAX, TICK, TICK).expect("what was written is read");
}

#[test]
fn what_is_written_is_read_again() {
    let before = machine();
    let after = read(&encode(&before)).unwrap();
    let nodes = |machine: &Machine| {
        let all = machine.tree().sorted().into_iter();
        all.map(|(path, node)| {
            (
                path.clone(),
                node.data.clone(),
                node.acl.clone(),
                node.stat(),
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(nodes(&after), nodes(&before));
    assert_eq!(after.tree().bytes(), before.tree().bytes());
    assert_eq!(after.tree().acls().len(), 2);
    assert_eq!(after.tree().ephemerals(8).collect::<Vec<_>>(), ["/a/b"]);
    assert_eq!(after.sessions().password(8), before.sessions().password(8));
    assert_eq!(after.sessions().get(8).unwrap().expiry, TICK * 5);
    assert_eq!((after.zxid(), after.sessions().last_id()), (EPOCH, 8));
    live(after);
}

#[test]
fn a_file_that_is_damaged_or_something_else_is_refused() {
    let whole = encode(&machine());
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err());
    }
    for index in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 0x40;
        let expected = match index {
            _ if index < BEGIN.len() => BadSnapshot::Foreign,
            _ => BadSnapshot::Damaged,
        };
        assert_eq!(read(&damaged).unwrap_err(), expected);
    }
    let small = decode(&whole, 100, TICK, TICK);
    assert_eq!(small.unwrap_err(), BadSnapshot::TooLarge);
    // As long as a digest, beginning as a snapshot does.
    assert_eq!(
        read(&sealed(&BEGIN[..BEGIN.len() - 1])).unwrap_err(),
        BadSnapshot::Foreign
    );
}

/// Each number of the file is the worst that it can be, in turn, wherever it may stand.
#[test]
fn a_hostile_file_with_a_digest_that_fits_is_refused_or_can_be_lived_with() {
    let content = unsealed(encode(&machine()));
    let mut refused = 0;
    let mut attempt = |content: &[u8]| match read(&sealed(content)) {
        Ok(machine) => live(machine),
        Err(_) => refused += 1,
    };
    for length in 0..content.len() {
        attempt(&content[..length]);
    }
    let longs = [i64::MIN, -1, 0, 1, NUMBER_MAX - 2 * EPOCH, i64::MAX].map(i64::to_be_bytes);
    let ints = [i32::MIN, -1, 0, 1, 0x7fff_fff0, i32::MAX].map(i32::to_be_bytes);
    let bytes = [[0], [0x2f], [0x7f], [0x80], [0xff]];
    let worst = longs
        .iter()
        .map(|it| &it[..])
        .chain(ints.iter().map(|it| &it[..]));
    for worst in worst.chain(bytes.iter().map(|it| &it[..])) {
        for index in BEGIN.len()..content.len() - worst.len() {
            let mut hostile = content.clone();
            hostile[index..index + worst.len()].copy_from_slice(worst);
            attempt(&hostile);
        }
    }
    assert!(refused > content.len());
}

#[test]
fn what_no_ensemble_can_have_come_to_is_refused_with_a_sentence() {
    use super::super::node::CONTAINER;
    let open = access::open();
    let place = |path: &str, owner| with(|tree, _| tree.insert(path, new_node(&open, owner)));
    let mut auth = access::open();
    auth[0].identity = access::Identity::new("auth", "");
    let late =
        with(|tree, _| tree.insert("/late", Node::new(None, open.as_slice().into(), 0, 10, 0)));
    let below = with(|tree, sessions| {
        let id = sessions.begin(TICK, TICK);
        tree.insert("/a", new_node(&open, id));
        tree.insert("/a/b", new_node(&open, 0));
    });
    for (file, why) in [
        (place("/x/y", 0), "a node without a parent"),
        (place("/x//y", 0), "a node whose path is none"),
        (place("x", 0), "a node whose path is none"),
        (place("/x", 77), "a node of a session that is not there"),
        (
            place("/zookeeper", CONTAINER),
            "a node that goes, though it is always there",
        ),
        (late, "a node of a transaction that is still to come"),
        (below, "a node below one that goes with a session"),
        (
            with(|tree, _| tree.insert("/x", new_node(&auth, 0))),
            "an ACL that no node can have",
        ),
        (
            with(|tree, _| tree.insert("/x", new_node(&[], 0))),
            "an ACL that no node can have",
        ),
        (
            with(|tree, _| *tree = Tree::empty(BYTES_MAX)),
            "a node is missing that is always there",
        ),
        (
            with(|_, sessions| sessions.restore(8, Duration::ZERO, TICK)),
            "a timeout that no session has",
        ),
        (
            with(|_, sessions| sessions.restore(8, Duration::MAX, TICK)),
            "a timeout that no session has",
        ),
        (
            with(|_, sessions| sessions.restore(-8, TICK, TICK)),
            "a session that was never begun",
        ),
        (
            with(|_, sessions| sessions.restore(0, TICK, TICK)),
            "a session that was never begun",
        ),
        (
            with(|_, sessions| sessions.restore(i64::MAX, TICK, TICK)),
            "a number that cannot have been reached",
        ),
    ] {
        let error = read(&file).unwrap_err();
        assert_eq!(error, BadSnapshot::Inconsistent(why), "{why}");
    }
    let mut longer = unsealed(with(|_, _| {}));
    longer.push(0);
    let after = BadSnapshot::Inconsistent("it goes on after its end");
    assert_eq!(read(&sealed(&longer)).unwrap_err(), after);
}

#[test]
fn nothing_is_there_twice() {
    // Two sessions whose ids differ in their last byte, and two nodes whose names do.
    let file = with(|tree, sessions| {
        sessions.restore(0x0102_0304_0506_0701, TICK, TICK);
        sessions.restore(0x0102_0304_0506_0702, TICK, TICK);
        tree.insert("/twin-1", new_node(&access::open(), 0));
        tree.insert("/twin-2", new_node(&access::open(), 0));
    });
    let twice = |one: &[u8], other: &[u8]| {
        let mut content = unsealed(file.clone());
        let at = content
            .windows(one.len())
            .rposition(|window| window == one)
            .unwrap();
        content[at..at + one.len()].copy_from_slice(other);
        read(&sealed(&content)).unwrap_err()
    };
    assert!(read(&file).is_ok());
    assert_eq!(
        twice(&[3, 4, 5, 6, 7, 1], &[3, 4, 5, 6, 7, 2]),
        BadSnapshot::Inconsistent("a session that is there twice")
    );
    assert_eq!(
        twice(b"/twin-2", b"/twin-1"),
        BadSnapshot::Inconsistent("a node that is there twice")
    );
}

#[test]
fn more_than_an_ensemble_may_hold_is_refused_before_it_is_held() {
    let sessions = with(|_, sessions| {
        for id in 1..=SESSIONS_MAX + 1 {
            sessions.restore(i64::try_from(id).unwrap(), TICK, TICK);
        }
    });
    assert_eq!(read(&sessions).unwrap_err(), BadSnapshot::TooLarge);
    let data = with(|tree, _| {
        let data = Some(vec![0; MESSAGE_BYTES_MAX + 1]);
        tree.insert("/x", Node::new(data, access::open().into(), 0, 1, 1));
    });
    let roomy = decode(&data, usize::MAX, TICK, TICK);
    assert_eq!(roomy.unwrap_err(), BadSnapshot::TooLarge);
    let nodes = with(|tree, _| {
        for number in 0..1000 {
            tree.insert(&format!("/{number}"), new_node(&access::open(), 0));
        }
    });
    assert_eq!(read(&nodes).unwrap_err(), BadSnapshot::TooLarge);
    // ACLs of many nodes are in the file once, and so they are afterwards.
    let acl: Vec<_> = (0..100)
        .map(|number| Acl {
            permissions: 1,
            identity: access::Identity::new("digest", &format!("{number}:{}", "x".repeat(150))),
        })
        .collect();
    let shared = with(|tree, _| {
        for number in 0..10_000 {
            tree.insert(&format!("/{number}"), new_node(&acl, 0));
        }
    });
    assert!(shared.len() < 2_000_000);
    let machine = decode(&shared, 10_000_000, TICK, TICK).unwrap();
    assert_eq!(machine.tree().acls().len(), 3);
    let one = &machine.tree().get("/1").unwrap().acl;
    assert!(Arc::ptr_eq(one, &machine.tree().get("/9999").unwrap().acl));
}
