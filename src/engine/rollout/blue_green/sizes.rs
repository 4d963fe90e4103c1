//! How many pods each revision of a blue-green Rollout has: all of them behind the active Service and of the stable
//! revision, all or a few of the preview, and old ones for their delay.
//!
//! Input: a view and the plan so far. Output: changes of size, deadlines, and the history that is no longer kept. What the
//! active Service selects, or selected when this round began, is never made smaller than `spec.replicas`.

use tidegate_api::valid::{AbortDelay, ValidBlueGreen};

use super::super::core::{Core, kept};
use super::super::restart;
use super::super::runs::Runs;
use super::super::scale::{self, Deadline};
use super::super::window;
use super::super::world::{SCALE_DOWN_DEADLINE, Set};
use super::runs;
use super::view::View;
use crate::plan::{Because, Move, Plan};

/// Pods that the new revision should have now, without an abort: few before the checkpoint, where the spec says so.
pub(super) fn wanted(view: &View<'_>) -> i32 {
    let Some(count) = view.spec.preview_replica_count else { return view.replicas };
    if view.active().is_none() || view.is_fast_tracked() {
        return view.replicas;
    }
    let paused = view.rollout.spec.paused || !view.status.pause_conditions.is_empty();
    if view.status.blue_green.scale_up_preview_check_point && !paused { view.replicas } else { count }
}

/// Sizes all ReplicaSets.
pub(super) fn scale(view: &View<'_>, runs: &Runs, aborted: bool, inconclusive: bool, plan: &mut Plan) {
    if restart::counts_evicted(view) {
        return;
    }
    clear_deadlines(view, aborted, plan);
    let mut sized = Vec::new();
    for set in view.distinct_stable().into_iter().chain(view.active()) {
        let is_new = view.new.is_some_and(|new| new.name == set.name);
        if !is_new && !sized.contains(&set.name.as_str()) {
            sized.push(set.name.as_str());
            scale::sized(view, set, view.replicas, plan);
        }
    }
    if let Some(new) = view.new {
        let want = if view.is_switched() || is_switched_to(view, new, plan) {
            view.replicas
        } else if aborted && view.distinct_stable().is_some() {
            after_abort(view, new, plan)
        } else {
            wanted(view)
        };
        scale::sized(view, new, while_served(view, new, want), plan);
    }
    if !inconclusive {
        retire(view, runs, plan);
    }
}

/// A ReplicaSet that is in use again loses its deadline; that of a fast rollback stays until users are there.
fn clear_deadlines(view: &View<'_>, aborted: bool, plan: &mut Plan) {
    let new =
        view.new.filter(|new| view.promoted() || view.is_switched() || !aborted && !view.is_in_delay(new));
    if let Some(end) = view.new.filter(|set| new.is_none() && view.is_in_delay(set)).and_then(Set::deadline) {
        plan.wake_at(end);
    }
    let mut cleared: Vec<&str> = Vec::new();
    for set in [new, view.distinct_stable(), view.active()].into_iter().flatten() {
        if set.has_deadline() && !cleared.contains(&set.name.as_str()) {
            cleared.push(set.name.as_str());
            scale::annotate(plan, set, SCALE_DOWN_DEADLINE, None, Because::Moves(Move::Bookkeeping));
        }
    }
}

/// Who goes back right after the switch comes before the delay of the old revision was written down: it begins now, so
/// that the way back is as short as it is a moment later.
pub(in super::super) fn keep_way_back(core: &Core<'_>, plan: &mut Plan) {
    let seconds = core.blue_green.map_or(0, ValidBlueGreen::scale_down_delay_seconds);
    let (Some(new), Some(stable)) = (core.new, core.distinct_stable()) else { return };
    let is_up = new.replicas == core.replicas && kept(new) == core.replicas;
    if seconds > 0 && core.replicas > 0 && is_up && !new.has_deadline() && window::older(new, stable) {
        scale::deadline(core, new, seconds, plan);
    }
}

/// The size of the preview after an abort: as it is until the stable revision is complete and the delay is over.
fn after_abort(view: &View<'_>, new: &Set, plan: &mut Plan) -> i32 {
    let seconds = match view.strategy.abort_delay() {
        AbortDelay::Forever => return new.replicas,
        AbortDelay::None => return 0,
        AbortDelay::Seconds { seconds, .. } => seconds,
    };
    let stable = view.stable.map_or(0, |set| set.status.available);
    if new.replicas == 0 || stable < view.replicas {
        return new.replicas;
    }
    match scale::deadline(view, new, seconds, plan) {
        Deadline::Passed => 0,
        Deadline::Running => new.replicas,
    }
}

