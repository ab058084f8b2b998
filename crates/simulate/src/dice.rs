//! Chance that is the same on every machine and in every version.
//!
//! Own code on purpose: the generators of `rand_chacha` are fixed, but how `rand` makes ranges and floats of them changes between
//! its versions, and the same seed must give the same bytes for ever.

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

/// One of a million: probabilities are whole parts per million, so that no rounding of floats decides anything.
pub const MILLION: u32 = 1_000_000;

impl Dice {
    /// Dice for one thing: its kind and number, under a seed.
    pub fn of(seed: u64, kind: u64, number: u64) -> Dice {
        Dice(mix(mix(seed ^ 0x6a09_e667_f3bc_c908).wrapping_add(mix(kind)) ^ mix(number.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end` (which is at least 1).
    pub fn below(&mut self, end: u64) -> u64 {
        // Multiply and shift (Lemire 2019) without the rejection: the bias is below 2⁻³² for the ranges of a shop.
        ((u128::from(self.roll()) * u128::from(end.max(1))) >> 64) as u64
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from + 1).max(1) as u64) as i64
    }

    /// True in so many of a million cases.
    pub fn chance(&mut self, ppm: u32) -> bool {
        self.below(u64::from(MILLION)) < u64::from(ppm)
    }

    /// One of a list.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// An index, by weights.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut at = self.below(sum);
        for (index, weight) in weights.iter().enumerate() {
            if at < u64::from(*weight) {
                return index;
            }
            at -= u64::from(*weight);
        }
        weights.len() - 1
    }
}

/// Spreads 64 bits over 64 bits.
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
