//! Provider Web: any server that answers JSON, or a text.
//!
//! Input: the settings of a metric, then the answer. Output: a call, then the first value that the JSONPath finds. A body
//! that is no JSON is a text, which the conditions judge like any other value; an empty one is no data.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_api::analysis::{Authentication, WebMetric};

use super::http::{self, Call, Login, Method};
use super::json_path::JsonPath;
use super::{Measured, MetricValue, Response, shown};

/// Seconds to wait for an answer when the metric does not say.
const DEFAULT_TIMEOUT_SECONDS: u64 = 10;
/// The path of a metric that names none: all of the answer.
const WHOLE: &str = "{$}";

fn path(metric: &WebMetric) -> Result<JsonPath, String> {
    let path = metric.json_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(WHOLE);
    JsonPath::parse(path).map_err(|why| format!("jsonPath cannot be used: {why}"))
}

/// Describes the call of a metric.
pub(super) fn request(metric: &WebMetric) -> Result<Call, String> {
    let method = match metric.method.as_deref().unwrap_or_default() {
        "" | "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        _ => return Err("the web metric's method is not one of GET, POST and PUT".to_owned()),
    };
    let body = metric.body.clone().filter(|body| !body.is_empty());
    if body.is_some() && metric.json_body.is_some() {
        return Err("use either Body or JSONBody; both cannot exists for WebMetric payload".to_owned());
    }
    if method == Method::Get && (body.is_some() || metric.json_body.is_some()) {
        return Err("Body/JSONBody can only be used with POST or PUT WebMetric Method types".to_owned());
    }
    if http::server(&metric.url).is_empty() {
        return Err("the web metric's url must begin with http:// or https:// and name a host".to_owned());
    }
    path(metric)?;
    let mut headers = http::headers(&metric.headers);
    if metric.json_body.is_some() {
        http::set(&mut headers, "Content-Type", "application/json");
    }
    let seconds = u64::try_from(metric.timeout_seconds).ok().filter(|seconds| *seconds > 0);
    Ok(Call {
        headers,
        body: body.or_else(|| metric.json_body.as_ref().map(Value::to_string)),
        insecure: metric.insecure,
        login: login(&metric.authentication)?,
        ..Call::to(method, metric.url.clone(), seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS))
    })
}

/// AWS signatures are in the schema, too, and are passed over as Argo Rollouts does: whoever writes a template would call
/// any of AWS's services in the controller's name.
fn login(authentication: &Authentication) -> Result<Login, String> {
    let oauth2 = http::oauth2(&authentication.oauth2)?;
    Ok(oauth2.or_else(|| http::basic(&authentication.basic_auth)).unwrap_or(Login::None))
}

