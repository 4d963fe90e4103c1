//! The evidence that the canary does less harm than is worth stopping for.
//!
//! Input: requests and bad requests of both sides at each look. Output: the logarithm of the evidence against "the canary's
//! rate of bad requests is at least `margin` above what the stable version would have had with the canary's requests", and
//! how many requests are missing until that is enough.
//!
//! The canary's bad requests are a sum of independent trials, so that for any rate below the margin the likelihood ratio of
//! two binomial laws is evidence (Hoeffding 1956). With no bad request on either side it takes ln(1/b)/margin requests.
//! The stable version's rate is an estimate; its lower end is used, so that few stable requests prove little.

use serde::{Deserialize, Serialize};

use super::{Share, log_mean};

/// Parts of the margin that the canary's rate may have; the evidence is the mean over them.
const PARTS: [f64; 5] = [0.0, 0.05, 0.2, 0.5, 0.75];
/// How many standard errors the stable version's rate is taken below its estimate.
const CAUTION: f64 = 1.65;

/// The evidence so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// All of the canary's requests at looks at which the stable version had some, too.
    canary: Share,
    /// The bad requests that the stable version would have had in the canary's place, and the variance of that estimate.
    expected: f64,
    variance: f64,
}

impl Promise {
    /// Takes up one look.
    pub fn look(&mut self, canary: Share, stable: Share) {
        if canary.requests == 0 || stable.requests == 0 {
            return;
        }
        self.canary += canary;
        let (own, other) = (canary.requests as f64, stable.requests as f64);
        self.expected += own * stable.rate();
        self.variance += own * own * stable.rate() * (1.0 - stable.rate()) / other;
    }

    /// Natural logarithm of the evidence for a margin above 0 and below 1.
    #[must_use]
    pub fn log_evidence(&self, margin: f64, dispersion: f64) -> f64 {
        if self.canary.requests == 0 {
            return 0.0;
        }
        let limit = self.limit(margin, dispersion);
        let logs = PARTS.map(|part| self.log_ratio(part * limit, limit) / dispersion);
        log_mean(&logs)
    }

    /// Requests that the canary still needs at its present rate until the evidence surely reaches `target`.
    #[must_use]
    pub fn missing(&self, margin: f64, dispersion: f64, target: f64) -> Option<u64> {
        let limit = self.limit(margin, dispersion);
        let rate = self.canary.rate();
        let needed = PARTS.into_iter().filter_map(|part| {
            let gain = per_request(rate, part * limit, limit) / dispersion;
            // Alone, one of the alternatives has to make up for all others.
            let more = target + (PARTS.len() as f64).ln() - self.log_ratio(part * limit, limit) / dispersion;
            (gain > 0.0).then(|| (more.max(0.0) / gain).ceil())
        });
        needed.reduce(f64::min).map(|requests| requests as u64)
    }

    /// The rate from which on a canary would do harm.
    fn limit(&self, margin: f64, dispersion: f64) -> f64 {
        let requests = (self.canary.requests as f64).max(1.0);
        let low = (self.expected - CAUTION * (self.variance * dispersion).sqrt()) / requests;
        (low.max(0.0) + margin).min(1.0 - f64::EPSILON)
    }

    fn log_ratio(&self, rate: f64, limit: f64) -> f64 {
        let own = self.canary.rate();
        per_request(own, rate, limit) * self.canary.requests as f64
    }
}

/// What a request adds to the likelihood ratio of `rate` against `limit` when a part `own` of them is bad.
fn per_request(own: f64, rate: f64, limit: f64) -> f64 {
    let bad = if own == 0.0 { 0.0 } else { own * (rate / limit).ln() };
    bad + (1.0 - own) * ((1.0 - rate) / (1.0 - limit)).ln()
}
