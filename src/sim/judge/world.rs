//! A release as its counters see it: ten minutes or more, the canary's weight grows by 5 % each minute to a half.

use tidegate_engine::judge::{Look, Share};

use crate::chance::Chance;

/// Minutes of most releases.
pub(crate) const MINUTES: usize = 10;
/// Looks in a minute.
pub(crate) const LOOKS: usize = 6;
/// Minutes of the stable pods before the release, from which the judge learns.
pub(crate) const HISTORY: usize = 30;
/// Looks for which a busy server wants to be left alone.
const WAIT: usize = 5;
/// A pod has a bad minute this often, and then this rate of errors.
const BURST: (f64, f64) = (0.05, 0.10);

/// What differs from one line of the table to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    /// Requests a second, in all.
    pub(crate) rate: f64,
    /// Rates of errors.
    pub(crate) stable: f64,
    pub(crate) canary: f64,
    /// Minutes in which both sides fail at another rate, from, until, and that rate.
    pub(crate) outage: Option<(usize, usize, f64)>,
    /// Pods have bad minutes.
    pub(crate) bursts: bool,
    /// Stable pods; the canary has its share of as many.
    pub(crate) pods: usize,
    /// Part of the looks that the server puts off, together with those after them.
    pub(crate) put_off: f64,
    pub(crate) minutes: usize,
    /// Whether our judge judges anew, a minute after it called the canary good.
    pub(crate) again: bool,
}

/// The server that is asked at each look. One that is busy asks for a wait, and its counters grow on meanwhile.
#[derive(Default)]
pub(crate) struct Server {
    waits: usize,
    held: Option<Look>,
}

impl Server {
    /// What is seen at a look, of which `now` happened since the one before: nothing while the server is left alone, and
    /// then all that happened since.
    pub(crate) fn look(&mut self, chance: &mut Chance, situation: &Situation, now: Look) -> Option<Look> {
        let seen = match self.held.take() {
            Some(before) => {
                Look { canary: sum(before.canary, &now.canary), stable: sum(before.stable, &now.stable) }
            }
            None => now,
        };
        if self.waits == 0 && situation.put_off > 0.0 && chance.unit() < situation.put_off {
            self.waits = WAIT;
        }
        if self.waits == 0 {
            return Some(seen);
        }
        self.waits -= 1;
        self.held = Some(seen);
        None
    }
}

/// What pods did, one by one; later there may be more of them.
fn sum(mut pods: Vec<Share>, more: &[Share]) -> Vec<Share> {
    pods.resize(pods.len().max(more.len()), Share::default());
    for (pod, more) in pods.iter_mut().zip(more) {
        *pod += *more;
    }
    pods
}

/// One pod for one minute.
fn pod_rate(chance: &mut Chance, situation: &Situation, base: f64) -> f64 {
    if situation.bursts && chance.unit() < BURST.0 { BURST.1 } else { base }
}

/// The looks at the stable pods before the release.
pub(crate) fn history(chance: &mut Chance, situation: &Situation) -> Vec<Vec<Share>> {
    let mut looks = Vec::new();
    for _ in 0..HISTORY {
        let rates: Vec<f64> =
            (0..situation.pods).map(|_| pod_rate(chance, situation, situation.stable)).collect();
        for _ in 0..LOOKS {
            looks.push(pods(chance, situation.rate, &rates));
        }
    }
    looks
}

/// The looks of one minute of the release, from 0.
pub(crate) fn minute(chance: &mut Chance, situation: &Situation, minute: usize) -> Vec<Look> {
    let weight = (0.05 * (minute + 1) as f64).min(0.5);
    let outage = situation.outage.filter(|(from, until, _)| (*from..*until).contains(&minute));
    let base = |own: f64| outage.map_or(own, |(_, _, rate)| rate);
    let canary_pods = ((situation.pods as f64 * weight) as usize).max(1);
    let canary: Vec<f64> =
        (0..canary_pods).map(|_| pod_rate(chance, situation, base(situation.canary))).collect();
    let stable: Vec<f64> =
        (0..situation.pods).map(|_| pod_rate(chance, situation, base(situation.stable))).collect();
    (0..LOOKS)
        .map(|_| Look {
            canary: pods(chance, situation.rate * weight, &canary),
            stable: pods(chance, situation.rate * (1.0 - weight), &stable),
        })
        .collect()
}

fn pods(chance: &mut Chance, rate: f64, errors: &[f64]) -> Vec<Share> {
    let mean = rate * 60.0 / LOOKS as f64 / errors.len() as f64;
    errors
        .iter()
        .map(|error| {
            let requests = chance.arrivals(mean);
            Share::new(requests, chance.hits(requests, *error))
        })
        .collect()
}
