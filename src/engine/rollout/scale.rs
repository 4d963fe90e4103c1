//! How ReplicaSets reach their sizes: stable first, then new, then the others; the first that changes ends the round.
//!
//! Input: facts and the traffic of this round. Output: at most one change of size, deadlines, and the history that
//! is no longer kept. Capacity that a weighted Service still uses is never removed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_api::valid::AbortDelay;

use super::condition::time;
use super::core::{Core, kept};
use super::facts::{Facts, size};
use super::pause;
use super::step;
use super::traffic;
use super::world::{DESIRED_REPLICAS, SCALE_DOWN_DEADLINE, Set};
use super::{dynamic, replicas, restart};
use crate::plan::{Because, Move, Notice, Plan, SetPatch, Write};

/// Whether sizes must not be touched: somebody paused the Rollout, or has to judge an inconclusive analysis.
pub(crate) fn halted(facts: &Facts<'_>) -> bool {
    facts.rollout.spec.paused || pause::is_undecided(facts.status)
}

/// Sizes the ReplicaSets; true when one was resized, so that the rest of the round waits for it.
pub(crate) fn scale(facts: &Facts<'_>, aborted: bool, plan: &mut Plan) -> bool {
    if halted(facts) || restart::counts_evicted(facts) {
        return false;
    }
    let delay = abort_delay(facts, aborted);
    clear_deadlines(facts, delay, plan);
    scale_stable(facts, aborted, plan) || scale_new(facts, aborted, delay, plan) || scale_others(facts, plan)
}

/// How the new ReplicaSet is kept after an abort; without an abort it follows its formula.
fn abort_delay(facts: &Facts<'_>, aborted: bool) -> AbortDelay {
    if !aborted || !facts.routed() || facts.distinct_stable().is_none() {
        return AbortDelay::None;
    }
    facts.canary.abort_delay()
}

/// A ReplicaSet that is in use again loses its deadline.
fn clear_deadlines(facts: &Facts<'_>, delay: AbortDelay, plan: &mut Plan) {
    let new = facts.new.filter(|_| delay == AbortDelay::None);
    let stable = facts.distinct_stable().or(facts.stable.filter(|_| delay == AbortDelay::None));
    let mut seen = None;
    for set in [new, stable].into_iter().flatten().filter(|set| set.has_deadline()) {
        if seen == Some(&set.name) {
            continue;
        }
        seen = Some(&set.name);
        annotate(plan, set, SCALE_DOWN_DEADLINE, None, Because::Moves(Move::Bookkeeping));
    }
}

pub(super) fn annotate(plan: &mut Plan, set: &Set, key: &str, value: Option<String>, because: Because) {
    let annotations = BTreeMap::from([(key.to_owned(), value)]);
    plan.push(
        Write::PatchSet(SetPatch { name: set.name.clone(), annotations, ..SetPatch::default() }),
        because,
    );
}

/// Without a router both counts come from one formula, so that they never add up to more than the surge.
fn basic_counts(facts: &Facts<'_>, aborted: bool) -> replicas::Counts {
    let want = step::desired_counts(facts, aborted);
    let all = replicas::total(facts.all.iter().map(|set| set.replicas));
    let others = replicas::total(facts.others.iter().map(|set| set.replicas));
    replicas::next(facts.limits, want, facts.new.map(size), facts.distinct_stable().map(size), all, others)
}

fn scale_stable(facts: &Facts<'_>, aborted: bool, plan: &mut Plan) -> bool {
    let Some(stable) = facts.distinct_stable() else { return false };
    // An abort brings the stable pods back before anything else.
    if patches_of(plan, &stable.name).any(|patch| patch.replicas.is_some()) {
        return true;
    }
    let want = if facts.routed() {
        let want = step::desired_counts(facts, aborted).stable;
        if facts.canary.is_dynamic() { want.max(stable.replicas.min(dynamic::floor(facts))) } else { want }
    } else {
        basic_counts(facts, aborted).stable
    };
    resize(facts, stable, want, plan)
}

fn scale_new(facts: &Facts<'_>, aborted: bool, delay: AbortDelay, plan: &mut Plan) -> bool {
    let Some(new) = facts.new else { return false };
    let want = match delay {
        AbortDelay::Forever => new.replicas,
        AbortDelay::Seconds { seconds, .. } => after_abort(facts, new, seconds, plan),
        AbortDelay::None if facts.routed() => step::desired_counts(facts, aborted).new,
        AbortDelay::None => basic_counts(facts, aborted).new,
    };
    resize(facts, new, want, plan)
}

