//! The one seed that every test draws from, and what draws from it.

#[cfg(feature = "proptest")]
use proptest::test_runner::{Config, RngSeed};

/// The seed where nothing else is asked for. Whoever tests a change sees what it breaks, and nothing that was there before.
const FIXED: u64 = 20_261_126;

/// The seed of this run: `SOLOIST_SEED`, or else one that is always the same. It is printed, so that a failure names it.
///
/// # Panics
/// Panics if `SOLOIST_SEED` is no number.
pub fn seed() -> u64 {
    let seed = match std::env::var("SOLOIST_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("SOLOIST_SEED is a number, not {text:?}")),
        Err(_) => FIXED,
    };
    println!("SOLOIST_SEED={seed}");
    seed
}

/// How properties are tried: with values that the seed decides.
#[cfg(feature = "proptest")]
pub fn properties() -> Config {
    Config {
        rng_seed: RngSeed::Fixed(seed()),
        ..Config::default()
    }
}

/// A small generator (SplitMix64): good enough to explore, the same on every machine.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    #[allow(
        clippy::should_implement_trait,
        reason = "it has no end, and nobody wants it as an iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
