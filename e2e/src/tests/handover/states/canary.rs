//! Canaries without a router.

use serde_json::{Value, json};

use super::{LONG, ROLLOUT, State, condition, degraded, healthy, is_current, paused, pods};

const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");
const ABORTED: &str = "RolloutAborted";
const LATE: &str = "ProgressDeadlineExceeded";

fn canary(name: &'static str, replicas: i64, canary: Value) -> State {
    State::rollout(name, replicas, json!({"canary": canary}))
}

/// Half of the pods and a pause, and then the rest.
fn half() -> Value {
    json!({"steps": [{"setWeight": 50}, {"pause": {}}, {"setWeight": 80}, {"pause": {"duration": "1s"}}]})
}

pub(super) fn states() -> Vec<State> {
    updates().into_iter().chain(specs()).collect()
}

/// An update in each of its states.
fn updates() -> Vec<State> {
    let pause = "CanaryPauseStep";
    vec![
        canary("first", 2, half()).onward(&[]),
        canary("second", 2, json!({"steps": [{"setWeight": 50}, {"pause": {"duration": 1}}]}))
            .ships()
            .until("at its second version", |rollout| healthy(rollout) && is_v2(rollout))
            .onward(&[]),
        canary("paused", 2, half()).short().paused_for(pause).onward(&["promote {}"]),
        canary("paused-first", 2, json!({"steps": [{"pause": {}}, {"setWeight": 50}]}))
            .paused_for(pause)
            .onward(&["promote {}"]),
        canary("paused-for-long", 2, json!({"steps": [{"setWeight": 50}, {"pause": {"duration": LONG}}]}))
            .paused_for(pause)
            .onward(&["promote {}"]),
        canary(
            "surge",
            4,
            json!({"maxSurge": 1, "maxUnavailable": 0, "steps": [{"setWeight": 25}, {"pause": {}}]}),
        )
        .paused_for(pause)
        .onward(&["promote {}"]),
        canary(
            "tight",
            4,
            json!({"maxSurge": 0, "maxUnavailable": 1, "steps": [{"setWeight": 30}, {"pause": {}}]}),
        )
        .paused_for(pause)
        .onward(&["promote {}"]),
        canary("third", 2, half())
            .paused_for(pause)
            .types("set image {} app=tidegate.dev/app:v3")
            .until("paused at the third version", |rollout| {
                revision(rollout) == "3" && paused(rollout, "CanaryPauseStep")
            })
            .onward(&["promote {}"]),
        canary("back", 2, half())
            .paused_for(pause)
            .types("set image {} app=tidegate.dev/app:v1")
            .until("back", |rollout| healthy(rollout) && revision(rollout) == "3")
            .onward(&["set image {} app=tidegate.dev/app:v2", "promote {} --full"]),
        canary("aborted", 2, half())
            .short()
            .paused_for(pause)
            .types("abort {}")
            .until("aborted", |rollout| degraded(rollout, ABORTED))
            .onward(&["retry rollout {}", "promote {} --full"]),
        canary("rolling", 2, json!({}))
            .ships()
            .until("at its second version", |rollout| healthy(rollout) && is_v2(rollout))
            .onward(&[]),
        late("late", json!({})).short().until("late", |rollout| degraded(rollout, LATE)).onward(REPAIR),
        late("late-aborts", json!({"progressDeadlineAbort": true}))
            .until("aborted", |rollout| degraded(rollout, ABORTED))
            .onward(REPAIR),
        canary("held", 2, half())
            .types("pause {}")
            .ships()
            .until("held", held)
            .onward(&["promote {}", "promote {} --full"]),
        canary("held-at-a-pause", 2, half())
            .short()
            .paused_for(pause)
            .types("pause {}")
            .until("held", held)
            .onward(&["promote {}", "promote {} --full"]),
    ]
}