/// The size of the new ReplicaSet after an abort: as it is until the stable revision is complete and the delay is over.
/// Where no replicas are wanted nobody waits for a stable revision that may never be ready.
fn after_abort(facts: &Facts<'_>, new: &Set, seconds: i32, plan: &mut Plan) -> i32 {
    let stable = facts.stable.map_or(0, |set| set.status.available);
    let (_, weight) = facts.in_effect();
    if new.replicas == 0 || facts.replicas > 0 && (stable < facts.replicas || weight > 0) {
        return new.replicas;
    }
    match deadline(facts, new, seconds, plan) {
        Deadline::Passed => 0,
        Deadline::Running => new.replicas,
    }
}

#[derive(PartialEq, Eq)]
pub(super) enum Deadline {
    Running,
    Passed,
}

/// Starts or reads the scale-down deadline of a ReplicaSet.
pub(super) fn deadline(facts: &Core<'_>, set: &Set, seconds: i32, plan: &mut Plan) -> Deadline {
    match set.deadline() {
        Some(until) if facts.now >= until => Deadline::Passed,
        Some(until) => {
            plan.wake_at(until);
            Deadline::Running
        }
        None => {
            let until = whole(
                facts.now.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(facts.now),
            );
            let because = Because::ScaleDownDelay { set: set.name.clone(), until };
            annotate(plan, set, SCALE_DOWN_DEADLINE, Some(until.to_string()), because);
            plan.wake_at(until);
            Deadline::Running
        }
    }
}

/// Until when a ReplicaSet stays for its delay, where that delay still counts: then the plan looks again at its end.
pub(super) fn kept_until(facts: &Core<'_>, set: &Set, plan: &Plan) -> Option<Timestamp> {
    let until = set.deadline().filter(|until| *until > facts.now)?;
    plan.wake.is_some_and(|wake| wake <= until).then_some(until)
}

fn whole(at: Timestamp) -> Timestamp {
    time(at).0
}

/// Scales ReplicaSets that are neither new nor stable: their unavailable pods first, then within the budget.
fn scale_others(facts: &Facts<'_>, plan: &mut Plan) -> bool {
    for set in &facts.others {
        // Behind a router a pod serves as soon as it is ready, so it is not cut for its minReadySeconds.
        let serving =
            if facts.routed() { set.status.ready.max(set.status.available) } else { set.status.available };
        if set.replicas > serving && resize(facts, set, serving, plan) {
            return true;
        }
    }
    // Pods above the size in the spec are on their way out, whatever a late status says.
    let available = replicas::total(facts.all.iter().map(|set| kept(set)));
    let budget = available - (facts.replicas - facts.limits.unavailable);
    if budget <= 0 {
        return false;
    }
    if facts.routed() { retire(facts, plan) } else { drain(facts, budget, plan) }
}

/// Others that have pods, newest revision first: one that was gone back to has a new number.
fn newest_first<'w>(facts: &Facts<'w>) -> Vec<&'w Set> {
    let mut sets: Vec<&Set> = facts.others.iter().rev().copied().filter(|set| set.replicas > 0).collect();
    sets.sort_by_key(|set| Reverse(set.revision()));
    sets
}

/// Without a router, old pods go as far as the budget allows, newest revision first.
fn drain(facts: &Facts<'_>, budget: i32, plan: &mut Plan) -> bool {
    let Some(set) = newest_first(facts).into_iter().next() else { return false };
    let keep = (set.replicas - budget).max(0);
    resize(facts, set, keep, plan)
}

/// With a router, the former stable revision stays up for its delay, and an abandoned update goes at once.
fn retire(facts: &Facts<'_>, plan: &mut Plan) -> bool {
    if facts.canary.is_dynamic() {
        return release(facts, plan);
    }
    let limit = facts.canary.scale_down_delay_revision_limit();
    let seconds = facts.canary.scale_down_delay_seconds();
    let mut delayed = 0;
    for set in newest_first(facts) {
        // With no replicas wanted nothing will ever take the Service over, and nothing is lost with these pods.
        if referenced(facts, set) && facts.replicas > 0 {
            continue;
        }
        let mut want = 0;
        if facts.promoted() || set.has_deadline() {
            if delayed < limit && seconds > 0 && deadline(facts, set, seconds, plan) == Deadline::Running {
                want = set.replicas;
            }
            delayed += 1;
        }
        if want != set.replicas && resize(facts, set, want, plan) {
            return true;
        }
    }
    false
}

/// Where the stable revision follows the traffic, so do all others: what no weight needs goes without a delay.
fn release(facts: &Facts<'_>, plan: &mut Plan) -> bool {
    let mut surplus = newest_first(facts).into_iter();
    surplus.any(|set| dynamic::reached_by(facts, set).is_none() && resize(facts, set, 0, plan))
}

