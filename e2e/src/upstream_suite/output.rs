//! Reads what a Go test program says with `-test.v=test2json`: there each line of its own begins with the letter ^V, which
//! tells it from what the tests print, and results come when they are known
//! (https://pkg.go.dev/cmd/test2json, https://pkg.go.dev/cmd/go#hdr-Testing_flags).

use serde::Serialize;

/// What begins a line of the test program's own.
const MARK: char = '\u{16}';
/// What tells of a reason in the lines of a test.
const TELLING: [&str; 5] = ["level=error", "level=fatal", "timeout after", "Error:", "panic:"];
/// So many such lines are told.
const TOLD: usize = 4;

/// How a test came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// By itself.
    Skipped,
    /// It began and had no result when the program ended.
    Unfinished,
    /// The program ended before it.
    Missing,
}

/// One test of a suite.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    pub(super) seconds: f64,
    /// The line at which it begins, from 1.
    pub(super) line: usize,
    /// The last lines that tell of a reason.
    pub(super) telling: Vec<String>,
}

/// What a program has said so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Output {
    pub(super) tests: Vec<Told>,
    /// What became of the suite as a whole, which may fail without any of its tests.
    pub(super) suite: Option<Outcome>,
}

impl Output {
    /// Reads the output of a suite that this Go function runs.
    pub(super) fn read(text: &str, function: &str) -> Self {
        let mut output = Self::default();
        for (index, line) in text.lines().enumerate() {
            match line.rsplit_once(MARK) {
                Some((before, own)) => {
                    output.note(before);
                    output.obey(own.trim(), function, index + 1);
                }
                None => output.note(line),
            }
        }
        output
    }

    /// Takes up a line of the test program's own.
    fn obey(&mut self, own: &str, function: &str, line: usize) {
        if let Some(name) = own.strip_prefix("=== RUN ").and_then(|name| test(name, function)) {
            let name = name.to_owned();
            self.tests.push(Told {
                name,
                outcome: Outcome::Unfinished,
                seconds: 0.0,
                line,
                telling: Vec::new(),
            });
            return;
        }
        let Some((outcome, name, seconds)) = result(own) else { return };
        if name == function {
            self.suite = Some(outcome);
        } else if let Some(name) = test(name, function)
            && let Some(told) = self.tests.iter_mut().find(|told| told.name == name)
        {
            (told.outcome, told.seconds) = (outcome, seconds);
        }
    }

    /// Takes note of a line that a test prints, if it tells something: tests of a suite run one after the other.
    fn note(&mut self, line: &str) {
        let Some(told) = self.tests.last_mut() else { return };
        if TELLING.iter().any(|word| line.contains(word)) {
            if told.telling.len() == TOLD {
                told.telling.remove(0);
            }
            told.telling.push(line.trim().chars().take(300).collect());
        }
    }
}

/// The name of a test without that of its suite; none for what runs inside a test.
fn test<'a>(name: &'a str, function: &str) -> Option<&'a str> {
    let name = name.trim().strip_prefix(function)?.strip_prefix('/')?;
    Some(name).filter(|name| !name.contains('/'))
}

/// Reads `--- PASS: TestTideSuite/TestEbb (1.20s)`.
fn result(own: &str) -> Option<(Outcome, &str, f64)> {
    let (word, rest) = own.strip_prefix("--- ")?.split_once(": ")?;
    let outcome = match word {
        "PASS" => Outcome::Passed,
        "FAIL" => Outcome::Failed,
        "SKIP" => Outcome::Skipped,
        _ => return None,
    };
    let (name, took) = rest.rsplit_once(" (")?;
    Some((outcome, name, took.strip_suffix("s)")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
noise before everything: level=error
\u{16}=== RUN   TestTideSuite
\u{16}=== RUN   TestTideSuite/TestEbb
level=info msg=\"all well\"
\u{16}=== RUN   TestTideSuite/TestEbb/inner
\u{16}=== NAME  TestTideSuite/TestEbb
no new line at the end: level=error msg=low\u{16}--- PASS: TestTideSuite/TestEbb (1.20s)
\u{16}=== RUN   TestTideSuite/TestFlood
--- PASS: TestTideSuite/TestFlood (9.00s)
    when.go:555: timeout after 45s waiting for condition status=Healthy
\u{16}    --- FAIL: TestTideSuite/TestFlood (45.10s)
\u{16}=== RUN   TestTideSuite/TestMoon
\u{16}--- SKIP: TestTideSuite/TestMoon (0.00s)
\u{16}=== RUN   TestTideSuite/TestStorm
panic: test timed out after 1s
";

    #[test]
    fn results_are_those_of_the_program_and_not_what_tests_print() {
        let output = Output::read(SAID, "TestTideSuite");
        let told: Vec<_> =
            output.tests.iter().map(|told| (told.name.as_str(), told.outcome, told.line)).collect();
        assert_eq!(
            told,
            [
                ("TestEbb", Outcome::Passed, 3),
                ("TestFlood", Outcome::Failed, 8),
                ("TestMoon", Outcome::Skipped, 12),
                ("TestStorm", Outcome::Unfinished, 14),
            ]
        );
        assert_eq!((output.tests[1].seconds, output.suite), (45.1, None));
    }

    #[test]
    fn lines_that_tell_of_a_reason_belong_to_the_test_that_runs() {
        let output = Output::read(SAID, "TestTideSuite");
        let telling: Vec<_> = output.tests.iter().map(|told| told.telling.len()).collect();
        assert_eq!(telling, [1, 1, 0, 1]);
        assert_eq!(
            output.tests[1].telling[0],
            "when.go:555: timeout after 45s waiting for condition status=Healthy"
        );
        let many = "\u{16}=== RUN   TestTideSuite/TestEbb\n".to_owned()
            + &(1..=9).map(|number| format!("level=error {number}\n")).collect::<String>();
        let last = &Output::read(&many, "TestTideSuite").tests[0].telling;
        assert_eq!((last.len(), last[3].as_str()), (4, "level=error 9"));
    }

    #[test]
    fn a_suite_may_fail_without_its_tests() {
        let said = "\u{16}=== RUN   TestTideSuite\n\u{16}--- FAIL: TestTideSuite (0.01s)\n\u{16}FAIL\n";
        assert_eq!(
            Output::read(said, "TestTideSuite"),
            Output { tests: vec![], suite: Some(Outcome::Failed) }
        );
    }
}
