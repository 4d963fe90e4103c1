//! What the judge remembers from look to look, so that a restart loses nothing and the same looks give the same verdict.
//!
//! Input: what all counters say at each look. Output: the evidence of every comparison. It is kept as JSON in the
//! metadata of a measurement; its size grows with the number of pods, by a few numbers each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counters::{self, Kept, Observation};
use super::latency::Histogram;
use super::{Comparison, Settings, Verdict, judge};

/// Errors, and how slow requests are at each edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Looks so far, those of before the update not counted.
    pub looks: u32,
    /// The bounds of buckets at which latencies are compared.
    pub edges: Vec<f64>,
    /// First that of errors, then one for each edge.
    pub comparisons: Vec<Comparison>,
    canary: BTreeMap<String, Kept>,
    stable: BTreeMap<String, Kept>,
}

impl Ledger {
    /// Learns how much stable pods differ from each other, from the time before the update, oldest first.
    pub fn learn(&mut self, history: &[Observation]) {
        for observation in history {
            let stable = self.take(observation).1;
            for (comparison, pods) in self.comparisons.iter_mut().zip(&stable) {
                comparison.learn(pods);
            }
        }
    }

    /// Takes up one look. The first one only notes where the counters are.
    pub fn look(&mut self, observation: &Observation, settings: &Settings) {
        let (canary, stable) = self.take(observation);
        for (comparison, look) in self.comparisons.iter_mut().zip(counters::looks(canary, stable)) {
            comparison.look(&look, settings);
        }
        self.looks += 1;
    }

    /// The verdict over all that was seen; `slow` are the settings for latencies.
    #[must_use]
    pub fn verdict(&self, errors: &Settings, slow: &Settings) -> Verdict {
        let settings = std::iter::once(errors).chain(std::iter::repeat(slow));
        let all: Vec<(&Comparison, Settings)> = self.comparisons.iter().zip(settings.copied()).collect();
        judge(&all)
    }

    /// What happened since the last observation, which this one replaces.
    fn take(&mut self, observation: &Observation) -> (Vec<Vec<super::Share>>, Vec<Vec<super::Share>>) {
        self.choose_edges(observation);
        let keep = |pods: &BTreeMap<String, counters::Counters>| -> BTreeMap<String, Kept> {
            pods.iter().map(|(pod, counters)| (pod.clone(), counters::keep(counters, &self.edges))).collect()
        };
        let (canary, stable) = (keep(&observation.canary), keep(&observation.stable));
        let count = self.comparisons.len();
        let shares =
            (counters::shares(&self.canary, &canary, count), counters::shares(&self.stable, &stable, count));
        (self.canary, self.stable) = (canary, stable);
        shares
    }

    /// The stable version's own latencies say where to compare, once, as soon as there are any.
    fn choose_edges(&mut self, observation: &Observation) {
        if self.edges.is_empty() {
            let mut sum: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
            for (bound, count) in observation.stable.values().flat_map(|counters| &counters.buckets) {
                // Bounds are not negative, so that their bits have their order.
                sum.entry(bound.to_bits()).or_insert((*bound, 0)).1 += count;
            }
            self.edges = Histogram { buckets: sum.into_values().collect() }.edges();
        }
        self.comparisons.resize(1 + self.edges.len(), Comparison::default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::Counters;
    use super::*;

    /// Counters of pods after so many looks of 100 requests, of which `bad` fail and `slow` take more than a second.
    fn pods(names: &[&str], looks: u64, bad: u64, slow: u64) -> BTreeMap<String, Counters> {
        let counters = Counters {
            requests: 100 * looks,
            bad: bad * looks,
            buckets: vec![(0.1, 60 * looks), (1.0, (100 - slow) * looks), (f64::INFINITY, 100 * looks)],
        };
        names.iter().map(|name| ((*name).to_owned(), counters.clone())).collect()
    }

    fn ledger(bad: u64, slow: u64) -> Ledger {
        let mut ledger = Ledger::default();
        let at = |looks: u64, canary: bool| Observation {
            canary: if canary { pods(&["c"], looks, bad, slow) } else { BTreeMap::new() },
            stable: pods(&["s", "t", "u"], looks, 1, 5),
        };
        let history: Vec<Observation> = (1..20).map(|looks| at(looks, false)).collect();
        ledger.learn(&history);
        for looks in 20..30 {
            ledger.look(&at(looks, true), &Settings::default());
        }
        ledger
    }

    fn verdict(ledger: &Ledger) -> Verdict {
        let slow = Settings { harm: 0.05, ..Settings::default() };
        ledger.verdict(&Settings::default(), &slow)
    }

    #[test]
    fn errors_and_slowness_are_found_and_goodness_too() {
        assert_eq!(ledger(1, 5).edges, [0.1, 1.0]);
        assert_eq!(verdict(&ledger(10, 5)), Verdict::Bad);
        assert_eq!(verdict(&ledger(1, 25)), Verdict::Bad);
        assert_ne!(verdict(&ledger(1, 5)), Verdict::Bad);
        let seen = &ledger(1, 5).comparisons[0];
        assert_eq!((seen.canary.requests, seen.stable.requests), (900, 3000));
    }

    #[test]
    fn a_restart_loses_nothing() {
        let mut whole = ledger(3, 7);
        let mut again: Ledger = serde_json::from_str(&serde_json::to_string(&whole).unwrap()).unwrap();
        let next = Observation { canary: pods(&["c"], 30, 3, 7), stable: pods(&["s", "t"], 30, 1, 5) };
        for ledger in [&mut whole, &mut again] {
            ledger.look(&next, &Settings::default());
        }
        assert_eq!(verdict(&again), verdict(&whole));
        let evidence = |ledger: &Ledger| ledger.comparisons.iter().map(Comparison::log_harm).sum::<f64>();
        assert!((evidence(&again) - evidence(&whole)).abs() < 1e-9);
        assert_eq!((again.looks, again.canary), (whole.looks, whole.canary));
    }
}
