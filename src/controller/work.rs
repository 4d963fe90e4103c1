//! The queue of one loop: keys wait for their time, one at a time per key, so many at once in all.
//!
//! Input: keys from watches and the delay that each decision asks for. Output: calls of the loop's function.
//! kube's scheduler drops duplicates and holds delays. It must never know what the keys name.

mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::hash::{Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc::{self, UnboundedSender};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use kube::runtime::scheduler::{ScheduleRequest, scheduler};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::error;

use self::load::Load;

pub(crate) use self::load::Measures;

/// First delay after a failure; each further one in a row doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(1);
/// Longest delay after a failure: it bounds how long a cause that was removed goes unnoticed.
pub(crate) const BACKOFF_LONGEST: Duration = Duration::from_secs(10);

/// How long to give a cache that is behind our own write.
pub(crate) const STALE_PAUSE: Duration = Duration::from_millis(100);
/// How long news that come in bunches are gathered: that a pod is ready is told by the pod, by its ReplicaSet and by an
/// EndpointSlice, and one look at all three is enough.
const GATHER: Duration = Duration::from_millis(50);
/// A plan that asks for the past is looked at again after this, so that a mistake never spins.
pub(crate) const WAKE_SOONEST: Duration = Duration::from_millis(20);

/// When one key is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// After this time, or earlier when a watch says so.
    After(Duration),
    /// The attempt failed: after a delay that grows with failures in a row, and is at least this long.
    Failed { at_least: Duration },
    /// Only when a watch says so.
    Idle,
}

impl Next {
    /// At the time that a plan asks for, never so soon that a plan which asks for the past spins; after `latest` otherwise.
    pub(crate) fn at(wake: Option<Timestamp>, latest: Duration) -> Self {
        let until =
            wake.map(|wake| Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default());
        Self::After(until.map_or(latest, |until| until.clamp(WAKE_SOONEST, latest)))
    }
}

/// The way into one queue. While nobody works it off, keys are dropped: whoever starts looks at everything.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    sender: Mutex<Option<UnboundedSender<ScheduleRequest<Due<K>>>>>,
    load: Mutex<Load<K>>,
    errands: Errands,
}

/// What is done beside the loop.
type Errands = Mutex<JoinSet<()>>;

/// One thing that is done beside the loop. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Errand(AbortHandle);

impl Errand {
    /// Whether it was done, or ended.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The time in which a queue is worked off. Dropping it ends what is done beside the loop.
struct Shift<'a>(&'a Errands);

impl Drop for Shift<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { sender: Mutex::new(None), load: Mutex::default(), errands: Mutex::default() }
    }
}

/// A key in the scheduler, which knows keys apart by themselves alone and keeps what comes first.
#[derive(Clone, Debug)]
struct Due<K> {
    key: K,
    /// When it is to be looked at.
    at: Instant,
}

impl<K: Eq> Eq for Due<K> {}

