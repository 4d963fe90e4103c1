//! The functions that build texts, and lists of texts, within bounds.
//!
//! Input: an environment. Output: the same, in which these build no more than [`MOST_TEXT`] at once, and cut as Go does.

use expr::{Environment, Value};

use super::{MOST_TEXT, as_int, fail};

/// Adds them.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_function("repeat", |call| match call.args.as_slice() {
        [Value::String(part), count @ (Value::Integer(_) | Value::Float(_))] => repeat(part, as_int(count)?),
        _ => fail("repeat() takes a text and a count"),
    });
    environment.add_function("replace", |call| match call.args.as_slice() {
        [Value::String(whole), Value::String(old), Value::String(new)] => replace(whole, old, new, -1),
        [
            Value::String(whole),
            Value::String(old),
            Value::String(new),
            count @ (Value::Integer(_) | Value::Float(_)),
        ] => replace(whole, old, new, as_int(count)?),
        _ => fail("replace() takes three texts, and how often"),
    });
    environment.add_function("join", |call| match call.args.as_slice() {
        [Value::Array(items)] => join(items, ""),
        [Value::Array(items), Value::String(separator)] => join(items, separator),
        _ => fail("join() takes a list of texts and a separator"),
    });
    for (name, keeps) in [("split", false), ("splitAfter", true)] {
        environment.add_function(name, move |call| match call.args.as_slice() {
            [Value::String(whole), Value::String(separator)] => Ok(pieces(whole, separator, -1, keeps)),
            [
                Value::String(whole),
                Value::String(separator),
                count @ (Value::Integer(_) | Value::Float(_)),
            ] => Ok(pieces(whole, separator, as_int(count)?, keeps)),
            _ => fail(format!("{name}() takes two texts, and how many pieces")),
        });
    }
}

fn text(text: String) -> expr::Result<Value> {
    if text.len() > MOST_TEXT {
        fail(format!("a text is longer than {MOST_TEXT} bytes"))
    } else {
        Ok(Value::String(text))
    }
}

fn repeat(part: &str, count: i64) -> expr::Result<Value> {
    match usize::try_from(count) {
        Ok(count) if part.len().saturating_mul(count) <= MOST_TEXT => text(part.repeat(count)),
        Ok(_) => fail(format!("a text is longer than {MOST_TEXT} bytes")),
        Err(_) => fail("repeat() needs a count that is not negative"),
    }
}

/// Replaces the first ones of a part; all of them for a count below 0.
fn replace(whole: &str, old: &str, new: &str, count: i64) -> expr::Result<Value> {
    // There is a place before each byte at most, and one at the end.
    let most = whole.len().saturating_add(1);
    let count = usize::try_from(count).map_or(most, |count| count.min(most));
    if count.saturating_mul(new.len()).saturating_add(whole.len()) > MOST_TEXT {
        return fail("replace() would build too long a text");
    }
    text(whole.replacen(old, new, count))
}

fn join(items: &[Value], separator: &str) -> expr::Result<Value> {
    let Some(parts) = items.iter().map(Value::as_string).collect::<Option<Vec<_>>>() else {
        return fail("join() takes a list of texts and a separator");
    };
    let length: usize = parts.iter().map(|part| part.len().saturating_add(separator.len())).sum();
    if length > MOST_TEXT { fail("join() would build too long a text") } else { text(parts.join(separator)) }
}

/// Cuts a text into so many pieces at most, and into all there are for a count below 0. Where nothing separates, each
/// character is a piece.
fn pieces(whole: &str, separator: &str, count: i64, keeps_separator: bool) -> Value {
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let mut pieces: Vec<&str> = Vec::new();
    let mut rest = whole;
    while pieces.len() + 1 < most {
        let found = match (separator, rest.chars().next()) {
            ("", Some(first)) => Some(first.len_utf8()).filter(|length| *length < rest.len()),
            ("", None) => None,
            _ => rest.find(separator),
        };
        let Some(at) = found else { break };
        let behind = at + separator.len();
        pieces.push(&rest[..if keeps_separator { behind } else { at }]);
        rest = &rest[behind..];
    }
    let is_over = most == 0 || separator.is_empty() && rest.is_empty();
    pieces.extend((!is_over).then_some(rest));
    Value::Array(pieces.into_iter().map(Value::from).collect())
}
