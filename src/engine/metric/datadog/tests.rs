use super::*;
use crate::metric::MetricValue;

fn metric(json: Value) -> DatadogMetric {
    serde_json::from_value(json).unwrap()
}

fn found(pairs: &[(&str, &str)]) -> crate::metric::account::Found {
    Ok(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn own() -> Accounts {
    let mut accounts = Accounts::default();
    accounts.insert(Account::Own("datadog".into()), found(&[("api-key", "hush1"), ("app-key", "hush2\n")]));
    accounts
}

fn asked(settings: Value) -> Result<Call, String> {
    request(&metric(settings), &own(), Timestamp::from_second(1_800_000_000).unwrap())
}

#[test]
fn version_1_is_asked_by_its_address() {
    let call = asked(json!({"query": "avg:errors{a:b} / 2"})).unwrap();
    assert_eq!(
        (call.method, call.url.as_str(), call.timeout_seconds, call.body),
        (
            Method::Get,
            "https://api.datadoghq.com/api/v1/query?from=1799999700&query=avg%3Aerrors%7Ba%3Ab%7D+%2F+2&to=1800000000",
            10,
            None
        )
    );
    let headers =
        [("Content-Type", "application/json"), ("DD-API-KEY", "hush1"), ("DD-APPLICATION-KEY", "hush2")];
    assert_eq!(call.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn version_2_is_asked_by_a_body() {
    let call = asked(json!({
        "apiVersion": "v2", "interval": "10m", "requestTimeout": "1500ms", "formula": "a / b",
        "queries": {"b": "sum:requests{*}", "a": "sum:errors{*}"}, "aggregator": "sum",
    }))
    .unwrap();
    assert_eq!((call.method, call.timeout_seconds), (Method::Post, 2));
    assert_eq!(call.url, "https://api.datadoghq.com/api/v2/query/scalar");
    let body: Value = serde_json::from_str(&call.body.unwrap()).unwrap();
    assert_eq!(
        body,
        json!({"data": {"type": "scalar_request", "attributes": {
            "from": 1_799_999_400_000i64, "to": 1_800_000_000_000i64, "formulas": [{"formula": "a / b"}],
            "queries": [
                {"aggregator": "sum", "data_source": "metrics", "name": "a", "query": "sum:errors{*}"},
                {"aggregator": "sum", "data_source": "metrics", "name": "b", "query": "sum:requests{*}"},
            ],
        }}})
    );
    let body = asked(json!({"apiVersion": "v2", "query": "q"})).unwrap().body.unwrap();
    assert!(body.contains(r#""aggregator":"last""#) && body.contains(r#""formulas":[]"#), "{body}");
    assert!(body.contains(r#""name":"query""#), "{body}");
}

#[test]
fn keys_come_from_where_the_metric_says() {
    let environment = Account::Environment(&VARIABLES);
    let cases = [
        (json!({}), vec![environment.clone(), Account::Own("datadog".into())]),
        (json!({"secretRef": {"name": "s"}}), vec![Account::Own("s".into())]),
        (json!({"secretRef": {"name": "s", "namespaced": true}}), vec![Account::Run("s".into())]),
    ];
    for (settings, wanted) in cases {
        assert_eq!(accounts(&metric(settings)), wanted);
    }
    let mut accounts = own();
    let now = Timestamp::UNIX_EPOCH;
    let variables = [("DD_API_KEY", "k1"), ("DD_APP_KEY", "k2"), ("DD_ADDRESS", "https://api.datadoghq.eu/")];
    accounts.insert(environment.clone(), found(&variables));
    let call = request(&metric(json!({"query": "q"})), &accounts, now).unwrap();
    assert!(call.url.starts_with("https://api.datadoghq.eu/api/v1/query?") && call.headers[1].1 == "k1");
    accounts.insert(environment, found(&variables[..2]));
    let call = request(&metric(json!({"query": "q"})), &accounts, now).unwrap();
    assert_eq!(call.headers[1].1, "hush1", "only all three variables count");
}

#[test]
fn wrong_settings_have_upstreams_words() {
    for (settings, wanted) in [
        (json!({}), "Must have either a query or queries."),
        (json!({"query": "q", "queries": {"a": "q"}}), "Cannot have both a query and queries."),
        (json!({"queries": {"a": "q"}}), "Query is empty. API Version v1 only supports"),
        (json!({"query": "q", "formula": "a"}), "Formula are only valid when queries are set."),
        (json!({"apiVersion": "v2", "queries": {"a": "q", "b": "q"}}), "When multiple queries are provided"),
        (json!({"query": "q", "aggregator": "sum"}), "Aggregator is not supported in v1."),
        (json!({"query": "q", "requestTimeout": "0s"}), "Request timeout must be a positive duration"),
        (json!({"query": "q", "requestTimeout": "x"}), "Could not parse the request timeout: time: invalid"),
        (json!({"query": "q", "interval": "x"}), "time: invalid duration \"x\""),
        (json!({"query": "q", "secretRef": {"namespaced": true}}), "secret name is required for namespaced"),
        (json!({"query": "q", "secretRef": {"name": "other"}}), "failed to find the credentials for datadog"),
    ] {
        let error = asked(settings.clone()).unwrap_err();
        assert!(error.starts_with(wanted), "{settings}: {error}");
    }
}

fn measured(version: &str, status: u16, body: &str) -> Result<Measured, String> {
    let response = Response { status, body: body.as_bytes().to_vec(), retry_after_seconds: None };
    value(&metric(json!({"apiVersion": version})), &response)
}

#[test]
fn the_last_point_is_the_value_of_version_1() {
    let body = r#"{"status":"ok","series":[{"pointlist":[[1,0.5],[2,0.006121374442409711]]},{"pointlist":[[2,9]]}]}"#;
    let number = 0.006_121_374_442_409_711;
    assert_eq!(measured("v1", 200, body), Ok(Measured::number(number, "0.006121374442409711".into())));
    for (body, text) in [
        (r#"{"status":"ok","series":[]}"#, "[]"),
        (r#"{"status":"ok","series":[{"pointlist":[]}]}"#, "[]"),
        (r#"{"status":"ok"}"#, "null"),
        (r#"{"series":[{"pointlist":[[1,0.5],[2,null]]}]}"#, "null"),
    ] {
        let measured = measured("v1", 200, body).unwrap();
        assert!(measured.value.is_empty());
        assert_eq!(measured.text, text, "{body}");
    }
    assert_eq!(
        measured("v1", 200, r#"{"series":[{"pointlist":[[1]]}]}"#),
        Err("Datapoint does not have 2 values".into())
    );
}

#[test]
fn version_2_has_columns() {
    let scalar = |columns: &str| {
        format!(r#"{{"data":{{"type":"scalar_response","attributes":{{"columns":{columns}}}}}}}"#)
    };
    let one = scalar(r#"[{"name":"a","type":"number","values":[0.0006444]}]"#);
    assert_eq!(measured("v2", 200, &one), Ok(Measured::number(0.000_644_4, "0.0006444".into())));
    for (body, text) in [
        (scalar(r#"[{"values":[null]}]"#), "[null]"),
        (scalar(r#"[{"values":[]}]"#), "[]"),
        (scalar("[]"), "[]"),
        (r#"{"data":{}}"#.to_owned(), "[]"),
    ] {
        let measured = measured("v2", 200, &body).unwrap();
        assert!(measured.value.is_empty(), "{body}");
        assert_eq!(measured.text, text);
    }
    let groups = scalar(
        r#"[{"name":"service","type":"group","values":[["web"],["api"]]},{"name":"a","type":"number","values":[0.5,2]}]"#,
    );
    let measured_groups = measured("v2", 200, &groups).unwrap();
    assert_eq!(measured_groups.value, MetricValue::Samples(vec![0.5, 2.0]));
    assert_eq!(measured_groups.text, "[0.5,2]");
    let told = r#"[{"name":"web","value":0.5},{"name":"api","value":2}]"#;
    assert_eq!(measured_groups.metadata, [("groups".to_owned(), told.to_owned())].into());
}

/// An answer to a query by tags: columns of their values, and the numbers.
fn grouped(tags: &[Value], numbers: &Value) -> Result<Measured, String> {
    let tag = |values: &Value| json!({"name": "t", "type": "group", "values": values});
    let mut columns: Vec<Value> = tags.iter().map(tag).collect();
    columns.push(json!({"name": "q", "type": "number", "values": numbers}));
    measured("v2", 200, &json!({"data": {"attributes": {"columns": columns}}}).to_string())
}

#[test]
fn groups_are_named_by_the_values_of_their_tags() {
    let tags = [json!([["web"], ["a,b", "c"], ["api"]]), json!([["prod"], ["test"], []])];
    let measured = grouped(&tags, &json!([1e-7, 3, 2e21])).unwrap();
    assert_eq!(
        measured.metadata["groups"],
        r#"[{"name":"web,prod","value":1e-7},{"name":"a,b,c,test","value":3},{"name":"api,","value":2e+21}]"#
    );
    let one = grouped(&[json!([["web"]])], &json!([0.5])).unwrap();
    assert_eq!(one.value, MetricValue::Samples(vec![0.5]), "one group is a list as well");
}

#[test]
fn groups_without_a_value_are_left_out_unless_all_are() {
    let tags = [json!([["web"], ["old"], ["api"]])];
    let some = grouped(&tags, &json!([0.5, null, 2])).unwrap();
    assert_eq!((some.value, some.text.as_str()), (MetricValue::Samples(vec![0.5, 2.0]), "[0.5,2]"));
    assert_eq!(some.metadata["groups"], r#"[{"name":"web","value":0.5},{"name":"api","value":2}]"#);
    for (numbers, text) in [(json!([null, null, null]), "[null,null,null]"), (json!([]), "[]")] {
        let none = grouped(&tags, &numbers).unwrap();
        assert!(none.value.is_empty() && none.metadata.is_empty(), "{numbers}");
        assert_eq!(none.text, text);
    }
    let wrong = grouped(&tags, &json!([0.5, "2", 2]));
    assert_eq!(wrong, Err("column \"q\" has a value that is no number".into()));
}

#[test]
fn of_many_groups_the_lowest_and_the_highest_are_told() {
    let told = |count: usize, name: &str| {
        let names: Vec<Value> = (0..count).map(|group| json!([format!("{name}{group}")])).collect();
        // They come in no order.
        let numbers: Vec<usize> = (0..count).map(|group| group * 7 % count).collect();
        let measured = grouped(&[json!(names)], &json!(numbers)).unwrap();
        assert!(matches!(&measured.value, MetricValue::Samples(samples) if samples.len() == count));
        let groups: Vec<Value> = serde_json::from_str(&measured.metadata["groups"]).unwrap();
        let values: Vec<u64> = groups.iter().map(|group| group["value"].as_u64().unwrap()).collect();
        (values, measured.metadata.get("groups_truncated").cloned())
    };
    let (values, truncated) = told(100, "g");
    assert_eq!((values.len(), values[1], truncated), (100, 7, None));
    let (values, truncated) = told(151, "g");
    let wanted: Vec<u64> = (0..50).chain(101..151).collect();
    assert_eq!((values, truncated), (wanted, Some("true".into())));
    let (values, truncated) = told(101, &"x".repeat(1000));
    let wanted: Vec<u64> = (0..6).chain(95..101).collect();
    assert_eq!((values, truncated), (wanted, Some("true".into())), "whole groups, and JSON");
    assert_eq!(told(1, &"x".repeat(20_000)), (Vec::new(), Some("true".into())));
}

#[test]
fn errors_are_told() {
    for (version, status, body, wanted) in [
        ("v1", 401, "no", "received authentication error response code: 401 no"),
        ("v2", 403, "no", "received authentication error response code: 403 no"),
        ("v1", 500, "x", "received non 2xx response code: 500 x"),
        ("v2", 429, "slow", "received non 2xx response code: 429 slow"),
        ("v2", 200, r#"{"data":{"errors":"bad query"}}"#, "There were errors in your query: bad query"),
        ("v1", 200, r#"{"error":"bad","series":[]}"#, "There were errors in your query: bad"),
        ("v1", 200, "<html>", "Could not parse JSON body: expected value at line 1 column 1"),
    ] {
        assert_eq!(measured(version, status, body), Err(wanted.into()));
    }
}
