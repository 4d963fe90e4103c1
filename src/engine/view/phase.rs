//! The phase of a Rollout as a client shows it: the controller's word, unless it has not seen the last change.
//!
//! The controller needs a moment to notice a change. In between, `status.phase` speaks of the past, and a script
//! that waits for Healthy would go on too early; so everything that shows a phase asks here.

use tidegate_api::rollout::{Rollout, RolloutPhase, RolloutStatus};

use crate::rollout::phase::phase;

/// The generation of the referenced workload, as the controller noted it on the Rollout.
const WORKLOAD_GENERATION: &str = "rollout.argoproj.io/workload-generation";

/// Returns the phase to show and its message.
#[must_use]
pub fn client_phase(rollout: &Rollout) -> (RolloutPhase, String) {
    let status = rollout.status.clone().unwrap_or_default();
    let progressing = |message: &str| (RolloutPhase::Progressing, message.to_owned());
    if !is_observed(rollout, &status) {
        return progressing("waiting for rollout spec update to be observed");
    }
    if is_resuming(&status) {
        return progressing("waiting for rollout to unpause");
    }
    if is_retrying(&status) {
        return progressing("waiting for rollout to retry");
    }
    if rollout.spec.workload_ref.is_some() && !is_workload_observed(rollout, &status) {
        return progressing("waiting for rollout spec update to be observed for the reference workload");
    }
    match status.phase {
        Some(stored) => (stored, status.message),
        // A controller before v1.0 leaves the phase to its clients.
        None => phase(rollout, &status),
    }
}

/// Tells whether the controller has acted on the current spec.
///
/// A text that is no number, or one beyond the generation, was written by a controller before v0.10, which
/// stored a hash there; it counts as observed.
pub(crate) fn is_observed(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let generation = rollout.metadata.generation.unwrap_or(0);
    status.observed_generation.parse::<i64>().map_or(true, |observed| observed >= generation)
}

/// Tells whether a person has ended a pause that the controller still has to leave.
pub(crate) fn is_resuming(status: &RolloutStatus) -> bool {
    status.controller_pause && status.pause_conditions.is_empty()
}

/// Tells whether a person has asked to retry an aborted update and the controller has yet to begin.
///
/// Argo Rollouts shows the old abort until then, so that a script which retries and then waits fails at once.
pub(crate) fn is_retrying(status: &RolloutStatus) -> bool {
    !status.abort && status.aborted_at.is_some()
}

/// Tells whether the controller has acted on the current template of the referenced workload.
fn is_workload_observed(rollout: &Rollout, status: &RolloutStatus) -> bool {
    let annotation = rollout.metadata.annotations.as_ref().and_then(|all| all.get(WORKLOAD_GENERATION));
    let generation = annotation.and_then(|text| text.parse::<i64>().ok());
    match (generation, status.workload_observed_generation.parse::<i64>()) {
        (Some(generation), Ok(observed)) => generation == observed,
        (None, _) | (_, Err(_)) => true,
    }
}
