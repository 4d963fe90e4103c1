//! What a queue has had to do: what waits, how long it waited, and how long looks take.
//!
//! Input: keys as they come, are looked at and are done. Output: numbers. Histograms are cumulative, as those of
//! client-go's queues, and have their buckets.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::time::Instant;

/// What a queue has had to do.
#[derive(Debug)]
pub(super) struct Load<K> {
    /// Keys that somebody pushed and that nobody has looked at since.
    waiting: BTreeSet<K>,
    /// Keys that are being looked at, and since when.
    busy: BTreeMap<K, Instant>,
    adds: u64,
    retries: u64,
    waited: Histogram,
    worked: Histogram,
}

/// The load of a queue in numbers.
#[derive(Clone, Debug)]
pub(crate) struct Measures {
    /// Keys that wait for a look.
    pub(crate) depth: usize,
    /// Looks that somebody, or the time, asked for.
    pub(crate) adds: u64,
    /// Failures, each of which asks for another look.
    pub(crate) retries: u64,
    /// Seconds from when a key was due until it was looked at.
    pub(crate) waited: Histogram,
    /// Seconds that each look took.
    pub(crate) worked: Histogram,
    /// Seconds that the looks under way have taken so far, together.
    pub(crate) unfinished: f64,
    /// Seconds that the longest of them has taken so far.
    pub(crate) longest: f64,
}

impl<K> Default for Load<K> {
    fn default() -> Self {
        // From 10 ns to 1,000 s.
        let seconds = || Histogram::new(exponential_buckets(1e-8, 10.0, 12));
        Self {
            waiting: BTreeSet::new(),
            busy: BTreeMap::new(),
            adds: 0,
            retries: 0,
            waited: seconds(),
            worked: seconds(),
        }
    }
}

impl<K: Clone + Ord> Load<K> {
    /// Notes that a key waits.
    pub(super) fn wait(&mut self, key: &K) {
        if self.waiting.insert(key.clone()) {
            self.adds += 1;
        }
    }

    /// Notes that a key, due since `due`, is looked at; one that does not wait is due by its time.
    pub(super) fn begin(&mut self, key: &K, due: Instant) {
        if !self.waiting.remove(key) {
            self.adds += 1;
        }
        let now = Instant::now();
        self.waited.observe(now.saturating_duration_since(due).as_secs_f64());
        self.busy.insert(key.clone(), now);
    }

    /// Notes that the look at a key has ended.
    pub(super) fn end(&mut self, key: &K) {
        if let Some(begun) = self.busy.remove(key) {
            self.worked.observe(begun.elapsed().as_secs_f64());
        }
    }

    /// Notes a failure.
    pub(super) fn fail(&mut self) {
        self.retries += 1;
    }

    /// Forgets what waited: nobody works the queue off any more, or somebody begins with everything.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.busy.clear();
    }

    /// The load so far.
    pub(super) fn measures(&self) -> Measures {
        let running = || self.busy.values().map(|begun| begun.elapsed().as_secs_f64());
        Measures {
            depth: self.waiting.len(),
            adds: self.adds,
            retries: self.retries,
            waited: self.waited.clone(),
            worked: self.worked.clone(),
            unfinished: running().fold(0.0, std::ops::Add::add),
            longest: running().fold(0.0, f64::max),
        }
    }
}
