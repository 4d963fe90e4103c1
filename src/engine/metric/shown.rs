//! Values as measurements show them: in Go's words, and no longer than a status can take.
//!
//! What is too long is not cut off here, where nobody knows the secrets in it: the rest is marked, and whoever has hidden
//! the secrets of the whole leaves it out. So no secret is cut in two, and nobody has to guess at halves.

use std::ops::Range;

use serde_json::Value;

use crate::rollout::hash;

/// Bytes of a value that a measurement shows; what is longer belongs in no status.
pub(super) const SHOWN_BYTES: usize = 4096;
/// What is shown of an answer that is no JSON.
const EXCERPT_BYTES: usize = 200;
/// Whole numbers beyond this are not exact in Go's JSON, nor here.
const LARGEST_EXACT: u64 = 1 << 53;

/// What of the rest of a long text is kept, so that secrets that begin before it are found.
const REST_BYTES: usize = 8192;
/// Around what is not to be shown; no letters, and in no text that is worth showing.
const REST: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// Marks what is too long for a status. What comes of it is not to be put into another such text.
pub(super) fn bounded(text: String) -> String {
    marked(text, SHOWN_BYTES)
}

fn marked(text: String, most: usize) -> String {
    let text = if text.contains(REST) { text.replace(REST, "") } else { text };
    if text.len() <= most {
        return text;
    }
    let (shown, rest) = text.split_at(text.floor_char_boundary(most));
    let rest = &rest[..rest.floor_char_boundary(REST_BYTES)];
    format!("{shown}{}{rest}{}", REST[0], REST[1])
}

/// Takes a text apart: all that there is of it, and which of that is not to be shown.
pub(crate) fn apart(text: &str) -> (String, Vec<Range<usize>>) {
    let (mut whole, mut rests, mut begun) = (String::new(), Vec::new(), None);
    for letter in text.chars() {
        if letter == REST[0] {
            begun = begun.or(Some(whole.len()));
        } else if letter == REST[1] {
            rests.extend(begun.take().map(|start| start..whole.len()));
        } else {
            whole.push(letter);
        }
    }
    rests.extend(begun.map(|start| start..whole.len()));
    (whole, rests)
}

/// A value as Go writes the JSON of it, in which every number is a float64. Of a long one only the beginning is right,
/// which is all that is ever looked at.
pub(super) fn json(value: &Value) -> String {
    hash::go_text(&as_floats(value, &mut (SHOWN_BYTES + REST_BYTES + 1)))
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

/// What a server says of an error, or the beginning of its answer where it says nothing.
pub(super) fn said(words: Option<&str>, body: &[u8]) -> String {
    words.map_or_else(|| excerpt(body), |words| bounded(words.to_owned()))
}

/// The beginning of a body, in one line, with the rest marked as that of a long text.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() > EXCERPT_BYTES + REST_BYTES {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    marked(line, EXCERPT_BYTES)
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
        let most = SHOWN_BYTES + REST_BYTES;
        let long = "é".repeat(most);
        for value in [
            serde_json::json!(vec![0; 100_000]),
            serde_json::json!([long, long]),
            serde_json::json!({"a": {"b": long}, "c": long}),
        ] {
            let text = json(&value);
            assert!((most..4 * most).contains(&text.len()), "{}", text.len());
            assert_eq!(bounded(text), bounded(hash::go_text(&value)));
        }
    }

    /// The whole of a text, and where each rest begins and ends.
    fn parts(text: &str) -> (String, Vec<(usize, usize)>) {
        let (whole, rests) = apart(text);
        (whole, rests.into_iter().map(|rest| (rest.start, rest.end)).collect())
    }

    #[test]
    fn the_rest_of_long_texts_is_kept_apart() {
        let beginning = "x".repeat(SHOWN_BYTES - 1);
        let (whole, rests) = parts(&bounded(format!("{beginning}é and more")));
        assert_eq!(
            (whole, rests),
            (format!("{beginning}é and more"), vec![(SHOWN_BYTES - 1, SHOWN_BYTES + 10)])
        );
        let (whole, rests) = parts(&bounded("é".repeat(SHOWN_BYTES * 9)));
        let most = SHOWN_BYTES + REST_BYTES;
        assert_eq!((whole.len(), rests), (most, vec![(SHOWN_BYTES, most)]));
        for (body, wanted, rests) in [
            ("<html>\n  busy </html>".to_owned(), "<html> busy </html>".to_owned(), vec![]),
            ("x\n".repeat(101), format!("{}x", "x ".repeat(100)), vec![(EXCERPT_BYTES, EXCERPT_BYTES + 1)]),
            // Blanks are no rest: a secret behind many of them is not cut in two.
            (format!("a{}hush", " ".repeat(2 * REST_BYTES)), "a hush".to_owned(), vec![]),
            ("a\u{fdd0}b\u{fdd1}c".to_owned(), "abc".to_owned(), vec![]),
        ] {
            assert_eq!(parts(&format!("{}!", excerpt(body.as_bytes()))), (wanted + "!", rests));
        }
        for text in ["a\u{fdd1}\u{fdd0}b\u{fdd0}c", "a\u{fdd0}bc\u{fdd1}\u{fdd1}"] {
            assert_eq!(parts(text), ("abc".to_owned(), vec![(1, 3)]));
        }
    }
}
