//! The whole status of a Rollout, built in one place from what was observed and what this round decided; what a
//! blue-green update adds is in `blue_green/status.rs`.
//!
//! Input: facts, pauses, runs and traffic of the round. Output: one status, and the Events that its change stands
//! for. Nothing else writes a status field.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tidegate_api::rollout::{CanaryStatus, CanaryStep, RolloutStatus, TrafficWeights};
use tidegate_api::valid::Step;

use super::condition::{
    self, AVAILABLE, COMPLETED, HEALTHY, INVALID_SPEC, NEW_SET_AVAILABLE, PAUSED, PROGRESSING,
    REPLICA_FAILURE, ROLLOUT_ABORTED, ROLLOUT_PAUSED, TIMED_OUT,
};
use super::core::Core;
use super::facts::Facts;
use super::pause::{CANARY_STEP, Wishes};
use super::replicas::total;
use super::restart::Restart;
use super::runs::Runs;
use super::traffic::Traffic;
use super::world::SetFailure;
use super::{blue_green, duration, pause, phase, ping_pong, revision, step, wait, workload};
use crate::plan::{Because, Move, Notice, Plan, StatusWrite, Write};

/// Reasons of the Progressing condition at the start of an update.
pub(super) const NEW_SET_CREATED: &str = "NewReplicaSetCreated";
const NEW_SET_FOUND: &str = "FoundNewReplicaSet";

/// What the end of a round knows.
pub(crate) struct Outcome<'r> {
    pub(crate) wishes: Wishes,
    pub(crate) runs: &'r Runs,
    pub(crate) traffic: &'r Traffic,
    pub(crate) restart: &'r Restart,
    /// Events that this status stands for, before those found here.
    pub(crate) notices: Vec<Notice>,
}

/// Builds the status at the end of a round and adds it to the plan when it differs.
pub(crate) fn finish(facts: &Facts<'_>, mut outcome: Outcome<'_>, plan: &mut Plan) {
    let mut next = base(facts, outcome.traffic.weights.clone());
    if let Restart::Done { at } = outcome.restart {
        next.restarted_at = Some(condition::time(*at));
    }
    next.canary.current_step_analysis_run_status = outcome.runs.step.clone();
    next.canary.current_background_analysis_run_status = outcome.runs.background.clone();
    next.canary.current_experiment.clone_from(&outcome.runs.experiments.current);
    let mut notices = std::mem::take(&mut outcome.notices);
    notices.extend(outcome.runs.notices(facts));
    let mut wishes = outcome.wishes;
    let aborted = wishes.aborted(facts.status);
    if (facts.promote_full() || facts.in_rollback_window()) && !aborted {
        wishes.clear = true;
        wishes.drop_abort = true;
        next.current_step_index = step_count(facts);
    }
    let promotion = promotion(facts, aborted, next.current_step_index, outcome.runs, outcome.traffic);
    if let Some(why) = promotion.filter(|_| ping_pong::may_turn(facts, plan)) {
        if promote(facts, &why, &mut next, &mut wishes, &mut notices) {
            plan.because = Because::Moves(Move::Promoted { why });
        }
    } else if aborted {
        next.promote_full = false;
        next.current_step_index =
            if facts.promoted() { step_count(facts) } else { step_count(facts).map(|_| 0) };
    } else if !facts.promote_full() && step_done(facts, outcome.runs, outcome.traffic) {
        advance(facts, &mut next, &mut wishes, &mut notices, plan);
    }
    conclude(facts, next, &wishes, notices, plan);
}

