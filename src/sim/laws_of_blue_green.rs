//! Safety of blue-green updates as it is: users reach pods that are there, and these stay.
//!
//! Input: a write that is about to happen, and the true state. Output: what is wrong with it, if anything.

use tidegate_api::rollout::BlueGreenStrategy;
use tidegate_engine::plan::{SetPatch, Write};

use crate::laws::Truth;
use crate::shape::ACTIVE_SERVICE;
#[cfg(test)]
use crate::simulation::Simulation;

/// Endpoints follow a Service within so many seconds; delays shorter than that are the user's own risk.
const SAFE_DELAY: i32 = 25;

impl Truth<'_> {
    /// What is wrong with a write of a blue-green Rollout, if anything.
    pub(crate) fn blue_green(&self, strategy: &BlueGreenStrategy, write: &Write) -> Option<String> {
        if let Write::PatchSet(patch) = write {
            return self.keeps_what_users_reach(strategy, patch);
        }
        if let Write::PointService { service, to, .. } = write
            && service == ACTIVE_SERVICE
        {
            return self.leads_somewhere(to);
        }
        None
    }

    /// Users are led to all pods of a revision; back to the stable one, to any pod or away from nothing.
    fn leads_somewhere(&self, to: &str) -> Option<String> {
        let heard = self.cluster.sets.all_cached().map(|(_, held)| held.since).min().unwrap_or(0);
        let ready =
            |hash: &str| self.pods.ready(self.cluster, hash) + self.pods.lost_since(heard, Some(hash));
        let status = self.world.rollout.status.as_ref();
        let now = self.world.services.get(ACTIVE_SERVICE).and_then(|service| service.hash());
        if now == Some(to) {
            return None; // it gets its mark back, and nobody is moved
        }
        // A Service that somebody made anew leads to everybody until it is pointed; and another template may have come that
        // the status does not speak of yet.
        let wanted = |collisions| self.world.spec.template.hash(collisions);
        let back = status.is_some_and(|status| {
            let updates = status.current_pod_hash != to || wanted(status.collision_count) != to;
            status.stable_rs == to && (updates || now.is_none())
        });
        let need = if back { self.replicas(true).min(1) } else { self.replicas(true) };
        let from_nothing = now.is_some_and(|now| self.pods.ready(self.cluster, now) == 0);
        (ready(to) < need && !(back && from_nothing))
            .then(|| format!("users are led to {to}, which has {} ready pods of {need}", ready(to)))
    }

    fn keeps_what_users_reach(&self, strategy: &BlueGreenStrategy, patch: &SetPatch) -> Option<String> {
        let (_, to) = patch.replicas?;
        let set = self.cluster.sets.object(&patch.name)?;
        let heard = self.cluster.sets.cached(&set.name).map_or(self.cluster.now, |held| held.since);
        let replicas = self.replicas(true);
        if to >= set.replicas.min(replicas) || to >= self.pods.ready_since(self.cluster, set.hash(), heard) {
            return None;
        }
        let selected =
            self.settled_service(ACTIVE_SERVICE).is_some_and(|live| live.hash() == Some(set.hash()));
        if selected {
            return Some(format!("{} goes to {to}, but users reach it", set.name));
        }
        let delays = [strategy.scale_down_delay_seconds, strategy.abort_scale_down_delay_seconds];
        let safe = delays.into_iter().all(|delay| delay.unwrap_or(30) >= SAFE_DELAY);
        let limited = strategy.scale_down_delay_revision_limit.is_some();
        let adopted = self.settled_service(ACTIVE_SERVICE).is_some_and(|live| live.hash().is_some());
        let listed =
            self.cluster.endpoints.object(ACTIVE_SERVICE).map_or(0, |endpoints| endpoints.of(set.hash()));
        let known = self.world.endpoints.get(ACTIVE_SERVICE).is_some_and(|known| known.of(set.hash()) > 0);
        ((safe && !limited || known) && adopted && listed > 0 && (known || self.was_reached(set.hash())))
            .then(|| format!("{} goes to {to}, but {listed} endpoints still lead users to it", set.name))
    }

    /// Whether the controller knows of a time when users reached a revision: a preview that never was active has no delay.
    fn was_reached(&self, hash: &str) -> bool {
        let known = self.world.sets.iter().find(|set| set.hash() == hash);
        known.is_some_and(|set| set.deadline().is_some())
    }
}

/// Requests that users send to the active Service right now, in a world without faults: once it has served some, none may
/// find nobody.
#[cfg(test)]
pub(crate) fn unserved(simulation: &Simulation, has_served: &mut bool) -> Option<String> {
    let cluster = &simulation.cluster;
    cluster.services.object(ACTIVE_SERVICE)?.hash()?;
    let listed = cluster.endpoints.object(ACTIVE_SERVICE)?;
    let served: i32 =
        listed.ready.iter().map(|(hash, listed)| (*listed).min(simulation.pods.ready(cluster, hash))).sum();
    let lost = listed.ready.iter().any(|(hash, listed)| *listed > simulation.pods.ready(cluster, hash));
    *has_served |= served > 0;
    (*has_served && (served == 0 || lost))
        .then(|| format!("users are led to pods that are not there: {listed:?}"))
}
