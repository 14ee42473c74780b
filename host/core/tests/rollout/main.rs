//! A small model of rollouts: hosts that prepare generations, stand, lead and die; operators who deploy, take back, pause and
//! undeploy, over what they have read a while ago; answers that are lost and writes that arrive late. What decides is the very
//! code of a host and of an operator.
//!
//! These things must never be (`chronicle.rs`):
//! - two plugins that act, or one whose generation is not that of its term, or not the current one at its term's election;
//! - a plugin on a host that is not ready for it;
//! - a generation that is taken back twice, or runs again after it was, or is taken back without having failed: the death of a
//!   machine is no failure;
//! - a generation that is found healthy although it is not, or gone back to although it never was healthy;
//! - a plugin of an earlier generation that acts on a state that a later one has left, if the state is to be restored;
//! - a generation that is wanted and replaces another one than the one that would be gone back to.
//!
//! These things must come to be (`settle.rs`): when nothing goes wrong any more, whoever can be ready for the wanted generation
//! has taken it up; what is on probation is judged; and the current generation runs, unless it is frozen, or no host can.
//!
//! Each rule of [`Rule`] is broken in turn, and the model has to notice.

mod chronicle;
mod ensemble;
mod fate;
mod host;
mod people;
mod settle;
mod world;

use world::World;

const WORLDS: u64 = 300;
/// A broken rule is noticed in one of so many worlds.
const BROKEN_WORLDS: u64 = 5_000;
const STEPS: usize = 2_000;

/// What is wrong with a world.
type Broken = String;

/// What hosts and the ensemble hold to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A leader writes in its own term alone.
    Fence,
    /// A leader or operator writes over the record that was decided by alone.
    Over,
    /// An election checks that the record is the one that was read.
    Election,
    /// The state is copied before a generation on probation first acts.
    Copy,
    /// An election copies a state that was read after the term before was given back.
    Settled,
    /// The state is restored before the record says so.
    Restore,
    /// A term that was lost is no failure.
    Deaths,
    /// A leader gives its term back when another generation has become the current one.
    HandOver,
    /// A leader waits for hosts to be ready, but not without end.
    Timeout,
    /// A generation that was gone back to has none to go back to.
    OneWay,
    /// A host that is not ready for the current generation does not run it.
    Ready,
    /// If nobody runs the task, a host that is ready for another generation stands in.
    StandIn,
    /// Terms that show nothing are counted.
    Counted,
    /// While a generation is wanted, the one on probation is not found healthy.
    Held,
}

impl Rule {
    const ALL: [Self; 14] = [
        Self::Fence,
        Self::Over,
        Self::Election,
        Self::Copy,
        Self::Settled,
        Self::Restore,
        Self::Deaths,
        Self::HandOver,
        Self::Timeout,
        Self::OneWay,
        Self::Ready,
        Self::StandIn,
        Self::Counted,
        Self::Held,
    ];
}

/// What came of the worlds, so that it shows whether they have shown anything.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    elections: usize,
    activations: usize,
    promoted: usize,
    healthy: usize,
    rolled_back: usize,
    by_operators: usize,
    unready: usize,
    frozen: usize,
    restored: usize,
    copied_with_election: usize,
    refused: usize,
}

fn try_world(seed: u64, broken: Option<Rule>) -> Result<Seen, Broken> {
    let mut world = World::new(seed, broken);
    for _ in 0..STEPS {
        world.step()?;
    }
    world.settle()?;
    Ok(world.seen())
}

#[test]
fn a_rollout_ends_and_a_bad_generation_is_taken_back_once() {
    let first = soloist_seed::seed();
    let worlds = std::env::var("SOLOIST_WORLDS").map_or(WORLDS, |text| {
        text.parse().expect("SOLOIST_WORLDS is a number")
    });
    let mut sum = Seen::default();
    for world in 0..worlds {
        let seed = first.wrapping_add(world);
        match try_world(seed, None) {
            Ok(more) => sum.add(more),
            Err(broken) => panic!("world {seed}: {broken}"),
        }
    }
    println!("{sum:?}");
    assert!(sum.is_enough(), "nothing is shown: {sum:?}");
}

#[test]
fn a_model_in_which_a_rule_is_broken_notices() {
    let first = soloist_seed::seed();
    for rule in Rule::ALL {
        let noticed = (0..BROKEN_WORLDS).find_map(|world| {
            let broken = try_world(first.wrapping_add(world), Some(rule)).err()?;
            Some((world, broken))
        });
        match noticed {
            Some((world, broken)) => println!("without {rule:?}: world {world}: {broken}"),
            None => panic!("nothing is noticed without {rule:?}"),
        }
    }
}
