//! What may happen to a shop under load. Each story says at every moment which versions may answer.

use std::sync::Arc;

use anyhow::Result;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use serde_json::json;

use super::super::client::Client;
use super::super::figures::Figures;
use super::super::kills::{Controller, killed};
use super::super::router::Router;
use super::super::shop::{Shop, is_current, routed};
use super::super::watched::Watched;
use super::super::{blue_green, canary, workload_ref};
use crate::scene::Scene;

/// What is asked of every story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) per_second: u32,
    pub(super) kills: u32,
    pub(super) seed: u64,
}

pub(super) type Story = for<'a> fn(&'a Arc<Scene>, Setting) -> LocalBoxFuture<'a, Result<Figures>>;

/// Weights at which updates are aborted.
const WEIGHTS: [i32; 3] = [10, 50, 90];

/// All of them, the long one last.
pub(super) const STORIES: [(&str, Story); 11] = [
    ("canary-promoted", |scene, set| canary::promoted(scene, Router::Nginx, set.per_second).boxed_local()),
    ("httproute-promoted", |scene, set| {
        canary::promoted(scene, Router::Gateway, set.per_second).boxed_local()
    }),
    ("canary-aborted-at-each-step", |scene, set| {
        canary::aborted(scene, Router::Nginx, set.per_second, &WEIGHTS).boxed_local()
    }),
    ("httproute-aborted-at-each-step", |scene, set| {
        canary::aborted(scene, Router::Gateway, set.per_second, &WEIGHTS).boxed_local()
    }),
    ("canary-rapid-versions", |scene, set| rapid_canaries(scene, set).boxed_local()),
    ("canary-scaled-and-restarted", |scene, set| scaled_and_restarted(scene, set).boxed_local()),
    ("canary-without-a-router", |scene, set| without_a_router(scene, set).boxed_local()),
    ("blue-green-switched-and-undone", |scene, set| switched_and_undone(scene, set).boxed_local()),
    ("blue-green-rapid-versions", |scene, set| rapid_previews(scene, set).boxed_local()),
    ("workload-ref-taken-over", |scene, set| workload_ref::taken_over(scene, set.per_second).boxed_local()),
    ("controller-killed", |scene, set| killed_again_and_again(scene, set).boxed_local()),
];

async fn killed_again_and_again(scene: &Arc<Scene>, set: Setting) -> Result<Figures> {
    killed(scene, &Controller::installed(), set.kills, set.seed, set.per_second).await
}

/// Each version ships while the one before it is somewhere on its way, at another point each time.
async fn rapid_canaries(scene: &Arc<Scene>, set: Setting) -> Result<Figures> {
    let wait = json!({"pause": {"duration": 2}});
    let steps = json!([{"setWeight": 25}, wait, {"setWeight": 50}, wait, {"setWeight": 75}, wait]);
    let shop = Shop::open(scene, 4, &routed(&steps)).await?;
    let mut watched = Watched::start(&shop, set.per_second, "v1").await?;
    watched.allow(&["v1", "v2"]);
    shop.ship("v2", json!([])).await?;
    shop.until("at its second weight", |rollout| {
        rollout["status"]["canary"]["weights"]["canary"]["weight"] == 50
    })
    .await?;
    watched.allow(&["v1", "v2", "v3"]);
    shop.ship("v3", json!([])).await?;
    shop.until("with pods of v3", |rollout| rollout["status"]["updatedReplicas"].as_i64() == Some(1)).await?;
    // None of its pods need be ready by now.
    watched.allow(&["v1", "v2", "v3", "v4"]);
    shop.ship("v4", json!([])).await?;
    shop.until("at its last weight", |rollout| {
        rollout["status"]["canary"]["weights"]["canary"]["weight"] == 75
    })
    .await?;
    watched.settle(&["v1", "v4"]).await?;
    watched.allow(&["v1", "v4", "v5"]);
    shop.ship("v5", json!([])).await?;
    shop.until_promoted("v5").await?;
    watched.settle(&["v5"]).await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 4).await?;
    watched.stop().await
}

/// More pods, fewer pods and a restart of all, in the middle of an update and after it.
async fn scaled_and_restarted(scene: &Arc<Scene>, set: Setting) -> Result<Figures> {
    let shop = Shop::open(scene, 3, &routed(&json!([{"setWeight": 50}, {"pause": {}}]))).await?;
    let mut watched = Watched::start(&shop, set.per_second, "v1").await?;
    watched.allow(&["v1", "v2"]);
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    scale(&shop, 6).await?;
    restart(&shop).await?;
    scale(&shop, 2).await?;
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    watched.settle(&["v2"]).await?;
    restart(&shop).await?;
    scale(&shop, 4).await?;
    watched.stop().await
}

