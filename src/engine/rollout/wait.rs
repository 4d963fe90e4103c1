//! What a Rollout waits for, where people look first: behind the words of `status.message` that all clients know.
//!
//! Input: a status with its phase, the troubles of pods, the reason of the plan. Output: the message; and what is wrong
//! with a plan that neither writes nor says what it waits for. Numbers that move while a wait lasts are left out: each
//! would be a write of the status.

use tidegate_api::phase::AnalysisPhase;
use tidegate_api::rollout::{RolloutPhase, RolloutStatus};

use super::condition::ROLLOUT_ABORTED;
use super::core::{Core, kept};
use super::pause::{INCONCLUSIVE, INCONCLUSIVE_EXPERIMENT};
use super::world::World;
use crate::plan::{Because, Plan, Write};

/// Adds to the message of a phase what it does not say itself.
pub(crate) fn told(facts: &Core<'_>, next: &RolloutStatus, message: String, plan: &Plan) -> String {
    let more = match next.phase {
        Some(RolloutPhase::Paused) => undecided(next),
        Some(RolloutPhase::Progressing) => troubled(facts).or_else(|| waits(plan, &message)),
        Some(RolloutPhase::Degraded) if message.starts_with(ROLLOUT_ABORTED) => waits(plan, &message),
        Some(RolloutPhase::Degraded) => troubled(facts).or_else(|| waits(plan, &message)),
        Some(RolloutPhase::Healthy | RolloutPhase::Unknown) | None => None,
    };
    match more {
        // Some of these words are a sentence.
        Some(more) if message.ends_with('.') => format!("{message} {more}"),
        Some(more) => format!("{message}: {more}"),
        None => message,
    }
}

/// What a plan waits for. Routers mostly show a weight at once, so that the round which gives it says nothing of that.
fn waits(plan: &Plan, message: &str) -> Option<String> {
    let routes = || plan.writes.iter().any(|planned| matches!(planned.write, Write::Route(_)));
    let is_on_its_way =
        matches!(plan.because, Because::WeightNotYetSeen { .. } | Because::WeightNotAccepted { .. })
            && routes();
    lasting(&plan.because, message).filter(|_| !is_on_its_way)
}

/// What keeps the pods of a ReplicaSet from becoming available, the new one first.
pub(crate) fn troubled(facts: &Core<'_>) -> Option<String> {
    let sets = facts.new.into_iter().chain(facts.stable).chain(facts.others.iter().copied());
    sets.filter(|set| kept(set) < set.replicas).find_map(|set| facts.trouble(set))
}

/// Who was inconclusive, so that a person knows what to look at.
fn undecided(next: &RolloutStatus) -> Option<String> {
    let reason = next.pause_conditions.first()?.reason.as_str();
    if reason == INCONCLUSIVE_EXPERIMENT {
        let experiment = next.canary.current_experiment.clone();
        return Some(Because::InconclusiveExperiment { experiment }.to_string());
    }
    let runs = [
        &next.canary.current_step_analysis_run_status,
        &next.canary.current_background_analysis_run_status,
        &next.blue_green.pre_promotion_analysis_run_status,
        &next.blue_green.post_promotion_analysis_run_status,
    ];
    let mut runs = runs.into_iter().flatten().filter(|_| reason == INCONCLUSIVE);
    let run = runs.find(|run| run.status == Some(AnalysisPhase::Inconclusive))?;
    Some(Because::Inconclusive { run: run.name.clone() }.to_string())
}

/// A wait in words that stay the same while it lasts; nothing where the message has said it.
fn lasting(because: &Because, message: &str) -> Option<String> {
    let is_about_pods = ["more replicas need to be updated", "updated replicas are still becoming available"]
        .contains(&message);
    match because {
        Because::WaitingForPods { set, .. } => (!is_about_pods).then(|| format!("waiting for pods of {set}")),
        Because::WaitingForEndpoints { service, need, .. } => {
            Some(format!("waiting for endpoints of Service {service}: {need} must be ready"))
        }
        Because::PodsLeaving { set, .. } => (message != "old replicas are pending termination")
            .then(|| format!("waiting for pods of {set} to end")),
        Because::SizeNotYetSeen { .. }
        | Because::WeightNotYetSeen { .. }
        | Because::WeightNotAccepted { .. }
        | Because::WaitingForRun { .. }
        | Because::RunRefused { .. }
        | Because::WaitingForExperiment { .. }
        | Because::ExperimentRefused { .. }
        | Because::StableNotReady { .. }
        | Because::StableHasNoPods { .. }
        | Because::StillReached { .. }
        | Because::ScaleDownDelay { .. }
        | Because::RestartLater { .. } => Some(because.to_string()),
        // These have a phase, or words of their own.
        Because::Paused { .. }
        | Because::UserPaused
        | Because::Inconclusive { .. }
        | Because::InconclusiveExperiment { .. }
        | Because::Aborted { .. }
        | Because::Held { .. }
        | Because::Restarting { .. }
        | Because::InvalidSpec { .. }
        | Because::Unserved { .. }
        | Because::Deleting => None,
        // These are no waits.
        Because::Settled
        | Because::NewTemplate { .. }
        | Because::UpdateStarted { .. }
        | Because::ScalingEvent { .. }
        | Because::Resize { .. }
        | Because::Weight { .. }
        | Because::StepRoutes { .. }
        | Because::ExperimentShares { .. }
        | Because::PointService { .. }
        | Because::ExperimentNeeded { .. }
        | Because::ExperimentNotNeeded { .. }
        | Because::RunNeeded { .. }
        | Because::RunNotNeeded { .. }
        | Because::StepDone { .. }
        | Because::Promoted { .. }
        | Because::WorkloadMakesRoom { .. }
        | Because::History { .. }
        | Because::PauseNoticed
        | Because::RoleMetadata { .. }
        | Because::Bookkeeping
        | Because::StatusMoved => None,
    }
}

