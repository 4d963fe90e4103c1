//! The numbers that the rules are about, read from the spec of a Rollout as the user wrote it.
//!
//! Input: a World. Output: limits, names and the router. The spec may be invalid here: an abort must be judged
//! even then.

use serde::Serialize;
use serde_json::Value;
use tidegate_api::rollout::{BlueGreenStrategy, CanaryStrategy, ReplicaProgressThreshold, RolloutStatus};

use crate::at::at;
use crate::plan::Reference;
use crate::rollout::world::{Set, World};
use crate::route::{Acceptance, Objects, Routers};

pub(super) struct Facts<'a> {
    pub(super) status: RolloutStatus,
    pub(super) canary: Option<&'a CanaryStrategy>,
    pub(super) blue_green: Option<&'a BlueGreenStrategy>,
    pub(super) routers: Routers<'a>,
    /// `spec.replicas`.
    pub(super) replicas: i32,
    /// The weight that stands for all traffic.
    pub(super) max_weight: i32,
    pub(super) surge: i32,
    pub(super) unavailable: i32,
    /// Seconds that an old revision stays up; `None` where the spec asks for no delay.
    pub(super) scale_down_delay: Option<i32>,
    /// Whether the stable revision follows its share of the traffic.
    pub(super) dynamic: bool,
    threshold: Option<&'a ReplicaProgressThreshold>,
    /// Whether the stable revision has a ReplicaSet: without one there is nothing to update from.
    stable_lives: bool,
}