/// Old revisions stay up for their delay, as many as may, newest first. One that had all its pods keeps up with
/// `spec.replicas`, because somebody may go back to it at once.
fn retire(view: &View<'_>, runs: &Runs, plan: &mut Plan) {
    if view.spec.scale_down_delay_seconds.is_none() && runs::is_open_after(view, runs) {
        return;
    }
    let limit = view.strategy.scale_down_delay_revision_limit();
    let seconds = view.strategy.scale_down_delay_seconds();
    let mut old: Vec<&Set> = view.others.iter().copied().filter(|set| set.replicas > 0).collect();
    old.sort_by_key(|set| std::cmp::Reverse(set.revision()));
    let mut delayed = 0;
    for set in old {
        if referenced(view, set, plan) {
            continue;
        }
        let mut want = 0;
        if delayed < limit && seconds > 0 && scale::deadline(view, set, seconds, plan) == Deadline::Running {
            let full = set.desired_replicas().is_none_or(|desired| set.replicas >= desired);
            want = if full { view.replicas } else { set.replicas };
        }
        delayed += 1;
        scale::sized(view, set, while_served(view, set, want), plan);
    }
}

/// Whether users may still reach this revision: endpoints of the active Service lead there, which may be so for a moment
/// after the switch, or the Service selects every revision.
fn is_served(view: &View<'_>, set: &Set) -> bool {
    view.active_hash().is_empty()
        || view.endpoints(&view.spec.active_service, set.hash()) > 0
        || is_unlisted(view)
}

/// Whether nothing is listed for the active Service although the revision that it selects has pods: somebody made the
/// Service anew, and its endpoints are still to come or are older than that.
fn is_unlisted(view: &View<'_>) -> bool {
    let service = &view.spec.active_service;
    let is_listed_ever = view.world.services.get(service).is_some_and(|service| !service.external);
    let active = view.active().filter(|active| is_listed_ever && restart::staying(view, active) > 0);
    active.is_some_and(|active| view.endpoints(service, active.hash()) == 0)
}

/// The size of a revision that users may still reach: never less than it has, as far as it is needed.
fn while_served(view: &View<'_>, set: &Set, want: i32) -> i32 {
    if is_served(view, set) { want.max(set.replicas.min(view.replicas)) } else { want }
}

/// A revision that is to lose pods, and cannot while users may still reach them.
pub(super) fn still_reached(view: &View<'_>, plan: &Plan) -> Option<Because> {
    let surplus = view.new.filter(|new| new.replicas > wanted(view));
    let over = |set: &&Set| scale::kept_until(view, set, plan).is_none();
    let old = view.others.iter().copied().filter(|set| set.replicas > 0).filter(over);
    let found = surplus.into_iter().chain(old).find(|set| is_served(view, set))?;
    let (set, service) = (found.name.clone(), view.spec.active_service.clone());
    let is_known = view.active_hash().is_empty() || view.endpoints(&service, found.hash()) > 0;
    Some(if is_known { Because::StillReached { set, service } } else { Because::Unlisted { set, service } })
}

/// Whether a Service or the status still speaks of this revision.
fn referenced(view: &View<'_>, set: &Set, plan: &Plan) -> bool {
    let hash = set.hash();
    let status = view.status;
    let known = [
        status.stable_rs.as_str(),
        status.current_pod_hash.as_str(),
        status.blue_green.active_selector.as_str(),
        status.blue_green.preview_selector.as_str(),
        view.active_hash(),
        view.strategy.preview_service().map_or("", |service| view.selected(service)),
    ];
    known.contains(&hash) || plan.pointed().any(|(_, to)| to == hash)
}

/// Whether this very plan sends users to a revision.
fn is_switched_to(view: &View<'_>, set: &Set, plan: &Plan) -> bool {
    plan.pointed().any(|pointed| pointed == (view.spec.active_service.as_str(), set.hash()))
}

/// Deletes old ReplicaSets beyond the history limit.
pub(super) fn forget(view: &View<'_>, plan: &mut Plan) {
    let pointed: Vec<String> =
        view.others.iter().filter(|set| referenced(view, set, plan)).map(|set| set.name.clone()).collect();
    scale::forget_sets(view, |set| pointed.contains(&set.name), plan);
}
