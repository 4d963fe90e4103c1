//! Values in expressions: their kinds, order and arithmetic.
//!
//! What has no meaning for values of these kinds gives nothing.

use std::cmp::Ordering;

use jaq_core::load::parse::BinaryOp;
use jaq_core::ops::{Cmp, Math};
use serde_json::{Number, Value};

/// Whether a name selects values by their kind.
pub(super) fn is_kind(name: &str) -> bool {
    ["values", "nulls", "booleans", "numbers", "strings", "arrays", "objects", "iterables", "scalars"]
        .contains(&name)
}

pub(super) fn is_of_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "values" => !value.is_null(),
        "nulls" => value.is_null(),
        "booleans" => value.is_boolean(),
        "numbers" => value.is_number(),
        "strings" => value.is_string(),
        "arrays" => value.is_array(),
        "objects" => value.is_object(),
        "iterables" => value.is_array() || value.is_object(),
        "scalars" => !value.is_array() && !value.is_object(),
        _ => false,
    }
}

/// Whether a value counts as true: all do but `null` and `false`.
pub(super) fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// A value as a text says it.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The number that digits say.
pub(super) fn number(digits: &str) -> Value {
    let whole = digits.parse::<i64>().ok().map(Value::from);
    whole.or_else(|| digits.parse::<f64>().ok().map(real)).unwrap_or_default()
}

/// A number; whole ones are whole also when they come out of a division.
pub(super) fn real(number: f64) -> Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0
        && number.abs() < WHOLE_MAX
        && let Ok(whole) = format!("{number:.0}").parse::<i64>()
    {
        return Value::from(whole);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

pub(super) fn negated(value: &Value) -> Option<Value> {
    value.as_f64().map(|number| real(-number))
}

/// The item that an index means; negative ones count from the end.
pub(super) fn position(index: &Value, length: usize) -> Option<usize> {
    let index = index.as_i64().or_else(|| number(&format!("{:.0}", index.as_f64()?.floor())).as_i64())?;
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

/// Some items of a list, or some characters of a text, and which they are.
pub(super) fn sliced(value: &Value, from: &Value, to: &Value) -> Option<(usize, usize, Value)> {
    let length = match value {
        Value::Array(items) => items.len(),
        Value::String(text) => text.chars().count(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let bound = |bound: &Value, absent: usize| {
        if bound.is_null() {
            return Some(absent);
        }
        bound.as_f64()?;
        Some(position(bound, length).unwrap_or(0).min(length))
    };
    let (from, to) = (bound(from, 0)?, bound(to, length)?);
    let to = to.max(from);
    let some = match value {
        Value::Array(items) => items.get(from..to).map(|items| Value::Array(items.to_vec())),
        Value::String(text) => Some(text.chars().skip(from).take(to - from).collect::<String>().into()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    some.map(|some| (from, to, some))
}

/// jq's order of all values.
pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let (mut one, mut other): (Vec<_>, Vec<_>) = (a.keys().collect(), b.keys().collect());
            one.sort();
            other.sort();
            one.cmp(&other).then_with(|| {
                let unequal = one.iter().map(|key| compare(&a[key.as_str()], &b[key.as_str()]));
                unequal.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            })
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

pub(super) fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// The value of a comparison or an arithmetic operation.
pub(super) fn combined(operator: &BinaryOp<&str>, a: &Value, b: &Value) -> Option<Value> {
    match operator {
        BinaryOp::Cmp(operator) => {
            let order = compare(a, b);
            Some(Value::Bool(match operator {
                Cmp::Lt => order.is_lt(),
                Cmp::Le => order.is_le(),
                Cmp::Gt => order.is_gt(),
                Cmp::Ge => order.is_ge(),
                Cmp::Eq => order.is_eq(),
                Cmp::Ne => order.is_ne(),
            }))
        }
        BinaryOp::Math(operator) => calculated(*operator, a, b),
        BinaryOp::Pipe(_)
        | BinaryOp::Comma
        | BinaryOp::Alt
        | BinaryOp::Or
        | BinaryOp::And
        | BinaryOp::Assign
        | BinaryOp::Update
        | BinaryOp::UpdateMath(_)
        | BinaryOp::UpdateAlt => None,
    }
}

/// The sum, made in the first value: of many it would be copied many times.
pub(super) fn sum(a: Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Null, b) => Some(b.clone()),
        (a, Value::Null) => Some(a),
        (Value::String(mut a), Value::String(b)) => {
            a.push_str(b);
            Some(Value::String(a))
        }
        (Value::Array(mut a), Value::Array(b)) => {
            a.extend_from_slice(b);
            Some(Value::Array(a))
        }
        (Value::Object(mut a), Value::Object(b)) => {
            a.extend(b.iter().map(|(key, value)| (key.clone(), value.clone())));
            Some(Value::Object(a))
        }
        (Value::Number(a), Value::Number(b)) => Some(real(a.as_f64()? + b.as_f64()?)),
        _ => None,
    }
}

fn calculated(operator: Math, a: &Value, b: &Value) -> Option<Value> {
    match (operator, a, b) {
        (Math::Add, a, b) => sum(a.clone(), b),
        (Math::Sub, Value::Array(a), Value::Array(b)) => {
            let left = a.iter().filter(|item| !b.iter().any(|other| compare(item, other).is_eq()));
            Some(left.cloned().collect())
        }
        (_, Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64()?, b.as_f64()?);
            match operator {
                Math::Add => Some(real(a + b)),
                Math::Sub => Some(real(a - b)),
                Math::Mul => Some(real(a * b)),
                Math::Div => (b != 0.0).then(|| real(a / b)),
                Math::Rem => (b.trunc() != 0.0).then(|| real(a.trunc() % b.trunc())),
            }
        }
        _ => None,
    }
}
