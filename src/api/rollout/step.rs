//! Steps of a canary, and the analyses that a Rollout refers to.
//!
//! The hash of the steps is taken over their JSON, so fields stand in Go's order and are left
//! out by Go's rules: structs that Go never leaves out (an experiment's `analysisRunMetadata`, its
//! templates' `metadata`) are always written, and what is a pointer in Go is written if it was there.

pub use crate::analysis::AnalysisTemplateRef;

use super::PodTemplateMetadata;
use crate::analysis::{AnalysisRunMetadata, DryRun, FieldRef, MeasurementRetention};
use crate::omit::{blank, empty};
use crate::raw::free_object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// One step of a canary; exactly one of its fields is set.
// The large ones are boxed: most steps are a weight or a pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStep {
    /// Share of traffic for the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<i32>,
    /// Waits for a time or for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<RolloutPause>,
    /// Runs an Experiment to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Box<RolloutExperimentStep>>,
    /// Runs an analysis to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Box<RolloutAnalysis>>,
    /// Scales the canary without changing its traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_canary_scale: Option<SetCanaryScale>,
    /// Sends requests with a header to the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_header_route: Option<Box<SetHeaderRoute>>,
    /// Mirrors requests to the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_mirror_route: Option<Box<SetMirrorRoute>>,
    /// Runs a step plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Box<PluginStep>>,
}

impl fmt::Display for CanaryStep {
    /// Writes the step as Events and clients name it, such as `setWeight: 20` or `pause: 1h`; `invalid` when it says nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(weight) = self.set_weight {
            write!(f, "setWeight: {weight}")
        } else if let Some(pause) = &self.pause {
            match &pause.duration {
                Some(IntOrString::Int(seconds)) => write!(f, "pause: {seconds}"),
                Some(IntOrString::String(duration)) => write!(f, "pause: {duration}"),
                None => f.write_str("pause"),
            }
        } else if self.experiment.is_some() {
            f.write_str("experiment")
        } else if self.analysis.is_some() {
            f.write_str("analysis")
        } else if let Some(wish) = self.set_canary_scale.as_ref().and_then(scale_wish) {
            write!(f, "setCanaryScale{{{wish}}}")
        } else if let Some(plugin) = &self.plugin {
            write!(f, "plugin: {}", plugin.name)
        } else if let Some(route) = &self.set_header_route {
            write!(f, "setHeaderRoute: {}", route.name.as_deref().unwrap_or_default())
        } else if let Some(route) = &self.set_mirror_route {
            write!(f, "setMirrorRoute: {}", route.name)
        } else {
            f.write_str("invalid")
        }
    }
}

/// What a setCanaryScale asks for.
fn scale_wish(scale: &SetCanaryScale) -> Option<String> {
    match (scale.weight, scale.match_traffic_weight, scale.replicas) {
        (Some(weight), _, _) => Some(format!("weight: {weight}")),
        (None, true, _) => Some("matchTrafficWeight: true".to_owned()),
        (None, false, replicas) => replicas.map(|replicas| format!("replicas: {replicas}")),
    }
}

/// Wait between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutPause {
    /// Seconds, or a duration such as 1h30m; without it the pause lasts until a person ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<IntOrString>,
}

/// Number of canary pods regardless of traffic; exactly one of its fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SetCanaryScale {
    /// Percentage of the wanted pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Number of pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Follows the traffic weight again.
    #[serde(skip_serializing_if = "empty")]
    pub match_traffic_weight: bool,
}

/// Step that a plugin carries out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct PluginStep {
    /// Name of the plugin.
    pub name: String,
    /// Configuration that the plugin understands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub config: Option<Value>,
}

/// Route by header, to the canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SetHeaderRoute {
    /// Name of the route, one of managedRoutes.
    #[serde(skip_serializing_if = "blank")]
    pub name: Option<String>,
    /// Headers to match; none removes the route.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub match_: Vec<HeaderRoutingMatch>,
}

/// One header and its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["headerName", "headerValue"]))]
pub struct HeaderRoutingMatch {
    /// Name of the header.
    pub header_name: String,
    /// Value of the header.
    pub header_value: Option<StringMatch>,
}

/// Route that mirrors requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct SetMirrorRoute {
    /// Name of the route, one of managedRoutes.
    pub name: String,
    /// Requests to mirror; none removes the route.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub match_: Vec<RouteMatch>,
    /// Percentage to mirror; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentage: Option<i32>,
}

/// Request to mirror.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteMatch {
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
    /// URL path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<StringMatch>,
    /// Headers by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, StringMatch>,
}

