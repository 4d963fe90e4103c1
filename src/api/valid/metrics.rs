//! Rules of the metrics of an analysis that need nothing but the metrics.

use super::percent::int_value;
use crate::analysis::{Metric, MetricProvider};
use crate::go_duration;
use std::collections::BTreeSet;

/// Checks metrics whose arguments are resolved, with upstream's texts.
///
/// # Errors
/// Fails with the first thing that is wrong, such as
/// `metrics[0]: interval must be specified when count > 1`.
pub fn validate_metrics(metrics: &[Metric]) -> Result<(), String> {
    if metrics.is_empty() {
        return Err("no metrics specified".to_owned());
    }
    let mut names = BTreeSet::new();
    for (index, metric) in metrics.iter().enumerate() {
        if !names.insert(&metric.name) {
            return Err(format!("metrics[{index}]: duplicate name '{}'", metric.name));
        }
        check(metric).map_err(|problem| format!("metrics[{index}]: {problem}"))?;
    }
    Ok(())
}

fn check(metric: &Metric) -> Result<(), String> {
    check_limits(metric)?;
    let count = metric.count.as_ref().map_or(0, int_value);
    let interval = metric.interval.as_deref().unwrap_or_default();
    if count > 1 && interval.is_empty() {
        return Err("interval must be specified when count > 1".to_owned());
    }
    check_duration(interval).map_err(|problem| format!("invalid interval string: {problem}"))?;
    let delay = metric.initial_delay.as_deref().unwrap_or_default();
    // Upstream's text has the name the field had once.
    check_duration(delay).map_err(|problem| format!("invalid startDelay string: {problem}"))?;
    match providers(&metric.provider) {
        0 => Err("no provider specified".to_owned()),
        1 => Ok(()),
        _ => Err("multiple providers specified".to_owned()),
    }
}

fn check_limits(metric: &Metric) -> Result<(), String> {
    let number = |limit: &Option<_>| limit.as_ref().map_or(0, int_value);
    let failure = number(&metric.failure_limit);
    let success = number(&metric.consecutive_success_limit);
    let inconclusive = number(&metric.inconclusive_limit);
    let count = number(&metric.count);
    let problem = if success < 0 {
        "consecutiveSuccessLimit must be >= 0"
    } else if failure < -1 {
        "failureLimit must be >= 0, or -1 to be disabled"
    } else if success == 0 && failure == -1 {
        "failureLimit and consecutiveSuccessLimit cannot both be disabled"
    } else if inconclusive < 0 {
        "inconclusiveLimit must be >= 0"
    } else if number(&metric.consecutive_error_limit) < 0 {
        "consecutiveErrorLimit must be >= 0"
    } else if count <= 0 {
        return Ok(());
    } else if failure >= 0 && i64::from(count) < i64::from(failure) + i64::from(success) {
        return Err(format!(
            "count ({count}) must be >= failureLimit + consecutiveSuccessLimit ({failure} + {success}) if both >= 0"
        ));
    } else if failure < 0 && count < success {
        "count must be >= consecutiveSuccessLimit"
    } else if count < inconclusive {
        "count must be >= inconclusiveLimit"
    } else {
        return Ok(());
    };
    Err(problem.to_owned())
}

fn check_duration(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { go_duration::parse_nanoseconds(text).map(|_| ()) }
}

/// Counts the providers; each plugin is one.
fn providers(provider: &MetricProvider) -> usize {
    let set = [
        provider.prometheus.is_some(),
        provider.kayenta.is_some(),
        provider.web.is_some(),
        provider.datadog.is_some(),
        provider.wavefront.is_some(),
        provider.new_relic.is_some(),
        provider.job.is_some(),
        provider.cloud_watch.is_some(),
        provider.graphite.is_some(),
        provider.influxdb.is_some(),
        provider.skywalking.is_some(),
    ];
    set.into_iter().filter(|set| *set).count() + provider.plugin.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn verdict(change: Value) -> Result<(), String> {
        let mut metric = json!({"name": "success-rate", "provider": {"prometheus": {"query": "up"}}});
        for (key, value) in change.as_object().unwrap() {
            metric[key] = value.clone();
        }
        validate_metrics(&[serde_json::from_value(metric).unwrap()])
    }

    #[test]
    fn every_rule_has_upstreams_text() {
        for (change, want) in [
            (json!({"consecutiveSuccessLimit": -1}), "consecutiveSuccessLimit must be >= 0"),
            (json!({"failureLimit": -2}), "failureLimit must be >= 0, or -1 to be disabled"),
            (json!({"failureLimit": -1}), "failureLimit and consecutiveSuccessLimit cannot both be disabled"),
            (json!({"inconclusiveLimit": -1}), "inconclusiveLimit must be >= 0"),
            (json!({"consecutiveErrorLimit": -1}), "consecutiveErrorLimit must be >= 0"),
            (
                json!({"count": 3, "interval": "1s", "failureLimit": 2, "consecutiveSuccessLimit": "2"}),
                "count (3) must be >= failureLimit + consecutiveSuccessLimit (2 + 2) if both >= 0",
            ),
            (
                json!({"count": 3, "interval": "1s", "failureLimit": -1, "consecutiveSuccessLimit": 4}),
                "count must be >= consecutiveSuccessLimit",
            ),
            (json!({"count": 1, "inconclusiveLimit": 2}), "count must be >= inconclusiveLimit"),
            (json!({"count": 2}), "interval must be specified when count > 1"),
            (
                json!({"interval": "1d"}),
                "invalid interval string: time: unknown unit \"d\" in duration \"1d\"",
            ),
            (json!({"initialDelay": "5"}), "invalid startDelay string: time: missing unit in duration \"5\""),
            (json!({"provider": {}}), "no provider specified"),
            (json!({"provider": {"prometheus": {}, "web": {"url": "x"}}}), "multiple providers specified"),
            (json!({"provider": {"plugin": {"a/b": {}, "c/d": {}}}}), "multiple providers specified"),
        ] {
            assert_eq!(verdict(change.clone()), Err(format!("metrics[0]: {want}")), "{change}");
        }
    }

    #[test]
    fn usual_metrics_pass() {
        for change in [
            json!({}),
            json!({"count": 5, "interval": "30s", "failureLimit": 3}),
            json!({"interval": "1m", "initialDelay": "1h2m"}),
            json!({"count": "{{args.count}}"}),
            json!({"failureLimit": -1, "consecutiveSuccessLimit": 3, "interval": "1s"}),
            json!({"provider": {"plugin": {"a/b": {}}}}),
        ] {
            assert_eq!(verdict(change.clone()), Ok(()), "{change}");
        }
    }

    #[test]
    fn the_list_itself_is_checked() {
        assert_eq!(validate_metrics(&[]), Err("no metrics specified".to_owned()));
        let one: Metric =
            serde_json::from_value(json!({"name": "a", "provider": {"prometheus": {"query": "up"}}}))
                .unwrap();
        assert_eq!(validate_metrics(&[one.clone(), one]), Err("metrics[1]: duplicate name 'a'".to_owned()));
    }
}
