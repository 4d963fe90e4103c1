//! Provider InfluxDB: Flux queries, version 2 of its API.
//!
//! Input: the settings of a metric and an account, then annotated CSV. Output: a call, then a list of the values of all
//! records, which are mostly numbers.

mod annotated;

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_api::analysis::InfluxdbMetric;

use super::account::{Account, Accounts};
use super::http::{self, Call, Method};
use super::{Measured, Response, shown};
use annotated::Cell;

/// The Secret when the metric names none.
const SECRET: &str = "influxdb";
const TIMEOUT_SECONDS: u64 = 30;

/// The Secret with the account.
pub(super) fn account(metric: &InfluxdbMetric) -> Account {
    let profile = metric.profile.clone().filter(|profile| !profile.is_empty());
    Account::Own(profile.unwrap_or_else(|| SECRET.to_owned()))
}

/// Describes the call of a metric.
pub(super) fn request(metric: &InfluxdbMetric, accounts: &Accounts) -> Result<Call, String> {
    let account = account(metric);
    accounts.read(&account)?;
    let needed = |key: &str| accounts.value(&account, key).ok_or("authToken, org, or address not found");
    let (token, org) = (needed("authToken")?, needed("org")?);
    let address = http::address(needed("address")?, "the address in InfluxDB's Secret")?;
    let token = format!("Token {token}");
    let headers = [("Authorization", token.as_str()), ("Accept", "application/csv")];
    let body = json!({
        "query": metric.query.as_deref().unwrap_or_default(), "type": "flux",
        "dialect": {"annotations": ["datatype", "group", "default"], "delimiter": ",", "header": true},
    });
    Ok(Call {
        headers: http::json_headers(&headers),
        body: Some(body.to_string()),
        ..Call::to(
            Method::Post,
            format!("{address}/api/v2/query?{}", http::form(&[("org", org)])),
            TIMEOUT_SECONDS,
        )
    })
}

