//! What a run's spec says once its arguments are filled in: metrics, and the rules that apply to each.
//!
//! Input: a run. Output: checked metrics with everything but the values of Secrets, or the message with which
//! the run ends as Error.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use tidegate_api::analysis::{AnalysisRun, Metric};
use tidegate_api::valid::validate_metrics;

use super::args::{self, SecretValues, Secrets};
use super::terms::{self, Terms};

/// Measurements that are kept of each metric when no rule says otherwise.
const DEFAULT_KEPT: usize = 10;

/// A run's spec, ready to be acted on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) metrics: Vec<ResolvedMetric>,
}

/// One metric with its rules.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ResolvedMetric {
    /// The metric; where a Secret's value belongs there is a placeholder.
    pub(super) metric: Metric,
    /// Measured without effect on the run.
    pub(super) dry_run: bool,
    /// Measurements to keep.
    pub(super) kept: usize,
    /// What to do where data is missing.
    pub(super) terms: Terms,
}

/// Fills in the arguments and applies the rules of a run.
pub(super) fn resolve(run: &AnalysisRun) -> Result<Resolved, String> {
    let unresolved = |why: String| format!("Unable to resolve metric arguments: {why}");
    let invalid = |why: String| format!("Analysis spec invalid: {why}");
    let values = args::values(&run.spec.args, &SecretValues::Hidden).map_err(unresolved)?;
    let metrics: Result<Vec<Metric>, String> =
        run.spec.metrics.iter().map(|metric| args::substitute(metric, &values)).collect();
    let metrics = metrics.map_err(unresolved)?;
    validate_metrics(&metrics).map_err(invalid)?;
    let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();

    let patterns = run.spec.dry_run.iter().map(|rule| rule.metric_name.as_str());
    let dry_run = matches("dryRun", patterns, &names).map_err(invalid)?;
    let patterns = run.spec.measurement_retention.iter().map(|rule| rule.metric_name.as_str());
    let retention = matches("measurementRetention", patterns, &names).map_err(invalid)?;

    let annotations = run.metadata.annotations.as_ref();
    let terms = match annotations {
        Some(annotations) => terms::of(annotations, &metrics, &run.spec.metrics)
            .map_err(|faults| invalid(terms::first(&faults)))?,
        None => vec![Terms::default(); metrics.len()],
    };
    let resolved = metrics.iter().zip(terms).map(|(metric, terms)| {
        let rule =
            retention.get(metric.name.as_str()).and_then(|rule| run.spec.measurement_retention.get(*rule));
        let kept = rule.and_then(|rule| usize::try_from(rule.limit).ok()).filter(|limit| *limit > 0);
        ResolvedMetric {
            metric: metric.clone(),
            dry_run: dry_run.contains_key(metric.name.as_str()),
            kept: kept.unwrap_or(DEFAULT_KEPT),
            terms,
        }
    });
    Ok(Resolved { metrics: resolved.collect() })
}

/// The metrics of a run with the arguments filled in, and placeholders for the values of Secrets.
///
/// # Errors
/// Fails with the message that such a run ends with.
pub(crate) fn metrics_of(run: &AnalysisRun) -> Result<Vec<Metric>, String> {
    Ok(resolve(run)?.metrics.into_iter().map(|resolved| resolved.metric).collect())
}

/// Names of the metrics that a run measures without effect, also before it has begun: up to the first rule that applies to
/// none, which the run ends with.
#[must_use]
pub fn dry_run_metrics(run: &AnalysisRun) -> BTreeSet<&str> {
    let names: Vec<&str> = run.spec.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let rules = run.spec.dry_run.iter().map(|rule| matching(&rule.metric_name, &names));
    rules.take_while(|named| !named.is_empty()).flatten().collect()
}

/// Fills the values of Secrets into the metrics that are about to be measured.
pub(super) fn reveal(run: &AnalysisRun, secrets: &Secrets) -> Result<Vec<Metric>, String> {
    let values = args::values(&run.spec.args, &SecretValues::Fetched(secrets))?;
    run.spec.metrics.iter().map(|metric| args::substitute(metric, &values)).collect()
}

/// Which rule applies to which metric, the last one first; a rule that applies to none is a mistake.
///
/// Patterns are regular expressions that match anywhere in the name.
fn matches<'a>(
    field: &str,
    patterns: impl Iterator<Item = &'a str>,
    names: &[&'a str],
) -> Result<BTreeMap<&'a str, usize>, String> {
    let mut found = BTreeMap::new();
    for (index, pattern) in patterns.enumerate() {
        let matching = matching(pattern, names);
        if matching.is_empty() {
            return Err(format!("{field}[{index}]: Rule didn't match any metric name(s)"));
        }
        found.extend(matching.into_iter().map(|name| (name, index)));
    }
    Ok(found)
}

