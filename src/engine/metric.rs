//! Metric providers: from a metric to the request for it, and from the answer to a value.
//!
//! One file per provider. Input: a metric with its arguments filled in, then the raw answer. Output: a request
//! that somebody else makes, then the value. A provider never decides whether a value is good. A Job, Kayenta and the judge
//! are the exceptions: what they come to is the verdict, and they take their time.

pub mod account;
mod cloud_watch;
mod datadog;
mod dynatrace;
mod external;
mod flagger;
mod google;
mod graphite;
mod graphql;
pub mod http;
mod influxdb;
pub mod job;
mod json_path;
pub mod judge;
pub mod kayenta;
mod measured;
mod new_relic;
pub mod prometheus;
mod provider;
mod sent;
mod shown;
mod skywalking;
mod splunk;
mod wait;
mod wavefront;
mod web;

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_api::analysis::{AnalysisRun, Metric, MetricProvider};

pub use account::{Account, Accounts, accounts};
pub use cloud_watch::throttled_seconds;
use flagger::Plugin;
pub(crate) use measured::is_hollow;
pub use measured::{Measured, MetricValue};
use provider::Provider;
pub use sent::Sent;
pub(crate) use shown::apart;
pub(crate) use wait::{LONGEST_WAIT, wait};

/// One request for a metric. Whoever makes it has no choice left.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Prometheus(prometheus::Query),
    Http(http::Call),
    /// To the API server: a path to read.
    Cluster(String),
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
    /// How long the server asks to be left alone.
    pub retry_after_seconds: Option<u64>,
}

impl Response {
    /// Seconds for which a busy server asks to be left alone, if it does.
    #[must_use]
    pub fn asks_to_wait_seconds(&self) -> Option<u64> {
        self.retry_after_seconds.filter(|_| [429, 503].contains(&self.status))
    }
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

/// The plugins of metrics that the controller itself is, besides the judge.
const PLUGINS: [Plugin; 4] = [dynatrace::PLUGIN, external::PLUGIN, google::PLUGIN, splunk::PLUGIN];

const NOT_SERVED: &str = "the metric's provider is not served";

/// Names the provider of a metric that this build does not serve, if that is so.
#[must_use]
pub fn unserved(metric: &Metric) -> Option<&'static str> {
    let plugins = &metric.provider.plugin;
    let is_known = |plugin: &String| PLUGINS.iter().any(|known| known.name == plugin);
    let is_served = metric.provider.judge().is_some() || plugins.keys().all(is_known);
    (!is_served).then_some("plugin")
}

/// The field of a provider whose settings are wrong before anybody uses them, and what is wrong.
pub(crate) fn fault(provider: &MetricProvider) -> Option<(&'static str, String)> {
    let plugin = |known: &Plugin| Some(("plugin", known.fault(provider.plugin.get(known.name)?)?));
    let datadog = || Some(("datadog", datadog::fault(provider.datadog.as_ref()?)?));
    let skywalking = || Some(("skywalking", skywalking::fault(provider.skywalking.as_ref()?)?));
    PLUGINS.iter().find_map(plugin).or_else(datadog).or_else(skywalking)
}

/// Whether a provider measures a list of values, which may be empty or hold no number where nothing was measured.
pub(crate) fn yields_samples(provider: &MetricProvider) -> bool {
    Provider::of(provider).is_some_and(Provider::yields_samples)
}

/// An answer, unless it is too long to be read.
///
/// # Errors
/// Says that it is.
pub(crate) fn short(response: &Response) -> Result<&Response, String> {
    let is_short = response.body.len() <= http::Call::MOST_BYTES;
    is_short
        .then_some(response)
        .ok_or_else(|| format!("the answer has more than {} bytes: ask for less", http::Call::MOST_BYTES))
}

/// What a provider may know beside the metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) defaults: &'a Defaults,
    pub(crate) accounts: &'a Accounts,
    /// Namespace of the run.
    pub(crate) namespace: &'a str,
    pub(crate) now: Timestamp,
}

/// Describes the request for a metric to its server.
///
/// # Errors
/// Fails when the metric's settings do not make a request; the text names the setting.
pub(crate) fn request(metric: &Metric, setting: &Setting<'_>) -> Result<Request, String> {
    let Setting { defaults, accounts, namespace, now } = *setting;
    let call = match Provider::of(&metric.provider).ok_or(NOT_SERVED)? {
        Provider::Prometheus(query) => {
            return prometheus::request(query, defaults, now).map(prometheus::Query::into_request);
        }
        Provider::External(config) => return external::path(config, namespace).map(Request::Cluster),
        Provider::Web(web) => web::request(web),
        Provider::Datadog(query) => datadog::request(query, accounts, now),
        Provider::NewRelic(query) => new_relic::request(query, accounts),
        Provider::CloudWatch(query) => cloud_watch::request(query, accounts, now),
        Provider::Graphite(query) => graphite::request(query),
        Provider::Influxdb(query) => influxdb::request(query, accounts),
        Provider::Wavefront(query) => wavefront::request(query, accounts, now),
        Provider::SkyWalking(query) => skywalking::request(query, now),
        Provider::Dynatrace(config) => dynatrace::request(config, accounts, now),
        Provider::Google(config) => google::request(config, accounts),
        Provider::Splunk(config) => splunk::request(config, accounts, now),
    };
    call.map(Request::Http)
}

