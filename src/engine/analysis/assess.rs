//! What the measurements of a run mean: the phase of each metric, of the run, and the messages about both.
//!
//! Input: metrics and their measurements. Output: phases, messages and summaries in the status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunStatus, Measurement, Metric, MetricResult, RunSummary,
};

use super::limits::Limits;
use super::resolve::{Resolved, ResolvedMetric};
use super::schedule::is_terminating;
use super::{measure, missing};

/// What a measurement says that was ended with its run.
pub(super) const TERMINATED: &str = "Metric Terminated";

/// Adds a finished measurement to the counts of its metric.
pub(super) fn count(result: &mut MetricResult, phase: AnalysisPhase) {
    let counted = match phase {
        AnalysisPhase::Successful => &mut result.successful,
        AnalysisPhase::Failed => &mut result.failed,
        AnalysisPhase::Inconclusive => &mut result.inconclusive,
        AnalysisPhase::Error => &mut result.error,
        AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Unknown => return,
    };
    *counted = counted.saturating_add(1);
    let (error, success) = (phase == AnalysisPhase::Error, phase == AnalysisPhase::Successful);
    if !error {
        result.count = result.count.saturating_add(1);
    }
    result.consecutive_error = if error { result.consecutive_error.saturating_add(1) } else { 0 };
    result.consecutive_success = if success { result.consecutive_success.saturating_add(1) } else { 0 };
}

/// The limit that a metric broke, and how. Of several an error outranks inconclusive results, and those failures.
fn broken(metric: &Metric, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    let Limits { failure, inconclusive, consecutive_error, .. } = Limits::of(metric);
    if result.consecutive_error > consecutive_error {
        let why = format!(
            "consecutiveErrors ({}) > consecutiveErrorLimit ({consecutive_error})",
            result.consecutive_error
        );
        return Some((AnalysisPhase::Error, why));
    }
    if result.inconclusive > inconclusive {
        let why = format!("inconclusive ({}) > inconclusiveLimit ({inconclusive})", result.inconclusive);
        return Some((AnalysisPhase::Inconclusive, why));
    }
    let failure = failure.filter(|limit| result.failed > *limit)?;
    Some((AnalysisPhase::Failed, format!("failed ({}) > failureLimit ({failure})", result.failed)))
}

/// Why a metric that is completed did not succeed.
fn reason(resolved: &ResolvedMetric, result: &MetricResult, phase: AnalysisPhase) -> Option<String> {
    let is_open = phase == AnalysisPhase::Inconclusive;
    let short = || missing::short(resolved.terms, Some(result)).filter(|_| is_open);
    broken(&resolved.metric, result).map(|(_, why)| why).or_else(short)
}

/// The phase of a metric. It never ends Successful with fewer values than its terms ask for.
fn assess_metric(resolved: &ResolvedMetric, result: &MetricResult, terminating: bool) -> AnalysisPhase {
    let ResolvedMetric { metric, terms, .. } = resolved;
    if let Some(phase) = result.phase.filter(|phase| phase.is_completed()) {
        return phase;
    }
    let is_enough = missing::short(*terms, Some(result)).is_none();
    let at_end = if is_enough { AnalysisPhase::Successful } else { AnalysisPhase::Inconclusive };
    let Some(last) = result.measurements.last() else {
        return if terminating { at_end } else { AnalysisPhase::Pending };
    };
    if !last.phase.is_some_and(AnalysisPhase::is_completed) {
        return AnalysisPhase::Running;
    }
    if let Some((phase, _)) = broken(metric, result) {
        return phase;
    }
    let Limits { count, failure, consecutive_success, .. } = Limits::of(metric);
    let is_met = consecutive_success.is_some_and(|limit| result.consecutive_success >= limit);
    if is_enough && is_met {
        return AnalysisPhase::Successful;
    }
    if count.is_some_and(|count| result.count >= count) {
        return match (failure, consecutive_success) {
            // All that it lacks is values.
            (_, Some(_)) if is_met => at_end,
            (Some(_), Some(_)) => AnalysisPhase::Inconclusive,
            (None, Some(_)) => AnalysisPhase::Failed,
            (Some(_) | None, None) => at_end,
        };
    }
    if terminating { at_end } else { AnalysisPhase::Running }
}

/// How bad a phase is, when the worst one counts.
pub(crate) fn badness(phase: AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Successful => 0,
        AnalysisPhase::Running => 1,
        AnalysisPhase::Pending | AnalysisPhase::Unknown => 2,
        AnalysisPhase::Inconclusive => 3,
        AnalysisPhase::Error => 4,
        AnalysisPhase::Failed => 5,
    }
}

/// Brings phases, messages and summaries of a status in line with its measurements.
///
/// A metric that ends a run ends the other metrics, too, so the assessment is repeated once; not while there is a Job,
/// which somebody has to end first.
pub(super) fn assess(run: &AnalysisRun, resolved: &Resolved, status: &mut AnalysisRunStatus, now: Timestamp) {
    let terminating = is_terminating(run, status);
    assess_once(run, resolved, status, terminating);
    if !terminating && is_terminating(run, status) && !measure::has_open_job(resolved, status) {
        end_unfinished(resolved, status, now);
        assess_once(run, resolved, status, true);
    }
}

