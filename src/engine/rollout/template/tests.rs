//! Templates before and after the API server, and pairs that must not be equal.

use serde_json::{Value, json};

use super::*;

#[test]
fn images_get_the_pull_policy_of_kubernetes() {
    let vectors: Value = serde_json::from_str(include_str!("../hash/vectors.json")).unwrap();
    let images = vectors["images"].as_array().unwrap();
    assert!(images.len() > 50);
    for image in images {
        let name = image[0].as_str().unwrap();
        assert_eq!(image[1], image::pull_policy(name), "{name:?}");
    }
}

/// A template as a person writes it.
fn written() -> Value {
    json!({
        "metadata": {"labels": {"app": "shop"}},
        "spec": {
            "serviceAccountName": "shop",
            "initContainers": [{"name": "wait", "image": "busybox"}],
            "containers": [{
                "name": "shop",
                "image": "shop:2",
                "args": [],
                "ports": [{"containerPort": 8080}],
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                ],
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "0.0001"}},
                "livenessProbe": {"httpGet": {"port": "http"}},
                "readinessProbe": {"grpc": {"port": 9}, "periodSeconds": 5},
                "lifecycle": {"preStop": {"httpGet": {"port": 80, "path": "/bye"}}},
            }],
            "volumes": [
                {"name": "scratch"},
                {"name": "config", "configMap": {"name": "c"}},
                {"name": "secret", "secret": {"secretName": "s"}},
                {"name": "host", "hostPath": {"path": "/x"}},
                {"name": "down", "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                {"name": "all", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "t"}},
                    {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]}},
                {"name": "disk", "azureDisk": {"diskName": "d", "diskURI": "u"}},
                {"name": "block", "iscsi": {"targetPortal": "t", "iqn": "i", "lun": 0}},
                {"name": "ceph", "rbd": {"monitors": ["m"], "image": "i"}},
                {"name": "scale", "scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "r"}}},
                {"name": "claim", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
            ],
        },
    })
}

/// The same template as the API server returns it in a ReplicaSet.
fn stored() -> Value {
    let field = |path: &str| json!({"apiVersion": "v1", "fieldPath": path});
    let message =
        json!({"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"});
    let mut template = json!({
        "metadata": {
            "creationTimestamp": null,
            "labels": {"app": "shop", "rollouts-pod-template-hash": "6b56c8cdb4"},
        },
        "spec": {
            "serviceAccountName": "shop",
            "serviceAccount": "shop",
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
            "initContainers": [{"name": "wait", "image": "busybox", "imagePullPolicy": "Always", "resources": {}}],
            "containers": [{
                "name": "shop",
                "image": "shop:2",
                "imagePullPolicy": "IfNotPresent",
                "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "NODE", "valueFrom": {"fieldRef": field("spec.nodeName")}},
                ],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "1m"}},
                "livenessProbe": {
                    "httpGet": {"port": "http", "path": "/", "scheme": "HTTP"},
                    "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
                },
                "readinessProbe": {
                    "grpc": {"port": 9, "service": ""},
                    "timeoutSeconds": 1, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3,
                },
                "lifecycle": {"preStop": {"httpGet": {"port": 80, "path": "/bye", "scheme": "HTTP"}}},
            }],
            "volumes": stored_volumes(),
        },
    });
    for list in ["initContainers", "containers"] {
        let container = template["spec"][list][0].as_object_mut().unwrap();
        container.extend(message.as_object().unwrap().clone());
    }
    template
}

fn stored_volumes() -> Value {
    let items = json!([{"path": "p", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}]);
    json!([
        {"name": "scratch", "emptyDir": {}},
        {"name": "config", "configMap": {"name": "c", "defaultMode": 420}},
        {"name": "secret", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "host", "hostPath": {"path": "/x", "type": ""}},
        {"name": "down", "downwardAPI": {
            "items": items, "defaultMode": 420,
        }},
        {"name": "all", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}},
            {"downwardAPI": {"items": items}},
        ]}},
        {"name": "disk", "azureDisk": {
            "diskName": "d", "diskURI": "u",
            "cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared", "readOnly": false,
        }},
        {"name": "block", "iscsi": {"targetPortal": "t", "iqn": "i", "lun": 0, "iscsiInterface": "default"}},
        {"name": "ceph", "rbd": {
            "monitors": ["m"], "image": "i", "pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring",
        }},
        {"name": "scale", "scaleIO": {
            "gateway": "g", "system": "s", "secretRef": {"name": "r"},
            "storageMode": "ThinProvisioned", "fsType": "xfs",
        }},
        {"name": "claim", "ephemeral": {"volumeClaimTemplate": {
            "metadata": {"creationTimestamp": null},
            "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "resources": {}},
        }}},
    ])
}

