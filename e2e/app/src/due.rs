//! Which requests something happens to: so many in a hundred, evenly or by chance.

/// Parts of a whole that a share is counted in: hundredths of a percent.
const WHOLE: u64 = 10_000;

/// A share of the requests.
pub(crate) struct Due {
    parts: u64,
    /// What chance follows from; without it the share is spread evenly.
    seed: Option<u64>,
}

impl Due {
    /// So many percent, such as 0.5. `seed` is that of the process, `what` sets apart the shares of one process.
    pub(crate) fn new(percent: f64, seed: Option<u64>, what: u64) -> Self {
        let parts = (percent.clamp(0.0, 100.0) * 100.0).round() as u64;
        Self { parts, seed: seed.map(|seed| mixed(seed ^ what)) }
    }

    /// Whether request number `turn` is one of them. An even share is exact over any ten thousand requests, of whole
    /// percents over any hundred, so that a short measurement sees it as well as a long one. Chance is as uneven as life.
    pub(crate) fn is(&self, turn: u64) -> bool {
        match self.seed {
            None => (turn + 1) * self.parts / WHOLE > turn * self.parts / WHOLE,
            Some(seed) => mixed(seed.wrapping_add(turn)) % WHOLE < self.parts,
        }
    }
}

/// The seed of this process: of what all pods are told, and of its own pod's name.
pub(crate) fn seed_of(told: u64, name: &str) -> u64 {
    name.bytes().fold(mixed(told), |seed, byte| mixed(seed ^ u64::from(byte)))
}

/// SplitMix64: any change of the number changes all bits.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Due, seed_of};

    fn hits(due: &Due, turns: std::ops::Range<u64>) -> usize {
        turns.filter(|turn| due.is(*turn)).count()
    }

    #[test]
    fn an_even_share_is_exact_over_a_hundred_requests() {
        for percent in [0, 1, 20, 30, 33, 100_u32] {
            let due = Due::new(f64::from(percent), None, 0);
            assert_eq!(hits(&due, 0..100), percent as usize);
            assert_eq!(hits(&due, 700..800), percent as usize);
        }
        assert_eq!(hits(&Due::new(0.5, None, 0), 0..1000), 5);
    }

    #[test]
    fn an_even_share_is_spread_evenly() {
        assert_eq!(hits(&Due::new(30.0, None, 0), 0..10), 3);
    }

    #[test]
    fn chance_keeps_the_share_and_differs_by_pod_and_by_what_it_decides() {
        let hit = |seed: u64, what: u64| {
            let due = Due::new(2.5, Some(seed), what);
            (0..100_000).filter(|turn| due.is(*turn)).collect::<Vec<_>>()
        };
        let (one, other) = (seed_of(7, "shop-a"), seed_of(7, "shop-b"));
        for hits in [hit(one, 0), hit(one, 1), hit(other, 0)] {
            assert!((2300..2700).contains(&hits.len()), "{}", hits.len());
        }
        assert_eq!(hit(one, 0), hit(one, 0));
        assert_ne!(hit(one, 0), hit(one, 1));
        assert_ne!(hit(one, 0), hit(other, 0));
        assert_ne!(one, seed_of(8, "shop-a"));
        assert!(
            (0..100).any(|hundred| {
                hits(&Due::new(2.5, Some(one), 0), 100 * hundred..100 * hundred + 100) > 4
            })
        );
    }
}
