//! Safety as it is, not as the controller sees it: judged on the live objects and pods at every write.
//!
//! Input: a write that is about to happen, and the true state. Output: what is wrong with it, if anything. Pods that
//! lost their readiness after the controller last heard of them are nobody's fault and count as there.

use tidegate_api::rollout::{CanaryStrategy, ReplicaProgressThreshold, RolloutStatus};
use tidegate_engine::plan::{RouteWrite, SetPatch, Write};
use tidegate_engine::rollout::world::{Service, Set, World};

use crate::cluster::Cluster;
use crate::network;
use crate::pods::Pods;
use crate::shape::{ACTIVE_SERVICE, Way};

/// How long a router may take before delays shorter than that are the user's own risk, in seconds.
const SAFE_DELAY: i32 = 5;

/// The true state at one write.
pub(crate) struct Truth<'s> {
    pub(crate) cluster: &'s Cluster,
    pub(crate) pods: &'s Pods,
    /// The least and the most weight that the data plane gives the canary right now.
    pub(crate) data_weights: (i32, i32),
    pub(crate) ways: &'s [Way],
    /// Whether people changed ReplicaSets or routes by hand and the controller cannot know yet.
    pub(crate) meddled: bool,
    /// What the controller planned on.
    pub(crate) world: &'s World,
    pub(crate) routed: bool,
}

