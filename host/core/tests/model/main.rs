//! At most one host can have effects at any time: explored over the very code that a host runs.
//!
//! A simulation of some hosts and an ensemble of three, with settings, delays, faults and deeds of people that are drawn
//! from a seed; [`chronicle::Wrong`] is what must never happen. The same exploration with a broken rule must find that it
//! does: otherwise it would prove nothing. One world alone (`SOLOIST_WORLDS=1`) is told line by line.

#![allow(unreachable_pub, reason = "modules of a test program have no outside")]

mod belief;
mod change;
mod chronicle;
mod ensemble;
mod host;
mod plan;
mod tree;
mod world;

use belief::Rule;
use chronicle::{Violation, Wrong};
use soloist_seed as random;
use world::World;

/// Worlds in which a broken rule has to show.
const BROKEN_WORLDS: u64 = 30_000;

/// Worlds explored; `SOLOIST_WORLDS` makes it more or fewer.
fn worlds() -> u64 {
    std::env::var("SOLOIST_WORLDS")
        .ok()
        .and_then(|worlds| worlds.parse().ok())
        .unwrap_or(2_000)
}

#[derive(Default)]
struct Explored {
    violation: Option<(u64, Violation)>,
    effects: u64,
    terms: u64,
    withdrawals: u64,
    renewals: u64,
    drains: u64,
    not_admitted: (u64, u64),
    out_of_turn: u64,
    given_back: u64,
    recovered_within: u64,
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the exploration took; the worlds have a time of their own"
)]
fn explore(rule: Rule, worlds: u64) -> Explored {
    let first = random::seed();
    let began = std::time::Instant::now();
    let mut explored = Explored::default();
    let mut tried = 0;
    for seed in (0..worlds).map(|world| first.wrapping_add(world)) {
        let mut world = World::new(seed, rule, worlds == 1);
        world.run();
        tried += 1;
        explored.effects += world.effects;
        explored.terms += world.terms;
        explored.withdrawals += world.withdrawals;
        explored.renewals += world.renewals;
        explored.drains += world.drains;
        explored.not_admitted.0 += world.not_admitted.0;
        explored.not_admitted.1 += world.not_admitted.1;
        explored.out_of_turn += world.out_of_turn;
        explored.given_back += world.given_back;
        explored.recovered_within = explored.recovered_within.max(world.recovered_within);
        if let Some(violation) = world.violation {
            explored.violation = Some((seed, violation));
            break;
        }
    }
    let Explored {
        violation,
        effects,
        terms,
        withdrawals,
        renewals,
        drains,
        not_admitted,
        out_of_turn,
        given_back,
        recovered_within,
    } = &explored;
    println!(
        "{rule:?}: {tried} worlds in {:.1?}, {terms} terms, {effects} effects, {withdrawals} withdrawals, {renewals} renewals, {drains} drains, {not_admitted:?} times full or given way, {out_of_turn} out of turn, \
         {given_back} terms given back by guardians, \
         recovered within {recovered_within}% of the time allowed; {violation:?}",
        began.elapsed()
    );
    explored
}

#[test]
fn at_most_one_host_can_have_effects() {
    let explored = explore(Rule::Proved, worlds());
    assert_eq!(
        explored.violation, None,
        "run again with SOLOIST_SEED and SOLOIST_WORLDS=1"
    );
    // A world in which nothing happens would prove nothing either.
    assert!(explored.terms > 3 * worlds(), "{} terms", explored.terms);
    assert!(
        explored.effects > 10 * explored.terms,
        "{} effects",
        explored.effects
    );
    assert!(
        explored.withdrawals >= worlds() / 2,
        "{} withdrawals",
        explored.withdrawals
    );
    assert!(
        explored.renewals >= worlds() / 8,
        "{} renewals",
        explored.renewals
    );
    assert!(
        explored.out_of_turn >= worlds() / 20,
        "{} out of turn",
        explored.out_of_turn
    );
    assert!(
        explored.given_back >= worlds() / 8,
        "{} terms given back",
        explored.given_back
    );
    assert!(
        explored.drains >= worlds() / 4,
        "{} drains",
        explored.drains
    );
    let (full, given_way) = explored.not_admitted;
    assert!(
        full >= worlds() / 2 && given_way >= worlds() / 2,
        "{full} times full, {given_way} given way"
    );
}

