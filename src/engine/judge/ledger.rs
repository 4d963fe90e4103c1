//! What the judge remembers from look to look, so that a restart loses nothing and the same looks give the same verdict.
//!
//! Input: what all counters say at each look. Output: the evidence of every comparison. It is kept as JSON in the
//! metadata of a measurement; its size grows with the number of pods, by a few numbers each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counters::{self, Kept, Observation};
use super::judgement::Terms;
use super::latency::{self, Histogram};
use super::{Comparison, Settings, Share, Verdict, judge};

/// Looks that one may go on for while only one side moves. Pods are scraped at different times: looked at every 10 s,
/// two that are scraped every minute never move together.
const LONGEST_LOOK: u32 = 12;
/// Counters of one side that are compared, by name: what is remembered stays small, and those left out differ from them
/// by nothing but their name.
const MOST_COUNTERS: usize = 50;

/// Errors, and how slow requests are at each edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Looks so far, those of before the update not counted.
    pub looks: u32,
    /// Times that the present look was made longer, because one side did not move.
    held: u32,
    /// The bounds of buckets at which latencies are compared.
    pub edges: Vec<f64>,
    /// First that of errors, then one for each edge.
    pub comparisons: Vec<Comparison>,
    canary: BTreeMap<String, Kept>,
    stable: BTreeMap<String, Kept>,
    /// The stable pods in the order in which they are compared with each other; one that is new takes the place of one that
    /// is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<String>,
}

impl Ledger {
    /// Learns how much stable pods differ from each other, from the time before the update, oldest first.
    pub fn learn(&mut self, history: &[Observation], terms: &Terms) {
        for observation in history {
            let stable = self.take(observation, terms).1;
            for (comparison, pods) in self.comparisons.iter_mut().zip(&stable) {
                comparison.learn(pods);
            }
        }
    }

    /// Takes up one look. The first one only notes where the counters are, and one in which only one side moved goes
    /// on, unless that is urgent. Returns what both sides did, for each comparison; nothing of a look that goes on.
    pub fn look(&mut self, observation: &Observation, terms: &Terms, urgent: bool) -> Vec<(Share, Share)> {
        if !urgent && self.goes_on(observation) {
            self.held += 1;
            return Vec::new();
        }
        self.held = 0;
        self.looks += 1;
        let (canary, stable) = self.take(observation, terms);
        let mut sides = Vec::new();
        for (comparison, look) in self.comparisons.iter_mut().zip(counters::looks(canary, stable)) {
            comparison.look(&look, &terms.errors);
            sides.push(look.sides());
        }
        sides
    }

    /// What the canary did since the last look that was taken up, for each comparison.
    pub(super) fn canary_since(&self, observation: &Observation) -> Vec<Share> {
        let now = self.keep(&observation.canary);
        let shares = counters::shares(&self.canary, &now, self.comparisons.len());
        shares.iter().map(|pods| pods.iter().sum()).collect()
    }

    /// Whether there were counters of both sides at the last look.
    pub(super) fn has_both_sides(&self) -> bool {
        !self.canary.is_empty() && !self.stable.is_empty()
    }

    /// Whether only one side moved since the last look, which may be a matter of when each is scraped.
    fn goes_on(&mut self, observation: &Observation) -> bool {
        if self.held >= LONGEST_LOOK || !self.has_both_sides() {
            return false;
        }
        let (canary, stable) = (self.keep(&observation.canary), self.keep(&observation.stable));
        let moved = |last, now| {
            let errors = counters::shares(last, now, 1);
            errors.iter().flatten().any(|share| share.requests > 0)
        };
        if moved(&self.canary, &canary) == moved(&self.stable, &stable) {
            return false;
        }
        counters::hold(&mut self.canary, canary);
        counters::hold(&mut self.stable, stable);
        true
    }

    /// The verdict over all that was seen; `slow` are the settings for latencies.
    #[must_use]
    pub fn verdict(&self, errors: &Settings, slow: &Settings) -> Verdict {
        let settings = std::iter::once(errors).chain(std::iter::repeat(slow));
        let all: Vec<(&Comparison, Settings)> = self.comparisons.iter().zip(settings.copied()).collect();
        judge(&all)
    }

