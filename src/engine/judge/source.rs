//! Where the counters come from: the judge's settings in a template, and the query for them.
//!
//! Input: what a template holds below `provider.plugin."tidegate.dev/judge"`. Output: one query in PromQL whose answer
//! holds the counters of both sides, told apart by labels. A preset needs two words; own queries say everything.

use serde::Deserialize;
use serde_json::Value;
use tidegate_api::analysis::PrometheusMetric;
use tidegate_api::go_duration;

use super::Settings;

/// Labels that the query adds: the side that a series belongs to, and what it counts.
pub(crate) const SIDE: &str = "tidegate_side";
pub(crate) const KIND: &str = "tidegate_kind";
const INTERVAL: &str = "10s";
const HISTORY: &str = "30m";

/// What a template says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// How to reach Prometheus; `query` and `rangeQuery` are not used.
    #[serde(default)]
    pub prometheus: PrometheusMetric,
    preset: Option<Preset>,
    /// Namespace of the pods and Services; a preset needs it.
    namespace: Option<String>,
    canary: Side,
    stable: Side,
    /// Time between two looks, and how far to look back before the first.
    interval: Option<String>,
    history: Option<String>,
    /// Parts between 0 and 1.
    false_abort: Option<f64>,
    false_advance: Option<f64>,
    harm: Option<f64>,
    /// The rise of the part of slow requests that is worth stopping for.
    latency_harm: Option<f64>,
    tolerance: Option<f64>,
    /// A rate of errors above which a canary is bad whatever the stable version does.
    most_errors: Option<f64>,
}

/// One version.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Side {
    /// For a preset: the pod-template hash, or the name of the Service.
    Word(String),
    Queries(Queries),
}

/// Expressions whose series are counters; the label `pod` tells pods apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queries {
    requests: String,
    errors: String,
    /// With the label `le`.
    buckets: Option<String>,
}

/// Counters whose names and labels are known.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    App,
    Istio,
    Linkerd,
    OpenshiftRouter,
    Nginx,
    Traefik,
    EnvoyGateway,
}

/// What the judge is asked to do, with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub query: String,
    pub interval_seconds: f64,
    pub history_seconds: f64,
    pub errors: Settings,
    pub slow: Settings,
    pub most_errors: Option<f64>,
}

/// Reads the settings.
///
/// # Errors
/// Names the field that is wrong, and what it must be.
pub fn parse(config: &Value) -> Result<(Config, Source), String> {
    let config: Config =
        serde_json::from_value(config.clone()).map_err(|error| format!("tidegate.dev/judge: {error}"))?;
    let source = Source {
        query: query(&config)?,
        interval_seconds: seconds("interval", config.interval.as_deref().unwrap_or(INTERVAL), 1.0)?,
        history_seconds: seconds("history", config.history.as_deref().unwrap_or(HISTORY), 0.0)?,
        errors: settings(&config, config.harm.map(|harm| ("harm", harm)), 0.01)?,
        slow: settings(&config, config.latency_harm.map(|harm| ("latencyHarm", harm)), 0.05)?,
        most_errors: config.most_errors.map(|most| part("mostErrors", most)).transpose()?,
    };
    Ok((config, source))
}

fn settings(config: &Config, harm: Option<(&str, f64)>, usual: f64) -> Result<Settings, String> {
    let usually = Settings::default();
    let or = |name: &str, value: Option<f64>, usual: f64| value.map_or(Ok(usual), |value| part(name, value));
    let tolerance = config.tolerance.unwrap_or(usually.tolerance);
    if tolerance < 1.0 || !tolerance.is_finite() {
        return Err(format!("tidegate.dev/judge: tolerance {tolerance} must be at least 1"));
    }
    Ok(Settings {
        false_abort: or("falseAbort", config.false_abort, usually.false_abort)?,
        false_advance: or("falseAdvance", config.false_advance, usually.false_advance)?,
        harm: harm.map_or(Ok(usual), |(name, harm)| part(name, harm))?,
        tolerance,
    })
}

/// A part between 0 and 1, both excluded.
fn part(name: &str, value: f64) -> Result<f64, String> {
    if value > 0.0 && value < 1.0 {
        return Ok(value);
    }
    Err(format!("tidegate.dev/judge: {name} {value} must be between 0 and 1, such as 0.01 for 1 %"))
}

fn seconds(name: &str, text: &str, least: f64) -> Result<f64, String> {
    let nanoseconds =
        go_duration::parse_nanoseconds(text).map_err(|why| format!("tidegate.dev/judge: {name}: {why}"))?;
    let seconds = nanoseconds as f64 / 1e9;
    if seconds < least {
        return Err(format!("tidegate.dev/judge: {name} {text:?} must be at least {least} s"));
    }
    Ok(seconds)
}

/// One query for all counters of both sides.
fn query(config: &Config) -> Result<String, String> {
    let mut parts = Vec::new();
    for (side, name) in [(&config.canary, "canary"), (&config.stable, "stable")] {
        let (queries, pod) = queries(config, side, name)?;
        parts.push(labelled(&format!("sum by ({pod}) ({})", queries.requests), name, "requests", pod));
        parts.push(labelled(&format!("sum by ({pod}) ({})", queries.errors), name, "errors", pod));
        if let Some(buckets) = &queries.buckets {
            parts.push(labelled(&format!("sum by ({pod}, le) ({buckets})"), name, "buckets", pod));
        }
    }
    Ok(parts.join(" or "))
}

