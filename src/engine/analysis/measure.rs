//! What is asked for the metrics that are due, and the measurements that the answers make.
//!
//! Most measurements are one request. A Job is begun, looked at until it ends, and ended early when its run ends. The judge
//! is begun and looked at in the same way, and so is Kayenta; nothing is left behind when its run ends. A measurement whose
//! server asks to be left alone is put off: it stays Running and is taken later.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRunStatus, Measurement, Metric};

use super::resolve::Resolved;
use super::run::{Outcome, RunWorld};
use super::schedule::{Due, due, is_terminating, later, result};
use super::terms::Terms;
use super::{assess, condition, missing};
use crate::metric::{
    self, Answer, LONGEST_WAIT, Request, Response, Setting, job, judge, kayenta, prometheus,
};
use crate::time::whole_seconds;

/// Something to do for a metric now.
#[derive(Debug)]
pub(super) struct Task<'a> {
    /// Its place in the spec.
    index: usize,
    /// The metric, without the values of Secrets.
    pub(super) metric: &'a Metric,
    pub(super) dry_run: bool,
    /// What to do where data is missing.
    terms: Terms,
    /// The wait for data that the metric is in.
    waits: Option<missing::Wait>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// The measurement is there already if it was put off.
    Begin(Option<Measurement>),
    /// Look what became of this measurement.
    Resume(Measurement),
    /// End this measurement early.
    End(Measurement),
}

/// What is to be done now. While a run is ending, that is to end what it has begun.
pub(super) fn tasks<'a>(
    world: &RunWorld,
    resolved: &'a Resolved,
    status: &AnalysisRunStatus,
    now: Timestamp,
) -> Vec<Task<'a>> {
    let terminating = is_terminating(&world.run, status);
    let all = resolved.metrics.iter().enumerate();
    let task = |(index, resolved): (usize, &'a super::resolve::ResolvedMetric)| {
        let metric = &resolved.metric;
        let is_due = || due(metric, status, terminating, now) == Due::Now;
        let step = match open(metric, status) {
            Some(_) if terminating && metric.provider.job.is_none() => return None,
            Some(open) if terminating => Step::End(open.clone()),
            Some(open) if is_due() || is_over(world, open) => Step::Resume(open.clone()),
            Some(_) => return None,
            None if !terminating && is_due() => Step::Begin(unfinished(metric, status).cloned()),
            None => return None,
        };
        let waits = result(status, &metric.name).and_then(missing::Wait::of);
        Some(Task { index, metric, dry_run: resolved.dry_run, terms: resolved.terms, waits, step })
    };
    all.filter_map(task).collect()
}

/// The measurement of a metric that takes its time, if it was begun and not ended.
fn open<'a>(metric: &Metric, status: &'a AnalysisRunStatus) -> Option<&'a Measurement> {
    let provider = &metric.provider;
    if provider.job.is_none() && provider.judge().is_none() && provider.kayenta.is_none() {
        return None;
    }
    unfinished(metric, status)
}

/// The measurement of a metric that was not ended.
fn unfinished<'a>(metric: &Metric, status: &'a AnalysisRunStatus) -> Option<&'a Measurement> {
    let result = result(status, &metric.name)?;
    if result.phase.is_some_and(AnalysisPhase::is_completed) {
        return None;
    }
    result.measurements.last().filter(|last| last.finished_at.is_none())
}

/// Whether a run has a Job that nobody has ended.
pub(super) fn has_open_job(resolved: &Resolved, status: &AnalysisRunStatus) -> bool {
    resolved.metrics.iter().any(|metric| open_job(&metric.metric, status).is_some())
}

pub(super) fn open_job<'a>(metric: &Metric, status: &'a AnalysisRunStatus) -> Option<&'a Measurement> {
    open(metric, status).filter(|_| metric.provider.job.is_some())
}

/// Whether the watch shows that a Job has ended, so that there is nothing to wait for.
fn is_over(world: &RunWorld, open: &Measurement) -> bool {
    job::of(&world.run, open).is_ok_and(|job| world.jobs_over.contains(&job))
}

