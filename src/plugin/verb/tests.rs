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
fn a_page_has_what_we_add_in_our_own_grammar_alone() {
    let listed = |kind: &str, items: Value| {
        let mut listed = list(kind, items);
        // Without it nothing can be watched.
        listed["metadata"]["resourceVersion"] = json!("7");
        listed
    };
    let paused = rollout(json!({ "phase": "Paused", "message": "CanaryPauseStep" }));
    let (get, all) = (format!("GET {ROLLOUTS}/web"), format!("GET {ROLLOUTS}"));
    let answers = [
        (get.as_str(), 200, paused.clone()),
        (all.as_str(), 200, listed("Rollout", json!([paused]))),
        ("GET /api/v1/namespaces/shop/pods", 200, listed("Pod", json!([]))),
        ("GET /apis/apps/v1/namespaces/shop/replicasets", 200, listed("ReplicaSet", json!([]))),
        (
            "GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns",
            200,
            listed("AnalysisRun", json!([])),
        ),
        ("GET /apis/argoproj.io/v1alpha1/namespaces/shop/experiments", 200, listed("Experiment", json!([]))),
    ];
    let labels = |out: &str| -> Vec<String> {
        let header = out.lines().take_while(|line| !line.is_empty());
        header.filter_map(|line| line.split_once(':')).map(|(label, _)| label.to_owned()).collect()
    };
    let page = run(Grammar::Argo, "get rollout web", &answers).out;
    let canary = ["Strategy", "  Step", "  SetWeight", "  ActualWeight"];
    let replicas = ["Replicas", "  Desired", "  Current", "  Updated", "  Ready", "  Available"];
    let about = ["Name", "Namespace", "Status", "Message"];
    assert_eq!(labels(&page), [&about[..], &canary[..], &replicas[..]].concat(), "{page}");
    let ours = run(Grammar::Tidegate, "get rollout web", &answers).out;
    let wanted = [&about[..], &["Waiting for"][..], &canary[..], &replicas[..]].concat();
    assert_eq!(labels(&ours), wanted, "{ours}");
    let ran = run(Grammar::Argo, "get rollout web -o json", &answers);
    let view: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(view["waitingFor"].is_string(), "what programs read is the same");
    let watched = run(Grammar::Argo, "get rollout web -w --timeout-seconds 1", &answers);
    assert_eq!((watched.exit.unwrap(), watched.out), (Exit::Done, page), "{}", watched.err);
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

/// A folder for the files of one test, removed with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn with(test: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("tidegate-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is in the folder for what is left over.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const TEMPLATE: &str = "apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: rate, labels: {team: web}}
spec:
  args: [{name: host}, {name: limit, value: \"1\"}]
  templates: [{templateName: base, clusterScope: true}]
  metrics: [{name: rate, provider: {prometheus: {query: up}}}]
";

/// A Rollout that names its namespace.
const ELSEWHERE: &str = "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web, namespace: other}
spec: {}
";

#[test]
fn files_are_linted_with_exit_codes_for_scripts() {
    let rollout =
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec: {replicas: -1}\n";
    let folder = Folder::with("lint", &[("a.yaml", rollout), ("b.txt", "x"), ("t.json", "{}")]);
    let path = folder.0.display();
    let ran = run(Grammar::Tidegate, &format!("lint -f {path}"), &[]);
    assert_eq!(ran.exit.as_ref().unwrap(), &Exit::Failed);
    let first = format!(
        "{path}/a.yaml:4:8: error: Rollout web: spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"
    );
    assert!(ran.out.contains(&first), "{}", ran.out);
    let ran = run(Grammar::Argo, &format!("lint -f {path}/a.yaml"), &[]);
    assert_eq!(error(&ran), "spec.replicas: Invalid value: -1: must be greater than or equal to 0");
    assert!(ran.out.starts_with("Invalid value: -1: must be greater than or equal to 0\n"), "{}", ran.out);
    let ran = run(Grammar::Tidegate, &format!("lint -f {path}/t.json -o json"), &[]);
    assert_eq!(ran.exit.as_ref().unwrap(), &Exit::Done);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["warnings"], 1);
    let ran = run(Grammar::Tidegate, &format!("lint -f {path}/missing"), &[]);
    assert!(error(&ran).contains("cannot read"), "{}", error(&ran));
}

#[test]
fn objects_of_files_are_created_once_all_of_them_are_read() {
    let fine = format!(
        "{TEMPLATE}---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: web, namespace: other}}\nspec: {{}}\n"
    );
    let folder = Folder::with(
        "create",
        &[("fine.yaml", &fine), ("typo.yaml", &fine.replace("spec: {}", "spec: {replica: 1}"))],
    );
    let path = folder.0.display();
    let templates = "POST /apis/argoproj.io/v1alpha1/namespaces/shop/analysistemplates";
    let rollouts = "POST /apis/argoproj.io/v1alpha1/namespaces/other/rollouts";
    let answers = [
        (templates, 201, json!({"metadata": {"name": "rate"}})),
        (rollouts, 201, json!({"metadata": {"name": "web"}})),
    ];
    let ran = run(Grammar::Argo, &format!("create -f {path}/fine.yaml"), &answers);
    assert_eq!(
        ran.out, "analysistemplate.argoproj.io/rate created\nrollout.argoproj.io/web created\n",
        "{:?}",
        ran.exit
    );
    let ran = run(Grammar::Tidegate, &format!("create -f {path}/typo.yaml"), &answers);
    assert!(
        error(&ran).contains("typo.yaml:12:8: spec.replica: Forbidden: unknown field"),
        "{}",
        error(&ran)
    );
    assert!(ran.requests.is_empty());
    let ran = run(Grammar::Argo, &format!("create -w -f {path}/fine.yaml -f {path}/typo.yaml"), &answers);
    assert_eq!(error(&ran), "Cannot watch multiple resources");
}

#[test]
fn a_file_names_its_namespace_and_only_in_our_grammar_the_flag_overrules_it() {
    let folder = Folder::with("namespace", &[("a.yaml", ELSEWHERE)]);
    let path = folder.0.display();
    for (grammar, flags, namespace) in [
        (Grammar::Argo, "", "other"),
        (Grammar::Argo, "-n shop", "other"),
        (Grammar::Tidegate, "", "other"),
        (Grammar::Tidegate, "-n shop", "shop"),
    ] {
        let ran = run(grammar, &format!("create -f {path}/a.yaml {flags}"), &[]);
        let (method, asked, _) = &ran.requests[0];
        let wanted = format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts");
        assert!(method == "POST" && asked.starts_with(&wanted), "{grammar:?} {flags}: {asked}");
    }
}

#[test]
fn what_was_created_is_watched_where_it_is() {
    let folder = Folder::with("watched", &[("a.yaml", ELSEWHERE)]);
    let rollouts = "/apis/argoproj.io/v1alpha1/namespaces/other/rollouts";
    let post = format!("POST {rollouts}");
    let answers = [(post.as_str(), 201, json!({"metadata": {"name": "web", "namespace": "other"}}))];
    let line = format!("create -w -f {}/a.yaml", folder.0.display());
    let ran = run(Grammar::Argo, &line, &answers);
    assert!(error(&ran).contains("rollout \"web\" not found in namespace \"other\""), "{}", error(&ran));
}

#[test]
fn a_run_is_made_from_a_template_and_all_it_includes() {
    let folder = Folder::with("run", &[("t.yaml", TEMPLATE)]);
    let base = json!({"metadata": {"name": "base"}, "spec": {"metrics": [{"name": "base", "provider": {"prometheus": {"query": "one"}}}]}});
    let runs = "POST /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns";
    let answers = [
        ("GET /apis/argoproj.io/v1alpha1/clusteranalysistemplates/base", 200, base),
        (runs, 201, json!({"metadata": {"name": "rate-x7"}})),
    ];
    let file = format!("{}/t.yaml", folder.0.display());
    let ran = run(
        Grammar::Argo,
        &format!("create analysisrun --from-file {file} -a host=a=b --instance-id blue"),
        &answers,
    );
    assert_eq!(ran.out, "analysisrun.argoproj.io/rate-x7 created\n", "{:?}", ran.exit);
    let body = &ran.requests.last().unwrap().2;
    assert_eq!(body["metadata"]["generateName"], "rate-");
    assert_eq!(
        body["metadata"]["labels"],
        json!({"argo-rollouts.argoproj.io/controller-instance-id": "blue"})
    );
    assert_eq!(
        body["spec"]["args"],
        json!([{"name": "host", "value": "a=b"}, {"name": "limit", "value": "1"}])
    );
    let names: Vec<&Value> =
        body["spec"]["metrics"].as_array().unwrap().iter().map(|metric| &metric["name"]).collect();
    assert_eq!(names, ["rate", "base"]);
    let ran = run(Grammar::Argo, &format!("create analysisrun --from-file {file}"), &answers);
    assert_eq!(error(&ran), "args.host was not resolved");
    let ran = run(Grammar::Argo, "create analysisrun", &answers);
    assert_eq!(error(&ran), "one of --from or --from-file must be specified");
}

#[test]
fn what_a_template_says_of_missing_data_is_not_said_of_those_it_includes() {
    let template = |name: &str, provider: Value, more: Value| {
        let mut template = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
            "spec": {"metrics": [{"name": name, "provider": provider}]},
        });
        template["metadata"]["annotations"] = more["annotations"].clone();
        template["spec"]["templates"] = more["templates"].clone();
        template
    };
    let job = json!({"job": {"spec": {"template": {"spec": {"containers": [], "restartPolicy": "Never"}}}}});
    let annotations = json!({"note": "x", "tidegate.dev/on-no-data": "wait"});
    let includes = json!([{"templateName": "base"}]);
    let smoke = template("smoke", job, json!({"annotations": annotations, "templates": includes}));
    let base = template(
        "base",
        json!({"prometheus": {"query": "one"}}),
        json!({"annotations": {}, "templates": []}),
    );
    let templates = "GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysistemplates";
    let (first, second) = (format!("{templates}/smoke"), format!("{templates}/base"));
    let runs = "POST /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns";
    let answers = [
        (first.as_str(), 200, smoke),
        (second.as_str(), 200, base),
        (runs, 201, json!({"metadata": {"name": "smoke-x7"}})),
    ];
    let ran = run(Grammar::Argo, "create analysisrun --from smoke", &answers);
    assert_eq!(ran.out, "analysisrun.argoproj.io/smoke-x7 created\n", "{:?}", ran.exit);
    assert_eq!(ran.requests.last().unwrap().2["metadata"]["annotations"], json!({"note": "x"}));
}

