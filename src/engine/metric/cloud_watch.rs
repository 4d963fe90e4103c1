//! Provider Amazon CloudWatch: GetMetricData, over JSON 1.0.
//!
//! Input: the settings of a metric and the region, then the JSON of the API. Output: a call that somebody signs, then the
//! list `MetricDataResults` as conditions see it: `result[0].Values[0]`. Times in it are seconds.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate_api::analysis::{CloudWatchMetric, CloudWatchMetricDataQuery, CloudWatchMetricStat};
use tidegate_api::go_duration;

use super::account::{Account, Accounts};
use super::http::{self, Call, Login, Method, Signing};
use super::{Measured, Response, shown};

/// Where the controller says which region and which endpoint: the variables of AWS's own clients.
pub(super) const ENVIRONMENT: Account = Account::Environment(&[
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_CLOUDWATCH",
    "AWS_ENDPOINT_URL",
]);
const DEFAULT_INTERVAL: &str = "5m";
const TIMEOUT_SECONDS: u64 = 30;
const SERVICE: &str = "monitoring";
const TARGET: &str = "GraniteServiceVersion20100801.GetMetricData";
/// Seconds to leave an API alone that says it is asked too often, without saying how long.
const THROTTLED_SECONDS: u64 = 10;

/// Describes the call of a metric.
pub(super) fn request(
    metric: &CloudWatchMetric,
    accounts: &Accounts,
    now: Timestamp,
) -> Result<Call, String> {
    let of = |name: &str| accounts.value(&ENVIRONMENT, name);
    let region = of("AWS_REGION").or_else(|| of("AWS_DEFAULT_REGION"));
    let region = region.ok_or("the controller has no AWS region: set AWS_REGION in its environment")?;
    if !region.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') {
        return Err("AWS_REGION in the controller's environment is not the name of a region".to_owned());
    }
    let own = of("AWS_ENDPOINT_URL_CLOUDWATCH").or_else(|| of("AWS_ENDPOINT_URL"));
    let url = match own {
        Some(url) => http::address(url, "AWS_ENDPOINT_URL")?.to_owned(),
        None if region.starts_with("cn-") => format!("https://monitoring.{region}.amazonaws.com.cn"),
        None => format!("https://monitoring.{region}.amazonaws.com"),
    };
    let interval = metric.interval.as_deref().filter(|interval| !interval.is_empty());
    let interval = go_duration::parse_seconds(interval.unwrap_or(DEFAULT_INTERVAL))?;
    let queries: Vec<Value> = metric.metric_data_queries.iter().map(query).collect();
    let body = json!({
        "StartTime": now.as_second().saturating_sub(interval), "EndTime": now.as_second(),
        "MetricDataQueries": queries,
    });
    let headers = [("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", TARGET)];
    Ok(Call {
        headers: http::json_headers(&headers),
        body: Some(body.to_string()),
        login: Login::Aws(Signing { region: region.to_owned(), service: SERVICE, ..Signing::default() }),
        ..Call::to(Method::Post, format!("{url}/"), TIMEOUT_SECONDS)
    })
}

fn query(query: &CloudWatchMetricDataQuery) -> Value {
    let mut json = Map::new();
    json.insert("Id".to_owned(), query.id.clone().unwrap_or_default().into());
    let mut add = |name: &str, value: Option<Value>| {
        value.map(|value| json.insert(name.to_owned(), value));
    };
    add("Expression", query.expression.clone().map(Value::from));
    add("Label", query.label.clone().map(Value::from));
    add("MetricStat", query.metric_stat.as_ref().map(stat));
    add("Period", query.period.as_ref().map(|period| seconds(period).into()));
    add("ReturnData", query.return_data.map(Value::from));
    Value::Object(json)
}

