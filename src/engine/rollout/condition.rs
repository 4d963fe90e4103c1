//! Conditions of a Rollout: how one is set, and what each one says.
//!
//! Input: the status as it was, the status as it will be, and what this round decided. Output: conditions with the
//! exact types, reasons and messages of Argo Rollouts, which `kubectl wait` and dashboards read. Setting a
//! condition that already has the same status and reason changes nothing, so conditions do not flap.

use crate::time::whole_seconds;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::rollout::{RolloutCondition, RolloutStatus};

pub(crate) const PROGRESSING: &str = "Progressing";
pub(crate) const AVAILABLE: &str = "Available";
pub(crate) const PAUSED: &str = "Paused";
pub(crate) const COMPLETED: &str = "Completed";
pub(crate) const HEALTHY: &str = "Healthy";
pub(crate) const INVALID_SPEC: &str = "InvalidSpec";
pub(crate) const REPLICA_FAILURE: &str = "ReplicaFailure";

pub(crate) const ROLLOUT_PAUSED: &str = "RolloutPaused";
pub(crate) const ROLLOUT_ABORTED: &str = "RolloutAborted";
pub(crate) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
pub(crate) const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";

/// A point in time as Kubernetes stores it: whole seconds.
pub(crate) fn time(now: Timestamp) -> Time {
    Time(whole_seconds(now))
}

/// Builds a condition that starts now.
pub(crate) fn new(
    now: Timestamp,
    type_: &str,
    status: &str,
    reason: &str,
    message: impl Into<String>,
) -> RolloutCondition {
    RolloutCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        last_update_time: Some(time(now)),
        last_transition_time: Some(time(now)),
        reason: reason.to_owned(),
        message: message.into(),
    }
}

/// The condition of a type, if it exists.
pub(crate) fn get<'a>(status: &'a RolloutStatus, type_: &str) -> Option<&'a RolloutCondition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of a type exists and has this reason.
pub(crate) fn has_reason(status: &RolloutStatus, type_: &str, reason: &str) -> bool {
    get(status, type_).is_some_and(|condition| condition.reason == reason)
}

/// Sets a condition; tells whether that changed anything.
///
/// The same status and reason change nothing, whatever the message. A changed condition keeps its transition
/// time when its status is the same, and moves to the end of the list.
pub(crate) fn set(status: &mut RolloutStatus, mut condition: RolloutCondition) -> bool {
    if let Some(known) = get(status, &condition.type_) {
        if known.status == condition.status && known.reason == condition.reason {
            return false;
        }
        if known.status == condition.status {
            condition.last_transition_time = known.last_transition_time.clone();
        }
    }
    remove(status, &condition.type_.clone());
    status.conditions.push(condition);
    true
}

/// Sets a condition even when its reason is the same, to move its update time: the heartbeat of progress.
pub(crate) fn refresh(status: &mut RolloutStatus, mut condition: RolloutCondition) {
    if let Some(known) = get(status, &condition.type_)
        && known.status == condition.status
    {
        condition.last_transition_time = known.last_transition_time.clone();
    }
    remove(status, &condition.type_.clone());
    status.conditions.push(condition);
}

/// Removes the condition of a type.
pub(crate) fn remove(status: &mut RolloutStatus, type_: &str) {
    status.conditions.retain(|condition| condition.type_ != type_);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_same_reason_changes_nothing_even_with_another_message() {
        let mut status = RolloutStatus::default();
        assert!(set(&mut status, new(at(1), PROGRESSING, "True", "A", "one")));
        assert!(!set(&mut status, new(at(9), PROGRESSING, "True", "A", "two")));
        assert_eq!(status.conditions[0].message, "one");
        assert_eq!(status.conditions[0].last_update_time, Some(time(at(1))));
    }

    #[test]
    fn a_changed_condition_moves_to_the_end_and_keeps_its_transition_time() {
        let mut status = RolloutStatus::default();
        set(&mut status, new(at(1), PROGRESSING, "True", "A", ""));
        set(&mut status, new(at(2), AVAILABLE, "True", "B", ""));
        assert!(set(&mut status, new(at(5), PROGRESSING, "True", "C", "")));
        assert_eq!(status.conditions[1].type_, PROGRESSING);
        assert_eq!(status.conditions[1].last_transition_time, Some(time(at(1))));
        assert_eq!(status.conditions[1].last_update_time, Some(time(at(5))));
    }

    #[test]
    fn times_are_whole_seconds() {
        let precise: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        assert_eq!(time(precise).0.to_string(), "2026-01-02T03:04:05Z");
    }
}