#[test]
fn commands_that_are_not_there_say_so() {
    let ran = run(Grammar::Argo, "dashboard -p 3100", &[]);
    assert_eq!(error(&ran), "\"kubectl argo rollouts dashboard\" is not part of this version of Tidegate");
}

#[test]
fn experiments_are_shown_listed_retried_and_terminated() {
    let experiments = "/apis/argoproj.io/v1alpha1/namespaces/shop/experiments";
    let experiment = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
        "metadata": { "name": "compare", "namespace": "shop", "uid": "e1" },
        "spec": { "duration": "5m", "templates": [] },
        "status": { "phase": "Failed", "message": "why" },
    });
    let (get, all) = (format!("GET {experiments}/compare"), format!("GET {experiments}"));
    let answers = [
        (get.as_str(), 200, experiment.clone()),
        (all.as_str(), 200, list("Experiment", json!([experiment]))),
        ("GET /api/v1/namespaces/shop/pods", 200, list("Pod", json!([]))),
        ("GET /apis/apps/v1/namespaces/shop/replicasets", 200, list("ReplicaSet", json!([]))),
        ("GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns", 200, list("AnalysisRun", json!([]))),
    ];
    let ran = run(Grammar::Argo, "get experiment compare", &answers);
    assert!(ran.out.contains("Status:          ✖ Failed\nMessage:         why\n"), "{}", ran.out);
    let mut running = experiment.clone();
    running["status"] = json!({ "phase": "Running", "availableAt": "2026-01-01T00:00:00Z" });
    let mut going_on = answers.clone();
    going_on[0].2 = running;
    for (grammar, is_ours) in [(Grammar::Argo, false), (Grammar::Tidegate, true)] {
        let ran = run(grammar, "get experiment compare", &going_on);
        assert!(ran.out.contains("Status:          ◌ Running\n"), "{}", ran.out);
        assert_eq!(ran.out.contains("Waiting for:"), is_ours, "{}", ran.out);
    }
    let ran = run(Grammar::Argo, "list experiments", &answers);
    let words: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "STATUS", "DURATION", "REMAINING", "AGE"]);
    assert_eq!(words[1][..4], ["compare", "Failed", "5m", "-"]);
    let patch = format!("PATCH {experiments}/compare");
    let answers = [(patch.as_str(), 200, experiment)];
    let ran = run(Grammar::Argo, "retry experiment compare", &answers);
    assert_eq!(ran.out, "experiment 'compare' retried\n");
    let ran = run(Grammar::Argo, "terminate experiment compare", &answers);
    assert_eq!(ran.out, "experiment 'compare' terminated\n");
}