fn stat(stat: &CloudWatchMetricStat) -> Value {
    let metric = &stat.metric;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut named = json!({"MetricName": text(&metric.metric_name)});
    if let Some(namespace) = &metric.namespace {
        named["Namespace"] = namespace.as_str().into();
    }
    if !metric.dimensions.is_empty() {
        let dimensions = metric.dimensions.iter();
        named["Dimensions"] = dimensions
            .map(|dimension| json!({"Name": text(&dimension.name), "Value": text(&dimension.value)}))
            .collect();
    }
    let mut json = json!({"Metric": named, "Period": seconds(&stat.period), "Stat": text(&stat.stat)});
    if let Some(unit) = stat.unit.as_deref().filter(|unit| !unit.is_empty()) {
        json["Unit"] = unit.into();
    }
    json
}

/// A number of seconds; what is none counts as 0, which the API refuses by name.
fn seconds(number: &IntOrString) -> i32 {
    match number {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => text.parse().unwrap_or(0),
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "MetricDataResults", default)]
    results: Vec<Map<String, Value>>,
    #[serde(rename = "Messages", default)]
    messages: Vec<Message>,
    #[serde(rename = "NextToken", default)]
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "Code", default)]
    code: String,
    #[serde(rename = "Value", default)]
    value: String,
}

/// Reads the value out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    if !(200..300).contains(&response.status) {
        return Err(refusal(response));
    }
    let answer: Answer = serde_json::from_slice(&response.body)
        .map_err(|error| format!("cloudwatch did not answer metric data: {error}"))?;
    if answer.next_token.is_some_and(|token| !token.is_empty()) {
        return Err("cloudwatch answered a part of the data only: ask for less".to_owned());
    }
    if let Some(why) = answer.results.iter().find_map(incomplete) {
        return Err(why);
    }
    let values: Vec<Vec<f64>> = answer.results.iter().map(values).collect();
    // One series without values is missing data, whatever the others say.
    let is_hollow = values.iter().any(Vec::is_empty);
    let lists: Vec<String> = values.iter().map(|values| shown::list(values, " ", shown::general)).collect();
    let results = answer.results.into_iter().map(result).collect();
    let measured = Measured::json(results, is_hollow, format!("[{}]", lists.join(" ")))?;
    let messages: Vec<String> =
        answer.messages.iter().map(|message| format!("{}: {}", message.code, message.value)).collect();
    let metadata =
        (!messages.is_empty()).then(|| ("messages".to_owned(), shown::bounded(messages.join(", "))));
    Ok(Measured { metadata: metadata.into_iter().collect(), ..measured })
}

