//! The numbers that bound a metric, and whether they make sense together.
//!
//! Input: a metric with its arguments filled in. Output: plain numbers with their defaults, or what is wrong.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::Metric;
use tidegate_api::go_duration;

use crate::metric::providers;

/// Errors in a row that a metric bears when it does not say.
const DEFAULT_CONSECUTIVE_ERROR_LIMIT: i32 = 4;
/// The failure limit that stands for "any number".
const ANY_NUMBER: i32 = -1;

/// The numbers that bound a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Measurements to take; endless when absent.
    pub(super) count: Option<i32>,
    /// Failed measurements to bear; any number when absent.
    pub(super) failure: Option<i32>,
    pub(super) inconclusive: i32,
    pub(super) consecutive_error: i32,
    /// Successes in a row that are enough; the rule is off when absent.
    pub(super) consecutive_success: Option<i32>,
}

impl Limits {
    /// Reads the limits of a metric.
    pub(super) fn of(metric: &Metric) -> Self {
        let count = int(metric.count.as_ref());
        let once = metric.interval.as_deref().unwrap_or_default().is_empty();
        let failure = int(metric.failure_limit.as_ref());
        let consecutive_success = int(metric.consecutive_success_limit.as_ref());
        Self {
            // A count of 0 is the same as none.
            count: if count != 0 { Some(count) } else { once.then_some(1) },
            failure: (failure >= 0).then_some(failure),
            inconclusive: int(metric.inconclusive_limit.as_ref()),
            consecutive_error: metric
                .consecutive_error_limit
                .as_ref()
                .map_or(DEFAULT_CONSECUTIVE_ERROR_LIMIT, |limit| int(Some(limit))),
            consecutive_success: (consecutive_success > 0).then_some(consecutive_success),
        }
    }
}

/// A number, or a text that holds one; anything else counts as 0, as Kubernetes reads such fields.
fn int(value: Option<&IntOrString>) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => text.parse().unwrap_or(0),
    }
}

/// Whether a metric goes on until something ends it.
pub(super) fn is_endless(metric: &Metric) -> bool {
    !is_counted(metric) && Limits::of(metric).count.is_none()
}

/// Whether a metric has a count; 0 is the same as none. A text such as `{{args.count}}` is one, until it has its value.
pub(crate) fn is_counted(metric: &Metric) -> bool {
    match &metric.count {
        None => false,
        Some(IntOrString::Int(count)) => *count != 0,
        Some(IntOrString::String(text)) => text.parse() != Ok(0),
    }
}

/// A duration of the spec in nanoseconds; absent or empty is none.
pub(super) fn duration(text: Option<&str>) -> Option<i64> {
    text.filter(|text| !text.is_empty()).and_then(|text| go_duration::parse_nanoseconds(text).ok())
}

/// Checks the metrics of a run.
pub(super) fn validate(metrics: &[Metric]) -> Result<(), String> {
    if metrics.is_empty() {
        return Err("no metrics specified".to_owned());
    }
    for (index, metric) in metrics.iter().enumerate() {
        if metrics[..index].iter().any(|other| other.name == metric.name) {
            return Err(format!("metrics[{index}]: duplicate name '{}'", metric.name));
        }
        validate_metric(metric).map_err(|why| format!("metrics[{index}]: {why}"))?;
    }
    Ok(())
}