const APPLICATIONS: &str = "/apis/argoproj.io/v1alpha1/namespaces/shop/applications";
const ME: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";

fn application(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": { "name": "site", "namespace": "shop", "resourceVersion": "7" },
        "spec": {
            "project": "default",
            "source": { "repoURL": "https://git/site", "path": "web", "targetRevision": "main" },
            "destination": { "name": "in-cluster", "namespace": "web" },
        },
    });
    for (name, value) in more.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

fn review() -> Value {
    json!({ "metadata": {}, "status": { "userInfo": { "username": "ann" } } })
}

/// The body of the one patch that was sent.
fn patched(ran: &Ran) -> Value {
    let mut patches = ran.requests.iter().filter(|(method, _, _)| method == "PATCH");
    let (_, _, body) = patches.next().unwrap();
    assert!(patches.next().is_none());
    body.clone()
}

#[test]
fn a_sync_is_asked_for_under_the_version_that_was_read_and_in_the_users_name() {
    let (get, patch) = (format!("GET {APPLICATIONS}/site"), format!("PATCH {APPLICATIONS}/site"));
    let known = application(&json!({}));
    let answers = [(get.as_str(), 200, known.clone()), (&patch, 200, known), (ME, 201, review())];
    let ran = run(Grammar::Tidegate, "sync site --prune --resource :Service:web --revision v1", &answers);
    assert_eq!(
        (ran.exit.as_ref().unwrap(), ran.out.as_str()),
        (&Exit::Done, "application 'site' sync requested\n")
    );
    assert_eq!(
        patched(&ran),
        json!({
            "metadata": { "resourceVersion": "7" },
            "operation": {
                "sync": { "revision": "v1", "prune": true, "resources": [{ "kind": "Service", "name": "web" }] },
                "initiatedBy": { "username": "ann" },
            },
            "status": { "operationState": null },
        })
    );
}

