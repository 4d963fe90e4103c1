//! What came of the suites, as people read it and as machines do.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::output::{Outcome, Output};
use super::program::TestProgram;
use super::suites::{SUITES, Suite};
use crate::subject::Heading;

/// Everything.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) heading: Heading,
    /// Upstream's version.
    pub(super) upstream: String,
    pub(super) suites: Vec<Played>,
    pub(super) not_run: Vec<NotRun>,
}

/// A suite that was run.
#[derive(Serialize)]
pub(super) struct Played {
    pub(super) suite: &'static str,
    pub(super) seconds: f64,
    pub(super) log: PathBuf,
    pub(super) tests: Vec<Row>,
    /// What went wrong that is no test's.
    pub(super) problem: Option<String>,
}

/// A test of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) test: String,
    pub(super) outcome: Outcome,
    pub(super) seconds: f64,
    /// Why it cannot pass here, if it is known not to.
    pub(super) known: Option<&'static str>,
    /// Where it begins in the log.
    pub(super) line: usize,
    /// The lines of the log that tell of a reason.
    pub(super) telling: Vec<String>,
}

/// A suite that was not run.
#[derive(Serialize)]
pub(super) struct NotRun {
    suite: &'static str,
    /// How many tests it has.
    tests: usize,
    reason: &'static str,
}

/// The suites that nobody has chosen and that cannot run here.
pub(super) fn not_run(chosen: &[&Suite], program: &TestProgram) -> Vec<NotRun> {
    let others = SUITES.iter().filter(|suite| !chosen.iter().any(|one| one.name == suite.name));
    let not_run = others.filter_map(|suite| {
        let tests = suite.tests(program).len();
        suite.left_out.map(|reason| NotRun { suite: suite.name, tests, reason })
    });
    not_run.collect()
}

impl Row {
    fn is_failure(&self) -> bool {
        self.known.is_none() && !matches!(self.outcome, Outcome::Passed | Outcome::Skipped)
    }

    /// The outcome and what is to be said of it.
    fn words(&self) -> (&'static str, String) {
        match (self.outcome, self.known) {
            (Outcome::Passed, None) => ("passed", String::new()),
            (Outcome::Passed, Some(reason)) => ("passed", format!("although known not to: {reason}")),
            (Outcome::Skipped, _) => ("skipped", "by itself".to_owned()),
            (Outcome::Failed, None) => ("FAILED", String::new()),
            (Outcome::Failed, Some(reason)) => ("failed", reason.to_owned()),
            (Outcome::Unfinished, None) => ("UNFINISHED", String::new()),
            (Outcome::Unfinished, Some(reason)) => ("unfinished", reason.to_owned()),
            (Outcome::Missing, _) => ("NOT REACHED", String::new()),
        }
    }
}

/// The rows of a suite: the tests that its program told of and, of those that were to run, the ones that it did not. A
/// suite that skips itself skips all of its tests.
pub(super) fn rows(suite: &Suite, output: Output, wanted: &[String]) -> Vec<Row> {
    let row = |test: String, outcome, seconds, line, telling| {
        let known = suite.known(&test);
        Row { test, outcome, seconds, known, line, telling }
    };
    let silent = if output.suite == Some(Outcome::Skipped) { Outcome::Skipped } else { Outcome::Missing };
    let mut rows: Vec<Row> = Vec::new();
    for told in output.tests {
        rows.push(row(told.name, told.outcome, told.seconds, told.line, told.telling));
    }
    for test in wanted {
        if !rows.iter().any(|row| row.test == *test) {
            rows.push(row(test.clone(), silent, 0.0, 0, Vec::new()));
        }
    }
    rows
}

// Writing to a String cannot fail.
impl Report {
    /// Everything as a text.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}Argo Rollouts {} end-to-end tests\n", self.heading, self.upstream);
        for suite in &self.suites {
            suite.tell(&mut text);
        }
        let _ = writeln!(text, "\nnot run");
        for NotRun { suite, tests, reason } in &self.not_run {
            let _ = writeln!(text, "  {suite:14} {tests:>3} tests  {reason}");
        }
        let _ = writeln!(text, "\n{}", self.sum());
        text
    }

    /// How many of everything.
    fn sum(&self) -> String {
        let count = |holds: &dyn Fn(&Row) -> bool| self.rows().filter(|(_, row)| holds(row)).count();
        let known_to_fail = |row: &Row| row.known.is_some() && !row.is_failure();
        format!(
            "{} tests: {} passed, {} failed for a known reason, {} skipped, {} FAILED; {} not run",
            self.rows().count(),
            count(&|row| row.outcome == Outcome::Passed),
            count(&|row| known_to_fail(row) && !matches!(row.outcome, Outcome::Passed | Outcome::Skipped)),
            count(&|row| row.outcome == Outcome::Skipped),
            count(&Row::is_failure),
            self.not_run.iter().map(|suite| suite.tests).sum::<usize>()
        )
    }

    /// Fails if a test did that is not known to, or a suite.
    pub(super) fn verdict(&self) -> Result<()> {
        ensure!(self.rows().next().is_some(), "no test was run");
        let failed = self.rows().filter(|(_, row)| row.is_failure());
        let problems = self.suites.iter().filter_map(|played| {
            let problem = played.problem.as_ref()?;
            Some(format!("{}: {problem} ({})", played.suite, played.log.display()))
        });
        let all: Vec<String> = failed
            .map(|(played, row)| {
                format!("{} {} ({}:{})", played.suite, row.test, played.log.display(), row.line.max(1))
            })
            .chain(problems)
            .collect();
        ensure!(all.is_empty(), "upstream's tests failed:\n  {}", all.join("\n  "));
        Ok(())
    }

    fn rows(&self) -> impl Iterator<Item = (&Played, &Row)> {
        self.suites.iter().flat_map(|played| played.tests.iter().map(move |row| (played, row)))
    }
}

