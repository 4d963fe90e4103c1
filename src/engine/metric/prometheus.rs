//! Provider Prometheus: instant and range queries over the HTTP API.
//!
//! Input: the settings of a metric, then the JSON of `/api/v1/query` or `/api/v1/query_range`. Output: a query,
//! then numbers: a scalar is one number, a vector one per series, a matrix all points of all series.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tidegate_api::analysis::{Authentication, PrometheusMetric, Sigv4Config};
use tidegate_api::go_duration;

use super::http::{self, Call, Login, Method, Signing};
use super::{Defaults, Measured, Request, Response, shown};
use crate::analysis::evaluate_time;

/// Seconds to wait for an answer when the metric does not say.
const DEFAULT_TIMEOUT_SECONDS: u64 = 30;
/// The part of a host's name that Amazon's managed Prometheus has; it wants signed requests.
const AMAZON: [&str; 2] = ["aps-workspaces", "aps-workspaces-fips"];
/// What ends such a name, behind the region. All of it is Amazon's, and nobody else can name a host so.
const AMAZONS_ENDS: [&str; 5] =
    ["amazonaws.com", "amazonaws.com.cn", "vpce.amazonaws.com", "vpce.amazonaws.com.cn", "api.aws"];

/// One query.
#[derive(Clone, PartialEq)]
pub struct Query {
    /// URL of the server, without `/api/v1`.
    pub address: String,
    /// The query in PromQL.
    pub query: String,
    /// The range to ask for; an instant query has none.
    pub range: Option<Range>,
    pub headers: Vec<(String, String)>,
    pub timeout_seconds: u64,
    /// Does not verify the server's certificate.
    pub insecure: bool,
    pub login: Login,
}

/// The range of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub start: Timestamp,
    pub end: Timestamp,
    pub step_seconds: f64,
}

impl fmt::Debug for Query {
    /// Leaves out headers, logins and all of the address but the server, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("server", &http::server(&self.address))
            .field("range", &self.range)
            .field("timeout_seconds", &self.timeout_seconds)
            .finish_non_exhaustive()
    }
}

fn address<'a>(metric: &'a PrometheusMetric, defaults: &'a Defaults) -> &'a str {
    let own = metric.address.as_deref().filter(|address| !address.is_empty());
    own.or(defaults.prometheus_address.as_deref()).unwrap_or_default().trim_end_matches('/')
}

impl Query {
    /// Bytes of an answer that is read: ten thousand samples with all their labels fit in.
    pub const MOST_BYTES: usize = 8 << 20;

    /// The request of a query. What is signed is a form in a body, every byte of which is known here.
    #[must_use]
    pub fn into_request(self) -> Request {
        if !matches!(self.login, Login::Aws(_)) {
            return Request::Prometheus(self);
        }
        let Self { address, query, range, mut headers, timeout_seconds, insecure, login } = self;
        let (path, body) = match range {
            None => ("query", http::form(&[("query", &query)])),
            Some(Range { start, end, step_seconds }) => {
                let (start, end) = (start.as_second().to_string(), end.as_second().to_string());
                let step = step_seconds.to_string();
                let pairs = [("end", end.as_str()), ("query", &query), ("start", &start), ("step", &step)];
                ("query_range", http::form(&pairs))
            }
        };
        http::set(&mut headers, "Content-Type", "application/x-www-form-urlencoded");
        let url = format!("{address}/api/v1/{path}");
        Request::Http(Call {
            method: Method::Post,
            url,
            headers,
            body: Some(body),
            timeout_seconds,
            most_bytes: Query::MOST_BYTES,
            insecure,
            login,
        })
    }
}

