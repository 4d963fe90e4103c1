//! The decision for one Rollout: all branching in one place, the arithmetic in the files below.
//!
//! Input: a [`World`]. Output: a [`Plan`]. It is total and deterministic; waiting is a value, never an error. The order
//! of the writes is the order of safety: an abort's traffic first, capacity before traffic in, traffic out before
//! capacity out, the status last.

mod condition;
mod experiment;
mod facts;
pub mod hash;
pub mod held;
mod pause;
pub mod phase;
mod references;
mod replicas;
mod restart;
mod revision;
mod runs;
mod scale;
mod status;
mod step;
pub mod template;
mod traffic;
pub mod world;

#[cfg(test)]
mod upstream;

use jiff::SignedDuration;
use tidegate_api::rollout::{CanaryStrategy, RolloutStatus};
use tidegate_api::valid::{Step, ValidCanary, ValidRollout, ValidStrategy};

use crate::fence::Fence;
use crate::plan::{Because, Notice, Plan, Planned, Write};
use facts::Facts;
use held::Memory;
use pause::{CANARY_STEP, Wishes};
use restart::Restart;
use status::Outcome;
use world::World;

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
    let strategy = world.rollout.spec.strategy.canary.as_ref();
    let held = strategy
        .filter(|_| pause::abort_asked(status))
        .and_then(|strategy| traffic::abort(world, strategy, &mut plan));
    match (&world.spec.valid, strategy) {
        (Ok(valid), Some(strategy)) => match &valid.strategy {
            ValidStrategy::Canary(canary) => match references::fault(world, strategy) {
                None => canary_round(world, valid, canary, status, strategy, &mut plan),
                Some(error) => status::invalid(&world.rollout, status, world.now, &error, &mut plan),
            },
            ValidStrategy::BlueGreen(_) => {}
        },
        (Err(errors), _) => {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            status::invalid(&world.rollout, status, world.now, &first, &mut plan);
        }
        (Ok(_), None) => {}
    }
    if let Some(held) = held {
        plan.because = held;
    }
    plan
}

/// The weight that the routing objects show for the canary; nothing without a router.
pub(crate) fn weight_observed(world: &World) -> Option<i32> {
    let strategy = world.rollout.spec.strategy.canary.as_ref()?;
    strategy.traffic_routing.as_ref().map(|_| traffic::observed(world))
}

/// The one write that need not wait until caches are fresh: the one that takes the weight off an aborted canary.
///
/// It names the version that it was decided on, so it can only be late and never wrong; unless the cache is behind on
/// that very routing object, when it has been written already.
#[must_use]
pub fn urgent(world: &World, fence: &Fence, planner: impl FnOnce(&World) -> Plan) -> Option<Planned> {
    world.rollout.status.as_ref().filter(|status| status.abort)?;
    let first = planner(world).writes.into_iter().next()?;
    let Write::Route(route) = &first.write else { return None };
    (!fence.waits_for(&route.reference)).then_some(first)
}

/// Decides what to say when the API server would not have a new ReplicaSet: a template that it calls invalid is a fault
/// of the spec, as Argo Rollouts' own validation would have said; anything else (quota, rights, a webhook) is not.
#[must_use]
pub fn refused(world: &World, set: &str, why: &str, is_invalid: bool) -> Plan {
    let mut plan = Plan::default();
    let status = world.rollout.status.clone().unwrap_or_default();
    if is_invalid {
        status::invalid(&world.rollout, &status, world.now, &format!("spec.template: {why}"), &mut plan);
    } else {
        status::not_created(&world.rollout, &status, world.now, set, why, &mut plan);
    }
    plan
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
    if revision::claim(world, plan) {
        plan.because = Because::Bookkeeping;
        return;
    }
    if world.rollout.spec.replicas.is_none() {
        plan.push(Write::DefaultReplicas { replicas: valid.replicas }, Because::Bookkeeping);
        plan.because = Because::Bookkeeping;
        return;
    }
    let facts = Facts::new(world, valid, canary, status, strategy);
    if facts.new.is_none() {
        create(&facts, plan);
        return;
    }
    if status::notice_pause(&facts, plan) {
        plan.because = Because::PauseNoticed;
        return;
    }
    revision::sync(&facts, plan);
    if facts.changed() {
        plan.because = Because::UpdateStarted { hash: facts.hash.clone() };
        start_over(&facts, false, plan);
        return;
    }
    if pause::abort_asked(status) && Memory::of(&facts).is_some_and(|memory| memory.is_lifted()) {
        plan.because = Because::StatusMoved;
        status::retry(&facts, plan);
        return;
    }
    if scale::scaling_event(&facts) && !scale::halted(&facts) {
        scale::scale(&facts, pause::abort_asked(status), plan);
        status::sizes_only(&facts, plan);
        plan.because = Because::ScalingEvent { replicas: facts.replicas };
        return;
    }
    proceed(&facts, plan);
}

/// Creates the ReplicaSet of a new template and starts the update over.
fn create(facts: &Facts<'_>, plan: &mut Plan) {
    let set = revision::create(facts);
    let because = Because::NewTemplate { hash: facts.hash.clone() };
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
    } else {
        // Somebody deleted the ReplicaSet: its update goes on where it was, and stays aborted if it was.
        status::sizes_only(facts, plan);
    }
}

/// Begins an update, unless it brings content that was aborted before.
fn start_over(facts: &Facts<'_>, created: bool, plan: &mut Plan) {
    let held = Memory::of(facts).and_then(|memory| memory.hold(plan));
    if let Some(why) = &held {
        plan.because = abort_first(facts, plan).unwrap_or_else(|| Because::Held { why: why.clone() });
    }
    status::reset(facts, created, held, plan);
}

