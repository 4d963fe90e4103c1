//! Kind Experiment: pods that run beside a workload for a while, and their analyses.

use crate::analysis::{AnalysisRunMetadata, Argument, DryRun, MeasurementRetention};
use crate::omit::{blank, empty};
use crate::phase::{self, AnalysisPhase, TemplateStatusCode};
use crate::raw::PodTemplate;
use crate::rollout::TemplateService;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pods to run and analyses to make.
///
/// The CRD has no status subresource, as upstream's has none: status is patched on the object.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "argoproj.io",
    version = "v1alpha1",
    kind = "Experiment",
    plural = "experiments",
    shortname = "exp",
    namespaced,
    status = "ExperimentStatus",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "kube_core"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.phase",
        description = "Experiment status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since resource was created"
    )
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["templates"]))]
pub struct ExperimentSpec {
    /// Pods to run.
    pub templates: Vec<TemplateSpec>,
    /// How long to run, such as 10m; until terminated when absent.
    #[serde(skip_serializing_if = "blank")]
    pub duration: Option<String>,
    /// Seconds without progress before a template counts as failed; 600 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    /// Ends the Experiment.
    #[serde(skip_serializing_if = "empty")]
    pub terminate: bool,
    /// Analyses to run meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<ExperimentAnalysisTemplateRef>,
    /// Seconds before the pods are scaled down at the end; 30 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    /// Metrics that are measured without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Metadata of the AnalysisRuns.
    #[serde(skip_serializing_if = "empty")]
    pub analysis_run_metadata: AnalysisRunMetadata,
}

/// Pods of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "selector", "template"]))]
pub struct TemplateSpec {
    /// Name of the template.
    pub name: String,
    /// Number of pods; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Seconds a pod must be ready before it counts as available.
    #[serde(skip_serializing_if = "empty")]
    pub min_ready_seconds: i32,
    /// Selects the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Pod template.
    #[serde(skip_serializing_if = "PodTemplate::is_absent")]
    pub template: PodTemplate,
    /// Service to create for these pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<TemplateService>,
}

/// Analysis of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "templateName"]))]
pub struct ExperimentAnalysisTemplateRef {
    /// Name of this analysis.
    pub name: String,
    /// Name of the template.
    pub template_name: String,
    /// Looks for a ClusterAnalysisTemplate.
    #[serde(skip_serializing_if = "empty")]
    pub cluster_scope: bool,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// Holds the Experiment until this analysis is done.
    #[serde(skip_serializing_if = "empty")]
    pub required_for_completion: bool,
}

/// Observed state of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStatus {
    /// State of the Experiment.
    #[serde(deserialize_with = "phase::deserialize", skip_serializing_if = "Option::is_none")]
    pub phase: Option<AnalysisPhase>,
    /// Why the Experiment is in its phase.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    /// State of each template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub template_statuses: Vec<TemplateStatus>,
    /// When all templates became available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_at: Option<Time>,
    /// How things stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ExperimentCondition>,
    /// State of each analysis.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analysis_runs: Vec<ExperimentAnalysisRunStatus>,
}

/// State of one template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = [
    "name", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"
]))]
pub struct TemplateStatus {
    /// Name of the template.
    pub name: String,
    /// All pods.
    pub replicas: i32,
    /// Pods of the current template.
    pub updated_replicas: i32,
    /// Ready pods.
    pub ready_replicas: i32,
    /// Available pods.
    pub available_replicas: i32,
    /// Hash collisions so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// State of the template.
    #[serde(deserialize_with = "phase::deserialize", skip_serializing_if = "Option::is_none")]
    pub status: Option<TemplateStatusCode>,
    /// Why the template is in its state.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    /// When the template last made progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Name of the template's Service.
    #[serde(skip_serializing_if = "empty")]
    pub service_name: String,
    /// Pod template hash.
    #[serde(skip_serializing_if = "empty")]
    pub pod_template_hash: String,
}

/// Condition of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["type", "status", "lastUpdateTime", "lastTransitionTime", "reason", "message"]))]
pub struct ExperimentCondition {
    /// Type.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
    /// When it was last set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Time>,
    /// When its status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Reason in one word.
    pub reason: String,
    /// Reason for people.
    pub message: String,
}

/// State of one analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "analysisRun", "phase"]))]
pub struct ExperimentAnalysisRunStatus {
    /// Name of the analysis.
    pub name: String,
    /// Name of the AnalysisRun.
    pub analysis_run: String,
    /// State of the AnalysisRun.
    #[serde(with = "phase")]
    #[schemars(with = "AnalysisPhase")]
    pub phase: Option<AnalysisPhase>,
    /// Why it is in its phase.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
}
