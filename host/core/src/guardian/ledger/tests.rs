use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::guardian::MESSAGE_MAX_BYTES;
use crate::service::ServiceState;

fn place(session: i64, task: &str, leads: Option<u64>) -> Place {
    Place {
        session,
        task: task.into(),
        master: None,
        candidates: vec![format!("c-{session:016x}-a-0000000001")],
        leads,
    }
}

fn left(session: i64, task: &str) -> Message {
    let task = task.into();
    Message::Left { session, task }
}

#[test]
fn what_a_process_has_left_in_good_order_is_not_looked_at() {
    let mut ledger = Ledger::default();
    let node = Node {
        session: 1,
        path: "/soloist/hosts/a".into(),
    };
    for message in [
        Message::Holds(node.clone()),
        Message::Stands(place(1, "t", Some(7))),
        left(1, "t"),
        Message::LetGo(node),
    ] {
        ledger.take_in(message);
    }
    assert_eq!(ledger.estate(), None);
}

#[test]
fn tasks_that_were_led_come_first() {
    let mut ledger = Ledger::default();
    for (task, leads) in [("a", None), ("b", Some(3)), ("c", None), ("d", Some(4))] {
        ledger.take_in(Message::Stands(place(1, task, leads)));
    }
    let places = ledger.estate().unwrap().places;
    let order: Vec<_> = places.into_iter().map(|place| place.task).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}

#[test]
fn what_is_too_long_is_neither_sent_nor_read() {
    let long = Message::Holds(Node {
        session: 1,
        path: "x".repeat(MESSAGE_MAX_BYTES),
    });
    assert!(long.encode().is_err());
    assert_eq!(Message::decode(&vec![b' '; MESSAGE_MAX_BYTES + 1]), None);
    assert_eq!(Message::decode(b"{\"Holds\":{}}"), None);
}

#[test]
fn a_ledger_does_not_grow_without_bound() {
    let mut ledger = Ledger::default();
    for number in 0..ENTRIES_MAX + 10 {
        ledger.take_in(Message::Stands(place(1, &number.to_string(), None)));
    }
    // What it has it still replaces.
    ledger.take_in(Message::Stands(place(1, "5", Some(9))));
    let estate = ledger.estate().unwrap();
    assert_eq!(estate.places.len(), ENTRIES_MAX);
    assert_eq!(estate.places[0].task, "5");
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let one =
        (0..3_i64, 0..4_u8, 0..4_u8, any::<bool>()).prop_map(|(session, task, kind, leads)| {
            let task = format!("t{task}");
            match kind {
                0 => left(session, &task),
                1 => Message::Holds(Node {
                    session,
                    path: task,
                }),
                2 => Message::LetGo(Node {
                    session,
                    path: task,
                }),
                3 => Message::Service(ServiceState {
                    status: task,
                    ..ServiceState::default()
                }),
                _ => Message::Stands(place(session, &task, leads.then_some(5))),
            }
        });
    proptest::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(soloist_seed::properties())]

    /// The ledger has what was told last of each session and task, as a reader of all messages would find it.
    #[test]
    fn what_was_told_last_counts(messages in messages()) {
        let mut ledger = Ledger::default();
            let (mut places, mut nodes) = (BTreeMap::new(), BTreeMap::new());
        for message in messages {
            match &message {
                Message::Stands(place) => {
                    places.insert((place.session, place.task.clone()), Some(place.clone()));
                }
                Message::Left { session, task } => {
                    places.insert((*session, task.clone()), None);
                }
                Message::Holds(node) => { nodes.insert(node.clone(), true); }
                Message::LetGo(node) => { nodes.insert(node.clone(), false); }
                Message::Service(_) => {}
            }
            let sent = message.encode().unwrap();
            prop_assert_eq!(Message::decode(&sent), Some(message.clone()));
            ledger.take_in(message);
        }
        let mut places: Vec<_> = places.into_values().flatten().collect();
        places.sort_by_key(|place| place.leads.is_none());
        let nodes: Vec<_> = nodes.into_iter().filter(|(_, held)| *held).map(|(node, _)| node).collect();
        match ledger.estate() {
            None => prop_assert!(places.is_empty() && nodes.is_empty()),
            Some(estate) => {
                prop_assert_eq!(estate.places, places);
                prop_assert_eq!(estate.nodes, nodes);
            }
        }
    }
}