/// Builds the status of an update that has just begun: everything of the former one is forgotten. One that is held
/// begins aborted.
pub(crate) fn reset(facts: &Core<'_>, created: bool, held: Option<String>, plan: &mut Plan) {
    let mut next = base(facts, facts.status.canary.weights.clone());
    let mut notices = Vec::new();
    next.promote_full = false;
    next.canary.step_plugin_statuses.clear();
    next.restarted_at = facts.rollout.spec.restart_at.as_ref().map(|at| condition::time(at.0));
    next.current_step_index = step_count(facts).map(|_| 0);
    let back_to_stable = !facts.status.stable_rs.is_empty() && facts.status.stable_rs == facts.hash;
    let back_in_window = facts.in_rollback_window() && facts.new.is_some_and(|new| new.replicas > 0);
    if (back_to_stable || back_in_window) && held.is_none() && !facts.steps.is_empty() {
        next.current_step_index = step_count(facts);
        let told = if back_to_stable {
            "Rollback to stable ReplicaSets"
        } else {
            "Rollback to active ReplicaSets within RollbackWindow"
        };
        notices.push(Notice::normal("SkipSteps", told));
    }
    blue_green::status::forget(&mut next);
    let name = facts.new.map_or_else(|| format!("{}-{}", facts.name, facts.hash), |set| set.name.clone());
    if created {
        let message = format!("Created new replica set \"{name}\"");
        condition::set(&mut next, condition::new(facts.now, PROGRESSING, "True", NEW_SET_CREATED, message));
    } else if condition::get(&next, PROGRESSING).is_none() {
        let message = format!("Found new replica set \"{name}\"");
        condition::set(&mut next, condition::new(facts.now, PROGRESSING, "True", NEW_SET_FOUND, message));
    }
    if held.is_some() && condition::has_reason(&next, PROGRESSING, ROLLOUT_ABORTED) {
        // The condition speaks of another revision; a changed message alone would not be told.
        condition::remove(&mut next, PROGRESSING);
    }
    let wishes = Wishes { clear: true, drop_abort: held.is_none(), abort: held, ..Wishes::default() };
    conclude(facts, next, &wishes, notices, plan);
}

/// Takes an abort back as a person's `retry` does; the next round finds what it would find after one.
pub(crate) fn retry(facts: &Core<'_>, plan: &mut Plan) {
    let next = RolloutStatus { abort: false, ..facts.status.clone() };
    plan.push(write(facts.status, next), Because::Moves(Move::StatusMoved));
}

/// The status of a round in which only sizes were looked at: steps, pauses and runs stay as they are.
pub(crate) fn sizes_only(facts: &Core<'_>, plan: &mut Plan) {
    let mut next = base(facts, facts.status.canary.weights.clone());
    next.canary = facts.status.canary.clone();
    next.promote_full = facts.status.promote_full;
    let drop_abort = pause::abort_is_over(facts.status);
    let wishes = Wishes { keep: true, drop_abort, ..Wishes::default() };
    conclude(facts, next, &wishes, Vec::new(), plan);
}

/// Brings the Progressing and Paused conditions in line with a pause or resume; true when they were not.
pub(crate) fn notice_pause(facts: &Core<'_>, plan: &mut Plan) -> bool {
    let status = facts.status;
    if status.observed_generation != generation(facts) {
        return false;
    }
    let paused = is_paused(facts);
    let shown = condition::has_reason(status, PROGRESSING, ROLLOUT_PAUSED);
    let aborted = condition::has_reason(status, PROGRESSING, ROLLOUT_ABORTED);
    let told = condition::get(status, PAUSED).is_some_and(|known| known.status == "True");
    let is_shown = paused == shown || facts.promoted();
    let (retried, as_told) = (aborted && !status.abort, is_shown && paused == told);
    if !retried && (aborted || as_told) {
        return false;
    }
    let mut next = status.clone();
    if paused != shown && !aborted && !facts.promoted() {
        let (reason, message) = if paused {
            (ROLLOUT_PAUSED, "Rollout is paused")
        } else {
            ("RolloutResumed", "Rollout is resumed")
        };
        condition::set(&mut next, condition::new(facts.now, PROGRESSING, "Unknown", reason, message));
    }
    if retried {
        let retried =
            condition::new(facts.now, PROGRESSING, "Unknown", "RolloutRetry", "Retrying Rollout after abort");
        condition::set(&mut next, retried);
    }
    if paused != told && !aborted {
        let truth = if paused { "True" } else { "False" };
        condition::set(
            &mut next,
            condition::new(facts.now, PAUSED, truth, ROLLOUT_PAUSED, "Rollout is paused"),
        );
    }
    if next == *status {
        return false;
    }
    duration::track(facts, &mut next);
    let (phase, message) = phase::phase(facts.rollout, &next);
    next.phase = Some(phase);
    next.message = wait::told(facts, &next, message, plan);
    plan.push(write(status, next), Because::Moves(Move::PauseNoticed));
    true
}

