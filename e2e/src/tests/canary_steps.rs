//! Steps besides weights and pauses on the real cluster: header routes, sizes of their own, roles of pods, and two
//! Services that take turns.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use serde_json::{Value, json};

use super::router::Router;
use super::shop::{Shop, ensure_none_lost, ensure_share, routed_by};
use crate::load::Load;
use crate::scene::Scene;

const HASH: &str = "rollouts-pod-template-hash";

/// A canary that testers reach by a header before anybody else does.
fn for_testers(router: Router) -> Value {
    let header = json!({"headerName": "X-Tester", "headerValue": {"exact": "yes"}});
    let mut strategy = routed_by(
        router,
        &json!([
            {"setCanaryScale": {"replicas": 2}},
            {"setHeaderRoute": {"name": "testers", "match": [header]}},
            {"pause": {}},
            {"setHeaderRoute": {"name": "testers"}},
            {"setWeight": 50},
            {"pause": {}},
        ]),
    );
    strategy["trafficRouting"]["managedRoutes"] = json!([{"name": "testers"}]);
    strategy["canaryMetadata"] =
        json!({"labels": {"role": "canary"}, "annotations": {"shop.test/watch": "closely"}});
    strategy["stableMetadata"] = json!({"labels": {"role": "stable"}});
    strategy
}

/// The same load with the header of a tester.
fn tester(load: &Load, says: &str) -> Load {
    Load { header: Some(("x-tester".to_owned(), says.to_owned())), ..load.clone() }
}

/// Every answer comes from one version.
async fn ensure_only(load: &Load, version: &str) -> Result<()> {
    let answers = load.send(300).await?;
    ensure_none_lost(&answers)?;
    let share = answers.share_percent(version);
    ensure!(share > 99.99, "{version} gave {share:.1} % of the answers: {:?}", answers.counts());
    Ok(())
}

/// The labels of the pods' roles, by revision, for pods that stay.
async fn ensure_roles(scene: &Scene, canary: Option<&str>, counts: [usize; 2]) -> Result<()> {
    let pods = scene.api::<Pod>().list(&ListParams::default().labels("app=shop")).await?;
    let mut seen = [0, 0];
    for pod in pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        let is_canary = canary.is_some() && labels.get(HASH).map(String::as_str) == canary;
        let watched =
            pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key("shop.test/watch"));
        let role = labels.get("role").map(String::as_str);
        ensure!(
            role == Some(if is_canary { "canary" } else { "stable" }) && watched == is_canary,
            "pod {:?} of {:?} has the role {role:?} and is watched: {watched}",
            pod.metadata.name,
            labels.get(HASH)
        );
        seen[usize::from(is_canary)] += 1;
    }
    ensure!(seen == counts, "{seen:?} stable and canary pods, not {counts:?}");
    Ok(())
}

async fn testers_come_first(scene: Arc<Scene>, router: Router) -> Result<()> {
    scene.given("a shop of four pods behind the router, under load");
    let shop = Shop::open_routed(&scene, router, 4, &for_testers(router)).await?;
    let load = shop.load(100).await?;
    let running = load.start();
    scene.when("a new version ships, with a canary of two pods for testers");
    shop.ship("v2", json!([])).await?;
    let rollout = shop.until_paused_at(2).await?;
    let hash = rollout["status"]["currentPodHash"].as_str().unwrap_or_default().to_owned();
    scene.then("the pods have their roles");
    ensure!(rollout["status"]["updatedReplicas"] == 2, "{}", rollout["status"]);
    ensure_roles(&scene, Some(&hash), [4, 2]).await?;
    scene.then("testers reach the new version, and nobody else does");
    let fast = shop.fast(200)?;
    tester(&load, "yes").until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    ensure_only(&tester(&fast, "yes"), "v2").await?;
    ensure_only(&tester(&fast, "no"), "v1").await?;
    ensure_only(&fast, "v1").await?;
    scene.when("somebody goes on to a weight");
    shop.promote().await?;
    shop.until_paused_at(5).await?;
    // The router takes up the end of the header rule first, and the weight somewhat later. Answers to testers may look like
    // half of each in the moment of the first; those to others do only after the second.
    let is_half = |share: f64| (40.0..60.0).contains(&share);
    for who in ["yes", "no"] {
        tester(&load, who).until_answers(|answers| is_half(answers.share_percent("v2"))).await?;
    }
    scene.then("the header means nothing any more");
    ensure_share(&tester(&fast, "yes").send(1000).await?, "v2", 50.0)?;
    scene.when("the new version is promoted");
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 4).await?;
    load.until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    scene.then("all pods are stable ones, and no request was lost on the way");
    ensure_roles(&scene, None, [4, 0]).await?;
    ensure_none_lost(&running.stop().await?)
}