/// Ends measurements that somebody began and nobody will finish. A judge that was not heard to its end has a say: nobody
/// passes for want of a verdict.
pub(super) fn end_unfinished(resolved: &Resolved, status: &mut AnalysisRunStatus, now: Timestamp) {
    let is_judge = |name: &str| {
        let mut metrics = resolved.metrics.iter().map(|resolved| &resolved.metric);
        metrics.any(|metric| metric.name == name && metric.provider.judge().is_some())
    };
    for result in &mut status.metric_results {
        let Some(last) = result.measurements.last_mut() else { continue };
        if last.finished_at.is_none() && !last.phase.is_some_and(AnalysisPhase::is_completed) {
            last.phase = Some(AnalysisPhase::Inconclusive);
            TERMINATED.clone_into(&mut last.message);
            last.finished_at = Some(Time(now));
            if is_judge(&result.name) {
                count(result, AnalysisPhase::Inconclusive);
            }
        }
    }
}

/// Whether a run has no verdict only because it was ended while its Jobs ran.
pub(crate) fn was_cut_short(run: &AnalysisRun, status: &AnalysisRunStatus) -> bool {
    let is_job = |name: &str| {
        run.spec.metrics.iter().any(|metric| metric.name == name && metric.provider.job.is_some())
    };
    let counting = status.metric_results.iter().filter(|result| !result.dry_run);
    let mut open = counting.filter(|result| result.phase == Some(AnalysisPhase::Inconclusive));
    let is_cut = |result: &MetricResult| {
        let last = result.measurements.last();
        is_job(&result.name)
            && result.inconclusive == 1
            && last.is_some_and(|last| last.message == TERMINATED)
    };
    status.phase == Some(AnalysisPhase::Inconclusive) && open.all(is_cut)
}

fn assess_once(run: &AnalysisRun, resolved: &Resolved, status: &mut AnalysisRunStatus, terminating: bool) {
    let mut verdict = Verdict {
        message: if run.spec.terminate { "Run Terminated".into() } else { String::new() },
        worst: None,
    };
    let (mut summary, mut dry_summary) = (RunSummary::default(), RunSummary::default());
    let mut all_completed = true;
    for resolved in &resolved.metrics {
        let ResolvedMetric { metric, dry_run, terms, .. } = resolved;
        let summary = if *dry_run { &mut dry_summary } else { &mut summary };
        summary.count += 1;
        let Some(result) = status.metric_results.iter_mut().find(|result| result.name == metric.name) else {
            all_completed = false;
            if terminating && let Some(why) = missing::short(*terms, None) {
                add(summary, AnalysisPhase::Inconclusive);
                verdict.lacks(&metric.name, &why, *dry_run);
            }
            continue;
        };
        let phase = assess_metric(resolved, result, terminating);
        if result.phase != Some(phase) {
            result.phase = Some(phase);
            let last = result.measurements.last().map(|measurement| measurement.message.clone());
            result.message = last.unwrap_or_default();
        }
        if !phase.is_completed() {
            all_completed = false;
            continue;
        }
        add(summary, phase);
        if *dry_run {
            if let Some(why) = reason(resolved, result, phase) {
                result.message = format!("Metric assessed {} due to {why}", phase.as_str());
            }
        } else {
            verdict.consider(resolved, result, phase);
        }
    }
    status.run_summary = summary;
    // Upstream writes it of every run, and an unchanged status is what a take-over must leave.
    status.dry_run_summary = Some(dry_summary);
    let (phase, message) = verdict.of_run(terminating, all_completed);
    if status.phase != Some(phase) {
        status.phase = Some(phase);
        status.message = message;
    }
}

fn add(summary: &mut RunSummary, phase: AnalysisPhase) {
    match phase {
        AnalysisPhase::Successful => summary.successful += 1,
        AnalysisPhase::Failed => summary.failed += 1,
        AnalysisPhase::Inconclusive => summary.inconclusive += 1,
        AnalysisPhase::Error => summary.error += 1,
        AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Unknown => {}
    }
}

/// The worst phase so far and the message that goes with it.
struct Verdict {
    worst: Option<AnalysisPhase>,
    message: String,
}

impl Verdict {
    fn consider(&mut self, resolved: &ResolvedMetric, result: &MetricResult, phase: AnalysisPhase) {
        if self.worst.is_some_and(|worst| badness(phase) <= badness(worst)) {
            return;
        }
        self.worst = Some(phase);
        if let Some(why) = reason(resolved, result, phase) {
            let metric = &resolved.metric.name;
            self.message = format!("Metric \"{metric}\" assessed {} due to {why}", phase.as_str());
            if !result.message.is_empty() {
                self.message += &format!(": \"Error Message: {}\"", result.message);
            }
        }
    }

    /// Takes in a metric that was never measured and that needs values.
    fn lacks(&mut self, metric: &str, why: &str, dry_run: bool) {
        if !dry_run && self.worst.is_none_or(|worst| badness(worst) < badness(AnalysisPhase::Inconclusive)) {
            self.worst = Some(AnalysisPhase::Inconclusive);
            self.message = format!("Metric \"{metric}\" assessed Inconclusive due to {why}");
        }
    }

    fn of_run(self, terminating: bool, all_completed: bool) -> (AnalysisPhase, String) {
        if terminating || all_completed {
            return (self.worst.unwrap_or(AnalysisPhase::Successful), self.message);
        }
        (AnalysisPhase::Running, String::new())
    }
}

/// Drops the oldest measurements beyond what the rules keep, and returns these.
pub(super) fn retain(resolved: &Resolved, status: &mut AnalysisRunStatus) -> Vec<Measurement> {
    let mut dropped = Vec::new();
    for result in &mut status.metric_results {
        let metric = resolved.metrics.iter().find(|metric| metric.metric.name == result.name);
        let beyond = metric.map_or(0, |metric| result.measurements.len().saturating_sub(metric.kept));
        dropped.extend(result.measurements.drain(..beyond));
    }
    dropped
}
