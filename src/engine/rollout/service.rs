//! The write that points a Service at the pods of one revision, and its Event.
//!
//! Input: the World, a Service and a revision. Output: a write. Whether it may be made is decided elsewhere.

use super::world::World;
use crate::plan::{Because, Move, Notice, Plan, Write};

/// Points a Service at a revision.
pub(super) fn point(world: &World, service: &str, to: &str, plan: &mut Plan) {
    let from = world.services.get(service).and_then(|service| service.hash()).map(str::to_owned);
    let shown = from.as_deref().unwrap_or_default();
    let message = format!("Switched selector for service '{service}' from '{shown}' to '{to}'");
    let write = Write::PointService {
        service: service.to_owned(),
        from,
        to: to.to_owned(),
        rollout: world.rollout.metadata.name.clone().unwrap_or_default(),
    };
    let because = Because::Moves(Move::PointService { service: service.to_owned(), hash: to.to_owned() });
    plan.push_with(write, because, vec![Notice::normal("SwitchService", message)]);
}