async fn an_abort_sends_testers_back(scene: Arc<Scene>, router: Router) -> Result<()> {
    scene.given("a canary that only testers reach");
    let shop = Shop::open_routed(&scene, router, 3, &for_testers(router)).await?;
    let load = shop.load(100).await?;
    let running = tester(&load, "yes").start();
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(2).await?;
    tester(&load, "yes").until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    scene.when("somebody aborts");
    shop.patch_status(json!({"abort": true})).await?;
    shop.until_phase("Degraded").await?;
    scene.then("testers get the old version, the canary goes, and none of their requests was lost");
    tester(&load, "yes").until_answers(|answers| answers.share_percent("v1") > 99.9).await?;
    shop.until("without canary pods", |rollout| {
        rollout["status"]["updatedReplicas"].as_i64().unwrap_or(0) == 0
    })
    .await?;
    ensure_none_lost(&running.stop().await?)
}

pub(super) async fn testers_come_first_behind_an_ingress(scene: Arc<Scene>) -> Result<()> {
    testers_come_first(scene, Router::Nginx).await
}

pub(super) async fn testers_come_first_behind_an_httproute(scene: Arc<Scene>) -> Result<()> {
    testers_come_first(scene, Router::Gateway).await
}

pub(super) async fn testers_go_back_when_an_ingress_is_aborted(scene: Arc<Scene>) -> Result<()> {
    an_abort_sends_testers_back(scene, Router::Nginx).await
}

/// What a Service selects, and the version of the Service itself.
async fn selected(scene: &Scene, name: &str) -> Result<(Option<String>, Option<String>)> {
    let service = scene.api::<Service>().get(name).await?;
    let hash = service.spec.and_then(|spec| spec.selector).and_then(|selector| selector.get(HASH).cloned());
    Ok((hash, service.metadata.resource_version))
}

pub(super) async fn two_services_take_turns(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop behind an HTTPRoute with a ping and a pong Service, under load");
    let mut strategy = routed_by(Router::Gateway, &json!([{"setWeight": 50}, {"pause": {}}]));
    if let Some(fields) = strategy.as_object_mut() {
        fields.remove("stableService");
        fields.remove("canaryService");
    }
    strategy["pingPong"] = json!({"pingService": "shop-canary", "pongService": "shop-stable"});
    let shop = Shop::open_routed(&scene, Router::Gateway, 3, &strategy).await?;
    let load = shop.load(100).await?;
    let running = load.start();
    let roles = |rollout: &Value| rollout["status"]["canary"]["stablePingPong"].clone();
    let first = shop.until_phase("Healthy").await?;
    ensure!(roles(&first) == "ping", "{}", first["status"]);
    for (version, new, now) in [("v2", "shop-stable", "pong"), ("v1", "shop-canary", "ping")] {
        scene.when(&format!("{version} ships"));
        shop.ship(version, json!([])).await?;
        let rollout = shop.until_paused_at(1).await?;
        let hash = rollout["status"]["currentPodHash"].as_str().map(str::to_owned);
        load.until_answers(|answers| answers.share_percent(version) > 30.0).await?;
        let on_the_way = selected(&scene, new).await?;
        ensure!(on_the_way.0 == hash, "{new} selects {on_the_way:?}, not {hash:?}");
        scene.when("it is promoted");
        shop.promote().await?;
        let promoted = shop.until_promoted(version).await?;
        scene.then("the Service of the canary is the stable one now, and nobody wrote it");
        ensure!(roles(&promoted) == now, "{}", promoted["status"]);
        let after = selected(&scene, new).await?;
        ensure!(after == on_the_way, "{new} was {on_the_way:?} and is {after:?}");
        load.until_answers(|answers| answers.share_percent(version) > 99.9).await?;
        shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 3).await?;
    }
    scene.then("no request was lost on the way there and back");
    ensure_none_lost(&running.stop().await?)
}
