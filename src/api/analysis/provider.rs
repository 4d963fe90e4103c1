//! Providers of metrics and their settings.

mod cloud_watch;
mod kayenta;

pub use cloud_watch::*;
pub use kayenta::*;

use crate::omit::{blank, empty};
use crate::raw::free_object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The metric plugin that the controller itself is: it compares the canary with the stable version.
pub const JUDGE_PLUGIN: &str = "tidegate.dev/judge";
/// Metric plugins that the controller itself is, for servers that the schema has no field for. The names are those that
/// Flagger has for them.
pub const DYNATRACE_PLUGIN: &str = "tidegate.dev/dynatrace";
/// Metrics of the Kubernetes API `external.metrics.k8s.io`.
pub const EXTERNAL_METRICS_PLUGIN: &str = "tidegate.dev/externalmetrics";
/// Splunk Observability.
pub const SPLUNK_PLUGIN: &str = "tidegate.dev/splunk";
/// Google Cloud Monitoring.
pub const STACKDRIVER_PLUGIN: &str = "tidegate.dev/stackdriver";
/// All metric plugins that the controller itself is.
pub const METRIC_PLUGINS: [&str; 5] =
    [JUDGE_PLUGIN, DYNATRACE_PLUGIN, EXTERNAL_METRICS_PLUGIN, SPLUNK_PLUGIN, STACKDRIVER_PLUGIN];

/// Where results come from; exactly one of its fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricProvider {
    /// Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusMetric>,
    /// Kayenta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kayenta: Option<KayentaMetric>,
    /// A web service that answers JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web: Option<WebMetric>,
    /// Datadog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datadog: Option<DatadogMetric>,
    /// Wavefront.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wavefront: Option<WavefrontMetric>,
    /// New Relic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_relic: Option<NewRelicMetric>,
    /// A Job that succeeds or fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobMetric>,
    /// Amazon CloudWatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_watch: Option<CloudWatchMetric>,
    /// Graphite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graphite: Option<GraphiteMetric>,
    /// InfluxDB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub influxdb: Option<InfluxdbMetric>,
    /// Apache SkyWalking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skywalking: Option<SkyWalkingMetric>,
    /// Settings of a metric plugin by plugin name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "free_object")]
    pub plugin: BTreeMap<String, Value>,
}

impl MetricProvider {
    /// The settings of the built-in judge, if it is what a metric asks.
    #[must_use]
    pub fn judge(&self) -> Option<&Value> {
        self.plugin.get(JUDGE_PLUGIN)
    }
}

/// Query to Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusMetric {
    /// URL of the server.
    #[serde(skip_serializing_if = "blank")]
    pub address: Option<String>,
    /// Query in PromQL.
    #[serde(skip_serializing_if = "blank")]
    pub query: Option<String>,
    /// How to authenticate.
    #[serde(skip_serializing_if = "empty")]
    pub authentication: Authentication,
    /// Seconds to wait for an answer; 30 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Does not verify the server's certificate.
    #[serde(skip_serializing_if = "empty")]
    pub insecure: bool,
    /// HTTP headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<WebMetricHeader>,
    /// Asks for a range instead of an instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_query: Option<PrometheusRangeQueryArgs>,
}

/// Range of a query to Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusRangeQueryArgs {
    /// Expression for the start, such as now() - duration("1h").
    #[serde(skip_serializing_if = "blank")]
    pub start: Option<String>,
    /// Expression for the end, such as now().
    #[serde(skip_serializing_if = "blank")]
    pub end: Option<String>,
    /// Time between samples, such as 1m.
    #[serde(skip_serializing_if = "blank")]
    pub step: Option<String>,
}

/// How to authenticate with a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Authentication {
    /// AWS signatures, for Amazon Managed Prometheus.
    #[serde(skip_serializing_if = "empty")]
    pub sigv4: Sigv4Config,
    /// OAuth2 client credentials.
    #[serde(skip_serializing_if = "empty")]
    pub oauth2: OAuth2Config,
    /// User and password.
    #[serde(skip_serializing_if = "empty")]
    pub basic_auth: BasicAuthConfig,
}

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BasicAuthConfig {
    /// User.
    #[serde(skip_serializing_if = "blank")]
    pub username: Option<String>,
    /// Password.
    #[serde(skip_serializing_if = "blank")]
    pub password: Option<String>,
}

