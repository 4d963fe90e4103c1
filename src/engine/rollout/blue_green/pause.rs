//! The pause before the switch: when it begins, what ends it, and the checkpoint after which the preview grows.
//!
//! Input: a view and the runs of this round. Output: wishes about `BlueGreenPause`, and where the pause stands. A person
//! ends it by emptying pauseConditions while controllerPause stays true.

use jiff::{SignedDuration, Timestamp};

use super::super::pause::{BLUE_GREEN, Wishes, find};
use super::super::runs::Runs;
use super::runs::passed_before;
use super::sizes;
use super::view::View;
use crate::plan::{Because, Plan};

/// Where the pause before the switch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The spec asks for none, or it has been.
    Over,
    /// It has not begun.
    ToCome,
    /// It lasts until this time, or until somebody ends it.
    Running { until: Option<Timestamp> },
}

/// Looks where the pause stands.
pub(super) fn look(view: &View<'_>, runs: &Runs) -> Pause {
    if !is_wanted(view) || view.status.blue_green.scale_up_preview_check_point {
        return Pause::Over;
    }
    if find(view.status, BLUE_GREEN).is_none() {
        let resumed = view.status.controller_pause && !view.was_canary() && passed_before(view, runs);
        return if resumed { Pause::Over } else { Pause::ToCome };
    }
    match until(view) {
        Some(until) if view.now >= until => Pause::Over,
        until => Pause::Running { until },
    }
}

/// Whether somebody, or time, has to end a pause before the switch.
fn is_wanted(view: &View<'_>) -> bool {
    !view.strategy.auto_promotion_enabled() || view.spec.auto_promotion_seconds > 0
}

/// When the pause that runs ends by itself.
fn until(view: &View<'_>) -> Option<Timestamp> {
    let start = find(view.status, BLUE_GREEN)?.start_time.as_ref()?.0;
    ends(view, start)
}

fn ends(view: &View<'_>, start: Timestamp) -> Option<Timestamp> {
    let seconds = view.spec.auto_promotion_seconds;
    let timed = view.strategy.auto_promotion_enabled() && seconds > 0;
    timed.then(|| start.checked_add(SignedDuration::from_secs(seconds.into())).ok()).flatten()
}

/// Begins the pause once the preview is there and judged, takes it away where nobody needs it any more, and wakes the
/// Rollout when it ends.
pub(super) fn enter(view: &View<'_>, runs: &Runs, pause: &Pause, wishes: &mut Wishes, plan: &mut Plan) {
    if view.is_fast_tracked() {
        wishes.remove.push(BLUE_GREEN);
        return;
    }
    match pause {
        Pause::Over => {}
        Pause::Running { until } => {
            if let Some(until) = until {
                plan.wake_at(*until);
            }
        }
        Pause::ToCome => {
            if view.has_all(sizes::wanted(view)) && passed_before(view, runs) {
                wishes.add.push(BLUE_GREEN);
                if let Some(end) = ends(view, super::super::condition::time(view.now).0) {
                    plan.wake_at(end);
                }
            }
        }
    }
}

/// Whether a person's answer has still to be acted on: then it is not forgotten when the pods are not there at the moment.
pub(super) fn keep_answer(view: &View<'_>, runs: &Runs, pause: &Pause, wishes: &mut Wishes) {
    let answered = view.status.controller_pause && view.status.pause_conditions.is_empty();
    let open = *pause == Pause::Over && is_wanted(view) && !view.is_fast_tracked();
    wishes.resumed = answered && open && passed_before(view, runs) && !is_removed(wishes);
}

/// Whether the switch, or the checkpoint, is what this round does about the pause.
fn is_removed(wishes: &Wishes) -> bool {
    wishes.remove.contains(&BLUE_GREEN)
}

/// Whether the preview may grow to its full size, which holds until it is promoted or replaced.
pub(super) fn checkpoint(
    view: &View<'_>,
    runs: &Runs,
    pause: &Pause,
    aborted: bool,
    wishes: &mut Wishes,
) -> bool {
    let Some(count) = view.spec.preview_replica_count.filter(|_| !aborted) else { return false };
    if view.status.blue_green.scale_up_preview_check_point {
        return true;
    }
    let over = *pause == Pause::Over && wishes.add.is_empty();
    let reached = over && passed_before(view, runs) && view.new_available() == count;
    let reached = reached && !view.rollout.spec.paused && !view.is_switched();
    if reached {
        wishes.remove.push(BLUE_GREEN);
        wishes.resumed = false;
    }
    reached
}

/// What the pause waits for, if it is one.
pub(super) fn because(view: &View<'_>, wishes: &Wishes) -> Option<Because> {
    if wishes.add.contains(&BLUE_GREEN) {
        return Some(Because::Paused {
            step: None,
            until: ends(view, super::super::condition::time(view.now).0),
        });
    }
    let until = until(view);
    // What comes after its end may have to wait for something else.
    let is_over = is_removed(wishes) || until.is_some_and(|until| view.now >= until);
    let runs_on = find(view.status, BLUE_GREEN).is_some() && !is_over;
    runs_on.then_some(Because::Paused { step: None, until })
}
