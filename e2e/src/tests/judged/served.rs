//! What users got of a release: its bad answers, and how long it went on giving them.

use std::time::Duration;

use serde::Serialize;

use super::release::{Fault, SLOW_MS};
use crate::load::{Answers, Outcome, Sample};

/// What users got. Moments are when a request was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::tests) struct Served {
    pub(in crate::tests) requests: usize,
    pub(in crate::tests) by_canary: usize,
    /// Answers of the canary that failed, or were late where that is its fault.
    pub(in crate::tests) bad: usize,
    /// Requests without any answer.
    pub(in crate::tests) lost: usize,
    /// From the first bad answer to the last answer of the canary.
    pub(in crate::tests) seconds_to_last_answer: Option<f64>,
    /// From the first bad answer to the moment at which the weight was seen to be gone from the route.
    pub(in crate::tests) seconds_to_weight_off: Option<f64>,
}

impl Served {
    /// Sorts the answers; `weight_off` is since the load began.
    pub(super) fn of(answers: &Answers, canary: &str, fault: Fault, weight_off: Option<Duration>) -> Self {
        let is_canary = |sample: &&Sample| matches!(&sample.outcome, Outcome::Answered { version, .. } if version == canary);
        let own: Vec<&Sample> = answers.samples.iter().filter(is_canary).collect();
        let bad: Vec<&Sample> = own.iter().filter(|sample| is_bad(sample, fault)).copied().collect();
        let first = bad.first().map(|sample| sample.at);
        let since_first = |at: Duration| first.map(|first| at.saturating_sub(first).as_secs_f64());
        Self {
            requests: answers.len(),
            by_canary: own.len(),
            bad: bad.len(),
            lost: answers.lost().count(),
            seconds_to_last_answer: own.last().and_then(|last| since_first(last.at)),
            seconds_to_weight_off: weight_off.and_then(since_first),
        }
    }
}

/// A slow version is late by more than a busy machine makes others.
fn is_bad(sample: &Sample, fault: Fault) -> bool {
    match fault {
        Fault::Slow => sample.took >= Duration::from_millis(SLOW_MS),
        Fault::Nothing | Fault::Errors(_) => sample.is_bad(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn sample(at_ms: u64, took_ms: u64, version: &str, status: u16) -> Sample {
        Sample {
            at: Duration::from_millis(at_ms),
            took: Duration::from_millis(took_ms),
            outcome: Outcome::Answered { version: version.to_owned(), status },
        }
    }

    #[test]
    fn only_what_is_the_canarys_fault_counts_against_it() {
        let samples = vec![
            sample(100, 5, "v1", 500),
            sample(200, 5, "v2", 200),
            sample(1000, 5, "v2", 500),
            sample(2000, 900, "v2", 200),
            sample(9000, 5, "v2", 500),
            sample(9500, 5, "v2", 200),
            sample(9900, 900, "v1", 200),
        ];
        let answers = Answers { began: Timestamp::UNIX_EPOCH, samples };
        let of = |fault| Served::of(&answers, "v2", fault, Some(Duration::from_secs(7)));
        let errors = of(Fault::Errors(20));
        assert_eq!((errors.requests, errors.by_canary, errors.bad, errors.lost), (7, 5, 2, 0));
        assert_eq!((errors.seconds_to_last_answer, errors.seconds_to_weight_off), (Some(8.5), Some(6.0)));
        let slow = of(Fault::Slow);
        assert_eq!((slow.bad, slow.seconds_to_last_answer), (1, Some(7.5)));
        let other = Served::of(&answers, "v3", Fault::Slow, None);
        assert_eq!((other.bad, other.seconds_to_last_answer, other.seconds_to_weight_off), (0, None, None));
    }
}
