//! Rounds against an API server that the test plays, and a Prometheus on loopback.

use axum::Router;
use axum::routing::any;
use serde_json::Value;
use tidegate_engine::fence::Seen;
use tokio::net::TcpListener;

use super::*;
use crate::events::Writer;
use crate::mock::{Asked, Server, server};

const RUN: &str = "/apis/argoproj.io/v1alpha1/namespaces/ns/analysisruns/r";

/// A loop with one run in its cache.
pub(super) struct Stage {
    pub(super) runs: Arc<Runs>,
    pub(super) scene: Arc<Scene>,
    pub(super) server: Server,
    events: Writer,
}

pub(super) fn object(spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": "r", "namespace": "ns", "uid": "u1", "resourceVersion": "7"},
        "spec": spec, "status": status,
    })
}

/// A run at a time, of which nothing else is known.
pub(super) fn world(run: Value, accounts: Accounts) -> RunWorld {
    RunWorld {
        now: Timestamp::now(),
        run: Arc::new(serde_json::from_value(run).unwrap()),
        secrets: Secrets::new(),
        accounts,
        defaults: Defaults::default(),
        jobs_over: BTreeSet::new(),
    }
}

pub(super) fn stage(run: Value, prometheus: &str) -> Stage {
    let (client, server) = server();
    let metrics = Arc::new(Metrics::default());
    let (recorder, events) = crate::events::channel(client.clone(), Arc::clone(&metrics));
    let scene = Arc::new(Scene::default());
    let seen = Seen { version: "7".to_owned(), uid: "u1".to_owned() };
    scene.stores.runs.apply(key(), seen, serde_json::from_value(run).unwrap());
    let hand = Hand::new(client.clone(), recorder.clone());
    let defaults = Defaults { prometheus_address: Some(prometheus.to_owned()), ..Defaults::default() };
    let runs = Runs::new(
        &scene,
        &client,
        hand,
        recorder,
        &metrics,
        Jobs::new(client.clone()),
        (defaults, "own".to_owned()),
    );
    Stage { runs, scene, server, events }
}

pub(super) fn key() -> Key {
    Key::new("ns", "r")
}

/// Shows in the cache what a patch made of a run.
pub(super) fn show(scene: &Scene, mut run: Value, patch: &Asked, version: &str) -> Value {
    json_patch::merge(&mut run, &patch.body);
    run["metadata"]["resourceVersion"] = version.into();
    let seen = Seen { version: version.to_owned(), uid: "u1".to_owned() };
    scene.stores.runs.apply(key(), seen, serde_json::from_value(run.clone()).unwrap());
    run
}

impl Stage {
    /// Makes one round while the test answers for the API server.
    pub(super) async fn round<T>(&mut self, play: impl AsyncFnOnce(&mut Server) -> T) -> (Next, T) {
        tokio::join!(Arc::clone(&self.runs).attend(key()), play(&mut self.server))
    }
}

