//! Kinds AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun.

mod provider;
mod status;

pub use crate::phase::AnalysisPhase;
pub use provider::*;
pub use status::*;

use crate::omit::{blank, empty};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Metrics to measure and how to judge them.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "AnalysisTemplate",
    plural = "analysistemplates",
    shortname = "at",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "kube_core"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisTemplateSpec {
    /// Metrics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Arguments and their defaults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Metrics that are measured without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Templates that this one includes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<AnalysisTemplateRef>,
}

/// Spec of a ClusterAnalysisTemplate: the same as that of an AnalysisTemplate.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "ClusterAnalysisTemplate",
    plural = "clusteranalysistemplates",
    shortname = "cat",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "kube_core"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(transparent)]
pub struct ClusterAnalysisTemplateSpec(pub AnalysisTemplateSpec);

/// Metrics being measured.
///
/// The CRD has no status subresource, as upstream's has none: status is patched on the object.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "AnalysisRun",
    plural = "analysisruns",
    shortname = "ar",
    namespaced,
    status = "AnalysisRunStatus",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "kube_core"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.phase",
        description = "AnalysisRun status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["metrics"]))]
pub struct AnalysisRunSpec {
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Ends the run.
    #[serde(skip_serializing_if = "empty")]
    pub terminate: bool,
    /// Metrics that are measured without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// How long to keep the finished run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_strategy: Option<TtlStrategy>,
}

/// How long to keep a finished run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TtlStrategy {
    /// Seconds to keep any finished run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_completion: Option<i32>,
    /// Seconds to keep a failed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_failure: Option<i32>,
    /// Seconds to keep a successful run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_success: Option<i32>,
}

/// One metric: how often to measure it, and what its results mean.
///
/// Numbers may be texts, so that they can hold an argument such as `{{args.count}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "provider"]))]
pub struct Metric {
    /// Name, unique in its run.
    pub name: String,
    /// Time between measurements, such as 30s.
    #[serde(skip_serializing_if = "blank")]
    pub interval: Option<String>,
    /// Time before the first measurement, such as 5m.
    #[serde(skip_serializing_if = "blank")]
    pub initial_delay: Option<String>,
    /// Number of measurements; 1 without an interval, endless with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<IntOrString>,
    /// Expression that is true for a good result.
    #[serde(skip_serializing_if = "blank")]
    pub success_condition: Option<String>,
    /// Expression that is true for a bad result.
    #[serde(skip_serializing_if = "blank")]
    pub failure_condition: Option<String>,
    /// Failed measurements to bear; 0 when absent, -1 bears all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<IntOrString>,
    /// Inconclusive measurements to bear; 0 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<IntOrString>,
    /// Errors in a row to bear; 4 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<IntOrString>,
    /// Where the results come from; exactly one.
    pub provider: MetricProvider,
    /// Successes in a row that are enough; 0 switches the rule off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<IntOrString>,
}

/// Metrics that are measured without effect on the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["metricName"]))]
pub struct DryRun {
    /// Regular expression for metric names.
    pub metric_name: String,
}

/// How many measurements of which metrics to keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["metricName", "limit"]))]
pub struct MeasurementRetention {
    /// Regular expression for metric names.
    pub metric_name: String,
    /// Measurements to keep.
    pub limit: i32,
}

/// Reference to an AnalysisTemplate or ClusterAnalysisTemplate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisTemplateRef {
    /// Name of the template.
    pub template_name: String,
    /// Looks for a ClusterAnalysisTemplate.
    // Absent and false mean the same, but are two texts to the hash of a canary's steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_scope: Option<bool>,
}

impl AnalysisTemplateRef {
    /// Names a template by scope, as little as is needed.
    #[must_use]
    pub fn new(template_name: &str, cluster: bool) -> Self {
        Self { template_name: template_name.to_owned(), cluster_scope: cluster.then_some(true) }
    }

    /// Tells whether a ClusterAnalysisTemplate is meant.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.cluster_scope == Some(true)
    }
}

/// Labels and annotations of an AnalysisRun.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisRunMetadata {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Argument of a template or run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct Argument {
    /// Name.
    pub name: String,
    /// Value; an empty text is a value, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Where the value of an argument comes from; exactly one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ValueFrom {
    /// Key of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Field of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}

/// Key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "key"]))]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key in the Secret.
    pub key: String,
}

/// Field of an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["fieldPath"]))]
pub struct FieldRef {
    /// Path, such as metadata.labels['env'].
    pub field_path: String,
}
