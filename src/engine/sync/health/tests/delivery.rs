//! Argo's own kinds.

use serde_json::{Value, json};
use tidegate_api::source::HealthCode::{Degraded, Healthy, Progressing, Suspended, Unknown};

use super::{check, conditions, of, told};

const ARGO: &str = "argoproj.io/v1alpha1";

fn phase(phase: &str) -> Value {
    json!({ "status": { "phase": phase } })
}

#[test]
fn rollout() {
    let status =
        |observed: &str, phase: &str| json!({ "status": { "observedGeneration": observed, "phase": phase } });
    check(
        ARGO,
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
fn runs() {
    check(
        ARGO,
        "AnalysisRun",
        &[
            (json!({}), Progressing),
            (phase("Pending"), Progressing),
            (phase("Running"), Progressing),
            (phase("Successful"), Healthy),
            (phase("Failed"), Degraded),
            (phase("Error"), Degraded),
            (phase("Inconclusive"), Unknown),
        ],
    );
    assert_eq!(told(ARGO, "AnalysisRun", phase("Failed")), "Analysis run failed");
    let why = json!({ "status": { "phase": "Failed", "message": "why" } });
    assert_eq!(told(ARGO, "AnalysisRun", why), "why");
    check(
        ARGO,
        "Experiment",
        &[
            (json!({}), Progressing),
            (phase("Pending"), Progressing),
            (phase("Running"), Progressing),
            (phase("Successful"), Healthy),
            (phase("Failed"), Degraded),
            (phase("Error"), Degraded),
            (phase("Inconclusive"), Unknown),
        ],
    );
}

#[test]
fn workflows() {
    check(
        ARGO,
        "Workflow",
        &[
            (json!({}), Progressing),
            (phase("Running"), Progressing),
            (phase("Succeeded"), Healthy),
            (phase("Failed"), Degraded),
            (phase("Error"), Degraded),
            (phase("Odd"), Unknown),
        ],
    );
    check(
        ARGO,
        "CronWorkflow",
        &[
            (json!({}), Healthy),
            (conditions(&[("SpecError", "True")]), Degraded),
            (conditions(&[("SubmissionError", "True"), ("Completed", "True")]), Degraded),
            (conditions(&[("SpecError", "False")]), Healthy),
        ],
    );
}

#[test]
fn application_sets() {
    check(
        ARGO,
        "ApplicationSet",
        &[
            (json!({}), Progressing),
            (conditions(&[("ResourcesUpToDate", "True")]), Healthy),
            (conditions(&[("ResourcesUpToDate", "False")]), Degraded),
            (conditions(&[("ResourcesUpToDate", "True"), ("ErrorOccurred", "True")]), Degraded),
            (conditions(&[("ResourcesUpToDate", "True"), ("RolloutProgressing", "True")]), Progressing),
            (conditions(&[("ErrorOccurred", "False")]), Progressing),
        ],
    );
}

#[test]
fn a_child_application_hands_on_its_health() {
    let child = |code: &str| {
        of(&json!({ "apiVersion": ARGO, "kind": "Application", "metadata": {},
            "status": { "health": { "status": code } } }))
    };
    assert_eq!(child("Degraded").map(|health| health.code), Some(Degraded));
    assert_eq!(child("Missing"), None);
    assert_eq!(child("Unknown"), None);
    assert_eq!(child("Nonsense"), None);
}
