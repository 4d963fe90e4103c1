//! Servers that are asked too often say when to come again.
//!
//! Input: an answer. Output: the seconds to wait. A measurement that waits is not taken, so it counts for nothing.

use jiff::SignedDuration;
use tidegate_api::analysis::Metric;

use super::{Response, cloud_watch};

/// A measurement that was put off so long is an error: a run must end.
pub(crate) const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// What a server may ask for at least and at most.
const SHORTEST_SECONDS: u64 = 5;
const LONGEST_SECONDS: u64 = LONGEST_WAIT.as_secs().unsigned_abs();
/// One that asks for more is asked again now and then.
const NOW_AND_THEN_SECONDS: u64 = 300;

/// How long to leave a server alone, if it asks for that.
pub(crate) fn wait(metric: &Metric, response: &Response) -> Option<SignedDuration> {
    let asked = response.asks_to_wait_seconds();
    let is_aws = metric.provider.cloud_watch.is_some();
    let seconds = asked.or_else(|| is_aws.then(|| cloud_watch::throttled(response)).flatten())?;
    let seconds =
        if seconds > LONGEST_SECONDS { NOW_AND_THEN_SECONDS } else { seconds.max(SHORTEST_SECONDS) };
    Some(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_server_is_left_alone_for_a_while() {
        let metric = Metric::default();
        let answer = |status, retry_after_seconds| {
            let response = Response { status, body: Vec::new(), retry_after_seconds };
            wait(&metric, &response).map(|wait| wait.as_secs())
        };
        assert_eq!(answer(429, Some(30)), Some(30));
        assert_eq!(answer(503, Some(0)), Some(5));
        assert_eq!((answer(429, Some(500)), answer(429, Some(86_400))), (Some(500), Some(300)));
        assert_eq!((answer(429, None), answer(200, Some(30)), answer(500, Some(30))), (None, None, None));
    }
}
