//! Changing labels and annotations of a pod.
//!
//! Input: what to set and what to remove. Output: one merge patch, for the pod that was meant and no other.

use kube::api::Patch;
use serde_json::json;
use tidegate_engine::plan::PodPatch;
use tracing::warn;

use super::One;
use crate::failure::{Class, chain};
use crate::kinds;
use crate::request::{Done, Sent};

impl One<'_> {
    /// Patches a pod. One that has gone, or that a policy will not have changed, is no failure of the round: everything
    /// else about the Rollout goes on.
    pub(super) async fn patch_pod(&self, patch: &PodPatch) -> Sent {
        let mut body = json!({"metadata": {"uid": patch.uid}});
        for (map, changes) in [("labels", &patch.labels), ("annotations", &patch.annotations)] {
            if !changes.is_empty() {
                body["metadata"][map] = json!(changes);
            }
        }
        match self.requests.patch(&kinds::pod(), &patch.name, &Patch::Merge(body)).await {
            Err((_, error)) if matches!(Class::of(&error), Class::Gone | Class::Conflict | Class::Denied) => {
                warn!(rollout = %self.key, pod = patch.name, error = chain(&error), "pod keeps its metadata for now");
                Ok(Done::Nothing)
            }
            sent => sent,
        }
    }
}
