//! What an abort would do now: the plans that follow one another if nobody else acts and no pod starts.
//!
//! Input: a World. Output: the writes in order, each with the time after which it would happen, and where that ends. It
//! is the planner's own word on a World in which the abort was asked for, so it cannot differ from what would be done.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::lint::after;
use crate::plan::{Because, Plan, Write};
use crate::rollout::plan;
use crate::rollout::world::World;

/// Rounds that are looked ahead: an abort takes four to six.
const ROUNDS: usize = 16;
/// How far ahead a plan's own alarm is followed; the delay after an abort is 30 s unless the spec says otherwise.
const HORIZON: SignedDuration = SignedDuration::from_hours(1);

/// What an abort would do now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Why an abort would change nothing; absent when it would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nothing: Option<String>,
    pub writes: Vec<Foreseen>,
    /// What the Rollout would do or wait for then.
    pub then: String,
}

/// One write that would happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Foreseen {
    /// Seconds from now.
    pub after_seconds: i64,
    pub what: String,
    pub because: String,
}

impl Forecast {
    /// Looks ahead.
    #[must_use]
    pub fn of_abort(world: &World) -> Self {
        if let Some(why) = pointless(world) {
            return Self { nothing: Some(why.to_owned()), ..Self::default() };
        }
        let begun = world.now;
        let mut world = aborted(world);
        let mut forecast = Self::default();
        for _ in 0..ROUNDS {
            let round = plan(&world);
            forecast.then = round.because.to_string();
            if matches!(round.because, Because::Unserved { .. } | Because::Deleting) {
                forecast.nothing = Some(round.because.to_string());
                break;
            }
            if round.writes.is_empty() {
                let Some(at) = alarm(&round, &world, begun) else { break };
                world.now = at;
                continue;
            }
            forecast.note(&round, world.now.duration_since(begun).as_secs());
            world = obeyed(after(&world, &round));
        }
        forecast
    }

    /// Notes the writes of a round that anybody but a reader of the status would notice.
    fn note(&mut self, round: &Plan, after_seconds: i64) {
        let writes = round.writes.iter().filter(|planned| !matches!(planned.write, Write::Status(_)));
        self.writes.extend(writes.map(|planned| Foreseen {
            after_seconds,
            what: planned.write.to_string(),
            because: planned.because.to_string(),
        }));
    }
}

/// Why an abort would change nothing.
fn pointless(world: &World) -> Option<&'static str> {
    let status = world.rollout.status.as_ref();
    let stable = status.map_or("", |status| status.stable_rs.as_str());
    if stable.is_empty() {
        return Some("there is no stable revision to go back to");
    }
    if status.is_some_and(|status| status.abort) {
        return Some("it is aborted already");
    }
    (status.is_some_and(|status| status.current_pod_hash == stable)).then_some("no update is under way")
}

/// The World in which somebody has asked for an abort.
fn aborted(world: &World) -> World {
    let mut world = world.clone();
    let status = Arc::make_mut(&mut world.rollout).status.get_or_insert_default();
    status.abort = true;
    status.aborted_at = None;
    world
}

/// When the plan would look again, if that is worth waiting for.
fn alarm(round: &Plan, world: &World, begun: Timestamp) -> Option<Timestamp> {
    let at = round.wake.filter(|at| *at > world.now)?;
    (at.duration_since(begun) <= HORIZON).then_some(at)
}

/// Kubernetes does what needs no luck: it notices sizes, and pods that are not wanted go.
fn obeyed(mut world: World) -> World {
    for set in &mut world.sets {
        let set = Arc::make_mut(set);
        set.status.observed_generation = set.generation;
        set.status.replicas = set.status.replicas.min(set.replicas);
        set.status.ready = set.status.ready.min(set.replicas);
        set.status.available = set.status.available.min(set.replicas);
    }
    world
}
