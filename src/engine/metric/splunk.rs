//! Provider plugin `tidegate.dev/splunk`: SignalFlow programs of Splunk Observability.
//!
//! Input: the settings of a metric and a token, then the stream of events that `/v2/signalflow/execute` answers with; it ends
//! by itself, for the program's time is past. Output: a call, then the newest number of each series.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tidegate_api::analysis::SPLUNK_PLUGIN;

use super::account::Accounts;
use super::flagger::Plugin;
use super::http::{self, Call, Method};
use super::{Measured, Response, shown};

pub(super) const PLUGIN: Plugin = Plugin {
    name: SPLUNK_PLUGIN,
    fields: &["address", "query", "secretRef", "interval", "insecureSkipVerify"],
};
/// The key of the Secret.
pub(super) const TOKEN: &str = "sf_token_key";
const TIMEOUT_SECONDS: u64 = 30;

/// Describes the call of a metric. Programs run where the streams are, whichever of Splunk's addresses was given.
pub(super) fn request(config: &Value, accounts: &Accounts, now: Timestamp) -> Result<Call, String> {
    let settings = PLUGIN.read(config)?;
    let given = settings.address.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1);
    let address = http::address(&given, "the address of Splunk")?.replacen("://api.", "://stream.", 1);
    let token = PLUGIN.token(&settings, accounts, TOKEN)?;
    let stop = now.as_millisecond();
    let start = stop.saturating_sub(settings.interval_seconds()?.saturating_mul(1000));
    let query =
        http::form(&[("immediate", "true"), ("start", &start.to_string()), ("stop", &stop.to_string())]);
    Ok(Call {
        headers: vec![
            ("Content-Type".to_owned(), "text/plain".to_owned()),
            ("X-SF-Token".to_owned(), token.to_owned()),
        ],
        body: Some(settings.query),
        insecure: settings.insecure_skip_verify,
        ..Call::to(Method::Post, format!("{address}/v2/signalflow/execute?{query}"), TIMEOUT_SECONDS)
    })
}

/// Reads the numbers out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    if !(200..300).contains(&response.status) {
        let json: Option<Value> = serde_json::from_slice(&response.body).ok();
        let told = json.as_ref().and_then(|json| json.get("message")?.as_str());
        let told = shown::said(told, &response.body);
        return Err(format!("splunk answered {}: {told}", response.status));
    }
    let mut newest: BTreeMap<String, f64> = BTreeMap::new();
    let mut has_ended = false;
    for (kind, data) in events(&String::from_utf8_lossy(&response.body)) {
        let json: Value = serde_json::from_str(&data)
            .map_err(|error| format!("splunk did not answer events of JSON: {error}"))?;
        match kind.as_str() {
            "error" => return Err(shown::bounded(refusal(&json))),
            // A series that never has a point is missing data.
            "metadata" => drop(newest.entry(series(&json)).or_insert(f64::NAN)),
            "data" => newest.extend(points(&json)),
            "control-message" => has_ended |= is_end(&json)?,
            _ => {}
        }
    }
    if !has_ended {
        return Err("splunk's answer ended before its end".to_owned());
    }
    let samples: Vec<f64> = newest.into_values().collect();
    let text = shown::list(&samples, ",", shown::number);
    Measured::samples(samples, text)
}

/// The events of a stream: their kinds and data.
fn events(text: &str) -> Vec<(String, String)> {
    let mut events = Vec::new();
    let (mut kind, mut data) = (String::new(), Vec::new());
    for line in text.lines().chain([""]) {
        if line.is_empty() {
            if !data.is_empty() {
                events.push((std::mem::take(&mut kind), std::mem::take(&mut data).join("\n")));
            }
            kind.clear();
        } else if let Some(name) = line.strip_prefix("event:") {
            name.trim().clone_into(&mut kind);
        } else if let Some(part) = line.strip_prefix("data:") {
            data.push(part.strip_prefix(' ').unwrap_or(part).to_owned());
        }
    }
    events
}

/// Whether this tells that all of the answer is there.
///
/// # Errors
/// Fails when Splunk gave the program up: what it answered before is a part only.
fn is_end(json: &Value) -> Result<bool, String> {
    match json.get("event").and_then(Value::as_str) {
        Some("CHANNEL_ABORT") => {
            let why = json.pointer("/abortInfo/sf_job_abortReason").and_then(Value::as_str);
            Err(shown::bounded(format!("splunk gave the program up: {}", why.unwrap_or("no reason given"))))
        }
        event => Ok(event == Some("END_OF_CHANNEL")),
    }
}