/// The label of pods is called `pod` in the answer, whatever its name is.
fn labelled(expression: &str, side: &str, kind: &str, pod: &str) -> String {
    let named = match pod {
        "pod" => expression.to_owned(),
        other => format!("label_replace({expression}, \"pod\", \"$1\", \"{other}\", \"(.*)\")"),
    };
    let sided = format!("label_replace({named}, \"{SIDE}\", \"{side}\", \"\", \"\")");
    format!("label_replace({sided}, \"{KIND}\", \"{kind}\", \"\", \"\")")
}

/// The expressions of one side, and the label that tells its pods apart.
fn queries(config: &Config, side: &Side, name: &str) -> Result<(Queries, &'static str), String> {
    match (config.preset, side) {
        (None, Side::Queries(queries)) => Ok((queries.clone(), "pod")),
        (Some(preset), Side::Word(word)) => {
            let namespace = config.namespace.as_deref().filter(|namespace| !namespace.is_empty());
            let namespace = namespace.ok_or(
                "tidegate.dev/judge: a preset needs namespace, that of the pods and Services".to_owned(),
            )?;
            for (field, text) in [("namespace", namespace), (name, word)] {
                if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)) {
                    return Err(format!("tidegate.dev/judge: {field} {text:?} is no name"));
                }
            }
            Ok(preset.queries(namespace, word))
        }
        (None, Side::Word(_)) => Err(format!(
            "tidegate.dev/judge: {name} is a word, which needs a preset; without one it needs requests and errors, \
             queries whose series are counters"
        )),
        (Some(_), Side::Queries(_)) => Err(format!(
            "tidegate.dev/judge: {name} has queries beside a preset: remove preset, or give the word that it selects by"
        )),
    }
}

impl Preset {
    /// Counters of pods are chosen by the hash in the pod's name, those of routers by the Service.
    fn queries(self, namespace: &str, word: &str) -> (Queries, &'static str) {
        let pods = format!("namespace=\"{namespace}\",pod=~\".+-{word}-[a-z0-9]+\"");
        let all =
            |requests: String, errors: String, buckets: Option<String>| Queries { requests, errors, buckets };
        match self {
            Self::App => (
                all(
                    format!("http_requests_total{{{pods}}}"),
                    format!("http_requests_total{{{pods},code=~\"5..\"}}"),
                    Some(format!("http_request_duration_seconds_bucket{{{pods}}}")),
                ),
                "pod",
            ),
            Self::Istio => (
                all(
                    format!("istio_requests_total{{{pods},reporter=\"destination\"}}"),
                    format!("istio_requests_total{{{pods},reporter=\"destination\",response_code=~\"5..\"}}"),
                    Some(format!(
                        "istio_request_duration_milliseconds_bucket{{{pods},reporter=\"destination\"}}"
                    )),
                ),
                "pod",
            ),
            Self::Linkerd => (
                all(
                    format!("response_total{{{pods},direction=\"inbound\"}}"),
                    format!("response_total{{{pods},direction=\"inbound\",classification=\"failure\"}}"),
                    Some(format!("response_latency_ms_bucket{{{pods},direction=\"inbound\"}}")),
                ),
                "pod",
            ),
            Self::OpenshiftRouter => {
                let service = format!("namespace=\"{namespace}\",service=\"{word}\"");
                (
                    all(
                        format!("haproxy_server_http_responses_total{{{service}}}"),
                        format!("haproxy_server_http_responses_total{{{service},code=\"5xx\"}}"),
                        None,
                    ),
                    "pod",
                )
            }
            Self::Nginx => {
                let service = format!("exported_namespace=\"{namespace}\",exported_service=\"{word}\"");
                (
                    all(
                        format!("nginx_ingress_controller_requests{{{service}}}"),
                        format!("nginx_ingress_controller_requests{{{service},status=~\"5..\"}}"),
                        Some(format!(
                            "nginx_ingress_controller_request_duration_seconds_bucket{{{service}}}"
                        )),
                    ),
                    "exported_service",
                )
            }
            Self::Traefik => {
                let service = format!("service=~\"{namespace}-.*{word}-.*\"");
                (
                    all(
                        format!("traefik_service_requests_total{{{service}}}"),
                        format!("traefik_service_requests_total{{{service},code=~\"5..\"}}"),
                        Some(format!("traefik_service_request_duration_seconds_bucket{{{service}}}")),
                    ),
                    "service",
                )
            }
            Self::EnvoyGateway => {
                let cluster = format!("envoy_cluster_name=~\".*/{namespace}/.*{word}.*\"");
                (
                    all(
                        format!("envoy_cluster_upstream_rq_total{{{cluster}}}"),
                        format!("envoy_cluster_upstream_rq_xx{{{cluster},envoy_response_code_class=\"5\"}}"),
                        Some(format!("envoy_cluster_upstream_rq_time_bucket{{{cluster}}}")),
                    ),
                    "envoy_cluster_name",
                )
            }
        }
    }
}
