//! Metric providers: from a metric to the request for it, and from the answer to a value.
//!
//! One file per provider. Input: a metric with its arguments filled in, then the raw answer. Output: a request
//! that somebody else makes, then the value. A provider never decides whether a value is good. A Job and the judge are the
//! exceptions: what they come to is the verdict, and they take their time.

pub mod http;
pub mod job;
mod json_path;
pub mod judge;
pub mod prometheus;
mod web;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::analysis::{AnalysisRun, Metric, MetricProvider};

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

/// One request for a metric. Whoever makes it has no choice left.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Prometheus(prometheus::Query),
    Http(http::Call),
    /// To the API server.
    Job(job::Request),
}

/// The raw answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Server(Response),
    /// What the API server shows after a [`job::Request`].
    Job(job::Shown),
}

/// The raw answer of a metric server.
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
    /// Namespace for the Jobs of all runs, instead of that of each run.
    pub job_namespace: Option<String>,
    /// Jobs run in another cluster than the runs.
    pub jobs_elsewhere: bool,
}

/// Names the provider of a metric that this build does not serve, if that is so.
#[must_use]
pub fn unserved(metric: &Metric, defaults: &Defaults) -> Option<&'static str> {
    if let Some(query) = &metric.provider.prometheus {
        return prometheus::unserved(query, defaults);
    }
    if metric.provider.judge().is_some() {
        return judge::unserved(metric, defaults);
    }
    providers(&metric.provider).into_iter().find(|provider| !["web", "job"].contains(provider))
}

/// The providers that a metric names; exactly one is right.
fn providers(provider: &MetricProvider) -> Vec<&'static str> {
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

/// Describes the request for a metric to its server.
///
/// # Errors
/// Fails when the metric's settings do not make a request; the text names the setting.
pub fn request(metric: &Metric, defaults: &Defaults, now: Timestamp) -> Result<Request, String> {
    let provider = &metric.provider;
    if let Some(query) = &provider.prometheus {
        prometheus::request(query, defaults, now).map(Request::Prometheus)
    } else if let Some(web) = &provider.web {
        web::request(web).map(Request::Http)
    } else {
        Err("the metric's provider is not served".to_owned())
    }
}

/// Reads the value out of a server's answer.
///
/// # Errors
/// Fails with the server's own words when it reports an error, and when the answer is not one of the provider's.
pub fn value(metric: &Metric, response: &Response) -> Result<Measured, String> {
    let provider = &metric.provider;
    if provider.prometheus.is_some() {
        prometheus::value(response)
    } else if let Some(web) = &provider.web {
        web::value(web, response)
    } else {
        Err("the metric's provider is not served".to_owned())
    }
}

/// Facts about a metric of a run that hold for all its measurements.
#[must_use]
pub fn metadata(run: &AnalysisRun, metric: &Metric) -> BTreeMap<String, String> {
    let query = metric.provider.prometheus.as_ref().and_then(|query| query.query.clone());
    let query = query.or_else(|| judge::query(run, metric));
    let query = query.filter(|query| !query.is_empty());
    query.map(|query| ("ResolvedPrometheusQuery".to_owned(), query)).into_iter().collect()
}
