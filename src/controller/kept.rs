//! What is fetched once for many, such as tokens: each behind a lock of its own, and not too many of them.
//!
//! Whoever wants what is being fetched waits for it; whoever wants something else does not. A failure is kept for a moment,
//! so that many who want the same do not wait one after the other for a server that gives no answer; and that of a busy
//! server for as long as it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;

/// Things that are kept at a time.
const MOST: usize = 256;
/// How long a failure is kept: no longer than the least time after which a metric asks again.
const FAILURE_SECONDS: u64 = 5;
/// A server that asks for more is asked again after this.
const LONGEST_SECONDS: u64 = 600;

/// Why there is nothing.
pub(crate) trait Why: Clone + From<String> {
    /// Seconds for which a busy server asks to be left alone.
    fn asked_seconds(&self) -> Option<u64> {
        None
    }

    /// The same, with so many of these seconds left.
    #[must_use]
    fn with_seconds_left(self, _left: u64) -> Self {
        self
    }
}

impl Why for String {}

/// A thing or why there is none, and how long that holds; none while it is first fetched.
type Slot<V, E> = Arc<Mutex<Option<(Result<V, E>, Timestamp)>>>;

/// Things by what they are for; `E` says why there is none.
pub(crate) struct Kept<K, V, E = String> {
    slots: Mutex<BTreeMap<K, Slot<V, E>>>,
}

impl<K, V, E> Default for Kept<K, V, E> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<K: Ord + Clone, V: Clone, E: Why> Kept<K, V, E> {
    /// What is kept, or else what is fetched now and how long that holds.
    ///
    /// # Errors
    /// Fails as the fetching does, or when too many things are fetched at the same time.
    pub(crate) async fn get(
        &self,
        key: K,
        fetch: impl Future<Output = Result<(V, Timestamp), E>>,
    ) -> Result<V, E> {
        let full = || "too many credentials are fetched at the same time".to_owned();
        let slot = self.slot(key).await.ok_or_else(full)?;
        let mut held = slot.lock().await;
        let now = Timestamp::now();
        if let Some((found, until)) = &*held
            && now < *until
        {
            return found.clone().map_err(|why| why.with_seconds_left(seconds_until(*until, now)));
        }
        let (found, until) = match fetch.await {
            Ok((found, until)) => (Ok(found), until),
            Err(why) => {
                let seconds = why.asked_seconds().unwrap_or_default().clamp(FAILURE_SECONDS, LONGEST_SECONDS);
                let now = Timestamp::now();
                (Err(why), now.checked_add(Duration::from_secs(seconds)).unwrap_or(now))
            }
        };
        *held = Some((found.clone(), until));
        found
    }

    /// The place of a thing. Where there is no room, one that nobody waits for goes.
    async fn slot(&self, key: K) -> Option<Slot<V, E>> {
        let mut slots = self.slots.lock().await;
        if let Some(slot) = slots.get(&key) {
            return Some(Arc::clone(slot));
        }
        slots.retain(|_, slot| is_waited_for(slot) || holds(slot));
        if slots.len() >= MOST {
            let idle = slots.iter().find(|(_, slot)| !is_waited_for(slot)).map(|(key, _)| key.clone())?;
            slots.remove(&idle);
        }
        Some(Arc::clone(slots.entry(key).or_default()))
    }
}

/// Whole seconds, the last one that has begun among them.
fn seconds_until(until: Timestamp, now: Timestamp) -> u64 {
    let milliseconds = until.as_millisecond().saturating_sub(now.as_millisecond());
    u64::try_from(milliseconds).unwrap_or_default().div_ceil(1000)
}

/// Places are taken under the lock of all, so nobody begins to wait meanwhile.
fn is_waited_for<V, E>(slot: &Slot<V, E>) -> bool {
    Arc::strong_count(slot) > 1
}

