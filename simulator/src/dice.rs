//! Chance that can be repeated.

/// A small generator (SplitMix64): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, rate: f64) -> bool {
        // The upper 53 bits are a fraction that a double holds exactly.
        ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < rate
    }
}
