//! What the guardian was told, until the process is dead.

use std::collections::{BTreeMap, BTreeSet};

use super::{Message, Node, Place};

/// How many places and nodes a ledger keeps. A host has a few for each of its tasks.
pub const ENTRIES_MAX: usize = 200_000;

/// What one process has told.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    places: BTreeMap<(i64, String), Place>,
    nodes: BTreeSet<Node>,
}

/// Where a dead process may have something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estate {
    /// Where it stood: first the tasks that it led, since others wait for these.
    pub places: Vec<Place>,
    /// The other nodes that it had.
    pub nodes: Vec<Node>,
}

impl Ledger {
    /// Takes in what was told. What is more than a host can have is not kept: it goes with its session.
    pub fn take_in(&mut self, message: Message) {
        let has_room = self.places.len() + self.nodes.len() < ENTRIES_MAX;
        match message {
            Message::Stands(place) => {
                let key = (place.session, place.task.clone());
                if has_room || self.places.contains_key(&key) {
                    self.places.insert(key, place);
                }
            }
            Message::Left { session, task } => {
                self.places.remove(&(session, task));
            }
            Message::Holds(node) => {
                if has_room {
                    self.nodes.insert(node);
                }
            }
            Message::LetGo(node) => {
                self.nodes.remove(&node);
            }
            // It has nothing in the ensemble by that.
            Message::Service(_) => {}
        }
    }

    /// What is to be looked at now that the process is dead. None if it has said that it has nothing.
    pub fn estate(self) -> Option<Estate> {
        let mut places: Vec<_> = self.places.into_values().collect();
        places.sort_by_key(|place| place.leads.is_none());
        let nodes: Vec<_> = self.nodes.into_iter().collect();
        (!places.is_empty() || !nodes.is_empty()).then_some(Estate { places, nodes })
    }
}

#[cfg(test)]
mod tests;
