//! The end of the demo: tables for the terminal, and a page with a picture.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::claim::Finding;
use super::measure::{Measured, Row};
use super::plot::{self, class_of, escape};
use super::screen::{Screen, Style};

const PAGE: &str = include_str!("report.html");

/// Everything that is told at the end.
pub(super) struct Report {
    pub(super) began: Timestamp,
    pub(super) took: Duration,
    pub(super) timings: Vec<(String, Duration)>,
    /// This machine in a few words.
    pub(super) machine: String,
    pub(super) measured: Measured,
    pub(super) claims: Vec<Finding>,
}

impl Report {
    /// Prints the tables.
    pub(super) fn print(&self, screen: &Screen) {
        screen.title("What users got");
        screen.line(&format!("  {:<24} {:>8} {:>8} {:>8}", "answers from", "good", "bad", "share"));
        for row in &self.measured.versions {
            screen.line(&format!(
                "  {:<24} {:>8} {:>8} {:>6.1} %",
                row.version, row.good, row.bad, row.percent
            ));
        }
        screen.title("What was wanted, and what was measured");
        screen.line(&format!(
            "  {:>7} {:>8} {:>7} {:>7} {:>9} {:>7} {:>7}  {}",
            "canary", "wanted", "seconds", "answers", "of canary", "share", "failed", "Prometheus"
        ));
        for row in self.rows() {
            screen.line(&format!(
                "  {:>7} {:>6} % {:>7.1} {:>7} {:>9} {:>7} {:>7}  {}",
                canary(row),
                row.split.percent(),
                (row.to - row.from).as_secs_f64(),
                row.answers,
                row.of_canary,
                share(row),
                row.failed,
                row.judged,
            ));
        }
        screen.title("What it came to");
        for (value, what) in self.figures() {
            screen.line(&format!("  {value:>12}  {what}"));
        }
        screen.title("What must hold");
        for finding in &self.claims {
            let (sign, style) = if finding.held { ("✓", Style::Good) } else { ("✗", Style::Bad) };
            let seen = screen.paint(Style::Faint, &finding.seen);
            screen.line(&format!("  {} {}  {seen}", screen.paint(style, sign), finding.claim));
        }
    }

    /// The page.
    pub(super) fn html(&self) -> String {
        let plot = plot::draw(&self.measured);
        let held = self.claims.iter().filter(|finding| finding.held).count();
        let verdict = if held == self.claims.len() {
            "<p class=\"verdict good\">Everything held.</p>".to_owned()
        } else {
            format!(
                "<p class=\"verdict bad-news\">{} of {} claims did not hold.</p>",
                self.claims.len() - held,
                self.claims.len()
            )
        };
        let parts = [
            ("{{began}}", self.began.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
            ("{{machine}}", escape(&self.machine)),
            ("{{verdict}}", verdict),
            ("{{figures}}", self.figure_cards()),
            ("{{legend}}", legend(&plot.versions)),
            ("{{marks}}", marks(&plot.marks)),
            ("{{rows}}", self.step_rows()),
            ("{{versions}}", self.version_rows()),
            ("{{claims}}", self.claim_items()),
            ("{{timings}}", self.timing_rows()),
            ("{{story}}", self.story()),
            // Last: the picture holds texts of others, which may look like a part's name.
            ("{{plot}}", plot.svg),
        ];
        parts.iter().fold(PAGE.to_owned(), |page, (name, text)| page.replace(name, text))
    }

    /// The steps, without the moments that users could not notice.
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.measured.rows.iter().filter(|row| row.answers > 0)
    }

    /// The numbers that one asks for first.
    fn figures(&self) -> Vec<(String, String)> {
        let mut figures = Vec::new();
        if let Some(bad) = self.measured.bad {
            figures.push((
                format!("{:.1} s", bad.seconds()),
                format!(
                    "from the first bad answer to the last answer of version 3 (weight 0 after {:.1} s)",
                    bad.seconds_to_weight_zero()
                ),
            ));
            figures.push((
                bad.bad.to_string(),
                format!("bad answers to users in all, of {} that version 3 gave", bad.answers),
            ));
        }
        figures.push((
            self.measured.broken.to_string(),
            format!("lost or broken requests of {} in all", self.measured.answers.len()),
        ));
        if let Some(latency) = self.measured.latency {
            let ms = |time: Duration| time.as_secs_f64() * 1000.0;
            figures.push((
                format!("{:.1} ms", ms(latency.percentile_99)),
                format!(
                    "or less for 99 of 100 answers (median {:.1} ms, longest {:.0} ms)",
                    ms(latency.median),
                    ms(latency.longest)
                ),
            ));
        }
        if let Some(idle) = self.measured.idle {
            figures.push((
                format!("{:.1} MiB", idle.memory_mib),
                format!("resident memory of the controller, idle ({:.1} MiB at most)", idle.peak_mib),
            ));
            figures.push((
                format!("{:.2} %", idle.cpu_percent),
                format!(
                    "of one core used by the controller, idle, over {:.0} s ({:.1} s since it started)",
                    idle.watched.as_secs_f64(),
                    idle.cpu_seconds
                ),
            ));
        }
        figures.push((
            format!("{:.0} s", self.took.as_secs_f64()),
            "for the whole demo, with all set-up".to_owned(),
        ));
        figures
    }

    fn figure_cards(&self) -> String {
        let card = |(value, what): &(String, String)| {
            format!("<div class=\"card\"><b>{}</b><span>{}</span></div>", escape(value), escape(what))
        };
        self.figures().iter().map(card).collect()
    }

