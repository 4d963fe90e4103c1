//! Laws of plans that need no cluster: the same World gives the same plan, and carrying plans out comes to an end.
//!
//! Input: a World, its plan, and the planner. Output: what is wrong, if anything. Checked on some rounds only, for the
//! time it takes.

use tidegate_engine::lint::{after, lint};
use tidegate_engine::plan::Plan;
use tidegate_engine::rollout::world::World;

/// Rounds between two checks.
pub(crate) const EVERY: u32 = 16;
/// Rounds that may follow each other with nothing but our own writes happening, besides two for each step.
const ROUNDS: usize = 12;

/// What is wrong with a plan, if anything.
pub(crate) fn objection(world: &World, plan: &Plan, planner: impl Fn(&World) -> Plan) -> Option<String> {
    if planner(world) != *plan {
        return Some("the same World gave another plan".to_owned());
    }
    let steps = world.rollout.spec.strategy.canary.as_ref().map_or(0, |canary| canary.steps.len());
    let mut world = after(world, plan);
    let mut last = None;
    for _ in 0..ROUNDS + 2 * steps {
        let plan = planner(&world);
        if plan.writes.is_empty() {
            return None;
        }
        if let Some(breach) = lint(&world, &plan).first() {
            return Some(format!("lint, on the result of the plan: {breach}"));
        }
        world = after(&world, &plan);
        last = plan.writes.into_iter().next();
    }
    Some(
        format!("plans follow each other without end; the last one begins with {last:?}")
            .chars()
            .take(600)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;
    use tidegate_engine::plan::{Because, Move, Planned, Write};
    use tidegate_engine::rollout::plan;
    use tidegate_engine::rollout::world::{Parsed, SetStatus};

    use super::*;
    use crate::cluster::time;
    use crate::shape;

    fn world() -> World {
        let rollout = shape::rollout(json!({ "replicas": 2, "strategy": { "canary": {} } }), "v1");
        World {
            now: time(0),
            spec: Arc::new(Parsed::new(&rollout)),
            rollout: Arc::new(rollout),
            sets: Vec::new(),
            pods: Vec::new(),
            services: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            routes: BTreeMap::new(),
            unread: Default::default(),
            runs: Vec::new(),
            foreign_runs: Default::default(),
            experiments: Default::default(),
            templates: BTreeMap::new(),
            troubles: BTreeMap::new(),
            digests: BTreeMap::new(),
            holds: false,
            workload: None,
        }
    }

    /// A planner that writes another annotation in each round.
    fn restless(count: &Cell<u32>) -> Plan {
        count.set(count.get() + 1);
        let annotations = BTreeMap::from([("round".to_owned(), count.get().to_string())]);
        let write = Write::AnnotateRollout { annotations };
        let because = Because::Moves(Move::Bookkeeping);
        Plan { writes: vec![Planned { write, because, notices: Vec::new() }], ..Plan::default() }
    }

    /// What Kubernetes' controllers would do, at once.
    fn brought_about(mut world: World) -> World {
        for set in &mut world.sets {
            let set = Arc::make_mut(set);
            let (replicas, observed_generation) = (set.replicas, set.generation);
            set.status = SetStatus {
                observed_generation,
                replicas,
                ready: replicas,
                available: replicas,
                failure: None,
            };
        }
        world
    }

    #[test]
    fn the_largest_replica_count_panics_nobody() {
        let mut world = world();
        for image in ["v1", "v2", "v3"] {
            let spec =
                json!({ "replicas": i32::MAX, "strategy": { "canary": { "steps": [{ "setWeight": 50 }] } } });
            let mut rollout = shape::rollout(spec, image);
            rollout.status.clone_from(&world.rollout.status);
            world.spec = Arc::new(Parsed::new(&rollout));
            world.rollout = Arc::new(rollout);
            for _ in 0..12 {
                let plan = plan(&world);
                drop(lint(&world, &plan));
                world = brought_about(after(&world, &plan));
            }
        }
        assert!(world.sets.iter().any(|set| set.replicas > i32::MAX / 2), "{:?}", world.sets);
    }

    #[test]
    fn the_planner_is_deterministic_and_comes_to_an_end() {
        let world = world();
        assert_eq!(objection(&world, &plan(&world), plan), None);
    }

    #[test]
    fn a_planner_that_answers_differently_is_noticed() {
        let count = Cell::new(0);
        let first = restless(&count);
        let why = objection(&world(), &first, |_| restless(&count));
        assert_eq!(why.as_deref(), Some("the same World gave another plan"));
    }

    #[test]
    fn a_planner_without_end_is_noticed() {
        let generation = |world: &World| {
            let annotations = world.rollout.metadata.annotations.clone().unwrap_or_default();
            let count = Cell::new(annotations.get("round").and_then(|text| text.parse().ok()).unwrap_or(0));
            restless(&count)
        };
        let why = objection(&world(), &generation(&world()), generation).unwrap_or_default();
        assert!(why.starts_with("plans follow each other without end"), "{why}");
    }
}
