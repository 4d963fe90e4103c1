//! Stories of blue-green updates; in each of them no request to the active Service finds nobody.
//!
//! Input: a spec, and who does what when. Output: the tale, compared with `stories/*.txt`.

use serde_json::{Value, json};
use tidegate_api::phase::AnalysisPhase;

use crate::shape::{ACTIVE_SERVICE, PREVIEW_SERVICE, TEMPLATE};
use crate::stories::tells;
use crate::users::Act;

/// A Rollout with both Services and what else the strategy says.
fn blue_green(replicas: i32, more: Value) -> Value {
    let mut strategy = json!({ "activeService": ACTIVE_SERVICE, "previewService": PREVIEW_SERVICE });
    for (field, value) in more.as_object().cloned().unwrap_or_default() {
        strategy[field] = value;
    }
    json!({ "replicas": replicas, "strategy": { "blueGreen": strategy } })
}

fn analysis() -> Value {
    json!({ "templates": [{ "templateName": TEMPLATE }] })
}

#[test]
fn a_person_looks_at_the_preview_and_promotes_it() {
    let spec = blue_green(3, json!({ "autoPromotionEnabled": false }));
    tells("blue-green-promoted", spec, &[(20, Act::Image("v2")), (60, Act::Promote)], &[]);
}

/// The Events of a first deployment and of an update are those that clients of Argo Rollouts know.
#[test]
fn the_switch_comes_by_itself() {
    let spec = json!({ "replicas": 3, "strategy": { "blueGreen": { "activeService": ACTIVE_SERVICE } } });
    let events = tells("blue-green-automatic", spec, &[(20, Act::Image("v2"))], &[]);
    let first =
        ["RolloutUpdated", "NewReplicaSetCreated", "ScalingReplicaSet", "RolloutCompleted", "SwitchService"];
    let update = [
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "RolloutNotCompleted",
        "ScalingReplicaSet",
        "SwitchService",
        "RolloutCompleted",
        "ScalingReplicaSet",
    ];
    assert_eq!(events, [&first[..], &update[..]].concat());
}

#[test]
fn the_switch_comes_by_itself_after_a_while() {
    let spec = blue_green(3, json!({ "autoPromotionSeconds": 15 }));
    tells("blue-green-after-a-while", spec, &[(20, Act::Image("v2"))], &[]);
}

#[test]
fn a_small_preview_grows_before_the_switch() {
    let spec = blue_green(4, json!({ "autoPromotionEnabled": false, "previewReplicaCount": 1 }));
    tells("blue-green-small-preview", spec, &[(20, Act::Image("v2")), (60, Act::Promote)], &[]);
}

#[test]
fn an_analysis_before_the_switch_fails() {
    let spec = blue_green(3, json!({ "prePromotionAnalysis": analysis() }));
    tells("blue-green-fails-before", spec, &[(20, Act::Image("v2"))], &[AnalysisPhase::Failed]);
}

#[test]
fn an_analysis_after_the_switch_fails_and_users_come_back() {
    let spec = blue_green(3, json!({ "postPromotionAnalysis": analysis() }));
    tells("blue-green-fails-after", spec, &[(20, Act::Image("v2"))], &[AnalysisPhase::Failed]);
}

#[test]
fn analyses_before_and_after_the_switch_succeed() {
    let more = json!({ "prePromotionAnalysis": analysis(), "postPromotionAnalysis": analysis() });
    let good = [AnalysisPhase::Successful, AnalysisPhase::Successful];
    tells("blue-green-judged", blue_green(2, more), &[(20, Act::Image("v2"))], &good);
}

#[test]
fn an_inconclusive_analysis_waits_for_a_person_before_the_switch() {
    let spec = blue_green(2, json!({ "prePromotionAnalysis": analysis() }));
    let verdicts = [AnalysisPhase::Inconclusive, AnalysisPhase::Successful];
    tells("blue-green-inconclusive", spec, &[(20, Act::Image("v2")), (70, Act::Promote)], &verdicts);
}

#[test]
fn a_person_aborts_before_the_switch_and_retries() {
    let spec = blue_green(3, json!({ "autoPromotionEnabled": false }));
    let acts = [(20, Act::Image("v2")), (40, Act::Abort), (100, Act::Retry), (130, Act::Promote)];
    tells("blue-green-aborted-before", spec, &acts, &[]);
}

#[test]
fn a_person_aborts_after_the_switch() {
    let spec = blue_green(3, json!({ "postPromotionAnalysis": analysis() }));
    tells("blue-green-aborted-after", spec, &[(20, Act::Image("v2")), (30, Act::Abort)], &[]);
}

#[test]
fn going_back_within_the_delay_is_fast() {
    let spec = blue_green(3, json!({ "autoPromotionEnabled": false, "scaleDownDelaySeconds": 60 }));
    let acts = [(20, Act::Image("v2")), (40, Act::Promote), (60, Act::Image("v1"))];
    tells("blue-green-fast-rollback", spec, &acts, &[]);
}

#[test]
fn going_back_within_the_window_asks_nobody() {
    let mut spec = blue_green(2, json!({ "autoPromotionEnabled": false, "scaleDownDelaySeconds": 0 }));
    spec["rollbackWindow"] = json!({ "revisions": 2 });
    let acts = [(20, Act::Image("v2")), (40, Act::Promote), (90, Act::Image("v1"))];
    tells("blue-green-rollback-window", spec, &acts, &[]);
}

#[test]
fn a_third_version_arrives_while_the_second_is_the_preview() {
    let spec = blue_green(2, json!({ "autoPromotionEnabled": false }));
    let acts = [(20, Act::Image("v2")), (40, Act::Image("v3")), (60, Act::Promote)];
    tells("blue-green-v1-v2-v3", spec, &acts, &[]);
}

#[test]
fn a_person_pauses_and_resumes_the_whole_rollout() {
    let acts = [(20, Act::Pause(true)), (30, Act::Image("v2")), (60, Act::Pause(false))];
    tells("blue-green-paused-by-hand", blue_green(2, json!({})), &acts, &[]);
}

#[test]
fn a_full_promotion_waits_for_the_pods_only() {
    let more = json!({ "autoPromotionEnabled": false, "previewReplicaCount": 1, "prePromotionAnalysis": analysis() });
    let acts = [(20, Act::Image("v2")), (22, Act::PromoteFull)];
    tells("blue-green-in-full", blue_green(3, more), &acts, &[]);
}

#[test]
fn an_active_service_made_anew_goes_back_to_the_stable_version() {
    let spec = blue_green(2, json!({ "autoPromotionEnabled": false }));
    let acts = [
        (20, Act::Image("v2")),
        (40, Act::DeleteService(ACTIVE_SERVICE)),
        (50, Act::RestoreService(ACTIVE_SERVICE)),
        (80, Act::Promote),
    ];
    tells("blue-green-service-made-anew", spec, &acts, &[]);
}
