//! Status of an AnalysisRun: its metrics and their measurements.

use crate::omit::empty;
use crate::phase::{self, AnalysisPhase};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Observed state of an AnalysisRun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["phase"]))]
pub struct AnalysisRunStatus {
    /// State of the run.
    #[serde(with = "phase")]
    #[schemars(with = "AnalysisPhase")]
    pub phase: Option<AnalysisPhase>,
    /// Why the run is in its phase.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    /// State of each metric.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_results: Vec<MetricResult>,
    /// When the run was first looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// How many metrics ended how.
    // Go never leaves a struct out.
    pub run_summary: RunSummary,
    /// How many metrics without effect ended how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<RunSummary>,
    /// When the run completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
}

/// Number of metrics by outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunSummary {
    /// All metrics.
    #[serde(skip_serializing_if = "empty")]
    pub count: i32,
    /// Successful ones.
    #[serde(skip_serializing_if = "empty")]
    pub successful: i32,
    /// Failed ones.
    #[serde(skip_serializing_if = "empty")]
    pub failed: i32,
    /// Inconclusive ones.
    #[serde(skip_serializing_if = "empty")]
    pub inconclusive: i32,
    /// Errored ones.
    #[serde(skip_serializing_if = "empty")]
    pub error: i32,
}

/// State of one metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "phase"]))]
pub struct MetricResult {
    /// Name of the metric.
    pub name: String,
    /// State of the metric.
    #[serde(with = "phase")]
    #[schemars(with = "AnalysisPhase")]
    pub phase: Option<AnalysisPhase>,
    /// Latest measurements, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// Why the metric is in its phase.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    /// Measurements without an error.
    #[serde(skip_serializing_if = "empty")]
    pub count: i32,
    /// Successful measurements.
    #[serde(skip_serializing_if = "empty")]
    pub successful: i32,
    /// Failed measurements.
    #[serde(skip_serializing_if = "empty")]
    pub failed: i32,
    /// Inconclusive measurements.
    #[serde(skip_serializing_if = "empty")]
    pub inconclusive: i32,
    /// Measurements with an error.
    #[serde(skip_serializing_if = "empty")]
    pub error: i32,
    /// Errors in a row.
    #[serde(skip_serializing_if = "empty")]
    pub consecutive_error: i32,
    /// The metric has no effect on the run.
    #[serde(skip_serializing_if = "empty")]
    pub dry_run: bool,
    /// Facts from the provider, such as the resolved query.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Successes in a row.
    #[serde(skip_serializing_if = "empty")]
    pub consecutive_success: i32,
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["phase"]))]
pub struct Measurement {
    /// State of the measurement.
    #[serde(with = "phase")]
    #[schemars(with = "AnalysisPhase")]
    pub phase: Option<AnalysisPhase>,
    /// Why the measurement is in its phase.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Result as text.
    #[serde(skip_serializing_if = "empty")]
    pub value: String,
    /// Facts from the provider, such as the name of a Job.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When to ask the provider again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Time>,
}
