//! How a task that was begun is: well, ill, or not yet either.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tidegate_api::source::{HealthCode, OperationPhase};

use super::super::compare::Pair;
use super::super::health;
use super::super::hook;
use super::super::object::{Key, text};
use super::task::applied_at;

/// How long an object that was just applied is not judged, as upstream waits between waves: its controller must
/// have had a chance to see it.
const SETTLE: SignedDuration = SignedDuration::from_secs(2);

/// How an applied object is.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Well,
    Ill(String),
    /// Not known before this time at the earliest, where one is known.
    NotYet {
        until: Option<Timestamp>,
        suspended: bool,
    },
}

/// Judges an object that this sync has applied.
pub(super) fn object(pair: &Pair, now: Timestamp) -> Verdict {
    let Some(live) = pair.live else { return Verdict::Ill("it is not there any more".to_owned()) };
    // The server's clock and this one may differ; a time far ahead says nothing.
    let settled = applied_at(live).and_then(|at| at.checked_add(SETTLE).ok());
    if let Some(until) = settled.filter(|until| now < *until && now.duration_until(*until) <= SETTLE * 2) {
        return Verdict::NotYet { until: Some(until), suspended: false };
    }
    let wait = |suspended| Verdict::NotYet { until: None, suspended };
    if is_application(&pair.key) && !has_caught_up(live) {
        return wait(false);
    }
    let Some(health) = &pair.health else { return Verdict::Well };
    match health.code {
        HealthCode::Healthy => Verdict::Well,
        HealthCode::Degraded if health.message.is_empty() => Verdict::Ill("it is Degraded".to_owned()),
        HealthCode::Degraded => Verdict::Ill(format!("it is Degraded: {}", health.message)),
        HealthCode::Suspended => wait(true),
        HealthCode::Progressing | HealthCode::Missing | HealthCode::Unknown => wait(false),
    }
}

fn is_application(key: &Key) -> bool {
    key.group == "argoproj.io" && key.kind == "Application"
}

/// Whether the health of a child Application is about its present spec. Upstream looks at the health alone, which
/// is that of the old commit until the child has been compared.
fn has_caught_up(child: &Value) -> bool {
    let compared = |field: &str| {
        let of = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
        of(child.pointer(&format!("/status/sync/comparedTo/{field}")))
            == of(child.pointer(&format!("/spec/{field}")))
    };
    let is_busy = child.get("operation").is_some_and(|operation| !operation.is_null());
    let health = text(child, "/status/health/status");
    ["source", "sources", "destination"].into_iter().all(compared)
        && !is_busy
        && !["", "Missing", "Unknown"].contains(&health)
}

/// Where a hook stands, and what it says.
pub(super) fn hook(live: &Value) -> (OperationPhase, String) {
    let mut judged = live.clone();
    if hook::is_held(live)
        && let Some(metadata) = judged.get_mut("metadata").and_then(Value::as_object_mut)
    {
        // It was deleted, and is kept until its outcome is seen.
        metadata.remove("deletionTimestamp");
    }
    let Some(health) = health::of(&judged) else { return (OperationPhase::Succeeded, String::new()) };
    let phase = match health.code {
        HealthCode::Healthy => OperationPhase::Succeeded,
        HealthCode::Degraded | HealthCode::Unknown => OperationPhase::Failed,
        HealthCode::Progressing | HealthCode::Suspended | HealthCode::Missing => OperationPhase::Running,
    };
    (phase, health.message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hook_is_as_its_health() {
        let job = |condition: Value| json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "status": { "conditions": [condition] } });
        let of = |type_: &str| hook(&job(json!({ "type": type_, "status": "True", "message": "m" })));
        assert_eq!(of("Complete"), (OperationPhase::Succeeded, "m".into()));
        assert_eq!(of("Failed"), (OperationPhase::Failed, "m".into()));
        assert_eq!(of("Suspended").0, OperationPhase::Running);
        assert_eq!(of("FailureTarget").0, OperationPhase::Running);
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {} });
        assert_eq!(hook(&map).0, OperationPhase::Succeeded);
    }

    #[test]
    fn a_hook_that_was_deleted_and_is_held_still_has_its_outcome() {
        let mut job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [hook::FINALIZER] },
            "status": { "conditions": [{ "type": "Failed", "status": "True" }] },
        });
        assert_eq!(hook(&job).0, OperationPhase::Failed);
        job["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
        assert_eq!(hook(&job).0, OperationPhase::Running);
    }

    #[test]
    fn a_childs_health_counts_once_it_is_about_its_spec() {
        let mut child = json!({
            "spec": { "source": { "repoURL": "r", "targetRevision": "v2" }, "destination": { "name": "in-cluster" } },
            "status": {
                "health": { "status": "Healthy" },
                "sync": { "comparedTo": {
                    "source": { "repoURL": "r", "targetRevision": "v2" }, "destination": { "name": "in-cluster" },
                } },
            },
        });
        assert!(has_caught_up(&child));
        for (pointer, other) in [
            ("/spec/source/targetRevision", json!("v3")),
            ("/status/health/status", json!("Missing")),
            ("/status/sync", json!({})),
            ("/status", json!(null)),
        ] {
            let before = child.clone();
            *child.pointer_mut(pointer).unwrap() = other;
            assert!(!has_caught_up(&child), "{pointer}");
            child = before;
        }
        child["operation"] = json!({ "sync": {} });
        assert!(!has_caught_up(&child));
    }
}
