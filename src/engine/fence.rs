//! Refuses to plan on a cache that is older than our own last write.
//!
//! Input: which objects were written at which resourceVersion, and what a cache shows of them. Output: a verdict.
//! It must never know how objects are read: whoever applies plans reports writes, whoever observes asks.
//!
//! A controller that scales a ReplicaSet from 2 to 3, and plans again on a cache that still shows 2, counts the
//! third pod twice. Simulated without this fence, one rollout in five breaks a safety rule.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::plan::Reference;

/// How long a cache may lag before the API server itself is asked: an object that somebody else deleted right
/// after our write never shows up in the cache, and waiting for it would stop the Rollout for good.
const PATIENCE: SignedDuration = SignedDuration::from_secs(5);

/// What a cache or the API server shows of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub version: String,
    pub uid: String,
}

/// Whether a cache may be planned on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The cache has all of our own writes.
    Fresh,
    /// The cache is behind our own write to this object: try again soon, or when the cache moves.
    Stale { object: Reference },
    /// The cache cannot settle it: read this object from the API server and report it by [`Fence::answered`].
    Ask { object: Reference },
}

/// The writes to the objects of one Rollout that its cache has not shown yet.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    marks: BTreeMap<Reference, Mark>,
}

#[derive(Clone, Debug)]
enum Mark {
    /// The cache must show this version or a later one.
    Written { version: u64, since: Timestamp },
    /// The cache must not show this object any more.
    Deleted { uid: String, since: Timestamp },
    /// The API server says that it is gone: the cache must not show it at this version or an earlier one.
    Gone { version: u64, since: Timestamp },
    /// The answer to a write was lost, so nobody here knows whether it happened.
    Unknown,
}

impl Fence {
    /// Notes that an object was created or changed, with the resourceVersion of the answer.
    pub fn wrote(&mut self, object: Reference, version: &str, now: Timestamp) {
        let mark = version.parse().map_or(Mark::Unknown, |version| Mark::Written { version, since: now });
        self.marks.insert(object, mark);
    }

    /// Notes that an object was deleted.
    pub fn deleted(&mut self, object: Reference, uid: &str, now: Timestamp) {
        self.marks.insert(object, Mark::Deleted { uid: uid.to_owned(), since: now });
    }

    /// Notes that the answer to a write was lost: it may have happened or not.
    pub fn doubted(&mut self, object: Reference) {
        self.marks.insert(object, Mark::Unknown);
    }

    /// Takes in what the API server shows of an object that [`Verdict::Ask`] named; `None` when it is gone.
    pub fn answered(&mut self, object: &Reference, found: Option<&Seen>, now: Timestamp) {
        let known = match self.marks.remove(object) {
            Some(Mark::Written { version, .. } | Mark::Gone { version, .. }) => version,
            // Whatever the cache shows of it now is older than the answer that it is gone.
            Some(Mark::Deleted { .. } | Mark::Unknown) => u64::MAX,
            None => return,
        };
        let mark = match found.map(|seen| seen.version.parse()) {
            None => Mark::Gone { version: known, since: now },
            Some(Ok(version)) => Mark::Written { version, since: now },
            // Versions that cannot be compared: the answer itself is the best there is.
            Some(Err(_)) => return,
        };
        self.marks.insert(object.clone(), mark);
    }

    /// Whether the cache is known to be behind on this object.
    #[must_use]
    pub fn waits_for(&self, object: &Reference) -> bool {
        self.marks.contains_key(object)
    }

    /// Judges a cache by what it shows of each object that was written, and forgets the writes that it has.
    pub fn check(&mut self, now: Timestamp, shown: impl Fn(&Reference) -> Option<Seen>) -> Verdict {
        self.marks.retain(|object, mark| !mark.caught_up(shown(object).as_ref()));
        if self.marks.is_empty() {
            // A tree that was grown keeps its room, and most fences wait for nothing.
            self.marks = BTreeMap::new();
        }
        let asked = self.marks.iter().find(|(_, mark)| mark.needs_asking(now));
        if let Some((object, _)) = asked {
            return Verdict::Ask { object: object.clone() };
        }
        match self.marks.keys().next() {
            Some(object) => Verdict::Stale { object: object.clone() },
            None => Verdict::Fresh,
        }
    }
}