/// Reads the value out of the answer to what was asked at a time.
///
/// # Errors
/// Fails with the server's own words when it reports an error, and when the answer is not one of the provider's.
pub(crate) fn value(metric: &Metric, response: &Response, asked: Timestamp) -> Result<Measured, String> {
    let provider = Provider::of(&metric.provider).ok_or(NOT_SERVED)?;
    if !matches!(provider, Provider::Prometheus(_)) {
        short(response)?;
    }
    match provider {
        Provider::Prometheus(_) => prometheus::value(response),
        Provider::Web(web) => web::value(web, response),
        Provider::Datadog(query) => datadog::value(query, response),
        Provider::NewRelic(_) => new_relic::value(response),
        Provider::CloudWatch(_) => cloud_watch::value(response),
        Provider::Graphite(_) => graphite::value(response),
        Provider::Influxdb(_) => influxdb::value(response),
        Provider::Wavefront(_) => wavefront::value(response, asked),
        Provider::SkyWalking(_) => skywalking::value(response),
        Provider::Dynatrace(_) => dynatrace::value(response),
        Provider::External(_) => external::value(response),
        Provider::Google(_) => google::value(response),
        Provider::Splunk(_) => splunk::value(response),
    }
}

/// Facts about a metric of a run that hold for all its measurements.
#[must_use]
pub fn metadata(run: &AnalysisRun, metric: &Metric) -> BTreeMap<String, String> {
    let provider = &metric.provider;
    let prometheus = provider.prometheus.as_ref().and_then(|query| query.query.clone());
    let prometheus = prometheus.or_else(|| judge::query(run, metric));
    let new_relic = provider.new_relic.as_ref().map(|query| query.query.clone());
    let resolved = [("ResolvedPrometheusQuery", prometheus), ("ResolvedNewRelicQuery", new_relic)];
    let told = |(name, query): (&str, Option<String>)| {
        Some((name.to_owned(), query.filter(|query| !query.is_empty())?))
    };
    resolved.into_iter().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Those that one request is enough for, as fields of `provider`.
    const HTTP: [&str; 9] = [
        "prometheus",
        "web",
        "datadog",
        "newRelic",
        "cloudWatch",
        "graphite",
        "influxdb",
        "wavefront",
        "skywalking",
    ];

    fn metric(provider: &Value) -> Metric {
        serde_json::from_value(json!({"name": "m", "provider": provider})).unwrap()
    }

    #[test]
    fn every_provider_but_foreign_plugins_is_served() {
        for name in HTTP.into_iter().chain(["kayenta", "job"]) {
            assert_eq!(unserved(&metric(&json!({name: {}}))), None, "{name}");
        }
        for plugin in PLUGINS {
            let asked = metric(&json!({"plugin": {plugin.name: {"query": "q"}}}));
            assert_eq!(unserved(&asked), None, "{plugin}");
        }
        assert_eq!(unserved(&metric(&json!({"plugin": {"acme/x": {}}}))), Some("plugin"));
    }

    #[test]
    fn each_provider_that_is_served_is_asked() {
        let (defaults, accounts) = (Defaults::default(), Accounts::default());
        let setting =
            Setting { defaults: &defaults, accounts: &accounts, namespace: "ns", now: Timestamp::UNIX_EPOCH };
        let response = Response { status: 500, body: b"oops".to_vec(), retry_after_seconds: None };
        let of_plugins = PLUGINS.iter().map(|plugin| json!({"plugin": {plugin.name: {"query": "q"}}}));
        for provider in HTTP.iter().map(|name| json!({*name: {}})).chain(of_plugins) {
            let metric = metric(&provider);
            let (asked, told) = (request(&metric, &setting), value(&metric, &response, setting.now));
            for why in [asked.err(), told.err()].into_iter().flatten() {
                assert!(!why.contains("not served"), "{provider}: {why}");
            }
        }
    }

    #[test]
    fn long_answers_are_refused_but_for_prometheus() {
        let response =
            Response { status: 200, body: vec![b' '; http::Call::MOST_BYTES + 1], retry_after_seconds: None };
        let told = |provider: &str| value(&metric(&json!({provider: {}})), &response, Timestamp::UNIX_EPOCH);
        assert_eq!(told("web"), Err("the answer has more than 1048576 bytes: ask for less".to_owned()));
        assert!(told("prometheus").unwrap_err().contains("did not answer JSON"));
    }

    #[test]
    fn queries_stand_in_the_metadata() {
        let run = AnalysisRun::default();
        let told = metadata(&run, &metric(&json!({"newRelic": {"query": "SELECT 1"}})));
        assert_eq!(told, [("ResolvedNewRelicQuery".to_owned(), "SELECT 1".to_owned())].into());
    }
}
