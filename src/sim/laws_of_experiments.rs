//! Safety of Experiments as it is: whose requests their pods answer, how they end, and what is left of them.
//!
//! Input: a write that is about to happen or a simulation at rest, and the true state. Output: what is wrong, if anything.

use tidegate_api::experiment::{Experiment, ExperimentStatus};
use tidegate_api::phase::{AnalysisPhase, TemplateStatusCode};
use tidegate_engine::experiment::{ExperimentWorld, StatusWrite, TEMPLATE_NAME, Write};
use tidegate_engine::plan::{RouteWrite, SetPatch, StatusWrite as RolloutStatusWrite};
use tidegate_engine::rollout::world::{Service, Set};

use crate::cluster::{Cluster, ROLLOUT_UID, is_of_rollout, time};
use crate::experiments::controls;
use crate::laws::Truth;
use crate::network;
use crate::simulation::Simulation;

/// The true state at one write about an Experiment.
pub(crate) struct Beside<'s> {
    pub(crate) cluster: &'s Cluster,
    /// What the controller planned on.
    pub(crate) world: &'s ExperimentWorld,
    /// The Services of the Rollout.
    pub(crate) services: &'s [&'s str],
}

impl Beside<'_> {
    /// What is wrong with a write, if anything.
    pub(crate) fn objection(&self, write: &Write) -> Option<String> {
        let spec = &self.world.experiment.spec;
        let over = spec.terminate || is_over(&self.world.experiment);
        match write {
            Write::CreateSet(_) | Write::CreateService { .. } | Write::CreateRun(_) if over => {
                Some(format!("it is over, but: {write}"))
            }
            Write::CreateSet(set) => self.services.iter().find_map(|name| {
                let service = self.cluster.services.object(name)?;
                let reached = service.hash().is_some() && selects(service, set);
                reached.then(|| format!("Service {name} sends its users to the pods of {}", set.name))
            }),
            Write::PatchSet(patch) => self.resize(patch, over),
            Write::DeleteService { name } => self.service_goes(name),
            Write::CreateRun(_) => (self.status().available_at.is_none())
                .then(|| "something is measured before all pods were available".to_owned()),
            Write::CreateService { .. } | Write::StopRun { .. } => None,
            Write::Status(status) => self.status_moves(status),
        }
    }

    fn status(&self) -> ExperimentStatus {
        self.world.experiment.status.clone().unwrap_or_default()
    }

    fn resize(&self, patch: &SetPatch, over: bool) -> Option<String> {
        let (from, to) = patch.replicas?;
        if to > from {
            return over.then(|| format!("it is over, but {} goes from {from} to {to}", patch.name));
        }
        let set = self.world.sets.iter().find(|set| set.name == patch.name)?;
        let delay = self.world.experiment.spec.scale_down_delay_seconds.unwrap_or(30);
        let passed = set.deadline().is_some_and(|until| until < time(self.cluster.now));
        let surplus = to > 0;
        let reached = network::reached(self.cluster);
        let mut services = self.world.services.iter().filter(|service| selects(service, set));
        if let Some(service) = services.find(|service| !surplus && reached.contains(&service.name)) {
            return Some(format!("pods of {} go while routes lead to Service {}", set.name, service.name));
        }
        (delay > 0 && !passed && !surplus).then(|| format!("pods of {} go before their delay", patch.name))
    }

    /// A Service stays as long as any pod is behind it that the controller knows of, unless its template asks for none.
    fn service_goes(&self, name: &str) -> Option<String> {
        let service = self.world.services.iter().find(|service| service.name == name)?;
        let of = service.annotations.get(TEMPLATE_NAME)?;
        let asked = self.world.experiment.spec.templates.iter().find(|template| template.name == *of);
        if asked.is_some_and(|template| template.service.is_none()) {
            return None;
        }
        let behind = self.world.sets.iter().filter(|set| selects(service, set));
        let pods: i32 = behind.map(|set| set.replicas.max(set.status.available)).sum();
        (pods > 0).then(|| format!("Service {name} goes while {pods} pods are behind it"))
    }

    /// What has ended stays as it ended.
    fn status_moves(&self, status: &StatusWrite) -> Option<String> {
        let live = self.cluster.experiments.object(self.world.experiment.metadata.name.as_deref()?)?;
        let ended = live.status.clone().unwrap_or_default();
        if live.metadata.resource_version != self.world.experiment.metadata.resource_version {
            return None;
        }
        let back = is_over(live) && ended.phase != status.to.phase;
        back.then(|| format!("it ended as {:?}, and becomes {:?}", ended.phase, status.to.phase))
    }
}

