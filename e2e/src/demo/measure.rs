//! Sorts the answers that the load got by the moments of the story: what was
//! wanted at each time, and what users got.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun};

use super::idle::Idle;
use super::story::{Happening, Seen, Split, phase_of, values};
use crate::load::{Answers, NO_VERSION, Outcome, Sample};

/// How long the data plane may take to learn of a new weight. What it does
/// until then says nothing about the weight.
const SETTLING: Duration = Duration::from_secs(3);
/// A share of less time than this is not worth a number.
const MEASURABLE: Duration = Duration::from_millis(500);

/// Everything that was measured in one run.
pub(super) struct Measured {
    pub(super) answers: Answers,
    /// Since the load began; what came before has a negative time.
    pub(super) happenings: Vec<(f64, Happening)>,
    pub(super) rows: Vec<Row>,
    pub(super) versions: Vec<VersionRow>,
    pub(super) bad: Option<BadRelease>,
    /// Requests without an answer, or with one that no version gave on purpose.
    pub(super) broken: usize,
    pub(super) latency: Option<Latency>,
    pub(super) idle: Option<Idle>,
}

/// How long users waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    pub(super) median: Duration,
    /// 99 of 100 requests took no longer.
    pub(super) percentile_99: Duration,
    pub(super) longest: Duration,
}

/// What users got while one split was wanted.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) split: Split,
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) answers: usize,
    pub(super) of_canary: usize,
    /// The share of the version on its way, in percent, once the data plane had settled.
    pub(super) settled_percent: Option<f64>,
    /// Failures of the version on its way.
    pub(super) failed: usize,
    /// What Prometheus said, and what became of it.
    pub(super) judged: String,
}

/// What users got of one version.
#[derive(Clone, Debug)]
pub(super) struct VersionRow {
    pub(super) version: String,
    pub(super) good: u64,
    pub(super) bad: u64,
    pub(super) percent: f64,
}

/// How the bad version came and went. Times are since the load began.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadRelease {
    pub(super) first_bad: Duration,
    /// When its weight of 0 was seen in the Rollout's status.
    pub(super) weight_zero: Duration,
    /// Its last answer to a user.
    pub(super) last_answer: Duration,
    pub(super) answers: usize,
    pub(super) bad: usize,
}

impl BadRelease {
    /// Seconds from the first bad answer to the last answer of that version.
    pub(super) fn seconds(&self) -> f64 {
        self.last_answer.saturating_sub(self.first_bad).as_secs_f64()
    }

    /// Seconds from the first bad answer until Tidegate had taken the weight away.
    pub(super) fn seconds_to_weight_zero(&self) -> f64 {
        self.weight_zero.saturating_sub(self.first_bad).as_secs_f64()
    }
}

impl Measured {
    /// Sorts everything. `failing` is the version that fails on purpose.
    pub(super) fn new(answers: Answers, seen: &Seen, failing: &str, idle: Option<Idle>) -> Self {
        let splits: Vec<(Duration, Split)> =
            seen.splits.iter().map(|(at, split)| (since(&answers, *at), split.clone())).collect();
        let happenings = seen
            .happenings
            .iter()
            .map(|happening| (happening.at.duration_since(answers.began).as_secs_f64(), happening.clone()))
            .collect();
        Self {
            rows: rows(&answers, &splits, seen),
            versions: versions(&answers),
            bad: bad_release(&answers, &splits, failing),
            broken: broken(&answers, failing),
            latency: latency(&answers),
            answers,
            happenings,
            idle,
        }
    }
}

/// The time since the load began.
fn since(answers: &Answers, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(answers.began)).unwrap_or_default()
}

fn latency(answers: &Answers) -> Option<Latency> {
    let mut times: Vec<Duration> = answers.samples.iter().map(|sample| sample.took).collect();
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len().saturating_sub(1) * percent).div_ceil(100)).copied();
    Some(Latency { median: at(50)?, percentile_99: at(99)?, longest: at(100)? })
}

/// Whether a sample is a failure, and whose: a version's own, or nobody's.
fn failure(sample: &Sample) -> Option<Option<&str>> {
    match &sample.outcome {
        Outcome::Lost(_) => Some(None),
        Outcome::Answered { version, .. } if version == NO_VERSION => Some(None),
        Outcome::Answered { version, .. } => sample.is_bad().then_some(Some(version.as_str())),
    }
}

fn is_of(sample: &Sample, wanted: &str) -> bool {
    matches!(&sample.outcome, Outcome::Answered { version, .. } if version == wanted)
}

/// Failures that are not the failing version's own.
pub(super) fn broken(answers: &Answers, failing: &str) -> usize {
    answers.samples.iter().filter_map(failure).filter(|whose| *whose != Some(failing)).count()
}

/// The first failure that is not the failing version's own, for people.
pub(super) fn first_broken(answers: &Answers, failing: &str) -> Option<String> {
    let broken =
        answers.samples.iter().find(|sample| failure(sample).is_some_and(|whose| whose != Some(failing)))?;
    Some(format!("{:.1} s: {:?}", broken.at.as_secs_f64(), broken.outcome))
}

