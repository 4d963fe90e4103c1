//! Restarts: pods that were created before `spec.restartAt` are evicted, a few at a time, and Kubernetes replaces them.
//!
//! Input: facts and the pods of the World. Output: how far the restart is, and evictions. A round that changes anything
//! else evicts nobody, so that a disruption budget that says no never holds an update up; and a pod that is not ready
//! costs nothing, so that a revision that crashes can be restarted.

use jiff::{SignedDuration, Timestamp};
use tidegate_api::rollout::{Rollout, RolloutStatus};

use super::condition::time;
use super::core::{Core, kept};
use super::replicas::total;
use super::world::{Pod, Set, World};
use super::{dynamic, revision};
use crate::fence::Fence;
use crate::plan::{Because, Plan, Planned, Reference, Write};

/// How long until pods whose eviction may have been refused are tried again; upstream's interval.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Most evictions in one plan: each is a request, and the next round brings the next ones.
const AT_ONCE: usize = 20;

/// How far a restart is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Nobody asks for one, or it is done already.
    NotAsked,
    /// It begins at this time.
    Later { at: Timestamp },
    /// `left` pods are older than `at`; those named, with their uids, may go now.
    Running { at: Timestamp, left: usize, evict: Vec<(String, String)>, again: Option<Timestamp> },
    /// No pod is older.
    Done { at: Timestamp },
}

/// The time of a restart that is asked for and not done. Kubernetes keeps whole seconds, a user may write fractions.
pub(crate) fn asked(rollout: &Rollout, status: &RolloutStatus) -> Option<Timestamp> {
    let at = time(rollout.spec.restart_at.as_ref()?.0).0;
    let done = status.restarted_at.as_ref().map(|done| time(done.0).0);
    (done != Some(at)).then_some(at)
}

/// Whether a ReplicaSet still counts pods as available that a restart has sent away: no size may be changed on that. It
/// lasts until Kubernetes has looked again, also when a new template has ended the restart meanwhile.
pub(crate) fn counts_evicted(facts: &Core<'_>) -> bool {
    counting(facts).is_some()
}

/// The wait for a ReplicaSet that counts such pods.
pub(crate) fn leaving(facts: &Core<'_>) -> Option<Because> {
    let set = counting(facts)?;
    Some(Because::PodsLeaving { set: set.name.clone(), pods: kept(set) - available(facts, set) })
}

/// The pods of a ReplicaSet that a Service may be pointed at: those that are available and that no restart has sent away.
pub(crate) fn staying(facts: &Core<'_>, set: &Set) -> i32 {
    if may_have_begun(facts.world) { available(facts, set) } else { kept(set) }
}

/// Ready pods of a ReplicaSet that no restart has sent away.
pub(crate) fn ready(world: &World, set: &Set) -> i32 {
    let told = set.status.ready.min(set.replicas);
    seen_ready(world, set).map_or(told, |seen| told.min(seen))
}

/// Ready pods of a ReplicaSet that are seen themselves; nothing while no restart can have sent any away.
pub(crate) fn seen_ready(world: &World, set: &Set) -> Option<i32> {
    let ready = || world.pods_of(set).filter(|pod| pod.ready_since.is_some()).count();
    may_have_begun(world).then(|| i32::try_from(ready()).unwrap_or(i32::MAX))
}

/// Whether an abort would count on stable pods that may be gone. In blue-green, and where the stable revision follows the
/// traffic, their number counts: that of a ReplicaSet, or a pod, that has been written to may be another by now. Else one is
/// enough that no restart can have sent away since.
pub(crate) fn rests_on_unseen(world: &World, fence: &Fence) -> bool {
    let strategy = &world.rollout.spec.strategy;
    let counts_sizes = strategy.blue_green.is_some() || strategy.canary.as_ref().is_some_and(dynamic::is_on);
    let hash = world.rollout.status.as_ref().map_or("", |status| status.stable_rs.as_str());
    let mut stable = revision::owned(world).into_iter().filter(|set| set.hash() == hash);
    let is_unseen = |pod: &Pod| fence.waits_for(&Reference::new("v1", "Pod", &pod.name));
    stable.any(|set| {
        if counts_sizes {
            let mut pods = world.pods.iter().filter(|pod| pod.set == set.name);
            return fence.waits_for(&Reference::new("apps/v1", "ReplicaSet", &set.name))
                || pods.any(|pod| is_unseen(pod));
        }
        let mut ready = world.pods_of(set).filter(|pod| pod.ready_since.is_some()).peekable();
        may_have_begun(world) && ready.peek().is_some() && ready.all(is_unseen)
    })
}

