//! Assembles the World of one Experiment from the stores: no request, no decision.
//!
//! Input: stores, a key, the time. Output: a World, and the versions of the objects in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::api::ApiResource;
use tidegate_engine::experiment::{ExperimentWorld, Taken};
use tidegate_engine::fence::Seen;
use tidegate_engine::plan::Reference;
use tidegate_engine::rollout::experiment_services_in_use;
use tidegate_engine::rollout::trouble::Troubles;

use crate::facts::Facts;
use crate::kinds;
use crate::observe::{controls, templates};
use crate::store::{Key, Store};
use crate::watch::{Stores, rollout_of};

/// A World, with the versions of the objects that it shows: the preconditions of writes.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) world: ExperimentWorld,
    pub(super) seen: BTreeMap<Reference, Seen>,
}

/// Builds the World of an Experiment; `None` when there is no such Experiment.
pub(super) fn observe(stores: &Stores, key: &Key, now: Timestamp) -> Option<Observed> {
    let experiment = stores.experiments.value(&key.namespace, &key.name)?;
    let uid = experiment.metadata.uid.clone();
    let mut seen = BTreeMap::new();
    let mut world = ExperimentWorld {
        now,
        experiment,
        sets: Vec::new(),
        services: Vec::new(),
        runs: Vec::new(),
        taken: Taken::default(),
        in_use: BTreeSet::new(),
        templates: BTreeMap::new(),
        troubles: BTreeMap::new(),
    };
    let ours = |owner: &Option<String>| owner.is_some() && *owner == uid;
    let mut take = Take { namespace: &key.namespace, seen: &mut seen };
    let (sets, services) = (&mut world.taken.sets, &mut world.taken.services);
    world.sets = take.own(&stores.sets, &kinds::replica_set(), |set| ours(&set.owner), sets);
    world.services = take.own(&stores.services, &kinds::service(), |one| ours(&one.owner), services);
    stores.runs.visit(&key.namespace, |name, run| {
        if controls(uid.as_deref(), &run.metadata) {
            world.runs.push(run.clone());
        } else {
            world.taken.runs.insert(name.to_owned());
        }
    });
    if !world.experiment.spec.analyses.is_empty() {
        world.templates = templates(stores, &key.namespace);
    }
    world.in_use = in_use(stores, key, &world, now);
    add_troubles(stores, key, &mut world);
    Some(Observed { world, seen })
}

/// Services that routes of the Rollout may still send requests to, for an Experiment that a Rollout made.
fn in_use(stores: &Stores, key: &Key, world: &ExperimentWorld, now: Timestamp) -> BTreeSet<String> {
    let rollout = rollout_of(&world.experiment);
    let has_services = world.experiment.spec.templates.iter().any(|template| template.service.is_some());
    let Some(rollout) = rollout.filter(|_| has_services) else { return BTreeSet::new() };
    let seen = crate::observe::observe(stores, &Key::new(&key.namespace, rollout), now);
    seen.map(|seen| experiment_services_in_use(&seen.world)).unwrap_or_default()
}

/// Takes objects out of stores, with their versions.
struct Take<'a> {
    namespace: &'a str,
    seen: &'a mut BTreeMap<Reference, Seen>,
}

impl Take<'_> {
    /// The objects of one kind that the Experiment controls; the names of the others go to `taken`.
    fn own<T: Facts + Clone>(
        &mut self,
        store: &Store<T>,
        kind: &ApiResource,
        ours: impl Fn(&T) -> bool,
        taken: &mut BTreeSet<String>,
    ) -> Vec<Arc<T>> {
        let mut names = Vec::new();
        store.visit(self.namespace, |name, one| {
            if ours(one) {
                names.push(name.to_owned());
            } else {
                taken.insert(name.to_owned());
            }
        });
        let take = |name: String| {
            // Content and version are taken together, so that they belong to each other.
            let kept = store.get(&Key::new(self.namespace, &name))?;
            self.seen.insert(kinds::reference(kind, name), kept.seen);
            // What is looked at in a round is not kept beyond it.
            Some(Arc::new(T::clone(&kept.value)))
        };
        names.into_iter().filter_map(take).collect()
    }
}

/// The worst trouble of the pods of each ReplicaSet.
fn add_troubles(stores: &Stores, key: &Key, world: &mut ExperimentWorld) {
    let mut troubles: BTreeMap<String, Troubles> = BTreeMap::new();
    for set in &world.sets {
        stores.pods.visit_found(&key.namespace, &set.name, |_, pod| {
            if let Some(trouble) = &pod.value.trouble {
                troubles.entry(set.name.clone()).or_default().note(&pod.value.pod.name, trouble);
            }
        });
    }
    world.troubles = troubles.into_iter().filter_map(|(set, all)| Some((set, all.text()?))).collect();
}
