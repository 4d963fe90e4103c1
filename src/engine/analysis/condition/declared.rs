//! The type that Go knows `result` by: conditions are checked against it before they run.
//!
//! Input: the provider of a metric, and what it measured. Source: what the packages below `metricproviders` of Argo Rollouts
//! 1.10.1 hand to `evaluate.EvaluateResult`.

use serde_json::Value;
use tidegate_api::analysis::MetricProvider;

use super::super::expression::{Map, Type};
use crate::metric::MetricValue;

/// The type of a measured value. Where there is nothing, none is known: a condition may ask whether there is something first,
/// and go on as if there were.
pub(super) fn of_result(provider: Option<&MetricProvider>, value: &MetricValue) -> Type {
    match value {
        MetricValue::Number(_) => Type::Float,
        MetricValue::Samples(_) if provider.is_some_and(|known| known.influxdb.is_some()) => Type::any_list(),
        MetricValue::Samples(_) => Type::floats(),
        MetricValue::Json(json) | MetricValue::Hollow(json) => of_json(provider, json),
        MetricValue::Nothing(_) => Type::Unknown,
    }
}

/// The types of what a provider may measure; nothing where it may be anything.
pub(super) fn of_provider(provider: &MetricProvider) -> Vec<Type> {
    if provider.prometheus.is_some() || provider.wavefront.is_some() || provider.datadog.is_some() {
        vec![Type::Float, Type::floats()]
    } else if provider.graphite.is_some() {
        vec![Type::floats()]
    } else if provider.cloud_watch.is_some() {
        vec![Type::records()]
    } else if provider.new_relic.is_some() {
        vec![Type::Map(Map::Row), Type::rows()]
    } else {
        Vec::new()
    }
}

fn of_json(provider: Option<&MetricProvider>, json: &Value) -> Type {
    let is_of_rows = provider.is_some_and(|known| known.new_relic.is_some());
    let is_of_records = provider.is_some_and(|known| known.cloud_watch.is_some());
    match json {
        Value::Null => Type::Unknown,
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Float,
        Value::String(_) => Type::Text,
        Value::Array(_) if is_of_rows => Type::rows(),
        Value::Array(_) if is_of_records => Type::records(),
        Value::Array(_) => Type::any_list(),
        Value::Object(_) if is_of_rows => Type::Map(Map::Row),
        Value::Object(_) => Type::Map(Map::Fields),
    }
}