/// Whether the status that was read, or the spec, says that the Rollout is paused.
fn is_paused(facts: &Core<'_>) -> bool {
    !facts.status.pause_conditions.is_empty() || facts.rollout.spec.paused
}

pub(super) fn write(from: &RolloutStatus, to: RolloutStatus) -> Write {
    Write::Status(Box::new(StatusWrite { from: from.clone(), to }))
}

fn generation(facts: &Core<'_>) -> String {
    facts.rollout.metadata.generation.unwrap_or_default().to_string()
}

/// `Some(number of steps)` when there are steps.
pub(super) fn step_count(facts: &Core<'_>) -> Option<i32> {
    (!facts.steps.is_empty()).then(|| i32::try_from(facts.steps.len()).unwrap_or(i32::MAX))
}

/// What is observed, before anything is decided.
pub(super) fn base(facts: &Core<'_>, weights: Option<TrafficWeights>) -> RolloutStatus {
    let sum = |count: fn(&super::world::Set) -> i32| total(facts.all.iter().map(|set| count(set)));
    let mut next = RolloutStatus {
        current_pod_hash: facts.hash.clone(),
        current_step_hash: facts.world.spec.steps_hash.clone(),
        current_step_index: facts.index().and_then(|index| i32::try_from(index).ok()),
        replicas: sum(|set| set.status.replicas),
        updated_replicas: facts.new.map_or(0, |set| set.status.replicas),
        ready_replicas: sum(|set| set.status.ready),
        available_replicas: sum(|set| set.status.available),
        hpa_replicas: sum(|set| set.status.replicas),
        selector: facts.rollout.spec.selector.as_ref().map(selector_text).unwrap_or_default(),
        collision_count: facts.status.collision_count,
        conditions: facts.status.conditions.clone(),
        restarted_at: facts.status.restarted_at.clone(),
        stable_rs: facts.status.stable_rs.clone(),
        blue_green: facts.blue_green.map(|_| facts.status.blue_green.clone()).unwrap_or_default(),
        workload_observed_generation: workload::observed_generation(facts.world),
        alb: facts.status.alb.clone(),
        albs: facts.status.albs.clone(),
        duration: facts.status.duration.clone(),
        canary: CanaryStatus {
            weights,
            stable_ping_pong: facts.status.canary.stable_ping_pong.clone(),
            step_plugin_statuses: facts.status.canary.step_plugin_statuses.clone(),
            ..CanaryStatus::default()
        },
        ..RolloutStatus::default()
    };
    next.promote_full = facts.promote_full() && next.current_pod_hash != next.stable_rs;
    condition::remove(&mut next, INVALID_SPEC);
    if facts.blue_green.is_some() {
        blue_green::status::observe(facts, &mut next);
    }
    next
}

/// Why the new revision becomes the stable one now, if it does.
fn promotion(
    facts: &Facts<'_>,
    aborted: bool,
    index: Option<i32>,
    runs: &Runs,
    traffic: &Traffic,
) -> Option<String> {
    if facts.stable.is_none() {
        return facts.new.map(|_| "Initial deploy".to_owned());
    }
    if aborted || !available(facts) || pause::is_undecided(facts.status) {
        return None;
    }
    if facts.promote_full() {
        return Some("Full promotion requested".to_owned());
    }
    if facts.promoted() {
        return Some("Fast rollback".to_owned());
    }
    let count = step_count(facts);
    // Nothing is promoted unjudged, because the run that was to judge it cannot be made.
    if facts.rollout.spec.paused || index != count || runs.is_refused() {
        return None;
    }
    // A router that has not been seen at full weight yet is still moving users to the new revision.
    let arrived = count.is_none() || !facts.routed() || traffic.settled;
    arrived.then(|| {
        if facts.in_rollback_window() {
            "Rollback within window".to_owned()
        } else {
            format!("Completed all {} canary steps", facts.steps.len())
        }
    })
}

fn available(facts: &Facts<'_>) -> bool {
    (facts.new.is_some() && facts.new_available() >= facts.replicas)
        || (facts.strategy.replica_progress_threshold.is_some() && facts.threshold_met(facts.replicas))
}

