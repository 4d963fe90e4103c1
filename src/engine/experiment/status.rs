//! The whole status of an Experiment, built in one place, and the plan around it.
//!
//! Input: facts and what the round found. Output: the plan. Nothing else writes phase, message, availableAt or a
//! condition.

use tidegate_api::experiment::{ExperimentCondition, ExperimentStatus};
use tidegate_api::phase::AnalysisPhase;

use super::plan::{Because, Plan, Planned, StatusWrite, Write};
use super::world::ExperimentWorld;
use super::{Facts, Round, is_completed, phase, runs, templates, time};
use crate::plan::Notice;

const PROGRESSING: &str = "Progressing";
const INVALID_SPEC: &str = "InvalidSpec";

/// Ends a round: phase, conditions, events, and why.
pub(super) fn finish(facts: &Facts<'_>, mut round: Round) -> Plan {
    let next = &mut round.next;
    match facts.before.phase {
        None => next.phase = Some(AnalysisPhase::Pending),
        Some(AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Unknown) => {
            let templates = phase::of_templates(facts.experiment, next).0;
            if templates == AnalysisPhase::Running && next.available_at.is_none() {
                next.available_at = Some(time(facts.now));
            }
            let (phase, message) = phase::assess(facts.experiment, next);
            next.phase = Some(phase);
            next.message = message;
        }
        Some(
            AnalysisPhase::Successful
            | AnalysisPhase::Failed
            | AnalysisPhase::Error
            | AnalysisPhase::Inconclusive,
        ) => {}
    }
    conditions(facts, next);
    if let Some(end) = super::end(facts.experiment, next)
        && facts.now <= end
        && !super::is_ending(facts.experiment, next)
    {
        round.wake_after(end);
    }
    let because = reason(facts, &round);
    conclude(facts.before, round, because)
}

/// The plan for an Experiment whose spec cannot be acted on.
pub(super) fn invalid(facts: &Facts<'_>, message: &str, mut round: Round) -> Plan {
    let next = &mut round.next;
    if get(next, INVALID_SPEC).is_none_or(|known| known.message != message) {
        remove(next, INVALID_SPEC);
        set(next, condition(facts, INVALID_SPEC, "True", INVALID_SPEC, message.to_owned()));
    }
    conclude(facts.before, round, Because::InvalidSpec { message: message.to_owned() })
}

/// Decides what to say when the API server would not have a write: a template whose pods or Service cannot be made has
/// failed, and so has an analysis whose run cannot be made; with it the Experiment. `why` is what the server said.
#[must_use]
pub fn refused(world: &ExperimentWorld, write: &Write, why: &str) -> Plan {
    let none = ExperimentStatus::default();
    let facts = Facts::new(world, world.experiment.status.as_ref().unwrap_or(&none));
    let mut round = Round::new(&facts);
    if let Write::CreateRun(run) = write {
        runs::refuse(&facts, run, why, &mut round);
    } else if let Some((template, message)) = failed_template(world, write, why) {
        round.notices.extend(templates::fail(&mut round.next, &template, message));
    }
    conclude(facts.before, round, Because::StatusMoved)
}

/// The template that has failed because of a write, and the words for it.
fn failed_template(world: &ExperimentWorld, write: &Write, why: &str) -> Option<(String, String)> {
    match write {
        Write::CreateSet(set) => {
            let template = set.annotations.get(super::TEMPLATE_NAME).cloned().unwrap_or_default();
            let message = format!("Failed to create ReplicaSet for template '{template}': {why}");
            Some((template, message))
        }
        Write::PatchSet(patch) => {
            let set = world.sets.iter().find(|set| set.name == patch.name);
            let template = set.and_then(|set| set.annotations.get(super::TEMPLATE_NAME)).cloned();
            let (template, to) = (template.unwrap_or_default(), patch.replicas.map_or(0, |(_, to)| to));
            let message = format!(
                "Unable to scale ReplicaSet for template '{template}' to desired replica count '{to}': {why}"
            );
            Some((template, message))
        }
        Write::CreateService { name, object } => {
            let template = templates::template_of(object).unwrap_or_default().to_owned();
            let message = format!("Failed to create Service {name} for template '{template}': {why}");
            Some((template, message))
        }
        Write::DeleteService { .. } | Write::CreateRun(_) | Write::StopRun { .. } | Write::Status(_) => None,
    }
}

/// Puts the writes in their order; the status, if it differs, comes last and carries the events.
fn conclude(before: &ExperimentStatus, round: Round, because: Because) -> Plan {
    let Round { stop, grow, start, shrink, next, mut notices, passed_on, wake, waits: _ } = round;
    let mut writes: Vec<Planned> = [stop, grow, start, shrink].into_iter().flatten().collect();
    if next != *before {
        notices.extend(phase_notice(before, &next));
        let write = Write::Status(Box::new(StatusWrite { from: before.clone(), to: next }));
        writes.push(Planned { write, because: Because::StatusMoved, notices, passed_on });
    }
    Plan { writes, wake, because }
}