impl Truth<'_> {
    /// What is wrong with a write, if anything.
    pub(crate) fn objection(&self, write: &Write) -> Option<String> {
        if self.meddled {
            return None;
        }
        if let Some(strategy) = &self.world.rollout.spec.strategy.blue_green
            && let Some(objection) = self.blue_green(strategy, write)
        {
            return Some(objection);
        }
        match write {
            Write::Route(route) => {
                self.raise(route).or_else(|| self.lower(route)).or_else(|| self.shares_nothing(route))
            }
            Write::PatchSet(patch) => self.resize(patch),
            Write::PointService { service, to, .. } => {
                self.point(service, to).or_else(|| self.reaches_an_experiment(service, to))
            }
            Write::DeleteSet { name, .. } => {
                let pods =
                    self.cluster.sets.object(name).map_or(0, |set| set.status.replicas.max(set.replicas));
                (pods > 0).then(|| format!("{name} is deleted with {pods} pods"))
            }
            Write::RestartPod { name, .. } => self.restart(name),
            Write::ScaleWorkload { from, to, .. } => self.makes_room(*from, *to),
            Write::DefaultReplicas { .. }
            | Write::AnnotateRollout { .. }
            | Write::CreateSet(_)
            | Write::AdoptSet { .. }
            | Write::ReleaseSet { .. }
            | Write::PatchPod(_)
            | Write::CreateRun(_)
            | Write::StopRun { .. }
            | Write::DeleteRun { .. }
            | Write::CreateExperiment(_)
            | Write::StopExperiment { .. }
            | Write::DeleteExperiment { .. } => None,
            Write::Status(status) => self.ends_a_step(status),
        }
    }

    pub(crate) fn strategy(&self) -> Option<&CanaryStrategy> {
        self.world.rollout.spec.strategy.canary.as_ref()
    }

    fn max_weight(&self) -> i32 {
        let routing = self.strategy().and_then(|canary| canary.traffic_routing.as_ref());
        routing.and_then(|routing| routing.max_traffic_weight).unwrap_or(100)
    }

    /// Replicas by what the controller knows and by what is true: the kinder of the two.
    pub(crate) fn replicas(&self, least: bool) -> i32 {
        let known = self.world.rollout.spec.replicas.unwrap_or(1);
        let live = self.cluster.rollout().and_then(|held| held.object.rollout.spec.replicas).unwrap_or(1);
        if least { known.min(live) } else { known.max(live) }
    }

    fn share(&self, weight: i32) -> i32 {
        let max = self.max_weight();
        (weight * self.replicas(true) + max - 1) / max
    }

    /// Pods that a weight of the canary needs: as few as setCanaryScale asks for, but one.
    fn carriers(&self, weight: i32) -> i32 {
        let share = self.share(weight);
        let by_steps = |status: &&RolloutStatus| !status.promote_full && !status.abort;
        let Some(status) = self.world.rollout.status.as_ref().filter(by_steps) else { return share };
        let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
        let steps = self.strategy().map(|canary| canary.steps.as_slice()).unwrap_or_default();
        let Some(scale) =
            steps.iter().take(index + 1).filter_map(|step| step.set_canary_scale.as_ref()).next_back()
        else {
            return share;
        };
        let ignored = index >= steps.len() || scale.match_traffic_weight;
        let asked = scale.replicas.or_else(|| scale.weight.map(|weight| self.share(weight)));
        asked.filter(|_| !ignored).map_or(share, |asked| share.min(asked.max(1)))
    }

    /// A Service that nobody else changed behind the controller's back.
    pub(crate) fn settled_service(&self, name: &str) -> Option<&Service> {
        let known = self.world.services.get(name)?;
        self.cluster
            .services
            .object(name)
            .filter(|live| live.hash() == known.hash() || known.hash().is_none())
    }

    fn raise(&self, route: &RouteWrite) -> Option<String> {
        let before = network::weight_of(self.cluster, &route.reference.name, self.max_weight());
        let added =
            network::has_step_rule(&route.to) && !route.from.as_ref().is_some_and(network::has_step_rule);
        if route.weight < before && self.takes_turns() {
            return self.lower_after_turn(route.weight).or_else(|| self.lower(route));
        }
        if route.weight <= before && !added {
            return None;
        }
        let canary = self.turn().canary;
        let live = self.cluster.services.object(canary)?;
        let hash = live.hash()?;
        let heard = self.cluster.endpoints.cached(canary).map_or(0, |held| held.since);
        let ready = self.pods.ready(self.cluster, hash);
        let lost = self.pods.lost_since(heard, Some(hash));
        let need = self.threshold(self.carriers(route.weight)).max(1);
        (ready + lost < need).then(|| {
            format!(
                "weight goes from {before} to {}, which needs {need} ready pods of {hash}: {ready} are",
                route.weight
            )
        })
    }

    pub(crate) fn turn(&self) -> network::Turn {
        network::turn(self.cluster)
    }

    fn takes_turns(&self) -> bool {
        self.strategy().is_some_and(|canary| canary.ping_pong.is_some())
    }

    /// Once the Services have taken turns, what is lowered is the weight of whoever served before.
    fn lower_after_turn(&self, weight: i32) -> Option<String> {
        let status = self.world.rollout.status.as_ref()?;
        if status.stable_rs != status.current_pod_hash {
            return None;
        }
        let turn = self.turn();
        let heard = self.cluster.endpoints.cached(turn.stable).map_or(0, |held| held.since);
        let sets_heard = self.cluster.sets.all_cached().map(|(_, held)| held.since).min().unwrap_or(0);
        let hash = &status.stable_rs;
        let ready =
            self.pods.ready(self.cluster, hash) + self.pods.lost_since(heard.min(sets_heard), Some(hash));
        let former = self.cluster.services.object(turn.canary).and_then(|service| service.hash());
        let served = former.map_or(0, |former| self.pods.ready(self.cluster, former));
        let known = self.world.sets.iter().find(|set| set.hash() == hash);
        let need = served.min(known.map_or(0, |set| set.status.available.min(set.replicas)));
        (ready < need.min(self.replicas(true)))
            .then(|| format!("weight goes to {weight}: {hash} has {ready} ready pods in place of {need}"))
    }

    /// No Service of ping-pong is pointed while requests find it, unless nobody else could serve them.
    fn switch(&self, service: &str, to: &str, carried: i32) -> Option<String> {
        let from = self.settled_service(service)?.hash().filter(|_| self.takes_turns() && carried > 0)?;
        let status = self.world.rollout.status.as_ref()?;
        let seen = self.world.endpoints.get(self.turn().stable).map_or(0, |seen| seen.of(&status.stable_rs));
        (seen > 0).then(|| format!("Service {service} with weight {carried} is pointed from {from} to {to}"))
    }

    fn threshold(&self, desired: i32) -> i32 {
        match self.strategy().and_then(|canary| canary.replica_progress_threshold.as_ref()) {
            Some(ReplicaProgressThreshold { type_, value }) if type_ == "Pods" => desired.min(*value),
            Some(ReplicaProgressThreshold { value, .. }) => (desired * value + 99) / 100,
            None => desired,
        }
    }

    fn point(&self, service: &str, to: &str) -> Option<String> {
        self.strategy()?;
        let carried = self.carried(service, 0);
        let available = self.pods.available(self.cluster, to);
        let heard = self.cluster.sets.all_cached().map(|(_, held)| held.since).min().unwrap_or(0);
        let lost = self.pods.lost_since(heard, Some(to));
        if let Some(objection) = self.switch(service, to, carried) {
            return Some(objection);
        }
        (carried > 0 && available + lost == 0).then(|| {
            format!("Service {service} with weight {carried} is pointed at {to}, which has no available pod")
        })
    }

    /// The weight that a Service carries, by its object and, past the safe delay, by the data plane.
    fn carried(&self, service: &str, delay: i32) -> i32 {
        if service == ACTIVE_SERVICE {
            return self.max_weight();
        }
        if !self.routed {
            return 0;
        }
        let live = network::weights(self.cluster, self.ways, self.max_weight());
        // Where everybody reports what is in effect, there is no excuse for not waiting for it. Of a route that was just
        // made again nobody has said anything yet, as of one that nobody ever serves.
        let is_known =
            delay >= SAFE_DELAY || self.ways.iter().all(|way| network::has_report(self.cluster, *way));
        let effective = if is_known { self.data_weights } else { live };
        match service {
            name if name == self.turn().canary => live.1.max(effective.1),
            _ => self.max_weight() - live.0.min(effective.0),
        }
    }

    /// A restart never takes more pods than may be away, nor the last one behind a Service that carries weight.
    fn restart(&self, name: &str) -> Option<String> {
        let pod = self.world.pods.iter().find(|pod| pod.name == name && pod.ready_since.is_some())?;
        let set = self.world.sets.iter().find(|set| set.name == pod.set)?;
        let replicas = self.world.rollout.spec.replicas.unwrap_or(1);
        // Readiness that was lost after the controller last heard of a ReplicaSet is nobody's fault.
        let with_lost = |set: &Set, count: i32| {
            let heard = self.cluster.sets.cached(&set.name).map_or(self.cluster.now, |held| held.since);
            count + self.pods.lost_since(heard, Some(set.hash()))
        };
        let sets = &self.world.sets;
        let available: i32 =
            sets.iter().map(|set| with_lost(set, self.pods.available(self.cluster, set.hash()))).sum();
        let away = match &self.world.rollout.spec.strategy.blue_green {
            Some(strategy) => percentage(strategy.max_unavailable.as_ref(), replicas, false),
            None => self.percentage(|canary| canary.max_unavailable.as_ref(), replicas, false),
        };
        let floor = sets.iter().map(|set| set.replicas).sum::<i32>().max(replicas) - away.max(1);
        if available - 1 < floor {
            return Some(format!("pod {name} of {available} available ones is evicted: {floor} are needed"));
        }
        let ready = with_lost(set, self.pods.ready(self.cluster, set.hash()));
        let turn = self.turn();
        [turn.canary, turn.stable, ACTIVE_SERVICE].into_iter().find_map(|service| {
            let selects = self.settled_service(service).is_some_and(|live| live.hash() == Some(set.hash()));
            let last = selects && replicas > 1 && ready <= 1 && self.carried(service, 0) > 0;
            last.then(|| format!("pod {name} is evicted, the last one behind Service {service} with weight"))
        })
    }

    fn resize(&self, patch: &SetPatch) -> Option<String> {
        self.strategy()?;
        let (_, to) = patch.replicas?;
        let set = self.cluster.sets.object(&patch.name)?;
        if to > set.replicas {
            return self.grow(set, to);
        }
        // Pods that are not ready go first, and one that became ready since the last news was never counted on.
        let heard = self.cluster.sets.cached(&set.name).map_or(self.cluster.now, |held| held.since);
        let ready = self.pods.ready_since(self.cluster, set.hash(), heard);
        if to >= ready {
            return None;
        }
        if self.routed { self.shrink_weighted(set, to, ready) } else { self.shrink_unweighted(set, to) }
    }

    fn grow(&self, set: &Set, to: i32) -> Option<String> {
        if self.routed {
            return None;
        }
        let total: i32 = self.cluster.own_sets().map(|(_, held)| held.object.replicas).sum();
        let total = total - set.replicas + to;
        let replicas = self.replicas(false);
        let limit = replicas + self.percentage(|canary| canary.max_surge.as_ref(), replicas, true);
        (total > limit)
            .then(|| format!("{} goes to {to}, which makes {total} pods: {limit} are allowed", set.name))
    }

    fn shrink_weighted(&self, set: &Set, to: i32, ready: i32) -> Option<String> {
        let canary = self.strategy()?;
        let delay = canary
            .scale_down_delay_seconds
            .unwrap_or(30)
            .min(canary.abort_scale_down_delay_seconds.unwrap_or(30));
        // A canary whose steps go down has no delay: its surplus pods leave as soon as the object shows the weight.
        let status = self.world.rollout.status.as_ref();
        let stepping = status.is_some_and(|status| status.current_pod_hash == set.hash() && !status.abort);
        // Nor has anybody where the stable revision follows the traffic: the spec forbids it.
        let delay = if stepping || canary.dynamic_stable_scale { 0 } else { delay };
        let turn = self.turn();
        for service in [turn.canary, turn.stable] {
            if self.settled_service(service).is_none_or(|live| live.hash() != Some(set.hash())) {
                continue;
            }
            let weight = self.carried(service, delay);
            let of_canary =
                service == turn.canary && status.is_some_and(|status| status.current_pod_hash == set.hash());
            let need = if of_canary { self.carriers(weight) } else { self.share(weight) };
            if to < need {
                return Some(format!(
                    "{} goes to {to} of {ready} ready pods, but Service {service} sends it weight {weight}: {need} needed",
                    set.name
                ));
            }
        }
        None
    }

    fn shrink_unweighted(&self, set: &Set, to: i32) -> Option<String> {
        // A pod that became available after the controller last heard of its ReplicaSet was never counted on.
        let available = |set: &Set| {
            let heard = self.cluster.sets.cached(&set.name).map_or(self.cluster.now, |held| held.since);
            self.pods.available_since(self.cluster, set.hash(), heard).min(set.replicas)
        };
        // Of one that Kubernetes has just made nobody has heard how many serve.
        let heard_of = self.cluster.sets.cached(&set.name);
        if to >= available(set) || heard_of.is_none_or(|held| held.object.status.observed_generation == 0) {
            return None;
        }
        // But it is there: the pod, say, that came for one that a restart sent away.
        let all = |set: &Set| self.pods.available(self.cluster, set.hash()).min(set.replicas);
        let before: i32 = self.cluster.own_sets().map(|(_, held)| all(&held.object)).sum();
        let after = before - all(set) + all(set).min(to);
        let heard = self.cluster.sets.all_cached().map(|(_, held)| held.since).min().unwrap_or(0);
        let lost = self.pods.lost_since(heard, None);
        let replicas = self.replicas(true);
        let surge = self.percentage(|canary| canary.max_surge.as_ref(), replicas, true);
        let away = self.percentage(|canary| canary.max_unavailable.as_ref(), replicas, false);
        let floor = replicas - if surge == 0 && away == 0 { 1 } else { away };
        (after + lost < floor).then(|| {
            format!("{} goes to {to}, which leaves {after} available pods: {floor} are needed", set.name)
        })
    }

    fn percentage<'w, T: serde::Serialize + 'w>(
        &'w self,
        field: impl Fn(&'w CanaryStrategy) -> Option<&'w T>,
        replicas: i32,
        up: bool,
    ) -> i32 {
        percentage(self.strategy().and_then(field), replicas, up)
    }
}

/// A number stands for itself, any text for a percentage; a quarter when absent.
pub(crate) fn percentage(field: Option<&impl serde::Serialize>, replicas: i32, up: bool) -> i32 {
    let value = field.and_then(|field| serde_json::to_value(field).ok());
    if let Some(number) = value.as_ref().and_then(serde_json::Value::as_i64) {
        return i32::try_from(number).unwrap_or(i32::MAX);
    }
    let text = value.as_ref().and_then(|value| value.as_str()).unwrap_or("25%");
    let percent: i32 = text.trim_end_matches('%').parse().unwrap_or(25);
    (percent * replicas + if up { 99 } else { 0 }) / 100
}