async fn scale(shop: &Shop, replicas: i64) -> Result<()> {
    shop.patch(json!({"spec": {"replicas": replicas}})).await?;
    shop.until(&format!("at {replicas} replicas"), |rollout| {
        let (status, all) = (&rollout["status"], replicas);
        let pods = |field: &str| status[field].as_i64().unwrap_or(0);
        let stable = if status["stableRS"] == status["currentPodHash"] { all } else { all + (all + 1) / 2 };
        is_current(rollout) && pods("replicas") == stable && pods("readyReplicas") == stable
    })
    .await
    .map(drop)
}

async fn restart(shop: &Shop) -> Result<()> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    shop.patch(json!({"spec": {"restartAt": now}})).await?;
    shop.until("restarted", |rollout| rollout["status"]["restartedAt"] == now.as_str()).await.map(drop)
}

/// Pods carry the weight: old ones go as new ones come.
async fn without_a_router(scene: &Arc<Scene>, set: Setting) -> Result<Figures> {
    let steps = json!([{"setWeight": 40}, {"pause": {"duration": 2}}, {"setWeight": 80}, {"pause": {}}]);
    let strategy = json!({"maxSurge": 1, "maxUnavailable": 0, "steps": steps});
    let shop = Shop::open(scene, 5, &strategy).await?;
    let mut watched = Watched::start(&shop, set.per_second, "v1").await?;
    watched.allow(&["v1", "v2"]);
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(3).await?;
    shop.patch_status(json!({"abort": true})).await?;
    shop.until_phase("Degraded").await?;
    watched.settle(&["v1"]).await?;
    watched.allow(&["v1", "v3"]);
    shop.ship("v3", json!([])).await?;
    shop.until_paused_at(3).await?;
    shop.promote().await?;
    shop.until_promoted("v3").await?;
    watched.settle(&["v3"]).await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 5).await?;
    watched.stop().await
}

/// Over, back by `undo` while the old pods are still there, over again, and back when they are not.
async fn switched_and_undone(scene: &Arc<Scene>, set: Setting) -> Result<Figures> {
    let plugin = Client::own(scene).await?;
    let shop =
        blue_green::open(scene, &json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 20})).await?;
    let mut watched = Watched::start(&shop, set.per_second, "v1").await?;
    for old_pods_are_gone in [false, true] {
        shop.ship("v2", json!([])).await?;
        shop.until_phase("Paused").await?;
        // Until somebody promotes it, nobody may see it.
        watched.allow(&["v1", "v2"]);
        shop.promote().await?;
        shop.until_promoted("v2").await?;
        watched.settle(&["v2"]).await?;
        if old_pods_are_gone {
            shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 3).await?;
            plugin.expect("undo shop", 0, &[]).await?;
            shop.until_phase("Paused").await?;
            watched.allow(&["v1", "v2"]);
            shop.promote().await?;
        } else {
            watched.allow(&["v1", "v2"]);
            plugin.expect("undo shop", 0, &[]).await?;
        }
        shop.until_promoted("v1").await?;
        watched.settle(&["v1"]).await?;
        // What ships again while its pods are still there needs nobody's promotion.
        shop.until("down to the old pods", |rollout| rollout["status"]["replicas"] == 3).await?;
    }
    watched.stop().await
}

/// Versions that ship while the one before is being started or waits for a person; then one is aborted after the
/// switch has begun, and one is promoted.
async fn rapid_previews(scene: &Arc<Scene>, set: Setting) -> Result<Figures> {
    let shop = blue_green::open(scene, &json!({"autoPromotionEnabled": false})).await?;
    let mut watched = Watched::start(&shop, set.per_second, "v1").await?;
    shop.ship("v2", json!([])).await?;
    shop.until("with pods of v2", |rollout| rollout["status"]["updatedReplicas"].as_i64() > Some(0)).await?;
    shop.ship("v3", json!([])).await?;
    shop.until_phase("Paused").await?;
    shop.ship("v4", json!([])).await?;
    shop.until_phase("Paused").await?;
    shop.patch_status(json!({"abort": true})).await?;
    shop.until_phase("Degraded").await?;
    shop.ship("v5", json!([])).await?;
    shop.until_phase("Paused").await?;
    watched.allow(&["v1", "v5"]);
    shop.promote().await?;
    blue_green::until_switched(&shop).await?;
    watched.settle(&["v5"]).await?;
    shop.ship("v6", json!([])).await?;
    shop.until_phase("Paused").await?;
    watched.allow(&["v5", "v6"]);
    shop.promote().await?;
    shop.until_promoted("v6").await?;
    watched.settle(&["v6"]).await?;
    watched.stop().await
}