/// Reads the value out of an answer.
pub(super) fn value(metric: &WebMetric, response: &Response) -> Result<Measured, String> {
    if !(200..300).contains(&response.status) {
        return Err(format!("received non 2xx response code: {}", response.status));
    }
    if response.body.trim_ascii().is_empty() {
        return Ok(Measured::nothing(String::new()));
    }
    let (value, text) = match serde_json::from_slice::<Value>(&response.body) {
        Ok(document) => {
            let found = path(metric)?.first(&document);
            let found = found.map_err(|why| format!("Could not find JSONPath in body: {why}"))?;
            let value = found.ok_or("result of web metric produced no value")?;
            let text = shown::json(&value);
            (value, text)
        }
        Err(_) => {
            let body = String::from_utf8_lossy(&response.body).into_owned();
            (Value::String(body.clone()), body)
        }
    };
    Ok(Measured { value: MetricValue::Json(value), text: shown::bounded(text), metadata: BTreeMap::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::metric::measured::MOST_VALUES;
    use crate::metric::shown::SHOWN_BYTES;

    fn metric(json: Value) -> WebMetric {
        let mut whole = json!({"url": "http://check/ratio"});
        whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_call_has_what_the_metric_says() {
        let call = request(&metric(json!({}))).unwrap();
        let wanted = Call {
            method: Method::Get,
            url: "http://check/ratio".into(),
            headers: Vec::new(),
            body: None,
            timeout_seconds: 10,
            most_bytes: Call::MOST_BYTES,
            insecure: false,
            login: Login::None,
        };
        assert_eq!(call, wanted);
        let call = request(&metric(json!({
            "method": "POST", "jsonBody": {"service": "shop"}, "timeoutSeconds": 3, "insecure": true,
            "headers": [{"key": "Authorization", "value": "Bearer x"}, {"key": "content-type", "value": "text/plain"}],
            "authentication": {
                "oauth2": {"tokenUrl": "https://id/token", "clientId": "c", "clientSecret": "s", "scopes": ["a"]},
                "basicAuth": {"username": "unused", "password": "unused"},
            },
        })))
        .unwrap();
        assert_eq!((call.method, call.timeout_seconds, call.insecure), (Method::Post, 3, true));
        assert_eq!(call.body.as_deref(), Some(r#"{"service":"shop"}"#));
        let headers = [("Authorization", "Bearer x"), ("Content-Type", "application/json")];
        assert_eq!(call.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let Login::OAuth2 { token_url, .. } = call.login else { panic!("no login") };
        assert_eq!(token_url, "https://id/token");
        let call = request(&metric(json!({"method": "PUT", "body": "plain", "timeoutSeconds": -1}))).unwrap();
        assert_eq!(
            (call.method, call.body.as_deref(), call.timeout_seconds),
            (Method::Put, Some("plain"), 10)
        );
        assert!(call.headers.is_empty());
        let basic = json!({"authentication": {"basicAuth": {"username": "u", "password": "p"}}});
        let wanted = Login::Basic { username: "u".into(), password: "p".into() };
        assert!(request(&metric(basic)).unwrap().login == wanted);
        let signed = json!({"url": "https://x.amazonaws.com", "authentication": {"sigv4": {"region": "r"}}});
        assert!(request(&metric(signed)).unwrap().login == Login::None);
    }

    #[test]
    fn settings_that_make_no_call_are_named() {
        for (settings, wanted) in [
            (json!({"method": "POST", "body": "a", "jsonBody": {}}), "use either Body or JSONBody"),
            (json!({"body": "a"}), "Body/JSONBody can only be used with POST or PUT"),
            (json!({"method": "GET", "jsonBody": {}}), "Body/JSONBody can only be used with POST or PUT"),
            (json!({"method": "DELETE"}), "the web metric's method is not one of GET, POST and PUT"),
            (json!({"url": "check/ratio"}), "the web metric's url must begin with http://"),
            (json!({"url": ""}), "the web metric's url must begin with http://"),
            (json!({"jsonPath": "{.a"}), "jsonPath cannot be used: unclosed action"),
            (
                json!({"authentication": {"oauth2": {"tokenUrl": "http://id", "clientId": "c"}}}),
                "authentication.oauth2 needs clientId and clientSecret",
            ),
        ] {
            let error = request(&metric(settings.clone())).unwrap_err();
            assert!(error.starts_with(wanted), "{settings}: {error}");
        }
    }

    fn measured(path: &str, status: u16, body: &str) -> Result<(MetricValue, String), String> {
        let response = Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None };
        let measured = value(&metric(json!({"jsonPath": path})), &response)?;
        assert!(measured.metadata.is_empty());
        Ok((measured.value, measured.text))
    }

    #[test]
    fn the_first_value_of_the_path_is_the_result() {
        let body = r#"{"ok": true, "data": {"ratio": 0.50, "count": 1e3, "big": 12345678901234567890, "tags": ["a", "b"]}}"#;
        for (path, result, text) in [
            ("{$.ok}", json!(true), "true"),
            ("{$.data.ratio}", json!(0.5), "0.5"),
            ("{.data.count}", json!(1000.0), "1000"),
            ("{.data.big}", json!(12345678901234567890u64), "12345678901234567000"),
            ("{.data.tags}", json!(["a", "b"]), r#"["a","b"]"#),
            ("{.data.tags[*]}", json!("a"), r#""a""#),
        ] {
            let wanted = Ok((MetricValue::Json(result), text.to_owned()));
            assert_eq!(measured(path, 200, body), wanted, "{path}");
        }
        let whole = measured("", 204, "[1, {\"b\": null, \"a\": \"<\"}]").unwrap();
        assert_eq!(whole.1, r#"[1,{"a":"\u003c","b":null}]"#);
        assert_eq!(measured("", 200, "null"), Ok((MetricValue::Json(Value::Null), "null".to_owned())));
    }

    #[test]
    fn other_bodies_are_texts() {
        let page = "<html>busy</html>";
        assert_eq!(measured("{.ok}", 200, page), Ok((MetricValue::Json(page.into()), page.to_owned())));
    }

    #[test]
    fn an_empty_body_is_no_data() {
        for body in ["", " \r\n"] {
            assert!(measured("{.ok}", 204, body).unwrap().0.is_empty());
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for (path, status, body, wanted) in [
            ("", 500, "{}", "received non 2xx response code: 500"),
            ("", 301, "{}", "received non 2xx response code: 301"),
            ("{.a}", 200, "{}", "Could not find JSONPath in body: a is not found"),
            ("{.a[*]}", 200, r#"{"a": []}"#, "result of web metric produced no value"),
        ] {
            assert_eq!(measured(path, status, body), Err(wanted.to_owned()));
        }
        let many = serde_json::to_string(&vec![1; MOST_VALUES]).unwrap();
        assert!(measured("", 200, &many).unwrap_err().contains("the result has 10001 values"));
        assert!(measured("{[0]}", 200, &many).is_ok());
    }

    #[test]
    fn long_values_are_shown_in_part() {
        let body = format!("{}é", "x".repeat(SHOWN_BYTES - 1));
        let (value, text) = measured("", 200, &body).unwrap();
        assert_eq!(value, MetricValue::Json(body.into()));
        let (_, rests) = shown::apart(&text);
        assert!(
            matches!(rests.as_slice(), [rest] if *rest == (SHOWN_BYTES - 1..SHOWN_BYTES + 1)),
            "{rests:?}"
        );
    }
}
