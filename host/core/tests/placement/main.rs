//! A hundred hosts and ten thousand tasks spread by themselves: explored over the very code by which hosts decide.
//!
//! Each host decides at times of its own, by records that it has read one after the other and that are seconds old, while
//! others decide. What must be: the load becomes even, with about as few moves as can be; then nothing moves any more. The
//! same world with a broken rule must show that it does not come to that: otherwise it would prove nothing.

#![allow(unreachable_pub, reason = "modules of a test program have no outside")]

mod world;

use world::{MINUTE, Report, Rule, SECOND, World};

const HOSTS: usize = 100;
const TASKS: usize = 10_000;

/// How many moves there may be for each hundred that nobody could do without: who sees an old load errs a little.
const MOVES_PERCENT: usize = 105;
/// Of so many moves one may be of a task that was moved before, once that has rested.
const MOVES_PER_ONE_AGAIN: usize = 200;

fn all_on_the_first(rule: Rule) -> World {
    World::new(rule, HOSTS, TASKS, |_| 0)
}

fn told(what: &str, report: &Report) {
    println!("{what}: {report:?}");
}

/// The world becomes even within the time, with about as few moves as can be, and stays as it is.
fn becomes_even(what: &str, world: &mut World, within: u64) {
    let least = world.least_moves();
    let report = world.run(within);
    told(&format!("{what}, {least} moves at least"), &report);
    let even_after = report
        .even_after
        .unwrap_or_else(|| panic!("{what}: not even: {report:?}"));
    assert!(
        report.moves <= least * MOVES_PERCENT / 100 + 2,
        "{what}: {least} would do: {report:?}"
    );
    assert!(
        report.last_move <= even_after + MINUTE,
        "{what}: it goes on: {report:?}"
    );
    assert!(
        report.again * MOVES_PER_ONE_AGAIN <= report.moves,
        "{what}: tasks were moved twice: {report:?}"
    );
    assert_eq!(world.run(10 * MINUTE).moves, 0, "{what}: it oscillates");
}

#[test]
fn a_hundred_hosts_come_to_share_what_the_first_one_led() {
    becomes_even(
        "all on the first",
        &mut all_on_the_first(Rule::Proved),
        30 * MINUTE,
    );
}

#[test]
fn many_leaders_that_decide_at_once_do_not_give_too_much() {
    // Half of the hosts have everything: each of them sees the same lightest hosts.
    let mut world = World::new(Rule::Proved, HOSTS, TASKS, |task| task % (HOSTS / 2));
    becomes_even("all on half of them", &mut world, 20 * MINUTE);
    // Loads as lots fall.
    let mut random = soloist_seed::Random::new(soloist_seed::seed());
    let hosts = HOSTS as u64;
    let mut lots = move |_| usize::try_from(random.below(hosts)).unwrap();
    let mut world = World::new(Rule::Proved, HOSTS, TASKS, &mut lots);
    becomes_even("as lots fall", &mut world, 20 * MINUTE);
}

#[test]
fn what_failed_over_spreads_again_and_so_it_does_when_hosts_come_back() {
    let mut world = World::new(Rule::Proved, HOSTS, TASKS, |task| task % HOSTS);
    assert_eq!(world.run(10 * MINUTE).moves, 0);
    (0..10).for_each(|host| world.kill(host));
    world.run(3 * SECOND);
    becomes_even("ten hosts die", &mut world, 20 * MINUTE);
    (0..10).for_each(|host| world.start(host));
    world.run(SECOND);
    becomes_even("ten hosts come back", &mut world, 20 * MINUTE);
}

#[test]
fn hosts_of_other_weights_carry_other_loads() {
    let mut world = all_on_the_first(Rule::Proved);
    (0..HOSTS).for_each(|host| world.weigh(host, 1 + u32::try_from(host % 4).unwrap()));
    becomes_even("weights from 1 to 4", &mut world, 30 * MINUTE);
}

#[test]
fn a_short_restart_moves_nothing_but_what_it_takes_back() {
    let mut world = World::new(Rule::Proved, HOSTS, TASKS, |task| task % HOSTS);
    world.run(10 * MINUTE);
    world.kill(7);
    let away = world.run(40 * SECOND);
    world.start(7);
    // It has to have been there for a minute before anything moves.
    let back = world.run(50 * SECOND);
    assert_eq!((away.moves, back.moves), (0, 0));
    becomes_even("a restart", &mut world, 20 * MINUTE);
}

#[test]
fn a_host_that_comes_and_goes_moves_nothing() {
    let mut world = World::new(Rule::Proved, HOSTS, TASKS, |task| task % HOSTS);
    world.run(10 * MINUTE);
    for _ in 0..20 {
        world.kill(7);
        assert_eq!(world.run(20 * SECOND).moves, 0);
        world.start(7);
        assert_eq!(world.run(40 * SECOND).moves, 0);
    }
}

/// Hosts that look ten times as often as they hear from each other.
fn looking_often(rule: Rule) -> World {
    World::new(rule, 3, 600, |_| 0).every(SECOND / 10)
}

#[test]
fn hosts_that_look_more_often_than_they_hear_from_each_other_wait_for_that() {
    becomes_even(
        "looking often",
        &mut looking_often(Rule::Proved),
        30 * MINUTE,
    );
}

#[test]
fn not_waiting_for_what_came_of_moves_is_found_out() {
    let mut world = looking_often(Rule::Hurries);
    let least = world.least_moves();
    let report = world.run(30 * MINUTE);
    told("in a hurry", &report);
    assert!(report.moves > least * MOVES_PERCENT / 100 + 2, "{report:?}");
}

#[test]
fn giving_to_the_lightest_without_a_plan_is_found_out() {
    let mut world = World::new(Rule::LightestFirst, HOSTS, TASKS, |task| task % (HOSTS / 2));
    let least = world.least_moves();
    let report = world.run(20 * MINUTE);
    told("without a plan", &report);
    let errs = report.moves > least * MOVES_PERCENT / 100 + 2
        || report.again * MOVES_PER_ONE_AGAIN > report.moves;
    assert!(errs || world.run(10 * MINUTE).moves > 0, "{report:?}");
}

#[test]
fn not_waiting_for_whoever_has_gone_is_found_out() {
    let mut world = World::new(Rule::Forgets, HOSTS, TASKS, |task| task % HOSTS);
    world.run(10 * MINUTE);
    world.kill(7);
    let away = world.run(40 * SECOND);
    told("without grace", &away);
    assert!(away.moves > 0);
}
