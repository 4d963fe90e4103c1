//! Rules on the status: steps one at a time and only when done, and no promotion without pods.

use jiff::SignedDuration;
use tidegate_api::phase::AnalysisPhase;
use tidegate_api::rollout::{CanaryStep, RolloutPause, RolloutStatus};

use super::facts::set_of;
use super::scale::available;
use super::{Judge, Rule};
use crate::plan::StatusWrite;
use crate::rollout::world::HASH_LABEL;

const STEP_INDEX: &str = "step-index";
const PAUSE_STEP: &str = "CanaryPauseStep";

impl Judge<'_> {
    /// Judges what a status says to have happened.
    pub(super) fn status(&mut self, write: &StatusWrite) {
        let StatusWrite { from, to } = write;
        if !from.stable_rs.is_empty() && from.stable_rs != to.stable_rs {
            self.promoted(to);
        }
        self.took_turns(from, to);
        let (Some(before), Some(after)) = (from.current_step_index, to.current_step_index) else { return };
        let started =
            from.current_pod_hash != to.current_pod_hash || from.current_step_hash != to.current_step_hash;
        if before == after || started || from.current_pod_hash.is_empty() {
            return;
        }
        let steps = self.facts.canary.map(|canary| canary.steps.as_slice()).unwrap_or_default();
        let end = i32::try_from(steps.len()).unwrap_or(i32::MAX);
        let back_to_start = after == 0 && to.abort;
        let window = self.seen.rollout.spec.rollback_window.is_some();
        let to_the_end = after == end
            && (to.current_pod_hash == to.stable_rs || from.promote_full || to.promote_full || window);
        if back_to_start || to_the_end || (before > end && after == end) {
            return;
        }
        if after != before + 1 {
            self.blame(Rule::StepJump, format!("the step index goes from {before} to {after}"));
            return;
        }
        if self.seen.rollout.spec.paused {
            self.blame(Rule::StepNotDone, format!("spec.paused is true, but step {before} counts as done"));
        }
        let step = usize::try_from(before).ok().and_then(|index| steps.get(index)).cloned();
        if let Some(why) = step.and_then(|step| self.not_done(&step, before, from)) {
            self.blame(Rule::StepNotDone, format!("step {before} counts as done, but {why}"));
        }
    }

    /// Services that take turns do so with a promotion and never else, and the stable one leads to the stable revision.
    fn took_turns(&mut self, from: &RolloutStatus, to: &RolloutStatus) {
        let Some((canary, stable)) = self.facts.pair() else { return };
        let have_turned = (from.canary.stable_ping_pong == "ping") != (to.canary.stable_ping_pong == "ping");
        let is_promoted = from.stable_rs != to.stable_rs;
        if have_turned != is_promoted {
            let why =
                format!("{stable} and {canary} change their roles: {have_turned}, promotion: {is_promoted}");
            self.blame(Rule::TurnMisplaced, why);
        }
        let leads_to = self.live.services.get(canary).and_then(|known| known.hash().map(str::to_owned));
        // Before the first revision the Service leads to whatever served before.
        let stable_lives = set_of(self.seen, &self.facts.status.stable_rs).is_some();
        if have_turned && stable_lives && leads_to.as_deref() != Some(&to.stable_rs) {
            let why = format!(
                "{canary} becomes the stable Service, but leads to {leads_to:?}, not {}",
                to.stable_rs
            );
            self.blame(Rule::TurnMisplaced, why);
        }
    }

    fn promoted(&mut self, to: &RolloutStatus) {
        let need = self.facts.threshold(self.facts.replicas);
        let available = available(&self.live, &to.stable_rs);
        // A stable revision whose ReplicaSet somebody deleted has nothing left to protect.
        let stable_lives = set_of(self.seen, &self.facts.status.stable_rs).is_some();
        self.promoted_behind_its_back(to);
        if available < need && stable_lives {
            let why =
                format!("{} becomes stable with {available} available pods, {need} are needed", to.stable_rs);
            self.blame(Rule::PromotedWithoutPods, why);
        }
        if stable_lives && (to.abort || self.aborting) {
            self.blame(
                Rule::PromotedWithoutPods,
                format!("{} becomes stable although it is aborted", to.stable_rs),
            );
        }
    }

    /// What speaks against a step being done, if anything.
    fn not_done(&self, step: &CanaryStep, index: i32, from: &RolloutStatus) -> Option<String> {
        if let Some(pause) = &step.pause {
            return self.still_paused(pause, from);
        }
        if step.set_canary_scale.is_some() {
            let there = available(&self.live, &from.current_pod_hash);
            let need = self.facts.asked_scale().map_or(0, |asked| self.facts.threshold(asked));
            return (there < need).then(|| format!("{there} canary pods are available, {need} are needed"));
        }
        if let Some(weight) = step.set_weight {
            let shown = self.facts.weight(&self.live.routes);
            let routed = !self.facts.routers.is_empty() && self.facts.replicas > 0;
            if !routed {
                return None;
            }
            let other = (shown != weight).then(|| format!("the routes show weight {shown}, not {weight}"));
            return other.or_else(|| self.facts.not_accepted(&self.live.routes));
        }
        let header = step
            .set_header_route
            .as_ref()
            .map(|route| (route.name.as_deref().unwrap_or_default(), &route.match_));
        if let Some((name, _)) = header.filter(|(_, wanted)| !wanted.is_empty()) {
            let shows = |object: &std::sync::Arc<serde_json::Value>| {
                let text = object.to_string();
                ["name", "tidegate.dev/header-route"]
                    .into_iter()
                    .any(|field| text.contains(&format!("{field:?}:{name:?}")))
            };
            let shown = self.live.routes.values().any(shows);
            return (!shown && self.facts.replicas > 0).then(|| format!("no route shows the rule {name}"));
        }
        if step.analysis.is_some() {
            let index = index.to_string();
            let successful = self.seen.runs.iter().any(|run| {
                let label = |key: &str| run.metadata.labels.as_ref().and_then(|labels| labels.get(key));
                run.status.as_ref().and_then(|status| status.phase) == Some(AnalysisPhase::Successful)
                    && label(HASH_LABEL) == Some(&from.current_pod_hash)
                    && label(STEP_INDEX) == Some(&index)
            });
            return (!successful).then(|| "no AnalysisRun of this step is Successful".to_owned());
        }
        if step.experiment.is_some() {
            let successful = self.seen.experiments.own.iter().any(|experiment| {
                let name = experiment.metadata.name.as_ref();
                let labels = experiment.metadata.labels.as_ref();
                experiment.status.as_ref().and_then(|status| status.phase) == Some(AnalysisPhase::Successful)
                    && labels.and_then(|labels| labels.get(HASH_LABEL)) == Some(&from.current_pod_hash)
                    && name == Some(&from.canary.current_experiment)
            });
            return (!successful).then(|| "no Experiment of this step is Successful".to_owned());
        }
        None
    }

    /// A pause is over after its duration, or when somebody emptied the pause conditions.
    fn still_paused(&self, pause: &RolloutPause, from: &RolloutStatus) -> Option<String> {
        let Some(condition) = from.pause_conditions.iter().find(|condition| condition.reason == PAUSE_STEP)
        else {
            return (!from.controller_pause).then(|| "its pause never started".to_owned());
        };
        let start = condition.start_time.as_ref()?.0;
        let Some(seconds) = pause.duration.as_ref().and_then(seconds) else {
            return Some("nobody has ended the pause".to_owned());
        };
        let end = start.checked_add(SignedDuration::from_secs(seconds)).ok()?;
        (self.seen.now < end).then(|| format!("the pause lasts until {end}"))
    }
}

/// Whole seconds of a pause: a number, or a text of digits, or one number with a unit.
fn seconds(duration: &impl serde::Serialize) -> Option<i64> {
    let value = serde_json::to_value(duration).ok()?;
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let text = value.as_str()?;
    let unit = |suffix: &str, factor: i64| text.strip_suffix(suffix)?.parse::<i64>().ok().map(|n| n * factor);
    // A duration of several units is not worth a second parser here: it counts as its least, no time at all.
    Some(
        text.parse()
            .ok()
            .or_else(|| unit("s", 1))
            .or_else(|| unit("m", 60))
            .or_else(|| unit("h", 3600))
            .unwrap_or(0),
    )
}
