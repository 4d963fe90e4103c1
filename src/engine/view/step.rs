//! Where a canary stands: its current step, and the weight that the steps ask for.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::go_duration;
use tidegate_api::rollout::{CanaryStep, CanaryStrategy, Rollout, RolloutPause};

/// Returns the canary strategy, if that is the strategy.
pub(crate) fn canary(rollout: &Rollout) -> Option<&CanaryStrategy> {
    rollout.spec.strategy.canary.as_ref()
}

/// Returns the index of the current step and the step; none when there are no steps or all are done.
pub(crate) fn current(rollout: &Rollout) -> Option<(usize, &CanaryStep)> {
    let index = rollout.status.as_ref().and_then(|status| status.current_step_index).unwrap_or(0);
    let index = usize::try_from(index).unwrap_or(0);
    Some((index, canary(rollout)?.steps.get(index)?))
}

/// Returns all traffic: what a weight is a share of.
pub(crate) fn max_weight(rollout: &Rollout) -> i32 {
    canary(rollout)
        .and_then(|canary| canary.traffic_routing.as_ref())
        .and_then(|routing| routing.max_traffic_weight)
        .unwrap_or(100)
}

/// Returns the weight that the steps ask for now: the latest setWeight, everything after the last step.
pub(crate) fn set_weight(rollout: &Rollout) -> i32 {
    if rollout.status.as_ref().is_some_and(|status| status.abort) {
        return 0;
    }
    let (Some(canary), Some((index, _))) = (canary(rollout), current(rollout)) else {
        return max_weight(rollout);
    };
    canary.steps[..=index].iter().rev().find_map(|step| step.set_weight).unwrap_or(0)
}

/// Prints how far a canary is, such as `2/8`; empty without steps.
pub(crate) fn progress(rollout: &Rollout) -> Option<String> {
    let index = rollout.status.as_ref()?.current_step_index?;
    let steps = &canary(rollout)?.steps;
    (!steps.is_empty()).then(|| format!("{index}/{}", steps.len()))
}

/// Returns how long a pause lasts; nothing when only a person ends it, or when its duration is malformed.
pub(crate) fn pause_seconds(pause: &RolloutPause) -> Option<i64> {
    match pause.duration.as_ref()? {
        IntOrString::Int(seconds) => Some(i64::from(*seconds)),
        IntOrString::String(text) => text.parse().ok().or_else(|| go_duration::parse_seconds(text).ok()),
    }
}
