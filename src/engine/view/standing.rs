//! What an Application waits for, in one sentence that begins where "Waiting for:" ends.
//!
//! Input: one Application as the server has it, and the time. Output: a sentence, or nothing when it is done. The
//! answer is put together from the request, the conditions, the comparison and the health of the objects.

use jiff::Timestamp;
use tidegate_api::source::{
    Application, ApplicationSpec, ApplicationStatus, HealthCode, OperationPhase, OperationState,
    ResourceStatus, SyncCode,
};

use super::application::{automated, short};
use super::duration::human_duration;

const REFRESH: &str = "argocd.argoproj.io/refresh";
const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";

/// Says what an Application waits for; nothing when it is done.
pub(crate) fn standing(application: &Application, now: Timestamp) -> Option<String> {
    let annotation = |key: &str| application.metadata.annotations.as_ref()?.get(key).map(String::as_str);
    let none = ApplicationStatus::default();
    let status = application.status.as_ref().unwrap_or(&none);
    if application.metadata.deletion_timestamp.is_some() {
        let finalizers = application.metadata.finalizers.clone().unwrap_or_default().join(", ");
        return Some(format!("its deletion to finish (finalizers: {finalizers})"));
    }
    if annotation(SKIP_RECONCILE) == Some("true") {
        return Some(format!("somebody to remove the annotation {SKIP_RECONCILE}"));
    }
    if application.operation.is_some() {
        return Some(operation(status.operation_state.as_ref(), now));
    }
    if let Some(how) = annotation(REFRESH) {
        return Some(format!("the controller to compare it with Git (refresh: {how})"));
    }
    let error = status.conditions.iter().flatten().find(|condition| condition.type_.ends_with("Error"));
    if let Some(error) = error {
        return Some(format!("a remedy for {}: {}", error.type_, error.message));
    }
    let Some(sync) = &status.sync else { return Some("a controller to notice this Application".to_owned()) };
    match sync.status {
        SyncCode::Unknown => Some("the controller to compare it with Git".to_owned()),
        SyncCode::OutOfSync => Some(out_of_sync(&application.spec, status)),
        SyncCode::Synced => unhealthy(status),
    }
}

/// What a sync that was asked for waits for.
fn operation(state: Option<&OperationState>, now: Timestamp) -> String {
    let Some(state) = state else { return "the controller to begin the sync".to_owned() };
    let message = state.message.clone().filter(|message| !message.is_empty());
    match (state.phase, &state.finished_at) {
        (OperationPhase::Running, Some(_)) => {
            format!("the next attempt of the sync: {}", message.unwrap_or_default())
        }
        (OperationPhase::Running, None) => {
            let since = state.started_at.as_ref().map(|start| human_duration(now.duration_since(start.0)));
            let since = since.map(|since| format!(" (running for {since})")).unwrap_or_default();
            format!("the sync{since}: {}", message.unwrap_or_else(|| "objects are applied".to_owned()))
        }
        (OperationPhase::Terminating, _) => "the sync to be terminated".to_owned(),
        (
            OperationPhase::Succeeded
            | OperationPhase::Failed
            | OperationPhase::Error
            | OperationPhase::Unrecognised,
            _,
        ) => "the controller to begin the sync".to_owned(),
    }
}

/// Who or what brings the objects in line with Git.
fn out_of_sync(spec: &ApplicationSpec, status: &ApplicationStatus) -> String {
    let differ = |resource: &&ResourceStatus| resource.status == Some(SyncCode::OutOfSync);
    let objects = status.resources.iter().flatten().filter(differ);
    let (pruned, changed): (Vec<_>, Vec<_>) =
        objects.partition(|resource| resource.requires_pruning == Some(true));
    let revision = status.sync.as_ref().and_then(|sync| sync.revision.as_deref()).map_or("Git", short);
    let what = match (changed.len(), pruned.len()) {
        (0, 0) => format!("it is not as in {revision}"),
        (changed, 0) => format!("{changed} {} not as in {revision}", are(changed)),
        (0, pruned) => format!("{pruned} {} not in {revision} any more", are(pruned)),
        (changed, pruned) => {
            format!("{changed} {} not as in {revision}, {pruned} not in it any more", are(changed))
        }
    };
    match automated(spec) {
        None => format!("somebody to sync it: {what}"),
        Some(automated) if automated.prune != Some(true) && changed.is_empty() && !pruned.is_empty() => {
            format!("somebody to sync it with --prune: {what}")
        }
        Some(automated) if automated.self_heal != Some(true) && was_synced(status) => {
            format!("somebody to sync it, because self-heal is off: {what}")
        }
        Some(_) => format!("the automated sync: {what}"),
    }
}

fn are(count: usize) -> &'static str {
    if count == 1 { "object is" } else { "objects are" }
}

/// Whether the last sync brought the very revision that is compared with now.
fn was_synced(status: &ApplicationStatus) -> bool {
    let compared = status.sync.as_ref().and_then(|sync| sync.revision.as_deref());
    let state = status.operation_state.as_ref().filter(|state| state.phase == OperationPhase::Succeeded);
    let applied = state.and_then(|state| state.sync_result.as_ref()).map(|result| result.revision.as_str());
    compared.is_some() && compared == applied
}

/// Which object keeps a synced Application from being healthy: the worst one.
fn unhealthy(status: &ApplicationStatus) -> Option<String> {
    let health = status.health.clone().unwrap_or_default();
    let code = health.status?;
    if code == HealthCode::Healthy {
        return None;
    }
    let code_of = |resource: &ResourceStatus| resource.health.as_ref().and_then(|health| health.status);
    let worst = status.resources.iter().flatten().find(|resource| code_of(resource) == Some(code));
    let own = health.message.filter(|message| !message.is_empty());
    let (name, message) = match worst {
        Some(worst) => {
            let name = [&worst.kind, &worst.name].map(|text| text.clone().unwrap_or_default()).join(" ");
            (name, worst.health.as_ref().and_then(|health| health.message.clone()).or(own))
        }
        None => ("its objects".to_owned(), own),
    };
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    Some(match code {
        HealthCode::Suspended => format!("somebody to let {name} go on (Suspended{message})"),
        HealthCode::Progressing | HealthCode::Missing | HealthCode::Degraded | HealthCode::Unknown => {
            format!("{name} to become healthy ({code:?}{message})")
        }
        HealthCode::Healthy => return None,
    })
}
