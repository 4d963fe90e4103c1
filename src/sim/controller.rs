//! The controller's shell in small: fence, observe, plan, and apply until something fails.
//!
//! Input: the caches. Output: writes to the API server, and when to look again. Every plan is judged before its first
//! write and every write again on the true state.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::analysis::AnalysisTemplateSpec;
use tidegate_engine::analysis::Template;
use tidegate_engine::fence::{Fence, Verdict};
use tidegate_engine::plan::{Because, Plan, Reference, Write};
use tidegate_engine::rollout::world::{Experiments, Pod, Set, TemplateKey, World};

use crate::cluster::{Cluster, ROLLOUT_UID, is_of_rollout, time};
use crate::experiments::{Desk, controls, parted};
use crate::pods::image;
use crate::shape::{BAD_IMAGES, ROLLOUT, TEMPLATE};
use crate::workloads::{self, WithWorkload};

/// How plans are spoilt on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A weight counts as gone before it is.
    BelievesInWeight,
    /// All writes in the opposite order.
    Backwards,
    /// Every ReplicaSet gets one pod less than it needs.
    OnePodShort,
    /// Endpoints count as ready that are not.
    BelievesInEndpoints,
    /// Nobody is woken when a pause or a delay ends.
    ForgetsToWake,
    /// No plan says what it waits for.
    SaysNothing,
    /// The planner panics at the second revision.
    Panics,
}

/// The controller's memory between two rounds.
#[derive(Debug, Default)]
pub(crate) struct Controller {
    pub(crate) fence: Fence,
    /// When the next round is due, in milliseconds.
    pub(crate) due: Option<i64>,
    pub(crate) templates: BTreeMap<TemplateKey, Arc<Template>>,
    /// What it remembers of each Experiment.
    pub(crate) desks: BTreeMap<String, Desk>,
    /// Whether aborted content is held.
    holds: bool,
    /// What it has parsed of the Rollout with its Deployment, as long as neither changes.
    with_workload: RefCell<Option<WithWorkload>>,
}

impl Controller {
    pub(crate) fn new(template: AnalysisTemplateSpec, holds: bool) -> Self {
        let key = TemplateKey { cluster: false, name: TEMPLATE.to_owned() };
        Self { templates: BTreeMap::from([(key, Arc::new(template.into()))]), holds, ..Self::default() }
    }

    /// Whether the caches have all of our own writes; asks the API server where they cannot tell.
    pub(crate) fn caches_are_fresh(&mut self, cluster: &Cluster) -> bool {
        is_fresh(&mut self.fence, cluster)
    }

    /// Builds the World from the caches; `None` while the Rollout is not in them.
    pub(crate) fn observe(&self, cluster: &Cluster) -> Option<(World, u64)> {
        let held = cluster.rollouts.cached(ROLLOUT)?;
        let routes =
            cluster.routes.all_cached().map(|(name, held)| (route(name, &held.object), held.object.clone()));
        let sets = cluster.sets.all_cached().map(|(_, held)| held.object.clone());
        let sets: Vec<_> = sets.filter(|set| is_of_rollout(set)).collect();
        let troubles = sets.iter().filter_map(|set| Some((set.hash().to_owned(), trouble(set)?))).collect();
        let of_sets = |pod: &Arc<Pod>| sets.iter().any(|set| set.name == pod.set);
        let pods = cluster.pods.all_cached().map(|(_, held)| held.object.clone()).filter(of_sets).collect();
        let (runs, foreign_runs) = parted(&cluster.runs, |run| controls(ROLLOUT_UID, &run.metadata));
        let (own, foreign) = parted(&cluster.experiments, |one| controls(ROLLOUT_UID, &one.metadata));
        let (rollout, spec, workload) = workloads::resolved(cluster, &held.object, &self.with_workload);
        let world = World {
            now: time(cluster.now),
            rollout,
            spec,
            services: cluster
                .services
                .all_cached()
                .map(|(name, held)| (name.clone(), held.object.clone()))
                .collect(),
            endpoints: cluster
                .endpoints
                .all_cached()
                .map(|(name, held)| (name.clone(), (*held.object).clone()))
                .collect(),
            routes: routes.collect(),
            unread: Default::default(),
            runs,
            foreign_runs,
            experiments: Experiments { own, foreign },
            templates: self.templates.clone(),
            troubles,
            digests: Default::default(),
            holds: self.holds,
            workload,
            pods,
            sets,
        };
        Some((world, held.version))
    }

    /// Notes a write that was answered.
    pub(crate) fn wrote(&mut self, write: &Write, version: u64, now: Timestamp) {
        if let Write::DeleteSet { uid, .. } = write {
            self.fence.deleted(object(write), uid, now);
        } else if let Write::DeleteRun { .. } | Write::DeleteExperiment { .. } | Write::RestartPod { .. } =
            write
        {
            self.fence.doubted(object(write));
        } else {
            self.fence.wrote(object(write), &version.to_string(), now);
        }
    }

