use super::share::{Member, plan, shares};
use super::*;
use crate::clock::Moment;
use crate::term::FencingToken;

const PACE: Pace = Pace {
    grace: Duration::from_secs(60),
    cool_down: Duration::from_secs(300),
};

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn peer(host: &str, active: u32) -> Peer {
    Peer {
        host: host.into(),
        load: HostLoad {
            labels: Vec::new(),
            weight: 1,
            max_active: None,
            active,
            load: active,
            up: 600,
            spread: true,
        },
        drained: false,
        absent: false,
        written: 0,
    }
}

fn labelled(host: &str, active: u32, text: &str) -> Peer {
    let mut peer = peer(host, active);
    peer.load.labels.push(label(text));
    peer
}

const TASKS: [&str; 12] = [
    "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t10", "t11",
];

fn led<'a>(task: &'a str, placement: &'a TaskPlacement) -> Led<'a> {
    Led {
        task,
        placement,
        led_for: Duration::from_secs(600),
        steady: true,
        crowded: false,
        standbys: None,
        shunned: &[],
    }
}

fn all(count: usize, placement: &TaskPlacement) -> Vec<Led<'_>> {
    TASKS[..count]
        .iter()
        .map(|task| led(task, placement))
        .collect()
}

/// To whom `a` hands how many.
fn given(peers: &[Peer], led: &[Led<'_>]) -> Vec<(String, usize)> {
    let mut given = std::collections::BTreeMap::new();
    for it in decide("a", peers, led, &PACE) {
        *given.entry(it.to).or_default() += 1;
    }
    given.into_iter().collect()
}

#[test]
fn a_leader_hands_over_a_part_of_what_is_above_its_share() {
    let usual = TaskPlacement::default();
    let peers = [peer("a", 12), peer("b", 0), peer("c", 0)];
    // An eighth of eight.
    assert_eq!(given(&peers, &all(12, &usual)), [("b".into(), 1)]);
    let mut peers = peers.to_vec();
    peers[0] = peer("a", 100);
    let given = given(&peers, &all(12, &usual));
    assert_eq!(
        given,
        [("b".into(), 5), ("c".into(), 4)],
        "the lightest first"
    );
}

#[test]
fn nobody_moves_what_is_within_one_of_the_fair_share() {
    let usual = TaskPlacement::default();
    for loads in [[4, 4, 4], [5, 4, 3], [5, 4, 4], [2, 1, 1]] {
        let [a, b, c] = loads;
        let peers = [peer("a", a), peer("b", b), peer("c", c)];
        let moves = decide("a", &peers, &all(a as usize, &usual), &PACE);
        let expected = usize::from(a > b.min(c) + 1);
        assert_eq!(moves.len(), expected, "{loads:?}");
    }
}

#[test]
fn whoever_is_new_drained_full_absent_or_takes_no_part_gets_nothing() {
    let usual = TaskPlacement::default();
    let led = all(12, &usual);
    let gets = |change: &dyn Fn(&mut Peer)| {
        let mut peers = vec![peer("a", 12), peer("b", 0)];
        change(&mut peers[1]);
        !decide("a", &peers, &led, &PACE).is_empty()
    };
    assert!(gets(&|_| {}));
    assert!(!gets(&|b| b.load.up = 59));
    assert!(!gets(&|b| b.drained = true));
    assert!(!gets(&|b| b.absent = true));
    assert!(!gets(&|b| b.load.spread = false));
    assert!(!gets(&|b| b.load.max_active = Some(0)));
    // And who is so gives nothing.
    let gives = |change: &dyn Fn(&mut Peer)| {
        let mut peers = vec![peer("a", 12), peer("b", 0)];
        change(&mut peers[0]);
        !decide("a", &peers, &led, &PACE).is_empty()
    };
    assert!(!gives(&|a| a.load.up = 59));
    assert!(!gives(&|a| a.drained = true));
    assert!(!gives(&|a| a.load.spread = false));
}

#[test]
fn a_term_is_moved_only_when_it_has_rested_and_runs_well() {
    let usual = TaskPlacement::default();
    let peers = [peer("a", 12), peer("b", 0)];
    let moved = |change: &dyn Fn(&mut Led<'_>)| {
        let mut led = all(12, &usual);
        led.iter_mut().for_each(change);
        !decide("a", &peers, &led, &PACE).is_empty()
    };
    assert!(moved(&|_| {}));
    assert!(!moved(&|led| led.led_for = Duration::from_secs(299)));
    assert!(!moved(&|led| led.steady = false));
    assert!(!moved(
        &|led| led.shunned = Box::leak(Box::new(["b".to_owned()]))
    ));
    let stays = TaskPlacement {
        spread: false,
        ..TaskPlacement::default()
    };
    assert!(decide("a", &peers, &all(12, &stays), &PACE).is_empty());
}

#[test]
fn a_host_that_is_away_for_less_than_the_grace_keeps_its_share() {
    let usual = TaskPlacement::default();
    let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
    let mut sightings = Sightings::default();
    sightings.see(
        at(0),
        vec![peer("a", 4), peer("b", 4), peer("c", 4)],
        PACE.grace,
    );
    // `c` restarts, and its terms are `a`'s.
    let left = || vec![peer("a", 8), peer("b", 4)];
    let seen = sightings.see(at(59), left(), PACE.grace);
    assert_eq!(given(&seen, &all(8, &usual)), []);
    let mut back = left();
    back.push(peer("c", 0));
    back[2].load.up = 1;
    let mut kept = sightings.clone();
    assert_eq!(
        given(&kept.see(at(59), back.clone(), PACE.grace), &all(8, &usual)),
        []
    );
    back[2].load.up = 60;
    let seen = kept.see(at(119), back, PACE.grace);
    assert_eq!(given(&seen, &all(8, &usual)), [("c".into(), 1)]);
    // It does not come back.
    let seen = sightings.see(at(60), left(), PACE.grace);
    assert_eq!(given(&seen, &all(8, &usual)), [("b".into(), 1)]);
}

#[test]
fn what_came_of_a_move_is_waited_for_until_it_shows_or_somebody_says_nothing_for_the_time_of_grace()
{
    let at = |seconds: u64| Moment::default() + Duration::from_secs(seconds);
    let token = FencingToken(7);
    let said = |written: [i32; 2]| {
        let mut peers = vec![peer("a", 4), peer("b", 0)];
        for (peer, written) in peers.iter_mut().zip(written) {
            peer.written = written;
        }
        peers
    };
    let mut sightings = Sightings::default();
    let mut look = |now: u64, written: [i32; 2], leads: bool| {
        sightings.see(at(now), said(written), PACE.grace);
        let current = sightings.are_current("a", at(now), PACE.grace, |_, _| leads);
        if now == 0 {
            sightings.ordered(token, "t", "b", at(60));
        }
        current
    };
    assert!(look(0, [1, 1], true));
    assert!(!look(5, [9, 9], true), "it is still led here");
    assert!(!look(6, [10, 10], false));
    assert!(!look(7, [11, 11], false), "written before, perhaps");
    assert!(
        !look(8, [12, 11], false),
        "one of them has not written again"
    );
    assert!(!look(65, [70, 11], false));
    assert!(look(66, [71, 11], false), "it is not waited for any longer");
}

#[test]
fn a_standby_that_should_rather_lead_gets_the_task_only_if_it_preempts() {
    let standbys = [("b", 5), ("c", 9), ("d", 9)].map(|(host, priority)| Standby {
        host: host.into(),
        priority,
    });
    let peers = [peer("a", 1), peer("b", 0), peer("c", 3), peer("d", 2)];
    for preempt in [false, true] {
        let placement = TaskPlacement {
            priority: 7,
            preempt,
            ..TaskPlacement::default()
        };
        let led = Led {
            standbys: Some(&standbys),
            ..led("t", &placement)
        };
        let moves = decide("a", &peers, &[led], &PACE);
        let expected = preempt.then(|| Move {
            task: "t".into(),
            to: "d".into(),
            why: Why::Preempted,
        });
        assert_eq!(moves, expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn spreading_takes_no_task_from_who_should_rather_lead_it() {
    let prefers = TaskPlacement {
        prefer: vec![label("zone=a")],
        ..TaskPlacement::default()
    };
    let peers = [
        labelled("a", 12, "zone=a"),
        labelled("b", 0, "zone=b"),
        labelled("c", 6, "zone=a"),
    ];
    assert_eq!(given(&peers, &all(12, &prefers)), [("c".into(), 1)]);
    let requires = TaskPlacement {
        require: vec![label("zone=b")],
        ..TaskPlacement::default()
    };
    let mut peers = peers.to_vec();
    peers[0].load.labels = vec![label("zone=b")];
    assert_eq!(given(&peers, &all(12, &requires)), [("b".into(), 1)]);
    assert_eq!(requires.lacks(&[label("zone=a")]), Some(&label("zone=b")));
}

#[test]
fn what_avoids_another_task_of_the_host_goes_to_another_host() {
    let usual = TaskPlacement::default();
    let peers = [peer("a", 2), peer("b", 2), peer("c", 2)];
    let crowded = |shunned| Led {
        crowded: true,
        shunned,
        ..led("t", &usual)
    };
    let shunned = ["b".to_owned()];
    let moves = decide("a", &peers, &[crowded(&shunned)], &PACE);
    assert_eq!((moves[0].to.as_str(), moves[0].why), ("c", Why::Avoids));
    let nobody = ["b".to_owned(), "c".to_owned()];
    assert_eq!(decide("a", &peers, &[crowded(&nobody)], &PACE), []);
}

#[test]
fn weights_count_on_hosts_and_on_tasks() {
    let heavy = TaskPlacement {
        weight: 5,
        ..TaskPlacement::default()
    };
    let mut peers = vec![peer("a", 12), peer("b", 0)];
    (peers[0].load.load, peers[1].load.weight) = (60, 3);
    assert_eq!(
        given(&peers, &all(12, &heavy)),
        [("b".into(), 2)],
        "an eighth of 45"
    );
    (peers[0].load.load, peers[1].load.load) = (20, 44);
    assert_eq!(given(&peers, &all(4, &heavy)), [], "it has 4 too much");
}

#[test]
fn the_plan_of_all_moves_as_little_as_can_be_and_gives_each_its_share() {
    let seed = soloist_seed::seed();
    let mut random = soloist_seed::Random::new(seed);
    for _ in 0..2_000 {
        let members: Vec<Member> = (0..=random.below(8))
            .map(|_| {
                let load = random.below(40);
                let limit = if random.below(3) == 0 {
                    load + random.below(5)
                } else {
                    u64::MAX / 2
                };
                Member {
                    load,
                    weight: 1 + random.below(4),
                    limit,
                }
            })
            .collect();
        let shares = shares(&members);
        let total: u64 = members.iter().map(|it| it.load).sum();
        assert_eq!(shares.iter().sum::<u64>(), total, "{members:?}");
        let mut after: Vec<u64> = members.iter().map(|it| it.load).collect();
        let mut moved = 0;
        for giver in 0..members.len() {
            for (taker, amount) in plan(&members, &shares, giver) {
                after[giver] -= amount;
                after[taker] += amount;
                moved += amount;
            }
        }
        assert_eq!(after, shares, "{members:?}");
        let excess = members
            .iter()
            .zip(&shares)
            .map(|(it, share)| it.load.saturating_sub(*share));
        assert_eq!(moved, excess.sum::<u64>());
        for (it, share) in members.iter().zip(&shares) {
            assert!(*share <= it.limit, "{members:?}: {shares:?}");
        }
    }
}

#[test]
fn labels_are_short_and_plain() {
    for text in [
        "zone=a",
        "Rack.1=eu-west_1",
        &format!("{}=b", "a".repeat(64)),
    ] {
        assert_eq!(text.parse::<Label>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "zone",
        "=a",
        "zone=",
        "zone=a=b",
        "zone=ä",
        "a b=c",
        &format!("{}=b", "a".repeat(65)),
    ] {
        assert_eq!(text.parse::<Label>(), Err(BadLabel), "{text:?}");
    }
    assert!(serde_json::from_str::<Label>("\"zone\"").is_err());
}

#[test]
fn records_that_no_host_wrote_do_no_harm() {
    let usual = TaskPlacement::default();
    let mut peers = vec![peer("a", 12), peer("b", 0), peer("c", 0)];
    for peer in &mut peers[1..] {
        let load = &mut peer.load;
        (load.weight, load.active, load.load, load.up) = (u32::MAX, u32::MAX, u32::MAX, u64::MAX);
    }
    assert_eq!(decide("a", &peers, &all(12, &usual), &PACE), []);
    assert_eq!(decide("nobody", &peers, &all(12, &usual), &PACE), []);
    peers[0].load = HostLoad {
        active: u32::MAX,
        load: u32::MAX,
        ..peers[0].load.clone()
    };
    (peers[1].load.weight, peers[2].load.weight) = (0, 0);
    assert_eq!(decide("a", &peers, &all(12, &usual), &PACE), []);
}
