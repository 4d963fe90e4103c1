//! Draws what was wanted and what was measured over time, as SVG: each
//! version's share of the answers, the weights, the bad answers, and the moments
//! of the story.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::measure::Measured;
use super::screen::Style;
use super::story::Happening;
use crate::load::{Answers, Outcome};

const WIDTH: f64 = 1120.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
/// The marks stand above this line.
const TOP: f64 = 74.0;
const SHARES_HEIGHT: f64 = 300.0;
const BAD_TOP: f64 = 410.0;
const BAD_HEIGHT: f64 = 70.0;
/// What one point of a curve stands for.
const BIN: Duration = Duration::from_secs(1);
/// Marks that are closer than this stand above each other.
const MARK_GAP: f64 = 21.0;
const MARK_ROWS: usize = 3;

/// A picture and the marks in it, numbered from 1.
pub(super) struct Plot {
    pub(super) svg: String,
    /// Seconds, style and text of each mark.
    pub(super) marks: Vec<(f64, Style, String)>,
    /// Each version and the class of its colour.
    pub(super) versions: Vec<(String, usize)>,
}

/// The answers of one second.
struct Bin {
    middle: f64,
    counts: BTreeMap<String, usize>,
    bad: usize,
    all: usize,
}

/// How seconds become places.
struct Scale {
    seconds: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (seconds / self.seconds).clamp(0.0, 1.0)
    }

    fn y(percent: f64) -> f64 {
        TOP + SHARES_HEIGHT * (1.0 - percent / 100.0)
    }
}

/// Draws everything.
pub(super) fn draw(measured: &Measured) -> Plot {
    let bins = bins(&measured.answers);
    let seconds = measured.answers.samples.last().map_or(1.0, |sample| sample.at.as_secs_f64().max(1.0));
    let scale = Scale { seconds };
    let versions = versions(&bins);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"wanted weight and measured share over time\">\n"
    );
    areas(&mut svg, &scale, &bins, &versions);
    grid(&mut svg, &scale);
    weights(&mut svg, &scale, measured);
    bad_answers(&mut svg, &scale, &bins);
    let marks = marks(&mut svg, &scale, &measured.happenings);
    explain(&mut svg, &scale, &bins);
    svg.push_str("</svg>\n");
    Plot { svg, marks, versions }
}

fn bins(answers: &Answers) -> Vec<Bin> {
    let mut bins: Vec<Bin> = Vec::new();
    for sample in &answers.samples {
        let index = (sample.at.as_secs_f64() / BIN.as_secs_f64()) as usize;
        while bins.len() <= index {
            let middle = (bins.len() as f64 + 0.5) * BIN.as_secs_f64();
            bins.push(Bin { middle, counts: BTreeMap::new(), bad: 0, all: 0 });
        }
        let bin = &mut bins[index];
        bin.all += 1;
        bin.bad += usize::from(sample.is_bad());
        let name = match &sample.outcome {
            Outcome::Answered { version, .. } => version.clone(),
            Outcome::Lost(_) => "no answer".to_owned(),
        };
        *bin.counts.entry(name).or_default() += 1;
    }
    bins.retain(|bin| bin.all > 0);
    bins
}

/// Each version in the order of its first answer, and its colour.
fn versions(bins: &[Bin]) -> Vec<(String, usize)> {
    let mut versions: Vec<(String, usize)> = Vec::new();
    for name in bins.iter().flat_map(|bin| bin.counts.keys()) {
        if !versions.iter().any(|(known, _)| known == name) {
            versions.push((name.clone(), versions.len().min(5)));
        }
    }
    versions
}

