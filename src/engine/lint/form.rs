//! Rules on the form of a plan: each write changes something, once, from what is there, and the status comes last.

use super::facts::set_of;
use super::{Judge, Rule, patched, pointed, repatched};
use crate::plan::{SetPatch, Write};
use crate::rollout::world::{HASH_LABEL, Set};

impl Judge<'_> {
    /// Judges the form of one write.
    pub(super) fn form(&mut self, write: &Write, last: bool) {
        for (object, field) in fields(write) {
            if !self.touched.insert((object.clone(), field.clone())) {
                self.blame(
                    Rule::WrittenTwice,
                    format!("{field} of {object} was already written by this plan"),
                );
            }
        }
        if !self.changes(write) {
            self.blame(
                Rule::ChangesNothing,
                format!("{write:?} leaves everything as it is").chars().take(300).collect(),
            );
        }
        match write {
            Write::Status(status) => {
                if !last {
                    self.blame(Rule::StatusNotLast, "other writes follow the status".to_owned());
                }
                if status.from != self.facts.status {
                    self.blame(
                        Rule::WrongFrom,
                        "the status to start from is not the one that was read".to_owned(),
                    );
                }
            }
            Write::CreateSet(set) => self.created(set),
            Write::DeleteSet { name, .. } => self.deleted(name),
            Write::PatchSet(patch) => self.patched(patch),
            Write::PointService { service, from, .. } => {
                let current =
                    self.live.services.get(service).map(|known| known.selector.get(HASH_LABEL).cloned());
                if current != Some(from.clone()) {
                    self.blame(
                        Rule::WrongFrom,
                        format!("Service {service} selects {current:?}, not {from:?}"),
                    );
                }
            }
            Write::Route(route) => {
                let current = self.live.routes.get(&route.reference).map(AsRef::as_ref);
                if current != route.from.as_ref() {
                    self.blame(Rule::WrongFrom, format!("{} is not as the write believes", route.reference));
                }
            }
            Write::DefaultReplicas { .. }
            | Write::AnnotateRollout { .. }
            | Write::AdoptSet { .. }
            | Write::ReleaseSet { .. }
            | Write::RestartPod { .. }
            | Write::PatchPod(_)
            | Write::ScaleWorkload { .. }
            | Write::CreateRun(_)
            | Write::StopRun { .. }
            | Write::DeleteRun { .. }
            | Write::CreateExperiment(_)
            | Write::StopExperiment { .. }
            | Write::DeleteExperiment { .. } => {}
        }
    }

    fn created(&mut self, set: &Set) {
        if set_of(&self.live, set.hash()).is_some() {
            self.blame(Rule::ChangesNothing, format!("a ReplicaSet of revision {} exists", set.hash()));
        }
    }

    fn deleted(&mut self, name: &str) {
        let Some(set) = self.seen.sets.iter().find(|set| set.name == name) else { return };
        if set.replicas != 0 || set.status.replicas != 0 || !set.is_observed() {
            let why = format!(
                "ReplicaSet {name} has {} replicas in its spec and {} in its status of generation {} of {}",
                set.replicas, set.status.replicas, set.status.observed_generation, set.generation
            );
            self.blame(Rule::DeletedWithPods, why);
        }
        if set.hash() == self.facts.status.stable_rs {
            self.blame(Rule::DeletedWithPods, format!("ReplicaSet {name} is the stable revision"));
        }
    }

    fn patched(&mut self, patch: &SetPatch) {
        if !self.seen.sets.iter().any(|set| set.name == patch.name) {
            let why = format!("ReplicaSet {} did not exist when this plan was made", patch.name);
            self.blame(Rule::DependsOnEarlier, why);
        }
        let current = self.live.sets.iter().find(|set| set.name == patch.name).map(|set| set.replicas);
        if let Some((from, to)) = patch.replicas {
            if current != Some(from) {
                let why = format!("ReplicaSet {} has {current:?} replicas, not {from}", patch.name);
                self.blame(Rule::WrongFrom, why);
            }
            if to < 0 {
                self.blame(Rule::WrongFrom, format!("ReplicaSet {} cannot have {to} replicas", patch.name));
            }
        }
    }

    /// Whether a write changes anything at all.
    fn changes(&self, write: &Write) -> bool {
        let run = |name: &str| self.live.runs.iter().find(|run| run.metadata.name.as_deref() == Some(name));
        let experiment = |name: &str| {
            let mut own = self.live.experiments.own.iter();
            own.find(|experiment| experiment.metadata.name.as_deref() == Some(name))
        };
        match write {
            Write::DefaultReplicas { replicas } => self.live.rollout.spec.replicas != Some(*replicas),
            Write::AnnotateRollout { annotations } => {
                let current = self.live.rollout.metadata.annotations.as_ref();
                annotations
                    .iter()
                    .any(|(key, value)| current.and_then(|current| current.get(key)) != Some(value))
            }
            Write::CreateSet(set) => !self.live.sets.iter().any(|known| known.name == set.name),
            Write::PatchSet(patch) => {
                self.live.sets.iter().any(|set| set.name == patch.name && alters(patch, set))
            }
            Write::AdoptSet { name, .. } => {
                self.live.sets.iter().any(|set| set.name == *name && set.owner.is_none())
            }
            Write::ReleaseSet { name, .. } => {
                self.live.sets.iter().any(|set| set.name == *name && set.owner.is_some())
            }
            Write::DeleteSet { name, .. } => self.live.sets.iter().any(|set| set.name == *name),
            Write::PointService { service, to, rollout, .. } => {
                self.live.services.get(service).is_some_and(|known| {
                    let mut changed = (**known).clone();
                    pointed(&mut changed, to, rollout);
                    changed != **known
                })
            }
            Write::Route(route) => route.from.as_ref() != Some(&route.to),
            Write::RestartPod { name, uid } => {
                self.live.pods.iter().any(|pod| pod.name == *name && pod.uid == *uid && !pod.leaving)
            }
            Write::PatchPod(patch) => {
                let pod = self.live.pods.iter().find(|pod| pod.name == patch.name && pod.uid == patch.uid);
                pod.is_some_and(|pod| {
                    let mut changed = (**pod).clone();
                    repatched(&mut changed, patch);
                    changed != **pod
                })
            }
            Write::ScaleWorkload { name, to, .. } => {
                let live = self.live.workload.as_ref().filter(|workload| workload.name == *name);
                live.is_some_and(|workload| workload.replicas != *to)
            }
            Write::CreateRun(created) => {
                created.metadata.name.as_deref().is_some_and(|name| run(name).is_none())
            }
            Write::StopRun { name } => run(name).is_some_and(|run| !run.spec.terminate),
            Write::DeleteRun { name } => run(name).is_some(),
            Write::CreateExperiment(created) => {
                created.metadata.name.as_deref().is_some_and(|name| experiment(name).is_none())
            }
            Write::StopExperiment { name } => {
                experiment(name).is_some_and(|experiment| !experiment.spec.terminate)
            }
            Write::DeleteExperiment { name } => experiment(name).is_some(),
            Write::Status(status) => status.from != status.to,
        }
    }
}

