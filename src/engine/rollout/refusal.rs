//! What a status says of a spec that nobody can act on, and of a write that the API server would not have.
//!
//! Input: a World, and who refuses what. Output: a plan that writes the status, if that says anything new. It is written
//! once and not at each attempt: ports and times in what a server says are no news.

use tidegate_api::rollout::{RolloutPhase, RolloutStatus};

use super::condition::{self, INVALID_SPEC, PROGRESSING};
use super::status::write;
use super::trouble::{bounded, unnumbered};
use super::world::World;
use super::{pause, phase, wait, workload};
use crate::plan::{Because, Move, Notice, Plan, Write};

/// What a message begins with, or goes on with, where the API server would not have a write.
const REFUSES: &str = "the API server refuses to ";
/// Reason of the Event, and of the condition, for a ReplicaSet that cannot be created.
pub(crate) const SET_CREATE_ERROR: &str = "ReplicaSetCreateError";

/// Decides what to say when the API server would not have a write, in these few words (`doing`). A ReplicaSet whose template it
/// calls invalid is a fault of the spec (`is_invalid`), as Argo Rollouts' own validation would have said; anything else
/// (quota, rights, a webhook) is not.
#[must_use]
pub fn refused(world: &World, write: &Write, doing: &str, why: &str, is_invalid: bool) -> Plan {
    let mut plan = Plan::default();
    if let Write::CreateSet(set) = write {
        if is_invalid {
            invalid(world, &format!("spec.template: {why}"), &mut plan);
        } else {
            not_created(world, &set.name, why, &mut plan);
        }
    } else if !matches!(write, Write::Status(_)) {
        withheld(world, doing, why, &mut plan);
    }
    plan
}

/// The Event for a write that the API server would not have; nothing for those that the status alone tells of.
#[must_use]
pub fn refusal(write: &Write, why: &str) -> Option<Notice> {
    if let Write::CreateSet(set) = write {
        Some(Notice::warning(SET_CREATE_ERROR, set_not_created(&set.name, why)))
    } else if let Write::Route(route) = write {
        Some(Notice::warning("TrafficRoutingError", format!("{}: {why}", route.reference)))
    } else {
        None
    }
}

/// What Argo Rollouts says of a ReplicaSet that cannot be created.
pub(crate) fn set_not_created(set: &str, why: &str) -> String {
    format!("Failed to create new replica set \"{set}\": {why}")
}

/// Whether a status tells of a write that the API server would not have.
pub(super) fn tells_of_one(status: &RolloutStatus) -> bool {
    status.message.contains(REFUSES)
}

/// The status of a Rollout whose spec cannot be acted on.
pub(super) fn invalid(world: &World, error: &str, plan: &mut Plan) {
    let (status, mut next) = seen(world);
    let name = world.rollout.metadata.name.as_deref().unwrap_or_default();
    let message = format!("The Rollout \"{name}\" is invalid: {error}");
    plan.because = Because::InvalidSpec { message: error.to_owned() };
    if condition::get(&next, INVALID_SPEC).is_none_or(|known| !is_said(&known.message, &message)) {
        condition::remove(&mut next, INVALID_SPEC);
        condition::set(&mut next, condition::new(world.now, INVALID_SPEC, "True", INVALID_SPEC, message));
    }
    let (phase, message) = phase::phase(&world.rollout, &next);
    next.phase = Some(phase);
    next.message = message;
    if next != status {
        plan.push(write(&status, next), plan.because.clone());
    }
}

/// The status of a Rollout whose new ReplicaSet the API server would not have, for a reason that is not the spec's.
fn not_created(world: &World, set: &str, why: &str, plan: &mut Plan) {
    let (status, mut next) = seen(world);
    let message = set_not_created(set, why);
    let failed = condition::new(world.now, PROGRESSING, "False", SET_CREATE_ERROR, message.clone());
    condition::set(&mut next, failed);
    // The old revision may be in full health; the update that was asked for is not done all the same.
    tell(&status, next, RolloutPhase::Progressing, message, plan);
}

/// The status of a Rollout for which the API server would not have another write: nothing moves until somebody changes that.
///
/// The word of a pause, and that all is well, stay as clients compare them; unless they speak of what was before the last
/// change of the spec, or before somebody aborted.
fn withheld(world: &World, doing: &str, why: &str, plan: &mut Plan) {
    let (status, next) = seen(world);
    let told = format!("{REFUSES}{doing}: {}", bounded(why));
    let (phase, message) = phase::phase(&world.rollout, &next);
    let is_news = next != status || status.message.starts_with(REFUSES);
    let (phase, message) = match phase {
        _ if is_news => (RolloutPhase::Progressing, told),
        RolloutPhase::Progressing | RolloutPhase::Degraded => (phase, wait::joined(&message, &told)),
        RolloutPhase::Healthy | RolloutPhase::Paused | RolloutPhase::Unknown
            if pause::abort_asked(&status) =>
        {
            (RolloutPhase::Progressing, told)
        }
        RolloutPhase::Healthy | RolloutPhase::Paused | RolloutPhase::Unknown => (phase, message),
    };
    tell(&status, next, phase, message, plan);
}

