//! What the releases came to, as people read it and as machines do.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::super::super::judged::{Counted, End, Fault, Judged, Release, Served};
use crate::{demo, say};

/// A version that fails a fifth of its requests is off so many seconds after its first bad answer, at 200 requests a
/// second and looks every 10 s.
const GOAL: (Fault, u32, f64) = (Fault::Errors(20), 200, 15.0);

/// One release.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) number: usize,
    fault: Fault,
    counted: Counted,
    router: String,
    requests_per_second: u32,
    seed: u64,
    right: bool,
    end: Option<End>,
    measured_seconds: Option<i64>,
    served: Served,
    /// What the judge said at last.
    words: String,
    /// Why it did not come to its end.
    failed: Option<String>,
}

impl Row {
    pub(super) fn new(number: usize, release: Release, judged: Result<Judged>) -> Self {
        let mut row = Self {
            number: number + 1,
            fault: release.fault,
            counted: release.counted,
            router: format!("{:?}", release.router).to_lowercase(),
            requests_per_second: release.per_second,
            seed: release.seed,
            right: false,
            end: None,
            measured_seconds: None,
            served: Served::default(),
            words: String::new(),
            failed: None,
        };
        match judged {
            Ok(judged) => {
                row.right = judged.is_right(release);
                (row.end, row.measured_seconds) = (Some(judged.end), judged.measured_seconds);
                (row.served, row.words) = (judged.served, judged.words);
            }
            Err(error) => row.failed = Some(format!("{error:#}")),
        }
        row
    }

    /// Whether it was played to its end and judged as it deserves.
    pub(super) fn is_right(&self) -> bool {
        self.right
    }

    fn is_bad(&self) -> bool {
        self.fault != Fault::Nothing
    }