impl<K: PartialEq> PartialEq for Due<K> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Hash> Hash for Due<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl<K: Clone + Display + Eq + Hash + Ord + Send + Unpin + 'static> Queue<K> {
    /// The load so far. Nothing waits, and nothing is under way, while nobody works the queue off.
    pub(crate) fn measures(&self) -> Measures {
        let is_worked_off = self.is_worked_off();
        let mut load = self.load();
        if !is_worked_off {
            load.clear();
        }
        load.measures()
    }

    fn load(&self) -> MutexGuard<'_, Load<K>> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a key to be looked at as soon as there is room.
    pub(crate) fn push(&self, key: K) {
        self.wait(&key);
        self.push_at(key, Instant::now());
    }

    /// Asks for a key to be looked at when more news of the kind will have come in, unless it is looked at earlier.
    pub(crate) fn push_soon(&self, key: K) {
        self.wait(&key);
        self.push_at(key, Instant::now() + GATHER);
    }

    /// Does something beside the loop, so that no key waits for it: until it is done, until it is dropped, or until nobody
    /// works the queue off any longer.
    pub(crate) fn beside(&self, errand: impl Future<Output = ()> + Send + 'static) -> Errand {
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        while errands.try_join_next().is_some() {}
        Errand(errands.spawn(errand))
    }

    fn is_worked_off(&self) -> bool {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// Notes that a key waits, unless nobody works the queue off, which drops it.
    fn wait(&self, key: &K) {
        if self.is_worked_off() {
            self.load().wait(key);
        }
    }

    fn push_at(&self, key: K, at: Instant) {
        if let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // A closed queue means that the loop just ended; the next one looks at everything.
            let _ = sender.unbounded_send(ScheduleRequest { message: Due { key, at }, run_at: at });
        }
    }

    /// Works the queue off until `stop`: starts with `first`, and keeps at most `limit` keys in progress.
    ///
    /// On `stop` nothing new is started, and what is in progress is finished. A panic counts as a failure of
    /// its key alone. Dropping the future ends everything at once. Errands end with it, either way.
    pub(crate) async fn work<F>(
        &self,
        first: Vec<K>,
        limit: usize,
        stop: impl Future<Output = ()>,
        attend: impl Fn(K) -> F,
        panicked: impl Fn(&K),
    ) where
        F: Future<Output = Next> + Send + 'static,
    {
        let _shift = Shift(&self.errands);
        let (sender, requests) = mpsc::unbounded();
        self.load().clear();
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        for key in first {
            self.push(key);
        }
        let mut due = pin!(scheduler(requests));
        let mut stop = pin!(stop);
        let mut busy: BTreeSet<K> = BTreeSet::new();
        let mut failures: BTreeMap<K, u32> = BTreeMap::new();
        let mut tasks: JoinSet<(K, Option<Next>)> = JoinSet::new();
        loop {
            let full = busy.len() >= limit;
            let mut free = due.as_mut().hold_unless(|due| !full && !busy.contains(&due.key));
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(Ok((key, next))) = tasks.join_next() => {
                    busy.remove(&key);
                    self.load().end(&key);
                    if next.is_none() {
                        error!(key = %key, "a decision panicked: this is a bug, please report it");
                        panicked(&key);
                    }
                    self.later(key, next.unwrap_or(Next::Failed { at_least: BACKOFF_LONGEST }), &mut failures);
                }
                Some(Due { key, at }) = free.next() => {
                    self.load().begin(&key, at);
                    busy.insert(key.clone());
                    let attempt = AssertUnwindSafe(attend(key.clone())).catch_unwind();
                    tasks.spawn(async move { (key, attempt.await.ok()) });
                }
            }
        }
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        while tasks.join_next().await.is_some() {}
    }

    fn later(&self, key: K, next: Next, failures: &mut BTreeMap<K, u32>) {
        let delay = match next {
            Next::After(delay) => {
                failures.remove(&key);
                delay
            }
            Next::Idle => {
                failures.remove(&key);
                return;
            }
            Next::Failed { at_least } => {
                self.load().fail();
                let in_a_row = failures.entry(key.clone()).or_default();
                *in_a_row += 1;
                backoff(*in_a_row).max(at_least)
            }
        };
        self.push_at(key, Instant::now() + delay);
    }
}

