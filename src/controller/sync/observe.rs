//! What the cluster holds of one Application: live objects, neighbours, namespaces, and dry runs.
//!
//! Input: a world with what Git holds. Output: the facts that complete it. Whatever cannot be read is said, so
//! that nothing is concluded from its absence.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::stream;
use futures::{FutureExt, StreamExt};
use kube::api::{ListParams, Patch, PatchParams, ValidationDirective};
use serde_json::Value;
use tidegate_engine::sync::tracking::{Owner, owner};
use tidegate_engine::sync::{
    Cluster, FIELD_MANAGER, Key, NamespaceFact, Prediction, Scan, Targets, Wanted, World, last_known, scan,
    targets, wanted,
};

use super::live::Live;
use super::place::{Actors, Kind, Served, json};
use crate::failure::{Class, chain};

/// Requests under way at once for one Application.
const AT_ONCE: usize = 8;
/// How often an object is read again that moved while it was looked at.
const LOOKS: usize = 3;
/// Objects per page of a list.
const PAGE: u32 = 500;

/// What earlier rounds found, to be used again while nothing says that it changed.
#[derive(Debug, Default)]
pub(crate) struct Found {
    live: BTreeMap<Key, Value>,
    predicted: BTreeMap<Key, (u64, Prediction)>,
}

/// How much of what was found earlier is trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trust {
    /// What the watches say did not change since.
    Watched,
    /// Nothing.
    Nothing,
}

/// One look at a destination.
pub(crate) struct Look<'a> {
    pub(crate) actors: &'a Actors,
    pub(crate) served: &'a Served,
    pub(crate) live: &'a Live,
    pub(crate) trust: Trust,
    /// Whether every kind is looked through for objects of the Application.
    pub(crate) every_kind: bool,
}

/// Completes a world with what the cluster holds.
pub(crate) async fn observe(look: &Look<'_>, mut world: World, found: &mut Found) -> World {
    let kinds = look.served.facts();
    world.cluster = Some(Cluster { kinds, ..Cluster::default() });
    let targets = rendered_targets(&world);
    let known = match &targets {
        Some(targets) => targets.versions(),
        None => last_known(&world.application),
    };
    let scan = scan(&world, targets.as_ref().unwrap_or(&Targets::default()), look.every_kind);
    let mut unread = Vec::new();
    let application = world.application.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let mut keys = known;
    for (key, version) in look.marked(application, &scan, &mut unread).await {
        keys.entry(key).or_insert(version);
    }
    let live = look.objects(&keys, found, &mut unread).await;
    let neighbours = look.neighbours(&scan, &mut unread).await;
    let namespaces = look.namespaces(&scan).await;
    if let Some(cluster) = &mut world.cluster {
        cluster.live = live;
        cluster.neighbours = neighbours;
        cluster.namespaces = namespaces;
        cluster.unread = unread;
    }
    if let Some(targets) = targets {
        look.predict(&targets, &mut world, found).await;
    }
    world
}

/// The objects that were written between their reading and their dry run.
fn moved(cluster: &Cluster) -> BTreeSet<Key> {
    let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
    let is_moved = |(key, prediction): &(&Key, &Prediction)| match prediction {
        Prediction::Accepted(predicted) => {
            cluster.live.get(*key).is_some_and(|live| version(live) != version(predicted))
        }
        Prediction::Refused(_) | Prediction::Unanswered(_) => false,
    };
    cluster.predicted.iter().filter(is_moved).map(|(key, _)| key.clone()).collect()
}

/// What Git wants, if it could be rendered.
fn rendered_targets(world: &World) -> Option<Targets> {
    let fetched = world.source.as_ref()?.as_ref().ok()?;
    let render = fetched.render.as_ref().as_ref().ok()?;
    Some(targets(world, render))
}

