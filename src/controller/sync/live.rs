//! Follows the objects of Applications by their metadata, and says which Application to look at again.
//!
//! Input: which kinds and namespaces Applications use. Output: prompts, and what is known to be unchanged. Only
//! names, versions and marks are kept. A watch that fails costs promptness, never correctness: polls read anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher as watch};
use serde_json::Value;
use tidegate_engine::sync::Key;
use tidegate_engine::sync::tracking::{Owner, owner};
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use super::place::Actors;
use crate::watch::config;

/// Watches that may be open at once. Beyond that, changes are seen by polling.
const WATCHES_MAX: usize = 400;

/// One kind in one namespace (empty: in the cluster).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
}

/// What the watches show.
#[derive(Clone, Default)]
pub(crate) struct Live {
    inner: Arc<Mutex<Inner>>,
}

type Prompt = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct Inner {
    watches: BTreeMap<Place, Watch>,
    /// What each Application uses and wants to hear of.
    wants: BTreeMap<String, Wants>,
}

#[derive(Default)]
struct Wants {
    places: BTreeSet<Place>,
    /// The objects, and the version each was found in.
    keys: BTreeMap<Key, Option<String>>,
}

struct Watch {
    task: AbortHandle,
    /// Whether the first list was complete.
    is_listed: bool,
    seen: BTreeMap<Key, Seen>,
    /// Keys of the list that is being read.
    listing: BTreeSet<Key>,
}

/// One object that carries a mark, or that an Application wants to hear of.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    resource_version: String,
    /// The Application whose mark it carries.
    application: Option<String>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows what one Application uses, and stops following what nobody uses.
    pub(crate) fn follow(
        &self,
        application: &str,
        actors: &Actors,
        places: Vec<(ApiResource, String)>,
        found: &BTreeMap<Key, Option<String>>,
        prompt: &Prompt,
    ) {
        let mut inner = self.lock();
        let wants = inner.wants.entry(application.to_owned()).or_default();
        wants.keys.clone_from(found);
        wants.places = places.iter().map(|(resource, namespace)| place(resource, namespace)).collect();
        inner.stop_unused();
        for (resource, namespace) in places {
            let place = place(&resource, &namespace);
            if inner.watches.contains_key(&place) {
                continue;
            }
            if inner.watches.len() >= WATCHES_MAX {
                warn!(
                    application,
                    kind = resource.kind,
                    namespace,
                    "too many watches, so this kind is polled"
                );
                continue;
            }
            let client = actors.of(&namespace).clone();
            let task = tokio::spawn(self.clone().run(client, resource, place.clone(), Arc::clone(prompt)));
            let (seen, listing) = (BTreeMap::new(), BTreeSet::new());
            inner.watches.insert(place, Watch { task: task.abort_handle(), is_listed: false, seen, listing });
        }
    }

    /// Follows nothing for an Application any more.
    pub(crate) fn forget(&self, application: &str) {
        let mut inner = self.lock();
        inner.wants.remove(application);
        inner.stop_unused();
    }

    /// Follows nothing at all any more.
    pub(crate) fn clear(&self) {
        *self.lock() = Inner::default();
    }

    /// Whether an object is known to be as it was found.
    pub(crate) fn is_as(&self, key: &Key, found: &Value) -> bool {
        let place =
            Place { group: key.group.clone(), kind: key.kind.clone(), namespace: key.namespace.clone() };
        let inner = self.lock();
        let Some(watch) = inner.watches.get(&place).filter(|watch| watch.is_listed) else { return false };
        let version = found.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        watch.seen.get(key).is_some_and(|seen| Some(seen.resource_version.as_str()) == version)
    }

    /// The objects of a kind that carry an Application's mark; nothing when that is not known for sure.
    pub(crate) fn marked(
        &self,
        application: &str,
        resource: &ApiResource,
        namespace: &str,
    ) -> Option<Vec<Key>> {
        let inner = self.lock();
        let watch = inner.watches.get(&place(resource, namespace)).filter(|watch| watch.is_listed)?;
        let marked = watch.seen.iter().filter(|(_, seen)| seen.application.as_deref() == Some(application));
        Some(marked.map(|(key, _)| key.clone()).collect())
    }

    async fn run(self, client: Client, resource: ApiResource, place: Place, prompt: Prompt) {
        let api: Api<PartialObjectMeta<DynamicObject>> = if place.namespace.is_empty() {
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, &place.namespace, &resource)
        };
        let mut events = std::pin::pin!(watch(api, config()).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let prompted = self.lock().take(&place, &resource, event);
                    for application in prompted {
                        prompt(&application);
                    }
                }
                Err(error) => {
                    // The watch starts over; until its list is complete again, nothing is known for sure.
                    debug!(kind = resource.kind, namespace = place.namespace, %error, "watch failed");
                    if let Some(watch) = self.lock().watches.get_mut(&place) {
                        watch.is_listed = false;
                    }
                }
            }
        }
    }
}

