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

    /// The bounds nearest to the quantiles, each once. A quantile beyond the last finite bound has none.
    #[must_use]
    pub fn edges(&self) -> Vec<f64> {
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
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram() -> Histogram {
        Histogram { buckets: vec![(0.1, 600), (0.3, 930), (1.0, 940), (3.0, 985), (f64::INFINITY, 1000)] }
    }

    #[test]
    fn edges_are_bounds_of_buckets() {
        assert_eq!(histogram().edges(), [0.1, 0.3, 3.0]);
        assert!(Histogram::default().edges().is_empty());
        let fast = Histogram { buckets: vec![(0.1, 5), (f64::INFINITY, 5)] };
        assert_eq!(fast.edges(), [0.1]);
    }

    #[test]
    fn requests_divide_at_an_edge() {
        assert_eq!(histogram().slower_than(0.3), Share { requests: 1000, bad: 70 });
        assert_eq!(histogram().slower_than(0.2), Share::default());
    }
}
