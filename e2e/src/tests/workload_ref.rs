//! From a Deployment to a Rollout that refers to it, under load.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::figures::Figures;
use super::router::Router;
use super::shop::{Shop, ensure_none_lost, ensure_share};
use super::watched::Watched;
use crate::scene::Scene;

/// The shop before anybody heard of Rollouts.
const BEFORE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: shop-stable}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop-canary}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - name: app
          image: tidegate.dev/app:v1
          # The Deployment loses all its pods at once, and a busy router is told late.
          env: [{name: DRAIN_MS, value: "12000"}]
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
"#;

/// The Rollout that takes over.
const ROLLOUT: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  replicas: 3
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: shop, scaleDown: progressively}
  strategy:
    canary:
      stableService: shop-stable
      canaryService: shop-canary
      trafficRouting: {nginx: {stableIngress: shop}}
      steps: [{setWeight: 20}, {pause: {}}]
"#;

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

async fn set_image(scene: &Scene, version: &str) -> Result<()> {
    let deployments: Api<Deployment> = scene.api();
    let image = format!("tidegate.dev/app:{version}");
    let containers = json!([{"name": "app", "image": image}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let patch = Patch::Strategic(patch);
    deployments
        .patch("shop", &PatchParams::default(), &patch)
        .await
        .context("cannot patch the Deployment")?;
    Ok(())
}

pub(super) async fn takes_over_from_a_deployment_and_loses_nothing(scene: Arc<Scene>) -> Result<()> {
    taken_over(&scene, 100).await?.ensure_clean()
}

/// From a Deployment to a Rollout that refers to it, and on to a new version, under a load.
pub(super) async fn taken_over(scene: &Arc<Scene>, per_second: u32) -> Result<Figures> {
    scene.given("a shop of three pods of a Deployment, under load");
    let shop = Shop::of(scene);
    scene.apply(BEFORE).await?;
    scene.apply(&Router::Nginx.manifest(&shop.host, "one")).await?;
    scene.until_deployed("shop").await?;
    let mut watched = Watched::start(&shop, per_second, "v1").await?;

    scene.when("a Rollout refers to the Deployment");
    scene.apply(ROLLOUT).await?;
    shop.until_phase("Healthy").await?;
    scene.then("the Deployment has no pods left, and its template is not in the Rollout");
    scene.until::<Deployment>("shop", "scaled to nothing", |deployment| replicas(deployment) == 0).await?;
    let rollout = shop
        .until("observed with its workload", |rollout| {
            let generation = &rollout["metadata"]["annotations"]["rollout.argoproj.io/workload-generation"];
            rollout["status"]["workloadObservedGeneration"] == *generation
        })
        .await?;
    ensure!(rollout["spec"].get("template").is_none_or(Value::is_null), "the template was written back");
    ensure!(rollout["spec"].get("selector").is_none_or(Value::is_null), "the selector was written back");

    scene.when("the Deployment gets another image");
    watched.allow(&["v1", "v2"]);
    set_image(scene, "v2").await?;
    shop.until_paused_at(1).await?;
    watched.until_answered_by("v2").await?;
    scene.then("it is a canary with 20 % of the requests");
    // The router gives the canary every fifth request: with the watched load beside it, a load must not be in step with
    // that, as one half as fast again would be.
    let answers = shop.fast(317)?.send(2000).await?;
    ensure_none_lost(&answers)?;
    ensure_share(&answers, "v2", 20.0)?;
    shop.promote().await?;
    shop.until("promoted", |rollout| {
        let status = &rollout["status"];
        status["phase"] == "Healthy" && status["stableRS"] == status["currentPodHash"]
    })
    .await?;
    watched.settle(&["v2"]).await?;
    scene.then("no request was lost on the way, and the Deployment stays without pods");
    let deployment: Deployment = scene.api().get("shop").await.context("cannot read the Deployment")?;
    ensure!(replicas(&deployment) == 0, "the Deployment has {} pods again", replicas(&deployment));
    watched.stop().await
}

pub(super) async fn says_which_workload_is_missing(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Rollout that refers to a Deployment that is not there");
    let shop = Shop::of(&scene);
    scene.apply(ROLLOUT).await?;
    let namespace = scene.namespace().to_owned();
    let said = format!(
        "InvalidSpec: The Rollout \"shop\" is invalid: deployments.apps \"{namespace}/shop\" not found"
    );
    scene.then("its status says so");
    shop.until("Degraded", |rollout| rollout["status"]["message"] == said.as_str()).await?;
    scene.when("the Deployment comes");
    scene.apply(BEFORE).await?;
    scene.apply(&Router::Nginx.manifest(&shop.host, "one")).await?;
    scene.then("the Rollout goes on by itself");
    shop.until_phase("Healthy").await?;
    Ok(())
}