/// Describes the query of a metric.
pub(super) fn request(
    metric: &PrometheusMetric,
    defaults: &Defaults,
    now: Timestamp,
) -> Result<Query, String> {
    let address = address(metric, defaults);
    if address.is_empty() {
        return Err("prometheus address is required: set it in the metric, or in the environment of the \
                    controller as ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"
            .to_owned());
    }
    let host = ["http://", "https://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(char::is_whitespace))
    {
        // What the address is may hold a password.
        return Err("prometheus address is not in url format".to_owned());
    }
    let query = metric.query.clone().filter(|query| !query.is_empty());
    let timeout_seconds = match metric.timeout {
        None | Some(0) => DEFAULT_TIMEOUT_SECONDS,
        Some(seconds) => u64::try_from(seconds)
            .map_err(|_| format!("prometheus timeout {seconds} must not be negative"))?,
    };
    Ok(Query {
        address: address.to_owned(),
        query: query.ok_or("prometheus query is required")?,
        range: range(metric, now)?,
        headers: metric.headers.iter().map(|header| (header.key.clone(), header.value.clone())).collect(),
        timeout_seconds,
        insecure: metric.insecure,
        login: login(metric, address)?,
    })
}

fn range(metric: &PrometheusMetric, now: Timestamp) -> Result<Option<Range>, String> {
    let Some(range) = &metric.range_query else { return Ok(None) };
    let time = |name: &str, text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        evaluate_time(text, now).map_err(|why| format!("failed to parse rangeQuery.{name} {text:?}: {why}"))
    };
    let step = range.step.as_deref().unwrap_or_default();
    let nanoseconds =
        go_duration::parse_nanoseconds(step).map_err(|why| format!("rangeQuery.step: {why}"))?;
    if nanoseconds <= 0 {
        return Err(format!("rangeQuery.step {step:?} must be greater than zero"));
    }
    Ok(Some(Range {
        start: time("start", &range.start)?,
        end: time("end", &range.end)?,
        step_seconds: nanoseconds as f64 / 1e9,
    }))
}

fn login(metric: &PrometheusMetric, address: &str) -> Result<Login, String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let Authentication { sigv4, oauth2, basic_auth } = &metric.authentication;
    let is_amazons = is_amazons(address);
    // Elsewhere the settings are passed over, as Argo Rollouts does.
    if is_amazons && *sigv4 != Sigv4Config::default() {
        let (region, profile, role) = (text(&sigv4.region), text(&sigv4.profile), text(&sigv4.role_arn));
        return Ok(Login::Aws(Signing { region, service: "aps", profile, role }));
    }
    if let Some(login) = http::oauth2(oauth2).map_err(|why| format!("prometheus {why}"))? {
        return Ok(login);
    }
    if let Some(login) = http::basic(basic_auth) {
        return Ok(login);
    }
    let has_own = metric.headers.iter().any(|header| header.key.eq_ignore_ascii_case("authorization"));
    let signing = Signing { service: "aps", ..Signing::default() };
    Ok(if is_amazons && !has_own { Login::Aws(signing) } else { Login::None })
}

/// Whether requests may be signed for an address: it is that of Amazon's managed Prometheus, and the way there is closed
/// to others. A signature shows the token of the controller's session.
fn is_amazons(address: &str) -> bool {
    let Some(host) = http::server(address).strip_prefix("https://") else { return false };
    let host = host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    // Endpoints in a network of one's own have a label of theirs in front.
    let at = labels.iter().take(2).position(|label| AMAZON.contains(label));
    let Some([region, end @ ..]) = at.and_then(|at| labels.get(at + 1..)) else { return false };
    is_region(region) && AMAZONS_ENDS.contains(&end.join(".").as_str())
}

/// Two letters, and more behind a dash, as in `eu-west-1`.
fn is_region(label: &str) -> bool {
    let known = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    let bytes = label.as_bytes();
    let begins = matches!(bytes, [a, b, b'-', _, ..] if a.is_ascii_lowercase() && b.is_ascii_lowercase());
    begins && bytes.iter().all(|letter| known(*letter))
}

/// The answer of the HTTP API. Servers that speak it write null where Prometheus leaves a field out.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    status: Option<String>,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    warnings: Option<Vec<String>>,
}

/// What an answer holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Data {
    pub(super) result_type: String,
    pub(super) result: Value,
    #[serde(skip)]
    warnings: Vec<String>,
}

/// Reads an answer as far as all queries have it in common.
pub(super) fn data(response: &Response) -> Result<Data, String> {
    let answer: Answer = match serde_json::from_slice(&response.body) {
        Ok(answer) => answer,
        Err(_) if !(200..300).contains(&response.status) => {
            return Err(format!(
                "prometheus answered {}: {}",
                response.status,
                shown::excerpt(&response.body)
            ));
        }
        Err(error) => return Err(format!("prometheus did not answer JSON: {error}")),
    };
    if answer.status.as_deref() != Some("success") {
        let told = |text: Option<String>| text.filter(|text| !text.is_empty()).map(shown::bounded);
        let kind = told(answer.error_type).unwrap_or_else(|| response.status.to_string());
        let error = told(answer.error).unwrap_or_else(|| shown::excerpt(&response.body));
        return Err(format!("{kind}: {error}"));
    }
    let data = answer.data.ok_or("prometheus answered without data")?;
    Ok(Data { warnings: answer.warnings.unwrap_or_default(), ..data })
}

