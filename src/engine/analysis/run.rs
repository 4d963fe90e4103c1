//! One round for one AnalysisRun: what to ask, and what the answers make of the run.
//!
//! Input: the run, the time, Secrets, then answers. Output: requests, a status, events, and when to look again.
//! Both functions are total: whatever a run holds, they return; what is wrong with it stands in its status.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisRunStatus, Metric, MetricResult, SecretKeyRef,
};

use super::args::{self, Secrets};
use super::measure::{self, Task};
use super::resolve::{self, Resolved};
use super::schedule::{Due, due, is_terminating, later};
use super::{assess, redact, take};
use crate::metric::{self, Account, Accounts, Answer, Defaults, Request, job};
use crate::plan::Notice;
use crate::time::whole_seconds;

/// Everything one decision about a run may know.
#[derive(Clone)]
pub struct RunWorld {
    pub now: Timestamp,
    pub run: Arc<AnalysisRun>,
    /// The Secret keys that [`needs`] names.
    pub secrets: Secrets,
    /// What was found of the accounts that [`accounts`] names.
    pub accounts: Accounts,
    pub defaults: Defaults,
    /// Jobs that have ended, of those that [`job::in_flight`] names; who does not know leaves it empty.
    pub jobs_over: BTreeSet<job::Name>,
}

#[cfg(test)]
impl RunWorld {
    /// A run at a time, of which nothing else is known.
    pub(super) fn of(run: &AnalysisRun, now: Timestamp) -> Self {
        Self {
            now,
            run: Arc::new(run.clone()),
            secrets: Secrets::new(),
            accounts: Accounts::default(),
            defaults: Defaults::default(),
            jobs_over: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for RunWorld {
    /// Leaves out the values of Secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunWorld")
            .field("now", &self.now)
            .field("run", &self.run.metadata.name)
            .field("secrets", &self.secrets.keys())
            .field("accounts", &self.accounts)
            .field("jobs_over", &self.jobs_over)
            .finish_non_exhaustive()
    }
}

/// What to do for one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunPlan {
    /// Requests to make now, all at once; then [`record`] says what they mean. With requests there is no status.
    pub requests: Vec<MeasureRequest>,
    /// The status to write, if it differs from the one read, and the events that are true once it is written.
    pub status: Option<AnalysisRunStatus>,
    pub notices: Vec<Notice>,
    /// When to look again even if nothing changes.
    pub wake: Option<Timestamp>,
    /// The run finished long enough ago.
    pub delete: bool,
    /// Jobs to delete before the status is written, which will not tell of them any longer.
    pub sweep: Vec<job::Name>,
    /// A provider that this build does not serve. The run is left untouched.
    pub unserved: Option<Unserved>,
}

/// One measurement to take.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasureRequest {
    pub metric: String,
    pub request: Request,
}

/// The answer to a [`MeasureRequest`], or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub metric: String,
    pub answer: Result<Answer, String>,
}

/// A metric whose provider is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    pub metric: String,
    pub provider: &'static str,
}

impl std::fmt::Display for Unserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "metric '{}' wants provider {}, which is not served yet: the run is left untouched",
            self.metric, self.provider
        )
    }
}

/// The Secret keys to read before a plan: those that the arguments name, if a measurement is due. The end of a run needs
/// none.
#[must_use]
pub fn needs(world: &RunWorld) -> Vec<SecretKeyRef> {
    let needed = args::needed_secrets(&world.run.spec.args);
    if needed.is_empty() || of_tasks(world, |_| Some(())).is_empty() { Vec::new() } else { needed }
}

/// The accounts to look up before a plan: those of the providers that are about to be asked.
#[must_use]
pub fn accounts(world: &RunWorld) -> BTreeSet<Account> {
    of_tasks(world, |task| Some(metric::accounts(task.metric))).into_iter().flatten().collect()
}

