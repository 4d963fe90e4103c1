//! What one round knows whatever the strategy: which ReplicaSet is new, which is stable, which are neither.
//!
//! Input: a World with a valid spec. Output: borrowed views, computed once. It decides nothing.

use jiff::Timestamp;
use tidegate_api::rollout::{CanaryStep, Rollout, RolloutStatus};
use tidegate_api::valid::{Step, ValidBlueGreen, ValidRollout, ValidStrategy};

use super::replicas::Limits;
use super::world::{Set, SetFailure, World};
use super::{pause, revision, window};

/// One round's view of a Rollout, of either strategy.
pub(crate) struct Core<'w> {
    pub(crate) world: &'w World,
    pub(crate) now: Timestamp,
    pub(crate) rollout: &'w Rollout,
    pub(crate) name: &'w str,
    pub(crate) status: &'w RolloutStatus,
    pub(crate) valid: &'w ValidRollout,
    /// Steps of a canary; a blue-green update has none.
    pub(crate) steps: &'w [Step],
    /// The blue-green strategy, if it is the one.
    pub(crate) blue_green: Option<&'w ValidBlueGreen>,
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

impl<'w> Core<'w> {
    /// Sorts the World's ReplicaSets by their role.
    pub(crate) fn new(world: &'w World, valid: &'w ValidRollout, status: &'w RolloutStatus) -> Self {
        let rollout = world.rollout.as_ref();
        let all = revision::owned(world);
        let own_hash = world.spec.template.hash(status.collision_count);
        let new = revision::find_new(&all, &own_hash, &rollout.spec.template.0);
        let stable =
            all.iter().copied().find(|set| !status.stable_rs.is_empty() && set.hash() == status.stable_rs);
        let is = |set: &Set, role: Option<&Set>| {
            role.is_some_and(|role| role.uid == set.uid && role.name == set.name)
        };
        let others = all.iter().copied().filter(|set| !is(set, new) && !is(set, stable)).collect();
        let (steps, blue_green) = match &valid.strategy {
            ValidStrategy::Canary(canary) => (canary.steps.as_slice(), None),
            ValidStrategy::BlueGreen(blue_green) => (&[][..], Some(blue_green.as_ref())),
        };
        Self {
            world,
            now: world.now,
            rollout,
            name: rollout.metadata.name.as_deref().unwrap_or_default(),
            status,
            valid,
            steps,
            blue_green,
            limits: limits(valid),
            replicas: valid.replicas,
            hash: new.map_or(own_hash, |set| set.hash().to_owned()),
            new,
            stable,
            others,
            all,
        }
    }

    /// Whether the current template is the stable one.
    pub(crate) fn promoted(&self) -> bool {
        !self.status.stable_rs.is_empty() && self.status.stable_rs == self.status.current_pod_hash
    }

    /// Whether everything but the pods themselves is to be skipped.
    pub(crate) fn promote_full(&self) -> bool {
        pause::full_promotion_asked(self.status)
    }

    /// Whether the update goes back to a revision so recent that nothing has to be proved again.
    pub(crate) fn in_rollback_window(&self) -> bool {
        window::holds(self)
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
        if self.in_rollback_window() && !pause::abort_asked(self.status) {
            return Some(self.steps.len());
        }
        let index = self.status.current_step_index.unwrap_or(0);
        Some(usize::try_from(index).unwrap_or(0).min(self.steps.len()))
    }

    /// The current step, unless all are done.
    pub(crate) fn step(&self) -> Option<&'w Step> {
        self.steps.get(self.index()?)
    }

    /// All that the current step asks for: beside what decides when it is done there may be more.
    pub(crate) fn asked(&self) -> Option<&'w CanaryStep> {
        self.rollout.spec.strategy.canary.as_ref()?.steps.get(self.index()?)
    }

    /// Whether the pod template, or the steps of a canary, differ from those the status speaks of.
    ///
    /// The first revision of a blue-green Rollout changes nothing that anybody could see, and a former canary's steps are
    /// nothing to it.
    pub(crate) fn changed(&self) -> bool {
        let known = &self.status.current_pod_hash;
        let is_first = self.blue_green.is_some() && known.is_empty();
        !is_first && *known != self.hash || self.has_other_steps()
    }

    /// Whether the canary has other steps than the status speaks of.
    pub(crate) fn has_other_steps(&self) -> bool {
        self.blue_green.is_none() && self.status.current_step_hash != self.world.spec.steps_hash
    }

    /// Whether the status is still that of a canary, and the Rollout is blue-green.
    pub(crate) fn was_canary(&self) -> bool {
        self.blue_green.is_some() && !self.status.current_step_hash.is_empty()
    }

    /// Pods of the new ReplicaSet that are available and that its spec keeps: a late status may show more.
    pub(crate) fn new_available(&self) -> i32 {
        self.new.map_or(0, kept)
    }

    /// The ReplicaSet of a revision.
    pub(crate) fn set(&self, hash: &str) -> Option<&'w Set> {
        self.all.iter().copied().find(|set| set.hash() == hash)
    }

    /// Ready endpoints of `service` that belong to the revision `hash`.
    pub(crate) fn endpoints(&self, service: &str, hash: &str) -> i32 {
        self.world.endpoints.get(service).map_or(0, |endpoints| endpoints.of(hash))
    }

    /// What the pods of a ReplicaSet complain about, if anything.
    pub(crate) fn trouble(&self, set: &Set) -> Option<String> {
        let reported = self.world.troubles.get(set.hash()).cloned();
        reported.or_else(|| set.status.failure.as_ref().map(SetFailure::told))
    }
}

/// Pods of a ReplicaSet that are available and that its spec keeps.
pub(crate) fn kept(set: &Set) -> i32 {
    set.status.available.min(set.replicas)
}

/// How many pods may be added, and may be away.
fn limits(valid: &ValidRollout) -> Limits {
    let replicas = valid.replicas;
    match &valid.strategy {
        ValidStrategy::Canary(canary) => Limits {
            replicas,
            surge: canary.max_surge,
            unavailable: canary.max_unavailable,
            max_weight: canary.max_weight,
        },
        ValidStrategy::BlueGreen(blue_green) => {
            Limits { replicas, surge: replicas, unavailable: blue_green.max_unavailable, max_weight: 100 }
        }
    }
}