#[test]
fn a_sync_that_would_be_undone_or_get_in_the_way_is_refused() {
    let get = format!("GET {APPLICATIONS}/site");
    let mut automated = application(&json!({}));
    automated["spec"]["syncPolicy"] = json!({ "automated": {} });
    let of = |line: &str, known: &Value| {
        let ran = run(Grammar::Tidegate, line, &[(&get, 200, known.clone()), (ME, 201, review())]);
        assert!(ran.requests.iter().all(|(method, _, _)| method != "PATCH"), "{line}");
        error(&ran)
    };
    assert!(of("sync site --revision old", &automated).contains("is synced automatically to main"));
    assert!(of("rollback site", &automated).contains("auto-sync is enabled"));
    let busy = application(&json!({ "operation": { "sync": {} } }));
    assert!(of("sync site", &busy).contains("another operation is already in progress"));
    let other = application(&json!({ "status": { "resources": [{ "kind": "Service", "name": "web" }] } }));
    assert!(of("sync site --resource :Service:wep", &other).contains("has no :Service:wep"));
    assert!(of("terminate application site", &other).contains("no operation is in progress"));
}

#[test]
fn a_sync_that_is_waited_for_tells_what_it_did_and_fails_with_it() {
    let (get, patch) = (format!("GET {APPLICATIONS}/site"), format!("PATCH {APPLICATIONS}/site"));
    let ended = |phase: &str| {
        application(&json!({ "status": {
            "resources": [{ "kind": "Service", "namespace": "web", "name": "web", "status": "Synced" }],
            "operationState": {
                "phase": phase,
                "message": "all is said",
                "operation": { "sync": {} },
                "syncResult": { "revision": "c1", "resources": [
                    { "kind": "Service", "namespace": "web", "name": "web", "status": "Synced", "message": "service/web configured" },
                    { "kind": "ConfigMap", "namespace": "web", "name": "old", "status": "Pruned", "message": "pruned" },
                ] },
            },
        } }))
    };
    let of = |phase: &str| {
        let answers = [(get.as_str(), 200, ended(phase)), (&patch, 200, ended(phase)), (ME, 403, json!({}))];
        run(Grammar::Tidegate, "sync site --wait", &answers)
    };
    let ran = of("Succeeded");
    assert_eq!(ran.exit.as_ref().unwrap(), &Exit::Done);
    for words in [
        "service/web configured",
        "ConfigMap web/old: pruned",
        "application 'site' synced to c1: all is said",
    ] {
        assert!(ran.out.contains(words), "{words:?} is not in {}", ran.out);
    }
    assert_eq!(
        patched(&ran)["operation"]["initiatedBy"]["username"],
        "kubectl-tidegate",
        "nobody knows the user"
    );
    assert_eq!(error(&of("Failed")), "the sync of application \"site\" to c1 failed: all is said");
}