    fn step_rows(&self) -> String {
        let row = |row: &Row| {
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{} %</td><td class=\"n\">{}</td><td class=\"n\">{:.1}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>\n",
                escape(canary(row)),
                escape(&row.split.stable),
                row.split.percent(),
                share(row),
                (row.to - row.from).as_secs_f64(),
                row.answers,
                row.of_canary,
                row.failed,
                escape(&row.judged),
            )
        };
        self.rows().map(row).collect()
    }

    fn version_rows(&self) -> String {
        let rows = self.measured.versions.iter().map(|row| {
            format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1} %</td></tr>\n",
                escape(&row.version),
                row.good,
                row.bad,
                row.percent
            )
        });
        rows.collect()
    }

    fn claim_items(&self) -> String {
        let item = |finding: &Finding| {
            let (class, sign) = if finding.held { ("good", "✓") } else { ("bad-news", "✗") };
            format!(
                "<li><b class=\"{class}\">{sign}</b> {} <span>{}</span></li>\n",
                escape(finding.claim),
                escape(&finding.seen)
            )
        };
        self.claims.iter().map(item).collect()
    }

    fn timing_rows(&self) -> String {
        let row = |(what, took): &(String, Duration)| {
            format!("<tr><td>{}</td><td class=\"n\">{:.1} s</td></tr>\n", escape(what), took.as_secs_f64())
        };
        self.timings.iter().map(row).collect()
    }

    fn story(&self) -> String {
        let mut text = String::new();
        for (seconds, happening) in &self.measured.happenings {
            let class = class_of(happening.style);
            // Writing to a String cannot fail.
            let _written = writeln!(
                text,
                "<tr><td class=\"n\">{seconds:.1} s</td><td class=\"{class}\">{}</td></tr>",
                escape(&happening.text)
            );
        }
        text
    }
}

fn canary(row: &Row) -> &str {
    row.split.canary.as_ref().map_or("none", |(version, _)| version)
}

fn share(row: &Row) -> String {
    row.settled_percent.map_or_else(|| "-".to_owned(), |share| format!("{share:.1} %"))
}

fn legend(versions: &[(String, usize)]) -> String {
    let entry = |(name, color): &(String, usize)| {
        format!("<span><i class=\"version c{color}\"></i>{} measured</span>", escape(name))
    };
    let versions: String = versions.iter().map(entry).collect();
    format!(
        "{versions}<span><i class=\"wanted\"></i>wanted weight of the version on its way</span><span><i class=\"bad\"></i>bad answers</span>"
    )
}

fn marks(marks: &[(f64, Style, String)]) -> String {
    let item = |(seconds, style, text): &(f64, Style, String)| {
        format!("<li class=\"{}\"><time>{seconds:.1} s</time> {}</li>\n", class_of(*style), escape(text))
    };
    marks.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::story::{Happening, Seen, Split};
    use crate::load::{Answers, Outcome, Sample};

    /// A second version that climbs, and a third that fails and is stopped.
    fn run() -> Measured {
        let weights =
            [(5, "v2", 20), (15, "v2", 60), (25, "v2", 100), (35, "", 0), (40, "v3", 20), (46, "v3", 0)];
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let wanted = |second: u64| weights.iter().rev().find(|(from, _, _)| second >= *from as u64);
        let sample = |turn: u64| {
            let second = turn / 20;
            let stable = if second < 35 { "v1" } else { "v2" };
            let (version, percent) =
                wanted(second).map_or(("", 0), |(_, version, percent)| (*version, *percent));
            let of_canary = turn % 5 < percent / 20;
            let version = if of_canary { version } else { stable };
            let status = if version == "v3" && turn.is_multiple_of(3) { 500 } else { 200 };
            let outcome = Outcome::Answered { version: version.to_owned(), status };
            Sample { at: Duration::from_millis(turn * 50), took: Duration::from_millis(turn % 7), outcome }
        };
        let split = |(from, version, percent): &(i64, &str, u64)| {
            let canary = (!version.is_empty()).then(|| ((*version).to_owned(), *percent as i32));
            (at(*from), Split { stable: if *from < 35 { "v1" } else { "v2" }.to_owned(), canary })
        };
        let mark = |second: i64, style: Style, text: &str| Happening {
            at: at(second),
            style,
            text: text.to_owned(),
            is_marked: true,
        };
        let seen = Seen {
            splits: weights.iter().map(split).collect(),
            happenings: vec![
                mark(4, Style::Git, "commit 1234567  shop: version 2"),
                mark(35, Style::Good, "v2 is the stable version"),
                mark(39, Style::Git, "commit 2345678  shop: version 3"),
                mark(46, Style::Bad, "Tidegate aborts v3: <failed>"),
            ],
            ..Seen::default()
        };
        let answers = Answers { began: Timestamp::UNIX_EPOCH, samples: (0..1200).map(sample).collect() };
        Measured::new(answers, &seen, "v3", None)
    }

    #[test]
    fn the_page_is_complete() {
        let finding = |held: bool| Finding { claim: "it holds", held, seen: "it <was> seen".to_owned() };
        let report = Report {
            began: Timestamp::UNIX_EPOCH,
            took: Duration::from_secs(61),
            timings: vec![("the cluster is up".to_owned(), Duration::from_secs(12))],
            machine: "2 cores".to_owned(),
            measured: run(),
            claims: vec![finding(true), finding(false)],
        };
        let page = report.html();
        assert!(!page.contains("{{"), "a part is missing");
        assert!(page.contains("1 of 2 claims did not hold") && page.contains("it &lt;was&gt; seen"));
        assert!(page.contains("bad answers to users in all"));
        assert!(page.matches("<li class=").count() == 4 && page.matches("<polyline").count() == 2);
    }
}
