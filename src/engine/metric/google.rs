//! Provider plugin `tidegate.dev/stackdriver`: the query language of Google Cloud Monitoring.
//!
//! Input: the settings of a metric and an account, then the JSON of `timeSeries:query`. Output: a call, then the newest
//! number of each series.

use serde_json::{Value, json};
use tidegate_api::analysis::STACKDRIVER_PLUGIN;

use super::account::Accounts;
use super::flagger::Plugin;
use super::http::{self, Call, Login, Method};
use super::{Measured, Response, shown};

pub(super) const PLUGIN: Plugin =
    Plugin { name: STACKDRIVER_PLUGIN, fields: &["query", "secretRef", "project"] };
const ADDRESS: &str = "https://monitoring.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.read";
/// Keys of the Secret.
const PROJECT: &str = "project";
pub(super) const KEY: &str = "serviceAccountKey";
const TIMEOUT_SECONDS: u64 = 30;

/// Describes the call of a metric.
pub(super) fn request(config: &Value, accounts: &Accounts) -> Result<Call, String> {
    let settings = PLUGIN.read(config)?;
    let account = settings.account();
    let named = Some(settings.project.as_str()).filter(|project| !project.is_empty());
    let project = match (named, &account) {
        (Some(project), _) => project,
        (None, Some(account)) => accounts.needed(account, PROJECT)?,
        (None, None) => return Err(format!("{PLUGIN}: project is required where secretRef names none")),
    };
    let key = account.as_ref().and_then(|account| accounts.value(account, KEY)).map(str::to_owned);
    Ok(Call {
        headers: http::json_headers(&[]),
        body: Some(json!({"query": settings.query}).to_string()),
        login: Login::Google { key, scope: SCOPE },
        ..Call::to(
            Method::Post,
            format!("{ADDRESS}/v3/projects/{}/timeSeries:query", http::segment(project)),
            TIMEOUT_SECONDS,
        )
    })
}

/// Reads the numbers out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    let json: Option<Value> = serde_json::from_slice(&response.body).ok();
    if !(200..300).contains(&response.status) {
        let told = json.as_ref().and_then(|json| json.pointer("/error/message")?.as_str());
        let told = shown::said(told, &response.body);
        return Err(format!("google answered {}: {told}", response.status));
    }
    let json = json.ok_or("google did not answer JSON")?;
    let partial = json.get("partialErrors").and_then(Value::as_array).and_then(|errors| errors.first());
    if let Some(error) = partial {
        let told = error.get("message").and_then(Value::as_str).unwrap_or_default();
        return Err(shown::bounded(format!("google answered a part of the data only: {told}")));
    }
    let next = json.get("nextPageToken").and_then(Value::as_str).unwrap_or_default();
    if !next.is_empty() {
        return Err("google answered the first page of the series only: aggregate them".to_owned());
    }
    let series = json.get("timeSeriesData").and_then(Value::as_array);
    let samples: Result<Vec<f64>, String> = series.into_iter().flatten().map(newest).collect();
    let samples = samples?;
    let text = shown::list(&samples, ",", shown::number);
    Measured::samples(samples, text)
}

/// Points come newest first; a point has one value in each column, of which the first counts. A series without any is NaN,
/// which is never a good one.
fn newest(series: &Value) -> Result<f64, String> {
    let Some(value) = series.pointer("/pointData/0/values/0") else { return Ok(f64::NAN) };
    let whole = value.get("int64Value").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let float = match value.get("doubleValue") {
        // JSON has no such numbers.
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_f64(),
        None => None,
    };
    let number = float.or(whole).or_else(|| value.get("int64Value")?.as_f64());
    number.ok_or_else(|| "google answered a value that is no number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;

    #[test]
    fn the_query_goes_to_the_project() {
        let config = json!({"query": "fetch k8s_container", "secretRef": {"name": "s"}});
        let mut accounts = Accounts::default();
        let secret = [("project", "a b"), ("serviceAccountKey", "{\"hush\":1}")];
        let found = secret.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        accounts.insert(PLUGIN.account(&config).unwrap(), Ok(found));
        let call = request(&config, &accounts).unwrap();
        assert_eq!(call.url, "https://monitoring.googleapis.com/v3/projects/a%20b/timeSeries:query");
        assert_eq!(call.body.as_deref(), Some(r#"{"query":"fetch k8s_container"}"#));
        let Login::Google { key, .. } = call.login else { panic!("no login") };
        assert_eq!(key.as_deref(), Some("{\"hush\":1}"));
        let own = json!({"query": "q", "project": "p"});
        let call = request(&own, &accounts).unwrap();
        assert!(call.login == Login::Google { key: None, scope: SCOPE } && call.url.contains("/projects/p/"));
        assert!(request(&json!({"query": "q"}), &accounts).unwrap_err().contains("project is required"));
        assert!(
            PLUGIN
                .fault(&json!({"query": "q", "address": "http://elsewhere"}))
                .unwrap()
                .contains("address is none of its")
        );
    }

    fn measured(status: u16, body: &Value) -> Result<Measured, String> {
        value(&Response { status, body: body.to_string().into_bytes(), retry_after_seconds: None })
    }

    #[test]
    fn the_newest_number_of_each_series_counts() {
        let point = |value: Value| json!({"values": [value]});
        let series = json!([
            {"pointData": [point(json!({"doubleValue": 0.5})), point(json!({"doubleValue": 9}))]},
            {"pointData": [point(json!({"int64Value": "7"}))]},
        ]);
        let got = measured(200, &json!({"timeSeriesData": series})).unwrap();
        assert_eq!((got.value, got.text), (MetricValue::Samples(vec![0.5, 7.0]), "[0.5,7]".into()));
        assert!(measured(200, &json!({})).unwrap().value.is_empty());
        for points in [json!([point(json!({"doubleValue": "NaN"}))]), json!([])] {
            let series = json!([{"pointData": [point(json!({"doubleValue": 1}))]}, {"pointData": points}]);
            assert_eq!(measured(200, &json!({"timeSeriesData": series})).unwrap().text, "[1,NaN]");
        }
    }

    #[test]
    fn errors_are_told() {
        let text = json!([{"pointData": [{"values": [{"stringValue": "x"}]}]}]);
        for (status, body, wanted) in [
            (403, json!({"error": {"message": "denied"}}), "google answered 403: denied"),
            (500, json!("oops"), "google answered 500: \"oops\""),
            (
                200,
                json!({"timeSeriesData": [], "nextPageToken": "t"}),
                "google answered the first page of the series only: aggregate them",
            ),
            (
                200,
                json!({"partialErrors": [{"message": "slow"}]}),
                "google answered a part of the data only: slow",
            ),
            (200, json!({"timeSeriesData": text}), "google answered a value that is no number"),
        ] {
            assert_eq!(measured(status, &body), Err(wanted.into()));
        }
    }
}