/// Makes the new revision the stable one; false when it already was.
pub(super) fn promote(
    facts: &Core<'_>,
    why: &str,
    next: &mut RolloutStatus,
    wishes: &mut Wishes,
    notices: &mut Vec<Notice>,
) -> bool {
    wishes.clear = true;
    wishes.drop_abort = true;
    wishes.abort = None;
    next.promote_full = false;
    next.current_step_index = step_count(facts);
    if next.stable_rs == next.current_pod_hash {
        return false;
    }
    next.stable_rs.clone_from(&next.current_pod_hash);
    ping_pong::turn(facts.rollout, next);
    let (revision, hash) = (revision::number(facts), &next.current_pod_hash);
    let message = format!("Rollout completed update to revision {revision} ({hash}): {why}");
    notices.push(Notice::normal("RolloutCompleted", message));
    true
}

/// Whether the current step has done what it is for.
fn step_done(facts: &Facts<'_>, runs: &Runs, traffic: &Traffic) -> bool {
    // Whoever has to judge an inconclusive analysis, or mend one that cannot be made, finds the update where it was.
    if facts.rollout.spec.paused || pause::is_undecided(facts.status) || runs.is_refused() {
        return false;
    }
    match facts.step() {
        Some(Step::SetWeight | Step::SetHeaderRoute | Step::SetMirrorRoute) => {
            step::at_desired_counts(facts, false) && traffic.settled
        }
        Some(Step::SetCanaryScale) => step::at_desired_counts(facts, false),
        Some(&Step::Pause(seconds)) => pause::completed(facts.status, seconds, facts.now),
        Some(Step::Analysis) => runs.step_succeeded(),
        Some(Step::Experiment) => runs.experiments.step_succeeded(),
        Some(Step::Plugin) | None => false,
    }
}

fn advance(
    facts: &Core<'_>,
    next: &mut RolloutStatus,
    wishes: &mut Wishes,
    notices: &mut Vec<Notice>,
    plan: &mut Plan,
) {
    let (Some(step), Some(index)) = (facts.asked(), next.current_step_index) else { return };
    let (done, of) = (index + 1, facts.steps.len());
    next.current_step_index = Some(done);
    next.canary.current_step_analysis_run_status = None;
    next.canary.current_experiment.clear();
    wishes.remove.push(CANARY_STEP);
    let message = format!("Rollout step {done}/{of} completed ({step})");
    notices.push(Notice::normal("RolloutStepCompleted", message));
    plan.because = Because::Moves(Move::StepDone { step: done, of: i32::try_from(of).unwrap_or(i32::MAX) });
}

/// Conditions, pauses, phase: the last words on a status; then the write, if anything differs.
pub(super) fn conclude(
    facts: &Core<'_>,
    mut next: RolloutStatus,
    wishes: &Wishes,
    mut notices: Vec<Notice>,
    plan: &mut Plan,
) {
    conditions(facts, &mut next, wishes, &mut notices, plan);
    wishes.apply(facts.status, &mut next, facts.now);
    next.observed_generation = generation(facts);
    duration::track(facts, &mut next);
    let (phase, message) = phase::phase(facts.rollout, &next);
    next.phase = Some(phase);
    next.message = wait::told(facts, &next, message, plan);
    if let Some(at) = deadline_check(facts, &next) {
        plan.wake_at(at);
    }
    let (was_paused, paused) = (!facts.status.pause_conditions.is_empty(), !next.pause_conditions.is_empty());
    if paused && !was_paused {
        let reason = next.pause_conditions.first().map(|pause| pause.reason.clone()).unwrap_or_default();
        notices.push(Notice::normal("RolloutPaused", format!("Rollout is paused ({reason})")));
    } else if was_paused && !paused && next.aborted_at.is_none() {
        notices.push(Notice::normal("RolloutResumed", "Rollout is resumed"));
    }
    if next != *facts.status {
        plan.push_with(write(facts.status, next), Because::Moves(Move::StatusMoved), notices);
    }
}

