//! Counts by chance: requests that arrive, and those of them that fail.

use tidegate_sim::Random;

/// A stream of counts that depends on its seed only.
pub(crate) struct Chance(Random);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        random.draw();
        Self(random)
    }

    /// Between 0 and 1, never 0.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.0.draw() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Arrivals (Poisson): counted one by one where they are few, rounded from the normal law where they are many.
    pub(crate) fn arrivals(&mut self, mean: f64) -> u64 {
        if mean > 50.0 {
            let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
            return (mean + mean.sqrt() * normal).round().max(0.0) as u64;
        }
        let (mut left, mut count) = (mean, 0);
        loop {
            left += self.unit().ln();
            if left < 0.0 {
                return count;
            }
            count += 1;
        }
    }

    /// How many of `trials` happen, each with a probability of at most a half (binomial, by the gaps between them).
    pub(crate) fn hits(&mut self, trials: u64, probability: f64) -> u64 {
        if probability <= 0.0 {
            return 0;
        }
        let log_miss = (-probability).ln_1p();
        let (mut at, mut count) = (0.0, 0);
        loop {
            at += (self.unit().ln() / log_miss).floor() + 1.0;
            if at > trials as f64 {
                return count;
            }
            count += 1;
        }
    }
}