/// Whether a Service or the recorded weights still speak of this revision.
fn referenced(facts: &Facts<'_>, set: &Set) -> bool {
    let hash = set.hash();
    // A Service of ping-pong leads to its last revision until it is pointed at the next one, which means nothing.
    let spec = facts.rollout.spec.strategy.canary.as_ref();
    let services = spec.into_iter().flat_map(|spec| [&spec.canary_service, &spec.stable_service]);
    let selected = services
        .flatten()
        .any(|name| facts.world.services.get(name).is_some_and(|service| service.hash() == Some(hash)));
    let weighted = facts.status.canary.weights.as_ref().is_some_and(|weights| {
        weights.canary.pod_template_hash == hash || weights.stable.pod_template_hash == hash
    });
    selected || weighted || hash == facts.status.stable_rs || hash == facts.status.current_pod_hash
}

/// Gives a ReplicaSet its size and records the replica count it was sized for; true when the size changes.
///
/// The size never falls below what its Services' weight needs. A ReplicaSet at 0 has no deadline.
fn resize(facts: &Facts<'_>, set: &Set, want: i32, plan: &mut Plan) -> bool {
    let want = if want < set.replicas {
        want.max(traffic::pods_in_use(facts, set.hash(), plan)).min(set.replicas)
    } else {
        want
    };
    sized(facts, set, want, plan)
}

/// Writes the size of a ReplicaSet and the replica count it was sized for; true when the size changes.
pub(super) fn sized(facts: &Core<'_>, set: &Set, want: i32, plan: &mut Plan) -> bool {
    resized_for(set, want, facts.replicas, plan)
}

/// The same for a known replica count of a Rollout.
pub(super) fn resized_for(set: &Set, want: i32, replicas: i32, plan: &mut Plan) -> bool {
    let mut patch = SetPatch { name: set.name.clone(), ..SetPatch::default() };
    if set.desired_replicas() != Some(replicas) {
        patch.annotations.insert(DESIRED_REPLICAS.to_owned(), Some(replicas.to_string()));
    }
    if want == set.replicas {
        let is_noted =
            patches_of(plan, &set.name).any(|noted| noted.annotations.contains_key(DESIRED_REPLICAS));
        if !patch.annotations.is_empty() && !is_noted {
            plan.push(Write::PatchSet(patch), Because::Moves(Move::Bookkeeping));
        }
        return false;
    }
    patch.replicas = Some((set.replicas, want));
    if want == 0 && set.has_deadline() && !clears_deadline(plan, &set.name) {
        patch.annotations.insert(SCALE_DOWN_DEADLINE.to_owned(), None);
    }
    let direction = if want > set.replicas { "up" } else { "down" };
    let message = format!(
        "Scaled {direction} ReplicaSet {} (revision {}) from {} to {want}",
        set.name,
        set.revision(),
        set.replicas
    );
    let because = Because::Moves(Move::Resize { set: set.name.clone(), from: set.replicas, to: want });
    plan.push_with(Write::PatchSet(patch), because, vec![Notice::normal("ScalingReplicaSet", message)]);
    true
}

/// Whether the plan already removes the deadline of a ReplicaSet.
fn clears_deadline(plan: &Plan, name: &str) -> bool {
    patches_of(plan, name).any(|patch| patch.annotations.contains_key(SCALE_DOWN_DEADLINE))
}

/// What a plan already does to a ReplicaSet.
fn patches_of<'p>(plan: &'p Plan, name: &'p str) -> impl Iterator<Item = &'p SetPatch> {
    plan.set_patches().filter(move |patch| patch.name == name)
}

/// Deletes the oldest empty ReplicaSets beyond revisionHistoryLimit.
pub(crate) fn forget(facts: &Facts<'_>, plan: &mut Plan) {
    forget_sets(facts, |set| referenced(facts, set), plan);
}

/// Deletes the oldest empty ReplicaSets beyond revisionHistoryLimit that nothing refers to.
pub(super) fn forget_sets(facts: &Core<'_>, referenced: impl Fn(&Set) -> bool, plan: &mut Plan) {
    let limit = usize::try_from(facts.valid.revision_history_limit()).unwrap_or(0);
    let excess = facts.others.len().saturating_sub(limit);
    for set in facts.others.iter().take(excess) {
        let empty = set.replicas == 0 && set.status.replicas == 0 && set.is_observed();
        if empty && !referenced(set) {
            let because = Because::Moves(Move::History { name: set.name.clone() });
            plan.push(Write::DeleteSet { name: set.name.clone(), uid: set.uid.clone() }, because);
        }
    }
}

/// Whether `spec.replicas` changed since the new or the stable ReplicaSet was last sized.
pub(crate) fn scaling_event(facts: &Facts<'_>) -> bool {
    let stale = |set: &&Set| {
        set.replicas > 0 && set.desired_replicas().is_some_and(|desired| desired != facts.replicas)
    };
    facts.new.iter().chain(facts.stable.iter()).any(stale)
}