/// The first ReplicaSet that counts such pods.
fn counting<'w>(facts: &Core<'w>) -> Option<&'w Set> {
    facts.all.iter().copied().find(|set| may_have_begun(facts.world) && !is_counted(facts, set))
}

/// Whether a restart may have sent pods away: now, or before somebody put its time off.
fn may_have_begun(world: &World) -> bool {
    world.rollout.spec.restart_at.is_some()
}

/// Whether a ReplicaSet's status counts no pod as available that is not.
fn is_counted(facts: &Core<'_>, set: &Set) -> bool {
    available(facts, set) >= kept(set)
}

/// Looks how far the restart is. `quiet` says that no abort has traffic to move, `serving` names the Services that users
/// reach.
pub(crate) fn look(facts: &Core<'_>, serving: &[&str], quiet: bool) -> Restart {
    let Some(at) = asked(facts.rollout, facts.status) else { return Restart::NotAsked };
    if facts.now < at {
        return Restart::Later { at };
    }
    let sets = in_order(facts);
    let left: usize = sets.iter().map(|set| old(facts, set, at).count()).sum();
    if left == 0 && sets.iter().all(|set| all_seen(facts, set) && is_counted(facts, set)) {
        return Restart::Done { at };
    }
    // A pod that its own cache does not show ready yet may serve already, and would not be free to go.
    let is_known = sets.iter().all(|set| is_counted(facts, set));
    let evict = if quiet && is_known { candidates(facts, &sets, serving, at) } else { Vec::new() };
    let again =
        if evict.is_empty() { next_available(facts, &sets) } else { facts.now.checked_add(AGAIN).ok() };
    Restart::Running { at, left, evict, again }
}

impl Restart {
    /// What the restart is doing or waiting for.
    pub(crate) fn because(&self) -> Option<Because> {
        match self {
            Self::NotAsked | Self::Done { .. } => None,
            Self::Later { at } => Some(Because::RestartLater { at: *at }),
            Self::Running { at, left, .. } => Some(Because::Restarting { at: *at, left: *left }),
        }
    }

    /// Whether pods may go now.
    pub(crate) fn evicts(&self) -> bool {
        matches!(self, Self::Running { evict, .. } if !evict.is_empty())
    }

    /// Wakes the Rollout when there is something to do, and adds the evictions to a plan that changes nothing else.
    pub(crate) fn write(self, facts: &Core<'_>, plan: &mut Plan) {
        let because = self.because();
        if counts_evicted(facts) {
            // No size is decided now: what a round without these pods would have been woken for still comes.
            let deadlines = facts.all.iter().filter_map(|set| set.deadline()).filter(|at| *at > facts.now);
            deadlines.chain(next_available(facts, &facts.all)).for_each(|at| plan.wake_at(at));
        }
        match self {
            Self::NotAsked | Self::Done { .. } => {}
            Self::Later { at } => plan.wake_at(at),
            Self::Running { evict, again, .. } => {
                if let Some(again) = again {
                    plan.wake_at(again);
                }
                if moves(facts, plan) {
                    return;
                }
                let because = because.unwrap_or_default();
                let evictions = evict.into_iter().map(|(name, uid)| Planned {
                    write: Write::RestartPod { name, uid },
                    because: because.clone(),
                    notices: Vec::new(),
                });
                plan.writes.splice(0..0, evictions);
            }
        }
    }
}

/// Whether a plan changes more than what the status says of pods: then the next round looks again.
fn moves(facts: &Core<'_>, plan: &Plan) -> bool {
    plan.writes.iter().any(|planned| {
        let Write::Status(status) = &planned.write else { return true };
        status.to.current_step_index != facts.status.current_step_index
            || status.to.stable_rs != facts.status.stable_rs
            || status.to.abort != facts.status.abort
            || status.to.pause_conditions != facts.status.pause_conditions
    })
}

/// The stable revision first, then the new one, then the others, oldest first: upstream's order.
fn in_order<'w>(facts: &Core<'w>) -> Vec<&'w Set> {
    let new = facts.new.filter(|new| facts.stable.is_none_or(|stable| stable.name != new.name));
    facts.stable.into_iter().chain(new).chain(facts.others.iter().copied()).collect()
}