fn values(result: &Map<String, Value>) -> Vec<f64> {
    let values = result.get("Values").and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// A result with all the fields that conditions may name.
fn result(mut result: Map<String, Value>) -> Value {
    for list in ["Values", "Timestamps", "Messages"] {
        let known = result.entry(list).or_insert_with(|| json!([]));
        if known.is_null() {
            *known = json!([]);
        }
    }
    Value::Object(result)
}

/// Why a series is not all there, if it is not.
fn incomplete(result: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    let status = text("StatusCode");
    let is_whole = ["", "Complete"].contains(&status);
    (!is_whole).then(|| shown::bounded(format!("cloudwatch answered {status} for {:?}", text("Id"))))
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl Refusal {
    /// The kind without its namespace, such as `ThrottlingException`.
    fn of(response: &Response) -> Option<Self> {
        let told: Self = serde_json::from_slice(&response.body).ok()?;
        let kind = told.kind.rsplit('#').next().unwrap_or_default().to_owned();
        Some(Self { kind, ..told }).filter(|told| !told.kind.is_empty())
    }
}

/// Why the API refused. What it says of a wrong signature repeats the request with the token of the controller's session,
/// so of that only the kind is told, and of all else the first line.
fn refusal(response: &Response) -> String {
    match Refusal::of(response) {
        Some(Refusal { kind, message }) if is_of_signature(&kind) || is_of_signature(&message) => {
            shown::bounded(format!("{kind}: the signature was refused"))
        }
        Some(Refusal { kind, message }) => {
            shown::bounded(format!("{kind}: {}", message.lines().next().unwrap_or_default()))
        }
        None if is_of_signature(&String::from_utf8_lossy(&response.body)) => {
            format!("cloudwatch answered {}: the signature was refused", response.status)
        }
        None => format!("cloudwatch answered {}: {}", response.status, shown::excerpt(&response.body)),
    }
}

fn is_of_signature(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["signature", "x-amz-", "canonical"].iter().any(|word| text.contains(word))
}

/// How long to leave the API alone, if it says that it is asked too often.
pub(super) fn throttled(response: &Response) -> Option<u64> {
    let kind = if response.status < 400 { None } else { Refusal::of(response) }?.kind;
    throttled_seconds(&kind)
}

/// For how long to leave a service of AWS alone whose error has this code, if that says that it is asked too often.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>
#[must_use]
pub fn throttled_seconds(code: &str) -> Option<u64> {
    let is_throttled =
        code.starts_with("Throttl") || ["RequestLimitExceeded", "TooManyRequestsException"].contains(&code);
    is_throttled.then_some(THROTTLED_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;

    fn asked(environment: &[(&str, &str)]) -> Result<Call, String> {
        let metric: CloudWatchMetric = serde_json::from_value(json!({
            "interval": "30m",
            "metricDataQueries": [
                {"id": "rate", "expression": "errors / requests"},
                {"id": "errors", "returnData": false, "metricStat": {
                    "metric": {"namespace": "app", "metricName": "errors", "dimensions": [{"name": "s", "value": "web"}]},
                    "period": 300, "stat": "Sum", "unit": "Count",
                }},
                {"id": "requests", "label": "l", "period": "60", "metricStat": {
                    "metric": {"metricName": "requests"}, "period": "60", "stat": "p99",
                }},
            ],
        }))
        .unwrap();
        let found = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut accounts = Accounts::default();
        accounts.insert(ENVIRONMENT, Ok(found));
        request(&metric, &accounts, Timestamp::from_second(1_800_000_000).unwrap())
    }

    #[test]
    fn a_call_has_what_the_metric_says() {
        let call = asked(&[("AWS_REGION", "eu-west-1")]).unwrap();
        assert_eq!(
            (call.method, call.url.as_str()),
            (Method::Post, "https://monitoring.eu-west-1.amazonaws.com/")
        );
        let headers = [("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", TARGET)];
        assert_eq!(call.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let signing = Signing { region: "eu-west-1".into(), service: "monitoring", ..Signing::default() };
        assert!(call.login == Login::Aws(signing));
        let body: Value = serde_json::from_str(&call.body.unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"StartTime": 1_799_998_200, "EndTime": 1_800_000_000, "MetricDataQueries": [
                {"Id": "rate", "Expression": "errors / requests"},
                {"Id": "errors", "ReturnData": false, "MetricStat": {
                    "Metric": {"Namespace": "app", "MetricName": "errors", "Dimensions": [{"Name": "s", "Value": "web"}]},
                    "Period": 300, "Stat": "Sum", "Unit": "Count",
                }},
                {"Id": "requests", "Label": "l", "Period": 60, "MetricStat": {
                    "Metric": {"MetricName": "requests"}, "Period": 60, "Stat": "p99",
                }},
            ]})
        );
    }

    #[test]
    fn region_and_endpoint_are_the_controllers() {
        for (environment, wanted) in [
            (vec![("AWS_DEFAULT_REGION", "cn-north-1")], "https://monitoring.cn-north-1.amazonaws.com.cn/"),
            (vec![("AWS_REGION", "r"), ("AWS_ENDPOINT_URL", "http://aws:4566/")], "http://aws:4566/"),
            (
                vec![
                    ("AWS_REGION", "r"),
                    ("AWS_ENDPOINT_URL", "http://a"),
                    ("AWS_ENDPOINT_URL_CLOUDWATCH", "http://b"),
                ],
                "http://b/",
            ),
        ] {
            assert_eq!(asked(&environment).unwrap().url, wanted);
        }
        assert!(asked(&[]).unwrap_err().starts_with("the controller has no AWS region"));
        assert!(
            asked(&[("AWS_REGION", "evil.example/")]).unwrap_err().contains("is not the name of a region")
        );
    }

    fn measured(status: u16, body: &Value) -> Result<Measured, String> {
        value(&Response { status, body: body.to_string().into_bytes(), retry_after_seconds: None })
    }

    #[test]
    fn the_list_of_results_is_the_result() {
        let results = json!([
            {"Id": "rate", "Label": "rate", "StatusCode": "Complete", "Timestamps": [1.8e9, 1.7e9], "Values": [0.5, 1e6]},
            {"Id": "b", "Label": "b", "StatusCode": "Complete", "Timestamps": [1.8e9], "Values": [0.02], "Messages": null},
        ]);
        let messages = json!([{"Code": "MaxMetricsExceeded", "Value": "too many"}]);
        let got = measured(200, &json!({"MetricDataResults": results, "Messages": messages})).unwrap();
        assert_eq!(got.text, "[[0.5 1e+06] [0.02]]");
        assert_eq!(got.metadata["messages"], "MaxMetricsExceeded: too many");
        let MetricValue::Json(json) = got.value else { panic!("no JSON") };
        assert_eq!((&json[0]["Values"][0], &json[1]["Messages"]), (&json!(0.5), &json!([])));
    }

    #[test]
    fn series_without_values_are_missing_data() {
        let full = json!({"Id": "a", "Values": [1.0]});
        for results in [json!([{"Id": "a", "Values": []}]), json!([full, {"Id": "b"}]), json!([])] {
            let got = measured(200, &json!({"MetricDataResults": results})).unwrap();
            assert!(got.value.is_empty(), "{results}");
        }
    }

    #[test]
    fn parts_of_the_data_are_errors() {
        let page = json!({"MetricDataResults": [{"Id": "a", "Values": [1.0]}], "NextToken": "t"});
        assert!(measured(200, &page).unwrap_err().contains("a part of the data"));
        for status in ["PartialData", "InternalError", "Forbidden"] {
            let body = json!({"MetricDataResults": [{"Id": "a", "StatusCode": status, "Values": [1.0]}]});
            assert_eq!(measured(200, &body), Err(format!("cloudwatch answered {status} for \"a\"")));
        }
    }

    #[test]
    fn nothing_of_a_signed_request_is_told() {
        let canonical = "The request signature we calculated does not match.\n\nThe Canonical String for this request \
                         should have been\n'POST\n/\n\nx-amz-security-token:hush";
        for (kind, message) in [
            ("com.amazon.coral.service#InvalidSignatureException", canonical),
            ("SignatureDoesNotMatch", "hush"),
            ("IncompleteSignatureException", "'hush' is not a valid key=value pair"),
            ("AccessDenied", "x-amz-security-token:hush"),
        ] {
            let told = measured(403, &json!({"__type": kind, "message": message})).unwrap_err();
            let kind = kind.rsplit('#').next().unwrap();
            assert_eq!(told, format!("{kind}: the signature was refused"));
        }
        let told = measured(403, &json!({"message": canonical})).unwrap_err();
        assert_eq!(told, "cloudwatch answered 403: the signature was refused");
        let told = measured(403, &json!("<Code>SignatureDoesNotMatch</Code>hush")).unwrap_err();
        assert_eq!(told, "cloudwatch answered 403: the signature was refused");
    }

    #[test]
    fn refusals_are_told_and_too_many_requests_wait() {
        let body = json!({"__type": "com.amazonaws.cloudwatch#ValidationError", "message": "bad"});
        assert_eq!(measured(400, &body), Err("ValidationError: bad".into()));
        assert_eq!(measured(503, &json!("busy")), Err("cloudwatch answered 503: \"busy\"".into()));
        let lines = json!({"__type": "ValidationError", "message": "bad\nmore of it"});
        assert_eq!(measured(400, &lines), Err("ValidationError: bad".into()));
        let response = |status, kind: &str| Response {
            status,
            body: json!({"__type": kind, "Message": "slow"}).to_string().into_bytes(),
            retry_after_seconds: None,
        };
        assert_eq!(throttled(&response(400, "ThrottlingException")), Some(10));
        assert_eq!(throttled(&response(400, "a#Throttling")), Some(10));
        assert_eq!(
            (throttled(&response(400, "ValidationError")), throttled(&response(200, "Throttling"))),
            (None, None)
        );
    }
}
