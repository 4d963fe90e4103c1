//! Argo Rollouts' own kubectl plugin as a client of Tidegate's Experiments.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;

use super::client::Client;
use super::experiment::{EXPERIMENT, apply_metric};
use crate::scene::Scene;

/// Measures again and again; `VALUE` decides whether that goes well.
const METRIC: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: good}
spec:
  metrics:
    - name: good
      interval: 1s
      successCondition: result[0] == 1
      provider: {prometheus: {address: ADDRESS, query: "vector(VALUE)"}}
"#;

/// Two versions side by side until somebody ends it, one of them judged.
const COMPARE: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: compare}
spec:
  scaleDownDelaySeconds: 0
  templates:
    - name: old
      selector: {matchLabels: {app: compare, side: old}}
      template:
        metadata: {labels: {app: compare, side: old}}
        spec: {containers: [{name: app, image: "tidegate.dev/app:v1", readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}}]}
    - name: new
      selector: {matchLabels: {app: compare, side: new}}
      template:
        metadata: {labels: {app: compare, side: new}}
        spec: {containers: [{name: app, image: "tidegate.dev/app:v2", readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}}]}
  analyses:
    - {name: good, templateName: good}
"#;

async fn until_phase(scene: &Scene, phase: &'static str) -> Result<Value> {
    let holds = move |experiment: &Value| experiment["status"]["phase"] == phase;
    scene.until_json(EXPERIMENT, "compare", phase, holds).await
}

pub(super) async fn shows_ends_and_tries_again(scene: Arc<Scene>) -> Result<()> {
    scene.given("an Experiment that a person creates, and that does not go well");
    let argo = Client::upstream(&scene).await?;
    apply_metric(&scene, METRIC, "0").await?;
    let file = std::env::temp_dir().join(format!("{}-compare.yaml", scene.namespace()));
    std::fs::write(&file, COMPARE).with_context(|| format!("cannot write {}", file.display()))?;
    let create = format!("create -f {}", file.display());
    argo.expect(&create, 0, &["experiment.argoproj.io/compare created"]).await?;
    std::fs::remove_file(file)?;
    argo.expect("get experiment absent", 1, &["absent", "not found"]).await?;
    until_phase(&scene, "Failed").await?;
    argo.shows(
        "get experiment compare --no-color",
        &[
            &["Name: compare"],
            &["Status: ✖ Failed"],
            &["compare Experiment ✖ Failed"],
            &["compare-old ReplicaSet"],
            &["compare-new ReplicaSet"],
            &["compare-good AnalysisRun ✖ Failed", "✖ 1"],
        ],
    )
    .await?;
    argo.shows("list experiments", &[&["NAME STATUS DURATION REMAINING AGE"], &["compare Failed"]]).await?;
    scene.when("a person tries again, with what was wrong mended");
    apply_metric(&scene, METRIC, "1").await?;
    argo.expect("retry experiment compare", 0, &["experiment 'compare' retried"]).await?;
    let measured = |experiment: &Value| {
        experiment["status"]["phase"] == "Running"
            && experiment["status"]["analysisRuns"][0]["phase"] == "Running"
    };
    scene.until_json(EXPERIMENT, "compare", "running and measured", measured).await?;
    argo.shows(
        "get experiment compare --no-color",
        &[
            &["Status: ◌ Running"],
            &["tidegate.dev/app:v1 (Σ:old)"],
            &["tidegate.dev/app:v2 (Σ:new)"],
            &["compare-old ReplicaSet ✔ Healthy"],
            &["compare-new ReplicaSet ✔ Healthy"],
            &["Pod ✔ Running", "ready:1/1"],
            &["compare-good.1 AnalysisRun ◌ Running"],
        ],
    )
    .await?;
    scene.when("a person ends it");
    // The plugin's own words for what it did; the Experiment says that it has ended.
    argo.expect("terminate experiment compare", 0, &["experiment 'compare' retried"]).await?;
    until_phase(&scene, "Successful").await?;
    argo.shows("get experiment compare --no-color", &[&["Status: ✔ Successful"]]).await.map(drop)
}
