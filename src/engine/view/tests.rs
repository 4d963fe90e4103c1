//! The text and the reason for waiting, on objects as a cluster holds them.

use jiff::Timestamp;
use json_patch::merge;
use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::Rollout;
use tidegate_api::source::Application;

use super::list::{Columns, Row, render_rows};
use super::{
    ApplicationColumns, ApplicationView, ExperimentObjects, ExperimentPage, ExperimentRow, HistoryView,
    Objects, Paint, RolloutView, render_application, render_applications, render_experiment,
    render_experiment_summary, render_experiments, render_history, render_rollout, render_summary,
};

/// What one case file holds.
#[derive(Clone, serde::Deserialize)]
struct Case {
    rollout: Value,
    #[serde(default)]
    sets: Vec<Value>,
    #[serde(default)]
    pods: Vec<Value>,
    #[serde(default)]
    runs: Vec<AnalysisRun>,
    #[serde(default)]
    experiments: Vec<Experiment>,
    now: Timestamp,
}

impl Case {
    fn canary() -> Self {
        serde_saphyr::from_str(include_str!("cases/canary.yaml")).unwrap()
    }

    fn blue_green() -> Self {
        serde_saphyr::from_str(include_str!("cases/blue_green.yaml")).unwrap()
    }

    /// Applies a merge patch to the Rollout.
    fn patched(mut self, patch: &Value) -> Self {
        merge(&mut self.rollout, patch);
        self
    }

    fn rollout(&self) -> Rollout {
        serde_json::from_value(self.rollout.clone()).unwrap()
    }

    fn view(&self) -> RolloutView {
        RolloutView::new(&self.objects(&self.rollout()))
    }

    fn objects<'a>(&'a self, rollout: &'a Rollout) -> Objects<'a> {
        Objects {
            rollout,
            sets: &self.sets,
            pods: &self.pods,
            runs: &self.runs,
            experiments: &self.experiments,
            now: self.now,
        }
    }

    fn text(&self) -> String {
        render_rollout(&self.view(), Paint::Plain)
    }

    fn waiting_for(&self) -> String {
        self.view().waiting_for.unwrap_or_else(|| "nothing".to_owned())
    }
}

#[test]
fn a_canary_on_its_way() {
    insta::assert_snapshot!(Case::canary().text());
}

#[test]
fn a_blue_green_update_before_its_switch() {
    insta::assert_snapshot!(Case::blue_green().text());
}

