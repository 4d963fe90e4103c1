//! What the status of a blue-green Rollout has beyond that of a canary: selectors, counts of the active revision, runs,
//! the checkpoint, and when the new revision becomes the stable one.
//!
//! Input: a view, the status as far as both strategies share it, and the decisions of this round. Output: the status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tidegate_api::phase::AnalysisPhase;
use tidegate_api::rollout::RolloutStatus;
use tidegate_api::valid::ValidBlueGreen;

use super::super::condition::{self, PROGRESSING};
use super::super::core::{Core, kept};
use super::super::pause::{INCONCLUSIVE, Wishes, find};
use super::super::restart::Restart;
use super::super::runs::Runs;
use super::super::status::{NEW_SET_CREATED, base, conclude, promote, selector_text, write};
use super::super::{phase, world::Set};
use super::runs::passed_after;
use super::view::View;
use crate::plan::{Because, Move, Notice, Plan};

/// What the end of a round knows.
pub(super) struct Outcome<'r> {
    pub(super) wishes: Wishes,
    pub(super) runs: &'r Runs,
    pub(super) restart: &'r Restart,
    pub(super) checkpoint: bool,
    /// Events that this status stands for, before those found here.
    pub(super) notices: Vec<Notice>,
}

/// Builds the status at the end of a round and adds it to the plan when it differs.
pub(super) fn finish(view: &View<'_>, outcome: Outcome<'_>, plan: &mut Plan) {
    let Outcome { mut wishes, runs, restart, checkpoint, mut notices } = outcome;
    let mut next = base(view, None);
    if let Restart::Done { at } = restart {
        next.restarted_at = Some(condition::time(*at));
    }
    next.blue_green.scale_up_preview_check_point = checkpoint;
    next.blue_green.pre_promotion_analysis_run_status.clone_from(&runs.pre);
    next.blue_green.post_promotion_analysis_run_status.clone_from(&runs.post);
    notices.extend(runs.notices(view));
    let aborted = wishes.aborted(view.status);
    if (view.promote_full() || view.in_rollback_window()) && !aborted {
        wishes.clear = true;
        wishes.drop_abort = true;
    }
    if let Some(why) = promotion(view, runs, aborted) {
        next.blue_green.scale_up_preview_check_point = false;
        if promote(view, why, &mut next, &mut wishes, &mut notices) {
            plan.because = Because::Moves(Move::Promoted { why: why.to_owned() });
        }
    } else if aborted {
        next.promote_full = false;
    }
    conclude(view, next, &wishes, notices, plan);
}

/// Why the new revision becomes the stable one now, if it does.
fn promotion(view: &View<'_>, runs: &Runs, aborted: bool) -> Option<&'static str> {
    if view.stable.is_none() {
        return view.new.map(|_| "Initial deploy");
    }
    if aborted || !view.is_switched() || find(view.status, INCONCLUSIVE).is_some() {
        return None;
    }
    if view.new_available() < view.replicas {
        return None;
    }
    if view.promote_full() {
        return Some("Full promotion requested");
    }
    if view.in_rollback_window() {
        return Some("Rollback within window");
    }
    if view.is_fast_rollback() {
        return Some("Fast rollback");
    }
    passed_after(view, runs).then_some("Completed blue-green update")
}

/// The first word on a Rollout whose first ReplicaSet was created in this very plan.
pub(crate) fn created(core: &Core<'_>, plan: &mut Plan) {
    let mut next = core.status.clone();
    let message = format!("Created new replica set \"{}-{}\"", core.name, core.hash);
    condition::set(&mut next, condition::new(core.now, PROGRESSING, "True", NEW_SET_CREATED, message));
    next.observed_generation = core.rollout.metadata.generation.unwrap_or_default().to_string();
    let (phase, message) = phase::phase(core.rollout, &next);
    next.phase = Some(phase);
    next.message = message;
    if next != *core.status {
        plan.push(write(core.status, next), Because::Moves(Move::StatusMoved));
    }
}

/// Writes what the Services and the ReplicaSet behind the active one show.
pub(crate) fn observe(core: &Core<'_>, next: &mut RolloutStatus) {
    let Some(strategy) = core.blue_green else { return };
    let selected = |service: Option<&str>| {
        let known = core.world.services.get(service.unwrap_or_default());
        known.and_then(|service| service.hash()).unwrap_or_default().to_owned()
    };
    next.blue_green.active_selector = selected(Some(&strategy.spec.active_service));
    next.blue_green.preview_selector = selected(strategy.preview_service());
    if let Some(active) = active(core) {
        next.hpa_replicas = active.status.replicas;
        next.available_replicas = active.status.available;
        next.ready_replicas = active.status.ready;
        let selector: Option<LabelSelector> = serde_json::from_value((*active.selector).clone()).ok();
        next.selector = selector.as_ref().map(selector_text).unwrap_or_default();
    }
}

/// Forgets what the former update was judged by.
pub(crate) fn forget(next: &mut RolloutStatus) {
    next.blue_green.scale_up_preview_check_point = false;
    next.blue_green.pre_promotion_analysis_run_status = None;
    next.blue_green.post_promotion_analysis_run_status = None;
}

/// The ReplicaSet that users reach.
fn active<'w>(core: &Core<'w>) -> Option<&'w Set> {
    let service = core.world.services.get(&core.blue_green?.spec.active_service)?;
    core.set(service.hash()?)
}

/// Whether the revision that users reach has all its pods.
pub(crate) fn is_available(core: &Core<'_>) -> bool {
    active(core).is_some_and(|set| set.replicas == core.replicas && kept(set) == core.replicas)
}

/// Whether the Services are where a healthy Rollout has them.
pub(crate) fn is_arrived(strategy: &ValidBlueGreen, next: &RolloutStatus) -> bool {
    let current = &next.current_pod_hash;
    next.blue_green.active_selector == *current
        && (strategy.preview_service().is_none() || next.blue_green.preview_selector == *current)
}

/// Whether an analysis before or after the switch is under way: measuring is no lack of progress.
pub(crate) fn is_measuring(core: &Core<'_>) -> bool {
    let status = &core.status.blue_green;
    let runs = [&status.pre_promotion_analysis_run_status, &status.post_promotion_analysis_run_status];
    let open = |phase: AnalysisPhase| !phase.is_completed();
    !core.promoted() && runs.into_iter().flatten().any(|run| run.status.is_none_or(open))
}
