//! Git and a canary share a route: Git heals it all the while, and never the weight.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use kube::api::PostParams;
use serde_json::{Value, json};

use super::delivery::Delivery;
use super::router::Router;
use super::shop::{Shop, ensure_none_lost, ensure_share, routed_by};
use super::witness::Witness;
use crate::say;
use crate::scene::Scene;

pub(super) async fn git_and_a_canary_share_an_ingress(scene: Arc<Scene>) -> Result<()> {
    share(scene, Router::Nginx).await
}

pub(super) async fn git_and_a_canary_share_an_httproute(scene: Arc<Scene>) -> Result<()> {
    share(scene, Router::Gateway).await
}

pub(super) async fn git_and_a_canary_share_a_route(scene: Arc<Scene>) -> Result<()> {
    share(scene, Router::OpenShift).await
}

/// The whole story, behind any router. The sync looks every two seconds, and at once when an object changes; each
/// weight lasts long enough for that.
async fn share(scene: Arc<Scene>, router: Router) -> Result<()> {
    scene.given("a shop from Git, healed by itself, its route with the weights it begins with");
    router.until_known(&scene).await?;
    let shop = Shop::behind(&scene, router);
    let wait = json!({"pause": {"duration": 5}});
    let steps = json!([{"setWeight": 10}, wait, {"setWeight": 25}, wait, {"setWeight": 40}, {"pause": {}}]);
    let strategy = routed_by(router, &steps);
    let rest = |version: &str| shop.without_route(version, 3, &strategy);
    let route = |note: &str| router.manifest(&shop.host, note);
    let delivery =
        Delivery::open(&scene, &[("shop.yaml", &rest("v1")), ("route.yaml", &route("one"))]).await?;
    let first = delivery.repository.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    delivery.until_synced(&first).await?;
    let load = shop.load(60).await?;
    let running = load.start();
    let weighed = router.weighed();
    let weights =
        Witness::of(scene.api_of(weighed.kind.0, weighed.kind.1).await?, weighed.name, move |route| {
            Some(router.weights(route))
        });

    scene.when("a commit ships a version, and the canary goes through its weights");
    let commit = delivery.commit(&[("shop.yaml", Some(&rest("v2")))])?;
    let is_at = |application: &Value, commit: &str| {
        let sync = &application["status"]["sync"];
        sync["revision"] == commit && sync["status"] == "Synced"
    };
    delivery.until("synced", |application| is_at(application, &commit)).await?;
    let synced = Witness::of(delivery.applications.clone(), scene.namespace(), |application| {
        application["status"]["sync"]["status"].as_str().map(str::to_owned)
    });
    shop.until_paused_at(5).await?;
    scene.then("every weight came once and stayed, and the Application was Synced all the while");
    ensure_rising(&weights.until_last(&router.everywhere(40)).await?)?;
    ensure!(synced.seen() == ["Synced"], "the Application was {:?}", synced.seen());
    drop(synced);

    scene.when("a commit changes another field of the route");
    delivery.commit(&[("route.yaml", Some(&route("two")))])?;
    until_noted(&shop, "two").await?;
    scene.when("somebody changes the same field by hand");
    note_by_hand(&shop, "hand").await?;
    until_noted(&shop, "two").await?;
    scene.then("both are Git's, and the weight is still the canary's");
    ensure_rising(&weights.until_last(&router.everywhere(40)).await?)?;
    let answers = shop.fast(397)?.send(4000).await?;
    ensure_none_lost(&answers)?;
    ensure_share(&answers, "v2", 40.0)?;

    scene.when("it is promoted");
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    load.until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    let head = delivery.repository.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    delivery.until_synced(&head).await?;
    say(format!("       the weights went {:?}", weights.seen()));
    ensure_none_lost(&running.stop().await?)?;
    delivery.close().await
}

/// Waits until the route says this, as Git does.
async fn until_noted(shop: &Shop, note: &str) -> Result<()> {
    let (route, pointer) = (shop.router.route(), shop.router.note());
    let noted = |object: &Value| object.pointer(pointer).is_some_and(|value| value == note);
    shop.scene.until_json(route.kind, route.name, &format!("noting {note}"), noted).await.map(drop)
}

/// Writes the whole route with another note, as an editor does.
async fn note_by_hand(shop: &Shop, note: &str) -> Result<()> {
    let route = shop.router.route();
    let routes = shop.scene.api_of(route.kind.0, route.kind.1).await?;
    loop {
        let mut object = serde_json::to_value(routes.get(route.name).await?)?;
        *object.pointer_mut(shop.router.note()).context("the route has no note")? = json!(note);
        match routes.replace(route.name, &PostParams::default(), &serde_json::from_value(object)?).await {
            Ok(_) => return Ok(()),
            // The gateway writes the route's status at its own time.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).context("cannot write the route"),
        }
    }
}

/// Fails when a weight was ever taken back, or stood in one rule only: rules are written together.
fn ensure_rising(seen: &[Vec<i64>]) -> Result<()> {
    let is_even = |weights: &Vec<i64>| weights.windows(2).all(|pair| pair[0] == pair[1]);
    ensure!(seen.iter().all(is_even), "the rules have different weights: {seen:?}");
    ensure!(seen.is_sorted(), "a weight was taken back: {seen:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ensure_rising;

    #[test]
    fn a_weight_that_is_taken_back_is_noticed() {
        assert!(ensure_rising(&[vec![0, 0], vec![10, 10], vec![40, 40]]).is_ok());
        assert!(ensure_rising(&[vec![0], vec![10], vec![0], vec![10], vec![40]]).is_err());
        assert!(ensure_rising(&[vec![0, 0], vec![10, 0], vec![40, 40]]).is_err());
    }
}
