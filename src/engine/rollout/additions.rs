//! What the pods of a ReplicaSet have beyond the pod template of the Rollout: labels and annotations for as long as
//! they have a role.
//!
//! Input: ReplicaSets with the metadata of their roles, and the pods that are seen. Output: patches, the template of a
//! ReplicaSet first, so that a new pod is born with what the others are given; then its pods. What was given stands in
//! an annotation of the ReplicaSet, as Argo Rollouts writes it, and stays there until no pod has it any more. No
//! strategy is known here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tidegate_api::rollout::PodTemplateMetadata;

use super::apart;
use super::world::{EPHEMERAL_METADATA, HASH_LABEL, Pod, Set, Texts, World};
use crate::plan::{Because, Move, Plan, PodPatch, SetPatch, Write};

/// Pods that one plan gives other metadata; the next round goes on.
const AT_ONCE: usize = 50;

/// A ReplicaSet and what its pods are to have for the time of their role.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Role<'a> {
    pub(crate) set: &'a Set,
    /// `None` takes away what a former role brought.
    pub(crate) metadata: Option<&'a PodTemplateMetadata>,
    /// Whether the ReplicaSet has the template of the Rollout, so that what was overwritten is known.
    pub(crate) is_current: bool,
}

impl Role<'_> {
    /// Whether nothing was given to these pods and nothing is to be, as for most Rollouts.
    fn is_plain(&self) -> bool {
        let wanted = self.metadata.is_some_and(|metadata| *metadata != NOTHING);
        !wanted && !self.set.annotations.contains_key(EPHEMERAL_METADATA)
    }
}

type Changes = BTreeMap<String, Option<String>>;

/// Gives a ReplicaSet that is about to be created the metadata of its role.
pub(crate) fn equip(set: &mut Set, metadata: Option<&PodTemplateMetadata>) {
    let Some(metadata) = metadata.filter(|metadata| **metadata != NOTHING) else {
        return;
    };
    let mut template = (*set.template).clone();
    for (map, texts) in [("labels", &metadata.labels), ("annotations", &metadata.annotations)] {
        for (key, text) in texts.iter().filter(|(key, _)| !selects_by(set, map, key)) {
            template["metadata"][map][key] = json!(text);
        }
    }
    set.template = template.into();
    set.annotations.insert(EPHEMERAL_METADATA.to_owned(), record_text(metadata));
}

impl Set {
    /// The pod template without what was added to it.
    #[must_use]
    pub fn own_template(&self) -> Value {
        own_template(&self.template, self.annotations.get(EPHEMERAL_METADATA).map(String::as_str))
    }
}

/// A pod template without what was added to it: what the ReplicaSet's annotation [`EPHEMERAL_METADATA`] says, and the
/// anti-affinity.
///
/// ```text
/// {"metadata": {"labels": {"app": "shop", "role": "canary"}}} with {"labels":{"role":"canary"}} in the annotation
/// {"metadata": {"labels": {"app": "shop"}}}
/// ```
#[must_use]
pub fn own_template(template: &Value, given: Option<&str>) -> Value {
    let mut template = template.clone();
    let given = record(given);
    for (map, texts) in [("labels", &given.labels), ("annotations", &given.annotations)] {
        let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        let Some(known) = metadata.get_mut(map).and_then(Value::as_object_mut) else { continue };
        let before = known.len();
        known.retain(|key, _| !texts.contains_key(key));
        if known.is_empty() && before > 0 {
            metadata.remove(map);
        }
    }
    apart::drop_terms(&mut template);
    template
}

/// Brings templates and pods in line with their roles.
pub(crate) fn sync(world: &World, roles: &[Role<'_>], plan: &mut Plan) {
    let mut left = AT_ONCE;
    for role in roles.iter().filter(|role| !role.is_plain()) {
        let sides = Sides::of(world, role);
        let pods: Vec<(&Pod, Change)> =
            world.pods_of(role.set).map(|pod| (pod, sides.pod(role.set, pod))).collect();
        sides.patch_set(role.set, &pods, plan);
        for (pod, change) in pods.into_iter().filter(|(_, change)| !change.is_empty()).take(left) {
            left -= 1;
            let Change { labels, annotations } = change;
            let patch = PodPatch { name: pod.name.clone(), uid: pod.uid.clone(), labels, annotations };
            plan.push(
                Write::PatchPod(patch),
                Because::Moves(Move::RoleMetadata { set: role.set.name.clone() }),
            );
        }
    }
}

/// What a ReplicaSet's pods were given, are to be given, and would have by themselves.
struct Sides<'a> {
    given: PodTemplateMetadata,
    wanted: &'a PodTemplateMetadata,
    original: PodTemplateMetadata,
}