/// OAuth2 client credentials.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth2Config {
    /// URL that gives tokens.
    #[serde(skip_serializing_if = "blank")]
    pub token_url: Option<String>,
    /// Client id.
    #[serde(skip_serializing_if = "blank")]
    pub client_id: Option<String>,
    /// Client secret.
    #[serde(skip_serializing_if = "blank")]
    pub client_secret: Option<String>,
    /// Scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// AWS signatures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sigv4Config {
    /// Region.
    #[serde(skip_serializing_if = "blank")]
    pub region: Option<String>,
    /// Credential profile.
    #[serde(skip_serializing_if = "blank")]
    pub profile: Option<String>,
    /// Role to assume.
    #[serde(skip_serializing_if = "blank")]
    pub role_arn: Option<String>,
}

/// Request to a web service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["url"]))]
pub struct WebMetric {
    /// GET, POST or PUT; GET when absent.
    #[serde(skip_serializing_if = "blank")]
    pub method: Option<String>,
    /// URL.
    pub url: String,
    /// HTTP headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<WebMetricHeader>,
    /// Body, not with GET.
    #[serde(skip_serializing_if = "blank")]
    pub body: Option<String>,
    /// Seconds to wait for an answer; 10 when absent.
    #[serde(skip_serializing_if = "empty")]
    pub timeout_seconds: i64,
    /// JSON path to the result; the whole answer when absent.
    #[serde(skip_serializing_if = "blank")]
    pub json_path: Option<String>,
    /// Does not verify the server's certificate.
    #[serde(skip_serializing_if = "empty")]
    pub insecure: bool,
    /// Body as JSON, not with GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub json_body: Option<Value>,
    /// How to authenticate.
    #[serde(skip_serializing_if = "empty")]
    pub authentication: Authentication,
}

/// HTTP header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["key", "value"]))]
pub struct WebMetricHeader {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

/// Query to Datadog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DatadogMetric {
    /// Time that the query covers; 5m when absent.
    #[serde(skip_serializing_if = "blank")]
    pub interval: Option<String>,
    /// Query.
    #[serde(skip_serializing_if = "blank")]
    pub query: Option<String>,
    /// Queries by name, for the formula.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, String>,
    /// Formula over the queries.
    #[serde(skip_serializing_if = "blank")]
    pub formula: Option<String>,
    /// API version, v1 or v2; v1 when absent.
    #[serde(skip_serializing_if = "blank")]
    pub api_version: Option<String>,
    /// How v2 sums up a series; last when absent.
    #[serde(skip_serializing_if = "blank")]
    pub aggregator: Option<String>,
    /// Secret with the keys.
    #[serde(skip_serializing_if = "empty")]
    pub secret_ref: DatadogSecretRef,
    /// Time to wait for an answer; 10s when absent.
    #[serde(skip_serializing_if = "blank")]
    pub request_timeout: Option<String>,
}

/// Secret with the keys for Datadog.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DatadogSecretRef {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "blank")]
    pub name: Option<String>,
    /// Looks in the namespace of the run instead of the controller's.
    #[serde(skip_serializing_if = "empty")]
    pub namespaced: bool,
}

/// Query to Wavefront.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WavefrontMetric {
    /// Address of the server.
    #[serde(skip_serializing_if = "blank")]
    pub address: Option<String>,
    /// Query.
    #[serde(skip_serializing_if = "blank")]
    pub query: Option<String>,
}

/// Query to New Relic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["query"]))]
pub struct NewRelicMetric {
    /// Secret with the account; newrelic when absent.
    #[serde(skip_serializing_if = "blank")]
    pub profile: Option<String>,
    /// Query in NRQL.
    pub query: String,
    /// Seconds to wait for an answer; 5 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// Job to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["spec"]))]
pub struct JobMetric {
    /// Extra metadata of the Job.
    #[serde(skip_serializing_if = "empty")]
    pub metadata: JobMetadata,
    /// Spec of the Job.
    #[schemars(schema_with = "free_object")]
    pub spec: Value,
}

/// Labels and annotations of a Job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobMetadata {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Query to Graphite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GraphiteMetric {
    /// Address of the server.
    #[serde(skip_serializing_if = "blank")]
    pub address: Option<String>,
    /// Query.
    #[serde(skip_serializing_if = "blank")]
    pub query: Option<String>,
}

/// Query to InfluxDB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InfluxdbMetric {
    /// Secret with the account; influxdb when absent.
    #[serde(skip_serializing_if = "blank")]
    pub profile: Option<String>,
    /// Query in Flux.
    #[serde(skip_serializing_if = "blank")]
    pub query: Option<String>,
}

/// Query to Apache SkyWalking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SkyWalkingMetric {
    /// Address of the server.
    #[serde(skip_serializing_if = "blank")]
    pub address: Option<String>,
    /// Query in GraphQL.
    #[serde(skip_serializing_if = "blank")]
    pub query: Option<String>,
    /// Time that the query covers.
    #[serde(skip_serializing_if = "blank")]
    pub interval: Option<String>,
}
