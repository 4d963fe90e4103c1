//! What answers of several rounds make of a run, and when there is something to do beside waiting for more.
//!
//! Input: worlds and answers. Output: the engine's plans. It only chooses which of the engine's questions to ask.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunStatus, MetricResult};
use tidegate_engine::analysis::{RunPlan, RunWorld, record};

use super::under_way::Answered;

/// Records answers in a run. A late one is recorded first, and in the world that it was asked for in: its measurement
/// started then, and tells none of the secrets that the request was made of, whatever has become of these.
pub(super) fn recorded(
    round: &Arc<RunWorld>,
    run: &Arc<AnalysisRun>,
    answered: &[Answered],
    finished: Timestamp,
) -> RunPlan {
    let mut worlds: Vec<&Arc<RunWorld>> = answered.iter().map(|answered| &answered.world).collect();
    worlds.retain(|world| !Arc::ptr_eq(world, round));
    worlds.sort_by_key(|world| (world.now, Arc::as_ptr(world)));
    worlds.dedup_by(|one, other| Arc::ptr_eq(one, other));
    worlds.push(round);
    let (mut run, mut whole) = (Arc::clone(run), RunPlan::default());
    for asked in worlds {
        let mut world = RunWorld { run: Arc::clone(&run), ..RunWorld::clone(asked) };
        let mut outcomes = Vec::new();
        for Answered { outcome, sent, .. } in answered.iter().filter(|one| Arc::ptr_eq(&one.world, asked)) {
            world.accounts.were_sent(&outcome.metric, sent.clone());
            outcomes.push(outcome.clone());
        }
        let mut plan = record(&world, &outcomes, finished);
        match &plan.status {
            Some(status) => run = with_status(&run, status.clone()),
            None => plan.status = whole.status,
        }
        plan.notices.splice(0..0, whole.notices);
        plan.sweep.splice(0..0, whole.sweep);
        whole = plan;
    }
    whole
}

/// When there is something to do for a run but for these metrics, which the passing of time does not concern.
pub(super) fn wake_without(
    world: &RunWorld,
    status: Option<&AnalysisRunStatus>,
    metrics: &[String],
) -> Option<Timestamp> {
    let mut status = status.cloned().unwrap_or_default();
    for name in metrics {
        let done = Some(AnalysisPhase::Successful);
        match status.metric_results.iter_mut().find(|result| result.name == *name) {
            Some(result) => result.phase = done,
            None => {
                let (name, phase) = (name.clone(), done);
                status.metric_results.push(MetricResult { name, phase, ..MetricResult::default() });
            }
        }
    }
    let now = Timestamp::now();
    let world = RunWorld { now, run: with_status(&world.run, status), ..world.clone() };
    record(&world, &[], now).wake
}

fn with_status(run: &AnalysisRun, status: AnalysisRunStatus) -> Arc<AnalysisRun> {
    Arc::new(AnalysisRun { status: Some(status), ..run.clone() })
}
