//! Blue-green updates on the real cluster: the switch under load, the preview beside it, and the way back.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::client::Client;
use super::shop::{Shop, ensure_none_lost};
use crate::load::Load;
use crate::scene::Scene;

/// Both Services, an Ingress for each, and the Rollout; `HOST` and `STRATEGY` are filled in.
const SHOP: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: shop-active}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop-preview}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: nginx
  rules:
    - host: HOST
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop-active, port: {number: 80}}}}]}
    - host: preview.HOST
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop-preview, port: {number: 80}}}}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
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
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
  strategy:
    blueGreen: STRATEGY
"#;

/// A run that measures for as long as the test needs, and succeeds in the end.
const LONG: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: long}
spec:
  metrics:
    - name: up
      interval: 2s
      count: 60
      successCondition: len(result) >= 0
      provider: {prometheus: {address: ADDRESS, query: "vector(1)"}}
"#;

/// A strategy with both Services and short delays.
fn strategy(more: &Value) -> Value {
    let mut strategy = json!({
        "activeService": "shop-active",
        "previewService": "shop-preview",
        "scaleDownDelaySeconds": 5,
        "abortScaleDownDelaySeconds": 5,
    });
    for (field, value) in more.as_object().cloned().unwrap_or_default() {
        strategy[field] = value;
    }
    strategy
}

/// Applies the shop and waits until it is healthy.
pub(super) async fn open(scene: &Arc<Scene>, more: &Value) -> Result<Shop> {
    let shop = Shop::of(scene);
    scene.apply(&SHOP.replace("HOST", &shop.host).replace("STRATEGY", &strategy(more).to_string())).await?;
    shop.until_phase("Healthy").await?;
    Ok(shop)
}

fn preview(scene: &Scene, shop: &Shop) -> Result<Load> {
    Ok(Load::new(scene.cluster().ingress()?, &format!("preview.{}", shop.host), 50))
}

pub(super) async fn until_switched(shop: &Shop) -> Result<Value> {
    shop.until("switched to its newest version", |rollout| {
        let status = &rollout["status"];
        status["blueGreen"]["activeSelector"] == status["currentPodHash"]
            && status["observedGeneration"] == rollout["metadata"]["generation"].to_string().as_str()
    })
    .await
}

pub(super) async fn switches_when_a_person_promotes_it(scene: Arc<Scene>) -> Result<()> {
    scene.given("a blue-green shop of three pods, under load");
    let plugin = Client::own(&scene).await?;
    let shop = open(&scene, &json!({"autoPromotionEnabled": false})).await?;
    let load = shop.load(100).await?;
    let running = load.start();
    scene.when("a new version ships");
    shop.ship("v2", json!([])).await?;
    shop.until_phase("Paused").await?;
    scene.then("the preview answers with it, and users do not see it");
    preview(&scene, &shop)?.until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    let answers = shop.fast(200)?.send(400).await?;
    ensure_none_lost(&answers)?;
    ensure!(answers.share_percent("v2") == 0.0, "users see the new version before the switch");
    plugin.expect("status shop", 4, &["Paused", "BlueGreenPause"]).await?;
    plugin.expect("get rollout shop --no-color", 0, &["BlueGreen", "active", "preview", "stable"]).await?;
    plugin.expect("explain shop", 0, &["until somebody promotes it"]).await?;
    scene.when("somebody promotes it");
    plugin.expect("promote shop", 0, &["promoted"]).await?;
    shop.until_promoted("v2").await?;
    load.until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 3).await?;
    scene.then("no request was lost on the way");
    ensure_none_lost(&running.stop().await?)
}

pub(super) async fn goes_back_when_aborted_after_the_switch(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop whose new version is judged after the switch, under load");
    let address = scene.cluster().prometheus_url()?;
    scene.apply(&LONG.replace("ADDRESS", &address)).await?;
    let analysis = json!({"postPromotionAnalysis": {"templates": [{"templateName": "long"}]}});
    let shop = open(&scene, &analysis).await?;
    let load = shop.load(100).await?;
    let running = load.start();
    shop.ship("v2", json!([])).await?;
    until_switched(&shop).await?;
    load.until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    scene.when("somebody breaks the spec and aborts");
    shop.patch(json!({"spec": {"progressDeadlineSeconds": 0}})).await?;
    shop.patch_status(json!({"abort": true})).await?;
    scene.then("the old version answers everything all the same");
    load.until_answers(|answers| answers.share_percent("v2") < 0.1).await?;
    scene.when("the spec is mended");
    shop.patch(json!({"spec": {"progressDeadlineSeconds": 600}})).await?;
    shop.until("without pods of the new version", |rollout| {
        rollout["status"]["phase"] == "Degraded"
            && rollout["status"]["updatedReplicas"].as_i64().unwrap_or(0) == 0
    })
    .await?;
    scene.then("nothing was lost on the way there and back");
    ensure_none_lost(&running.stop().await?)
}

