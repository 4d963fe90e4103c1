//! What the watches last showed of one kind of object, trimmed to what decisions need.
//!
//! Input: watch events, already turned into small facts. Output: facts by namespace and name, with the
//! version and uid that the fence compares. It must never know what the facts are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tidegate_engine::fence::Seen;
use tokio::sync::watch;

/// Names one object of a known kind; the namespace is empty for cluster-wide kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// Builds a key from its two parts.
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One object as it was last seen.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) seen: Seen,
    pub(crate) value: Arc<T>,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { seen: self.seen.clone(), value: Arc::clone(&self.value) }
    }
}

/// What an event changed: the facts before and after it.
#[derive(Debug)]
pub(crate) struct Change<T> {
    pub(crate) key: Key,
    pub(crate) old: Option<Arc<T>>,
    pub(crate) new: Option<Arc<T>>,
}

/// All objects of one kind.
#[derive(Debug)]
pub(crate) struct Store<T> {
    inner: RwLock<Inner<T>>,
    listed: watch::Sender<bool>,
}

#[derive(Debug)]
struct Inner<T> {
    by_namespace: BTreeMap<String, BTreeMap<String, Kept<T>>>,
    /// Keys of the list that is being read, so that what it lacks can be dropped at its end.
    listing: BTreeSet<Key>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        let inner = Inner { by_namespace: BTreeMap::new(), listing: BTreeSet::new() };
        Self { inner: RwLock::new(inner), listed: watch::Sender::new(false) }
    }
}

impl<T> Store<T> {
    /// Takes in the newest facts of an object.
    pub(crate) fn apply(&self, key: Key, seen: Seen, value: T) -> Change<T> {
        let kept = Kept { seen, value: Arc::new(value) };
        let new = Some(Arc::clone(&kept.value));
        let mut inner = self.write();
        let names = inner.by_namespace.entry(key.namespace.clone()).or_default();
        let old = names.insert(key.name.clone(), kept).map(|kept| kept.value);
        Change { key, old, new }
    }

    /// Forgets an object that was deleted.
    pub(crate) fn delete(&self, key: Key) -> Change<T> {
        let old = self.write().remove(&key);
        Change { key, old, new: None }
    }

    /// Notes that a list begins, which will show every object that exists.
    pub(crate) fn list_begins(&self) {
        self.write().listing.clear();
    }

    /// Notes that the list holds this object.
    pub(crate) fn list_holds(&self, key: &Key) {
        self.write().listing.insert(key.clone());
    }

    /// Ends a list: what it did not show is gone.
    pub(crate) fn list_ends(&self) -> Vec<Change<T>> {
        let mut inner = self.write();
        let listing = std::mem::take(&mut inner.listing);
        let known = inner.by_namespace.iter().flat_map(|(namespace, names)| {
            names.keys().map(|name| Key { namespace: namespace.clone(), name: name.clone() })
        });
        let gone: Vec<Key> = known.filter(|key| !listing.contains(key)).collect();
        let changes = gone.into_iter().map(|key| {
            let old = inner.remove(&key);
            Change { key, old, new: None }
        });
        let changes = changes.collect();
        self.listed.send_replace(true);
        changes
    }

    /// Whether a first list is complete.
    pub(crate) fn is_listed(&self) -> bool {
        *self.listed.borrow()
    }

    /// Returns once a first list is complete.
    pub(crate) async fn wait_listed(&self) {
        // The sender lives as long as the store, so waiting cannot fail.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// Returns one object.
    pub(crate) fn get(&self, key: &Key) -> Option<Kept<T>> {
        self.read().by_namespace.get(&key.namespace)?.get(&key.name).cloned()
    }

    /// Returns the facts of one object.
    pub(crate) fn value(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        Some(Arc::clone(&self.read().by_namespace.get(namespace)?.get(name)?.value))
    }

    /// Returns the version and uid of one object.
    pub(crate) fn seen(&self, namespace: &str, name: &str) -> Option<Seen> {
        Some(self.read().by_namespace.get(namespace)?.get(name)?.seen.clone())
    }

    /// Visits every object of a namespace in the order of names.
    pub(crate) fn visit(&self, namespace: &str, mut visit: impl FnMut(&str, &Arc<T>)) {
        let inner = self.read();
        for (name, kept) in inner.by_namespace.get(namespace).into_iter().flatten() {
            visit(name, &kept.value);
        }
    }

    /// Visits every object of all namespaces.
    pub(crate) fn visit_all(&self, mut visit: impl FnMut(&str, &str, &Arc<T>)) {
        let inner = self.read();
        for (namespace, names) in &inner.by_namespace {
            for (name, kept) in names {
                visit(namespace, name, &kept.value);
            }
        }
    }

    /// Returns every object with its key.
    pub(crate) fn all(&self) -> Vec<(Key, Arc<T>)> {
        let inner = self.read();
        let pairs = inner.by_namespace.iter().flat_map(|(namespace, names)| {
            names.iter().map(move |(name, kept)| (Key::new(namespace, name), Arc::clone(&kept.value)))
        });
        pairs.collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner<T>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inner<T> {
    fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        let names = self.by_namespace.get_mut(&key.namespace)?;
        let old = names.remove(&key.name).map(|kept| kept.value);
        if names.is_empty() {
            self.by_namespace.remove(&key.namespace);
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(version: &str) -> Seen {
        Seen { version: version.to_owned(), uid: "u".to_owned() }
    }

    #[test]
    fn a_list_drops_what_it_does_not_hold() {
        let store = Store::default();
        store.apply(Key::new("shop", "old"), seen("1"), 1);
        store.apply(Key::new("shop", "kept"), seen("2"), 2);
        assert!(!store.is_listed());
        store.list_begins();
        store.list_holds(&Key::new("shop", "kept"));
        let changes = store.list_ends();
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].key.name.as_str(), changes[0].old.as_deref()), ("old", Some(&1)));
        assert!(store.is_listed());
        assert_eq!(store.value("shop", "old"), None);
        assert_eq!(store.seen("shop", "kept"), Some(seen("2")));
    }

    #[test]
    fn a_change_tells_what_was_there_before() {
        let store = Store::default();
        assert!(store.apply(Key::new("shop", "a"), seen("1"), 1).old.is_none());
        let change = store.apply(Key::new("shop", "a"), seen("2"), 2);
        assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some(&1), Some(&2)));
        let change = store.delete(Key::new("shop", "a"));
        assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some(&2), None));
        assert!(store.all().is_empty());
    }
}