fn validate_metric(metric: &Metric) -> Result<(), String> {
    let count = int(metric.count.as_ref());
    let failure = int(metric.failure_limit.as_ref());
    let success = int(metric.consecutive_success_limit.as_ref());
    let Limits { inconclusive, consecutive_error, .. } = Limits::of(metric);
    let interval = metric.interval.as_deref().unwrap_or_default();
    let enough = if failure >= 0 { failure.saturating_add(success) } else { success };
    let rules = [
        (success < 0, "consecutiveSuccessLimit must be >= 0"),
        (failure < ANY_NUMBER, "failureLimit must be >= -1"),
        (
            failure == ANY_NUMBER && success == 0,
            "failureLimit and consecutiveSuccessLimit must not both be disabled",
        ),
        (
            count > 0 && failure >= 0 && count < enough,
            "count must be >= failureLimit + consecutiveSuccessLimit",
        ),
        (count > 0 && failure < 0 && count < enough, "count must be >= consecutiveSuccessLimit"),
        (count > 0 && count < inconclusive, "count must be >= inconclusiveLimit"),
        (count > 1 && interval.is_empty(), "interval must be specified when count > 1"),
        (inconclusive < 0, "inconclusiveLimit must be >= 0"),
        (consecutive_error < 0, "consecutiveErrorLimit must be >= 0"),
    ];
    if let Some((_, why)) = rules.iter().find(|(broken, _)| *broken) {
        return Err((*why).to_owned());
    }
    for (name, text) in
        [("interval", interval), ("startDelay", metric.initial_delay.as_deref().unwrap_or_default())]
    {
        if !text.is_empty() {
            go_duration::parse_nanoseconds(text).map_err(|why| format!("invalid {name} string: {why}"))?;
        }
    }
    match providers(&metric.provider).len() {
        0 => Err("no provider specified".to_owned()),
        1 => Ok(()),
        _ => Err("multiple providers specified".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn metric(mut json: Value) -> Metric {
        if json.get("provider").is_none() {
            json["provider"] = json!({"prometheus": {"query": "up"}});
        }
        json["name"] = json!("m");
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn counts_have_defaults() {
        for (json, count) in [
            (json!({}), Some(1)),
            (json!({"interval": "1m"}), None),
            (json!({"interval": "1m", "count": 0}), None),
            (json!({"interval": "1m", "count": "5"}), Some(5)),
            (json!({"count": "many"}), Some(1)),
        ] {
            assert_eq!(Limits::of(&metric(json)).count, count);
        }
        let limits = Limits::of(&metric(json!({"failureLimit": -1, "consecutiveErrorLimit": "0"})));
        assert_eq!((limits.failure, limits.consecutive_error, limits.inconclusive), (None, 0, 0));
        assert!(is_endless(&metric(json!({"interval": "1m"}))));
        assert!(!is_endless(&metric(json!({"interval": "1m", "count": "{{args.count}}"}))));
    }

    #[test]
    fn mistakes_are_named() {
        for (json, why) in [
            (json!({"consecutiveSuccessLimit": -1}), "consecutiveSuccessLimit must be >= 0"),
            (json!({"failureLimit": -2}), "failureLimit must be >= -1"),
            (
                json!({"failureLimit": -1}),
                "failureLimit and consecutiveSuccessLimit must not both be disabled",
            ),
            (json!({"inconclusiveLimit": -1}), "inconclusiveLimit must be >= 0"),
            (json!({"consecutiveErrorLimit": -1}), "consecutiveErrorLimit must be >= 0"),
            (
                json!({"count": 3, "interval": "1s", "failureLimit": 2, "consecutiveSuccessLimit": 2}),
                "count must be >= failureLimit + consecutiveSuccessLimit",
            ),
            (
                json!({"count": 3, "interval": "1s", "failureLimit": -1, "consecutiveSuccessLimit": 4}),
                "count must be >= consecutiveSuccessLimit",
            ),
            (json!({"count": 1, "inconclusiveLimit": 2}), "count must be >= inconclusiveLimit"),
            (json!({"count": 2}), "interval must be specified when count > 1"),
            (json!({"interval": "1"}), "invalid interval string: time: missing unit in duration \"1\""),
            (json!({"initialDelay": "soon"}), "invalid startDelay string: time: invalid duration \"soon\""),
            (json!({"provider": {}}), "no provider specified"),
            (json!({"provider": {"web": {"url": "u"}, "plugin": {"p": {}}}}), "multiple providers specified"),
        ] {
            assert_eq!(validate(&[metric(json)]), Err(format!("metrics[0]: {why}")));
        }
        assert_eq!(validate(&[]), Err("no metrics specified".into()));
        let twice = [metric(json!({})), metric(json!({}))];
        assert_eq!(validate(&twice), Err("metrics[1]: duplicate name 'm'".into()));
        assert_eq!(validate(&twice[..1]), Ok(()));
    }
}
