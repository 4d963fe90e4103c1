//! Provider Datadog: metric queries over its HTTP API, version 1 or 2.
//!
//! Input: the settings of a metric and the keys of an account, then the JSON of `/api/v1/query` or
//! `/api/v2/query/scalar`. Output: a call, then one number, or one for each group of a query by tags that has any. Without
//! data there is no result, which `default(result, 0)` stands in for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_api::analysis::DatadogMetric;
use tidegate_api::go_duration;

use super::account::{Account, Accounts};
use super::http::{self, Call, Method};
use super::{Measured, Response, shown};
use crate::rollout::hash;

/// Where the API is when the account does not say.
const ADDRESS: &str = "https://api.datadoghq.com";
const DEFAULT_INTERVAL: &str = "5m";
const DEFAULT_TIMEOUT_SECONDS: u64 = 10;
/// The Secret when the metric names none.
const SECRET: &str = "datadog";
/// Variables of the controller, which count when all of them are there.
const VARIABLES: [&str; 3] = ["DD_API_KEY", "DD_APP_KEY", "DD_ADDRESS"];
const ENVIRONMENT: Account = Account::Environment(&VARIABLES);
/// Groups that the metadata of a measurement name, and how long that may be.
const MOST_GROUPS: usize = 100;
const MOST_BYTES: usize = 16 << 10;

/// The API that a metric asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

fn version(metric: &DatadogMetric) -> Version {
    match metric.api_version.as_deref() {
        None | Some("" | "v1") => Version::V1,
        Some(_) => Version::V2,
    }
}

fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// Where the keys may be, in the order in which they count.
pub(super) fn accounts(metric: &DatadogMetric) -> Vec<Account> {
    let name = text(&metric.secret_ref.name).to_owned();
    match (name.is_empty(), metric.secret_ref.namespaced) {
        (false, true) => vec![Account::Run(name)],
        (false, false) => vec![Account::Own(name)],
        // Which one is meant in the run's namespace must be said.
        (true, true) => Vec::new(),
        (true, false) => vec![ENVIRONMENT, Account::Own(SECRET.to_owned())],
    }
}

/// What signs a request in.
struct Keys<'a> {
    address: &'a str,
    api: &'a str,
    application: &'a str,
}

fn keys<'a>(metric: &DatadogMetric, accounts: &'a Accounts) -> Result<Keys<'a>, String> {
    if metric.secret_ref.namespaced && text(&metric.secret_ref.name).is_empty() {
        return Err("secret name is required for namespaced credentials".to_owned());
    }
    let found = self::accounts(metric).into_iter().find_map(|account| {
        let of = |key: &str| accounts.value(&account, key);
        if account == ENVIRONMENT {
            // Argo wants the variable of the address to be there, and takes the usual one where it is empty.
            let address =
                accounts.has(&account, "DD_ADDRESS").then(|| of("DD_ADDRESS").unwrap_or(ADDRESS))?;
            return Some(Keys { address, api: of("DD_API_KEY")?, application: of("DD_APP_KEY")? });
        }
        let (api, application) = (of("api-key")?, of("app-key")?);
        Some(Keys { address: of("address").unwrap_or(ADDRESS), api, application })
    });
    found.ok_or_else(|| "failed to find the credentials for datadog metrics provider".to_owned())
}

/// What is wrong with the settings, in Argo Rollouts' words.
fn check(metric: &DatadogMetric, version: Version) -> Result<(), String> {
    let has_query = !text(&metric.query).is_empty();
    let has_formula = !text(&metric.formula).is_empty();
    let is_v1 = version == Version::V1;
    let why = if !has_query && metric.queries.is_empty() {
        "Must have either a query or queries. Please review the Analysis Template."
    } else if has_query && !metric.queries.is_empty() {
        "Cannot have both a query and queries. Please review the Analysis Template."
    } else if is_v1 && !has_query {
        "Query is empty. API Version v1 only supports using the query parameter in your Analysis Template."
    } else if has_formula && metric.queries.is_empty() {
        "Formula are only valid when queries are set. Please review the Analysis Template."
    } else if !has_formula && metric.queries.len() > 1 {
        "When multiple queries are provided you must include a formula."
    } else if is_v1 && !text(&metric.aggregator).is_empty() {
        "Aggregator is not supported in v1. Please review the Analysis Template."
    } else {
        return Ok(());
    };
    Err(why.to_owned())
}

/// What is wrong with the settings whatever the arguments are, if anything is.
pub(super) fn fault(metric: &DatadogMetric) -> Option<String> {
    check(metric, version(metric)).err()
}

