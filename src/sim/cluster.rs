//! A model of the API server: objects, versions, preconditions, and the caches that follow it late.
//!
//! Input: writes of the controller, of users and of Kubernetes' own controllers. Output: objects, or the refusal of a
//! write. It holds no rule about rollouts.

use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::{Rollout, RolloutStatus};
use tidegate_engine::fence::Seen;
use tidegate_engine::lint::{patched, pointed, repatched};
use tidegate_engine::plan::{Reference, RouteWrite, SetPatch, Write};
use tidegate_engine::rollout::workload::Workload;
use tidegate_engine::rollout::world::{Endpoints, Parsed, Pod, Service, Set};

use crate::patch::whole_seconds;
use crate::shape::ROLLOUT;
use crate::shelf::{Held, Shelf};

/// When virtual time begins, in seconds since 1970.
const DAWN: i64 = 1_790_000_000;

/// The uid of the Rollout.
pub(crate) const ROLLOUT_UID: &str = "rollout-1";

/// Whether the Rollout has a ReplicaSet, or may claim it.
pub(crate) fn is_of_rollout(set: &Set) -> bool {
    set.owner.as_deref().is_none_or(|owner| owner == ROLLOUT_UID)
}

/// A Rollout and its parsed spec.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) rollout: Arc<Rollout>,
    pub(crate) spec: Arc<Parsed>,
}

/// Why a write did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Conflict,
    Exists,
    Missing,
}

/// Kinds that a controller caches, each lagging by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Rollout,
    Set,
    Pod,
    Service,
    Endpoints,
    Route,
    Run,
    Experiment,
    Workload,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Rollout,
        Self::Set,
        Self::Pod,
        Self::Service,
        Self::Endpoints,
        Self::Route,
        Self::Run,
        Self::Experiment,
        Self::Workload,
    ];
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) version: u64,
    pub(crate) name: String,
}

/// The API server and one controller's caches of it.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// Milliseconds of virtual time.
    pub(crate) now: i64,
    version: u64,
    pub(crate) rollouts: Shelf<Known>,
    pub(crate) sets: Shelf<Set>,
    pub(crate) pods: Shelf<Pod>,
    pub(crate) services: Shelf<Service>,
    pub(crate) endpoints: Shelf<Endpoints>,
    pub(crate) routes: Shelf<Value>,
    pub(crate) runs: Shelf<AnalysisRun>,
    pub(crate) experiments: Shelf<Experiment>,
    pub(crate) workloads: Shelf<Workload>,
    /// What changed since somebody last looked.
    changed: Vec<Change>,
}

/// Turns milliseconds of virtual time into a time.
pub(crate) fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(DAWN * 1000 + milliseconds).unwrap_or_default()
}

/// Turns a time into milliseconds of virtual time.
pub(crate) fn milliseconds(time: Timestamp) -> i64 {
    time.as_millisecond() - DAWN * 1000
}

impl Cluster {
    pub(crate) fn next_version(&mut self, kind: Kind, name: &str) -> u64 {
        self.version += 1;
        self.changed.push(Change { kind, version: self.version, name: name.to_owned() });
        self.version
    }

    pub(crate) fn held<T>(&mut self, kind: Kind, name: &str, uid: &str, object: Arc<T>) -> Held<T> {
        let version = self.next_version(kind, name);
        let uid = if uid.is_empty() { format!("uid-{version}") } else { uid.to_owned() };
        Held { version, since: self.now, uid, object }
    }

