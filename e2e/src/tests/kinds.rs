//! The kinds as the real API server takes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams, ValidationDirective};
use serde_json::Value;

use crate::manifest;
use crate::scene::Scene;

/// Manifests of users, in the workspace.
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/api/fixtures");

pub(super) async fn take_the_manifests_of_users_verbatim(scene: Arc<Scene>) -> Result<()> {
    scene.given("manifests as users of Argo Rollouts and Argo CD write them");
    let manifests = manifests()?;
    scene.then("the API server takes each of them, and knows every field");
    ensure!(manifests.len() >= 10, "only {} manifests were found in {MANIFESTS}", manifests.len());
    for (path, document) in manifests {
        apply_strictly(&scene, &path, document).await?;
    }
    Ok(())
}

/// Those that are Rollouts.
pub(super) fn rollouts() -> Result<Vec<Value>> {
    let documents = manifests()?.into_iter().map(|(_, document)| document);
    let rollouts: Vec<Value> = documents.filter(|document| document["kind"] == "Rollout").collect();
    ensure!(rollouts.len() >= 3, "only {} Rollouts were found in {MANIFESTS}", rollouts.len());
    Ok(rollouts)
}

/// All of them, in the order of their files.
fn manifests() -> Result<Vec<(PathBuf, Value)>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(MANIFESTS)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    let mut manifests = Vec::new();
    for path in files {
        let documents = manifest::parse(&std::fs::read_to_string(&path)?)?;
        manifests.extend(documents.into_iter().map(|document| (path.clone(), document)));
    }
    Ok(manifests)
}

/// Applies one manifest for real, refusing fields that the schema does not know.
async fn apply_strictly(scene: &Scene, path: &Path, mut document: Value) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&document["apiVersion"]), text(&document["kind"]));
    let name = text(&document["metadata"]["name"]);
    // Manifests that name a namespace would leave the test's; all else stays as it is written.
    if let Some(metadata) = document["metadata"].as_object_mut() {
        metadata.remove("namespace");
        metadata.remove("finalizers");
    }
    let api = scene.api_of(&api_version, &kind).await?;
    let params = PatchParams {
        force: true,
        field_manager: Some(manifest::MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let made = api.patch(&name, &params, &Patch::Apply(&document)).await;
    made.map(drop).with_context(|| format!("the API server refuses {kind} {name} of {}", path.display()))
}
