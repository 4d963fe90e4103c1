//! Status of a Rollout. Zero values are left out, as upstream leaves them out.

use crate::omit::{blank, empty};
use crate::phase::{self, AnalysisPhase, RolloutPhase};
use crate::raw::free_object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Observed state of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// The update is or shall be aborted; set by people and by the controller.
    #[serde(skip_serializing_if = "empty")]
    pub abort: bool,
    /// Why the controller paused; emptied by people to go on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pause_conditions: Vec<PauseCondition>,
    /// The controller has paused; with no pause conditions, a person has ended the pause.
    #[serde(skip_serializing_if = "empty")]
    pub controller_pause: bool,
    /// When the update was aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_at: Option<Time>,
    /// Hash of the current pod template.
    #[serde(skip_serializing_if = "empty")]
    pub current_pod_hash: String,
    /// Hash of the current steps.
    #[serde(skip_serializing_if = "empty")]
    pub current_step_hash: String,
    /// All pods.
    #[serde(skip_serializing_if = "empty")]
    pub replicas: i32,
    /// Pods of the current template.
    #[serde(skip_serializing_if = "empty")]
    pub updated_replicas: i32,
    /// Ready pods.
    #[serde(skip_serializing_if = "empty")]
    pub ready_replicas: i32,
    /// Available pods.
    #[serde(skip_serializing_if = "empty")]
    pub available_replicas: i32,
    /// Step being carried out; absent when there are no steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<i32>,
    /// Hash collisions so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Generation that was last acted on, as a decimal text.
    #[serde(skip_serializing_if = "empty")]
    pub observed_generation: String,
    /// How things stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<RolloutCondition>,
    /// State of a canary update.
    #[serde(skip_serializing_if = "empty")]
    pub canary: CanaryStatus,
    /// State of a blue-green update.
    #[serde(skip_serializing_if = "empty")]
    pub blue_green: BlueGreenStatus,
    /// Pods as an autoscaler counts them.
    #[serde(rename = "HPAReplicas", skip_serializing_if = "empty")]
    pub hpa_replicas: i32,
    /// Selector of these pods.
    #[serde(skip_serializing_if = "empty")]
    pub selector: String,
    /// Hash of the stable version.
    #[serde(rename = "stableRS", skip_serializing_if = "empty")]
    pub stable_rs: String,
    /// The restartAt that was last completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    /// Skip pauses, analysis and steps.
    #[serde(skip_serializing_if = "empty")]
    pub promote_full: bool,
    /// The whole status in one word.
    #[serde(deserialize_with = "phase::deserialize", skip_serializing_if = "Option::is_none")]
    pub phase: Option<RolloutPhase>,
    /// Why the Rollout is in its phase.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    /// Generation of the referenced workload that was last acted on, as a decimal text.
    #[serde(skip_serializing_if = "empty")]
    pub workload_observed_generation: String,
    /// AWS load balancer and target groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb: Option<AlbStatus>,
    /// AWS load balancers and target groups, with several Ingresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub albs: Vec<AlbStatus>,
    /// How long the update took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<RolloutDurationStatus>,
}

/// Reason for a pause and its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["reason", "startTime"]))]
pub struct PauseCondition {
    /// Reason.
    pub reason: String,
    /// Start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
}

/// Condition of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["type", "status", "lastUpdateTime", "lastTransitionTime", "reason", "message"]))]
pub struct RolloutCondition {
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

/// State of a canary update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    /// AnalysisRun of the current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_analysis_run_status: Option<RolloutAnalysisRunStatus>,
    /// AnalysisRun in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_background_analysis_run_status: Option<RolloutAnalysisRunStatus>,
    /// Name of the running Experiment.
    #[serde(skip_serializing_if = "empty")]
    pub current_experiment: String,
    /// Weights that routers were given; absent when no router ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<TrafficWeights>,
    /// Which of the two Services is stable: ping, pong or empty for pong.
    #[serde(skip_serializing_if = "empty")]
    pub stable_ping_pong: String,
    /// State of step plugins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub step_plugin_statuses: Vec<StepPluginStatus>,
}

