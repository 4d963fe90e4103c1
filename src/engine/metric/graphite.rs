//! Provider Graphite: the render API.
//!
//! Input: the settings of a metric, then the JSON of `/render`. Output: a call, then the points of the first series that
//! are numbers.

use serde::Deserialize;
use serde_json::Value;
use tidegate_api::analysis::GraphiteMetric;

use super::http::{self, Call, Method};
use super::{Measured, Response, shown};

const TIMEOUT_SECONDS: u64 = 10;

/// Describes the call of a metric, whose query is that of a URL: `target=...&from=-5min`.
pub(super) fn request(metric: &GraphiteMetric) -> Result<Call, String> {
    let given = metric.address.as_deref().unwrap_or_default();
    let address =
        http::address(given, "").map_err(|_| format!("Graphite address {given} is not a valid URL"))?;
    let mut pairs = pairs(metric.query.as_deref().unwrap_or_default());
    pairs.retain(|(name, _)| name != "format");
    pairs.push(("format".to_owned(), "json".to_owned()));
    // As Go orders a query.
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(Call::to(Method::Get, format!("{address}/render?{}", http::form(&pairs)), TIMEOUT_SECONDS))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    // Argo takes all blanks out: people write a query in several lines, with its `&` at their ends.
    let query: String = query.split_whitespace().collect();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

/// A part of a query without its encoding; what is no encoding stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (other, _) => decoded.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    datapoints: Vec<Value>,
}

/// Reads the numbers out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    if !(200..300).contains(&response.status) {
        return Err(format!("error response: {}", shown::excerpt(&response.body)));
    }
    let series: Vec<Series> = serde_json::from_slice(&response.body)
        .map_err(|error| format!("graphite did not answer a list of series: {error}"))?;
    let points = series.into_iter().next().map(|series| series.datapoints).unwrap_or_default();
    if points.is_empty() {
        return Ok(Measured::refused("no values found"));
    }
    let numbers: Result<Vec<Option<f64>>, String> = points.iter().map(point).collect();
    let samples: Vec<f64> = numbers?.into_iter().flatten().collect();
    let text = shown::list(&samples, ",", |sample| shown::fixed(sample, 6));
    Measured::samples(samples, text)
}

/// A point is `[number, time]`, with null where there is no number.
fn point(point: &Value) -> Result<Option<f64>, String> {
    let malformed = || format!("error unmarshaling data point: {point}");
    let parts = point.as_array().filter(|parts| parts.len() == 2).ok_or_else(malformed)?;
    match &parts[0] {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_f64().map(Some).ok_or_else(malformed),
        Value::String(text) => text.parse().map(Some).map_err(|_| malformed()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;
    use crate::metric::http::Login;

    fn asked(address: &str, query: &str) -> Result<Call, String> {
        request(&GraphiteMetric { address: Some(address.into()), query: Some(query.into()) })
    }

    #[test]
    fn the_query_is_part_of_the_address() {
        let call = asked(
            "http://graphite:8080/api/",
            "target=sumSeries(\n  app.a,  'b c')&\nfrom=-5min&format=png\n",
        )
        .unwrap();
        assert_eq!(
            call.url,
            "http://graphite:8080/api/render?format=json&from=-5min&target=sumSeries%28app.a%2C%27bc%27%29"
        );
        assert_eq!((call.method, call.timeout_seconds, call.login == Login::None), (Method::Get, 10, true));
        let again = asked("http://g", "target=a%2Cb+c&x=%zz").unwrap();
        assert_eq!(again.url, "http://g/render?format=json&target=a%2Cb+c&x=%25zz");
        for address in ["", "graphite", "ftp://g"] {
            assert_eq!(
                asked(address, "target=a"),
                Err(format!("Graphite address {address} is not a valid URL"))
            );
        }
    }

    fn measured(status: u16, body: &str) -> Result<(MetricValue, String), String> {
        let response = Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None };
        value(&response).map(|measured| (measured.value, measured.text))
    }

    #[test]
    fn the_points_of_the_first_series_are_the_result() {
        let body = r#"[{"target":"a","datapoints":[[3,1625000000],[null,1625000060],["2.5",1625000120]]},{"datapoints":[[9,1]]}]"#;
        assert_eq!(
            measured(200, body),
            Ok((MetricValue::Samples(vec![3.0, 2.5]), "[3.000000,2.500000]".into()))
        );
        let (value, text) = measured(200, r#"[{"datapoints":[[null,1]]}]"#).unwrap();
        assert!(value.is_empty());
        assert_eq!(text, "[]");
        for body in ["[]", r#"[{"datapoints":[]}]"#] {
            assert_eq!(measured(200, body).unwrap().0, MetricValue::Nothing("no values found"));
        }
        let (value, _) = measured(200, r#"[{"datapoints":[["NaN",1]]}]"#).unwrap();
        assert!(value.has_nan());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for (status, body, wanted) in [
            (400, "bad target", "error response: bad target"),
            (200, r#"[{"datapoints":[[1]]}]"#, "error unmarshaling data point: [1]"),
            (200, r#"[{"datapoints":[[true,1]]}]"#, "error unmarshaling data point: [true,1]"),
        ] {
            assert_eq!(measured(status, body), Err(wanted.into()));
        }
        assert!(measured(200, "{}").unwrap_err().starts_with("graphite did not answer a list of series"));
    }
}