/// What has to change in the metadata of a template or a pod.
#[derive(Debug, Default)]
struct Change {
    labels: Changes,
    annotations: Changes,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

static NOTHING: PodTemplateMetadata =
    PodTemplateMetadata { labels: BTreeMap::new(), annotations: BTreeMap::new() };

impl<'a> Sides<'a> {
    fn of(world: &World, role: &Role<'a>) -> Self {
        let template = &world.rollout.spec.template;
        let original = if role.is_current {
            PodTemplateMetadata {
                labels: template.metadata("labels"),
                annotations: template.metadata("annotations"),
            }
        } else {
            PodTemplateMetadata::default()
        };
        let given = record(role.set.annotations.get(EPHEMERAL_METADATA).map(String::as_str));
        Self { given, wanted: role.metadata.unwrap_or(&NOTHING), original }
    }

    fn pod(&self, set: &Set, pod: &Pod) -> Change {
        self.change(set, &pod.labels, &pod.annotations)
    }

    fn change(&self, set: &Set, labels: &Texts, annotations: &Texts) -> Change {
        let Self { given, wanted, original } = self;
        Change {
            labels: changes(set, "labels", labels, [&given.labels, &wanted.labels, &original.labels]),
            annotations: changes(
                set,
                "annotations",
                annotations,
                [&given.annotations, &wanted.annotations, &original.annotations],
            ),
        }
    }

    /// Patches the template and the record of what was given, where they differ.
    fn patch_set(&self, set: &Set, pods: &[(&Pod, Change)], plan: &mut Plan) {
        let change = self.change(set, &texts(&set.template, "labels"), &texts(&set.template, "annotations"));
        let mut patch = SetPatch { name: set.name.clone(), ..SetPatch::default() };
        let record = self.record(set, &change, pods);
        let text = (record != PodTemplateMetadata::default()).then(|| record_text(&record));
        let is_recorded =
            record == self.given && text.is_some() == set.annotations.contains_key(EPHEMERAL_METADATA);
        if !is_recorded {
            patch.annotations.insert(EPHEMERAL_METADATA.to_owned(), text);
        }
        if !change.is_empty() {
            let mut metadata = Map::new();
            for (map, changes) in [("labels", change.labels), ("annotations", change.annotations)] {
                if !changes.is_empty() {
                    metadata.insert(map.to_owned(), json!(changes));
                }
            }
            patch.template = Some(json!({ "metadata": metadata }));
        }
        if patch.template.is_some() || !patch.annotations.is_empty() {
            plan.push(Write::PatchSet(patch), Because::Moves(Move::RoleMetadata { set: set.name.clone() }));
        }
    }

    /// What the ReplicaSet is to say that its pods were given: what they are given, and what some of them may still
    /// have of a former role. A pod that is not seen yet counts as one that has it.
    fn record(&self, set: &Set, change: &Change, pods: &[(&Pod, Change)]) -> PodTemplateMetadata {
        let mut record = self.wanted.clone();
        let is_observed = set.is_observed();
        let seen = i32::try_from(pods.len()).unwrap_or(i32::MAX);
        let all_clean = change.is_empty()
            && pods.iter().all(|(_, change)| change.is_empty())
            && seen >= set.status.replicas;
        let no_pods = set.replicas == 0 && set.status.replicas == 0 && pods.is_empty();
        if !is_observed || !(all_clean || no_pods) {
            for (kept, given) in
                [(&mut record.labels, &self.given.labels), (&mut record.annotations, &self.given.annotations)]
            {
                for (key, text) in given {
                    kept.entry(key.clone()).or_insert_with(|| text.clone());
                }
            }
        }
        record
    }
}

/// Texts to set, and those of a former role to take away or to give back their own value.
fn changes(
    set: &Set,
    map: &str,
    now: &Texts,
    [given, wanted, original]: [&BTreeMap<String, String>; 3],
) -> Changes {
    let put = wanted.iter().map(|(key, text)| (key, Some(text)));
    let gone = given.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key, original.get(key)));
    let all = put.chain(gone).filter(|(key, text)| now.get(*key) != *text && !selects_by(set, map, key));
    all.map(|(key, text)| (key.clone(), text.cloned())).collect()
}

/// Whether a ReplicaSet knows its pods by a label, which must never change.
fn selects_by(set: &Set, map: &str, key: &str) -> bool {
    let exact = set.selector.get("matchLabels").and_then(|labels| labels.get(key)).is_some();
    let expressions = set.selector.get("matchExpressions").and_then(Value::as_array);
    let named = expressions.into_iter().flatten().any(|expression| expression["key"] == key);
    map == "labels" && (key == HASH_LABEL || exact || named)
}

fn texts(template: &Value, map: &str) -> Texts {
    let map = template.get("metadata").and_then(|metadata| metadata.get(map)).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned())))
        .collect()
}

/// What the annotation of a ReplicaSet says its pods were given; nothing when it cannot be read.
fn record(given: Option<&str>) -> PodTemplateMetadata {
    given.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn record_text(metadata: &PodTemplateMetadata) -> String {
    serde_json::to_string(metadata).unwrap_or_default()
}
