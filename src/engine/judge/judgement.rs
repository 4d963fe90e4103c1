//! One judgement of one canary: everything that is known of it from look to look, and what follows from that.
//!
//! Input: what the counters say at each look. Output: a ruling. It is written down as JSON in the metadata of its
//! measurement, tens of kilobytes at most, and read again for each look, so that a restart loses nothing and whoever
//! reads it comes to the same ruling.

use serde::{Deserialize, Serialize};

use super::counters::Observation;
use super::harm::Harm;
use super::ledger::Ledger;
use super::promise::Promise;
use super::rail::Rail;
use super::timeline::{Compared, Entry, Timeline};
use super::{Evidence, Settings, Verdict, log_harm, log_promise, weigh};

/// Times that the history of the stable version is asked for before the judgement goes on without.
const TRIES: u32 = 3;

/// What a user may choose about the verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    pub errors: Settings,
    pub slow: Settings,
    /// The rate of errors that a canary must stay below whatever the stable version does, 0 to 1.
    pub most_errors: Option<f64>,
    /// How long to wait for a verdict before a person is asked.
    pub within_seconds: Option<f64>,
}

/// All that is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Whether the time before the judgement was looked at, or given up.
    pub learned: bool,
    /// Looks without an answer, in a row.
    pub missed: u32,
    /// Seconds from the beginning to the last look.
    pub seconds: u32,
    pub ledger: Ledger,
    pub rail: Rail,
    pub timeline: Timeline,
}

/// What follows from a judgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ruling {
    /// The canary is worse than the stable version; in the comparison of this number most of all, 0 being errors.
    Worse {
        comparison: usize,
    },
    /// The canary has more errors than its user allows.
    BeyondLimit {
        limit: f64,
    },
    Good,
    /// As [`Verdict::Undecided`].
    Undecided {
        missing: Option<u64>,
    },
    /// Not decided in the time that its user gives it.
    TooLong,
}

impl Judgement {
    /// Reads what [`Judgement::text`] wrote.
    ///
    /// # Errors
    /// Fails on any other text.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("what the judge recorded cannot be read: {error}"))
    }

    /// The judgement in one line.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Learns from the time before the judgement, oldest observation first.
    pub fn learn(&mut self, history: &[Observation]) {
        self.ledger.learn(history);
        self.learned = true;
        self.missed = 0;
    }

    /// Takes up one look, made so many seconds after the beginning.
    pub fn look(&mut self, observation: &Observation, terms: &Terms, seconds: u32) {
        (self.learned, self.missed, self.seconds) = (true, 0, seconds);
        let sides = self.ledger.look(observation, &terms.errors);
        if sides.iter().all(|(canary, stable)| canary.requests == 0 && stable.requests == 0) {
            return;
        }
        if let (Some(limit), Some((canary, _))) = (terms.most_errors, sides.first()) {
            self.rail.look(*canary, limit);
        }
        let dispersions =
            self.ledger.comparisons.iter().map(|comparison| comparison.calibration.dispersion());
        let compared = sides.iter().zip(dispersions).map(|(&(canary, stable), dispersion)| Compared {
            canary,
            stable,
            dispersion,
        });
        let all = self.evidence(terms);
        let (harm, promise) = (log_harm(&all), log_promise(&all));
        let entry = Entry { seconds, harm, promise, compared: compared.collect() };
        self.timeline.push(entry);
    }

    /// Notes a look that had no answer. Missing data says nothing about a canary.
    pub fn miss(&mut self, seconds: u32) {
        self.missed += 1;
        self.seconds = seconds;
        self.learned |= self.missed >= TRIES;
    }

    fn evidence(&self, terms: &Terms) -> Vec<Evidence<'_>> {
        let comparisons = self.ledger.comparisons.iter().enumerate();
        comparisons.map(|(at, comparison)| comparison.evidence(terms.of(at))).collect()
    }

    /// Looks so far.
    #[must_use]
    pub fn looks_taken(&self) -> u32 {
        self.ledger.looks
    }

    /// Whether there are counters of both versions.
    #[must_use]
    pub fn has_both_sides(&self) -> bool {
        self.ledger.has_both_sides()
    }

    /// The evidence that the canary is worse: how many times more likely that makes what was seen.
    #[must_use]
    pub fn harm(&self, terms: &Terms) -> f64 {
        log_harm(&self.evidence(terms)).exp()
    }

    /// The evidence that the canary is good enough.
    #[must_use]
    pub fn promise(&self, terms: &Terms) -> f64 {
        log_promise(&self.evidence(terms)).exp()
    }

    /// What follows by now.
    #[must_use]
    pub fn ruling(&self, terms: &Terms) -> Ruling {
        rule(&self.evidence(terms), &self.rail, terms, self.seconds)
    }

    /// The ruling that the same looks give on other terms, and how many seconds after the beginning.
    ///
    /// It is made of what the timeline holds: the same as on the spot while it has an entry for each look, and close to it
    /// later. Requests slower than another edge were not counted, so edges stay.
    #[must_use]
    pub fn on_other_terms(&self, terms: &Terms) -> (Ruling, u32) {
        let mut rail = Rail::default();
        let mut harms: Vec<(Harm, Promise, f64)> = Vec::new();
        let mut ruling = Ruling::Undecided { missing: None };
        for entry in &self.timeline.entries {
            harms.resize(harms.len().max(entry.compared.len()), Default::default());
            for ((harm, promise, dispersion), seen) in harms.iter_mut().zip(&entry.compared) {
                harm.look(seen.canary, seen.stable, terms.errors.tolerance);
                promise.look(seen.canary, seen.stable);
                *dispersion = seen.dispersion;
            }
            if let (Some(limit), Some(errors)) = (terms.most_errors, entry.compared.first()) {
                rail.look(errors.canary, limit);
            }
            let all: Vec<Evidence<'_>> = harms
                .iter()
                .enumerate()
                .map(|(at, (harm, promise, dispersion))| Evidence {
                    harm,
                    promise,
                    dispersion: *dispersion,
                    settings: terms.of(at),
                })
                .collect();
            ruling = rule(&all, &rail, terms, entry.seconds);
            if !matches!(ruling, Ruling::Undecided { .. }) {
                return (ruling, entry.seconds);
            }
        }
        (ruling, self.seconds)
    }
}

impl Terms {
    /// The settings of a comparison.
    pub(crate) fn of(&self, comparison: usize) -> Settings {
        if comparison == 0 { self.errors } else { self.slow }
    }
}

fn rule(all: &[Evidence<'_>], rail: &Rail, terms: &Terms, seconds: u32) -> Ruling {
    let dispersion = all.first().map_or(1.0, |errors| errors.dispersion);
    if let Some(limit) = terms.most_errors
        && rail.log_evidence(dispersion) >= -terms.errors.false_abort.ln()
    {
        return Ruling::BeyondLimit { limit };
    }
    match weigh(all) {
        Verdict::Bad => {
            let logs = all.iter().map(|evidence| evidence.harm.log_evidence(evidence.dispersion));
            let worst = logs.enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
            Ruling::Worse { comparison: worst.map_or(0, |(at, _)| at) }
        }
        Verdict::Good => Ruling::Good,
        Verdict::Undecided { missing } => match terms.within_seconds {
            Some(within) if f64::from(seconds) >= within => Ruling::TooLong,
            Some(_) | None => Ruling::Undecided { missing },
        },
    }
}
