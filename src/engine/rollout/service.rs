//! A Service: who answers for it, and the write that points it at the pods of one revision, with its Event.
//!
//! Input: the World, a Service and a revision. Output: numbers, or a write. Whether it may be made is decided elsewhere.

use super::revision;
use super::world::World;
use crate::plan::{Because, Move, Notice, Plan, Write};

/// Ready endpoints of a Service, by the hash of their revision. Of a Rollout without replicas only its own pods count, on
/// their way out: nobody will ever stand behind the stable Service for those of somebody else.
pub(super) fn answering<'w>(world: &'w World, service: &str) -> impl Iterator<Item = (&'w str, i32)> {
    let is_empty = world.rollout.spec.replicas.is_some_and(|replicas| replicas <= 0);
    let own = is_empty.then(|| revision::owned(world));
    let ready = world.endpoints.get(service).into_iter().flat_map(|endpoints| &endpoints.ready);
    let ready = ready.map(|(hash, ready)| (hash.as_str(), *ready));
    ready.filter(move |(hash, _)| own.as_ref().is_none_or(|own| own.iter().any(|set| set.hash() == *hash)))
}

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