/// Whether a Service sends requests to the pods of a ReplicaSet.
pub(crate) fn selects(service: &Service, set: &Set) -> bool {
    let labels = &set.template["metadata"]["labels"];
    !service.selector.is_empty() && service.selector.iter().all(|(key, value)| labels[key] == value.as_str())
}

fn is_over(experiment: &Experiment) -> bool {
    let status = experiment.status.as_ref();
    status.and_then(|status| status.phase).is_some_and(AnalysisPhase::is_completed)
}

impl Truth<'_> {
    /// A Service of the Rollout never selects pods of an Experiment.
    pub(crate) fn reaches_an_experiment(&self, service: &str, to: &str) -> Option<String> {
        let mut pointed = self.cluster.services.object(service)?.clone();
        tidegate_engine::lint::pointed(&mut pointed, to, "");
        let mut sets = self.cluster.sets.all().map(|(_, held)| held.object.as_ref());
        let reached = sets.find(|set| !is_of_rollout(set) && selects(&pointed, set))?;
        Some(format!(
            "Service {service} is pointed at the pods of {}, which are an Experiment's",
            reached.name
        ))
    }

    /// A Service gets no share of the traffic once its Experiment has let its pods go.
    pub(crate) fn shares_nothing(&self, route: &RouteWrite) -> Option<String> {
        let before = route.from.as_ref().map(network::reached_by).unwrap_or_default();
        let mut given = network::reached_by(&route.to).into_iter().filter(|name| !before.contains(name));
        given.find_map(|name| {
            let service = self.cluster.services.object(&name)?;
            let of_experiment = service.owner.is_some();
            let mut behind = self.cluster.sets.all().map(|(_, held)| held.object.as_ref());
            let empty = behind.find(|set| selects(service, set) && set.replicas == 0);
            let empty = empty.filter(|_| of_experiment)?;
            Some(format!("Service {name} gets a share, and {} has let its pods go", empty.name))
        })
    }

    /// Whether the update goes to an older revision within a window in which nothing has to be proved again.
    fn goes_back(&self, new: &str, stable: &str) -> bool {
        let created = |hash: &str| {
            let set = self.world.sets.iter().find(|set| set.hash() == hash);
            set.map(|set| set.created)
        };
        self.world.rollout.spec.rollback_window.is_some() && created(new) < created(stable)
    }

    /// A step that runs an Experiment ends when that has succeeded, and not before.
    pub(crate) fn ends_a_step(&self, status: &RolloutStatusWrite) -> Option<String> {
        let (from, to) = (&status.from, &status.to);
        let index = from.current_step_index?;
        let canary = self.world.rollout.spec.strategy.canary.as_ref()?;
        canary.steps.get(usize::try_from(index).ok()?)?.experiment.as_ref()?;
        let same =
            from.current_pod_hash == to.current_pod_hash && from.current_step_hash == to.current_step_hash;
        if !same
            || to.current_step_index != Some(index + 1)
            || to.promote_full
            || to.stable_rs == to.current_pod_hash
            || self.goes_back(&to.current_pod_hash, &to.stable_rs)
        {
            return None;
        }
        let name = from.canary.current_experiment.as_str();
        let known = self.world.experiments.own.iter().find(|one| one.metadata.name.as_deref() == Some(name));
        let phase = known.and_then(|known| known.status.as_ref()?.phase);
        (phase != Some(AnalysisPhase::Successful))
            .then(|| format!("step {index} ends while its Experiment {name:?} is {phase:?}"))
    }
}

/// What is wrong with Experiments at rest, if anything.
pub(crate) fn at_rest(simulation: &Simulation) -> Option<String> {
    let mut all = simulation.cluster.experiments.all();
    all.find_map(|(name, held)| {
        let why = of_one(simulation, &held.object, &held.uid)?;
        Some(format!("Experiment {name} at rest: {why}"))
    })
    .or_else(|| step_at_rest(simulation))
    .or_else(|| led_to_nothing(simulation))
}

/// No route leads to a Service that is not there, besides those that users wrote themselves.
fn led_to_nothing(simulation: &Simulation) -> Option<String> {
    let mut reached = network::reached(&simulation.cluster).into_iter();
    let is_users = |name: &String| ["third", "docs"].contains(&name.as_str());
    let lost = |name: &String| simulation.cluster.services.object(name).is_none() && !is_users(name);
    let kept = |name: &String| simulation.shape.services.contains(&name.as_str());
    let name = reached.find(|name| lost(name) && !kept(name))?;
    Some(format!("a route leads to Service {name}, which is not there"))
}

