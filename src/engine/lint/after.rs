//! What the World looks like once a write has happened, with nobody else acting.
//!
//! Input: a World and a write. Output: the World after it. Kubernetes' own controllers do not move here: a scaled
//! ReplicaSet has its new size in the spec and its old one in the status.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tidegate_api::experiment::Experiment;

use crate::plan::{Plan, PodPatch, SetPatch, Write};
use crate::rollout::world::{HASH_LABEL, MANAGED_BY, Pod, Service, Set, Texts, World};

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
#[expect(clippy::too_many_lines, reason = "one arm for each write")]
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
        Write::ScaleWorkload { name, to, .. } => {
            if let Some(workload) = world.workload.as_mut().filter(|workload| workload.name == *name) {
                let workload = Arc::make_mut(workload);
                workload.generation += i64::from(workload.replicas != *to);
                workload.replicas = *to;
            }
        }
        Write::RestartPod { name, uid } => {
            for pod in world.pods.iter_mut().filter(|pod| pod.name == *name && pod.uid == *uid) {
                Arc::make_mut(pod).leaving = true;
            }
        }
        Write::PatchPod(patch) => {
            for pod in world.pods.iter_mut().filter(|pod| pod.name == patch.name && pod.uid == patch.uid) {
                repatched(Arc::make_mut(pod), patch);
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
    if let Some(template) = &patch.template {
        let mut changed = (*set.template).clone();
        merge(&mut changed, template);
        set.generation += i64::from(changed != *set.template);
        set.template = changed.into();
    }
    change(&mut set.annotations, &patch.annotations);
}

/// Changes the metadata of a pod as its patch says.
pub fn repatched(pod: &mut Pod, patch: &PodPatch) {
    change(&mut pod.labels, &patch.labels);
    change(&mut pod.annotations, &patch.annotations);
}

fn change(texts: &mut Texts, changes: &BTreeMap<String, Option<String>>) {
    for (key, value) in changes {
        match value {
            Some(value) => texts.insert(key.clone(), value.clone()),
            None => texts.remove(key),
        };
    }
}

/// Changes a value by a JSON merge patch (RFC 7386).
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(members) = value.as_object_mut() else { return };
    for (key, patch) in patch {
        if patch.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), patch);
        }
    }
}

/// Points a Service at a revision in the name of a Rollout.
pub fn pointed(service: &mut Service, to: &str, rollout: &str) {
    service.selector.insert(HASH_LABEL.to_owned(), to.to_owned());
    service.annotations.insert(MANAGED_BY.to_owned(), rollout.to_owned());
}
