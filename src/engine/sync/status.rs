//! The status of an Application, built whole from one decision, and the patch that brings it there.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use tidegate_api::source::{
    Condition, HealthCode, HealthStatus, OperationPhase, OperationState, ResourceStatus, Summary, SyncCode,
    SyncResult,
};

use super::compare::{Comparison, Pair};
use super::health::{self, Health};
use super::hook;
use super::look::Level;
use super::object::{group_version, has_owner, list, text};
use super::options;
use super::plan::{Because, Plan, status_patch};
use super::subject::{REFRESH, Subject};
use super::supported;
use super::target::known_key;
use super::tracking::{Owner, owner};
use super::world::World;
use crate::plan::Notice;

/// How many objects a health message names, as upstream.
const NAMED_CAUSES: usize = 3;

/// A status in the making.
pub(super) struct Draft<'a> {
    subject: &'a Subject<'a>,
    now: Timestamp,
    status: Value,
}

impl<'a> Draft<'a> {
    /// Starts from the status as it is, so that what others wrote into it stays.
    pub(super) fn new(world: &World, subject: &'a Subject<'a>) -> Self {
        let status = subject.raw.get("status").filter(|status| status.is_object()).cloned();
        let mut draft = Self { subject, now: world.now, status: status.unwrap_or_else(|| json!({})) };
        draft.set("controllerNamespace", &world.install.controller_namespace);
        draft
    }

    /// Sets one field; a value that says nothing removes it.
    pub(super) fn set(&mut self, name: &str, value: &impl serde::Serialize) {
        let Some(map) = self.status.as_object_mut() else { return };
        let value = serde_json::to_value(value).unwrap_or_default();
        if value.is_null() {
            map.remove(name);
        } else {
            map.insert(name.to_owned(), value);
        }
    }

    /// Sets the time of this comparison. The status knows whole seconds only; a sync that ended in this one
    /// must still be told to be the earlier of the two.
    fn reconciled(&mut self) {
        let ended = self.subject.status.operation_state.as_ref().and_then(|state| state.finished_at.as_ref());
        let after_that = ended.and_then(|ended| ended.0.checked_add(SignedDuration::from_secs(1)).ok());
        let at = after_that.filter(|at| at.as_second() > self.now.as_second()).unwrap_or(self.now);
        self.set("reconciledAt", &Time(at));
    }

    fn sync(&mut self, code: SyncCode, revision: Option<&str>) {
        let spec = self.subject.raw.get("spec").cloned().unwrap_or_default();
        let mut compared = json!({});
        for name in ["source", "sources", "destination", "ignoreDifferences"] {
            if let Some(value) = spec.get(name).filter(|value| !value.is_null()) {
                compared[name] = value.clone();
            }
        }
        let mut sync = json!({ "status": code, "comparedTo": compared });
        if let Some(revision) = revision {
            sync["revision"] = json!(revision);
        }
        self.set("sync", &sync);
    }

    fn health(&mut self, health: &Health) {
        let old = self.subject.status.health.clone().unwrap_or_default();
        let since = old.last_transition_time.filter(|_| old.status == Some(health.code));
        let message = Some(health.message.clone()).filter(|message| !message.is_empty());
        let last_transition_time = since.or(Some(Time(self.now)));
        self.set("health", &HealthStatus { status: Some(health.code), message, last_transition_time });
    }

