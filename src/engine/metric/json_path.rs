//! Kubernetes' JSONPath, which is a language of its own: `{.items[?(@.name=="web")].ratio}`.
//!
//! Input: a text and a JSON document. Output: the first value that the text finds, which is all that a metric uses.
//! What is accepted and found, oddities included, is what `k8s.io/client-go/util/jsonpath` accepts and finds
//! (`upstream/paths.json` holds its answers), but for two things: numbers in a filter compare by what they are, so that
//! `@.x==1` is true of 1, and of an object the members come in the order of their names.

mod find;
mod parse;

use serde_json::Value;

/// Characters of a text; a path that a person writes has a few dozen.
const MOST_CHARACTERS: usize = 4096;

/// A text that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonPath {
    parts: Vec<Part>,
}

/// What stands beside braces is a text, what stands between them a list.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    List(Vec<Node>),
}

/// One step from values to other values.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Field(String),
    Slice(Slice),
    Union(Vec<Vec<Node>>),
    Filter(Filter),
    Wildcard,
    Recursive,
    /// A number or a truth value.
    Constant(Value),
    Range,
    End,
    Unknown(String),
}

/// A part of a list, as `[1]`, `[1:3]` or `[::2]` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    /// One element is meant, so the end was counted from its place.
    single: bool,
    step: Option<i64>,
}

/// Which elements of a list stay.
#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Exists(Vec<Node>),
    Compare { left: Vec<Node>, operator: String, right: Vec<Node> },
}

impl JsonPath {
    /// Understands a text.
    ///
    /// # Errors
    /// Fails with what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > MOST_CHARACTERS {
            return Err(format!("the JSONPath is longer than {MOST_CHARACTERS} characters"));
        }
        parse::parse(text).map(|parts| Self { parts })
    }

    /// Finds the first value, if there is any.
    ///
    /// # Errors
    /// Fails when a field or an element is not there, when something else stands where a list should, and when too much
    /// is looked at.
    pub(super) fn first(&self, document: &Value) -> Result<Option<Value>, String> {
        find::first(&self.parts, document)
    }
}

#[cfg(test)]
mod tests;
