//! What a run that was measured comes to when it is judged again, by its own terms or by those of another template.
//!
//! Input: a run with its status, and perhaps another spec. Output: for each metric what was recorded and what follows from
//! that now. Nothing is asked of anybody: the judge goes by what it wrote down, other metrics by the values that are kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, JUDGE_PLUGIN, Measurement, Metric, MetricResult};

use super::resolve::{self, ResolvedMetric};
use super::{assess, condition, missing};
use crate::judge::words;
use crate::metric::{MetricValue, judge};

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
    /// What was recorded holds several looks together, so that other terms may be a little off.
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
    let results = run.status.iter().flat_map(|status| &status.metric_results);
    let again = |result: &MetricResult| {
        let is_judge =
            result.measurements.iter().any(|measurement| measurement.metadata.contains_key(JUDGE_PLUGIN));
        let empty =
            Replayed { metric: result.name.clone(), is_judge, measurements: Vec::new(), trouble: None };
        let judged = match metric_for(&metrics, result, is_judge) {
            Ok(found) if is_judge => by_judge(&judged_by, &found.metric, result, other.is_some()),
            Ok(found) => by_conditions(found, result),
            Err(why) => Err(why),
        };
        match judged {
            Ok(measurements) => Replayed { measurements, ..empty },
            Err(why) => Replayed { trouble: Some(why), ..empty },
        }
    };
    Ok(results.map(again).collect())
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

/// Judges the values that are kept. What had no value had an error, and has it still; what waits for data has no verdict.
fn by_conditions(found: &ResolvedMetric, result: &MetricResult) -> Result<Vec<Again>, String> {
    let ResolvedMetric { metric, terms, .. } = found;
    if metric.provider.job.is_some() {
        return Err("a Job's end is its verdict".to_owned());
    }
    let has_value = |measurement: &&Measurement| !measurement.value.is_empty();
    let valued = result.measurements.iter().filter(has_value).filter(|last| !missing::is_waiting(last));
    let again = |measurement: &Measurement| {
        let at = measurement.finished_at.as_ref()?.0;
        let verdict = condition::judge(metric, &value(&measurement.value), at);
        let judged = missing::measurement(*terms, metric, verdict, None, Measurement::default());
        Some(Again {
            recorded: measurement.phase.unwrap_or(AnalysisPhase::Running),
            replayed: judged.phase.unwrap_or(AnalysisPhase::Error),
            seconds: None,
            is_approximate: false,
            was_cut_short: false,
            said: format!("{} {}", measurement.value, judged.message).trim_end().to_owned(),
        })
    };
    Ok(valued.filter_map(again).collect())
}

/// A value as providers write it: a number, numbers in brackets, or JSON.
fn value(text: &str) -> MetricValue {
    let number = |text: &str| match text.trim() {
        "NaN" => Some(f64::NAN),
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse::<f64>().ok(),
    };
    if let Some(number) = number(text) {
        return MetricValue::Number(number);
    }
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let samples: Option<Vec<f64>> = match inside {
        Some("") => Some(Vec::new()),
        Some(inside) => inside.split(',').map(number).collect(),
        None => None,
    };
    samples.map_or_else(
        || MetricValue::Json(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))),
        MetricValue::Samples,
    )
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
}
