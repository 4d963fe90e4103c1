//! Provider Wavefront: the chart API.
//!
//! Input: the settings of a metric and the token of the address, then the JSON of `/api/v2/chart/api`. Output: a call,
//! then one number for each series: of its points the one next to the time that was asked for.

use jiff::Timestamp;
use serde::Deserialize;
use tidegate_api::analysis::WavefrontMetric;

use super::account::{Account, Accounts};
use super::http::{self, Call, Method};
use super::{Measured, Response, shown};

/// The Secret with a token for each address.
const SECRET: &str = "wavefront-api-tokens";
const TIMEOUT_SECONDS: u64 = 30;

/// The Secret with the tokens.
pub(super) fn account() -> Account {
    Account::Own(SECRET.to_owned())
}

/// Describes the call of a metric.
pub(super) fn request(metric: &WavefrontMetric, accounts: &Accounts, now: Timestamp) -> Result<Call, String> {
    let address = metric.address.as_deref().unwrap_or_default();
    accounts.read(&account())?;
    let token = accounts.value(&account(), address).ok_or("API token not found")?;
    let query = metric.query.as_deref().unwrap_or_default();
    let time = now.as_second().saturating_mul(1000).to_string();
    // The window is one moment, so points beside it must count.
    let query = http::form(&[
        ("autoEvents", "false"),
        ("e", &time),
        ("g", "s"),
        ("i", "true"),
        ("includeObsoleteMetrics", "false"),
        ("listmode", "false"),
        ("p", "1"),
        ("q", query),
        ("s", &time),
        ("strict", "false"),
    ]);
    Ok(Call {
        headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))],
        ..Call::to(Method::Get, format!("https://{address}/api/v2/chart/api?{query}"), TIMEOUT_SECONDS)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    timeseries: Option<Vec<Series>>,
    #[serde(default)]
    warnings: Option<String>,
    #[serde(default)]
    error_type: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    /// Points as `[seconds, number]`.
    #[serde(default)]
    data: Vec<(f64, Option<f64>)>,
}

/// A number, when it was measured, and how many seconds after the time that was asked for.
struct Nearest {
    number: f64,
    seconds: i64,
    drift: i64,
}

/// Reads the numbers out of the answer to what was asked at a time.
pub(super) fn value(response: &Response, asked: Timestamp) -> Result<Measured, String> {
    if !(200..300).contains(&response.status) {
        return Err(format!("wavefront answered {}: {}", response.status, shown::excerpt(&response.body)));
    }
    let answer: Answer = serde_json::from_slice(&response.body)
        .map_err(|error| format!("wavefront did not answer JSON: {error}"))?;
    if let Some(kind) = answer.error_type.filter(|kind| !kind.is_empty()) {
        return Err(shown::bounded(format!("{kind}: {}", answer.error_message.unwrap_or_default())));
    }
    let nearest: Vec<Nearest> = answer
        .timeseries
        .unwrap_or_default()
        .iter()
        .map(|series| nearest(series, asked.as_second()))
        .collect();
    let mut metadata = [
        ("timestamps".to_owned(), joined(&nearest, |nearest| nearest.seconds.to_string())),
        ("drift".to_owned(), joined(&nearest, |nearest| nearest.drift.to_string())),
    ]
    .to_vec();
    metadata.extend(
        answer
            .warnings
            .filter(|text| !text.is_empty())
            .map(|text| ("warnings".to_owned(), shown::bounded(text))),
    );
    let text = joined(&nearest, |nearest| shown::fixed(nearest.number, 2));
    let measured = match nearest.as_slice() {
        [] => return Ok(Measured::refused("No TimeSeries found in response from Wavefront")),
        [one] => Measured::number(one.number, text),
        several => Measured::samples(several.iter().map(|one| one.number).collect(), text)?,
    };
    Ok(Measured { metadata: metadata.into_iter().collect(), ..measured })
}

