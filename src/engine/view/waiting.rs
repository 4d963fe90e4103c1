//! What a Rollout waits for, in one sentence that begins where "Waiting for:" ends.
//!
//! Whoever looks at a Rollout that stands still wants to know why, and whether it is their turn. The answer
//! is spread over the spec, the status, the pods and the runs; here it is put together.

use jiff::{SignedDuration, Timestamp};
use tidegate_api::analysis::AnalysisPhase;
use tidegate_api::rollout::{PauseCondition, Rollout, RolloutAnalysisRunStatus, RolloutPhase, RolloutStatus};

use super::duration::human_duration;
use super::phase::{client_phase, is_observed, is_resuming, is_retrying};
use super::run::RunView;
use super::set::SetView;
use super::step;

/// A pause step of a canary.
const CANARY_STEP: &str = "CanaryPauseStep";
/// An AnalysisRun that came to no verdict.
const INCONCLUSIVE_EXPERIMENT: &str = "InconclusiveExperiment";
const INCONCLUSIVE: &str = "InconclusiveAnalysisRun";
const INVALID_SPEC: &str = "InvalidSpec";
const ABORTED: &str = "RolloutAborted";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// Says what the Rollout waits for; nothing when it is done.
pub(crate) fn waiting_for(
    rollout: &Rollout,
    sets: &[SetView],
    runs: &[RunView],
    now: Timestamp,
) -> Option<String> {
    let Some(status) = rollout.status.as_ref().filter(|status| **status != RolloutStatus::default()) else {
        return Some("a controller to notice this Rollout".to_owned());
    };
    if let Some(why) = waiting_for_controller(rollout, status) {
        return Some(why);
    }
    let (phase, message) = client_phase(rollout);
    match phase {
        RolloutPhase::Healthy => None,
        RolloutPhase::Degraded => Some(degraded(status, sets, &message)),
        RolloutPhase::Paused => Some(paused(rollout, status, now)),
        RolloutPhase::Progressing => Some(progressing(rollout, status, sets, runs, &message)),
        RolloutPhase::Unknown => (!message.is_empty()).then_some(message),
    }
}

/// Says what the controller has yet to notice.
fn waiting_for_controller(rollout: &Rollout, status: &RolloutStatus) -> Option<String> {
    if !is_observed(rollout, status) {
        let generation = rollout.metadata.generation.unwrap_or(0);
        let seen = &status.observed_generation;
        return Some(format!(
            "the controller to notice the changed spec (generation {generation}, it has seen {seen})"
        ));
    }
    if is_resuming(status) {
        return Some("the controller to leave the pause that was ended".to_owned());
    }
    if is_retrying(status) {
        return Some("the controller to begin the update again".to_owned());
    }
    let aborted = status.conditions.iter().any(|condition| condition.reason == ABORTED);
    (status.abort && !aborted).then(|| "the controller to abort the update".to_owned())
}

/// Says what would help a degraded Rollout.
fn degraded(status: &RolloutStatus, sets: &[SetView], message: &str) -> String {
    let of_reason = |reason: &str| status.conditions.iter().find(|condition| condition.reason == reason);
    if let Some(invalid) = status.conditions.iter().find(|condition| condition.type_ == INVALID_SPEC) {
        return format!("a corrected spec: {}", invalid.message);
    }
    if let Some(aborted) = of_reason(ABORTED) {
        return format!("a new version or a retry: {}", aborted.message);
    }
    match (of_reason(TIMED_OUT), troubled(sets)) {
        (Some(late), None) => format!("pods to become available: {}", late.message),
        (Some(late), Some(trouble)) => format!("{trouble} ({})", late.message),
        (None, Some(trouble)) => trouble,
        (None, None) => message.to_owned(),
    }
}

/// Says who or what ends a pause.
fn paused(rollout: &Rollout, status: &RolloutStatus, now: Timestamp) -> String {
    let place = place(rollout);
    let Some(condition) = status.pause_conditions.first() else {
        return "somebody to set spec.paused to false".to_owned();
    };
    if condition.reason == INCONCLUSIVE {
        let run = [
            &status.canary.current_step_analysis_run_status,
            &status.canary.current_background_analysis_run_status,
            &status.blue_green.pre_promotion_analysis_run_status,
            &status.blue_green.post_promotion_analysis_run_status,
        ];
        let run = run.into_iter().flatten().find(|run| run.status == Some(AnalysisPhase::Inconclusive));
        return match run {
            Some(run) => format!("somebody to promote or abort: {}", describe(run)),
            None => "somebody to promote or abort: an analysis was inconclusive".to_owned(),
        };
    }
    if condition.reason == INCONCLUSIVE_EXPERIMENT {
        let experiment = &status.canary.current_experiment;
        return format!("somebody to promote or abort: Experiment {experiment} was inconclusive");
    }
    match pause_seconds(rollout, condition).and_then(|seconds| remaining(condition, seconds, now)) {
        Some(left) if left.is_positive() => format!("the pause{place} to end in {}", human_duration(left)),
        Some(_) => format!("the controller to go on: the pause{place} is over"),
        None => {
            let since =
                condition.start_time.as_ref().map(|start| human_duration(now.duration_since(start.0)));
            let since = since.map(|since| format!(", paused for {since}")).unwrap_or_default();
            format!("somebody to promote or abort{place}{since}")
        }
    }
}

