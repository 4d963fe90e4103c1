//! One table per kind.

use serde_json::{Value, json};
use tidegate_api::source::HealthCode::{self, Degraded, Healthy, Progressing, Suspended, Unknown};

use super::of;

fn check(api_version: &str, kind: &str, cases: &[(Value, HealthCode)]) {
    for (rest, want) in cases {
        let mut object =
            json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "x", "generation": 2 } });
        for (name, value) in rest.as_object().unwrap() {
            if name == "metadata" {
                object["metadata"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
            } else {
                object[name] = value.clone();
            }
        }
        assert_eq!(of(&object).map(|health| health.code), Some(*want), "{object}");
    }
}

#[test]
fn rollout() {
    let status =
        |observed: &str, phase: &str| json!({ "status": { "observedGeneration": observed, "phase": phase } });
    check(
        "argoproj.io/v1alpha1",
        "Rollout",
        &[
            (json!({}), Progressing),
            (status("1", "Healthy"), Progressing),
            (status("2", "Healthy"), Healthy),
            (status("2", "Degraded"), Degraded),
            (status("2", "Progressing"), Progressing),
            (status("2", "Paused"), Suspended),
            (status("5d4f", "Healthy"), Healthy),
            (
                json!({
                    "metadata": { "annotations": { "rollout.argoproj.io/workload-generation": "7" } },
                    "spec": { "workloadRef": { "name": "x" } },
                    "status": { "observedGeneration": "2", "phase": "Healthy", "workloadObservedGeneration": "6" },
                }),
                Progressing,
            ),
            (
                json!({ "status": { "conditions": [{ "type": "InvalidSpec", "status": "True", "message": "no" }] } }),
                Degraded,
            ),
        ],
    );
}

#[test]
fn deployment() {
    let at = |spec: Value, status: Value| json!({ "spec": spec, "status": status });
    let status = |updated: i64, replicas: i64, available: i64| json!({ "observedGeneration": 2, "updatedReplicas": updated, "replicas": replicas, "availableReplicas": available });
    let three = || json!({ "replicas": 3 });
    check(
        "apps/v1",
        "Deployment",
        &[
            (json!({}), Progressing),
            (at(json!({ "paused": true }), json!({})), Suspended),
            (at(three(), json!({ "observedGeneration": 1 })), Progressing),
            (at(three(), status(2, 3, 3)), Progressing),
            (at(three(), status(3, 4, 3)), Progressing),
            (at(three(), status(3, 3, 2)), Progressing),
            (at(three(), status(3, 3, 3)), Healthy),
            (
                at(
                    three(),
                    json!({ "observedGeneration": 2, "conditions": [
                        { "type": "Progressing", "reason": "ProgressDeadlineExceeded" }] }),
                ),
                Degraded,
            ),
            (json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }), Progressing),
        ],
    );
}

#[test]
fn other_workloads() {
    check(
        "apps/v1",
        "StatefulSet",
        &[
            (json!({ "status": {} }), Progressing),
            (
                json!({ "spec": { "replicas": 2 }, "status": { "observedGeneration": 2, "readyReplicas": 1 } }),
                Progressing,
            ),
            (
                json!({
                    "spec": { "replicas": 2, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } } },
                    "status": { "observedGeneration": 2, "readyReplicas": 2, "updatedReplicas": 2 },
                }),
                Healthy,
            ),
            (
                json!({
                    "spec": { "replicas": 1 },
                    "status": { "observedGeneration": 2, "readyReplicas": 1, "updateRevision": "b", "currentRevision": "a" },
                }),
                Progressing,
            ),
        ],
    );
    check(
        "apps/v1",
        "ReplicaSet",
        &[
            (
                json!({ "spec": { "replicas": 1 }, "status": { "observedGeneration": 2, "availableReplicas": 1 } }),
                Healthy,
            ),
            (
                json!({ "status": { "observedGeneration": 2, "conditions": [{ "type": "ReplicaFailure", "status": "True" }] } }),
                Degraded,
            ),
        ],
    );
    check(
        "apps/v1",
        "DaemonSet",
        &[
            (json!({ "status": { "observedGeneration": 2, "desiredNumberScheduled": 1 } }), Progressing),
            (
                json!({ "status": { "observedGeneration": 2, "desiredNumberScheduled": 1,
                    "updatedNumberScheduled": 1, "numberAvailable": 1 } }),
                Healthy,
            ),
        ],
    );
    let condition =
        |type_: &str| json!({ "status": { "conditions": [{ "type": type_, "status": "True" }] } });
    check(
        "batch/v1",
        "Job",
        &[
            (json!({}), Progressing),
            (condition("Complete"), Healthy),
            (condition("Failed"), Degraded),
            (condition("Suspended"), Suspended),
        ],
    );
}

#[test]
fn pod() {
    let running = |ready: &str| {
        json!({ "spec": { "restartPolicy": "Always" },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] } })
    };
    check(
        "v1",
        "Pod",
        &[
            (json!({ "status": { "phase": "Pending" } }), Progressing),
            (json!({ "status": { "phase": "Succeeded" } }), Healthy),
            (json!({ "status": { "phase": "Failed" } }), Degraded),
            (json!({ "status": { "phase": "Odd" } }), Unknown),
            (running("True"), Healthy),
            (running("False"), Progressing),
            (
                json!({ "spec": { "restartPolicy": "Always" }, "status": { "phase": "Pending", "containerStatuses": [
                    { "state": { "waiting": { "reason": "ImagePullBackOff" } } }] } }),
                Degraded,
            ),
        ],
    );
}

#[test]
fn network_and_storage() {
    let address = || json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "10.0.0.1" }] } } });
    check("networking.k8s.io/v1", "Ingress", &[(json!({}), Progressing), (address(), Healthy)]);
    check(
        "v1",
        "Service",
        &[
            (json!({ "spec": { "type": "ClusterIP" } }), Healthy),
            (json!({ "spec": { "type": "LoadBalancer" } }), Progressing),
        ],
    );
    check(
        "v1",
        "PersistentVolumeClaim",
        &[
            (json!({ "status": { "phase": "Bound" } }), Healthy),
            (json!({ "status": { "phase": "Lost" } }), Degraded),
            (json!({}), Unknown),
        ],
    );
}

#[test]
fn kinds_without_a_check_do_not_count() {
    assert_eq!(of(&json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x" } })), None);
    let child = |code: &str| {
        of(&json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {},
            "status": { "health": { "status": code } } }))
    };
    assert_eq!(child("Degraded").map(|health| health.code), Some(Degraded));
    assert_eq!(child("Missing"), None);
}
