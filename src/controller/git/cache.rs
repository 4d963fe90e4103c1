//! Room for the stores: how much disk each takes, and which of them go when it gets narrow.
//!
//! Stores are copies, so any that nobody reads just now may go; the one that was used longest ago goes first. It must
//! never take away one that is in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

/// What a file takes of a disk at least.
const BLOCK_BYTES: u64 = 4096;

/// All stores below one directory.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    stores: Mutex<Stores>,
}

#[derive(Debug, Default)]
struct Stores {
    /// How often a store was used so far.
    uses: u64,
    by_path: BTreeMap<PathBuf, Store>,
}

#[derive(Debug, Default)]
struct Store {
    /// One look at a time. Whoever looks holds a copy, so an only one says that nobody does.
    lock: Arc<AsyncMutex<()>>,
    /// The number of its last use.
    used: u64,
    bytes: u64,
}

impl Cache {
    /// Takes over what an earlier run of the controller left in the directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        let left = entries.map(|entry| entry.path()).map(|path| {
            let bytes = taken(&path);
            (path, Store { bytes, ..Store::default() })
        });
        let stores = Stores { uses: 0, by_path: left.collect() };
        Self { directory, stores: Mutex::new(stores) }
    }

    /// The store of this name, with the lock that is held while it is used, and how much all may take.
    pub(super) fn room(self: &Arc<Self>, name: &str, most_bytes: u64) -> (Room, Arc<AsyncMutex<()>>) {
        let store = self.directory.join(name);
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.uses += 1;
        let used = stores.uses;
        let entry = stores.by_path.entry(store.clone()).or_default();
        entry.used = used;
        (Room { cache: Arc::clone(self), store, most_bytes }, Arc::clone(&entry.lock))
    }
}

/// The room of a store that is in use.
#[derive(Clone, Debug)]
pub(super) struct Room {
    cache: Arc<Cache>,
    store: PathBuf,
    most_bytes: u64,
}

impl Room {
    /// The store's directory.
    pub(super) fn store(&self) -> &Path {
        &self.store
    }

    /// Looks how much the store takes by now, and removes others until all have room.
    ///
    /// # Errors
    /// Says that there is too little, for whoever reads the Application's status.
    pub(super) fn make(&self) -> Result<(), String> {
        let bytes = taken(&self.store);
        let mut stores = self.cache.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.by_path.entry(self.store.clone()).or_default().bytes = bytes;
        while stores.by_path.values().map(|store| store.bytes).sum::<u64>() > self.most_bytes {
            let idle = stores
                .by_path
                .iter()
                .filter(|(path, store)| **path != self.store && Arc::strong_count(&store.lock) == 1);
            let oldest = idle.min_by_key(|(_, store)| store.used).map(|(path, _)| path.clone());
            let Some(oldest) = oldest.filter(|path| remove(path)) else {
                return Err(format!(
                    "what is in use takes more than the {} bytes that all repositories may: raise --git-cache-size, \
                     which is sync.cacheSize of the chart",
                    self.most_bytes
                ));
            };
            stores.by_path.remove(&oldest);
        }
        Ok(())
    }
}

fn remove(store: &Path) -> bool {
    match std::fs::remove_dir_all(store) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(store = %store.display(), %error, "a store cannot be removed");
            false
        }
        Ok(()) | Err(_) => {
            tracing::debug!(store = %store.display(), "a store is removed to make room");
            true
        }
    }
}

/// What a directory takes of the disk, in bytes. Files that come and go meanwhile count or not.
fn taken(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let below = if metadata.is_dir() { taken(&entry.path()) } else { 0 };
        Some(metadata.len().next_multiple_of(BLOCK_BYTES).saturating_add(below))
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;

    fn fill(room: &Room, bytes: usize) {
        std::fs::create_dir_all(room.store().join("objects/pack")).unwrap();
        std::fs::write(room.store().join("objects/pack/one.pack"), vec![0; bytes]).unwrap();
    }

    fn names(scratch: &Scratch) -> Vec<String> {
        let entries = std::fs::read_dir(&scratch.0).unwrap().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_used_longest_ago_makes_room_and_what_is_in_use_stays() {
        const MOST: u64 = 100_000;
        let scratch = Scratch::new("room");
        let cache = Arc::new(Cache::new(scratch.0.clone()));
        for name in ["a", "b", "c"] {
            let (room, _lock) = cache.room(name, MOST);
            fill(&room, 20_000);
            assert_eq!(room.make(), Ok(()), "{name}");
        }
        // Used again, so that the next one is older; and one that somebody reads just now.
        drop(cache.room("a", MOST));
        let (_, held) = cache.room("b", MOST);
        let (big, _lock) = cache.room("big", MOST);
        fill(&big, 30_000);
        assert_eq!(big.make(), Ok(()));
        assert_eq!(names(&scratch), ["a", "b", "big"]);
        fill(&big, 60_000);
        assert_eq!(big.make(), Ok(()));
        assert_eq!(names(&scratch), ["b", "big"]);
        fill(&big, 90_000);
        assert!(big.make().unwrap_err().contains("sync.cacheSize"));
        assert_eq!(names(&scratch), ["b", "big"]);
        drop(held);
        assert_eq!(big.make(), Ok(()));
        assert_eq!(names(&scratch), ["big"]);
        assert_eq!(cache.stores.lock().unwrap().by_path.len(), 1);
    }

    #[test]
    fn what_an_earlier_run_left_goes_first() {
        let scratch = Scratch::new("left");
        let before = Arc::new(Cache::new(scratch.0.clone()));
        fill(&before.room("deleted", u64::MAX).0, 50_000);
        let after = Arc::new(Cache::new(scratch.0.clone()));
        let (room, _lock) = after.room("new", 70_000);
        fill(&room, 30_000);
        assert_eq!(room.make(), Ok(()));
        assert_eq!(names(&scratch), ["new"]);
    }
}
