//! Random numbers that come of a seed, for those who try a plugin. A host gives its plugins those of the system.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_core::TryRng;

/// How far the state moves for each number: SplitMix64's odd constant, by which it comes back to none before all others.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Random numbers that are the same whenever the seed is (SplitMix64): good enough to try a plugin, and no secret. Clones
/// share them, so what one run of a plugin has drawn, no later one draws again.
#[derive(Clone, Debug)]
pub struct SeededRandom(Arc<AtomicU64>);

impl SeededRandom {
    /// The numbers of a seed, from the first.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    fn draw(&self) -> u64 {
        let drawn = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A seed for what asks for one of its own.
    pub(crate) fn draw_seed(&self) -> u128 {
        u128::from(self.draw()) << 64 | u128::from(self.draw())
    }
}

impl TryRng for SeededRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // A shift by half leaves what fits.
        Ok(u32::try_from(self.draw() >> 32).unwrap_or_default())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(random: &mut SeededRandom) -> [u8; 21] {
        let mut bytes = [0; 21];
        let Ok(()) = random.try_fill_bytes(&mut bytes);
        bytes
    }

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_one_others() {
        let mut first = SeededRandom::new(1);
        let drawn = bytes(&mut first);
        assert_eq!(drawn, bytes(&mut SeededRandom::new(1)));
        assert_ne!(drawn, bytes(&mut SeededRandom::new(2)));
        // What Java's SplittableRandom gives for 0, which PRNG test vectors have.
        assert_eq!(
            SeededRandom::new(0).try_next_u64(),
            Ok(0xe220_a839_7b1d_cdaf)
        );
    }

    #[test]
    fn clones_never_draw_the_same_number() {
        let mut first = SeededRandom::new(1);
        let mut second = first.clone();
        assert_ne!(bytes(&mut first), bytes(&mut second));
        assert_ne!(first.draw_seed(), second.draw_seed());
    }
}
