//! The evidence that the canary has more bad requests than the stable version: an e-process.
//!
//! Input: requests and bad requests of both sides at each look. Output: the logarithm of the evidence against "the odds
//! of a bad request are at most `tolerance` times those of the stable version".
//!
//! Given how many bad requests both sides had together, those of the canary follow Fisher's noncentral hypergeometric law.
//! It is a sum of independent trials, and so below the binomial law of the same mean in the increasing convex order
//! (Hoeffding 1956). A likelihood ratio of two such binomial laws therefore has a mean of at most 1 while the canary is no
//! worse, and the product over looks exceeds 1/a with a chance of at most a, at any time (Ville's inequality). This holds
//! for odds; with ratios of the rates themselves it would be wrong where many requests are bad.

use serde::{Deserialize, Serialize};

use super::{Share, log_mean};

/// How many times the tolerated odds the canary may have; the evidence is the mean over them.
const RATIOS: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 300.0];

/// The evidence so far: the logarithm of the likelihood ratio for each of the supposed ratios.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Harm {
    logs: [f64; RATIOS.len()],
}

impl Harm {
    /// Takes up one look. Without requests of either side, and without bad ones, it says nothing.
    pub fn look(&mut self, canary: Share, stable: Share, tolerance: f64) {
        if canary.requests == 0 || stable.requests == 0 {
            return;
        }
        let odds = tolerance * canary.requests as f64 / stable.requests as f64;
        let (own, both) = (canary.bad as f64, (canary.bad + stable.bad) as f64);
        for (log, ratio) in self.logs.iter_mut().zip(RATIOS) {
            *log += own * ratio.ln() - both * ((1.0 + ratio * odds) / (1.0 + odds)).ln();
        }
    }

    /// Natural logarithm of the evidence, when bad requests vary `dispersion` times (>= 1) as much as chance explains.
    #[must_use]
    pub fn log_evidence(&self, dispersion: f64) -> f64 {
        log_mean(&self.logs.map(|log| log / dispersion))
    }
}
