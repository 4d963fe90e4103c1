//! What the World looks like once a write has happened, with nobody else acting.
//!
//! Input: a World and a write. Output: the World after it. Kubernetes' own controllers do not move here: a scaled
//! ReplicaSet has its new size in the spec and its old one in the status.

use std::sync::Arc;

use tidegate_api::experiment::Experiment;

use crate::plan::{Plan, SetPatch, Write};
use crate::rollout::world::{HASH_LABEL, MANAGED_BY, Service, Set, World};

/// The World after all writes of a plan.
#[must_use]
pub fn after(world: &World, plan: &Plan) -> World {
    let mut next = world.clone();
    for planned in &plan.writes {
        apply(&mut next, &planned.write);
    }
    next
}

/// Changes a World by one write.
pub fn apply(world: &mut World, write: &Write) {
    match write {
        Write::DefaultReplicas { replicas } => {
            let rollout = Arc::make_mut(&mut world.rollout);
            rollout.spec.replicas = Some(*replicas);
            rollout.metadata.generation = rollout.metadata.generation.map(|generation| generation + 1);
        }
        Write::AnnotateRollout { annotations } => {
            let metadata = &mut Arc::make_mut(&mut world.rollout).metadata;
            metadata.annotations.get_or_insert_default().extend(annotations.clone());
        }
        Write::CreateSet(set) => {
            if !world.sets.iter().any(|known| known.name == set.name) {
                world.sets.push(created(set, world));
            }
        }
        Write::PatchSet(patch) => {
            if let Some(set) = world.sets.iter_mut().find(|set| set.name == patch.name) {
                patched(Arc::make_mut(set), patch);
            }
        }
        Write::AdoptSet { name, uid } => {
            let owner = world.rollout.metadata.uid.clone();
            owned(world, name, uid, owner);
        }
        Write::ReleaseSet { name, uid } => owned(world, name, uid, None),
        Write::DeleteSet { name, uid } => world.sets.retain(|set| set.name != *name || set.uid != *uid),
        Write::PointService { service, to, rollout, .. } => {
            if let Some(service) = world.services.get_mut(service) {
                pointed(Arc::make_mut(service), to, rollout);
            }
        }
        Write::Route(route) => {
            world.routes.insert(route.reference.clone(), Arc::new(route.to.clone()));
        }
        Write::RestartPod { name, uid } => {
            for pod in world.pods.iter_mut().filter(|pod| pod.name == *name && pod.uid == *uid) {
                Arc::make_mut(pod).leaving = true;
            }
        }
        Write::CreateRun(run) => {
            if !world.runs.iter().any(|known| known.metadata.name == run.metadata.name) {
                world.runs.push(Arc::new((**run).clone()));
            }
        }
        Write::StopRun { name } => {
            for run in world.runs.iter_mut().filter(|run| run.metadata.name.as_ref() == Some(name)) {
                Arc::make_mut(run).spec.terminate = true;
            }
        }
        Write::DeleteRun { name } => world.runs.retain(|run| run.metadata.name.as_ref() != Some(name)),
        Write::CreateExperiment(experiment) => {
            let own = &mut world.experiments.own;
            if !own.iter().any(|known| known.metadata.name == experiment.metadata.name) {
                own.push(Arc::new((**experiment).clone()));
            }
        }
        Write::StopExperiment { name } => {
            let named = |one: &&mut Arc<Experiment>| one.metadata.name.as_ref() == Some(name);
            for experiment in world.experiments.own.iter_mut().filter(named) {
                Arc::make_mut(experiment).spec.terminate = true;
            }
        }
        Write::DeleteExperiment { name } => {
            world.experiments.own.retain(|experiment| experiment.metadata.name.as_ref() != Some(name));
        }
        Write::Status(status) => Arc::make_mut(&mut world.rollout).status = Some(status.to.clone()),
    }
}

fn created(set: &Set, world: &World) -> Arc<Set> {
    let mut set = set.clone();
    set.generation = 1;
    set.created = world.now;
    set.owner.clone_from(&world.rollout.metadata.uid);
    if set.uid.is_empty() {
        set.uid = format!("uid-of-{}", set.name);
    }
    Arc::new(set)
}

fn owned(world: &mut World, name: &str, uid: &str, owner: Option<String>) {
    if let Some(set) = world.sets.iter_mut().find(|set| set.name == name && set.uid == uid) {
        Arc::make_mut(set).owner = owner;
    }
}

/// Changes a ReplicaSet as its patch says.
pub fn patched(set: &mut Set, patch: &SetPatch) {
    if let Some((_, to)) = patch.replicas {
        set.generation += i64::from(set.replicas != to);
        set.replicas = to;
    }
    if let Some(seconds) = patch.min_ready_seconds {
        set.generation += i64::from(set.min_ready_seconds != seconds);
        set.min_ready_seconds = seconds;
    }
    for (key, value) in &patch.annotations {
        match value {
            Some(value) => set.annotations.insert(key.clone(), value.clone()),
            None => set.annotations.remove(key),
        };
    }
}

/// Points a Service at a revision in the name of a Rollout.
pub fn pointed(service: &mut Service, to: &str, rollout: &str) {
    service.selector.insert(HASH_LABEL.to_owned(), to.to_owned());
    service.annotations.insert(MANAGED_BY.to_owned(), rollout.to_owned());
}
