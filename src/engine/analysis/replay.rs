//! What a run that was measured comes to when it is judged again, by its own terms or by those of another template.
//!
//! Input: a run with its status, and perhaps another spec. Output: for each metric what was recorded and what follows from
//! that now. Nothing is asked of anybody: the judge goes by what it wrote down, other metrics by the values that are kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;
use tidegate_api::analysis::{
    AnalysisPhase, AnalysisRun, JUDGE_PLUGIN, Measurement, Metric, MetricProvider, MetricResult,
};

use super::args::SECRET_PLACEHOLDER;
use super::resolve::{self, ResolvedMetric};
use super::{assess, condition, missing, redact};
use crate::judge::words;
use crate::metric::{MetricValue, is_hollow, judge};

/// One metric, judged again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    pub metric: String,
    /// Whether the built-in judge was asked.
    pub is_judge: bool,
    /// One for each measurement that is kept.
    pub measurements: Vec<Again>,
    /// Why it cannot be judged again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One measurement, judged again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    pub recorded: AnalysisPhase,
    pub replayed: AnalysisPhase,
    /// Seconds from the beginning of the judgement to the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// What was recorded holds several looks together, or was rounded, so that the verdict may be a little off.
    pub is_approximate: bool,
    /// The measurement was ended before it had a verdict.
    pub was_cut_short: bool,
    pub said: String,
}

impl Again {
    /// Whether the same follows as was recorded. What was ended early has no verdict to compare.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.recorded == self.replayed || self.was_cut_short && !self.replayed.is_completed()
    }
}

/// Judges a run again; by the metrics and arguments of `other`, where there are any, and by its own where not.
///
/// # Errors
/// Fails when the arguments or the metrics of the spec are wrong.
pub fn replay(run: &AnalysisRun, other: Option<&AnalysisRun>) -> Result<Vec<Replayed>, String> {
    let AnalysisRun { spec, metadata: ObjectMeta { annotations, .. }, .. } = other.unwrap_or(run).clone();
    let metadata = ObjectMeta { annotations, ..run.metadata.clone() };
    let judged_by = AnalysisRun { spec, metadata, status: run.status.clone() };
    let metrics = resolve::resolve(&judged_by)?.metrics;
    let measured = written(run, other.is_some());
    let results = run.status.iter().flat_map(|status| &status.metric_results);
    let again = |result: &MetricResult| {
        let is_judge =
            result.measurements.iter().any(|measurement| measurement.metadata.contains_key(JUDGE_PLUGIN));
        let empty =
            Replayed { metric: result.name.clone(), is_judge, measurements: Vec::new(), trouble: None };
        let judged = match metric_for(&metrics, result, is_judge) {
            Ok(found) if is_judge => by_judge(&judged_by, &found.metric, result, other.is_some()),
            Ok(found) => {
                let provider = measured.iter().find(|metric| metric.name == result.name);
                by_conditions(found, provider.map_or(&found.metric.provider, |own| &own.provider), result)
            }
            Err(why) => Err(why),
        };
        match judged {
            Ok(measurements) => Replayed { measurements, ..empty },
            Err(why) => Replayed { trouble: Some(why), ..empty },
        }
    };
    Ok(results.map(again).collect())
}

/// The metrics that a run was measured by, where others judge it: each provider writes values in its own way.
fn written(run: &AnalysisRun, is_judged_by_others: bool) -> Vec<Metric> {
    if is_judged_by_others { resolve::metrics_of(run).unwrap_or_default() } else { Vec::new() }
}

/// The metric that judges a result: that of its name, or the only one that asks the judge.
fn metric_for<'m>(
    metrics: &'m [ResolvedMetric],
    result: &MetricResult,
    is_judge: bool,
) -> Result<&'m ResolvedMetric, String> {
    let fits = |found: &&ResolvedMetric| found.metric.provider.judge().is_some() == is_judge;
    if let Some(found) = metrics.iter().filter(fits).find(|found| found.metric.name == result.name) {
        return Ok(found);
    }
    let mut judges = metrics.iter().filter(fits).filter(|_| is_judge);
    match (judges.next(), judges.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err("several metrics ask the judge, none by this name".to_owned()),
        (None, _) => Err("there is no such metric".to_owned()),
    }
}

