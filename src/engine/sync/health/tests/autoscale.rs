//! HorizontalPodAutoscalers.

use serde_json::{Value, json};
use tidegate_api::source::HealthCode::{Degraded, Healthy, Progressing, Unknown};

use super::check;

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({ "type": type_, "status": status, "reason": reason, "message": reason })
}

#[test]
fn the_first_condition_that_says_something_decides() {
    let with = |conditions: &[Value]| json!({ "status": { "conditions": conditions } });
    for version in ["autoscaling/v2", "autoscaling/v2beta2", "autoscaling/v2beta1"] {
        check(
            version,
            "HorizontalPodAutoscaler",
            &[
                (json!({}), Progressing),
                (with(&[condition("ScalingActive", "True", "ValidMetricFound")]), Progressing),
                (with(&[condition("AbleToScale", "True", "ReadyForNewScale")]), Healthy),
                (with(&[condition("ScalingLimited", "True", "TooFewReplicas")]), Healthy),
                (with(&[condition("AbleToScale", "False", "FailedGetScale")]), Degraded),
                (with(&[condition("AbleToScale", "False", "FailedUpdateScale")]), Degraded),
                (with(&[condition("ScalingActive", "False", "FailedGetResourceMetric")]), Degraded),
                (with(&[condition("ScalingActive", "False", "FailedGetExternalMetric")]), Degraded),
                (with(&[condition("ScalingActive", "False", "FailedComputeMetricsReplicas")]), Degraded),
                (with(&[condition("ScalingActive", "False", "ScalingDisabled")]), Progressing),
                // As upstream: what comes after it is not looked at.
                (
                    with(&[
                        condition("AbleToScale", "True", "SucceededGetScale"),
                        condition("ScalingActive", "False", "FailedGetResourceMetric"),
                    ]),
                    Healthy,
                ),
            ],
        );
    }
}

#[test]
fn version_1_keeps_its_conditions_in_an_annotation() {
    let with = |text: &str| json!({ "metadata": { "annotations": { "autoscaling.alpha.kubernetes.io/conditions": text } } });
    check(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        &[
            (json!({}), Progressing),
            (with("[]"), Progressing),
            (with(&json!([condition("AbleToScale", "True", "x")]).to_string()), Healthy),
            (with(&json!([condition("ScalingActive", "False", "InvalidSelector")]).to_string()), Degraded),
            (with("nonsense"), Unknown),
        ],
    );
}