// Writing to a String cannot fail.
impl Played {
    fn tell(&self, text: &mut String) {
        let _ = writeln!(text, "\n{}: {:.0} s, log {}", self.suite, self.seconds, self.log.display());
        for row in &self.tests {
            let (word, remark) = row.words();
            let line = format!("  {:58} {word:11} {:>5.1} s  {remark}", row.test, row.seconds);
            let _ = writeln!(text, "{}", line.trim_end());
            if row.is_failure() {
                let _ = writeln!(text, "      {}:{}", self.log.display(), row.line.max(1));
                for line in &row.telling {
                    let _ = writeln!(text, "      {line}");
                }
            }
        }
        if let Some(problem) = &self.problem {
            let _ = writeln!(text, "  {problem}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::Told;
    use super::*;

    const TIDE: Suite = Suite::example(&[("TestMoon", "there is no moon"), ("TestEbb", "there is no sea")]);

    fn told(name: &str, outcome: Outcome) -> Told {
        Told {
            name: name.to_owned(),
            outcome,
            seconds: 1.0,
            line: 7,
            telling: vec!["level=error".to_owned()],
        }
    }

    fn report(output: Output, wanted: &[&str], problem: Option<&str>) -> Report {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let tide = Played {
            suite: TIDE.name,
            seconds: 3.0,
            log: "Tide.log".into(),
            tests: rows(&TIDE, output, &wanted),
            problem: problem.map(str::to_owned),
        };
        Report {
            heading: Heading::example(),
            upstream: "v1".to_owned(),
            suites: vec![tide],
            not_run: vec![NotRun { suite: "Istio", tests: 11, reason: "no router" }],
        }
    }

    #[test]
    fn only_unknown_failures_fail_the_whole() {
        let known = vec![told("TestMoon", Outcome::Failed), told("TestEbb", Outcome::Passed)];
        let good = report(Output { tests: known.clone(), suite: Some(Outcome::Failed) }, &[], None);
        good.verdict().unwrap();
        let text = good.text();
        assert!(text.contains("failed        1.0 s  there is no moon\n"), "{text}");
        assert!(text.contains("passed        1.0 s  although known not to: there is no sea\n"), "{text}");
        assert!(
            text.ends_with(
                "2 tests: 1 passed, 1 failed for a known reason, 0 skipped, 0 FAILED; 11 not run\n"
            ),
            "{text}"
        );

        let tests = [known, vec![told("TestFlood", Outcome::Failed)]].concat();
        let bad = report(Output { tests, suite: Some(Outcome::Failed) }, &[], None);
        let error = bad.verdict().unwrap_err().to_string();
        assert!(error.ends_with("\n  Tide TestFlood (Tide.log:7)"), "{error}");
        assert!(
            bad.text().contains("FAILED        1.0 s\n      Tide.log:7\n      level=error\n"),
            "{}",
            bad.text()
        );
        assert_eq!(serde_json::to_value(&bad).unwrap()["suites"][0]["tests"][2]["outcome"], "failed");
    }

    #[test]
    fn tests_that_a_suite_does_not_reach_fail_unless_it_skips_itself() {
        let begun = |suite| Output { tests: vec![told("TestFlood", Outcome::Passed)], suite };
        let broken = report(begun(None), &["TestFlood", "TestWave"], None);
        assert!(broken.verdict().unwrap_err().to_string().contains("TestWave"));
        let skipped = report(begun(Some(Outcome::Skipped)), &["TestFlood", "TestWave"], None);
        skipped.verdict().unwrap();
        assert!(skipped.text().contains("1 skipped, 0 FAILED"), "{}", skipped.text());
        assert!(report(begun(None), &[], Some("ended with 2")).verdict().is_err());
        assert!(report(Output::default(), &[], None).verdict().is_err());
    }
}
