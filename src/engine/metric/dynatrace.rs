//! Provider plugin `tidegate.dev/dynatrace`: metric selectors over version 2 of Dynatrace's API.
//!
//! Input: the settings of a metric and a token, then the JSON of `/api/v2/metrics/query`. Output: a call, then one number
//! for each series, over all of the time that was asked for.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use tidegate_api::analysis::DYNATRACE_PLUGIN;

use super::account::Accounts;
use super::flagger::Plugin;
use super::http::{self, Call, Method};
use super::{Measured, Response, shown};

pub(super) const PLUGIN: Plugin = Plugin {
    name: DYNATRACE_PLUGIN,
    fields: &["address", "query", "secretRef", "interval", "insecureSkipVerify"],
};
/// The key of the Secret.
pub(super) const TOKEN: &str = "dynatrace_token";
const TIMEOUT_SECONDS: u64 = 30;

/// Describes the call of a metric.
pub(super) fn request(config: &Value, accounts: &Accounts, now: Timestamp) -> Result<Call, String> {
    let settings = PLUGIN.read(config)?;
    let address = http::address(&settings.address, "the address of Dynatrace")?;
    let token = PLUGIN.token(&settings, accounts, TOKEN)?;
    let to = now.as_millisecond();
    let from = to.saturating_sub(settings.interval_seconds()?.saturating_mul(1000));
    let query = http::form(&[
        ("from", &from.to_string()),
        ("metricSelector", settings.query.trim()),
        ("resolution", "Inf"),
        ("to", &to.to_string()),
    ]);
    Ok(Call {
        headers: vec![("Authorization".to_owned(), format!("Api-Token {token}"))],
        insecure: settings.insecure_skip_verify,
        ..Call::to(Method::Get, format!("{address}/api/v2/metrics/query?{query}"), TIMEOUT_SECONDS)
    })
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Vec<Selected>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    #[serde(default, rename = "nextPageKey")]
    next_page_key: Option<String>,
}

#[derive(Deserialize)]
struct Selected {
    #[serde(default)]
    data: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    values: Vec<Option<f64>>,
}

/// Reads the numbers out of an answer. A series without values, or whose newest value is null, is NaN, which is never a
/// good one.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    if response.status != 200 {
        return Err(refusal(response));
    }
    let answer: Answer = serde_json::from_slice(&response.body)
        .map_err(|error| format!("dynatrace did not answer metric data: {error}"))?;
    if answer.next_page_key.is_some_and(|key| !key.is_empty()) {
        return Err("dynatrace answered the first page of the series only: aggregate them".to_owned());
    }
    let series = answer.result.iter().flat_map(|selected| &selected.data);
    let newest = |series: &Series| series.values.last().copied().flatten().unwrap_or(f64::NAN);
    let samples: Vec<f64> = series.map(newest).collect();
    let text = shown::list(&samples, ",", shown::number);
    let warnings = answer.warnings.filter(|warnings| !warnings.is_empty());
    let metadata = warnings.map(|warnings| ("warnings".to_owned(), shown::bounded(warnings.join(", "))));
    Ok(Measured { metadata: metadata.into_iter().collect(), ..Measured::samples(samples, text)? })
}

fn refusal(response: &Response) -> String {
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    let told = json.as_ref().and_then(|json| json.pointer("/error/message")?.as_str());
    let told = shown::said(told, &response.body);
    format!("dynatrace answered {}: {told}", response.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;
    use crate::metric::account::Account;
    use serde_json::json;

    fn config() -> Value {
        json!({"address": "https://x.live.dynatrace.com/", "query": "builtin:a:avg", "secretRef": {"name": "s"}})
    }

    #[test]
    fn a_call_has_what_the_metric_says() {
        let account = PLUGIN.account(&config()).unwrap();
        assert_eq!(account, Account::Run("s".into()));
        let mut accounts = Accounts::default();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(request(&config(), &accounts, now), Err("Secret s was not read".into()));
        accounts.insert(account, Ok([(TOKEN.to_owned(), "hush".to_owned())].into()));
        let call = request(&config(), &accounts, now).unwrap();
        assert_eq!(
            call.url,
            "https://x.live.dynatrace.com/api/v2/metrics/query?from=1799999700000&metricSelector=builtin%3Aa%3Aavg\
             &resolution=Inf&to=1800000000000"
        );
        assert_eq!(call.headers, [("Authorization".to_owned(), "Api-Token hush".to_owned())]);
        assert!(
            PLUGIN.fault(&json!({"query": "q", "colour": 1})).unwrap().contains("colour")
                && PLUGIN.fault(&config()).is_none()
        );
        let open = json!({"address": "http://a", "query": "q"});
        assert_eq!(request(&open, &accounts, now), Err(format!("{PLUGIN}: secretRef.name is required")));
    }

    fn measured(status: u16, body: &str) -> Result<Measured, String> {
        value(&Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None })
    }

    #[test]
    fn each_series_has_one_number() {
        let body = r#"{"result":[{"metricId":"a","data":[{"timestamps":[1],"values":[0.5]},{"timestamps":[1],"values":[null]}]}],"warnings":["w"]}"#;
        let got = measured(200, body).unwrap();
        assert!(got.value.has_nan());
        assert_eq!((got.text.as_str(), got.metadata["warnings"].as_str()), ("[0.5,NaN]", "w"));
        let one = measured(200, r#"{"result":[{"data":[{"values":[1,2]}]}]}"#).unwrap();
        assert_eq!(one.value, MetricValue::Samples(vec![2.0]));
        for body in [r#"{"result":[]}"#, r#"{"result":[{"data":[]}]}"#] {
            assert!(measured(200, body).unwrap().value.is_empty(), "{body}");
        }
        let hole = measured(200, r#"{"result":[{"data":[{"values":[1]},{"values":[]}]}]}"#).unwrap();
        assert_eq!(hole.text, "[1,NaN]");
        for (status, body, wanted) in [
            (
                200,
                r#"{"result":[],"nextPageKey":"k"}"#,
                "dynatrace answered the first page of the series only: aggregate them",
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"bad selector"}}"#,
                "dynatrace answered 400: bad selector",
            ),
            (401, "no", "dynatrace answered 401: no"),
        ] {
            assert_eq!(measured(status, body), Err(wanted.into()));
        }
    }
}
