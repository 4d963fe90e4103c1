//! Applications and AppProjects as they were last seen.
//!
//! Kept as JSON, so that one that cannot be read as its type never keeps the others from being seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tracing::warn;

use crate::watch::config;

/// Both kinds.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) applications: Objects,
    pub(crate) projects: Objects,
}

/// Objects of one kind and namespace, by name.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    by_name: Mutex<BTreeMap<String, Arc<Value>>>,
    listed: watch::Sender<bool>,
}

/// An object before and after an event.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) old: Option<Arc<Value>>,
    pub(crate) new: Option<Arc<Value>>,
}

impl Change {
    /// Whether what a person writes has changed, and not what controllers do.
    pub(crate) fn is_of_spec(&self) -> bool {
        let part = |object: &Option<Arc<Value>>, pointer: &str| {
            object.as_ref().and_then(|object| object.pointer(pointer)).cloned()
        };
        self.new.is_some()
            && ["/spec", "/metadata/annotations"].iter().any(|p| part(&self.old, p) != part(&self.new, p))
            && self.old.is_some()
    }
}

impl Shelf {
    /// Returns once both kinds have been read in full.
    pub(crate) async fn wait_listed(&self) {
        self.applications.wait_listed().await;
        self.projects.wait_listed().await;
    }

    /// The Applications that name a project.
    pub(crate) fn of_project(&self, project: &str) -> Vec<String> {
        let named = |application: &Value| {
            let name = application.pointer("/spec/project").and_then(Value::as_str).unwrap_or_default();
            name == project || (name.is_empty() && project == "default")
        };
        let applications = self.applications.lock();
        applications
            .iter()
            .filter(|(_, application)| named(application))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl Objects {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Value>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.lock().get(name).cloned()
    }

    /// Takes in an object, or its end; tells what changed.
    pub(crate) fn put(&self, name: &str, new: Option<Value>) -> Change {
        let new = new.map(Arc::new);
        let mut objects = self.lock();
        let old = match &new {
            Some(new) => objects.insert(name.to_owned(), Arc::clone(new)),
            None => objects.remove(name),
        };
        Change { old, new }
    }

    /// Whether the objects have been read in full since the watch began.
    pub(crate) fn is_listed(&self) -> bool {
        *self.listed.borrow()
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Returns once the objects have been read in full.
    async fn wait_listed(&self) {
        // The sender lives as long as this does.
        drop(self.listed.subscribe().wait_for(|listed| *listed).await);
    }

    /// Follows a watch for ever; calls `changed` for each event.
    pub(crate) async fn follow(&self, api: Api<DynamicObject>, changed: impl Fn(&str, Change)) {
        self.listed.send_replace(false);
        let mut events = std::pin::pin!(watcher(api, config()).default_backoff());
        let mut listing = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listing.clear(),
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    let name = object.metadata.name.clone().unwrap_or_default();
                    listing.insert(name.clone());
                    let value = serde_json::to_value(&object).unwrap_or_default();
                    changed(&name, self.put(&name, Some(value)));
                }
                Ok(Event::Delete(object)) => {
                    let name = object.metadata.name.unwrap_or_default();
                    changed(&name, self.put(&name, None));
                }
                Ok(Event::InitDone) => {
                    let gone: Vec<String> =
                        self.lock().keys().filter(|name| !listing.contains(*name)).cloned().collect();
                    for name in gone {
                        changed(&name, self.put(&name, None));
                    }
                    self.listed.send_replace(true);
                }
                Err(error) => warn!(%error, "watch of Applications or AppProjects failed"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_people_write_is_news() {
        let objects = Objects::default();
        let first = json!({ "spec": 1, "status": 1, "metadata": { "resourceVersion": "1" } });
        assert!(!objects.put("a", Some(first)).is_of_spec(), "a restart is no change");
        let status = json!({ "spec": 1, "status": 2, "metadata": { "resourceVersion": "2" } });
        assert!(!objects.put("a", Some(status)).is_of_spec());
        let spec = json!({ "spec": 2, "status": 2, "metadata": { "resourceVersion": "3" } });
        assert!(objects.put("a", Some(spec)).is_of_spec());
        assert!(!objects.put("a", None).is_of_spec());
    }

    #[test]
    fn an_application_without_a_project_is_the_defaults() {
        let shelf = Shelf::default();
        shelf.applications.put("a", Some(json!({ "spec": { "project": "team" } })));
        shelf.applications.put("b", Some(json!({ "spec": { "project": "" } })));
        assert_eq!(shelf.of_project("team"), ["a"]);
        assert_eq!(shelf.of_project("default"), ["b"]);
    }
}
