//! The JSON merge patch that leads from one document to another.
//!
//! Input: two JSON values. Output: the patch, or nothing when they are equal.

use serde_json::{Map, Value};

/// Returns the merge patch from `from` to `to`; `None` when nothing differs.
///
/// Lists are replaced whole, and a field that is absent in `to` becomes null, as merge patches have it.
pub(crate) fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return Some(without_nulls(to)) };
    let mut patch = Map::new();
    for (key, value) in new {
        let change = match old.get(key) {
            Some(before) => merge_patch(before, value),
            None if value.is_null() => None,
            None => Some(without_nulls(value)),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    let removed = old.iter().filter(|(key, value)| !value.is_null() && !new.contains_key(*key));
    patch.extend(removed.map(|(key, _)| (key.clone(), Value::Null)));
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// A null inside a new value would be read as a removal.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_patch_holds_the_difference_and_nothing_else() {
        let from = json!({"a": 1, "b": {"c": 1, "d": [1, 2]}, "gone": {"x": 1}, "same": {"y": null}});
        let to = json!({"a": 1, "b": {"c": 2, "d": [1, 2, 3]}, "new": {"z": 1, "n": null}, "same": {}});
        let patch = json!({"b": {"c": 2, "d": [1, 2, 3]}, "gone": null, "new": {"z": 1}});
        assert_eq!(merge_patch(&from, &to), Some(patch));
        assert_eq!(merge_patch(&to, &to), None);
    }

    #[test]
    fn equal_but_for_nulls_is_equal() {
        assert_eq!(merge_patch(&json!({"a": null}), &json!({})), None);
        assert_eq!(merge_patch(&json!({}), &json!({"a": null})), None);
        assert_eq!(merge_patch(&json!({"a": 1}), &json!({"a": null})), Some(json!({"a": null})));
    }
}