#[test]
fn a_refresh_is_waited_for_until_the_controller_takes_the_annotation_away() {
    let (get, patch) = (format!("GET {APPLICATIONS}/site"), format!("PATCH {APPLICATIONS}/site"));
    let known = application(
        &json!({ "status": { "sync": { "status": "Synced" }, "health": { "status": "Healthy" } } }),
    );
    let answers = [(get.as_str(), 200, known.clone()), (&patch, 200, known.clone())];
    let ran = run(Grammar::Tidegate, "refresh site --hard --wait", &answers);
    assert_eq!(ran.out, "application 'site' refreshed: Synced; Healthy\n");
    assert_eq!(
        patched(&ran),
        json!({ "metadata": { "annotations": { "argocd.argoproj.io/refresh": "hard" } } })
    );
    let mut waiting = known.clone();
    waiting["metadata"]["annotations"] = json!({ "argocd.argoproj.io/refresh": "normal" });
    let answers = [(get.as_str(), 200, waiting.clone()), (&patch, 200, waiting)];
    let ran = run(Grammar::Tidegate, "refresh site --timeout 1ms", &answers);
    assert_eq!(ran.exit.unwrap(), Exit::TimedOut);
    let mut skipped = known;
    skipped["metadata"]["annotations"] = json!({ "argocd.argoproj.io/skip-reconcile": "true" });
    let ran = run(Grammar::Tidegate, "refresh site --wait", &[(&get, 200, skipped)]);
    assert!(error(&ran).contains("skip-reconcile"));
}

#[test]
fn an_application_is_found_in_another_namespace_unless_one_was_named() {
    let everywhere = "GET /apis/argoproj.io/v1alpha1/applications";
    let elsewhere = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/site";
    let mut known = application(&json!({}));
    known["metadata"]["namespace"] = json!("argocd");
    let one = list("Application", json!([known]));
    let get = format!("GET {elsewhere}");
    let answers = [(everywhere, 200, one), (get.as_str(), 200, known)];
    let ran = run(Grammar::Tidegate, "get application site", &answers);
    assert!(ran.out.contains("Namespace:       argocd\n"), "{} {:?}", ran.out, ran.exit);
    let ran = run(Grammar::Tidegate, "get application site -n shop", &answers);
    assert!(error(&ran).contains("not found in namespace \"shop\""));
}