/// A pattern of Go's, in which `\Q` begins a text that stands for itself and `\E` ends it.
/// <https://github.com/google/re2/wiki/Syntax>
fn without_quotes(pattern: &str) -> String {
    let (mut plain, mut rest) = (String::new(), pattern);
    while let Some((at, escape)) = rest.match_indices('\\').next().map(|(at, _)| (at, &rest[at..])) {
        plain.push_str(&rest[..at]);
        if let Some(quoted) = escape.strip_prefix("\\Q") {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            plain.push_str(&regex::escape(text));
            rest = after;
        } else {
            // What is escaped is one character, and may be a backslash itself.
            let end = escape.chars().take(2).map(char::len_utf8).sum();
            plain.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    plain + rest
}

/// The names that a pattern matches; one that is no regular expression matches none.
fn matching<'a>(pattern: &str, names: &[&'a str]) -> Vec<&'a str> {
    match Regex::new(&without_quotes(pattern)) {
        Ok(pattern) => names.iter().copied().filter(|name| pattern.is_match(name)).collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_quoted_pattern_stands_for_itself() {
        for (pattern, wanted) in [
            (r"\Qa.b\E", vec!["a.b"]),
            (r"\Qa.b", vec!["a.b"]),
            (r"a.b", vec!["a.b", "axb"]),
            (r"^\Qa.\E.$", vec!["a.b"]),
            (r"\\Q", vec!["\\Q"]),
            ("a\\", vec![]),
        ] {
            assert_eq!(matching(pattern, &["a.b", "axb", "\\Q"]), wanted, "{pattern}");
        }
    }

    fn run(mut spec: Value) -> AnalysisRun {
        if spec.get("metrics").is_none() {
            let provider = json!({"prometheus": {"query": "{{args.q}}"}});
            spec["metrics"] = json!([{"name": "error-rate", "provider": provider}, {"name": "latency", "provider": provider}]);
        }
        if spec.get("args").is_none() {
            spec["args"] = json!([{"name": "q", "value": "up"}]);
        }
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "r"}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn rules_match_anywhere_in_the_name() {
        let spec = json!({
            "dryRun": [{"metricName": "rate"}],
            "measurementRetention": [{"metricName": "^l.*y$", "limit": 3}, {"metricName": "error", "limit": 0}],
        });
        let resolved = resolve(&run(spec)).unwrap();
        let rules: Vec<_> = resolved.metrics.iter().map(|metric| (metric.dry_run, metric.kept)).collect();
        assert_eq!(rules, [(true, 10), (false, 3)]);
    }

    #[test]
    fn dry_metrics_are_known_before_a_run_begins() {
        for (rules, wanted) in [
            (json!([]), Vec::new()),
            (json!([{"metricName": "rate"}]), vec!["error-rate"]),
            (json!([{"metricName": ".*"}]), vec!["error-rate", "latency"]),
            (json!([{"metricName": "rate"}, {"metricName": "("}, {"metricName": ".*"}]), vec!["error-rate"]),
        ] {
            let run = run(json!({"dryRun": rules}));
            assert_eq!(dry_run_metrics(&run).into_iter().collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (spec, wanted) in [
            (json!({"args": []}), "Unable to resolve metric arguments: failed to resolve {{args.q}}"),
            (
                json!({"args": [{"name": "q"}]}),
                "Unable to resolve metric arguments: argument \"q\" was not supplied",
            ),
            (json!({"metrics": []}), "Analysis spec invalid: no metrics specified"),
            (
                json!({"metrics": [{"name": "m", "failureLimit": -2, "provider": {"web": {"url": "u"}}}]}),
                "Analysis spec invalid: metrics[0]: failureLimit must be >= 0, or -1 to be disabled",
            ),
            (
                json!({"dryRun": [{"metricName": ".*"}, {"metricName": "none"}]}),
                "Analysis spec invalid: dryRun[1]: Rule didn't match any metric name(s)",
            ),
            (
                json!({"measurementRetention": [{"metricName": "(", "limit": 1}]}),
                "Analysis spec invalid: measurementRetention[0]: Rule didn't match any metric name(s)",
            ),
        ] {
            assert_eq!(resolve(&run(spec)), Err(wanted.to_owned()));
        }
    }
}
