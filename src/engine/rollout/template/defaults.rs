//! The defaults that the API server sets in a pod template.
//!
//! These are the ones for templates: what it sets only in pods themselves, such
//! as requests taken from limits, host ports or `enableServiceLinks`, never
//! shows in a ReplicaSet.

use serde_json::{Value, json};

use super::image::pull_policy;

/// File mode 0644.
const READABLE: i32 = 420;

const SOURCES_WITH_MODE: [&str; 4] = ["secret", "configMap", "downwardAPI", "projected"];

const VOLUME_TEXTS: [(&str, &str, &str); 10] = [
    ("hostPath", "type", ""),
    ("iscsi", "iscsiInterface", "default"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("azureDisk", "cachingMode", "ReadWrite"),
    ("azureDisk", "fsType", "ext4"),
    ("azureDisk", "kind", "Shared"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
    ("scaleIO", "fsType", "xfs"),
];

/// Fills in the defaults of a template whose empty members are left out.
pub(super) fn fill(template: &mut Value) {
    let Some(spec) = part(template, "spec") else { return };
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "restartPolicy", "Always");
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", 30);
    for volume in items(spec, "volumes") {
        fill_volume(volume);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(spec, list) {
            fill_container(container);
        }
    }
}

fn fill_volume(volume: &mut Value) {
    let sourceless = volume.as_object().is_some_and(|members| members.keys().all(|name| name == "name"));
    if sourceless {
        set(volume, "emptyDir", json!({}));
    }
    for name in SOURCES_WITH_MODE {
        if let Some(source) = part(volume, name) {
            set(source, "defaultMode", READABLE);
        }
    }
    for (name, member, default) in VOLUME_TEXTS {
        if let Some(source) = part(volume, name) {
            set(source, member, default);
        }
    }
    if let Some(disk) = part(volume, "azureDisk") {
        set(disk, "readOnly", false);
    }
    if let Some(downward) = part(volume, "downwardAPI") {
        fill_field_references(downward);
    }
    if let Some(projected) = part(volume, "projected") {
        for source in items(projected, "sources") {
            if let Some(downward) = part(source, "downwardAPI") {
                fill_field_references(downward);
            }
            if let Some(token) = part(source, "serviceAccountToken") {
                set(token, "expirationSeconds", 3600);
            }
        }
    }
    let claim = part(volume, "ephemeral").and_then(|source| part(source, "volumeClaimTemplate"));
    if let Some(spec) = claim.and_then(|claim| part(claim, "spec")) {
        set(spec, "volumeMode", "Filesystem");
    }
    if let Some(image) = part(volume, "image") {
        let policy = pull_policy(text(image, "reference"));
        set(image, "pullPolicy", policy);
    }
}

fn fill_field_references(downward: &mut Value) {
    for item in items(downward, "items") {
        if let Some(field) = part(item, "fieldRef") {
            set(field, "apiVersion", "v1");
        }
    }
}

fn fill_container(container: &mut Value) {
    let policy = pull_policy(text(container, "image"));
    set(container, "imagePullPolicy", policy);
    set(container, "terminationMessagePath", "/dev/termination-log");
    set(container, "terminationMessagePolicy", "File");
    for port in items(container, "ports") {
        set(port, "protocol", "TCP");
    }
    for variable in items(container, "env") {
        let Some(source) = part(variable, "valueFrom") else { continue };
        if let Some(field) = part(source, "fieldRef") {
            set(field, "apiVersion", "v1");
        }
        if let Some(file) = part(source, "fileKeyRef") {
            set(file, "optional", false);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = part(container, name) {
            fill_probe(probe);
        }
    }
    if let Some(lifecycle) = part(container, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = part(lifecycle, name) {
                fill_request(handler);
            }
        }
    }
}

fn fill_probe(probe: &mut Value) {
    set(probe, "timeoutSeconds", 1);
    set(probe, "periodSeconds", 10);
    set(probe, "successThreshold", 1);
    set(probe, "failureThreshold", 3);
    fill_request(probe);
    if let Some(grpc) = part(probe, "grpc") {
        set(grpc, "service", "");
    }
}

fn fill_request(handler: &mut Value) {
    if let Some(request) = part(handler, "httpGet") {
        set(request, "path", "/");
        set(request, "scheme", "HTTP");
    }
}

/// Sets a member that is missing or null.
fn set(object: &mut Value, name: &str, default: impl Into<Value>) {
    if object.get(name).is_some_and(|member| !member.is_null()) {
        return;
    }
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), default.into());
    }
}

fn part<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    object.get_mut(name).filter(|member| member.is_object())
}

fn items<'a>(object: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    object.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
