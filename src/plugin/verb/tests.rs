//! Whole commands against scripted answers: what is sent, what is said, how it ends.

use serde_json::{Value, json};

use crate::scripted::{Ran, run};
use crate::{Exit, Grammar};

const ROLLOUTS: &str = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts";

fn rollout(status: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": { "name": "web", "namespace": "shop", "uid": "u", "generation": 1, "resourceVersion": "7" },
        "spec": {
            "replicas": 2,
            "strategy": { "canary": { "steps": [{ "setWeight": 20 }, { "pause": {} }] } },
            "template": { "spec": { "containers": [{ "name": "web", "image": "web:1" }] } },
        },
        "status": status,
    })
}

fn list(kind: &str, items: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": format!("{kind}List"), "metadata": {}, "items": items })
}

fn requests(ran: &Ran) -> Vec<String> {
    ran.requests
        .iter()
        .map(|(method, path, body)| format!("{method} {path} {body}").replace(ROLLOUTS, ""))
        .collect()
}

fn error(ran: &Ran) -> String {
    format!("{:#}", ran.exit.as_ref().unwrap_err())
}

#[test]
fn abort_patches_the_status() {
    let patch = format!("PATCH {ROLLOUTS}/web/status");
    let ran = run(Grammar::Tidegate, "abort web", &[(&patch, 200, rollout(json!({})))]);
    assert_eq!(ran.exit.as_ref().unwrap(), &Exit::Done);
    assert_eq!(ran.out, "rollout 'web' aborted\n");
    assert_eq!(requests(&ran), [r#"PATCH /web/status {"status":{"abort":true}}"#]);
}

#[test]
fn without_a_status_subresource_the_object_is_patched() {
    let patch = format!("PATCH {ROLLOUTS}/web");
    let ran = run(Grammar::Argo, "retry rollout web", &[(&patch, 200, rollout(json!({})))]);
    assert_eq!(ran.out, "rollout 'web' retried\n");
    assert_eq!(
        requests(&ran),
        [r#"PATCH /web/status {"status":{"abort":false}}"#, r#"PATCH /web {"status":{"abort":false}}"#]
    );
}

#[test]
fn promote_ends_a_pause_and_unpauses_the_spec() {
    let mut paused =
        rollout(json!({ "controllerPause": true, "pauseConditions": [{ "reason": "CanaryPauseStep" }] }));
    paused["spec"]["paused"] = json!(true);
    let (get, patch) = (format!("GET {ROLLOUTS}/web"), format!("PATCH {ROLLOUTS}/web"));
    let status = format!("PATCH {ROLLOUTS}/web/status");
    let answers =
        [(get.as_str(), 200, paused.clone()), (&status, 200, paused.clone()), (&patch, 200, paused.clone())];
    let ran = run(Grammar::Tidegate, "promote web", &answers);
    assert_eq!(ran.out, "rollout 'web' promoted\n");
    assert_eq!(
        requests(&ran)[1..],
        [
            r#"PATCH /web/status {"status":{"pauseConditions":null}}"#,
            r#"PATCH /web {"spec":{"paused":false}}"#
        ]
    );
    let ran = run(Grammar::Tidegate, "promote web", &[(&get, 200, paused.clone()), (&patch, 200, paused)]);
    assert_eq!(
        requests(&ran)[2..],
        [r#"PATCH /web {"spec":{"paused":false},"status":{"pauseConditions":null}}"#],
        "both in one where the status has no subresource"
    );
}

#[test]
fn a_rollout_that_is_not_there_is_named() {
    let ran = run(Grammar::Tidegate, "abort nope", &[]);
    assert_eq!(
        error(&ran),
        r#"rollout "nope" not found in namespace "shop"; list them with "kubectl tidegate list rollouts -n shop""#
    );
}

#[test]
fn missing_crds_and_rights_are_named() {
    let list = format!("GET {ROLLOUTS}");
    let status = |code: u16, message: &str| json!({ "kind": "Status", "status": "Failure", "code": code, "message": message });
    let ran = run(Grammar::Tidegate, "get rollouts", &[(&list, 404, status(404, "404 page not found"))]);
    assert_eq!(error(&ran), "cannot list rollouts: the cluster has no kind Rollout; install the CRDs");
    let ran = run(Grammar::Tidegate, "get rollouts", &[(&list, 403, status(403, "user may not"))]);
    assert_eq!(error(&ran), "not allowed to list rollouts: user may not");
}

#[test]
fn status_tells_the_phase_by_the_exit_code() {
    let get = format!("GET {ROLLOUTS}/web");
    let cases = [
        (Grammar::Tidegate, "Healthy", "", Exit::Done, "Healthy\n"),
        (Grammar::Tidegate, "Progressing", "more", Exit::Done, "Progressing - more\n"),
        (Grammar::Tidegate, "Degraded", "bad", Exit::Degraded, "Degraded\n"),
        (Grammar::Tidegate, "Paused", "CanaryPauseStep", Exit::Paused, "Paused - CanaryPauseStep\n"),
        (Grammar::Argo, "Paused", "CanaryPauseStep", Exit::Done, "Paused - CanaryPauseStep\n"),
    ];
    for (grammar, phase, message, exit, out) in cases {
        let object = rollout(json!({ "phase": phase, "message": message }));
        let ran = run(grammar, "status web --watch=false", &[(&get, 200, object)]);
        assert_eq!((ran.exit.unwrap(), ran.out.as_str()), (exit, out), "{phase}");
        assert_eq!(ran.err.is_empty(), phase != "Degraded", "{phase}");
    }
}

#[test]
fn a_watched_status_ends_at_once_when_the_rollout_is_done() {
    let get = format!("GET {ROLLOUTS}/web");
    for (phase, exit) in [("Healthy", Exit::Done), ("Degraded", Exit::Degraded)] {
        let ran = run(Grammar::Argo, "status web", &[(&get, 200, rollout(json!({ "phase": phase })))]);
        assert_eq!((ran.exit.unwrap(), ran.out), (exit, format!("{phase}\n")));
    }
}

#[test]
fn rollouts_are_listed_by_name() {
    let get = format!("GET {ROLLOUTS}");
    let mut other = rollout(json!({ "phase": "Healthy" }));
    other["metadata"]["name"] = json!("api");
    let both = list("Rollout", json!([rollout(json!({ "phase": "Paused" })), other]));
    for line in ["get rollouts", "list rollouts", "get ro"] {
        let ran = run(Grammar::Tidegate, line, &[(&get, 200, both.clone())]);
        let names: Vec<&str> = ran.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["NAME", "api", "web"], "{line}");
    }
    let ran = run(Grammar::Tidegate, "list rollouts", &[(&get, 200, list("Rollout", json!([])))]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "No resources found.\n"));
}

#[test]
fn a_rollout_is_shown_even_if_its_pods_may_not_be_read() {
    let get = format!("GET {ROLLOUTS}/web");
    let pods = "GET /api/v1/namespaces/shop/pods";
    let sets = "GET /apis/apps/v1/namespaces/shop/replicasets";
    let runs = "GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns";
    let experiments = "GET /apis/argoproj.io/v1alpha1/namespaces/shop/experiments";
    let forbidden = json!({ "kind": "Status", "status": "Failure", "code": 403, "message": "no" });
    let answers = [
        (get.as_str(), 200, rollout(json!({ "phase": "Healthy" }))),
        (pods, 403, forbidden),
        (sets, 200, list("ReplicaSet", json!([]))),
        (runs, 200, list("AnalysisRun", json!([]))),
        (experiments, 200, list("Experiment", json!([]))),
    ];
    let ran = run(Grammar::Tidegate, "get rollout web", &answers);
    assert!(ran.out.contains("Status:          ✔ Healthy\n"), "{}", ran.out);
    assert_eq!(ran.err, "Warning: not allowed to list pods: no\n");
    let ran = run(Grammar::Tidegate, "get rollout web -o json", &answers);
    let view: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&view["status"], &view["replicas"]["desired"]), (&json!("Healthy"), &json!(2)));
    let ran = run(Grammar::Tidegate, "get rollout web -o yaml", &answers);
    assert!(ran.out.contains("status: Healthy\n"), "{}", ran.out);
}

