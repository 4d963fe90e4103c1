//! AnalysisRuns and Experiments, of Rollouts and of nobody.

use serde_json::{Value, json};

use super::super::super::shop::RUN;
use super::{LONG, Move, State, degraded, filled, json_patch, pods};

const EXPERIMENT: (&str, &str) = ("argoproj.io/v1alpha1", "Experiment");
const SET: (&str, &str) = ("apps/v1", "ReplicaSet");

fn canary(name: &'static str, steps: Value, more: Value) -> State {
    let mut canary = json!({"steps": steps});
    json_patch(&mut canary, more);
    State::rollout(name, 2, json!({"canary": canary}))
}

fn of(template: &str) -> Value {
    json!({"templates": [{"templateName": template}]})
}

pub(super) fn states() -> Vec<State> {
    let half = json!([{"setWeight": 50}, {"pause": {}}]);
    let judged = |template: &str| json!([{"setWeight": 50}, {"analysis": of(template)}, {"setWeight": 80}]);
    let compared = |more: Value| {
        let mut experiment = json!({"duration": "1h", "templates": [
            {"name": "old", "specRef": "stable", "replicas": 1}, {"name": "new", "specRef": "canary", "replicas": 1},
        ]});
        json_patch(&mut experiment, more);
        json!([{"experiment": experiment}, {"setWeight": 50}])
    };
    let mut states = vec![
        canary("background", half, json!({"analysis": of("hourly")}))
            .short()
            .paused_for("CanaryPauseStep")
            .until("with a run that goes on", |rollout| {
                run_is(rollout, "currentBackgroundAnalysisRunStatus", "Running")
            })
            .onward(&["promote {}"]),
        canary("judged", judged("twice"), json!({}))
            .short()
            .ships()
            .until("being judged", |rollout| run_is(rollout, "currentStepAnalysisRunStatus", "Running"))
            .onward(&["promote {} --skip-current-step"]),
        canary("unclear", judged("unclear"), json!({}))
            .short()
            .paused_for("InconclusiveAnalysisRun")
            .onward(&["promote {} --full"]),
        canary("refused", judged("fails"), json!({}))
            .ships()
            .until("aborted", |rollout| degraded(rollout, "RolloutAborted"))
            .onward(&["promote {} --full"]),
        canary("refused-at-once", json!([{"analysis": of("fails")}, {"setWeight": 50}]), json!({}))
            .ships()
            .until("aborted", |rollout| degraded(rollout, "RolloutAborted"))
            .onward(&["promote {} --full"]),
        canary("compared", compared(json!({})), json!({}))
            .short()
            .ships()
            .until("being compared", |rollout| rollout["status"]["canary"]["currentExperiment"].is_string())
            .onward(&["promote {} --skip-current-step"]),
        canary(
            "compared-and-judged",
            compared(json!({"analyses": [{"name": "hourly", "templateName": "hourly"}]})),
            json!({}),
        )
        .ships()
        .until("being compared", |rollout| rollout["status"]["canary"]["currentExperiment"].is_string())
        .onward(&["promote {} --skip-current-step"]),
    ];
    states.extend(runs());
    states.extend(experiments());
    states
}

fn runs() -> Vec<State> {
    let run = |name, template| {
        let metric = super::shared().into_iter().find(|known| known["metadata"]["name"] == template);
        let spec = metric.map(|template| template["spec"].clone()).unwrap_or_default();
        let run = json!({"apiVersion": RUN.0, "kind": RUN.1, "metadata": {"name": name}, "spec": spec});
        State::new(name, vec![run])
    };
    vec![
        ends(
            run("run-hourly", "hourly").short().until_of(RUN, "run-hourly", "measured", measured),
            RUN,
            "terminate analysisrun {}",
        ),
        ends(
            run("run-once", "once")
                .until_of(RUN, "run-once", "Successful", |run| run["status"]["phase"] == "Successful"),
            RUN,
            "",
        ),
        ends(
            run("run-failed", "fails")
                .until_of(RUN, "run-failed", "Failed", |run| run["status"]["phase"] == "Failed"),
            RUN,
            "",
        ),
    ]
}