/// The newest version stands at the bottom, so that its upper edge is its share.
fn areas(svg: &mut String, scale: &Scale, bins: &[Bin], versions: &[(String, usize)]) {
    let share = |bin: &Bin, name: &str| 100.0 * *bin.counts.get(name).unwrap_or(&0) as f64 / bin.all as f64;
    let mut floor = vec![0.0; bins.len()];
    for (name, color) in versions.iter().rev() {
        let ceiling: Vec<f64> =
            bins.iter().zip(&floor).map(|(bin, floor)| floor + share(bin, name)).collect();
        let point =
            |(bin, percent): (&Bin, &f64)| format!("{:.1},{:.1}", scale.x(bin.middle), Scale::y(*percent));
        let mut points: Vec<String> = bins.iter().zip(&ceiling).map(point).collect();
        points.extend(bins.iter().zip(&floor).rev().map(point));
        line(svg, &format!("<polygon class=\"version c{color}\" points=\"{}\"/>", points.join(" ")));
        floor = ceiling;
    }
}

fn grid(svg: &mut String, scale: &Scale) {
    let right = WIDTH - RIGHT;
    for percent in [0, 20, 40, 60, 80, 100] {
        let y = Scale::y(f64::from(percent));
        line(
            svg,
            &format!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"),
        );
        line(
            svg,
            &format!(
                "<text class=\"axis\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>",
                LEFT - 7.0,
                y + 4.0
            ),
        );
    }
    let step = if scale.seconds > 240.0 {
        30.0
    } else if scale.seconds > 90.0 {
        20.0
    } else {
        10.0
    };
    let mut seconds = 0.0;
    while seconds <= scale.seconds {
        let x = scale.x(seconds);
        let bottom = BAD_TOP + BAD_HEIGHT;
        line(
            svg,
            &format!(
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{}\"/>",
                bottom + 5.0
            ),
        );
        line(
            svg,
            &format!(
                "<text class=\"axis\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{seconds:.0} s</text>",
                bottom + 20.0
            ),
        );
        seconds += step;
    }
}

/// One line per version on its way, from its first weight to its last.
fn weights(svg: &mut String, scale: &Scale, measured: &Measured) {
    let mut points: Vec<String> = Vec::new();
    let mut last = 0.0;
    let finish = |svg: &mut String, points: &mut Vec<String>| {
        if points.len() > 1 {
            line(svg, &format!("<polyline class=\"wanted\" points=\"{}\"/>", points.join(" ")));
        }
        points.clear();
    };
    for row in &measured.rows {
        let (from, to) = (scale.x(row.from.as_secs_f64()), scale.x(row.to.as_secs_f64()));
        if row.split.canary.is_none() {
            finish(svg, &mut points);
            last = 0.0;
            continue;
        }
        let percent = f64::from(row.split.percent());
        if points.is_empty() || (percent - last).abs() > 0.0 {
            points.push(format!("{from:.1},{:.1}", Scale::y(last)));
        }
        points.push(format!("{from:.1},{:.1}", Scale::y(percent)));
        points.push(format!("{to:.1},{:.1}", Scale::y(percent)));
        last = percent;
    }
    finish(svg, &mut points);
}

fn bad_answers(svg: &mut String, scale: &Scale, bins: &[Bin]) {
    let most = bins.iter().map(|bin| bin.bad).max().unwrap_or(0).max(10);
    let (bottom, right) = (BAD_TOP + BAD_HEIGHT, WIDTH - RIGHT);
    line(
        svg,
        &format!(
            "<text class=\"axis\" x=\"{LEFT}\" y=\"{:.1}\">bad answers per second</text>",
            BAD_TOP - 8.0
        ),
    );
    for (count, y) in [(0, bottom), (most, BAD_TOP)] {
        line(svg, &format!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y}\" y2=\"{y}\"/>"));
        line(
            svg,
            &format!(
                "<text class=\"axis\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{count}</text>",
                LEFT - 7.0,
                y + 4.0
            ),
        );
    }
    let half = BIN.as_secs_f64() / 2.0;
    for bin in bins.iter().filter(|bin| bin.bad > 0) {
        let (left, right) = (scale.x(bin.middle - half), scale.x(bin.middle + half));
        let height = BAD_HEIGHT * bin.bad as f64 / most as f64;
        line(
            svg,
            &format!(
                "<rect class=\"bad\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                bottom - height,
                (right - left - 0.5).max(1.0),
            ),
        );
    }
}

