//! Provider New Relic: NRQL queries over NerdGraph.
//!
//! Input: the settings of a metric and the keys of an account, then the JSON of NerdGraph. Output: a call, then the row
//! that the query yields as an object, or a list of them where it yields several.

use serde_json::{Value, json};
use tidegate_api::analysis::NewRelicMetric;

use super::account::{Account, Accounts};
use super::graphql::Answer;
use super::http::{self, Call, Method};
use super::measured::is_hollow;
use super::{Measured, Response, shown};

/// The Secret when the metric names none.
const SECRET: &str = "newrelic";
/// Seconds that New Relic may take for a query when the metric does not say.
const DEFAULT_TIMEOUT_SECONDS: i64 = 5;
/// Seconds that the way there and back may take besides.
const WAY_SECONDS: u64 = 10;
const QUERY: &str = "query ($query: Nrql!, $accountId: Int!, $timeout: Seconds!) \
                     {actor {account(id: $accountId) {nrql(query: $query, timeout: $timeout) {results}}}}";
const NO_RESULTS: &str = "no results returned from NRQL query";

/// The Secret with the keys.
pub(super) fn account(metric: &NewRelicMetric) -> Account {
    let profile = metric.profile.clone().filter(|profile| !profile.is_empty());
    Account::Own(profile.unwrap_or_else(|| SECRET.to_owned()))
}

/// Describes the call of a metric.
pub(super) fn request(metric: &NewRelicMetric, accounts: &Accounts) -> Result<Call, String> {
    let account = account(metric);
    accounts.read(&account)?;
    let of = |key: &str| accounts.value(&account, key);
    let found = of("personal-api-key").zip(of("account-id"));
    let (key, id) = found.ok_or("account ID or personal API key not found")?;
    let id: i64 = id.parse().map_err(|_| "could not parse account ID: it must be a number".to_owned())?;
    let timeout = metric.timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
    let waited =
        u64::try_from(timeout).map_err(|_| "timeout value needs to be a positive value".to_owned())?;
    let url = match of("base-url-nerdgraph") {
        Some(url) => http::address(url, "base-url-nerdgraph of New Relic's Secret")?,
        None => region(of("region").unwrap_or("us"))?,
    };
    let variables = json!({"accountId": id, "query": metric.query, "timeout": timeout});
    Ok(Call {
        headers: http::json_headers(&[("Api-Key", key)]),
        body: Some(json!({"query": QUERY, "variables": variables}).to_string()),
        ..Call::to(Method::Post, url.to_owned(), waited.saturating_add(WAY_SECONDS))
    })
}

fn region(name: &str) -> Result<&'static str, String> {
    match name.to_ascii_lowercase().as_str() {
        "us" => Ok("https://api.newrelic.com/graphql"),
        "eu" => Ok("https://api.eu.newrelic.com/graphql"),
        "staging" => Ok("https://staging-api.newrelic.com/graphql"),
        _ => Err(format!("unknown region: {name:?}; New Relic has us and eu")),
    }
}