/// State of a blue-green update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlueGreenStatus {
    /// Hash that the preview Service selects.
    #[serde(skip_serializing_if = "empty")]
    pub preview_selector: String,
    /// Hash that the active Service selects.
    #[serde(skip_serializing_if = "empty")]
    pub active_selector: String,
    /// The preview may grow to its full size.
    #[serde(skip_serializing_if = "empty")]
    pub scale_up_preview_check_point: bool,
    /// AnalysisRun before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis_run_status: Option<RolloutAnalysisRunStatus>,
    /// AnalysisRun after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis_run_status: Option<RolloutAnalysisRunStatus>,
}

/// State of an AnalysisRun of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "status"]))]
pub struct RolloutAnalysisRunStatus {
    /// Name of the AnalysisRun.
    pub name: String,
    /// Its phase.
    #[serde(with = "phase")]
    #[schemars(with = "AnalysisPhase")]
    pub status: Option<AnalysisPhase>,
    /// Its message.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
}

/// How the traffic is split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["canary", "stable"]))]
pub struct TrafficWeights {
    /// Part of the canary.
    pub canary: WeightDestination,
    /// Part of the stable version.
    pub stable: WeightDestination,
    /// Parts of experiments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional: Vec<WeightDestination>,
    /// Whether the weights were seen to be in effect; absent when the router cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// Traffic of one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["weight"]))]
pub struct WeightDestination {
    /// Weight.
    pub weight: i32,
    /// Service.
    #[serde(skip_serializing_if = "empty")]
    pub service_name: String,
    /// Pod template hash.
    #[serde(skip_serializing_if = "empty")]
    pub pod_template_hash: String,
}

/// State of one step plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["index", "name", "operation"]))]
pub struct StepPluginStatus {
    /// Index of the step.
    pub index: i32,
    /// Name of the plugin.
    pub name: String,
    /// Operation: Run, Terminate or Abort.
    pub operation: String,
    /// Phase: Running, Successful, Failed or Error.
    #[serde(skip_serializing_if = "empty")]
    pub phase: String,
    /// Message of the plugin.
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was last called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Time until the next call, such as 30s.
    #[serde(skip_serializing_if = "blank")]
    pub backoff: Option<String>,
    /// Calls so far.
    #[serde(skip_serializing_if = "empty")]
    pub executions: i32,
    /// The plugin is switched off.
    #[serde(skip_serializing_if = "empty")]
    pub disabled: bool,
    /// State that the plugin keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub status: Option<Value>,
}

/// AWS load balancer and target groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlbStatus {
    /// Load balancer.
    #[serde(skip_serializing_if = "empty")]
    pub load_balancer: AwsResourceRef,
    /// Target group of the canary.
    #[serde(skip_serializing_if = "empty")]
    pub canary_target_group: AwsResourceRef,
    /// Target group of the stable version.
    #[serde(skip_serializing_if = "empty")]
    pub stable_target_group: AwsResourceRef,
    /// Ingress.
    #[serde(skip_serializing_if = "empty")]
    pub ingress: String,
}

/// Resource of AWS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "arn"]))]
pub struct AwsResourceRef {
    /// Name.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// Full name.
    pub full_name: String,
}

/// How long an update took, without the time people held it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutDurationStatus {
    /// When the update started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_started_at: Option<Time>,
    /// When the current manual pause started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_pause_started_at: Option<Time>,
    /// Seconds in finished manual pauses.
    #[serde(skip_serializing_if = "empty")]
    pub total_manual_pause_duration_seconds: i64,
    /// When the update ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How the update ended, such as Promoted or Aborted.
    #[serde(skip_serializing_if = "empty")]
    pub completion_status: String,
}
