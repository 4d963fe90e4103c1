//! One template of an Experiment: its ReplicaSet, its size, and what state it is in.
//!
//! Input: facts and the template. Output: writes, and the template's part of the status. A ReplicaSet is created without
//! pods and sized in a later round; at the end it keeps its pods until its deadline has passed.

use serde_json::{Value, json};
use tidegate_api::experiment::{ExperimentStatus, TemplateSpec, TemplateStatus};
use tidegate_api::phase::TemplateStatusCode;

use super::plan::{Because, Planned, Write};
use super::world::{EXPERIMENT_NAME, TEMPLATE_NAME};
use super::{Facts, Round, is_done, later, services, time};
use crate::at::at;
use crate::plan::{Notice, SetPatch};
use crate::rollout::hash::{canonical, pod_template_hash};
use crate::rollout::template::{with_hash_label, without_hash_label};
use crate::rollout::world::{HASH_LABEL, SCALE_DOWN_DEADLINE, Set, SetFailure, Texts};

/// Seconds that pods stay up at the end, when the spec does not say.
const SCALE_DOWN_DELAY_SECONDS: i32 = 30;

/// Looks at one template.
pub(super) fn look(facts: &Facts<'_>, template: &TemplateSpec, round: &mut Round) {
    let before = known(facts.before, &template.name);
    let mut next = before.clone();
    let want = facts.want(template, &before);
    let set = facts.world.set_of(&template.name);
    let resized = match set {
        Some(set) => {
            services::look(facts, template, set, want, &mut next, round);
            resize(facts, set, want, round)
        }
        None => {
            if want == 0 {
                services::remove(facts, template, &mut next, round);
            }
            want > 0 && create(facts, template, &mut next, round)
        }
    };
    observe(set, &mut next);
    if resized || counts(&before) != counts(&next) {
        next.last_transition_time = Some(time(facts.now));
    }
    judge(facts, template, (set, want), &mut next, round);
    if next.status != before.status {
        round.notices.extend(transition(&before, &next));
    }
    put(&mut round.next, next);
}

/// The state of a template in a status; a new one when there is none.
fn known(status: &ExperimentStatus, name: &str) -> TemplateStatus {
    let known = status.template_statuses.iter().find(|known| known.name == name).cloned();
    known.unwrap_or_else(|| TemplateStatus { name: name.to_owned(), ..TemplateStatus::default() })
}

/// Puts the state of a template into a status.
pub(super) fn put(status: &mut ExperimentStatus, template: TemplateStatus) {
    match status.template_statuses.iter_mut().find(|known| known.name == template.name) {
        Some(known) => *known = template,
        None => status.template_statuses.push(template),
    }
}

fn counts(status: &TemplateStatus) -> [i32; 4] {
    [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas]
}

fn observe(set: Option<&Set>, next: &mut TemplateStatus) {
    next.replicas = set.map_or(0, |set| set.status.replicas);
    next.updated_replicas = next.replicas;
    next.ready_replicas = set.map_or(0, |set| set.status.ready);
    next.available_replicas = set.map_or(0, |set| set.status.available);
}

/// Name of the ReplicaSet of a template.
pub(super) fn set_name(facts: &Facts<'_>, template: &TemplateSpec) -> String {
    format!("{}-{}", facts.name, template.name)
}

/// Creates the ReplicaSet of a template, unless somebody has its name; true when that is progress.
fn create(facts: &Facts<'_>, template: &TemplateSpec, next: &mut TemplateStatus, round: &mut Round) -> bool {
    let name = set_name(facts, template);
    if facts.world.sets.iter().any(|set| set.name == name) {
        // The one that is being deleted, or one of a template of another name: its name may become free.
        round.waits.push(Because::NameTaken { set: name });
        return false;
    }
    if facts.world.taken.sets.contains(&name) {
        round.waits.push(Because::NameTaken { set: name });
        // The progress deadline counts from here.
        return next.collision_count.replace(1).is_none();
    }
    let set = build(facts, template, name.clone(), next.collision_count);
    let because = Because::SetNeeded { set: name };
    round.waits.push(because.clone());
    round.grow.push(Planned::new(Write::CreateSet(Box::new(set)), because));
    true
}

