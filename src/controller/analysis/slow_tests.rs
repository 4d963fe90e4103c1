//! Rounds of runs one of whose servers answers when the test says so, and not before.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::any;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Semaphore, oneshot};

use super::tests::{Stage, key, metric, object, prometheus, show, stage, written};
use super::*;
use crate::mock::Server;

/// What the slow server tells of its requests.
#[derive(Debug, PartialEq)]
enum Told {
    Asked,
    /// It has answered, or whoever asked has hung up.
    Over,
}

struct Slow {
    address: String,
    told: UnboundedReceiver<Told>,
    /// One answer each.
    answers: Arc<Semaphore>,
}

struct Over(UnboundedSender<Told>);

impl Drop for Over {
    fn drop(&mut self) {
        let _ = self.0.send(Told::Over);
    }
}

impl Slow {
    /// Begins to listen. Its answer is how a request was signed in.
    async fn listen() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (sender, told) = mpsc::unbounded_channel();
        let answers = Arc::new(Semaphore::new(0));
        let turns = Arc::clone(&answers);
        let handle = move |headers: HeaderMap| async move {
            let _ = sender.send(Told::Asked);
            let _over = Over(sender);
            turns.acquire().await.unwrap().forget();
            let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            json!({"signed": header("authorization"), "key": header("x-key")}).to_string()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(handle))).await });
        Self { address, told, answers }
    }

    fn metric(&self) -> Value {
        let web = json!({"url": self.address, "timeoutSeconds": 120});
        json!({"name": "slow", "provider": {"web": web}, "successCondition": "true"})
    }
}

fn names(status: &Value) -> Vec<&str> {
    let results = status["metricResults"].as_array();
    results.into_iter().flatten().filter_map(|result| result["name"].as_str()).collect()
}

/// Works the queue off while the test answers for the API server.
async fn work<T>(stage: &mut Stage, play: impl AsyncFnOnce(&mut Server) -> T) -> T {
    let (stop, stopped) = oneshot::channel::<()>();
    let (scene, runs) = (Arc::clone(&stage.scene), Arc::clone(&stage.runs));
    let attend = |key| Arc::clone(&runs).attend(key);
    let loop_of_runs = scene.runs.work(Vec::new(), 4, async { drop(stopped.await) }, attend, |_| {});
    let playing = async {
        let outcome = play(&mut stage.server).await;
        stop.send(()).unwrap();
        outcome
    };
    tokio::join!(loop_of_runs, playing).1
}

#[tokio::test]
async fn a_slow_server_delays_its_own_metric_alone() {
    let mut slow = Slow::listen().await;
    let run = object(json!({"metrics": [slow.metric(), metric()]}), json!({}));
    let mut stage = stage(run.clone(), &prometheus("0.97").await);
    let (next, first) = stage.round(async |server| server.answer(200, written("8")).await).await;
    assert_eq!((next, names(&first.body["status"])), (Next::Idle, vec!["m"]));
    assert_eq!(slow.told.recv().await, Some(Told::Asked));

    let run = show(&stage.scene, run, &first, "8");
    let (next, ()) = stage.round(async |_| ()).await;
    assert_eq!(next, Next::Idle, "nothing is asked or written while it is waited for");

    let answers = Arc::clone(&slow.answers);
    let second = work(&mut stage, async |server| {
        answers.add_permits(1);
        server.answer(200, written("9")).await
    })
    .await;
    assert_eq!(second.body["status"]["phase"], "Successful");
    let results = &second.body["status"]["metricResults"];
    let slow_one = results.as_array().unwrap().iter().find(|result| result["name"] == "slow").unwrap();
    assert_eq!(slow_one["measurements"][0]["startedAt"], run["status"]["startedAt"], "when it was asked");
    assert_eq!(slow.told.recv().await, Some(Told::Over));
    assert!(slow.told.try_recv().is_err(), "asked once");
}

