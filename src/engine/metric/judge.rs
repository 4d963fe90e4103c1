//! Provider plugin `tidegate.dev/judge`: the built-in judge, which compares the canary with the stable version.
//!
//! Input: the settings of a metric and its run, then the counters of both sides as Prometheus tells them. Output: a query,
//! then the measurement. One measurement is the whole judgement: it stays Running from look to look, and its metadata
//! holds all that is known, so that the next look may be made by another controller. Conditions have no say.
//!
//! An answer that does not come is no evidence. It neither passes nor fails: it is asked for again at the next look.

mod answer;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, JUDGE_PLUGIN, Measurement, Metric};

use super::prometheus::{self, Query, Range};
use super::{Defaults, Response};
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
    let mut judgement = recorded(open)?.unwrap_or_default();
    let started = open.started_at.as_ref().map_or(now, |time| time.0);
    let seconds = u32::try_from(now.duration_since(started).as_secs()).unwrap_or(0);
    let taken = answer.and_then(|response| match answer::observations(response, source.bound_seconds) {
        // It is the query that is wrong, and asking again does not mend it.
        Err(why) if response.status == 400 => Ok(Err(why)),
        taken => taken.map(Ok),
    });
    let missed = match taken {
        Ok(observations) => {
            match observations?.as_slice() {
                [only] if judgement.learned || source.history_seconds == 0.0 => {
                    judgement.look(only, &source.terms, seconds);
                }
                history => judgement.learn(history, &source.terms),
            }
            None
        }
        Err(why) => {
            judgement.miss(seconds);
            Some(why)
        }
    };
    measurement(&source, &judgement, missed, open, now)
}

/// The measurement as it is written, which says what whoever reads it would say.
fn measurement(
    source: &Source,
    judgement: &Judgement,
    missed: Option<String>,
    open: &Measurement,
    now: Timestamp,
) -> Result<Measurement, String> {
    let text = judgement.text();
    // What is written has fewer digits: only that counts.
    let judgement = Judgement::parse(&text)?;
    let ruling = judgement.ruling(&source.terms);
    let phase = phase(ruling);
    let mut message = words::say(&judgement, &source.terms, ruling);
    if let Some(why) = missed {
        let times =
            if judgement.missed == 1 { String::new() } else { format!(" {} times", judgement.missed) };
        message = format!("no answer{times}: {why}; {message}");
    }
    let mut metadata = open.metadata.clone();
    metadata.insert(JUDGE_PLUGIN.to_owned(), text);
    let is_open = !phase.is_completed();
    Ok(Measurement {
        phase: Some(phase),
        message,
        value: words::number(judgement.harm(&source.terms)),
        metadata,
        resume_at: if is_open { next(source, &judgement, open, now) } else { open.resume_at.clone() },
        finished_at: (!is_open).then(|| whole(now)),
        ..open.clone()
    })
}

/// When to look again: after the interval. Until it has passed for the first time, more often where a side is not there
/// yet, so that the first look tells of what happened since it came.
fn next(source: &Source, judgement: &Judgement, open: &Measurement, now: Timestamp) -> Option<Time> {
    let after = |from: Timestamp, seconds: f64| {
        from.checked_add(SignedDuration::from_millis((seconds * 1000.0) as i64)).ok()
    };
    let started = open.started_at.as_ref().map_or(now, |time| time.0);
    let first = after(started, source.interval_seconds)?;
    let next = match judgement.missed == 0 && now < first {
        false => after(now, source.interval_seconds)?,
        true if judgement.has_both_sides() => first,
        true => after(now, (source.interval_seconds * EARLY).max(1.0))?.min(first),
    };
    Some(whole(next))
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
