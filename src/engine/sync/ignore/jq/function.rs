//! The functions that make one value of others.
//!
//! A function that meets another kind of value than it works on gives nothing.

use serde_json::{Map, Value, json};

use super::value::{compare, is_true, number, rank, real, shown, sum};

/// Functions of values, with the number of their arguments. `test` is among them and runs elsewhere.
const FUNCTIONS: [(&str, usize); 41] = [
    ("true", 0),
    ("false", 0),
    ("null", 0),
    ("not", 0),
    ("length", 0),
    ("keys", 0),
    ("keys_unsorted", 0),
    ("type", 0),
    ("add", 0),
    ("any", 0),
    ("all", 0),
    ("min", 0),
    ("max", 0),
    ("sort", 0),
    ("unique", 0),
    ("reverse", 0),
    ("flatten", 0),
    ("floor", 0),
    ("tostring", 0),
    ("tonumber", 0),
    ("tojson", 0),
    ("fromjson", 0),
    ("ascii_downcase", 0),
    ("ascii_upcase", 0),
    ("to_entries", 0),
    ("from_entries", 0),
    ("trim", 0),
    ("has", 1),
    ("in", 1),
    ("contains", 1),
    ("inside", 1),
    ("startswith", 1),
    ("endswith", 1),
    ("ltrimstr", 1),
    ("rtrimstr", 1),
    ("join", 1),
    ("split", 1),
    ("index", 1),
    ("test", 1),
    ("test", 2),
    ("flatten", 1),
];

pub(super) fn is_function(name: &str, arguments: usize) -> bool {
    FUNCTIONS.contains(&(name, arguments))
}

/// What a function costs beyond reading its input and arguments once.
pub(super) fn surcharge(name: &str, input: &Value, arguments: &[&Value]) -> usize {
    let [argument] = arguments else { return 0 };
    match (name, input, argument) {
        // Each part is looked for in each.
        ("contains" | "inside", _, _) => nodes(input).saturating_mul(nodes(argument)) / 4,
        ("-", Value::Array(items), Value::Array(others)) => items.len().saturating_mul(others.len()),
        ("join", Value::Array(items), Value::String(between)) => {
            items.len().saturating_mul(between.len()) / 16
        }
        // Each part is a value of its own, however short; they are not made to find out how many they are.
        ("split", Value::String(text), Value::String(between)) if between.is_empty() => text.len(),
        ("split", Value::String(text), Value::String(between)) => text.matches(between.as_str()).count(),
        _ => 0,
    }
}

fn nodes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(nodes).sum::<usize>(),
    }
}

/// Applies a function.
pub(super) fn apply(name: &str, input: &Value, arguments: &[&Value]) -> Option<Value> {
    match (arguments, input) {
        ([], Value::String(text)) => of_text(name, text),
        ([], Value::Array(items)) => of_list(name, items),
        ([], Value::Object(map)) => of_map(name, map),
        ([], Value::Null | Value::Bool(_) | Value::Number(_)) => None,
        ([argument], _) => with(name, input, argument),
        _ => None,
    }
    .or_else(|| if arguments.is_empty() { of_any(name, input) } else { None })
}

/// What every value has.
fn of_any(name: &str, input: &Value) -> Option<Value> {
    Some(match name {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        "not" => Value::Bool(!is_true(input)),
        "type" => Value::from(match input {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }),
        "tostring" => shown(input).into(),
        "tojson" => input.to_string().into(),
        "length" if input.is_null() => Value::from(0),
        "length" if input.is_number() => real(input.as_f64()?.abs()),
        "tonumber" if input.is_number() => input.clone(),
        "floor" => real(input.as_f64()?.floor()),
        "add" if input.is_null() => Value::Null,
        _ => return None,
    })
}

fn of_text(name: &str, text: &str) -> Option<Value> {
    Some(match name {
        "length" => Value::from(text.chars().count()),
        "tonumber" => Some(number(text.trim())).filter(|number| !number.is_null())?,
        "fromjson" => serde_json::from_str(text).ok()?,
        "ascii_downcase" => text.to_ascii_lowercase().into(),
        "ascii_upcase" => text.to_ascii_uppercase().into(),
        "trim" => text.trim().into(),
        _ => return None,
    })
}

fn of_list(name: &str, items: &[Value]) -> Option<Value> {
    let sorted = || {
        let mut items = items.to_vec();
        items.sort_by(compare);
        items
    };
    Some(match name {
        "length" => Value::from(items.len()),
        "keys" | "keys_unsorted" => (0..items.len()).map(Value::from).collect(),
        "any" => Value::Bool(items.iter().any(is_true)),
        "all" => Value::Bool(items.iter().all(is_true)),
        "add" => items.iter().try_fold(Value::Null, sum)?,
        "min" => items.iter().min_by(|a, b| compare(a, b)).cloned().unwrap_or_default(),
        "max" => items.iter().max_by(|a, b| compare(a, b)).cloned().unwrap_or_default(),
        "sort" => Value::Array(sorted()),
        "unique" => {
            let mut items = sorted();
            items.dedup_by(|a, b| compare(a, b).is_eq());
            Value::Array(items)
        }
        "reverse" => items.iter().rev().cloned().collect(),
        "flatten" => flattened(items, usize::MAX),
        "to_entries" => entries(&Value::Array(items.to_vec()))?,
        "from_entries" => from_entries(&Value::Array(items.to_vec()))?,
        _ => return None,
    })
}

