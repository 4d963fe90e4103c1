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
use super::{Evidence, Settings, Share, Verdict, log_harm, log_promise, weigh};

/// Times that the history of the stable version is asked for before the judgement goes on without.
const TRIES: u32 = 3;

/// What a user may choose about the verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    pub errors: Settings,
    pub slow: Settings,
    /// The rate of errors that a canary must stay below whatever the stable version does, 0 to 1.
    pub most_errors: Option<f64>,
    /// The same for slow requests.
    pub most_slow: Option<MostSlow>,
    /// How long to wait for a verdict before a person is asked.
    pub within_seconds: Option<f64>,
}

/// How many requests of a canary may be slow, whatever the stable version does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MostSlow {
    /// What takes longer is slow.
    pub after_seconds: f64,
    /// The part of the requests, 0 to 1.
    pub part: f64,
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
    /// Seconds from the beginning to the first look of those that the server has put off in a row, up to the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_off_since: Option<u32>,
    /// The part of the rate of false aborts that this judgement may use, above 0 and below 1, where others come before it or
    /// after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<f64>,
    pub ledger: Ledger,
    pub rail: Rail,
    /// That of slow requests.
    #[serde(default)]
    pub slow_rail: Rail,
    pub timeline: Timeline,
}

/// What follows from a judgement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ruling {
    /// The canary is worse than the stable version; in the comparison of this number most of all, 0 being errors.
    Worse {
        comparison: usize,
    },
    /// The canary has more errors, or more slow requests, than its user allows; the comparison counts them.
    BeyondLimit {
        comparison: usize,
        limit: f64,
    },
    Good,
    /// It would be good, but nothing tells which of its requests are slow, of which its user allows only so many.
    Unmeasured,
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

    /// One of several in a row, of which so many came before. All of them together call a good canary bad no more often than
    /// one alone: the parts of the rate are 1/2, 1/4, 1/12, 1/24, 1/40 and so on, which add up to 1.
    #[must_use]
    pub fn after(judgements: u32) -> Self {
        let before = f64::from(judgements);
        let part = if judgements == 0 { 0.5 } else { 0.5 / (before * (before + 1.0)) };
        Self { part: Some(part), ..Self::default() }
    }

    /// Learns from the time before the judgement, oldest observation first.
    pub fn learn(&mut self, history: &[Observation], terms: &Terms) {
        self.ledger.learn(history, terms);
        (self.learned, self.missed, self.put_off_since) = (true, 0, None);
    }

    /// Takes up one look, made so many seconds after the beginning.
    pub fn look(&mut self, observation: &Observation, terms: &Terms, seconds: u32) {
        (self.learned, self.missed, self.put_off_since) = (true, 0, None);
        self.seconds = seconds;
        let urgent = self.crosses_a_limit(observation, terms);
        let sides = self.ledger.look(observation, terms, urgent);
        if sides.iter().all(|(canary, stable)| canary.requests == 0 && stable.requests == 0) {
            self.timeline.skip(seconds);
            return;
        }
        let canary: Vec<Share> = sides.iter().map(|(canary, _)| *canary).collect();
        look_at_rails(&mut self.rail, &mut self.slow_rail, &canary, &self.ledger, terms);
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

    /// Whether what the canary did since the last look is more than its user allows, whatever the stable version did.
    fn crosses_a_limit(&self, observation: &Observation, terms: &Terms) -> bool {
        if limits(&self.ledger, terms).is_empty() {
            return false;
        }
        let (mut errors, mut slow) = (self.rail.clone(), self.slow_rail.clone());
        let canary = self.ledger.canary_since(observation);
        look_at_rails(&mut errors, &mut slow, &canary, &self.ledger, terms);
        let guards = rails(&errors, &slow, &self.ledger, terms);
        guards.iter().any(|guard| {
            let comparison = self.ledger.comparisons.get(guard.comparison);
            guard.is_crossed(comparison.map_or(1.0, |one| one.calibration.dispersion()), terms)
        })
    }

    /// Notes a look that had no answer. Missing data says nothing about a canary.
    pub fn miss(&mut self, seconds: u32) {
        self.missed += 1;
        self.put_off_since = None;
        self.seconds = seconds;
        self.timeline.skip(seconds);
        self.learned |= self.missed >= TRIES;
    }

    /// Notes a look that the server has put off. A limit of requests is no missing data, but time passes.
    pub fn put_off(&mut self, seconds: u32) {
        self.put_off_since = self.put_off_since.or(Some(seconds));
        self.seconds = seconds;
        self.timeline.skip(seconds);
    }

    fn evidence(&self, terms: &Terms) -> Vec<Evidence<'_>> {
        let comparisons = self.ledger.comparisons.iter().enumerate();
        comparisons.map(|(at, comparison)| comparison.evidence(self.settings(terms, at))).collect()
    }

    /// The settings of a comparison in this judgement.
    fn settings(&self, terms: &Terms, comparison: usize) -> Settings {
        let settings = terms.of(comparison);
        Settings { false_abort: settings.false_abort * self.part.unwrap_or(1.0), ..settings }
    }

    /// The evidence that stops the canary.
    #[must_use]
    pub fn harm_enough(&self, terms: &Terms) -> f64 {
        1.0 / self.settings(terms, 0).false_abort
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
        let rails = rails(&self.rail, &self.slow_rail, &self.ledger, terms);
        rule(&self.evidence(terms), &rails, terms, self.seconds)
    }

    /// The ruling that the same looks give on other terms, and how many seconds after the beginning.
    ///
    /// It is made of what the timeline holds: the same as on the spot while it has an entry for each look, and close to it
    /// later. Requests slower than another edge were not counted, so edges stay.
    #[must_use]
    pub fn on_other_terms(&self, terms: &Terms) -> (Ruling, u32) {
        let (mut rail, mut slow_rail) = (Rail::default(), Rail::default());
        let mut harms: Vec<(Harm, Promise, f64)> = Vec::new();
        let mut ruling = Ruling::Undecided { missing: None };
        // A look that says nothing has no entry, and time passes all the same.
        let over = terms.within_seconds.and_then(|within| self.timeline.skipped_at(within));
        for entry in &self.timeline.entries {
            if over.is_some_and(|over| over < entry.seconds) {
                break;
            }
            harms.resize(harms.len().max(entry.compared.len()), Default::default());
            for ((harm, promise, dispersion), seen) in harms.iter_mut().zip(&entry.compared) {
                harm.look(seen.canary, seen.stable, terms.errors.tolerance);
                promise.look(seen.canary, seen.stable);
                *dispersion = seen.dispersion;
            }
            let canary: Vec<Share> = entry.compared.iter().map(|seen| seen.canary).collect();
            look_at_rails(&mut rail, &mut slow_rail, &canary, &self.ledger, terms);
            let all: Vec<Evidence<'_>> = harms
                .iter()
                .enumerate()
                .map(|(at, (harm, promise, dispersion))| Evidence {
                    harm,
                    promise,
                    dispersion: *dispersion,
                    settings: self.settings(terms, at),
                })
                .collect();
            let rails = rails(&rail, &slow_rail, &self.ledger, terms);
            ruling = rule(&all, &rails, terms, entry.seconds);
            // The looks go on while a limit is not measured, too.
            if !matches!(ruling, Ruling::Undecided { .. } | Ruling::Unmeasured) {
                return (ruling, entry.seconds);
            }
        }
        let seconds = over.unwrap_or(self.seconds);
        (terms.in_time(ruling, seconds), seconds)
    }
}

