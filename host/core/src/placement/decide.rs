//! The decision: which of its terms a leader hands to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::share::{Member, plan, shares};
use super::{Label, Led, MOVES_MAX, Move, Pace, Peer, Rank, Why};

/// A leader hands over this part of what it has too much at one look, rounded up. What it sees next time has the effect of that.
const PART: u64 = 8;

/// What is known of the hosts, as it will be once what was decided is done.
struct Scene<'a> {
    peers: Vec<Peer>,
    own: usize,
    pace: &'a Pace,
}

/// The terms that the host `own` is to hand over now; at most [`MOVES_MAX`]. `peers` are all hosts, this one included, sorted
/// by their ids.
///
/// A term is handed over only if that is an improvement by what this host sees: to a host that should rather lead the task, or
/// away from a task that it avoids, or to one that leads less, by more than the task weighs.
pub fn decide(own: &str, peers: &[Peer], led: &[Led<'_>], pace: &Pace) -> Vec<Move> {
    let Some(own) = peers.iter().position(|peer| peer.host == own) else {
        return Vec::new();
    };
    let mut scene = Scene {
        peers: peers.to_vec(),
        own,
        pace,
    };
    if !scene.is_settled(own) || peers[own].drained {
        return Vec::new();
    }
    let mut moves = Vec::new();
    let rested: Vec<&Led<'_>> = led
        .iter()
        .filter(|led| led.steady && led.led_for >= pace.cool_down)
        .collect();
    for led in &rested {
        if moves.len() < MOVES_MAX
            && let Some((to, why)) = scene.asked_for(led)
        {
            scene.hand_over(led, to, why, &mut moves);
        }
    }
    if peers[own].load.spread {
        scene.spread(&rested, &mut moves);
    }
    moves
}

impl Scene<'_> {
    /// Whether a host has been there for long enough to take part.
    fn is_settled(&self, peer: usize) -> bool {
        let Peer { load, absent, .. } = &self.peers[peer];
        !absent && Duration::from_secs(load.up) >= self.pace.grace
    }

    /// How much a host is to lead the task rather than others. None if it cannot have it.
    fn rank(&self, led: &Led<'_>, peer: usize) -> Option<Rank> {
        let Peer { host, load, .. } = &self.peers[peer];
        let own = led.placement.priority;
        let priority = match led.standbys.filter(|_| peer != self.own) {
            Some(standbys) => standbys.iter().find(|it| it.host == *host)?.priority,
            None => own,
        };
        let fits = led.placement.lacks(&load.labels).is_none() && !led.shunned.contains(host);
        (fits || peer == self.own).then(|| led.placement.rank(priority, &load.labels))
    }

    fn can_take(&self, peer: usize) -> bool {
        let Peer { load, drained, .. } = &self.peers[peer];
        peer != self.own && self.is_settled(peer) && !drained && !load.is_full()
    }

    /// Who is to have a term that should not be here, the one with the least load of the best ones.
    fn asked_for(&self, led: &Led<'_>) -> Option<(usize, Why)> {
        if !led.placement.preempt && !led.crowded {
            return None;
        }
        let here = self.rank(led, self.own)?;
        let best = (0..self.peers.len())
            .filter(|peer| self.can_take(*peer))
            .filter_map(|peer| Some((self.rank(led, peer)?, peer)))
            .max_by(|(a, left), (b, right)| a.cmp(b).then(self.compare_load(*right, *left)));
        match best? {
            (rank, peer) if led.placement.preempt && rank > here => Some((peer, Why::Preempted)),
            (rank, peer) if led.crowded && rank >= here => Some((peer, Why::Avoids)),
            _ => None,
        }
    }

    /// Compares how much two hosts carry, each beside its weight.
    fn compare_load(&self, left: usize, right: usize) -> std::cmp::Ordering {
        let (a, b) = (&self.peers[left].load, &self.peers[right].load);
        (u64::from(a.load) * b.capacity()).cmp(&(u64::from(b.load) * a.capacity()))
    }

    /// Whether the host would still carry less than this one does now if it took so much more.
    fn is_lighter(&self, peer: usize, more: u32) -> bool {
        let (a, b) = (&self.peers[peer].load, &self.peers[self.own].load);
        let after = u64::from(a.load) + u64::from(more);
        after * b.capacity() < u64::from(b.load) * a.capacity()
    }

    fn hand_over(&mut self, led: &Led<'_>, to: usize, why: Why, moves: &mut Vec<Move>) {
        let weight = led.placement.weight;
        for (peer, grows) in [(to, true), (self.own, false)] {
            let load = &mut self.peers[peer].load;
            if grows {
                (load.active, load.load) = (load.active + 1, load.load.saturating_add(weight));
            } else {
                load.active = load.active.saturating_sub(1);
                load.load = load.load.saturating_sub(weight);
            }
        }
        moves.push(Move {
            task: led.task.to_owned(),
            to: self.peers[to].host.clone(),
            why,
        });
    }

    /// Hands over what is above this host's share, to whom the plan of all gives it.
    ///
    /// Terms that the same hosts may have are planned together. A host that may not have a term has no part in its plan.
    fn spread(&mut self, rested: &[&Led<'_>], moves: &mut Vec<Move>) {
        // Most terms ask for the same: who shares in them is worked out once.
        let mut known: BTreeMap<(&[Label], &[Label]), Vec<usize>> = BTreeMap::new();
        let mut kinds: BTreeMap<Vec<usize>, Vec<&Led<'_>>> = BTreeMap::new();
        let handed: BTreeSet<String> = moves.iter().map(|it| it.task.clone()).collect();
        for led in rested.iter().filter(|led| led.placement.spread) {
            let hosts = if led.standbys.is_none() && led.shunned.is_empty() {
                let key = (&led.placement.require[..], &led.placement.prefer[..]);
                let hosts = known.entry(key).or_insert_with(|| self.sharing(led));
                hosts.clone()
            } else {
                self.sharing(led)
            };
            if hosts.len() > 1 && !handed.contains(led.task) {
                kinds.entry(hosts).or_default().push(led);
            }
        }
        for (hosts, terms) in kinds {
            self.spread_among(&hosts, terms, moves);
        }
    }

    /// Hands over terms that these hosts share in, the lightest host first.
    fn spread_among(&mut self, hosts: &[usize], mut terms: Vec<&Led<'_>>, moves: &mut Vec<Move>) {
        let members: Vec<Member> = hosts.iter().map(|it| self.member(*it)).collect();
        let shares = shares(&members);
        let Some(place) = hosts.iter().position(|it| *it == self.own) else {
            return;
        };
        let excess = members[place].load.saturating_sub(shares[place]);
        let mut budget = excess.div_ceil(PART);
        let mut open: Vec<(usize, u64)> = plan(&members, &shares, place)
            .into_iter()
            .map(|(taker, amount)| (hosts[taker], amount))
            .collect();
        while budget > 0 && moves.len() < MOVES_MAX {
            open.retain(|(taker, amount)| *amount > 0 && self.can_take(*taker));
            let Some(next) =
                (0..open.len()).min_by(|a, b| self.compare_load(open[*a].0, open[*b].0))
            else {
                return;
            };
            let (taker, amount) = open[next];
            let fits = |led: &&Led<'_>| {
                let weight = led.placement.weight;
                u64::from(weight) <= amount && self.is_lighter(taker, weight)
            };
            let Some(term) = terms.iter().position(fits) else {
                open.remove(next);
                continue;
            };
            let led = terms.swap_remove(term);
            let weight = u64::from(led.placement.weight);
            open[next].1 -= weight;
            budget = budget.saturating_sub(weight);
            self.hand_over(led, taker, Why::Spread, moves);
        }
    }

    /// Who shares in terms like this one: this host, and those who may have it and are no worse for it.
    fn sharing(&self, led: &Led<'_>) -> Vec<usize> {
        let here = self.rank(led, self.own);
        (0..self.peers.len())
            .filter(|peer| {
                let Peer { load, drained, .. } = &self.peers[*peer];
                let is_no_worse = || self.rank(led, *peer).is_some_and(|it| Some(it) >= here);
                *peer == self.own || load.spread && !drained && is_no_worse()
            })
            .collect()
    }

    fn member(&self, peer: usize) -> Member {
        let load = &self.peers[peer].load;
        // A place is for one more task, of whatever weight.
        let room = load.max_active.map_or(u64::MAX / 2, |max| {
            u64::from(max.saturating_sub(load.active))
        });
        Member {
            load: load.load.into(),
            weight: load.capacity(),
            limit: u64::from(load.load).saturating_add(room),
        }
    }
}