    /// Sets the conditions; one that says the same as before keeps its time.
    fn conditions(&mut self, found: &[(&'static str, String)]) {
        let old = self.subject.status.conditions.clone().unwrap_or_default();
        let unique: BTreeSet<(&str, &str)> =
            found.iter().map(|(type_, message)| (*type_, message.as_str())).collect();
        let conditions: Vec<Condition> = unique
            .into_iter()
            .map(|(type_, message)| {
                let same = old.iter().find(|old| old.type_ == type_ && old.message == message);
                let since = same.and_then(|same| same.last_transition_time.clone());
                Condition {
                    type_: type_.to_owned(),
                    message: message.to_owned(),
                    last_transition_time: since.or(Some(Time(self.now))),
                }
            })
            .collect();
        self.set("conditions", &Some(conditions).filter(|conditions| !conditions.is_empty()));
    }

    /// Sets the conditions of some types and keeps the others.
    pub(super) fn conditions_of(&mut self, types: &[&str], found: &[(&'static str, String)]) {
        let kept = self.subject.status.conditions.clone().unwrap_or_default();
        let kept = kept.into_iter().filter(|condition| !types.contains(&condition.type_.as_str()));
        let mut all: Vec<Condition> = kept.collect();
        self.conditions(found);
        let new = self.status.get("conditions").cloned().unwrap_or_else(|| json!([]));
        all.extend(serde_json::from_value::<Vec<Condition>>(new).unwrap_or_default());
        self.set("conditions", &Some(all).filter(|all| !all.is_empty()));
    }

    /// The patch of the whole Application, and the events that go with it.
    pub(super) fn finish(self, plan: &mut Plan) {
        let old = self.subject.raw.get("status").cloned().unwrap_or_else(|| json!({}));
        plan.notices.extend(moves(&old, &self.status));
        plan.patch = joined(plan.patch.take(), status_patch(&old, &self.status));
    }
}

/// Two merge patches in one.
pub(super) fn joined(one: Option<Value>, other: Option<Value>) -> Option<Value> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            join(&mut one, other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

fn join(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                join(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The events for a change of the two verdicts, in upstream's words.
fn moves(old: &Value, new: &Value) -> Vec<Notice> {
    let verdicts = [("sync", "/sync/status"), ("health", "/health/status")];
    let changed = verdicts.into_iter().filter(|(_, pointer)| text(old, pointer) != text(new, pointer));
    changed
        .map(|(name, pointer)| {
            let (from, to) = (text(old, pointer), text(new, pointer));
            Notice::normal("ResourceUpdated", format!("Updated {name} status: {from} -> {to}"))
        })
        .collect()
}

/// The patch that takes the refresh annotation away, if it is there.
fn refreshed(subject: &Subject) -> Option<Value> {
    subject.refresh().map(|_| json!({ "metadata": { "annotations": { REFRESH: null } } }))
}

/// Says that the spec asks for what cannot be done.
pub(super) fn invalid(world: &World, conditions: Vec<(&'static str, String)>) -> Plan {
    let message = conditions.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>().join("; ");
    let mut plan = Plan::nothing(Because::InvalidSpec { message });
    // A spec that cannot be read still has a status to be told about.
    let raw = &world.application;
    let readable = Subject::read(raw).or_else(|_| Subject::read(&EMPTY));
    let Ok(mut subject) = readable else { return plan };
    subject.raw = raw;
    let mut draft = Draft::new(world, &subject);
    draft.sync(SyncCode::Unknown, subject.compared_revision());
    if conditions.iter().any(|(type_, _)| *type_ == "InvalidSpecError") {
        draft.health(&Health { code: HealthCode::Unknown, message: String::new() });
    }
    draft.conditions(&conditions);
    draft.reconciled();
    draft.finish(&mut plan);
    plan.patch = joined(plan.patch.take(), refreshed(&subject));
    plan.wake = Some(next_poll(world, &subject));
    plan
}

/// Stands in for an Application whose spec cannot be read.
static EMPTY: std::sync::LazyLock<Value> =
    std::sync::LazyLock::new(|| json!({ "spec": { "project": "default", "destination": {} } }));

/// When Git is asked next if it is asked now.
pub(super) fn next_poll(world: &World, _: &Subject) -> Timestamp {
    world.now.checked_add(SignedDuration::from_secs(world.install.poll_seconds)).unwrap_or(world.now)
}

/// Says that Git and cluster could not be compared, and how the objects of the last comparison are.
pub(super) fn unknown(world: &World, subject: &Subject, message: String, plan: &mut Plan) {
    let mut draft = Draft::new(world, subject);
    let revision = match &world.source {
        Some(Ok(fetched)) => Some(fetched.revision.as_str()),
        Some(Err(_)) | None => subject.compared_revision(),
    };
    draft.sync(SyncCode::Unknown, revision);
    draft.conditions(&[("ComparisonError", message)]);
    draft.reconciled();
    if let Some(cluster) = &world.cluster {
        let mut resources = subject.status.resources.clone().unwrap_or_default();
        let raw = list(subject.raw.get("status").unwrap_or(&Value::Null), "/resources");
        for (resource, raw) in resources.iter_mut().zip(raw) {
            if let Some(live) = cluster.live.get(&known_key(raw)) {
                resource.health = health::judged(live).as_ref().map(resource_health);
            }
        }
        if subject.status.resources.is_some() {
            draft.set("resources", &resources);
        }
        // What the cluster holds is known to be well or not, whatever is known of Git.
        let counted = resources.iter().filter(|resource| resource.hook != Some(true));
        let codes = counted.filter_map(|resource| resource.health.as_ref()?.status);
        if let Some(code) = codes.filter(|code| *code != HealthCode::Missing).max() {
            draft.health(&Health { code, message: String::new() });
        }
    }
    draft.finish(plan);
    plan.patch = joined(plan.patch.take(), refreshed(subject));
}

/// What of the spec and the project is not acted on.
pub(super) fn unsupported(world: &World, subject: &Subject) -> Vec<(&'static str, String)> {
    let spec = subject.raw.get("spec").cloned().unwrap_or_default();
    let project = world.project.as_ref().and_then(|project| project.get("spec")).cloned().unwrap_or_default();
    let warned = supported::spec(&spec, &subject.sync_options()).warned;
    let warned = warned.into_iter().chain(supported::project(&spec_or_empty(project)).warned);
    warned.map(|message| ("UnsupportedFieldWarning", message)).collect()
}

fn spec_or_empty(spec: Value) -> Value {
    if spec.is_null() { json!({}) } else { spec }
}

/// Writes what a comparison found, and the operation that automation starts.
pub(super) fn compared(
    world: &World,
    subject: &Subject,
    comparison: &Comparison,
    level: Level,
    conditions: &[(&'static str, String)],
    started: Option<Value>,
    plan: &mut Plan,
) {
    let mut draft = Draft::new(world, subject);
    draft.sync(comparison.sync, Some(&comparison.revision));
    draft.health(&overall(&comparison.pairs));
    let mut resources: Vec<ResourceStatus> =
        comparison.pairs.iter().map(|pair| resource(pair, subject)).collect();
    resources.extend(hooks(world, subject));
    draft.set("resources", &resources);
    draft.set("resourceHealthSource", &Value::Null);
    draft.set("sourceType", &"Directory");
    draft.set("summary", &summary(&comparison.pairs));
    draft.conditions(conditions);
    if level > Level::SameRevision {
        draft.reconciled();
    }
    if let Some(operation) = &started {
        let state = begin(world, subject, operation, &comparison.revision);
        draft.set("operationState", &state);
        let revision = &comparison.revision;
        plan.notices
            .push(Notice::normal("OperationStarted", format!("Initiated automated sync to '{revision}'")));
        plan.wake = Some(world.now);
    }
    draft.finish(plan);
    plan.patch = joined(plan.patch.take(), refreshed(subject));
    plan.patch = joined(plan.patch.take(), started.map(|operation| json!({ "operation": operation })));
}

/// The state of an operation that begins, with its commit pinned.
pub(super) fn begin(world: &World, subject: &Subject, operation: &Value, revision: &str) -> OperationState {
    let asked =
        operation.pointer("/sync/source").cloned().and_then(|source| serde_json::from_value(source).ok());
    OperationState {
        operation: operation.clone(),
        phase: OperationPhase::Running,
        started_at: Some(Time(world.now)),
        sync_result: Some(SyncResult {
            revision: revision.to_owned(),
            source: asked.or_else(|| subject.spec.source.clone()),
            ..SyncResult::default()
        }),
        ..OperationState::default()
    }
}

fn resource(pair: &Pair, subject: &Subject) -> ResourceStatus {
    let text = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
    let extra = pair.requires_pruning();
    ResourceStatus {
        group: text(&pair.key.group),
        version: text(&pair.version),
        kind: text(&pair.key.kind),
        namespace: text(&pair.key.namespace),
        name: text(&pair.key.name),
        status: Some(pair.status),
        health: pair.health.as_ref().map(resource_health),
        sync_wave: wave(pair.wanted.as_ref().map(|wanted| &wanted.object).or(pair.live)),
        requires_pruning: extra.then_some(true),
        requires_deletion_confirmation: pair
            .live
            .is_some_and(|live| options::applies(live, &subject.sync_options(), "Prune=confirm"))
            .then_some(true),
        ..ResourceStatus::default()
    }
}

/// The wave of an object; nothing for the first one, as upstream leaves out a zero.
fn wave(object: Option<&Value>) -> Option<i64> {
    object.map(hook::wave).filter(|wave| *wave != 0)
}

/// The hooks of this Application that are in the cluster. They are neither in sync nor out of it.
fn hooks(world: &World, subject: &Subject) -> Vec<ResourceStatus> {
    let live = world.cluster.iter().flat_map(|cluster| &cluster.live);
    let own = live.filter(|(_, live)| {
        hook::is_hook(live) && owner(live) == Owner::Application(subject.name()) && !has_owner(live)
    });
    own.map(|(key, live)| ResourceStatus {
        group: Some(key.group.clone()).filter(|group| !group.is_empty()),
        version: Some(group_version(live).1.to_owned()),
        kind: Some(key.kind.clone()),
        namespace: Some(key.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        name: Some(key.name.clone()),
        health: health::of(live).as_ref().map(resource_health),
        hook: Some(true),
        sync_wave: wave(Some(live)),
        ..ResourceStatus::default()
    })
    .collect()
}

fn resource_health(health: &Health) -> HealthStatus {
    let message = Some(health.message.clone()).filter(|message| !message.is_empty());
    HealthStatus { status: Some(health.code), message, last_transition_time: None }
}

/// The worst health of the objects. What is missing counts only when everything is.
pub(super) fn overall(pairs: &[Pair]) -> Health {
    let judged: Vec<(&Pair, &Health)> =
        pairs.iter().filter_map(|pair| pair.health.as_ref().map(|health| (pair, health))).collect();
    let all_missing = !pairs.is_empty() && pairs.iter().all(|pair| pair.live.is_none());
    if all_missing {
        return Health { code: HealthCode::Missing, message: String::new() };
    }
    let counted = || judged.iter().filter(|(_, health)| health.code != HealthCode::Missing);
    let code = |pair: &Pair, health: &Health| health::aggregated(&pair.key, health);
    let worst = counted().map(|(pair, health)| code(pair, health)).max().unwrap_or(HealthCode::Healthy);
    if worst == HealthCode::Healthy {
        return Health { code: worst, message: String::new() };
    }
    let causes = counted().filter(|(pair, health)| code(pair, health) == worst);
    let causes: Vec<String> = causes
        .take(NAMED_CAUSES)
        .map(|(pair, _)| {
            format!("{}/{}:{}/{}", pair.key.group, pair.key.kind, pair.key.namespace, pair.key.name)
        })
        .collect();
    Health { code: worst, message: format!("Caused by {}", causes.join(", ")) }
}

/// Images of the live objects, and whether there are Applications among them.
fn summary(pairs: &[Pair]) -> Summary {
    let mut images = BTreeSet::new();
    for live in pairs.iter().filter_map(|pair| pair.live) {
        for pointer in ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"] {
            for containers in ["/initContainers", "/containers"] {
                let containers = list(live, &format!("{pointer}{containers}"));
                images.extend(containers.iter().map(|container| text(container, "/image").to_owned()));
            }
        }
    }
    images.remove("");
    let is_app_of_apps =
        pairs.iter().any(|pair| pair.key.kind == "Application" && pair.key.group == "argoproj.io");
    Summary {
        images: Some(images.into_iter().collect::<Vec<_>>()).filter(|images| !images.is_empty()),
        external_urls: None,
        is_app_of_apps: is_app_of_apps.then_some(true),
    }
}
