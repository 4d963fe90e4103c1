//! What would make a Rollout go on, by the reason why it does not.
//!
//! Input: a World and the reason of its plan. Output: sentences that begin where "Goes on with:" ends; numbers wherever
//! there are some. One place for all reasons, so that a new one cannot be forgotten.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun};

use super::duration::human_duration;
use crate::plan::Because;
use crate::rollout::world::World;

/// Metrics of a run that are told one by one.
const METRICS_MAX: usize = 8;

/// Says what would make a Rollout go on.
#[expect(clippy::too_many_lines, reason = "one arm for each reason")]
pub(crate) fn remedy(world: &World, because: &Because) -> Vec<String> {
    let one = |text: String| vec![text];
    match because {
        Because::Settled => one("a new pod template or a new replica count: it is done".to_owned()),
        Because::Deleting => one("nothing: Kubernetes removes what belongs to it".to_owned()),
        Because::InvalidSpec { message } => match &world.rollout.spec.workload_ref {
            Some(reference) if world.workload.is_none() => {
                let (kind, name) = (reference.kind.as_deref(), reference.name.as_deref());
                let what = format!("{} {}", kind.unwrap_or("workload"), name.unwrap_or_default());
                one(format!("the {what} in this namespace, or another spec.workloadRef: {message}"))
            }
            Some(_) | None => one(format!("a corrected spec: {message}")),
        },
        Because::Unserved { what } => one(format!("a spec without {what}, or a controller that serves it")),
        Because::WaitingForPods { set, ready, need, trouble } => {
            std::iter::once(pods_to_come(set, *ready, *need))
                .chain(trouble.iter().map(|trouble| format!("a remedy for: {trouble}")))
                .collect()
        }
        Because::WaitingForEndpoints { service, ready, need } => {
            let more = need.saturating_sub(*ready).max(1);
            one(format!("{more} more ready {} of Service {service}", noun(more, "endpoint")))
        }
        Because::WeightNotYetSeen { router, want } => {
            one(format!("{router} showing weight {want}: look at its controller if that takes long"))
        }
        Because::WeightNotAccepted { why } => one(format!("whoever serves the route taking it up: {why}")),
        Because::Restarting { left: 0, .. } => one("the ReplicaSets counting their new pods".to_owned()),
        Because::Restarting { left, .. } => {
            let left = i32::try_from(*left).unwrap_or(i32::MAX);
            one(format!(
                "new pods in the place of {left} old {}, as disruption budgets allow",
                noun(left, "one")
            ))
        }
        Because::RestartLater { at } => {
            one(format!("the time of the restart {}", self::left(world.now, *at)))
        }
        Because::Held { .. } => one("another version in the spec, or a retry that ships this one".to_owned()),
        Because::Paused { until: None, .. } => one("somebody who promotes it".to_owned()),
        Because::Paused { until: Some(until), .. } => {
            one(format!("the end of the pause {}, or somebody who promotes it", left(world.now, *until)))
        }
        Because::UserPaused => one("somebody who promotes it, which sets spec.paused to false".to_owned()),
        Because::Inconclusive { run } => {
            let mut said = vec!["somebody who promotes it, or aborts it".to_owned()];
            said.extend(measurements(world, run));
            said
        }
        Because::InconclusiveExperiment { .. } => {
            one("somebody who promotes it, for another Experiment of this step, or aborts it".to_owned())
        }
        Because::WaitingForExperiment { experiment } => {
            one(format!("a verdict of Experiment {experiment}, or somebody who promotes it"))
        }
        Because::RunRefused { why } | Because::ExperimentRefused { why } => {
            one(format!("a remedy for: {why}"))
        }
        Because::WaitingForRun { run } => {
            // A blue-green update has no step to skip.
            let in_full = if world.rollout.spec.strategy.blue_green.is_some() { " in full" } else { "" };
            let mut said =
                vec![format!("a verdict of AnalysisRun {run}, or somebody who promotes it{in_full}")];
            said.extend(measurements(world, run));
            said
        }
        Because::Aborted { .. } => one("a new version in the spec, or a retry".to_owned()),
        Because::StableNotReady { service } => {
            one(format!("a ready endpoint of Service {service}: until then the canary keeps its traffic"))
        }
        Because::StableHasNoPods { service } => {
            one(format!("a ready pod of the stable revision: until then Service {service} stays where it is"))
        }
        Because::ScaleDownDelay { until, .. } => {
            one(format!("the end of the delay {}", left(world.now, *until)))
        }
        Because::SizeNotYetSeen { set } => one(format!(
            "Kubernetes acting on the size of {set}: look at kube-controller-manager if that takes long"
        )),
        Because::PodsLeaving { set, .. } => one(format!(
            "the end of pods of {set}: look at their grace period, finalizers and nodes if that takes long"
        )),
        Because::StillReached { service, .. } => one(format!(
            "Service {service} without endpoints of it: look at kube-controller-manager if that takes long"
        )),
        Because::Unlisted { service, .. } => one(format!(
            "endpoints of Service {service}: look at its ipFamilies, and at kube-controller-manager, if that takes long"
        )),
        Because::Moves(_) => {
            one("the controller, at once; if nothing moves, look whether one is running".to_owned())
        }
    }
}

fn pods_to_come(set: &str, ready: i32, need: i32) -> String {
    let more = need.saturating_sub(ready);
    if more > 0 {
        format!("{more} more available {} of {set}", noun(more, "pod"))
    } else {
        format!("{} {} of {set} that end", more.saturating_neg(), noun(-more, "pod"))
    }
}

fn noun(count: i32, one: &str) -> String {
    if count == 1 { one.to_owned() } else { format!("{one}s") }
}

/// `in 50s`, or that the moment has passed.
fn left(now: Timestamp, until: Timestamp) -> String {
    let rest = until.duration_since(now);
    if rest.is_positive() { format!("in {}", human_duration(rest)) } else { "now".to_owned() }
}

/// What a run has measured so far, metric by metric.
fn measurements(world: &World, run: &str) -> Vec<String> {
    let Some(run) = world.runs.iter().find(|known| known.metadata.name.as_deref() == Some(run)) else {
        return Vec::new();
    };
    let metrics = run.spec.metrics.iter().take(METRICS_MAX);
    metrics.map(|metric| measured(run, &metric.name, metric.count.as_ref().map(number))).collect()
}

fn number(number: &IntOrString) -> String {
    match number {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

fn measured(run: &AnalysisRun, metric: &str, count: Option<String>) -> String {
    let status = run.status.as_ref();
    let result = status.and_then(|status| status.metric_results.iter().find(|result| result.name == metric));
    let Some(result) = result else { return format!("metric {metric}: no measurement yet") };
    let of = count.map(|count| format!(" of {count}")).unwrap_or_default();
    let phase = result.phase.map_or("not begun", AnalysisPhase::as_str);
    let mut text = format!("metric {metric}: {phase}, {}{of} measured", result.count);
    for (number, word) in [
        (result.successful, "successful"),
        (result.failed, "failed"),
        (result.inconclusive, "inconclusive"),
        (result.error, "errors"),
    ] {
        if number > 0 {
            text += &format!(", {number} {word}");
        }
    }
    let message = if result.message.is_empty() {
        result.measurements.last().map(|last| last.message.as_str()).unwrap_or_default()
    } else {
        &result.message
    };
    if message.is_empty() { text } else { format!("{text}: {message}") }
}