fn place(resource: &ApiResource, namespace: &str) -> Place {
    Place { group: resource.group.clone(), kind: resource.kind.clone(), namespace: namespace.to_owned() }
}

impl Inner {
    fn stop_unused(&mut self) {
        let used: BTreeSet<&Place> = self.wants.values().flat_map(|wants| &wants.places).collect();
        self.watches.retain(|place, _| used.contains(place));
    }

    /// Takes in one event; names the Applications that should be looked at.
    fn take(
        &mut self,
        place: &Place,
        resource: &ApiResource,
        event: Event<PartialObjectMeta<DynamicObject>>,
    ) -> BTreeSet<String> {
        let Some(watch) = self.watches.get_mut(place) else { return BTreeSet::new() };
        let mut changed: Vec<(Key, Option<Seen>, Option<Seen>)> = Vec::new();
        match event {
            Event::Init => watch.listing.clear(),
            Event::InitDone => {
                watch.is_listed = true;
                let gone: Vec<Key> =
                    watch.seen.keys().filter(|key| !watch.listing.contains(key)).cloned().collect();
                for key in gone {
                    let old = watch.seen.remove(&key);
                    changed.push((key, old, None));
                }
                watch.listing.clear();
            }
            Event::Delete(object) => {
                let (key, _) = read(&object, resource);
                let old = watch.seen.remove(&key);
                changed.push((key, old, None));
            }
            Event::Apply(object) | Event::InitApply(object) => {
                let (key, seen) = read(&object, resource);
                watch.listing.insert(key.clone());
                let is_wanted = self.wants.values().any(|wants| wants.keys.contains_key(&key));
                let old = if seen.application.is_some() || is_wanted {
                    watch.seen.insert(key.clone(), seen.clone())
                } else {
                    watch.seen.remove(&key)
                };
                changed.push((key, old, Some(seen)));
            }
        }
        let concerned = changed.into_iter().flat_map(|(key, old, new)| self.concerned(&key, old, new));
        concerned.collect()
    }

    /// The Applications that a change concerns and that do not know of it already.
    fn concerned(&self, key: &Key, old: Option<Seen>, new: Option<Seen>) -> BTreeSet<String> {
        if old == new {
            return BTreeSet::new();
        }
        let version = new.as_ref().map(|seen| seen.resource_version.clone());
        let marks = [old, new].into_iter().flatten().filter_map(|seen| seen.application);
        let wanting =
            self.wants.iter().filter(|(_, wants)| wants.keys.contains_key(key)).map(|(name, _)| name.clone());
        let knows = |name: &String| {
            self.wants
                .get(name)
                .is_none_or(|wants| wants.keys.get(key).is_some_and(|found| *found == version))
        };
        marks.chain(wanting).filter(|name| !knows(name)).collect()
    }
}

