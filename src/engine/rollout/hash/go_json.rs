//! Reads JSON as Go decodes it into a struct, and writes it as Go does.
//!
//! Reading is lenient like Argo Rollouts' informers: a value of the wrong kind
//! counts as that kind's zero, and a quantity, time or port that Kubernetes
//! cannot read is dropped, without taking the rest of the template with it.

use serde_json::{Map, Number, Value};

use super::fields::{Field, Kind};
use super::quantity::Quantity;

/// How to write a quantity; `None` drops it.
pub(super) type Spelling = fn(&str) -> Option<String>;

/// Reads an object as the Go struct of these fields.
///
/// The result has the members that Go would write and no others; the order is
/// left to [`write`].
pub(super) fn decode(value: &Value, fields: &[Field], spelling: Spelling) -> Map<String, Value> {
    let mut decoded = Map::new();
    for field in fields {
        let given = value.get(field.name).filter(|given| !given.is_null());
        let read = given.and_then(|given| read(given, &field.kind, spelling));
        let present = read.is_some();
        let member = match read {
            Some(member) => member,
            None if field.pointer => Value::Null,
            None => zero(&field.kind, spelling),
        };
        let empty = if field.pointer { !present } else { is_empty(&member) };
        if !(field.omit && empty) {
            decoded.insert(field.name.to_owned(), member);
        }
    }
    decoded
}

/// Drops what Kubernetes cannot read, and keeps all else, known or not.
pub(super) fn readable(value: &Value, kind: &Kind) -> Option<Value> {
    match (kind, value) {
        (_, Value::Null) => Some(Value::Null),
        (Kind::Struct(fields), Value::Object(members)) => {
            let readable = members.iter().filter_map(|(name, member)| {
                let field = fields.iter().find(|field| field.name == name);
                let member =
                    field.map_or_else(|| Some(member.clone()), |field| readable(member, &field.kind))?;
                Some((name.clone(), member))
            });
            Some(Value::Object(readable.collect()))
        }
        (Kind::List(of), Value::Array(items)) => {
            Some(items.iter().filter_map(|item| readable(item, of)).collect())
        }
        (Kind::Map(of), Value::Object(members)) => {
            let readable =
                members.iter().filter_map(|(key, member)| Some((key.clone(), readable(member, of)?)));
            Some(Value::Object(readable.collect()))
        }
        _ => read(value, kind, Quantity::canonical),
    }
}

/// Reads a value that is there; `None` when its kind cannot be read from it.
fn read(value: &Value, kind: &Kind, spelling: Spelling) -> Option<Value> {
    let read = match (kind, value) {
        (_, Value::Null) => zero(kind, spelling),
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) | (Kind::Raw, _) => value.clone(),
        // A number too large for the field wraps around, as Go converts it.
        (Kind::Int32, Value::Number(number)) => Value::from(whole(number).unwrap_or(0) as i32),
        (Kind::Int64, Value::Number(number)) => Value::from(whole(number).unwrap_or(0)),
        (Kind::Quantity, Value::String(text)) => spelling(text)?.into(),
        (Kind::Quantity, Value::Number(number)) => spelling(&number_text(number))?.into(),
        (Kind::Time, Value::String(text)) => time(text)?.into(),
        (Kind::IntOrString, Value::String(_)) => value.clone(),
        (Kind::IntOrString, Value::Number(number)) => i32::try_from(whole(number)?).ok()?.into(),
        (Kind::Quantity | Kind::Time | Kind::IntOrString, _) => return None,
        (Kind::Struct(fields), _) => Value::Object(decode(value, fields, spelling)),
        (Kind::List(of), Value::Array(items)) => {
            items.iter().map(|item| read(item, of, spelling).unwrap_or_else(|| zero(of, spelling))).collect()
        }
        (Kind::Map(of), Value::Object(members)) => {
            let read =
                members.iter().filter_map(|(key, member)| Some((key.clone(), read(member, of, spelling)?)));
            Value::Object(read.collect())
        }
        (Kind::Text | Kind::Flag | Kind::Int32 | Kind::Int64 | Kind::List(_) | Kind::Map(_), _) => {
            zero(kind, spelling)
        }
    };
    Some(read)
}

/// The value of a Go field that nothing was decoded into.
fn zero(kind: &Kind, spelling: Spelling) -> Value {
    match kind {
        Kind::Text => "".into(),
        Kind::Flag => false.into(),
        Kind::Int32 | Kind::Int64 | Kind::IntOrString => 0.into(),
        Kind::Quantity => spelling("0").into(),
        Kind::Time | Kind::Raw | Kind::List(_) | Kind::Map(_) => Value::Null,
        Kind::Struct(fields) => Value::Object(decode(&Value::Null, fields, spelling)),
    }
}

/// Tells whether `omitempty` leaves a value out. The table sets it only where
/// Go heeds it, so a struct or quantity never comes here as empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Appends what `encoding/json` writes for a decoded value.
pub(super) fn write(out: &mut String, value: &Value, kind: &Kind) {
    match (kind, value) {
        (Kind::Struct(fields), Value::Object(members)) => {
            let ordered = fields.iter().filter_map(|field| Some((field, members.get(field.name)?)));
            write_sequence(out, "{}", ordered, |out, (field, member)| {
                write_text(out, field.name);
                out.push(':');
                write(out, member, &field.kind);
            });
        }
        (Kind::List(of), Value::Array(items)) => write_sequence(out, "[]", items.iter(), |out, item| {
            write(out, item, of);
        }),
        (Kind::Map(of), Value::Object(members)) => write_sorted(out, members, of),
        (_, Value::Object(members)) => write_sorted(out, members, &Kind::Raw),
        (_, Value::Array(items)) => write_sequence(out, "[]", items.iter(), |out, item| {
            write(out, item, &Kind::Raw);
        }),
        (_, Value::String(text)) => write_text(out, text),
        (_, Value::Number(number)) => out.push_str(&number_text(number)),
        (_, Value::Bool(flag)) => out.push_str(if *flag { "true" } else { "false" }),
        (_, Value::Null) => out.push_str("null"),
    }
}

fn write_sorted(out: &mut String, members: &Map<String, Value>, kind: &Kind) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    write_sequence(out, "{}", sorted.into_iter(), |out, (key, member)| {
        write_text(out, key);
        out.push(':');
        write(out, member, kind);
    });
}

fn write_sequence<T>(
    out: &mut String,
    brackets: &str,
    items: impl Iterator<Item = T>,
    mut write_item: impl FnMut(&mut String, T),
) {
    let (open, close) = brackets.split_at(1);
    out.push_str(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_item(out, item);
    }
    out.push_str(close);
}

/// Writes a string with Go's escapes, which also keep HTML and JavaScript safe.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// The whole number that a JSON number is, whatever its spelling.
fn whole(number: &Number) -> Option<i64> {
    let from_float = || number.as_f64().filter(|float| float.trunc() == *float).map(|float| float as i64);
    number.as_i64().or_else(from_float)
}

/// Spells a number as Go does: the shortest digits, an exponent only for the
/// very large and very small.
fn number_text(number: &Number) -> String {
    if let Some(whole) = number.as_i64() {
        return whole.to_string();
    }
    let float = number.as_f64().unwrap_or(0.0);
    let size = float.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}

/// A time in UTC and whole seconds; `None` for none and for year one, which Go
/// takes for none.
fn time(text: &str) -> Option<String> {
    let time: jiff::Timestamp = text.parse().ok()?;
    let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    (text != "0001-01-01T00:00:00Z").then_some(text)
}
