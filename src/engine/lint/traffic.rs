//! Rules on weights and Services: weight only where endpoints are ready, and an abort before anything else.

use tidegate_api::rollout::RolloutStatus;

use super::facts::{kept, set_of};
use super::{Judge, Rule};
use crate::plan::{Plan, RouteWrite, Write};
use crate::rollout::restart;
use crate::rollout::world::{Endpoints, MANAGED_BY};

impl Judge<'_> {
    /// While an update is aborted, or by this very plan, the first write takes the weight from the canary.
    ///
    /// Not while the stable revision has no ready endpoint: then the better side keeps the traffic.
    pub(super) fn abort_comes_first(&mut self, plan: &Plan) {
        let status = &self.facts.status;
        let updating = |status: &RolloutStatus| {
            !status.stable_rs.is_empty() && status.stable_rs != status.current_pod_hash
        };
        let by_plan =
            plan.status().is_some_and(|to| to.abort && !status.abort && (updating(status) || updating(to)));
        // A full promotion ends an abort that came before it, and none that comes after it.
        let overruled = status.promote_full && status.aborted_at.is_some();
        self.aborting = updating(status) && status.abort && !overruled || by_plan;
        if !self.aborting || self.ready_of_stable() == 0 {
            return;
        }
        let weight = self.facts.weight(&self.seen.routes);
        let by_steps = self.facts.step_rules(&self.seen.routes);
        if weight <= self.weight_to_keep() && by_steps == 0 {
            return;
        }
        let first = plan.writes.first().map(|planned| &planned.write);
        let lowers = if let Some(Write::Route(route)) = first {
            let (before, after) = self.shown(route);
            let rules = |object: Option<&serde_json::Value>| {
                object.map_or(0, |object| self.facts.step_rules_of(object))
            };
            after < before || rules(Some(&route.to)) < rules(route.from.as_ref())
        } else {
            false
        };
        if !lowers {
            let why = format!(
                "the update is aborted and the canary has weight {weight}, but the first write does not lower it"
            );
            self.blame(Rule::AbortNotFirst, why);
        }
    }

    /// After the plan of an abort no object gives the canary weight.
    pub(super) fn abort_is_complete(&mut self) {
        if !self.aborting || self.ready_of_stable() <= 0 {
            return;
        }
        let by_steps = self.facts.step_rules(&self.live.routes);
        if by_steps > 0 {
            self.blame(
                Rule::AbortIncomplete,
                format!("{by_steps} rules of steps are left at the end of the plan"),
            );
        }
        let shares = self.facts.routers.extras(&self.live.routes);
        if !shares.is_empty() {
            let why = format!("Services of an Experiment still have weight: {shares:?}");
            self.blame(Rule::AbortIncomplete, why);
        }
        let weight = self.facts.weight(&self.live.routes);
        if weight > self.weight_to_keep() {
            self.blame(
                Rule::AbortIncomplete,
                format!("the canary still has weight {weight} at the end of the plan"),
            );
        }
    }

    /// Judges a write to a routing object.
    pub(super) fn route(&mut self, route: &RouteWrite) {
        let (before, after) = self.shown(route);
        if after != route.weight {
            self.blame(
                Rule::WeightMisstated,
                format!("{} shows {after}, not {}", route.reference, route.weight),
            );
        }
        let rules =
            |object: Option<&serde_json::Value>| object.map_or(0, |object| self.facts.step_rules_of(object));
        if after > before {
            self.raised(after);
        } else if rules(Some(&route.to)) > rules(route.from.as_ref()) {
            // A header or a mirror needs one pod, whatever the weight.
            self.raised(1);
        } else if after < before {
            self.lowered(after);
        }
        self.shares_of_experiments(route);
    }

    /// A Service of an Experiment gets traffic only while a pod behind it is ready, and none from an abort.
    fn shares_of_experiments(&mut self, route: &RouteWrite) {
        let before = self.facts.routers.extras_of(&route.reference, route.from.as_ref());
        for (service, weight) in self.facts.routers.extras_of(&route.reference, Some(&route.to)) {
            if weight <= before.get(&service).copied().unwrap_or(0) {
                continue;
            }
            if self.aborting {
                self.blame(Rule::AbortRaises, format!("an abort gives Service {service} weight {weight}"));
            }
            if self.seen.endpoints.get(&service).map_or(0, total) == 0 {
                let why = format!("Service {service} gets weight {weight} and has no ready endpoint");
                self.blame(Rule::RaisedWithoutEndpoints, why);
            }
        }
    }

    fn raised(&mut self, weight: i32) {
        if self.aborting {
            self.blame(Rule::AbortRaises, format!("an abort raises the weight of the canary to {weight}"));
        }
        let Some(service) = self.facts.canary_service() else { return };
        let Some(hash) = self.live.services.get(service).and_then(|known| known.hash().map(str::to_owned))
        else {
            self.blame(Rule::RaisedWithoutEndpoints, format!("Service {service} selects no revision"));
            return;
        };
        let ready = self.seen.endpoints.get(service).map_or(0, |endpoints| endpoints.of(&hash));
        // Endpoints that are still listed do not count when the ReplicaSet has already been told to go below them.
        let wanted = set_of(&self.live, &hash).map_or(0, |set| set.replicas);
        let need = self.facts.endpoints_for(weight);
        if ready.min(wanted) < need {
            let why = format!(
                "weight {weight} of {} needs {need} ready endpoints of {hash} in Service {service}: {ready} are ready, \
                 the ReplicaSet keeps {wanted}",
                self.facts.max_weight
            );
            self.blame(Rule::RaisedWithoutEndpoints, why);
        }
    }

    /// Pods that answer; without replicas only those of the Rollout itself, since nobody will take over from others.
    fn answering(&self, endpoints: &Endpoints) -> i32 {
        match self.facts.replicas {
            0 => self.seen.sets.iter().map(|set| endpoints.of(set.hash())).sum(),
            _ => total(endpoints),
        }
    }

    fn lowered(&mut self, weight: i32) {
        let canary = self.facts.canary_service().and_then(|service| self.seen.endpoints.get(service));
        if self.ready_behind_stable() == 0 && canary.is_some_and(|endpoints| self.answering(endpoints) > 0) {
            let why =
                format!("weight {weight} sends traffic to the stable Service, which has no ready endpoint");
            self.blame(Rule::LoweredOntoNothing, why);
        }
        self.lowered_onto_pods(weight);
        let promoted = self.facts.status.stable_rs == self.facts.status.current_pod_hash;
        if self.facts.pair().is_some() && promoted {
            let pods = set_of(&self.live, &self.facts.status.stable_rs).map_or(0, kept);
            let need = pods.min(self.facts.replicas).min(canary.map_or(0, total));
            // Pods by their share take over part by part.
            let (given, max) = (i64::from(self.facts.max_weight - weight), i64::from(self.facts.max_weight));
            let need = (i64::from(need) * given + max - 1).div_euclid(max.max(1));
            let ready = self.ready_of_stable();
            if i64::from(ready) < need {
                let why = format!("{ready} ready endpoints take over from {need}");
                self.blame(Rule::LoweredOntoNothing, why);
            }
        }
    }

    /// Judges a Service that is pointed at another revision.
    pub(super) fn point(&mut self, service: &str, to: &str) {
        if self.facts.blue_green.is_some() {
            self.switched(service, to);
            return;
        }
        let carried = self.carried(service);
        let available = set_of(&self.live, to).map_or(0, kept);
        let stable = self.facts.stable_service() == Some(service);
        let Some(known) = self.live.services.get(service).cloned() else {
            self.blame(Rule::PointedAtNothing, format!("Service {service} does not exist"));
            return;
        };
        if (carried > 0 || stable) && available == 0 {
            let why = format!(
                "Service {service} with weight {carried} would select {to}, which has no available pod"
            );
            self.blame(Rule::PointedAtNothing, why);
            return;
        }
        self.switched_under_load(service, to, carried);
        // The steps may ask for fewer pods than the weight's share.
        let of_canary = !stable && to == self.facts.status.current_pod_hash;
        let pods = if of_canary { self.facts.carriers(carried) } else { self.facts.share(carried) };
        let need = self.facts.threshold(pods);
        let ready_now = self.seen.endpoints.get(service).map_or(0, total);
        if available < need && available < ready_now {
            let why = format!(
                "Service {service} with weight {carried} needs {need} pods and has {ready_now}: {to} has {available}"
            );
            self.blame(Rule::PointedAtNothing, why);
        }
        // Pods that this very plan asks for are not there yet.
        let size = |world| set_of(world, to).map_or(0, |set| set.replicas);
        let replicas = size(&self.live).min(size(self.seen));
        if stable && !known.annotations.contains_key(MANAGED_BY) && available < replicas {
            let why = format!(
                "Service {service} is adopted while {to} has {available} of {replicas} pods available"
            );
            self.blame(Rule::PointedAtNothing, why);
        }
    }

    /// Two Services take turns so that none is pointed while requests find it; except where nobody else could serve them,
    /// or where somebody took the revision out of the stable one.
    fn switched_under_load(&mut self, service: &str, to: &str, carried: i32) {
        let from = self.live.services.get(service).and_then(|known| known.hash().map(str::to_owned));
        let is_pair = self.facts.pair().is_some_and(|(canary, stable)| [canary, stable].contains(&service));
        let stable_serves =
            set_of(&self.live, &self.facts.status.stable_rs).is_some() && self.ready_of_stable() > 0;
        if let Some(from) = from.filter(|_| is_pair && carried > 0 && stable_serves) {
            let why = format!("Service {service} with weight {carried} is pointed from {from} to {to}");
            self.blame(Rule::SwitchedUnderLoad, why);
        }
    }

    /// The most weight that a Service may carry at this point: as it was seen, or as it is after the writes so far.
    pub(super) fn carried(&self, service: &str) -> i32 {
        if self.facts.routers.is_empty() {
            return 0;
        }
        let seen = self.facts.weight(&self.seen.routes);
        let live = self.facts.weight(&self.live.routes);
        let shown = |objects| self.facts.routers.weights(objects).0;
        let by_steps =
            self.facts.step_rules(&self.seen.routes).max(self.facts.step_rules(&self.live.routes)).min(1);
        let least = i32::from(by_steps > 0);
        let canary = if self.facts.canary_service() == Some(service) { seen.max(live).max(least) } else { 0 };
        let stable = if self.facts.stable_service() == Some(service) {
            self.facts.max_weight - shown(&self.seen.routes).min(shown(&self.live.routes))
        } else {
            0
        };
        canary.max(stable)
    }

    /// Weight that one routing object shows before and after a write.
    fn shown(&self, route: &RouteWrite) -> (i32, i32) {
        let before = self.live.routes.get(&route.reference).map(AsRef::as_ref);
        (
            self.facts.weight_of(&route.reference, before),
            self.facts.weight_of(&route.reference, Some(&route.to)),
        )
    }

    /// Ready endpoints of the stable revision itself that no restart has sent away: a Service that is not adopted yet
    /// reaches others as well.
    pub(super) fn ready_of_stable(&self) -> i32 {
        let hash = &self.facts.status.stable_rs;
        let endpoints = self.facts.stable_service().and_then(|service| self.seen.endpoints.get(service));
        let listed = endpoints.map_or(0, |endpoints| endpoints.of(hash));
        let set = set_of(self.seen, hash);
        set.and_then(|set| restart::seen_ready(self.seen, set)).map_or(listed, |staying| listed.min(staying))
    }

    fn ready_behind_stable(&self) -> i32 {
        let service = self.facts.stable_service();
        service.and_then(|service| self.seen.endpoints.get(service)).map_or(0, total)
    }
}

fn total(endpoints: &Endpoints) -> i32 {
    super::facts::total(endpoints.ready.values().copied())
}
