//! Which ReplicaSet belongs to which revision: finding, adopting, creating and numbering.
//!
//! Input: the ReplicaSets of the World. Output: roles and the writes that keep names and numbers right. A ReplicaSet
//! whose template equals the spec is reused whatever its hash says, so that a change of the hash, or an undo that
//! wrote back a defaulted template, restarts no pod.

use std::collections::BTreeMap;

use serde_json::json;
use tidegate_api::compact::Compact;
use tidegate_api::rollout::{AntiAffinity, PodTemplateMetadata};

use super::additions::{self, Role};
use super::apart::{self, Apart};
use super::core::Core;
use super::held::{ABORTED_CONTENT, HOLD, SHIP_AGAIN};
use super::template;
use super::world::{DESIRED_REPLICAS, HASH_LABEL, REVISION, REVISION_HISTORY, Set, Texts, World};
use crate::plan::{Because, Move, Notice, Plan, SetPatch, Write};

/// Annotations of a Rollout that its ReplicaSets do not inherit.
const NOT_COPIED: [&str; 8] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    "notified.notifications.argoproj.io",
    ABORTED_CONTENT,
    HOLD,
    SHIP_AGAIN,
];

/// The ReplicaSets that the Rollout controls, oldest first.
pub(crate) fn owned(world: &World) -> Vec<&Set> {
    let uid = world.rollout.metadata.uid.as_deref();
    let mut sets: Vec<&Set> = world
        .sets
        .iter()
        .map(AsRef::as_ref)
        .filter(|set| set.owner.as_deref() == uid && !set.deleting)
        .collect();
    sets.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.name.cmp(&b.name)));
    sets
}

/// The ReplicaSet that already has the wanted template: by its hash, else by comparing templates.
pub(crate) fn find_new<'w>(sets: &[&'w Set], hash: &str, wanted: &Compact) -> Option<&'w Set> {
    let by_hash = sets.iter().copied().find(|set| set.hash() == hash);
    by_hash.or_else(|| {
        sets.iter().copied().find(|set| template::equal_ignoring_hash(&set.own_template(), wanted))
    })
}

/// Claims orphans that the selector matches and releases ReplicaSets that it no longer matches.
///
/// True when anything was claimed or released: the roles are only known in the next round then.
pub(crate) fn claim(world: &World, plan: &mut Plan) -> bool {
    let uid = world.rollout.metadata.uid.as_deref();
    let Some(selector) = world.rollout.spec.selector.as_ref() else { return false };
    let before = plan.writes.len();
    for set in world.sets.iter().filter(|set| !set.deleting) {
        let matches = selects(selector, &set.labels);
        let (name, uid_of_set) = (set.name.clone(), set.uid.clone());
        match &set.owner {
            None if matches => {
                plan.push(Write::AdoptSet { name, uid: uid_of_set }, Because::Moves(Move::Bookkeeping))
            }
            Some(owner) if Some(owner.as_str()) == uid && !matches => {
                plan.push(Write::ReleaseSet { name, uid: uid_of_set }, Because::Moves(Move::Bookkeeping));
            }
            Some(_) | None => {}
        }
    }
    plan.writes.len() > before
}

