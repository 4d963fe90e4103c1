//! What a sync says about each object.

use std::collections::BTreeMap;

use tidegate_api::source::{OperationPhase, ResourceResult, ResultCode, SyncOperation};

use super::super::compare::{Comparison, Pair};
use super::super::object::{Key, is_going, text};
use super::super::options;
use super::super::order;
use super::super::plan::{Outcome, Planned, Write};
use super::selects;

/// The objects of one operation, in the order in which they are applied.
pub(super) struct Results<'a> {
    pairs: Vec<&'a Pair<'a>>,
    options: &'a [String],
    prune: bool,
}

impl<'a> Results<'a> {
    pub(super) fn new(sync: &SyncOperation, comparison: &'a Comparison<'a>, options: &'a [String]) -> Self {
        let mut pairs: Vec<&Pair> = comparison.pairs.iter().filter(|pair| selects(sync, pair)).collect();
        pairs.sort_by(|a, b| {
            a.requires_pruning()
                .cmp(&b.requires_pruning())
                .then_with(|| order::rank(&a.key).cmp(&order::rank(&b.key)))
        });
        Self { pairs, options, prune: sync.prune == Some(true) }
    }

    /// The objects that fail for a reason that is known before anything is written.
    pub(super) fn failed(&self, why: impl Fn(&Pair) -> Option<String>) -> Vec<ResourceResult> {
        let failed = self.pairs.iter().filter_map(|pair| why(pair).map(|message| (pair, message)));
        failed.map(|(pair, message)| result(pair, ResultCode::SyncFailed, message)).collect()
    }

    /// What would happen.
    pub(super) fn dry(&self) -> Vec<ResourceResult> {
        let dry = |pair: &&Pair| match self.pruning(pair) {
            Some((code, message)) => result(pair, code, format!("{message} (dry run)")),
            None => {
                result(pair, ResultCode::Synced, format!("{} {} (dry run)", shown(&pair.key), expected(pair)))
            }
        };
        self.pairs.iter().map(dry).collect()
    }

    /// What happened when nothing had to be written.
    pub(super) fn unchanged(&self) -> Vec<ResourceResult> {
        self.written(&[], &[])
    }

    /// What the writes did; an object without a write was as Git wants it.
    pub(super) fn written(&self, writes: &[Planned], outcomes: &[Outcome]) -> Vec<ResourceResult> {
        let by_key: BTreeMap<&Key, &Outcome> = writes
            .iter()
            .zip(outcomes)
            .filter_map(|(planned, outcome)| key(&planned.write).map(|k| (k, outcome)))
            .collect();
        self.pairs.iter().filter_map(|pair| self.one(pair, by_key.get(&pair.key).copied())).collect()
    }

    fn one(&self, pair: &Pair, outcome: Option<&Outcome>) -> Option<ResourceResult> {
        let pruned = self.pruning(pair);
        match (outcome, pruned) {
            (Some(Outcome::Failed { message }), _) => {
                Some(result(pair, ResultCode::SyncFailed, message.clone()))
            }
            (Some(Outcome::NotTried | Outcome::Stale), _) => None,
            (Some(Outcome::Done { .. }), Some((code, message))) => {
                Some(result(pair, code, message.to_owned()))
            }
            (Some(Outcome::Done { resource_version }), None) => {
                let before = pair.live.map(|live| text(live, "/metadata/resourceVersion"));
                let change = match (before, resource_version.as_deref()) {
                    (None, _) => "created",
                    (Some(before), Some(after)) if before == after => "unchanged",
                    (Some(_), Some(_) | None) => "configured",
                };
                Some(result(pair, ResultCode::Synced, format!("{} {change}", shown(&pair.key))))
            }
            // Pruning that has not been tried comes later; pruning that is skipped is said at once.
            (None, Some((ResultCode::Pruned, _))) => None,
            (None, Some((code, message))) => Some(result(pair, code, message.to_owned())),
            (None, None) => Some(result(pair, ResultCode::Synced, format!("{} unchanged", shown(&pair.key)))),
        }
    }

    /// What becomes of an object that is not in Git.
    fn pruning(&self, pair: &Pair) -> Option<(ResultCode, &'static str)> {
        let live = pair.live.filter(|_| pair.requires_pruning())?;
        Some(if options::applies(live, self.options, "Prune=false") {
            (ResultCode::PruneSkipped, "ignored (no prune)")
        } else if !self.prune {
            (ResultCode::PruneSkipped, "ignored (requires pruning)")
        } else if is_going(live) {
            (ResultCode::PruneSkipped, "ignored (is being deleted already)")
        } else {
            (ResultCode::Pruned, "pruned")
        })
    }
}

/// The key of the object that a write is about; taking over fields is part of applying.
fn key(write: &Write) -> Option<&Key> {
    match write {
        Write::Apply(apply) => Some(&apply.key),
        Write::Prune { key, .. } => Some(key),
        Write::Namespace { .. } | Write::Adopt { .. } => None,
    }
}

fn expected(pair: &Pair) -> &'static str {
    match (pair.live, pair.status) {
        (None, _) => "created",
        (Some(_), tidegate_api::source::SyncCode::Synced) => "unchanged",
        (Some(_), _) => "configured",
    }
}

/// An object as `kubectl` names it: `deployment.apps/web`.
fn shown(key: &Key) -> String {
    let kind = key.kind.to_lowercase();
    if key.group.is_empty() {
        format!("{kind}/{}", key.name)
    } else {
        format!("{kind}.{}/{}", key.group, key.name)
    }
}

fn result(pair: &Pair, code: ResultCode, message: String) -> ResourceResult {
    let phase = match code {
        ResultCode::Synced => OperationPhase::Running,
        ResultCode::SyncFailed => OperationPhase::Failed,
        ResultCode::Pruned | ResultCode::PruneSkipped => OperationPhase::Succeeded,
    };
    ResourceResult {
        group: pair.key.group.clone(),
        version: pair.version.clone(),
        kind: pair.key.kind.clone(),
        namespace: pair.key.namespace.clone(),
        name: pair.key.name.clone(),
        status: Some(code),
        message: Some(message),
        hook_phase: Some(phase),
        sync_phase: Some("Sync".to_owned()),
        images: None,
    }
}

/// Earlier results with newer ones in their place. An object that a later step finds unchanged keeps what
/// the earlier step did with it.
pub(super) fn merged(earlier: Vec<ResourceResult>, newer: &[ResourceResult]) -> Vec<ResourceResult> {
    let same = |a: &ResourceResult, b: &ResourceResult| {
        (&a.group, &a.kind, &a.namespace, &a.name) == (&b.group, &b.kind, &b.namespace, &b.name)
    };
    let says_nothing = |result: &ResourceResult| {
        result.message.as_deref().is_some_and(|message| message.ends_with(" unchanged"))
    };
    let mut all = earlier;
    for result in newer {
        match all.iter_mut().find(|old| same(old, result)) {
            Some(old) if !says_nothing(result) => *old = result.clone(),
            Some(_) => {}
            None => all.push(result.clone()),
        }
    }
    all
}
