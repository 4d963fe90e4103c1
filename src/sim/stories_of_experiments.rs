//! Stories of Experiments: as a step of a canary, and beside a Rollout.
//!
//! Input: a spec, and who does what when. Output: the tale, compared with `stories/*.txt`.

use serde_json::{Value, json};
use tidegate_api::phase::AnalysisPhase::{Failed, Inconclusive, Successful};

use crate::experiment_acts::ExperimentAct;
use crate::shape::{self, CANARY_SERVICE, STABLE_SERVICE};
use crate::stories::{gateway, tells};
use crate::users::Act;

fn template(name: &str, reference: &str) -> Value {
    json!({ "name": name, "specRef": reference, "replicas": 2 })
}

/// A canary whose first step compares both versions.
fn canary(experiment: Value) -> Value {
    json!({
        "replicas": 4,
        "strategy": { "canary": {
            "steps": [{ "experiment": experiment }, { "setWeight": 50 }, { "pause": { "duration": 10 } }],
        } },
    })
}

/// The same with an HTTPRoute.
fn behind_a_route(mut spec: Value) -> Value {
    let canary = &mut spec["strategy"]["canary"];
    canary["canaryService"] = json!(CANARY_SERVICE);
    canary["stableService"] = json!(STABLE_SERVICE);
    canary["trafficRouting"] = json!({ "plugins": gateway() });
    spec
}

fn compared(more: Value) -> Value {
    let mut experiment = json!({
        "templates": [template("baseline", "stable"), template("candidate", "canary")],
        "duration": "40s",
        "scaleDownDelaySeconds": 10,
        "analyses": [{ "name": "errors", "templateName": "check" }],
    });
    if let (Some(fields), Value::Object(more)) = (experiment.as_object_mut(), more) {
        fields.extend(more);
    }
    experiment
}

fn standalone(more: Value) -> Act {
    let mut spec = json!({
        "templates": [{
            "name": "next", "replicas": 2, "selector": { "matchLabels": { "app": "shop" } },
            "template": shape::template("v2"), "service": {},
        }],
        "scaleDownDelaySeconds": 10,
    });
    if let (Some(fields), Value::Object(more)) = (spec.as_object_mut(), more) {
        fields.extend(more);
    }
    Act::Experiment(ExperimentAct::Apply("probe-a", spec.to_string()))
}

fn idle() -> Value {
    json!({ "replicas": 1, "strategy": { "canary": {} } })
}

#[test]
fn a_step_waits_for_its_experiment() {
    let acts = [(20, Act::Image("v2"))];
    let told = tells("experiment-step", canary(compared(json!({}))), &acts, &[Successful]);
    assert!(told.contains(&"ExperimentSuccessful"), "{told:?}");
}

#[test]
fn a_failed_experiment_aborts_its_rollout() {
    let acts = [(20, Act::Image("v2")), (120, Act::Retry)];
    tells("experiment-fails", canary(compared(json!({}))), &acts, &[Failed, Successful]);
}

#[test]
fn an_inconclusive_experiment_waits_for_a_person() {
    let acts = [(20, Act::Image("v2")), (120, Act::Promote)];
    tells("experiment-inconclusive", canary(compared(json!({}))), &acts, &[Inconclusive, Successful]);
}

#[test]
fn an_abort_ends_the_experiment() {
    let acts = [(20, Act::Image("v2")), (35, Act::Abort)];
    tells("experiment-aborted", canary(compared(json!({}))), &acts, &[Successful]);
}

#[test]
fn a_step_that_somebody_skips_ends_its_experiment() {
    let acts = [(20, Act::Image("v2")), (35, Act::Promote)];
    tells("experiment-skipped", canary(compared(json!({}))), &acts, &[Successful]);
}

#[test]
fn pods_that_crash_fail_the_experiment_in_its_time() {
    let mut spec = canary(compared(json!({})));
    spec["progressDeadlineSeconds"] = json!(30);
    tells("experiment-crash-loop", spec, &[(20, Act::Image("crash"))], &[]);
}

#[test]
fn a_required_analysis_ends_the_experiment() {
    let required = json!([{ "name": "errors", "templateName": "check", "requiredForCompletion": true }]);
    let experiment = compared(json!({ "analyses": required, "duration": null }));
    tells("experiment-required", canary(experiment), &[(20, Act::Image("v2"))], &[Successful]);
}

#[test]
fn an_experiment_beside_a_rollout_runs_for_its_duration() {
    let acts = [(20, standalone(json!({ "duration": "30s" })))];
    tells("experiment-alone", idle(), &acts, &[]);
}

#[test]
fn an_experiment_without_an_end_is_terminated_and_runs_again() {
    let acts = [
        (20, standalone(json!({}))),
        (40, Act::Experiment(ExperimentAct::Terminate(0))),
        (80, standalone(json!({ "duration": "5s" }))),
        (81, Act::Experiment(ExperimentAct::Retry(0))),
    ];
    tells("experiment-terminated", idle(), &acts, &[]);
}

#[test]
fn an_experiment_of_the_very_pods_of_the_rollout_gets_none_of_its_requests() {
    let spec = behind_a_route(canary(compared(json!({}))));
    let acts = [(10, standalone(json!({ "duration": "30s" }))), (20, Act::Image("v2"))];
    tells("experiment-of-the-same-pods", spec, &acts, &[Successful]);
}

/// A canary whose Experiment asks for shares; without a delay only the routes keep its pods.
fn with_shares() -> Value {
    let share = |name: &str, reference: &str, weight: i32| {
        let mut template = template(name, reference);
        template["weight"] = json!(weight);
        template
    };
    let templates = json!([share("baseline", "stable", 5), share("candidate", "canary", 10)]);
    behind_a_route(canary(compared(json!({ "templates": templates, "scaleDownDelaySeconds": 0 }))))
}

#[test]
fn an_experiment_has_its_shares_of_the_traffic_for_as_long_as_it_runs() {
    let acts = [(20, Act::Image("v2"))];
    tells("experiment-shares", with_shares(), &acts, &[Successful]);
}

/// A share that is there goes with the end of the Experiment, and its pods after it, paused or not.
#[test]
fn a_pause_keeps_shares_no_longer_than_their_experiment() {
    let acts = [(20, Act::Image("v2")), (30, Act::Pause(true)), (100, Act::Pause(false))];
    tells("experiment-shares-paused", with_shares(), &acts, &[Successful]);
}

/// While a Rollout is paused no share comes, so the Experiment ends without one.
#[test]
fn a_paused_rollout_gives_no_shares() {
    let acts = [(20, Act::Image("v2")), (21, Act::Pause(true)), (100, Act::Pause(false))];
    let told = tells("experiment-without-shares-paused", with_shares(), &acts, &[Successful]);
    let weights = told.iter().filter(|reason| **reason == "TrafficWeightUpdated").count();
    assert_eq!(weights, 4, "none of them is a share's: {told:?}");
}