fn conditions(
    facts: &Core<'_>,
    next: &mut RolloutStatus,
    wishes: &Wishes,
    notices: &mut Vec<Notice>,
    plan: &Plan,
) {
    let now = facts.now;
    let paused = is_paused(facts);
    let aborted = wishes.aborted(facts.status);
    let healthy = is_healthy(facts, next);
    let mut became_unhealthy = false;
    if !paused && healthy {
        condition::set(next, condition::new(now, HEALTHY, "True", "RolloutHealthy", "Rollout is healthy"));
    } else if condition::get(facts.status, HEALTHY).is_some() {
        let sick = condition::new(now, HEALTHY, "False", "RolloutHealthy", "Rollout is not healthy");
        became_unhealthy = condition::set(next, sick);
    }
    completed(facts, next, notices);
    if aborted {
        let why = wishes.abort.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("Rollout aborted update to revision {}{why}", revision::number(facts));
        if condition::set(next, condition::new(now, PROGRESSING, "False", ROLLOUT_ABORTED, message.clone())) {
            notices.push(Notice::warning(ROLLOUT_ABORTED, message));
        }
    } else {
        progressing(facts, next, healthy, became_unhealthy, plan);
    }
    let is_available = if facts.blue_green.is_some() {
        blue_green::status::is_available(facts)
    } else {
        next.available_replicas >= facts.replicas
    };
    let (truth, message) = if is_available {
        ("True", "Rollout has minimum availability")
    } else {
        ("False", "Rollout does not have minimum availability")
    };
    condition::set(next, condition::new(now, AVAILABLE, truth, "AvailableReason", message));
    let failure =
        facts.new.into_iter().chain(facts.all.iter().copied()).find_map(|set| set.status.failure.clone());
    match failure {
        Some(SetFailure { reason, message, since }) => {
            // With the time of the ReplicaSet's own condition, as with Argo Rollouts.
            let at = since.unwrap_or(now);
            condition::set(next, condition::new(at, REPLICA_FAILURE, "True", &reason, message));
        }
        None => condition::remove(next, REPLICA_FAILURE),
    }
}

fn completed(facts: &Core<'_>, next: &mut RolloutStatus, notices: &mut Vec<Notice>) {
    let done = !next.stable_rs.is_empty() && next.stable_rs == next.current_pod_hash;
    let truth = if done { "True" } else { "False" };
    let changed = condition::set(
        next,
        condition::new(facts.now, COMPLETED, truth, "RolloutCompleted", "RolloutCompleted"),
    );
    if changed && !done {
        let message = format!(
            "Rollout not completed, started update to revision {} ({})",
            revision::number(facts),
            next.current_pod_hash
        );
        notices.push(Notice::normal("RolloutNotCompleted", message));
    }
}

/// The Progressing condition of an update that is not aborted: done, moving, or out of time.
fn progressing(
    facts: &Core<'_>,
    next: &mut RolloutStatus,
    healthy: bool,
    became_unhealthy: bool,
    plan: &Plan,
) {
    let known = condition::get(next, PROGRESSING);
    let resting = next.stable_rs == next.current_pod_hash
        && next.replicas == next.available_replicas
        && known.is_some_and(|known| known.reason == NEW_SET_AVAILABLE && known.status != "Unknown");
    // What this very round says of the new ReplicaSet is news enough.
    let just_said = known.is_some_and(|known| {
        let old = condition::get(facts.status, PROGRESSING).map(|old| old.reason.as_str());
        [NEW_SET_CREATED, NEW_SET_FOUND].contains(&known.reason.as_str()) && old != Some(&known.reason)
    });
    if resting && !became_unhealthy || just_said {
        return;
    }
    let name = facts.new.map_or_else(|| format!("{}-{}", facts.name, facts.hash), |set| set.name.clone());
    if healthy && is_paused(facts) {
        // The condition says RolloutPaused; naming progress here would make it change for ever.
    } else if healthy {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        condition::set(next, condition::new(facts.now, PROGRESSING, "True", NEW_SET_AVAILABLE, message));
    } else if progressed(facts.status, next) || became_unhealthy || goes_on_late(facts) {
        let promoted = next.stable_rs == next.current_pod_hash;
        let moving = if promoted && became_unhealthy {
            let message = "Rollout does not have minimum availability";
            condition::new(facts.now, PROGRESSING, "True", "ReplicaSetNotAvailable", message)
        } else {
            let message = format!("ReplicaSet \"{name}\" is progressing.");
            condition::new(facts.now, PROGRESSING, "True", "ReplicaSetUpdated", message)
        };
        condition::refresh(next, moving);
    } else if !waits_without_limit(facts)
        && !arrived(facts)
        && !switches(facts, plan)
        && timed_out(facts, next)
    {
        let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
        condition::set(next, condition::new(facts.now, PROGRESSING, "False", TIMED_OUT, message));
    }
}

