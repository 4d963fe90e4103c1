//! The cluster's certificate authority, the certificates of its parts, and a
//! kubeconfig for each part that talks to the API server.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;

use crate::cluster::network::SERVICE_API;
use crate::cluster::place::Place;

/// The user of the harness and of people.
pub(crate) const ADMIN: &str = "admin";

/// Writes every key, certificate and kubeconfig; those of further users as file and name.
pub(crate) fn create(place: &Place, further: &[(&str, &str)]) -> Result<()> {
    let dir = place.pki_dir();
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = subject("tidegate-e2e", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    fs::write(dir.join("ca.crt"), params.self_signed(&key)?.pem())?;
    fs::write(dir.join("ca.key"), key.serialize_pem())?;
    let issuer = Issuer::new(params, key);

    // Signs the tokens of service accounts.
    let accounts = KeyPair::generate()?;
    fs::write(dir.join("accounts.key"), accounts.serialize_pem())?;
    fs::write(dir.join("accounts.pub"), accounts.public_key_pem())?;

    let server_names = vec![
        place.node_address().to_string(),
        Ipv4Addr::LOCALHOST.to_string(),
        SERVICE_API.to_owned(),
        "localhost".to_owned(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        "kubernetes.default.svc.cluster.local".to_owned(),
    ];
    issue(&dir, "apiserver", subject("kube-apiserver", None), server_names, &issuer)?;
    issue(
        &dir,
        "kubelet-client",
        subject("kube-apiserver-kubelet-client", Some("system:masters")),
        vec![],
        &issuer,
    )?;

    let node = format!("system:node:{}", place.node_name());
    let parts = [
        (ADMIN, "admin", Some("system:masters")),
        ("kubelet", node.as_str(), Some("system:nodes")),
        ("kube-controller-manager", "system:kube-controller-manager", None),
        ("kube-scheduler", "system:kube-scheduler", None),
        ("kube-proxy", "system:kube-proxy", None),
        ("coredns", "system:coredns", None),
        ("prometheus", "system:prometheus", None),
        ("traefik", "system:traefik", None),
        ("openshift-router", "system:openshift-router", None),
    ];
    let further = further.iter().map(|(user, name)| (*user, *name, None));
    for (user, name, group) in parts.into_iter().chain(further) {
        issue(&dir, user, subject(name, group), vec![], &issuer)?;
        write_kubeconfig(&place.kubeconfig(user), place, user, "default")?;
    }
    Ok(())
}

fn subject(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(group) = group {
        subject.push(DnType::OrganizationName, group);
    }
    subject.push(DnType::CommonName, name);
    subject
}

fn issue(
    dir: &Path,
    file: &str,
    subject: DistinguishedName,
    names: Vec<String>,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, issuer)?;
    fs::write(dir.join(format!("{file}.crt")), certificate.pem())?;
    fs::write(dir.join(format!("{file}.key")), key.serialize_pem())?;
    Ok(())
}

/// Writes an administrator's kubeconfig for a namespace, and says where it is.
pub(crate) fn write_kubeconfig_of_namespace(place: &Place, namespace: &str) -> Result<PathBuf> {
    let path = place.kubeconfig(&format!("{ADMIN}-of-{namespace}"));
    write_kubeconfig(&path, place, ADMIN, namespace)?;
    Ok(path)
}

fn write_kubeconfig(path: &Path, place: &Place, user: &str, namespace: &str) -> Result<()> {
    let dir = place.pki_dir();
    let file = |name: String| dir.join(name).display().to_string();
    // JSON is YAML, too.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": place.name,
        "clusters": [{"name": place.name, "cluster": {
            "server": format!("https://{}:6443", place.node_address()),
            "certificate-authority": file("ca.crt".to_owned()),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate": file(format!("{user}.crt")),
            "client-key": file(format!("{user}.key")),
        }}],
        "contexts": [{"name": place.name, "context": {"cluster": place.name, "user": user, "namespace": namespace}}],
    });
    fs::write(path, serde_json::to_vec_pretty(&config)?)
        .with_context(|| format!("cannot write {}", path.display()))
}
