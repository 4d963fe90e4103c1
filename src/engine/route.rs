//! Traffic routers: from the routing objects as they are and the weights as wanted to the objects as they should be.
//!
//! One file per router. Input: objects as JSON. Output: objects as JSON. A router never decides a weight and
//! never fetches anything. A Rollout may name several: the weight is the largest that any of them shows, and it has
//! arrived when all of them show it.

mod experiment_backends;
mod gateway;
mod nginx;
mod openshift;
mod step_rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;
use tidegate_api::rollout::{Rollout, SetHeaderRoute, SetMirrorRoute};
use tidegate_api::valid::selects;

use crate::at::at;
use crate::plan::{Notice, Reference, RouteWrite};
use crate::rollout::ping_pong;
use crate::rollout::world::{Parsed, World};

/// Routing objects by name; one that is absent does not exist.
pub type Objects = BTreeMap<Reference, Arc<Value>>;

/// What is the same for all routers of a Rollout.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    pub rollout: &'a Rollout,
    pub canary_service: &'a str,
    pub stable_service: &'a str,
    /// The weight that stands for all traffic.
    pub max: i32,
    /// Whether the spec names `max` itself; some routers only then write it.
    pub max_named: bool,
}

impl<'a> Sides<'a> {
    fn of(rollout: &'a Rollout) -> Self {
        let canary = rollout.spec.strategy.canary.as_ref();
        let routing = canary.and_then(|canary| canary.traffic_routing.as_ref());
        let max = routing.and_then(|routing| routing.max_traffic_weight);
        let services = canary.map(|canary| ping_pong::services(canary, rollout.status.as_ref()));
        let (stable_service, canary_service) = services.unwrap_or_default();
        Self {
            rollout,
            canary_service,
            stable_service,
            max: max.unwrap_or(100).max(1),
            max_named: max.is_some(),
        }
    }

    /// The same with the other Service as the canary's, where the two take turns.
    fn of_the_last_turn(&self) -> Option<Self> {
        let canary = self.rollout.spec.strategy.canary.as_ref()?;
        canary.ping_pong.as_ref()?;
        Some(Self { canary_service: self.stable_service, stable_service: self.canary_service, ..*self })
    }

    /// The namespace of the Rollout, its pods and its Services.
    fn home(&self) -> &'a str {
        self.rollout.metadata.namespace.as_deref().unwrap_or_default()
    }
}

/// What a router is asked to bring about.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    pub sides: Sides<'a>,
    /// Weight of the canary in parts of `sides.max`.
    pub canary: i32,
    /// What steps send to the canary besides, in the order of precedence.
    pub steps: &'a [StepRoute<'a>],
    /// Services of an Experiment with a share of their own.
    pub extras: &'a [Extra],
}

/// A Service of an Experiment, and the share that it has of the stable side's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    pub service: String,
    pub port: i64,
    /// In parts of all traffic, as the canary's weight.
    pub weight: i32,
}

/// A route that a step asks for, by its name in managedRoutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepRoute<'a> {
    /// Requests with a header go to the canary.
    Header(&'a SetHeaderRoute),
    /// Requests are copied to the canary; its answers go nowhere.
    Mirror(&'a SetMirrorRoute),
}

impl<'a> StepRoute<'a> {
    /// The name of the route.
    #[must_use]
    pub fn name(&self) -> &'a str {
        match self {
            Self::Header(route) => route.name.as_deref().unwrap_or_default(),
            Self::Mirror(route) => &route.name,
        }
    }
}

/// What a router answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routed {
    /// These objects differ from what is wanted; none means that nothing is left to do.
    pub writes: Vec<RouteWrite>,
    /// Why the router cannot be brought there as a whole; the text names the object and what to change. Writes that
    /// take weight from the canary are made all the same.
    pub refusal: Option<String>,
}

/// What those who serve a route say about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acceptance {
    /// Nobody reports anything: what is read back is all there is to know.
    Silent,
    /// What is written is in effect.
    Accepted,
    /// It was looked at and is not served at all.
    Refused(String),
    /// It has not been looked at: an older weight may be in effect.
    Behind(String),
}

/// What a spec names and what is not there or does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub path: String,
    pub value: String,
    pub why: String,
}

impl Fault {
    /// Whether an object is not there or cannot be read; every router says so in these words.
    pub(crate) fn is_missing(&self) -> bool {
        self.why.ends_with(" not found") || self.why.contains(" cannot be read: ")
    }
}

