//! Keeps pods of two revisions on different nodes: one anti-affinity term in the pod template of the newer ReplicaSet.
//!
//! Input: a pod template, the strategy's wish and the revision to keep away from. Output: a patch of the template. The
//! term is known by its selector, which names a revision, so that it can be changed, removed, and left out of any
//! comparison. The user's own terms are never touched.

use serde_json::{Map, Value, json};
use tidegate_api::rollout::AntiAffinity;

use super::world::{HASH_LABEL, Set, World};
use crate::at::at;
use crate::covers::covers;
use crate::plan::{Because, Move, Plan, SetPatch, Write};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Whom the pods of a ReplicaSet are to be kept away from, and how strictly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apart<'a> {
    pub(crate) wish: &'a AntiAffinity,
    /// Hash of the revision to keep away from.
    pub(crate) hash: &'a str,
    /// Where its pods are.
    pub(crate) namespace: &'a str,
}

impl<'a> Apart<'a> {
    /// What the spec wishes for the new revision while another one is stable.
    pub(crate) fn of(world: &'a World, wish: Option<&'a AntiAffinity>, new_hash: &str) -> Option<Self> {
        let hash = world.rollout.status.as_ref().map_or("", |status| status.stable_rs.as_str());
        let namespace = world.rollout.metadata.namespace.as_deref().unwrap_or_default();
        wish.filter(|_| !hash.is_empty() && hash != new_hash).map(|wish| Self { wish, hash, namespace })
    }

    fn term(&self) -> Value {
        json!({
            "labelSelector": { "matchExpressions": [{ "key": HASH_LABEL, "operator": "In", "values": [self.hash] }] },
            "namespaces": [self.namespace],
            "topologyKey": "kubernetes.io/hostname",
        })
    }

    /// The entry of one of the two lists, where that is the one wished for.
    fn entry(&self, list: &str) -> Option<Value> {
        let preferred = self.wish.preferred_during_scheduling_ignored_during_execution.as_ref();
        match preferred {
            Some(preferred) if list == PREFERRED => {
                Some(json!({ "weight": preferred.weight, "podAffinityTerm": self.term() }))
            }
            None if list == REQUIRED => Some(self.term()),
            Some(_) | None => None,
        }
    }
}

/// Adds the term to a ReplicaSet that is about to be created.
pub(crate) fn equip(set: &mut Set, apart: Option<Apart<'_>>) {
    let Some(apart) = apart else { return };
    let mut template = (*set.template).clone();
    for list in [REQUIRED, PREFERRED] {
        let Some(entry) = apart.entry(list) else { continue };
        let known = &mut template["spec"]["affinity"]["podAntiAffinity"][list];
        match known.as_array_mut() {
            Some(terms) => terms.push(entry),
            None => *known = json!([entry]),
        }
    }
    set.template = template.into();
}

/// Brings the term in the template of a ReplicaSet in line; `None` takes it away.
pub(crate) fn sync(set: &Set, apart: Option<Apart<'_>>, plan: &mut Plan) {
    let Some(affinity) = difference(&set.template, apart) else { return };
    let template = Some(json!({ "spec": { "affinity": affinity } }));
    let patch = SetPatch { name: set.name.clone(), template, ..SetPatch::default() };
    plan.push(Write::PatchSet(patch), Because::Moves(Move::Bookkeeping));
}

/// A pod template without any injected term, and without what is empty then.
pub(super) fn drop_terms(template: &mut Value) {
    let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) else { return };
    if let Some(anti) = affinity.get_mut("podAntiAffinity").and_then(Value::as_object_mut) {
        for list in [REQUIRED, PREFERRED] {
            let Some(terms) = anti.get_mut(list).and_then(Value::as_array_mut) else { continue };
            terms.retain(|term| !is_injected(term));
            if terms.is_empty() {
                anti.remove(list);
            }
        }
        if anti.is_empty() {
            affinity.remove("podAntiAffinity");
        }
    }
    if affinity.is_empty() {
        spec.remove("affinity");
    }
}

