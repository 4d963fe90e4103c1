//! The plugin and Applications on the real cluster: what it asks of the controller, what it shows, and how it ends.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::delivery::{Delivery, map};
use crate::install::NAMESPACE;
use crate::scene::Scene;

/// A Secret whose value nobody may show.
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: tell-nobody}\n";

/// A source that the controller and the host reach under one address.
fn source(scene: &Scene, delivery: &Delivery) -> Result<Value> {
    let url = scene.cluster().git_url(&delivery.path)?;
    Ok(json!({"repoURL": url, "targetRevision": "main", "path": "deploy"}))
}

pub(super) async fn syncs_compares_and_rolls_back(scene: Arc<Scene>) -> Result<()> {
    scene.given("an Application that nobody syncs");
    let plugin = Client::own_in(&scene, NAMESPACE).await?;
    let delivery = Delivery::of(&scene, scene.namespace()).await?;
    let name = delivery.name();
    let first = delivery.commit(&[("a.yaml", Some(&map("a", "one"))), ("s.yaml", Some(SECRET))])?;
    delivery.install(json!({"source": source(&scene, &delivery)?, "syncPolicy": {}})).await?;
    plugin.expect(&format!("refresh {name} --timeout 60s"), 0, &["refreshed: OutOfSync"]).await?;
    plugin
        .expect(&format!("get application {name}"), 0, &["manual", "somebody to sync it", "Missing"])
        .await?;
    scene.when("a person looks at what a sync would do");
    let shown = plugin.expect(&format!("diff {name}"), 1, &["+  key: one", "Secret"]).await?;
    ensure!(!shown.contains("tell-nobody") && !shown.contains("dGVsbC1ub2JvZHk"), "the secret is in {shown}");
    plugin.expect(&format!("sync {name} --dry-run"), 0, &["created (dry run)"]).await?;
    ensure!(delivery.config_map("a").await?.is_none(), "a dry run made the object");
    scene.when("a person syncs one object, and then all");
    plugin
        .expect(&format!("sync {name} --resource :ConfigMap:a --wait"), 0, &["configmap/a created"])
        .await?;
    delivery.until_data("a", "one").await?;
    plugin.expect(&format!("sync {name} --timeout 60s"), 0, &["secret/s created", &first]).await?;
    plugin.expect(&format!("diff {name}"), 0, &[]).await?;
    plugin.expect(&format!("sync {name} --resource :ConfigMap:b"), 1, &["has no :ConfigMap:b"]).await?;
    scene.when("a commit changes one object and takes the other away");
    let second = delivery.commit(&[("a.yaml", Some(&map("a", "two"))), ("s.yaml", None)])?;
    let shown = plugin.expect(&format!("diff {name}"), 1, &["-  key: one", "+  key: two", "--prune"]).await?;
    ensure!(shown.contains("********"), "the Secret is not masked: {shown}");
    plugin.expect(&format!("diff {name} --revision {first}"), 0, &[]).await?;
    let local = delivery.repository.path().join("deploy");
    plugin.expect(&format!("diff {name} --local {}", local.display()), 1, &["+  key: two"]).await?;
    plugin.expect(&format!("diff {name} --local /nowhere"), 2, &["/nowhere"]).await?;
    plugin.expect(&format!("sync {name} --prune --wait"), 0, &["configmap/a configured", "pruned"]).await?;
    plugin.expect(&format!("history application {name}"), 0, &[&first, &second]).await?;
    plugin.expect("list applications -o wide", 0, &[name, "manual"]).await?;
    scene.when("a person goes back to the commit before");
    plugin.expect(&format!("rollback {name} --wait"), 0, &["configmap/a configured", &first]).await?;
    delivery.until_data("a", "one").await?;
    plugin.expect(&format!("refresh {name} --wait"), 0, &["OutOfSync"]).await?;
    plugin.expect(&format!("terminate application {name}"), 1, &["no operation is in progress"]).await?;
    delivery.close().await
}

pub(super) async fn waits_for_what_automation_does(scene: Arc<Scene>) -> Result<()> {
    scene.given("an Application that is synced by itself");
    let plugin = Client::own_in(&scene, NAMESPACE).await?;
    let delivery = Delivery::open(&scene, &[("a.yaml", &map("a", "one"))]).await?;
    let name = delivery.name();
    delivery.until_data("a", "one").await?;
    scene.when("a commit comes, and a person asks for it at once");
    delivery.commit(&[("a.yaml", Some(&map("a", "two")))])?;
    plugin.expect(&format!("refresh {name} --hard --wait"), 0, &["refreshed"]).await?;
    delivery.until_data("a", "two").await?;
    scene.then("what automation would undo is refused");
    plugin.expect(&format!("rollback {name}"), 1, &["auto-sync is enabled"]).await?;
    plugin.expect(&format!("sync {name} --revision HEAD~1"), 1, &["synced automatically to main"]).await?;
    plugin.expect("sync absent", 1, &["\"absent\" not found"]).await?;
    let found = plugin.expect(&format!("get application {name} -o json"), 0, &[]).await?;
    let found: Value = serde_json::from_str(&found)?;
    ensure!(found["metadata"]["name"] == name, "another Application: {found}");
    delivery.close().await
}