fn by_judge(
    run: &AnalysisRun,
    metric: &Metric,
    result: &MetricResult,
    on_other_terms: bool,
) -> Result<Vec<Again>, String> {
    let terms = judge::source(run, metric)?.terms;
    let again = |measurement: &Measurement| {
        let Some(judgement) = judge::recorded(measurement)? else { return Ok(None) };
        let (ruling, seconds) = match on_other_terms {
            true => judgement.on_other_terms(&terms),
            false => (judgement.ruling(&terms), judgement.seconds),
        };
        let said = match on_other_terms {
            true => words::word(ruling).to_owned(),
            false => words::say(&judgement, &terms, ruling),
        };
        Ok(Some(Again {
            recorded: measurement.phase.unwrap_or(AnalysisPhase::Running),
            replayed: judge::phase(ruling),
            seconds: Some(seconds),
            is_approximate: on_other_terms && judgement.timeline.every > 1,
            was_cut_short: measurement.message == assess::TERMINATED,
            said,
        }))
    };
    result.measurements.iter().filter_map(|measurement| again(measurement).transpose()).collect()
}

/// Judges the values that are kept, as their provider wrote them. What had no value had an error, and has it still; what waits
/// for data has no verdict.
fn by_conditions(
    found: &ResolvedMetric,
    provider: &MetricProvider,
    result: &MetricResult,
) -> Result<Vec<Again>, String> {
    let ResolvedMetric { metric, terms, .. } = found;
    if let Some(why) = own_verdict(provider).or_else(|| own_verdict(&metric.provider)) {
        return Err(why.to_owned());
    }
    let conditions = metric.success_condition.iter().chain(&metric.failure_condition);
    if conditions.into_iter().any(|condition| condition.contains(SECRET_PLACEHOLDER)) {
        return Err("a condition has an argument from a Secret, which is not read here".to_owned());
    }
    let is_rounded = provider.graphite.is_some() || provider.wavefront.is_some();
    // The values have the type that who measured them gave them.
    let metric = &Metric { provider: provider.clone(), ..metric.clone() };
    let has_value = |measurement: &&Measurement| !measurement.value.is_empty();
    let valued = result.measurements.iter().filter(has_value).filter(|last| !missing::is_waiting(last));
    let again = |measurement: &Measurement| -> Result<Option<Again>, String> {
        let Some(finished) = &measurement.finished_at else { return Ok(None) };
        let verdict = condition::judge(metric, &value(provider, &measurement.value)?, finished.0);
        let judged = missing::measurement(*terms, metric, verdict, None, Measurement::default());
        let rounded = if is_rounded { " (rounded)" } else { "" };
        Ok(Some(Again {
            recorded: measurement.phase.unwrap_or(AnalysisPhase::Running),
            replayed: judged.phase.unwrap_or(AnalysisPhase::Error),
            seconds: None,
            is_approximate: is_rounded,
            was_cut_short: false,
            said: format!("{}{rounded} {}", measurement.value, judged.message).trim_end().to_owned(),
        }))
    };
    valued.filter_map(|measurement| again(measurement).transpose()).collect()
}

/// Why conditions have no say in what a provider comes to, if that is so.
fn own_verdict(provider: &MetricProvider) -> Option<&'static str> {
    if provider.job.is_some() {
        Some("a Job's end is its verdict")
    } else if provider.kayenta.is_some() {
        Some("Kayenta's score is its verdict")
    } else {
        None
    }
}

