//! Chance that can be had again: everything follows from a seed, which is printed.

use tidegate_sim::Random;

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(super) struct Chance(Random);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// A seed that nobody chose.
    pub(super) fn fresh_seed() -> u64 {
        u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default() % 1_000_000
    }

    /// A number from 0 up to, but not including, `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.below(end)
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_all_of_them() {
        let of = |seed| {
            let mut chance = Chance::new(seed);
            (0..200).map(|_| chance.below(4)).collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert!((0..4).all(|number| of(7).contains(&number)) && of(7).iter().all(|number| *number < 4));
    }
}
