//! Errors about one field, worded as Kubernetes words them.

use serde::Serialize;
use std::fmt;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldErrorKind {
    Required,
    Invalid,
    Duplicate,
    NotSupported,
    Forbidden,
    Internal,
}

impl FieldErrorKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::Duplicate => "Duplicate value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::Internal => "Internal error",
        }
    }
}

/// One field, its value and what is wrong with it.
///
/// Printed as Kubernetes prints it:
/// `spec.strategy.steps[0].setWeight: Invalid value: 120: SetWeight needs to be between 0 and 100`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// Path of the field.
    pub path: String,
    /// Kind of error.
    pub kind: FieldErrorKind,
    /// Value of the field as JSON, where it matters.
    pub value: Option<String>,
    /// Details for people.
    pub detail: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind.as_str())?;
        if let Some(value) = &self.value {
            write!(f, ": {value}")?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl std::error::Error for FieldError {}

/// Path of a field, from which errors are made.
#[derive(Clone, Debug)]
pub(crate) struct Field(String);

impl Field {
    pub(crate) fn new(root: &str) -> Self {
        Self(root.to_owned())
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        Self(format!("{}.{name}", self.0))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    pub(crate) fn required(&self, detail: &str) -> FieldError {
        self.error(FieldErrorKind::Required, None, detail)
    }

    pub(crate) fn invalid<T: Serialize>(&self, value: T, detail: &str) -> FieldError {
        self.error(FieldErrorKind::Invalid, Some(json(&value)), detail)
    }

    pub(crate) fn duplicate(&self, value: &str) -> FieldError {
        self.error(FieldErrorKind::Duplicate, Some(json(&value)), "")
    }

    pub(crate) fn not_supported(&self, value: &str, supported: &str) -> FieldError {
        let detail = format!("supported values: {}", json(&supported));
        self.error(FieldErrorKind::NotSupported, Some(json(&value)), &detail)
    }

    pub(crate) fn forbidden(&self, detail: &str) -> FieldError {
        self.error(FieldErrorKind::Forbidden, None, detail)
    }

    pub(crate) fn internal(&self, detail: &str) -> FieldError {
        self.error(FieldErrorKind::Internal, None, detail)
    }

    fn error(&self, kind: FieldErrorKind, value: Option<String>, detail: &str) -> FieldError {
        FieldError { path: self.0.clone(), kind, value, detail: detail.to_owned() }
    }
}

/// Writes a value as JSON; numbers, booleans and plain texts look the same in Go's formats.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