/// A Prometheus whose every vector has this one sample.
pub(super) async fn prometheus(sample: &'static str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = move || async move {
        let result = format!(r#"[{{"metric":{{}},"value":[1,"{sample}"]}}]"#);
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    address
}

pub(super) fn metric() -> Value {
    json!({"name": "m", "provider": {"prometheus": {"query": "up"}}, "successCondition": "result >= 0.95"})
}

pub(super) fn written(version: &str) -> Value {
    let mut answer = object(json!({"metrics": []}), json!({"phase": "Running"}));
    answer["metadata"]["resourceVersion"] = version.into();
    answer
}

#[tokio::test]
async fn a_round_measures_and_writes_what_came_of_it() {
    let mut stage = stage(object(json!({"metrics": [metric()]}), json!({})), &prometheus("0.97").await);
    let (next, asked) = stage.round(async |server| server.answer(200, written("8")).await).await;
    assert_eq!(next, Next::Idle);
    let Asked { line, content_type, body } = asked;
    assert_eq!(line, format!("PATCH {RUN}?&fieldManager=tidegate"));
    assert_eq!(content_type, "application/merge-patch+json");
    assert_eq!(body["metadata"], json!({"resourceVersion": "7"}));
    assert_eq!(body["status"]["phase"], "Successful");
    assert_eq!(body["status"]["metricResults"][0]["measurements"][0]["value"], "[0.97]");
    assert_eq!(stage.events.waiting(), ["MetricSuccessful", "AnalysisRunSuccessful"]);

    let (next, ()) = stage.round(async |_| ()).await;
    assert_eq!(
        next,
        Next::After(STALE_PAUSE),
        "the cache does not show the write yet, so nothing is measured twice"
    );
}

#[tokio::test]
async fn what_was_measured_survives_a_conflict() {
    let mut stage = stage(object(json!({"metrics": [metric()]}), json!({})), &prometheus("0.5").await);
    let conflict = json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict"});
    let mut fresh = object(json!({"metrics": [metric()]}), json!({}));
    fresh["metadata"]["resourceVersion"] = "8".into();
    let play = async |server: &mut Server| {
        server.answer(409, conflict).await;
        let read = server.answer(200, fresh).await;
        (read.line, server.answer(200, written("9")).await)
    };
    let (next, (read, patch)) = stage.round(play).await;
    assert_eq!((next, read), (Next::Idle, format!("GET {RUN}")));
    assert_eq!(patch.body["metadata"], json!({"resourceVersion": "8"}));
    assert_eq!(patch.body["status"]["phase"], "Failed");
}

#[tokio::test]
async fn a_run_that_was_told_to_end_meanwhile_ends() {
    let mut stage = stage(object(json!({"metrics": [metric()]}), json!({})), &prometheus("0.5").await);
    let conflict = json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict"});
    let play = async |server: &mut Server| {
        server.answer(409, conflict).await;
        server.answer(200, object(json!({"metrics": [metric()], "terminate": true}), json!({}))).await;
        server.answer(200, written("9")).await
    };
    let (_, patch) = stage.round(play).await;
    assert_eq!(
        (&patch.body["status"]["phase"], &patch.body["status"]["message"]),
        (&json!("Successful"), &json!("Run Terminated"))
    );
}

fn secretive() -> Value {
    let mut metric = metric();
    metric["provider"]["prometheus"]["query"] = json!("up{t='{{args.token}}'}");
    let args = json!([{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    object(json!({"metrics": [metric], "args": args}), json!({}))
}

#[tokio::test]
async fn secrets_are_read_for_the_measurement() {
    let mut stage = stage(secretive(), &prometheus("1").await);
    let play = async |server: &mut Server| {
        let secret = json!({"metadata": {"name": "s"}, "data": {"k": "aHVzaA=="}});
        let read = server.answer(200, secret).await;
        (read.line, server.answer(200, written("8")).await)
    };
    let (_, (read, patch)) = stage.round(play).await;
    assert_eq!(read, "GET /api/v1/namespaces/ns/secrets/s");
    let shown = patch.body.to_string();
    assert!(
        shown.contains("Successful") && shown.contains("temp-for-secret") && !shown.contains("hush"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_secret_that_is_missing_ends_the_run() {
    let denied =
        json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no right to secrets"});
    for (code, answer, message) in [
        (404, json!({"kind": "Status", "code": 404, "reason": "NotFound"}), "secrets \"s\" not found"),
        (200, json!({"metadata": {"name": "s"}}), "key 'k' does not exist in secret 's'"),
        (403, denied, "cannot read Secret s"),
    ] {
        let mut stage = stage(secretive(), "http://127.0.0.1:1");
        let play = async |server: &mut Server| {
            server.answer(code, answer).await;
            server.answer(200, written("8")).await
        };
        let (_, patch) = stage.round(play).await;
        let told = patch.body["status"]["message"].as_str().unwrap();
        assert!(told.starts_with(&format!("Unable to resolve metric arguments: {message}")), "{told}");
    }
}

#[tokio::test]
async fn an_api_server_that_is_away_is_no_verdict() {
    let mut stage = stage(secretive(), "http://127.0.0.1:1");
    let (next, _) = stage.round(async |server| server.hang_up().await).await;
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    assert!(stage.events.waiting().is_empty());
}

#[tokio::test]
async fn what_is_not_served_is_told_once_and_left_alone() {
    let metric = json!({"name": "m", "provider": {"plugin": {"acme/x": {"query": "q"}}}});
    let mut stage = stage(object(json!({"metrics": [metric]}), json!({})), "http://127.0.0.1:1");
    for _ in 0..2 {
        let (next, ()) = stage.round(async |_| ()).await;
        assert_eq!(next, Next::Idle);
    }
    assert_eq!(stage.events.waiting(), ["AnalysisRunNotServed"]);
}

#[tokio::test]
async fn a_run_whose_time_is_over_is_deleted() {
    let spec = json!({"metrics": [metric()], "ttlStrategy": {"secondsAfterCompletion": 60}});
    let status = json!({"phase": "Failed", "completedAt": "2020-01-01T00:00:00Z"});
    let mut stage = stage(object(spec, status), "http://127.0.0.1:1");
    let (next, asked) = stage.round(async |server| server.answer(200, json!({"kind": "Status"})).await).await;
    assert_eq!(next, Next::Idle);
    assert_eq!(asked.line, format!("DELETE {RUN}?"));
    assert_eq!(asked.body["preconditions"]["uid"], "u1");
}

#[tokio::test]
async fn a_prometheus_that_is_away_is_an_error_and_tried_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut stage = stage(object(json!({"metrics": [metric()]}), json!({})), &address);
    let (next, patch) = stage.round(async |server| server.answer(200, written("8")).await).await;
    assert!(matches!(next, Next::After(delay) if delay <= Duration::from_secs(10)), "{next:?}");
    let measurement = &patch.body["status"]["metricResults"][0]["measurements"][0];
    assert_eq!(measurement["phase"], "Error");
    let wanted = format!("prometheus at {address} cannot be reached: Connection refused");
    assert!(measurement["message"].as_str().unwrap().starts_with(&wanted), "{measurement}");
}

/// The history of the stable version is asked for once; after that each look is a query of its own.
#[tokio::test]
async fn the_judge_looks_again_and_writes_all_that_it_knows() {
    let config = json!({"preset": "app", "stable": "old", "canary": "new"});
    let metric =
        json!({"name": "m", "interval": "1h", "provider": {"plugin": {"tidegate.dev/judge": config}}});
    let mut stage = stage(object(json!({"metrics": [metric]}), json!({})), &prometheus("5").await);
    let (next, asked) = stage.round(async |server| server.answer(200, written("8")).await).await;
    assert!(matches!(next, Next::After(delay) if delay <= Duration::from_secs(10)), "{next:?}");
    let measurement = &asked.body["status"]["metricResults"][0]["measurements"][0];
    assert_eq!(measurement["phase"], "Running");
    assert!(
        measurement["message"].as_str().unwrap().starts_with("undecided: no requests yet"),
        "{measurement}"
    );
    assert!(measurement["metadata"]["tidegate.dev/judge"].as_str().unwrap().contains("\"learned\":true"));
}

fn job_metric() -> Value {
    json!({"name": "m", "provider": {"job": {"spec": {"template": {"spec": {}}}}}})
}

/// The Job of the metric as the API server shows it.
fn job() -> Value {
    json!({"metadata": {
        "name": "u1.m.1", "namespace": "ns", "uid": "j1", "labels": {"analysisrun.argoproj.io/uid": "u1"},
        "annotations": {"analysisrun.argoproj.io/metric-name": "m", "analysisrun.argoproj.io/name": "r"},
    }})
}

fn in_flight() -> Value {
    json!({"phase": "Running", "startedAt": "2026-01-01T00:00:00Z", "metricResults": [{
        "name": "m", "phase": "Running", "measurements": [{
            "phase": "Running", "startedAt": "2026-01-01T00:00:00Z",
            "metadata": {"job-name": "u1.m.1", "job-namespace": "ns"},
        }],
    }]})
}

#[tokio::test]
async fn a_job_is_created_and_told_in_the_run() {
    let mut stage = stage(object(json!({"metrics": [job_metric()]}), json!({})), "http://127.0.0.1:1");
    let play = async |server: &mut Server| {
        let created = server.answer(201, job()).await;
        (created, server.answer(200, written("8")).await)
    };
    let (next, (created, patch)) = stage.round(play).await;
    assert!(matches!(next, Next::After(delay) if delay <= Duration::from_secs(1)), "{next:?}");
    assert!(created.line.starts_with("POST /apis/batch/v1/namespaces/ns/jobs?"), "{}", created.line);
    assert_eq!(created.body["metadata"]["ownerReferences"][0]["uid"], "u1");
    let measurement = &patch.body["status"]["metricResults"][0]["measurements"][0];
    assert_eq!(measurement["metadata"], json!({"job-name": "u1.m.1", "job-namespace": "ns"}));
}

#[tokio::test]
async fn silence_about_a_job_is_no_verdict_and_the_other_metrics_have_theirs() {
    let metrics = json!([job_metric(), {"name": "p", "provider": metric()["provider"]}]);
    let mut stage = stage(object(json!({"metrics": metrics}), json!({})), &prometheus("1").await);
    let play = async |server: &mut Server| {
        server.hang_up().await;
        server.answer(200, written("8")).await
    };
    let (next, patch) = stage.round(play).await;
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    let results = patch.body["status"]["metricResults"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["name"]), (1, &json!("p")));
}

#[tokio::test]
async fn a_run_that_is_told_to_end_deletes_its_job_first() {
    let run = object(json!({"metrics": [job_metric()], "terminate": true}), in_flight());
    let mut stage = stage(run, "http://127.0.0.1:1");
    let (next, _) = stage.round(async |server| server.hang_up().await).await;
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    assert!(stage.events.waiting().is_empty());
    let play = async |server: &mut Server| {
        let deleted = server.answer(200, json!({"kind": "Status"})).await;
        (deleted.line, server.answer(200, written("8")).await)
    };
    let (_, (deleted, patch)) = stage.round(play).await;
    assert_eq!(deleted, "DELETE /apis/batch/v1/namespaces/ns/jobs/u1.m.1?");
    assert_eq!(patch.body["status"]["phase"], "Inconclusive");
}

#[tokio::test]
async fn old_jobs_go_before_nobody_tells_of_them_any_longer() {
    let old = |number: i64| {
        json!({
            "phase": "Successful", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
            "metadata": {"job-name": format!("u1.m.{number}"), "job-namespace": "ns"},
        })
    };
    let mut metric = job_metric();
    metric["interval"] = json!("1s");
    let status = json!({"phase": "Running", "startedAt": "2026-01-01T00:00:00Z", "metricResults": [{
        "name": "m", "phase": "Running", "count": 2, "successful": 2, "measurements": [old(1), old(2)],
    }]});
    let retention = json!([{"metricName": "m", "limit": 2}]);
    let run = object(json!({"metrics": [metric], "measurementRetention": retention}), status);
    let mut stage = stage(run, "http://127.0.0.1:1");
    let play = async |server: &mut Server| {
        let mut third = job();
        third["metadata"]["name"] = "u1.m.3".into();
        server.answer(201, third).await;
        // That an old Job stays is told in the log, and holds nothing up.
        let deleted = server.hang_up().await;
        (deleted.line, server.answer(200, written("8")).await)
    };
    let (_, (deleted, patch)) = stage.round(play).await;
    assert_eq!(deleted, "DELETE /apis/batch/v1/namespaces/ns/jobs/u1.m.1?");
    assert_eq!(patch.body["status"]["metricResults"][0]["measurements"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_web_metric_asks_its_server() {
    let server = prometheus("0.5").await;
    let web = json!({"url": format!("{server}/any"), "jsonPath": "{.data.result[0].value[1]}"});
    let metric = json!({"name": "w", "provider": {"web": web}, "successCondition": "asFloat(result) >= 0.5"});
    let mut stage = stage(object(json!({"metrics": [metric]}), json!({})), "http://127.0.0.1:1");
    let (_, patch) = stage.round(async |server| server.answer(200, written("8")).await).await;
    assert_eq!(patch.body["status"]["phase"], "Successful");
    assert_eq!(patch.body["status"]["metricResults"][0]["measurements"][0]["value"], "\"0.5\"");
}

fn provided(provider: &Value) -> Value {
    let metric = json!({"name": "m", "provider": provider, "successCondition": "result < 5"});
    object(json!({"metrics": [metric]}), json!({}))
}

fn forbidden() -> Value {
    json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"})
}

#[tokio::test]
async fn external_metrics_are_read_from_the_api_server() {
    let provider =
        json!({"plugin": {"tidegate.dev/externalmetrics": {"query": "queue?labelSelector=a%3Db"}}});
    let mut stage = stage(provided(&provider), "http://127.0.0.1:1");
    let play = async |server: &mut Server| {
        let list = json!({"items": [{"metricName": "queue", "value": "1500m"}]});
        let read = server.answer(200, list).await;
        (read.line, server.answer(200, written("8")).await)
    };
    let (_, (read, patch)) = stage.round(play).await;
    let path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/queue?labelSelector=a%3Db";
    assert_eq!(read, format!("GET {path}"));
    let measured = &patch.body["status"]["metricResults"][0]["measurements"][0];
    assert_eq!((&measured["phase"], &measured["value"]), (&json!("Successful"), &json!("[1.5]")));

    let mut stage = self::stage(provided(&provider), "http://127.0.0.1:1");
    let play = async |server: &mut Server| {
        server.answer(403, forbidden()).await;
        server.answer(200, written("8")).await
    };
    let (_, patch) = stage.round(play).await;
    let measured = &patch.body["status"]["metricResults"][0]["measurements"][0];
    assert_eq!(measured["message"], "the API server answered 403: no");
}

#[tokio::test]
async fn accounts_are_read_beside_the_controller_and_never_shown() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = |headers: axum::http::HeaderMap| async move {
        let key = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = json!({"code": "unauthorized", "message": format!("{key} is not known")});
        (axum::http::StatusCode::UNAUTHORIZED, body.to_string())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });

    let provider = json!({"influxdb": {"query": "q"}});
    let mut stage = stage(provided(&provider), "http://127.0.0.1:1");
    let encoded = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let secret = json!({"metadata": {"name": "influxdb"}, "data": {
        "authToken": encoded("hush"), "org": encoded("o"), "address": encoded(&address),
    }});
    let play = async |server: &mut Server| {
        let read = server.answer(200, secret).await;
        (read.line, server.answer(200, written("8")).await)
    };
    let (_, (read, patch)) = stage.round(play).await;
    assert_eq!(read, "GET /api/v1/namespaces/own/secrets/influxdb");
    let shown = patch.body.to_string();
    assert!(shown.contains("unauthorized: Token ***** is not known") && !shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn accounts_that_may_not_be_read_are_told_in_the_run() {
    let provider = json!({"plugin": {"tidegate.dev/dynatrace": {"address": "http://d", "query": "q", "secretRef": {"name": "s"}}}});
    let mut stage = stage(provided(&provider), "http://127.0.0.1:1");
    let play = async |server: &mut Server| {
        let read = server.answer(403, forbidden()).await;
        (read.line, server.answer(200, written("8")).await)
    };
    let (_, (read, patch)) = stage.round(play).await;
    assert_eq!(read, "GET /api/v1/namespaces/ns/secrets/s");
    let message = &patch.body["status"]["metricResults"][0]["measurements"][0]["message"];
    assert!(message.as_str().unwrap().starts_with("cannot read Secret s:"), "{message}");
}
