//! Taking over fields that Argo CD or `kubectl apply` applied before Tidegate did.
//!
//! A server removes a field that leaves Git only if nobody else owns it. Fields that another tool applied
//! would therefore stay for ever. Their ownership is moved to Tidegate's name before the first apply; values
//! do not change by that.

use serde_json::{Map, Value, json};

use super::FIELD_MANAGER;
use super::object::{annotation, list, text};

/// What `kubectl apply` and Argo CD's client-side apply last wrote.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Managers whose fields came from manifests, and how they wrote them.
const FORMER: [(&str, &str); 3] = [
    ("kubectl-client-side-apply", "Update"),
    ("argocd-controller", "Update"),
    ("argocd-controller", "Apply"),
];

/// The managed fields of an object after the takeover; nothing when there is nothing to take over.
pub(super) fn adopted(live: &Value) -> Option<Value> {
    let entries = list(live, "/metadata/managedFields");
    let own = entries.iter().find(|entry| is_own(entry));
    let version = own.or_else(|| entries.iter().find(|entry| is_former(entry)));
    let version = text(version?, "/apiVersion").to_owned();
    // Paths of different versions of a kind may differ, so they are not mixed.
    let takes = |entry: &&Value| is_former(entry) && text(entry, "/apiVersion") == version;
    if !entries.iter().any(|entry| takes(&entry)) {
        return None;
    }
    let mut fields = own.and_then(|own| own.get("fieldsV1").cloned()).unwrap_or_else(|| json!({}));
    for entry in entries.iter().filter(takes) {
        merge(&mut fields, entry.get("fieldsV1").unwrap_or(&Value::Null));
    }
    let time = own.or_else(|| entries.iter().find(takes)).map(|entry| text(entry, "/time"));
    let mut taken = json!({
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    });
    if let Some(time) = time.filter(|time| !time.is_empty()) {
        taken["time"] = json!(time);
    }
    let rest = entries.iter().filter(|entry| !takes(entry) && !is_own(entry)).cloned();
    Some(Value::Array(std::iter::once(taken).chain(rest).collect()))
}

/// Whether Tidegate has applied an object before.
pub(super) fn is_applied(live: &Value) -> bool {
    list(live, "/metadata/managedFields").iter().any(is_own)
}

/// Whether the fields of an entry are Tidegate's, or will be with the next apply.
pub(super) fn becomes_ours(entry: &Value) -> bool {
    is_own(entry) || is_former(entry)
}

fn is_own(entry: &Value) -> bool {
    text(entry, "/manager") == FIELD_MANAGER
        && text(entry, "/operation") == "Apply"
        && !has_subresource(entry)
}

fn is_former(entry: &Value) -> bool {
    let given = (text(entry, "/manager"), text(entry, "/operation"));
    FORMER.contains(&given) && !has_subresource(entry)
}

fn has_subresource(entry: &Value) -> bool {
    !text(entry, "/subresource").is_empty()
}

/// Adds one set of paths to another.
fn merge(into: &mut Value, from: &Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (name, value) in from {
        merge(into.entry(name.clone()).or_insert_with(|| Value::Object(Map::new())), value);
    }
}

/// Whether a field that another tool applied is still live and no longer in Git. A dry run does not show
/// it, because the field has an owner; so it is found from what that tool says it applied.
pub(super) fn leaves_behind(live: &Value, wanted: &Value) -> bool {
    if adopted(live).is_none() {
        return false;
    }
    let applied = annotation(live, LAST_APPLIED).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(Value::Object(mut applied)) = applied else { return false };
    applied.remove("status");
    let metadata = applied.remove("metadata").unwrap_or_default();
    let parts = ["labels", "annotations"].iter().any(|part| {
        let old = metadata.get(part).unwrap_or(&Value::Null);
        let of = |object: &Value| object.get("metadata").and_then(|metadata| metadata.get(part)).cloned();
        lost(old, &of(wanted).unwrap_or_else(|| json!({})), &of(live).unwrap_or_default())
    });
    parts || lost(&Value::Object(applied), wanted, live)
}

/// Whether something of `old` is still live but not wanted.
fn lost(old: &Value, wanted: &Value, live: &Value) -> bool {
    match (old, wanted, live) {
        (Value::Object(old), Value::Object(wanted), Value::Object(live)) => {
            old.iter().any(|(name, value)| match (wanted.get(name), live.get(name)) {
                (Some(wanted), Some(live)) => lost(value, wanted, live),
                (None, Some(live)) => {
                    name != super::tracking::TRACKING_ID && !live.is_null() && !value.is_null()
                }
                (Some(_) | None, None) => false,
            })
        }
        (Value::Array(old), Value::Array(wanted), Value::Array(live)) => old.iter().any(|item| {
            let name = text(item, "/name");
            let same = |other: &&Value| {
                if name.is_empty() { *other == item } else { text(other, "/name") == name }
            };
            match (wanted.iter().find(same), live.iter().find(same)) {
                (Some(wanted), Some(live)) => lost(item, wanted, live),
                // A list of nameless maps is replaced whole, or its keys are not known here.
                (None, Some(_)) => !name.is_empty() || !item.is_object(),
                (Some(_) | None, None) => false,
            }
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({ "manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields })
    }

    #[test]
    fn former_managers_become_one_entry() {
        let status = json!({ "manager": "argocd-controller", "operation": "Update", "apiVersion": "v1",
            "subresource": "status", "fieldsV1": {} });
        let live = json!({ "metadata": { "managedFields": [
            entry("kubectl-client-side-apply", "Update", json!({ "f:data": { "f:a": {} } })),
            entry("argocd-controller", "Apply", json!({ "f:data": { "f:b": {} } })),
            entry("hpa", "Update", json!({ "f:spec": {} })),
            status,
        ] } });
        let adopted = adopted(&live).unwrap();
        let managers: Vec<&str> = adopted.as_array().unwrap().iter().map(|e| text(e, "/manager")).collect();
        assert_eq!(managers, ["tidegate-sync", "hpa", "argocd-controller"]);
        assert_eq!(adopted[0]["fieldsV1"], json!({ "f:data": { "f:a": {}, "f:b": {} } }));
    }

    #[test]
    fn nothing_is_adopted_twice() {
        let live = json!({ "metadata": { "managedFields": [
            entry("tidegate-sync", "Apply", json!({})),
            entry("kubectl-edit", "Update", json!({})),
        ] } });
        assert_eq!(adopted(&live), None);
        assert!(is_applied(&live));
    }

    #[test]
    fn a_field_that_left_git_is_noticed() {
        let applied = json!({ "data": { "a": "1", "b": "2" }, "metadata": { "labels": { "old": "x" } } });
        let live = |labels: Value| {
            json!({
                "metadata": {
                    "annotations": { LAST_APPLIED: applied.to_string() },
                    "labels": labels,
                    "managedFields": [entry("kubectl-client-side-apply", "Update", json!({}))],
                },
                "data": { "a": "1", "b": "2", "c": "added by hand" },
            })
        };
        let all = json!({ "data": { "a": "1", "b": "2" }, "metadata": {} });
        let less = json!({ "data": { "a": "1" }, "metadata": {} });
        assert!(leaves_behind(&live(json!({})), &less));
        assert!(!leaves_behind(&live(json!({})), &all));
        assert!(leaves_behind(&live(json!({ "old": "x" })), &all));
        let mut adopted = live(json!({}));
        adopted["metadata"]["managedFields"] = json!([]);
        assert!(!leaves_behind(&adopted, &less));
    }
}
