//! What one round of a canary knows at a glance, on top of what both strategies share.
//!
//! Input: a World with a valid canary spec. Output: borrowed views, computed once. It decides nothing.

use std::ops::Deref;

use tidegate_api::rollout::{CanaryStrategy, RolloutStatus};
use tidegate_api::valid::{ProgressThreshold, ValidCanary, ValidRollout};

use super::core::Core;
use super::replicas::Size;
use super::traffic::Shown;
use super::world::{Set, World};

/// One round's view of a canary Rollout: what both strategies know, and what only a canary has.
pub(crate) struct Facts<'w> {
    core: Core<'w>,
    pub(crate) canary: &'w ValidCanary,
    pub(crate) strategy: &'w CanaryStrategy,
    /// What the routing objects show of the canary.
    pub(crate) shown: Shown,
}

impl<'w> Deref for Facts<'w> {
    type Target = Core<'w>;

    fn deref(&self) -> &Core<'w> {
        &self.core
    }
}

impl<'w> Facts<'w> {
    /// Sorts the World's ReplicaSets by their role.
    pub(crate) fn new(
        world: &'w World,
        valid: &'w ValidRollout,
        canary: &'w ValidCanary,
        status: &'w RolloutStatus,
        strategy: &'w CanaryStrategy,
    ) -> Self {
        Self { core: Core::new(world, valid, status), canary, strategy, shown: Shown::of(world) }
    }

    /// The least and the most weight that requests may still find on the canary.
    pub(crate) fn in_effect(&self) -> (i32, i32) {
        self.shown.in_effect(self.limits.max_weight)
    }

    /// Whether traffic is split by a router and not by the number of pods.
    pub(crate) fn routed(&self) -> bool {
        self.strategy.traffic_routing.is_some()
    }

    /// Whether enough of `want` pods of the new ReplicaSet are available for a step to be done.
    pub(crate) fn threshold_met(&self, want: i32) -> bool {
        let Some(new) = self.new else { return want == 0 };
        // A status from before our own last change of size says nothing about this size.
        if !new.is_observed() {
            return false;
        }
        let available = self.new_available();
        match self.canary.progress_threshold() {
            ProgressThreshold::Percent(percent) => {
                want == 0 || i64::from(available) * 100 >= i64::from(want) * i64::from(percent)
            }
            ProgressThreshold::Pods(pods) => available >= pods.min(want),
            ProgressThreshold::All => new.replicas == want && available == want,
        }
    }
}

/// The size of a ReplicaSet as the arithmetic needs it.
pub(crate) fn size(set: &Set) -> Size {
    Size { spec: set.replicas, available: set.status.available }
}
