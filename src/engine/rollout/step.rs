//! Where a canary stands in its steps, which weight that means, and whether the current step is done.
//!
//! Input: facts. Output: weights and verdicts. It writes nothing.

use tidegate_api::valid::AbortDelay;

use super::facts::{Facts, size};
use super::replicas::{self, Counts, share_ceil};
use super::{dynamic, step_routes};

/// The weight that the steps ask for at the current index.
///
/// The nearest setWeight at or before the index; 0 before the first one is reached; everything past the last
/// step or without steps; 0 when aborted.
pub(crate) fn weight(facts: &Facts<'_>, aborted: bool) -> i32 {
    if aborted {
        return 0;
    }
    facts.index().map_or(facts.limits.max_weight, |index| facts.canary.weight_at(index))
}

/// The weight of the steps before the current one: what stays in force until the pods for the next are there.
pub(crate) fn previous_weight(facts: &Facts<'_>) -> i32 {
    let previous = facts.index().and_then(|index| index.checked_sub(1));
    previous.map_or(0, |index| facts.canary.weight_at(index))
}

/// The weight that pods are wanted for; everything when there is nothing to compare with or a full promotion was asked for.
pub(crate) fn pod_weight(facts: &Facts<'_>, aborted: bool) -> i32 {
    if beyond_steps(facts, aborted) { facts.limits.max_weight } else { weight(facts, aborted) }
}

/// The weight whose pods the canary has: what setCanaryScale names, none where it names so many pods, or what the steps
/// ask for.
pub(crate) fn weight_of_pods(facts: &Facts<'_>) -> i32 {
    let asked =
        facts.index().filter(|_| !beyond_steps(facts, false)).and_then(|index| facts.canary.scale_at(index));
    match asked {
        Some(scale) if scale.replicas.is_some() => 0,
        Some(scale) => scale.weight.unwrap_or_else(|| pod_weight(facts, false)),
        None => pod_weight(facts, false),
    }
}

/// Whether no step has a say in how many pods are wanted.
fn beyond_steps(facts: &Facts<'_>, aborted: bool) -> bool {
    let promoting = facts.promote_full() && !aborted;
    promoting || facts.status.stable_rs.is_empty() || facts.promoted()
}

/// Pods that the setCanaryScale in force asks for; `None` where pods follow the weight.
///
/// A Rollout of no replicas has none. A canary that the steps give weight keeps one pod, whatever is asked: nobody is sent to nothing. Its `replicas` are
/// taken as they stand, its `weight` is a share of the replicas like that of traffic.
fn asked_scale(facts: &Facts<'_>, aborted: bool) -> Option<i32> {
    let ignored = aborted && facts.canary.abort_delay() != AbortDelay::Forever;
    if !facts.routed() || facts.replicas == 0 || ignored || beyond_steps(facts, aborted) {
        return None;
    }
    let index = facts.index()?;
    let scale = facts.canary.scale_at(index)?;
    let of_weight =
        || Some(at_least_minimum(facts, share_ceil(scale.weight?, facts.replicas, facts.limits.max_weight)));
    let named = |replicas: i32| {
        let replicas = replicas.max(0);
        if facts.canary.is_dynamic() { at_least_minimum(facts, replicas) } else { replicas }
    };
    let pods = scale.replicas.map(named).or_else(of_weight)?;
    let weighted = facts.canary.weight_at(index) > 0 || !step_routes::asked(facts).is_empty();
    Some(pods.max(i32::from(weighted)))
}

/// Pods of the new revision that carry a weight: its share of the replicas, or as few as setCanaryScale asks for. After an
/// abort the steps say nothing of the weight that is still there: it may be of another step, or of a full promotion.
pub(crate) fn carriers(facts: &Facts<'_>, weight: i32) -> i32 {
    let share = share_ceil(weight, facts.replicas, facts.limits.max_weight);
    if facts.status.abort {
        return share;
    }
    asked_scale(facts, false).map_or(share, |asked| share.min(asked.max(1)))
}

/// Sizes of the new and the stable ReplicaSet at the end of the current step.
pub(crate) fn desired_counts(facts: &Facts<'_>, aborted: bool) -> Counts {
    let weight = pod_weight(facts, aborted);
    if !facts.routed() {
        return replicas::desired(facts.limits, weight, facts.distinct_stable().is_some());
    }
    let stable =
        if facts.canary.is_dynamic() { dynamic::stable_pods(facts, aborted) } else { facts.replicas };
    Counts { new: canary_pods(facts, weight, aborted), stable }
}

/// Pods of the new revision behind a router, for a weight.
fn canary_pods(facts: &Facts<'_>, weight: i32, aborted: bool) -> i32 {
    let canary = share_ceil(weight, facts.replicas, facts.limits.max_weight);
    match asked_scale(facts, aborted) {
        _ if facts.distinct_stable().is_none() => facts.replicas,
        Some(asked) => asked,
        // A canary that is sent requests by their headers has a pod for them.
        None => {
            at_least_minimum(facts, canary.max(i32::from(!aborted && !step_routes::asked(facts).is_empty())))
        }
    }
}

/// Keeps a ReplicaSet that has any pods at no fewer than minPodsPerReplicaSet, capped by the replicas.
pub(crate) fn at_least_minimum(facts: &Facts<'_>, count: i32) -> i32 {
    match facts.strategy.min_pods_per_replica_set {
        Some(minimum) if count > 0 => count.max(minimum.min(facts.replicas)),
        Some(_) | None => count,
    }
}

/// Whether the pods for the current step are there: enough of the new available, the stable one sized, and without
/// a router no available pod of any other revision. A stable revision that follows the traffic is sized after it.
pub(crate) fn at_desired_counts(facts: &Facts<'_>, aborted: bool) -> bool {
    if facts.canary.is_dynamic() {
        return facts.threshold_met(canary_pods(facts, pod_weight(facts, aborted), aborted));
    }
    let want = desired_counts(facts, aborted);
    if !facts.threshold_met(want.new) {
        return false;
    }
    if let Some(stable) = facts.distinct_stable()
        && (size(stable).spec != want.stable || stable.status.replicas != want.stable)
    {
        return false;
    }
    facts.routed() || facts.others.iter().all(|set| set.status.available == 0)
}