impl Look<'_> {
    /// Finds the objects that carry the Application's mark.
    async fn marked(&self, application: &str, scan: &Scan, unread: &mut Vec<String>) -> Vec<(Key, String)> {
        let is_scanned =
            |kind: &&Kind| kind.manageable && scan.includes(&kind.resource.group, &kind.resource.kind);
        let mut lists = Vec::new();
        for kind in self.served.preferred().filter(is_scanned) {
            if !kind.namespaced {
                lists.push((kind, String::new()));
                continue;
            }
            lists.extend(scan.namespaces.iter().map(|namespace| (kind, namespace.clone())));
        }
        // Boxed, because a closure over two borrows is not general enough for a stream that must be `Send`.
        let asking = lists.into_iter().map(|(kind, namespace)| {
            async move {
                let listed = self.list_marked(application, kind, &namespace).await;
                (kind, namespace, listed)
            }
            .boxed()
        });
        let asking: Vec<_> = asking.collect();
        let results: Vec<_> = stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
        let mut marked = Vec::new();
        for (kind, namespace, listed) in results {
            let resource = &kind.resource;
            match listed {
                Ok(keys) => marked.extend(keys.into_iter().map(|key| (key, resource.version.clone()))),
                // A kind that may not even be listed cannot have been applied by the same account.
                Err(error) if !was_used(scan, kind) && is_out_of_bounds(&error) => {}
                Err(error) => {
                    unread.push(format!("{} in namespace {namespace}: {}", resource.plural, said(&error)));
                }
            }
        }
        marked
    }

    async fn list_marked(
        &self,
        application: &str,
        kind: &Kind,
        namespace: &str,
    ) -> Result<Vec<Key>, kube::Error> {
        if self.trust == Trust::Watched
            && let Some(keys) = self.live.marked(application, &kind.resource, namespace)
        {
            return Ok(keys);
        }
        let api = self.actors.metadata_api(kind, namespace);
        let mut keys = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = api.list(&page).await?;
            for item in &list.items {
                let mut object = serde_json::json!({ "metadata": item.metadata });
                object["apiVersion"] = Value::String(kind.resource.api_version.clone());
                object["kind"] = Value::String(kind.resource.kind.clone());
                if owner(&object) == Owner::Application(application) {
                    keys.push(Key::of(&object));
                }
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(keys),
            }
        }
    }

    /// Reads objects, except those that the watches say are as they were found.
    async fn objects(
        &self,
        keys: &BTreeMap<Key, String>,
        found: &mut Found,
        unread: &mut Vec<String>,
    ) -> BTreeMap<Key, Value> {
        let mut objects = BTreeMap::new();
        let mut asked = Vec::new();
        for (key, version) in keys {
            let held =
                found.live.get(key).filter(|held| self.trust == Trust::Watched && self.live.is_as(key, held));
            match (held, self.served.of(key, version)) {
                (Some(held), _) => {
                    objects.insert(key.clone(), held.clone());
                }
                (None, Some(kind)) => asked.push((key, kind)),
                // A kind that is not served has no objects.
                (None, None) => {}
            }
        }
        let asking =
            asked.into_iter().map(|(key, kind)| async move { (key, self.object(key, kind).await) }.boxed());
        let asking: Vec<_> = asking.collect();
        let results: Vec<_> = stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
        for (key, result) in results {
            match result {
                Ok(Some(object)) => {
                    objects.insert(key.clone(), object);
                }
                Ok(None) => {}
                Err(error) => unread.push(format!("{key}: {}", said(&error))),
            }
        }
        unread.sort();
        found.live.clone_from(&objects);
        objects
    }

    async fn object(&self, key: &Key, kind: &Kind) -> Result<Option<Value>, kube::Error> {
        let found = self.actors.api(kind, &key.namespace).get_opt(&key.name).await?;
        Ok(found.map(|object| json(&object, &kind.resource)))
    }

    /// Reads the Rollouts and autoscalers whose work must not be reverted.
    async fn neighbours(&self, scan: &Scan, unread: &mut Vec<String>) -> Vec<Value> {
        let kinds =
            [("argoproj.io", "Rollout", "v1alpha1"), ("autoscaling", "HorizontalPodAutoscaler", "v2")];
        let mut neighbours = Vec::new();
        for kind in kinds.iter().filter_map(|(group, kind, version)| self.served.kind(group, kind, version)) {
            for namespace in &scan.namespaces {
                match self.actors.api(kind, namespace).list(&ListParams::default()).await {
                    Ok(list) => {
                        neighbours.extend(list.items.iter().map(|object| json(object, &kind.resource)))
                    }
                    Err(error) => {
                        let plural = &kind.resource.plural;
                        unread.push(format!("{plural} in namespace {namespace}: {}", said(&error)));
                    }
                }
            }
        }
        neighbours
    }

    async fn namespaces(&self, scan: &Scan) -> BTreeMap<String, NamespaceFact> {
        let mut facts = BTreeMap::new();
        let Some(kind) = self.served.kind("", "Namespace", "v1") else { return facts };
        for name in &scan.namespaces {
            let fact = match self.actors.namespace_api(kind, name).get_opt(name).await {
                Ok(Some(namespace)) => NamespaceFact::There(json(&namespace, &kind.resource)),
                Ok(None) => NamespaceFact::Missing,
                Err(_) => NamespaceFact::Hidden,
            };
            facts.insert(name.clone(), fact);
        }
        facts
    }

    /// Asks what the objects would become, and reads those again that somebody wrote meanwhile: a canary whose weight moves
    /// differs from what was read of it only by the time.
    async fn predict(&self, targets: &Targets, world: &mut World, found: &mut Found) {
        let mut wanted = self::wanted(world, targets);
        for _ in 0..LOOKS {
            let predicted = self.predictions(wanted, world, found).await;
            let Some(cluster) = &mut world.cluster else { return };
            cluster.predicted.extend(predicted);
            let moved = moved(cluster);
            found.predicted.retain(|key, _| cluster.predicted.contains_key(key));
            if moved.is_empty() {
                return;
            }
            let versions = targets.versions();
            for key in &moved {
                let kind = versions.get(key).and_then(|version| self.served.of(key, version));
                let Some(kind) = kind else { continue };
                // One that cannot be read again stays as it was found, and the next round tells.
                if let Ok(Some(object)) = self.object(key, kind).await {
                    found.live.insert(key.clone(), object.clone());
                    cluster.live.insert(key.clone(), object);
                }
            }
            wanted = self::wanted(world, targets);
            wanted.retain(|wanted| moved.contains(&wanted.key));
        }
    }

    /// Asks the server what each wanted object would become. An answer holds as long as both the wanted and
    /// the live object are what it was asked about.
    async fn predictions(
        &self,
        wanted: Vec<Wanted>,
        world: &World,
        found: &mut Found,
    ) -> BTreeMap<Key, Prediction> {
        let mut predicted = BTreeMap::new();
        let mut asked = Vec::new();
        for wanted in wanted.into_iter().filter(|wanted| wanted.can_dry_run) {
            let live = world.cluster.as_ref().and_then(|cluster| cluster.live.get(&wanted.key));
            let print = fingerprint(&wanted.object, live);
            let held = found.predicted.get(&wanted.key);
            match held.filter(|(of, _)| self.trust == Trust::Watched && *of == print) {
                Some(held) => {
                    predicted.insert(wanted.key, held.clone());
                }
                None => asked.push((wanted, print)),
            }
        }
        let asked = asked.into_iter().map(|(wanted, print)| async move {
            let prediction = self.dry_run(&wanted).await;
            (wanted.key, (print, prediction))
        });
        let results = a_few_at_once(asked.collect()).await;
        predicted.extend(results);
        found.predicted.extend(predicted.clone());
        predicted.into_iter().map(|(key, (_, prediction))| (key, prediction)).collect()
    }

    async fn dry_run(&self, wanted: &Wanted) -> Prediction {
        let Some(kind) = self.served.of(&wanted.key, &wanted.version) else {
            return Prediction::Unanswered("its kind is not served any more".to_owned());
        };
        let params = PatchParams { dry_run: true, ..applying() };
        let api = self.actors.api(kind, &wanted.key.namespace);
        match api.patch(&wanted.key.name, &params, &Patch::Apply(&wanted.object)).await {
            Ok(object) => Prediction::Accepted(json(&object, &kind.resource)),
            Err(error) => match Class::of(&error) {
                Class::Denied | Class::Gone | Class::Conflict | Class::Bug => {
                    Prediction::Refused(said(&error))
                }
                Class::Throttled(_) | Class::Unreachable => Prediction::Unanswered(said(&error)),
            },
        }
    }
}