#[test]
fn colours_do_not_shift_columns() {
    let case = Case::canary();
    let painted = render_rollout(&case.view(), Paint::Ansi);
    assert!(painted.contains("\x1b[33mcanary\x1b[0m"), "{painted}");
    let mut bare = painted;
    for code in ["\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[94m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, case.text());
}

#[test]
fn one_line_for_logs() {
    insta::assert_snapshot!(
        render_summary(&Case::canary().view()),
        @"Progressing; step 1/4; weight 20 of 40; 2 updated, 5 available of 5; waiting for pods of web-new: 1 of 2 available (web-new-a: ImagePullBackOff: Back-off pulling image \"web:2\")"
    );
}

#[test]
fn the_reason_for_waiting() {
    let healthy_pods = || {
        let mut case = Case::canary();
        case.sets[0]["status"]["availableReplicas"] = json!(2);
        case
    };
    let at_step = |index: i32| json!({ "status": { "currentStepIndex": index } });
    let paused = |since: &str| {
        json!({ "status": { "phase": "Paused", "controllerPause": true, "currentStepIndex": 2,
            "pauseConditions": [{ "reason": "CanaryPauseStep", "startTime": since }] } })
    };
    let run = |phase: &str, message: &str| {
        json!({ "canary": { "currentStepAnalysisRunStatus":
            { "name": "web-new-2-1", "status": phase, "message": message } } })
    };
    let degraded = |reason: &str, message: &str| {
        json!({ "status": { "phase": "Degraded",
            "conditions": [{ "type": "Progressing", "status": "False", "reason": reason, "message": message }] } })
    };
    let cases = [
        ("a change not seen yet", Case::canary().patched(&json!({ "metadata": { "generation": 5 } }))),
        ("no controller at all", Case::canary().patched(&json!({ "status": null }))),
        ("pods", Case::canary()),
        ("a step", healthy_pods()),
        ("a timed pause", healthy_pods().patched(&paused("2026-01-08T00:00:00Z"))),
        ("a timed pause that is over", healthy_pods().patched(&paused("2026-01-07T00:00:00Z"))),
        (
            "a pause without end",
            healthy_pods().patched(&paused("2026-01-08T00:00:00Z")).patched(&json!({ "spec": { "strategy":
                { "canary": { "steps": [{ "setWeight": 20 }, { "setWeight": 40 }, { "pause": {} }] } } } })),
        ),
        ("an ended pause", healthy_pods().patched(&json!({ "status": { "controllerPause": true } }))),
        (
            "a paused spec",
            healthy_pods().patched(&json!({ "spec": { "paused": true }, "status": { "phase": "Paused" } })),
        ),
        (
            "an analysis",
            healthy_pods().patched(&at_step(3)).patched(&json!({ "status": run("Running", "") })),
        ),
        (
            "a verdict by a person",
            healthy_pods()
                .patched(&json!({ "status": run("Inconclusive", "metric \"x\" is unclear") }))
                .patched(&json!({ "status": { "phase": "Paused", "controllerPause": true, "pauseConditions":
                    [{ "reason": "InconclusiveAnalysisRun", "startTime": "2026-01-08T00:00:00Z" }] } })),
        ),
        (
            "a router",
            healthy_pods().patched(&json!({ "status": { "canary": { "weights":
                { "canary": { "weight": 40 }, "stable": { "weight": 60 }, "verified": false } } } })),
        ),
        ("an abort on its way", healthy_pods().patched(&json!({ "status": { "abort": true } }))),
        (
            "a retry",
            healthy_pods()
                .patched(&json!({ "status": { "phase": "Degraded", "abortedAt": "2026-01-08T00:00:00Z" } })),
        ),
        (
            "an aborted update",
            healthy_pods().patched(&degraded("RolloutAborted", "Rollout aborted update to revision 2")),
        ),
        (
            "a deadline",
            Case::canary().patched(&degraded("ProgressDeadlineExceeded", "it has timed out progressing.")),
        ),
        ("nothing", healthy_pods().patched(&json!({ "status": { "phase": "Healthy", "message": "" } }))),
        ("a blue-green switch by a person", Case::blue_green()),
    ];
    let text: String = cases.iter().map(|(name, case)| format!("{name}: {}\n", case.waiting_for())).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn an_analysis_by_the_judge_says_what_is_missing() {
    let mut case = Case::canary();
    case.sets[0]["status"]["availableReplicas"] = json!(2);
    let mut case = case.patched(&json!({ "status": { "currentStepIndex": 3, "canary":
        { "currentStepAnalysisRunStatus": { "name": "web-new-2-1", "status": "Running" } } } }));
    let named = |run: &&mut AnalysisRun| run.metadata.name.as_deref() == Some("web-new-2-1");
    let status = case.runs.iter_mut().find(named).unwrap().status.get_or_insert_default();
    status.metric_results = serde_json::from_value(json!([{ "name": "judge", "phase": "Running", "measurements": [
        { "phase": "Running", "message": "undecided: 40 are missing", "metadata": { "tidegate.dev/judge": "{}" } },
    ] }]))
    .unwrap();
    let waiting = case.waiting_for();
    assert!(waiting.ends_with(": undecided: 40 are missing"), "{waiting}");
    case.runs.iter_mut().find(named).unwrap().status.as_mut().unwrap().metric_results[0].measurements[0]
        .finished_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(case.now));
    assert!(!case.waiting_for().contains("undecided"));
}

#[test]
fn rollouts_in_lines() {
    let canary = Case::canary();
    let rows = [Row::new(&canary.rollout(), canary.now), Row::new(&Case::blue_green().rollout(), canary.now)];
    let plain = Columns::default();
    let wide = Columns { namespace: true, wide: true, printed_at: None };
    let stamped = Columns { printed_at: Some(canary.now), ..plain };
    let text = [
        render_rows(&rows, true, plain, canary.now, Paint::Plain),
        render_rows(&rows, true, wide, canary.now, Paint::Plain),
        render_rows(&rows[..1], false, stamped, canary.now, Paint::Plain),
    ];
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_change_that_shows_is_a_change() {
    let case = Case::canary();
    let row = |case: &Case| Row::new(&case.rollout(), case.now);
    let same = case.clone().patched(&json!({ "metadata": { "annotations": { "note": "x" } } }));
    let other = case.clone().patched(&json!({ "status": { "readyReplicas": 6 } }));
    assert!(row(&case).looks_like(&row(&same)));
    assert!(!row(&case).looks_like(&row(&other)));
}

#[test]
fn the_history_tells_what_each_revision_was_and_what_became_of_it() {
    let mut case = Case::canary();
    for set in &mut case.sets {
        if set["metadata"]["name"] == "web-new" {
            set["metadata"]["annotations"]["kubernetes.io/change-cause"] = json!("faster checkout");
        }
    }
    let case = case.patched(&json!({ "status": { "abort": true } }));
    let history = |only| HistoryView::new(&case.objects(&case.rollout()), only);
    let all = history(None);
    let text = render_history(&all, false, Paint::Plain);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["REVISION", "HASH", "ROLE", "AGE", "IMAGES", "ANALYSIS", "CHANGE-CAUSE"]);
    assert_eq!(lines[1][..3], ["2", "new", "canary,aborted"], "{text}");
    assert!(lines[1].ends_with(&["faster", "checkout"]), "{text}");
    assert_eq!(lines[2][..3], ["1", "old", "stable"], "{text}");
    assert!(all.revisions.iter().all(|one| one.template.is_null()), "templates are long");
    let one = history(Some(2)).revisions;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].template["spec"]["containers"][0]["image"], "web:2");
    assert!(history(Some(7)).revisions.is_empty());
}