/// The merge patch of `spec.affinity`, if anything is to change.
fn difference(template: &Value, apart: Option<Apart<'_>>) -> Option<Value> {
    let affinity = at(template, "/spec/affinity").and_then(Value::as_object);
    if affinity.is_none() && apart.is_none() {
        return None;
    }
    let anti = affinity.and_then(|affinity| affinity.get("podAntiAffinity")).and_then(Value::as_object);
    let mut lists = Map::new();
    let mut stay =
        anti.is_some_and(|anti| anti.keys().any(|key| ![REQUIRED, PREFERRED].contains(&key.as_str())));
    for list in [REQUIRED, PREFERRED] {
        let known = anti.and_then(|anti| anti.get(list)).and_then(Value::as_array);
        let own = known.into_iter().flatten().filter(|term| !is_injected(term)).cloned();
        let wanted: Vec<Value> = own.chain(apart.and_then(|apart| apart.entry(list))).collect();
        stay |= !wanted.is_empty();
        let known = known.map_or(&[][..], Vec::as_slice);
        // A newer API server may fill in more than was written.
        let is_known = known.len() == wanted.len()
            && known.iter().zip(&wanted).all(|(known, wanted)| covers(known, wanted));
        if !is_known {
            lists.insert(list.to_owned(), if wanted.is_empty() { Value::Null } else { json!(wanted) });
        }
    }
    let alone = affinity.is_some_and(|affinity| affinity.len() == 1);
    match (lists.is_empty(), stay) {
        (true, _) => None,
        (false, true) => Some(json!({ "podAntiAffinity": lists })),
        (false, false) if alone => Some(Value::Null),
        (false, false) => Some(json!({ "podAntiAffinity": null })),
    }
}

/// Whether a term is one that keeps revisions apart: it selects by the label that tells them apart, and by nothing else.
fn is_injected(term: &Value) -> bool {
    let term = term.get("podAffinityTerm").unwrap_or(term);
    let Some(selector) = term.get("labelSelector") else { return false };
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    selector.get("matchLabels").is_none()
        && expressions.is_some_and(|all| matches!(all.as_slice(), [one] if one["key"] == HASH_LABEL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(strict: bool) -> AntiAffinity {
        let wish = if strict { json!({ REQUIRED: {} }) } else { json!({ PREFERRED: { "weight": 7 } }) };
        serde_json::from_value(wish).unwrap()
    }

    fn set(affinity: Value) -> Set {
        let template = json!({ "spec": { "containers": [], "affinity": affinity } }).into();
        Set { name: "shop-v2".to_owned(), template, ..Set::default() }
    }

    /// What `spec.affinity` is to become, as a merge patch.
    fn patched(set: &Set, apart: Option<Apart<'_>>) -> Option<Value> {
        let mut plan = Plan::default();
        sync(set, apart, &mut plan);
        plan.set_patches().next().map(|patch| patch.template.clone().unwrap()["spec"]["affinity"].clone())
    }

    #[test]
    fn a_term_comes_with_the_update_moves_with_stable_and_goes() {
        for strict in [true, false] {
            let wish = wish(strict);
            let apart = Apart { wish: &wish, hash: "v1", namespace: "web" };
            let mut new = set(json!(null));
            equip(&mut new, Some(apart));
            assert_eq!(patched(&new, Some(apart)), None);
            let moved = patched(&new, Some(Apart { hash: "v0", ..apart })).unwrap();
            assert!(moved.to_string().contains("v0") && !moved.to_string().contains("v1"), "{moved}");
            assert_eq!(patched(&new, None), Some(Value::Null));
            let mut own = (*new.template).clone();
            drop_terms(&mut own);
            assert_eq!(own, json!({ "spec": { "containers": [] } }));
        }
    }

    #[test]
    fn terms_of_the_user_stay() {
        let own = json!({ "labelSelector": { "matchLabels": { "app": "db" } }, "topologyKey": "zone" });
        let wish = wish(true);
        let apart = Apart { wish: &wish, hash: "v1", namespace: "web" };
        let mut new = set(json!({ "podAntiAffinity": { REQUIRED: [own] } }));
        equip(&mut new, Some(apart));
        assert_eq!(
            new.template["spec"]["affinity"]["podAntiAffinity"][REQUIRED].as_array().unwrap().len(),
            2
        );
        assert_eq!(patched(&new, None), Some(json!({ "podAntiAffinity": { REQUIRED: [own] } })));
        let mut template = (*new.template).clone();
        drop_terms(&mut template);
        assert_eq!(template["spec"]["affinity"]["podAntiAffinity"][REQUIRED], json!([own]));
    }
}