fn build(facts: &Facts<'_>, template: &TemplateSpec, name: String, collisions: Option<i32>) -> Set {
    // A template that a Rollout's step copied from a ReplicaSet carries the hash of that one.
    let bare = without_hash_label(&template.template.0);
    // The names count, too. The same pods elsewhere have the hash of the template alone: a revision's Services would send
    // users to these, and of two templates with the same pods each Service would stand for both.
    let named = format!("{}/{}/{}", canonical(&bare), facts.name, template.name);
    let hash = pod_template_hash(&named, collisions);
    let mut selector =
        serde_json::to_value(template.selector.clone().unwrap_or_default()).unwrap_or_else(|_| json!({}));
    selector["matchLabels"][HASH_LABEL] = json!(hash);
    let annotations = [(EXPERIMENT_NAME, facts.name), (TEMPLATE_NAME, &template.name)];
    let mut labels: Texts = template.template.metadata("labels").into_iter().collect();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    Set {
        name,
        labels,
        annotations: annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect(),
        owner: facts.experiment.metadata.uid.clone(),
        replicas: 0,
        min_ready_seconds: template.min_ready_seconds,
        selector: selector.into(),
        template: with_hash_label(&bare, &hash).into(),
        ..Set::default()
    }
}

/// Brings a ReplicaSet to its size; true when the size changes. At the end the pods stay until a deadline.
fn resize(facts: &Facts<'_>, set: &Set, want: i32, round: &mut Round) -> bool {
    let mut patch = SetPatch { name: set.name.clone(), ..SetPatch::default() };
    let mut because = Because::DeadlineLifted { set: set.name.clone() };
    let mut to = want;
    if want == 0 && set.replicas > 0 {
        if let Some(until) = delay(facts, set, &mut patch) {
            to = set.replicas;
            because = Because::ScaleDownDelay { set: set.name.clone(), until };
            round.wake_after(until);
            round.waits.push(because.clone());
        } else if let Some(service) = routed(facts, set) {
            to = set.replicas;
            because = Because::StillRouted { set: set.name.clone(), service: service.to_owned() };
            round.waits.push(because.clone());
        }
    } else if want > 0 && set.has_deadline() {
        patch.annotations.insert(SCALE_DOWN_DEADLINE.to_owned(), None);
    }
    let mut notices = Vec::new();
    if to != set.replicas {
        patch.replicas = Some((set.replicas, to));
        because = Because::Resize { set: set.name.clone(), from: set.replicas, to };
        let way = if to > set.replicas { "up" } else { "down" };
        let message = format!("Scaled {way} ReplicaSet {} from {} to {to}", set.name, set.replicas);
        notices.push(Notice::normal("ScalingReplicaSet", message));
        round.waits.push(because.clone());
    }
    let resized = patch.replicas.is_some();
    if resized || !patch.annotations.is_empty() {
        let planned = Planned { notices, ..Planned::new(Write::PatchSet(patch), because) };
        if to < set.replicas { round.shrink.push(planned) } else { round.grow.push(planned) }
    } else if to == 0 && set.status.replicas > 0 {
        round.waits.push(Because::PodsLeaving { set: set.name.clone(), pods: set.status.replicas });
    }
    resized
}

/// The Service of a ReplicaSet's template, while routes may send requests to it.
fn routed<'f>(facts: &Facts<'f>, set: &Set) -> Option<&'f str> {
    let service = facts.world.service_of(set.annotations.get(TEMPLATE_NAME)?)?;
    facts.world.in_use.contains(&service.name).then_some(service.name.as_str())
}

/// Until when a ReplicaSet keeps the pods that nobody wants any more; sets the deadline when there is none.
fn delay(facts: &Facts<'_>, set: &Set, patch: &mut SetPatch) -> Option<jiff::Timestamp> {
    let seconds = facts.experiment.spec.scale_down_delay_seconds.unwrap_or(SCALE_DOWN_DELAY_SECONDS);
    if seconds <= 0 {
        if set.has_deadline() {
            patch.annotations.insert(SCALE_DOWN_DEADLINE.to_owned(), None);
        }
        return None;
    }
    match set.deadline() {
        Some(until) => (facts.now <= until).then_some(until),
        // None yet, or one that nobody can read.
        None => {
            let until = time(later(facts.now, seconds)).0;
            patch.annotations.insert(SCALE_DOWN_DEADLINE.to_owned(), Some(until.to_string()));
            Some(until)
        }
    }
}