pub(super) async fn goes_back_at_once_within_the_delay(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop that was just switched, with its old pods still up");
    let shop = open(&scene, &json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 120})).await?;
    let load = shop.load(100).await?;
    let running = load.start();
    shop.ship("v2", json!([])).await?;
    shop.until_phase("Paused").await?;
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    scene.when("the old version is back in the spec");
    shop.ship("v1", json!([])).await?;
    scene.then("users are on it without a pause, and nothing was lost");
    shop.until_promoted("v1").await?;
    load.until_answers(|answers| answers.share_percent("v1") > 99.9).await?;
    ensure_none_lost(&running.stop().await?)
}

pub(super) async fn gives_an_active_service_made_anew_to_the_stable_version(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop with a preview that waits for a person");
    let shop = open(&scene, &json!({"autoPromotionEnabled": false})).await?;
    shop.ship("v2", json!([])).await?;
    shop.until_phase("Paused").await?;
    scene.when("somebody takes the revision out of the active Service");
    let services = scene.api_of("v1", "Service").await?;
    let patch = json!({"spec": {"selector": {"rollouts-pod-template-hash": null}}});
    services.patch("shop-active", &PatchParams::default(), &Patch::Merge(patch)).await?;
    scene.then("it selects the stable version again");
    let stable = shop.until_phase("Paused").await?["status"]["stableRS"].clone();
    let selects = |service: &Value| service["spec"]["selector"]["rollouts-pod-template-hash"] == stable;
    scene.until_json(("v1", "Service"), "shop-active", "on the stable version", selects).await.map(drop)
}

pub(super) async fn gives_services_back_that_it_uses_no_more(scene: Arc<Scene>) -> Result<()> {
    scene.given("a blue-green shop, whose Services select its revision, under load");
    let shop = open(&scene, &json!({})).await?;
    let load = shop.load(100).await?;
    let running = load.start();
    for service in ["shop-active", "shop-preview"] {
        until_selects_a_revision(&scene, service, true).await?;
    }
    scene.when("it becomes a canary without Services");
    shop.patch(json!({"spec": {"strategy": {"blueGreen": null, "canary": {}}}})).await?;
    scene.then("both select all pods of the shop again");
    for service in ["shop-active", "shop-preview"] {
        until_selects_a_revision(&scene, service, false).await?;
    }
    load.until_answers(|answers| answers.share_percent("v1") > 99.9).await?;
    ensure_none_lost(&running.stop().await?)?;
    scene.when("it becomes a blue-green one again, and is deleted");
    shop.patch(json!({"spec": {"strategy": {"canary": null, "blueGreen": strategy(&json!({}))}}})).await?;
    until_selects_a_revision(&scene, "shop-active", true).await?;
    shop.rollouts().await?.delete("shop", &DeleteParams::default()).await?;
    scene.then("its Services are as they were before it");
    for service in ["shop-active", "shop-preview"] {
        until_selects_a_revision(&scene, service, false).await?;
    }
    Ok(())
}

/// Waits until a Service selects a revision and names its Rollout, or does neither.
async fn until_selects_a_revision(scene: &Scene, service: &str, wanted: bool) -> Result<()> {
    let what = if wanted { "pointed at a revision" } else { "given back" };
    let holds = |service: &Service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let selects = selector.is_some_and(|labels| labels.contains_key("rollouts-pod-template-hash"));
        let annotations = service.metadata.annotations.as_ref();
        let is_named =
            annotations.is_some_and(|all| all.contains_key("argo-rollouts.argoproj.io/managed-by-rollouts"));
        let keeps = selector.is_some_and(|labels| labels.get("app").is_some_and(|app| app == "shop"));
        (selects, is_named, keeps) == (wanted, wanted, true)
    };
    scene.until(service, what, holds).await.map(drop)
}