#[test]
fn what_the_server_fills_in_is_no_difference() {
    assert!(equal_ignoring_hash(&stored(), &written()));
    // An undo writes the filled-in template back; then both sides have it.
    assert!(equal_ignoring_hash(&stored(), &stored()));
    assert_eq!(comparable(&written()), comparable(&without_hash_label(&stored())));
}

#[test]
fn every_change_that_makes_other_pods_is_a_difference() {
    let changes: [(&str, Value); 14] = [
        ("/spec/containers/0/image", json!("shop:3")),
        (
            "/spec/containers/0/env",
            json!([written()["spec"]["containers"][0]["env"][1], {"name": "A", "value": "1"}]),
        ),
        ("/spec/containers/0/env/0/value", json!("2")),
        ("/spec/containers/0/args", json!([""])),
        ("/spec/containers/0/ports/0/containerPort", json!(8081)),
        ("/spec/containers/0/resources/limits/memory", json!("1025Mi")),
        ("/spec/containers/0/resources/requests/cpu", json!("2m")),
        ("/spec/containers/0/livenessProbe/httpGet/port", json!(80)),
        ("/spec/containers/0/readinessProbe/periodSeconds", json!(10)),
        ("/spec/initContainers", Value::Null),
        ("/spec/serviceAccountName", json!("other")),
        ("/spec/volumes/1/configMap/name", json!("d")),
        ("/spec/volumes/3/hostPath/path", json!("/y")),
        ("/metadata/labels/app", json!("store")),
    ];
    for (path, value) in changes {
        let mut changed = written();
        *changed.pointer_mut(path).unwrap() = value;
        assert!(!equal_ignoring_hash(&stored(), &changed), "{path} changed in the wanted template");
        assert!(!equal_ignoring_hash(&changed, &stored()), "{path} changed in the live template");
    }
}

#[test]
fn a_value_other_than_the_default_is_a_difference() {
    let additions = [
        ("/spec", "terminationGracePeriodSeconds", json!(31)),
        ("/spec", "dnsPolicy", json!("Default")),
        ("/spec", "securityContext", json!({"runAsUser": 0})),
        ("/spec", "enableServiceLinks", json!(true)),
        ("/spec/containers/0", "imagePullPolicy", json!("Always")),
        ("/spec/containers/0", "terminationMessagePolicy", json!("FallbackToLogsOnError")),
        ("/spec/containers/0/ports/0", "protocol", json!("UDP")),
        ("/spec/containers/0/ports/0", "hostPort", json!(8080)),
        ("/spec/containers/0/resources/requests", "memory", json!("1Gi")),
        ("/spec/volumes/3/hostPath", "type", json!("Directory")),
        ("/spec/volumes/6/azureDisk", "fsType", json!("")),
        ("/spec/volumes/8/rbd", "pool", json!("other")),
    ];
    for (path, name, value) in additions {
        let mut changed = written();
        changed.pointer_mut(path).unwrap()[name] = value;
        assert!(!equal_ignoring_hash(&stored(), &changed), "{path}/{name}");
    }
}

#[test]
fn spellings_of_one_amount_are_no_difference() {
    let with =
        |memory: Value| json!({"spec": {"containers": [{"resources": {"limits": {"memory": memory}}}]}});
    for other in
        [json!("1Gi"), json!("1048576Ki"), json!("1073741824"), json!(1_073_741_824), json!("1073741824e0")]
    {
        assert!(equal_ignoring_hash(&with(json!("1024Mi")), &with(other.clone())), "{other}");
    }
    assert!(!equal_ignoring_hash(&with(json!("1024Mi")), &with(json!("1024M"))));
}

#[test]
fn the_hash_label_comes_and_goes() {
    let plain = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {}});
    let labelled = with_hash_label(&plain, "abc");
    assert_eq!(labelled["metadata"]["labels"], json!({HASH_LABEL: "abc"}));
    assert_eq!(without_hash_label(&labelled), plain);
    assert_eq!(with_hash_label(&labelled, "def")["metadata"]["labels"], json!({HASH_LABEL: "def"}));
    for odd in
        [json!(null), json!({}), json!("x"), json!({"metadata": 1}), json!({"metadata": {"labels": ["x"]}})]
    {
        assert_eq!(with_hash_label(&odd, "abc")["metadata"]["labels"][HASH_LABEL], "abc", "{odd}");
        assert_eq!(without_hash_label(&odd), odd);
    }
    let kept = json!({"metadata": {"labels": {"app": "a"}}});
    assert_eq!(without_hash_label(&with_hash_label(&kept, "abc")), kept);
}

#[test]
fn a_replica_set_gets_no_amount_that_the_server_refuses() {
    let template =
        json!({"spec": {"containers": [{"resources": {"limits": {"memory": "invalid", "cpu": "1"}}}]}});
    let labelled = with_hash_label(&template, "abc");
    assert_eq!(labelled["spec"]["containers"][0]["resources"]["limits"], json!({"cpu": "1"}));
}
