//! The health of HorizontalPodAutoscalers, of all versions.

use std::borrow::Cow;

use serde_json::Value;
use tidegate_api::source::HealthCode;

use super::super::object::{annotation, group_version, list, text};
use super::{Health, degraded, is_true, progressing, verdict};

/// Where version 1 keeps its conditions.
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
/// Conditions that say that nothing can be scaled, with the reasons that mean it.
const BROKEN: [(&str, &[&str]); 2] = [
    ("AbleToScale", &["FailedGetScale", "FailedUpdateScale"]),
    (
        "ScalingActive",
        &[
            "FailedGetResourceMetric",
            "FailedGetObjectMetric",
            "FailedGetPodsMetric",
            "FailedGetExternalMetric",
            "FailedComputeMetricsReplicas",
            "InvalidSelector",
        ],
    ),
];

/// The first condition that says something decides.
pub(super) fn autoscaler(object: &Value) -> Health {
    let (_, version) = group_version(object);
    let conditions = if version == "v1" {
        match annotation(object, CONDITIONS).map(serde_json::from_str::<Vec<Value>>) {
            Some(Ok(conditions)) => Cow::Owned(conditions),
            Some(Err(_)) => {
                let message = format!("annotation {CONDITIONS} holds no list of conditions");
                return verdict(HealthCode::Unknown, message);
            }
            None => Cow::Owned(Vec::new()),
        }
    } else {
        Cow::Borrowed(list(object, "/status/conditions"))
    };
    conditions.iter().find_map(of_condition).unwrap_or_else(|| progressing("Waiting to Autoscale"))
}

fn of_condition(condition: &Value) -> Option<Health> {
    let (type_, reason) = (text(condition, "/type"), text(condition, "/reason"));
    let message = text(condition, "/message");
    if BROKEN.iter().any(|(broken, reasons)| *broken == type_ && reasons.contains(&reason)) {
        return Some(degraded(message));
    }
    let can = matches!(type_, "AbleToScale" | "ScalingLimited") && is_true(condition);
    can.then(|| verdict(HealthCode::Healthy, message))
}
