//! The share of each host, and who gives how much to whom until each has its own.

use std::cmp::Reverse;

/// One host among those that share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// What it carries.
    pub(super) load: u64,
    /// How much it is to carry beside others; not 0.
    pub(super) weight: u64,
    /// The most that it may carry.
    pub(super) limit: u64,
}

/// What each is to carry. A whole number is what is nearest to the fair share, and what is left over stays where it is: whoever
/// carries more than the number below its share keeps it before others get more. So where nobody is more than one off, nothing
/// is to be moved.
pub(super) fn shares(members: &[Member]) -> Vec<u64> {
    let mut shares: Vec<Option<u64>> = vec![None; members.len()];
    let mut left: u64 = members.iter().map(|member| member.load).sum();
    // Whoever may not carry its share leaves the rest to others, which may fill the next one.
    loop {
        let open = || (0..members.len()).filter(|it| shares[*it].is_none());
        let weights: u64 = open().map(|it| members[it].weight).sum();
        let full = open().find(|it| members[*it].limit < left * members[*it].weight / weights);
        let Some(full) = full else { break };
        shares[full] = Some(members[full].limit);
        left -= members[full].limit;
    }
    let mut open: Vec<usize> = (0..members.len())
        .filter(|it| shares[*it].is_none())
        .collect();
    let weights: u64 = open.iter().map(|it| members[*it].weight).sum();
    let all = left;
    for it in &open {
        let share = all * members[*it].weight / weights;
        shares[*it] = Some(share);
        left -= share;
    }
    let share = |shares: &[Option<u64>], it: usize| shares[it].unwrap_or_default();
    open.sort_by_key(|it| Reverse(members[*it].load.saturating_sub(share(&shares, *it)).min(1)));
    for it in open {
        if left > 0 && share(&shares, it) < members[it].limit {
            shares[it] = Some(share(&shares, it) + 1);
            left -= 1;
        }
    }
    shares.into_iter().map(Option::unwrap_or_default).collect()
}

/// What `giver` gives to whom, so that each comes to its share. All who work it out from the same loads come to the same plan,
/// in which each unit is given once; if loads differ a little, so do the plans, since its order is that of the members.
pub(super) fn plan(members: &[Member], shares: &[u64], giver: usize) -> Vec<(usize, u64)> {
    let mut takers = (0..members.len()).filter_map(|it| {
        let want = shares[it].saturating_sub(members[it].load);
        (want > 0).then_some((it, want))
    });
    let mut taker = takers.next();
    let mut gifts = Vec::new();
    for it in 0..=giver {
        let mut excess = members[it].load.saturating_sub(shares[it]);
        while excess > 0 {
            let Some((to, want)) = &mut taker else { break };
            let amount = excess.min(*want);
            if it == giver {
                gifts.push((*to, amount));
            }
            excess -= amount;
            *want -= amount;
            if *want == 0 {
                taker = takers.next();
            }
        }
    }
    gifts
}
