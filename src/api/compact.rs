//! JSON that is kept as text and read when somebody looks at it.
//!
//! As a tree a pod template takes ten times the room of its text, a controller keeps one for each revision of each
//! Rollout, and most rounds look at none of them.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A JSON value as text. A clone of one that nobody has looked at is read by itself, and leaves the first as small as
/// it is.
#[derive(Clone)]
pub struct Compact {
    text: Arc<str>,
    read: OnceLock<Arc<Value>>,
}

impl Compact {
    /// Keeps the text alone.
    #[must_use]
    pub fn folded(value: &Value) -> Self {
        Self { text: value.to_string().into(), read: OnceLock::new() }
    }

    /// Lets go of what was read, so that the text alone is kept.
    pub fn fold(&mut self) {
        self.read = OnceLock::new();
    }
}

impl From<Value> for Compact {
    fn from(value: Value) -> Self {
        Self { text: value.to_string().into(), read: Arc::new(value).into() }
    }
}

impl Default for Compact {
    fn default() -> Self {
        Self::from(Value::Null)
    }
}

impl Deref for Compact {
    type Target = Value;

    fn deref(&self) -> &Value {
        // What was written as JSON can be read as JSON.
        self.read.get_or_init(|| serde_json::from_str(&self.text).unwrap_or_default())
    }
}

impl fmt::Debug for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The names of an object's members are sorted in the text, so it is the same for the same value.
impl PartialEq for Compact {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Compact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Compact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_clone_is_read_by_itself() {
        let value = json!({"b": [1, 2.5, "x\u{e9}\n"], "a": null});
        let kept = Compact::folded(&value);
        let looked_at = kept.clone();
        assert_eq!(*looked_at, value);
        assert!(looked_at.read.get().is_some() && kept.read.get().is_none());
        assert_eq!((&kept, &Compact::from(value.clone())), (&looked_at, &kept));
        assert_ne!(kept, Compact::default());
        assert_eq!(serde_json::to_value(&kept).unwrap(), value);
    }
}