/// A value out of the text that its provider writes.
///
/// # Errors
/// Says why the text is not all that conditions saw.
fn value(provider: &MetricProvider, text: &str) -> Result<MetricValue, String> {
    if text.ends_with(redact::CUT) {
        return Err("a value was too long to be kept as a whole".to_owned());
    }
    if text.contains(redact::STARS) {
        return Err("a secret in a value was hidden".to_owned());
    }
    let json = || serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    if provider.web.is_some() {
        Ok(MetricValue::Json(json()))
    } else if provider.new_relic.is_some() {
        let rows = json();
        let is_hollow = rows.as_array().map_or_else(|| is_hollow(&rows), |rows| rows.iter().any(is_hollow));
        Ok(if is_hollow { MetricValue::Hollow(rows) } else { MetricValue::Json(rows) })
    } else if provider.skywalking.is_some() {
        let data = json();
        Ok(if is_hollow(&data) { MetricValue::Hollow(data) } else { MetricValue::Json(data) })
    } else if provider.cloud_watch.is_some() {
        Err("of CloudWatch's answer only the numbers are kept, and conditions see all of it".to_owned())
    } else if provider.datadog.is_some() {
        // Whatever is written where there is no data, conditions see nil.
        let found = numbers(text, ',').filter(|value| !value.is_empty());
        Ok(found.unwrap_or(MetricValue::Json(Value::Null)))
    } else if provider.influxdb.is_some() {
        let why = "InfluxDB's values are kept without what tells texts from flags and numbers";
        numbers(text, ' ').ok_or_else(|| why.to_owned())
    } else {
        numbers(text, ',').ok_or_else(|| format!("{text:?} is no number, and no list of numbers"))
    }
}

/// A number, or numbers in brackets.
fn numbers(text: &str, separator: char) -> Option<MetricValue> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inside {
        None => number(text).map(MetricValue::Number),
        Some("") => Some(MetricValue::Samples(Vec::new())),
        Some(inside) => {
            inside.split(separator).map(number).collect::<Option<Vec<f64>>>().map(MetricValue::Samples)
        }
    }
}