/// Waits for all, with a few under way at once.
async fn a_few_at_once<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    stream::iter(futures).buffer_unordered(AT_ONCE).collect().await
}

/// How objects are applied: by force, because Git is what they should be; strictly, because a field that the
/// server would drop is a mistake in the manifest.
pub(crate) fn applying() -> PatchParams {
    PatchParams {
        dry_run: false,
        force: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    }
}

fn was_used(scan: &Scan, kind: &Kind) -> bool {
    scan.kinds.contains(&(kind.resource.group.clone(), kind.resource.kind.clone()))
}

fn is_out_of_bounds(error: &kube::Error) -> bool {
    matches!(Class::of(error), Class::Denied | Class::Gone | Class::Bug)
}

/// What the server said, without the wrapping of the client.
pub(crate) fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error
        && !status.message.is_empty()
    {
        return status.message.clone();
    }
    chain(error)
}

/// A number for what a dry run is asked about: the wanted object, and the live one without what changes all
/// the time.
fn fingerprint(wanted: &Value, live: Option<&Value>) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.to_string().hash(&mut hasher);
    if let Some(live) = live {
        let mut live = live.clone();
        if let Some(map) = live.as_object_mut() {
            map.remove("status");
        }
        if let Some(metadata) = live.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        live.to_string().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_alone_asks_for_no_new_dry_run() {
        let wanted = json!({ "spec": 1 });
        let live = json!({ "metadata": { "name": "a", "resourceVersion": "1" }, "spec": 1, "status": 1 });
        let later = json!({ "metadata": { "name": "a", "resourceVersion": "2" }, "spec": 1, "status": 2 });
        let other = json!({ "metadata": { "name": "a", "resourceVersion": "2" }, "spec": 2, "status": 2 });
        assert_eq!(fingerprint(&wanted, Some(&live)), fingerprint(&wanted, Some(&later)));
        assert_ne!(fingerprint(&wanted, Some(&live)), fingerprint(&wanted, Some(&other)));
        assert_ne!(fingerprint(&wanted, Some(&live)), fingerprint(&wanted, None));
    }
}
