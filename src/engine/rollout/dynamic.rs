//! dynamicStableScale: the stable ReplicaSet has the pods for its share of the traffic, and no more.
//!
//! Input: facts, or a World whose spec may be invalid. Output: sizes, and how far weight may go back. Such a stable
//! revision cannot take everything at any moment: weight goes back as far as its ready pods carry it, they are made
//! first whatever else holds the update, and until then the canary keeps what it has.

use tidegate_api::rollout::{CanaryStrategy, RolloutStatus};

use super::core::Core;
use super::facts::Facts;
use super::replicas::{share_ceil, share_floor, total};
use super::world::{Set, World};
use super::{restart, revision, scale, service, step, traffic};
use crate::plan::{Because, Plan};

/// Whether a strategy, valid or not, lets the stable ReplicaSet follow its share.
pub(super) fn is_on(strategy: &CanaryStrategy) -> bool {
    strategy.dynamic_stable_scale && strategy.traffic_routing.is_some()
}

/// Ready pods on both sides of the traffic.
#[derive(Clone, Copy, Debug)]
struct Ready {
    /// Endpoints of the stable Service that are of the stable revision, and that its ReplicaSet keeps.
    stable: i32,
    /// Endpoints of the canary Service that are of any other revision; of whichever, once the update is done: then the
    /// Service may select every one.
    canary: i32,
    /// `spec.replicas`: the pods that carry everything.
    replicas: i32,
    max_weight: i32,
}

impl Ready {
    fn of(world: &World, strategy: &CanaryStrategy, stable_hash: &str) -> Self {
        let (stable_service, canary_service) = traffic::services(strategy);
        let set = world.sets.iter().find(|set| set.hash() == stable_hash);
        // Endpoints may still show pods that the ReplicaSet was told to give up, or that a restart has sent away.
        let kept = set.map_or(0, |set| restart::ready(world, set));
        let is_over =
            world.rollout.status.as_ref().is_some_and(|status| status.current_pod_hash == stable_hash);
        let others = service::answering(world, canary_service)
            .filter(|(hash, _)| is_over || *hash != stable_hash)
            .map(|(_, ready)| ready);
        Self {
            stable: world.endpoints.get(stable_service).map_or(0, |known| known.of(stable_hash)).min(kept),
            canary: total(others),
            replicas: world.rollout.spec.replicas.unwrap_or(1).max(0),
            max_weight: traffic::max_weight(strategy).max(1),
        }
    }

    /// The least weight that the canary has to keep, so that the stable pods get no more than their share.
    ///
    /// Of ten replicas four stable pods carry 40 of 100. Where both sides together have fewer pods than the replicas,
    /// each pod gets the same: two stable pods beside two canary pods carry half, and beside none everything.
    fn least_weight(self) -> i32 {
        // Where no replicas are wanted no pod carries a share.
        if self.replicas == 0 {
            return 0;
        }
        if self.stable == 0 {
            return if self.canary > 0 { self.max_weight } else { 0 };
        }
        let whole = self.replicas.min(self.stable.saturating_add(self.canary)).max(1);
        (self.max_weight - share_floor(self.stable, self.max_weight, whole)).max(0)
    }
}

/// The least weight that an abort leaves on the canary.
pub(super) fn least_weight(world: &World, strategy: &CanaryStrategy, status: &RolloutStatus) -> i32 {
    Ready::of(world, strategy, &status.stable_rs).least_weight()
}

/// What an abort waits for while the canary keeps a weight.
pub(super) fn waits(world: &World, strategy: &CanaryStrategy, status: &RolloutStatus) -> Because {
    short(Ready::of(world, strategy, &status.stable_rs), strategy, 0)
}

fn short(ready: Ready, strategy: &CanaryStrategy, target: i32) -> Because {
    let need = share_ceil(ready.max_weight - target, ready.replicas, ready.max_weight);
    let service = traffic::services(strategy).0.to_owned();
    Because::WaitingForEndpoints { service, ready: ready.stable, need }
}

/// Whether the canary Service leads to the stable revision alone; routers forget the endpoints of others somewhat later.
pub(super) fn canary_is_stable(facts: &Facts<'_>) -> bool {
    let (_, canary) = traffic::services(facts.strategy);
    let stable = facts.status.stable_rs.as_str();
    let selected = facts.world.services.get(canary).and_then(|service| service.hash());
    let listed = facts.world.endpoints.get(canary).into_iter().flat_map(|endpoints| &endpoints.ready);
    selected == Some(stable) && !listed.into_iter().any(|(hash, ready)| hash != stable && *ready > 0)
}

