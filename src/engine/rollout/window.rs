//! Going back: when an update returns to a revision that has proved itself already, so that nothing is proved again.
//!
//! Input: facts. Output: verdicts. It writes nothing.

use super::core::Core;
use super::world::{REVISION_HISTORY, Set};

/// Whether the update goes back within `spec.rollbackWindow`: to a ReplicaSet that is older than the stable one, with
/// fewer ReplicaSets between the two than the window has revisions.
pub(crate) fn holds(core: &Core<'_>) -> bool {
    let Some(window) = &core.rollout.spec.rollback_window else { return false };
    let (Some(new), Some(stable)) = (core.new, core.stable) else { return false };
    if !older(new, stable) {
        return false;
    }
    let between = core.all.iter().filter(|set| older(new, set) && older(set, stable)).count();
    i32::try_from(between).is_ok_and(|between| between < window.revisions)
}

/// Whether a ReplicaSet was created before another one. Kubernetes tells whole seconds: of two that came in the same one
/// the older is the one whose first revision is.
pub(crate) fn older(set: &Set, than: &Set) -> bool {
    (set.created, first_revision(set)) < (than.created, first_revision(than))
}

/// The first number that a ReplicaSet had; one that has none yet comes after all others.
fn first_revision(set: &Set) -> i64 {
    let history = set.annotations.get(REVISION_HISTORY).into_iter().flat_map(|text| text.split(','));
    let former = history.filter_map(|text| text.trim().parse().ok());
    former.chain([set.revision()]).filter(|revision| *revision > 0).min().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::rollout::world::REVISION;

    #[test]
    fn of_two_that_came_in_the_same_second_the_one_with_the_first_revision_is_older() {
        let set = |revision: &str, history: &str, created: i64| {
            let annotations = [(REVISION, revision), (REVISION_HISTORY, history)]
                .map(|(key, text)| (key.to_owned(), text.to_owned()))
                .into_iter()
                .collect();
            Set { annotations, created: Timestamp::from_second(created).unwrap(), ..Set::default() }
        };
        let (back, left, fresh) = (set("3", "1", 5), set("2", "", 5), set("", "", 5));
        assert!(older(&back, &left) && !older(&left, &back));
        assert!(older(&left, &fresh) && !older(&fresh, &back), "it has no number yet");
        assert!(!older(&left, &left));
        assert!(older(&set("9", "", 4), &back), "the time goes before");
    }
}
