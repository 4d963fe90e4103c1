//! The kinds as the real API server takes them.

use std::path::Path;
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
    let mut files: Vec<_> = std::fs::read_dir(MANIFESTS)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::path);
    let files = files
        .iter()
        .map(std::fs::DirEntry::path)
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    scene.then("the API server takes each of them, and knows every field");
    let mut applied = 0;
    for path in files {
        for document in manifest::parse(&std::fs::read_to_string(&path)?)? {
            apply_strictly(&scene, &path, document).await?;
            applied += 1;
        }
    }
    ensure!(applied >= 10, "only {applied} manifests were found in {MANIFESTS}");
    Ok(())
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
