//! Objects of one kind as the API server has them, and as a cache that lags behind shows them.
//!
//! Input: changes in the order of their versions. Output: the live objects and the cached ones. A cache never
//! shows changes out of order, but it may show them late, each kind by itself.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// One stored object, the version that last changed it, and when that was.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) version: u64,
    /// Milliseconds of virtual time.
    pub(crate) since: i64,
    pub(crate) uid: String,
    pub(crate) object: Arc<T>,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self { version: self.version, since: self.since, uid: self.uid.clone(), object: self.object.clone() }
    }
}

/// All objects of one kind, live and cached.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    live: BTreeMap<String, Held<T>>,
    cached: BTreeMap<String, Held<T>>,
    coming: VecDeque<(u64, String, Option<Held<T>>)>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { live: BTreeMap::new(), cached: BTreeMap::new(), coming: VecDeque::new() }
    }
}

impl<T> Shelf<T> {
    /// Stores an object under the next version.
    pub(crate) fn put(&mut self, name: &str, held: Held<T>) {
        self.coming.push_back((held.version, name.to_owned(), Some(held.clone())));
        self.live.insert(name.to_owned(), held);
    }

    /// Removes an object; whether it was there.
    pub(crate) fn remove(&mut self, name: &str, version: u64) -> bool {
        let existed = self.live.remove(name).is_some();
        if existed {
            self.coming.push_back((version, name.to_owned(), None));
        }
        existed
    }

    /// Lets the cache see all changes up to a version; whether it moved.
    pub(crate) fn catch_up(&mut self, version: u64) -> bool {
        let mut moved = false;
        while self.coming.front().is_some_and(|(change, _, _)| *change <= version) {
            let Some((_, name, held)) = self.coming.pop_front() else { break };
            moved = true;
            match held {
                Some(held) => self.cached.insert(name, held),
                None => self.cached.remove(&name),
            };
        }
        moved
    }

    /// Whether the cache has everything up to a version.
    pub(crate) fn has_seen(&self, version: u64) -> bool {
        self.coming.front().is_none_or(|(change, _, _)| *change > version)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Held<T>> {
        self.live.get(name)
    }

    pub(crate) fn object(&self, name: &str) -> Option<&T> {
        self.live.get(name).map(|held| held.object.as_ref())
    }

    pub(crate) fn cached(&self, name: &str) -> Option<&Held<T>> {
        self.cached.get(name)
    }

    /// From a name on, in the order of names.
    pub(crate) fn from(&self, name: &str) -> impl Iterator<Item = (&String, &Held<T>)> {
        self.live.range::<str, _>((Bound::Included(name), Bound::Unbounded))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Held<T>)> {
        self.live.iter()
    }

    pub(crate) fn all_cached(&self) -> impl Iterator<Item = (&String, &Held<T>)> {
        self.cached.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(version: u64) -> Held<u64> {
        Held { version, since: 0, uid: String::new(), object: Arc::new(version) }
    }

    #[test]
    fn a_cache_shows_changes_late_but_in_order() {
        let mut shelf = Shelf::default();
        shelf.put("a", held(1));
        shelf.put("a", held(2));
        shelf.remove("a", 3);
        assert!(shelf.get("a").is_none() && shelf.cached("a").is_none());
        assert!(shelf.catch_up(1));
        assert_eq!(shelf.cached("a").map(|held| held.version), Some(1));
        shelf.catch_up(2);
        assert_eq!(shelf.cached("a").map(|held| *held.object), Some(2));
        shelf.catch_up(9);
        assert!(shelf.cached("a").is_none());
        assert!(!shelf.catch_up(9));
    }
}
