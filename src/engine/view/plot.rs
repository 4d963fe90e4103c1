//! Evidence over time as a small picture of text.
//!
//! Input: points in time with the natural logarithm of the evidence, and where it is enough. Output: lines. Each step up
//! is a factor of ten, or a part of it.

use crate::judge::words::{number, span};

const WIDTH: usize = 60;
const ROWS: usize = 7;
/// The least and the most evidence that is told apart, as powers of ten below 1 and above what is enough.
const BELOW: f64 = 2.0;
const ABOVE: f64 = 2.0;

/// Draws the points (seconds, logarithm of the evidence) below a line where the evidence is `enough`.
pub(super) fn plot(points: &[(u32, f64)], enough: f64) -> Vec<String> {
    let columns = columns(points);
    let limit = enough.log10();
    let values = columns.iter().map(|log| log / std::f64::consts::LN_10);
    let values: Vec<f64> = values.map(|value| value.clamp(-BELOW, limit + ABOVE)).collect();
    let top = values.iter().copied().fold(limit, f64::max);
    let bottom = values.iter().copied().fold(0.0, f64::min);
    let row = |value: f64| ((value - bottom) / (top - bottom) * (ROWS - 1) as f64).round() as usize;
    let mut lines = Vec::new();
    for at in (0..ROWS).rev() {
        let is_limit = at == row(limit);
        let middle = bottom + (top - bottom) * at as f64 / (ROWS - 1) as f64;
        let label = if is_limit { enough } else { 10_f64.powf(middle) };
        let cell = |column: usize| match values.get(column) {
            Some(value) if row(*value) == at => '*',
            Some(_) | None if is_limit => '-',
            Some(_) | None => ' ',
        };
        let cells: String = (0..values.len().max(10)).map(cell).collect();
        lines.push(format!("{:>8} |{}", number(label), cells.trim_end()));
    }
    let (first, last) = (points.first().map_or(0, |point| point.0), points.last().map_or(0, |point| point.0));
    let (first, last) = (span(first.into()), span(last.into()));
    let gap = values.len().saturating_sub(first.len() + last.len()).max(1);
    lines.push(format!("{:>8}  {first}{:gap$}{last}", "", ""));
    lines
}

/// The last point of each column.
fn columns(points: &[(u32, f64)]) -> Vec<f64> {
    let size = points.len().div_ceil(WIDTH).max(1);
    points.chunks(size).filter_map(|chunk| chunk.last()).map(|(_, log)| *log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_that_grows_is_seen_to_cross_the_line() {
        let points: Vec<(u32, f64)> = (0..12).map(|at| (at * 10, f64::from(at) - 4.0)).collect();
        let drawn = plot(&points, 100.0).join("\n");
        let limit: Vec<&str> = drawn.lines().filter(|line| line.contains('-')).collect();
        assert_eq!(limit.len(), 1);
        assert!(limit[0].trim_start().starts_with("100 |"), "{drawn}");
        assert_eq!(drawn.matches('*').count(), 12);
    }

    #[test]
    fn a_long_judgement_is_as_wide_as_the_screen_and_none_draws_nothing() {
        let points: Vec<(u32, f64)> = (0..1000).map(|at| (at, 0.0)).collect();
        assert!(plot(&points, 20.0).iter().all(|line| line.len() <= 80));
        assert_eq!(plot(&[], 20.0).len(), ROWS + 1);
    }
}