/// How far the weight may go down from `observed` to `target`, and what holds the rest.
pub(super) fn lower(facts: &Facts<'_>, observed: i32, target: i32) -> (i32, Option<Because>) {
    if let Some(leaving) = restart::leaving(facts) {
        return (observed, Some(leaving));
    }
    let ready = Ready::of(facts.world, facts.strategy, &facts.status.stable_rs);
    let (stable, canary) = traffic::services(facts.strategy);
    // No pod of the Rollout is to come: what the stable Service selects besides answers as well, and pods of somebody else
    // behind the canary's are waited for by nobody.
    let answers = || facts.world.endpoints.get(stable).is_some_and(|known| traffic::total(known) > 0);
    if facts.replicas == 0 && (answers() || traffic::behind(facts.world, canary) == 0) {
        return (target, None);
    }
    if ready.stable == 0 && facts.world.endpoints.get(canary).is_some_and(|known| traffic::total(known) > 0) {
        return (observed, Some(short(ready, facts.strategy, target)));
    }
    let weight = ready.least_weight().clamp(target, observed);
    (weight, (weight > target).then(|| short(ready, facts.strategy, target)))
}

/// Pods of the stable revision: for the weight that it has, and for what it is about to get.
///
/// It grows before the weight comes back to it, and shrinks once the routes show that the weight has gone. While
/// setCanaryScale asks for so many canary pods that are no share of the traffic, it keeps all of its own.
pub(super) fn stable_pods(facts: &Facts<'_>, aborted: bool) -> i32 {
    if aborted || facts.distinct_stable().is_none() {
        return facts.replicas;
    }
    let max = facts.limits.max_weight;
    let away = step::weight_of_pods(facts).min(traffic::target(facts, aborted)).min(facts.shown.least);
    step::at_least_minimum(facts, share_ceil(max - away, facts.replicas, max))
}

/// The fewest pods that the stable revision keeps while it shrinks: its share by what may still be in effect. The stable
/// Service may select every revision, so that it does not matter whether it selects this one.
pub(super) fn floor(facts: &Facts<'_>) -> i32 {
    let max = facts.limits.max_weight;
    let (least, _) = facts.in_effect();
    share_ceil(max - least, facts.replicas, max)
}

/// Weight for a full promotion: as much as the available pods of the new revision carry, and never less than it has.
pub(super) fn promoting_weight(facts: &Facts<'_>, recorded: i32) -> i32 {
    let max = facts.limits.max_weight;
    recorded.max(share_floor(facts.new_available(), max, facts.replicas).min(max))
}

/// On an abort the stable revision gets all its pods back, whatever else holds sizes: a pause, an invalid spec, a change
/// of the replicas. Without them the traffic could not follow.
pub(super) fn regrow(world: &World, strategy: &CanaryStrategy, plan: &mut Plan) {
    let Some(status) = world.rollout.status.as_ref().filter(|_| is_on(strategy)) else { return };
    let replicas = world.rollout.spec.replicas.unwrap_or(1).max(0);
    let sets = revision::owned(world);
    if let Some(stable) = sets.into_iter().find(|set| set.hash() == status.stable_rs)
        && stable.replicas < replicas
    {
        scale::resized_for(stable, replicas, replicas, plan);
    }
}

/// What still brings requests to a revision that no Service of the Rollout selects any more, if anything: routers learn of
/// endpoints, and forget them, somewhat later.
pub(super) fn reached_by(facts: &Facts<'_>, set: &Set) -> Option<Because> {
    let (stable, canary) = traffic::services(facts.strategy);
    let by = [stable, canary].into_iter().find(|service| is_only_listed(facts, service, set))?;
    let (set, service) = (set.name.clone(), by.to_owned());
    (facts.replicas > 0).then_some(Because::StillReached { set, service })
}

/// Whether a Service that selects another revision still has endpoints of this one.
fn is_only_listed(facts: &Core<'_>, service: &str, set: &Set) -> bool {
    let selected = facts.world.services.get(service).and_then(|known| known.hash());
    selected.is_some_and(|hash| hash != set.hash()) && facts.endpoints(service, set.hash()) > 0
}

/// A former revision that stays for the requests that may still come to it.
pub(super) fn stays_reached(facts: &Facts<'_>) -> Option<Because> {
    let mut left = facts.others.iter().filter(|set| facts.canary.is_dynamic() && set.replicas > 0);
    left.find_map(|set| reached_by(facts, set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stable_pod_carries_its_share_and_no_pod_carries_more_than_another() {
        let least = |stable, canary, replicas, max_weight| {
            Ready { stable, canary, replicas, max_weight }.least_weight()
        };
        assert_eq!(least(4, 6, 10, 100), 60);
        assert_eq!(least(4, 10, 10, 100), 60, "canary pods beyond the replicas carry nothing more");
        assert_eq!(least(2, 2, 10, 100), 50, "with too few pods each gets the same");
        assert_eq!(least(2, 0, 10, 100), 0);
        assert_eq!(least(0, 3, 10, 100), 100);
        assert_eq!(least(0, 0, 10, 100), 0, "nobody is there");
        assert_eq!(least(12, 3, 10, 100), 0);
        assert_eq!(least(1, 2, 3, 100), 67, "33 of 100 are a third, 34 would be more");
        assert_eq!(least(1, 2, 3, 1000), 667);
        assert_eq!(least(1, 1, 0, 100), 0, "no replicas are wanted");
        assert_eq!(least(0, 1, 0, 100), 0, "nor here");
    }
}