    /// What happened since the last observation, which this one replaces.
    fn take(&mut self, observation: &Observation, terms: &Terms) -> (Vec<Vec<Share>>, Vec<Vec<Share>>) {
        self.choose_edges(observation, terms);
        let (canary, stable) = (self.keep(&observation.canary), self.keep(&observation.stable));
        let count = self.comparisons.len();
        let canary_shares = counters::shares(&self.canary, &canary, count);
        let places = counters::places(&mut self.places, &stable);
        let stable_shares = counters::shares(&self.stable, &stable, count);
        let stable_shares = stable_shares.iter().map(|pods| counters::placed(pods, &places)).collect();
        (self.canary, self.stable) = (canary, stable);
        (canary_shares, stable_shares)
    }

    fn keep(&self, pods: &BTreeMap<String, counters::Counters>) -> BTreeMap<String, Kept> {
        let first = pods.iter().take(MOST_COUNTERS);
        first.map(|(pod, counters)| (pod.clone(), counters::keep(counters, &self.edges))).collect()
    }

    /// The number of the comparison that counts the requests slower than so many seconds, if there is one.
    pub(super) fn slower_than(&self, seconds: f64) -> Option<usize> {
        latency::standing_for(seconds, &self.edges).map(|at| at + 1)
    }

    /// The stable version's own latencies say where to compare, once, as soon as there are any; and a limit does.
    fn choose_edges(&mut self, observation: &Observation, terms: &Terms) {
        if self.edges.is_empty() {
            let mut sum: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
            for (bound, count) in observation.stable.values().flat_map(|counters| &counters.buckets) {
                // Bounds are not negative, so that their bits have their order.
                sum.entry(bound.to_bits()).or_insert((*bound, 0)).1 += count;
            }
            let slow_after = terms.most_slow.map(|slow| slow.after_seconds);
            self.edges = Histogram { buckets: sum.into_values().collect() }.edges(slow_after);
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
        ledger.learn(&history, &Terms::default());
        for looks in 20..30 {
            ledger.look(&at(looks, true), &Terms::default(), false);
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

    /// Both sides are scraped every 30 s, 10 s apart, and looked at every 10 s.
    #[test]
    fn pods_that_are_scraped_at_different_times_are_compared() {
        let mut ledger = Ledger::default();
        let at = |look: u64| Observation {
            canary: pods(&["c"], look / 3, 10, 5),
            stable: pods(&["s"], (look + 1) / 3, 1, 5),
        };
        let taken: Vec<bool> =
            (3..30).map(|look| !ledger.look(&at(look), &Terms::default(), false).is_empty()).collect();
        assert!(taken.iter().filter(|taken| **taken).count() >= 8, "{taken:?}");
        let seen = &ledger.comparisons[0];
        assert_eq!((seen.canary.requests, seen.canary.bad), (800, 80));
        assert!(seen.harm.log_evidence(1.0) > 5.0, "{:?}", seen.harm);
    }

    #[test]
    fn a_side_without_requests_holds_no_look_for_ever() {
        let mut ledger = Ledger::default();
        for look in 0..40 {
            let observation = Observation { canary: pods(&["c"], 0, 0, 0), stable: pods(&["s"], look, 1, 5) };
            ledger.look(&observation, &Terms::default(), false);
        }
        assert!((3..=5).contains(&ledger.looks), "{}", ledger.looks);
    }

    #[test]
    fn a_restart_loses_nothing() {
        let mut whole = ledger(3, 7);
        let mut again: Ledger = serde_json::from_str(&serde_json::to_string(&whole).unwrap()).unwrap();
        let next = Observation { canary: pods(&["c"], 30, 3, 7), stable: pods(&["s", "t"], 30, 1, 5) };
        for ledger in [&mut whole, &mut again] {
            ledger.look(&next, &Terms::default(), false);
        }
        assert_eq!(verdict(&again), verdict(&whole));
        let evidence = |ledger: &Ledger| ledger.comparisons.iter().map(Comparison::log_harm).sum::<f64>();
        assert!((evidence(&again) - evidence(&whole)).abs() < 1e-9);
        assert_eq!((again.looks, again.canary), (whole.looks, whole.canary));
    }
}