    /// Whether it kept to the goal, where that is about it.
    fn met_goal(&self) -> Option<bool> {
        let is_about = (self.fault, self.requests_per_second) == (GOAL.0, GOAL.1);
        is_about.then(|| {
            self.right && self.served.seconds_to_last_answer.is_some_and(|seconds| seconds <= GOAL.2)
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            Some(End::Promoted) => "promoted",
            Some(End::Aborted) => "aborted",
            Some(End::Undecided) => "undecided",
            None => "no end",
        };
        let seconds =
            |seconds: Option<f64>| seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
        let of_abort = |number: Option<f64>| seconds(number.filter(|_| self.is_bad()));
        write!(
            f,
            "{:>3}  {:12} {:8} {:8} {:10} {:>8} {:>8} {:>8} {:>8} {:>6} {:>5}",
            self.number,
            self.fault.to_string(),
            self.counted.to_string(),
            self.router,
            end,
            self.measured_seconds.map_or("-".to_owned(), |seconds| seconds.to_string()),
            of_abort(self.served.seconds_to_weight_off),
            of_abort(self.served.seconds_to_last_answer),
            self.served.by_canary,
            self.served.bad,
            self.served.lost,
        )?;
        if !self.right {
            write!(f, "  WRONG: {}", self.failed.as_ref().unwrap_or(&self.words))?;
        }
        Ok(())
    }
}

/// Everything in one table, and what it comes to.
pub(super) fn table(rows: &[Row]) {
    say(format!(
        "\n{:>3}  {:12} {:8} {:8} {:10} {:>8} {:>8} {:>8} {:>8} {:>6} {:>5}",
        "", "release", "counted", "router", "end", "judge s", "weight s", "off s", "canary", "bad", "lost"
    ));
    rows.iter().for_each(say);
    say(
        "judge s: of the measurement; weight s, off s: from the first bad answer to the weight being gone from the",
    );
    say(
        "route, and to the canary's last answer to a user; canary, bad: its answers, and the bad ones of them",
    );
    for (name, is_bad) in [("good", false), ("bad", true)] {
        let all: Vec<&Row> = rows.iter().filter(|row| row.is_bad() == is_bad).collect();
        let wrong = all.iter().filter(|row| !row.right).count();
        say(format!("{name} releases: {}, judged wrongly: {wrong} (expected 0)", all.len()));
    }
    for fault in faults(rows) {
        let of: Vec<&Row> = rows.iter().filter(|row| row.fault == fault && row.right).collect();
        let off = of.iter().filter_map(|row| row.served.seconds_to_last_answer).collect();
        let bad = of.iter().map(|row| row.served.bad as f64).collect();
        say(format!("{fault}: off after {} s; {} bad answers", middle_and_most(off), middle_and_most(bad)));
    }
    let goals: Vec<bool> = rows.iter().filter_map(Row::met_goal).collect();
    if !goals.is_empty() {
        let met = goals.iter().filter(|met| **met).count();
        say(format!("{}: {met} of {} off within {} s (the goal)", GOAL.0, goals.len(), GOAL.2));
    }
}

/// The faults that were played, each once.
fn faults(rows: &[Row]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for row in rows.iter().filter(|row| row.is_bad()) {
        if !faults.contains(&row.fault) {
            faults.push(row.fault);
        }
    }
    faults
}

fn middle_and_most(mut numbers: Vec<f64>) -> String {
    numbers.sort_by(f64::total_cmp);
    match (numbers.get(numbers.len() / 2), numbers.last()) {
        (Some(middle), Some(most)) => format!("{middle:.1} (median), {most:.1} (most)"),
        _ => "-".to_owned(),
    }
}

/// Writes all that is known by now.
pub(super) fn keep(path: &Path, per_second: u32, seed: u64, rows: &[Row]) -> Result<()> {
    let goals: Vec<bool> = rows.iter().filter_map(Row::met_goal).collect();
    let text = serde_json::to_string_pretty(&json!({
        "at": jiff::Timestamp::now().to_string(),
        "machine": demo::machine(),
        "requestsPerSecond": per_second,
        "seed": seed,
        "releases": rows.len(),
        "wrong": rows.iter().filter(|row| !row.right).count(),
        "goal": {
            "fault": GOAL.0, "withinSeconds": GOAL.2,
            "met": goals.iter().filter(|met| **met).count(), "of": goals.len(),
        },
        "rows": rows,
    }))?;
    demo::write(path, &format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::super::super::super::router::Router;
    use super::*;

    fn row(fault: Fault, end: End, off: f64) -> Row {
        let release = Release {
            fault,
            counted: Counted::ByPods,
            router: Router::Nginx,
            weight: 20,
            per_second: 200,
            always_failing: 0.5,
            seed: 1,
        };
        let served = Served { seconds_to_last_answer: Some(off), ..Served::default() };
        Row::new(0, release, Ok(Judged { end, words: "said".to_owned(), measured_seconds: None, served }))
    }

    #[test]
    fn what_was_judged_wrongly_is_told_from_what_was_only_late() {
        let good = [row(Fault::Nothing, End::Promoted, 9.0), row(Fault::Nothing, End::Aborted, 9.0)];
        assert_eq!([good[0].is_right(), good[1].is_right()], [true, false]);
        assert_eq!([good[0].met_goal(), good[1].met_goal()], [None, None]);
        assert!(good[1].to_string().ends_with("WRONG: said"));
        let bad = |end, off| row(Fault::Errors(20), end, off);
        assert_eq!(
            (bad(End::Aborted, 14.0).is_right(), bad(End::Aborted, 14.0).met_goal()),
            (true, Some(true))
        );
        assert_eq!(
            (bad(End::Aborted, 16.0).is_right(), bad(End::Aborted, 16.0).met_goal()),
            (true, Some(false))
        );
        assert_eq!(
            (bad(End::Promoted, 9.0).is_right(), bad(End::Promoted, 9.0).met_goal()),
            (false, Some(false))
        );
        assert!(!bad(End::Undecided, 9.0).is_right());
        assert_eq!(row(Fault::Errors(5), End::Aborted, 9.0).met_goal(), None);
    }

    #[test]
    fn the_middle_and_the_most() {
        assert_eq!(middle_and_most(vec![3.0, 1.0, 2.0]), "2.0 (median), 3.0 (most)");
        assert_eq!(middle_and_most(Vec::new()), "-");
    }
}