impl Task<'_> {
    pub(super) fn is_end(&self) -> bool {
        matches!(self.step, Step::End(_))
    }

    /// What to ask; `revealed` are the metrics of the run with the values of Secrets in them.
    pub(super) fn request(&self, world: &RunWorld, revealed: &[Metric]) -> Result<Request, String> {
        let run = &world.run;
        if self.metric.provider.judge().is_some() {
            let open = self.open();
            let query = judge::request(run, &self.revealed(revealed), open, &world.defaults, world.now);
            return query.map(prometheus::Query::into_request);
        }
        if self.metric.provider.kayenta.is_some() {
            let open = self.begun(world);
            return kayenta::request(run, &self.revealed(revealed), &open, world.now).map(Request::Http);
        }
        match &self.step {
            Step::Begin(_) => {
                let metric = self.revealed(revealed);
                if metric.provider.job.is_some() {
                    return job::start(run, &metric, &world.defaults).map(Request::Job);
                }
                let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
                let RunWorld { defaults, accounts, now, .. } = world;
                metric::request(&metric, &Setting { defaults, accounts, namespace, now: *now })
            }
            Step::Resume(open) => job::of(run, open).map(|job| Request::Job(job::look(run, job))),
            Step::End(open) => job::of(run, open).map(|job| Request::Job(job::Request::End { job })),
        }
    }

    /// The measurement that goes on; nothing while it is yet to begin.
    fn open(&self) -> Option<&Measurement> {
        match &self.step {
            Step::Begin(_) => None,
            Step::Resume(open) | Step::End(open) => Some(open),
        }
    }

    /// The measurement as it was begun: now, or when it was put off first.
    fn begun(&self, world: &RunWorld) -> Measurement {
        let now = Some(Time(whole_seconds(world.now)));
        match &self.step {
            Step::Begin(earlier) => {
                let started_at = earlier.as_ref().and_then(|earlier| earlier.started_at.clone()).or(now);
                Measurement { started_at, ..Measurement::default() }
            }
            Step::Resume(open) | Step::End(open) => open.clone(),
        }
    }

    /// The metric with the values of Secrets, under the name that everybody may read.
    fn revealed<'m>(&'m self, revealed: &'m [Metric]) -> Cow<'m, Metric> {
        match revealed.get(self.index) {
            Some(metric) if metric.name == self.metric.name => Cow::Borrowed(metric),
            Some(metric) => Cow::Owned(Metric { name: self.metric.name.clone(), ..metric.clone() }),
            None => Cow::Borrowed(self.metric),
        }
    }

    /// The measurement as the answer makes it; `None` while there is no answer. One whose settings make no request is an
    /// error.
    pub(super) fn measurement(
        &self,
        world: &RunWorld,
        revealed: &[Metric],
        outcomes: &[Outcome],
        finished: Timestamp,
    ) -> Option<Measurement> {
        let end = Some(Time(whole_seconds(finished)));
        let begun = self.begun(world);
        let answer = match self.request(world, revealed) {
            Ok(_) => {
                let outcome = outcomes.iter().find(|outcome| outcome.metric == self.metric.name)?;
                outcome.answer.as_ref().map_err(Clone::clone)
            }
            Err(why) if self.metric.provider.judge().is_some() => return Some(failed(begun, why, end)),
            Err(why) => Err(why),
        };
        if self.metric.provider.judge().is_some() {
            return Some(self.judged(world, revealed, answer, begun, finished));
        }
        if let Ok(Answer::Server(response)) = answer
            && let Some(put_off) = self.put_off(response, &begun, finished)
        {
            return Some(put_off);
        }
        if self.metric.provider.kayenta.is_some() {
            let looked = server(answer)
                .and_then(metric::short)
                .and_then(|response| kayenta::look(&self.revealed(revealed), &begun, response, finished));
            return Some(looked.unwrap_or_else(|why| failed(begun, why, end)));
        }
        let measurement = match &self.step {
            Step::Begin(_) => {
                let taken =
                    answer.and_then(|answer| self.taken(world, revealed, answer, begun.clone(), finished));
                taken.unwrap_or_else(|why| failed(begun, why, end))
            }
            Step::Resume(open) => match answer {
                Ok(Answer::Job(shown)) => resumed(world, open, shown, finished),
                Ok(Answer::Server(_)) => return None,
                Err(why) => failed(open.clone(), why, end),
            },
            Step::End(open) => match answer {
                Ok(_) => Measurement {
                    phase: Some(AnalysisPhase::Inconclusive),
                    message: assess::TERMINATED.to_owned(),
                    finished_at: end,
                    ..open.clone()
                },
                Err(why) => failed(open.clone(), why, end),
            },
        };
        Some(measurement)
    }

    /// The judge takes an answer that did not come for what it is, and a server that asks to be left alone, too.
    fn judged(
        &self,
        world: &RunWorld,
        revealed: &[Metric],
        answer: Result<&Answer, String>,
        open: Measurement,
        finished: Timestamp,
    ) -> Measurement {
        let metric = self.revealed(revealed);
        let judged = judge::look(&world.run, &metric, &open, server(answer), finished);
        judged.unwrap_or_else(|why| failed(open, why, Some(Time(whole_seconds(finished)))))
    }

    /// The measurement as it waits for a server that asks to be left alone, unless it has waited for too long.
    fn put_off(&self, response: &Response, begun: &Measurement, finished: Timestamp) -> Option<Measurement> {
        let wait = metric::wait(self.metric, response)?;
        let resume = later(finished, wait);
        let started = begun.started_at.as_ref().map_or(finished, |time| time.0);
        (resume <= later(started, LONGEST_WAIT)).then(|| Measurement {
            phase: Some(AnalysisPhase::Running),
            message: format!(
                "the server answered {} and is asked again in {} s",
                response.status,
                wait.as_secs()
            ),
            resume_at: Some(Time(whole_seconds(resume))),
            ..begun.clone()
        })
    }

    fn taken(
        &self,
        world: &RunWorld,
        revealed: &[Metric],
        answer: &Answer,
        begun: Measurement,
        finished: Timestamp,
    ) -> Result<Measurement, String> {
        let metric = self.revealed(revealed);
        match answer {
            Answer::Job(shown) => begun_job(world, &metric.name, shown, begun),
            Answer::Server(response) => {
                let measured = metric::value(&metric, response, world.now)?;
                let verdict = condition::judge(&metric, &measured.value, finished);
                let taken = Measurement {
                    value: measured.text,
                    metadata: measured.metadata,
                    finished_at: Some(Time(whole_seconds(finished))),
                    ..begun
                };
                Ok(missing::measurement(self.terms, &metric, verdict, self.waits, taken))
            }
        }
    }
}

