//! Provider plugin `tidegate.dev/judge`: the built-in judge, which compares the canary with the stable version.
//!
//! Input: the settings of a metric and its run, then the counters of both sides as Prometheus tells them. Output: a query,
//! then the measurement. One measurement is the whole judgement: it stays Running from look to look, and its metadata
//! holds all that is known, so that the next look may be made by another controller. Conditions have no say.
//!
//! An answer that does not come is no evidence. It neither passes nor fails: it is asked for again at the next look. A
//! server that asks to be left alone is, and for as long as with other metrics that is not even a missing answer.

mod answer;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, JUDGE_PLUGIN, Measurement, Metric};

use super::prometheus::{self, Query, Range};
use super::{Defaults, LONGEST_WAIT, Response};
use crate::judge::judgement::{Judgement, Ruling};
use crate::judge::source::{self, Setting, Source};
use crate::judge::words;
use crate::time::whole_seconds;

/// The part of the interval after which is looked again for a side that is not there yet.
const EARLY: f64 = 0.1;

/// Reads the settings of a metric whose arguments are filled in.
///
/// # Errors
/// Names the field that is wrong.
pub fn source(run: &AnalysisRun, metric: &Metric) -> Result<Source, String> {
    let config = metric.provider.judge().ok_or("the metric does not ask the judge")?;
    let arguments = run.spec.args.iter().filter_map(|arg| Some((arg.name.clone(), arg.value.clone()?)));
    let namespace = run.metadata.namespace.clone().unwrap_or_default();
    source::parse(config, &Setting { namespace, arguments: arguments.collect() })
}

/// What a measurement of the judge has recorded; `None` of one that has just begun, or is somebody else's.
///
/// # Errors
/// Fails when it cannot be read.
pub fn recorded(measurement: &Measurement) -> Result<Option<Judgement>, String> {
    measurement.metadata.get(JUDGE_PLUGIN).map(|text| Judgement::parse(text)).transpose()
}

/// The query of the next look; of the first one, that of the time before as well.
///
/// # Errors
/// Fails when the settings make no query, or what was recorded cannot be read.
pub(crate) fn request(
    run: &AnalysisRun,
    metric: &Metric,
    open: Option<&Measurement>,
    defaults: &Defaults,
    now: Timestamp,
) -> Result<Query, String> {
    let source = source(run, metric)?;
    let judgement = open.map(recorded).transpose()?.flatten().unwrap_or_default();
    let query = prometheus::request(&source.prometheus, defaults, now)?;
    if judgement.learned || source.history_seconds == 0.0 {
        return Ok(query);
    }
    let history = SignedDuration::from_secs(source.history_seconds as i64);
    let start = now.checked_sub(history).unwrap_or(now);
    Ok(Query { range: Some(Range { start, end: now, step_seconds: source.interval_seconds }), ..query })
}

/// What a look makes of the measurement.
///
/// # Errors
/// Fails when the settings or what was recorded cannot be read, and when the server says that the query is none.
pub(crate) fn look(
    run: &AnalysisRun,
    metric: &Metric,
    open: &Measurement,
    answer: Result<&Response, String>,
    now: Timestamp,
) -> Result<Measurement, String> {
    let source = source(run, metric)?;
    let mut judgement = recorded(open)?.unwrap_or_else(|| begun(run, metric));
    let started = open.started_at.as_ref().map_or(now, |time| time.0);
    let seconds = u32::try_from(now.duration_since(started).as_secs()).unwrap_or(0);
    let lack = match put_off(metric, &answer, &judgement, seconds) {
        Some(lack) => {
            judgement.put_off(seconds);
            Some(lack)
        }
        None => take_up(&mut judgement, &source, answer, seconds)?,
    };
    measurement(&source, &judgement, lack, open, now)
}

/// A new judgement. With an interval others follow it, and it follows those that were counted.
fn begun(run: &AnalysisRun, metric: &Metric) -> Judgement {
    let mut results = run.status.iter().flat_map(|status| &status.metric_results);
    let before = results.find(|result| result.name == metric.name).map_or(0, |result| result.count);
    if metric.interval.is_some() {
        Judgement::after(u32::try_from(before).unwrap_or(0))
    } else {
        Judgement::default()
    }
}

/// Why a look tells nothing.
enum Lack {
    /// The server answered with this status, and asks to be left alone for so long.
    PutOff(u16, SignedDuration),
    /// There is no answer, or none that can be read.
    Missed(String),
}

impl Lack {
    /// How long to leave the server alone, if it asks for that.
    fn wait(&self) -> Option<SignedDuration> {
        match self {
            Self::PutOff(_, wait) => Some(*wait),
            Self::Missed(_) => None,
        }
    }

    /// What a measurement says of it; the server is asked again in so many seconds, if it is.
    fn told(&self, judgement: &Judgement, seconds: Option<i64>) -> String {
        match (self, seconds) {
            (Self::PutOff(status, _), Some(seconds)) => {
                format!("the server answered {status} and is asked again in {seconds} s")
            }
            (Self::PutOff(status, _), None) => format!("the server answered {status}"),
            (Self::Missed(why), _) if judgement.missed == 1 => format!("no answer: {why}"),
            (Self::Missed(why), _) => format!("no answer {} times: {why}", judgement.missed),
        }
    }
}