/// Whether a label selector matches; an empty one matches nothing, because that would claim every ReplicaSet.
pub(crate) fn selects(
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
    labels: &Texts,
) -> bool {
    let exact = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    if exact.clone().next().is_none() && expressions.clone().next().is_none() {
        return false;
    }
    exact.into_iter().all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|expression| {
            let value = labels.get(&expression.key);
            let listed =
                || value.is_some_and(|value| expression.values.iter().flatten().any(|known| known == value));
            match expression.operator.as_str() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// The number that the new revision has or gets: one more than the highest of the others, never lowered.
pub(crate) fn number(facts: &Core<'_>) -> i64 {
    let is_new = |set: &Set| facts.new.is_some_and(|new| new.name == set.name);
    let highest = facts.all.iter().filter(|set| !is_new(set)).map(|set| set.revision()).max().unwrap_or(0);
    facts.new.map_or(0, Set::revision).max(highest + 1)
}

/// The ReplicaSet to create for the current template, with no pods yet.
pub(crate) fn create(facts: &Core<'_>) -> Set {
    let rollout = facts.rollout;
    let labelled = template::with_hash_label(&rollout.spec.template.0, &facts.hash);
    let mut labels = rollout.spec.template.metadata("labels");
    labels.insert(HASH_LABEL.to_owned(), facts.hash.clone());
    let mut selector =
        serde_json::to_value(rollout.spec.selector.clone().unwrap_or_default()).unwrap_or(json!({}));
    selector["matchLabels"][HASH_LABEL] = json!(facts.hash);
    let mut annotations = copied_annotations(facts);
    annotations.insert(REVISION.to_owned(), number(facts).to_string());
    annotations.insert(DESIRED_REPLICAS.to_owned(), facts.replicas.to_string());
    let mut set = Set {
        name: format!("{}-{}", facts.name, facts.hash),
        labels: labels.into_iter().collect(),
        annotations: annotations.into_iter().collect(),
        owner: rollout.metadata.uid.clone(),
        replicas: 0,
        min_ready_seconds: rollout.spec.min_ready_seconds,
        selector: selector.into(),
        template: labelled.into(),
        ..Set::default()
    };
    let wishes = Wishes::of(facts);
    additions::equip(&mut set, wishes.of_new(facts, &facts.hash));
    apart::equip(&mut set, Apart::of(facts.world, wishes.apart, &facts.hash));
    set
}

/// What the strategy wants pods to have beyond their template.
struct Wishes<'w> {
    /// For the time that a revision is the new one and not yet the stable one.
    new: Option<&'w PodTemplateMetadata>,
    /// For the time that it is the stable one.
    stable: Option<&'w PodTemplateMetadata>,
    /// To keep both on different nodes.
    apart: Option<&'w AntiAffinity>,
}

impl<'w> Wishes<'w> {
    fn of(facts: &Core<'w>) -> Self {
        let strategy = &facts.rollout.spec.strategy;
        match (&strategy.canary, &strategy.blue_green) {
            (_, Some(blue_green)) => Self {
                new: blue_green.preview_metadata.as_ref(),
                stable: blue_green.active_metadata.as_ref(),
                apart: blue_green.anti_affinity.as_ref(),
            },
            (Some(canary), None) => Self {
                new: canary.canary_metadata.as_ref(),
                stable: canary.stable_metadata.as_ref(),
                apart: canary.anti_affinity.as_ref(),
            },
            (None, None) => Self { new: None, stable: None, apart: None },
        }
    }

    /// What pods of the current template get: those of the first revision are stable at once.
    fn of_new(&self, facts: &Core<'_>, hash: &str) -> Option<&'w PodTemplateMetadata> {
        let stable = &facts.status.stable_rs;
        if stable.is_empty() || stable == hash { self.stable } else { self.new }
    }
}

/// Gives pods the metadata of their roles, and takes away what former roles brought; keeps the new revision's pods apart
/// from those of the stable one, and no others.
pub(crate) fn sync_roles(facts: &Core<'_>, plan: &mut Plan) {
    let wishes = Wishes::of(facts);
    let new = facts.new.map(|set| {
        let metadata = wishes.of_new(facts, set.hash());
        Role { set, metadata, is_current: true }
    });
    let metadata = wishes.stable;
    let stable = facts.distinct_stable().map(|set| Role { set, metadata, is_current: false });
    let others = facts.others.iter().map(|set| Role { set, metadata: None, is_current: false });
    let roles: Vec<Role<'_>> = new.into_iter().chain(stable).chain(others).collect();
    additions::sync(facts.world, &roles, plan);
    if let Some(new) = facts.new {
        apart::sync(new, Apart::of(facts.world, wishes.apart, new.hash()), plan);
    }
    if let Some(stable) = facts.distinct_stable() {
        apart::sync(stable, None, plan);
    }
}

fn copied_annotations(facts: &Core<'_>) -> BTreeMap<String, String> {
    let annotations = facts.rollout.metadata.annotations.clone().unwrap_or_default();
    annotations.into_iter().filter(|(key, _)| !NOT_COPIED.contains(&key.as_str())).collect()
}

/// Keeps the new ReplicaSet's annotations and the Rollout's revision number up to date.
pub(crate) fn sync(facts: &Core<'_>, plan: &mut Plan) {
    let number = number(facts);
    if let Some(new) = facts.new {
        let mut patch = SetPatch { name: new.name.clone(), ..SetPatch::default() };
        if new.revision() != number {
            patch.annotations.insert(REVISION.to_owned(), Some(number.to_string()));
            // A former number is one that was another: taking over an annotation of the Rollout adds none.
            if new.revision() > 0 {
                let history = new.annotations.get(REVISION_HISTORY).filter(|text| !text.is_empty());
                let former =
                    history.map_or(new.revision().to_string(), |text| format!("{text},{}", new.revision()));
                patch.annotations.insert(REVISION_HISTORY.to_owned(), Some(former));
            }
        }
        for (key, value) in copied_annotations(facts) {
            if new.annotations.get(&key) != Some(&value) {
                patch.annotations.insert(key, Some(value));
            }
        }
        if new.min_ready_seconds != facts.rollout.spec.min_ready_seconds {
            patch.min_ready_seconds = Some(facts.rollout.spec.min_ready_seconds);
        }
        if !patch.annotations.is_empty() || patch.min_ready_seconds.is_some() {
            plan.push(Write::PatchSet(patch), Because::Moves(Move::Bookkeeping));
        }
    }
    annotate(facts, plan, Vec::new());
}

/// Whether the Rollout carries the number of its revision already.
pub(crate) fn is_annotated(facts: &Core<'_>) -> bool {
    let known = facts.rollout.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    known == Some(&number(facts).to_string())
}

/// Writes the revision number into the Rollout when it differs.
pub(crate) fn annotate(facts: &Core<'_>, plan: &mut Plan, then: Vec<Notice>) {
    if is_annotated(facts) {
        return;
    }
    let number = number(facts).to_string();
    let mut notices = vec![Notice::normal("RolloutUpdated", format!("Rollout updated to revision {number}"))];
    notices.extend(then);
    let annotations = BTreeMap::from([(REVISION.to_owned(), number)]);
    plan.push_with(Write::AnnotateRollout { annotations }, Because::Moves(Move::Bookkeeping), notices);
}