    /// Notes a write whose answer was lost.
    pub(crate) fn doubt(&mut self, write: &Write) {
        self.fence.doubted(object(write));
    }
}

/// Whether the caches have all writes that a fence knows of.
pub(crate) fn is_fresh(fence: &mut Fence, cluster: &Cluster) -> bool {
    let now = time(cluster.now);
    for _ in 0..100 {
        match fence.check(now, |object| cluster.shown(object)) {
            Verdict::Fresh => return true,
            Verdict::Stale { .. } => return false,
            Verdict::Ask { object } => {
                let found = cluster.asked(&object);
                fence.answered(&object, found.as_ref(), now);
            }
        }
    }
    false
}

/// What is wrong with the pods of a ReplicaSet whose image does not start.
pub(crate) fn trouble(set: &Set) -> Option<String> {
    let crashes = set.replicas > 0 && BAD_IMAGES.contains(&image(set));
    crashes.then(|| "CrashLoopBackOff: back-off 10s".to_owned())
}

fn route(name: &str, object: &Value) -> Reference {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    reference(text("apiVersion"), text("kind"), name)
}

fn reference(api_version: &str, kind: &str, name: &str) -> Reference {
    Reference::new(api_version, kind, name)
}

/// The object that a write changes.
fn object(write: &Write) -> Reference {
    match write {
        Write::DefaultReplicas { .. } | Write::AnnotateRollout { .. } | Write::Status(_) => {
            reference("argoproj.io/v1alpha1", "Rollout", ROLLOUT)
        }
        Write::CreateSet(set) => reference("apps/v1", "ReplicaSet", &set.name),
        Write::PatchSet(patch) => reference("apps/v1", "ReplicaSet", &patch.name),
        Write::AdoptSet { name, .. } | Write::ReleaseSet { name, .. } | Write::DeleteSet { name, .. } => {
            reference("apps/v1", "ReplicaSet", name)
        }
        Write::PointService { service, .. } => reference("v1", "Service", service),
        Write::Route(route) => route.reference.clone(),
        Write::ScaleWorkload { name, .. } => reference("apps/v1", "Deployment", name),
        Write::RestartPod { name, .. } => reference("v1", "Pod", name),
        Write::PatchPod(patch) => reference("v1", "Pod", &patch.name),
        Write::CreateRun(run) => {
            reference("argoproj.io/v1alpha1", "AnalysisRun", run.metadata.name.as_deref().unwrap_or_default())
        }
        Write::StopRun { name } | Write::DeleteRun { name } => {
            reference("argoproj.io/v1alpha1", "AnalysisRun", name)
        }
        Write::CreateExperiment(experiment) => {
            let name = experiment.metadata.name.as_deref().unwrap_or_default();
            reference("argoproj.io/v1alpha1", "Experiment", name)
        }
        Write::StopExperiment { name } | Write::DeleteExperiment { name } => {
            reference("argoproj.io/v1alpha1", "Experiment", name)
        }
    }
}

/// Pods that a spoiled planner believes in.
const BELIEVED: i32 = 1_000;

/// Spoils what the planner sees: a bug that only this planner has.
pub(crate) fn blind(world: &mut World, how: Sabotage) {
    match how {
        Sabotage::BelievesInEndpoints => {
            for set in &mut world.sets {
                for endpoints in world.endpoints.values_mut() {
                    endpoints.ready.insert(set.hash().to_owned(), BELIEVED);
                }
                Arc::make_mut(set).status.ready = BELIEVED;
            }
        }
        Sabotage::BelievesInWeight => {
            let weights = [
                "/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight",
                "/spec/rules/0/backendRefs/1/weight",
                "/spec/rules/2/backendRefs/0/weight",
            ];
            for route in world.routes.values_mut() {
                let route = Arc::make_mut(route);
                for weight in weights {
                    if let Some(weight) = route.pointer_mut(weight) {
                        *weight = if weight.is_string() { "0".into() } else { 0.into() };
                    }
                }
            }
        }
        Sabotage::Panics => assert!(world.sets.len() < 2, "planted"),
        Sabotage::Backwards | Sabotage::OnePodShort | Sabotage::ForgetsToWake | Sabotage::SaysNothing => {}
    }
}

/// Spoils a plan.
pub(crate) fn shuffle(plan: &mut Plan, how: Sabotage) {
    match how {
        Sabotage::Backwards => plan.writes.reverse(),
        Sabotage::OnePodShort => {
            for planned in &mut plan.writes {
                if let Write::PatchSet(patch) = &mut planned.write
                    && let Some((_, to)) = &mut patch.replicas
                {
                    *to = (*to - 1).max(0);
                }
            }
        }
        Sabotage::ForgetsToWake => plan.wake = None,
        Sabotage::SaysNothing => plan.because = Because::Settled,
        Sabotage::BelievesInEndpoints | Sabotage::BelievesInWeight | Sabotage::Panics => {}
    }
}
