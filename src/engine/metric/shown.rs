//! Values as measurements show them: in Go's words, and no longer than a status can take.

use serde_json::Value;

use crate::rollout::hash;

/// Bytes of a value that a measurement shows; what is longer belongs in no status.
pub(super) const SHOWN_BYTES: usize = 4096;
/// What is shown of an answer that is no JSON.
const EXCERPT_BYTES: usize = 200;
/// Whole numbers beyond this are not exact in Go's JSON, nor here.
const LARGEST_EXACT: u64 = 1 << 53;

/// Cuts off what is too long.
pub(super) fn bounded(mut text: String) -> String {
    if text.len() > SHOWN_BYTES {
        let end = (0..=SHOWN_BYTES).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// A value as Go writes the JSON of it, in which every number is a float64. Of a long one only the beginning is right,
/// which is all that is ever shown.
pub(super) fn json(value: &Value) -> String {
    hash::go_text(&as_floats(value, &mut (SHOWN_BYTES + 1)))
}

/// A value with no more in it than so many bytes show; each part takes one at least.
fn as_floats(value: &Value, left: &mut usize) -> Value {
    *left = left.saturating_sub(1);
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().filter(|whole| whole.unsigned_abs() <= LARGEST_EXACT);
            let float = number.as_f64().map(Value::from);
            whole.map(Value::from).or(float).unwrap_or(Value::Null)
        }
        Value::Array(items) => {
            items.iter().map_while(|item| (*left > 0).then(|| as_floats(item, left))).collect()
        }
        Value::Object(members) => {
            let member = |(name, member): (&String, &Value)| {
                (*left > 0).then(|| (part(name, left), as_floats(member, left)))
            };
            Value::Object(members.iter().map_while(member).collect())
        }
        Value::String(text) => Value::String(part(text, left)),
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

/// The beginning of a text, as far as there is room for it.
fn part(text: &str, left: &mut usize) -> String {
    let end = (*left..text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
    *left = left.saturating_sub(end);
    text[..end].to_owned()
}

/// A number without an exponent, infinite with a sign.
pub(super) fn number(number: f64) -> String {
    infinite(number).unwrap_or_else(|| number.to_string())
}

/// A number with so many digits behind the point.
pub(super) fn fixed(number: f64, digits: usize) -> String {
    infinite(number).unwrap_or_else(|| format!("{number:.digits$}"))
}

/// A number as short as it can be: with an exponent where it is at least a million, or less than 0.0001.
pub(super) fn general(number: f64) -> String {
    if let Some(text) = infinite(number) {
        return text;
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific.as_str(), "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn infinite(number: f64) -> Option<String> {
    number.is_infinite().then(|| if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
}

/// Numbers in brackets.
pub(super) fn list(numbers: &[f64], separator: &str, text: impl Fn(f64) -> String) -> String {
    format!("[{}]", numbers.iter().map(|number| text(*number)).collect::<Vec<_>>().join(separator))
}

/// The beginning of a body, in one line.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES)]);
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if body.len() > EXCERPT_BYTES {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, wanted) in [
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e21, "1e+21"),
            (-2.5, "-2.5"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(general(value), wanted);
        }
        assert_eq!(
            (fixed(0.125, 6), fixed(2.0, 2), fixed(f64::NEG_INFINITY, 2)),
            ("0.125000".into(), "2.00".into(), "-Inf".into())
        );
        assert_eq!(
            (number(1e21), list(&[1.0, 0.5], ",", number)),
            ("1000000000000000000000".into(), "[1,0.5]".into())
        );
    }

    #[test]
    fn long_values_are_written_in_part() {
        let long = "é".repeat(SHOWN_BYTES);
        for value in [
            serde_json::json!(vec![0; 100_000]),
            serde_json::json!([long, long]),
            serde_json::json!({"a": {"b": long}, "c": long}),
        ] {
            let text = json(&value);
            assert!((SHOWN_BYTES..4 * SHOWN_BYTES).contains(&text.len()), "{}", text.len());
            assert_eq!(bounded(text), bounded(hash::go_text(&value)));
        }
    }

    #[test]
    fn long_texts_are_shown_in_part() {
        let text = bounded(format!("{}é", "x".repeat(SHOWN_BYTES - 1)));
        assert_eq!((text.len(), text.chars().last()), (SHOWN_BYTES - 1 + '…'.len_utf8(), Some('…')));
        assert_eq!(excerpt(b"<html>\n  busy </html>"), "<html> busy </html>");
        assert_eq!(excerpt("x".repeat(EXCERPT_BYTES + 1).as_bytes()), "x".repeat(EXCERPT_BYTES) + "…");
    }
}