fn application(patch: &Value) -> Application {
    let mut object = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": { "name": "shop", "namespace": "argocd", "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": {
            "project": "",
            "source": { "repoURL": "https://me:s3cret@git/shop", "path": "web", "targetRevision": "main" },
            "destination": { "name": "in-cluster", "namespace": "shop" },
        },
        "status": {
            "sync": { "status": "OutOfSync", "revision": "0123456789012345678901234567890123456789" },
            "health": { "status": "Healthy" },
            "resources": [
                { "kind": "Service", "namespace": "shop", "name": "web", "status": "OutOfSync", "health": { "status": "Healthy" } },
                { "kind": "ConfigMap", "namespace": "shop", "name": "old", "status": "OutOfSync", "requiresPruning": true },
            ],
        },
    });
    merge(&mut object, patch);
    serde_json::from_value(object).unwrap()
}

/// Each state of an Application, and who has to do something about it.
#[test]
fn an_application_says_what_it_waits_for() {
    let automated = |more: Value| {
        let mut automated = json!({});
        merge(&mut automated, &more);
        json!({ "spec": { "syncPolicy": { "automated": automated } } })
    };
    let synced = json!({ "sync": { "status": "Synced" } });
    let only_old =
        json!([{ "kind": "ConfigMap", "name": "old", "status": "OutOfSync", "requiresPruning": true }]);
    let mut unhealthy = json!({ "status": synced.clone() });
    unhealthy["status"]["health"] = json!({ "status": "Degraded" });
    unhealthy["status"]["resources"] = json!([{ "kind": "Deployment", "name": "web", "health": { "status": "Degraded", "message": "no pods" } }]);
    let running =
        |state: Value| json!({ "operation": { "sync": {} }, "status": { "operationState": state } });
    let cases = [
        (json!({}), "somebody to sync it: 1 object is not as in 0123456, 1 not in it any more"),
        (automated(json!({})), "the automated sync: 1 object is not as in 0123456, 1 not in it any more"),
        (
            {
                let mut patch = automated(json!({ "selfHeal": true }));
                patch["status"] = json!({ "resources": only_old });
                patch
            },
            "somebody to sync it with --prune: 1 object is not in 0123456 any more",
        ),
        (
            automated(json!({ "enabled": false })),
            "somebody to sync it: 1 object is not as in 0123456, 1 not in it any more",
        ),
        (json!({ "status": null }), "a controller to notice this Application"),
        (
            json!({ "status": { "conditions": [{ "type": "ComparisonError", "message": "no such branch" }] } }),
            "a remedy for ComparisonError: no such branch",
        ),
        (
            json!({ "metadata": { "annotations": { "argocd.argoproj.io/refresh": "hard" } } }),
            "the controller to compare it with Git (refresh: hard)",
        ),
        (running(json!(null)), "the controller to begin the sync"),
        (
            running(
                json!({ "phase": "Running", "operation": {}, "startedAt": "2026-01-08T00:00:00Z", "message": "waiting for Job migrate" }),
            ),
            "the sync (running for 30s): waiting for Job migrate",
        ),
        (running(json!({ "phase": "Terminating", "operation": {} })), "the sync to be terminated"),
        (unhealthy, "Deployment web to become healthy (Degraded: no pods)"),
    ];
    let now = "2026-01-08T00:00:30Z".parse().unwrap();
    for (patch, wanted) in cases {
        let view = ApplicationView::new(&application(&patch), now);
        assert_eq!(view.waiting_for.as_deref(), Some(wanted), "{patch}");
    }
    assert_eq!(ApplicationView::new(&application(&json!({ "status": synced })), now).waiting_for, None);
}

