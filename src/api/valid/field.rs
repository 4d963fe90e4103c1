//! Errors about one field, worded as Kubernetes words them.

use serde::Serialize;
use std::fmt;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldErrorKind {
    Required,
    Invalid,
    /// A value of another type than the field's.
    TypeInvalid,
    Duplicate,
    NotSupported,
    Forbidden,
    Internal,
    /// Nothing of these: why a workload reference cannot be resolved, or a warning.
    Unresolved,
}

impl FieldErrorKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::Duplicate => "Duplicate value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::Internal => "Internal error",
            Self::Unresolved => "",
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

impl FieldError {
    /// Returns the error without its path, such as `Invalid value: 120: SetWeight needs to be between 0 and 100`.
    #[must_use]
    pub fn body(&self) -> String {
        let parts = [Some(self.kind.as_str()), self.value.as_deref(), Some(self.detail.as_str())];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        parts.join(": ")
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.body());
        }
        write!(f, "{}: {}", self.path, self.body())
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