/// The series that something is about.
fn series(json: &Value) -> String {
    json.get("tsId").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The numbers of one moment, by series. What is no number is NaN, so that no older one stands for it.
fn points(json: &Value) -> Vec<(String, f64)> {
    let points = json.get("data").and_then(Value::as_array);
    let number = |point: &Value| point.get("value").and_then(Value::as_f64).unwrap_or(f64::NAN);
    points.into_iter().flatten().map(|point| (series(point), number(point))).collect()
}

fn refusal(json: &Value) -> String {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let why = text("message").or_else(|| json.pointer("/errors/0/code").and_then(Value::as_str));
    format!("splunk refused the program: {}", why.or_else(|| text("errorType")).unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;
    use serde_json::json;

    fn asked(address: &str) -> Result<Call, String> {
        let config = json!({"address": address, "query": "data('a').mean().publish()", "secretRef": {"name": "s"}, "interval": "10m"});
        let mut accounts = Accounts::default();
        accounts.insert(PLUGIN.account(&config).unwrap(), Ok([(TOKEN.to_owned(), "hush".to_owned())].into()));
        request(&config, &accounts, Timestamp::from_second(1_800_000_000).unwrap())
    }

    #[test]
    fn programs_go_to_the_streams() {
        for address in ["https://api.us1.signalfx.com", "wss://stream.us1.signalfx.com/"] {
            let call = asked(address).unwrap();
            assert_eq!(
                call.url,
                "https://stream.us1.signalfx.com/v2/signalflow/execute?immediate=true&start=1799999400000&stop=1800000000000"
            );
            assert_eq!(call.headers[1], ("X-SF-Token".to_owned(), "hush".to_owned()));
            assert_eq!(call.body.as_deref(), Some("data('a').mean().publish()"));
        }
        assert!(asked("api").unwrap_err().starts_with("the address of Splunk"));
        assert!(PLUGIN.fault(&json!({"address": "http://a"})).unwrap().contains("query is required"));
    }

    fn measured(status: u16, body: &str) -> Result<Measured, String> {
        value(&Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None })
    }

    #[test]
    fn the_newest_number_of_each_series_counts() {
        let body = "event: control-message\ndata: {\"event\":\"STREAM_START\"}\n\n\
            event: metadata\ndata: {\"tsId\":\"A\"}\n\n\
            event: data\ndata: {\"data\":[{\"tsId\":\"A\",\"value\":1},{\"tsId\":\"B\",\"value\":7}],\ndata: \"logicalTimestampMs\":1}\n\n\
            : a comment\nevent: data\ndata: {\"data\":[{\"tsId\":\"A\",\"value\":0.5}]}\n\n\
            event: control-message\ndata: {\"event\":\"END_OF_CHANNEL\"}\n";
        let got = measured(200, body).unwrap();
        assert_eq!((got.value, got.text), (MetricValue::Samples(vec![0.5, 7.0]), "[0.5,7]".into()));
        let nothing = format!("event: data\ndata: {{\"data\":[]}}\n\n{END}");
        assert!(measured(200, &nothing).unwrap().value.is_empty());
    }

    const END: &str = "event: control-message\ndata: {\"event\":\"END_OF_CHANNEL\"}\n\n";

    #[test]
    fn what_has_no_number_is_missing_data() {
        let one = "event: metadata\ndata: {\"tsId\":\"A\"}\n\n\
            event: data\ndata: {\"data\":[{\"tsId\":\"A\",\"value\":1}]}\n\n";
        for (more, text) in [
            ("", "[1]"),
            ("event: metadata\ndata: {\"tsId\":\"B\"}\n\n", "[1,NaN]"),
            ("event: data\ndata: {\"data\":[{\"tsId\":\"A\",\"value\":null}]}\n\n", "[NaN]"),
            ("event: data\ndata: {\"data\":[{\"tsId\":\"A\",\"value\":\"NaN\"}]}\n\n", "[NaN]"),
        ] {
            let got = measured(200, &format!("{one}{more}{END}")).unwrap();
            assert_eq!((got.text.as_str(), got.value.has_nan()), (text, !more.is_empty()));
        }
    }

    #[test]
    fn a_part_of_an_answer_is_an_error() {
        let part = "event: data\ndata: {\"data\":[{\"tsId\":\"A\",\"value\":1}]}\n\n";
        let abort = "event: control-message\ndata: {\"event\":\"CHANNEL_ABORT\",\"abortInfo\":{\"sf_job_abortReason\":\"too many jobs\"}}\n\n";
        for (body, wanted) in [
            (String::new(), "splunk's answer ended before its end"),
            (part.to_owned(), "splunk's answer ended before its end"),
            (format!("{part}{abort}{END}"), "splunk gave the program up: too many jobs"),
        ] {
            assert_eq!(measured(200, &body), Err(wanted.into()));
        }
    }

    #[test]
    fn errors_are_told() {
        let failed = "event: error\ndata: {\"errorType\":\"ANALYTICS_PROGRAM_NAME_ERROR\",\"message\":\"bad name\"}\n\n";
        for (status, body, wanted) in [
            (200, failed, "splunk refused the program: bad name"),
            (401, r#"{"code":401,"message":"Unauthorized"}"#, "splunk answered 401: Unauthorized"),
            (500, "oops", "splunk answered 500: oops"),
        ] {
            assert_eq!(measured(status, body), Err(wanted.into()));
        }
        assert!(
            measured(200, "event: data\ndata: <\n\n")
                .unwrap_err()
                .starts_with("splunk did not answer events")
        );
    }
}