/// A round of an update under way, or of one that is done: traffic, runs, sizes, pause, status.
fn proceed(facts: &Facts<'_>, plan: &mut Plan) {
    let drop_abort = facts.status.abort && !pause::abort_asked(facts.status);
    let mut wishes = Wishes { drop_abort, ..Wishes::default() };
    let mut notices = Vec::new();
    if !wishes.aborted(facts.status)
        && let Some(why) = status::out_of_time(facts)
    {
        notices.push(Notice::warning("RolloutAborted", why.clone()));
        wishes.abort = Some(why);
    }
    let runs = runs::judge(facts, &mut wishes);
    let aborted = wishes.aborted(facts.status);
    let already = pause::abort_asked(facts.status);
    if aborted && !already {
        plan.because = abort_first(facts, plan).unwrap_or_else(|| aborted_because(&wishes));
    }
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
    let quiet =
        !aborted || facts.promoted() || traffic::in_effect(facts.world, facts.limits.max_weight).1 == 0;
    let restart = restart::look(facts, quiet);
    plan.because = reason(facts, &wishes, &runs, &traffic, &restart, plan);
    let outcome = Outcome { wishes, runs: &runs, traffic: &traffic, restart: &restart, notices };
    status::finish(facts, outcome, plan);
    restart.write(facts, plan);
}

/// Moves the traffic of an abort that this very round decides, before all other writes. Says what keeps it where it is.
fn abort_first(facts: &Facts<'_>, plan: &mut Plan) -> Option<Because> {
    let mut first = Plan::default();
    let kept = traffic::abort(facts.world, facts.strategy, &mut first);
    plan.writes.splice(0..0, first.writes);
    kept
}

/// Begins a pause step, and wakes when a timed one ends.
fn enter_pause(facts: &Facts<'_>, wishes: &mut Wishes, plan: &mut Plan) {
    let Some(Step::Pause(length)) = facts.step() else { return };
    // Until somebody has judged an inconclusive analysis, no time runs out either.
    if facts.rollout.spec.paused || pause::is_undecided(facts.status) {
        return;
    }
    match pause::find(facts.status, CANARY_STEP) {
        None if !facts.status.controller_pause => {
            wishes.add.push(CANARY_STEP);
            if let Some(seconds) = length.duration_seconds
                && let Ok(end) = facts.now.checked_add(SignedDuration::from_secs(seconds))
            {
                plan.wake_at(end);
            }
        }
        None => {}
        Some(_) => {
            if let Some(end) = pause::until(facts.status, length.duration_seconds) {
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
    let resize = plan.writes.iter().rev().find(|planned| matches!(planned.because, Because::Resize { .. }));
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
    match facts.step() {
        Some(Step::Pause(length)) => Because::Paused {
            step: facts.status.current_step_index,
            until: pause::until(facts.status, length.duration_seconds)
                .or(plan.wake.filter(|_| length.duration_seconds.is_some())),
        },
        Some(Step::Analysis(_)) => {
            let run = runs.step.as_ref().map(|run| run.name.clone());
            let run = run.or_else(|| runs.refused.clone()).unwrap_or_default();
            Because::WaitingForRun { run }
        }
        Some(Step::Experiment(_)) => runs.experiments.because(),
        Some(
            Step::SetWeight(_)
            | Step::SetCanaryScale(_)
            | Step::SetHeaderRoute(_)
            | Step::SetMirrorRoute(_)
            | Step::Plugin(_),
        )
        | None => {
            let waits = restart.because().or_else(|| delayed_set(facts)).or_else(|| sizes_to_come(facts));
            waits.unwrap_or(if plan.writes.is_empty() { Because::Settled } else { Because::StatusMoved })
        }
    }
}

/// Sizes that Kubernetes still has to bring about.
fn sizes_to_come(facts: &Facts<'_>) -> Option<Because> {
    if let Some(set) = facts.all.iter().find(|set| set.status.replicas > set.replicas) {
        return Some(Because::PodsLeaving {
            set: set.name.clone(),
            pods: set.status.replicas - set.replicas,
        });
    }
    let unseen = facts.all.iter().find(|set| set.status.observed_generation < set.generation)?;
    Some(Because::SizeNotYetSeen { set: unseen.name.clone() })
}

/// An old ReplicaSet that is kept for a while.
fn delayed_set(facts: &Facts<'_>) -> Option<Because> {
    facts.others.iter().filter(|set| set.replicas > 0).find_map(|set| {
        let until = set.deadline()?;
        Some(Because::ScaleDownDelay { set: set.name.clone(), until })
    })
}

fn waiting_for_pods(facts: &Facts<'_>) -> Option<Because> {
    let want = step::desired_counts(facts, false);
    let short = |set: &world::Set, need: i32| Because::WaitingForPods {
        set: set.name.clone(),
        ready: set.status.available,
        need,
        trouble: facts.trouble(set),
    };
    if let Some(new) = facts.new
        && new.status.available < want.new
    {
        return Some(short(new, want.new));
    }
    let stable = facts.distinct_stable()?;
    (stable.status.replicas != want.stable || stable.status.available < want.stable)
        .then(|| short(stable, want.stable))
}

/// What the spec asks for that this version does not serve; such a Rollout is left exactly as it is.
fn unserved(world: &World) -> Option<String> {
    let valid = world.spec.valid.as_ref().ok()?;
    let unsupported = tidegate_api::valid::unsupported(valid);
    let own = unsupported.first().map(ToString::to_string);
    // A run that nobody measures would let the update pass unjudged.
    own.or_else(|| references::unserved_metric(world, world.rollout.spec.strategy.canary.as_ref()?))
}
