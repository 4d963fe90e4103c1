//! Canaries behind an OpenShift Route, with HAProxy as the router.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::json;

use super::canary;
use super::router::Router;
use super::shop::{Shop, ensure_none_lost, routed_by};
use crate::foreign;
use crate::say;
use crate::scene::Scene;

/// The test that brings the kind; without it among the chosen ones, the kind is there before.
pub(super) const BRINGS_THE_KIND: &str = "openshift::is_served_once_its_kind_is_there";

pub(super) async fn gets_its_share_and_loses_nothing(scene: Arc<Scene>) -> Result<()> {
    canary::is_promoted(scene, Router::OpenShift).await
}

pub(super) async fn gives_the_traffic_back_when_aborted(scene: Arc<Scene>) -> Result<()> {
    canary::is_aborted(scene, Router::OpenShift).await
}

pub(super) async fn is_served_once_its_kind_is_there(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Rollout that names a Route, in a cluster that knows no such kind");
    let told = is_missed(&scene).await;
    scene.when("the kind is installed, long after the controller started, and then the Route");
    // In any case: other tests wait for the kind.
    foreign::apply_route(&scene.client()).await?;
    told?;
    let shop = Shop::behind(&scene, Router::OpenShift);
    scene.apply(&shop.router.manifest(&shop.host, "one")).await?;
    scene.then("the Rollout becomes healthy, and its canary gets traffic");
    shop.until_phase("Healthy").await?;
    let load = shop.load(50).await?;
    let running = load.start();
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    load.until_answers(|answers| answers.share_percent("v2") > 10.0).await?;
    ensure_none_lost(&running.stop().await?)
}

/// Applies the shop without its Route, and waits until it says that the kind is missing.
async fn is_missed(scene: &Arc<Scene>) -> Result<()> {
    let shop = Shop::behind(scene, Router::OpenShift);
    let strategy = routed_by(shop.router, &json!([{"setWeight": 30}, {"pause": {}}]));
    let (api_version, kind) = shop.router.route().kind;
    let is_known = scene.api_of(api_version, kind).await.is_ok();
    scene.apply(&shop.without_route("v1", 2, &strategy)).await?;
    let rollout = shop
        .until("telling of the Route", |rollout| {
            let message = rollout["status"]["message"].as_str().unwrap_or_default();
            message.contains("shop") && message.contains("oute")
        })
        .await?;
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    say(format!("       without the kind the Rollout says: {message}"));
    if is_known {
        say("       the kind was there already: this cluster has run the test before");
        return Ok(());
    }
    ensure!(
        message.contains(api_version.split('/').next().unwrap_or_default()),
        "the message is {message:?}"
    );
    Ok(())
}