/// Whether an abort leaves every share where it is, because the stable revision has nobody who would answer instead.
fn holds_its_shares(simulation: &Simulation) -> bool {
    let status = simulation.cluster.status();
    status.abort && simulation.pods.available(&simulation.cluster, &status.stable_rs) == 0
}

fn of_one(simulation: &Simulation, experiment: &Experiment, uid: &str) -> Option<String> {
    let status = experiment.status.clone().unwrap_or_default();
    let invalid = status.conditions.iter().any(|condition| condition.type_ == "InvalidSpec");
    let of = |owner: &Option<String>| owner.as_deref() == Some(uid);
    let cluster = &simulation.cluster;
    let sets: Vec<&Set> =
        cluster.sets.all().map(|(_, held)| held.object.as_ref()).filter(|set| of(&set.owner)).collect();
    let pods: i32 = sets.iter().map(|set| set.replicas.max(set.status.replicas)).sum();
    let spec = &experiment.spec;
    if is_over(experiment) || spec.terminate {
        if !is_over(experiment) && !invalid {
            return Some(format!("it was terminated and is {:?}", status.phase));
        }
        let own = || cluster.services.all().filter(|(_, held)| of(&held.object.owner));
        let reached = network::reached(cluster);
        if holds_its_shares(simulation) && own().any(|(name, _)| reached.contains(name)) {
            return None;
        }
        let services = own().count();
        let runs = cluster.runs.all().filter(|(_, held)| controls(uid, &held.object.metadata));
        let runs = runs.filter(|(_, held)| {
            !held
                .object
                .status
                .as_ref()
                .and_then(|status| status.phase)
                .is_some_and(AnalysisPhase::is_completed)
        });
        let (runs, services) = (runs.count(), if invalid { 0 } else { services });
        return (pods > 0 || services > 0 || runs > 0)
            .then(|| format!("it has ended, and {pods} pods, {services} Services and {runs} runs are left"));
    }
    if invalid {
        return None;
    }
    let required = spec.analyses.iter().any(|analysis| analysis.required_for_completion);
    if status.phase != Some(AnalysisPhase::Running) || spec.duration.is_some() || required {
        return Some(format!("it is {:?}, and nothing is left to happen", status.phase));
    }
    spec.templates.iter().find_map(|template| {
        let name = format!("{}-{}", experiment.metadata.name.as_deref().unwrap_or_default(), template.name);
        let set = sets.iter().find(|set| set.name == name);
        let available = set.map_or(0, |set| set.status.available);
        let wanted = template.replicas.unwrap_or(1);
        // One that ended by a duration that the spec had before stays as it ended.
        let mut told = status.template_statuses.iter();
        let over = told
            .any(|told| told.name == template.name && told.status == Some(TemplateStatusCode::Successful));
        (available != wanted && !over).then(|| format!("{name} has {available} pods of {wanted}"))
    })
}

/// A Rollout at rest runs at most the Experiment of its current step, and has taken up how that ended.
fn step_at_rest(simulation: &Simulation) -> Option<String> {
    let status = simulation.cluster.status();
    let held = simulation.cluster.rollout()?;
    let steps = held.object.rollout.spec.strategy.canary.as_ref().map(|canary| canary.steps.as_slice());
    let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
    let step = steps.and_then(|steps| steps.get(index)).and_then(|step| step.experiment.as_ref());
    let moving = !status.abort && status.stable_rs != status.current_pod_hash && step.is_some();
    let current = status.canary.current_experiment.as_str();
    let mut own =
        simulation.cluster.experiments.all().filter(|(_, held)| controls(ROLLOUT_UID, &held.object.metadata));
    let stray = own.find(|(name, held)| {
        let ended = is_over(&held.object) || held.object.spec.terminate;
        let is_awaited = moving && name.as_str() == current;
        !(ended || is_awaited)
    });
    if let Some((name, _)) = stray {
        return Some(format!("at rest, but Experiment {name} goes on for nobody"));
    }
    let now = simulation.cluster.experiments.object(current)?;
    let succeeded = now.status.as_ref().and_then(|status| status.phase) == Some(AnalysisPhase::Successful);
    let held = held.object.rollout.spec.paused || !status.pause_conditions.is_empty();
    (moving && succeeded && !held)
        .then(|| format!("at rest at a step whose Experiment {current} has succeeded"))
}
