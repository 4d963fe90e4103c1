//! Other controllers' kinds.

use serde_json::{Value, json};
use tidegate_api::source::HealthCode::{Degraded, Healthy, Progressing, Suspended, Unknown};

use super::{check, conditions, told};

#[test]
fn by_one_condition() {
    for (api_version, kind, type_, waiting) in [
        ("external-secrets.io/v1", "ExternalSecret", "Ready", "Waiting for ExternalSecret"),
        ("external-secrets.io/v1beta1", "SecretStore", "Ready", "Waiting for SecretStore"),
        ("external-secrets.io/v1", "ClusterSecretStore", "Ready", "Waiting for ClusterSecretStore"),
        ("bitnami.com/v1alpha1", "SealedSecret", "Synced", "Waiting for Sealed Secret to be decrypted"),
        ("cert-manager.io/v1", "Certificate", "Ready", "Waiting for certificate"),
        ("cert-manager.io/v1", "Issuer", "Ready", "Initializing issuer"),
        ("cert-manager.io/v1", "ClusterIssuer", "Ready", "Initializing ClusterIssuer"),
    ] {
        check(
            api_version,
            kind,
            &[
                (json!({}), Progressing),
                (json!({ "status": {} }), Progressing),
                (conditions(&[(type_, "True")]), Healthy),
                (conditions(&[(type_, "False")]), Degraded),
                (conditions(&[(type_, "Unknown")]), Progressing),
                (conditions(&[("Other", "False")]), Progressing),
            ],
        );
        assert_eq!(told(api_version, kind, json!({})), waiting);
        assert_eq!(told(api_version, kind, conditions(&[(type_, "False")])), format!("{type_} is False"));
    }
}

#[test]
fn what_is_being_renewed_is_waited_for() {
    check(
        "cert-manager.io/v1",
        "Certificate",
        &[
            (conditions(&[("Ready", "False"), ("Issuing", "True")]), Progressing),
            (conditions(&[("Ready", "True"), ("Issuing", "False")]), Healthy),
        ],
    );
    let refreshed = |since: &str, refresh: &str| {
        json!({ "spec": { "refreshPolicy": refresh }, "status": { "refreshTime": "2026-01-02T00:00:00Z",
            "conditions": [{ "type": "Ready", "status": "False", "lastTransitionTime": since }] } })
    };
    check(
        "external-secrets.io/v1",
        "ExternalSecret",
        &[
            (refreshed("2026-01-01T00:00:00Z", "OnChange"), Progressing),
            (refreshed("2026-01-02T00:00:00Z", "OnChange"), Degraded),
            (refreshed("2026-01-01T00:00:00Z", "Periodic"), Degraded),
        ],
    );
}

#[test]
fn flux() {
    let source = "source.toolkit.fluxcd.io/v1";
    let both = || conditions(&[("Ready", "True"), ("ArtifactInStorage", "True")]);
    for kind in ["GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket"] {
        check(
            source,
            kind,
            &[
                (json!({}), Progressing),
                (json!({ "spec": { "suspend": true } }), Suspended),
                (both(), Healthy),
                (conditions(&[("Ready", "True")]), Degraded),
                (conditions(&[("Ready", "False"), ("ArtifactInStorage", "True")]), Degraded),
                (conditions(&[("Ready", "Unknown"), ("Reconciling", "True")]), Progressing),
            ],
        );
    }
    check(source, "HelmRepository", &[(json!({ "spec": { "type": "oci" } }), Healthy)]);
    check(
        "kustomize.toolkit.fluxcd.io/v1",
        "Kustomization",
        &[
            (conditions(&[("Ready", "True")]), Healthy),
            (conditions(&[("Ready", "True"), ("Healthy", "True")]), Healthy),
            (conditions(&[("Ready", "False")]), Degraded),
            (conditions(&[("Ready", "Unknown"), ("Reconciling", "True")]), Progressing),
        ],
    );
    check(
        "helm.toolkit.fluxcd.io/v2",
        "HelmRelease",
        &[
            (conditions(&[("Ready", "True"), ("Released", "True")]), Healthy),
            (conditions(&[("Ready", "True"), ("Released", "True"), ("TestSuccess", "True")]), Healthy),
            (conditions(&[("Ready", "False"), ("Released", "True")]), Degraded),
            (json!({ "spec": { "suspend": true }, "status": {} }), Suspended),
        ],
    );
    assert_eq!(told(source, "GitRepository", both()), "ReadyReason");
    assert_eq!(
        told(source, "GitRepository", json!({ "spec": { "suspend": true } })),
        "GitRepository is suspended"
    );
}

#[test]
fn flagger_canary() {
    let phase = |phase: &str| json!({ "status": { "phase": phase, "canaryWeight": 20, "conditions": [{ "message": "m" }] } });
    check(
        "flagger.app/v1beta1",
        "Canary",
        &[
            (json!({}), Unknown),
            (phase("Initializing"), Unknown),
            (phase("Initialized"), Healthy),
            (phase("Progressing"), Progressing),
            (phase("Promoting"), Progressing),
            (phase("Finalising"), Progressing),
            (phase("Succeeded"), Healthy),
            (phase("Failed"), Degraded),
        ],
    );
    let said = told("flagger.app/v1beta1", "Canary", phase("Progressing"));
    assert_eq!(said, "Progressing --- Canary Weight: 20 % --- m");
    assert_eq!(
        told("flagger.app/v1beta1", "Canary", json!({ "status": { "phase": "Failed" } })),
        "Failed --- "
    );
}

#[test]
fn openshift() {
    check(
        "apps.openshift.io/v1",
        "DeploymentConfig",
        &[
            (json!({}), Progressing),
            (conditions(&[("Available", "True"), ("Progressing", "True")]), Healthy),
            (conditions(&[("Available", "True"), ("Progressing", "False")]), Progressing),
            (conditions(&[("Available", "False"), ("Progressing", "False")]), Degraded),
        ],
    );
    let admitted = |statuses: &[&str]| {
        let routers: Vec<Value> = statuses
            .iter()
            .map(|status| json!({ "conditions": [{ "type": "Admitted", "status": status }] }))
            .collect();
        json!({ "status": { "ingress": routers } })
    };
    check(
        "route.openshift.io/v1",
        "Route",
        &[
            (json!({}), Progressing),
            (admitted(&["True", "True"]), Healthy),
            (admitted(&["True", "False"]), Degraded),
            (admitted(&["True", "Unknown"]), Progressing),
        ],
    );
}

#[test]
fn definition() {
    let kind = "CustomResourceDefinition";
    let installing = json!({ "status": { "conditions": [
        { "type": "NamesAccepted", "status": "True" },
        { "type": "Established", "status": "False", "reason": "Installing" } ] } });
    check(
        "apiextensions.k8s.io/v1",
        kind,
        &[
            (json!({}), Progressing),
            (installing, Progressing),
            (conditions(&[("NamesAccepted", "True"), ("Established", "True")]), Healthy),
            (conditions(&[("NamesAccepted", "True")]), Degraded),
            (conditions(&[("NamesAccepted", "False")]), Degraded),
            (conditions(&[("Established", "True"), ("NonStructuralSchema", "True")]), Degraded),
            (conditions(&[("Established", "True"), ("Terminating", "True")]), Progressing),
        ],
    );
}
