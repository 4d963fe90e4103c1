//! What a measurement without data comes to, where the terms of its metric speak of that.
//!
//! Input: a verdict, the terms and what was measured. Output: the measurement, and whether a metric has values enough.
//!
//! A measurement that waits is finished, is counted nowhere, and makes room for the next one. So nothing is left open for
//! Argo's controller, put back meanwhile: it goes on by rules of its own. Since when and how often was asked is noted in the
//! metric, as errors and servers that ask to be left alone may come between: they end no wait, and begin none anew.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{AnalysisPhase, Measurement, Metric, MetricResult};

use super::condition::{self, Verdict};
use super::schedule;
use super::terms::{MIN_SAMPLES, OnNoData, Terms};

/// How often a measurement that waits was asked for, in its metadata, and in those of its metric.
const WAITED: &str = "tidegate.dev/waited";
/// When a metric that waits was asked first, in its metadata.
const WAITS_SINCE: &str = "tidegate.dev/waits-since";
/// In the metadata of a measurement: it has no data. In those of a metric: how many that were counted have none.
const WITHOUT_DATA: &str = "tidegate.dev/without-data";
/// How long to wait for data where nobody says, in intervals of the metric and at least: missing data never passes, and nobody waits for ever.
const LONGEST_INTERVALS: i32 = 10;
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// What a metric has noted of its wait for data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    since: Timestamp,
    asked: u32,
}

impl Wait {
    /// The wait that a metric is in, if it is in one.
    pub(super) fn of(result: &MetricResult) -> Option<Self> {
        let since = result.metadata.get(WAITS_SINCE)?.parse().ok()?;
        let asked = result.metadata.get(WAITED)?.parse().ok()?;
        Some(Self { since, asked })
    }
}

/// The measurement that a verdict makes on these terms; `before` is the wait that the metric is in.
pub(super) fn measurement(
    terms: Terms,
    metric: &Metric,
    verdict: Verdict,
    before: Option<Wait>,
    mut taken: Measurement,
) -> Measurement {
    let Some(lack) = verdict.lack.filter(|_| terms.are_given()) else {
        return Measurement { phase: Some(verdict.phase), message: verdict.message, ..taken };
    };
    taken.metadata.insert(WITHOUT_DATA.to_owned(), "true".to_owned());
    // A condition that is at fault stays one, and numbers that fail are no missing data.
    let policy = terms.on_no_data.filter(|_| !lack.has_failed && !is_at_fault(metric));
    let (phase, message) = match policy {
        None => (verdict.phase, verdict.message),
        Some(OnNoData::Wait) => return wait(terms, metric, &lack.why, before, taken),
        Some(OnNoData::Inconclusive) => (AnalysisPhase::Inconclusive, lack.why),
        Some(OnNoData::Fail) => (AnalysisPhase::Failed, lack.why),
    };
    Measurement { phase: Some(phase), message, ..taken }
}

fn is_at_fault(metric: &Metric) -> bool {
    let conditions = [&metric.success_condition, &metric.failure_condition];
    let mut texts = conditions.into_iter().flatten().filter(|text| !text.is_empty());
    texts.any(|text| condition::fault(text).is_some() || condition::misfit(text, &metric.provider).is_some())
}

/// The measurement as it waits, or as it gives up: then it is Inconclusive and counts.
fn wait(
    terms: Terms,
    metric: &Metric,
    why: &str,
    before: Option<Wait>,
    mut taken: Measurement,
) -> Measurement {
    let asked = before.map_or(0, |wait| wait.asked).saturating_add(1);
    if let Some(Wait { since, .. }) = before {
        taken.started_at = Some(Time(since));
    }
    let seconds = match (&taken.started_at, &taken.finished_at) {
        (Some(started), Some(finished)) => finished.0.duration_since(started.0).as_secs(),
        (None, _) | (_, None) => 0,
    };
    let most = most_seconds(terms, metric);
    let phase = Some(AnalysisPhase::Inconclusive);
    let times = if asked == 1 { "once".to_owned() } else { format!("{asked} times in {seconds} s") };
    if seconds >= most {
        return Measurement { phase, message: format!("{why}, asked {times}"), ..taken };
    }
    taken.metadata.insert(WAITED.to_owned(), asked.to_string());
    let message = format!("waits for data, for {most} s at most: {why}, asked {times}");
    Measurement { phase, message, ..taken }
}

/// How long a metric waits for data: it is seen at a measurement, so in whole intervals.
fn most_seconds(terms: Terms, metric: &Metric) -> i64 {
    let interval = schedule::interval(metric);
    let Some(given) = terms.wait_at_most else {
        return interval.saturating_mul(LONGEST_INTERVALS).max(LONGEST).as_secs();
    };
    let seconds = interval.as_secs().max(1);
    given.saturating_add(seconds - 1) / seconds * seconds
}

/// Whether a measurement only says what its metric waits for.
pub(super) fn is_waiting(measurement: &Measurement) -> bool {
    measurement.metadata.contains_key(WAITED)
}

/// Notes in its metric what a measurement waits for, or that one which is counted has no data. Errors and measurements that
/// go on change nothing.
pub(super) fn note(result: &mut MetricResult, measurement: &Measurement) {
    if measurement.finished_at.is_none() || measurement.phase == Some(AnalysisPhase::Error) {
        return;
    }
    if let Some(asked) = measurement.metadata.get(WAITED) {
        let since = measurement.started_at.as_ref().map(|Time(since)| since.to_string());
        result.metadata.insert(WAITED.to_owned(), asked.clone());
        result.metadata.extend(since.map(|since| (WAITS_SINCE.to_owned(), since)));
        return;
    }
    result.metadata.retain(|key, _| ![WAITED, WAITS_SINCE].contains(&key.as_str()));
    if measurement.metadata.contains_key(WITHOUT_DATA) {
        let count = without_data(result).saturating_add(1);
        result.metadata.insert(WITHOUT_DATA.to_owned(), count.to_string());
    }
}

/// What was noted, which stays when the other facts about a metric are told anew.
pub(super) fn noted(result: &MetricResult) -> BTreeMap<String, String> {
    let mut noted = result.metadata.clone();
    noted.retain(|key, _| [WITHOUT_DATA, WAITED, WAITS_SINCE].contains(&key.as_str()));
    noted
}

fn without_data(result: &MetricResult) -> i32 {
    result.metadata.get(WITHOUT_DATA).and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn values(result: &MetricResult) -> i32 {
    result.count.saturating_sub(without_data(result))
}

/// Why a metric may not end Successful: it has too few values.
pub(super) fn short(terms: Terms, result: Option<&MetricResult>) -> Option<String> {
    let (least, values) = (terms.least(), result.map_or(0, values));
    let name = MIN_SAMPLES.rsplit('/').next().unwrap_or_default();
    (values < least).then(|| format!("samples ({values}) < {name} ({least})"))
}
