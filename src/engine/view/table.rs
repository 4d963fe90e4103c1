//! Columns that line up, two spaces apart, with the last one unpadded.

use super::icon::{Line, Paint};

/// Spaces between two columns.
const GAP: usize = 2;

/// Renders rows as columns; `least_widths` are the least widths of the columns, 0 where none is given.
pub(crate) fn render(rows: &[Vec<Line>], least_widths: &[usize], paint: Paint) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let widest = rows.iter().filter_map(|row| row.get(column)).map(Line::width).max().unwrap_or(0);
            widest.max(least_widths.get(column).copied().unwrap_or(0))
        })
        .collect();
    rows.iter().map(|row| render_row(row, &widths, paint) + "\n").collect()
}

/// Renders one row without spaces at its end.
fn render_row(row: &[Line], widths: &[usize], paint: Paint) -> String {
    let last = row.iter().rposition(|cell| !cell.render(Paint::Plain).trim_end().is_empty());
    let mut text = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate().take(last.map_or(0, |last| last + 1)) {
        text += &cell.render(paint);
        if Some(index) != last {
            text += &" ".repeat(width + GAP - cell.width());
        }
    }
    text.trim_end().to_owned()
}