/// What the server asks for, if that is to be left alone; not when it has asked for too long in a row.
fn put_off(
    metric: &Metric,
    answer: &Result<&Response, String>,
    judgement: &Judgement,
    seconds: u32,
) -> Option<Lack> {
    let response = answer.as_ref().ok()?;
    let wait = super::wait(metric, response)?;
    let since = judgement.put_off_since.unwrap_or(seconds);
    let waited = SignedDuration::from_secs(i64::from(seconds.saturating_sub(since)));
    (waited.saturating_add(wait) <= LONGEST_WAIT).then_some(Lack::PutOff(response.status, wait))
}

/// Takes up an answer, or notes that there is none; then it says why.
fn take_up(
    judgement: &mut Judgement,
    source: &Source,
    answer: Result<&Response, String>,
    seconds: u32,
) -> Result<Option<Lack>, String> {
    let taken = answer.and_then(|response| match answer::observations(response, source.bound_seconds) {
        // It is the query that is wrong, and asking again does not mend it.
        Err(why) if response.status == 400 => Ok(Err(why)),
        taken => taken.map(Ok),
    });
    let observations = match taken {
        Ok(observations) => observations?,
        Err(why) => {
            judgement.miss(seconds);
            return Ok(Some(Lack::Missed(why)));
        }
    };
    match observations.as_slice() {
        [only] if judgement.learned || source.history_seconds == 0.0 => {
            judgement.look(only, &source.terms, seconds);
        }
        history => judgement.learn(history, &source.terms),
    }
    Ok(None)
}

/// The measurement as it is written, which says what whoever reads it would say.
fn measurement(
    source: &Source,
    judgement: &Judgement,
    lack: Option<Lack>,
    open: &Measurement,
    now: Timestamp,
) -> Result<Measurement, String> {
    let text = judgement.text();
    // What is written has fewer digits: only that counts.
    let judgement = Judgement::parse(&text)?;
    let ruling = judgement.ruling(&source.terms);
    let phase = phase(ruling);
    let is_open = !phase.is_completed();
    let wait = lack.as_ref().and_then(Lack::wait);
    let again = if is_open { next(source, &judgement, wait, open, now) } else { None };
    let mut message = words::say(&judgement, &source.terms, ruling);
    if let Some(lack) = lack {
        let seconds = again.as_ref().map(|again| again.0.duration_since(whole_seconds(now)).as_secs());
        message = format!("{}; {message}", lack.told(&judgement, seconds));
    }
    let mut metadata = open.metadata.clone();
    metadata.insert(JUDGE_PLUGIN.to_owned(), text);
    Ok(Measurement {
        phase: Some(phase),
        message,
        value: words::number(judgement.harm(&source.terms)),
        metadata,
        resume_at: if is_open { again } else { open.resume_at.clone() },
        finished_at: (!is_open).then(|| whole(now)),
        ..open.clone()
    })
}

/// When to look again: after the interval, or later if the server asks for that. Until it has passed for the first time,
/// more often where a side is not there yet, so that the first look tells of what happened since it came.
fn next(
    source: &Source,
    judgement: &Judgement,
    wait: Option<SignedDuration>,
    open: &Measurement,
    now: Timestamp,
) -> Option<Time> {
    let after = |from: Timestamp, seconds: f64| {
        from.checked_add(SignedDuration::from_millis((seconds * 1000.0) as i64)).ok()
    };
    if let Some(wait) = wait {
        return Some(whole(after(now, left_alone(source, judgement, wait))?));
    }
    let started = open.started_at.as_ref().map_or(now, |time| time.0);
    let first = after(started, source.interval_seconds)?;
    let next = match judgement.missed == 0 && now < first {
        false => after(now, source.interval_seconds)?,
        true if judgement.has_both_sides() => first,
        true => after(now, (source.interval_seconds * EARLY).max(1.0))?.min(first),
    };
    Some(whole(next))
}

/// Seconds until the next look at a server that asks for a wait: the interval at least, and otherwise no more than are left
/// for a verdict, since only a look sees that the time given is over.
fn left_alone(source: &Source, judgement: &Judgement, wait: SignedDuration) -> f64 {
    let within = source.terms.within_seconds.unwrap_or(f64::INFINITY);
    let left = within - f64::from(judgement.seconds);
    wait.as_secs_f64().min(left).max(source.interval_seconds)
}

/// Times in a status are whole seconds.
fn whole(time: Timestamp) -> Time {
    Time(whole_seconds(time))
}

/// The phase of a measurement by its ruling.
#[must_use]
pub fn phase(ruling: Ruling) -> AnalysisPhase {
    match ruling {
        Ruling::Worse { .. } | Ruling::BeyondLimit { .. } => AnalysisPhase::Failed,
        Ruling::Good => AnalysisPhase::Successful,
        Ruling::Undecided { .. } | Ruling::Unmeasured => AnalysisPhase::Running,
        Ruling::TooLong => AnalysisPhase::Inconclusive,
    }
}

/// Facts about a metric that hold for all its looks: its query.
pub(super) fn query(run: &AnalysisRun, metric: &Metric) -> Option<String> {
    source(run, metric).ok()?.prometheus.query
}