impl Terms {
    /// The settings of a comparison.
    pub(crate) fn of(&self, comparison: usize) -> Settings {
        if comparison == 0 { self.errors } else { self.slow }
    }

    /// An open ruling, unless the time given is over.
    fn in_time(&self, open: Ruling, seconds: u32) -> Ruling {
        match self.within_seconds {
            Some(within) if f64::from(seconds) >= within => Ruling::TooLong,
            Some(_) | None => open,
        }
    }
}

/// A guard rail as it stands.
struct Guard<'a> {
    /// The comparison that counts what it is about.
    comparison: usize,
    limit: f64,
    rail: &'a Rail,
}

impl Guard<'_> {
    /// Whether the canary is surely beyond the limit; its bad requests vary `dispersion` times as much as chance explains.
    fn is_crossed(&self, dispersion: f64, terms: &Terms) -> bool {
        self.rail.log_evidence(dispersion) >= -terms.errors.false_abort.ln()
    }
}

/// The limits that can be looked at: the comparison that counts what each is about, and how much there may be.
fn limits(ledger: &Ledger, terms: &Terms) -> Vec<(usize, f64)> {
    let of_errors = terms.most_errors.map(|limit| (0, limit));
    let slow = |most: MostSlow| Some((ledger.slower_than(most.after_seconds)?, most.part));
    of_errors.into_iter().chain(terms.most_slow.and_then(slow)).collect()
}

/// The guard rails that can be looked at, with the comparisons they are about.
fn rails<'a>(errors: &'a Rail, slow: &'a Rail, ledger: &Ledger, terms: &Terms) -> Vec<Guard<'a>> {
    let rail = |comparison| if comparison == 0 { errors } else { slow };
    let guard = |(comparison, limit)| Guard { comparison, limit, rail: rail(comparison) };
    limits(ledger, terms).into_iter().map(guard).collect()
}

/// Takes up one look; `canary` is what the canary did, for each comparison.
fn look_at_rails(errors: &mut Rail, slow: &mut Rail, canary: &[Share], ledger: &Ledger, terms: &Terms) {
    for (comparison, limit) in limits(ledger, terms) {
        if let Some(share) = canary.get(comparison) {
            let rail = if comparison == 0 { &mut *errors } else { &mut *slow };
            rail.look(*share, limit);
        }
    }
}

fn rule(all: &[Evidence<'_>], rails: &[Guard<'_>], terms: &Terms, seconds: u32) -> Ruling {
    for guard in rails {
        let dispersion = all.get(guard.comparison).map_or(1.0, |evidence| evidence.dispersion);
        if guard.is_crossed(dispersion, terms) {
            return Ruling::BeyondLimit { comparison: guard.comparison, limit: guard.limit };
        }
    }
    // What has no evidence yet was not compared so far: a recorded look may be older than the first histogram.
    let is_measured = terms.most_slow.is_none()
        || rails.iter().any(|guard| guard.comparison > 0 && guard.comparison < all.len());
    let open = match weigh(all) {
        Verdict::Bad => {
            let logs = all.iter().map(|evidence| evidence.harm.log_evidence(evidence.dispersion));
            let worst = logs.enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other));
            return Ruling::Worse { comparison: worst.map_or(0, |(at, _)| at) };
        }
        Verdict::Good if is_measured => return Ruling::Good,
        Verdict::Good => Ruling::Unmeasured,
        Verdict::Undecided { missing } => Ruling::Undecided { missing },
    };
    terms.in_time(open, seconds)
}
