//! Each provider once, against a server on loopback that speaks its protocol.
//!
//! The server answers only what is asked as the provider's documentation says: path, headers and body.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use serde_json::Value;
use tidegate_engine::analysis::{Outcome, record};
use tidegate_engine::metric::http::{Call, Login};
use tidegate_engine::metric::{Account, Answer, Request, Sent};
use tokio::net::TcpListener;

use super::*;
use crate::fetch::Fetcher;

/// One request as the server sees it.
struct Seen {
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

type Answered = Option<&'static str>;

async fn server(answer: fn(&Seen) -> Answered) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = move |uri: Uri, headers: HeaderMap, body: String| async move {
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
        match answer(&Seen { path, query, headers, body }) {
            Some(body) => (StatusCode::OK, body),
            None => (StatusCode::BAD_REQUEST, "not as the documentation says"),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
    address
}

fn world(provider: &Value, condition: &str, found: &[(Account, &[(&str, &str)])]) -> RunWorld {
    let metric = json!({"name": "m", "provider": provider, "successCondition": condition});
    let mut accounts = Accounts::default();
    for (account, pairs) in found {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        accounts.insert(account.clone(), Ok(pairs.collect()));
    }
    super::tests::world(super::tests::object(json!({"metrics": [metric]}), json!({})), accounts)
}

/// Asks the server in place of the real one, and gives what the measurement says.
async fn measured(address: &str, world: &RunWorld) -> (String, String) {
    let planned = plan(world);
    let [MeasureRequest { metric, request: Request::Http(call) }] = planned.requests.as_slice() else {
        panic!("{:?}", record(world, &[], world.now).status)
    };
    let url = call.url.replacen(call.server(), address, 1);
    // Signing in has tests of its own.
    let login = match &call.login {
        Login::Aws(_) | Login::Google { .. } => Login::None,
        other @ (Login::None | Login::Basic { .. } | Login::OAuth2 { .. }) => other.clone(),
    };
    let answer = Fetcher::default()
        .http(&Call { url, login, ..call.clone() }, &mut Sent::default())
        .await
        .map(Answer::Server);
    let recorded = record(world, &[Outcome { metric: metric.clone(), answer }], Timestamp::now());
    let results = recorded.status.unwrap().metric_results;
    let last = results[0].measurements.last().unwrap();
    (format!("{:?} {}", last.phase.unwrap(), last.value), last.message.clone())
}

async fn passes(
    answer: fn(&Seen) -> Answered,
    provider: Value,
    condition: &str,
    accounts: &[(Account, &[(&str, &str)])],
    value: &str,
) {
    let address = server(answer).await;
    let (told, message) = measured(&address, &world(&provider, condition, accounts)).await;
    assert_eq!(told, format!("Successful {value}"), "{provider}: {message}");
}

#[tokio::test]
async fn datadog_of_both_versions() {
    let accounts: [(Account, &[(&str, &str)]); 1] = [(
        Account::Own("datadog".into()),
        &[("api-key", "k1"), ("app-key", "k2"), ("address", "http://dog")],
    )];
    passes(
        |seen| {
            let is_signed = seen.header("dd-api-key") == "k1" && seen.header("dd-application-key") == "k2";
            let is_right = seen.path == "/api/v1/query" && seen.query.contains("&query=avg%3Aa&to=");
            (is_signed && is_right).then_some(r#"{"status":"ok","series":[{"pointlist":[[1,0.25]]}]}"#)
        },
        json!({"datadog": {"query": "avg:a"}}),
        "result < 0.5",
        &accounts,
        "0.25",
    )
    .await;
    passes(
        |seen| {
            let attributes = &seen.json()["data"]["attributes"];
            let is_right = seen.path == "/api/v2/query/scalar" && attributes["formulas"][0]["formula"] == "a/b";
            (is_right && attributes["queries"][1]["name"] == "b").then_some(
                r#"{"data":{"attributes":{"columns":[{"type":"group","name":"s","values":[["x"],["y"]]},{"type":"number","values":[1,2]}]}}}"#,
            )
        },
        json!({"datadog": {"apiVersion": "v2", "queries": {"a": "sum:a{*}", "b": "sum:b{*}"}, "formula": "a/b"}}),
        "all(result, # < 5)",
        &accounts,
        "[1,2]",
    )
    .await;
}

#[tokio::test]
async fn new_relic_cloud_watch_and_sky_walking() {
    passes(
        |seen| {
            let variables = &seen.json()["variables"];
            let is_right = seen.header("api-key") == "hush"
                && variables["accountId"] == 7
                && variables["query"] == "SELECT 1";
            is_right.then_some(
                r#"{"data":{"actor":{"account":{"nrql":{"results":[{"average.duration":0.2}]}}}}}"#,
            )
        },
        json!({"newRelic": {"query": "SELECT 1"}}),
        "result['average.duration'] < 0.5",
        &[(Account::Own("newrelic".into()), &[("personal-api-key", "hush"), ("account-id", "7")])],
        r#"{"average.duration":0.2}"#,
    )
    .await;
    let region = tidegate_engine::analysis::accounts(&world(
        &json!({"cloudWatch": {"metricDataQueries": []}}),
        "true",
        &[],
    ));
    passes(
        |seen| {
            let target = seen.header("x-amz-target") == "GraniteServiceVersion20100801.GetMetricData";
            let json = seen.json();
            let is_right = json["MetricDataQueries"][0]["Id"] == "a" && json["EndTime"].as_i64() > json["StartTime"].as_i64();
            (target && is_right)
                .then_some(r#"{"MetricDataResults":[{"Id":"a","StatusCode":"Complete","Timestamps":[1],"Values":[0.5]}],"Messages":[]}"#)
        },
        json!({"cloudWatch": {"metricDataQueries": [{"id": "a", "expression": "1"}]}}),
        "result[0].Values[0] < 1",
        &[(region.first().unwrap().clone(), &[("AWS_REGION", "eu-west-1")])],
        "[[0.5]]",
    )
    .await;
    passes(
        |seen| {
            let json = seen.json();
            let is_right = seen.path == "/graphql" && json["variables"]["duration"]["step"] == "MINUTE";
            is_right.then_some(r#"{"data":{"apdex":{"values":[{"value":9900}]}}}"#)
        },
        json!({"skywalking": {"address": "http://sky", "interval": "5m", "query": "query q"}}),
        "all(result.apdex.values, asFloat(.value) > 9000)",
        &[],
        r#"{"apdex":{"values":[{"value":9900}]}}"#,
    )
    .await;
}

#[tokio::test]
async fn graphite_influxdb_and_wavefront() {
    passes(
        |seen| {
            let is_right = seen.path == "/render" && seen.query == "format=json&from=-5min&target=a.b";
            is_right.then_some(r#"[{"target":"a.b","datapoints":[[1,1],[null,2]]}]"#)
        },
        json!({"graphite": {"address": "http://graphite", "query": "target=a.b&from=-5min"}}),
        "all(result, # < 5)",
        &[],
        "[1.000000]",
    )
    .await;
    passes(
        |seen| {
            let is_right = seen.path == "/api/v2/query" && seen.query == "org=o" && seen.json()["type"] == "flux";
            (is_right && seen.header("authorization") == "Token hush").then_some(
                "#datatype,string,long,double\r\n#group,false,false,false\r\n#default,_result,,\r\n,result,table,_value\r\n,,0,0.97\r\n\r\n",
            )
        },
        json!({"influxdb": {"query": "from(bucket: \"b\")"}}),
        "result[0] > 0.95",
        &[(Account::Own("influxdb".into()), &[("authToken", "hush"), ("org", "o"), ("address", "http://i")])],
        "[0.97]",
    )
    .await;
    passes(
        |seen| {
            let is_right = seen.path == "/api/v2/chart/api" && seen.query.contains("&q=ts%28a%29&");
            (is_right && seen.header("authorization") == "Bearer hush")
                .then_some(r#"{"timeseries":[{"label":"a","data":[[1,0.5]]}]}"#)
        },
        json!({"wavefront": {"address": "x.wavefront.com", "query": "ts(a)"}}),
        "result < 1",
        &[(Account::Own("wavefront-api-tokens".into()), &[("x.wavefront.com", "hush")])],
        "0.50",
    )
    .await;
}

#[tokio::test]
async fn the_providers_of_flagger() {
    let plugin = |name: &str, more: Value| {
        let mut config = json!({"query": "the query", "secretRef": {"name": "s"}});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"plugin": {name: config}})
    };
    let secret = Account::Run("s".into());
    passes(
        |seen| {
            let is_right = seen.path == "/api/v2/metrics/query"
                && seen.query.contains("metricSelector=the+query&resolution=Inf");
            (is_right && seen.header("authorization") == "Api-Token hush")
                .then_some(r#"{"result":[{"data":[{"timestamps":[1],"values":[3]}]}]}"#)
        },
        plugin("tidegate.dev/dynatrace", json!({"address": "http://dyna"})),
        "result < 5",
        &[(secret.clone(), &[("dynatrace_token", "hush")])],
        "[3]",
    )
    .await;
    passes(
        |seen| {
            let is_right =
                seen.path == "/v2/signalflow/execute" && seen.query.starts_with("immediate=true&start=");
            (is_right && seen.header("x-sf-token") == "hush" && seen.body == "the query").then_some(concat!(
                "event: data\ndata: {\"data\":[{\"tsId\":\"A\",\"value\":4}]}\n\n",
                "event: control-message\ndata: {\"event\":\"END_OF_CHANNEL\"}\n\n",
            ))
        },
        plugin("tidegate.dev/splunk", json!({"address": "https://api.us1.signalfx.com"})),
        "result < 5",
        &[(secret.clone(), &[("sf_token_key", "hush")])],
        "[4]",
    )
    .await;
    passes(
        |seen| {
            let is_right =
                seen.path == "/v3/projects/p/timeSeries:query" && seen.json()["query"] == "the query";
            is_right.then_some(r#"{"timeSeriesData":[{"pointData":[{"values":[{"int64Value":"2"}]}]}]}"#)
        },
        plugin("tidegate.dev/stackdriver", json!({})),
        "result < 5",
        &[(secret, &[("project", "p")])],
        "[2]",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_wants_something_else_fails_the_measurement() {
    let address = server(|_| None).await;
    let graphite = json!({"graphite": {"address": "http://g", "query": "target=a"}});
    let (told, message) = measured(&address, &world(&graphite, "true", &[])).await;
    assert_eq!(
        (told.as_str(), message.as_str()),
        ("Error ", "error response: not as the documentation says")
    );
}
