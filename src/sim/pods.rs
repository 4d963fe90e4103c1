//! A model of the ReplicaSet controller and of pods: they start late, crash, flap, and die when told to.
//!
//! Input: ReplicaSets. Output: their status, and when to look again. Pods that are not ready are deleted first,
//! then those that became ready last, as Kubernetes does.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_engine::lint::repatched;
use tidegate_engine::plan::PodPatch;
use tidegate_engine::rollout::world::{self, Set, SetStatus, Texts};

use crate::cluster::{Cluster, time};
use crate::random::Random;
use crate::shape::{BAD_IMAGES, Temper};

/// One pod; times in milliseconds, `None` for what never happens.
#[derive(Clone, Debug)]
struct Pod {
    number: u64,
    name: String,
    created: i64,
    ready_from: Option<i64>,
    ready: bool,
    labels: Texts,
    annotations: Texts,
}

/// All pods, by ReplicaSet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods {
    sets: BTreeMap<String, Vec<Pod>>,
    born: u64,
    /// When readiness was lost without our doing: time and revision.
    losses: Vec<(i64, String)>,
}

impl Pods {
    /// Brings the pods of a ReplicaSet to its size and its status up to date; the times to look again.
    pub(crate) fn sync(
        &mut self,
        cluster: &mut Cluster,
        name: &str,
        temper: &Temper,
        random: &mut Random,
    ) -> Vec<i64> {
        let Some(set) = cluster.sets.get(name).map(|held| Arc::clone(&held.object)) else {
            self.sets.remove(name);
            publish(cluster, name, &[]);
            return Vec::new();
        };
        let now = cluster.now;
        let wanted = usize::try_from(set.replicas).unwrap_or(0);
        let pods = self.sets.entry(name.to_owned()).or_default();
        for pod in pods.iter_mut() {
            pod.ready = pod.ready_from.is_some_and(|from| from <= now);
        }
        pods.sort_by_key(|pod| (!pod.ready, pod.ready_from, pod.number));
        pods.truncate(wanted);
        let crashes = pods.len() < wanted && BAD_IMAGES.contains(&image(&set));
        while pods.len() < wanted {
            self.born += 1;
            let start = now + 1 + random.between(temper.pod_start.0, temper.pod_start.1);
            let ready_from = (!crashes).then_some(start);
            let (labels, annotations) = (texts(&set, "labels"), texts(&set, "annotations"));
            let (number, name) = (self.born, format!("{name}-{}", self.born));
            let pod = Pod { number, name, created: now, ready_from, ready: false, labels, annotations };
            pods.push(pod);
        }
        let available_after = i64::from(set.min_ready_seconds) * 1000;
        let available = pods
            .iter()
            .filter(|pod| pod.ready && pod.ready_from.is_some_and(|from| from + available_after <= now));
        let status = SetStatus {
            observed_generation: set.generation,
            replicas: count(pods.len()),
            ready: count(pods.iter().filter(|pod| pod.ready).count()),
            available: count(available.count()),
            failure: None,
        };
        let next = pods
            .iter()
            .filter_map(|pod| pod.ready_from)
            .flat_map(|from| [from, from + available_after])
            .filter(|time| *time > now);
        let next = next.min().into_iter().collect();
        publish(cluster, name, pods);
        if status != set.status {
            cluster.put_set(Set { status, ..(*set).clone() });
        }
        next
    }

    /// Takes a pod away that was told to go; its ReplicaSet replaces it when it notices.
    pub(crate) fn evict(&mut self, pod: &str) {
        for pods in self.sets.values_mut() {
            pods.retain(|known| known.name != pod);
        }
    }

    /// Changes the metadata of a pod.
    pub(crate) fn mark(&mut self, patch: &PodPatch) {
        for (set, pods) in &mut self.sets {
            for pod in pods.iter_mut().filter(|pod| pod.name == patch.name) {
                let mut object = pod.object(set);
                repatched(&mut object, patch);
                (pod.labels, pod.annotations) = (object.labels, object.annotations);
            }
        }
    }

    /// Takes the readiness of some pods: they come back later, or are replaced at once when killed.
    pub(crate) fn fail(
        &mut self,
        cluster: &Cluster,
        name: &str,
        how_many: u64,
        temper: &Temper,
        random: &mut Random,
    ) {
        let Some(set) = cluster.sets.object(name) else { return };
        let Some(pods) = self.sets.get_mut(name) else { return };
        let many = usize::try_from(how_many).unwrap_or(0);
        for pod in pods.iter_mut().filter(|pod| pod.ready).take(many) {
            pod.ready = false;
            pod.ready_from = Some(cluster.now + 1 + random.between(500, temper.pod_start.1.max(501) * 3));
            self.losses.push((cluster.now, set.hash().to_owned()));
        }
    }

