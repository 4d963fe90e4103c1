//! Rules on blue-green updates: users reach a revision that has all its pods and was let through, or the stable one; what
//! they reach keeps its pods; and an abort gives them back before anything else.

use jiff::SignedDuration;
use tidegate_api::phase::AnalysisPhase;
use tidegate_api::rollout::{BlueGreenStrategy, RolloutStatus};

use super::facts::{kept, set_of};
use super::{Judge, Rule};
use crate::plan::{Plan, Write};
use crate::rollout::restart;
use crate::rollout::world::{HASH_LABEL, Set, World};

const RUN_TYPE: &str = "rollout-type";

impl Judge<'_> {
    /// While an update is aborted, or by this very plan, the first write gives users back to the stable revision.
    ///
    /// Not while that one has no ready pod and another one has: then the better side keeps them.
    pub(super) fn switch_back_comes_first(&mut self, plan: &Plan) {
        let Some(spec) = self.facts.blue_green else { return };
        if !self.aborting || !self.is_to_go_back(spec) {
            return;
        }
        let stable = self.facts.status.stable_rs.clone();
        let first = plan.writes.first().map(|planned| &planned.write);
        let back = matches!(first, Some(Write::PointService { service, to, .. })
            if *service == spec.active_service && *to == stable);
        if !back {
            let service = &spec.active_service;
            let why =
                format!("the update is aborted, but the first write does not point {service} at {stable}");
            self.blame(Rule::AbortNotFirst, why);
        }
    }

    fn is_to_go_back(&self, spec: &BlueGreenStrategy) -> bool {
        let stable = self.facts.status.stable_rs.as_str();
        let elsewhere =
            self.seen.services.get(&spec.active_service).is_some_and(|known| known.hash() != Some(stable));
        let ready = set_of(self.seen, stable).map_or(0, |set| restart::ready(self.seen, set));
        elsewhere && ready > 0
    }

    /// After the plan of an abort users reach the stable revision.
    pub(super) fn switch_back_is_complete(&mut self) {
        let Some(spec) = self.facts.blue_green.filter(|_| self.aborting) else { return };
        let stable = self.facts.status.stable_rs.clone();
        let selected = active(&self.live, spec).map(str::to_owned);
        if self.is_to_go_back(spec) && selected.as_deref() != Some(stable.as_str()) {
            let why = format!("users still reach {selected:?} at the end of the plan");
            self.blame(Rule::AbortIncomplete, why);
        }
    }

    /// Judges a Service of a blue-green Rollout that is pointed at another revision.
    pub(super) fn switched(&mut self, service: &str, to: &str) {
        let Some(spec) = self.facts.blue_green.filter(|spec| spec.active_service == service) else { return };
        let (available, ready) =
            set_of(&self.live, to).map_or((0, 0), |set| (kept(set), set.status.ready.min(set.replicas)));
        let back = to == self.facts.status.stable_rs;
        let now = active(self.seen, spec).map(str::to_owned);
        if now.as_deref() == Some(to) && active(&self.live, spec) == Some(to) {
            return; // it gets its mark back, and nobody is moved
        }
        let from = now.as_deref().and_then(|hash| set_of(self.seen, hash));
        // From nowhere, or back after an abort, a single pod is better than what there is.
        let rescued = back && (self.aborting || from.is_none());
        let (have, need) = if rescued {
            (available.max(ready), self.facts.replicas.min(1))
        } else {
            (available, self.facts.replicas)
        };
        if have < need && !(self.aborting && back && self.nobody_serves(spec)) {
            let why = format!("Service {service} would select {to} with {have} pods: {need} are needed");
            self.blame(Rule::PointedAtNothing, why);
        }
        if let Some(why) = self.speaks_against(spec, to).filter(|_| !rescued) {
            self.blame(Rule::SwitchedTooEarly, format!("Service {service} is pointed at {to}, but {why}"));
        }
    }

    fn nobody_serves(&self, spec: &BlueGreenStrategy) -> bool {
        let served = self.seen.endpoints.get(&spec.active_service);
        served.is_none_or(|endpoints| endpoints.ready.values().all(|ready| *ready == 0))
    }

    /// What has still to happen before users may reach a revision, if anything.
    fn speaks_against(&self, spec: &BlueGreenStrategy, to: &str) -> Option<String> {
        let status = &self.facts.status;
        if self.seen.rollout.spec.paused {
            return Some("spec.paused is true".to_owned());
        }
        let paused = |reason: &str| status.pause_conditions.iter().find(|pause| pause.reason == reason);
        if paused("InconclusiveAnalysisRun").is_some() {
            return Some("an analysis was inconclusive".to_owned());
        }
        let free = status.stable_rs.is_empty() || status.stable_rs == to || status.promote_full;
        if free || self.went_before(to) || active(self.seen, spec).is_none() {
            return None;
        }
        if let Some(pause) = paused("BlueGreenPause") {
            let seconds = i64::from(spec.auto_promotion_seconds);
            let start = pause.start_time.as_ref().map(|start| start.0);
            let end = start.and_then(|start| start.checked_add(SignedDuration::from_secs(seconds)).ok());
            let over =
                spec.auto_promotion_enabled != Some(false) && end.is_some_and(|end| self.seen.now >= end);
            if !over {
                return Some("the pause before the switch is not over".to_owned());
            }
        } else if !status.controller_pause
            && !status.blue_green.scale_up_preview_check_point
            && (spec.auto_promotion_enabled == Some(false) || spec.auto_promotion_seconds > 0)
        {
            return Some("the pause before the switch has not begun".to_owned());
        }
        let asked = spec.pre_promotion_analysis.is_some();
        (asked && !has_passed(self.seen, "PrePromotion", to))
            .then(|| "no PrePromotion AnalysisRun of it is Successful".to_owned())
    }

    /// Whether a revision ran before the stable one, and recently enough to go back to it at once.
    fn went_before(&self, to: &str) -> bool {
        let older = |set: &Set, stable: &Set| set.created < stable.created;
        let stable = set_of(self.seen, &self.facts.status.stable_rs);
        let in_delay = set_of(self.seen, to).zip(stable).is_some_and(|(set, stable)| {
            older(set, stable) && set.deadline().is_some_and(|deadline| deadline > self.seen.now)
        });
        in_delay || self.is_within_window(to)
    }

    /// Whether a revision is older than the stable one, by fewer ReplicaSets than the rollback window has revisions.
    pub(super) fn is_within_window(&self, to: &str) -> bool {
        let (Some(set), Some(stable)) =
            (set_of(self.seen, to), set_of(self.seen, &self.facts.status.stable_rs))
        else {
            return false;
        };
        let between =
            self.seen.sets.iter().filter(|one| one.created > set.created && one.created < stable.created);
        let window = self.seen.rollout.spec.rollback_window.as_ref().map_or(0, |window| window.revisions);
        set.created < stable.created && between.count() < usize::try_from(window).unwrap_or(0)
    }

    /// Judges the size of a ReplicaSet of a blue-green Rollout.
    pub(super) fn resized(&mut self, set: &Set, to: i32) {
        let Some(spec) = self.facts.blue_green else { return };
        if to >= kept(set) {
            return; // it grows, or only pods that are not available go
        }
        let hash = set.hash();
        let listed = self.seen.endpoints.get(&spec.active_service).is_some_and(|known| known.of(hash) > 0);
        // A Service that selects no revision leads to all of them.
        let everybody = active(self.seen, spec).is_none();
        let reached = listed
            || everybody
            || active(self.seen, spec) == Some(hash)
            || active(&self.live, spec) == Some(hash);
        if reached && to < self.facts.replicas {
            let why =
                format!("{} goes to {to}, but users reach it: {} are needed", set.name, self.facts.replicas);
            self.blame(Rule::CapacityBeforeWeight, why);
        }
        let status = self.facts.status.clone();
        if hash == status.stable_rs && to < self.facts.replicas {
            let why =
                format!("{} goes to {to}, but is the stable revision of {}", set.name, self.facts.replicas);
            self.blame(Rule::StableTooSmall, why);
        }
        self.kept_for_its_delay(spec, set, to);
    }

    fn kept_for_its_delay(&mut self, spec: &BlueGreenStrategy, set: &Set, to: i32) {
        let status = self.facts.status.clone();
        let (now, hash) = (self.seen.now, set.hash());
        let role = hash == status.stable_rs || hash == status.current_pod_hash;
        let delay = spec.scale_down_delay_seconds.unwrap_or(30) > 0;
        let limited = spec.scale_down_delay_revision_limit.is_some();
        let over = set.deadline().is_some_and(|deadline| deadline <= now);
        if delay && !limited && !role && !over && to < self.facts.replicas {
            let why = format!("{} goes to {to} before its delay is over: {:?}", set.name, set.deadline());
            self.blame(Rule::DelayIgnored, why);
        }
        let forever = spec.abort_scale_down_delay_seconds == Some(0);
        // With the stable revision gone it becomes the stable one, and is no aborted preview any more.
        let remains = set_of(self.seen, &status.stable_rs).is_some();
        if self.aborting && remains && forever && to < self.facts.replicas && hash == status.current_pod_hash
        {
            let why = format!("{} goes to {to}, but abortScaleDownDelaySeconds 0 keeps it", set.name);
            self.blame(Rule::DelayIgnored, why);
        }
    }

    /// A revision becomes the stable one only once users reach it, and once what is to speak after the switch has spoken.
    pub(super) fn promoted_behind_its_back(&mut self, to: &RolloutStatus) {
        let Some(spec) = self.facts.blue_green else { return };
        let hash = to.stable_rs.as_str();
        if set_of(self.seen, &self.facts.status.stable_rs).is_none() {
            return;
        }
        let selected = active(&self.live, spec).map(str::to_owned);
        if selected.as_deref() != Some(hash) {
            let why = format!("{hash} becomes stable, but users reach {selected:?}");
            self.blame(Rule::PromotedWithoutPods, why);
        }
        let asked = spec.post_promotion_analysis.as_ref().is_some_and(|asked| !asked.templates.is_empty());
        let free = self.facts.status.promote_full || self.went_before(hash);
        if asked && !free && !has_passed(self.seen, "PostPromotion", hash) {
            let why = format!("{hash} becomes stable, but no PostPromotion AnalysisRun of it is Successful");
            self.blame(Rule::SwitchedTooEarly, why);
        }
    }
}

/// The revision that users reach.
fn active<'w>(world: &'w World, spec: &BlueGreenStrategy) -> Option<&'w str> {
    world.services.get(&spec.active_service).and_then(|service| service.hash())
}

fn has_passed(world: &World, kind: &str, hash: &str) -> bool {
    world.runs.iter().any(|run| {
        let label = |key: &str| run.metadata.labels.as_ref().and_then(|labels| labels.get(key));
        run.status.as_ref().and_then(|status| status.phase) == Some(AnalysisPhase::Successful)
            && label(HASH_LABEL).map(String::as_str) == Some(hash)
            && label(RUN_TYPE).map(String::as_str) == Some(kind)
    })
}

#[cfg(test)]
mod tests;