/// What a spec may hold besides the steps.
fn specs() -> Vec<State> {
    let pause = "CanaryPauseStep";
    vec![
        canary("restarted", 2, half()).types("restart {}").until("restarted", restarted).onward(&[]),
        canary("none", 0, half()).onward(&[]),
        canary("slow", 2, half()).spec(json!({"minReadySeconds": 3})).paused_for(pause).onward(&["promote {} --full"]),
        canary("services", 2, with(half(), json!({"stableService": "{}-stable", "canaryService": "{}-canary"})))
            .paused_for(pause)
            .onward(&["promote {}"]),
        canary("spread", 2, with(half(), json!({"antiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1}}})))
            .short()
            .paused_for(pause)
            .onward(&["promote {}"]),
        canary("roles", 2, with(half(), json!({
            "canaryMetadata": {"labels": {"role": "canary"}, "annotations": {"example.com/role": "canary"}},
            "stableMetadata": {"labels": {"role": "stable"}, "annotations": {"example.com/role": "stable"}},
        })))
        .short()
        .paused_for(pause)
        .onward(&["promote {}"]),
        workload("workload", "never").paused_for(pause).onward(&["promote {}"]),
        workload("workload-down", "onsuccess").short().paused_for(pause).onward(&["promote {}"]),
        workload("workload-slowly", "progressively").paused_for(pause).onward(&["promote {}"]),
        invalid("invalid", json!({"steps": [{"setWeight": 500}]}), half()),
        invalid("without-service", json!({"canaryService": "absent", "stableService": "absent-too"}), json!({"canaryService": null, "stableService": null})),
        invalid(
            "without-template",
            with(half(), json!({"analysis": {"templates": [{"templateName": "absent"}]}})),
            json!({"analysis": null}),
        ),
    ]
}

/// Brings an image that exists, whatever became of the other.
const REPAIR: &[&str] = &["set image {} app=tidegate.dev/app:v3", "promote {} --full"];

/// A version that never starts; the next one has time to, however many others come at the same moment.
fn late(name: &'static str, spec: Value) -> State {
    canary(name, 2, half())
        .spec(json!({"progressDeadlineSeconds": 15}))
        .spec(spec)
        .types("set image {} app=tidegate.dev/absent:v1")
}

/// A Rollout of a Deployment's template.
fn workload(name: &'static str, scale_down: &str) -> State {
    let mut state = canary(name, 2, half()).spec(json!({
        "template": null, "selector": null,
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "{}", "scaleDown": scale_down},
    }));
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "{}"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "{}"}}, "template": pods("v1")},
    });
    state.objects.insert(0, super::filled(&deployment, "{}", name));
    if scale_down != "never" {
        state = state.until_of(DEPLOYMENT, name, "scaled down", |workload| {
            workload["spec"]["replicas"] == 0 && workload["status"]["replicas"].as_i64().unwrap_or(0) == 0
        });
    }
    state
}

/// A spec that is refused by the controller, and what makes it good.
fn invalid(name: &'static str, bad: Value, good: Value) -> State {
    let mut state = canary(name, 1, bad);
    state.objects.retain(|object| object["kind"] == ROLLOUT.1);
    state.way.clear();
    let refused =
        |rollout: &Value| degraded(rollout, "InvalidSpec") && condition(rollout, "InvalidSpec").is_some();
    state = state.until("invalid", refused);
    let patch = json!({"spec": {"strategy": {"canary": good}}});
    state.onward.push(super::Move::Merge(ROLLOUT, name.to_owned(), patch));
    state.onward(&[])
}

fn with(mut canary: Value, more: Value) -> Value {
    super::json_patch(&mut canary, more);
    canary
}

fn is_v2(rollout: &Value) -> bool {
    revision(rollout) == "2"
}

fn revision(rollout: &Value) -> &str {
    rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"].as_str().unwrap_or_default()
}

fn held(rollout: &Value) -> bool {
    rollout["spec"]["paused"] == true && rollout["status"]["phase"] == "Paused" && is_current(rollout)
}

fn restarted(rollout: &Value) -> bool {
    rollout["status"]["restartedAt"].is_string()
        && rollout["status"]["restartedAt"] == rollout["spec"]["restartAt"]
        && healthy(rollout)
}
