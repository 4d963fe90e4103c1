//! The CRDs of Argo Rollouts and Argo CD as their own installations have them: in their Go modules, pinned with checksums
//! in `e2e/tools/upstream-crds`. Nothing is built of these modules, and nothing of them is kept here.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{command, exists, output};

const ROLLOUTS: &str = "github.com/argoproj/argo-rollouts";
const CD: &str = "github.com/argoproj/argo-cd/v3";

/// Directories that `kubectl apply --kustomize` takes.
#[derive(Clone, Debug)]
pub(crate) struct Kinds {
    pub(crate) rollouts: PathBuf,
    pub(crate) cd: PathBuf,
}

/// Downloads the modules into Go's own cache, which checks them, and finds the CRDs there.
pub(crate) fn kinds() -> Result<Kinds> {
    if !exists("go") {
        bail!("Argo's CRDs come from its Go modules and Go is missing: install Go 1.26 or newer");
    }
    let mut go = command("go", &["mod", "download", "-json", ROLLOUTS, CD]);
    go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/upstream-crds"));
    let told = output(go.env("GOFLAGS", "").env("GOWORK", "off"))
        .context("cannot download the modules of tools/upstream-crds")?;
    let modules: Vec<Value> = serde_json::Deserializer::from_str(&told)
        .into_iter()
        .collect::<Result<_, _>>()
        .context("cannot read what go mod download says")?;
    let inside = |path: &str| {
        let module = modules.iter().find(|module| module["Path"] == path);
        let directory = module.and_then(|module| module["Dir"].as_str());
        directory
            .map(|directory| Path::new(directory).join("manifests/crds"))
            .with_context(|| format!("Go has no directory of {path}"))
    };
    Ok(Kinds { rollouts: inside(ROLLOUTS)?, cd: inside(CD)? })
}