/// Writes the status with a phase and a message, unless it says the same already.
fn tell(
    status: &RolloutStatus,
    mut next: RolloutStatus,
    phase: RolloutPhase,
    message: String,
    plan: &mut Plan,
) {
    next.phase = Some(phase);
    if !is_said(&status.message, &message) {
        next.message = message;
    }
    if next != *status {
        plan.push(write(status, next), Because::Moves(Move::StatusMoved));
    }
}

/// Whether two messages are the same but for ports, times and ids.
fn is_said(known: &str, message: &str) -> bool {
    unnumbered(known) == unnumbered(message)
}

/// The status as it was read, and the same with what this round has seen of the spec: a client that waits for that is to
/// hear of what is wrong with it.
fn seen(world: &World) -> (RolloutStatus, RolloutStatus) {
    let status = world.rollout.status.clone().unwrap_or_default();
    let mut next = status.clone();
    next.observed_generation = world.rollout.metadata.generation.unwrap_or_default().to_string();
    if world.workload.is_some() {
        next.workload_observed_generation = workload::observed_generation(world);
    }
    (status, next)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::status::written;
    use super::*;

    fn world(case: &str) -> World {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/rollout");
        crate::cases::world(&cases.join(case).join("world.yaml"))
    }

    /// Phase and message once a write is refused, however often: it is said once.
    fn told(world: &mut World, why: &str) -> (Option<RolloutPhase>, String) {
        let write = Write::StopRun { name: "r".to_owned() };
        for port in 0..3 {
            let plan =
                refused(world, &write, "route Ingress shop", &format!("{why} 10.0.0.1:4{port}"), false);
            let Some(next) = written(&plan) else { break };
            assert!(port < 2, "said again: {}", next.message);
            Arc::make_mut(&mut world.rollout).status = Some(next.clone());
        }
        let status = world.rollout.status.clone().unwrap();
        (status.phase, status.message)
    }

    #[test]
    fn what_the_api_server_refuses_is_what_a_rollout_waits_for() {
        let mut moving = world("weight_raised");
        let message = "more replicas need to be updated: the API server refuses to route Ingress shop: read 10.0.0.1:40";
        assert_eq!(told(&mut moving, "read"), (Some(RolloutPhase::Progressing), message.to_owned()));
        let reset = "the API server refuses to route Ingress shop: reset 10.0.0.1:40";
        let message = format!("more replicas need to be updated: {reset}");
        assert_eq!(told(&mut moving, "reset"), (Some(RolloutPhase::Progressing), message));
        let known = moving.rollout.status.clone().unwrap();
        let status = write(&known, known.clone());
        assert_eq!(refused(&moving, &status, "update status", "no", false), Plan::default());
    }

    #[test]
    fn what_speaks_of_before_the_last_change_is_replaced() {
        let alone =
            (Some(RolloutPhase::Progressing), "the API server refuses to route Ingress shop: no 10.0.0.1:40");
        let alone = (alone.0, alone.1.to_owned());
        for case in ["blue_green_settled", "pause_runs", "abort_moves_traffic_first"] {
            let mut world = world(case);
            Arc::make_mut(&mut world.rollout).metadata.generation = Some(7);
            assert_eq!(told(&mut world, "no"), alone, "{case}");
            assert_eq!(world.rollout.status.as_ref().unwrap().observed_generation, "7");
        }
        let mut referenced = world("workload_settled");
        Arc::make_mut(referenced.workload.as_mut().unwrap()).generation = 2;
        assert_eq!(told(&mut referenced, "no"), alone);
    }

    #[test]
    fn the_words_that_clients_compare_stay() {
        let before = |world: &World| {
            let status = world.rollout.status.as_ref().unwrap();
            (status.phase, status.message.clone())
        };
        for case in ["blue_green_settled", "pause_runs"] {
            let mut world = world(case);
            let as_before = before(&world);
            assert_eq!(told(&mut world, "no"), as_before, "{case}");
        }
        let mut aborted = world("pause_runs");
        Arc::make_mut(&mut aborted.rollout).status.as_mut().unwrap().abort = true;
        assert_eq!(told(&mut aborted, "no").0, Some(RolloutPhase::Progressing), "an abort is not under way");
    }
}
