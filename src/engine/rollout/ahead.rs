//! What costs requests and changes nothing: rounds that are decided together and written as one, and what passes at once.
//!
//! Input: a World and the decision of one round. Output: one plan.
//!
//! - When a step is done, the next one is a pause, and the conditions follow it: three rounds, of which each sees only what
//!   the one before it wrote. The status is written under the version that was read, so nobody can have come in between. A
//!   pause costs one request instead of three, and its end one instead of two.
//! - A new ReplicaSet is created with the size that the round after it would give it.
//! - Counted pods that are about to change are not written, see [`passing`](super::passing).

use std::sync::Arc;

use super::passing;
use super::world::World;
use crate::lint::{after, patched};
use crate::plan::{Plan, Planned, StatusWrite, Write};

/// Rounds that are decided together, at most.
const ROUNDS: usize = 4;

/// The decision of a round, with those that follow from it alone. Each write takes at most one step.
pub(super) fn ahead(world: &World, round: impl Fn(&World) -> Plan) -> Plan {
    let plan = with_first_size(world, round(world), &round);
    passing::without_counts(world, with_next_status(world, plan, round))
}

/// The decision together with the rounds after it that change nothing but the status.
fn with_next_status(world: &World, mut plan: Plan, round: impl Fn(&World) -> Plan) -> Plan {
    let mut after: Option<World> = None;
    for _ in 1..ROUNDS {
        let Some(status) = only_status(&plan) else { break };
        // What comes after an abort is decided on a status that does not know of it any more.
        if status.from.abort && !status.to.abort {
            break;
        }
        let after = after.get_or_insert_with(|| world.clone());
        Arc::make_mut(&mut after.rollout).status = Some(status.to.clone());
        let next = round(after);
        let Some(more) = only_status(&next) else { break };
        if more.to.current_step_index != status.to.current_step_index || more.to == status.from {
            break;
        }
        plan = joined(plan, next);
    }
    plan
}

/// A new ReplicaSet comes with its first size, where the round after it does nothing before giving it one.
fn with_first_size(world: &World, mut plan: Plan, round: impl Fn(&World) -> Plan) -> Plan {
    let Some(created) = created(&plan) else { return plan };
    let next = round(&after(world, &plan)).writes.into_iter().next();
    let Some(Planned { write: Write::PatchSet(patch), notices, .. }) = next else { return plan };
    let (Some((0, _)), None, None) = (patch.replicas, patch.min_ready_seconds, &patch.template) else {
        return plan;
    };
    if let Write::CreateSet(set) = &mut plan.writes[created].write
        && set.name == patch.name
    {
        patched(set, &patch);
        // As before: after what the status tells of the update.
        if let Some(last) = plan.writes.last_mut() {
            last.notices.extend(notices);
        }
    }
    plan
}

/// Where a plan creates a ReplicaSet.
fn created(plan: &Plan) -> Option<usize> {
    plan.writes.iter().position(|planned| matches!(planned.write, Write::CreateSet(_)))
}

/// The status, when a plan writes nothing else.
fn only_status(plan: &Plan) -> Option<&StatusWrite> {
    let [only] = plan.writes.as_slice() else { return None };
    if let Write::Status(status) = &only.write { Some(status) } else { None }
}

