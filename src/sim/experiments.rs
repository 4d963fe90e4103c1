//! The controller's rounds over Experiments: observe, plan, and apply until something fails, beside those over the Rollout.
//!
//! Input: the caches. Output: writes to the API server, and when to look again. Faults strike between any two writes, as
//! they do in rounds over the Rollout.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use tidegate_api::experiment::Experiment;
use tidegate_engine::experiment::{self, Because, ExperimentWorld, Planned, Taken, Write};
use tidegate_engine::fence::Fence;
use tidegate_engine::plan::Reference;
use tidegate_engine::rollout::experiment_services_in_use;

use crate::cluster::{ROLLOUT_UID, Refusal, milliseconds, time};
use crate::controller::{is_fresh, trouble};
use crate::laws_of_experiments::Beside;
use crate::shelf::Shelf;
use crate::simulation::{Event, Simulation};
use crate::users::Act;

/// What the controller remembers of one Experiment between two rounds.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    fence: Fence,
    /// When the next round is due, in milliseconds.
    due: Option<i64>,
    because: Because,
}

/// Whether an owner controls an object.
pub(crate) fn controls(uid: &str, metadata: &ObjectMeta) -> bool {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// The cached objects that are ours, and the names of the others.
pub(crate) fn parted<T>(shelf: &Shelf<T>, ours: impl Fn(&T) -> bool) -> (Vec<Arc<T>>, BTreeSet<String>) {
    let (mut own, mut foreign) = (Vec::new(), BTreeSet::new());
    for (name, held) in shelf.all_cached() {
        if ours(&held.object) {
            own.push(held.object.clone());
        } else {
            foreign.insert(name.clone());
        }
    }
    (own, foreign)
}

/// Builds the World of an Experiment from the caches, with its uid and the version that is shown of it.
fn observe(simulation: &Simulation, name: &str) -> Option<(ExperimentWorld, String, u64)> {
    let cluster = &simulation.cluster;
    let held = cluster.experiments.cached(name)?;
    let uid = held.uid.as_str();
    let of = |owner: &Option<String>| owner.as_deref() == Some(uid);
    let (sets, taken_sets) = parted(&cluster.sets, |set| of(&set.owner));
    let (services, taken_services) = parted(&cluster.services, |service| of(&service.owner));
    let (runs, taken_runs) = parted(&cluster.runs, |run| controls(uid, &run.metadata));
    let troubles = sets.iter().filter_map(|set| Some((set.name.clone(), trouble(set)?))).collect();
    let world = ExperimentWorld {
        now: time(cluster.now),
        experiment: held.object.clone(),
        sets,
        services,
        runs,
        taken: Taken { sets: taken_sets, services: taken_services, runs: taken_runs },
        in_use: in_use(simulation, &held.object),
        templates: simulation.controller.templates.clone(),
        troubles,
    };
    Some((world, uid.to_owned(), held.version))
}

/// Services that routes of the Rollout may still send requests to, for an Experiment of the Rollout.
fn in_use(simulation: &Simulation, experiment: &Experiment) -> BTreeSet<String> {
    if !controls(ROLLOUT_UID, &experiment.metadata) {
        return BTreeSet::new();
    }
    let seen = simulation.controller.observe(&simulation.cluster);
    seen.map(|(world, _)| experiment_services_in_use(&world)).unwrap_or_default()
}

impl Simulation {
    pub(crate) fn schedule_experiment(&mut self, name: &str, delay: i64) {
        let now = self.cluster.now;
        let at = now + delay;
        let desk = self.controller.desks.entry(name.to_owned()).or_default();
        if desk.due.is_none_or(|due| at < due || due < now) {
            desk.due = Some(at);
            self.schedule(delay, Event::Experiment(name.to_owned(), at));
        }
    }

    /// One round of the controller over one Experiment.
    pub(crate) fn experiment_round(&mut self, name: &str, due: i64) {
        let Some(desk) = self.controller.desks.get_mut(name).filter(|desk| desk.due == Some(due)) else {
            return;
        };
        desk.due = None;
        if self.settings.fence && !is_fresh(&mut desk.fence, &self.cluster) {
            self.schedule_experiment(name, 100);
            return;
        }
        let Some((world, uid, read)) = observe(self, name) else {
            self.controller.desks.remove(name);
            return;
        };
        self.experiment_rounds += 1;
        let plan = experiment::plan(&world);
        if experiment::plan(&world) != plan {
            self.fail(format!("the same World of Experiment {name} gave another plan"));
            return;
        }
        let desk = self.controller.desks.entry(name.to_owned()).or_default();
        let before = std::mem::replace(&mut desk.because, plan.because.clone());
        self.tale.told_experiment(&self.cluster, name, &plan, &before);
        if self.apply_to_experiment(name, &uid, &world, &plan.writes, read)
            && let Some(wake) = plan.wake
        {
            self.schedule_experiment(name, (milliseconds(wake) - self.cluster.now).max(1));
        }
    }

    /// Writes in order until one fails or a crash ends it; whether all was written.
    fn apply_to_experiment(
        &mut self,
        name: &str,
        uid: &str,
        world: &ExperimentWorld,
        writes: &[Planned],
        read: u64,
    ) -> bool {
        let temper = self.shape.temper.clone();
        let crash = !self.calm && self.random.chance(temper.crashes);
        let crash = crash.then(|| self.random.below(writes.len() as u64 + 1));
        for (index, Planned { write, notices, .. }) in writes.iter().enumerate() {
            if crash == Some(index as u64) {
                self.crash();
                return false;
            }
            if !self.calm && self.random.chance(temper.write_failures / 2) {
                let act = Act::random(&mut self.random, &self.shape);
                self.act(&act);
            }
            if !self.write_of_experiment((name, uid, read), world, write) {
                let back_off = self.random.between(5, 1_000);
                self.schedule_experiment(name, back_off);
                return false;
            }
            self.events_told.extend(notices.iter().map(|notice| notice.reason));
        }
        if crash.is_some() {
            self.crash();
        }
        crash.is_none()
    }

    /// One write; whether the next may follow.
    fn write_of_experiment(
        &mut self,
        (name, uid, read): (&str, &str, u64),
        world: &ExperimentWorld,
        write: &Write,
    ) -> bool {
        let failures = self.shape.temper.write_failures;
        let failing = !self.calm && self.random.chance(failures);
        let lost = failing && self.random.chance(500);
        if failing && !lost {
            self.tale.tell(&self.cluster, || "fault     the next write is refused".to_owned());
            return false;
        }
        let beside = Beside { cluster: &self.cluster, world, services: self.shape.services };
        if let Some(objection) = beside.objection(write) {
            self.fail(format!("truth of Experiment {name}: {objection}"));
            return false;
        }
        self.writes += 1;
        let answer = self.cluster.write_of_experiment(name, uid, read, write);
        let now = time(self.cluster.now);
        let fence = &mut self.controller.desks.entry(name.to_owned()).or_default().fence;
        if lost {
            self.tale.tell(&self.cluster, || "fault     the answer to the next write is lost".to_owned());
            fence.doubted(object(name, write));
            return false;
        }
        match answer {
            Ok(_) if matches!(write, Write::DeleteService { .. }) => fence.doubted(object(name, write)),
            Ok(version) => fence.wrote(object(name, write), &version.to_string(), now),
            // Somebody else has deleted what was to go.
            Err(Refusal::Missing) if matches!(write, Write::DeleteService { .. }) => {}
            Err(refusal) => {
                self.tale.tell(&self.cluster, || format!("server    refuses a write: {refusal:?}"));
                return false;
            }
        }
        true
    }
}

/// The object that a write changes.
fn object(experiment: &str, write: &Write) -> Reference {
    match write {
        Write::CreateSet(set) => Reference::new("apps/v1", "ReplicaSet", &set.name),
        Write::PatchSet(patch) => Reference::new("apps/v1", "ReplicaSet", &patch.name),
        Write::CreateService { name, .. } | Write::DeleteService { name } => {
            Reference::new("v1", "Service", name)
        }
        Write::CreateRun(run) => {
            let name = run.metadata.name.as_deref().unwrap_or_default();
            Reference::new("argoproj.io/v1alpha1", "AnalysisRun", name)
        }
        Write::StopRun { name } => Reference::new("argoproj.io/v1alpha1", "AnalysisRun", name),
        Write::Status(_) => Reference::new("argoproj.io/v1alpha1", "Experiment", experiment),
    }
}

/// A standalone Experiment of a spec.
pub(crate) fn standalone(name: &str, spec: &Value) -> tidegate_api::experiment::Experiment {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "metadata": { "name": name, "namespace": "sim" },
        "spec": spec,
    });
    serde_json::from_value(object)
        .unwrap_or_else(|_| tidegate_api::experiment::Experiment::new(name, Default::default()))
}
