//! What one round knows at a glance: which ReplicaSet is new, which is stable, where the steps stand.
//!
//! Input: a World with a valid canary spec. Output: borrowed views, computed once. It decides nothing.

use jiff::Timestamp;
use tidegate_api::rollout::{CanaryStrategy, Rollout, RolloutStatus};
use tidegate_api::valid::{ProgressThreshold, Step, ValidCanary, ValidRollout};

use super::replicas::{Limits, Size};
use super::world::{Set, World};
use super::{hash, pause, revision};

/// One round's view of a canary Rollout.
pub(crate) struct Facts<'w> {
    pub(crate) world: &'w World,
    pub(crate) now: Timestamp,
    pub(crate) rollout: &'w Rollout,
    pub(crate) name: &'w str,
    pub(crate) status: &'w RolloutStatus,
    pub(crate) valid: &'w ValidRollout,
    pub(crate) canary: &'w ValidCanary,
    pub(crate) strategy: &'w CanaryStrategy,
    pub(crate) steps: &'w [Step],
    pub(crate) limits: Limits,
    /// `spec.replicas`.
    pub(crate) replicas: i32,
    /// Hash of the template in the spec, or the label of the ReplicaSet that already has that template.
    pub(crate) hash: String,
    /// ReplicaSet of the current template.
    pub(crate) new: Option<&'w Set>,
    /// ReplicaSet of the stable revision; the same as `new` once promoted.
    pub(crate) stable: Option<&'w Set>,
    /// ReplicaSets that are neither, oldest first.
    pub(crate) others: Vec<&'w Set>,
    /// All ReplicaSets of the Rollout, oldest first.
    pub(crate) all: Vec<&'w Set>,
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
        let rollout = world.rollout.as_ref();
        let all = revision::owned(world);
        let own_hash = hash::pod_template_hash(&world.spec.canonical, status.collision_count);
        let new = revision::find_new(&all, &own_hash, &rollout.spec.template.0);
        let stable =
            all.iter().copied().find(|set| !status.stable_rs.is_empty() && set.hash() == status.stable_rs);
        let is = |set: &Set, role: Option<&Set>| {
            role.is_some_and(|role| role.uid == set.uid && role.name == set.name)
        };
        let others = all.iter().copied().filter(|set| !is(set, new) && !is(set, stable)).collect();
        Self {
            world,
            now: world.now,
            rollout,
            name: rollout.metadata.name.as_deref().unwrap_or_default(),
            status,
            valid,
            canary,
            strategy,
            steps: &canary.steps,
            limits: Limits {
                replicas: valid.replicas,
                surge: canary.max_surge,
                unavailable: canary.max_unavailable,
                max_weight: canary.max_weight,
            },
            replicas: valid.replicas,
            hash: new.map_or(own_hash, |set| set.hash().to_owned()),
            new,
            stable,
            others,
            all,
        }
    }

    /// Whether traffic is split by a router and not by the number of pods.
    pub(crate) fn routed(&self) -> bool {
        self.strategy.traffic_routing.is_some()
    }

    /// Whether the current template is the stable one.
    pub(crate) fn promoted(&self) -> bool {
        !self.status.stable_rs.is_empty() && self.status.stable_rs == self.status.current_pod_hash
    }

    /// Whether everything but the pods themselves is to be skipped.
    pub(crate) fn promote_full(&self) -> bool {
        pause::full_promotion_asked(self.status)
    }

    /// The stable ReplicaSet when it is another one than the new.
    pub(crate) fn distinct_stable(&self) -> Option<&'w Set> {
        self.stable.filter(|stable| self.new.is_none_or(|new| new.name != stable.name))
    }

    /// Index of the current step; `None` when there are no steps. Past the last step it is their number.
    pub(crate) fn index(&self) -> Option<usize> {
        if self.steps.is_empty() {
            return None;
        }
        let index = self.status.current_step_index.unwrap_or(0);
        Some(usize::try_from(index).unwrap_or(0).min(self.steps.len()))
    }

    /// The current step, unless all are done.
    pub(crate) fn step(&self) -> Option<&'w Step> {
        self.steps.get(self.index()?)
    }

    /// Whether the pod template or the steps differ from those the status speaks of.
    pub(crate) fn changed(&self) -> bool {
        self.status.current_pod_hash != self.hash
            || self.status.current_step_hash != self.world.spec.steps_hash
    }

    /// Pods of the new ReplicaSet that are available and that its spec keeps: a late status may show more.
    pub(crate) fn new_available(&self) -> i32 {
        self.new.map_or(0, |set| set.status.available.min(set.replicas))
    }

    /// Whether enough of `want` pods of the new ReplicaSet are available for a step to be done.
    pub(crate) fn threshold_met(&self, want: i32) -> bool {
        let Some(new) = self.new else { return want == 0 };
        // A status from before our own last change of size says nothing about this size.
        if new.status.observed_generation < new.generation {
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

    /// Ready endpoints of `service` that belong to the revision `hash`.
    pub(crate) fn endpoints(&self, service: &str, hash: &str) -> i32 {
        self.world.endpoints.get(service).map_or(0, |endpoints| endpoints.of(hash))
    }

    /// What the pods of a ReplicaSet complain about, if anything.
    pub(crate) fn trouble(&self, set: &Set) -> Option<String> {
        let reported = self.world.troubles.get(set.hash()).cloned();
        reported
            .or_else(|| set.status.failure.as_ref().map(|(reason, message)| format!("{reason}: {message}")))
    }
}

/// The size of a ReplicaSet as the arithmetic needs it.
pub(crate) fn size(set: &Set) -> Size {
    Size { spec: set.replicas, available: set.status.available }
}