fn flattened(items: &[Value], depth: usize) -> Value {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Value::Array(inner) if depth > 0 => {
                if let Value::Array(inner) = flattened(inner, depth - 1) {
                    flat.extend(inner);
                }
            }
            Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => flat.push(item.clone()),
        }
    }
    Value::Array(flat)
}

fn of_map(name: &str, map: &Map<String, Value>) -> Option<Value> {
    Some(match name {
        "length" => Value::from(map.len()),
        "keys" | "keys_unsorted" => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            keys.into_iter().map(|key| Value::from(key.as_str())).collect()
        }
        "any" => Value::Bool(map.values().any(is_true)),
        "all" => Value::Bool(map.values().all(is_true)),
        "add" => of_list("add", &map.values().cloned().collect::<Vec<_>>())?,
        "to_entries" => map.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect(),
        _ => return None,
    })
}

/// The fields of a map as a list of keys and values.
pub(super) fn entries(value: &Value) -> Option<Value> {
    value.as_object().and_then(|map| of_map("to_entries", map))
}

/// The map that a list of keys and values makes.
pub(super) fn from_entries(list: &Value) -> Option<Value> {
    let mut map = Map::new();
    for entry in list.as_array()? {
        let field = |names: [&str; 3]| names.iter().find_map(|name| entry.get(name));
        let key = field(["key", "k", "name"]).map(shown)?;
        map.insert(key, field(["value", "v", "Value"]).cloned().unwrap_or_default());
    }
    Some(Value::Object(map))
}

/// Functions with one argument.
fn with(name: &str, input: &Value, argument: &Value) -> Option<Value> {
    match name {
        "has" => has(input, argument).map(Value::Bool),
        "in" => has(argument, input).map(Value::Bool),
        "contains" => contains(input, argument).map(Value::Bool),
        "inside" => contains(argument, input).map(Value::Bool),
        "flatten" => {
            let depth = usize::try_from(argument.as_i64()?).ok()?;
            Some(flattened(input.as_array()?, depth))
        }
        "join" => {
            let texts: Option<Vec<String>> = input.as_array()?.iter().map(joinable).collect();
            Some(texts?.join(argument.as_str()?).into())
        }
        "index" => input.as_str()?.find(argument.as_str()?).map(Value::from),
        _ => {
            let (text, argument) = (input.as_str(), argument.as_str());
            match name {
                "startswith" => Some(Value::Bool(text?.starts_with(argument?))),
                "endswith" => Some(Value::Bool(text?.ends_with(argument?))),
                // What has no such beginning or end stays as it is, whatever it is.
                "ltrimstr" => {
                    let cut = text.zip(argument).and_then(|(text, cut)| text.strip_prefix(cut));
                    Some(cut.map_or_else(|| input.clone(), Value::from))
                }
                "rtrimstr" => {
                    let cut = text.zip(argument).and_then(|(text, cut)| text.strip_suffix(cut));
                    Some(cut.map_or_else(|| input.clone(), Value::from))
                }
                "split" if argument == Some("") => {
                    Some(text?.chars().map(|c| Value::from(c.to_string())).collect())
                }
                "split" => Some(text?.split(argument?).map(Value::from).collect()),
                _ => None,
            }
        }
    }
}

fn joinable(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(shown(value)),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn has(value: &Value, key: &Value) -> Option<bool> {
    match (value, key) {
        (Value::Object(map), Value::String(key)) => Some(map.contains_key(key)),
        (Value::Array(items), Value::Number(_)) => {
            let index = key.as_i64()?;
            Some(usize::try_from(index).is_ok_and(|index| index < items.len()))
        }
        _ => None,
    }
}

/// Whether a value holds another: texts a part, lists an item that holds each of the other's, maps each field.
fn contains(value: &Value, other: &Value) -> Option<bool> {
    match (value, other) {
        (Value::Object(map), Value::Object(parts)) => Some(
            parts
                .iter()
                .all(|(key, part)| map.get(key).and_then(|value| contains(value, part)).unwrap_or(false)),
        ),
        (Value::Array(items), Value::Array(parts)) => {
            Some(parts.iter().all(|part| items.iter().any(|item| contains(item, part).unwrap_or(false))))
        }
        (Value::String(text), Value::String(part)) => Some(text.contains(part.as_str())),
        (a, b) if rank(a) == rank(b) => Some(compare(a, b).is_eq()),
        _ => None,
    }
}