/// Seconds to wait for an answer; parts of a second count as one.
fn timeout_seconds(metric: &DatadogMetric) -> Result<u64, String> {
    let Some(timeout) = metric.request_timeout.as_deref().filter(|timeout| !timeout.is_empty()) else {
        return Ok(DEFAULT_TIMEOUT_SECONDS);
    };
    let nanoseconds = go_duration::parse_nanoseconds(timeout).map_err(|why| {
        format!("Could not parse the request timeout: {why}. Please review the Analysis Template.")
    })?;
    let seconds = u64::try_from(nanoseconds).ok().filter(|nanoseconds| *nanoseconds > 0);
    seconds.map(|nanoseconds| nanoseconds.div_ceil(1_000_000_000)).ok_or_else(|| {
        "Request timeout must be a positive duration (e.g. 30s). Please review the Analysis Template."
            .to_owned()
    })
}

/// Describes the call of a metric.
pub(super) fn request(metric: &DatadogMetric, accounts: &Accounts, now: Timestamp) -> Result<Call, String> {
    let version = version(metric);
    let keys = keys(metric, accounts)?;
    check(metric, version)?;
    let timeout_seconds = timeout_seconds(metric)?;
    let interval = metric.interval.as_deref().filter(|interval| !interval.is_empty());
    let interval = go_duration::parse_seconds(interval.unwrap_or(DEFAULT_INTERVAL))?;
    let (from, to) = (now.as_second().saturating_sub(interval), now.as_second());
    let address = http::address(keys.address, "the address of Datadog")?;
    let headers = [("DD-API-KEY", keys.api), ("DD-APPLICATION-KEY", keys.application)];
    let call = Call {
        headers: http::json_headers(&headers),
        ..Call::to(Method::Get, String::new(), timeout_seconds)
    };
    Ok(match version {
        Version::V1 => {
            let (from, to) = (from.to_string(), to.to_string());
            let query = http::form(&[("from", &from), ("query", text(&metric.query)), ("to", &to)]);
            Call { url: format!("{address}/api/v1/query?{query}"), ..call }
        }
        Version::V2 => {
            let url = format!("{address}/api/v2/query/scalar");
            Call { method: Method::Post, url, body: Some(scalar(metric, from, to).to_string()), ..call }
        }
    })
}

/// The body that version 2 wants; its times are milliseconds.
fn scalar(metric: &DatadogMetric, from: i64, to: i64) -> Value {
    let aggregator = Some(text(&metric.aggregator)).filter(|text| !text.is_empty()).unwrap_or("last");
    let only =
        metric.query.clone().filter(|query| !query.is_empty()).map(|query| ("query".to_owned(), query));
    let named = only.into_iter().chain(metric.queries.clone());
    let queries: Vec<Value> = named
        .map(|(name, query)| {
            json!({"aggregator": aggregator, "data_source": "metrics", "name": name, "query": query})
        })
        .collect();
    let formula = Some(text(&metric.formula)).filter(|formula| !formula.is_empty());
    let formulas: Vec<Value> = formula.map(|formula| json!({"formula": formula})).into_iter().collect();
    json!({"data": {"type": "scalar_request", "attributes": {
        "from": from.saturating_mul(1000), "to": to.saturating_mul(1000), "queries": queries, "formulas": formulas,
    }}})
}

/// Reads the value out of an answer.
pub(super) fn value(metric: &DatadogMetric, response: &Response) -> Result<Measured, String> {
    let (status, body) = (response.status, shown::excerpt(&response.body));
    if [401, 403].contains(&status) {
        return Err(format!("received authentication error response code: {status} {body}"));
    }
    if status != 200 {
        return Err(format!("received non 2xx response code: {status} {body}"));
    }
    match version(metric) {
        Version::V1 => value_of_v1(parsed(response)?),
        Version::V2 => value_of_v2(parsed(response)?),
    }
}

fn parsed<T: for<'a> Deserialize<'a>>(response: &Response) -> Result<T, String> {
    serde_json::from_slice(&response.body).map_err(|error| format!("Could not parse JSON body: {error}"))
}

#[derive(Deserialize)]
struct AnswerOfV1 {
    #[serde(default)]
    series: Option<Vec<Series>>,
    /// Such as `Rate limit of 100 requests ...`; it comes with status 200, too.
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    pointlist: Vec<Vec<Option<f64>>>,
}