#[test]
fn an_image_is_changed_in_the_object_that_was_read() {
    let (get, put) = (format!("GET {ROLLOUTS}/web"), format!("PUT {ROLLOUTS}/web"));
    let answers = [(get.as_str(), 200, rollout(json!({}))), (put.as_str(), 200, rollout(json!({})))];
    let ran = run(Grammar::Tidegate, "set image web web=web:2", &answers);
    assert_eq!(ran.out, "rollout \"web\" image updated\n");
    let (_, _, body) = &ran.requests[1];
    assert_eq!(body["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    assert_eq!(body["metadata"]["resourceVersion"], "7");
}

#[test]
fn what_git_would_undo_is_refused_unless_forced() {
    let (get, put) = (format!("GET {ROLLOUTS}/web"), format!("PUT {ROLLOUTS}/web"));
    let mut tracked = rollout(json!({}));
    tracked["metadata"]["annotations"] =
        json!({ "argocd.argoproj.io/tracking-id": "site:argoproj.io/Rollout:shop/web" });
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": { "name": "site", "namespace": "argocd" },
        "spec": {
            "source": { "repoURL": "https://git/site", "path": "web", "targetRevision": "main" },
            "syncPolicy": { "automated": { "selfHeal": true } },
        },
    });
    let answers = [
        (get.as_str(), 200, tracked.clone()),
        (put.as_str(), 200, tracked),
        ("GET /apis/argoproj.io/v1alpha1/applications", 200, list("Application", json!([application]))),
    ];
    let ran = run(Grammar::Tidegate, "set image web web=web:2", &answers);
    assert_eq!(
        error(&ran),
        "web is kept as it is in Git by application \"argocd/site\", which would undo this change: \
         commit image web=web:2 to \"web\" of https://git/site (main) instead, or use --force"
    );
    let ran = run(Grammar::Tidegate, "set image web web=web:2 --force", &answers);
    assert_eq!(ran.exit.unwrap(), Exit::Done);
}

#[test]
fn commands_that_are_not_there_say_so() {
    let ran = run(Grammar::Argo, "lint -f rollout.yaml", &[]);
    assert_eq!(error(&ran), "\"kubectl argo rollouts lint\" is not part of this version of Tidegate");
    let ran = run(Grammar::Argo, "get experiment x -w", &[]);
    assert!(error(&ran).contains("get experiment"));
}
