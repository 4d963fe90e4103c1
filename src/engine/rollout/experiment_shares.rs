//! The shares of the traffic that an Experiment's templates ask for, beside the canary's weight.
//!
//! Input: facts, the canary's weight and what routes lead to now. Output: the Services that are to have a share. A Service
//! gets its share once all its pods are seen ready, keeps it while one is, and loses it with the end of the Experiment.
//! While the Rollout is paused no Service gets one: that is how an Experiment knows when its pods may go.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_api::experiment::{Experiment, TemplateSpec};
use tidegate_api::phase::{AnalysisPhase, TemplateStatusCode};
use tidegate_api::rollout::{
    Rollout, RolloutExperimentTemplate, RolloutSpec, RolloutStatus, WeightDestination,
};

use super::experiment::{find, finished, phase};
use super::facts::Facts;
use super::world::World;
use crate::at::at;
use crate::plan::{Because, Move};
use crate::route::{Acceptance, Extra, Routers};

/// What Services of Experiments are to have.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    pub(crate) extras: Vec<Extra>,
    /// The same for the status.
    pub(crate) told: Vec<WeightDestination>,
    /// What one of them waits for.
    pub(crate) wait: Option<Because>,
}

impl Shares {
    /// What this moment calls for beside a canary of this weight; `shown` is what routes lead to now.
    pub(crate) fn wanted(facts: &Facts<'_>, canary: i32, shown: &BTreeMap<String, i32>) -> Self {
        let mut shares = Self::default();
        if facts.promoted() || facts.promote_full() {
            return shares;
        }
        let Some(step) = facts.asked().and_then(|step| step.experiment.as_ref()) else { return shares };
        let running = find(facts, &facts.status.canary.current_experiment)
            .filter(|one| !finished(one) && phase(one) == Some(AnalysisPhase::Running));
        let Some(experiment) = running else { return shares };
        let mut left = (facts.limits.max_weight - canary).max(0);
        for template in &step.templates {
            let weight = template.weight.unwrap_or(0).clamp(0, left);
            if weight > 0 && shares.add(facts, experiment, template, weight, shown) {
                left -= weight;
            }
        }
        shares
    }

    /// Adds the share of one template, if its pods are there.
    fn add(
        &mut self,
        facts: &Facts<'_>,
        experiment: &Experiment,
        template: &RolloutExperimentTemplate,
        weight: i32,
        shown: &BTreeMap<String, i32>,
    ) -> bool {
        let Some(Told { service, hash, port, runs }) = told(experiment, &template.name) else { return false };
        let is_shown = shown.contains_key(&service);
        if !is_shown && (!runs || is_paused(&facts.world.rollout.spec, facts.status)) {
            return false;
        }
        let ready = facts.endpoints(&service, &hash);
        let need = if is_shown { 1 } else { template.replicas.unwrap_or(1).max(1) };
        if ready < need {
            self.wait.get_or_insert(Because::WaitingForEndpoints { service, ready, need });
            return false;
        }
        self.extras.push(Extra { service: service.clone(), port, weight });
        self.told.push(WeightDestination { weight, service_name: service, pod_template_hash: hash });
        true
    }

    /// Why routes change that the canary's weight does not change.
    pub(crate) fn because(&self) -> Because {
        let shares = self.extras.iter().map(|extra| format!("{} {}", extra.service, extra.weight)).collect();
        Because::Moves(Move::ExperimentShares { shares })
    }

    /// Whether routes lead to these, and to no others.
    pub(crate) fn are(&self, shown: &BTreeMap<String, i32>) -> bool {
        let wanted = self.extras.iter().map(|extra| (extra.service.clone(), extra.weight));
        *shown == wanted.collect::<BTreeMap<_, _>>()
    }
}

/// What an Experiment has told of one template.
struct Told {
    service: String,
    /// Hash of its pods.
    hash: String,
    /// The first port.
    port: i64,
    /// Whether its pods are there and not about to go.
    runs: bool,
}

/// What is told of a template, once it has a Service with a port.
fn told(experiment: &Experiment, template: &str) -> Option<Told> {
    let told = experiment.status.as_ref()?.template_statuses.iter().find(|one| one.name == template)?;
    let spec = experiment.spec.templates.iter().find(|one| one.name == template)?;
    let (service, hash) = (told.service_name.clone(), told.pod_template_hash.clone());
    let runs = told.status == Some(TemplateStatusCode::Running);
    let is_told = !service.is_empty() && !hash.is_empty();
    is_told.then(|| Some(Told { service, hash, port: port(spec)?, runs }))?
}

/// The first port of a template's containers: its Service has the same ports.
fn port(template: &TemplateSpec) -> Option<i64> {
    let containers = at(&template.template.0, "/spec/containers")?.as_array()?;
    let mut ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
    ports.find_map(|port| port.get("containerPort").and_then(Value::as_i64))
}

/// Services of this Rollout's Experiments that requests may still be sent to, so that their pods must stay.
pub(crate) fn in_use(world: &World) -> BTreeSet<String> {
    if world.experiments.own.is_empty() {
        return BTreeSet::new();
    }
    let routers = Routers::of(&world.rollout, &world.spec);
    let mut services: BTreeSet<String> = routers.extras(&world.routes).into_keys().collect();
    let status = world.rollout.status.as_ref();
    // The status is in the store before the route that was written before it may be.
    let weights = status.and_then(|status| status.canary.weights.as_ref());
    services.extend(
        weights.into_iter().flat_map(|weights| &weights.additional).map(|it| it.service_name.clone()),
    );
    // What was taken out may not be taken up yet.
    let behind = matches!(routers.acceptance(&world.routes), Acceptance::Behind(_));
    let may = status.and_then(|status| may_get_shares(&world.rollout, status));
    let own = world.experiments.own.iter();
    let held = own.filter(|one| behind || may.is_some() && may == one.metadata.name.as_deref());
    let statuses = held.filter_map(|one| one.status.as_ref());
    let told = statuses.flat_map(|status| &status.template_statuses).map(|one| &one.service_name);
    services.extend(told.cloned());
    services.remove("");
    services
}

/// The Experiment whose Services the Rollout may still give a share, because it has not reacted to the end yet: whoever
/// does that may look at a cache in which the Experiment runs, in which no pause has come yet, or in which another step
/// is the current one.
fn may_get_shares<'w>(rollout: &Rollout, status: &'w RolloutStatus) -> Option<&'w str> {
    let canary = rollout.spec.strategy.canary.as_ref()?;
    canary.traffic_routing.as_ref()?;
    let experiments = canary.steps.iter().filter_map(|step| step.experiment.as_ref());
    let mut templates = experiments.flat_map(|step| &step.templates);
    let asks = templates.any(|template| template.weight.is_some_and(|weight| weight > 0));
    let noticed = status.observed_generation == rollout.metadata.generation.unwrap_or_default().to_string();
    let may = !noticed || asks && !is_paused(&rollout.spec, status);
    may.then_some(status.canary.current_experiment.as_str()).filter(|name| !name.is_empty())
}

/// Whether no Service gets a share that it does not have yet.
fn is_paused(spec: &RolloutSpec, status: &RolloutStatus) -> bool {
    spec.paused || !status.pause_conditions.is_empty()
}