/// How a text is matched; exactly one of its fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StringMatch {
    /// Equal text.
    #[serde(skip_serializing_if = "blank")]
    pub exact: Option<String>,
    /// Text that starts so.
    #[serde(skip_serializing_if = "blank")]
    pub prefix: Option<String>,
    /// Regular expression.
    #[serde(skip_serializing_if = "blank")]
    pub regex: Option<String>,
}

/// Experiment that a step runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["templates"]))]
pub struct RolloutExperimentStep {
    /// Pods to run.
    pub templates: Vec<RolloutExperimentTemplate>,
    /// How long to run, such as 10m.
    #[serde(skip_serializing_if = "blank")]
    pub duration: Option<String>,
    /// Analyses to run meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<RolloutExperimentStepAnalysisTemplateRef>,
    /// Metrics that are measured without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// Metadata of the AnalysisRuns.
    pub analysis_run_metadata: AnalysisRunMetadata,
    /// Seconds before the pods are scaled down at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
}

/// Pods of an Experiment that a step runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "specRef"]))]
pub struct RolloutExperimentTemplate {
    /// Name of the template.
    pub name: String,
    /// Version to run: canary or stable.
    pub spec_ref: String,
    /// Number of pods; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Extra metadata of the pods.
    pub metadata: PodTemplateMetadata,
    /// Selector in place of the Rollout's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Share of traffic for these pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Service to create for these pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<TemplateService>,
}

/// Service of an Experiment's template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateService {
    /// Name of the Service; that of the ReplicaSet when absent.
    #[serde(skip_serializing_if = "blank")]
    pub name: Option<String>,
}

/// Analysis of an Experiment that a step runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "templateName"]))]
pub struct RolloutExperimentStepAnalysisTemplateRef {
    /// Name of this analysis.
    pub name: String,
    /// Name of the template.
    pub template_name: String,
    /// Looks for a ClusterAnalysisTemplate.
    // Absent and false mean the same, but are two texts to the hash of the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_scope: Option<bool>,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<AnalysisRunArgument>,
    /// Holds the Experiment until this analysis is done.
    #[serde(skip_serializing_if = "empty")]
    pub required_for_completion: bool,
}

/// Analysis that a Rollout runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutAnalysis {
    /// Templates to combine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<AnalysisTemplateRef>,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<AnalysisRunArgument>,
    /// Metrics that are measured without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements to keep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Metadata of the AnalysisRun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<AnalysisRunMetadata>,
}

/// Analysis that runs beside the steps.
///
/// In the JSON the fields of the analysis and `startingStep` stand side by side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "BackgroundFields", into = "BackgroundFields")]
pub struct RolloutAnalysisBackground {
    /// The analysis.
    pub analysis: RolloutAnalysis,
    /// Step at which it starts; the first when absent.
    pub starting_step: Option<i32>,
}

/// Background analysis as it stands in the JSON.
///
/// Written out instead of `serde(flatten)`, which would hide from the tolerant decoder which
/// field is malformed.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct BackgroundFields {
    /// Templates to combine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    templates: Vec<AnalysisTemplateRef>,
    /// Arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<AnalysisRunArgument>,
    /// Metrics that are measured without effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dry_run: Vec<DryRun>,
    /// How many measurements to keep.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measurement_retention: Vec<MeasurementRetention>,
    /// Metadata of the AnalysisRun.
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis_run_metadata: Option<AnalysisRunMetadata>,
    /// Step at which it starts; the first when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_step: Option<i32>,
}

impl From<BackgroundFields> for RolloutAnalysisBackground {
    fn from(fields: BackgroundFields) -> Self {
        let BackgroundFields {
            templates,
            args,
            dry_run,
            measurement_retention,
            analysis_run_metadata,
            starting_step,
        } = fields;
        let analysis =
            RolloutAnalysis { templates, args, dry_run, measurement_retention, analysis_run_metadata };
        Self { analysis, starting_step }
    }
}

impl From<RolloutAnalysisBackground> for BackgroundFields {
    fn from(background: RolloutAnalysisBackground) -> Self {
        let RolloutAnalysisBackground { analysis, starting_step } = background;
        let RolloutAnalysis { templates, args, dry_run, measurement_retention, analysis_run_metadata } =
            analysis;
        Self { templates, args, dry_run, measurement_retention, analysis_run_metadata, starting_step }
    }
}

/// Argument that a Rollout gives to an analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct AnalysisRunArgument {
    /// Name.
    pub name: String,
    /// Value.
    #[serde(skip_serializing_if = "blank")]
    pub value: Option<String>,
    /// Where the value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ArgumentValueFrom>,
}

/// Where the value of an argument comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArgumentValueFrom {
    /// Pod template hash of a version: Stable or Latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template_hash_value: Option<String>,
    /// Field of the Rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}
