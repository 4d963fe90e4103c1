//! Rules on a stable revision that follows its share of the traffic: it has the pods for what it carries and for what it is
//! given, and an abort makes all of them.

use super::facts::{kept, set_of, total};
use super::{Judge, Rule};
use crate::plan::SetPatch;
use crate::rollout::restart;
use crate::rollout::world::Set;
use crate::route::Acceptance;

impl Judge<'_> {
    /// Ready pods of the stable revision behind its Service, as far as its ReplicaSet keeps them.
    fn stable_carriers(&self) -> i32 {
        // Pods that the plan itself asks for are not there yet.
        let kept = [self.seen, &self.live].map(|world| {
            let set = set_of(world, &self.facts.status.stable_rs);
            set.map_or(0, |set| restart::ready(world, set))
        });
        self.ready_of_stable().min(kept[0]).min(kept[1])
    }

    /// Ready pods of other revisions behind the canary Service; without replicas those of the Rollout itself.
    fn canary_carriers(&self) -> i32 {
        let service = self.facts.canary_service();
        let endpoints = service.and_then(|service| self.seen.endpoints.get(service));
        let others = endpoints.into_iter().flat_map(|endpoints| &endpoints.ready);
        let others = others.filter(|(hash, _)| **hash != self.facts.status.stable_rs);
        let counts = |hash: &str| self.facts.replicas > 0 || set_of(self.seen, hash).is_some();
        total(others.filter(|(hash, _)| counts(hash)).map(|(_, ready)| *ready))
    }

    /// Whether a stable pod gets no more than its share with this weight on the canary, or no more than a canary pod.
    fn is_carried(&self, weight: i32) -> bool {
        let (stable, canary) = (i64::from(self.stable_carriers()), i64::from(self.canary_carriers()));
        let whole = i64::from(self.facts.replicas).min(stable + canary);
        let max = i64::from(self.facts.max_weight);
        (max - i64::from(weight)) * whole <= max * stable
    }

    /// The weight that the canary has to keep while the stable pods are too few; 0 where stable keeps its size.
    pub(super) fn weight_to_keep(&self) -> i32 {
        if !self.facts.dynamic {
            return 0;
        }
        (0..self.facts.max_weight).find(|weight| self.is_carried(*weight)).unwrap_or(self.facts.max_weight)
    }

    /// Weight goes back only as far as the stable pods carry it.
    pub(super) fn lowered_onto_pods(&mut self, weight: i32) {
        if self.facts.dynamic && !self.is_carried(weight) {
            let why = format!(
                "weight {weight} of {} is more than {} stable pods of {} carry beside {} others",
                self.facts.max_weight,
                self.stable_carriers(),
                self.facts.replicas,
                self.canary_carriers()
            );
            self.blame(Rule::LoweredBeyondPods, why);
        }
    }

    /// Whether the stable revision may have fewer pods than the replicas: only in an update that goes on.
    pub(super) fn stable_may_shrink(&self) -> bool {
        let status = &self.facts.status;
        self.facts.dynamic && !self.aborting && status.stable_rs != status.current_pod_hash
    }

    /// While nobody has taken a weight up, or endpoints still list a pod, requests may still come to it.
    pub(super) fn dynamic_shrink(&mut self, set: &Set, to: i32) {
        if !self.facts.dynamic {
            return;
        }
        let is_stable = set.hash() == self.facts.status.stable_rs;
        let is_behind = matches!(self.facts.routers.acceptance(&self.seen.routes), Acceptance::Behind(_));
        if is_stable && to < self.facts.replicas && is_behind {
            let why = format!("{} goes to {to} before the weight is taken up", set.name);
            self.blame(Rule::CapacityBeforeWeight, why);
        }
        if is_stable || set.hash() == self.facts.status.current_pod_hash || self.facts.replicas == 0 {
            return;
        }
        for service in [self.facts.canary_service(), self.facts.stable_service()].into_iter().flatten() {
            let selects = self.seen.services.get(service).and_then(|known| known.hash());
            let listed = self.seen.endpoints.get(service).map_or(0, |endpoints| endpoints.of(set.hash()));
            if selects.is_some_and(|hash| hash != set.hash()) && listed > 0 {
                let why = format!("{} goes to {to}, but {listed} endpoints of {service} are of it", set.name);
                self.blame(Rule::CapacityBeforeWeight, why);
                return;
            }
        }
    }

    /// An abort grows the stable revision even where somebody paused the Rollout.
    pub(super) fn is_regrowth(&self, patch: &SetPatch) -> bool {
        let stable = set_of(&self.live, &self.facts.status.stable_rs);
        let grows = patch.replicas.is_some_and(|(from, to)| to > from && to <= self.facts.replicas);
        let asked = self.aborting || self.facts.status.abort;
        self.facts.dynamic && asked && grows && stable.is_some_and(|set| set.name == patch.name)
    }

    /// After the plan of an abort the stable revision has all its pods, or they are on their way.
    pub(super) fn abort_brings_stable_back(&mut self) {
        let stable = set_of(&self.live, &self.facts.status.stable_rs);
        // One that this very plan creates, because somebody deleted it, gets its pods by the next.
        let stable = stable.filter(|set| set_of(self.seen, set.hash()).is_some());
        let owner = self.seen.rollout.metadata.uid.as_ref();
        let stable = stable.filter(|set| set.owner.as_ref() == owner && !set.deleting);
        if let Some(set) = stable.filter(|_| self.facts.dynamic && self.aborting)
            && set.replicas < self.facts.replicas
        {
            let why = format!("{} stays at {} ({} ready) in an abort", set.name, set.replicas, kept(set));
            self.blame(Rule::AbortIncomplete, why);
        }
    }
}
