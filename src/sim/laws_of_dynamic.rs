//! A stable revision that follows the traffic, as it is and not as the controller sees it: weight goes back only to pods
//! that are there, and at rest both sides have their sizes.
//!
//! Input: a write that is about to happen, or a simulation at rest. Output: what is wrong, if anything.

use tidegate_api::rollout::{CanaryStrategy, RolloutStatus};
use tidegate_engine::plan::RouteWrite;
use tidegate_engine::rollout::world::Set;

use crate::laws::Truth;
use crate::network;
use crate::pods::image;
use crate::shape::{BAD_IMAGES, CANARY_SERVICE, STABLE_SERVICE};
use crate::simulation::Simulation;

impl Truth<'_> {
    /// Stable pods get no more than their share, or no more than canary pods get.
    pub(crate) fn lower(&self, route: &RouteWrite) -> Option<String> {
        let strategy = self.strategy().filter(|strategy| strategy.dynamic_stable_scale)?;
        let max = strategy.traffic_routing.as_ref()?.max_traffic_weight.unwrap_or(100);
        let before = network::weight_of(self.cluster, &route.reference.name, max);
        let stable = self.world.rollout.status.as_ref().map_or("", |status| status.stable_rs.as_str());
        let service = self.settled_service(CANARY_SERVICE)?;
        if route.weight >= before || service.hash() == Some(stable) {
            return None;
        }
        let heard = self.cluster.endpoints.cached(STABLE_SERVICE).map_or(0, |held| held.since);
        let ready = self.pods.ready(self.cluster, stable) + self.pods.lost_since(heard, Some(stable));
        // A canary pod that became ready since the last news was never counted on.
        let known = self.world.endpoints.get(CANARY_SERVICE);
        let others =
            known.into_iter().flat_map(|endpoints| &endpoints.ready).filter(|(hash, _)| *hash != stable);
        let canary: i32 = others.map(|(hash, known)| self.pods.ready(self.cluster, hash).min(*known)).sum();
        let whole = self.replicas(true).min(ready + canary);
        ((max - route.weight) * whole > max * ready).then(|| {
            format!(
                "weight goes from {before} to {}, but {ready} of {whole} pods are of the stable revision",
                route.weight
            )
        })
    }
}

/// What is wrong with the size of a stable revision in an update that waits for a person, if anything.
pub(crate) fn at_rest(simulation: &Simulation, status: &RolloutStatus) -> Option<String> {
    let held = simulation.cluster.rollout()?;
    let spec = &held.object.rollout.spec;
    let strategy = spec.strategy.canary.as_ref().filter(|strategy| strategy.dynamic_stable_scale)?;
    let replicas = spec.replicas.unwrap_or(1);
    // While one side cannot have its pods, the other keeps what it has.
    let sides = [status.stable_rs.as_str(), status.current_pod_hash.as_str()];
    let is_broken = |set: &Set| sides.contains(&set.hash()) && BAD_IMAGES.contains(&image(set));
    if simulation.cluster.sets.all().any(|(_, held)| is_broken(&held.object)) {
        return None;
    }
    if spec.paused || status.stable_rs == status.current_pod_hash || waits_for_verdict(status) {
        return None;
    }
    let max = strategy.traffic_routing.as_ref()?.max_traffic_weight.unwrap_or(100);
    let (shown, _) = simulation.weights();
    let away = pods_away(strategy, status).map_or(shown, |away| away.min(shown));
    let share = ((max - away).max(0) * replicas + max - 1) / max;
    let least = strategy.min_pods_per_replica_set.unwrap_or(0).min(replicas);
    let wanted = if share == 0 { 0 } else { share.max(least) };
    let mut sets = simulation.cluster.sets.all();
    let size = sets
        .find(|(_, held)| held.object.hash() == status.stable_rs)
        .map(|(_, held)| held.object.replicas)?;
    (size != wanted).then(|| {
        format!(
            "at rest with {size} stable pods, but {wanted} carry what the canary's {shown} of {max} leaves"
        )
    })
}

/// The weight whose pods a setCanaryScale in force gives to the canary: none where it names so many pods.
fn pods_away(strategy: &CanaryStrategy, status: &RolloutStatus) -> Option<i32> {
    let index =
        usize::try_from(status.current_step_index?).ok().filter(|index| *index < strategy.steps.len())?;
    let mut scales = strategy.steps.iter().take(index + 1).filter_map(|step| step.set_canary_scale.as_ref());
    let scale = scales.next_back().filter(|scale| !scale.match_traffic_weight && !status.promote_full)?;
    scale.replicas.map(|_| 0).or(scale.weight)
}

fn waits_for_verdict(status: &RolloutStatus) -> bool {
    status.pause_conditions.iter().any(|pause| pause.reason.starts_with("Inconclusive"))
}
