//! Counted pods that are about to change, which are not worth a request each.
//!
//! Input: a World and a plan that ends with a status. Output: the plan without that status, where it differs from the known
//! one only in counted pods and in the words about them, no pod reports a trouble, and
//!
//! - a ReplicaSet has pods to make or to remove, which a busy cluster takes some time for: the ReplicaSet that shows them
//!   brings the next round; or
//! - pods are on their way: the next one brings the next round. An update without steps tells how many there are.
//!
//! Either lasts for a while after the last news, and the end of it brings a round as well. So a fast update tells each step
//! once, and a slow one how far it is.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::rollout::{RolloutCondition, RolloutStatus};
use tidegate_api::valid::PROGRESS_DEADLINE_SECONDS_DEFAULT;

use super::wait::undeclared;
use super::world::{Set, World};
use super::{condition, refusal};
use crate::plan::{Because, Plan, Planned, SetPatch, StatusWrite, Write};

/// For how long after the last news counts may rest while pods are on their way.
const ON_THEIR_WAY: Duration = Duration::from_secs(5);
/// The same while ReplicaSets have pods to make or to remove: what holds that up is told at once, and without that only a
/// cluster that has a thousand others to serve takes as long as this.
const MOVING: Duration = Duration::from_secs(60);
/// The longer no condition has changed, the longer counts rest, but no longer than this.
const ON_THEIR_WAY_AT_MOST: Duration = Duration::from_secs(20);

/// The plan without a status of which nothing but counts is new, while they are about to change.
pub(super) fn without_counts(world: &World, mut plan: Plan) -> Plan {
    let Some(Planned { write: Write::Status(status), notices, .. }) = plan.writes.last() else { return plan };
    let moving = world.sets.iter().find(|set| is_moving(set));
    let rest = match moving.is_some() || plan.writes.iter().any(resizes) {
        true => MOVING,
        false if is_on_its_way(&plan.because) && !has_pods_to_tell(world, status) => {
            on_their_way(&status.from)
        }
        false => return plan,
    };
    let rest = rest.min(part_of_the_deadline(world));
    if !notices.is_empty() || !counts_only(status) {
        return plan;
    }
    let Some(until) = rests_until(world, &status.from, rest) else { return plan };
    plan.writes.pop();
    plan.wake_at(until);
    if let Some(set) = moving.filter(|_| undeclared(world, &plan).is_some()) {
        plan.because = Because::SizeNotYetSeen { set: set.name.clone() };
    }
    plan
}

fn resizes(planned: &Planned) -> bool {
    matches!(&planned.write, Write::PatchSet(SetPatch { replicas: Some(_), .. }))
}

/// Whether an update has more pods, or fewer, than the status tells, and no step whose end would tell it: clients wait for
/// that.
fn has_pods_to_tell(world: &World, StatusWrite { from, to }: &StatusWrite) -> bool {
    let canary = world.rollout.spec.strategy.canary.as_ref();
    let is_update = !to.stable_rs.is_empty() && to.stable_rs != to.current_pod_hash;
    is_update
        && canary.is_some_and(|canary| canary.steps.is_empty())
        && (from.replicas, from.updated_replicas) != (to.replicas, to.updated_replicas)
}

fn is_on_its_way(because: &Because) -> bool {
    matches!(because, Because::WaitingForPods { trouble: None, .. })
}

/// What rests tells that there was progress, and a deadline begins when it is told: it may be late by so much.
fn part_of_the_deadline(world: &World) -> Duration {
    let deadline = world.rollout.spec.progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE_SECONDS_DEFAULT);
    Duration::from_secs(u64::try_from(deadline).unwrap_or_default()) / 10
}

/// How long counts rest while pods are on their way: as long as no condition had changed at the last news, within limits.
fn on_their_way(known: &RolloutStatus) -> Duration {
    let began = last(known, |condition| condition.last_transition_time.as_ref());
    let lasted = last_news(known)
        .zip(began)
        .and_then(|(news, began)| Duration::try_from(news.duration_since(began)).ok());
    lasted.unwrap_or_default().clamp(ON_THEIR_WAY, ON_THEIR_WAY_AT_MOST)
}

/// Whether a ReplicaSet's status is about to change: its controller has a size before it.
fn is_moving(set: &Set) -> bool {
    !set.deleting && (!set.is_observed() || set.status.replicas != set.replicas)
}

