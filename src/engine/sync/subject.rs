//! One Application, read once: the spec and operation as types, the status as far as it can be read.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_api::source::{
    ApplicationDestination, ApplicationSpec, ApplicationStatus, Automated, Operation,
};

use super::object::{annotation, list, text};
use super::project::{DEFAULT, IN_CLUSTER_NAME, IN_CLUSTER_SERVER};

/// The annotation by which somebody asks for a comparison now.
pub(super) const REFRESH: &str = "argocd.argoproj.io/refresh";
/// The annotation by which somebody asks that nothing be done.
const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";
/// How many history entries are kept when the spec does not say.
const HISTORY_LIMIT: usize = 10;

/// One Application.
pub(super) struct Subject<'a> {
    pub(super) raw: &'a Value,
    pub(super) spec: ApplicationSpec,
    pub(super) operation: Option<Operation>,
    pub(super) status: ApplicationStatus,
}

impl<'a> Subject<'a> {
    /// Reads an Application.
    ///
    /// The status may be anything: other controllers write there too, and what cannot be read is taken as
    /// absent. The spec and the operation must be readable.
    pub(super) fn read(raw: &'a Value) -> Result<Self, String> {
        let spec = raw.get("spec").cloned().unwrap_or_default();
        let spec = serde_json::from_value(spec).map_err(|error| format!("spec cannot be read: {error}"))?;
        let operation = match raw.get("operation") {
            None | Some(Value::Null) => None,
            Some(operation) => serde_json::from_value(operation.clone())
                .map(Some)
                .map_err(|error| format!("operation cannot be read: {error}"))?,
        };
        Ok(Self { raw, spec, operation, status: read_status(raw.get("status")) })
    }

    pub(super) fn name(&self) -> &'a str {
        text(self.raw, "/metadata/name")
    }

    pub(super) fn uid(&self) -> &'a str {
        text(self.raw, "/metadata/uid")
    }

    /// The namespace for objects that name none; empty when the spec names none.
    pub(super) fn namespace(&self) -> &str {
        self.spec.destination.namespace.as_deref().unwrap_or_default()
    }

    /// The project's name; `default` when the spec names none.
    pub(super) fn project(&self) -> &str {
        if self.spec.project.is_empty() { DEFAULT } else { &self.spec.project }
    }

    /// Whether the destination is the cluster that Tidegate runs in, or why not.
    pub(super) fn check_destination(&self) -> Result<(), String> {
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let ApplicationDestination { server, name, .. } = &self.spec.destination;
        match (set(server), set(name)) {
            (None, None) => Err("spec.destination names no cluster: set server or name".to_owned()),
            (Some(_), Some(_)) => {
                Err("application destination can't have both name and server defined".to_owned())
            }
            (Some(server), None) if server.trim_end_matches('/') == IN_CLUSTER_SERVER => Ok(()),
            (None, Some(name)) if name == IN_CLUSTER_NAME => Ok(()),
            (Some(cluster), None) | (None, Some(cluster)) => Err(format!(
                "spec.destination names the cluster {cluster}, but only the one that Tidegate runs in can be \
                 written to yet: {IN_CLUSTER_SERVER} or {IN_CLUSTER_NAME}"
            )),
        }
    }

    /// Automation, if it is on.
    pub(super) fn automated(&self) -> Option<&Automated> {
        let automated = self.spec.sync_policy.as_ref()?.automated.as_ref()?;
        (automated.enabled != Some(false)).then_some(automated)
    }

    /// The options of the spec and, while an operation is there, those of the operation.
    pub(super) fn sync_options(&self) -> Vec<String> {
        let spec = self.spec.sync_policy.as_ref().and_then(|policy| policy.sync_options.clone());
        let asked =
            self.operation.as_ref().and_then(|operation| operation.sync.as_ref()?.sync_options.clone());
        spec.into_iter().chain(asked).flatten().collect()
    }

    /// How many history entries to keep.
    pub(super) fn history_limit(&self) -> usize {
        self.spec.revision_history_limit.map_or(HISTORY_LIMIT, |limit| usize::try_from(limit).unwrap_or(0))
    }

    /// What the refresh annotation asks for.
    pub(super) fn refresh(&self) -> Option<&'a str> {
        annotation(self.raw, REFRESH)
    }

    pub(super) fn is_skipped(&self) -> bool {
        annotation(self.raw, SKIP_RECONCILE) == Some("true")
    }

    pub(super) fn finalizers(&self) -> Vec<&'a str> {
        list(self.raw, "/metadata/finalizers").iter().filter_map(Value::as_str).collect()
    }

    /// When Git and cluster were last compared in full.
    pub(super) fn reconciled_at(&self) -> Option<Timestamp> {
        self.status.reconciled_at.as_ref().map(|time| time.0)
    }

    /// The commit of the last comparison.
    pub(super) fn compared_revision(&self) -> Option<&str> {
        self.status.sync.as_ref()?.revision.as_deref().filter(|revision| !revision.is_empty())
    }

    /// Whether a condition of this type is in the status.
    pub(super) fn has_condition(&self, type_: &str) -> bool {
        self.status.conditions.iter().flatten().any(|condition| condition.type_ == type_)
    }
}

/// Reads a status field by field, so that one that cannot be read does not hide the others.
fn read_status(raw: Option<&Value>) -> ApplicationStatus {
    let Some(raw) = raw else { return ApplicationStatus::default() };
    ApplicationStatus {
        sync: field(raw, "sync"),
        health: field(raw, "health"),
        resources: field(raw, "resources"),
        resource_health_source: field(raw, "resourceHealthSource"),
        history: field(raw, "history"),
        conditions: field(raw, "conditions"),
        operation_state: field(raw, "operationState"),
        reconciled_at: field(raw, "reconciledAt"),
        observed_at: field(raw, "observedAt"),
        source_type: field(raw, "sourceType"),
        source_types: field(raw, "sourceTypes"),
        summary: field(raw, "summary"),
        controller_namespace: field(raw, "controllerNamespace"),
    }
}

fn field<T: DeserializeOwned>(raw: &Value, name: &str) -> Option<T> {
    raw.get(name)
        .filter(|value| !value.is_null())
        .and_then(|value| serde_json::from_value(value.clone()).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn application(destination: Value) -> Value {
        json!({ "metadata": { "name": "shop" }, "spec": { "project": "", "destination": destination } })
    }

    #[test]
    fn only_this_cluster_is_a_destination() {
        for (destination, ok) in [
            (json!({ "server": "https://kubernetes.default.svc" }), true),
            (json!({ "name": "in-cluster" }), true),
            (json!({ "server": "", "name": "in-cluster" }), true),
            (json!({ "server": "https://kubernetes.default.svc", "name": "in-cluster" }), false),
            (json!({ "server": "https://1.2.3.4" }), false),
            (json!({}), false),
        ] {
            let raw = application(destination.clone());
            assert_eq!(Subject::read(&raw).unwrap().check_destination().is_ok(), ok, "{destination}");
        }
    }

    #[test]
    fn one_unreadable_status_field_hides_no_other() {
        let mut raw = application(json!({}));
        raw["status"] = json!({ "history": "nonsense", "sync": { "status": "Synced", "revision": "abc" } });
        let subject = Subject::read(&raw).unwrap();
        assert_eq!(subject.compared_revision(), Some("abc"));
        assert_eq!(subject.status.history, None);
        assert_eq!(subject.project(), "default");
    }
}
