//! Going back: when an update returns to a revision that has proved itself already, so that nothing is proved again.
//!
//! Input: facts. Output: verdicts. It writes nothing.

use super::core::Core;
use super::world::Set;

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

/// Whether a ReplicaSet was created before another one.
pub(crate) fn older(set: &Set, than: &Set) -> bool {
    set.created < than.created
}