impl<'a> Facts<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let spec = &world.rollout.spec;
        let canary = spec.strategy.canary.as_ref();
        let routing = canary.and_then(|canary| canary.traffic_routing.as_ref());
        let replicas = spec.replicas.unwrap_or(1).max(0);
        let (surge, mut unavailable) = limits(canary, replicas);
        if let Some(spec) = &spec.strategy.blue_green {
            unavailable = share_down(spec.max_unavailable.as_ref(), replicas).min(replicas);
        }
        let delay = canary.and_then(|canary| canary.scale_down_delay_seconds).unwrap_or(30);
        let status = world.rollout.status.clone().unwrap_or_default();
        let dynamic = routing.is_some() && canary.is_some_and(|canary| canary.dynamic_stable_scale);
        Self {
            dynamic,
            stable_lives: set_of(world, &status.stable_rs).is_some(),
            status,
            canary,
            blue_green: spec.strategy.blue_green.as_ref(),
            routers: Routers::of(&world.rollout, &world.spec),
            replicas,
            max_weight: routing.and_then(|routing| routing.max_traffic_weight).unwrap_or(100).max(1),
            surge,
            unavailable,
            scale_down_delay: (routing.is_some() && delay > 0 && !dynamic).then_some(delay),
            threshold: canary.and_then(|canary| canary.replica_progress_threshold.as_ref()),
        }
    }

    pub(super) fn canary_service(&self) -> Option<&'a str> {
        let named = self.canary.and_then(|canary| canary.canary_service.as_deref());
        self.pair().map_or(named, |(canary, _)| Some(canary)).filter(|name| !name.is_empty())
    }

    pub(super) fn stable_service(&self) -> Option<&'a str> {
        let named = self.canary.and_then(|canary| canary.stable_service.as_deref());
        self.pair().map_or(named, |(_, stable)| Some(stable)).filter(|name| !name.is_empty())
    }

    /// The canary's and the stable Service where two take turns: ping is the canary's until a status says that it is the
    /// stable one.
    pub(super) fn pair(&self) -> Option<(&'a str, &'a str)> {
        let pair = self.canary?.ping_pong.as_ref()?;
        let names = [pair.ping_service.as_str(), pair.pong_service.as_str()];
        let ping_is_stable = usize::from(self.status.canary.stable_ping_pong == "ping");
        Some((names[ping_is_stable], names[1 - ping_is_stable]))
    }

    /// The weight that routing objects give to the canary; 0 without a router.
    pub(super) fn weight(&self, objects: &Objects) -> i32 {
        self.routers.weight(objects)
    }

    /// The weight that one routing object alone gives to the canary.
    pub(super) fn weight_of(&self, reference: &Reference, object: Option<&Value>) -> i32 {
        self.routers.weight_of(reference, object)
    }

    /// Rules in routing objects that have the name of a managed route.
    pub(super) fn step_rules(&self, objects: &Objects) -> usize {
        objects.values().map(|object| self.step_rules_of(object)).sum()
    }

    /// Rules in one object that have the name of a managed route, or that name and a number; an Ingress takes requests
    /// by a header where an annotation says so that its user did not write.
    pub(super) fn step_rules_of(&self, object: &Value) -> usize {
        if object["kind"] == "Ingress" {
            let annotations = at(object, "/metadata/annotations").and_then(Value::as_object);
            let by_header = |name: &&String| name.ends_with("/canary-by-header") && !self.is_users(name);
            return annotations.into_iter().flat_map(|all| all.keys()).filter(by_header).count();
        }
        let routing = self.canary.and_then(|canary| canary.traffic_routing.as_ref());
        let managed = routing.and_then(|routing| routing.managed_routes.as_ref());
        let names: Vec<&str> = managed.into_iter().flatten().map(|one| one.name.as_str()).collect();
        let rules = at(object, "/spec/rules").and_then(Value::as_array).into_iter().flatten();
        let of_step = rules.filter_map(|rule| rule.get("name")?.as_str()).filter(|name| {
            let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
            names.contains(name) || names.iter().any(|managed| stem == format!("{managed}-"))
        });
        of_step.count()
    }

    /// Whether the spec asks for an annotation of the canary Ingress.
    fn is_users(&self, name: &str) -> bool {
        let routing = self.canary.and_then(|canary| canary.traffic_routing.as_ref());
        routing.and_then(|routing| routing.nginx.as_ref()).is_some_and(|nginx| {
            let mut all =
                nginx.additional_ingress_annotations.keys().chain(nginx.canary_ingress_annotations.keys());
            all.any(|known| name.ends_with(known.as_str()))
        })
    }

    /// Why a weight that is shown is not in effect, where somebody says so.
    pub(super) fn not_accepted(&self, objects: &Objects) -> Option<String> {
        match self.routers.acceptance(objects) {
            Acceptance::Silent | Acceptance::Accepted => None,
            Acceptance::Refused(why) | Acceptance::Behind(why) => Some(why),
        }
    }

    /// Pods that carry a weight: 20 of 100 with 4 replicas needs one.
    pub(super) fn share(&self, weight: i32) -> i32 {
        let (product, whole) =
            (i64::from(weight.max(0)) * i64::from(self.replicas), i64::from(self.max_weight));
        i32::try_from((product + whole - 1) / whole).unwrap_or(i32::MAX)
    }

    /// How many of `desired` pods must be available for the Rollout to go on.
    pub(super) fn threshold(&self, desired: i32) -> i32 {
        match self.threshold {
            Some(threshold) if threshold.value >= 0 && threshold.type_ == "Pods" => {
                desired.min(threshold.value)
            }
            Some(threshold) if threshold.value >= 0 => percent_up(threshold.value, desired).min(desired),
            Some(_) | None => desired,
        }
    }

    /// Ready endpoints that a raise to `weight` needs, at least one.
    pub(super) fn endpoints_for(&self, weight: i32) -> i32 {
        self.threshold(self.carriers(weight)).max(1)
    }

    /// Pods of the current template that carry a weight: a user may ask for fewer than its share.
    pub(super) fn carriers(&self, weight: i32) -> i32 {
        let share = self.share(weight);
        self.asked_scale().map_or(share, |asked| share.min(asked.max(1)))
    }

    /// Pods that the last setCanaryScale up to the current step asks for, while an update goes through its steps.
    pub(super) fn asked_scale(&self) -> Option<i32> {
        let status = &self.status;
        let updating = self.stable_lives && status.stable_rs != status.current_pod_hash;
        if self.routers.is_empty() || self.replicas == 0 || !updating || status.promote_full || status.abort {
            return None;
        }
        let steps = &self.canary?.steps;
        let index =
            usize::try_from(status.current_step_index.unwrap_or(0)).ok().filter(|i| *i < steps.len())?;
        let scale = steps.iter().take(index + 1).rev().find_map(|step| step.set_canary_scale.as_ref())?;
        if scale.match_traffic_weight {
            return None;
        }
        let least = self.canary?.min_pods_per_replica_set.unwrap_or(0).min(self.replicas);
        let of_weight = |weight: i32| match self.share(weight) {
            0 => 0,
            share => share.max(least),
        };
        // With a stable revision that follows the traffic, a number of pods is one of at least the minimum, too.
        let least_named =
            |replicas: i32| if self.dynamic && replicas > 0 { replicas.max(least) } else { replicas.max(0) };
        let asked = scale.replicas.map(least_named).or_else(|| scale.weight.map(of_weight))?;
        let mut routes = std::collections::BTreeMap::new();
        for step in steps.iter().take(index + 1) {
            let header = step.set_header_route.as_ref().map(|one| (one.name.clone(), one.match_.is_empty()));
            let mirror =
                step.set_mirror_route.as_ref().map(|one| (Some(one.name.clone()), one.match_.is_empty()));
            routes.extend(header.into_iter().chain(mirror));
        }
        let asks_for_routes = routes.values().any(|is_gone| !is_gone);
        let weighted = steps.iter().take(index + 1).rev().find_map(|step| step.set_weight).unwrap_or(0) > 0;
        Some(if weighted || asks_for_routes { asked.max(1) } else { asked })
    }
}

