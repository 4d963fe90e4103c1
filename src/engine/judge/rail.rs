//! The evidence that the canary's rate of bad requests is above a limit that its user has set: a guard rail.
//!
//! Input: requests and bad requests of the canary at each look. Output: the logarithm of the evidence. It never compares with
//! the stable version, so that it also stops what both do wrong. Good times are forgotten: a canary that breaks after an
//! hour is found as fast as one that was broken from the start. So the limit is one to stay well below; a canary whose
//! rate is the limit itself is stopped sooner or later.

use serde::{Deserialize, Serialize};

use super::{Share, log_mean};

/// How many times the limit the rate may be, as odds; the evidence is the mean over them.
const RATIOS: [f64; 5] = [1.5, 2.0, 4.0, 10.0, 50.0];

/// The evidence so far: the logarithm of the likelihood ratio for each of the supposed rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rail {
    logs: [f64; RATIOS.len()],
}

impl Rail {
    /// Takes up one look; `limit` is above 0 and below 1.
    pub fn look(&mut self, canary: Share, limit: f64) {
        let (bad, good) = (canary.bad as f64, (canary.requests - canary.bad) as f64);
        for (log, ratio) in self.logs.iter_mut().zip(RATIOS) {
            let odds = ratio * limit / (1.0 - limit);
            let rate = odds / (1.0 + odds);
            let change = bad * (rate / limit).ln() + good * ((1.0 - rate) / (1.0 - limit)).ln();
            *log = (*log + change).max(0.0);
        }
    }

    /// Natural logarithm of the evidence, when bad requests vary `dispersion` times (>= 1) as much as chance explains.
    #[must_use]
    pub fn log_evidence(&self, dispersion: f64) -> f64 {
        log_mean(&self.logs.map(|log| log / dispersion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(looks: impl IntoIterator<Item = (u64, u64)>) -> f64 {
        let mut rail = Rail::default();
        looks.into_iter().for_each(|(requests, bad)| rail.look(Share::new(requests, bad), 0.05));
        rail.log_evidence(1.0).exp()
    }

    #[test]
    fn a_limit_is_crossed_by_more_than_chance() {
        assert!(evidence([(10, 1); 100]) > 100.0);
        assert!(evidence([(1, 1)]) < 100.0, "one request proves nothing");
        assert!(evidence([(100, 2); 100]) < 2.0);
        assert!(evidence([(0, 0); 100]) <= 1.0);
    }

    #[test]
    fn good_times_are_forgotten() {
        let late = (0..1000).map(|_| (100, 0)).chain([(20, 8)]);
        assert!(evidence(late) > 100.0);
    }
}
