//! The numbers that bound a metric.
//!
//! Input: a metric with its arguments filled in. Output: plain numbers with their defaults. Whether they make sense together
//! is checked before.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::Metric;
use tidegate_api::go_duration;

/// Errors in a row that a metric bears when it does not say.
const DEFAULT_CONSECUTIVE_ERROR_LIMIT: i32 = 4;

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
}