/// One row per wanted split.
pub(super) fn rows(answers: &Answers, splits: &[(Duration, Split)], seen: &Seen) -> Vec<Row> {
    // The end of a row is not part of it.
    let Some(end) = answers.samples.last().map(|sample| sample.at + Duration::from_millis(1)) else {
        return Vec::new();
    };
    let ends = splits.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let row = |((from, split), to): (&(Duration, Split), Duration)| {
        let canary = split.canary.as_ref().map(|(version, _)| version.as_str()).unwrap_or_default();
        let part = answers.between(*from, to);
        let settled = answers.between(*from + SETTLING, to);
        let is_measurable = to > *from + SETTLING + MEASURABLE && settled.len() > 0;
        Row {
            split: split.clone(),
            from: *from,
            to,
            answers: part.len(),
            of_canary: part.samples.iter().filter(|sample| is_of(sample, canary)).count(),
            settled_percent: (is_measurable && !canary.is_empty()).then(|| settled.share_percent(canary)),
            failed: part.samples.iter().filter_map(failure).filter(|whose| *whose == Some(canary)).count(),
            judged: judged(answers, seen, canary, *from, to),
        }
    };
    splits.iter().zip(ends).map(row).filter(|row| row.to > row.from).collect()
}

/// What the run said that was about this version and began while it had this weight.
fn judged(answers: &Answers, seen: &Seen, canary: &str, from: Duration, to: Duration) -> String {
    // Objects carry whole seconds.
    let slack = Duration::from_secs(1);
    let began = |run: &AnalysisRun| {
        run.metadata.creation_timestamp.as_ref().map(|time| since(answers, time.0) + slack)
    };
    let run =
        seen.ended_runs(canary).into_iter().find(|run| began(run).is_some_and(|at| from <= at && at < to));
    run.map_or_else(String::new, |run| {
        let phase = phase_of(run).map_or("without a verdict", AnalysisPhase::as_str);
        format!("{}: {phase}", values(run).join(", "))
    })
}

fn versions(answers: &Answers) -> Vec<VersionRow> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for sample in &answers.samples {
        let version = match &sample.outcome {
            Outcome::Answered { version, .. } if version == NO_VERSION => "the data plane itself",
            Outcome::Answered { version, .. } => version,
            Outcome::Lost(_) => "no answer",
        };
        let (good, bad) = counts.entry(version).or_default();
        *(if sample.is_bad() { bad } else { good }) += 1;
    }
    let all = answers.len().max(1) as f64;
    let row = |(version, (good, bad)): (&str, (u64, u64))| VersionRow {
        version: version.to_owned(),
        good,
        bad,
        percent: 100.0 * (good + bad) as f64 / all,
    };
    counts.into_iter().map(row).collect()
}

/// How the failing version came and went.
pub(super) fn bad_release(
    answers: &Answers,
    splits: &[(Duration, Split)],
    failing: &str,
) -> Option<BadRelease> {
    let own: Vec<&Sample> = answers.samples.iter().filter(|sample| is_of(sample, failing)).collect();
    let first_bad = own.iter().find(|sample| sample.is_bad())?.at;
    let is_gone = |split: &Split| {
        split.canary.as_ref().is_none_or(|(version, percent)| version != failing || *percent == 0)
    };
    let weight_zero = splits.iter().find(|(at, split)| *at > first_bad && is_gone(split))?.0;
    Some(BadRelease {
        first_bad,
        weight_zero,
        last_answer: own.last()?.at,
        answers: own.len(),
        bad: own.iter().filter(|sample| sample.is_bad()).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Loss;

    fn sample(at_ms: u64, version: &str, status: u16) -> Sample {
        let outcome = Outcome::Answered { version: version.to_owned(), status };
        Sample { at: Duration::from_millis(at_ms), took: Duration::ZERO, outcome }
    }

    fn split(percent: i32) -> Split {
        Split { stable: "v2".to_owned(), canary: Some(("v3".to_owned(), percent)) }
    }

    fn answers(samples: Vec<Sample>) -> Answers {
        Answers { began: Timestamp::UNIX_EPOCH, samples }
    }

    #[test]
    fn a_share_is_measured_once_the_data_plane_has_settled() {
        let samples = (0..60).map(|turn| {
            let at = turn * 100;
            sample(at, if at >= 2500 && turn % 5 == 0 { "v3" } else { "v2" }, 200)
        });
        let splits = [(Duration::ZERO, split(20))];
        let rows = rows(&answers(samples.collect()), &splits, &Seen::default());
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].settled_percent, Some(20.0));
        assert!(rows[0].of_canary < 12);
    }

    #[test]
    fn the_bad_version_is_told_from_everything_else_that_breaks() {
        let mut samples = vec![
            sample(0, "v2", 200),
            sample(100, "v3", 200),
            sample(200, "v3", 500),
            sample(900, "v3", 200),
        ];
        samples.push(sample(1000, NO_VERSION, 503));
        samples.push(Sample {
            outcome: Outcome::Lost(Loss { kind: "refused", why: "refused".to_owned() }),
            ..sample(1100, "", 0)
        });
        samples.push(sample(1200, "v2", 500));
        let answers = answers(samples);
        assert_eq!(broken(&answers, "v3"), 3);
        let splits = [(Duration::from_millis(50), split(20)), (Duration::from_millis(700), split(0))];
        let bad = bad_release(&answers, &splits, "v3").unwrap();
        assert_eq!((bad.answers, bad.bad), (3, 1));
        assert!((bad.seconds() - 0.7).abs() < 1e-9 && (bad.seconds_to_weight_zero() - 0.5).abs() < 1e-9);
        let by_version = versions(&answers);
        assert_eq!(by_version.iter().map(|row| row.good + row.bad).sum::<u64>(), 7);
    }

    #[test]
    fn latency_is_told_by_rank() {
        let timed = |ms: u64| Sample { took: Duration::from_millis(ms), ..sample(ms, "v1", 200) };
        let latency = latency(&answers((1..=101).rev().map(timed).collect())).unwrap();
        let times = [latency.median, latency.percentile_99, latency.longest];
        assert_eq!(times.map(|time| time.as_millis()), [51, 100, 101]);
        assert!(super::latency(&answers(Vec::new())).is_none());
    }
}
