//! The kubectl plugin on the real cluster: what it changes, what it prints, and how it ends.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::shop::{Shop, routed};
use crate::scene::Scene;

/// A canary that stops twice, on two pods, without a router.
fn strategy() -> Value {
    json!({"steps": [{"setWeight": 50}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]})
}

pub(super) async fn moves_a_rollout_and_ends_as_a_job_expects(scene: Arc<Scene>) -> Result<()> {
    scene.given("a healthy shop of two pods");
    let plugin = Client::own(&scene).await?;
    let shop = Shop::open(&scene, 2, &strategy()).await?;
    plugin.expect("status shop", 0, &["Healthy"]).await?;
    plugin.expect("status absent", 1, &["absent", "not found"]).await?;
    plugin.expect("frobnicate", 1, &["frobnicate"]).await?;
    plugin.expect("version", 0, &[env!("CARGO_PKG_VERSION")]).await?;
    scene.when("a version ships and stops at its pause");
    plugin.expect("set image shop app=tidegate.dev/app:v2", 0, &["image updated"]).await?;
    shop.until_paused_at(1).await?;
    plugin.expect("status shop", 4, &["Paused"]).await?;
    plugin.expect("status shop --watch --timeout 1s", 3, &["Paused"]).await?;
    plugin.expect("list rollouts", 0, &["NAME", "shop", "Canary", "Paused", "1/4"]).await?;
    let tree = plugin
        .expect("get rollout shop --no-color", 0, &["# revision:2", "# revision:1", "Step:", "1/4"])
        .await?;
    ensure!(tree.contains("canary") && tree.contains("stable"), "the tree has no roles:\n{tree}");
    let json: Value = serde_json::from_str(&plugin.expect("get rollout shop -o json", 0, &[]).await?)?;
    ensure!(json["status"] == "Paused" && json["message"] == "CanaryPauseStep", "the JSON is {json}");
    scene.when("a person promotes it step by step, and then fully");
    plugin.expect("promote shop", 0, &["promoted"]).await?;
    shop.until_paused_at(3).await?;
    plugin.expect("promote shop --full", 0, &["promoted"]).await?;
    plugin.expect("status shop --watch --timeout 60s", 0, &["Healthy"]).await?;
    shop.until_promoted("v2").await.map(drop)
}

pub(super) async fn takes_a_version_back(scene: Arc<Scene>) -> Result<()> {
    scene.given("a canary that is paused");
    let plugin = Client::own(&scene).await?;
    let shop = Shop::open(&scene, 2, &strategy()).await?;
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    scene.when("a person aborts it");
    plugin.expect("abort shop", 0, &["aborted"]).await?;
    shop.until_phase("Degraded").await?;
    plugin.expect("status shop", 2, &["Degraded", "aborted"]).await?;
    plugin.expect("status shop --watch --timeout 30s", 2, &["Degraded"]).await?;
    scene.when("a person tries again");
    plugin.expect("retry rollout shop", 0, &["retried"]).await?;
    shop.until_paused_at(1).await?;
    scene.when("a person goes back to the first revision");
    plugin.expect("undo shop", 0, &["undo"]).await?;
    let rollout = shop.until_promoted("v1").await?;
    ensure!(
        rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"] == "3",
        "the annotations are {}",
        rollout["metadata"]["annotations"]
    );
    scene.when("a person pauses it, and ships");
    plugin.expect("pause shop", 0, &["paused"]).await?;
    shop.ship("v3", json!([])).await?;
    shop.until_phase("Paused").await?;
    plugin.expect("promote shop --full", 0, &["promoted"]).await?;
    shop.until_promoted("v3").await.map(drop)
}

pub(super) async fn explains_a_canary_and_remembers_its_revisions(scene: Arc<Scene>) -> Result<()> {
    scene.given("a canary that holds at 30 % behind an Ingress");
    let plugin = Client::own(&scene).await?;
    let shop = Shop::open(&scene, 3, &routed(&json!([{"setWeight": 30}, {"pause": {}}]))).await?;
    plugin.expect("explain shop", 0, &["everything is as wanted", "no update is under way"]).await?;
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    scene.then("its page says what ends the pause, and that an abort takes the weight first");
    let words = ["until somebody promotes it", "the router shows 30", "canary weight 0 of 100"];
    plugin.expect("explain rollout shop", 0, &words).await?;
    let page: Value = serde_json::from_str(&plugin.expect("explain shop -o json", 0, &[]).await?)?;
    let first = page["abort"]["writes"][0]["because"].as_str().unwrap_or_default();
    ensure!(first == "canary weight 30 to 0 of 100", "an abort would begin with {first:?}: {page}");
    ensure!(page["unknown"] == json!([]), "not known: {}", page["unknown"]);
    scene.when("it is aborted");
    plugin.expect("abort shop", 0, &["aborted"]).await?;
    shop.until_phase("Degraded").await?;
    scene.then("the page, and the history, say so");
    plugin.expect("explain shop", 0, &["a new version in the spec, or a retry", "aborted already"]).await?;
    plugin.expect("history shop", 0, &["REVISION", "canary,aborted", "stable"]).await?;
    plugin.expect("history rollout shop --revision 1", 0, &["image: tidegate.dev/app:v1"]).await?;
    plugin.expect("history shop --revision 7", 1, &["no revision 7", "there are 2, 1"]).await?;
    scene.when("somebody goes back to the first revision by its number");
    plugin.expect("undo shop --to-revision 1", 0, &["undo"]).await?;
    shop.until_promoted("v1").await.map(drop)
}