/// Reads the numbers out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    let data = data(response)?;
    let malformed = || format!("prometheus answered a malformed {}", data.result_type);
    let value = match data.result_type.as_str() {
        "scalar" => Numbers::One(point(&data.result).ok_or_else(malformed)?),
        "vector" => Numbers::Many(
            samples(&data.result, |series| Some(vec![point(series.get("value")?)?])).ok_or_else(malformed)?,
        ),
        "matrix" => Numbers::Many(
            samples(&data.result, |series| series.get("values")?.as_array()?.iter().map(point).collect())
                .ok_or_else(malformed)?,
        ),
        other => return Err(format!("Prometheus metric type not supported: {other}")),
    };
    let measured = match value {
        Numbers::One(number) => Measured::number(number, shown::number(number)),
        Numbers::Many(samples) => {
            let text = shown::list(&samples, ",", shown::number);
            Measured { text: text.clone(), ..Measured::samples(samples, text)? }
        }
    };
    Ok(Measured { metadata: warnings(&data.warnings), ..measured })
}

enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

/// A point is `[time, "value"]`.
fn point(json: &Value) -> Option<f64> {
    match json.get(1)?.as_str()? {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// The numbers of all series. A series of native histograms has none, so it makes the answer malformed.
fn samples(result: &Value, numbers: impl Fn(&Value) -> Option<Vec<f64>>) -> Option<Vec<f64>> {
    if result.is_null() {
        return Some(Vec::new());
    }
    let series: Option<Vec<Vec<f64>>> = result.as_array()?.iter().map(numbers).collect();
    Some(series?.concat())
}

fn warnings(warnings: &[String]) -> BTreeMap<String, String> {
    if warnings.is_empty() {
        return BTreeMap::new();
    }
    let text = warnings.iter().map(|warning| format!("\"{warning}\"")).collect::<Vec<_>>().join(", ");
    BTreeMap::from([("warnings".to_owned(), shown::bounded(text))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;
    use crate::metric::measured::MOST_VALUES;
    use serde_json::json;

    const NOW: &str = "2026-11-21T08:00:00Z";

    fn query(json: Value) -> Result<Query, String> {
        let metric: PrometheusMetric = serde_json::from_value(json).unwrap();
        let defaults =
            Defaults { prometheus_address: Some("http://default:9090/".into()), ..Defaults::default() };
        request(&metric, &defaults, NOW.parse().unwrap())
    }

    #[test]
    fn a_query_has_what_the_metric_says() {
        let got = query(json!({
            "address": "https://prom:9090/prefix/", "query": "up", "timeout": 5, "insecure": true,
            "headers": [{"key": "X-Scope-OrgID", "value": "tenant"}],
            "authentication": {"basicAuth": {"username": "u", "password": "p"}},
            "rangeQuery": {"start": "now() - duration(\"1h30m\")", "end": "now()", "step": "1m"},
        }));
        let wanted = Query {
            address: "https://prom:9090/prefix".into(),
            query: "up".into(),
            range: Some(Range {
                start: "2026-11-21T06:30:00Z".parse().unwrap(),
                end: NOW.parse().unwrap(),
                step_seconds: 60.0,
            }),
            headers: vec![("X-Scope-OrgID".into(), "tenant".into())],
            timeout_seconds: 5,
            insecure: true,
            login: Login::Basic { username: "u".into(), password: "p".into() },
        };
        assert_eq!(got, Ok(wanted));
    }

    #[test]
    fn what_the_metric_leaves_out_has_a_default() {
        let got = query(json!({"query": "up"})).unwrap();
        assert_eq!((got.address.as_str(), got.timeout_seconds), ("http://default:9090", 30));
        assert!(got.login == Login::None && got.range.is_none());
    }

    #[test]
    fn wrong_settings_are_named() {
        for (metric, part) in [
            (json!({"address": "prom:9090", "query": "up"}), "is not in url format"),
            (json!({"address": "http://", "query": "up"}), "is not in url format"),
            (json!({}), "query is required"),
            (json!({"query": "up", "timeout": -1}), "timeout -1"),
            (
                json!({"query": "up", "rangeQuery": {"start": "now(", "end": "now()", "step": "1m"}}),
                "rangeQuery.start",
            ),
            (
                json!({"query": "up", "rangeQuery": {"start": "now()", "end": "1", "step": "1m"}}),
                "rangeQuery.end",
            ),
            (json!({"query": "up", "rangeQuery": {"start": "now()", "end": "now()"}}), "rangeQuery.step"),
            (json!({"query": "up", "authentication": {"oauth2": {"tokenUrl": "http://t"}}}), "clientId"),
        ] {
            let error = query(metric).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let metric = PrometheusMetric { query: Some("up".into()), ..PrometheusMetric::default() };
        let error = request(&metric, &Defaults::default(), NOW.parse().unwrap()).unwrap_err();
        assert!(error.starts_with("prometheus address is required"), "{error}");
    }

    #[test]
    fn debugging_shows_no_secrets() {
        let got = query(json!({
            "address": "https://user:hush@prom:9090/hush", "query": "up{token=\"hush\"}", "headers": [{"key": "Authorization", "value": "Bearer hush"}],
            "authentication": {"basicAuth": {"username": "u", "password": "hush"}},
        }));
        assert!(!format!("{got:?}").contains("hush"));
        let got = query(json!({"address": "http://me:hush@prom", "query": "up"}));
        assert!(got.is_ok() && !format!("{got:?}").contains("hush"));
        let error = query(json!({"address": "me:hush@prom", "query": "up"})).unwrap_err();
        assert_eq!(error, "prometheus address is not in url format");
    }

    fn answer(status: u16, body: &str) -> Result<Measured, String> {
        value(&Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None })
    }

    fn success(result_type: &str, result: &str) -> Result<Measured, String> {
        answer(
            200,
            &format!(r#"{{"status":"success","data":{{"resultType":"{result_type}","result":{result}}}}}"#),
        )
    }

    #[test]
    fn answers_become_numbers() {
        let series = r#"[{"metric":{"a":"b"},"value":[1,"0.5"]},{"metric":{},"value":[1.5,"1e21"]}]"#;
        let cases = [
            ("scalar", r#"[1,"-2.5"]"#, MetricValue::Number(-2.5), "-2.5"),
            ("scalar", r#"[1,"+Inf"]"#, MetricValue::Number(f64::INFINITY), "+Inf"),
            ("vector", series, MetricValue::Samples(vec![0.5, 1e21]), "[0.5,1000000000000000000000]"),
            ("vector", "[]", MetricValue::Samples(vec![]), "[]"),
            ("vector", "null", MetricValue::Samples(vec![]), "[]"),
            (
                "matrix",
                r#"[{"metric":{},"values":[[1,"1"],[2,"2"]]},{"metric":{},"values":[[1,"3"]]}]"#,
                MetricValue::Samples(vec![1.0, 2.0, 3.0]),
                "[1,2,3]",
            ),
        ];
        for (result_type, result, value, text) in cases {
            let got = success(result_type, result).unwrap();
            assert_eq!((got.value, got.text.as_str()), (value, text));
        }
        let got = success("vector", r#"[{"metric":{},"value":[1,"NaN"]}]"#).unwrap();
        assert!(got.value.has_nan() && got.text == "[NaN]");
    }

    #[test]
    fn warnings_go_into_the_metadata() {
        let body =
            r#"{"status":"success","warnings":["one","two"],"data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(answer(200, body).unwrap().metadata["warnings"], "\"one\", \"two\"");
    }

    #[test]
    fn errors_keep_the_servers_words() {
        for (status, body, wanted) in [
            (
                400,
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                "bad_data: parse error",
            ),
            (503, "<html>\n gone</html>", "prometheus answered 503: <html> gone</html>"),
            (200, "<html>", "prometheus did not answer JSON: expected value at line 1 column 1"),
            (200, r#"{"status":"success"}"#, "prometheus answered without data"),
            (500, "{}", "500: {}"),
            (
                502,
                r#"{"status":null,"error":null,"warnings":null}"#,
                "502: {\"status\":null,\"error\":null,\"warnings\":null}",
            ),
        ] {
            assert_eq!(answer(status, body).unwrap_err(), wanted);
        }
        assert_eq!(
            success("string", "[1,\"a\"]").unwrap_err(),
            "Prometheus metric type not supported: string"
        );
        assert_eq!(
            success("vector", "[{\"histogram\":[]}]").unwrap_err(),
            "prometheus answered a malformed vector"
        );
        let many = format!("[{}]", vec![r#"{"value":[1,"1"]}"#; MOST_VALUES + 1].join(","));
        assert!(success("vector", &many).unwrap_err().contains("aggregate it"));
    }

    #[test]
    fn amazons_prometheus_gets_signed_forms() {
        let signed = |range: Value| {
            let mut metric = json!({
                "address": "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws", "query": "up > 1",
                "headers": [{"key": "content-type", "value": "x"}, {"key": "A", "value": "b"}],
                "authentication": {"sigv4": {"region": "eu-west-1", "profile": "p", "roleArn": "arn:r"}},
            });
            metric["rangeQuery"] = range;
            match query(metric).unwrap().into_request() {
                Request::Http(call) => call,
                other @ (Request::Prometheus(_) | Request::Cluster(_) | Request::Job(_)) => {
                    panic!("{other:?}")
                }
            }
        };
        let call = signed(Value::Null);
        assert_eq!(call.url, "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws/api/v1/query");
        assert_eq!((call.method, call.body.as_deref()), (Method::Post, Some("query=up+%3E+1")));
        let form = "application/x-www-form-urlencoded";
        let headers = [("A", "b"), ("Content-Type", form)];
        assert_eq!(call.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let signing =
            Signing { region: "eu-west-1".into(), service: "aps", profile: "p".into(), role: "arn:r".into() };
        assert!(call.login == Login::Aws(signing));
        let call = signed(json!({"start": "now() - duration(\"1h\")", "end": "now()", "step": "90s"}));
        assert!(call.url.ends_with("/api/v1/query_range"));
        assert_eq!(call.body.as_deref(), Some("end=1795248000&query=up+%3E+1&start=1795244400&step=90"));
        let elsewhere = query(json!({"query": "up", "authentication": {"sigv4": {"region": "r"}}})).unwrap();
        assert!(elsewhere.login == Login::None && matches!(elsewhere.into_request(), Request::Prometheus(_)));
    }

    #[test]
    fn amazons_prometheus_gets_a_signature_without_settings_unless_there_is_another_login() {
        let login = |more: Value| {
            let mut metric =
                json!({"address": "https://aps-workspaces.eu-west-1.amazonaws.com", "query": "up"});
            metric.as_object_mut().unwrap().append(more.clone().as_object_mut().unwrap());
            query(metric).unwrap().login
        };
        let signing = Signing { service: "aps", ..Signing::default() };
        assert!(login(json!({})) == Login::Aws(signing.clone()));
        assert!(login(json!({"headers": [{"key": "X-A", "value": "b"}]})) == Login::Aws(signing));
        assert!(login(json!({"headers": [{"key": "authorization", "value": "b"}]})) == Login::None);
        let basic = json!({"authentication": {"basicAuth": {"username": "u", "password": "p"}}});
        assert!(matches!(login(basic), Login::Basic { .. }));
        let oauth2 = json!({"tokenUrl": "https://t", "clientId": "i", "clientSecret": "s"});
        assert!(matches!(login(json!({"authentication": {"oauth2": oauth2}})), Login::OAuth2 { .. }));
    }

    #[test]
    fn only_amazons_own_hosts_get_a_signature_and_only_over_tls() {
        let is_signed = |address: &str| {
            let sigv4 = json!({"sigv4": {"region": "eu-west-1"}});
            let got = query(json!({"address": address, "query": "up", "authentication": sigv4})).unwrap();
            matches!(got.login, Login::Aws(_))
        };
        for address in [
            "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws",
            "https://aps-workspaces.eu-west-1.amazonaws.com:443",
            "https://aps-workspaces-fips.us-gov-west-1.amazonaws.com",
            "https://aps-workspaces.cn-north-1.amazonaws.com.cn/",
            "https://vpce-0a-b.aps-workspaces.eu-west-1.vpce.amazonaws.com",
            "https://aps-workspaces.eu-west-1.api.aws",
        ] {
            assert!(is_signed(address), "{address}");
        }
        for address in [
            "http://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws",
            "https://evil.example/aps-workspaces.eu-west-1.amazonaws.com",
            "https://evil.example?aps-workspaces.eu-west-1.amazonaws.com",
            "https://evil.example#aps-workspaces.eu-west-1.amazonaws.com",
            "https://evil.example\\aps-workspaces.eu-west-1.amazonaws.com",
            "https://aps-workspaces.eu-west-1.amazonaws.com@evil.example",
            "https://aps-workspaces.eu-west-1.amazonaws.com.evil.example",
            "https://aps-workspaces.eu-west-1.amazonaws.com:8443",
            "https://aps-workspaces.evil.example",
            "https://aps-workspaces.amazonaws.com",
            "https://aps-workspaces.s3.amazonaws.com",
            "https://aps-workspaces-1.eu-west-1.elb.amazonaws.com",
            "https://aps-workspaces.eu-west-1.elb.amazonaws.com",
            "https://xaps-workspaces.eu-west-1.amazonaws.com",
        ] {
            assert!(!is_signed(address), "{address}");
        }
    }
}
