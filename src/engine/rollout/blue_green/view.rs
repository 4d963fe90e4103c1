//! What one round of a blue-green Rollout knows at a glance, on top of what both strategies share.
//!
//! Input: a World with a valid blue-green spec. Output: borrowed views and verdicts. It writes nothing.

use std::ops::Deref;

use tidegate_api::rollout::{BlueGreenStrategy, RolloutStatus};
use tidegate_api::valid::{ValidBlueGreen, ValidRollout};

use super::super::core::{Core, kept};
use super::super::world::{Set, World};
use super::super::{restart, window};

/// One round's view of a blue-green Rollout.
pub(super) struct View<'w> {
    core: Core<'w>,
    pub(super) strategy: &'w ValidBlueGreen,
    pub(super) spec: &'w BlueGreenStrategy,
}

impl<'w> Deref for View<'w> {
    type Target = Core<'w>;

    fn deref(&self) -> &Core<'w> {
        &self.core
    }
}

impl<'w> View<'w> {
    /// Sorts the World's ReplicaSets by their role.
    pub(super) fn new(
        world: &'w World,
        valid: &'w ValidRollout,
        strategy: &'w ValidBlueGreen,
        status: &'w RolloutStatus,
    ) -> Self {
        Self { core: Core::new(world, valid, status), strategy, spec: &strategy.spec }
    }

    /// The revision that a Service selects; empty when it selects none.
    pub(super) fn selected(&self, service: &str) -> &'w str {
        self.world.services.get(service).and_then(|service| service.hash()).unwrap_or_default()
    }

    /// The revision that users reach; empty when the active Service selects none.
    pub(super) fn active_hash(&self) -> &'w str {
        self.selected(&self.spec.active_service)
    }

    /// The ReplicaSet that users reach.
    pub(super) fn active(&self) -> Option<&'w Set> {
        Some(self.active_hash()).filter(|hash| !hash.is_empty()).and_then(|hash| self.set(hash))
    }

    /// Whether users reach the new revision already.
    pub(super) fn is_switched(&self) -> bool {
        self.active_hash() == self.hash
    }

    /// The Services that users reach.
    pub(super) fn served(&self) -> Vec<&'w str> {
        vec![self.spec.active_service.as_str()]
    }

    /// Whether the new revision ran before the stable one and its pods are still there, so that nothing has to be proved
    /// again: the stable revision itself, one in its scale-down delay, or one within the rollback window.
    pub(super) fn is_fast_rollback(&self) -> bool {
        let Some(new) = self.new else { return false };
        let stable_again = !self.status.stable_rs.is_empty() && self.status.stable_rs == self.hash;
        stable_again || self.in_rollback_window() || self.is_in_delay(new)
    }

    /// Whether a revision older than the stable one is still in its scale-down delay.
    pub(super) fn is_in_delay(&self, set: &Set) -> bool {
        let older = self.stable.is_some_and(|stable| window::older(set, stable));
        older && set.deadline().is_some_and(|deadline| deadline > self.now)
    }

    /// Whether the switch waits for nobody.
    pub(super) fn is_fast_tracked(&self) -> bool {
        self.status.stable_rs.is_empty()
            || self.promote_full()
            || self.is_fast_rollback()
            || self.active_hash().is_empty() && !self.is_lost()
            || self.is_switched()
    }

    /// Whether the active Service selects no revision of this Rollout while an update is under way: somebody made it anew.
    pub(super) fn is_lost(&self) -> bool {
        self.active().is_none() && self.distinct_stable().is_some_and(|stable| kept(stable) > 0)
    }

    /// Whether the new ReplicaSet has all its pods, by a status that knows of its size.
    pub(super) fn is_saturated(&self) -> bool {
        self.has_all(self.replicas)
    }

    /// Whether the new ReplicaSet has `want` pods, all available, by a status that knows of its size.
    pub(super) fn has_all(&self, want: i32) -> bool {
        let has_all =
            self.new.is_some_and(|new| new.replicas == want && kept(new) == want && new.is_observed());
        // Pods that a restart has sent away may still be counted.
        has_all && !restart::counts_evicted(self)
    }
}
