//! The decision for one Rollout: all branching in one place, the arithmetic in the files below.
//!
//! Input: a [`World`]. Output: a [`Plan`]. It is total and deterministic; waiting is a value, never an error. The order
//! of the writes is the order of safety: an abort's traffic first, capacity before traffic in, traffic out before
//! capacity out, the status last.

pub mod additions;
mod ahead;
mod apart;
mod blue_green;
mod condition;
mod core;
pub mod duration;
mod dynamic;
mod experiment;
mod experiment_shares;
mod facts;
pub mod hash;
pub mod held;
mod history;
mod passing;
mod pause;
pub mod phase;
pub(crate) mod ping_pong;
pub mod references;
pub(crate) mod refusal;
mod replicas;
pub(crate) mod restart;
mod revision;
mod runs;
mod scale;
mod service;
mod status;
mod step;
mod step_routes;
pub mod template;
mod traffic;
pub mod trouble;
pub mod wait;
mod window;
pub mod workload;
pub mod world;

#[cfg(test)]
mod upstream;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use tidegate_api::rollout::{CanaryStrategy, RolloutStatus};
use tidegate_api::valid::{Step, ValidCanary, ValidRollout, ValidStrategy};

use crate::fence::Fence;
use crate::plan::{Because, Move, Notice, Plan, Planned, Reference, Write};
use core::Core;
use facts::Facts;
use held::Memory;
use pause::{CANARY_STEP, Wishes};
use restart::Restart;
use status::Outcome;
use world::World;

pub use refusal::{refusal, refused};

/// Decides what to do for one Rollout, in which order, and why.
#[must_use]
pub fn plan(world: &World) -> Plan {
    let mut plan = Plan::default();
    if world.rollout.metadata.deletion_timestamp.is_some() {
        plan.because = Because::Deleting;
        return plan;
    }
    if let Some(what) = unserved(world) {
        plan.because = Because::Unserved { what };
        return plan;
    }
    let none = RolloutStatus::default();
    let status = world.rollout.status.as_ref().unwrap_or(&none);
    let held = pause::abort_asked(status).then(|| give_back(world, &mut plan)).flatten();
    let strategy = world.rollout.spec.strategy.canary.as_ref();
    let strategy = strategy.map(|strategy| ping_pong::in_turn(strategy, Some(status)));
    if world.spec.valid.is_ok() {
        workload::annotate(world, &mut plan);
    }
    match &world.spec.valid {
        Ok(valid) => match (references::fault(world), &valid.strategy, strategy.as_deref()) {
            (Some(error), _, _) => refusal::invalid(world, &error, &mut plan),
            (None, ValidStrategy::Canary(canary), Some(strategy)) => {
                canary_round(world, valid, canary, status, strategy, &mut plan);
            }
            (None, ValidStrategy::BlueGreen(strategy), _) if !begins(world, valid, &mut plan) => {
                blue_green::round(world, valid, strategy, status, &mut plan);
            }
            (None, ValidStrategy::Canary(_) | ValidStrategy::BlueGreen(_), _) => {}
        },
        Err(errors) => {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            refusal::invalid(world, &first, &mut plan);
        }
    }
    if let Some(held) = held {
        plan.because = held;
    }
    plan
}

/// Decides as [`plan`] does, together with the rounds after it that change nothing but the status.
#[must_use]
pub fn plan_ahead(world: &World) -> Plan {
    ahead::ahead(world, plan)
}