#[test]
fn an_application_is_shown_without_credentials_and_with_what_the_last_sync_said() {
    let patch = json!({ "status": { "operationState": {
        "phase": "Succeeded",
        "message": "successfully synced (all tasks run)",
        "finishedAt": "2026-01-08T00:00:00Z",
        "operation": { "initiatedBy": { "username": "ann" } },
        "syncResult": { "revision": "c1", "resources": [
            { "group": "", "kind": "Service", "namespace": "shop", "name": "web", "status": "Synced", "message": "service/web configured" },
        ] },
    } } });
    let now: Timestamp = "2026-01-08T00:00:30Z".parse().unwrap();
    let view = ApplicationView::new(&application(&patch), now);
    let text = render_application(&view, false, Paint::Plain);
    assert!(!text.contains("s3cret"), "{text}");
    for line in [
        "Source:          https://git/shop \"web\" (main)\n",
        "Sync:            ⚠ OutOfSync (0123456789012345678901234567890123456789)\n",
        "Last sync:       ✔ Succeeded, 30s ago, asked for by ann: successfully synced (all tasks run)\n",
        "       Service    shop       web   ⚠ OutOfSync  ✔ Healthy        service/web configured\n",
        "       ConfigMap  shop       old   ⚠ OutOfSync                   not in Git\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let rows = render_applications(&[view], true, ApplicationColumns::default(), Paint::Plain);
    let words: Vec<&str> = rows.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words, ["shop", "default", "⚠", "OutOfSync", "✔", "Healthy", "0123456", "manual", "7d"]);
}

#[test]
fn an_experiment_on_its_own_page_and_in_a_line() {
    let experiment: Experiment = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
        "metadata": { "name": "compare", "namespace": "shop", "uid": "e1", "creationTimestamp": "2026-01-01T11:58:00Z" },
        "spec": { "duration": "5m", "templates": [{ "name": "new" }] },
        "status": { "phase": "Running", "availableAt": "2026-01-01T11:59:00Z" },
    }))
    .unwrap();
    let owner = |kind: &str, name: &str, uid: &str| json!([{ "apiVersion": "x", "kind": kind, "name": name, "uid": uid, "controller": true }]);
    let sets = [json!({
        "metadata": { "name": "compare-new", "uid": "s1", "creationTimestamp": "2026-01-01T11:58:30Z",
            "annotations": { "experiment.argoproj.io/template-name": "new" },
            "ownerReferences": owner("Experiment", "compare", "e1") },
        "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "shop", "image": "shop:2" }] } } },
        "status": { "replicas": 2, "availableReplicas": 1 },
    })];
    let run: AnalysisRun = serde_json::from_value(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": { "name": "compare-errors", "creationTimestamp": "2026-01-01T11:59:00Z",
            "ownerReferences": owner("Experiment", "compare", "e1") },
        "spec": { "metrics": [] },
        "status": { "phase": "Running", "metricResults": [{ "name": "errors", "phase": "Running", "successful": 3 }] },
    }))
    .unwrap();
    let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let runs = [run];
    let page = ExperimentPage::new(&experiment, ExperimentObjects::new(&sets, &[], &runs), now);
    let shown = render_experiment(&page, Paint::Plain);
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        [
            "Name:            compare",
            "Namespace:       shop",
            "Status:          ◌ Running",
            "Waiting for:     the end of its duration in 4m",
            "Images:          shop:2 (Σ:new)",
            "",
            "NAME                 KIND         STATUS         AGE  INFO",
            "Σ compare            Experiment   ◌ Running      2m",
            "├──⧉ compare-new     ReplicaSet   ◌ Progressing  90s",
            "└──α compare-errors  AnalysisRun  ◌ Running      60s  ✔ 3",
        ]
    );
    let line = render_experiment_summary(&page);
    assert_eq!(line, "Running; new 1 of 2 available; compare-errors Running");
    let rows = [ExperimentRow::new(&experiment)];
    let shown = render_experiments(&rows, true, now, Paint::Plain);
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        [
            "NAMESPACE  NAME     STATUS   DURATION  REMAINING  AGE",
            "shop       compare  Running  5m        4m         2m",
        ]
    );
}
