//! Installs Tidegate on a cluster the way a user would: its kinds, then its
//! chart, with an image built from this workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use kube::Client;

use crate::cluster::Cluster;
use crate::command::{command, output};
use crate::images::{self, TidegateImage};
use crate::{foreign, manifest, say, tools};

/// The namespace that Tidegate is installed into.
pub(crate) const NAMESPACE: &str = "tidegate";
/// The user of a controller that runs beside a cluster: what its ServiceAccount would be, so that the chart's rights are
/// the ones it has.
pub(crate) const USER: &str = "system:serviceaccount:tidegate:tidegate";

/// Installs or upgrades Tidegate with chart values given as `name=value`, and waits until it is ready.
pub(crate) async fn with_values(cluster: &Cluster, values: &[&str]) -> Result<()> {
    in_namespace(cluster, NAMESPACE, values).await
}

/// The same in another namespace, as a release of its own.
pub(crate) async fn in_namespace(cluster: &Cluster, namespace: &str, values: &[&str]) -> Result<()> {
    let (image, helm) =
        tokio::task::spawn_blocking(|| anyhow::Ok((images::tidegate()?, tools::helm()?))).await??;
    if cluster.node_address().is_ok() {
        cluster.import(&image.archive)?;
    } else {
        say(format!(
            "the cluster must know the image {}:{} within two minutes; its archive is {file} (kind load image-archive \
             {file}, k3d image import {file})",
            image.repository,
            image.tag,
            file = image.archive.display()
        ));
    }
    let mut install = command(helm, &["upgrade", "--install", "tidegate"]);
    install
        .arg(chart())
        .args(["--namespace", namespace, "--create-namespace", "--wait", "--timeout", "120s"])
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig());
    for value in image_values(&image).iter().map(String::as_str).chain(values.iter().copied()) {
        install.args(["--set", value]);
    }
    tokio::task::spawn_blocking(move || output(&mut install))
        .await?
        .context("helm cannot install the chart")?;
    Ok(())
}

/// Applies the kinds and the rights as the chart has them, for a controller that runs beside the cluster, and waits until
/// the kinds are served. The namespace must be there.
pub(crate) async fn kinds_and_rights(client: &Client) -> Result<()> {
    let rendered = tokio::task::spawn_blocking(|| {
        let mut helm = command(tools::helm()?, &["template", "tidegate"]);
        output(helm.arg(chart()).args(["--namespace", NAMESPACE]))
    });
    let mut documents = manifest::parse(&rendered.await??)?;
    let kinds = ["CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
    documents.retain(|document| kinds.iter().any(|kind| document["kind"] == *kind));
    for document in documents {
        manifest::apply_value(client, document, NAMESPACE).await?;
    }
    for kind in ["Rollout", "AnalysisRun", "Experiment", "AnalysisTemplate", "ClusterAnalysisTemplate"] {
        foreign::until_known(client, "argoproj.io/v1alpha1", kind).await?;
    }
    Ok(())
}

/// Removes the release of a namespace, with what it has outside of it.
pub(crate) async fn remove(cluster: &Cluster, namespace: &str) -> Result<()> {
    let helm = tokio::task::spawn_blocking(tools::helm).await??;
    let mut remove = command(helm, &["uninstall", "tidegate", "--namespace", namespace, "--kubeconfig"]);
    remove.arg(cluster.kubeconfig());
    tokio::task::spawn_blocking(move || output(&mut remove))
        .await?
        .context("helm cannot remove the release")?;
    Ok(())
}

/// The chart's directory.
pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tidegate")
}

fn image_values(image: &TidegateImage) -> [String; 3] {
    [
        format!("image.repository={}", image.repository),
        format!("image.tag={}", image.tag),
        "image.pullPolicy=IfNotPresent".to_owned(),
    ]
}