/// A number as Go and InfluxDB write it.
fn number(text: &str) -> Option<f64> {
    match text.trim() {
        "NaN" | "<nil>" => Some(f64::NAN),
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(status: Value) -> AnalysisRun {
        let prometheus = json!({"prometheus": {"query": "q"}});
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "r"},
            "spec": {"metrics": [
                {"name": "rate", "successCondition": "result[0] >= 0.95", "provider": prometheus},
                {"name": "job", "provider": {"job": {"spec": {}}}},
            ]},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn values_that_are_kept_are_judged_again() {
        let measured = |value: &str, phase: &str| json!({"value": value, "phase": phase, "finishedAt": "2026-01-01T00:00:00Z"});
        let status = json!({"metricResults": [
            {"name": "rate", "measurements": [
                measured("[0.97]", "Successful"), measured("[0.9]", "Failed"), measured("[]", "Error"),
                measured("", "Error"), measured("[0.91]", "Successful"),
            ]},
            {"name": "job", "measurements": [measured("", "Failed")]},
            {"name": "gone", "measurements": []},
        ]});
        let mut run = run(status);
        let replayed = replay(&run, None).unwrap();
        let same: Vec<bool> = replayed[0].measurements.iter().map(Again::is_same).collect();
        assert_eq!(same, [true, true, true, false]);
        assert_eq!(replayed[1].trouble.as_deref(), Some("a Job's end is its verdict"));
        assert_eq!(replayed[2].trouble.as_deref(), Some("there is no such metric"));
        let mut other = run.clone();
        other.spec.metrics[0].success_condition = Some("result[0] >= 0.5".into());
        let phases = replay(&run, Some(&other)).unwrap();
        let phases: Vec<_> = phases[0].measurements.iter().map(|again| again.replayed.as_str()).collect();
        assert_eq!(phases, ["Successful", "Successful", "Error", "Successful"]);
        run.spec.metrics.clear();
        assert!(replay(&run, None).is_err());
    }

    /// A run of one metric that measured one value.
    fn measured(provider: &Value, condition: &str, text: &str) -> AnalysisRun {
        serde_json::from_value(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "r"},
            "spec": {"metrics": [{"name": "m", "successCondition": condition, "provider": provider}]},
            "status": {"metricResults": [{"name": "m", "measurements": [
                {"value": text, "phase": "Successful", "finishedAt": "2026-01-01T00:00:00Z"},
            ]}]},
        }))
        .unwrap()
    }

    fn verdict(run: &AnalysisRun, other: Option<&AnalysisRun>) -> Result<String, String> {
        let Replayed { measurements, trouble, .. } = replay(run, other).unwrap().remove(0);
        trouble.map_or_else(|| Ok(measurements[0].replayed.as_str().to_owned()), Err)
    }

    #[test]
    fn values_are_read_as_their_provider_wrote_them() {
        for (provider, condition, text, wanted) in [
            ("web", "result.ok", r#"{"ok":true}"#, "Successful"),
            ("web", "result[0] == 1", "[1]", "Successful"),
            ("web", "result == 1", "[1]", "Error"),
            ("web", "result == 1", "2", "Failed"),
            ("web", "result == 'busy'", "busy", "Successful"),
            ("web", "isNil(result)", "null", "Successful"),
            ("newRelic", "result.a < 5", r#"{"a":1}"#, "Successful"),
            ("newRelic", "result.a != 5", r#"{"a":null}"#, "Error"),
            ("newRelic", "result[0].a == 1", r#"[{"a":1},{"a":null}]"#, "Error"),
            ("skywalking", "result.a.b == 1", r#"{"a":{"b":1},"c":null}"#, "Successful"),
            ("skywalking", "result.a != 5", r#"{"a":null}"#, "Error"),
            ("datadog", "result < 1", "0.5", "Successful"),
            ("datadog", "default(result, 0) < 1", "[]", "Successful"),
            ("datadog", "default(result, 0) < 1", "[null]", "Successful"),
            ("datadog", "default(result, 0) < 1", "null", "Successful"),
            ("datadog", "result[0] < 1", "[]", "Error"),
            ("datadog", "all(result, # < 3)", "[0.5,2]", "Successful"),
            ("influxdb", "result[1] > 100000", "[0.95 1e+06 3]", "Successful"),
            ("influxdb", "result[0] > 0.1", "[0.5 <nil>]", "Error"),
            ("graphite", "result[0] < 3.5", "[3.000000,2.500000]", "Successful"),
            ("wavefront", "result < 0.2", "0.12", "Successful"),
            ("wavefront", "result[1] > 1", "[0.12,2.00]", "Successful"),
            ("prometheus", "result > 1", "+Inf", "Successful"),
        ] {
            let run = measured(&json!({provider: {}}), condition, text);
            assert_eq!(verdict(&run, None).as_deref(), Ok(wanted), "{provider}: {condition} of {text}");
        }
        // Whoever judges: it is the provider of the run that wrote the value.
        let run = measured(&json!({"datadog": {}}), "result < 1", "[]");
        let other = measured(&json!({"prometheus": {}}), "default(result, 0) < 1", "");
        assert_eq!(verdict(&run, Some(&other)).as_deref(), Ok("Successful"));
        let is_approximate = |provider: &str| {
            let run = measured(&json!({provider: {}}), "result < 0.2", "0.12");
            replay(&run, None).unwrap().remove(0).measurements.remove(0).is_approximate
        };
        assert!(is_approximate("wavefront") && !is_approximate("prometheus"));
    }

    #[test]
    fn what_is_not_all_that_was_measured_is_not_judged_again() {
        for (provider, text, wanted) in [
            ("kayenta", "94", "Kayenta's score is its verdict"),
            (
                "cloudWatch",
                "[[0.5 1e+06] [0.02]]",
                "of CloudWatch's answer only the numbers are kept, and conditions see all of it",
            ),
            (
                "influxdb",
                "[ok true]",
                "InfluxDB's values are kept without what tells texts from flags and numbers",
            ),
            ("prometheus", "[0.97,0.9…", "a value was too long to be kept as a whole"),
            ("web", "{\"name\":\"shop…", "a value was too long to be kept as a whole"),
            ("web", "{\"auth\":\"Bearer *****\"}", "a secret in a value was hidden"),
            ("graphite", "many", "\"many\" is no number, and no list of numbers"),
        ] {
            let run = measured(&json!({provider: {}}), "result != 5", text);
            assert_eq!(verdict(&run, None), Err(wanted.to_owned()), "{provider}: {text}");
        }
        let mut run = measured(&json!({"prometheus": {}}), "result < {{args.limit}}", "3");
        run.spec.args = serde_json::from_value(json!([
            {"name": "limit", "valueFrom": {"secretKeyRef": {"name": "limits", "key": "errors"}}},
        ]))
        .unwrap();
        let wanted = "a condition has an argument from a Secret, which is not read here";
        assert_eq!(verdict(&run, None), Err(wanted.to_owned()));
        let run = measured(&json!({"kayenta": {}}), "", "94");
        let other = measured(&json!({"prometheus": {}}), "result > 50", "");
        assert_eq!(verdict(&run, Some(&other)), Err("Kayenta's score is its verdict".to_owned()));
    }
}
