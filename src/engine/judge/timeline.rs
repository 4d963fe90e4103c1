//! What both sides did and what that proved, over time: what people look at, and what a verdict with other settings is
//! made of.
//!
//! Input: each look. Output: a bounded list of entries. When it is full, two neighbours become one, so that a judgement of
//! a day is as long as one of minutes. Of the times of an entry the last is kept, and of its evidence.

use serde::{Deserialize, Serialize};

use super::Share;

/// Entries that are kept at most.
const MOST: usize = 120;
/// Gaps that are kept at most.
const MOST_GAPS: usize = 32;

/// The looks of a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Looks in an entry.
    pub every: u32,
    /// Looks in the last entry.
    filled: u32,
    pub entries: Vec<Entry>,
    /// Looks that say nothing, in order: the longest rows of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<Gap>,
}

/// Looks that say nothing, one after the other: without an answer, or without requests. Written down without names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
struct Gap {
    /// Seconds from the beginning of the judgement to the first of them, and to the last.
    from: u32,
    to: u32,
}

impl From<(u32, u32)> for Gap {
    fn from((from, to): (u32, u32)) -> Self {
        Self { from, to }
    }
}

impl From<Gap> for (u32, u32) {
    fn from(Gap { from, to }: Gap) -> Self {
        (from, to)
    }
}

/// What happened at one look, or at several in a row. Written down without names: there are many of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Entry {
    /// Seconds since the judgement began.
    pub seconds: u32,
    /// Natural logarithms of the evidence by then, in hundredths: that the canary is worse, and that it is good enough.
    pub harm: f64,
    pub promise: f64,
    /// Of each comparison, errors first.
    pub compared: Vec<Compared>,
}

/// What one comparison saw at these looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compared {
    pub canary: Share,
    pub stable: Share,
    /// How much more bad requests vary than chance explains, in hundredths.
    pub dispersion: f64,
}

type Row = (u32, f64, f64, Vec<(Share, Share, f64)>);

impl From<Row> for Entry {
    fn from((seconds, harm, promise, compared): Row) -> Self {
        let compared = compared.into_iter();
        let compared =
            compared.map(|(canary, stable, dispersion)| Compared { canary, stable, dispersion }).collect();
        Self { seconds, harm, promise, compared }
    }
}

impl From<Entry> for Row {
    fn from(entry: Entry) -> Self {
        let compared = entry.compared.iter().map(|one| (one.canary, one.stable, hundredths(one.dispersion)));
        (entry.seconds, hundredths(entry.harm), hundredths(entry.promise), compared.collect())
    }
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

impl Default for Timeline {
    fn default() -> Self {
        Self { every: 1, filled: 0, entries: Vec::new(), gaps: Vec::new() }
    }
}

impl Timeline {
    /// Adds one look.
    pub fn push(&mut self, look: Entry) {
        match self.entries.last_mut() {
            Some(last) if self.filled < self.every => {
                last.add(look);
                self.filled += 1;
            }
            Some(_) | None => {
                if self.entries.len() == MOST {
                    self.halve();
                }
                self.entries.push(look);
                self.filled = 1;
            }
        }
    }

    /// Notes a look that says nothing.
    pub fn skip(&mut self, seconds: u32) {
        let told = self.entries.last().map(|entry| entry.seconds);
        match self.gaps.last_mut().filter(|gap| told.is_none_or(|told| told < gap.from)) {
            Some(gap) => gap.to = seconds,
            None => self.gaps.push(Gap { from: seconds, to: seconds }),
        }
        if self.gaps.len() > MOST_GAPS {
            // Not the last one, which may grow; and a clock may go back.
            let former = self.gaps.iter().take(MOST_GAPS).enumerate();
            let shortest = former.min_by_key(|(_, gap)| gap.to.saturating_sub(gap.from));
            let shortest = shortest.map_or(0, |(at, _)| at);
            self.gaps.remove(shortest);
        }
    }

    /// The time of the first look that says nothing at which as many seconds were over, as far as it is known.
    #[must_use]
    pub fn skipped_at(&self, seconds: f64) -> Option<u32> {
        let gap = self.gaps.iter().find(|gap| f64::from(gap.to) >= seconds)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the end of the gap"
        )]
        Some(gap.from.max(seconds.ceil() as u32))
    }

    /// Makes one entry of two.
    fn halve(&mut self) {
        let mut halved: Vec<Entry> = Vec::new();
        for (at, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            match halved.last_mut() {
                Some(last) if at % 2 == 1 => last.add(entry),
                Some(_) | None => halved.push(entry),
            }
        }
        self.entries = halved;
        self.every = self.every.saturating_mul(2);
    }
}

impl Entry {
    fn add(&mut self, later: Self) {
        self.seconds = later.seconds;
        (self.harm, self.promise) = (later.harm, later.promise);
        for (at, compared) in later.compared.into_iter().enumerate() {
            match self.compared.get_mut(at) {
                Some(sum) => {
                    sum.canary += compared.canary;
                    sum.stable += compared.stable;
                    sum.dispersion = compared.dispersion;
                }
                None => self.compared.push(compared),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_judgement_is_as_short_as_a_short_one_and_loses_no_request() {
        let mut timeline = Timeline::default();
        for at in 0..1000 {
            let one = Compared { canary: Share::new(10, 1), stable: Share::new(90, 2), dispersion: 1.234 };
            timeline.push(Entry {
                seconds: 10 * at,
                harm: f64::from(at),
                compared: vec![one],
                ..Entry::default()
            });
        }
        assert!((60..=120).contains(&timeline.entries.len()), "{}", timeline.entries.len());
        let requests: u64 = timeline.entries.iter().map(|entry| entry.compared[0].canary.requests).sum();
        let last = timeline.entries.last().unwrap();
        assert_eq!((timeline.every, requests, last.seconds, last.harm), (16, 10_000, 9990, 999.0));
        let text = serde_json::to_string(&timeline).unwrap();
        let again: Timeline = serde_json::from_str(&text).unwrap();
        assert_eq!(again.entries[0].compared[0].dispersion, 1.23);
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }

    #[test]
    fn the_longest_rows_of_looks_that_say_nothing_are_known() {
        let mut timeline = Timeline::default();
        for at in 0..200 {
            let seconds = 10 * at;
            // Every other look says nothing, and a few in a row do so.
            if at % 2 == 0 || (100..110).contains(&at) {
                timeline.skip(seconds);
            } else {
                timeline.push(Entry { seconds, ..Entry::default() });
            }
        }
        assert_eq!(timeline.gaps.len(), MOST_GAPS);
        assert!(timeline.gaps.contains(&Gap { from: 1000, to: 1100 }), "{:?}", timeline.gaps);
        assert_eq!((timeline.skipped_at(1050.5), timeline.skipped_at(1990.0)), (Some(1051), None));
        let text = serde_json::to_string(&timeline).unwrap();
        assert_eq!(serde_json::from_str::<Timeline>(&text).unwrap(), timeline);
    }
}