/// The delay after so many failures in a row: 1 ms, 2 ms, 4 ms up to 10 s.
fn backoff(in_a_row: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << in_a_row.saturating_sub(1).min(16)).min(BACKOFF_LONGEST)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{mpsc as channel, oneshot};

    use super::*;

    #[test]
    fn delays_double_up_to_ten_seconds() {
        assert_eq!(backoff(1), Duration::from_millis(1));
        assert_eq!(backoff(4), Duration::from_millis(8));
        assert_eq!(backoff(14), Duration::from_millis(8192));
        assert_eq!(backoff(15), BACKOFF_LONGEST);
        assert_eq!(backoff(u32::MAX), BACKOFF_LONGEST);
    }

    /// Keys that wait, keys that were added, and failures.
    fn counts<K: Clone + Display + Eq + Hash + Ord + Send + Unpin + 'static>(
        queue: &Queue<K>,
    ) -> (usize, u64, u64) {
        let load = queue.measures();
        (load.depth, load.adds, load.retries)
    }

    /// A key that is pushed while it is in progress runs once more afterwards, and never twice at once.
    #[tokio::test(start_paused = true)]
    async fn one_key_is_never_looked_at_twice_at_once() {
        let queue = Arc::new(Queue::<String>::default());
        let (calls, mut called) = channel::unbounded_channel();
        let running = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = Arc::clone(&queue);
        let loop_task = tokio::spawn(async move {
            let attend = move |_key: String| {
                let (running, calls) = (Arc::clone(&running), calls.clone());
                async move {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                    let (go, gone) = oneshot::channel::<()>();
                    let _ = calls.send(go);
                    let _ = gone.await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Next::Idle
                }
            };
            worker.work(vec!["a".to_owned()], 4, async { drop(stopped.await) }, attend, |_| {}).await;
        });
        let first = called.recv().await.unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        let load = queue.measures();
        assert_eq!((load.unfinished, load.longest), (3.0, 3.0));
        assert_eq!(counts(&queue), (0, 1, 0));
        queue.push("a".to_owned());
        queue.push("a".to_owned());
        assert_eq!(counts(&queue), (1, 2, 0));
        first.send(()).unwrap();
        let second = called.recv().await.unwrap();
        assert_eq!(counts(&queue).0, 0);
        second.send(()).unwrap();
        stop.send(()).unwrap();
        loop_task.await.unwrap();
        queue.push("a".to_owned());
        assert_eq!(counts(&queue), (0, 2, 0), "nobody works it off");
        assert!(called.try_recv().is_err(), "two pushes while in progress make one more look");
    }

    /// News that come in bunches make one look together, and whatever is urgent makes one at once.
    #[tokio::test(start_paused = true)]
    async fn news_are_gathered() {
        let queue = Queue::<&str>::default();
        let looks = Arc::new(Mutex::new(Vec::new()));
        let begun = Instant::now();
        let attend = |key: &'static str| {
            let looks = Arc::clone(&looks);
            async move {
                looks.lock().unwrap().push((key, begun.elapsed().as_millis()));
                Next::Idle
            }
        };
        let tell = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            for key in ["pod", "pod", "abort"] {
                queue.push_soon(key);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            queue.push_soon("pod");
            queue.push("abort");
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let work = queue.work(Vec::new(), 4, async { drop(stopped.await) }, attend, |_| {});
        tokio::join!(work, async {
            tell.await;
            stop.send(()).unwrap();
        });
        let looks = looks.lock().unwrap();
        // kube's scheduler counts in whole milliseconds.
        let at = |key: &str| looks.iter().filter(|(of, _)| *of == key).map(|(_, at)| *at).collect::<Vec<_>>();
        assert!(matches!(at("abort")[..], [20..=21]) && matches!(at("pod")[..], [60..=61]), "{looks:?}");
    }

    /// What is done beside the loop ends with the loop, with whoever wanted it, or by itself.
    #[tokio::test]
    async fn errands_end_with_the_shift() {
        let queue = Queue::<String>::default();
        let errand = || {
            let (sender, ended) = oneshot::channel::<()>();
            let errand = queue.beside(async move {
                std::future::pending::<()>().await;
                drop(sender);
            });
            (errand, ended)
        };
        let ((dropped, end_of_dropped), (kept, end_of_kept)) = (errand(), errand());
        drop(dropped);
        end_of_dropped.await.unwrap_err();
        let attend = |_: String| async { Next::Idle };
        let shift = queue.work(Vec::new(), 1, std::future::pending(), attend, |_| {});
        tokio::select! {
            biased;
            () = shift => {}
            () = std::future::ready(()) => assert!(!kept.is_over()),
        }
        end_of_kept.await.unwrap_err();
    }

    /// A panic in one key is counted, and neither stops the others nor the key's next attempt.
    #[tokio::test(start_paused = true)]
    async fn a_panic_concerns_its_key_alone() {
        let queue = Queue::<String>::default();
        let (done, finished) = oneshot::channel::<()>();
        let done = Arc::new(Mutex::new(Some(done)));
        let attempts = Arc::new(AtomicUsize::new(0));
        let panics = AtomicUsize::new(0);
        let attend = |_key: String| {
            let (attempts, done) = (Arc::clone(&attempts), Arc::clone(&done));
            async move {
                assert!(attempts.fetch_add(1, Ordering::SeqCst) > 0, "planted");
                if let Some(done) = done.lock().unwrap().take() {
                    let _ = done.send(());
                }
                Next::After(Duration::from_secs(900))
            }
        };
        let count = |_: &String| {
            panics.fetch_add(1, Ordering::SeqCst);
        };
        queue.work(vec!["a".to_owned()], 1, async { drop(finished.await) }, attend, count).await;
        assert_eq!((attempts.load(Ordering::SeqCst), panics.load(Ordering::SeqCst)), (2, 1));
        assert_eq!(counts(&queue), (0, 2, 1));
    }
}
