//! The judge: from counters of both versions to a verdict about the canary, without thresholds.
//!
//! Input: for each look the requests of every pod since the last look, and how many of them were bad. Output: a verdict
//! that holds at every look, with its evidence. It compares the canary with the stable version in the same interval, so
//! that load curves, changing weights and outages of what both depend on say nothing against either.
//!
//! - [`harm`]: the evidence that the canary is worse (an e-process on the odds ratio).
//! - [`calibration`]: how much more pods of one version differ than chance explains, from the stable pods alone.
//! - [`promise`]: the evidence that the canary is good enough (within a margin of the stable version).
//! - [`rail`]: the evidence that the canary is beyond a limit that its user has set, whatever the stable version does.
//! - [`counters`] and [`latency`]: from counters and histograms to requests and bad requests; [`ledger`] keeps them.
//! - [`judgement`]: all of it for one canary, as it is kept from look to look; [`timeline`] is what people see of it, and
//!   [`words`] say it.
//! - [`source`]: where the counters come from, and what a user may choose.

pub mod calibration;
pub mod counters;
pub mod harm;
pub mod judgement;
pub mod latency;
pub mod ledger;
mod preset;
pub mod promise;
pub mod rail;
mod settings;
pub mod source;
pub mod timeline;
pub mod words;

use serde::{Deserialize, Serialize};

use calibration::Calibration;
use harm::Harm;
use promise::Promise;

/// Requests, and how many of them were bad. Written down as two numbers: there are many of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Share {
    /// Requests.
    pub requests: u64,
    /// Those of them that failed, or were slow; never more than `requests`.
    pub bad: u64,
}

impl Share {
    /// A share; more bad requests than requests count as all of them.
    #[must_use]
    pub fn new(requests: u64, bad: u64) -> Self {
        Self { requests, bad: bad.min(requests) }
    }

    /// The part of the requests that was bad, 0 to 1; 0 without requests.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.bad as f64 / self.requests as f64 }
    }
}

impl From<(u64, u64)> for Share {
    fn from((requests, bad): (u64, u64)) -> Self {
        Self::new(requests, bad)
    }
}

impl From<Share> for (u64, u64) {
    fn from(share: Share) -> Self {
        (share.requests, share.bad)
    }
}

impl std::ops::AddAssign for Share {
    fn add_assign(&mut self, more: Self) {
        self.requests += more.requests;
        self.bad += more.bad;
    }
}

impl<'a> std::iter::Sum<&'a Self> for Share {
    fn sum<I: Iterator<Item = &'a Self>>(shares: I) -> Self {
        shares.fold(Self::default(), |mut sum, share| {
            sum += *share;
            sum
        })
    }
}

/// What happened since the last look, by pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub canary: Vec<Share>,
    /// In the same order at every look: a pod that is gone has no requests.
    pub stable: Vec<Share>,
}

impl Look {
    /// All pods of the canary together, and all of the stable version.
    #[must_use]
    pub fn sides(&self) -> (Share, Share) {
        (self.canary.iter().sum(), self.stable.iter().sum())
    }
}

/// What a user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How often a canary that is as good as the stable version may be called bad, 0 to 1.
    pub false_abort: f64,
    /// Up to this odds ratio a canary is not called worse; at least 1.
    pub tolerance: f64,
    /// The smallest rise of the rate of bad requests that is worth stopping for, 0 to 1.
    pub harm: f64,
    /// How often a canary that does that harm may be called good, 0 to 1.
    pub false_advance: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { false_abort: 0.01, tolerance: 1.25, harm: 0.01, false_advance: 0.05 }
    }
}

/// What is known of one comparison: errors, or requests slower than an edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub harm: Harm,
    pub promise: Promise,
    pub calibration: Calibration,
    /// All that was seen of the canary.
    pub canary: Share,
    /// All that was seen of the stable version at the same looks.
    pub stable: Share,
}

impl Comparison {
    /// Learns from stable pods alone, such as from their time before the update.
    pub fn learn(&mut self, stable: &[Share]) {
        self.calibration.look(stable);
    }

    /// Takes up one look.
    pub fn look(&mut self, look: &Look, settings: &Settings) {
        self.calibration.look(&look.stable);
        self.calibration.exposure(&look.canary, &look.stable);
        let (canary, stable) = look.sides();
        self.harm.look(canary, stable, settings.tolerance);
        self.promise.look(canary, stable);
        self.canary += canary;
        self.stable += stable;
    }

    /// Natural logarithm of the evidence that the canary is worse.
    #[must_use]
    pub fn log_harm(&self) -> f64 {
        self.harm.log_evidence(self.calibration.dispersion())
    }

    /// Natural logarithm of the evidence that the canary is within `settings.harm` of the stable version.
    #[must_use]
    pub fn log_promise(&self, settings: &Settings) -> f64 {
        self.promise.log_evidence(settings.harm, self.calibration.dispersion())
    }

    /// The comparison as it stands.
    fn evidence(&self, settings: Settings) -> Evidence<'_> {
        let dispersion = self.calibration.dispersion();
        Evidence { harm: &self.harm, promise: &self.promise, dispersion, settings }
    }
}

/// One comparison as it stands at one moment.
#[derive(Clone, Copy, Debug)]
struct Evidence<'a> {
    harm: &'a Harm,
    promise: &'a Promise,
    dispersion: f64,
    settings: Settings,
}

impl Evidence<'_> {
    fn log_promise(&self) -> f64 {
        self.promise.log_evidence(self.settings.harm, self.dispersion)
    }
}

/// What the judge says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The canary is worse: stop.
    Bad,
    /// The canary does less harm than is worth stopping for: go on.
    Good,
    /// Not enough was seen. How many more requests the canary needs at its present rate of bad ones; `None` when
    /// that rate is so near the margin that no number would do.
    Undecided { missing: Option<u64> },
}

/// Judges all comparisons together: evidence of harm is their average, goodness must hold for each.
#[must_use]
pub fn judge(comparisons: &[(&Comparison, Settings)]) -> Verdict {
    let all: Vec<Evidence<'_>> =
        comparisons.iter().map(|(comparison, settings)| comparison.evidence(*settings)).collect();
    weigh(&all)
}

fn weigh(all: &[Evidence<'_>]) -> Verdict {
    let Some(first) = all.first() else { return Verdict::Undecided { missing: None } };
    if log_harm(all) >= -first.settings.false_abort.ln() {
        return Verdict::Bad;
    }
    let mut longest = Some(0);
    for evidence in all {
        let target = -evidence.settings.false_advance.ln();
        if evidence.log_promise() < target {
            let missing = evidence.promise.missing(evidence.settings.harm, evidence.dispersion, target);
            longest = longest.zip(missing).map(|(one, other)| one.max(other));
        }
    }
    match longest {
        Some(0) => Verdict::Good,
        missing => Verdict::Undecided { missing },
    }
}

/// Natural logarithm of the evidence of harm, over all comparisons; 0 of none.
fn log_harm(all: &[Evidence<'_>]) -> f64 {
    if all.is_empty() {
        return 0.0;
    }
    let logs: Vec<f64> = all.iter().map(|evidence| evidence.harm.log_evidence(evidence.dispersion)).collect();
    log_mean(&logs)
}

/// Natural logarithm of the evidence of goodness: that of the comparison that has least.
fn log_promise(all: &[Evidence<'_>]) -> f64 {
    all.iter().map(Evidence::log_promise).reduce(f64::min).unwrap_or(0.0)
}

/// Logarithm of the mean of numbers that are given by their logarithms.
fn log_mean(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
    most + (sum / logs.len() as f64).ln()
}

#[cfg(test)]
mod tests;
