//! An AnalysisRun in full: what each metric came to, and the evidence of the judge over time.
//!
//! Input: the run as it was read. Output: values that serialise to JSON and render to text. The judge's words are made of
//! what it recorded, by the code that decides.

use serde::Serialize;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, Measurement, Metric, MetricResult};

use crate::analysis::metrics_of;
use crate::judge::judgement::{Judgement, Terms};
use crate::judge::words;
use crate::metric::judge;

/// One page about a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPage {
    pub name: String,
    pub namespace: String,
    pub status: Option<AnalysisPhase>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub metrics: Vec<MetricPage>,
}

/// One metric of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricPage {
    pub name: String,
    pub status: Option<AnalysisPhase>,
    pub dry_run: bool,
    /// Measurements that count, those of them that were good, and those that had an error.
    pub count: i32,
    pub successful: i32,
    pub error: i32,
    /// Of the last measurement.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What the judge knows, by the last measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedPage>,
}

/// What the judge knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedPage {
    /// One word.
    pub ruling: &'static str,
    /// The same in a line.
    pub said: String,
    pub looks: u32,
    pub seconds: u32,
    /// How many times more likely what was seen is if the canary is worse, and how much is enough.
    pub harm: f64,
    pub harm_enough: f64,
    /// The same for a canary that is good enough.
    pub promise: f64,
    pub promise_enough: f64,
    pub comparisons: Vec<ComparisonPage>,
    pub timeline: Vec<MomentPage>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonPage {
    /// What is counted, such as `errors`.
    pub what: String,
    /// What both sides had.
    pub seen: String,
    /// Natural logarithms of the evidence.
    pub log_harm: f64,
    pub log_promise: f64,
    /// How many times as much as chance explains the stable pods differ.
    pub dispersion: f64,
}

/// The evidence at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MomentPage {
    pub seconds: u32,
    /// Natural logarithms.
    pub log_harm: f64,
    pub log_promise: f64,
}

impl RunPage {
    /// Looks at a run.
    #[must_use]
    pub fn new(run: &AnalysisRun) -> Self {
        let status = run.status.clone().unwrap_or_default();
        let metrics = metrics_of(run).unwrap_or_default();
        let page = |result: &MetricResult| {
            let metric = metrics.iter().find(|metric| metric.name == result.name);
            MetricPage::new(run, metric, result)
        };
        Self {
            name: run.metadata.name.clone().unwrap_or_default(),
            namespace: run.metadata.namespace.clone().unwrap_or_default(),
            status: status.phase,
            message: status.message.clone(),
            metrics: status.metric_results.iter().map(page).collect(),
        }
    }
}

impl MetricPage {
    fn new(run: &AnalysisRun, metric: Option<&Metric>, result: &MetricResult) -> Self {
        let last = result.measurements.last();
        let text = |text: fn(&Measurement) -> &String| last.map(text).cloned().unwrap_or_default();
        let judged = metric.zip(last).and_then(|(metric, last)| {
            let terms = judge::source(run, metric).ok()?.terms;
            Some(JudgedPage::new(&judge::recorded(last).ok()??, &terms))
        });
        Self {
            name: result.name.clone(),
            status: result.phase,
            dry_run: result.dry_run,
            count: result.count,
            successful: result.successful,
            error: result.error,
            value: text(|last| &last.value),
            message: text(|last| &last.message),
            judged,
        }
    }
}

impl JudgedPage {
    fn new(judgement: &Judgement, terms: &Terms) -> Self {
        let ruling = judgement.ruling(terms);
        let comparisons = judgement.ledger.comparisons.iter().enumerate();
        let comparisons = comparisons.map(|(at, comparison)| ComparisonPage {
            what: words::what(judgement, at),
            seen: words::sides(judgement, at),
            log_harm: comparison.log_harm(),
            log_promise: comparison.log_promise(&terms.of(at)),
            dispersion: comparison.calibration.dispersion(),
        });
        let moment = |entry: &crate::judge::timeline::Entry| MomentPage {
            seconds: entry.seconds,
            log_harm: entry.harm,
            log_promise: entry.promise,
        };
        Self {
            ruling: words::word(ruling),
            said: words::say(judgement, terms, ruling),
            looks: judgement.looks_taken(),
            seconds: judgement.seconds,
            harm: judgement.harm(terms),
            harm_enough: judgement.harm_enough(terms),
            promise: judgement.promise(terms),
            promise_enough: 1.0 / terms.errors.false_advance,
            comparisons: comparisons.collect(),
            timeline: judgement.timeline.entries.iter().map(moment).collect(),
        }
    }
}
