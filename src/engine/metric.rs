//! Metric providers: from a metric to the request for it, and from the answer to a value.
//!
//! One file per provider. Input: a metric with its arguments filled in, then the raw answer. Output: a request
//! that somebody else makes, then the value. A provider never decides whether a value is good.

pub mod prometheus;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::analysis::{Metric, MetricProvider};

/// What a provider measured.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// One number.
    Number(f64),
    /// One number per time series, or all points of all series.
    Samples(Vec<f64>),
    /// Anything else that JSON can say.
    Json(Value),
}

impl MetricValue {
    /// Whether there is no data in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Number(_) => false,
            Self::Samples(samples) => samples.is_empty(),
            Self::Json(json) => json.is_null() || json.as_array().is_some_and(Vec::is_empty),
        }
    }

    /// Whether a number in it is NaN, such as a share of no requests at all.
    #[must_use]
    pub fn has_nan(&self) -> bool {
        match self {
            Self::Number(number) => number.is_nan(),
            Self::Samples(samples) => samples.iter().any(|sample| sample.is_nan()),
            Self::Json(_) => false,
        }
    }
}

/// One request to a metric server. Whoever makes it has no choice left.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Prometheus(prometheus::Query),
}

/// The raw answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    pub body: Vec<u8>,
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

/// Settings of the controller that providers fall back to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Address of the Prometheus server for metrics that name none.
    pub prometheus_address: Option<String>,
}

/// Names the provider of a metric that this build does not serve, if that is so.
#[must_use]
pub fn unserved(metric: &Metric, defaults: &Defaults) -> Option<&'static str> {
    match &metric.provider.prometheus {
        Some(query) => prometheus::unserved(query, defaults),
        None => providers(&metric.provider).into_iter().next(),
    }
}

/// The providers that a metric names; exactly one is right.
pub(crate) fn providers(provider: &MetricProvider) -> Vec<&'static str> {
    let MetricProvider {
        prometheus,
        kayenta,
        web,
        datadog,
        wavefront,
        new_relic,
        job,
        cloud_watch,
        graphite,
        influxdb,
        skywalking,
        plugin,
    } = provider;
    [
        ("prometheus", prometheus.is_some()),
        ("kayenta", kayenta.is_some()),
        ("web", web.is_some()),
        ("datadog", datadog.is_some()),
        ("wavefront", wavefront.is_some()),
        ("newRelic", new_relic.is_some()),
        ("job", job.is_some()),
        ("cloudWatch", cloud_watch.is_some()),
        ("graphite", graphite.is_some()),
        ("influxdb", influxdb.is_some()),
        ("skywalking", skywalking.is_some()),
        ("plugin", !plugin.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
    .collect()
}

/// Describes the request for a metric.
///
/// # Errors
/// Fails when the metric's settings do not make a request; the text names the setting.
pub fn request(metric: &Metric, defaults: &Defaults, now: Timestamp) -> Result<Request, String> {
    match &metric.provider.prometheus {
        Some(query) => prometheus::request(query, defaults, now).map(Request::Prometheus),
        None => Err("the metric's provider is not served".to_owned()),
    }
}

/// Reads the value out of an answer.
///
/// # Errors
/// Fails with the server's own words when it reports an error, and when the answer is not one of the provider's.
pub fn value(metric: &Metric, response: &Response) -> Result<Measured, String> {
    match &metric.provider.prometheus {
        Some(_) => prometheus::value(response),
        None => Err("the metric's provider is not served".to_owned()),
    }
}

/// Facts about a metric that hold for all its measurements.
#[must_use]
pub fn metadata(metric: &Metric) -> BTreeMap<String, String> {
    let query = metric.provider.prometheus.as_ref().and_then(|query| query.query.clone());
    let query = query.filter(|query| !query.is_empty());
    query.map(|query| ("ResolvedPrometheusQuery".to_owned(), query)).into_iter().collect()
}