/// Reads the value out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    let answer: Answer = match serde_json::from_slice(&response.body) {
        Ok(answer) => answer,
        Err(_) => {
            let body = shown::excerpt(&response.body);
            return Err(format!("New Relic answered {} without JSON: {body}", response.status));
        }
    };
    let told: Vec<&str> = answer.errors().collect();
    if !told.is_empty() {
        return Err(shown::bounded(told.join(", ")));
    }
    if !(200..300).contains(&response.status) {
        return Err(format!("New Relic answered {}: {}", response.status, shown::excerpt(&response.body)));
    }
    let rows = answer.data.pointer("/actor/account/nrql/results").and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    match rows {
        [] => Ok(Measured::refused(NO_RESULTS)),
        [Value::Object(row)] if row.is_empty() => Ok(Measured::refused(NO_RESULTS)),
        [row] => Measured::json(row.clone(), is_hollow(row), shown::json(row)),
        rows => {
            let rows: Value = rows.into();
            // One row without data is missing data, whatever the others say.
            let is_hollow = rows.as_array().is_some_and(|rows| rows.iter().any(is_hollow));
            let text = shown::json(&rows);
            Measured::json(rows, is_hollow, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;

    fn asked(settings: Value, secret: &[(&str, &str)]) -> Result<Call, String> {
        let metric: NewRelicMetric = serde_json::from_value(settings).unwrap();
        let found = secret.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut accounts = Accounts::default();
        accounts.insert(account(&metric), Ok(found));
        request(&metric, &accounts)
    }

    #[test]
    fn the_query_goes_to_the_region_of_the_account() {
        let secret = [("personal-api-key", "hush"), ("account-id", "123"), ("region", "EU")];
        let call = asked(json!({"query": "SELECT 1", "timeout": 20}), &secret).unwrap();
        assert_eq!((call.method, call.timeout_seconds), (Method::Post, 30));
        assert_eq!(call.url, "https://api.eu.newrelic.com/graphql");
        assert_eq!(call.headers[1], ("Api-Key".to_owned(), "hush".to_owned()));
        let body: Value = serde_json::from_str(&call.body.unwrap()).unwrap();
        assert_eq!(body["variables"], json!({"accountId": 123, "query": "SELECT 1", "timeout": 20}));
        assert_eq!(
            asked(json!({"query": "q"}), &secret[..2]).unwrap().url,
            "https://api.newrelic.com/graphql"
        );
        let own =
            [("personal-api-key", "k"), ("account-id", "1"), ("base-url-nerdgraph", "http://n/graphql")];
        assert_eq!(asked(json!({"query": "q", "profile": "p"}), &own).unwrap().url, "http://n/graphql");
        let metric = NewRelicMetric { profile: Some("p".into()), ..Default::default() };
        assert_eq!(account(&metric), Account::Own("p".into()));
    }

    #[test]
    fn what_makes_no_call_is_named() {
        let key = ("personal-api-key", "hush");
        for (settings, secret, wanted) in [
            (json!({"query": "q"}), vec![key], "account ID or personal API key not found"),
            (json!({"query": "q"}), vec![key, ("account-id", "x")], "could not parse account ID"),
            (
                json!({"query": "q"}),
                vec![key, ("account-id", "1"), ("region", "mars")],
                "unknown region: \"mars\"",
            ),
            (
                json!({"query": "q", "timeout": -1}),
                vec![key, ("account-id", "1")],
                "timeout value needs to be",
            ),
        ] {
            let error = asked(settings, &secret).unwrap_err();
            assert!(error.starts_with(wanted) && !error.contains("hush"), "{error}");
        }
        let mut accounts = Accounts::default();
        let metric = NewRelicMetric::default();
        accounts.insert(account(&metric), Err("secrets \"newrelic\" not found".into()));
        assert_eq!(request(&metric, &accounts), Err("secrets \"newrelic\" not found".into()));
    }

    fn measured(status: u16, body: &str) -> Result<Measured, String> {
        value(&Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None })
    }

    fn results(rows: &str) -> Result<Measured, String> {
        measured(200, &format!(r#"{{"data":{{"actor":{{"account":{{"nrql":{{"results":{rows}}}}}}}}}}}"#))
    }

    #[test]
    fn one_row_is_an_object_and_several_are_a_list() {
        let one = results(r#"[{"average.duration":0.5,"count":1e3}]"#).unwrap();
        assert_eq!(one.value, MetricValue::Json(json!({"average.duration": 0.5, "count": 1e3})));
        assert_eq!(one.text, r#"{"average.duration":0.5,"count":1000}"#);
        let two = results(r#"[{"facet":"a","count":1},{"facet":"b","count":2}]"#).unwrap();
        assert_eq!(
            two.value,
            MetricValue::Json(json!([{"facet": "a", "count": 1}, {"facet": "b", "count": 2}]))
        );
    }

    #[test]
    fn errors_may_be_null() {
        let body = r#"{"data":{"actor":{"account":{"nrql":{"results":[{"count":1}]}}}},"errors":null}"#;
        assert_eq!(measured(200, body).unwrap().text, r#"{"count":1}"#);
    }

    #[test]
    fn rows_without_data_are_missing_data() {
        assert!(results(r#"[{"average.duration":null}]"#).unwrap().value.is_empty());
        assert!(results(r#"[{"a":1},{"a":null}]"#).unwrap().value.is_empty());
        for rows in ["[]", "[{}]", "null"] {
            assert_eq!(results(rows), Ok(Measured::refused(NO_RESULTS)));
        }
    }

    #[test]
    fn errors_are_told() {
        for (status, body, wanted) in [
            (
                200,
                r#"{"data":null,"errors":[{"message":"NRQL Syntax Error"},{"message":"b"}]}"#,
                "NRQL Syntax Error, b",
            ),
            (401, r#"{"error":"x"}"#, r#"New Relic answered 401: {"error":"x"}"#),
            (502, "<html>", "New Relic answered 502 without JSON: <html>"),
        ] {
            assert_eq!(measured(status, body), Err(wanted.into()));
        }
    }
}