impl Mark {
    fn caught_up(&self, shown: Option<&Seen>) -> bool {
        let newer = |than: u64, or_equal: bool| {
            let version = shown.and_then(|seen| seen.version.parse::<u64>().ok());
            version.is_some_and(|version| version > than || or_equal && version == than)
        };
        match self {
            Self::Written { version, .. } => newer(*version, true),
            Self::Deleted { uid, .. } => shown.is_none_or(|seen| seen.uid != *uid),
            Self::Gone { version, .. } => shown.is_none() || newer(*version, false),
            Self::Unknown => false,
        }
    }

    fn needs_asking(&self, now: Timestamp) -> bool {
        match self {
            Self::Written { since, .. } | Self::Deleted { since, .. } | Self::Gone { since, .. } => {
                now.duration_since(*since) >= PATIENCE
            }
            Self::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Reference {
        Reference::new("apps/v1", "ReplicaSet", "shop-1")
    }

    fn seen(version: &str) -> Option<Seen> {
        Some(Seen { version: version.to_owned(), uid: "u1".to_owned() })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_cache_is_stale_until_it_shows_the_write_or_a_later_one() {
        let mut fence = Fence::default();
        assert_eq!(fence.check(at(0), |_| None), Verdict::Fresh);
        fence.wrote(set(), "120", at(0));
        assert_eq!(fence.check(at(1), |_| seen("99")), Verdict::Stale { object: set() });
        assert_eq!(fence.check(at(1), |_| None), Verdict::Stale { object: set() });
        assert!(fence.waits_for(&set()));
        assert_eq!(fence.check(at(1), |_| seen("121")), Verdict::Fresh);
        assert!(!fence.waits_for(&set()));
        assert_eq!(fence.check(at(1), |_| seen("99")), Verdict::Fresh, "a write that was seen is forgotten");
    }

    #[test]
    fn a_deleted_object_must_vanish_from_the_cache_or_come_back_as_another_one() {
        let mut fence = Fence::default();
        fence.deleted(set(), "u1", at(0));
        assert_eq!(fence.check(at(0), |_| seen("5")), Verdict::Stale { object: set() });
        let other = Some(Seen { version: "4".to_owned(), uid: "u2".to_owned() });
        assert_eq!(fence.clone().check(at(0), |_| other.clone()), Verdict::Fresh);
        assert_eq!(fence.check(at(0), |_| None), Verdict::Fresh);
    }

    #[test]
    fn an_object_that_never_shows_up_is_asked_for_and_then_not_waited_for() {
        let mut fence = Fence::default();
        fence.wrote(set(), "120", at(0));
        assert_eq!(fence.check(at(5), |_| None), Verdict::Ask { object: set() });
        fence.answered(&set(), None, at(5));
        assert_eq!(fence.clone().check(at(5), |_| seen("120")), Verdict::Stale { object: set() });
        assert_eq!(fence.clone().check(at(5), |_| seen("130")), Verdict::Fresh, "somebody created it again");
        assert_eq!(fence.check(at(5), |_| None), Verdict::Fresh);
    }

    #[test]
    fn a_lost_answer_is_settled_by_the_api_server() {
        let mut fence = Fence::default();
        fence.doubted(set());
        assert_eq!(fence.check(at(0), |_| seen("7")), Verdict::Ask { object: set() });
        fence.answered(&set(), seen("9").as_ref(), at(0));
        assert_eq!(fence.check(at(0), |_| seen("7")), Verdict::Stale { object: set() });
        assert_eq!(fence.check(at(0), |_| seen("9")), Verdict::Fresh);
    }

    #[test]
    fn an_object_that_came_back_while_nobody_looked_is_asked_for_again() {
        let mut fence = Fence::default();
        fence.doubted(set());
        fence.answered(&set(), None, at(0));
        assert_eq!(fence.check(at(1), |_| seen("7")), Verdict::Stale { object: set() });
        assert_eq!(fence.check(at(5), |_| seen("7")), Verdict::Ask { object: set() });
        fence.answered(&set(), seen("7").as_ref(), at(5));
        assert_eq!(fence.check(at(5), |_| seen("7")), Verdict::Fresh);
    }

    #[test]
    fn versions_that_cannot_be_compared_are_asked_for_once() {
        let mut fence = Fence::default();
        fence.wrote(set(), "opaque-a", at(0));
        assert_eq!(fence.check(at(0), |_| seen("opaque-b")), Verdict::Ask { object: set() });
        fence.answered(&set(), seen("opaque-c").as_ref(), at(0));
        assert_eq!(fence.check(at(0), |_| seen("opaque-b")), Verdict::Fresh);
    }
}
