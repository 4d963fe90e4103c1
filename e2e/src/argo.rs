//! The CRDs of Argo Rollouts and Argo CD as their own installations have them: in their Go modules, pinned with checksums
//! in `e2e/tools/upstream-crds`. Of the first module its end-to-end tests are built, of the second nothing, and nothing of
//! them is kept here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kube::Client;
use serde_json::Value;

use crate::command::{command, exists, output};
use crate::{manifest, scene};

const ROLLOUTS: &str = "github.com/argoproj/argo-rollouts";
const CD: &str = "github.com/argoproj/argo-cd/v3";

/// Directories that `kubectl apply --kustomize` takes.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    pub(crate) rollouts: PathBuf,
    pub(crate) cd: PathBuf,
}

/// The source of Argo Rollouts.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Such as `v1.10.1`.
    pub(crate) version: String,
    pub(crate) directory: PathBuf,
}

/// Finds the CRDs, which are downloaded if need be.
pub(crate) fn kinds() -> Result<Kinds> {
    let [rollouts, cd] = modules([ROLLOUTS, CD])?.map(|module| module.directory.join("manifests/crds"));
    Ok(Kinds { rollouts, cd })
}

/// Finds the source of Argo Rollouts, which is downloaded if need be.
pub(crate) fn rollouts_source() -> Result<Source> {
    modules([ROLLOUTS]).map(|[module]| module)
}

/// Downloads modules into Go's own cache, which checks them, and finds them there.
fn modules<const N: usize>(paths: [&str; N]) -> Result<[Source; N]> {
    if !exists("go") {
        bail!("Argo's CRDs and tests come from its Go modules and Go is missing: install Go 1.26 or newer");
    }
    let mut go = command("go", &["mod", "download", "-json"]);
    go.args(paths);
    go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/upstream-crds"));
    let told = output(go.env("GOFLAGS", "").env("GOWORK", "off"))
        .context("cannot download the modules of tools/upstream-crds")?;
    let modules: Vec<Value> = serde_json::Deserializer::from_str(&told)
        .into_iter()
        .collect::<Result<_, _>>()
        .context("cannot read what go mod download says")?;
    let found = paths.iter().map(|path| {
        let module = modules.iter().find(|module| module["Path"] == *path);
        let word = |name: &str| module.and_then(|module| module[name].as_str());
        let (version, directory) =
            word("Version").zip(word("Dir")).with_context(|| format!("Go has no directory of {path}"))?;
        Ok(Source { version: version.to_owned(), directory: PathBuf::from(directory) })
    });
    let found: Vec<Source> = found.collect::<Result<_>>()?;
    found.try_into().map_err(|_| anyhow!("Go found another number of modules than it was asked for"))
}

/// Applies the CRDs of Argo Rollouts, and waits until objects of them are served.
pub(crate) async fn apply_rollouts(client: &Client) -> Result<()> {
    let directory = tokio::task::spawn_blocking(kinds).await??.rollouts;
    for entry in
        std::fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?
    {
        let path = entry?.path();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for document in manifest::parse(&text)? {
            if document["kind"] == "CustomResourceDefinition" {
                manifest::apply_value(client, document, "").await?;
            }
        }
    }
    for kind in ["Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun", "Experiment"] {
        while scene::resource(client, "argoproj.io/v1alpha1", kind).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}