/// The point next to a time. A series without points has no number, which is never a good one.
fn nearest(series: &Series, asked: i64) -> Nearest {
    let none = Nearest { number: f64::NAN, seconds: 0, drift: 0 };
    let distance = |point: &(f64, Option<f64>)| (point.0 - asked as f64).abs();
    let point = series.data.iter().min_by(|one, other| distance(one).total_cmp(&distance(other)));
    point.map_or(none, |(seconds, number)| Nearest {
        number: number.unwrap_or(f64::NAN),
        seconds: *seconds as i64,
        drift: (seconds - asked as f64) as i64,
    })
}

/// One text, or several in brackets.
fn joined(nearest: &[Nearest], text: impl Fn(&Nearest) -> String) -> String {
    let texts: Vec<String> = nearest.iter().map(text).collect();
    match texts.as_slice() {
        [one] => one.clone(),
        several => shown::bounded(format!("[{}]", several.join(","))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;

    fn at() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn asked(address: &str) -> Result<Call, String> {
        let mut accounts = Accounts::default();
        let secret = [("example.wavefront.com".to_owned(), "hush".to_owned())].into();
        accounts.insert(account(), Ok(secret));
        let metric = WavefrontMetric { address: Some(address.into()), query: Some("ts(a, b=\"c\")".into()) };
        request(&metric, &accounts, at())
    }

    #[test]
    fn the_token_of_the_address_signs_in() {
        let call = asked("example.wavefront.com").unwrap();
        assert_eq!(
            call.url,
            "https://example.wavefront.com/api/v2/chart/api?autoEvents=false&e=1800000000000&g=s&i=true\
             &includeObsoleteMetrics=false&listmode=false&p=1&q=ts%28a%2C+b%3D%22c%22%29&s=1800000000000&strict=false"
        );
        assert_eq!(call.headers, [("Authorization".to_owned(), "Bearer hush".to_owned())]);
        assert_eq!(asked("other.wavefront.com"), Err("API token not found".into()));
        let mut accounts = Accounts::default();
        accounts.insert(account(), Err("denied".into()));
        assert_eq!(request(&WavefrontMetric::default(), &accounts, at()), Err("denied".into()));
    }

    fn measured(status: u16, body: &str) -> Result<Measured, String> {
        value(&Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None }, at())
    }

    #[test]
    fn of_each_series_the_nearest_point_counts() {
        let one = r#"{"data":[[1799999940,1],[1799999990,0.125],[1800000020,3]]}"#;
        let measured_one = measured(200, &format!(r#"{{"timeseries":[{one}],"warnings":"slow"}}"#)).unwrap();
        assert_eq!((measured_one.value, measured_one.text), (MetricValue::Number(0.125), "0.12".into()));
        let metadata = [("drift", "-10"), ("timestamps", "1799999990"), ("warnings", "slow")];
        assert_eq!(
            measured_one.metadata,
            metadata.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
        );
        let two = format!(r#"{{"timeseries":[{one},{{"data":[[1800000001,2]]}}]}}"#);
        let measured_two = measured(200, &two).unwrap();
        assert_eq!(measured_two.value, MetricValue::Samples(vec![0.125, 2.0]));
        assert_eq!(
            (measured_two.text.as_str(), measured_two.metadata["drift"].as_str()),
            ("[0.12,2.00]", "[-10,1]")
        );
    }

    #[test]
    fn series_without_points_are_nan() {
        for data in ["[]", "[[1800000000,null]]"] {
            let measured = measured(200, &format!(r#"{{"timeseries":[{{"data":{data}}}]}}"#)).unwrap();
            assert!(measured.value.has_nan());
            assert_eq!(measured.text, "NaN");
        }
    }

    #[test]
    fn no_series_are_no_data() {
        for body in ["{}", r#"{"timeseries":[]}"#] {
            let nothing = MetricValue::Nothing("No TimeSeries found in response from Wavefront");
            assert_eq!(measured(200, body).unwrap().value, nothing);
        }
    }

    #[test]
    fn errors_are_told() {
        for (status, body, wanted) in [
            (200, r#"{"errorType":"QuerySyntaxError","errorMessage":"bad"}"#, "QuerySyntaxError: bad"),
            (401, "no", "wavefront answered 401: no"),
        ] {
            assert_eq!(measured(status, body), Err(wanted.into()));
        }
        assert!(measured(200, "<").unwrap_err().starts_with("wavefront did not answer JSON"));
    }
}
