//! When a failed sync is tried again, and when a change in the cluster is reverted.

use jiff::{SignedDuration, Timestamp};
use tidegate_api::go_duration;
use tidegate_api::source::{OperationPhase, OperationState, Retry};

use super::subject::Subject;

/// The attempts of an automated sync whose spec names no limit, as upstream.
pub(super) const AUTOMATED_LIMIT: i64 = 5;
const DEFAULT_DURATION_SECONDS: f64 = 5.0;
const DEFAULT_FACTOR: i64 = 2;
const DEFAULT_LONGEST_SECONDS: f64 = 180.0;
/// The longest wait before a change in the cluster is reverted once more.
const LONGEST_HEAL_SECONDS: i64 = 300;

/// The wait after `count` further attempts: `duration * factor^count`, capped.
fn wait(retry: &Retry, count: i64) -> SignedDuration {
    let backoff = retry.backoff.clone().unwrap_or_default();
    let base = backoff.duration.as_deref().and_then(seconds).unwrap_or(DEFAULT_DURATION_SECONDS);
    let longest = backoff.max_duration.as_deref().and_then(seconds).unwrap_or(DEFAULT_LONGEST_SECONDS);
    let factor = backoff.factor.filter(|factor| *factor > 0).unwrap_or(DEFAULT_FACTOR);
    let power = i32::try_from(count).unwrap_or(i32::MAX);
    // An i64 of nanoseconds holds 292 years; the cap keeps the wait far below.
    let wait = (base * (factor as f64).powi(power)).min(longest).clamp(0.0, 86_400.0 * 365.0);
    SignedDuration::from_secs_f64(wait)
}

/// Seconds of `5s`, `2m` or a bare number of seconds.
fn seconds(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number as f64);
    }
    go_duration::parse_nanoseconds(text).ok().map(|nanoseconds| nanoseconds as f64 / 1e9)
}

/// The retry rules of an operation: its own.
fn rules(state: &OperationState) -> Retry {
    state
        .operation
        .get("retry")
        .cloned()
        .and_then(|retry| serde_json::from_value(retry).ok())
        .unwrap_or_default()
}

/// Whether an operation waits for its next attempt, and until when.
///
/// `Running` together with `finishedAt` is the mark of that.
pub(super) fn waits_until(state: &OperationState) -> Option<Timestamp> {
    let finished = state.finished_at.as_ref().filter(|_| state.phase == OperationPhase::Running)?;
    finished.0.checked_add(wait(&rules(state), state.retry_count.unwrap_or(0))).ok()
}

/// Whether a retry takes the newest commit rather than the one that was asked for at first.
pub(super) fn takes_newest(subject: &Subject) -> bool {
    let Some(state) = &subject.status.operation_state else { return false };
    let again = state.phase == OperationPhase::Running && state.retry_count.unwrap_or(0) > 0;
    again && rules(state).refresh == Some(true)
}

/// Turns the end of a failed sync into a wait for the next attempt, where one is left.
pub(super) fn settle(state: &mut OperationState, now: Timestamp) {
    let rules = rules(state);
    let limit = rules.limit.unwrap_or(0);
    let count = state.retry_count.unwrap_or(0);
    let failed = matches!(state.phase, OperationPhase::Failed | OperationPhase::Error);
    if !failed || limit == 0 {
        return;
    }
    let message = state.message.take().unwrap_or_default();
    if limit < 0 || count < limit {
        // Upstream computes the time it tells before it counts this attempt, and the time it waits after.
        let told = now.checked_add(wait(&rules, count)).unwrap_or(now);
        let told = told.strftime("%-I:%M%p");
        state.phase = OperationPhase::Running;
        state.retry_count = Some(count + 1);
        state.message = Some(format!("{message}. Retrying attempt #{} at {told}.", count + 1));
    } else {
        let times = if count > 0 { format!(" (retried {count} times).") } else { String::new() };
        state.message = Some(format!("{message}{times}"));
    }
}

/// When a change in the cluster may be reverted, given how often that was done in a row: at once, then 2, 6,
/// 18, 54, 162 and at most 300 s after the last time.
pub(super) fn heals_at(finished: Timestamp, count: i64) -> Timestamp {
    let seconds = match u32::try_from(count) {
        Ok(0) | Err(_) => 0,
        Ok(n) => 3_i64.saturating_pow(n - 1).saturating_mul(2).min(LONGEST_HEAL_SECONDS),
    };
    finished.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(finished)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn failed(retry: serde_json::Value, count: i64) -> OperationState {
        OperationState {
            operation: json!({ "retry": retry }),
            phase: OperationPhase::Failed,
            message: Some("it broke".to_owned()),
            retry_count: Some(count),
            finished_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(
                "2026-01-01T15:04:00Z",
            ))),
            ..OperationState::default()
        }
    }

    #[test]
    fn the_first_wait_is_told_as_5_s_and_lasts_10() {
        let now = at("2026-01-01T15:04:00Z");
        let mut state = failed(json!({ "limit": 2 }), 0);
        settle(&mut state, now);
        assert_eq!(state.phase, OperationPhase::Running);
        assert_eq!(state.message.as_deref(), Some("it broke. Retrying attempt #1 at 3:04PM."));
        assert_eq!(waits_until(&state), Some(at("2026-01-01T15:04:10Z")));
    }

    #[test]
    fn waits_grow_up_to_the_cap() {
        let retry: Retry = serde_json::from_value(json!({
            "backoff": { "duration": "10", "factor": 3, "maxDuration": "1m" }
        }))
        .unwrap();
        let waits: Vec<f64> = (0..4).map(|n| wait(&retry, n).as_secs_f64()).collect();
        assert_eq!(waits, [10.0, 30.0, 60.0, 60.0]);
        assert_eq!(wait(&Retry::default(), 4000).as_secs(), 180);
    }

    #[test]
    fn an_end_is_an_end_when_no_attempt_is_left() {
        let now = at("2026-01-01T15:04:00Z");
        let mut state = failed(json!({ "limit": 2 }), 2);
        settle(&mut state, now);
        assert_eq!(state.phase, OperationPhase::Failed);
        assert_eq!(state.message.as_deref(), Some("it broke (retried 2 times)."));
        let mut state = failed(json!({ "limit": -1 }), 99);
        settle(&mut state, now);
        assert_eq!(state.phase, OperationPhase::Running);
        let mut state = failed(json!({}), 0);
        settle(&mut state, now);
        assert_eq!(state.message.as_deref(), Some("it broke"));
    }

    #[test]
    fn healing_slows_down() {
        let finished = at("2026-01-01T00:00:00Z");
        let waits: Vec<i64> =
            (0..8).map(|n| heals_at(finished, n).as_second() - finished.as_second()).collect();
        assert_eq!(waits, [0, 2, 6, 18, 54, 162, 300, 300]);
    }
}