/// What there is to say of the metrics that are due, while a run goes on.
fn of_tasks<T>(world: &RunWorld, say: impl Fn(&Task<'_>) -> Option<T>) -> Vec<T> {
    let run = world.run.as_ref();
    let status = run.status.clone().unwrap_or_default();
    if is_finished(&status) || is_terminating(run, &status) {
        return Vec::new();
    }
    match resolve::resolve(run) {
        Ok(resolved) => measure::tasks(world, &resolved, &status, world.now).iter().filter_map(say).collect(),
        Err(_) => Vec::new(),
    }
}

/// Decides what to do for a run.
#[must_use]
pub fn plan(world: &RunWorld) -> RunPlan {
    let run = world.run.as_ref();
    let before = run.status.clone().unwrap_or_default();
    if run.metadata.deletion_timestamp.is_some() {
        return RunPlan::default();
    }
    if is_finished(&before) {
        return expire(run, &before, world.now);
    }
    let resolved = match resolve::resolve(run) {
        Ok(resolved) => resolved,
        Err(message) => return finish(&before, refuse(&before, message), None),
    };
    if let Some(unserved) = unserved(&resolved) {
        return RunPlan { unserved: Some(unserved), ..RunPlan::default() };
    }
    let tasks = measure::tasks(world, &resolved, &before, world.now);
    if tasks.is_empty() {
        return record(world, &[], world.now);
    }
    let revealed = match reveal(world, &tasks) {
        Ok(metrics) => metrics,
        Err(why) => return finish(&before, refuse(&before, unresolvable(world, &why)), None),
    };
    let request = |task: &Task<'_>| {
        let request = task.request(world, &revealed).ok()?;
        Some(MeasureRequest { metric: task.metric.name.clone(), request })
    };
    let requests: Vec<MeasureRequest> = tasks.iter().filter_map(request).collect();
    if requests.is_empty() {
        // No metric that is due makes a request: recording says in each measurement why not.
        return record(world, &[], world.now);
    }
    RunPlan { requests, ..RunPlan::default() }
}

/// Decides what the answers make of a run. A metric that is due and has no outcome is not measured; one whose
/// settings make no request is measured as an error.
#[must_use]
pub fn record(world: &RunWorld, outcomes: &[Outcome], finished: Timestamp) -> RunPlan {
    let run = world.run.as_ref();
    let before = run.status.clone().unwrap_or_default();
    let resolved = match resolve::resolve(run) {
        Ok(resolved) if !is_finished(&before) => resolved,
        Ok(_) => return expire(run, &before, finished),
        Err(message) => return finish(&before, refuse(&before, message), None),
    };
    let mut status = before.clone();
    status.started_at.get_or_insert(Time(whole_seconds(world.now)));
    let tasks = measure::tasks(world, &resolved, &before, world.now);
    let revealed = match reveal(world, &tasks) {
        Ok(metrics) => metrics,
        Err(why) => return finish(&before, refuse(&before, unresolvable(world, &why)), None),
    };
    take::take(world, &tasks, &revealed, outcomes, finished, &mut status);
    if is_terminating(run, &before) {
        take::take_late(world, &resolved, outcomes, &mut status);
        if measure::has_open_job(&resolved, &status) {
            // A run that is over would leave its Job behind.
            return finish(&before, status, Some(finished));
        }
        assess::end_unfinished(&resolved, &mut status, whole_seconds(finished));
    }
    assess::assess(run, &resolved, &mut status, whole_seconds(finished));
    let dropped = assess::retain(&resolved, &mut status);
    if is_finished(&status) && status.completed_at.is_none() {
        status.completed_at = Some(Time(whole_seconds(finished)));
    }
    let wake = wake(run, &resolved, &status, finished);
    RunPlan { sweep: take::jobs(run, &dropped), ..finish(&before, status, wake) }
}

