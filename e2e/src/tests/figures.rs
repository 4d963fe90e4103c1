//! What a story under load came to: how many requests, how many of them without a good answer or with one of a version
//! that had no business to answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::load::{Answers, Outcome, Sample};
use crate::say;

/// The versions that may answer from a moment on, in the order of the moments; times are since the load began.
pub(super) type Eras = Vec<(Duration, BTreeSet<String>)>;

/// The figures of one story.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    pub(super) scenario: String,
    pub(super) requests: usize,
    /// Answered, and well.
    pub(super) answered: usize,
    /// Without an answer, or with one that only a broken route or pod gives.
    pub(super) lost: usize,
    /// The lost ones by status or by kind of loss.
    pub(super) kinds: BTreeMap<String, usize>,
    /// Answered by a version that should not have.
    pub(super) wrong: usize,
    pub(super) seconds: f64,
    /// Of the answers, in milliseconds.
    pub(super) median_ms: f64,
    pub(super) slowest_ms: f64,
    /// The first few that were lost or wrong.
    pub(super) examples: Vec<String>,
    /// What else happened, such as the moments of kills.
    pub(super) remarks: Vec<String>,
    /// Why the story did not come to its end.
    pub(super) failed: Option<String>,
}

impl Figures {
    pub(super) fn of(answers: &Answers, eras: &Eras) -> Self {
        let lost: Vec<&Sample> = answers.bad().collect();
        let wrong: Vec<&Sample> =
            answers.samples.iter().filter(|sample| !sample.is_bad() && !is_allowed(sample, eras)).collect();
        let mut kinds = BTreeMap::new();
        for kind in lost.iter().filter_map(|sample| sample.trouble()) {
            *kinds.entry(kind).or_default() += 1;
        }
        let mut took: Vec<Duration> = answers.samples.iter().map(|sample| sample.took).collect();
        took.sort_unstable();
        let milliseconds = |took: Option<&Duration>| took.map_or(0.0, |took| took.as_secs_f64() * 1000.0);
        Self {
            requests: answers.len(),
            answered: answers.len() - lost.len(),
            kinds,
            wrong: wrong.len(),
            seconds: answers.samples.last().map_or(0.0, |sample| sample.at.as_secs_f64()),
            median_ms: milliseconds(took.get(took.len() / 2)),
            slowest_ms: milliseconds(took.last()),
            examples: lost.iter().take(5).chain(wrong.iter().take(5)).map(ToString::to_string).collect(),
            lost: lost.len(),
            ..Self::default()
        }
    }

    /// Whether everything was answered, by those who should.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.wrong == 0 && self.failed.is_none()
    }

    /// Fails unless everything was answered, by those who should.
    pub(super) fn ensure_clean(&self) -> Result<()> {
        ensure!(
            self.is_clean(),
            "of {} requests {} were lost {:?} and {} answered by a version that should not: {}",
            self.requests,
            self.lost,
            self.kinds,
            self.wrong,
            self.examples.join("; ")
        );
        say(format!("       none of {} requests was lost or went wrong", self.requests));
        Ok(())
    }
}

/// Whether the version may answer at the moment of the request or at that of the answer: a switch may come between.
fn is_allowed(sample: &Sample, eras: &Eras) -> bool {
    let Outcome::Answered { version, .. } = &sample.outcome else { return true };
    let (from, to) = (sample.at, sample.at + sample.took);
    eras.iter().enumerate().any(|(turn, (begins, versions))| {
        let ends = eras.get(turn + 1).map_or(Duration::MAX, |(next, _)| *next);
        *begins <= to && from < ends && versions.contains(version)
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::load::Loss;

    fn sample(at_ms: u64, took_ms: u64, outcome: Outcome) -> Sample {
        Sample { at: Duration::from_millis(at_ms), took: Duration::from_millis(took_ms), outcome }
    }

    fn answered(at_ms: u64, version: &str, status: u16) -> Sample {
        sample(at_ms, 10, Outcome::Answered { version: version.to_owned(), status })
    }

    #[test]
    fn lost_and_wrong_answers_are_counted_apart() {
        let era = |at_ms: u64, versions: &[&str]| {
            (Duration::from_millis(at_ms), versions.iter().map(|version| (*version).to_owned()).collect())
        };
        let eras = vec![era(0, &["v1"]), era(100, &["v1", "v2"]), era(200, &["v2"])];
        let samples = vec![
            answered(50, "v2", 200),
            answered(95, "v2", 200),
            answered(150, "v1", 200),
            answered(199, "v1", 200),
            answered(210, "v1", 200),
            answered(220, "v2", 503),
            sample(230, 5, Outcome::Lost(Loss { kind: "refused", why: "refused".to_owned() })),
        ];
        let figures = Figures::of(&Answers { began: Timestamp::UNIX_EPOCH, samples }, &eras);
        assert_eq!((figures.requests, figures.answered, figures.lost, figures.wrong), (7, 5, 2, 2));
        assert_eq!(figures.kinds, BTreeMap::from([("503".to_owned(), 1), ("refused".to_owned(), 1)]));
        assert!(!figures.is_clean() && figures.ensure_clean().is_err());
    }
}