fn holds<V, E>(slot: &Slot<V, E>) -> bool {
    let held = slot.try_lock();
    held.is_ok_and(|held| held.as_ref().is_some_and(|(_, until)| Timestamp::now() < *until))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn later() -> Timestamp {
        "2999-01-01T00:00:00Z".parse().unwrap()
    }

    fn fetched(value: usize) -> impl Future<Output = Result<(usize, Timestamp), String>> {
        ready(Ok((value, later())))
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_comes_keeps_nobody_from_others() {
        let kept = Arc::new(Kept::default());
        let slow = Arc::clone(&kept);
        tokio::spawn(async move { slow.get("slow", pending()).await });
        tokio::task::yield_now().await;
        let other = tokio::time::timeout(Duration::from_secs(1), kept.get("other", fetched(1))).await;
        assert_eq!(other, Ok(Ok(1)));
        let same = tokio::time::timeout(Duration::from_secs(1), kept.get("slow", fetched(2))).await;
        assert!(same.is_err(), "what is being fetched is waited for");
    }

    #[tokio::test]
    async fn what_holds_is_not_fetched_again() {
        let kept = Kept::default();
        assert_eq!(kept.get("a", fetched(1)).await, Ok(1));
        assert_eq!(kept.get("a", fetched(2)).await, Ok(1));
        assert_eq!(kept.get("b", ready(Ok((1, Timestamp::UNIX_EPOCH)))).await, Ok(1));
        assert_eq!(kept.get("b", fetched(2)).await, Ok(2));
        assert_eq!(kept.get("c", ready(Err("why".into()))).await, Err("why".into()));
        assert_eq!(kept.get("c", fetched(1)).await, Err("why".into()), "a failure is kept for a moment");
    }

    /// A failure that asks for so many seconds.
    #[derive(Clone, Debug, PartialEq)]
    struct Busy(u64);

    impl From<String> for Busy {
        fn from(_: String) -> Self {
            Self(0)
        }
    }

    impl Why for Busy {
        fn asked_seconds(&self) -> Option<u64> {
            Some(self.0)
        }

        fn with_seconds_left(self, left: u64) -> Self {
            Self(left)
        }
    }

    #[tokio::test]
    async fn a_busy_server_is_left_alone_by_all_for_as_long_as_it_asks() {
        let kept = Kept::<&str, usize, Busy>::default();
        for (key, asked, least, most) in [("a", 60, 58, 60), ("b", 0, 3, 5), ("c", 86_400, 598, 600)] {
            assert_eq!(kept.get(key, ready(Err(Busy(asked)))).await, Err(Busy(asked)));
            let Err(Busy(left)) = kept.get(key, ready(Ok((1, later())))).await else { panic!("{key}") };
            assert!((least..=most).contains(&left), "{key}: {left} s");
        }
        let half = Timestamp::UNIX_EPOCH + Duration::from_millis(1500);
        assert_eq!(seconds_until(half, Timestamp::UNIX_EPOCH), 2);
        assert_eq!(seconds_until(Timestamp::UNIX_EPOCH, half), 0);
    }

    #[tokio::test]
    async fn there_are_never_too_many() {
        let kept = Kept::default();
        for key in 0..MOST + 50 {
            assert_eq!(kept.get(key, fetched(key)).await, Ok(key));
        }
        assert_eq!(kept.slots.lock().await.len(), MOST);
        for key in 0..10 {
            let _ = kept.get(key, ready(Ok((key, Timestamp::UNIX_EPOCH)))).await;
        }
        assert!(kept.slots.lock().await.len() <= MOST);
    }

    #[tokio::test]
    async fn those_that_are_waited_for_stay() {
        let kept = Kept::<usize, usize>::default();
        let mut busy = Vec::new();
        for key in 0..MOST {
            busy.extend(kept.slot(key).await);
        }
        let wanted = Err("too many credentials are fetched at the same time".to_owned());
        assert_eq!(kept.get(MOST, fetched(1)).await, wanted);
        busy.pop();
        assert_eq!(kept.get(MOST, fetched(1)).await, Ok(1));
    }
}
