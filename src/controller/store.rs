//! What the watches last showed of one kind of object, trimmed to what decisions need.
//!
//! Input: watch events, already turned into small facts. Output: facts by namespace and name, or by what they say they
//! are found by, with the version and uid that the fence compares. It must never know what the facts are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tidegate_engine::fence::Seen;
use tokio::sync::watch;

use crate::facts::Facts;

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
    by_namespace: BTreeMap<String, Namespace<T>>,
    /// Keys of the list that is being read, so that what it lacks can be dropped at its end.
    listing: BTreeSet<Key>,
}

/// The objects of one namespace.
#[derive(Debug)]
struct Namespace<T> {
    by_name: BTreeMap<String, Kept<T>>,
    /// Names of the objects that are found by one thing, so that a round need not look at everything there is.
    found_by: BTreeMap<String, BTreeSet<String>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        let inner = Inner { by_namespace: BTreeMap::new(), listing: BTreeSet::new() };
        Self { inner: RwLock::new(inner), listed: watch::Sender::new(false) }
    }
}

impl<T> Default for Namespace<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), found_by: BTreeMap::new() }
    }
}

impl<T: Facts> Store<T> {
    /// Takes in the newest facts of an object.
    pub(crate) fn apply(&self, key: Key, seen: Seen, value: T) -> Change<T> {
        let kept = Kept { seen, value: Arc::new(value) };
        let new = Some(Arc::clone(&kept.value));
        let mut inner = self.write();
        let old = inner.by_namespace.entry(key.namespace.clone()).or_default().insert(&key.name, kept);
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
        let known = inner.by_namespace.iter().flat_map(|(namespace, objects)| {
            objects.by_name.keys().map(|name| Key { namespace: namespace.clone(), name: name.clone() })
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
        self.read().by_namespace.get(&key.namespace)?.by_name.get(&key.name).cloned()
    }

    /// Returns the facts of one object.
    pub(crate) fn value(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        Some(Arc::clone(&self.read().by_namespace.get(namespace)?.by_name.get(name)?.value))
    }

    /// Returns the version and uid of one object.
    pub(crate) fn seen(&self, namespace: &str, name: &str) -> Option<Seen> {
        Some(self.read().by_namespace.get(namespace)?.by_name.get(name)?.seen.clone())
    }

    /// Visits every object of a namespace in the order of names.
    pub(crate) fn visit(&self, namespace: &str, mut visit: impl FnMut(&str, &Arc<T>)) {
        let inner = self.read();
        for (name, kept) in inner.by_namespace.get(namespace).into_iter().flat_map(|one| &one.by_name) {
            visit(name, &kept.value);
        }
    }

    /// Visits the objects of a namespace whose names begin so, in the order of names.
    pub(crate) fn visit_named(&self, namespace: &str, beginning: &str, mut visit: impl FnMut(&str, &Arc<T>)) {
        let inner = self.read();
        let Some(objects) = inner.by_namespace.get(namespace) else { return };
        let from = objects.by_name.range::<str, _>((Bound::Included(beginning), Bound::Unbounded));
        for (name, kept) in from.take_while(|(name, _)| name.starts_with(beginning)) {
            visit(name, &kept.value);
        }
    }

    /// Visits the objects of a namespace that are found by one thing, in the order of names.
    pub(crate) fn visit_found(&self, namespace: &str, by: &str, mut visit: impl FnMut(&str, &Kept<T>)) {
        let inner = self.read();
        let Some(objects) = inner.by_namespace.get(namespace) else { return };
        for name in objects.found_by.get(by).into_iter().flatten() {
            if let Some(kept) = objects.by_name.get(name) {
                visit(name, kept);
            }
        }
    }

    /// Visits every object of all namespaces.
    pub(crate) fn visit_all(&self, mut visit: impl FnMut(&str, &str, &Arc<T>)) {
        let inner = self.read();
        for (namespace, objects) in &inner.by_namespace {
            for (name, kept) in &objects.by_name {
                visit(namespace, name, &kept.value);
            }
        }
    }

    /// Returns every object with its key.
    pub(crate) fn all(&self) -> Vec<(Key, Arc<T>)> {
        let inner = self.read();
        let pairs = inner.by_namespace.iter().flat_map(|(namespace, objects)| {
            objects
                .by_name
                .iter()
                .map(move |(name, kept)| (Key::new(namespace, name), Arc::clone(&kept.value)))
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

impl<T: Facts> Inner<T> {
    fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        let objects = self.by_namespace.get_mut(&key.namespace)?;
        let old = objects.remove(&key.name);
        if objects.by_name.is_empty() {
            self.by_namespace.remove(&key.namespace);
        }
        old
    }
}

impl<T: Facts> Namespace<T> {
    fn insert(&mut self, name: &str, kept: Kept<T>) -> Option<Arc<T>> {
        let by = kept.value.found_by();
        let old = self.by_name.insert(name.to_owned(), kept).map(|kept| kept.value);
        let was = old.as_ref().map(|old| old.found_by()).unwrap_or_default();
        if by != was {
            self.lose(name, was);
            for one in by {
                self.found_by.entry(one).or_default().insert(name.to_owned());
            }
        }
        old
    }

    fn remove(&mut self, name: &str) -> Option<Arc<T>> {
        let old = self.by_name.remove(name)?.value;
        self.lose(name, old.found_by());
        Some(old)
    }

    /// Lets an object be found by these things no more.
    fn lose(&mut self, name: &str, by: BTreeSet<String>) {
        for one in by {
            let Some(names) = self.found_by.get_mut(&one) else { continue };
            names.remove(name);
            if names.is_empty() {
                self.found_by.remove(&one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Facts that are found by a number and by its last digit.
    #[derive(Debug, PartialEq)]
    struct Number(u32);

    impl Facts for Number {
        fn keep(_object: Value, _old: Option<&Self>) -> Result<Self, String> {
            Err("is not read from objects".to_owned())
        }

        fn differs(&self, old: &Self) -> bool {
            self != old
        }

        fn found_by(&self) -> BTreeSet<String> {
            [format!("is {}", self.0), format!("ends in {}", self.0 % 10)].into()
        }
    }

    fn seen(version: &str) -> Seen {
        Seen { version: version.to_owned(), uid: "u".to_owned() }
    }

    fn put(store: &Store<Number>, name: &str, number: u32) -> Change<Number> {
        store.apply(Key::new("shop", name), seen("1"), Number(number))
    }

    fn found(store: &Store<Number>, by: &str) -> Vec<String> {
        let mut names = Vec::new();
        store.visit_found("shop", by, |name, _| names.push(name.to_owned()));
        names
    }

    #[test]
    fn a_list_drops_what_it_does_not_hold() {
        let store = Store::default();
        put(&store, "old", 1);
        store.apply(Key::new("shop", "kept"), seen("2"), Number(2));
        assert!(!store.is_listed());
        store.list_begins();
        store.list_holds(&Key::new("shop", "kept"));
        let changes = store.list_ends();
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].key.name.as_str(), changes[0].old.as_deref()), ("old", Some(&Number(1))));
        assert!(store.is_listed());
        assert_eq!(store.value("shop", "old"), None);
        assert_eq!(store.seen("shop", "kept"), Some(seen("2")));
        assert_eq!((found(&store, "is 1").len(), found(&store, "is 2").len()), (0, 1));
    }

    #[test]
    fn a_change_tells_what_was_there_before() {
        let store = Store::default();
        assert!(put(&store, "a", 1).old.is_none());
        let change = put(&store, "a", 2);
        assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some(&Number(1)), Some(&Number(2))));
        let change = store.delete(Key::new("shop", "a"));
        assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some(&Number(2)), None));
        assert!(store.all().is_empty());
    }

    #[test]
    fn an_object_is_found_by_what_it_says_now() {
        let store = Store::default();
        put(&store, "b", 12);
        put(&store, "a", 2);
        store.apply(Key::new("other", "c"), seen("1"), Number(2));
        assert_eq!(found(&store, "ends in 2"), ["a", "b"], "of this namespace, in the order of names");
        put(&store, "a", 3);
        assert_eq!((found(&store, "ends in 2"), found(&store, "is 3")), (vec!["b".into()], vec!["a".into()]));
        assert!(found(&store, "is 2").is_empty());
        store.delete(Key::new("shop", "b"));
        assert!(found(&store, "ends in 2").is_empty());
        put(&store, "b", 2);
        assert_eq!(found(&store, "ends in 2"), ["b"], "one that came back");
    }

    #[test]
    fn names_are_visited_by_their_beginning() {
        let store = Store::default();
        for name in ["shop", "shop-1", "shop-2", "shops", "sho"] {
            put(&store, name, 1);
        }
        let mut names = Vec::new();
        store.visit_named("shop", "shop-", |name, _| names.push(name.to_owned()));
        assert_eq!(names, ["shop-1", "shop-2"]);
    }
}
