//! A ruling in words: for the message of a measurement, and for the page about it.
//!
//! Input: a judgement and what follows from it. Output: one line, with counts instead of statistics where there are any.

use super::Share;
use super::judgement::{Judgement, Ruling, Terms};

/// Says what a ruling means and what it is made of.
#[must_use]
pub fn say(judgement: &Judgement, terms: &Terms, ruling: Ruling) -> String {
    let against = format!(
        "evidence against it {}, {} stops it",
        number(judgement.harm(terms)),
        number(judgement.harm_enough(terms))
    );
    let seen = judgement.ledger.comparisons.first().map_or(0, |errors| errors.canary.requests);
    match ruling {
        Ruling::Worse { comparison } => {
            let what = what(judgement, comparison);
            format!("the canary has more {what}: {}; {against}", sides(judgement, comparison))
        }
        Ruling::BeyondLimit { comparison, limit } => format!(
            "the canary has more {} than {} allows, {}: {}",
            what(judgement, comparison),
            if comparison == 0 { "mostErrors" } else { "mostSlow" },
            percent(limit),
            sides(judgement, comparison)
        ),
        Ruling::Unmeasured => format!(
            "undecided: {}; {against}; nothing tells which of its requests are slow, as mostSlow wants to know: there is \
             no histogram with a bound of {} s or more",
            so_far(judgement),
            terms.most_slow.map_or(0.0, |most| most.after_seconds)
        ),
        Ruling::Good => format!("the canary is good enough: {}; {against}", sides(judgement, 0)),
        Ruling::TooLong => format!("not decided within the time given: {}; {against}", so_far(judgement)),
        Ruling::Undecided { missing } if seen == 0 => {
            format!("undecided: {}; {}", so_far(judgement), wanted(judgement, missing))
        }
        Ruling::Undecided { missing } => {
            format!("undecided: {}; {against}; {}", so_far(judgement), wanted(judgement, missing))
        }
    }
}

/// One word for a ruling.
#[must_use]
pub fn word(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Worse { .. } | Ruling::BeyondLimit { .. } => "bad",
        Ruling::Good => "good",
        Ruling::Undecided { .. } | Ruling::Unmeasured => "undecided",
        Ruling::TooLong => "not decided in time",
    }
}

/// What a comparison counts: errors, or requests slower than an edge.
#[must_use]
pub fn what(judgement: &Judgement, comparison: usize) -> String {
    let edge = comparison.checked_sub(1).and_then(|at| judgement.ledger.edges.get(at));
    edge.map_or_else(|| "errors".to_owned(), |edge| format!("requests slower than {edge} s"))
}

/// `12 of 300 requests (4 %), the stable version 9 of 2700 (0.333 %)`.
#[must_use]
pub fn sides(judgement: &Judgement, comparison: usize) -> String {
    let Some(seen) = judgement.ledger.comparisons.get(comparison) else { return "no requests".to_owned() };
    let share = |share: Share, unit: &str| {
        format!("{} of {}{unit} ({})", share.bad, share.requests, percent(share.rate()))
    };
    format!("{}, the stable version {}", share(seen.canary, " requests"), share(seen.stable, ""))
}

fn so_far(judgement: &Judgement) -> String {
    let errors = judgement.ledger.comparisons.first();
    let requests = errors.map_or((0, 0), |errors| (errors.canary.requests, errors.stable.requests));
    match requests {
        (0, 0) => "no requests yet".to_owned(),
        (0, _) => "no requests of the canary yet".to_owned(),
        (_, 0) => "no requests of the stable version yet, so there is nothing to compare with".to_owned(),
        (..) => format!("errors in {}", sides(judgement, 0)),
    }
}

/// What it takes to decide.
fn wanted(judgement: &Judgement, missing: Option<u64>) -> String {
    let seen = judgement.ledger.comparisons.first().map_or(0, |errors| errors.canary.requests);
    match missing {
        None if seen == 0 => "waits for the first requests".to_owned(),
        None => "its rate is too near to what is harm for any number of requests to show the difference"
            .to_owned(),
        Some(missing) if seen == 0 || judgement.seconds == 0 => {
            format!("about {missing} requests of the canary are missing")
        }
        Some(missing) => {
            let seconds = missing as f64 / seen as f64 * f64::from(judgement.seconds);
            format!(
                "about {missing} requests of the canary are missing, {} at its present rate",
                span(seconds)
            )
        }
    }
}

/// A time: 50 s, 12 min, 3.5 h.
#[must_use]
pub fn span(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.0} s"),
        ..6000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{} h", number((seconds / 360.0).round() / 10.0)),
    }
}

/// A part as percent, in three digits.
#[must_use]
pub fn percent(part: f64) -> String {
    format!("{} %", number(part * 100.0))
}

/// A number in three digits: 0.00123, 4.5, 1230.
#[must_use]
pub fn number(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    if number.abs() >= 1e6 {
        return format!("{number:.0e}");
    }
    let digits = 2 - number.abs().log10().floor() as i32;
    let factor = 10_f64.powi(digits);
    let rounded = (number * factor).round() / factor;
    let text = format!("{rounded:.*}", usize::try_from(digits.clamp(0, 6)).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (given, wanted) in [
            (0.0, "0"),
            (0.001234, "0.00123"),
            (4.5, "4.5"),
            (100.0, "100"),
            (99.99, "100"),
            (1234.0, "1230"),
            (1e-9, "0"),
            (2.5e9, "2e9"),
        ] {
            assert_eq!(number(given), wanted);
        }
        assert_eq!(percent(0.0333), "3.33 %");
        assert_eq!([0.4, 99.0, 100.0, 5000.0, 9000.0].map(span), ["0 s", "99 s", "2 min", "83 min", "2.5 h"]);
    }
}