/// The answer of a metric server.
fn server(answer: Result<&Answer, String>) -> Result<&Response, String> {
    match answer? {
        Answer::Server(response) => Ok(response),
        Answer::Job(_) => Err("the answer is not of a metric server".to_owned()),
    }
}

pub(super) fn begun_job(
    world: &RunWorld,
    metric: &str,
    shown: &job::Shown,
    begun: Measurement,
) -> Result<Measurement, String> {
    let job::Begun { metadata, resume } = job::begun(&world.run, metric, shown, whole_seconds(world.now))?;
    let phase = Some(AnalysisPhase::Running);
    Ok(Measurement { phase, metadata, resume_at: Some(Time(resume)), ..begun })
}

fn resumed(world: &RunWorld, open: &Measurement, shown: &job::Shown, finished: Timestamp) -> Measurement {
    let (now, mut measurement) = (whole_seconds(finished), open.clone());
    let started = open.started_at.as_ref().map_or(now, |time| time.0);
    let job = match job::of(&world.run, open) {
        Ok(job) => job,
        Err(why) => return failed(measurement, why, Some(Time(now))),
    };
    match job::judge(&job, shown, started, now) {
        job::Outcome::Runs(resume) => measurement.resume_at = Some(Time(resume)),
        job::Outcome::Ended(phase, why) => {
            measurement.phase = Some(phase);
            measurement.message = why;
            measurement.finished_at = Some(Time(now));
        }
    }
    measurement
}

fn failed(measurement: Measurement, why: String, finished_at: Option<Time>) -> Measurement {
    Measurement { phase: Some(AnalysisPhase::Error), message: why, finished_at, ..measurement }
}
