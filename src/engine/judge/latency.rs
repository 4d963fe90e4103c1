//! From a histogram of durations to requests that were slow.
//!
//! The stable version's own quantiles say what slow is: at each of them the requests of both sides divide into fast and
//! slow, which is compared as errors are. The edges are bounds of buckets, so nothing is interpolated.

use super::Share;

/// The quantiles of the stable version at which both sides are compared.
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// A histogram: how many requests took at most `upper` seconds, by growing `upper`; the last has all requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, count)| *count)
    }

    /// The requests, and those of them that took longer than `edge`, a bound of a bucket. Without such a bucket nothing is
    /// known, and no request is counted.
    #[must_use]
    pub fn slower_than(&self, edge: f64) -> Share {
        match self.buckets.iter().find(|(upper, _)| *upper == edge) {
            Some((_, fast)) => Share::new(self.requests(), self.requests().saturating_sub(*fast)),
            None => Share::default(),
        }
    }

    /// The bounds nearest to the quantiles, each once, and the one that stands for `slow_after` seconds. A quantile beyond
    /// the last finite bound has none.
    #[must_use]
    pub fn edges(&self, slow_after: Option<f64>) -> Vec<f64> {
        let requests = self.requests() as f64;
        let mut edges: Vec<f64> = Vec::new();
        for quantile in QUANTILES {
            let reached = self.buckets.iter().find(|(_, count)| *count as f64 >= quantile * requests);
            if let Some((upper, _)) = reached.filter(|(upper, _)| requests > 0.0 && upper.is_finite())
                && !edges.contains(upper)
            {
                edges.push(*upper);
            }
        }
        let bounds: Vec<f64> = self.buckets.iter().map(|(upper, _)| *upper).collect();
        let limit = slow_after.filter(|_| requests > 0.0).and_then(|after| standing_for(after, &bounds));
        edges.extend(limit.map(|at| bounds[at]).filter(|bound| !edges.contains(bound)));
        edges
    }
}

/// The bound that stands for so many seconds: the least one that is not below. So no request is called slow that was fast
/// enough. Where all are below there is none.
pub(super) fn standing_for(seconds: f64, bounds: &[f64]) -> Option<usize> {
    // Milliseconds that became seconds may be off by a little.
    let enough = |bound: f64| bound.is_finite() && bound >= seconds * (1.0 - 1e-9);
    let fit = bounds.iter().enumerate().filter(|(_, bound)| enough(**bound));
    fit.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram() -> Histogram {
        Histogram { buckets: vec![(0.1, 600), (0.3, 930), (1.0, 940), (3.0, 985), (f64::INFINITY, 1000)] }
    }

    #[test]
    fn edges_are_bounds_of_buckets() {
        assert_eq!(histogram().edges(None), [0.1, 0.3, 3.0]);
        assert!(Histogram::default().edges(None).is_empty());
        let fast = Histogram { buckets: vec![(0.1, 5), (f64::INFINITY, 5)] };
        assert_eq!(fast.edges(None), [0.1]);
    }

    #[test]
    fn a_limit_has_an_edge_of_its_own_that_calls_nothing_slow_that_is_fast_enough() {
        assert_eq!(histogram().edges(Some(0.5)), [0.1, 0.3, 3.0, 1.0]);
        assert_eq!(histogram().edges(Some(0.3)), [0.1, 0.3, 3.0]);
        assert_eq!(histogram().edges(Some(3.1)), [0.1, 0.3, 3.0]);
        assert!(Histogram { buckets: vec![(1.0, 0)] }.edges(Some(0.5)).is_empty());
        assert_eq!(standing_for(0.7, &[0.1, 700.0 * 0.001, 1.0, f64::INFINITY]), Some(1));
        assert_eq!(standing_for(0.009, &[0.001, 9.0 * 0.001]), Some(1));
        assert_eq!(standing_for(2.0, &[0.1, f64::INFINITY]), None);
    }

    #[test]
    fn requests_divide_at_an_edge() {
        assert_eq!(histogram().slower_than(0.3), Share { requests: 1000, bad: 70 });
        assert_eq!(histogram().slower_than(0.2), Share::default());
    }
}