/// Pods of a set that are available and that its spec keeps.
pub(super) fn kept(set: &Set) -> i32 {
    set.status.available.min(set.replicas)
}

/// A sum that stays at the largest number.
pub(super) fn total(counts: impl Iterator<Item = i32>) -> i32 {
    counts.fold(0, i32::saturating_add)
}

/// The set of a revision.
pub(super) fn set_of<'w>(world: &'w World, hash: &str) -> Option<&'w Set> {
    world.sets.iter().map(AsRef::as_ref).find(|set| set.hash() == hash)
}

/// maxSurge rounded up and maxUnavailable rounded down, 25 % each when absent. Both 0 would never move, so one
/// pod may then be away.
fn limits(canary: Option<&CanaryStrategy>, replicas: i32) -> (i32, i32) {
    let surge = canary.and_then(|canary| canary.max_surge.as_ref());
    let surge = read(surge, |percent| percent_up(percent, replicas));
    let unavailable = share_down(canary.and_then(|canary| canary.max_unavailable.as_ref()), replicas);
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    (surge, unavailable.min(replicas))
}

fn share_down(field: Option<&impl Serialize>, replicas: i32) -> i32 {
    read(field, |percent| i32::try_from(i64::from(percent) * i64::from(replicas) / 100).unwrap_or(i32::MAX))
}

/// A number stands for itself, any text for a percentage, with or without its sign.
fn read(field: Option<&impl Serialize>, percentage: impl Fn(i32) -> i32) -> i32 {
    let value = field.and_then(|field| serde_json::to_value(field).ok()).unwrap_or_default();
    if let Some(number) = value.as_i64() {
        return i32::try_from(number).unwrap_or(0).max(0);
    }
    let text = value.as_str().unwrap_or("25");
    percentage(text.trim_end_matches('%').parse().unwrap_or(0))
}

fn percent_up(percent: i32, whole: i32) -> i32 {
    i32::try_from((i64::from(percent) * i64::from(whole) + 99) / 100).unwrap_or(i32::MAX)
}