/// Reads the values out of an answer.
pub(super) fn value(response: &Response) -> Result<Measured, String> {
    if !(200..300).contains(&response.status) {
        return Err(refusal(response));
    }
    let cells = annotated::values(&response.body)?;
    if cells.iter().all(|cell| *cell == Cell::Null) {
        return Ok(Measured::refused("no results returned from flux query"));
    }
    let text = format!("[{}]", cells.iter().map(Cell::text).collect::<Vec<_>>().join(" "));
    let numbers: Option<Vec<f64>> = cells.iter().map(Cell::number).collect();
    match numbers {
        Some(samples) => Measured::samples(samples, text),
        None => {
            let values: Vec<Value> = cells.iter().map(Cell::json).collect();
            // One value without data is missing data, whatever the others say.
            let is_hollow = values.iter().any(Value::is_null);
            Measured::json(values.into(), is_hollow, text)
        }
    }
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

fn refusal(response: &Response) -> String {
    match serde_json::from_slice::<Refusal>(&response.body) {
        Ok(Refusal { code, message }) => shown::bounded(format!("{code}: {message}")),
        Err(_) => format!("influxdb answered {}: {}", response.status, shown::excerpt(&response.body)),
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Null => "<nil>".to_owned(),
            Self::Float(number) => shown::general(*number),
            Self::Whole(number) => number.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// Null among numbers is NaN.
    fn number(&self) -> Option<f64> {
        match self {
            Self::Null => Some(f64::NAN),
            Self::Float(number) => Some(*number),
            Self::Whole(number) => Some(*number as f64),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }

    /// A number that JSON does not have is null.
    fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Float(number) => Value::from(*number),
            Self::Whole(number) => Value::from(*number as f64),
            Self::Bool(flag) => Value::from(*flag),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricValue;

    fn accounts(secret: &[(&str, &str)]) -> Accounts {
        let mut accounts = Accounts::default();
        let found = secret.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        accounts.insert(Account::Own("influxdb".into()), Ok(found));
        accounts
    }

    #[test]
    fn the_query_goes_to_the_account() {
        let secret = [("authToken", "hush"), ("org", "the shop"), ("address", "http://influx:8086/")];
        let metric = InfluxdbMetric { query: Some("from(bucket: \"b\")".into()), profile: None };
        let call = request(&metric, &accounts(&secret)).unwrap();
        assert_eq!((call.method, call.timeout_seconds), (Method::Post, 30));
        assert_eq!(call.url, "http://influx:8086/api/v2/query?org=the+shop");
        assert_eq!(call.headers[1], ("Authorization".to_owned(), "Token hush".to_owned()));
        let body: Value = serde_json::from_str(&call.body.unwrap()).unwrap();
        assert_eq!((&body["query"], &body["type"]), (&json!("from(bucket: \"b\")"), &json!("flux")));
        let error = request(&metric, &accounts(&secret[..2])).unwrap_err();
        assert_eq!(error, "authToken, org, or address not found");
        let other = InfluxdbMetric { profile: Some("p".into()), ..metric };
        assert_eq!(account(&other), Account::Own("p".into()));
    }

    fn measured(status: u16, body: &str) -> Result<(MetricValue, String), String> {
        let response =
            Response { status, body: body.replace('\n', "\r\n").into_bytes(), retry_after_seconds: None };
        value(&response).map(|measured| (measured.value, measured.text))
    }

    fn table(kind: &str, rows: &str) -> String {
        format!(
            "#datatype,string,long,dateTime:RFC3339,{kind},string\n#group,false,false,false,false,true\n\
             #default,_result,,,,\n,result,table,_time,_value,host\n{rows}\n"
        )
    }

    #[test]
    fn the_values_of_all_tables_are_the_result() {
        let body = table("double", ",,0,2026-01-01T00:00:00Z,0.95,a\n,,0,2026-01-01T00:01:00Z,1000000,a")
            + &table("long", ",,1,2026-01-01T00:00:00Z,3,\"b, c\"\"\nd\"");
        let wanted = (MetricValue::Samples(vec![0.95, 1e6, 3.0]), "[0.95 1e+06 3]".to_owned());
        assert_eq!(measured(200, &body), Ok(wanted));
        let mixed =
            table("string", ",,0,t,ok,a") + &table("boolean", ",,0,t,true,a") + &table("double", ",,0,t,,a");
        let wanted = (MetricValue::Hollow(json!(["ok", true, null])), "[ok true <nil>]".to_owned());
        assert_eq!(measured(200, &mixed), Ok(wanted), "null is missing data");
        let whole = table("string", ",,0,t,ok,a") + &table("boolean", ",,0,t,true,a");
        assert_eq!(measured(200, &whole).unwrap().0, MetricValue::Json(json!(["ok", true])));
        let (value, text) = measured(200, &table("double", ",,0,t,0.5,a\n,,0,t,,a")).unwrap();
        assert_eq!((value.has_nan(), text.as_str()), (true, "[0.5 <nil>]"), "null beside numbers is NaN");
        let (value, _) = measured(200, &table("double", ",,0,t,NaN,a")).unwrap();
        assert!(value.has_nan());
        for body in ["\n", &table("double", ",,0,t,,a")] {
            let nothing = MetricValue::Nothing("no results returned from flux query");
            assert_eq!(measured(200, body).unwrap().0, nothing);
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let failed = "#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,bucket not found,897\n";
        for (status, body, wanted) in [
            (200, failed, "bucket not found"),
            (200, &table("double", ",,0,t,x,a"), "influxdb answered \"x\" as double"),
            (
                401,
                r#"{"code":"unauthorized","message":"unauthorized access"}"#,
                "unauthorized: unauthorized access",
            ),
            (503, "busy", "influxdb answered 503: busy"),
        ] {
            assert_eq!(measured(status, body), Err(wanted.into()));
        }
    }
}
