//! When a field is left out of the JSON, by the rules of Go's `omitempty`.

/// Tells whether a value is its type's zero value: 0, false, "", an empty list or map.
pub(crate) fn empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Tells whether an optional text is absent or empty; Go cannot tell the two apart.
pub(crate) fn blank(value: &Option<String>) -> bool {
    value.as_deref().is_none_or(str::is_empty)
}
