//! A model of the Deployment that a Rollout takes its template from: it has pods of its own, which the Rollout's replace.
//!
//! Input: writes of the controller and of people. Output: the Deployment, and the size of its ReplicaSet. It is the same
//! ReplicaSet whatever its template says: how a Deployment updates itself is nothing to a Rollout.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::json;
use tidegate_api::rollout::{Rollout, RolloutPhase};
use tidegate_engine::rollout::workload::{self, Workload, WorkloadKind};
use tidegate_engine::rollout::world::{Parsed, Set};

use crate::cluster::{Cluster, Kind, Known, Refusal, time};
use crate::laws::Truth;
use crate::shape;
use crate::simulation::Simulation;

/// The Deployment, and its ReplicaSet.
pub(crate) const DEPLOYMENT: &str = "shop-before";
const DEPLOYMENT_UID: &str = "deployment-1";

/// Whether a ReplicaSet is the Deployment's.
pub(crate) fn is_of_deployment(set: &Set) -> bool {
    set.owner.as_deref() == Some(DEPLOYMENT_UID)
}

/// The Rollout with the template of its Deployment, what that says, and the Deployment, as the caches show them.
pub(crate) fn resolved(
    cluster: &Cluster,
    known: &Known,
    memory: &RefCell<Option<WithWorkload>>,
) -> (Arc<Rollout>, Arc<Parsed>, Option<Arc<Workload>>) {
    if known.rollout.spec.workload_ref.is_none() {
        return (known.rollout.clone(), known.spec.clone(), None);
    }
    let found = cluster.workloads.cached(DEPLOYMENT).map(|held| held.object.clone());
    let rollout = workload::resolved(&known.rollout, found.as_deref());
    let remembered = memory.take().filter(|kept| kept.is_of(known, found.as_ref()));
    let kept = remembered.unwrap_or_else(|| WithWorkload {
        own: known.spec.clone(),
        workload: found.clone(),
        spec: Arc::new(workload::parsed(&known.rollout, found.as_deref(), None)),
    });
    let spec = kept.spec.clone();
    memory.replace(Some(kept));
    (rollout, spec, found)
}

/// A spec with the template of the Deployment, and what it was parsed from.
#[derive(Debug)]
pub(crate) struct WithWorkload {
    own: Arc<Parsed>,
    workload: Option<Arc<Workload>>,
    spec: Arc<Parsed>,
}

impl WithWorkload {
    fn is_of(&self, known: &Known, workload: Option<&Arc<Workload>>) -> bool {
        Arc::ptr_eq(&self.own, &known.spec)
            && self.workload.as_ref().map(Arc::as_ptr) == workload.map(Arc::as_ptr)
    }
}

impl Cluster {
    /// Makes the Deployment with so many pods, and its ReplicaSet without any yet.
    pub(crate) fn make_deployment(&mut self, replicas: i32, image: &str) {
        let template = shape::template(image);
        let object = json!({
            "metadata": { "name": DEPLOYMENT, "uid": DEPLOYMENT_UID, "generation": 1 },
            "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "shop" } }, "template": template },
        });
        self.put_workload(Workload::parse(WorkloadKind::Deployment, &object));
        let set = Set {
            name: DEPLOYMENT.to_owned(),
            uid: "set-of-deployment".to_owned(),
            generation: 1,
            created: time(self.now),
            owner: Some(DEPLOYMENT_UID.to_owned()),
            template: template.into(),
            ..Set::default()
        };
        self.put_set(set);
    }

    fn put_workload(&mut self, workload: Workload) -> u64 {
        let (name, uid) = (workload.name.clone(), workload.uid.clone());
        let held = self.held(Kind::Workload, &name, &uid, Arc::new(workload));
        let version = held.version;
        self.workloads.put(&name, held);
        version
    }

    /// Changes the Deployment; a changed one gets a new generation.
    pub(crate) fn edit_deployment(&mut self, edit: impl FnOnce(&mut Workload)) {
        let Some(known) = self.workloads.object(DEPLOYMENT) else { return };
        let mut next = known.clone();
        edit(&mut next);
        if next != *known {
            next.generation += 1;
            self.put_workload(next);
        }
    }

    /// Scales the Deployment, if it is the one and has the size that was read.
    pub(crate) fn scale_deployment(&mut self, uid: &str, from: i32, to: i32) -> Result<u64, Refusal> {
        let known = self.workloads.object(DEPLOYMENT).ok_or(Refusal::Missing)?;
        if known.uid != uid || known.replicas != from {
            return Err(Refusal::Conflict);
        }
        self.edit_deployment(|workload| workload.replicas = to);
        Ok(self.version())
    }

    /// What the Deployment controller does: its ReplicaSet gets its size.
    pub(crate) fn sync_deployment(&mut self) {
        let Some(replicas) = self.workloads.object(DEPLOYMENT).map(|workload| workload.replicas) else {
            return;
        };
        if let Some(set) = self.sets.object(DEPLOYMENT).filter(|set| set.replicas != replicas).cloned() {
            self.put_set(Set { replicas, generation: set.generation + 1, ..set });
        }
    }
}

impl Truth<'_> {
    /// The Deployment's pods go only as the Rollout's stand for them, and never come back by our doing.
    pub(crate) fn makes_room(&self, from: i32, to: i32) -> Option<String> {
        if to > from {
            return Some(format!("the Deployment is scaled up from {from} to {to}"));
        }
        let reference = self.world.rollout.spec.workload_ref.as_ref();
        let mode = reference.and_then(|reference| reference.scale_down.as_deref()).unwrap_or_default();
        let heard = self.cluster.sets.all_cached().map(|(_, held)| held.since).min().unwrap_or(0);
        let own = self.cluster.own_sets().map(|(_, held)| held.object.as_ref());
        let available: i32 =
            own.map(|set| self.pods.available(self.cluster, set.hash()).min(set.replicas)).sum();
        let lost = self.pods.lost_since(heard, None);
        let promised = self.replicas(true);
        let gradual = mode == "progressively" || mode == "onsuccess" && to == 0;
        (!gradual || available + lost + to < promised).then(|| {
            format!(
                "the Deployment goes from {from} to {to} in mode {mode:?} while {available} pods of the Rollout are \
                 available: {promised} are promised"
            )
        })
    }
}

/// What is wrong with the Deployment while nothing moves: once the first revision is Healthy its pods are not needed.
pub(crate) fn at_rest(simulation: &Simulation) -> Option<String> {
    let cluster = &simulation.cluster;
    let deployment = cluster.workloads.object(DEPLOYMENT)?;
    let rollout = &cluster.rollout()?.object.rollout;
    let mode = rollout.spec.workload_ref.as_ref()?.scale_down.clone().unwrap_or_default();
    let status = rollout.status.clone().unwrap_or_default();
    let first = cluster.own_sets().any(|(_, held)| {
        held.object.hash() == status.stable_rs
            && held.object.revision() == 1
            && held.object.status.available >= rollout.spec.replicas.unwrap_or(1)
    });
    let done =
        first && status.phase == Some(RolloutPhase::Healthy) && status.stable_rs == status.current_pod_hash;
    let asked = mode == "onsuccess" || mode == "progressively";
    (done && asked && deployment.replicas > 0)
        .then(|| format!("Healthy in mode {mode}, and the Deployment still has {} pods", deployment.replicas))
}