/// The judge is due in the middle of the wait for another server, and has its look.
#[tokio::test]
async fn the_judge_looks_in_time_beside_a_server_that_hangs() {
    let slow = Slow::listen().await;
    let judge = json!({"tidegate.dev/judge": {"preset": "app", "stable": "old", "canary": "new"}});
    let judge = json!({"name": "judge", "interval": "1h", "provider": {"plugin": judge}});
    let now = Timestamp::now();
    let soon = Timestamp::from_second(now.as_second() + 2).unwrap();
    let status = json!({"phase": "Running", "startedAt": now.to_string(), "metricResults": [{
        "name": "judge", "phase": "Running",
        "measurements": [{"phase": "Running", "startedAt": now.to_string(), "resumeAt": soon.to_string()}],
    }]});
    let run = object(json!({"metrics": [slow.metric(), judge]}), status);
    let mut stage = stage(run.clone(), &prometheus("5").await);
    let scene = Arc::clone(&stage.scene);
    let (begun, looked) = work(&mut stage, async |server| {
        scene.runs.push(key());
        let begun = server.answer(200, written("8")).await;
        show(&scene, run, &begun, "8");
        scene.runs.push(key());
        (begun, server.answer(200, written("9")).await)
    })
    .await;
    assert_eq!(names(&begun.body["status"]), [""; 0], "what a status has besides: {}", begun.body);
    assert_eq!(names(&looked.body["status"]), ["judge"]);
}

#[tokio::test]
async fn two_that_answer_are_one_write() {
    let mut other = metric();
    other["name"] = json!("n");
    other["provider"]["prometheus"]["query"] = json!("down");
    let run = object(json!({"metrics": [metric(), other]}), json!({}));
    let mut stage = stage(run.clone(), &prometheus("0.97").await);
    let (next, patch) = stage.round(async |server| server.answer(200, written("8")).await).await;
    assert_eq!((next, patch.body["status"]["phase"].as_str()), (Next::Idle, Some("Successful")));
    show(&stage.scene, run, &patch, "8");
    let (next, ()) = stage.round(async |_| ()).await;
    assert_eq!(next, Next::Idle);
}

#[tokio::test]
async fn a_run_that_ends_or_goes_asks_nobody_any_longer() {
    for is_deleted in [false, true] {
        let mut slow = Slow::listen().await;
        let run = object(json!({"metrics": [slow.metric(), metric()]}), json!({}));
        let mut stage = stage(run.clone(), &prometheus("0.97").await);
        let (_, first) = stage.round(async |server| server.answer(200, written("8")).await).await;
        assert_eq!(slow.told.recv().await, Some(Told::Asked));
        let mut run = run;
        if is_deleted {
            stage.scene.stores.runs.delete(key());
            assert_eq!(stage.round(async |_| ()).await.0, Next::Idle);
        } else {
            run["spec"]["terminate"] = json!(true);
            let run = show(&stage.scene, run, &first, "8");
            let (_, last) = stage.round(async |server| server.answer(200, written("9")).await).await;
            assert_eq!(last.body["status"]["message"], "Run Terminated");
            assert_eq!(last.body["status"]["metricResults"], Value::Null, "{}", last.body);
            show(&stage.scene, run, &last, "9");
        }
        assert_eq!(slow.told.recv().await, Some(Told::Over), "the connection is closed");
        assert_eq!(stage.round(async |_| ()).await.0, Next::Idle, "nothing is written");
    }
}

/// The Secret has changed when the answer comes: what the request was made of is not told either way.
#[tokio::test]
async fn a_late_answer_tells_no_secret() {
    let mut slow = Slow::listen().await;
    let mut metric_of_slow = slow.metric();
    metric_of_slow["provider"]["web"]["headers"] = json!([{"key": "x-key", "value": "{{args.token}}"}]);
    metric_of_slow["provider"]["web"]["authentication"] =
        json!({"basicAuth": {"username": "user", "password": "pass"}});
    let args = json!([{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    let run = object(json!({"metrics": [metric_of_slow, metric()], "args": args}), json!({}));
    let mut stage = stage(run.clone(), &prometheus("0.97").await);
    let secret = |value: &str| json!({"metadata": {"name": "s"}, "data": {"k": value}});
    let play = async |server: &mut Server| {
        server.answer(200, secret("Zm9ybWVyLWtleQ==")).await;
        server.answer(200, written("8")).await
    };
    let (_, first) = stage.round(play).await;
    assert_eq!(slow.told.recv().await, Some(Told::Asked));
    show(&stage.scene, run, &first, "8");
    let answers = Arc::clone(&slow.answers);
    let second = work(&mut stage, async |server| {
        answers.add_permits(1);
        server.answer(200, secret("bGF0ZXIta2V5")).await;
        server.answer(200, written("9")).await
    })
    .await;
    let told = second.body.to_string();
    assert!(told.contains("Basic *****") && told.contains(r#"\"key\":\"*****\""#), "{told}");
    for secret in ["dXNlcjpwYXNz", "former-key", "later-key"] {
        assert!(!told.contains(secret), "{told}");
    }
}