/// When counts are news again, if they rest: nothing troubles the pods, and there was news a moment ago.
fn rests_until(world: &World, known: &RolloutStatus, rest: Duration) -> Option<Timestamp> {
    if !world.troubles.is_empty() || world.sets.iter().any(|set| set.status.failure.is_some()) {
        return None;
    }
    let news = last_news(known)?;
    let until = news.checked_add(rest).ok()?;
    (news <= world.now && world.now < until).then_some(until)
}

fn last_news(known: &RolloutStatus) -> Option<Timestamp> {
    last(known, |condition| condition.last_update_time.as_ref())
}

/// The last of these times of all conditions.
fn last(known: &RolloutStatus, time: fn(&RolloutCondition) -> Option<&Time>) -> Option<Timestamp> {
    known.conditions.iter().filter_map(time).map(|time| time.0).max()
}

/// Whether two statuses are the same but for counted pods, and for what is told of an update that goes on: the message, and
/// the reason of a condition that holds as before.
fn counts_only(StatusWrite { from, to }: &StatusWrite) -> bool {
    let counted = RolloutStatus {
        replicas: to.replicas,
        updated_replicas: to.updated_replicas,
        ready_replicas: to.ready_replicas,
        available_replicas: to.available_replicas,
        hpa_replicas: to.hpa_replicas,
        message: to.message.clone(),
        conditions: to.conditions.clone(),
        ..from.clone()
    };
    // A refusal that is over is not told for longer than it lasts.
    counted == *to && hold_as_before(from, to) && !refusal::tells_of_one(from)
}

