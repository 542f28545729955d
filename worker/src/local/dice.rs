//! Numbers that look random and follow from a text and a seed alone.

use darkroom_proto::Sha256;

/// A splitmix64 generator, seeded from a digest: the same parameters draw the same picture.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// Seeded from everything that the picture depends on.
    pub(super) fn of(parts: &[&str]) -> Dice {
        let mut text = String::new();
        for part in parts {
            text.push_str(&part.len().to_string());
            text.push(':');
            text.push_str(part);
        }
        let digest = Sha256::of(text.as_bytes());
        Dice(digest.as_bytes().iter().take(8).fold(0, |state, byte| state << 8 | u64::from(*byte)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..high`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next() >> 40) as f32 / (1u64 << 24) as f32)
    }

    /// A whole number below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// True in one of two cases.
    pub(super) fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_even_when_their_texts_join_alike() {
        assert_ne!(Dice::of(&["ab", "c"]).next(), Dice::of(&["a", "bc"]).next());
        assert_eq!(Dice::of(&["ab", "c"]).next(), Dice::of(&["ab", "c"]).next());
    }
}
