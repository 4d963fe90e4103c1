//! The annotated CSV that Flux answers with: tables, each with rows that name types and defaults before its header.
//!
//! Input: the body. Output: the cells of the column `_value` in all records.

const VALUE: &str = "_value";
const ERROR: &str = "error";

/// A cell by the type of its column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Float(f64),
    Whole(i128),
    Bool(bool),
    /// Times and durations, too.
    Text(String),
}

/// What the rows before the records of a table say.
#[derive(Default)]
struct Table {
    types: Vec<String>,
    defaults: Vec<String>,
    header: Vec<String>,
}

/// The values of all records.
///
/// # Errors
/// Fails with the server's words where it wrote an error into the answer, and where a cell is not of its type.
pub(super) fn values(body: &[u8]) -> Result<Vec<Cell>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(body);
    let mut table = Table::default();
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| format!("influxdb did not answer CSV: {error}"))?;
        let row: Vec<String> = record.iter().map(str::to_owned).collect();
        let first = row.first().map(String::as_str).unwrap_or_default();
        match first {
            _ if first.starts_with('#') && !table.header.is_empty() => table = Table::of(row),
            _ if first.starts_with('#') => table.annotate(row),
            _ if table.header.is_empty() => table.header = row,
            _ => values.push(table.value(&row)?),
        }
    }
    Ok(values)
}

impl Table {
    /// A new table, whose first row this is.
    fn of(row: Vec<String>) -> Self {
        let mut table = Self::default();
        table.annotate(row);
        table
    }

    fn annotate(&mut self, row: Vec<String>) {
        match row.first().map(String::as_str) {
            Some("#datatype") => self.types = row,
            Some("#default") => self.defaults = row,
            Some(_) | None => {}
        }
    }

    fn value(&self, row: &[String]) -> Result<Cell, String> {
        let column = |name: &str| self.header.iter().position(|header| header == name);
        if let (Some(error), None) = (column(ERROR), column(VALUE)) {
            let why = row.get(error).filter(|why| !why.is_empty());
            return Err(why.map_or("unknown query error", String::as_str).to_owned());
        }
        let Some(column) = column(VALUE) else { return Ok(Cell::Null) };
        let of = |row: &[String]| row.get(column).filter(|text| !text.is_empty()).cloned();
        let Some(text) = of(row).or_else(|| of(&self.defaults)) else { return Ok(Cell::Null) };
        let kind = self.types.get(column).map(String::as_str).unwrap_or_default();
        let wrong = || format!("influxdb answered {text:?} as {kind}");
        Ok(match kind {
            "double" => Cell::Float(float(&text).ok_or_else(wrong)?),
            "long" | "unsignedLong" => Cell::Whole(text.parse().map_err(|_| wrong())?),
            "boolean" => Cell::Bool(text == "true"),
            _ => Cell::Text(text),
        })
    }
}

/// A number in Go's words.
fn float(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}
