//! When a metric is measured.
//!
//! Input: a metric, what was measured so far, the time. Output: now, at a time, or not any more.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunStatus, Metric, MetricResult};

use super::limits::{Limits, duration};

/// How long to wait after an error, whatever the interval of the metric is.
const ERROR_RETRY: SignedDuration = SignedDuration::from_secs(10);

/// The shortest time between two measurements: times in a status are whole seconds, and an interval of nothing
/// would measure without a rest.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

/// When a metric is measured next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    /// Not before this time.
    At(Timestamp),
    /// Not by the passing of time: the metric is done, or the run is ending.
    Never,
}

/// Whether a run takes no new measurements: somebody asked for its end, or a metric that counts did not succeed.
pub(super) fn is_terminating(run: &AnalysisRun, status: &AnalysisRunStatus) -> bool {
    let decided = |result: &MetricResult| {
        let phase = result.phase;
        !result.dry_run
            && phase.is_some_and(AnalysisPhase::is_completed)
            && phase != Some(AnalysisPhase::Successful)
    };
    run.spec.terminate || status.metric_results.iter().any(decided)
}

/// The result of a metric, if it was measured before.
pub(super) fn result<'a>(status: &'a AnalysisRunStatus, metric: &str) -> Option<&'a MetricResult> {
    status.metric_results.iter().find(|result| result.name == metric)
}

/// Decides when a metric is measured next.
pub(super) fn due(metric: &Metric, status: &AnalysisRunStatus, terminating: bool, now: Timestamp) -> Due {
    let result = result(status, &metric.name);
    if result.is_some_and(|result| result.phase.is_some_and(AnalysisPhase::is_completed)) {
        return Due::Never;
    }
    let Some((result, last)) = result.and_then(|result| Some((result, result.measurements.last()?))) else {
        return if terminating { Due::Never } else { first(metric, status, now) };
    };
    let Some(finished) = &last.finished_at else {
        // Begun by somebody else: it is taken up again, or ended, when its time has come.
        return match &last.resume_at {
            Some(resume) if !terminating => not_before(resume.0, now),
            Some(_) | None => Due::Now,
        };
    };
    if terminating || Limits::of(metric).count.is_some_and(|count| result.count >= count) {
        return Due::Never;
    }
    let is_error = last.phase == Some(AnalysisPhase::Error);
    let interval = if is_error { ERROR_RETRY } else { interval(metric) };
    not_before(later(finished.0, interval), now)
}

/// From the end of one measurement to the next one; what has no interval is only measured again as after an error.
pub(super) fn interval(metric: &Metric) -> SignedDuration {
    duration(metric.interval.as_deref()).map_or(ERROR_RETRY, SignedDuration::from_nanos).max(SHORTEST)
}

fn first(metric: &Metric, status: &AnalysisRunStatus, now: Timestamp) -> Due {
    let delay = duration(metric.initial_delay.as_deref()).filter(|delay| *delay > 0);
    let Some(delay) = delay else { return Due::Now };
    // A delay counts from the start of the run, which the first look at it sets: that look never measures.
    match &status.started_at {
        Some(Time(started)) => not_before(later(*started, SignedDuration::from_nanos(delay)), now),
        None => Due::At(later(now, SignedDuration::from_nanos(delay))),
    }
}

fn not_before(time: Timestamp, now: Timestamp) -> Due {
    if time <= now { Due::Now } else { Due::At(time) }
}

/// Adds a duration to a time; beyond the end of time is the end of time.
pub(super) fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn case(metric: Value, results: Value, terminating: bool, started: bool) -> Due {
        let mut metric: Metric = serde_json::from_value(metric).unwrap();
        metric.name = "m".into();
        let mut status: AnalysisRunStatus =
            serde_json::from_value(json!({"metricResults": results})).unwrap();
        status.started_at = started.then(|| Time(at(0)));
        due(&metric, &status, terminating, at(100))
    }

    fn measured(phase: &str, finished: i64) -> Value {
        json!([{"name": "m", "phase": "Running", "count": 1, "measurements": [
            {"phase": "Successful", "finishedAt": at(0)}, {"phase": phase, "finishedAt": at(finished)},
        ]}])
    }

    #[test]
    fn the_first_measurement_waits_for_its_delay() {
        assert_eq!(case(json!({}), json!([]), false, false), Due::Now);
        assert_eq!(case(json!({"initialDelay": "5m"}), json!([]), false, false), Due::At(at(400)));
        assert_eq!(case(json!({"initialDelay": "0s"}), json!([]), false, false), Due::Now);
        assert_eq!(case(json!({"initialDelay": "5m"}), json!([]), false, true), Due::At(at(300)));
        assert_eq!(case(json!({"initialDelay": "100s"}), json!([]), false, true), Due::Now);
        assert_eq!(case(json!({}), json!([]), true, true), Due::Never);
    }

    #[test]
    fn later_ones_follow_the_interval_or_the_retry() {
        let every_minute = json!({"interval": "1m"});
        assert_eq!(case(every_minute.clone(), measured("Successful", 50), false, true), Due::At(at(110)));
        assert_eq!(case(every_minute.clone(), measured("Failed", 40), false, true), Due::Now);
        assert_eq!(case(every_minute.clone(), measured("Error", 95), false, true), Due::At(at(105)));
        assert_eq!(case(json!({"interval": "1s"}), measured("Error", 95), false, true), Due::At(at(105)));
        assert_eq!(
            case(json!({"interval": "1m", "count": 1}), measured("Successful", 0), false, true),
            Due::Never
        );
        assert_eq!(case(every_minute, measured("Successful", 0), true, true), Due::Never);
    }

    #[test]
    fn what_somebody_else_began_is_taken_up() {
        let begun = |resume: Option<i64>| {
            json!([{"name": "m", "phase": "Running", "measurements": [
                {"phase": "Running", "startedAt": at(90), "resumeAt": resume.map(at)},
            ]}])
        };
        assert_eq!(case(json!({}), begun(None), false, true), Due::Now);
        assert_eq!(case(json!({}), begun(Some(120)), false, true), Due::At(at(120)));
        assert_eq!(case(json!({}), begun(Some(120)), true, true), Due::Now);
        let done = json!([{"name": "m", "phase": "Successful", "measurements": []}]);
        assert_eq!(case(json!({}), done, false, true), Due::Never);
    }

    #[test]
    fn a_metric_that_counts_and_fails_ends_the_run() {
        let run = AnalysisRun::default();
        for (phase, dry_run, wanted) in [
            ("Failed", false, true),
            ("Error", false, true),
            ("Inconclusive", false, true),
            ("Successful", false, false),
            ("Running", false, false),
            ("", false, false),
            ("Failed", true, false),
        ] {
            let results = json!({"metricResults": [{"name": "m", "phase": phase, "dryRun": dry_run}]});
            let status: AnalysisRunStatus = serde_json::from_value(results).unwrap();
            assert_eq!(is_terminating(&run, &status), wanted, "{phase}");
        }
    }
}