/// Takes the pods of all ReplicaSets, as at any end.
pub(super) fn shrink_all(facts: &Facts<'_>, round: &mut Round) {
    for set in facts.world.sets.iter().filter(|set| !set.deleting) {
        resize(facts, set, 0, round);
    }
}

/// Takes the pods of ReplicaSets that no template of the spec stands for any more.
pub(super) fn shrink_strangers(facts: &Facts<'_>, round: &mut Round) {
    let templates = &facts.experiment.spec.templates;
    let is_known = |set: &Set| {
        templates.iter().any(|one| facts.world.set_of(&one.name).is_some_and(|of| of.name == set.name))
    };
    for set in facts.world.sets.iter().filter(|set| !set.deleting && !is_known(set)) {
        resize(facts, set, 0, round);
    }
}

/// Says what state a template is in. One that has ended stays as it ended.
fn judge(
    facts: &Facts<'_>,
    template: &TemplateSpec,
    (set, want): (Option<&Set>, i32),
    next: &mut TemplateStatus,
    round: &mut Round,
) {
    if is_done(next.status) {
        return;
    }
    if facts.ending {
        next.status = Some(TemplateStatusCode::Successful);
        return;
    }
    // A status from before our own last change of size says nothing about this size.
    let seen = set.is_none_or(|set| set.replicas == want && set.is_observed());
    if seen && next.available_replicas == want {
        let past = facts.is_past();
        next.status = Some(if past { TemplateStatusCode::Successful } else { TemplateStatusCode::Running });
        return;
    }
    let seconds = facts.progress_deadline_seconds();
    let since = next.last_transition_time.as_ref().map_or(facts.now, |since| since.0);
    let deadline = later(since, seconds);
    if facts.now > deadline {
        next.status = Some(TemplateStatusCode::Failed);
        next.message =
            format!("Template '{}' exceeded its progressDeadlineSeconds ({seconds})", template.name);
        return;
    }
    next.status = Some(TemplateStatusCode::Progressing);
    round.wake_after(deadline);
    if let Some(set) = set {
        let failure = set.status.failure.as_ref().map(SetFailure::told);
        round.waits.push(Because::WaitingForPods {
            set: set.name.clone(),
            ready: next.available_replicas,
            need: want,
            trouble: facts.world.troubles.get(&set.name).cloned().or(failure),
        });
    }
}

/// The Event of a template that goes from one state to another.
fn transition(before: &TemplateStatus, next: &TemplateStatus) -> Option<Notice> {
    let code = next.status?;
    let from = before.status.map_or("", code_text);
    let mut message = format!("Template '{}' transitioned from {from} -> {}", next.name, code_text(code));
    if !next.message.is_empty() {
        message.push_str(&format!(": {}", next.message));
    }
    Some(match code {
        TemplateStatusCode::Progressing => Notice::normal("TemplateProgressing", message),
        TemplateStatusCode::Running => Notice::normal("TemplateRunning", message),
        TemplateStatusCode::Successful => Notice::normal("TemplateSuccessful", message),
        TemplateStatusCode::Failed => Notice::warning("TemplateFailed", message),
        TemplateStatusCode::Error => Notice::warning("TemplateError", message),
        TemplateStatusCode::Unknown => Notice::normal("TemplateUnknown", message),
    })
}

fn code_text(code: TemplateStatusCode) -> &'static str {
    match code {
        TemplateStatusCode::Progressing => "Progressing",
        TemplateStatusCode::Running => "Running",
        TemplateStatusCode::Successful => "Successful",
        TemplateStatusCode::Failed => "Failed",
        TemplateStatusCode::Error => "Error",
        TemplateStatusCode::Unknown => "Unknown",
    }
}

/// Fails a template, because the API server would not have a write for it. One that has ended stays as it ended.
pub(super) fn fail(status: &mut ExperimentStatus, name: &str, message: String) -> Option<Notice> {
    let before = known(status, name);
    if is_done(before.status) {
        return None;
    }
    let next = TemplateStatus { status: Some(TemplateStatusCode::Error), message, ..before.clone() };
    let notice = transition(&before, &next);
    put(status, next);
    notice
}

/// The template that a ReplicaSet or Service belongs to, by its annotations.
pub(super) fn template_of(object: &Value) -> Option<&str> {
    at(object, "/metadata/annotations")?.get(TEMPLATE_NAME)?.as_str()
}
