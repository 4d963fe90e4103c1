//! Whether one JSON value has all that another one has.
//!
//! Input: two values. Output: a verdict. Whoever serves an object may fill in more than was written.

use serde_json::Value;

/// Whether `known` has all of `wanted`: every field of its objects, and lists of the same length item by item.
pub(crate) fn covers(known: &Value, wanted: &Value) -> bool {
    match (known, wanted) {
        (Value::Object(known), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| known.get(key).is_some_and(|known| covers(known, wanted)))
        }
        (Value::Array(known), Value::Array(wanted)) => {
            known.len() == wanted.len()
                && known.iter().zip(wanted).all(|(known, wanted)| covers(known, wanted))
        }
        _ => known == wanted,
    }
}
