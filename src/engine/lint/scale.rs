//! Rules on ReplicaSet sizes: capacity stays while traffic may need it, and within surge and unavailability.

use super::facts::{kept, set_of, total};
use super::{Judge, Rule, apply};
use crate::plan::{SetPatch, Write};
use crate::rollout::template::equal_ignoring_hash;
use crate::rollout::world::{SCALE_DOWN_DEADLINE, Set, World};

impl Judge<'_> {
    /// Judges the size that a ReplicaSet is created with, as if it were created with none and then got it.
    pub(super) fn first_size(&mut self, set: &Set) {
        if self.live.sets.iter().any(|known| known.name == set.name) {
            return;
        }
        let mut empty = set.clone();
        empty.replicas = 0;
        apply(&mut self.live, &Write::CreateSet(Box::new(empty)));
        let replicas = Some((0, set.replicas));
        self.scale(&SetPatch { name: set.name.clone(), replicas, ..SetPatch::default() });
        self.live.sets.retain(|known| known.name != set.name);
    }

    /// Judges a change to a ReplicaSet's size.
    pub(super) fn scale(&mut self, patch: &SetPatch) {
        let Some((_, to)) = patch.replicas else { return };
        let Some(set) = self.live.sets.iter().find(|set| set.name == patch.name).cloned() else { return };
        if to == set.replicas {
            return;
        }
        if self.facts.blue_green.is_some() {
            self.resized(&set, to);
            return;
        }
        if self.facts.canary.is_none() {
            return;
        }
        if self.seen.rollout.spec.paused && !self.is_regrowth(patch) {
            self.blame(Rule::ScaledWhilePaused, format!("spec.paused is true, but {} is scaled", set.name));
        }
        let inconclusive = |reason: &str| reason == "InconclusiveAnalysisRun";
        let undecided = self.facts.status.pause_conditions.iter().any(|pause| inconclusive(&pause.reason));
        if undecided && !self.aborting {
            let why = format!("an inconclusive analysis holds the Rollout, but {} is scaled", set.name);
            self.blame(Rule::ScaledWhilePaused, why);
        }
        if to > set.replicas {
            self.grown(&set, to);
        } else {
            self.shrunk(&set, to, patch);
        }
    }

    /// Without a router, our own scale-ups stay within maxSurge; what is above it already may stay. With one, a canary
    /// does not grow above what setCanaryScale asks for.
    fn grown(&mut self, set: &Set, to: i32) {
        if !self.facts.routers.is_empty() {
            let aborted = self.facts.status.abort || self.aborting;
            let skips_steps = !aborted && self.is_within_window(set.hash());
            let canary = set.hash() == self.facts.status.current_pod_hash && !skips_steps;
            if let Some(asked) = self.facts.asked_scale().filter(|asked| canary && to > *asked) {
                let why = format!("{} grows to {to}, but setCanaryScale asks for {asked}", set.name);
                self.blame(Rule::ScaleIgnored, why);
            }
            return;
        }
        let total = total(self.live.sets.iter().map(|set| set.replicas));
        let total = (total - set.replicas).saturating_add(to);
        let limit = self.facts.replicas.saturating_add(self.facts.surge);
        if total > limit {
            let why = format!("{} at {to} makes {total} pods, {limit} are allowed", set.name);
            self.blame(Rule::SurgeExceeded, why);
        }
    }

    fn shrunk(&mut self, set: &Set, to: i32, patch: &SetPatch) {
        if to >= kept(set) {
            return; // only pods that are not available go: they are deleted first
        }
        if !self.facts.routers.is_empty() {
            self.weighted_shrink(set, to);
            self.delayed_shrink(set, to, patch);
        } else {
            self.unweighted_shrink(set, to);
        }
    }

    /// Capacity of a revision that may receive weight, as seen or as written so far, stays.
    fn weighted_shrink(&mut self, set: &Set, to: i32) {
        for service in [self.facts.canary_service(), self.facts.stable_service()].into_iter().flatten() {
            if !selects(self.seen, service, set) && !selects(&self.live, service, set) {
                continue;
            }
            let weight = self.carried(service);
            let is_canary = self.facts.canary_service() == Some(service)
                && set.hash() == self.facts.status.current_pod_hash;
            let need = if is_canary { self.facts.carriers(weight) } else { self.facts.share(weight) };
            if to < need {
                let why = format!(
                    "{} goes to {to}, but Service {service} selects it with weight {weight} of {}: {need} needed",
                    set.name, self.facts.max_weight
                );
                self.blame(Rule::CapacityBeforeWeight, why);
            }
        }
        self.dynamic_shrink(set, to);
        let is_stable = set.hash() == self.facts.status.stable_rs;
        if is_stable && to < self.facts.replicas && !self.stable_may_shrink() {
            let why =
                format!("{} goes to {to}, but is the stable revision of {}", set.name, self.facts.replicas);
            self.blame(Rule::StableTooSmall, why);
        }
    }

    /// A revision without traffic stays up for the delay, for routers that follow late.
    fn delayed_shrink(&mut self, set: &Set, to: i32, patch: &SetPatch) {
        let now = self.seen.now;
        let canary = self.facts.canary;
        let limited = canary.is_some_and(|canary| canary.scale_down_delay_revision_limit.is_some());
        let status = self.facts.status.clone();
        let role = [status.stable_rs.as_str(), status.current_pod_hash.as_str()].contains(&set.hash())
            || self.has_current_template(set);
        let kept_by_patch = !patch.annotations.contains_key(SCALE_DOWN_DEADLINE) || to == 0;
        let delayed = self.facts.scale_down_delay.is_some() && !limited;
        if set.deadline().is_some_and(|deadline| deadline > now) && delayed && kept_by_patch && !role {
            let why = format!("{} goes to {to} before its deadline {:?}", set.name, set.deadline());
            self.blame(Rule::DelayIgnored, why);
        }
        let promoted = !status.stable_rs.is_empty() && status.stable_rs == status.current_pod_hash;
        if promoted && delayed && !role && set.deadline().is_none() {
            self.blame(Rule::DelayIgnored, format!("{} goes to {to} without a scale-down delay", set.name));
        }
        let keep_forever = canary.is_some_and(|canary| canary.abort_scale_down_delay_seconds == Some(0));
        // With the stable revision gone it becomes the stable one, and is no aborted canary any more.
        let remains = set_of(self.seen, &status.stable_rs).is_some();
        if self.aborting
            && remains
            && keep_forever
            && set.hash() == status.current_pod_hash
            && to < set.replicas
        {
            let why = format!(
                "{} goes to {to}, but abortScaleDownDelaySeconds 0 keeps an aborted canary",
                set.name
            );
            self.blame(Rule::DelayIgnored, why);
        }
    }

    /// Whether a set has the template that the spec asks for, whatever the status still says.
    fn has_current_template(&self, set: &Set) -> bool {
        equal_ignoring_hash(&set.own_template(), &self.seen.rollout.spec.template.0)
    }

    /// Without a router pods are the traffic: never fewer than the replicas less maxUnavailable.
    fn unweighted_shrink(&mut self, set: &Set, to: i32) {
        let before = total(self.live.sets.iter().map(|set| kept(set)));
        let after = before - kept(set) + to.min(set.status.available);
        let floor = self.facts.replicas - self.facts.unavailable;
        if after < floor {
            let why = format!("{} at {to} leaves {after} available pods, {floor} are needed", set.name);
            self.blame(Rule::TooFewAvailable, why);
        }
    }
}

fn selects(world: &World, service: &str, set: &Set) -> bool {
    world.services.get(service).is_some_and(|known| known.hash() == Some(set.hash()))
}

/// Pods that a promotion to `hash` finds available.
pub(super) fn available(world: &World, hash: &str) -> i32 {
    set_of(world, hash).map_or(0, kept)
}