    /// What changed, in order, and forgets it.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changed)
    }

    /// The Rollout as the API server has it.
    pub(crate) fn rollout(&self) -> Option<&Held<Known>> {
        self.rollouts.get(ROLLOUT)
    }

    /// Its status.
    pub(crate) fn status(&self) -> RolloutStatus {
        self.rollout().and_then(|held| held.object.rollout.status.clone()).unwrap_or_default()
    }

    /// Changes the Rollout; a changed spec gets a new generation.
    pub(crate) fn edit_rollout(&mut self, edit: impl FnOnce(&mut Rollout)) -> u64 {
        let Some(held) = self.rollouts.get(ROLLOUT).cloned() else { return 0 };
        let mut rollout = (*held.object.rollout).clone();
        edit(&mut rollout);
        let same_spec = rollout.spec == held.object.rollout.spec;
        if !same_spec {
            rollout.metadata.generation = rollout.metadata.generation.map(|generation| generation + 1);
        }
        if same_spec && rollout == *held.object.rollout {
            return held.version;
        }
        let spec = if same_spec { held.object.spec.clone() } else { Arc::new(Parsed::new(&rollout)) };
        self.put_rollout(rollout, spec)
    }

    /// Stores the Rollout.
    pub(crate) fn put_rollout(&mut self, mut rollout: Rollout, spec: Arc<Parsed>) -> u64 {
        let version = self.version + 1;
        rollout.metadata.resource_version = Some(version.to_string());
        let known = Known { rollout: Arc::new(rollout), spec };
        let held = self.held(Kind::Rollout, ROLLOUT, ROLLOUT_UID, Arc::new(known));
        self.rollouts.put(ROLLOUT, held);
        version
    }

    pub(crate) fn put_set(&mut self, set: Set) -> u64 {
        let name = set.name.clone();
        let held = self.held(Kind::Set, &name, &set.uid.clone(), Arc::new(set));
        let version = held.version;
        self.sets.put(&name, held);
        version
    }

    pub(crate) fn put_pod(&mut self, pod: Pod) -> u64 {
        let name = pod.name.clone();
        let held = self.held(Kind::Pod, &name, &pod.uid.clone(), Arc::new(pod));
        let version = held.version;
        self.pods.put(&name, held);
        version
    }

    pub(crate) fn remove_pod(&mut self, name: &str) {
        let version = self.next_version(Kind::Pod, name);
        self.pods.remove(name, version);
    }

    pub(crate) fn put_service(&mut self, service: Service) -> u64 {
        let name = service.name.clone();
        let held = self.held(Kind::Service, &name, "", Arc::new(service));
        let version = held.version;
        self.services.put(&name, held);
        version
    }

    /// The last version given out.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn remove_route(&mut self, name: &str) {
        let version = self.next_version(Kind::Route, name);
        self.routes.remove(name, version);
    }

    pub(crate) fn remove_set(&mut self, name: &str) {
        let version = self.next_version(Kind::Set, name);
        self.sets.remove(name, version);
    }

    pub(crate) fn remove_service(&mut self, name: &str) {
        let version = self.next_version(Kind::Service, name);
        self.services.remove(name, version);
        let version = self.next_version(Kind::Endpoints, name);
        self.endpoints.remove(name, version);
    }

    pub(crate) fn put_endpoints(&mut self, service: &str, endpoints: Endpoints) {
        let held = self.held(Kind::Endpoints, service, "", Arc::new(endpoints));
        self.endpoints.put(service, held);
    }

    /// Stores a routing object; a changed spec gets a new generation.
    pub(crate) fn put_route(&mut self, name: &str, mut object: Value) -> u64 {
        let known = self.routes.object(name);
        let generation = known.map_or(0, |known| known["metadata"]["generation"].as_i64().unwrap_or(0));
        let same_spec = known.is_some_and(|known| known["spec"] == object["spec"]);
        object["metadata"]["generation"] = json!(if same_spec { generation } else { generation + 1 });
        object["metadata"]["resourceVersion"] = json!((self.version + 1).to_string());
        let held = self.held(Kind::Route, name, "", Arc::new(object));
        let version = held.version;
        self.routes.put(name, held);
        version
    }

    pub(crate) fn put_run(&mut self, name: &str, run: AnalysisRun) -> u64 {
        let uid = run.metadata.uid.clone().unwrap_or_default();
        let held = self.held(Kind::Run, name, &uid, Arc::new(run));
        let version = held.version;
        self.runs.put(name, held);
        version
    }

    /// Lets the cache of one kind see everything up to a version; whether it moved.
    pub(crate) fn catch_up(&mut self, kind: Kind, version: u64) -> bool {
        match kind {
            Kind::Rollout => self.rollouts.catch_up(version),
            Kind::Set => self.sets.catch_up(version),
            Kind::Pod => self.pods.catch_up(version),
            Kind::Service => self.services.catch_up(version),
            Kind::Endpoints => self.endpoints.catch_up(version),
            Kind::Route => self.routes.catch_up(version),
            Kind::Run => self.runs.catch_up(version),
            Kind::Experiment => self.experiments.catch_up(version),
            Kind::Workload => self.workloads.catch_up(version),
        }
    }

    /// A controller that starts lists everything.
    pub(crate) fn relist(&mut self) {
        for kind in Kind::ALL {
            self.catch_up(kind, self.version);
        }
    }

    /// Carries out one write of the controller; the new version of the object, or why it was refused.
    ///
    /// `read` is the version of the Rollout that the plan was made from: writes to the Rollout itself fail when it
    /// has changed since.
    pub(crate) fn write(&mut self, write: &Write, read: &mut u64) -> Result<u64, Refusal> {
        match write {
            Write::DefaultReplicas { .. } | Write::AnnotateRollout { .. } | Write::Status(_) => {
                self.write_rollout(write, read)
            }
            Write::CreateSet(_)
            | Write::PatchSet(_)
            | Write::AdoptSet { .. }
            | Write::ReleaseSet { .. }
            | Write::DeleteSet { .. } => self.write_set(write),
            Write::PointService { service, to, rollout, .. } => {
                let mut changed = self.services.object(service).cloned().ok_or(Refusal::Missing)?;
                pointed(&mut changed, to, rollout);
                Ok(self.put_service(changed))
            }
            Write::Route(route) => self.write_route(route),
            Write::ScaleWorkload { uid, from, to, .. } => self.scale_deployment(uid, *from, *to),
            Write::RestartPod { name, uid } => {
                let pod = self.pods.object(name).filter(|pod| pod.uid == *uid).cloned();
                // What has gone already is as wanted.
                Ok(pod.map_or(self.version, |pod| self.put_pod(Pod { leaving: true, ..pod })))
            }
            Write::PatchPod(patch) => {
                let mut pod = self.pods.object(&patch.name).cloned().ok_or(Refusal::Missing)?;
                repatched(&mut pod, patch);
                Ok(self.put_pod(pod))
            }
            Write::CreateRun(_) | Write::StopRun { .. } | Write::DeleteRun { .. } => self.write_run(write),
            Write::CreateExperiment(experiment) => self.create_experiment(experiment),
            Write::StopExperiment { name } => self.stop_experiment(name),
            Write::DeleteExperiment { name } => self.remove_experiment(name),
        }
    }

    fn write_rollout(&mut self, write: &Write, read: &mut u64) -> Result<u64, Refusal> {
        if self.rollout().map(|held| held.version) != Some(*read) {
            return Err(Refusal::Conflict);
        }
        *read = self.edit_rollout(|rollout| match write {
            Write::DefaultReplicas { replicas } => rollout.spec.replicas = Some(*replicas),
            Write::AnnotateRollout { annotations } => {
                rollout.metadata.annotations.get_or_insert_default().extend(annotations.clone());
            }
            Write::Status(status) => rollout.status = Some(whole_seconds(status.to.clone())),
            Write::CreateSet(_)
            | Write::PatchSet(_)
            | Write::AdoptSet { .. }
            | Write::ReleaseSet { .. }
            | Write::DeleteSet { .. }
            | Write::PointService { .. }
            | Write::Route(_)
            | Write::RestartPod { .. }
            | Write::PatchPod(_)
            | Write::ScaleWorkload { .. }
            | Write::CreateRun(_)
            | Write::StopRun { .. }
            | Write::DeleteRun { .. }
            | Write::CreateExperiment(_)
            | Write::StopExperiment { .. }
            | Write::DeleteExperiment { .. } => {}
        });
        Ok(*read)
    }

    fn write_set(&mut self, write: &Write) -> Result<u64, Refusal> {
        if let Write::CreateSet(set) = write {
            return self.create_set(set, ROLLOUT_UID);
        }
        if let Write::PatchSet(patch) = write {
            return self.patch_set(patch);
        }
        if let Write::DeleteSet { name, uid } = write {
            let version = self.next_version(Kind::Set, name);
            let found = self.sets.object(name).is_some_and(|set| set.uid == *uid);
            return if found && self.sets.remove(name, version) {
                Ok(version)
            } else {
                Err(Refusal::Missing)
            };
        }
        Ok(self.version)
    }

    /// Creates a ReplicaSet for its owner.
    pub(crate) fn create_set(&mut self, set: &Set, owner: &str) -> Result<u64, Refusal> {
        if self.sets.get(&set.name).is_some() {
            return Err(Refusal::Exists);
        }
        let mut set = set.clone();
        set.uid = format!("set-{}", self.version + 1);
        set.generation = 1;
        set.created = time(self.now);
        set.owner = Some(owner.to_owned());
        Ok(self.put_set(set))
    }

    /// Changes a ReplicaSet. Whoever takes pods away names the version that was read.
    pub(crate) fn patch_set(&mut self, patch: &SetPatch) -> Result<u64, Refusal> {
        let mut set = self.sets.object(&patch.name).cloned().ok_or(Refusal::Missing)?;
        if patch.replicas.is_some_and(|(from, to)| to < from && set.replicas != from) {
            return Err(Refusal::Conflict);
        }
        patched(&mut set, patch);
        Ok(self.put_set(set))
    }

    /// Lists are written whole, so a write names the version that it was decided on.
    fn write_route(&mut self, route: &RouteWrite) -> Result<u64, Refusal> {
        let name = route.reference.name.as_str();
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        match (&route.from, self.routes.object(name)) {
            (None, None) => {}
            (None, Some(_)) => return Err(Refusal::Exists),
            (Some(_), None) => return Err(Refusal::Missing),
            (Some(from), Some(live)) if version(from) != version(live) => return Err(Refusal::Conflict),
            (Some(_), Some(_)) => {}
        }
        Ok(self.put_route(name, route.to.clone()))
    }

    fn write_run(&mut self, write: &Write) -> Result<u64, Refusal> {
        match write {
            Write::CreateRun(run) => self.create_run(run),
            Write::StopRun { name } => self.stop_run(name),
            Write::DeleteRun { name } => {
                let version = self.next_version(Kind::Run, name);
                if self.runs.remove(name, version) { Ok(version) } else { Err(Refusal::Missing) }
            }
            Write::DefaultReplicas { .. }
            | Write::AnnotateRollout { .. }
            | Write::Status(_)
            | Write::CreateSet(_)
            | Write::PatchSet(_)
            | Write::AdoptSet { .. }
            | Write::ReleaseSet { .. }
            | Write::DeleteSet { .. }
            | Write::PointService { .. }
            | Write::RestartPod { .. }
            | Write::PatchPod(_)
            | Write::ScaleWorkload { .. }
            | Write::CreateExperiment(_)
            | Write::StopExperiment { .. }
            | Write::DeleteExperiment { .. }
            | Write::Route(_) => Ok(self.version),
        }
    }

    pub(crate) fn create_run(&mut self, run: &AnalysisRun) -> Result<u64, Refusal> {
        let name = run.metadata.name.clone().unwrap_or_default();
        if self.runs.get(&name).is_some() {
            return Err(Refusal::Exists);
        }
        let mut run = run.clone();
        run.metadata.uid = Some(format!("run-{}", self.version + 1));
        run.metadata.creation_timestamp = self.creation_time();
        Ok(self.put_run(&name, run))
    }

    pub(crate) fn stop_run(&mut self, name: &str) -> Result<u64, Refusal> {
        let mut run = self.runs.object(name).cloned().ok_or(Refusal::Missing)?;
        run.spec.terminate = true;
        Ok(self.put_run(name, run))
    }

    /// Now, as metadata has it: in whole seconds.
    pub(crate) fn creation_time<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(json!(time(self.now - self.now % 1000).to_string())).ok()
    }

    /// ReplicaSets of the Rollout.
    pub(crate) fn own_sets(&self) -> impl Iterator<Item = (&String, &Held<Set>)> {
        self.sets.all().filter(|(_, held)| is_of_rollout(&held.object))
    }

    /// What the caches show of an object that a fence asks about.
    pub(crate) fn shown(&self, object: &Reference) -> Option<Seen> {
        self.seen(object, true)
    }

    /// What the API server itself shows of it.
    pub(crate) fn asked(&self, object: &Reference) -> Option<Seen> {
        self.seen(object, false)
    }

    fn seen(&self, object: &Reference, cached: bool) -> Option<Seen> {
        fn of<T>(shelf: &Shelf<T>, name: &str, cached: bool) -> Option<Seen> {
            let held = if cached { shelf.cached(name) } else { shelf.get(name) }?;
            Some(Seen { version: held.version.to_string(), uid: held.uid.clone() })
        }
        let name = object.name.as_str();
        match object.kind.as_str() {
            "Rollout" => of(&self.rollouts, name, cached),
            "ReplicaSet" => of(&self.sets, name, cached),
            "Pod" => of(&self.pods, name, cached),
            "Service" => of(&self.services, name, cached),
            "AnalysisRun" => of(&self.runs, name, cached),
            "Experiment" => of(&self.experiments, name, cached),
            "Deployment" => of(&self.workloads, name, cached),
            _ => of(&self.routes, name, cached),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_to_the_rollout_fails_when_somebody_else_changed_it() {
        let mut cluster = Cluster::default();
        let rollout = crate::shape::rollout(json!({"replicas": 2}), "v1");
        let spec = Arc::new(Parsed::new(&rollout));
        let mut read = cluster.put_rollout(rollout, spec);
        let write = Write::DefaultReplicas { replicas: 3 };
        assert_eq!(cluster.write(&write, &mut read), Ok(read));
        cluster.edit_rollout(|rollout| rollout.spec.paused = true);
        let write = Write::DefaultReplicas { replicas: 4 };
        assert_eq!(cluster.write(&write, &mut read), Err(Refusal::Conflict));
        assert_eq!(cluster.rollout().and_then(|held| held.object.rollout.metadata.generation), Some(3));
    }
}
