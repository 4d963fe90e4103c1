//! The writes of a sync, one object at a time: namespace, takeover and apply, hooks, pruning, clearing away.

use serde_json::Value;
use tidegate_api::source::SyncCode;

use super::super::adopt;
use super::super::compare::{Comparison, HookPair, Pair, namespace_differs};
use super::super::hook;
use super::super::object::{Key, group_version, is_going, text};
use super::super::options::{has, propagation};
use super::super::plan::{Apply, Because, Planned, Propagation, Write};
use super::super::subject::Subject;
use super::super::world::{Cluster, NamespaceFact, World};
use super::result::Records;
use super::task::needs_apply;

/// How a sync ends, as far as its hooks are concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Close {
    Succeeded,
    Failed,
    /// Before its time: what runs is stopped.
    Stopped,
}

/// What becomes of the hooks of a sync at its end: by their policies some go, and none keeps the finalizer.
pub(super) fn cleanup(cluster: Option<&Cluster>, records: &Records, close: Close) -> Vec<Planned> {
    let mut writes: Vec<Planned> = Vec::new();
    for (key, phase) in records.hooks() {
        let live = cluster.and_then(|cluster| cluster.live.get(&key)).filter(|live| hook::is_hook(live));
        let Some(live) = live else { continue };
        let policy = hook::policy(live);
        let goes = match close {
            Close::Succeeded => policy.succeeded,
            Close::Failed => policy.failed,
            Close::Stopped => !phase.is_completed(),
        };
        let made = if goes {
            removed(&key, live, &Because::HookPolicy)
        } else {
            release(&key, live, Because::HookOver).into_iter().collect()
        };
        for write in made {
            if !writes.contains(&write) {
                writes.push(write);
            }
        }
    }
    writes
}

/// Takes the finalizer of hooks from a live object that has it.
pub(in super::super) fn release(key: &Key, live: &Value, because: Because) -> Option<Planned> {
    let write = Write::Release {
        key: key.clone(),
        version: group_version(live).1.to_owned(),
        finalizers: hook::other_finalizers(live),
        resource_version: text(live, "/metadata/resourceVersion").to_owned(),
    };
    hook::is_held(live).then_some(Planned { write, because })
}

/// Deletes a hook, finalizer first; nothing when it is going by itself.
pub(super) fn removed(key: &Key, live: &Value, because: &Because) -> Vec<Planned> {
    let mut writes: Vec<Planned> = release(key, live, because.clone()).into_iter().collect();
    if !is_going(live) {
        let write = Write::Prune {
            key: key.clone(),
            version: group_version(live).1.to_owned(),
            uid: text(live, "/metadata/uid").to_owned(),
            propagation: Propagation::Foreground,
        };
        writes.push(Planned { write, because: because.clone() });
    }
    writes
}

/// Creates a hook.
pub(super) fn hooked(hook: &HookPair, phase: &'static str) -> Planned {
    let apply = Apply {
        key: hook.key.clone(),
        version: hook.version.clone(),
        object: hook.object.clone(),
        resource_version: hook.live.map(|live| text(live, "/metadata/resourceVersion").to_owned()),
        pinned: false,
    };
    Planned { write: Write::Apply(Box::new(apply)), because: Because::Hook { phase } }
}
/// Creates the destination namespace, or gives it the labels and annotations that the spec names.
pub(super) fn namespace(world: &World, subject: &Subject, comparison: &Comparison) -> Option<Planned> {
    // A Namespace that Git holds has its labels from there.
    let is_own = |pair: &Pair| pair.key.kind == "Namespace" && pair.key.name == subject.namespace();
    if comparison.pairs.iter().any(|pair| pair.wanted.is_some() && is_own(pair)) {
        return None;
    }
    let cluster = world.cluster.as_ref()?;
    let name = subject.namespace();
    let is_missing = matches!(cluster.namespaces.get(name), Some(NamespaceFact::Missing));
    if !has(&subject.sync_options(), "CreateNamespace=true")
        || !(is_missing || namespace_differs(subject, cluster))
    {
        return None;
    }
    let policy = subject.spec.sync_policy.as_ref();
    let metadata = policy.and_then(|policy| policy.managed_namespace_metadata.clone()).unwrap_or_default();
    let write = Write::Namespace {
        name: name.to_owned(),
        labels: metadata.labels.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
    };
    Some(Planned { write, because: if is_missing { Because::NotThere } else { Because::Differs } })
}

/// Takes over and applies one object, where either is needed.
pub(super) fn applied(pair: &Pair) -> Vec<Planned> {
    let Some(wanted) = &pair.wanted else { return Vec::new() };
    if !needs_apply(pair) {
        return Vec::new();
    }
    let adopted = pair.live.and_then(|live| adopt::adopted(live).map(|fields| (live, fields)));
    let version = |live| text(live, "/metadata/resourceVersion").to_owned();
    let mut writes = Vec::new();
    let mut resource_version = pair.live.map(version);
    if let Some((live, managed_fields)) = adopted {
        let write = Write::Adopt {
            key: pair.key.clone(),
            version: pair.version.clone(),
            managed_fields,
            resource_version: version(live),
        };
        writes.push(Planned { write, because: Because::OtherManager });
        // The takeover changes the version; the executor hands on the new one.
        resource_version = resource_version.filter(|_| wanted.pinned);
    }
    let apply = Apply {
        key: pair.key.clone(),
        version: pair.version.clone(),
        object: wanted.object.clone(),
        resource_version,
        pinned: wanted.pinned,
    };
    let because = match (pair.live, pair.status) {
        (None, _) => Because::NotThere,
        (Some(_), SyncCode::Synced) => Because::OtherManager,
        (Some(_), SyncCode::OutOfSync | SyncCode::Unknown) => Because::Differs,
    };
    writes.push(Planned { write: Write::Apply(Box::new(apply)), because });
    writes
}

/// Deletes an object that is not in Git.
pub(super) fn pruned(pair: &Pair, options: &[String]) -> Option<Planned> {
    let live = pair.live?;
    let write = Write::Prune {
        key: pair.key.clone(),
        version: pair.version.clone(),
        uid: text(live, "/metadata/uid").to_owned(),
        propagation: propagation(options),
    };
    Some(Planned { write, because: Because::NotInGit })
}