/// The Event of an Experiment that goes from one phase to another.
fn phase_notice(before: &ExperimentStatus, next: &ExperimentStatus) -> Option<Notice> {
    let phase = next.phase.filter(|_| next.phase != before.phase)?;
    let from = before.phase.map_or("", AnalysisPhase::as_str);
    let message = format!("Experiment transitioned from {from} -> {}", phase.as_str());
    Some(match phase {
        AnalysisPhase::Pending => Notice::normal("ExperimentPending", message),
        AnalysisPhase::Running => Notice::normal("ExperimentRunning", message),
        AnalysisPhase::Successful => Notice::normal("ExperimentSuccessful", message),
        AnalysisPhase::Failed => Notice::warning("ExperimentFailed", message),
        AnalysisPhase::Error => Notice::warning("ExperimentError", message),
        AnalysisPhase::Inconclusive => Notice::warning("ExperimentInconclusive", message),
        AnalysisPhase::Unknown => Notice::normal("ExperimentUnknown", message),
    })
}

/// What the Experiment is doing or waiting for, in one reason.
fn reason(facts: &Facts<'_>, round: &Round) -> Because {
    let over = facts.ending || is_completed(round.next.phase);
    // Pods say more than the run that waits for them, and at the end they are all there is to wait for.
    let of_runs = |because: &&Because| matches!(because, Because::WaitingForRun { .. });
    if let Some(because) = round.waits.iter().find(|because| !of_runs(because)) {
        return because.clone();
    }
    if !over && let Some(until) = super::end(facts.experiment, &round.next) {
        return Because::RunsUntil { until };
    }
    if let Some(because) = round.waits.first() {
        return because.clone();
    }
    if !over && round.next.available_at.is_some() && facts.before.available_at.is_some() {
        return Because::RunsUntilTerminated;
    }
    if round.next == *facts.before && is_completed(round.next.phase) {
        Because::Settled
    } else {
        Because::StatusMoved
    }
}

/// The condition Progressing, and the end of InvalidSpec. An Experiment that did not succeed keeps its last words.
fn conditions(facts: &Facts<'_>, next: &mut ExperimentStatus) {
    remove(next, INVALID_SPEC);
    let name = facts.name;
    let progressing = |status, reason, message| condition(facts, PROGRESSING, status, reason, message);
    if next.phase == Some(AnalysisPhase::Successful) {
        let message = format!("Experiment {name:?} has successfully ran and completed.");
        set(next, progressing("False", "ExperimentCompleted", message));
    } else if is_completed(next.phase) {
        // Neither progress nor success.
    } else if progressed(facts.before, next) {
        let message = format!("Experiment {name:?} is progressing.");
        let mut moving = progressing("True", "ReplicaSetUpdated", message);
        if let Some(known) = get(next, PROGRESSING)
            && known.status == moving.status
        {
            moving.last_transition_time.clone_from(&known.last_transition_time);
        }
        // Set even when its reason is the same: its update time is the heartbeat of progress.
        remove(next, PROGRESSING);
        set(next, moving);
    } else if facts.before.available_at.is_some() && !facts.is_past() {
        let message = format!("Experiment {name:?} is running.");
        set(next, progressing("True", "NewReplicaSetAvailable", message));
    }
}

/// Whether a status shows more templates than the former one, or other numbers of pods.
fn progressed(old: &ExperimentStatus, next: &ExperimentStatus) -> bool {
    let counts = |status: &tidegate_api::experiment::TemplateStatus| {
        (status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas)
    };
    next.template_statuses.iter().any(|template| {
        let known = old.template_statuses.iter().find(|known| known.name == template.name);
        known.is_none_or(|known| counts(known) != counts(template))
    })
}

fn condition(
    facts: &Facts<'_>,
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
) -> ExperimentCondition {
    ExperimentCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        last_update_time: Some(time(facts.now)),
        last_transition_time: Some(time(facts.now)),
        reason: reason.to_owned(),
        message,
    }
}

fn get<'a>(status: &'a ExperimentStatus, type_: &str) -> Option<&'a ExperimentCondition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

fn remove(status: &mut ExperimentStatus, type_: &str) {
    status.conditions.retain(|condition| condition.type_ != type_);
}

/// Sets a condition, unless it has the same status and reason already; a changed one goes to the end of the list.
fn set(status: &mut ExperimentStatus, mut condition: ExperimentCondition) {
    if let Some(known) = get(status, &condition.type_) {
        if known.status == condition.status && known.reason == condition.reason {
            return;
        }
        if known.status == condition.status {
            condition.last_transition_time.clone_from(&known.last_transition_time);
        }
    }
    let type_ = condition.type_.clone();
    remove(status, &type_);
    status.conditions.push(condition);
}