fn alters(patch: &SetPatch, set: &Set) -> bool {
    patch.replicas.is_some_and(|(_, to)| to != set.replicas)
        || patch.min_ready_seconds.is_some_and(|seconds| seconds != set.min_ready_seconds)
        || patch.template.is_some() && {
            let mut changed = set.clone();
            patched(&mut changed, patch);
            changed.template != set.template
        }
        || patch.annotations.iter().any(|(key, value)| set.annotations.get(key) != value.as_ref())
}

/// Object and field of everything that a write sets.
fn fields(write: &Write) -> Vec<(String, String)> {
    let one = |object: String, field: &str| vec![(object, field.to_owned())];
    match write {
        Write::DefaultReplicas { .. } => one("the Rollout".to_owned(), "replicas"),
        Write::AnnotateRollout { annotations } => {
            annotations.keys().map(|key| ("the Rollout".to_owned(), format!("annotation {key}"))).collect()
        }
        Write::CreateSet(set) => one(format!("ReplicaSet {}", set.name), "existence"),
        Write::DeleteSet { name, .. } => one(format!("ReplicaSet {name}"), "existence"),
        Write::AdoptSet { name, .. } | Write::ReleaseSet { name, .. } => {
            one(format!("ReplicaSet {name}"), "owner")
        }
        Write::PatchSet(patch) => {
            let object = format!("ReplicaSet {}", patch.name);
            let replicas = patch.replicas.map(|_| "replicas".to_owned());
            let ready = patch.min_ready_seconds.map(|_| "minReadySeconds".to_owned());
            let annotations = patch.annotations.keys().map(|key| format!("annotation {key}"));
            let template = patch.template.as_ref().and_then(|template| template.as_object());
            let template = template.into_iter().flatten().map(|(key, _)| format!("template {key}"));
            replicas
                .into_iter()
                .chain(template)
                .chain(ready)
                .chain(annotations)
                .map(|field| (object.clone(), field))
                .collect()
        }
        Write::PointService { service, .. } => one(format!("Service {service}"), "selector"),
        Write::Route(route) => one(route.reference.to_string(), "content"),
        Write::ScaleWorkload { name, .. } => one(format!("Deployment {name}"), "replicas"),
        Write::RestartPod { name, .. } => one(format!("Pod {name}"), "existence"),
        Write::PatchPod(patch) => one(format!("Pod {}", patch.name), "metadata"),
        Write::CreateRun(run) => {
            one(format!("AnalysisRun {}", run.metadata.name.as_deref().unwrap_or_default()), "existence")
        }
        Write::DeleteRun { name } => one(format!("AnalysisRun {name}"), "existence"),
        Write::StopRun { name } => one(format!("AnalysisRun {name}"), "terminate"),
        Write::CreateExperiment(experiment) => {
            let name = experiment.metadata.name.as_deref().unwrap_or_default();
            one(format!("Experiment {name}"), "existence")
        }
        Write::DeleteExperiment { name } => one(format!("Experiment {name}"), "existence"),
        Write::StopExperiment { name } => one(format!("Experiment {name}"), "terminate"),
        Write::Status(_) => one("the Rollout".to_owned(), "status"),
    }
}
