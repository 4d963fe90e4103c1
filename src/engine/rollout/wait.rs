//! What a Rollout waits for, where people look first: behind the words of `status.message` that all clients know.
//!
//! Input: a status with its phase, the troubles of pods, the reason of the plan. Output: the message; and what is wrong
//! with a plan that neither writes nor says what it waits for. Numbers that move while a wait lasts are left out: each
//! would be a write of the status.

use tidegate_api::rollout::{RolloutPhase, RolloutStatus};

use super::condition::ROLLOUT_ABORTED;
use super::core::{Core, kept};
use super::world::World;
use crate::plan::{Because, Plan, Write};

/// Messages that say themselves that pods are waited for.
const ABOUT_PODS: [&str; 2] =
    ["more replicas need to be updated", "updated replicas are still becoming available"];

/// Adds to the message of a phase what it does not say itself.
pub(crate) fn told(facts: &Core<'_>, next: &RolloutStatus, message: String, plan: &Plan) -> String {
    let more = match next.phase {
        Some(RolloutPhase::Progressing) => troubled(facts).or_else(|| waits(plan, &message)),
        Some(RolloutPhase::Degraded) if message.starts_with(ROLLOUT_ABORTED) => waits(plan, &message),
        Some(RolloutPhase::Degraded) => troubled(facts).or_else(|| waits(plan, &message)),
        // Clients compare the word that a pause has.
        Some(RolloutPhase::Healthy | RolloutPhase::Paused | RolloutPhase::Unknown) | None => None,
    };
    match more {
        Some(more) => joined(&message, &more),
        None => message,
    }
}

/// A message of Argo Rollouts, some of which are sentences, and words of ours behind it.
pub(crate) fn joined(message: &str, more: &str) -> String {
    let between = if message.ends_with('.') { " " } else { ": " };
    format!("{message}{between}{more}")
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

/// A wait in words that stay the same while it lasts; nothing where the message has said it.
fn lasting(because: &Because, message: &str) -> Option<String> {
    let is_said = |by: &[&str]| by.contains(&message);
    match wait(because)?.told {
        Told::Elsewhere => None,
        Told::Whole => Some(because.to_string()),
        Told::Unless { said_by, words } => (!is_said(said_by)).then_some(words),
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
    match wait(&plan.because).and_then(|wait| wait.ends) {
        None => stands("and this is no wait"),
        Some(Ends::Untouched) => None,
        Some(Ends::AtTime) if plan.wake.is_none() => stands("and nothing wakes it"),
        Some(Ends::AtTime | Ends::ByEvent) => {
            let is_told = status.is_some_and(|status| !status.message.is_empty());
            if is_told { None } else { stands("and the status does not say so") }
        }
    }
}

/// A reason that is a wait.
struct Wait {
    /// Nothing where whoever is waited for has no name.
    ends: Option<Ends>,
    told: Told,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The Rollout is none of ours, or on its way out.
    Untouched,
    /// A time, at which somebody has to look.
    AtTime,
    /// Something that is watched, or a person.
    ByEvent,
}

/// Where the status tells of a wait.
enum Told {
    /// By its phase, or in words of its own.
    Elsewhere,
    /// Behind the message, as the reason says it.
    Whole,
    /// Behind the message, in words without numbers that move, unless it is one of these that say it already.
    Unless { said_by: &'static [&'static str], words: String },
}

impl Told {
    fn always(words: String) -> Self {
        Self::Unless { said_by: &[], words }
    }
}

/// What kind of wait a reason is; nothing for what the controller does at once.
fn wait(because: &Because) -> Option<Wait> {
    let (ends, told) = match because {
        Because::Deleting | Because::Unserved { .. } => (Some(Ends::Untouched), Told::Elsewhere),
        Because::Paused { until: Some(_), .. } => (Some(Ends::AtTime), Told::Elsewhere),
        Because::ScaleDownDelay { .. } | Because::RestartLater { .. } => (Some(Ends::AtTime), Told::Whole),
        Because::Paused { until: None, .. }
        | Because::UserPaused
        | Because::Restarting { .. }
        | Because::Aborted { .. }
        | Because::InvalidSpec { .. } => (Some(Ends::ByEvent), Told::Elsewhere),
        Because::WaitingForPods { set: name, .. } => {
            let words = format!("waiting for pods of {name}");
            (named(name), Told::Unless { said_by: &ABOUT_PODS, words })
        }
        Because::WaitingForEndpoints { service: name, need, .. } => {
            let words = format!("waiting for endpoints of Service {name}: {need} must be ready");
            (named(name), Told::always(words))
        }
        Because::PodsLeaving { set: name, .. } => {
            let words = format!("waiting for pods of {name} to end");
            (named(name), Told::Unless { said_by: &["old replicas are pending termination"], words })
        }
        Because::SizeNotYetSeen { set: name }
        | Because::StillReached { set: name, .. }
        | Because::Unlisted { set: name, .. }
        | Because::StableNotReady { service: name }
        | Because::StableHasNoPods { service: name }
        | Because::WeightNotYetSeen { router: name, .. }
        | Because::WeightNotAccepted { why: name }
        | Because::WaitingForRun { run: name }
        | Because::RunRefused { why: name }
        | Because::WaitingForExperiment { experiment: name }
        | Because::ExperimentRefused { why: name } => (named(name), Told::Whole),
        Because::Inconclusive { run: name }
        | Because::InconclusiveExperiment { experiment: name }
        | Because::Held { why: name } => (named(name), Told::Elsewhere),
        Because::Settled | Because::Moves(_) => return None,
    };
    Some(Wait { ends, told })
}

/// A wait for somebody who has a name ends by an event.
fn named(name: &str) -> Option<Ends> {
    (!name.is_empty()).then_some(Ends::ByEvent)
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
