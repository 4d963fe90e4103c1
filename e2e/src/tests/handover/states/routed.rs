//! Canaries behind NGINX's Ingress, with the time that capacity keeps after its traffic.

use serde_json::{Value, json};

use super::{LONG, State, degraded, healthy, json_patch, paused};

const PAUSE: &str = "CanaryPauseStep";

fn routed(name: &'static str, replicas: i64, more: Value) -> State {
    let mut canary = json!({
        "stableService": "{}-stable", "canaryService": "{}-canary",
        "trafficRouting": {"nginx": {"stableIngress": "{}"}},
        "scaleDownDelaySeconds": LONG, "abortScaleDownDelaySeconds": LONG,
        "steps": [{"setWeight": 30}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "1s"}}],
    });
    json_patch(&mut canary, more);
    State::rollout(name, replicas, json!({"canary": canary}))
}

pub(super) fn states() -> Vec<State> {
    vec![
        routed("routed-first", 1, json!({})).onward(&[]),
        routed("routed", 2, json!({})).short().paused_for(PAUSE).onward(&["promote {}"]),
        routed("routed-without-weight", 1, json!({"steps": [{"pause": {}}]})).paused_for(PAUSE).onward(&["promote {}"]),
        routed("routed-scale", 3, json!({"steps": [{"setCanaryScale": {"replicas": 2}}, {"setWeight": 10}, {"pause": {}}]}))
            .short()
            .paused_for(PAUSE)
            .onward(&["promote {}"]),
        routed("routed-scale-percent", 4, json!({"steps": [{"setCanaryScale": {"weight": 25}}, {"pause": {}}, {"setCanaryScale": {"matchTrafficWeight": true}}]}))
            .paused_for(PAUSE)
            .onward(&["promote {}"]),
        routed("routed-least", 2, json!({"minPodsPerReplicaSet": 2, "steps": [{"setWeight": 5}, {"pause": {}}]}))
            .paused_for(PAUSE)
            .onward(&["promote {}"]),
        routed("routed-aborted", 2, json!({}))
            .short()
            .restless()
            .paused_for(PAUSE)
            .types("abort {}")
            .until("aborted", aborted)
            .onward(&["retry rollout {}", "promote {} --full"]),
        routed("routed-aborted-for-ever", 2, json!({
            "abortScaleDownDelaySeconds": 0, "steps": [{"setCanaryScale": {"replicas": 1}}, {"setWeight": 30}, {"pause": {}}],
        }))
            .restless()
            .paused_for(PAUSE)
            .types("abort {}")
            .until("aborted", aborted)
            .onward(&["retry rollout {}", "promote {} --full"]),
        routed("routed-promoted", 2, json!({}))
            .short()
            .paused_for(PAUSE)
            .types("promote {} --full")
            .until("promoted", healthy)
            .onward(&[]),
        routed("routed-third", 2, json!({}))
            .paused_for(PAUSE)
            .types("set image {} app=tidegate.dev/app:v3")
            .until("paused at the third version", |rollout| revision(rollout) == "3" && paused(rollout, PAUSE))
            .onward(&["promote {} --full"]),
        routed("routed-back", 2, json!({}))
            .paused_for(PAUSE)
            .types("set image {} app=tidegate.dev/app:v1")
            .until("back", |rollout| healthy(rollout) && revision(rollout) == "3")
            .onward(&[]),
        routed("routed-scaled", 2, json!({}))
            .paused_for(PAUSE)
            .merges(super::ROLLOUT, "routed-scaled", json!({"spec": {"replicas": 4}}))
            .until("scaled", |rollout| rollout["status"]["availableReplicas"] == 6 && paused(rollout, PAUSE))
            .onward(&["promote {}"]),
        routed("routed-dynamic", 4, json!({"dynamicStableScale": true, "scaleDownDelaySeconds": null, "steps": [{"setWeight": 50}, {"pause": {}}]}))
            .paused_for(PAUSE)
            .until("with half of its pods", |rollout| rollout["status"]["replicas"] == 4)
            .onward(&["promote {}"]),
        routed("routed-notes", 1, json!({"trafficRouting": {"nginx": {
            "stableIngresses": ["{}-a", "{}-b"],
            "additionalIngressAnnotations": {"canary-by-header": "X-Canary"},
        }}}))
        .paused_for(PAUSE)
        .onward(&["promote {}"]),
        routed("routed-late", 2, json!({}))
            .spec(json!({"progressDeadlineSeconds": 5}))
            .types("set image {} app=tidegate.dev/absent:v1")
            .until("late", |rollout| degraded(rollout, "ProgressDeadlineExceeded"))
            .onward(&["set image {} app=tidegate.dev/app:v3", "promote {} --full"]),
    ]
}

fn aborted(rollout: &Value) -> bool {
    degraded(rollout, "RolloutAborted") && rollout["status"]["canary"]["weights"]["canary"]["weight"] == 0
}

fn revision(rollout: &Value) -> &str {
    rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"].as_str().unwrap_or_default()
}
