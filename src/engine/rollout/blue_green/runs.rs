//! The AnalysisRuns before and after the switch: which is current, what it says, which to start and which to stop.
//!
//! Input: a view and the wishes of this round. Output: a judgement. A run that is under way is judged whatever becomes of
//! the pods meanwhile: stopping it would count as a success.

use tidegate_api::phase::AnalysisPhase;
use tidegate_api::rollout::{RolloutAnalysis, RolloutAnalysisRunStatus};

use super::super::pause::{INCONCLUSIVE, Wishes, find};
use super::super::runs::{Runs, current, forget, heed, name, needs_another, start, state, unfinished};
use super::sizes;
use super::view::View;
use crate::analysis::RunKind;
use crate::plan::Because;

/// Judges the runs: what they say about this update, and which are needed from now on.
pub(super) fn judge(view: &View<'_>, wishes: &mut Wishes) -> Runs {
    let known = &view.status.blue_green;
    let mut runs = Runs::default();
    // What runs of before a retry said is not held against what comes after it.
    let is_retried = view.status.aborted_at.is_some() && !wishes.aborted(view.status);
    if !is_retried {
        runs.pre = shown(view, known.pre_promotion_analysis_run_status.as_ref());
        runs.post = shown(view, known.post_promotion_analysis_run_status.as_ref());
    }
    let over = view.status.stable_rs.is_empty() || view.promote_full() || view.is_fast_rollback();
    if over || wishes.aborted(view.status) {
        runs.stop = unfinished(view).map(|run| name(run).to_owned()).collect();
        forget(view, &mut runs);
        return runs;
    }
    let mut needed = None;
    if view.is_switched() {
        if let Some(analysis) = &view.spec.post_promotion_analysis {
            let cause = "Blue/green post-promotion analysis phase error/failed";
            needed = Some(RunKind::PostPromotion);
            look(view, analysis, RunKind::PostPromotion, cause, wishes, &mut runs);
        }
    } else if let Some(analysis) = &view.spec.pre_promotion_analysis {
        let cause = "Blue/green pre-promotion analysis phase error/failed";
        needed = Some(RunKind::PrePromotion);
        look(view, analysis, RunKind::PrePromotion, cause, wishes, &mut runs);
    }
    let kept = needed.and_then(|kind| of(&runs, kind)).map(|run| run.name.clone());
    let stop = unfinished(view).map(|run| name(run).to_owned()).filter(|name| Some(name) != kept.as_ref());
    runs.stop = stop.collect();
    forget(view, &mut runs);
    runs
}

/// What the status says of a run: as it is now, or as it was when it was last seen.
fn shown(view: &View<'_>, known: Option<&RolloutAnalysisRunStatus>) -> Option<RolloutAnalysisRunStatus> {
    current(view, known).map(state).or_else(|| known.cloned())
}

fn of(runs: &Runs, kind: RunKind) -> Option<&RolloutAnalysisRunStatus> {
    match kind {
        RunKind::PrePromotion => runs.pre.as_ref(),
        RunKind::PostPromotion => runs.post.as_ref(),
        RunKind::Step { .. } | RunKind::Background => None,
    }
}

/// Heeds the run of this moment, or starts it once the pods that it measures are there.
fn look(
    view: &View<'_>,
    analysis: &RolloutAnalysis,
    kind: RunKind,
    cause: &str,
    wishes: &mut Wishes,
    runs: &mut Runs,
) {
    if analysis.templates.is_empty() {
        runs.refuse(match kind {
            RunKind::PostPromotion => "spec.strategy.blueGreen.postPromotionAnalysis",
            RunKind::PrePromotion | RunKind::Step { .. } | RunKind::Background => {
                "spec.strategy.blueGreen.prePromotionAnalysis"
            }
        });
        return;
    }
    if find(view.status, INCONCLUSIVE).is_some() {
        return;
    }
    match current(view, of(runs, kind)).filter(|run| !needs_another(view, run)) {
        Some(run) => heed(run, cause, wishes),
        None if is_due(view, kind) => start(view, analysis, kind, runs),
        // Somebody decided on an inconclusive run, and the next one has to wait for pods.
        None => forget_verdict(runs, kind),
    }
}

fn forget_verdict(runs: &mut Runs, kind: RunKind) {
    match kind {
        RunKind::PrePromotion => runs.pre = None,
        RunKind::PostPromotion => runs.post = None,
        RunKind::Step { .. } | RunKind::Background => {}
    }
}

fn is_due(view: &View<'_>, kind: RunKind) -> bool {
    match kind {
        RunKind::PrePromotion => view.has_all(sizes::wanted(view)),
        RunKind::PostPromotion => view.is_saturated(),
        RunKind::Step { .. } | RunKind::Background => false,
    }
}

fn succeeded(
    view: &View<'_>,
    analysis: Option<&RolloutAnalysis>,
    run: Option<&RolloutAnalysisRunStatus>,
) -> bool {
    if analysis.is_none() {
        return true;
    }
    // The run of before a retry says nothing about what comes after it.
    let known = current(view, run).filter(|run| !needs_another(view, run));
    known.is_some_and(|known| state(known).status == Some(AnalysisPhase::Successful))
}

/// Whether nothing that was to speak before the switch is left to speak, and all that spoke was content.
pub(super) fn passed_before(view: &View<'_>, runs: &Runs) -> bool {
    succeeded(view, view.spec.pre_promotion_analysis.as_ref(), runs.pre.as_ref())
}

/// The same for after the switch.
pub(super) fn passed_after(view: &View<'_>, runs: &Runs) -> bool {
    succeeded(view, view.spec.post_promotion_analysis.as_ref(), runs.post.as_ref())
}

/// Whether an analysis after the switch has still to come to an end.
pub(super) fn is_open_after(view: &View<'_>, runs: &Runs) -> bool {
    let asked = view.spec.post_promotion_analysis.is_some() && view.is_switched() && !view.promoted();
    let ended = runs.post.as_ref().and_then(|run| run.status).is_some_and(AnalysisPhase::is_completed);
    asked && !ended
}

/// The run that the update waits for, if any.
pub(super) fn awaited(view: &View<'_>, runs: &Runs) -> Option<Because> {
    if view.promoted() || view.is_fast_tracked() && !view.is_switched() {
        return None;
    }
    let (passed, run) = if view.is_switched() {
        (passed_after(view, runs), &runs.post)
    } else {
        (passed_before(view, runs), &runs.pre)
    };
    if passed { None } else { runs.because(run.as_ref()) }
}
