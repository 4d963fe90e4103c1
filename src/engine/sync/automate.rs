//! Whether to sync without being asked.

use serde_json::{Value, json};
use tidegate_api::source::{Automated, OperationState, SyncCode};

use super::compare::{Comparison, Pair};
use super::plan::Because;
use super::retry;
use super::subject::Subject;
use super::world::World;
use jiff::Timestamp;

/// What automation says.
pub(super) enum Decision {
    /// Nothing to do; the reason, where there is one beyond what the comparison says.
    Nothing(Option<Because>),
    /// A sync, but not yet.
    Later { until: Timestamp },
    /// A sync would be wrong.
    Refuse { message: String, because: Because },
    /// A sync: the operation to write.
    Start { operation: Value },
}

/// Decides about an automated sync.
///
/// A commit is synced once. When that failed, the same commit is not tried again until somebody asks or the
/// source changes, or a broken commit would be applied for ever. When it succeeded and the cluster differs
/// even so, somebody changed the cluster: `selfHeal` says whether to revert that.
pub(super) fn decide(world: &World, subject: &Subject, comparison: &Comparison) -> Decision {
    let Some(automated) = subject.automated() else { return Decision::Nothing(None) };
    if subject.operation.is_some() || comparison.sync != SyncCode::OutOfSync {
        return Decision::Nothing(None);
    }
    let prune = automated.prune == Some(true);
    let differing =
        || comparison.pairs.iter().filter(|pair| pair.counts && pair.status == SyncCode::OutOfSync);
    if differing().next().is_some() && differing().all(Pair::is_going_extra) {
        return Decision::Nothing(None);
    }
    if !prune && differing().next().is_some() && differing().all(Pair::requires_pruning) {
        return Decision::Nothing(None);
    }
    if prune && wipes(comparison, automated) {
        let message = format!(
            "Skipping sync attempt to {}: auto-sync will wipe out all resources; set \
             spec.syncPolicy.automated.allowEmpty if that is wanted",
            comparison.revision
        );
        return Decision::Refuse { message, because: Because::WouldWipe };
    }
    match subject.status.operation_state.as_ref().filter(|state| is_attempt(state, subject, comparison)) {
        None => start(subject, comparison, automated, None),
        Some(state) => again(world, subject, comparison, automated, state),
    }
}

/// Whether a sync would delete every object there is.
pub(super) fn wipes(comparison: &Comparison, automated: &Automated) -> bool {
    let all_extra = !comparison.pairs.is_empty() && comparison.pairs.iter().all(Pair::requires_pruning);
    all_extra && automated.allow_empty != Some(true)
}

/// Whether the last operation was a sync of this very commit and source.
fn is_attempt(state: &OperationState, subject: &Subject, comparison: &Comparison) -> bool {
    if !state.phase.is_completed() || state.operation.pointer("/sync/dryRun") == Some(&Value::Bool(true)) {
        return false;
    }
    let Some(result) = &state.sync_result else { return true };
    let source = result.source.as_ref();
    result.revision == comparison.revision
        && source.is_none_or(|source| Some(source) == subject.spec.source.as_ref())
}

/// Decides after this commit was synced once.
fn again(
    world: &World,
    subject: &Subject,
    comparison: &Comparison,
    automated: &Automated,
    state: &OperationState,
) -> Decision {
    let revision = comparison.revision.clone();
    if state.phase != tidegate_api::source::OperationPhase::Succeeded {
        let message = state.message.clone().unwrap_or_default();
        let message = format!("Failed last sync attempt to [{revision}]: {message}");
        return Decision::Refuse { message, because: Because::AlreadyFailed { revision } };
    }
    if automated.self_heal != Some(true) {
        return Decision::Nothing(None);
    }
    let count = state.operation.pointer("/sync/autoHealAttemptsCount").and_then(Value::as_i64).unwrap_or(0);
    let finished = state.finished_at.as_ref().map_or(world.now, |time| time.0);
    let until = retry::heals_at(finished, count);
    if world.now < until {
        return Decision::Later { until };
    }
    start(subject, comparison, automated, Some(count + 1))
}

/// The operation. A heal syncs only what differs, and counts itself; a sync of a new commit takes everything.
fn start(subject: &Subject, comparison: &Comparison, automated: &Automated, heal: Option<i64>) -> Decision {
    let policy = subject.spec.sync_policy.clone().unwrap_or_default();
    let mut sync = json!({ "revision": comparison.revision });
    if automated.prune == Some(true) {
        sync["prune"] = json!(true);
    }
    if let Some(options) = policy.sync_options.filter(|options| !options.is_empty()) {
        sync["syncOptions"] = json!(options);
    }
    if let Some(count) = heal {
        let differing = comparison.pairs.iter().filter(|pair| pair.status != SyncCode::Synced);
        let resources: Vec<Value> = differing.map(|pair| selector(pair)).collect();
        sync["resources"] = json!(resources);
        sync["autoHealAttemptsCount"] = json!(count);
    }
    let retry = policy.retry.and_then(|retry| serde_json::to_value(retry).ok());
    let retry = retry.unwrap_or_else(|| json!({ "limit": retry::AUTOMATED_LIMIT }));
    Decision::Start {
        operation: json!({ "sync": sync, "initiatedBy": { "automated": true }, "retry": retry }),
    }
}

fn selector(pair: &Pair) -> Value {
    let mut selector = json!({ "kind": pair.key.kind, "name": pair.key.name });
    for (name, value) in [("group", &pair.key.group), ("namespace", &pair.key.namespace)] {
        if !value.is_empty() {
            selector[name] = json!(value);
        }
    }
    selector
}