fn old<'w>(facts: &Core<'w>, set: &Set, at: Timestamp) -> impl Iterator<Item = &'w Pod> {
    facts.world.pods_of(set).filter(move |pod| pod.created < at)
}

/// Whether as many pods are seen as the ReplicaSet says it has: a late cache must not look like the end.
fn all_seen(facts: &Core<'_>, set: &Set) -> bool {
    seen(facts, set) >= set.status.replicas
}

/// Pods of a ReplicaSet that are seen themselves.
fn seen(facts: &Core<'_>, set: &Set) -> i32 {
    i32::try_from(facts.world.pods_of(set).count()).unwrap_or(i32::MAX)
}

/// Available pods by what the ReplicaSet says and by what its pods say: the fewer of the two.
fn available(facts: &Core<'_>, set: &Set) -> i32 {
    let seen = facts
        .world
        .pods_of(set)
        .filter(|pod| pod.available_at(set).is_some_and(|at| at <= facts.now))
        .count();
    kept(set).min(i32::try_from(seen).unwrap_or(i32::MAX))
}

/// When the next pod becomes available, which no change of a pod will tell.
fn next_available(facts: &Core<'_>, sets: &[&Set]) -> Option<Timestamp> {
    let times =
        sets.iter().flat_map(|set| facts.world.pods_of(set).filter_map(move |pod| pod.available_at(set)));
    times.filter(|at| *at > facts.now).min()
}

/// The pods that may go now.
fn candidates(facts: &Core<'_>, sets: &[&Set], serving: &[&str], at: Timestamp) -> Vec<(String, String)> {
    let specified = total(facts.all.iter().map(|set| set.replicas)).max(facts.replicas);
    let available = total(facts.all.iter().map(|set| available(facts, set)));
    let mut budget = available - (specified - facts.limits.unavailable.max(1));
    let mut evict = Vec::new();
    for set in sets.iter().filter(|set| has_its_size(facts, set)) {
        let mut spare = spare(facts, set, serving);
        let mut old: Vec<&Pod> = old(facts, set, at).collect();
        // Those that serve nobody first, then the oldest.
        old.sort_by(|a, b| {
            let key = |pod: &Pod| (pod.ready_since.is_some(), pod.created);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        for pod in old {
            if pod.ready_since.is_some() {
                if budget <= 0 || spare <= 0 {
                    continue;
                }
                budget -= 1;
                spare -= 1;
            }
            evict.push((pod.name.clone(), pod.uid.clone()));
        }
    }
    evict.truncate(AT_ONCE);
    evict
}

/// Whether Kubernetes has brought about the size of a ReplicaSet: of pods that it is taking away nobody knows which ones
/// stay, and they need no restart.
fn has_its_size(facts: &Core<'_>, set: &Set) -> bool {
    set.is_observed() && set.status.replicas.max(seen(facts, set)) <= set.replicas
}

/// Ready pods that a revision can do without: the last endpoint of a Service that carries weight stays. A Rollout of
/// one replica has no other, and asked for it.
fn spare(facts: &Core<'_>, set: &Set, serving: &[&str]) -> i32 {
    let hash = set.hash();
    let serving = serving.iter().filter(|service| {
        facts.world.services.get(**service).is_some_and(|known| known.hash() == Some(hash))
    });
    match serving.map(|service| facts.endpoints(service, hash)).min() {
        Some(_) if facts.replicas <= 1 => i32::MAX,
        Some(endpoints) => {
            // Pods and endpoints may still be shown that their ReplicaSet has taken away.
            endpoints.min(ready(facts.world, set)) - 1
        }
        None => i32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;
    use crate::rollout::{plan, urgent};

    #[test]
    fn an_abort_does_not_hurry_on_stable_pods_that_may_be_gone() {
        for name in ["dynamic_aborted_pod_by_pod", "blue_green_abort_after_the_switch"] {
            let case = cases::folders("rollout").into_iter().find(|path| path.ends_with(name));
            let world = cases::world(&case.unwrap().join("world.yaml"));
            let mut fence = Fence::default();
            let hurried = urgent(&world, &fence, plan).map(|first| first.write);
            assert!(matches!(hurried, Some(Write::Route(_) | Write::PointService { .. })), "{hurried:?}");
            fence.wrote(Reference::new("apps/v1", "ReplicaSet", "shop-v1"), "9", world.now);
            assert_eq!(urgent(&world, &fence, plan), None, "{name}");
        }
    }
}
