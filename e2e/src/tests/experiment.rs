//! Experiments on the real cluster: pods that come, are judged, and are gone afterwards; and a canary that waits for one.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::shop::Shop;
use crate::scene::Scene;

pub(super) const EXPERIMENT: (&str, &str) = ("argoproj.io/v1alpha1", "Experiment");
const SET: (&str, &str) = ("apps/v1", "ReplicaSet");

/// A metric of Prometheus that is `VALUE` and is measured twice; only 1 is good.
const METRIC: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: good}
spec:
  args: [{name: hash}]
  metrics:
    - name: good
      interval: 1s
      count: 2
      successCondition: result[0] == 1
      provider: {prometheus: {address: ADDRESS, query: "vector(VALUE)"}}
"#;

/// Two versions side by side for a few seconds.
const COMPARE: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Experiment
metadata: {name: compare}
spec:
  duration: 5s
  scaleDownDelaySeconds: 2
  templates:
    - name: old
      replicas: 2
      selector: {matchLabels: {app: compare, side: old}}
      service: {}
      template:
        metadata: {labels: {app: compare, side: old}}
        spec: {containers: [{name: app, image: "tidegate.dev/app:v1", ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}}]}
    - name: new
      selector: {matchLabels: {app: compare, side: new}}
      template:
        metadata: {labels: {app: compare, side: new}}
        spec: {containers: [{name: app, image: "tidegate.dev/app:v2", readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}}]}
  analyses:
    - {name: good, templateName: good, args: [{name: hash, value: "{{templates.new.podTemplateHash}}"}]}
"#;

async fn metric(scene: &Scene, value: &str) -> Result<()> {
    apply_metric(scene, METRIC, value).await
}

/// Applies a template whose metric asks the cluster's Prometheus for a number.
pub(super) async fn apply_metric(scene: &Scene, template: &str, value: &str) -> Result<()> {
    let address = scene.cluster().prometheus_url()?;
    scene.apply(&template.replace("ADDRESS", &address).replace("VALUE", value)).await
}

pub(super) async fn compares_two_versions_and_leaves_nothing(scene: Arc<Scene>) -> Result<()> {
    scene.given("an Experiment with two templates, one of them with a Service, and an analysis");
    metric(&scene, "1").await?;
    scene.apply(COMPARE).await?;
    scene.then("all pods are available at once, and then it is measured");
    let running = |experiment: &Value| {
        let status = &experiment["status"];
        status["phase"] == "Running" && status["analysisRuns"][0]["analysisRun"] == "compare-good"
    };
    let seen = scene.until_json(EXPERIMENT, "compare", "running and measured", running).await?;
    ensure!(seen["status"]["templateStatuses"][0]["serviceName"] == "compare-old", "no Service: {seen}");
    let service = scene.until("compare-old", "there", |_: &Service| true).await?;
    let selector = service.spec.and_then(|spec| spec.selector).unwrap_or_default();
    ensure!(selector.contains_key("rollouts-pod-template-hash"), "the Service selects {selector:?}");
    let succeeded = |experiment: &Value| experiment["status"]["phase"] == "Successful";
    scene.until_json(EXPERIMENT, "compare", "Successful", succeeded).await?;
    scene.then("its pods go after their delay, and the Service with them");
    for set in ["compare-old", "compare-new"] {
        let empty = |set: &Value| {
            set["spec"]["replicas"] == 0 && set["status"]["replicas"].as_i64().unwrap_or(0) == 0
        };
        scene.until_json(SET, set, "without pods", empty).await?;
    }
    let told = |experiment: &Value| {
        let templates = experiment["status"]["templateStatuses"].as_array().cloned().unwrap_or_default();
        templates.iter().all(|one| one["replicas"] == 0 && one["serviceName"].is_null())
    };
    scene.until_json(EXPERIMENT, "compare", "with nothing left", told).await?;
    ensure!(scene.api::<Service>().get_opt("compare-old").await?.is_none(), "the Service is still there");
    Ok(())
}

/// A step that runs both versions for a few seconds, judged by the metric.
fn steps() -> Value {
    json!([
        {"experiment": {
            "duration": "3s",
            "scaleDownDelaySeconds": 1,
            "templates": [
                {"name": "old", "specRef": "stable"},
                {"name": "new", "specRef": "canary", "metadata": {"labels": {"side": "new"}}},
            ],
            "analyses": [{"name": "good", "templateName": "good", "requiredForCompletion": true,
                "args": [{"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}}]}],
        }},
        {"setWeight": 50},
        {"pause": {}},
    ])
}

pub(super) async fn is_a_step_of_a_canary(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop whose canary begins with an experiment");
    metric(&scene, "1").await?;
    let shop = Shop::open(&scene, 2, &json!({"steps": steps()})).await?;
    scene.when("a new version ships");
    shop.ship("v2", json!([])).await?;
    shop.until("waiting for its Experiment", |rollout| {
        rollout["status"]["canary"]["currentExperiment"].as_str().is_some_and(|name| !name.is_empty())
    })
    .await?;
    scene.then("the Experiment succeeds, and the steps go on");
    shop.until_paused_at(2).await?;
    let experiments = scene.api_of(EXPERIMENT.0, EXPERIMENT.1).await?.list(&ListParams::default()).await?;
    let phases: Vec<&Value> = experiments.items.iter().map(|one| &one.data["status"]["phase"]).collect();
    ensure!(phases == ["Successful"], "the Experiments are {phases:?}");
    shop.promote().await?;
    shop.until_promoted("v2").await.map(drop)
}

pub(super) async fn aborts_the_canary_when_it_fails(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop whose canary begins with an experiment that fails");
    metric(&scene, "0").await?;
    let shop = Shop::open(&scene, 2, &json!({"steps": steps()})).await?;
    scene.when("a new version ships");
    shop.ship("v2", json!([])).await?;
    scene.then("the update is aborted before any of its pods came");
    let rollout = shop.until_phase("Degraded").await?;
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("Experiment analysis phase is error/failed"), "the message is {message:?}");
    ensure!(rollout["status"]["updatedReplicas"].as_i64().unwrap_or(0) == 0, "a canary has pods: {rollout}");
    Ok(())
}
