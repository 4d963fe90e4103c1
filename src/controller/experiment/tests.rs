//! Experiments against an API server that a test answers: one write is one exact request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_engine::fence::Seen;

use super::Experiments;
use crate::apply::Hand;
use crate::events::{self, Writer};
use crate::facts::Facts;
use crate::metrics::Metrics;
use crate::mock::{Server, server};
use crate::store::{Key, Store};
use crate::watch::Scene;
use crate::work::Next;

/// The controller's side, the API server's side, and the events that are told.
struct Bench {
    experiments: Arc<Experiments>,
    scene: Arc<Scene>,
    server: Server,
    told: Writer,
}

fn bench() -> Bench {
    let (client, server) = server();
    let (metrics, scene) = (Arc::new(Metrics::default()), Arc::new(Scene::default()));
    let (recorder, told) = events::channel(client.clone(), Arc::clone(&metrics));
    let hand = Hand::new(client.clone(), recorder.clone());
    let experiments = Experiments::new(&scene, client, hand, recorder, &metrics, Duration::from_secs(900));
    Bench { experiments, scene, server, told }
}

impl Bench {
    /// Makes one round while the API server gives its answers; returns the requests, too.
    async fn round(&mut self, answers: Vec<(u16, Value)>) -> (Next, Vec<(String, Value)>) {
        let round = tokio::spawn(Arc::clone(&self.experiments).attend(Key::new("ns", "e")));
        let mut asked = Vec::new();
        for (code, answer) in answers {
            let request = self.server.answer(code, answer).await;
            asked.push((request.line, request.body));
        }
        (round.await.unwrap(), asked)
    }
}

fn put<T: Facts>(store: &Store<T>, object: Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = Key::new("ns", text("/metadata/name"));
    let seen = Seen { version: text("/metadata/resourceVersion"), uid: text("/metadata/uid") };
    store.apply(key, seen, T::keep(object, None).unwrap());
}

fn experiment(status: Value, service: bool) -> Value {
    let mut template = json!({
        "name": "a", "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80}]},
        ]}},
    });
    if service {
        template["service"] = json!({});
    }
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
        "metadata": {"name": "e", "namespace": "ns", "uid": "e1", "generation": 1, "resourceVersion": "7"},
        "spec": {"templates": [template]}, "status": status,
    })
}

fn owners() -> Value {
    json!([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "name": "e", "uid": "e1", "controller": true,
        "blockOwnerDeletion": true}])
}

fn set(replicas: i32, deadline: Option<&str>) -> Value {
    let mut set = json!({
        "metadata": {"name": "e-a", "namespace": "ns", "uid": "s1", "generation": 1, "resourceVersion": "9",
            "labels": {"rollouts-pod-template-hash": "h"}, "ownerReferences": owners(),
            "annotations": {"experiment.argoproj.io/name": "e", "experiment.argoproj.io/template-name": "a"}},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [
            {"name": "c", "image": "i", "ports": [{"containerPort": 80}]},
        ]}}},
        "status": {"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas},
    });
    if let Some(deadline) = deadline {
        set["metadata"]["annotations"]["scale-down-deadline"] = deadline.into();
    }
    set
}

fn written(name: &str, version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": name, "resourceVersion": version}})
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
        "message": "exceeded quota", "details": {}});
    (code, status)
}

const SETS: &str = "/apis/apps/v1/namespaces/ns/replicasets";
const STATUS: &str = "PATCH /apis/argoproj.io/v1alpha1/namespaces/ns/experiments/e?&fieldManager=tidegate";

#[tokio::test]
async fn it_begins_with_a_replica_set_and_its_status_on_the_object() {
    let mut bench = bench();
    put(&bench.scene.stores.experiments, experiment(Value::Null, false));
    let (next, asked) = bench.round(vec![(201, written("e-a", "8")), (200, written("e", "9"))]).await;
    assert!(matches!(next, Next::After(_)), "{next:?}");
    assert_eq!(asked[0].0, format!("POST {SETS}?&fieldManager=tidegate"));
    assert_eq!(asked[0].1["metadata"]["ownerReferences"], owners());
    assert_eq!(asked[0].1["spec"]["replicas"], 0);
    assert_eq!(asked[1].0, STATUS);
    assert_eq!(asked[1].1["metadata"], json!({"resourceVersion": "7"}));
    assert_eq!(asked[1].1["status"]["phase"], "Pending");
    assert_eq!(bench.told.waiting(), ["TemplateProgressing", "ExperimentPending"]);
    // The cache has not seen the writes yet, so nothing is decided on it.
    let (next, asked) = bench.round(Vec::new()).await;
    assert_eq!((next, asked.len()), (Next::After(super::STALE_PAUSE), 0));
}