/// Says how a Rollout stands still without a declared reason: it is not done, nothing is written, and nothing that could
/// end the wait is named. There is no such World that we know of; whoever finds one has found a fault of this controller.
#[must_use]
pub fn undeclared(world: &World, plan: &Plan) -> Option<String> {
    if !plan.writes.is_empty() {
        return None;
    }
    let status = world.rollout.status.as_ref();
    let phase = status.and_then(|status| status.phase);
    if phase == Some(RolloutPhase::Healthy) {
        return None;
    }
    let stands = |why: &str| Some(format!("nothing is written, {why}: {}", plan.because));
    match declared(&plan.because) {
        Declared::No => stands("and this is no wait"),
        Declared::Untouched => None,
        Declared::UntilTime if plan.wake.is_none() => stands("and nothing wakes it"),
        Declared::UntilTime | Declared::UntilEvent => {
            let is_told = status.is_some_and(|status| !status.message.is_empty());
            if is_told { None } else { stands("and the status does not say so") }
        }
    }
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declared {
    /// Nobody has said.
    No,
    /// The Rollout is none of ours, or on its way out.
    Untouched,
    /// A time, at which somebody has to look.
    UntilTime,
    /// Something that is watched, or a person.
    UntilEvent,
}

fn declared(because: &Because) -> Declared {
    let named = |name: &str| if name.is_empty() { Declared::No } else { Declared::UntilEvent };
    match because {
        Because::Deleting | Because::Unserved { .. } => Declared::Untouched,
        Because::Paused { until: Some(_), .. }
        | Because::ScaleDownDelay { .. }
        | Because::RestartLater { .. } => Declared::UntilTime,
        Because::Paused { until: None, .. }
        | Because::UserPaused
        | Because::Restarting { .. }
        | Because::Aborted { .. }
        | Because::InvalidSpec { .. } => Declared::UntilEvent,
        Because::WaitingForPods { set: name, .. }
        | Because::SizeNotYetSeen { set: name }
        | Because::PodsLeaving { set: name, .. }
        | Because::StillReached { set: name, .. }
        | Because::WaitingForEndpoints { service: name, .. }
        | Because::StableNotReady { service: name }
        | Because::StableHasNoPods { service: name }
        | Because::WeightNotYetSeen { router: name, .. }
        | Because::WeightNotAccepted { why: name }
        | Because::WaitingForRun { run: name }
        | Because::RunRefused { why: name }
        | Because::Inconclusive { run: name }
        | Because::WaitingForExperiment { experiment: name }
        | Because::ExperimentRefused { why: name }
        | Because::InconclusiveExperiment { experiment: name }
        | Because::Held { why: name } => named(name),
        Because::Settled
        | Because::NewTemplate { .. }
        | Because::UpdateStarted { .. }
        | Because::ScalingEvent { .. }
        | Because::Resize { .. }
        | Because::Weight { .. }
        | Because::StepRoutes { .. }
        | Because::ExperimentShares { .. }
        | Because::PointService { .. }
        | Because::ExperimentNeeded { .. }
        | Because::ExperimentNotNeeded { .. }
        | Because::RunNeeded { .. }
        | Because::RunNotNeeded { .. }
        | Because::StepDone { .. }
        | Because::Promoted { .. }
        | Because::WorkloadMakesRoom { .. }
        | Because::History { .. }
        | Because::PauseNoticed
        | Because::RoleMetadata { .. }
        | Because::Bookkeeping
        | Because::StatusMoved => Declared::No,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_api::rollout::Rollout;

    use super::*;

    fn world(phase: RolloutPhase, message: &str) -> World {
        let status =
            RolloutStatus { phase: Some(phase), message: message.to_owned(), ..RolloutStatus::default() };
        let rollout = Rollout { status: Some(status), ..Rollout::default() };
        World::of(rollout, jiff::Timestamp::UNIX_EPOCH)
    }

    fn waits(because: Because) -> Plan {
        Plan { because, ..Plan::default() }
    }

    #[test]
    fn who_stands_still_says_why_and_until_when() {
        let moving = world(RolloutPhase::Progressing, "waiting for all steps to complete");
        let why = |plan: &Plan| undeclared(&moving, plan).unwrap_or_default();
        assert!(why(&waits(Because::Settled)).contains("this is no wait"));
        assert_eq!(why(&waits(Because::Paused { step: Some(1), until: None })), "");
        let until = Some(jiff::Timestamp::UNIX_EPOCH);
        let mut timed = waits(Because::Paused { step: Some(1), until });
        assert!(why(&timed).contains("nothing wakes it"));
        timed.wake = until;
        assert_eq!(why(&timed), "");
        assert!(why(&waits(Because::WaitingForRun { run: String::new() })).contains("no wait"));
        assert_eq!(undeclared(&world(RolloutPhase::Healthy, ""), &waits(Because::Settled)), None);
        let silent = world(RolloutPhase::Progressing, "");
        let run = Because::WaitingForRun { run: "r".to_owned() };
        assert!(undeclared(&silent, &waits(run)).unwrap().contains("the status does not say so"));
    }

    #[test]
    fn words_that_say_it_already_are_not_said_twice() {
        let pods = Because::WaitingForPods { set: "web-a".to_owned(), ready: 1, need: 2, trouble: None };
        assert_eq!(lasting(&pods, "more replicas need to be updated"), None);
        let said = lasting(&pods, "waiting for all steps to complete");
        assert_eq!(said.as_deref(), Some("waiting for pods of web-a"));
    }
}