/// Two plans of a status each as one, which tells what both would have told.
fn joined(first: Plan, mut second: Plan) -> Plan {
    for (before, after) in first.writes.into_iter().zip(&mut second.writes) {
        if let (Write::Status(from), Write::Status(to)) = (before.write, &mut after.write) {
            to.from = from.from;
            after.because = before.because;
            after.notices.splice(0..0, before.notices);
        }
    }
    second
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use tidegate_api::rollout::{Rollout, RolloutStatus};

    use super::super::world::{Set, SetStatus};
    use super::*;
    use crate::plan::{Because, Move, Notice, SetPatch};

    fn status(index: i32, message: &str) -> RolloutStatus {
        RolloutStatus {
            current_step_index: Some(index),
            message: message.to_owned(),
            ..RolloutStatus::default()
        }
    }

    fn writes(from: &RolloutStatus, to: RolloutStatus) -> Planned {
        let notices = vec![Notice::normal("Told", to.message.clone())];
        let write = Write::Status(Box::new(StatusWrite { from: from.clone(), to }));
        Planned { write, because: Because::Moves(Move::StatusMoved), notices }
    }

    fn world() -> World {
        let rollout = Rollout { status: Some(status(0, "zero")), ..Rollout::default() };
        World::of(rollout, Timestamp::UNIX_EPOCH)
    }

    /// A round that leads from each message to the next one.
    fn walk(path: &'static [(i32, &'static str)], rounds: &Cell<usize>) -> impl Fn(&World) -> Plan {
        move |world: &World| {
            rounds.set(rounds.get() + 1);
            let now = world.rollout.status.clone().unwrap();
            let at = path.iter().position(|(_, message)| *message == now.message).unwrap();
            let next = path.get(at + 1).map(|(index, message)| writes(&now, status(*index, message)));
            Plan { writes: next.into_iter().collect(), ..Plan::default() }
        }
    }

    fn end(path: &'static [(i32, &'static str)]) -> (String, Vec<String>, usize) {
        let rounds = Cell::new(0);
        let plan = ahead(&world(), walk(path, &rounds));
        let status = only_status(&plan).unwrap();
        assert_eq!(status.from.message, "zero");
        let told = plan.writes[0].notices.iter().map(|notice| notice.message.clone()).collect();
        (status.to.message.clone(), told, rounds.get())
    }

    #[test]
    fn what_follows_from_a_status_alone_is_written_with_it() {
        let (message, told, rounds) = end(&[(0, "zero"), (1, "done"), (1, "paused"), (1, "noticed")]);
        assert_eq!((message.as_str(), rounds), ("noticed", 4));
        assert_eq!(told, ["done", "paused", "noticed"]);
    }

    #[test]
    fn each_write_takes_one_step() {
        let (message, told, _) = end(&[(0, "zero"), (1, "one"), (2, "two")]);
        assert_eq!((message.as_str(), told), ("one", vec!["one".to_owned()]));
    }

    #[test]
    fn a_status_that_never_rests_is_written_all_the_same() {
        let (message, _, rounds) = end(&[(0, "zero"), (0, "a"), (0, "b"), (0, "c"), (0, "d"), (0, "e")]);
        assert_eq!((message.as_str(), rounds), ("d", 4));
    }

    fn set(replicas: i32, there: i32) -> Set {
        let status = SetStatus { replicas: there, observed_generation: 1, ..SetStatus::default() };
        Set { name: "web-a".to_owned(), replicas, generation: 1, status, ..Set::default() }
    }

    fn resize(set: &Set, to: i32) -> Planned {
        let replicas = Some((set.replicas, to));
        let annotations = BTreeMap::from([("size".to_owned(), Some("noted".to_owned()))]);
        let patch = SetPatch { name: set.name.clone(), replicas, annotations, ..SetPatch::default() };
        let notices = vec![Notice::normal("Told", "scaled")];
        Planned { write: Write::PatchSet(patch), because: Because::Moves(Move::Bookkeeping), notices }
    }

    #[test]
    fn a_replica_set_comes_with_the_size_that_it_would_get_next() {
        let create = |world: &World| {
            let now = world.rollout.status.clone().unwrap();
            let Some(known) = world.sets.first() else {
                let create = Write::CreateSet(Box::new(set(0, 0)));
                let create = Planned {
                    write: create,
                    because: Because::Moves(Move::Bookkeeping),
                    notices: Vec::new(),
                };
                return Plan { writes: vec![create, writes(&now, status(0, "begun"))], ..Plan::default() };
            };
            assert_eq!(now.message, "begun", "the size is that for what the status says then");
            Plan { writes: vec![resize(known, 3)], ..Plan::default() }
        };
        let plan = ahead(&world(), create);
        let Write::CreateSet(created) = &plan.writes[0].write else { panic!("{plan:?}") };
        let size = created.annotations.get("size").map(String::as_str);
        assert_eq!((created.replicas, size), (3, Some("noted")));
        let told: Vec<&str> = plan.writes[1].notices.iter().map(|notice| notice.message.as_str()).collect();
        assert_eq!((plan.writes.len(), told), (2, vec!["begun", "scaled"]));
    }

    #[test]
    fn a_replica_set_comes_empty_where_something_else_comes_first() {
        let create = |world: &World| {
            let first = world.sets.first().map(|known| {
                let run = Write::DeleteRun { name: "r".to_owned() };
                let run =
                    Planned { write: run, because: Because::Moves(Move::Bookkeeping), notices: Vec::new() };
                vec![run, resize(known, 3)]
            });
            let create = Write::CreateSet(Box::new(set(0, 0)));
            let create =
                Planned { write: create, because: Because::Moves(Move::Bookkeeping), notices: Vec::new() };
            Plan { writes: first.unwrap_or_else(|| vec![create]), ..Plan::default() }
        };
        let plan = ahead(&world(), create);
        let Write::CreateSet(created) = &plan.writes[0].write else { panic!("{plan:?}") };
        assert_eq!((created.replicas, plan.writes.len()), (0, 1));
    }

    #[test]
    fn other_writes_wait_until_the_status_is_seen() {
        let round = |world: &World| {
            let now = world.rollout.status.clone().unwrap();
            let delete = Write::DeleteRun { name: "r".to_owned() };
            let delete =
                Planned { write: delete, because: Because::Moves(Move::Bookkeeping), notices: Vec::new() };
            let moved = writes(&now, status(0, "moved"));
            let writes = if now.message == "zero" { vec![moved] } else { vec![delete, moved] };
            Plan { writes, ..Plan::default() }
        };
        let plan = ahead(&world(), round);
        assert_eq!(plan.writes.len(), 1);
        assert_eq!(only_status(&plan).unwrap().to.message, "moved");
    }
}
