//! Canaries on the real cluster: shares and losses are measured, not believed.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::figures::Figures;
use super::router::Router;
use super::shop::{Shop, ensure_none_lost, ensure_share, routed};
use super::watched::Watched;
use crate::install;
use crate::scene::Scene;

/// A metric that Prometheus answers from what the application counted.
const SUCCESS_RATE: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  args: [{name: version}, {name: namespace}]
  metrics:
    - name: success-rate
      interval: 2s
      successCondition: len(result) == 0 || isNaN(result[0]) || result[0] >= 0.95
      provider:
        prometheus:
          address: ADDRESS
          query: |
            sum(increase(http_requests_total{namespace="{{args.namespace}}",version="{{args.version}}",code!~"5.."}[10s]))
              / sum(increase(http_requests_total{namespace="{{args.namespace}}",version="{{args.version}}"}[10s]))
"#;

pub(super) async fn gets_its_share_and_loses_nothing(scene: Arc<Scene>) -> Result<()> {
    is_promoted(scene, Router::Nginx).await
}

pub(super) async fn gives_the_traffic_back_when_aborted(scene: Arc<Scene>) -> Result<()> {
    is_aborted(scene, Router::Nginx).await
}

/// Up, measured, and promoted, behind any router.
pub(super) async fn is_promoted(scene: Arc<Scene>, router: Router) -> Result<()> {
    promoted(&scene, router, 100).await?.ensure_clean()
}

/// Up and back, behind any router.
pub(super) async fn is_aborted(scene: Arc<Scene>, router: Router) -> Result<()> {
    aborted(&scene, router, 100, &[50]).await?.ensure_clean()
}

/// Up, measured, and promoted, under a load.
pub(super) async fn promoted(scene: &Arc<Scene>, router: Router, per_second: u32) -> Result<Figures> {
    scene.given("a shop of four pods behind the router, under load");
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": 1}}]);
    let shop = Shop::open_behind(scene, router, 4, &steps).await?;
    let mut watched = Watched::start(&shop, per_second, "v1").await?;
    scene.when("a new version ships");
    watched.allow(&["v1", "v2"]);
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    watched.until_answered_by("v2").await?;
    scene.then("it gets 20 % of 2,000 requests");
    let answers = shop.fast(397)?.send(2000).await?;
    ensure_none_lost(&answers)?;
    ensure_share(&answers, "v2", 20.0)?;
    scene.when("somebody promotes it");
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    watched.settle(&["v2"]).await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 4).await?;
    scene.then("no request was lost on the way");
    watched.stop().await
}

/// Up and back under a load, aborted at each of these weights in turn.
pub(super) async fn aborted(
    scene: &Arc<Scene>,
    router: Router,
    per_second: u32,
    weights: &[i32],
) -> Result<Figures> {
    scene.given("a shop whose canary pauses at each weight");
    let steps: Vec<Value> =
        weights.iter().flat_map(|weight| [json!({"setWeight": weight}), json!({"pause": {}})]).collect();
    let shop = Shop::open_behind(scene, router, 4, &json!(steps)).await?;
    let mut watched = Watched::start(&shop, per_second, "v1").await?;
    for pauses in (1..).step_by(2).take(weights.len()) {
        scene.when("a new version is on its way");
        watched.allow(&["v1", "v2"]);
        shop.ship("v2", json!([])).await?;
        for pause in (1..=pauses).step_by(2) {
            if pause > 1 {
                shop.promote().await?;
            }
            shop.until_paused_at(pause).await?;
        }
        watched.until_answered_by("v2").await?;
        scene.when("somebody aborts");
        shop.patch_status(json!({"abort": true})).await?;
        shop.until_phase("Degraded").await?;
        scene.then("the old version answers everything, the canary goes, and nothing was lost");
        watched.settle(&["v1"]).await?;
        shop.until("without canary pods", |rollout| {
            rollout["status"]["updatedReplicas"].as_i64().unwrap_or(0) == 0
        })
        .await?;
        scene.when("the old image is back in the spec");
        shop.ship("v1", json!([])).await?;
        shop.until_phase("Healthy").await?;
    }
    watched.stop().await
}

pub(super) async fn aborts_by_itself_when_prometheus_says_so(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop whose canary is judged by Prometheus");
    let address = scene.cluster().prometheus_url()?;
    scene.apply(&SUCCESS_RATE.replace("ADDRESS", &address)).await?;
    let mut strategy = routed(&json!([{"setWeight": 30}, {"pause": {"duration": "60s"}}]));
    strategy["analysis"] = json!({
        "templates": [{"templateName": "success-rate"}],
        "args": [{"name": "version", "value": "v2"}, {"name": "namespace", "value": scene.namespace()}],
    });
    let shop = Shop::open(&scene, 3, &strategy).await?;
    let load = shop.load(60).await?;
    let running = load.start();
    scene.when("a version ships that fails half of its requests");
    shop.ship("v2", json!([{"name": "FAIL_PERCENT", "value": "50"}])).await?;
    let rollout = shop.until_phase("Degraded").await?;
    scene.then("it is aborted because of its analysis, and gets no more traffic");
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("Background analysis phase error/failed"), "the message is {message:?}");
    load.until_answers(|answers| answers.share_percent("v2") < 0.1 && answers.bad().count() == 0).await?;
    let answers = running.stop().await?;
    ensure!(answers.lost().count() == 0, "lost: {:?}", answers.lost().next());
    Ok(())
}

