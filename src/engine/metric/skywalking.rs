//! Provider Apache SkyWalking: GraphQL queries.
//!
//! Input: the settings of a metric, then the JSON of `/graphql`. Output: a call that gives the query a `$duration`, then
//! the object that the query yields.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tidegate_api::analysis::SkyWalkingMetric;
use tidegate_api::go_duration;

use super::graphql::Answer;
use super::http::{self, Call, Method};
use super::measured::is_hollow;
use super::{Measured, Response, shown};

const TIMEOUT_SECONDS: u64 = 30;
/// How SkyWalking writes a minute: `2026-11-26 1345`.
const MINUTE: &str = "%Y-%m-%d %H%M";

/// What is wrong with the settings whatever the arguments are, if anything is.
pub(super) fn fault(metric: &SkyWalkingMetric) -> Option<String> {
    let is_missing = metric.interval.as_deref().unwrap_or_default().is_empty();
    is_missing.then(|| "skywalking: interval is required".to_owned())
}

/// Describes the call of a metric.
pub(super) fn request(metric: &SkyWalkingMetric, now: Timestamp) -> Result<Call, String> {
    let interval = go_duration::parse_nanoseconds(metric.interval.as_deref().unwrap_or_default())?;
    let start = now.checked_sub(SignedDuration::from_nanos(interval)).unwrap_or(now);
    let given = metric.address.as_deref().unwrap_or_default();
    let address = http::address(given, "the address of SkyWalking")?;
    let time = |time: Timestamp| time.strftime(MINUTE).to_string();
    let duration = json!({"start": time(start), "end": time(now), "step": "MINUTE"});
    let query = metric.query.as_deref().unwrap_or_default();
    Ok(Call {
        headers: http::json_headers(&[("Accept", "application/json")]),
        body: Some(json!({"query": query, "variables": {"duration": duration}}).to_string()),
        ..Call::to(Method::Post, format!("{address}/graphql"), TIMEOUT_SECONDS)
    })
}

/// Reads the value out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    let answer: Result<Answer, _> = serde_json::from_slice(&response.body);
    let is_fine = (200..300).contains(&response.status);
    let answer = match answer {
        Ok(answer) if is_fine || answer.errors().next().is_some() => answer,
        Ok(_) | Err(_) if !is_fine => {
            return Err(format!("graphql: server returned a non-200 status code: {}", response.status));
        }
        Ok(answer) => answer,
        Err(error) => return Err(format!("skywalking did not answer JSON: {error}")),
    };
    if let Some(error) = answer.errors().next() {
        return Err(shown::bounded(format!("graphql: {error}")));
    }
    if answer.data.is_null() {
        return Ok(Measured::refused("no results returned from SkyWalking query"));
    }
    let (is_hollow, text) = (is_hollow(&answer.data), shown::json(&answer.data));
    Measured::json(answer.data, is_hollow, text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::metric::MetricValue;

    fn asked(json: Value) -> Result<Call, String> {
        let metric: SkyWalkingMetric = serde_json::from_value(json).unwrap();
        request(&metric, "2026-11-26T00:03:59Z".parse().unwrap())
    }

    #[test]
    fn the_query_gets_its_duration() {
        let call = asked(json!({"address": "http://sky:12800/", "query": "query q($duration: Duration!)", "interval": "5m"})).unwrap();
        assert_eq!(
            (call.method, call.url.as_str(), call.timeout_seconds),
            (Method::Post, "http://sky:12800/graphql", 30)
        );
        let body: Value = serde_json::from_str(&call.body.unwrap()).unwrap();
        let duration = json!({"start": "2026-11-25 2358", "end": "2026-11-26 0003", "step": "MINUTE"});
        assert_eq!(
            body,
            json!({"query": "query q($duration: Duration!)", "variables": {"duration": duration}})
        );
        assert_eq!(asked(json!({"address": "http://s"})).unwrap_err(), "time: invalid duration \"\"");
        assert!(
            asked(json!({"address": "sky", "interval": "1m"}))
                .unwrap_err()
                .starts_with("the address of SkyWalking")
        );
    }

    fn measured(status: u16, body: &str) -> Result<(MetricValue, String), String> {
        let response = Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None };
        value(&response).map(|measured| (measured.value, measured.text))
    }

    #[test]
    fn what_the_query_yields_is_the_result() {
        let body = r#"{"data":{"service_apdex":{"values":{"values":[{"value":9900},{"value":10000}]}}}}"#;
        let wanted = json!({"service_apdex": {"values": {"values": [{"value": 9900}, {"value": 10000}]}}});
        let text = r#"{"service_apdex":{"values":{"values":[{"value":9900},{"value":10000}]}}}"#;
        assert_eq!(measured(200, body), Ok((MetricValue::Json(wanted), text.into())));
        let null = r#"{"data":{"a":1},"errors":null}"#;
        assert_eq!(measured(200, null), Ok((MetricValue::Json(json!({"a": 1})), r#"{"a":1}"#.into())));
        let nothing = MetricValue::Nothing("no results returned from SkyWalking query");
        assert_eq!(measured(200, r#"{"data":null}"#).unwrap().0, nothing);
        for data in [r#"{"a":{"values":[]}}"#, r#"{"a":null}"#, r#"{"a":[{"value":null}]}"#] {
            assert!(measured(200, &format!(r#"{{"data":{data}}}"#)).unwrap().0.is_empty(), "{data}");
        }
    }

    #[test]
    fn errors_are_told() {
        for (status, body, wanted) in [
            (200, r#"{"errors":[{"message":"no such field"}],"data":null}"#, "graphql: no such field"),
            (400, r#"{"errors":[{"message":"bad"}]}"#, "graphql: bad"),
            (500, "oops", "graphql: server returned a non-200 status code: 500"),
            (500, "{}", "graphql: server returned a non-200 status code: 500"),
        ] {
            assert_eq!(measured(status, body), Err(wanted.into()));
        }
        assert!(measured(200, "<").unwrap_err().starts_with("skywalking did not answer JSON"));
    }
}
