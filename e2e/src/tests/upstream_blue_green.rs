//! Argo Rollouts' own kubectl plugin as a client of Tidegate's blue-green updates.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use super::blue_green::open;
use super::client::Client;
use super::shop::Shop;
use crate::scene::Scene;

/// What it shows before the switch: the preview beside what users see.
async fn shows_the_preview(argo: &Client) -> Result<()> {
    argo.shows(
        "get rollout shop --no-color",
        &[
            &["Status: ॥ Paused"],
            &["Message: BlueGreenPause"],
            &["Strategy: BlueGreen"],
            &["tidegate.dev/app:v1 (stable, active)"],
            &["tidegate.dev/app:v2 (preview)"],
            &["Desired: 3"],
            &["Current: 6"],
            &["Updated: 3"],
            &["Ready: 3"],
            &["Available: 3"],
            &["# revision:2"],
            &["ReplicaSet ✔ Healthy", "preview"],
            &["# revision:1"],
            &["ReplicaSet ✔ Healthy", "stable,active"],
        ],
    )
    .await?;
    argo.shows("list rollouts", &[&["shop BlueGreen Paused - - 3/6 3 3 3"]]).await?;
    argo.expect("status shop --watch=false", 0, &["Paused - BlueGreenPause"]).await.map(drop)
}

pub(super) async fn shows_promotes_and_goes_back(scene: Arc<Scene>) -> Result<()> {
    scene.given("a healthy blue-green shop of three pods");
    let argo = Client::upstream(&scene).await?;
    let strategy = json!({"autoPromotionEnabled": false, "scaleDownDelaySeconds": 300});
    let shop = open(&scene, &strategy).await?;
    argo.shows(
        "get rollout shop --no-color",
        &[
            &["Status: ✔ Healthy"],
            &["Strategy: BlueGreen"],
            &["Images: tidegate.dev/app:v1 (stable, active)"],
            &["Desired: 3"],
            &["Available: 3"],
            &["ReplicaSet ✔ Healthy", "stable,active"],
        ],
    )
    .await?;
    scene.when("a version ships");
    argo.expect("set image shop app=tidegate.dev/app:v2", 0, &["image updated"]).await?;
    shop.until_phase("Paused").await?;
    shop.until("with its whole preview", |rollout| rollout["status"]["replicas"] == 6).await?;
    shows_the_preview(&argo).await?;
    scene.when("a person promotes it");
    argo.expect("promote shop", 0, &["rollout 'shop' promoted"]).await?;
    argo.expect("status shop --timeout 60s", 0, &["Healthy"]).await?;
    shop.until_promoted("v2").await?;
    argo.shows(
        "get rollout shop --no-color",
        &[
            &["tidegate.dev/app:v2 (stable, active)"],
            &["# revision:2"],
            &["ReplicaSet ✔ Healthy", "stable,active"],
            &["ReplicaSet ✔ Healthy", "delay:"],
        ],
    )
    .await?;
    scene.when("a person goes back, and looks at the preview once more");
    argo.expect("undo shop", 0, &["rollout 'shop' undo"]).await?;
    // Its pods are all there within the delay, so that nobody is asked.
    shop.until_promoted("v1").await?;
    argo.shows(
        "get rollout shop --no-color",
        &[&["# revision:3"], &["tidegate.dev/app:v1 (stable, active)"]],
    )
    .await?;
    takes_a_preview_back(&argo, &shop).await
}

async fn takes_a_preview_back(argo: &Client, shop: &Shop) -> Result<()> {
    argo.expect("set image shop app=tidegate.dev/app:v3", 0, &["image updated"]).await?;
    shop.until_phase("Paused").await?;
    argo.expect("abort shop", 0, &["rollout 'shop' aborted"]).await?;
    shop.until_phase("Degraded").await?;
    let why = "RolloutAborted: Rollout aborted update to revision 4";
    argo.expect("status shop", 1, &["Degraded", why]).await?;
    argo.shows("get rollout shop --no-color", &[&["Status: ✖ Degraded"], &["Message:", why]]).await?;
    argo.expect("retry rollout shop", 0, &["rollout 'shop' retried"]).await?;
    shop.until_phase("Paused").await?;
    argo.expect("promote shop --full", 0, &["rollout 'shop' fully promoted"]).await?;
    shop.until_promoted("v3").await.map(drop)
}
