//! Canaries behind an HTTPRoute of the Gateway API, with Traefik as the gateway: weights, stable pods that follow them, and
//! Experiments with a share of the traffic.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::canary;
use super::router::Router;
use super::shop::{Shop, ensure_none_lost, ensure_share, routed_by};
use super::watched::Watched;
use crate::scene::Scene;

pub(super) async fn gets_its_share_and_loses_nothing(scene: Arc<Scene>) -> Result<()> {
    canary::is_promoted(scene, Router::Gateway).await
}

pub(super) async fn gives_the_traffic_back_when_aborted(scene: Arc<Scene>) -> Result<()> {
    canary::is_aborted(scene, Router::Gateway).await
}

/// Waits until the two ReplicaSets of the shop have these sizes, and as many pods that serve.
async fn until_sized(shop: &Shop, stable: i64, canary: i64) -> Result<Value> {
    shop.until(&format!("{stable} old and {canary} new pods"), |rollout| {
        let count = |field: &str| rollout["status"][field].as_i64().unwrap_or(0);
        count("updatedReplicas") == canary
            && count("replicas") == stable + canary
            && count("availableReplicas") == stable + canary
    })
    .await
}

pub(super) async fn stable_pods_follow_the_traffic_and_come_back(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop of four pods with dynamicStableScale, under load");
    let steps = json!([{"setWeight": 50}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]);
    let mut strategy = routed_by(Router::Gateway, &steps);
    strategy["dynamicStableScale"] = json!(true);
    if let Some(fields) = strategy.as_object_mut() {
        fields.remove("scaleDownDelaySeconds");
        fields.remove("abortScaleDownDelaySeconds");
    }
    let shop = Shop::open_routed(&scene, Router::Gateway, 4, &strategy).await?;
    let mut watched = Watched::start(&shop, 100, "v1").await?;
    scene.when("half of the traffic goes to a new version");
    watched.allow(&["v1", "v2"]);
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    scene.then("half of the pods are old ones, and three quarters of the traffic take one more");
    until_sized(&shop, 2, 2).await?;
    shop.promote().await?;
    shop.until_paused_at(3).await?;
    until_sized(&shop, 1, 3).await?;
    watched.until_answered_by("v2").await?;
    scene.when("somebody aborts");
    shop.patch_status(json!({"abort": true})).await?;
    shop.until_phase("Degraded").await?;
    scene.then("the old version gets its pods back, and all of the traffic with them");
    watched.settle(&["v1"]).await?;
    shop.until("old pods only", |rollout| {
        rollout["status"]["updatedReplicas"].as_i64().unwrap_or(0) == 0
            && rollout["status"]["availableReplicas"] == 4
    })
    .await?;
    scene.when("it is tried again and promoted in full");
    watched.allow(&["v1", "v2"]);
    shop.patch_status(json!({"abort": false})).await?;
    shop.until_paused_at(1).await?;
    shop.patch_status(json!({"promoteFull": true})).await?;
    shop.until_promoted("v2").await?;
    scene.then("the new version has all of it, and no request was lost on the way");
    watched.settle(&["v2"]).await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 4).await?;
    watched.stop().await?.ensure_clean()
}

/// A canary that begins with an Experiment, both of whose versions get a share of the traffic.
fn with_shares() -> Value {
    let share = |name: &str, reference: &str, weight: i32| json!({"name": name, "specRef": reference, "weight": weight});
    routed_by(
        Router::Gateway,
        &json!([
            {"experiment": {"duration": "30s", "templates": [share("old", "stable", 10), share("new", "canary", 20)]}},
            {"setWeight": 50},
            {"pause": {}},
        ]),
    )
}

pub(super) async fn gives_an_experiment_its_share(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop whose canary begins with an Experiment that gets traffic, under load");
    let shop = Shop::open_routed(&scene, Router::Gateway, 2, &with_shares()).await?;
    let load = shop.load(100).await?;
    let running = load.start();
    scene.when("a new version ships");
    shop.ship("v2", json!([])).await?;
    load.until_answers(|answers| (10.0..30.0).contains(&answers.share_percent("v2"))).await?;
    scene.then("a fifth of the requests goes to it, while the canary itself has no weight");
    ensure_share(&shop.fast(317)?.send(1500).await?, "v2", 20.0)?;
    let weights = shop.rollouts().await?.get("shop").await?.data["status"]["canary"]["weights"].clone();
    ensure!(weights["additional"].as_array().map(Vec::len) == Some(2), "{weights}");
    ensure!(weights["canary"]["weight"] == 0 && weights["stable"]["weight"] == 70, "{weights}");
    scene.then("the steps go on without it, and no request was lost");
    shop.until_paused_at(2).await?;
    load.until_answers(|answers| (40.0..60.0).contains(&answers.share_percent("v2"))).await?;
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    ensure_none_lost(&running.stop().await?)
}