#[test]
fn applications_are_listed_in_every_form() {
    let get = format!("GET {APPLICATIONS}");
    let both = list("Application", json!([application(&json!({}))]));
    let of = |line: &str| run(Grammar::Tidegate, line, &[(&get, 200, both.clone())]).out;
    assert!(of("list applications").starts_with("NAME"));
    assert!(of("get applications -o wide").contains("REPOSITORY"));
    assert_eq!(of("get apps -o name"), "application.argoproj.io/site\n");
    let json: Value = serde_json::from_str(&of("get applications -o json")).unwrap();
    assert_eq!((&json[0]["kind"], &json[0]["metadata"]["name"]), (&json!("Application"), &json!("site")));
    assert!(of("list app -o yaml").contains("repoURL: https://git/site"));
}

#[test]
fn a_rollout_is_explained_from_what_may_be_read() {
    let get = format!("GET {ROLLOUTS}/web");
    let forbidden =
        json!({ "kind": "Status", "status": "Failure", "code": 403, "message": "no pods for you" });
    let mut known = rollout(json!({}));
    known["spec"]["selector"] = json!({ "matchLabels": { "app": "web" } });
    known["spec"]["template"]["metadata"] = json!({ "labels": { "app": "web" } });
    let answers = [
        (get.as_str(), 200, known),
        ("GET /apis/apps/v1/namespaces/shop/replicasets", 200, list("ReplicaSet", json!([]))),
        ("GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns", 200, list("AnalysisRun", json!([]))),
        ("GET /api/v1/namespaces/shop/pods", 403, forbidden),
    ];
    for line in ["explain web", "explain rollout web"] {
        let ran = run(Grammar::Tidegate, line, &answers);
        assert_eq!(ran.exit.as_ref().unwrap(), &Exit::Done, "{line}");
        for words in [
            "create ReplicaSet web-",
            "change nothing: there is no stable revision",
            "pods: ",
            "no pods for you",
        ] {
            assert!(ran.out.contains(words), "{line}: {words:?} is not in\n{}", ran.out);
        }
        assert!(ran.requests.iter().all(|(method, _, _)| method == "GET"), "it only looks");
    }
    let ran = run(Grammar::Tidegate, "explain nope", &[]);
    assert!(error(&ran).contains("rollout \"nope\" not found"));
}