/// Whether everything is as wanted, by the status that was already stored for this generation.
fn is_healthy(facts: &Core<'_>, next: &RolloutStatus) -> bool {
    let steps_done = facts.steps.is_empty() || next.current_step_index == step_count(facts);
    let arrived = match facts.blue_green {
        Some(strategy) => blue_green::status::is_arrived(strategy, next),
        None => {
            let is_stable = !next.stable_rs.is_empty() && next.stable_rs == next.current_pod_hash;
            next.replicas == facts.replicas && is_stable
        }
    };
    next.updated_replicas == facts.replicas
        && next.available_replicas == facts.replicas
        && arrived
        && facts.status.observed_generation == generation(facts)
        && steps_done
}

/// Whether a status shows progress over the former one.
fn progressed(old: &RolloutStatus, next: &RolloutStatus) -> bool {
    next.updated_replicas != old.updated_replicas
        || next.replicas - next.updated_replicas < old.replicas - old.updated_replicas
        || next.ready_replicas > old.ready_replicas
        || next.available_replicas > old.available_replicas
        || next.stable_rs != old.stable_rs
        || next.current_step_index != old.current_step_index
        || next.current_step_hash != old.current_step_hash
        || next.blue_green != old.blue_green
}

/// Whether this round leads a Service of a blue-green update to another revision: progress that the next status shows.
fn switches(facts: &Core<'_>, plan: &Plan) -> bool {
    let leads_on =
        |write: &Write| matches!(write, Write::PointService { from, to, .. } if from.as_ref() != Some(to));
    facts.blue_green.is_some() && plan.writes.iter().any(|planned| leads_on(&planned.write))
}

/// Whether no deadline applies: a step that waits for people or measurements, a pause, pods that stay up for a delay.
fn waits_without_limit(facts: &Core<'_>) -> bool {
    let waits =
        |step: &CanaryStep| step.pause.is_some() || step.analysis.is_some() || step.experiment.is_some();
    let waiting_step = facts.asked().is_some_and(waits);
    let paused = condition::get(facts.status, PAUSED).is_some_and(|known| known.status == "True");
    let measuring = facts.blue_green.is_some() && blue_green::status::is_measuring(facts);
    waiting_step || paused || measuring || facts.others.iter().any(|set| set.has_deadline())
}

/// Whether somebody has just skipped a step that no deadline applied to, which took longer than the deadline: the status
/// still names what the step ran. The time starts now, or whoever promotes would abort. A full promotion moves the step,
/// which is progress by itself.
fn goes_on_late(facts: &Core<'_>) -> bool {
    if facts.promote_full() || facts.in_rollback_window() {
        return false;
    }
    let (ran, asked) = (&facts.status.canary, facts.asked());
    let experiment = !ran.current_experiment.is_empty() && asked.is_none_or(|step| step.experiment.is_none());
    let analysis =
        ran.current_step_analysis_run_status.is_some() && asked.is_none_or(|step| step.analysis.is_none());
    (experiment || analysis)
        && !condition::has_reason(facts.status, PROGRESSING, TIMED_OUT)
        && timed_out(facts, facts.status)
}

/// Whether the new revision is the stable one with all its pods: what is left is old pods on their way out.
fn arrived(facts: &Core<'_>) -> bool {
    facts.promoted() && facts.new_available() >= facts.replicas
}

fn deadline_of(facts: &Core<'_>, status: &RolloutStatus) -> Option<Timestamp> {
    let known = condition::get(status, PROGRESSING)?;
    if [ROLLOUT_ABORTED, ROLLOUT_PAUSED].contains(&known.reason.as_str()) {
        return None;
    }
    let seconds = facts.valid.progress_deadline_seconds();
    let from = known.last_update_time.as_ref()?.0;
    from.checked_add(SignedDuration::from_secs(seconds.into())).ok()
}

