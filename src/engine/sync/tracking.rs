//! The mark that says which Application an object belongs to.
//!
//! `argocd.argoproj.io/tracking-id: <application>:<group>/<kind>:<namespace>/<name>`. A mark counts only on
//! the very object it describes: controllers copy annotations from one object to the next (a Deployment's
//! to its ReplicaSets), and such a copy must never lead to a deletion.

use serde_json::Value;

use super::object::{Key, annotation, set_annotation};

/// The annotation that holds the mark.
pub const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
/// The annotation that tells installations apart that share a cluster. Tidegate writes none, so an object
/// that carries one belongs to somebody else.
const INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";

/// Whose an object is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner<'a> {
    /// It carries no mark.
    Nobody,
    /// It carries the mark of this Application.
    Application(&'a str),
    /// It carries a mark that was made for another object, or in another installation.
    Copied,
}

/// Reads the mark of an object.
#[must_use]
pub fn owner(object: &Value) -> Owner<'_> {
    let Some(id) = annotation(object, TRACKING_ID).filter(|id| !id.is_empty()) else { return Owner::Nobody };
    if annotation(object, INSTALLATION_ID).is_some_and(|id| !id.is_empty()) {
        return Owner::Copied;
    }
    let mut parts = id.splitn(3, ':');
    let (Some(application), Some(kind), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Owner::Copied;
    };
    let key = Key::of(object);
    let (Some((group, kind)), Some((namespace, name))) = (kind.split_once('/'), name.split_once('/')) else {
        return Owner::Copied;
    };
    // A cluster-scoped object is marked with the destination namespace, which it does not have itself.
    let same_namespace = key.namespace.is_empty() || key.namespace == namespace;
    if key.group == group && key.kind == kind && key.name == name && same_namespace {
        Owner::Application(application)
    } else {
        Owner::Copied
    }
}

/// Puts the mark on an object. CustomResourceDefinitions get none, as upstream: losing the mark's object
/// would delete every object of that kind.
pub(super) fn mark(object: &mut Value, application: &str, destination_namespace: &str) {
    let key = Key::of(object);
    if key.kind == "CustomResourceDefinition" {
        return;
    }
    let namespace = if key.namespace.is_empty() { destination_namespace } else { &key.namespace };
    let id = format!("{application}:{}/{}:{namespace}/{}", key.group, key.kind, key.name);
    set_annotation(object, TRACKING_ID, &id);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, namespace: Option<&str>, id: &str) -> Value {
        let mut object = json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": { "name": "web", "annotations": { TRACKING_ID: id } },
        });
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    }

    #[test]
    fn a_mark_counts_only_on_the_object_it_describes() {
        let shop = Owner::Application("shop");
        for (kind, namespace, id, want) in [
            ("Deployment", Some("a"), "shop:apps/Deployment:a/web", shop.clone()),
            ("ReplicaSet", Some("a"), "shop:apps/Deployment:a/web", Owner::Copied),
            ("Deployment", Some("b"), "shop:apps/Deployment:a/web", Owner::Copied),
            ("Deployment", Some("a"), "shop:apps/Deployment:a/other", Owner::Copied),
            ("Deployment", Some("a"), "shop:extensions/Deployment:a/web", Owner::Copied),
            ("ClusterThing", None, "shop:apps/ClusterThing:a/web", shop),
            ("Deployment", Some("a"), "shop", Owner::Copied),
            ("Deployment", Some("a"), "", Owner::Nobody),
        ] {
            assert_eq!(owner(&object(kind, namespace, id)), want, "{kind} {namespace:?} {id}");
        }
    }

    #[test]
    fn another_installations_objects_are_not_ours() {
        let mut foreign = object("Deployment", Some("a"), "shop:apps/Deployment:a/web");
        set_annotation(&mut foreign, INSTALLATION_ID, "other");
        assert_eq!(owner(&foreign), Owner::Copied);
    }

    #[test]
    fn a_name_may_hold_colons() {
        let mut role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": "system:shop" },
        });
        mark(&mut role, "shop", "ns");
        assert_eq!(
            annotation(&role, TRACKING_ID),
            Some("shop:rbac.authorization.k8s.io/ClusterRole:ns/system:shop")
        );
        assert_eq!(owner(&role), Owner::Application("shop"));
    }

    #[test]
    fn a_definition_is_never_marked() {
        let mut crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": "x" },
        });
        mark(&mut crd, "shop", "ns");
        assert_eq!(owner(&crd), Owner::Nobody);
    }
}
