//! What of a request to sync can be done, and from which source.

use serde_json::{Value, json};
use tidegate_api::source::{ApplicationSource, SyncOperation, SyncResult};

use super::super::look::source_errors;
use super::super::project;
use super::super::subject::Subject;
use super::super::supported;
use super::super::world::World;

/// What of a request is not implemented, not permitted, or would do something else than was asked.
pub(super) fn refusal(world: &World, subject: &Subject, sync: &SyncOperation) -> Option<String> {
    let strategy = sync.sync_strategy.clone().unwrap_or_default();
    let forced = [strategy.apply, strategy.hook].into_iter().flatten().any(|how| how.force == Some(true));
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let field = [
        (sync.sources.as_ref().is_some_and(|sources| !sources.is_empty()), "sources"),
        (given(&sync.revisions), "revisions"),
        (given(&sync.manifests), "manifests"),
        (forced, "syncStrategy with force"),
    ];
    let asked = field.into_iter().find_map(|(asked, name)| asked.then_some(name));
    asked
        .map(|name| format!("operation.sync.{name} is not implemented yet; ask for a sync without it"))
        .or_else(|| source(world, subject).err())
        .or_else(|| rolls_back_in_vain(subject, sync))
}

/// The commit and the source that a sync under way stays with, also after a restart of the controller and when the
/// spec changes.
pub(in super::super) fn pinned<'a>(subject: &'a Subject) -> Option<&'a SyncResult> {
    let state = subject.status.operation_state.as_ref();
    let state = state.filter(|state| !state.phase.is_completed() && state.finished_at.is_none());
    state.and_then(|state| state.sync_result.as_ref()).filter(|result| !result.revision.is_empty())
}

/// The source that a sync takes: the one it began with; else the spec's, or another one that the request names, as a
/// rollback does.
///
/// # Errors
/// Why that source may not or cannot be read. It is held to the same rules as a spec.
pub(in super::super) fn source(world: &World, subject: &Subject) -> Result<ApplicationSource, String> {
    let own = subject.spec.source.clone().unwrap_or_default();
    let asked = subject.operation.as_ref().and_then(|operation| operation.sync.as_ref()?.source.clone());
    let begun = pinned(subject)
        .and_then(|result| result.source.clone())
        .filter(|begun| Some(begun) != asked.as_ref());
    let (asked, name) = match begun {
        Some(begun) => (Some(begun), "status.operationState.syncResult.source"),
        None => (asked, "operation.sync.source"),
    };
    let Some(asked) = asked.filter(|asked| *asked != own) else { return Ok(own) };
    let raw = subject.raw.pointer(&format!("/{}", name.replace('.', "/"))).cloned().unwrap_or(Value::Null);
    let in_request = |message: String| message.replacen("spec.source", name, 1);
    let refused = supported::spec(&json!({ "source": raw }), &[]).refused.into_iter().next();
    let wrong = || source_errors(&asked).into_iter().map(|(_, message)| message).next();
    if let Some(message) = refused.or_else(wrong) {
        return Err(in_request(message));
    }
    let project = subject.project();
    let rules = project::rules(project, world.project.as_ref())?;
    match project::violations(&rules, project, &asked, &subject.spec.destination).into_iter().next() {
        Some(message) => Err(format!("{name}: {message}")),
        None => Ok(asked),
    }
}

/// Why a rollback is refused: automation would undo it at once. Upstream's server refuses that; a request that is
/// written with `kubectl` does not pass there.
fn rolls_back_in_vain(subject: &Subject, sync: &SyncOperation) -> Option<String> {
    let target = subject.spec.source.as_ref().and_then(|source| source.target_revision.clone());
    let target = target.filter(|target| !target.is_empty()).unwrap_or_else(|| "HEAD".to_owned());
    let asked = sync.revision.as_deref().filter(|revision| !revision.is_empty() && *revision != target)?;
    let by = subject.operation.as_ref().and_then(|operation| operation.initiated_by.clone());
    let is_own = by.is_some_and(|by| by.automated == Some(true));
    if is_own || sync.dry_run == Some(true) || subject.automated().is_none() {
        return None;
    }
    let history = subject.status.history.as_deref().unwrap_or_default();
    let (_, earlier) = history.split_last()?;
    let is_earlier = earlier.iter().any(|entry| entry.revision.as_deref() == Some(asked));
    let newest = subject.compared_revision().filter(|newest| *newest != asked)?;
    is_earlier.then(|| {
        format!(
            "cannot roll back to {asked}: auto-sync is on and would sync {target} ({newest}) again at once; set \
             spec.syncPolicy.automated.enabled to false first"
        )
    })
}
