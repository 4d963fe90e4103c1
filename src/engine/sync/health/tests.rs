//! One table per kind; one file per family.

mod autoscale;
mod delivery;
mod network;
mod operator;
mod workload;

use serde_json::{Value, json};
use tidegate_api::source::HealthCode::{self, Degraded, Healthy, Progressing, Unknown};

use super::{aggregated, judged, of};
use crate::sync::Key;

/// An object of generation 2.
fn object(api_version: &str, kind: &str, rest: &Value) -> Value {
    let mut object =
        json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "x", "generation": 2 } });
    for (name, value) in rest.as_object().unwrap() {
        if name == "metadata" {
            object["metadata"].as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn check(api_version: &str, kind: &str, cases: &[(Value, HealthCode)]) {
    for (rest, want) in cases {
        let object = object(api_version, kind, rest);
        assert_eq!(of(&object).map(|health| health.code), Some(*want), "{object}");
    }
}

/// What is said about an object.
fn told(api_version: &str, kind: &str, rest: Value) -> String {
    of(&object(api_version, kind, &rest)).unwrap().message
}

/// A status with conditions, by type and status.
fn conditions(of: &[(&str, &str)]) -> Value {
    let list: Vec<Value> = of
        .iter()
        .map(|(type_, status)| {
            json!({ "type": type_, "status": status, "reason": format!("{type_}Reason"),
                "message": format!("{type_} is {status}") })
        })
        .collect();
    json!({ "status": { "conditions": list } })
}

#[test]
fn storage() {
    check(
        "v1",
        "PersistentVolumeClaim",
        &[
            (json!({ "status": { "phase": "Bound" } }), Healthy),
            (json!({ "status": { "phase": "Pending" } }), Progressing),
            (json!({ "status": { "phase": "Lost" } }), Degraded),
            (json!({}), Unknown),
        ],
    );
}

#[test]
fn api_service() {
    let (api_version, kind) = ("apiregistration.k8s.io/v1", "APIService");
    check(
        api_version,
        kind,
        &[
            (json!({}), Progressing),
            (conditions(&[("Available", "True")]), Healthy),
            (conditions(&[("Available", "False")]), Progressing),
        ],
    );
    let said = told(api_version, kind, conditions(&[("Available", "False")]));
    assert_eq!(said, "AvailableReason: Available is False");
}

#[test]
fn kinds_without_a_check_do_not_count() {
    for (api_version, kind) in
        [("v1", "ConfigMap"), ("example.com/v1", "Deployment"), ("argoproj.io/v1alpha1", "AppProject")]
    {
        assert_eq!(of(&object(api_version, kind, &json!({}))), None);
    }
}

#[test]
fn what_is_going_is_waited_for_unless_its_outcome_is_kept() {
    let going = |finalizers: Value| {
        json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers },
            "status": { "conditions": [{ "type": "Failed", "status": "True" }] } })
    };
    check("batch/v1", "Job", &[(going(json!([])), Progressing), (going(json!(["x"])), Progressing)]);
    check("batch/v1", "Job", &[(going(json!(["argocd.argoproj.io/hook-finalizer"])), Degraded)]);
    check("v1", "ConfigMap", &[(going(json!([])), Progressing)]);
    assert_eq!(told("v1", "ConfigMap", going(json!([]))), "Pending deletion");
}

#[test]
fn an_object_may_ask_not_to_be_judged() {
    let asks = |value: &str| json!({ "metadata": { "annotations": { "argocd.argoproj.io/ignore-healthcheck": value } } });
    assert_eq!(judged(&object("v1", "Service", &asks("true"))), None);
    assert!(judged(&object("v1", "Service", &asks("yes"))).is_some());
}

#[test]
fn a_suspended_job_makes_no_application_suspended() {
    let key = |group: &str, kind: &str| Key { group: group.into(), kind: kind.into(), ..Key::default() };
    let suspended = super::verdict(HealthCode::Suspended, "");
    assert_eq!(aggregated(&key("batch", "Job"), &suspended), Healthy);
    assert_eq!(aggregated(&key("argoproj.io", "Rollout"), &suspended), HealthCode::Suspended);
    assert_eq!(aggregated(&key("batch", "Job"), &super::degraded("")), Degraded);
}
