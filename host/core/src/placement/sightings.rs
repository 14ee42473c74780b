//! What a host remembers of the others, and of what it has handed to them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{HostLoad, Peer};
use crate::clock::Moment;
use crate::term::FencingToken;

/// How often a host has to write its record before that shows what came of a move. What it writes first it may have put
/// together before.
const WRITTEN: i32 = 2;

/// The hosts that one host has seen, and when. Whoever is gone is remembered for a while: it may only be restarted.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    peers: BTreeMap<String, (Moment, Peer)>,
    /// How often those whose load a move has changed had written their records at that time, and until when more is waited for.
    moved: BTreeMap<String, (i32, Moment)>,
    under_way: Vec<Ordered>,
}

/// A term that is to be handed over. Its plugin may take its time to stop.
#[derive(Clone, Debug)]
struct Ordered {
    token: FencingToken,
    task: String,
    to: String,
    /// From when on nobody counts on it any more.
    until: Moment,
}

impl Sightings {
    /// Takes in who is there; gives those, and who was there less than `grace` before, sorted by their ids.
    pub fn see(&mut self, now: Moment, seen: Vec<Peer>, grace: Duration) -> Vec<Peer> {
        for (_, peer) in self.peers.values_mut() {
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
            self.peers.insert(peer.host.clone(), (now, peer));
        }
        self.peers
            .retain(|_, (last, peer)| !peer.absent || now.saturating_since(*last) < grace);
        self.peers.values().map(|(_, peer)| peer.clone()).collect()
    }

    /// Notes that a term of this host was ordered to be handed over; until then it may be.
    pub fn ordered(&mut self, token: FencingToken, task: &str, to: &str, until: Moment) {
        self.under_way.push(Ordered {
            token,
            task: task.to_owned(),
            to: to.to_owned(),
            until,
        });
    }

    /// Whether what was seen last shows what came of all that the host `own` has handed over: a decision before that would hand
    /// over the same load again. `leads` tells whether that host still leads a term. Once all is handed over, a host that does not
    /// say what it leads is waited for no longer than `grace`.
    pub fn are_current(
        &mut self,
        own: &str,
        now: Moment,
        grace: Duration,
        leads: impl Fn(&str, FencingToken) -> bool,
    ) -> bool {
        for it in &self.under_way {
            for host in [own, &it.to] {
                if let Some((_, peer)) = self.peers.get(host) {
                    let until = now + grace;
                    self.moved.insert(host.to_owned(), (peer.written, until));
                }
            }
        }
        self.under_way
            .retain(|it| now < it.until && leads(&it.task, it.token));
        let peers = &self.peers;
        self.moved.retain(|host, (before, until)| {
            // Whoever is gone shows nothing more, and a node that was made anew counts from the start.
            peers.get(host).is_some_and(|(_, peer)| {
                let is_awaited = !peer.absent && now < *until;
                is_awaited && (0..WRITTEN).contains(&peer.written.wrapping_sub(*before))
            })
        });
        self.under_way.is_empty() && self.moved.is_empty()
    }
}