/// Gives all traffic to the stable revision, before and regardless of anything else. Says what keeps it where it is.
fn give_back(world: &World, plan: &mut Plan) -> Option<Because> {
    let strategy = &world.rollout.spec.strategy;
    match (&strategy.canary, &strategy.blue_green) {
        (Some(canary), None) => {
            let canary = ping_pong::in_turn(canary, world.rollout.status.as_ref());
            let (_, held) = traffic::abort(world, &canary, plan);
            dynamic::regrow(world, &canary, plan);
            held
        }
        (None, Some(blue_green)) => blue_green::switch::abort(world, blue_green, plan),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Services of the Rollout's Experiments that requests may still be sent to: their pods are to stay.
#[must_use]
pub fn experiment_services_in_use(world: &World) -> BTreeSet<String> {
    experiment_shares::in_use(world)
}

/// The weight that the routing objects show for the canary; nothing without a router.
pub(crate) fn weight_observed(world: &World) -> Option<i32> {
    let strategy = world.rollout.spec.strategy.canary.as_ref()?;
    strategy.traffic_routing.as_ref().map(|_| traffic::observed(world))
}

/// The one write that need not wait until caches are fresh: the one that takes the weight off an aborted canary, or gives
/// the active Service back to the stable revision.
///
/// It names the version that it was decided on, so it can only be late and never wrong; unless the cache is behind on
/// that very object, when it has been written already.
#[must_use]
pub fn urgent(world: &World, fence: &Fence, planner: impl FnOnce(&World) -> Plan) -> Option<Planned> {
    // A first round that an abort does not concern yet may write routes as well.
    world.rollout.status.as_ref().filter(|status| pause::abort_asked(status))?;
    let first = planner(world).writes.into_iter().next()?;
    let status = world.rollout.status.as_ref()?;
    let object = if let Write::Route(route) = &first.write {
        route.reference.clone()
    } else if let Write::PointService { service, to, .. } = &first.write
        && world.rollout.spec.strategy.blue_green.as_ref().is_some_and(|spec| spec.active_service == *service)
        && *to == status.stable_rs
    {
        Reference::new("v1", "Service", service)
    } else {
        return None;
    };
    (!fence.waits_for(&object) && !restart::rests_on_unseen(world, fence)).then_some(first)
}

/// One round of a canary, from claiming ReplicaSets to its status.
fn canary_round(
    world: &World,
    valid: &ValidRollout,
    canary: &ValidCanary,
    status: &RolloutStatus,
    strategy: &CanaryStrategy,
    plan: &mut Plan,
) {
    if begins(world, valid, plan) {
        return;
    }
    let facts = Facts::new(world, valid, canary, status, strategy);
    if opens(&facts, plan) {
        return;
    }
    if scale::scaling_event(&facts) && !scale::halted(&facts) {
        scale::scale(&facts, pause::abort_asked(status), plan);
        // No size is decided while pods that a restart sent away are still counted.
        let event = Because::Moves(Move::ScalingEvent { replicas: facts.replicas });
        plan.because = restart::leaving(&facts).unwrap_or(event);
        status::sizes_only(&facts, plan);
        restart::look(&facts, &[], false).write(&facts, plan);
        return;
    }
    in_time(&facts, plan, |late, plan| proceed(&facts, late, plan));
}

/// What comes before anything can be known: claiming ReplicaSets, and the default size. True when that is all for now.
fn begins(world: &World, valid: &ValidRollout, plan: &mut Plan) -> bool {
    let claimed = revision::claim(world, plan);
    if !claimed && world.rollout.spec.replicas.is_none() {
        plan.push(Write::DefaultReplicas { replicas: valid.replicas }, Because::Moves(Move::Bookkeeping));
    } else if !claimed {
        return false;
    }
    plan.because = Because::Moves(Move::Bookkeeping);
    true
}

/// What every round does first, whatever the strategy: a missing ReplicaSet, a pause that somebody set or ended, an update
/// that starts. True when that is all for now.
fn opens(facts: &Core<'_>, plan: &mut Plan) -> bool {
    if facts.new.is_none() {
        create(facts, plan);
        return true;
    }
    if status::notice_pause(facts, plan) {
        plan.because = Because::Moves(Move::PauseNoticed);
        return true;
    }
    revision::sync(facts, plan);
    if facts.changed() {
        plan.because = Because::Moves(Move::UpdateStarted { hash: facts.hash.clone() });
        blue_green::sizes::keep_way_back(facts, plan);
        start_over(facts, false, plan);
        return true;
    }
    let aborted = pause::abort_asked(facts.status);
    if aborted && Memory::of(facts).is_some_and(|memory| memory.is_lifted()) {
        plan.because = Because::Moves(Move::StatusMoved);
        status::retry(facts, plan);
        return true;
    }
    false
}

/// Creates the ReplicaSet of a new template and starts the update over.
fn create(facts: &Core<'_>, plan: &mut Plan) {
    let set = revision::create(facts);
    let because = Because::Moves(Move::NewTemplate { hash: facts.hash.clone() });
    let notice = Notice::normal(
        "NewReplicaSetCreated",
        format!("Created ReplicaSet {} (revision {})", set.name, revision::number(facts)),
    );
    // The Event follows that of the new revision number, if there is one.
    let (first, second) =
        if revision::is_annotated(facts) { (vec![notice], Vec::new()) } else { (Vec::new(), vec![notice]) };
    plan.push_with(Write::CreateSet(Box::new(set)), because.clone(), first);
    revision::annotate(facts, plan, second);
    plan.because = because;
    if facts.changed() {
        start_over(facts, true, plan);
    } else if facts.status.current_pod_hash.is_empty() {
        blue_green::status::created(facts, plan);
    } else {
        // Somebody deleted the ReplicaSet: its update goes on where it was, and stays aborted if it was.
        status::sizes_only(facts, plan);
    }
}

/// Begins an update, unless it brings content that was aborted before.
fn start_over(facts: &Core<'_>, created: bool, plan: &mut Plan) {
    let held = Memory::of(facts).and_then(|memory| memory.hold(plan));
    if let Some(why) = &held {
        // Of an update that is aborted already the traffic has been given back.
        let kept = if pause::abort_asked(facts.status) { None } else { abort_first(facts, plan) };
        plan.because = kept.unwrap_or_else(|| Because::Held { why: why.clone() });
    }
    status::reset(facts, created, held, plan);
}

/// A round of an update under way, or of one that is done: traffic, runs, sizes, pause, status. It is aborted where it is
/// `late`.
fn proceed(facts: &Facts<'_>, late: Option<String>, plan: &mut Plan) {
    let (mut wishes, mut notices) = begin(facts, late);
    let runs = runs::judge(facts, &mut wishes);
    let aborted = wishes.aborted(facts.status);
    let already = pause::abort_asked(facts.status);
    if aborted && !already {
        plan.because = abort_first(facts, plan).unwrap_or_else(|| aborted_because(&wishes));
    }
    revision::sync_roles(facts, plan);
    scale::forget(facts, plan);
    traffic::point_services(facts, aborted, plan);
    let traffic = traffic::route(facts, aborted, plan);
    notices.extend(traffic.notices.iter().cloned());
    runs.write(plan);
    let halted = !wishes.add.is_empty();
    if let Some(memory) = Memory::of(facts) {
        memory.settle(aborted, wishes.abort.as_deref(), plan);
    }
    let resized = !halted && scale::scale(facts, aborted, plan);
    if !resized && !halted && !aborted && !facts.promote_full() {
        enter_pause(facts, &mut wishes, plan);
    }
    // Whoever asks to stop comes before whoever asks for new pods.
    let quiet = !aborted || facts.promoted() || facts.in_effect().1 == 0;
    let restart = restart::look(facts, &traffic::weighted_services(facts), quiet);
    plan.because = reason(facts, &wishes, &runs, &traffic, &restart, plan);
    if !aborted {
        workload::make_room(facts, plan);
    }
    let outcome = Outcome { wishes, runs: &runs, traffic: &traffic, restart: &restart, notices };
    status::finish(facts, outcome, plan);
    restart.write(facts, plan);
}

/// Decides a round; and once more, as an abort, where it shows no progress, the time is over and the spec wants that.
/// Only the whole round can tell: the end of a step, a promotion or a switch is progress.
fn in_time(facts: &Core<'_>, plan: &mut Plan, decide: impl Fn(Option<String>, &mut Plan)) {
    let before = plan.clone();
    decide(None, plan);
    if let Some(late) = status::out_of_time(facts, plan) {
        *plan = before;
        decide(Some(late), plan);
    }
}

/// The wishes and Events that a round begins with.
fn begin(facts: &Core<'_>, late: Option<String>) -> (Wishes, Vec<Notice>) {
    let notices = late.iter().map(|why| Notice::warning("RolloutAborted", why.clone())).collect();
    let drop_abort = pause::abort_is_over(facts.status);
    (Wishes { drop_abort, abort: late, ..Wishes::default() }, notices)
}

/// Moves the traffic of an abort that this very round decides, before all other writes. Says what keeps it where it is.
fn abort_first(facts: &Core<'_>, plan: &mut Plan) -> Option<Because> {
    let mut first = Plan::default();
    let kept = give_back(facts.world, &mut first);
    plan.writes.splice(0..0, first.writes);
    kept
}

/// Begins a pause step, and wakes when a timed one ends. Until somebody has judged an inconclusive analysis none begins, and
/// the end of one that did ends no step.
fn enter_pause(facts: &Facts<'_>, wishes: &mut Wishes, plan: &mut Plan) {
    let Some(&Step::Pause(seconds)) = facts.step() else { return };
    let undecided = pause::is_undecided(facts.status);
    if facts.rollout.spec.paused {
        return;
    }
    match pause::find(facts.status, CANARY_STEP) {
        None if undecided => {}
        Some(_) if undecided && pause::completed(facts.status, seconds, facts.now) => {
            wishes.remove.push(CANARY_STEP);
        }
        None if !facts.status.controller_pause => {
            wishes.add.push(CANARY_STEP);
            if let Some(seconds) = seconds
                && let Ok(end) = facts.now.checked_add(SignedDuration::from_secs(seconds))
            {
                plan.wake_at(end);
            }
        }
        None => {}
        Some(_) => {
            if let Some(end) = pause::until(facts.status, seconds) {
                plan.wake_at(end.checked_add(SignedDuration::from_secs(1)).unwrap_or(end));
            }
        }
    }
}

fn aborted_because(wishes: &Wishes) -> Because {
    Because::Aborted { why: wishes.abort.clone().unwrap_or_default() }
}

/// What the Rollout is doing or waiting for, in one reason.
fn reason(
    facts: &Facts<'_>,
    wishes: &Wishes,
    runs: &runs::Runs,
    traffic: &traffic::Traffic,
    restart: &Restart,
    plan: &Plan,
) -> Because {
    if wishes.aborted(facts.status) {
        let held = || Memory::of(facts).and_then(|memory| memory.reason());
        return traffic.wait.clone().or_else(held).unwrap_or_else(|| aborted_because(wishes));
    }
    if facts.rollout.spec.paused {
        return Because::UserPaused;
    }
    if pause::find(facts.status, pause::INCONCLUSIVE_EXPERIMENT).is_some() {
        let experiment = runs.experiments.current.clone();
        return Because::InconclusiveExperiment { experiment };
    }
    if pause::find(facts.status, pause::INCONCLUSIVE).is_some() {
        let run =
            runs.step.as_ref().or(runs.background.as_ref()).map(|run| run.name.clone()).unwrap_or_default();
        return Because::Inconclusive { run };
    }
    let resize = plan
        .writes
        .iter()
        .rev()
        .find(|planned| matches!(planned.because, Because::Moves(Move::Resize { .. })));
    if let Some(resize) = resize {
        return resize.because.clone();
    }
    if let Some(because) = restart.because().filter(|_| restart.evicts() && plan.writes.is_empty()) {
        return because;
    }
    if let Some(wait) = waiting_for_pods(facts) {
        return wait;
    }
    if let Some(wait) = &traffic.wait {
        return wait.clone();
    }
    if let Some(why) = &runs.refused {
        return Because::RunRefused { why: why.clone() };
    }
    if let Some(why) = &runs.experiments.refused {
        return Because::ExperimentRefused { why: why.clone() };
    }
    match facts.step() {
        Some(&Step::Pause(seconds)) => Because::Paused {
            step: facts.status.current_step_index,
            until: pause::until(facts.status, seconds).or(plan.wake.filter(|_| seconds.is_some())),
        },
        Some(Step::Experiment) => {
            Because::WaitingForExperiment { experiment: runs.experiments.current.clone() }
        }
        Some(
            Step::Analysis
            | Step::SetWeight
            | Step::SetCanaryScale
            | Step::SetHeaderRoute
            | Step::SetMirrorRoute
            | Step::Plugin,
        )
        | None => {
            let run = facts.step().and_then(|_| runs.because(runs.step.as_ref()));
            let waits = run.or_else(|| restart.because()).or_else(|| delayed_set(facts, plan));
            let waits = waits.or_else(|| dynamic::stays_reached(facts)).or_else(|| sizes_to_come(facts));
            waits.unwrap_or(if plan.writes.is_empty() {
                Because::Settled
            } else {
                Because::Moves(Move::StatusMoved)
            })
        }
    }
}

/// Sizes that Kubernetes still has to bring about.
fn sizes_to_come(facts: &Core<'_>) -> Option<Because> {
    if let Some(set) = facts.all.iter().find(|set| set.status.replicas > set.replicas) {
        return Some(Because::PodsLeaving {
            set: set.name.clone(),
            pods: set.status.replicas - set.replicas,
        });
    }
    let unseen = facts.all.iter().find(|set| !set.is_observed());
    let unseen = unseen.map(|set| Because::SizeNotYetSeen { set: set.name.clone() });
    unseen.or_else(|| restart::leaving(facts))
}

/// An old ReplicaSet that is kept for a while.
fn delayed_set(facts: &Core<'_>, plan: &Plan) -> Option<Because> {
    facts.others.iter().filter(|set| set.replicas > 0).find_map(|set| {
        let until = scale::kept_until(facts, set, plan)?;
        Some(Because::ScaleDownDelay { set: set.name.clone(), until })
    })
}

fn waiting_for_pods(facts: &Facts<'_>) -> Option<Because> {
    let want = step::desired_counts(facts, false);
    if let Some(wait) = facts.new.and_then(|new| waiting_for(facts, new, want.new)) {
        return Some(wait);
    }
    let stable = facts.distinct_stable()?;
    if facts.canary.is_dynamic() {
        return waiting_for(facts, stable, want.stable);
    }
    let surplus = stable.status.replicas != want.stable && stable.status.available >= want.stable;
    if surplus { Some(short(facts, stable, want.stable)) } else { waiting_for(facts, stable, want.stable) }
}

/// Pods of a ReplicaSet that are still to become available.
fn waiting_for(facts: &Core<'_>, set: &world::Set, need: i32) -> Option<Because> {
    (set.status.available < need).then(|| short(facts, set, need))
}

fn short(facts: &Core<'_>, set: &world::Set, need: i32) -> Because {
    let (ready, trouble) = (set.status.available, facts.trouble(set));
    Because::WaitingForPods { set: set.name.clone(), ready, need, trouble }
}

/// What the spec asks for that this version does not serve; such a Rollout is left exactly as it is.
fn unserved(world: &World) -> Option<String> {
    world.spec.valid.as_ref().ok()?;
    // A run that nobody measures would let the update pass unjudged.
    world.spec.unserved.clone().or_else(|| references::unserved_metric(world))
}