#[tokio::test]
async fn what_the_server_would_not_have_is_told_in_the_status() {
    let mut bench = bench();
    put(&bench.scene.stores.experiments, experiment(Value::Null, false));
    let (next, asked) = bench.round(vec![refusal(403, "Forbidden"), (200, written("e", "9"))]).await;
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    let template = &asked[1].1["status"]["templateStatuses"][0];
    assert_eq!(template["message"], "Failed to create ReplicaSet for template 'a': exceeded quota (403)");
    assert_eq!(bench.told.waiting(), ["ReplicaSetCreateError", "TemplateError"]);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_reached_ends_nothing() {
    let mut bench = bench();
    put(&bench.scene.stores.experiments, experiment(Value::Null, false));
    let (code, mut away) = refusal(500, "InternalError");
    away["message"] = "Internal error occurred: failed calling webhook \"policy\": connection refused".into();
    let (next, asked) = bench.round(vec![(code, away)]).await;
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    assert_eq!(asked.len(), 1, "no status");
    assert_eq!(bench.told.waiting(), ["ReplicaSetCreateError"]);
}

#[tokio::test]
async fn pods_that_cannot_be_taken_away_are_told_although_the_verdict_stays() {
    let mut bench = bench();
    let status = json!({"phase": "Successful", "templateStatuses": [
        {"name": "a", "status": "Successful", "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1},
    ], "conditions": [{"type": "Progressing", "status": "False", "reason": "ExperimentCompleted", "message": ""}]});
    put(&bench.scene.stores.experiments, experiment(status, false));
    put(&bench.scene.stores.sets, set(1, Some("2020-01-01T00:00:00Z")));
    let (next, asked) = bench.round(vec![refusal(403, "Forbidden")]).await;
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    assert_eq!(asked[0].0, format!("PATCH {SETS}/e-a?&fieldManager=tidegate"));
    assert_eq!(bench.told.waiting(), ["ReplicaSetUpdateError"]);
}

#[tokio::test]
async fn a_name_that_somebody_else_has_is_remembered() {
    let mut bench = bench();
    put(&bench.scene.stores.experiments, experiment(Value::Null, false));
    let (next, _) = bench.round(vec![refusal(409, "AlreadyExists"), (200, written("e-a", "3"))]).await;
    assert!(matches!(next, Next::Failed { .. }), "{next:?}");
    let (_, asked) = bench.round(vec![(200, written("e", "9"))]).await;
    assert_eq!(asked[0].1["status"]["templateStatuses"][0]["collisionCount"], 1);
}

/// A ReplicaSet that a former attempt has made is taken up, and the plan goes on.
#[tokio::test]
async fn a_replica_set_of_a_lost_answer_is_taken_up() {
    let mut former = bench();
    put(&former.scene.stores.experiments, experiment(Value::Null, false));
    let (_, lost) = former.round(vec![refusal(403, "Forbidden"), (200, written("e", "9"))]).await;
    let mut live = set(0, None);
    live["apiVersion"] = "apps/v1".into();
    live["kind"] = "ReplicaSet".into();
    live["metadata"]["labels"] = lost[0].1["metadata"]["labels"].clone();
    let mut bench = bench();
    put(&bench.scene.stores.experiments, experiment(Value::Null, false));
    let answers = vec![refusal(409, "AlreadyExists"), (200, live), (200, written("e", "9"))];
    let (next, asked) = bench.round(answers).await;
    assert!(matches!(next, Next::After(_)), "{next:?}");
    assert_eq!(asked[1].0, format!("GET {SETS}/e-a"));
    assert_eq!(asked[2].0, STATUS);
}

#[tokio::test]
async fn pods_go_by_the_version_that_was_seen_and_the_service_after_them() {
    let mut bench = bench();
    let status = json!({"phase": "Successful", "templateStatuses": [
        {"name": "a", "status": "Successful", "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1, "serviceName": "e-a"},
    ], "conditions": [{"type": "Progressing", "status": "False", "reason": "ExperimentCompleted", "message": ""}]});
    put(&bench.scene.stores.experiments, experiment(status, true));
    put(&bench.scene.stores.sets, set(1, Some("2020-01-01T00:00:00Z")));
    let service = json!({"metadata": {"name": "e-a", "namespace": "ns", "uid": "v1", "resourceVersion": "5",
        "ownerReferences": owners(),
        "annotations": {"experiment.argoproj.io/name": "e", "experiment.argoproj.io/template-name": "a"}}});
    put(&bench.scene.stores.services, service);
    let (_, asked) = bench.round(vec![(200, written("e-a", "10")), (200, written("e", "11"))]).await;
    assert_eq!(asked[0].0, format!("PATCH {SETS}/e-a?&fieldManager=tidegate"));
    assert_eq!(
        asked[0].1,
        json!({"metadata": {"uid": "s1", "resourceVersion": "9"}, "spec": {"replicas": 0}})
    );
    assert_eq!(bench.told.waiting(), ["ScalingReplicaSet"]);
    // The caches catch up: the pods are gone.
    let mut gone = set(0, Some("2020-01-01T00:00:00Z"));
    gone["metadata"]["resourceVersion"] = "12".into();
    put(&bench.scene.stores.sets, gone);
    let status = json!({"phase": "Successful", "templateStatuses": [
        {"name": "a", "status": "Successful", "replicas": 0, "updatedReplicas": 0, "readyReplicas": 0, "availableReplicas": 0, "serviceName": "e-a"},
    ]});
    let mut seen = experiment(status, true);
    seen["metadata"]["resourceVersion"] = "13".into();
    put(&bench.scene.stores.experiments, seen);
    let (_, asked) = bench
        .round(vec![(200, json!({"kind": "Status", "apiVersion": "v1"})), (200, written("e", "14"))])
        .await;
    assert_eq!(asked[0].0, "DELETE /api/v1/namespaces/ns/services/e-a?");
    assert_eq!(asked[0].1["preconditions"], json!({"uid": "v1"}));
}

/// Pods whose Service has a share of the traffic stay, and nobody asks or looks again until something changes.
#[tokio::test]
async fn an_experiment_that_waits_for_its_rollout_makes_no_request() {
    let mut bench = bench();
    let status = json!({"phase": "Successful", "templateStatuses": [
        {"name": "a", "status": "Successful", "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1, "serviceName": "e-a"},
    ], "conditions": [{"type": "Progressing", "status": "False", "reason": "ExperimentCompleted", "message": ""}]});
    let mut ended = experiment(status, true);
    ended["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "x", "kind": "Rollout", "name": "shop", "uid": "r1", "controller": true}]);
    put(&bench.scene.stores.experiments, ended);
    put(&bench.scene.stores.sets, set(1, Some("2020-01-01T00:00:00Z")));
    let service = json!({"metadata": {"name": "e-a", "namespace": "ns", "uid": "v1", "resourceVersion": "5",
        "ownerReferences": owners(),
        "annotations": {"experiment.argoproj.io/name": "e", "experiment.argoproj.io/template-name": "a"}}});
    put(&bench.scene.stores.services, service);
    let share = json!({"weight": 5, "serviceName": "e-a", "podTemplateHash": "h"});
    put(
        &bench.scene.stores.rollouts,
        json!({
            "metadata": {"name": "shop", "namespace": "ns", "uid": "r1", "resourceVersion": "3", "generation": 1},
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {}, "strategy": {"canary": {}}},
            "status": {"observedGeneration": "1", "canary": {"weights": {"additional": [share]}}},
        }),
    );
    let (next, asked) = bench.round(Vec::new()).await;
    assert_eq!((next, asked.len()), (Next::After(Duration::from_secs(900)), 0));
}