/// Whether the same conditions hold, in whatever order: the last one changed stands last.
fn hold_as_before(from: &RolloutStatus, to: &RolloutStatus) -> bool {
    let holds = |now: &RolloutCondition| {
        condition::get(from, &now.type_).is_some_and(|known| known.status == now.status)
    };
    from.conditions.len() == to.conditions.len() && to.conditions.iter().all(holds)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::{Value, json};
    use tidegate_api::rollout::{Rollout, RolloutPhase};

    use super::super::world::{SetFailure, SetStatus};
    use super::*;
    use crate::plan::{Move, Notice};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// News of second 100.
    fn known() -> RolloutStatus {
        let mut known = RolloutStatus::default();
        condition::set(
            &mut known,
            condition::new(at(100), "Progressing", "True", "NewReplicaSetCreated", ""),
        );
        condition::set(&mut known, condition::new(at(90), "Healthy", "False", "RolloutHealthy", ""));
        known
    }

    fn one_more() -> RolloutStatus {
        let mut more = RolloutStatus { replicas: 1, available_replicas: 1, ..known() };
        condition::set(&mut more, condition::new(at(101), "Progressing", "True", "ReplicaSetUpdated", ""));
        more
    }

    fn set(replicas: i32, there: i32) -> Set {
        let status = SetStatus { replicas: there, observed_generation: 1, ..SetStatus::default() };
        Set { name: "web-a".to_owned(), replicas, generation: 1, status, ..Set::default() }
    }

    fn world(set: Set, second: i64) -> World {
        World { sets: vec![Arc::new(set)], ..World::of(Rollout::default(), at(second)) }
    }

    fn plan(to: RolloutStatus, because: Because) -> Plan {
        let write = Write::Status(Box::new(StatusWrite { from: known(), to }));
        let status = Planned { write, because: Because::Moves(Move::StatusMoved), notices: Vec::new() };
        Plan { writes: vec![status], because, ..Plan::default() }
    }

    /// Whether the status is written, and why it is not.
    fn told(world: &World, to: RolloutStatus) -> (bool, Because) {
        let plan = without_counts(world, plan(to, Because::Settled));
        (!plan.writes.is_empty(), plan.because)
    }

    #[test]
    fn counts_wait_until_the_pods_are_there() {
        let waits = (false, Because::SizeNotYetSeen { set: "web-a".to_owned() });
        assert!(told(&world(set(1, 1), 101), one_more()).0);
        assert_eq!(told(&world(set(2, 1), 101), one_more()), waits);
        assert!(told(&world(set(2, 1), 160), one_more()).0, "the news is old");
        assert_eq!(told(&world(Set { generation: 2, ..set(1, 1) }, 101), one_more()), waits);
        let worded = RolloutStatus { message: "one".to_owned(), ..one_more() };
        assert_eq!(told(&world(set(2, 1), 101), worded), waits, "the words are about the pods");
        let refusal =
            "more replicas need to be updated: the API server refuses to scale ReplicaSet web-a".to_owned();
        let from = RolloutStatus { message: refusal, ..known() };
        let write = Write::Status(Box::new(StatusWrite { from, to: one_more() }));
        let mended = Plan {
            writes: vec![Planned { write, ..plan(one_more(), Because::Settled).writes[0].clone() }],
            ..Plan::default()
        };
        assert_eq!(without_counts(&world(set(2, 1), 101), mended.clone()), mended, "a refusal that is over");
        let paused = RolloutStatus { phase: Some(RolloutPhase::Paused), ..one_more() };
        assert!(told(&world(set(2, 1), 101), paused).0);
        let mut healthy = one_more();
        condition::set(&mut healthy, condition::new(at(101), "Healthy", "True", "RolloutHealthy", ""));
        assert!(told(&world(set(2, 1), 101), healthy).0, "clients wait for that");
    }

    #[test]
    fn a_short_deadline_hears_of_progress_in_time() {
        let is_told = |deadline: i32, second: i64| {
            let mut world = world(set(2, 1), second);
            Arc::make_mut(&mut world.rollout).spec.progress_deadline_seconds = Some(deadline);
            told(&world, one_more()).0
        };
        assert_eq!([109, 110].map(|second| is_told(100, second)), [false, true]);
        assert_eq!([100, 101].map(|second| is_told(5, second)), [false, true], "half a second");
    }

    #[test]
    fn troubles_are_told_at_once() {
        let mut failed = set(2, 1);
        failed.status.failure = Some(SetFailure::default());
        assert!(told(&world(failed, 101), one_more()).0, "the pods may never come");
        let troubles = BTreeMap::from([("other".to_owned(), "crashes".to_owned())]);
        assert!(told(&World { troubles, ..world(set(2, 1), 101) }, one_more()).0);
    }

    #[test]
    fn what_an_event_tells_is_written_with_it() {
        let mut told = plan(one_more(), Because::Settled);
        told.writes[0].notices = vec![Notice::normal("Told", "told")];
        assert_eq!(without_counts(&world(set(2, 1), 101), told.clone()), told);
    }

    #[test]
    fn counts_rest_for_a_moment_while_pods_are_on_their_way() {
        let pods = |trouble| Because::WaitingForPods { set: "web-a".to_owned(), ready: 1, need: 2, trouble };
        let wakes = |world: &World, because: Because| {
            let plan = without_counts(world, plan(one_more(), because));
            (plan.writes.len(), plan.wake)
        };
        let in_full = (1, None);
        assert_eq!(wakes(&world(set(2, 2), 101), pods(None)), (0, Some(at(105))));
        assert_eq!(wakes(&world(set(2, 2), 105), pods(None)), in_full, "the news is old");
        assert_eq!(wakes(&world(set(2, 2), 99), pods(None)), in_full, "the clock went back");
        assert_eq!(wakes(&world(set(2, 2), 101), Because::Settled), in_full, "nothing is on its way");
        assert_eq!(wakes(&world(set(2, 2), 101), pods(Some("crashes".to_owned()))), in_full);
    }

    #[test]
    fn an_update_without_steps_tells_of_its_pods() {
        let is_told = |stable: &str, to: RolloutStatus, steps: Value| {
            let mut world = world(set(2, 2), 101);
            let canary = serde_json::from_value(json!({"steps": steps})).unwrap();
            Arc::make_mut(&mut world.rollout).spec.strategy.canary = Some(canary);
            let because =
                Because::WaitingForPods { set: "web-a".to_owned(), ready: 1, need: 2, trouble: None };
            let goes_to_v2 = |status: RolloutStatus| RolloutStatus {
                stable_rs: stable.to_owned(),
                current_pod_hash: "v2".to_owned(),
                ..status
            };
            let mut plan = plan(goes_to_v2(to), because);
            let Write::Status(status) = &mut plan.writes[0].write else { panic!() };
            status.from = goes_to_v2(known());
            !without_counts(&world, plan).writes.is_empty()
        };
        let as_many = RolloutStatus { replicas: 0, ..one_more() };
        assert!(is_told("v1", one_more(), json!([])));
        assert!(!is_told("v1", one_more(), json!([{"setWeight": 50}])), "a step tells it");
        assert!(!is_told("v1", as_many, json!([])), "as many as before");
        assert!(!is_told("v2", one_more(), json!([])), "this is no update");
    }
}