fn read(object: &PartialObjectMeta<DynamicObject>, resource: &ApiResource) -> (Key, Seen) {
    let mut value = serde_json::json!({ "apiVersion": resource.api_version, "kind": resource.kind });
    value["metadata"] = serde_json::to_value(&object.metadata).unwrap_or_default();
    let application = match owner(&value) {
        Owner::Application(name) => Some(name.to_owned()),
        Owner::Nobody | Owner::Copied => None,
    };
    let resource_version = object.metadata.resource_version.clone().unwrap_or_default();
    (Key::of(&value), Seen { resource_version, application })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_maps() -> ApiResource {
        ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&())
    }

    fn object(name: &str, version: &str, marked: bool) -> PartialObjectMeta<DynamicObject> {
        let id = if marked { format!("shop:/ConfigMap:shop/{name}") } else { String::new() };
        serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": name,
                "namespace": "shop",
                "resourceVersion": version,
                "annotations": { "argocd.argoproj.io/tracking-id": id },
            },
        }))
        .unwrap()
    }

    /// A watch of ConfigMaps for the Application `shop`, which has found `a` in version 1.
    fn inner() -> (Inner, Place) {
        let place = place(&config_maps(), "shop");
        let mut inner = Inner::default();
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        let watch = Watch { task, is_listed: false, seen: BTreeMap::new(), listing: BTreeSet::new() };
        inner.watches.insert(place.clone(), watch);
        let key =
            Key { kind: "ConfigMap".into(), namespace: "shop".into(), name: "a".into(), ..Key::default() };
        let keys = [(key, Some("1".to_owned()))].into();
        inner.wants.insert("shop".into(), Wants { places: [place.clone()].into(), keys });
        (inner, place)
    }

    #[tokio::test]
    async fn only_what_is_news_prompts() {
        let (mut inner, place) = inner();
        let mut take = |event| !inner.take(&place, &config_maps(), event).is_empty();
        assert!(!take(Event::Init));
        assert!(!take(Event::InitApply(object("a", "1", true))), "found in this version already");
        assert!(!take(Event::InitApply(object("stranger", "1", false))));
        assert!(!take(Event::InitDone));
        assert!(take(Event::Apply(object("a", "2", true))));
        assert!(!take(Event::Apply(object("a", "2", true))), "said already");
        assert!(!take(Event::Apply(object("stranger", "2", false))));
        assert!(take(Event::Apply(object("b", "1", true))), "somebody made one with our mark");
        assert!(take(Event::Apply(object("a", "3", false))), "somebody took the mark away");
        assert!(take(Event::Delete(object("a", "3", false))));
    }

    #[tokio::test]
    async fn what_is_gone_after_a_restart_of_the_watch_prompts() {
        let (mut inner, place) = inner();
        let mut take = |event| inner.take(&place, &config_maps(), event);
        take(Event::Init);
        take(Event::InitApply(object("a", "1", true)));
        take(Event::InitDone);
        take(Event::Init);
        assert_eq!(take(Event::InitDone), ["shop".to_owned()].into());
    }

    #[tokio::test]
    async fn nothing_is_known_before_the_first_list_ends() {
        let live = Live::default();
        let (inner, place) = inner();
        *live.lock() = inner;
        let found = serde_json::json!({ "metadata": { "resourceVersion": "1" } });
        let key =
            Key { kind: "ConfigMap".into(), namespace: "shop".into(), name: "a".into(), ..Key::default() };
        let _ = live.lock().take(&place, &config_maps(), Event::InitApply(object("a", "1", true)));
        assert!(!live.is_as(&key, &found));
        assert_eq!(live.marked("shop", &config_maps(), "shop"), None);
        let _ = live.lock().take(&place, &config_maps(), Event::InitDone);
        assert!(live.is_as(&key, &found));
        assert_eq!(live.marked("shop", &config_maps(), "shop"), Some(vec![key]));
    }
}