/// Returns how long a pause lasts by itself; nothing when a person has to end it.
fn pause_seconds(rollout: &Rollout, condition: &PauseCondition) -> Option<i64> {
    if condition.reason == CANARY_STEP {
        let (_, step) = step::current(rollout)?;
        return step::pause_seconds(step.pause.as_ref()?);
    }
    let blue_green = rollout.spec.strategy.blue_green.as_ref()?;
    let automatic = blue_green.auto_promotion_enabled != Some(false) && blue_green.auto_promotion_seconds > 0;
    automatic.then(|| i64::from(blue_green.auto_promotion_seconds))
}

/// Returns the time that is left of a pause.
fn remaining(condition: &PauseCondition, seconds: i64, now: Timestamp) -> Option<SignedDuration> {
    let end = condition.start_time.as_ref()?.0.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    Some(end.duration_since(now))
}

/// Says what a Rollout on its way is waiting for.
fn progressing(
    rollout: &Rollout,
    status: &RolloutStatus,
    sets: &[SetView],
    runs: &[RunView],
    message: &str,
) -> String {
    if let Some(trouble) = troubled(sets) {
        return trouble;
    }
    let runs_of = [
        &status.canary.current_step_analysis_run_status,
        &status.blue_green.pre_promotion_analysis_run_status,
        &status.blue_green.post_promotion_analysis_run_status,
    ];
    let open = |run: &&RolloutAnalysisRunStatus| !run.status.is_some_and(AnalysisPhase::is_completed);
    if let Some(run) = runs_of.into_iter().flatten().find(open) {
        return format!("AnalysisRun {}{}{}", run.name, place(rollout), counts(&run.name, runs));
    }
    let weights = status.canary.weights.as_ref();
    if let Some(weights) = weights.filter(|weights| weights.verified == Some(false)) {
        return format!("the router to show weight {}{}", weights.canary.weight, place(rollout));
    }
    if !status.canary.current_experiment.is_empty() {
        return format!("Experiment {}{}", status.canary.current_experiment, place(rollout));
    }
    format!("{}{}", awaited(message), place(rollout))
}

/// Puts the message of a phase into words that follow "waiting for". What the controller adds to the words that all
/// clients know says more than they do.
fn awaited(message: &str) -> &str {
    let known = [
        "more replicas need to be updated",
        "updated replicas are still becoming available",
        "old replicas are pending termination",
        "active service cutover pending",
        "waiting for all steps to complete",
        "waiting for analysis to complete",
        "waiting for post-promotion verification to complete",
        "rollout is restarting",
    ];
    let more = known.iter().find_map(|known| message.strip_prefix(known)?.strip_prefix(": "));
    match more.unwrap_or(message) {
        "" => "the next step",
        "more replicas need to be updated" => "more pods to be updated",
        "updated replicas are still becoming available" => "updated pods to become available",
        "old replicas are pending termination" => "old pods to go",
        "active service cutover pending" => "the active Service to switch",
        other => other.strip_prefix("waiting for ").unwrap_or(other),
    }
}

/// Says which ReplicaSet lacks pods and why; the one that is being rolled out comes first.
fn troubled(sets: &[SetView]) -> Option<String> {
    let set = sets.iter().find(|set| set.available < set.desired)?;
    let counts = format!("pods of {}: {} of {} available", set.name, set.available, set.desired);
    Some(match set.trouble() {
        Some(trouble) => format!("{counts} ({trouble})"),
        None => counts,
    })
}

/// Names the current step, such as ` at step 2/8 (pause)`; empty without steps.
fn place(rollout: &Rollout) -> String {
    let (Some((index, current)), Some(canary)) = (step::current(rollout), step::canary(rollout)) else {
        return String::new();
    };
    format!(" at step {}/{} ({current})", index + 1, canary.steps.len())
}

/// Prints the measurements of a run so far, such as `: ✔ 3, ✖ 1`, and what the judge says.
fn counts(name: &str, runs: &[RunView]) -> String {
    let run = runs.iter().find(|run| run.name == name);
    let counts = run.map(RunView::counts).unwrap_or_default();
    if let Some(undecided) = run.and_then(|run| run.undecided.as_ref()) {
        return format!(": {undecided}");
    }
    let counts: Vec<String> =
        counts.iter().map(|(icon, count)| format!("{} {count}", icon.as_str())).collect();
    if counts.is_empty() { ": no measurement yet".to_owned() } else { format!(": {}", counts.join(", ")) }
}

/// Names a run and what it says.
fn describe(run: &RolloutAnalysisRunStatus) -> String {
    let phase = run.status.map_or("without a verdict", AnalysisPhase::as_str);
    if run.message.is_empty() {
        format!("AnalysisRun {} is {phase}", run.name)
    } else {
        format!("AnalysisRun {} is {phase}: {}", run.name, run.message)
    }
}
