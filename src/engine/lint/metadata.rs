//! Rules on what is added to pods and their templates: nothing that selects them changes, nothing restarts, and no pod is
//! given what a new one would not be born with.

use serde_json::Value;

use super::{Judge, Rule, patched};
use crate::at::at;
use crate::plan::{PodPatch, SetPatch};
use crate::rollout::world::{HASH_LABEL, Set};

impl Judge<'_> {
    /// Judges a change of a ReplicaSet's pod template: labels and annotations that select nothing.
    pub(super) fn template(&mut self, patch: &SetPatch) {
        let Some(template) = &patch.template else { return };
        let Some(set) = self.live.sets.iter().find(|set| set.name == patch.name).cloned() else { return };
        let metadata = template.get("metadata").unwrap_or(&Value::Null);
        let spec = template.get("spec").unwrap_or(&Value::Null);
        let allowed: [(&Value, &[&str]); 3] = [
            (template, &["metadata", "spec"]),
            (metadata, &["labels", "annotations"]),
            (spec, &["affinity"]),
        ];
        let odd = allowed
            .iter()
            .find_map(|(part, allowed)| members(part).map(|(key, _)| key).find(|key| !allowed.contains(key)));
        if let Some(field) = odd {
            self.blame(Rule::TemplateChanged, format!("{field} of the template of {} changes", set.name));
        }
        let mut changed = (*set).clone();
        patched(&mut changed, patch);
        if own_affinity(&changed) != own_affinity(&set) {
            let why = format!("{} loses or gets an affinity that keeps no revisions apart", set.name);
            self.blame(Rule::TemplateChanged, why);
        }
        for (label, _) in members(metadata.get("labels").unwrap_or(&Value::Null)) {
            if selects_by(&set, label) {
                let why = format!("{} selects its pods by label {label}, which changes", set.name);
                self.blame(Rule::TemplateChanged, why);
            }
        }
    }

    /// Judges a change of a pod's metadata.
    pub(super) fn pod(&mut self, patch: &PodPatch) {
        let Some(pod) = self.live.pods.iter().find(|pod| pod.name == patch.name).cloned() else { return };
        let Some(set) = self.live.sets.iter().find(|set| set.name == pod.set).cloned() else { return };
        for (map, changes) in [("labels", &patch.labels), ("annotations", &patch.annotations)] {
            for (key, text) in changes {
                let born = set.template.get("metadata").and_then(|metadata| metadata.get(map));
                let born = born.and_then(|texts| texts.get(key)).and_then(Value::as_str);
                if text.as_deref() != born {
                    let why = format!(
                        "pod {} gets {key}={text:?}, a new one of {} has {born:?}",
                        pod.name, set.name
                    );
                    self.blame(Rule::PodUnlikeTemplate, why);
                }
                if map == "labels" && selects_by(&set, key) {
                    let why = format!("label {key} of pod {} is what {} selects it by", pod.name, set.name);
                    self.blame(Rule::PodUnlikeTemplate, why);
                }
            }
        }
    }
}

/// The affinity of a ReplicaSet's pods as texts, but for terms that name a revision.
fn own_affinity(set: &Set) -> Vec<String> {
    let mut all = Vec::new();
    for (kind, affinity) in members(at(&set.template, "/spec/affinity").unwrap_or(&Value::Null)) {
        for (list, terms) in members(affinity) {
            let terms = terms.as_array().into_iter().flatten().map(ToString::to_string);
            all.extend(
                terms.filter(|text| !text.contains(HASH_LABEL)).map(|text| format!("{kind} {list} {text}")),
            );
        }
    }
    all
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn selects_by(set: &Set, label: &str) -> bool {
    let exact = at(&set.selector, "/matchLabels").is_some_and(|labels| labels.get(label).is_some());
    let listed = at(&set.selector, "/matchExpressions").and_then(Value::as_array).into_iter().flatten();
    label == HASH_LABEL || exact || listed.into_iter().any(|one| one["key"] == label)
}
