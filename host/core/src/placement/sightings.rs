//! What a host remembers of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{HostLoad, Peer};
use crate::clock::Moment;

/// The hosts that one host has seen, and when. Whoever is gone is remembered for a while: it may only be restarted.
#[derive(Clone, Debug, Default)]
pub struct Sightings(BTreeMap<String, (Moment, Peer)>);

impl Sightings {
    /// Takes in who is there; gives those, and who was there less than `grace` before, sorted by their ids.
    pub fn see(&mut self, now: Moment, seen: Vec<Peer>, grace: Duration) -> Vec<Peer> {
        for (_, peer) in self.0.values_mut() {
            // Its terms are others' by now.
            peer.load = HostLoad {
                active: 0,
                load: 0,
                up: 0,
                ..peer.load.clone()
            };
            peer.absent = true;
        }
        for peer in seen {
            self.0.insert(peer.host.clone(), (now, peer));
        }
        self.0
            .retain(|_, (last, peer)| !peer.absent || now.saturating_since(*last) < grace);
        self.0.values().map(|(_, peer)| peer.clone()).collect()
    }
}
