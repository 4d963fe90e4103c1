//! What runs containers.

use serde_json::{Value, json};
use tidegate_api::source::HealthCode::{Degraded, Healthy, Progressing, Suspended, Unknown};

use super::{check, told};

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
fn a_pod_says_what_is_wrong() {
    let stuck = |policy: &str, annotations: Value| {
        json!({ "metadata": { "annotations": annotations }, "spec": { "restartPolicy": policy },
            "status": { "phase": "Pending", "containerStatuses": [
                { "state": { "waiting": { "reason": "ErrImagePull", "message": "no a" } } },
                { "state": { "running": {} } },
                { "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "no c" } } } ] } })
    };
    let ignore = || json!({ "argocd.argoproj.io/ignore-restart-policy": "true" });
    let hook =
        json!({ "argocd.argoproj.io/ignore-restart-policy": "true", "argocd.argoproj.io/hook": "PreSync" });
    check(
        "v1",
        "Pod",
        &[
            (stuck("Always", json!({})), Degraded),
            (stuck("Never", json!({})), Progressing),
            (stuck("Never", ignore()), Degraded),
            (stuck("Never", hook), Progressing),
        ],
    );
    assert_eq!(told("v1", "Pod", stuck("Always", json!({}))), "no a, no c");
    let failed = |ended: Value| json!({ "status": { "phase": "Failed", "containerStatuses": [{ "name": "a", "state": { "terminated": ended } }] } });
    for (ended, want) in [
        (json!({ "message": "why", "exitCode": 3 }), "why"),
        (json!({ "reason": "OOMKilled", "exitCode": 137 }), "OOMKilled"),
        (json!({ "exitCode": 3 }), "container \"a\" failed with exit code 3"),
        (json!({ "exitCode": 0 }), ""),
    ] {
        assert_eq!(told("v1", "Pod", failed(ended)), want);
    }
}

#[test]
fn cron_job() {
    let with = |status: Value| json!({ "spec": {}, "status": status });
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
    check(
        "batch/v1",
        "CronJob",
        &[
            (json!({}), Progressing),
            (json!({ "spec": { "suspend": true }, "status": {} }), Suspended),
            (with(json!({})), Healthy),
            (with(json!({ "lastScheduleTime": late })), Healthy),
            (with(json!({ "lastScheduleTime": late, "lastSuccessfulTime": early })), Degraded),
            (with(json!({ "lastScheduleTime": late, "lastSuccessfulTime": early, "active": [{}] })), Healthy),
            (with(json!({ "lastScheduleTime": early, "lastSuccessfulTime": late })), Healthy),
        ],
    );
}

#[test]
fn a_resumed_job_is_waited_for() {
    let job = |conditions: Value| json!({ "status": { "conditions": conditions } });
    check(
        "batch/v1",
        "Job",
        &[
            (job(json!([{ "type": "Suspended", "status": "False" }])), Progressing),
            (job(json!([{ "type": "FailureTarget", "status": "True" }])), Progressing),
            (
                job(
                    json!([{ "type": "Complete", "status": "True" }, { "type": "Failed", "status": "True" }]),
                ),
                Degraded,
            ),
        ],
    );
}
