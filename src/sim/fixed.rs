//! Laws of plans that need no cluster: the same World gives the same plan, and carrying plans out comes to an end.
//!
//! Input: a World and its plan. Output: what is wrong, if anything. Checked on some rounds only, for the time it takes.

use tidegate_engine::lint::{after, lint};
use tidegate_engine::plan::Plan;
use tidegate_engine::rollout;
use tidegate_engine::rollout::world::World;

/// Rounds between two checks.
const EVERY: u32 = 16;
/// Rounds that may follow each other with nothing but our own writes happening, besides two for each step.
const ROUNDS: usize = 12;

/// What is wrong with a plan, if anything.
pub(crate) fn objection(world: &World, plan: &Plan, round: u32) -> Option<String> {
    if !round.is_multiple_of(EVERY) {
        return None;
    }
    if rollout::plan(world) != *plan {
        return Some("the same World gave another plan".to_owned());
    }
    let steps = world.rollout.spec.strategy.canary.as_ref().map_or(0, |canary| canary.steps.len());
    let mut world = after(world, plan);
    let mut last = None;
    for _ in 0..ROUNDS + 2 * steps {
        let plan = rollout::plan(&world);
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