pub(super) async fn aborts_whatever_else_is_wrong(scene: Arc<Scene>) -> Result<()> {
    scene.given("a canary with traffic, judged by a Prometheus that does not exist");
    scene.apply(&SUCCESS_RATE.replace("ADDRESS", "http://127.0.0.1:1")).await?;
    let mut strategy = routed(&json!([{"setWeight": 40}, {"pause": {}}]));
    strategy["analysis"] = json!({
        "templates": [{"templateName": "success-rate"}], "startingStep": 2,
        "args": [{"name": "version", "value": "v2"}, {"name": "namespace", "value": scene.namespace()}],
    });
    let shop = Shop::open(&scene, 3, &strategy).await?;
    let load = shop.load(60).await?;
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    load.until_answers(|answers| answers.share_percent("v2") > 10.0).await?;
    scene.when("the spec is broken, the template is gone, and somebody aborts");
    let templates = scene.api_of("argoproj.io/v1alpha1", "AnalysisTemplate").await?;
    templates.delete("success-rate", &DeleteParams::default()).await?;
    shop.patch(json!({"spec": {"strategy": {"canary": {"steps": [{"setWeight": 400}]}}}})).await?;
    shop.patch_status(json!({"abort": true})).await?;
    scene.then("the traffic is back all the same, and the spec's fault is told");
    load.until_answers(|answers| answers.share_percent("v2") < 0.1 && answers.bad().count() == 0).await?;
    let rollout = shop.until_phase("Degraded").await?;
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("InvalidSpec"), "the message is {message:?}");
    Ok(())
}

pub(super) async fn without_a_router_pods_carry_the_weight(scene: Arc<Scene>) -> Result<()> {
    scene.given("five pods without a router");
    let strategy = json!({"maxSurge": 1, "maxUnavailable": 0, "steps": [{"setWeight": 40}, {"pause": {}}]});
    let shop = Shop::open(&scene, 5, &strategy).await?;
    scene.when("a new version ships");
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    scene.then("two of five pods are new");
    let count = |status: &Value, field: &str| status[field].as_i64().unwrap_or(0);
    shop.until("two new and three old pods", |rollout| {
        let status = &rollout["status"];
        count(status, "updatedReplicas") == 2 && count(status, "replicas") == 5
    })
    .await?;
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    shop.until("all five pods", |rollout| count(&rollout["status"], "replicas") == 5).await.map(drop)
}

pub(super) async fn goes_on_after_the_controller_dies(scene: Arc<Scene>) -> Result<()> {
    scene.given("an update in the middle of its steps");
    let steps =
        json!([{"setWeight": 20}, {"pause": {"duration": 5}}, {"setWeight": 80}, {"pause": {"duration": 2}}]);
    let shop = Shop::open(&scene, 3, &routed(&steps)).await?;
    let load = shop.load(50).await?;
    let running = load.start();
    shop.ship("v2", json!([])).await?;
    shop.until("at its first weight", |rollout| {
        rollout["status"]["canary"]["weights"]["canary"]["weight"] == 20
    })
    .await?;
    scene.when("the controller's pods are killed");
    let pods: Api<Pod> = Api::namespaced(scene.client(), install::NAMESPACE);
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete_collection(&now, &ListParams::default().labels("app.kubernetes.io/name=tidegate")).await?;
    scene.then("its successor finishes the update, and nothing was lost");
    shop.until_promoted("v2").await?;
    ensure_none_lost(&running.stop().await?)
}

pub(super) async fn a_malformed_neighbour_stops_nobody(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Rollout with a quantity that no pod can have");
    let broken = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "broken"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "broken"}}, "futureField": {"a": 1},
            "template": {
                "metadata": {"labels": {"app": "broken"}},
                "spec": {"containers": [{
                    "name": "app", "image": "tidegate.dev/app:v1",
                    "resources": {"requests": {"memory": "invalid", "cpu": 0.001}},
                }]},
            },
            "strategy": {"canary": {}},
        },
    });
    let api = scene.api_of("argoproj.io/v1alpha1", "Rollout").await?;
    api.create(&Default::default(), &serde_json::from_value(broken)?).await?;
    scene.then("it becomes healthy without the bad field, and so does the shop beside it");
    Shop::open(&scene, 1, &json!({"steps": [{"setWeight": 50}]})).await?;
    let healthy = |rollout: &Value| rollout["status"]["phase"] == "Healthy";
    scene.until_json(super::shop::ROLLOUT, "broken", "Healthy", healthy).await.map(drop)
}