    /// Ready pods of a revision.
    pub(crate) fn ready(&self, cluster: &Cluster, hash: &str) -> i32 {
        self.of(cluster, hash, |pod, _| pod.ready)
    }

    /// Pods of a revision that are ready and already were at a time.
    pub(crate) fn ready_since(&self, cluster: &Cluster, hash: &str, time: i64) -> i32 {
        self.of(cluster, hash, |pod, _| pod.ready && pod.ready_from.is_some_and(|from| from <= time))
    }

    /// Pods of a revision that are available and already were at a time: ready for its minReadySeconds.
    pub(crate) fn available_since(&self, cluster: &Cluster, hash: &str, time: i64) -> i32 {
        self.of(cluster, hash, |pod, set| {
            let wait = i64::from(set.min_ready_seconds) * 1000;
            pod.ready && pod.ready_from.is_some_and(|from| from + wait <= time)
        })
    }

    /// Available pods of a revision.
    pub(crate) fn available(&self, cluster: &Cluster, hash: &str) -> i32 {
        self.available_since(cluster, hash, cluster.now)
    }

    fn of(&self, cluster: &Cluster, hash: &str, counts: impl Fn(&Pod, &Set) -> bool) -> i32 {
        let sets = cluster.sets.all().filter(|(_, held)| held.object.hash() == hash);
        let pods = sets.filter_map(|(name, held)| Some((self.sets.get(name)?, held.object.as_ref())));
        count(pods.map(|(pods, set)| pods.iter().filter(|pod| counts(pod, set)).count()).sum())
    }

    /// Pods of a revision, or of any, that lost their readiness since a time without our doing.
    pub(crate) fn lost_since(&self, time: i64, hash: Option<&str>) -> i32 {
        let lost = self.losses.iter().rev().take_while(|(when, _)| *when >= time);
        count(lost.filter(|(_, whose)| hash.is_none_or(|hash| whose == hash)).count())
    }
}

impl Pod {
    /// The object, with whole seconds where Kubernetes has them.
    fn object(&self, set: &str) -> world::Pod {
        world::Pod {
            uid: self.name.clone(),
            name: self.name.clone(),
            set: set.to_owned(),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            created: self.created(),
            ready_since: self.ready_since(),
            leaving: false,
        }
    }

    /// Whether an object of the same name and ReplicaSet is what `object` would make.
    fn is_shown_by(&self, object: &world::Pod) -> bool {
        !object.leaving
            && object.ready_since == self.ready_since()
            && object.created == self.created()
            && object.uid == self.name
            && object.labels == self.labels
            && object.annotations == self.annotations
    }

    fn created(&self) -> Timestamp {
        time(self.created - self.created % 1000)
    }

    fn ready_since(&self) -> Option<Timestamp> {
        self.ready_from.filter(|_| self.ready).map(time)
    }
}

/// Brings the objects of a ReplicaSet's pods in line with its pods, in the order of their names.
fn publish(cluster: &mut Cluster, set: &str, pods: &[Pod]) {
    let mut pods: Vec<&Pod> = pods.iter().collect();
    pods.sort_unstable_by_key(|pod| &pod.name);
    let known = cluster.pods.from(set).take_while(|(name, _)| name.starts_with(set));
    let known = known.filter(|(_, held)| held.object.set == set);
    let is_gone = |name: &&String| pods.binary_search_by_key(name, |pod| &pod.name).is_err();
    let gone: Vec<String> = known.map(|(name, _)| name).filter(is_gone).cloned().collect();
    for name in gone {
        cluster.remove_pod(&name);
    }
    for pod in pods {
        if !cluster.pods.object(&pod.name).is_some_and(|known| known.set == set && pod.is_shown_by(known)) {
            cluster.put_pod(pod.object(set));
        }
    }
}

/// The image of a ReplicaSet's pods, which is how users call a version.
pub(crate) fn image(set: &Set) -> &str {
    set.template["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

/// Labels or annotations of a ReplicaSet's pod template.
fn texts(set: &Set, map: &str) -> Texts {
    let texts = set.template["metadata"][map].as_object().into_iter().flatten();
    texts.filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned()))).collect()
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
