//! The writes of a sync: namespace, takeover and apply of each object in order, pruning.
//!
//! Upstream prunes first within a wave. Here pruning comes after applying, so that a refused object never
//! leaves the cluster with less than it had.

use tidegate_api::source::{HealthCode, SyncCode, SyncOperation};

use super::super::adopt;
use super::super::compare::{Comparison, Pair, namespace_differs};
use super::super::object::text;
use super::super::options::{applies, has, propagation};
use super::super::order;
use super::super::plan::{Apply, Because, Planned, Write};
use super::super::subject::Subject;
use super::super::world::{NamespaceFact, World};
use super::{may_prune, selects};

/// What a sync does next.
pub(super) enum Stage {
    /// It writes.
    Write(Vec<Planned>),
    /// It waits for what it has applied.
    Wait(String),
    /// What it has applied will not get well.
    Broken(String),
    /// It is done.
    Done,
}

/// Says what comes next, from what the cluster holds. A restart in the middle needs no memory: what is
/// applied already is not applied again.
pub(super) fn stage(
    world: &World,
    subject: &Subject,
    sync: &SyncOperation,
    comparison: &Comparison,
) -> Stage {
    let options = subject.sync_options();
    let mut writes = Vec::new();
    writes.extend(namespace(world, subject, comparison));
    for pair in in_order(sync, comparison) {
        writes.extend(applied(pair));
    }
    let (last, first) = prunable(sync, comparison, &options);
    writes.extend(first.into_iter().filter_map(|pair| pruned(pair, &options)));
    if !writes.is_empty() {
        return Stage::Write(writes);
    }
    if last.is_empty() {
        return going(sync, comparison).unwrap_or(Stage::Done);
    }
    match waiting(sync, comparison) {
        Some(stage) => stage,
        None => Stage::Write(last.into_iter().filter_map(|pair| pruned(pair, &options)).collect()),
    }
}

/// Pruned objects that have not gone yet.
fn going(sync: &SyncOperation, comparison: &Comparison) -> Option<Stage> {
    if sync.prune != Some(true) {
        return None;
    }
    let left = comparison.pairs.iter().filter(|pair| pair.is_going_extra() && selects(sync, pair));
    let left: Vec<String> =
        left.map(|pair| format!("{}/{}/{}", pair.key.group, pair.key.kind, pair.key.name)).collect();
    (!left.is_empty()).then(|| Stage::Wait(format!("waiting for deletion of {}", left.join(", "))))
}

/// Whether there is something to prune that these writes do not prune yet.
pub(super) fn prunes_later(
    subject: &Subject,
    sync: &SyncOperation,
    comparison: &Comparison,
    writes: &[Planned],
) -> bool {
    let (last, _) = prunable(sync, comparison, &subject.sync_options());
    let is_written = |pair: &&Pair| {
        writes.iter().any(|planned| matches!(&planned.write, Write::Prune { key, .. } if *key == pair.key))
    };
    last.iter().any(|pair| !is_written(pair))
}

/// The wanted objects of the operation, in the order of applying.
fn in_order<'a>(sync: &SyncOperation, comparison: &'a Comparison<'a>) -> Vec<&'a Pair<'a>> {
    let mut pairs: Vec<&Pair> =
        comparison.pairs.iter().filter(|pair| pair.wanted.is_some() && selects(sync, pair)).collect();
    pairs.sort_by(|a, b| order::rank(&a.key).cmp(&order::rank(&b.key)));
    pairs
}

/// The objects to prune, last kinds first: those that wait for all others to be well, and those that do
/// not.
fn prunable<'a>(
    sync: &SyncOperation,
    comparison: &'a Comparison<'a>,
    options: &[String],
) -> (Vec<&'a Pair<'a>>, Vec<&'a Pair<'a>>) {
    if sync.prune != Some(true) {
        return (Vec::new(), Vec::new());
    }
    let mut pairs: Vec<&Pair> =
        comparison.pairs.iter().filter(|pair| may_prune(pair, options) && selects(sync, pair)).collect();
    pairs.sort_by(|a, b| order::rank(&b.key).cmp(&order::rank(&a.key)));
    pairs.into_iter().partition(|pair| pair.live.is_some_and(|live| applies(live, options, "PruneLast=true")))
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
fn applied(pair: &Pair) -> Vec<Planned> {
    let Some(wanted) = &pair.wanted else { return Vec::new() };
    let adopted = pair.live.and_then(|live| adopt::adopted(live).map(|fields| (live, fields)));
    let is_ours = pair.live.is_some_and(adopt::is_applied);
    if pair.status == SyncCode::Synced && is_ours && adopted.is_none() {
        return Vec::new();
    }
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

fn pruned(pair: &Pair, options: &[String]) -> Option<Planned> {
    let live = pair.live?;
    let write = Write::Prune {
        key: pair.key.clone(),
        version: pair.version.clone(),
        uid: text(live, "/metadata/uid").to_owned(),
        propagation: propagation(options),
    };
    Some(Planned { write, because: Because::NotInGit })
}

/// Whether an applied object is not well yet.
fn waiting(sync: &SyncOperation, comparison: &Comparison) -> Option<Stage> {
    let mut waiting = Vec::new();
    for pair in in_order(sync, comparison) {
        let Some(health) = &pair.health else { continue };
        match health.code {
            HealthCode::Healthy => {}
            HealthCode::Degraded => {
                return Some(Stage::Broken(format!(
                    "one or more synchronization tasks completed unsuccessfully, reason: {} is Degraded: {}",
                    pair.key, health.message
                )));
            }
            HealthCode::Suspended | HealthCode::Progressing | HealthCode::Missing | HealthCode::Unknown => {
                waiting.push(format!("{}/{}/{}", pair.key.group, pair.key.kind, pair.key.name));
            }
        }
    }
    let first = waiting.first()?;
    let more = match waiting.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more resources"),
    };
    Some(Stage::Wait(format!("waiting for healthy state of {first}{more}")))
}