/// Objects of one kind that a selector selects, wherever they come from.
#[derive(Clone, Debug)]
pub struct Selection {
    pub api_version: &'static str,
    pub kind: &'static str,
    /// The namespace where it is another one than the Rollout's.
    pub namespace: Option<String>,
    pub selector: LabelSelector,
}

impl Selection {
    /// Names an object of the kind and namespace that are selected from.
    #[must_use]
    pub fn reference(&self, name: &str) -> Reference {
        Reference { namespace: self.namespace.clone(), ..Reference::new(self.api_version, self.kind, name) }
    }

    /// Whether the selection holds an object.
    #[must_use]
    pub fn holds(&self, reference: &Reference, object: &Value) -> bool {
        let labels = at(object, "/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        reference.kind == self.kind
            && reference.namespace == self.namespace
            && reference.api_version == self.api_version
            && selects(&self.selector, &labels.collect())
    }
}

/// One router: which objects it needs, what weight they show, and how to change it.
trait Router {
    /// The name users see, such as `Nginx`.
    fn name(&self) -> &'static str;

    /// The objects to read before anything can be decided.
    fn needs(&self, sides: &Sides<'_>) -> Vec<Reference>;

    /// Objects that are needed besides and found by their labels.
    fn selections(&self, _sides: &Sides<'_>) -> Vec<Selection> {
        Vec::new()
    }

    /// The first thing that is missing or does not fit, so that no weight could be set.
    fn fault(&self, world: &World, sides: &Sides<'_>) -> Option<Fault>;

    /// The smallest and the largest weight that an object gives to the canary now: the objects may disagree. 0 where none
    /// is routed.
    fn weights(&self, now: &Objects, sides: &Sides<'_>) -> (i32, i32);

    /// Whether the objects send requests to the canary that a step asked for, whatever its weight.
    fn has_step_rules(&self, _now: &Objects, _sides: &Sides<'_>) -> bool {
        false
    }

    /// The Services of Experiments that the objects lead to, each with the largest weight that it has.
    fn extras(&self, _now: &Objects, _sides: &Sides<'_>) -> BTreeMap<String, i32> {
        BTreeMap::new()
    }

    /// What those who serve the objects say about them.
    fn acceptance(&self, _now: &Objects, _sides: &Sides<'_>) -> Acceptance {
        Acceptance::Silent
    }

    /// The Events of one write, besides that of the weight.
    fn notices(&self, _write: &RouteWrite) -> Vec<Notice> {
        Vec::new()
    }

    /// The objects that must change so that the canary gets the wanted weight.
    fn route(&self, now: &Objects, want: &Weights<'_>) -> Routed;
}

/// All routers of one Rollout.
pub struct Routers<'a> {
    all: Vec<Box<dyn Router + 'a>>,
    sides: Sides<'a>,
}

/// The writes of all routers together.
#[derive(Debug, Default)]
pub struct Routing {
    /// Writes with the Events that follow each.
    pub writes: Vec<(RouteWrite, Vec<Notice>)>,
    /// The name of the first router with something left to do.
    pub pending: Option<&'static str>,
    /// Why some of the routers cannot be brought there.
    pub refusals: Vec<String>,
}

impl<'a> Routers<'a> {
    /// The routers that a Rollout's trafficRouting names, of those that Tidegate serves.
    #[must_use]
    pub fn of(rollout: &'a Rollout, spec: &'a Parsed) -> Self {
        let mut all: Vec<Box<dyn Router + 'a>> = Vec::new();
        let canary = rollout.spec.strategy.canary.as_ref();
        let routing = canary.and_then(|canary| canary.traffic_routing.as_ref());
        if let Some(nginx) = routing.and_then(|routing| routing.nginx.as_ref()) {
            all.push(Box::new(nginx::Nginx::new(nginx)));
        }
        if let Some(gateway) = &spec.plugins.gateway {
            all.push(Box::new(gateway::Gateway::new(gateway)));
        }
        if let Some(openshift) = &spec.plugins.openshift {
            all.push(Box::new(openshift::OpenShift::new(openshift)));
        }
        Self { all, sides: Sides::of(rollout) }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The objects to read before anything can be decided.
    #[must_use]
    pub fn needs(&self) -> Vec<Reference> {
        self.all.iter().flat_map(|router| router.needs(&self.sides)).collect()
    }

    /// Objects that are needed besides and found by their labels.
    #[must_use]
    pub fn selections(&self) -> Vec<Selection> {
        self.all.iter().flat_map(|router| router.selections(&self.sides)).collect()
    }

    /// The first thing that is missing or does not fit.
    #[must_use]
    pub fn fault(&self, world: &World) -> Option<Fault> {
        self.all.iter().find_map(|router| router.fault(world, &self.sides))
    }

    /// The smallest and the largest weight that any object gives to the canary: the others of a Rollout may be behind, or
    /// edited by hand. 0 without a router.
    #[must_use]
    pub fn weights(&self, now: &Objects) -> (i32, i32) {
        range(self.all.iter().map(|router| router.weights(now, &self.sides)))
    }

    /// The largest weight that any object gives to the canary; 0 without a router.
    #[must_use]
    pub fn weight(&self, now: &Objects) -> i32 {
        self.weights(now).1
    }

    /// Whether any object sends requests to the canary that a step asked for.
    #[must_use]
    pub fn has_step_rules(&self, now: &Objects) -> bool {
        self.all.iter().any(|router| router.has_step_rules(now, &self.sides))
    }

    /// The Services of Experiments that any object leads to, each with the largest weight that it has.
    #[must_use]
    pub fn extras(&self, now: &Objects) -> BTreeMap<String, i32> {
        let mut all = BTreeMap::new();
        for (service, weight) in self.all.iter().flat_map(|router| router.extras(now, &self.sides)) {
            let most: &mut i32 = all.entry(service).or_default();
            *most = (*most).max(weight);
        }
        all
    }

    /// The same for one object.
    #[must_use]
    pub fn extras_of(&self, reference: &Reference, object: Option<&Value>) -> BTreeMap<String, i32> {
        let object = object.map(|object| (reference.clone(), Arc::new(object.clone())));
        self.extras(&object.into_iter().collect())
    }

    /// The weight that an object alone gives to the canary.
    #[must_use]
    pub fn weight_of(&self, reference: &Reference, object: Option<&Value>) -> i32 {
        let object = object.map(|object| (reference.clone(), Arc::new(object.clone())));
        self.weight(&object.into_iter().collect())
    }

    /// What those who serve the objects say: the worst of all answers.
    #[must_use]
    pub fn acceptance(&self, now: &Objects) -> Acceptance {
        let all = self.all.iter().map(|router| router.acceptance(now, &self.sides));
        all.max().unwrap_or(Acceptance::Silent)
    }

    /// The writes that bring all routers to a weight, those that take weight from the canary first. When one router
    /// cannot be brought there, the others only give weight back: an abort must not wait for what is missing.
    #[must_use]
    pub fn route(&self, now: &Objects, canary: i32, steps: &[StepRoute<'_>], extras: &[Extra]) -> Routing {
        let want = Weights { sides: self.sides, canary, steps, extras };
        let mut routing = Routing::default();
        for router in &self.all {
            let Routed { writes, refusal } = router.route(now, &want);
            if !writes.is_empty() || refusal.is_some() {
                routing.pending.get_or_insert(router.name());
            }
            routing.refusals.extend(refusal);
            routing.writes.extend(writes.into_iter().map(|write| {
                let notices = router.notices(&write);
                (write, notices)
            }));
        }
        if !routing.refusals.is_empty() {
            routing.writes.retain(|(write, _)| {
                self.before(write) > canary || self.had_step_rules(write) || self.takes_extras(write)
            });
        }
        routing.writes.sort_by_key(|(write, _)| self.before(write) <= canary);
        routing
    }

    fn had_step_rules(&self, write: &RouteWrite) -> bool {
        let from = write.from.as_ref().map(|from| (write.reference.clone(), Arc::new(from.clone())));
        self.has_step_rules(&from.into_iter().collect())
    }

    /// Whether a write takes its share from a Service of an Experiment.
    fn takes_extras(&self, write: &RouteWrite) -> bool {
        let after = self.extras_of(&write.reference, Some(&write.to));
        let before = self.extras_of(&write.reference, write.from.as_ref());
        before.keys().any(|service| !after.contains_key(service))
    }

    /// The weight that the object of a write shows before it.
    #[must_use]
    pub fn before(&self, write: &RouteWrite) -> i32 {
        self.weight_of(&write.reference, write.from.as_ref())
    }
}

/// The smallest and the largest of several ranges; 0 without any.
fn range(ranges: impl Iterator<Item = (i32, i32)>) -> (i32, i32) {
    ranges.reduce(|known, next| (known.0.min(next.0), known.1.max(next.1))).unwrap_or_default()
}

/// A part of two in parts of `max`, rounded up so that no weight is ever taken for none.
fn share(canary: i64, stable: i64, max: i32) -> i32 {
    let (total, max) = (i128::from(canary) + i128::from(stable), i128::from(max));
    if total <= 0 {
        return 0;
    }
    i32::try_from((i128::from(canary) * max + total - 1) / total).unwrap_or(i32::MAX)
}
