//! The order in which kinds are applied; pruning goes the other way round.

use super::object::Key;

/// The kinds that come before all others, first to last, as Argo CD has them.
const KINDS: [&str; 36] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    // Everything else comes after these.
    "",
];

/// Where an object stands in the order of applying. A Namespace or CustomResourceDefinition comes before
/// whatever needs it already by its place in the list, except for the few kinds between them; those are
/// built in and need no definition.
pub(super) fn rank(key: &Key) -> (usize, &str, &str, &str, &str) {
    let kind = KINDS.iter().position(|kind| *kind == key.kind).unwrap_or(KINDS.len());
    (kind, &key.kind, &key.group, &key.namespace, &key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, name: &str) -> Key {
        Key { kind: kind.to_owned(), name: name.to_owned(), ..Key::default() }
    }

    #[test]
    fn what_others_need_comes_first() {
        let mut keys = [
            key("Rollout", "web"),
            key("Ingress", "web"),
            key("Deployment", "b"),
            key("Deployment", "a"),
            key("Service", "web"),
            key("ConfigMap", "web"),
            key("CustomResourceDefinition", "x"),
            key("Namespace", "shop"),
        ];
        keys.sort_by(|a, b| rank(a).cmp(&rank(b)));
        let names: Vec<String> = keys.iter().map(|key| format!("{}/{}", key.kind, key.name)).collect();
        assert_eq!(
            names,
            [
                "Namespace/shop",
                "ConfigMap/web",
                "CustomResourceDefinition/x",
                "Service/web",
                "Deployment/a",
                "Deployment/b",
                "Ingress/web",
                "Rollout/web"
            ]
        );
    }
}
