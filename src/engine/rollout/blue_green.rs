//! One round of a blue-green Rollout: the preview, the pause before the switch, the switch, what is kept after it.
//!
//! Input: a World with a valid blue-green spec. Output: a plan. Users reach one revision at a time, by the selector of
//! the active Service: it moves once all pods of the other revision are there and everything that was asked to speak
//! has spoken, and moves back first of all when the update is aborted.

mod pause;
mod runs;
pub(super) mod sizes;
pub(super) mod status;
pub(super) mod switch;
mod view;

use tidegate_api::rollout::RolloutStatus;
use tidegate_api::valid::{ValidBlueGreen, ValidRollout};

use super::held::Memory;
use super::pause::{INCONCLUSIVE, Wishes, abort_asked, find};
use super::restart::{self, Restart};
use super::revision;
use super::runs::Runs;
use super::workload;
use super::world::World;
use super::{abort_first, aborted_because, begin, delayed_set, in_time, opens, sizes_to_come, waiting_for};
use crate::plan::{Because, Move, Plan};
use view::View;

/// One round, once everything that the spec refers to exists.
pub(super) fn round(
    world: &World,
    valid: &ValidRollout,
    strategy: &ValidBlueGreen,
    status: &RolloutStatus,
    plan: &mut Plan,
) {
    let view = View::new(world, valid, strategy, status);
    if opens(&view, plan) {
        return;
    }
    in_time(&view, plan, |late, plan| proceed(&view, late, plan));
}

/// A round of an update under way, or of one that is done: runs, pause, switch, sizes, status. It is aborted where it is
/// `late`.
fn proceed(view: &View<'_>, late: Option<String>, plan: &mut Plan) {
    let (mut wishes, notices) = begin(view, late);
    // What a canary paused for, and what a person has answered to it, says nothing about this update.
    wishes.clear = view.was_canary();
    let runs = runs::judge(view, &mut wishes);
    let aborted = wishes.aborted(view.status);
    if aborted && !abort_asked(view.status) {
        plan.because = abort_first(view, plan).unwrap_or_else(|| aborted_because(&wishes));
    }
    let inconclusive = find(view.status, INCONCLUSIVE).is_some() || !wishes.add.is_empty();
    let halted = inconclusive || view.rollout.spec.paused;
    let pause = pause::look(view, &runs);
    if !aborted && !halted {
        pause::enter(view, &runs, &pause, &mut wishes, plan);
        switch::point_preview(view, plan);
    }
    if !aborted {
        switch::repair(view, plan);
    }
    let may_switch = !aborted && !halted && wishes.add.is_empty();
    let wait = if may_switch { switch::point_active(view, &runs, &pause, &mut wishes, plan) } else { None };
    if may_switch {
        switch::mark(view, plan);
    }
    pause::keep_answer(view, &runs, &pause, &mut wishes);
    runs.write(plan);
    if let Some(memory) = Memory::of(view) {
        memory.settle(aborted, wishes.abort.as_deref(), plan);
    }
    sizes::scale(view, &runs, aborted, inconclusive, plan);
    sizes::forget(view, plan);
    revision::sync_roles(view, plan);
    if !aborted {
        workload::make_room(view, plan);
    }
    let quiet = !aborted || view.active_hash() == view.status.stable_rs;
    let restart = restart::look(view, &view.served(), quiet);
    plan.because = reason(view, &wishes, &runs, wait, &restart, plan);
    let checkpoint = pause::checkpoint(view, &runs, &pause, aborted, &mut wishes);
    let outcome = status::Outcome { wishes, runs: &runs, restart: &restart, checkpoint, notices };
    status::finish(view, outcome, plan);
    restart.write(view, plan);
}

/// What the Rollout is doing or waiting for, in one reason.
fn reason(
    view: &View<'_>,
    wishes: &Wishes,
    runs: &Runs,
    wait: Option<Because>,
    restart: &Restart,
    plan: &Plan,
) -> Because {
    if wishes.aborted(view.status) {
        let stays = matches!(plan.because, Because::StableHasNoPods { .. }).then(|| plan.because.clone());
        let held = || Memory::of(view).and_then(|memory| memory.reason());
        return stays.or_else(held).unwrap_or_else(|| aborted_because(wishes));
    }
    if view.rollout.spec.paused {
        return Because::UserPaused;
    }
    if find(view.status, INCONCLUSIVE).is_some() || wishes.add.contains(&INCONCLUSIVE) {
        let run = runs.post.as_ref().or(runs.pre.as_ref()).map(|run| run.name.clone()).unwrap_or_default();
        return Because::Inconclusive { run };
    }
    let moved = |because: &Because| {
        matches!(because, Because::Moves(Move::Resize { .. }) | Because::Moves(Move::PointService { .. }))
    };
    if let Some(planned) = plan.writes.iter().rev().find(|planned| moved(&planned.because)) {
        return planned.because.clone();
    }
    if let Some(because) = restart.because().filter(|_| restart.evicts() && plan.writes.is_empty()) {
        return because;
    }
    let new = view.new.and_then(|new| waiting_for(view, new, sizes::wanted(view)));
    let run = || runs::awaited(view, runs);
    let paused = || pause::because(view, wishes);
    let waits = new.or_else(run).or(wait).or_else(paused).or_else(|| restart.because());
    let waits = waits.or_else(|| sizes::still_reached(view, plan)).or_else(|| delayed_set(view, plan));
    let waits = waits.or_else(|| sizes_to_come(view));
    waits.unwrap_or(if plan.writes.is_empty() { Because::Settled } else { Because::Moves(Move::StatusMoved) })
}
