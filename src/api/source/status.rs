//! What the controller writes back into an Application.
//!
//! Other controllers and clients write here too. Lists that are rewritten whole (history) therefore
//! carry the fields that this file does not name along with the ones it does.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::application::{ApplicationDestination, ApplicationSource, IgnoreDifferences, InitiatedBy};
use super::schema::{free_list, free_object};

/// The whole status.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ApplicationStatus {
    /// Whether the cluster is as Git says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// The worst health of its objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// Every object that it has or should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<ResourceStatus>>,
    /// Where the health of the objects is kept; absent means in `resources`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_health_source: Option<String>,
    /// Completed syncs, oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<History>>,
    /// What is wrong; a condition that is listed holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
    /// The sync that runs, or the last one that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_state: Option<OperationState>,
    /// When Git and cluster were last compared in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciled_at: Option<Time>,
    /// Kept for old clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// The tool that made the objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_type: Option<String>,
    /// The tools, one per source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_types: Option<Vec<String>>,
    /// Images and links at a glance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The namespace of the controller that looks after this Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_namespace: Option<String>,
}

/// Whether the cluster is as Git says.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum SyncCode {
    /// As Git says.
    Synced,
    /// Not as Git says.
    OutOfSync,
    /// Not known, or not a word that is known.
    #[default]
    #[serde(other)]
    Unknown,
}

/// How well an object is; the order is from best to worst.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum HealthCode {
    /// Does what it should.
    Healthy,
    /// Waits for someone.
    Suspended,
    /// On the way.
    Progressing,
    /// Not there.
    Missing,
    /// Will not get there by itself.
    Degraded,
    /// Not known, or not a word that is known.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum OperationPhase {
    /// At work, or waiting to try again.
    Running,
    /// Someone asked for its end.
    Terminating,
    /// Done.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Could not be carried out.
    Error,
    /// A word that is not known.
    #[default]
    #[serde(other)]
    Unrecognised,
}

impl OperationPhase {
    /// Whether nothing more will come.
    pub fn is_completed(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Error => true,
            Self::Running | Self::Terminating | Self::Unrecognised => false,
        }
    }
}

/// What a sync did with one object.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ResultCode {
    /// Applied.
    Synced,
    /// Not applied, or not deleted.
    SyncFailed,
    /// Deleted.
    Pruned,
    /// Left alone although it is not in Git.
    PruneSkipped,
}

/// Whether the cluster is as Git says, at which revision, and for which spec that was found.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct SyncStatus {
    /// The verdict.
    #[serde(default)]
    #[schemars(with = "String")]
    pub status: SyncCode,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The commits, one per source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revisions: Option<Vec<String>>,
    /// The spec that the verdict is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_to: Option<ComparedTo>,
}

/// The parts of a spec that a comparison depends on.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ComparedTo {
    /// The spec's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// The spec's sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<ApplicationSource>>,
    /// The spec's destination.
    #[serde(default)]
    pub destination: ApplicationDestination,
    /// The spec's ignored differences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_differences: Option<Vec<IgnoreDifferences>>,
}

/// A health and why.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct HealthStatus {
    /// The verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub status: Option<HealthCode>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// One object that the Application has or should have.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ResourceStatus {
    /// The API group; absent for the core group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The API version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is as Git says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub status: Option<SyncCode>,
    /// How well it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// Whether it is a hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<bool>,
    /// Whether it is in the cluster and not in Git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_pruning: Option<bool>,
    /// Whether its deletion waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_deletion_confirmation: Option<bool>,
    /// Its place in the order of waves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_wave: Option<i64>,
}

/// One completed sync.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct History {
    /// Counts up.
    #[serde(default)]
    pub id: i64,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<Time>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiated_by: Option<InitiatedBy>,
    /// What others wrote into this entry.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

/// Something that is wrong.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its sort; ends in `Error` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// The sync that runs, or the last one that ran.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct OperationState {
    /// The request, as it was written.
    #[serde(default)]
    #[schemars(schema_with = "free_object")]
    pub operation: Value,
    /// Where it stands.
    #[serde(default)]
    #[schemars(with = "String")]
    pub phase: OperationPhase,
    /// Why it stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was done so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_result: Option<SyncResult>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended; together with `Running` it marks a wait for the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How many further attempts there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i64>,
}

/// What a sync did.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct SyncResult {
    /// What it did with each object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<ResourceResult>>,
    /// The commit it applied.
    #[serde(default)]
    pub revision: String,
    /// The source it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// The sources it took; kept untouched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_list")]
    pub sources: Option<Vec<Value>>,
}

/// What a sync did with one object.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ResourceResult {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The API version.
    #[serde(default)]
    pub version: String,
    /// The kind.
    #[serde(default)]
    pub kind: String,
    /// The namespace; empty for cluster-scoped objects.
    #[serde(default)]
    pub namespace: String,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub status: Option<ResultCode>,
    /// What the server said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For hooks: when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_type: Option<String>,
    /// For hooks: how it went. For objects: `Running` until they are well, where anything waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub hook_phase: Option<OperationPhase>,
    /// The part of the sync that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_phase: Option<String>,
    /// The container images that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
}

/// Images and links at a glance.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct Summary {
    /// The container images that its live objects name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// Addresses under which it can be reached.
    #[serde(default, rename = "externalURLs", skip_serializing_if = "Option::is_none")]
    pub external_urls: Option<Vec<String>>,
    /// Whether one of its objects is an Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_app_of_apps: Option<bool>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn history_keeps_what_others_wrote() {
        let entry = json!({
            "id": 3,
            "revision": "abc",
            "deployedAt": "2026-01-02T03:04:05Z",
            "revisions": ["a", "b"],
        });
        let parsed: History = serde_json::from_value(entry.clone()).unwrap();
        assert_eq!(serde_json::to_value(parsed).unwrap(), entry);
    }

    #[test]
    fn words_of_a_later_version_do_not_break_the_status() {
        let status: ApplicationStatus = serde_json::from_value(json!({
            "sync": { "status": "Pondering" },
            "health": { "status": "Moody" },
            "operationState": { "phase": "Resting", "operation": {} },
        }))
        .unwrap();
        assert_eq!(status.sync.unwrap().status, SyncCode::Unknown);
        assert_eq!(status.health.unwrap().status, Some(HealthCode::Unknown));
        assert_eq!(status.operation_state.unwrap().phase, OperationPhase::Unrecognised);
    }
}