/// The last point of the first series. A point that is null is no data: zero would say that all is well.
fn value_of_v1(answer: AnswerOfV1) -> Result<Measured, String> {
    if let Some(error) = answer.error.filter(|error| !error.is_empty()) {
        return Err(format!("There were errors in your query: {error}"));
    }
    let Some(series) = answer.series else { return Ok(Measured::nothing("null".to_owned())) };
    let Some(last) = series.first().and_then(|series| series.pointlist.last()) else {
        return Ok(Measured::nothing("[]".to_owned()));
    };
    let [_, number] = last.as_slice() else {
        return Err("Datapoint does not have 2 values".to_owned());
    };
    Ok(match number {
        Some(number) => Measured::number(*number, shown::number(*number)),
        None => Measured::nothing("null".to_owned()),
    })
}

#[derive(Deserialize)]
struct AnswerOfV2 {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    errors: Value,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    attributes: Option<Attributes>,
    #[serde(default)]
    errors: Value,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default)]
    columns: Option<Vec<Column>>,
}

/// A column of tags, or of numbers.
#[derive(Deserialize)]
struct Column {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    values: Vec<Value>,
}

fn value_of_v2(answer: AnswerOfV2) -> Result<Measured, String> {
    let (of_data, attributes) =
        answer.data.map_or((Value::Null, None), |data| (data.errors, data.attributes));
    if let Some(errors) = told(&of_data).or_else(|| told(&answer.errors)) {
        return Err(format!("There were errors in your query: {errors}"));
    }
    let columns = attributes.and_then(|attributes| attributes.columns).unwrap_or_default();
    let (tags, numbers): (Vec<&Column>, Vec<&Column>) =
        columns.iter().partition(|column| column.kind == "group");
    let Some(column) = numbers.first() else {
        return Ok(Measured::nothing("[]".to_owned()));
    };
    let nothing = || Measured::nothing(shown::json(&json!(column.values)));
    if tags.is_empty() {
        let number = column.values.first().and_then(Value::as_f64);
        return Ok(number.map_or_else(nothing, |number| Measured::number(number, shown::number(number))));
    }
    let groups = groups(&tags, column)?;
    if groups.is_empty() {
        return Ok(nothing());
    }
    let samples: Vec<f64> = groups.iter().map(|group| group.value).collect();
    let text = shown::list(&samples, ",", shown::number);
    let measured = Measured::samples(samples, text)?;
    Ok(Measured { metadata: metadata(groups), ..measured })
}

fn told(errors: &Value) -> Option<String> {
    match errors {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_) => {
            Some(shown::bounded(errors.to_string()))
        }
    }
}

/// One group of a query by tags.
struct Group {
    /// The values of its tags, such as `web,prod`.
    name: String,
    value: f64,
}

/// The groups that have a value; null is what a group has that was not seen in the time asked for.
fn groups(tags: &[&Column], numbers: &Column) -> Result<Vec<Group>, String> {
    let rows = numbers.values.iter().enumerate().filter(|(_, value)| !value.is_null());
    let group = |(row, value): (usize, &Value)| match value.as_f64() {
        Some(value) => Ok(Group { name: name(tags, row), value }),
        None => Err(shown::bounded(format!("column {:?} has a value that is no number", numbers.name))),
    };
    rows.map(group).collect()
}

/// The values of the tags in a row, joined by commas.
fn name(tags: &[&Column], row: usize) -> String {
    let of_tag = |column: &&Column| match column.values.get(row) {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        Some(other) => other.as_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    tags.iter().map(of_tag).collect::<Vec<_>>().join(",")
}

/// What is told of the groups. Of more than may be told only some are left, whole ones, so that it stays JSON.
fn metadata(mut groups: Vec<Group>) -> BTreeMap<String, String> {
    let all = groups.len();
    if all > MOST_GROUPS {
        keep(&mut groups, MOST_GROUPS);
    }
    let mut text = written(&groups);
    while text.len() > MOST_BYTES {
        let half = groups.len() / 2;
        keep(&mut groups, half);
        text = written(&groups);
    }
    let truncated = (groups.len() < all).then(|| ("groups_truncated".to_owned(), "true".to_owned()));
    std::iter::once(("groups".to_owned(), text)).chain(truncated).collect()
}

/// Leaves so many groups, the lowest and the highest, since only the condition knows which of them are the bad ones.
fn keep(groups: &mut Vec<Group>, most: usize) {
    groups.sort_by(|one, other| one.value.total_cmp(&other.value));
    let (low, high) = (most / 2, most - most / 2);
    groups.drain(low..groups.len() - high);
}

/// The groups as Go writes the JSON of them.
fn written(groups: &[Group]) -> String {
    let members = groups.iter().map(|group| json!({"name": group.name, "value": group.value}));
    hash::go_text(&members.collect())
}

#[cfg(test)]
mod tests;