#[test]
fn a_revision_is_shown_with_its_template() {
    let get = format!("GET {ROLLOUTS}/web");
    let set = json!({
        "metadata": {
            "name": "web-abc", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "rollouts-pod-template-hash": "abc" },
            "annotations": { "rollout.argoproj.io/revision": "3" },
            "ownerReferences": [{ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web", "uid": "u", "controller": true }],
        },
        "spec": { "template": {
            "metadata": { "labels": { "app": "web", "rollouts-pod-template-hash": "abc" } },
            "spec": { "containers": [{ "name": "web", "image": "web:3" }] },
        } },
    });
    let empty = |kind: &str| list(kind, json!([]));
    let answers = [
        (get.as_str(), 200, rollout(json!({ "stableRS": "abc" }))),
        ("GET /apis/apps/v1/namespaces/shop/replicasets", 200, list("ReplicaSet", json!([set]))),
        ("GET /api/v1/namespaces/shop/pods", 200, empty("Pod")),
        ("GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns", 200, empty("AnalysisRun")),
        ("GET /apis/argoproj.io/v1alpha1/namespaces/shop/experiments", 200, empty("Experiment")),
    ];
    let ran = run(Grammar::Tidegate, "history web", &answers);
    let words: Vec<&str> = ran.out.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert!(words.starts_with(&["3", "abc", "stable"]), "{:?} {} {}", ran.exit, ran.out, ran.err);
    assert_eq!(words[4], "web:3");
    let ran = run(Grammar::Tidegate, "history rollout web --revision 3", &answers);
    assert!(ran.out.contains("image: web:3\n") && !ran.out.contains("pod-template-hash"), "{}", ran.out);
    let ran = run(Grammar::Tidegate, "history web --revision 9", &answers);
    assert_eq!(error(&ran), "rollout \"web\" has no revision 9: there are 3");
}

/// A run whose judge has seen nothing yet, with that phase on record.
fn judged(phase: &str) -> Value {
    let known = json!({
        "learned": true, "missed": 0, "seconds": 30,
        "ledger": { "looks": 3, "held": 0, "edges": [], "comparisons": [], "canary": {}, "stable": {} },
        "rail": { "logs": [0.0, 0.0, 0.0, 0.0, 0.0] },
        "timeline": { "every": 1, "filled": 0, "entries": [[20, 0.1, 0.2, [[[5, 5], [90, 0], 1.0]]]] },
    });
    let config = json!({ "preset": "app", "stable": "old", "canary": "{{args.canary-hash}}" });
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": "r", "namespace": "shop" },
        "spec": {
            "args": [{ "name": "canary-hash", "value": "new" }],
            "metrics": [{ "name": "judge", "provider": { "plugin": { "tidegate.dev/judge": config } } }],
        },
        "status": { "phase": phase, "metricResults": [{ "name": "judge", "phase": phase, "measurements": [
            { "phase": phase, "metadata": { "tidegate.dev/judge": known.to_string() } },
        ] }] },
    })
}

const RUN: &str = "GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysisruns/r";

#[test]
fn a_run_is_explained_by_what_it_recorded() {
    let ran = run(Grammar::Tidegate, "explain analysisrun r", &[(RUN, 200, judged("Running"))]);
    assert_eq!(ran.exit.as_ref().unwrap(), &Exit::Done);
    for words in ["shop/r: ", "The judge says:  undecided", "3 times in 30 s", "100 |----------"] {
        assert!(ran.out.contains(words), "{words:?} is not in\n{}", ran.out);
    }
    let ran = run(Grammar::Tidegate, "explain ar r -o json", &[(RUN, 200, judged("Running"))]);
    let page: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(page["metrics"][0]["judged"]["ruling"], "undecided");
    let ran = run(Grammar::Tidegate, "explain analysisrun nope", &[]);
    assert!(error(&ran).contains("analysisrun \"nope\" not found"));
}

#[test]
fn a_run_is_judged_again_without_asking_anybody() {
    let of = |phase: &str| run(Grammar::Tidegate, "replay analysisrun r", &[(RUN, 200, judged(phase))]);
    let same = of("Running");
    assert_eq!(same.exit.as_ref().unwrap(), &Exit::Done);
    assert!(
        same.out.starts_with("judge: recorded Running, again Running after 30 s: undecided"),
        "{}",
        same.out
    );
    assert_eq!(same.requests.len(), 1);
    let other = of("Failed");
    assert_eq!(other.exit.as_ref().unwrap(), &Exit::Differs, "{}", other.out);

    let template = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": { "name": "strict", "namespace": "shop" },
        "spec": { "metrics": [{ "name": "any", "provider": { "plugin": { "tidegate.dev/judge": {
            "preset": "app", "stable": "old", "canary": "new", "mostErrors": "5%",
        } } } }] },
    });
    let get = "GET /apis/argoproj.io/v1alpha1/namespaces/shop/analysistemplates/strict";
    let answers = [(RUN, 200, judged("Running")), (get, 200, template)];
    let ran = run(Grammar::Tidegate, "replay analysisrun r --with strict", &answers);
    assert_eq!(ran.out, "judge: recorded Running, with strict Failed after 20 s: bad\n");
    assert_eq!(ran.exit.unwrap(), Exit::Differs);
    let ran = run(Grammar::Tidegate, "replay ar r --with nope", &answers[..1]);
    assert!(error(&ran).contains("analysistemplate \"nope\" not found"));
}
