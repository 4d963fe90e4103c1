//! The two Services: the preview follows the new revision at once, the active one moves when all is ready and comes back
//! first of all when an update is aborted.
//!
//! Input: a view, the runs and the pause of this round. Output: writes, and what keeps the switch waiting.

use tidegate_api::rollout::BlueGreenStrategy;

use super::super::pause::{BLUE_GREEN, Wishes};
use super::super::runs::Runs;
use super::super::service::{answering, point};
use super::super::world::{MANAGED_BY, Set, World};
use super::super::{restart, revision, waiting_for};
use super::pause::Pause;
use super::runs::passed_before;
use super::view::View;
use crate::plan::{Because, Plan, Write};

/// Gives users back to the stable revision, before and regardless of anything else.
///
/// It needs nothing that could be invalid: the name of the active Service and the stable hash. The Service stays only
/// while the stable revision has no ready pod and some other one behind the Service has: the better side keeps it.
pub(crate) fn abort(world: &World, strategy: &BlueGreenStrategy, plan: &mut Plan) -> Option<Because> {
    let status = world.rollout.status.as_ref()?;
    let service = world.services.get(&strategy.active_service)?;
    let stable = status.stable_rs.as_str();
    if stable.is_empty() || service.hash() == Some(stable) {
        return None;
    }
    let sets = revision::owned(world);
    let set = sets.iter().find(|set| set.hash() == stable)?;
    let listed = answering(world, &strategy.active_service).any(|(_, ready)| ready > 0);
    let selected = |set: &&Set| service.hash().is_none_or(|hash| set.hash() == hash);
    let others = listed || sets.iter().copied().filter(selected).any(|set| set.status.ready > 0);
    let is_empty = world.rollout.spec.replicas == Some(0);
    // A Service that selects every revision reaches the stable one as well: it is left until that one has pods.
    if restart::ready(world, set) == 0 && (others || service.hash().is_none() || !is_empty) {
        return Some(Because::StableHasNoPods { service: strategy.active_service.clone() });
    }
    point(world, &strategy.active_service, stable, plan);
    None
}

/// Points the preview Service at the new revision, whether its pods are there or not.
pub(super) fn point_preview(view: &View<'_>, plan: &mut Plan) {
    let Some(service) = view.strategy.preview_service() else { return };
    if view.new.is_some() && view.selected(service) != view.hash {
        point(view.world, service, &view.hash, plan);
    }
}

/// Puts the mark of this Rollout back onto Services that select what they should and lost it, as Argo Rollouts does.
pub(super) fn mark(view: &View<'_>, plan: &mut Plan) {
    let preview = view.strategy.preview_service().filter(|service| view.selected(service) == view.hash);
    let active =
        Some(view.spec.active_service.as_str()).filter(|_| view.active().is_some() && view.is_saturated());
    for name in preview.into_iter().chain(active) {
        let Some(service) = view.world.services.get(name) else { continue };
        if !service.annotations.contains_key(MANAGED_BY) && !is_pointed(plan, name) {
            point(view.world, name, view.selected(name), plan);
        }
    }
}

/// Whether this round points the Service at a revision anyway.
fn is_pointed(plan: &Plan, name: &str) -> bool {
    let points = |write: &Write| matches!(write, Write::PointService { service, .. } if service == name);
    plan.writes.iter().any(|planned| points(&planned.write))
}

/// Gives users back to the stable revision when somebody made the active Service anew, or wrote into it, during an update:
/// it would reach the pods of every revision, or none.
pub(super) fn repair(view: &View<'_>, plan: &mut Plan) {
    let stays = |stable: &&Set| restart::staying(view, stable) > 0;
    if let Some(stable) = view.distinct_stable().filter(stays).filter(|_| view.is_lost()) {
        point(view.world, &view.spec.active_service, stable.hash(), plan);
    }
}

/// Points the active Service at the new revision when nothing speaks against it; what it waits for otherwise.
pub(super) fn point_active(
    view: &View<'_>,
    runs: &Runs,
    pause: &Pause,
    wishes: &mut Wishes,
    plan: &mut Plan,
) -> Option<Because> {
    let service = view.spec.active_service.as_str();
    if view.is_switched() || view.is_lost() {
        return None;
    }
    let is_allowed = *pause == Pause::Over && passed_before(view, runs);
    if !view.is_fast_tracked() && !is_allowed {
        return None;
    }
    if !view.is_saturated() {
        return view.new.and_then(|new| waiting_for(view, new, view.replicas));
    }
    if let Some(wait) = endpoints_to_come(view) {
        return Some(wait);
    }
    point(view.world, service, &view.hash, plan);
    wishes.remove.push(BLUE_GREEN);
    None
}

/// Where a preview Service shows the endpoints of the new revision, all of them are awaited. A revision that ran before
/// has been seen at work.
fn endpoints_to_come(view: &View<'_>) -> Option<Because> {
    let service = view.strategy.preview_service()?;
    let ready = view.endpoints(service, &view.hash);
    let late = ready < view.replicas && !view.is_fast_rollback();
    late.then(|| Because::WaitingForEndpoints { service: service.to_owned(), ready, need: view.replicas })
}