fn experiments() -> Vec<State> {
    let experiment = |name: &'static str, more: Value| {
        let mut pods = pods("v2");
        pods["metadata"]["labels"] = json!({"app": "{}", "side": "new"});
        let mut spec = json!({"templates": [{
            "name": "new", "replicas": 1, "service": {},
            "selector": {"matchLabels": {"app": "{}", "side": "new"}}, "template": pods,
        }]});
        json_patch(&mut spec, more);
        let object = json!({"apiVersion": EXPERIMENT.0, "kind": EXPERIMENT.1, "metadata": {"name": "{}"}, "spec": spec});
        State::new(name, vec![filled(&object, "{}", name)])
    };
    let phase = |wanted: &'static str| move |experiment: &Value| experiment["status"]["phase"] == wanted;
    let empty =
        |set: &Value| set["spec"]["replicas"] == 0 && set["status"]["replicas"].as_i64().unwrap_or(0) == 0;
    let hourly = json!([{"name": "hourly", "templateName": "hourly"}]);
    vec![
        ends(
            experiment("experiment", json!({"analyses": hourly}))
                .short()
                .until_of(EXPERIMENT, "experiment", "Running", phase("Running"))
                .until_of(RUN, "experiment-hourly", "measured", measured),
            EXPERIMENT,
            "terminate experiment {}",
        ),
        ends(
            experiment("experiment-timed", json!({"duration": "1h"})).until_of(
                EXPERIMENT,
                "experiment-timed",
                "Running",
                phase("Running"),
            ),
            EXPERIMENT,
            "terminate experiment {}",
        ),
        ends(
            experiment("experiment-over", json!({"duration": "1s", "scaleDownDelaySeconds": 0}))
                .short()
                .until_of(EXPERIMENT, "experiment-over", "Successful", phase("Successful"))
                .until_of(SET, "experiment-over-new", "gone", empty),
            EXPERIMENT,
            "",
        ),
        ends(
            experiment("experiment-waits", json!({"duration": "1s", "scaleDownDelaySeconds": LONG}))
                .until_of(EXPERIMENT, "experiment-waits", "Successful", phase("Successful")),
            EXPERIMENT,
            "",
        ),
        ends(
            experiment(
                "experiment-refused",
                json!({"scaleDownDelaySeconds": 0, "analyses": [{"name": "fails", "templateName": "fails"}]}),
            )
            .until_of(EXPERIMENT, "experiment-refused", "Failed", phase("Failed"))
            .until_of(SET, "experiment-refused-new", "gone", empty),
            EXPERIMENT,
            "",
        ),
        ends(
            experiment("experiment-ended", json!({"duration": "1h", "scaleDownDelaySeconds": 0}))
                .until_of(EXPERIMENT, "experiment-ended", "Running", phase("Running"))
                .types("terminate experiment {}")
                .until_of(EXPERIMENT, "experiment-ended", "Successful", phase("Successful"))
                .until_of(SET, "experiment-ended-new", "gone", empty),
            EXPERIMENT,
            "",
        ),
    ]
}

/// What has no healthy end has an end: by itself already, or by a command.
fn ends(mut state: State, kind: (&'static str, &'static str), line: &'static str) -> State {
    if !line.is_empty() {
        state.onward.push(Move::Type(line));
    }
    let over = |object: &Value| {
        let phase = object["status"]["phase"].as_str().unwrap_or_default();
        ["Successful", "Failed"].contains(&phase)
    };
    state.onward.push(Move::Until(kind, state.name.to_owned(), "over", Box::new(over)));
    state
}

fn measured(run: &Value) -> bool {
    run["status"]["phase"] == "Running" && run["status"]["metricResults"][0]["measurements"].is_array()
}

fn run_is(rollout: &Value, field: &str, phase: &str) -> bool {
    rollout["status"]["canary"][field]["status"] == phase
}
