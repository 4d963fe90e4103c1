//! The numbers that bound a metric.
//!
//! Input: a metric with its arguments filled in. Output: plain numbers with their defaults. Whether they make sense together
//! is checked before.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::Metric;
use tidegate_api::go_duration;

use super::args::{self, Values};

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

/// What is told of the count of a metric that goes on until something ends it, once these arguments are filled in.
///
/// Nothing is told of a metric that ends, nor of one whose count or interval names an argument that is not known yet.
pub(crate) fn endless_count(metric: &Metric, values: &Values) -> Option<String> {
    let fill = |text: &str| args::fill_text(text, values).ok();
    let count = match &metric.count {
        Some(IntOrString::String(text)) => Some(IntOrString::String(fill(text)?)),
        known => known.clone(),
    };
    let interval = match &metric.interval {
        Some(text) => Some(fill(text)?),
        None => None,
    };
    let bounds = Metric { count, interval, ..Metric::default() };
    Limits::of(&bounds).count.is_none().then(|| shown(bounds.count.as_ref()))
}

/// A number as Go tells it.
fn shown(number: Option<&IntOrString>) -> String {
    match number {
        None => "<nil>".to_owned(),
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(text)) => text.clone(),
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
    }

    #[test]
    fn a_count_that_comes_to_nothing_has_no_end() {
        let texts = [("none", "0"), ("empty", ""), ("word", "many"), ("some", "3"), ("minute", "1m")];
        let values: Values = texts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (json, told) in [
            (json!({}), None),
            (json!({"count": 0}), None),
            (json!({"count": "{{args.none}}"}), None),
            (json!({"interval": "1m"}), Some("<nil>")),
            (json!({"interval": "{{args.minute}}"}), Some("<nil>")),
            (json!({"interval": "{{args.empty}}"}), None),
            (json!({"interval": "1m", "count": 0}), Some("0")),
            (json!({"interval": "1m", "count": "0"}), Some("0")),
            (json!({"interval": "1m", "count": "often"}), Some("often")),
            (json!({"interval": "1m", "count": "{{args.none}}"}), Some("0")),
            (json!({"interval": "1m", "count": "{{ args.word }}"}), Some("many")),
            (json!({"interval": "1m", "count": "{{args.empty}}"}), Some("")),
            (json!({"interval": "1m", "count": "{{args.some}}"}), None),
            (json!({"interval": "1m", "count": "{{args.later}}"}), None),
            (json!({"interval": "{{args.later}}"}), None),
        ] {
            assert_eq!(endless_count(&metric(json.clone()), &values).as_deref(), told, "{json}");
        }
    }
}
