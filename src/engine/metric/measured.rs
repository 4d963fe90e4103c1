//! What a provider measured: a value, and what a measurement shows of it.
//!
//! Conditions are evaluated over all of a value, so it is bounded here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shown;

/// Numbers, texts and lists that one value may hold.
pub(super) const MOST_VALUES: usize = 10_000;

/// What a provider measured.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// One number.
    Number(f64),
    /// One number per time series, or all points of all series.
    Samples(Vec<f64>),
    /// Anything else that JSON can say.
    Json(Value),
    /// JSON in which there is no data, such as series without points.
    Hollow(Value),
    /// No data, in the words of a provider that takes this for an error: no condition is asked about it.
    Nothing(&'static str),
}

impl MetricValue {
    /// Whether there is no data in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Number(_) => false,
            Self::Samples(samples) => samples.is_empty(),
            Self::Json(json) => json.is_null() || json.as_array().is_some_and(Vec::is_empty),
            Self::Hollow(_) | Self::Nothing(_) => true,
        }
    }

    /// Whether a number in it is NaN, such as a share of no requests at all.
    #[must_use]
    pub fn has_nan(&self) -> bool {
        match self {
            Self::Number(number) => number.is_nan(),
            Self::Samples(samples) => samples.iter().any(|sample| sample.is_nan()),
            Self::Json(_) | Self::Hollow(_) | Self::Nothing(_) => false,
        }
    }

    /// Whether there is anything in it beside NaN.
    #[must_use]
    pub(crate) fn has_number(&self) -> bool {
        match self {
            Self::Number(number) => !number.is_nan(),
            Self::Samples(samples) => samples.iter().any(|sample| !sample.is_nan()),
            Self::Json(_) => !self.is_empty(),
            Self::Hollow(_) | Self::Nothing(_) => false,
        }
    }
}

/// A value with what a measurement shows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub value: MetricValue,
    /// The value as users see it in the measurement.
    pub text: String,
    /// Facts about this measurement, such as warnings of the server.
    pub metadata: BTreeMap<String, String>,
}

impl Measured {
    /// One number.
    pub(super) fn number(number: f64, text: String) -> Self {
        Self { value: MetricValue::Number(number), text, metadata: BTreeMap::new() }
    }

    /// No data.
    pub(super) fn nothing(text: String) -> Self {
        Self { value: MetricValue::Json(Value::Null), text: shown::bounded(text), metadata: BTreeMap::new() }
    }

    /// No data, which upstream tells as an error in these words.
    pub(super) fn refused(why: &'static str) -> Self {
        Self { value: MetricValue::Nothing(why), text: String::new(), metadata: BTreeMap::new() }
    }

    /// Numbers.
    ///
    /// # Errors
    /// Fails when they are too many.
    pub(super) fn samples(samples: Vec<f64>, text: String) -> Result<Self, String> {
        if samples.len() > MOST_VALUES {
            return Err(format!(
                "the query yields {} numbers, more than {MOST_VALUES}: aggregate it",
                samples.len()
            ));
        }
        let text = shown::bounded(text);
        Ok(Self { value: MetricValue::Samples(samples), text, metadata: BTreeMap::new() })
    }

    /// JSON, in which there may be no data.
    ///
    /// # Errors
    /// Fails when it holds too much.
    pub(super) fn json(json: Value, is_hollow: bool, text: String) -> Result<Self, String> {
        let count = count(&json);
        if count > MOST_VALUES {
            return Err(format!(
                "the result has {count} values in it, more than {MOST_VALUES}: ask for less"
            ));
        }
        let value = if is_hollow { MetricValue::Hollow(json) } else { MetricValue::Json(json) };
        Ok(Self { value, text: shown::bounded(text), metadata: BTreeMap::new() })
    }
}

/// How much there is in a value.
pub(super) fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// Whether nothing but null is in a value, however deep.
pub(crate) fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(is_hollow),
        Value::Object(members) => members.values().all(is_hollow),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
