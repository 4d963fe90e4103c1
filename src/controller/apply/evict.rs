//! Evicting a pod, so that its ReplicaSet replaces it.
//!
//! Input: name and uid of a pod. Output: one request to `pods/eviction`, which asks the disruption budgets.

use http::header::CONTENT_TYPE;
use kube::api::{DynamicObject, Resource};
use serde_json::{Value, json};
use tracing::warn;

use super::One;
use crate::failure::chain;
use crate::kinds;
use crate::request::{Done, Sent, gone_is_done};

impl One<'_> {
    /// Asks for a pod to go, as a drain does. A refusal is no failure of the round: a disruption budget opens when other
    /// pods are ready, and until then everything else about the Rollout goes on.
    pub(super) async fn evict(&self, name: &str, uid: &str) -> Sent {
        let kind = kinds::pod();
        let object = kinds::reference(&kind, name);
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.key.namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let path = format!("{}/{name}/eviction", DynamicObject::url_path(&kind, Some(&self.key.namespace)));
        let request = http::Request::post(path).header(CONTENT_TYPE, "application/json");
        let request =
            request.body(body.to_string().into_bytes()).map_err(kube::core::request::Error::BuildRequest);
        match self.requests.answer::<Value>(request).await {
            Ok(_) => Ok(Done::Untold(object)),
            Err(error) if refuses_eviction(&error) => {
                warn!(rollout = %self.key, pod = name, error = chain(&error), "pod is not restarted yet");
                Ok(Done::Nothing)
            }
            Err(error) => gone_is_done(Err((object, error))),
        }
    }
}

/// Whether an eviction is refused for a reason that lies with the pod: its disruption budget (429 with that cause), two of
/// them (500), a webhook or missing rights (403). Any other 429 asks to slow down.
fn refuses_eviction(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let budget = causes.iter().any(|cause| cause.reason == "DisruptionBudget");
    matches!(status.code, 400 | 403 | 422 | 500) || status.code == 429 && budget
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn only_what_lies_with_the_pod_is_no_failure() {
        let refused = |status: Value| {
            let status: Status = serde_json::from_value(status).unwrap();
            refuses_eviction(&kube::Error::Api(Box::new(status)))
        };
        let budget = json!({"code": 429, "details": {"causes": [{"reason": "DisruptionBudget", "message": "needs 2"}]}});
        assert!(refused(budget));
        assert!(
            !refused(json!({"code": 429, "details": {"retryAfterSeconds": 3}})),
            "that asks to slow down"
        );
        assert!(refused(json!({"code": 403})) && refused(json!({"code": 500})));
        assert!(
            !refused(json!({"code": 503}))
                && !refused(json!({"code": 409}))
                && !refused(json!({"code": 404}))
        );
    }
}