fn timed_out(facts: &Core<'_>, status: &RolloutStatus) -> bool {
    condition::has_reason(status, PROGRESSING, TIMED_OUT)
        || deadline_of(facts, status).is_some_and(|deadline| deadline < facts.now)
}

/// When to look whether the progress deadline has passed.
fn deadline_check(facts: &Core<'_>, next: &RolloutStatus) -> Option<Timestamp> {
    let known = condition::get(next, PROGRESSING)?;
    if [NEW_SET_AVAILABLE, TIMED_OUT].contains(&known.reason.as_str())
        || waits_without_limit(facts)
        || arrived(facts)
    {
        return None;
    }
    deadline_of(facts, next)?.checked_add(SignedDuration::from_secs(1)).ok().map(|at| at.max(facts.now))
}

/// Why the update must be aborted, if the spec wants that, because its time is over and this round shows no progress.
/// Argo Rollouts judges the status that it is about to write in the same way.
pub(crate) fn out_of_time(facts: &Core<'_>, plan: &Plan) -> Option<String> {
    let next = written(plan).unwrap_or(facts.status);
    let update = !facts.promoted() && !facts.status.stable_rs.is_empty();
    if !facts.rollout.spec.progress_deadline_abort || !update || next.abort {
        return None;
    }
    let stuck = !progressed(facts.status, next)
        && !switches(facts, plan)
        && !waits_without_limit(facts)
        && !goes_on_late(facts);
    let name = facts.new.map_or("", |set| set.name.as_str());
    // Its pods go with the abort, and with them what kept them from running.
    let trouble = wait::troubled(facts).map(|trouble| format!(" {trouble}")).unwrap_or_default();
    (stuck && timed_out(facts, facts.status))
        .then(|| format!("ReplicaSet \"{name}\" has timed out progressing.{trouble}"))
}

/// The status that a plan writes, if it does.
pub(super) fn written(plan: &Plan) -> Option<&RolloutStatus> {
    let mut written = plan.writes.iter().rev().map(|planned| &planned.write);
    written.find_map(|write| if let Write::Status(status) = write { Some(&status.to) } else { None })
}

/// A label selector as `kubectl` writes it: `app=web,tier in (a,b)`.
pub(super) fn selector_text(selector: &LabelSelector) -> String {
    let exact = selector.match_labels.iter().flatten();
    let mut parts: Vec<(&str, String)> =
        exact.map(|(key, value)| (key.as_str(), format!("{key}={value}"))).collect();
    for expression in selector.match_expressions.iter().flatten() {
        let mut values: Vec<String> = expression.values.clone().unwrap_or_default();
        values.sort();
        let values = values.join(",");
        let text = match expression.operator.as_str() {
            "In" => format!("{} in ({values})", expression.key),
            "NotIn" => format!("{} notin ({values})", expression.key),
            "Exists" => expression.key.clone(),
            _ => format!("!{}", expression.key),
        };
        parts.push((&expression.key, text));
    }
    // By the keys alone, as Kubernetes' libraries sort them: `app=web` before `app.kubernetes.io/name=web`.
    parts.sort_by_key(|(key, _)| *key);
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn pods_that_cannot_be_made_are_shown_since_when_kubernetes_says_so() {
        let case = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/rollout/quota_exceeded/world.yaml");
        let plan = crate::rollout::plan(&crate::cases::world(Path::new(case)));
        let failure = condition::get(written(&plan).unwrap(), REPLICA_FAILURE).unwrap();
        let since = "2026-01-01T11:59:10Z".parse().unwrap();
        assert_eq!(failure.last_transition_time, Some(condition::time(since)));
        assert_eq!(failure.last_update_time, Some(condition::time(since)));
    }

    #[test]
    fn a_selector_reads_as_kubernetes_writes_it() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": { "app": "web", "app.kubernetes.io/name": "web" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["b", "a"] },
                { "key": "aged", "operator": "Exists" },
                { "key": "beta", "operator": "DoesNotExist" },
                { "key": "zone", "operator": "NotIn", "values": ["x"] },
            ],
        }))
        .unwrap();
        let text = "aged,app=web,app.kubernetes.io/name=web,!beta,tier in (a,b),zone notin (x)";
        assert_eq!(selector_text(&selector), text);
    }
}
