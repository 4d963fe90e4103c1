//! Blue-green updates before, in and after their switch.

use serde_json::{Value, json};

use super::{LONG, State, degraded, healthy, json_patch, paused};

const PAUSE: &str = "BlueGreenPause";

fn blue(name: &'static str, more: Value) -> State {
    let mut strategy = json!({
        "activeService": "{}-active", "previewService": "{}-preview",
        "scaleDownDelaySeconds": LONG, "abortScaleDownDelaySeconds": LONG,
    });
    json_patch(&mut strategy, more);
    State::rollout(name, 2, json!({"blueGreen": strategy}))
}

/// A switch that somebody must ask for.
fn asked(name: &'static str, more: Value) -> State {
    let mut strategy = json!({"autoPromotionEnabled": false});
    json_patch(&mut strategy, more);
    blue(name, strategy)
}

pub(super) fn states() -> Vec<State> {
    switches().into_iter().chain(verdicts()).collect()
}

/// Before, at and after a switch.
fn switches() -> Vec<State> {
    vec![
        blue("blue-first", json!({})).onward(&[]),
        asked("blue-paused", json!({})).short().paused_for(PAUSE).onward(&["promote {}"]),
        asked("blue-without-preview", json!({"previewService": null}))
            .paused_for(PAUSE)
            .onward(&["promote {}"]),
        asked("blue-count", json!({"previewReplicaCount": 1}))
            .short()
            .paused_for(PAUSE)
            .onward(&["promote {}"]),
        blue("blue-timed", json!({"autoPromotionSeconds": LONG}))
            .paused_for(PAUSE)
            .onward(&["promote {} --full"]),
        blue("blue-switched", json!({})).short().ships().until("switched", second).onward(&[]),
        blue("blue-switched-twice", json!({}))
            .ships()
            .until("switched", second)
            .types("set image {} app=tidegate.dev/app:v3")
            .until("switched again", |rollout| healthy(rollout) && revision(rollout) == "3")
            .onward(&[]),
        blue("blue-one-kept", json!({"scaleDownDelayRevisionLimit": 1}))
            .ships()
            .until("switched", second)
            .types("set image {} app=tidegate.dev/app:v3")
            .until("switched again", |rollout| healthy(rollout) && revision(rollout) == "3")
            .onward(&[]),
        asked("blue-aborted", json!({}))
            .short()
            .paused_for(PAUSE)
            .types("abort {}")
            .until("aborted", |rollout| degraded(rollout, "RolloutAborted"))
            .onward(&["retry rollout {}", "promote {} --full"]),
        asked("blue-third", json!({}))
            .paused_for(PAUSE)
            .types("set image {} app=tidegate.dev/app:v3")
            .until("paused at the third version", |rollout| {
                revision(rollout) == "3" && paused(rollout, PAUSE)
            })
            .onward(&["promote {}"]),
        asked(
            "blue-roles",
            json!({
                "activeMetadata": {"labels": {"role": "active"}},
                "previewMetadata": {"labels": {"role": "preview"}},
            }),
        )
        .paused_for(PAUSE)
        .onward(&["promote {}"]),
        asked(
            "blue-spread",
            json!({"antiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1}}}),
        )
        .paused_for(PAUSE)
        .onward(&["promote {}"]),
    ]
}

/// What an analysis or a deadline says.
fn verdicts() -> Vec<State> {
    let twice = json!({"templates": [{"templateName": "twice"}]});
    vec![
        blue("blue-before", json!({"prePromotionAnalysis": twice}))
            .short()
            .ships()
            .until("judged before its switch", |rollout| {
                rollout["status"]["blueGreen"]["prePromotionAnalysisRunStatus"]["status"] == "Running"
            })
            .onward(&["promote {} --full"]),
        blue("blue-after", json!({"postPromotionAnalysis": twice}))
            .ships()
            .until("judged after its switch", |rollout| {
                rollout["status"]["blueGreen"]["postPromotionAnalysisRunStatus"]["status"] == "Running"
            })
            .onward(&["promote {} --full"]),
        blue("blue-refused", json!({"prePromotionAnalysis": {"templates": [{"templateName": "fails"}]}}))
            .ships()
            .until("aborted", |rollout| degraded(rollout, "RolloutAborted"))
            .onward(&["retry rollout {}", "promote {} --full"]),
        blue("blue-late", json!({}))
            .spec(json!({"progressDeadlineSeconds": 5}))
            .types("set image {} app=tidegate.dev/absent:v1")
            .until("late", |rollout| degraded(rollout, "ProgressDeadlineExceeded"))
            .onward(&["set image {} app=tidegate.dev/app:v3"]),
    ]
}

fn second(rollout: &Value) -> bool {
    healthy(rollout) && revision(rollout) == "2"
}

fn revision(rollout: &Value) -> &str {
    rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"].as_str().unwrap_or_default()
}
