//! An Application as people look at it: where it comes from, how it stands, what it waits for, and its objects.
//!
//! Input: one Application as the server has it, and the time. Output: values that serialise to JSON and render to text.
//! Credentials in addresses are never shown. Nothing here decides anything.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_api::source::{
    Application, ApplicationSource, ApplicationSpec, ApplicationStatus, Automated, HealthCode,
    OperationPhase, OperationState, ResourceResult, ResourceStatus, SyncCode,
};

use super::standing::standing;
use crate::sync::address;
use crate::time::whole_seconds;

/// An Application as people look at it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationView {
    pub name: String,
    pub namespace: String,
    pub created: Option<Timestamp>,
    pub now: Timestamp,
    pub project: String,
    pub sources: Vec<SourceView>,
    /// The cluster, by name or address.
    pub cluster: String,
    /// The namespace that is filled.
    pub destination: String,
    /// `manual`, or what automation does.
    pub policy: String,
    pub sync: SyncCode,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision: String,
    pub health: HealthCode,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_message: String,
    /// What it waits for; absent when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    pub conditions: Vec<ConditionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    pub resources: Vec<ResourceView>,
}

/// Where manifests come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceView {
    pub repository: String,
    pub path: String,
    /// A branch, tag or commit; `HEAD` when the spec names none.
    pub target: String,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionView {
    #[serde(rename = "type")]
    pub type_: String,
    pub message: String,
    pub since: Option<Timestamp>,
}

/// The sync that runs, or the last one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationView {
    pub phase: OperationPhase,
    pub message: String,
    pub revision: String,
    /// Who asked for it.
    pub by: String,
    pub is_dry: bool,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
}

/// One object of the Application.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceView {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub status: Option<SyncCode>,
    pub health: Option<HealthCode>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_message: String,
    pub requires_pruning: bool,
    pub hook: bool,
    pub wave: i64,
    /// What the last sync said about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl ApplicationView {
    /// Builds the view.
    #[must_use]
    pub fn new(application: &Application, now: Timestamp) -> Self {
        let (spec, none) = (&application.spec, ApplicationStatus::default());
        let status = application.status.as_ref().unwrap_or(&none);
        let sync = status.sync.clone().unwrap_or_default();
        let health = status.health.clone().unwrap_or_default();
        let conditions = status.conditions.iter().flatten().map(|condition| ConditionView {
            type_: condition.type_.clone(),
            message: condition.message.clone(),
            since: condition.last_transition_time.as_ref().map(|time| time.0),
        });
        let destination = &spec.destination;
        Self {
            name: application.metadata.name.clone().unwrap_or_default(),
            namespace: application.metadata.namespace.clone().unwrap_or_default(),
            created: application.metadata.creation_timestamp.as_ref().map(|time| time.0),
            now: whole_seconds(now),
            project: if spec.project.is_empty() { "default".to_owned() } else { spec.project.clone() },
            sources: sources(spec).map(SourceView::new).collect(),
            cluster: destination.name.clone().or(destination.server.clone()).unwrap_or_default(),
            destination: destination.namespace.clone().unwrap_or_default(),
            policy: policy(spec),
            sync: sync.status,
            revision: sync.revision.or(sync.revisions.map(|all| all.join(","))).unwrap_or_default(),
            health: health.status.unwrap_or_default(),
            health_message: health.message.unwrap_or_default(),
            waiting_for: standing(application, now),
            conditions: conditions.collect(),
            operation: status.operation_state.as_ref().map(OperationView::new),
            resources: resources(status),
        }
    }
}

impl SourceView {
    fn new(source: &ApplicationSource) -> Self {
        Self {
            repository: address::redacted(&source.repo_url),
            path: source.path.clone().or(source.chart.clone()).unwrap_or_default(),
            target: source.target_revision.clone().unwrap_or_else(|| "HEAD".to_owned()),
        }
    }
}

impl OperationView {
    fn new(state: &OperationState) -> Self {
        let result = state.sync_result.clone().unwrap_or_default();
        let by = &state.operation["initiatedBy"];
        let by = match (by["username"].as_str(), by["automated"].as_bool()) {
            (Some(user), _) => user,
            (None, Some(true)) => "automation",
            (None, Some(false) | None) => "",
        };
        Self {
            phase: state.phase,
            message: state.message.clone().unwrap_or_default(),
            revision: result.revision,
            by: by.to_owned(),
            is_dry: state.operation["sync"]["dryRun"] == true,
            started: state.started_at.as_ref().map(|time| time.0),
            finished: state.finished_at.as_ref().map(|time| time.0),
        }
    }
}

/// The sources that count: a list wins over a single one.
pub(crate) fn sources(spec: &ApplicationSpec) -> impl Iterator<Item = &ApplicationSource> {
    let list = spec.sources.as_deref().unwrap_or_default();
    list.iter().chain(spec.source.iter().filter(move |_| list.is_empty()))
}

/// Automation, if it is on.
pub(crate) fn automated(spec: &ApplicationSpec) -> Option<&Automated> {
    let automated = spec.sync_policy.as_ref()?.automated.as_ref()?;
    (automated.enabled != Some(false)).then_some(automated)
}

/// The first letters of a commit, and anything else whole.
pub(crate) fn short(revision: &str) -> &str {
    let is_commit = revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit { &revision[..7] } else { revision }
}

fn policy(spec: &ApplicationSpec) -> String {
    let Some(automated) = automated(spec) else { return "manual".to_owned() };
    let flags = [(automated.prune, "prune"), (automated.self_heal, "self-heal")];
    let flags = flags.into_iter().filter_map(|(is_on, name)| (is_on == Some(true)).then_some(name));
    std::iter::once("automated").chain(flags).collect::<Vec<_>>().join(", ")
}

/// The objects, and what the last sync said about each. Hooks are known from that sync alone.
fn resources(status: &ApplicationStatus) -> Vec<ResourceView> {
    let result = status.operation_state.as_ref().and_then(|state| state.sync_result.as_ref());
    let results = result.and_then(|result| result.resources.as_deref()).unwrap_or_default();
    let mut views: Vec<ResourceView> =
        status.resources.iter().flatten().map(|resource| ResourceView::new(resource, results)).collect();
    let others = results
        .iter()
        .filter(|result| result.hook_phase.is_some() && !views.iter().any(|view| view.is_about(result)));
    let others: Vec<ResourceView> = others.map(ResourceView::of_hook).collect();
    views.extend(others);
    views
}

impl ResourceView {
    fn new(resource: &ResourceStatus, results: &[ResourceResult]) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let health = resource.health.clone().unwrap_or_default();
        let mut view = Self {
            group: text(&resource.group),
            kind: text(&resource.kind),
            namespace: text(&resource.namespace),
            name: text(&resource.name),
            status: resource.status,
            health: health.status,
            health_message: health.message.unwrap_or_default(),
            requires_pruning: resource.requires_pruning == Some(true),
            hook: resource.hook == Some(true),
            wave: resource.sync_wave.unwrap_or(0),
            message: String::new(),
        };
        let said = results.iter().find(|result| view.is_about(result));
        view.message = said.and_then(|result| result.message.clone()).unwrap_or_default();
        view
    }

    fn of_hook(result: &ResourceResult) -> Self {
        Self {
            group: result.group.clone(),
            kind: result.kind.clone(),
            namespace: result.namespace.clone(),
            name: result.name.clone(),
            hook: true,
            message: result.message.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    fn is_about(&self, result: &ResourceResult) -> bool {
        (&self.group, &self.kind, &self.namespace, &self.name)
            == (&result.group, &result.kind, &result.namespace, &result.name)
    }
}