/// Seeds of worlds in which something wrong was found once, other than in the first two thousand. Each is the same world as
/// long as the model draws the same; what it showed has a test of its own in `src/election/tests/`.
const FOUND: [u64; 1] = [
    17_193_387_742_410, // a delay that was over in one session counted in the next
];

#[test]
fn worlds_that_went_wrong_once_go_well() {
    for seed in FOUND {
        let mut world = World::new(seed, Rule::Proved, false);
        world.run();
        assert_eq!(world.violation, None, "seed {seed}");
    }
}

fn finds_two(rule: Rule) {
    let found = explore(rule, BROKEN_WORLDS)
        .violation
        .map(|(_, violation)| violation.wrong);
    let acts = matches!(
        found,
        Some(
            Wrong::TwoAct { .. }
                | Wrong::EffectAfterALaterOne { .. }
                | Wrong::LeaseOutlivesSession { .. }
        )
    );
    assert!(acts, "{found:?}");
}

#[test]
fn trusting_the_last_answer_is_found_out() {
    finds_two(Rule::LastAnswer);
}

#[test]
fn trusting_the_last_committed_write_is_found_out() {
    finds_two(Rule::LastWrite);
}

#[test]
fn a_lease_without_a_tick_is_found_out() {
    finds_two(Rule::NoTick);
}

#[test]
fn a_lease_without_a_heartbeat_between_is_found_out() {
    finds_two(Rule::NoMiddle);
}

#[test]
fn a_lease_without_a_margin_for_clocks_is_found_out() {
    finds_two(Rule::NoMargin);
}

#[test]
fn a_lease_that_is_not_shortened_is_found_out() {
    finds_two(Rule::DeafToShorter);
}

#[test]
fn a_leader_that_does_not_look_after_its_candidate_is_found_out() {
    finds_two(Rule::BlindToCandidate);
}

#[test]
fn a_leader_that_does_not_read_again_is_found_out() {
    finds_two(Rule::ReadsOnce);
}

#[test]
fn a_withdrawal_that_does_not_wait_for_the_plugin_is_found_out() {
    finds_two(Rule::WithdrawsAtOnce);
}

#[test]
fn a_guardian_that_takes_a_stopped_process_for_a_dead_one_is_found_out() {
    finds_two(Rule::GuardianFreesTheStopped);
}

#[test]
fn a_guardian_that_checks_nothing_when_it_writes_is_found_out() {
    let found = explore(Rule::GuardianChecksNothing, BROKEN_WORLDS)
        .violation
        .map(|(_, violation)| violation.wrong);
    assert!(found.is_some(), "nothing is found");
}

#[test]
fn a_drain_that_only_has_the_host_resign_is_found_out() {
    let found = explore(Rule::DrainResigns, BROKEN_WORLDS)
        .violation
        .map(|(_, violation)| violation.wrong);
    assert!(
        matches!(found, Some(Wrong::StandsWhileDrained { .. })),
        "{found:?}"
    );
}

#[test]
fn a_host_that_takes_no_notice_that_it_has_no_room_is_found_out() {
    let found = explore(Rule::RoomForAll, BROKEN_WORLDS)
        .violation
        .map(|(_, violation)| violation.wrong);
    assert!(
        matches!(found, Some(Wrong::StandsWhileFull { .. })),
        "{found:?}"
    );
}

#[test]
fn a_host_that_is_named_once_and_takes_that_for_good_is_found_out() {
    let found = explore(Rule::AppointedForGood, BROKEN_WORLDS)
        .violation
        .map(|(_, violation)| violation.wrong);
    assert!(matches!(found, Some(Wrong::OutOfTurn { .. })), "{found:?}");
}

#[test]
fn a_leader_that_stays_behind_others_in_the_queue_is_found_out() {
    finds_two(Rule::LeadsFromBehind);
}

#[test]
fn a_withdrawal_that_gives_nothing_back_is_found_out() {
    let found = explore(Rule::KeepsWhatItHas, BROKEN_WORLDS)
        .violation
        .map(|(_, violation)| violation.wrong);
    assert_eq!(found, Some(Wrong::LeftBehind));
}