/// The metrics with the values of Secrets in them; to end what was begun nobody needs these.
fn reveal(world: &RunWorld, tasks: &[Task<'_>]) -> Result<Vec<Metric>, String> {
    if tasks.iter().all(Task::is_end) { Ok(Vec::new()) } else { resolve::reveal(&world.run, &world.secrets) }
}

fn is_finished(status: &AnalysisRunStatus) -> bool {
    status.phase.is_some_and(AnalysisPhase::is_completed)
}

fn unserved(resolved: &Resolved) -> Option<Unserved> {
    resolved.metrics.iter().find_map(|metric| {
        let provider = metric::unserved(&metric.metric)?;
        Some(Unserved { metric: metric.metric.name.clone(), provider })
    })
}

fn unresolvable(world: &RunWorld, why: &str) -> String {
    let why = redact::redact(why, &redact::argument_secrets(world));
    format!("Unable to resolve metric arguments: {why}")
}

/// Ends a run that cannot be measured. It gets no completion time, so no time to live ever deletes it.
fn refuse(before: &AnalysisRunStatus, message: String) -> AnalysisRunStatus {
    AnalysisRunStatus { phase: Some(AnalysisPhase::Error), message, ..before.clone() }
}

/// Puts a status into a plan, with the events that its writing makes true.
fn finish(before: &AnalysisRunStatus, status: AnalysisRunStatus, wake: Option<Timestamp>) -> RunPlan {
    if status == *before {
        return RunPlan { wake, ..RunPlan::default() };
    }
    RunPlan { notices: notices(before, &status), wake, status: Some(status), ..RunPlan::default() }
}

/// When the next metric is due, or the finished run may be deleted.
fn wake(
    run: &AnalysisRun,
    resolved: &Resolved,
    status: &AnalysisRunStatus,
    now: Timestamp,
) -> Option<Timestamp> {
    if is_finished(status) {
        return expire(run, status, now).wake;
    }
    let terminating = is_terminating(run, status);
    let times =
        resolved.metrics.iter().filter_map(|metric| match due(&metric.metric, status, terminating, now) {
            Due::Now => Some(now),
            Due::At(time) => Some(time),
            Due::Never => None,
        });
    times.min()
}

/// Deletes a finished run once its time to live has passed.
fn expire(run: &AnalysisRun, status: &AnalysisRunStatus, now: Timestamp) -> RunPlan {
    let seconds = run.spec.ttl_strategy.as_ref().and_then(|strategy| {
        let own = match status.phase {
            Some(AnalysisPhase::Successful) => strategy.seconds_after_success,
            Some(AnalysisPhase::Failed) => strategy.seconds_after_failure,
            Some(
                AnalysisPhase::Error
                | AnalysisPhase::Inconclusive
                | AnalysisPhase::Pending
                | AnalysisPhase::Running
                | AnalysisPhase::Unknown,
            )
            | None => None,
        };
        own.or(strategy.seconds_after_completion)
    });
    let (Some(seconds), Some(Time(completed))) = (seconds, &status.completed_at) else {
        return RunPlan::default();
    };
    let end = later(*completed, SignedDuration::from_secs(seconds.into()));
    if now > end {
        return RunPlan { delete: true, ..RunPlan::default() };
    }
    RunPlan { wake: Some(later(end, SignedDuration::from_secs(1))), ..RunPlan::default() }
}

/// The events that a change of status makes true: one for each metric that ended, one for the run.
fn notices(before: &AnalysisRunStatus, after: &AnalysisRunStatus) -> Vec<Notice> {
    let known: BTreeMap<&str, Option<AnalysisPhase>> =
        before.metric_results.iter().map(|result| (result.name.as_str(), result.phase)).collect();
    let changed = |result: &&MetricResult| known.get(result.name.as_str()).copied().flatten() != result.phase;
    let metrics = after.metric_results.iter().filter(changed).filter_map(|result| {
        let ended = ended(result.phase?)?;
        let message = format!("Metric '{}' Completed. Result: {}", result.name, ended.phase);
        Some(Notice { warning: ended.warning, reason: ended.metric_reason, message })
    });
    let run = after.phase.filter(|_| before.phase != after.phase).and_then(ended);
    let run = run.map(|ended| {
        let message = format!("Analysis Completed. Result: {}", ended.phase);
        Notice { warning: ended.warning, reason: ended.run_reason, message }
    });
    metrics.chain(run).collect()
}

/// What the events about the end of a metric or run say.
struct Ended {
    warning: bool,
    metric_reason: &'static str,
    run_reason: &'static str,
    phase: &'static str,
}

fn ended(phase: AnalysisPhase) -> Option<Ended> {
    let (warning, metric_reason, run_reason) = match phase {
        AnalysisPhase::Successful => (false, "MetricSuccessful", "AnalysisRunSuccessful"),
        AnalysisPhase::Inconclusive => (false, "MetricInconclusive", "AnalysisRunInconclusive"),
        AnalysisPhase::Failed => (true, "MetricFailed", "AnalysisRunFailed"),
        AnalysisPhase::Error => (true, "MetricError", "AnalysisRunError"),
        AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Unknown => return None,
    };
    Some(Ended { warning, metric_reason, run_reason, phase: phase.as_str() })
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
