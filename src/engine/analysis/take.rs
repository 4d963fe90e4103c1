//! What measurements add to the status of a run.
//!
//! Input: tasks and the answers to them. Output: results of metrics, in which nobody reads a secret, and Jobs that are not
//! told of any longer.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunStatus, Measurement, Metric, MetricResult,
};

use super::measure::{Task, begun_job, open_job};
use super::resolve::Resolved;
use super::run::{Outcome, RunWorld};
use super::schedule::result;
use super::{assess, missing, redact};
use crate::metric::{self, Answer, job};
use crate::time::whole_seconds;

/// Adds what the answers make of the tasks to a status. A task without an answer is done another time.
pub(super) fn take(
    world: &RunWorld,
    tasks: &[Task<'_>],
    revealed: &[Metric],
    outcomes: &[Outcome],
    finished: Timestamp,
    status: &mut AnalysisRunStatus,
) {
    for task in tasks {
        if let Some(mut measurement) = task.measurement(world, revealed, outcomes, finished) {
            redact::redact_measurement(task.metric, &mut measurement, &redact::secrets(world, task.metric));
            add(status, &world.run, task.metric, task.dry_run, measurement);
        }
    }
}

/// Adds the Jobs that were begun when nobody knew yet that the run would end: they have to be ended, too.
pub(super) fn take_late(
    world: &RunWorld,
    resolved: &Resolved,
    outcomes: &[Outcome],
    status: &mut AnalysisRunStatus,
) {
    for resolved in &resolved.metrics {
        let metric = &resolved.metric;
        let outcome = outcomes.iter().find(|outcome| outcome.metric == metric.name);
        let is_done = result(status, &metric.name)
            .is_some_and(|result| result.phase.is_some_and(AnalysisPhase::is_completed));
        let (Some(Outcome { answer: Ok(Answer::Job(shown)), .. }), None, false) =
            (outcome, open_job(metric, status), is_done)
        else {
            continue;
        };
        let begun =
            Measurement { started_at: Some(Time(whole_seconds(world.now))), ..Measurement::default() };
        if let Ok(begun) = begun_job(world, &metric.name, shown, begun) {
            add(status, &world.run, metric, resolved.dry_run, begun);
        }
    }
}

/// Adds a measurement to its metric; one that was begun and not finished, or that waited for data, is replaced.
fn add(
    status: &mut AnalysisRunStatus,
    run: &AnalysisRun,
    metric: &Metric,
    dry_run: bool,
    measurement: Measurement,
) {
    let name = &metric.name;
    let known = status.metric_results.iter().position(|result| result.name == *name);
    let index = known.unwrap_or_else(|| {
        status.metric_results.push(MetricResult {
            name: name.clone(),
            phase: Some(AnalysisPhase::Running),
            dry_run,
            ..MetricResult::default()
        });
        status.metric_results.len() - 1
    });
    let Some(result) = status.metric_results.get_mut(index) else { return };
    // The metadata shows the query with placeholders for Secrets: it is for anybody to read.
    let noted = missing::noted(result);
    result.metadata = metric::metadata(run, metric);
    result.metadata.extend(noted);
    let is_over = |last: &Measurement| last.finished_at.is_some() && !missing::is_waiting(last);
    if result.measurements.last().is_some_and(|last| !is_over(last)) {
        result.measurements.pop();
    }
    missing::note(result, &measurement);
    if !missing::is_waiting(&measurement) {
        assess::count(result, measurement.phase.unwrap_or(AnalysisPhase::Error));
    }
    result.measurements.push(measurement);
}

/// The Jobs of measurements that are not kept any longer.
pub(super) fn jobs(run: &AnalysisRun, dropped: &[Measurement]) -> Vec<job::Name> {
    let finished = dropped.iter().filter(|measurement| measurement.finished_at.is_some());
    finished.filter_map(|measurement| job::of(run, measurement).ok()).collect()
}
