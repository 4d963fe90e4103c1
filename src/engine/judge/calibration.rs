//! How much more the pods of one version differ than chance explains: the judge's measure of its own error.
//!
//! Input: requests and bad requests of each stable pod at each look. Output: the dispersion, 1 when requests fail
//! independently of each other. Pods of one version are compared with one another (A/A), over spans of several lengths: a pod
//! that has a bad minute is worse at six looks of ten seconds in a row. Evidence is divided by the dispersion (as in
//! quasi-likelihood); that is a heuristic, and the simulation beside this crate shows what it is worth.

use serde::{Deserialize, Serialize};

use super::Share;

/// Lengths of the spans in looks.
const SPANS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// This many bad requests count as seen with a dispersion of 1: few prove little.
const PRIOR: f64 = 120.0;
/// Pods are compared in at most this many groups, so that what is remembered stays small.
const GROUPS: usize = 8;
/// With one stable pod there is nothing to compare it with.
const UNKNOWN: f64 = 3.0;

/// What the stable pods showed so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    spans: [Span; SPANS.len()],
    /// Looks with at least two stable pods.
    looks: usize,
    /// Requests of a canary pod and of a stable pod, summed over looks.
    canary_exposure: f64,
    stable_exposure: f64,
}

/// Spans of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Span {
    /// The span that goes on, by pod.
    open: Vec<Share>,
    /// Squared differences of the pods in all spans that ended, and what chance alone would have given.
    seen: f64,
    expected: f64,
}

impl Calibration {
    /// Takes up one look at the stable pods, which must come in the same order each time.
    pub fn look(&mut self, pods: &[Share]) {
        if pods.len() < 2 {
            return;
        }
        self.looks += 1;
        let mut groups = vec![Share::default(); pods.len().min(GROUPS)];
        for (at, pod) in pods.iter().enumerate() {
            groups[at % GROUPS] += *pod;
        }
        for (span, length) in self.spans.iter_mut().zip(SPANS) {
            span.add(&groups);
            if self.looks.is_multiple_of(length) {
                span.end();
            }
        }
    }

    /// Notes how many requests a pod of either side gets: what pods do wrong together grows with them.
    pub fn exposure(&mut self, canary: &[Share], stable: &[Share]) {
        let mean = |pods: &[Share]| {
            let busy = pods.iter().filter(|pod| pod.requests > 0);
            let (count, sum) =
                busy.fold((0.0_f64, 0.0), |(count, sum), pod| (count + 1.0, sum + pod.requests as f64));
            sum / count.max(1.0)
        };
        self.canary_exposure += mean(canary);
        self.stable_exposure += mean(stable);
    }

    /// The dispersion of the canary's bad requests; at least 1.
    #[must_use]
    pub fn dispersion(&self) -> f64 {
        if self.looks == 0 {
            return UNKNOWN;
        }
        let most = self.spans.iter().map(Span::dispersion).fold(1.0, f64::max);
        let exposure =
            if self.stable_exposure > 0.0 { self.canary_exposure / self.stable_exposure } else { 1.0 };
        1.0 + (most - 1.0) * exposure.max(1.0)
    }
}

impl Span {
    fn add(&mut self, groups: &[Share]) {
        if self.open.len() < groups.len() {
            self.open.resize(groups.len(), Share::default());
        }
        for (sum, group) in self.open.iter_mut().zip(groups) {
            *sum += *group;
        }
    }

    /// Compares the groups with one another: Pearson's statistic, weighted by the bad requests.
    fn end(&mut self) {
        let groups = std::mem::take(&mut self.open);
        let all: Share = groups.iter().sum();
        let (mut count, mut squares) = (0.0_f64, 0.0);
        for group in groups.iter().filter(|group| group.requests > 0) {
            let part = group.requests as f64 / all.requests as f64;
            count += 1.0;
            squares += (group.bad as f64 - all.bad as f64 * part).powi(2) / part;
        }
        if count >= 2.0 {
            self.seen += squares / (count - 1.0);
            self.expected += all.bad as f64;
        }
    }

    fn dispersion(&self) -> f64 {
        (self.seen + PRIOR) / (self.expected + PRIOR)
    }
}