/// A numbered mark for each moment that is worth one.
fn marks(svg: &mut String, scale: &Scale, happenings: &[(f64, Happening)]) -> Vec<(f64, Style, String)> {
    let marked = happenings.iter().filter(|(seconds, happening)| happening.is_marked && *seconds >= 0.0);
    let mut ends = [f64::NEG_INFINITY; MARK_ROWS];
    let mut marks = Vec::new();
    for (seconds, happening) in marked {
        let x = scale.x(*seconds);
        let row = ends.iter().position(|end| x - end >= MARK_GAP).unwrap_or(marks.len() % MARK_ROWS);
        ends[row] = x;
        let y = TOP - 14.0 - 21.0 * row as f64;
        let class = class_of(happening.style);
        marks.push((*seconds, happening.style, happening.text.clone()));
        line(
            svg,
            &format!(
                "<line class=\"mark {class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y:.1}\" y2=\"{}\"/>",
                BAD_TOP + BAD_HEIGHT
            ),
        );
        line(
            svg,
            &format!(
                "<g><circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>\
                 <text class=\"number\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
                 <title>{}</title></g>",
                y + 4.0,
                marks.len(),
                escape(&happening.text),
            ),
        );
    }
    marks
}

/// What a pointer over the picture is told.
fn explain(svg: &mut String, scale: &Scale, bins: &[Bin]) {
    let half = BIN.as_secs_f64() / 2.0;
    for bin in bins {
        let (left, right) = (scale.x(bin.middle - half), scale.x(bin.middle + half));
        let counts: Vec<String> = bin.counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
        line(
            svg,
            &format!(
                "<rect class=\"hover\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{}\"><title>second {:.0}: {}; {} bad</title></rect>",
                right - left,
                BAD_TOP + BAD_HEIGHT - TOP,
                bin.middle - half,
                escape(&counts.join(", ")),
                bin.bad,
            ),
        );
    }
}

/// The class that gives a mark its colour.
pub(super) fn class_of(style: Style) -> &'static str {
    match style {
        Style::Good => "good",
        Style::Bad => "bad-news",
        Style::Git => "git",
        Style::Person => "person",
        Style::Title | Style::Faint | Style::Plain => "plain",
    }
}

/// Makes a text safe inside HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn line(svg: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _written = writeln!(svg, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::story::{Seen, Split};
    use crate::load::Sample;
    use jiff::Timestamp;

    #[test]
    fn shares_weights_and_marks_are_in_the_picture() {
        let sample = |turn: u64| {
            let version = if turn.is_multiple_of(5) { "v2" } else { "v1" };
            let status = if turn == 20 { 500 } else { 200 };
            let outcome = Outcome::Answered { version: version.to_owned(), status };
            Sample { at: Duration::from_millis(turn * 50), took: Duration::ZERO, outcome }
        };
        let answers = Answers { began: Timestamp::UNIX_EPOCH, samples: (0..100).map(sample).collect() };
        let split = Split { stable: "v1".to_owned(), canary: Some(("v2".to_owned(), 20)) };
        let happening = Happening {
            at: Timestamp::from_second(2).unwrap(),
            style: Style::Git,
            text: "commit <a>".to_owned(),
            is_marked: true,
        };
        let seen = Seen {
            splits: vec![(Timestamp::from_second(1).unwrap(), split)],
            happenings: vec![happening],
            ..Seen::default()
        };
        let plot = draw(&Measured::new(answers, &seen, "v2", None));
        assert_eq!(plot.versions.len(), 2);
        assert_eq!(plot.marks.len(), 1);
        assert_eq!(plot.svg.matches("<polygon").count(), 2);
        assert_eq!(plot.svg.matches("<polyline").count(), 1);
        assert_eq!(plot.svg.matches("class=\"bad\"").count(), 1);
        assert!(plot.svg.contains("commit &lt;a&gt;"));
    }
}
