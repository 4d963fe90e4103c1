//! Git to the cluster and nowhere else: what the sync does, what it leaves alone, and what it says.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::delivery::{Delivery, map};
use super::shop::{Shop, ensure_none_lost, ensure_share, routed};
use crate::cluster::{Cluster, GIT_CREDENTIALS};
use crate::install::NAMESPACE;
use crate::manifest;
use crate::scene::Scene;

pub(super) async fn follows_the_repository(scene: Arc<Scene>) -> Result<()> {
    scene.given("an Application of two objects");
    let delivery =
        Delivery::open(&scene, &[("a.yaml", &map("a", "one")), ("b.yaml", &map("b", "one"))]).await?;
    delivery.until_data("a", "one").await?;
    scene.when("a commit changes one and takes the other away");
    let commit = delivery.commit(&[("a.yaml", Some(&map("a", "two"))), ("b.yaml", None)])?;
    let application = delivery.until_synced(&commit).await?;
    scene.then("the cluster is as the commit, and the status tells it as Argo CD does");
    delivery.until_data("a", "two").await?;
    ensure!(delivery.config_map("b").await?.is_none(), "b is still there");
    let annotations =
        delivery.config_map("a").await?.and_then(|map| map.metadata.annotations).unwrap_or_default();
    let tracking = format!("{0}:/ConfigMap:{0}/a", scene.namespace());
    ensure!(
        annotations.get("argocd.argoproj.io/tracking-id") == Some(&tracking),
        "the annotations are {annotations:?}"
    );
    let status = &application["status"];
    let history: Vec<_> =
        status["history"].as_array().into_iter().flatten().map(|entry| &entry["revision"]).collect();
    ensure!(history.len() == 2 && history[1] == commit.as_str(), "the history is {history:?}");
    ensure!(status["sourceType"] == "Directory", "the source's type is {}", status["sourceType"]);
    scene.when("a tag is followed instead, and the Application goes");
    delivery.repository.git(&["tag", "v1", "HEAD~1"])?;
    delivery.repository.git(&["push", "--quiet", "origin", "v1"])?;
    let source =
        json!({"repoURL": Cluster::git_url_inside(&delivery.path), "targetRevision": "v1", "path": "deploy"});
    delivery.install(json!({"source": source})).await?;
    delivery.until_data("b", "one").await?;
    delivery.until_data("a", "one").await?;
    delivery.close().await?;
    scene.then("its objects go with it");
    let left = scene.api::<ConfigMap>().list(&ListParams::default()).await?;
    let left: Vec<_> = left.items.into_iter().filter_map(|map| map.metadata.name).collect();
    ensure!(left.iter().all(|name| name == "kube-root-ca.crt"), "left: {left:?}");
    Ok(())
}

pub(super) async fn prunes_nothing_that_git_did_not_take_away(scene: Arc<Scene>) -> Result<()> {
    scene.given("an Application of two objects");
    let (a, b) = (map("a", "one"), map("b", "one"));
    let delivery = Delivery::open(&scene, &[("a.yaml", &a), ("b.yaml", &b)]).await?;
    let first = delivery.repository.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    delivery.until_synced(&first).await?;
    let both = async || -> Result<()> {
        for name in ["a", "b"] {
            let found = delivery.config_map(name).await?;
            ensure!(found.is_some_and(|map| map.metadata.deletion_timestamp.is_none()), "{name} is gone");
        }
        Ok(())
    };
    scene.when("a commit breaks one file");
    delivery.commit(&[("b.yaml", Some("kind: [\n"))])?;
    let application = delivery.until_told("ComparisonError", "b.yaml").await?;
    ensure!(application["status"]["sync"]["status"] == "Unknown", "{}", application["status"]["sync"]);
    both().await?;
    scene.when("a commit takes every file away");
    delivery.commit(&[("a.yaml", None), ("b.yaml", None), ("readme.txt", Some("nothing here"))])?;
    delivery.until_told("SyncError", "wipe out all resources").await?;
    both().await?;
    scene.when("the repository cannot be reached");
    let root = scene.cluster().git_root()?;
    let (here, away) =
        (root.join(format!("{}.git", delivery.path)), root.join(format!("{}.away", delivery.path)));
    std::fs::rename(&here, &away)?;
    delivery.refresh().await?;
    delivery.until_told("ComparisonError", "cannot be read").await?;
    both().await?;
    scene.then("it goes on where it was when everything is back");
    std::fs::rename(&away, &here)?;
    let commit = delivery.commit(&[("a.yaml", Some(&map("a", "two"))), ("b.yaml", Some(&b))])?;
    let application = delivery.until_synced(&commit).await?;
    ensure!(application["status"].get("conditions").is_none(), "{}", application["status"]["conditions"]);
    delivery.until_data("a", "two").await?;
    delivery.close().await
}

pub(super) async fn reads_a_private_repository_with_its_secret(scene: Arc<Scene>) -> Result<()> {
    scene.given("a private repository and no credentials");
    let delivery = Delivery::of(&scene, &format!("private/{}", scene.namespace())).await?;
    let commit = delivery.commit(&[("a.yaml", Some(&map("a", "one")))])?;
    delivery.install(json!({})).await?;
    delivery.until_told("ComparisonError", "refuses").await?;
    scene.when("a Secret brings them, labelled as Argo CD's are");
    let (user, password) = GIT_CREDENTIALS.split_once(':').context("no password")?;
    let url = Cluster::git_url_inside(&delivery.path);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": scene.namespace(), "namespace": NAMESPACE,
            "labels": {"argocd.argoproj.io/secret-type": "repository"},
        },
        "stringData": {"type": "git", "url": url, "username": user, "password": password},
    });
    manifest::apply_value(&scene.client(), secret, NAMESPACE).await?;
    delivery.refresh().await?;
    let application = delivery.until_synced(&commit).await?;
    scene.then("it is synced, and nobody tells the password");
    ensure!(!application.to_string().contains(password), "the password is in the Application");
    let secrets: Api<Secret> = Api::namespaced(scene.client(), NAMESPACE);
    secrets.delete(scene.namespace(), &DeleteParams::default()).await?;
    delivery.close().await
}

pub(super) async fn heals_what_people_change_and_never_a_canary(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop from Git, healed by itself");
    let shop = Shop::of(&scene);
    let strategy = routed(&json!([{"setWeight": 30}, {"pause": {}}]));
    let files = |version: &str| shop.manifest(version, 3, &strategy);
    let delivery =
        Delivery::open(&scene, &[("shop.yaml", &files("v1")), ("map.yaml", &map("map", "git"))]).await?;
    let first = delivery.repository.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    delivery.until_synced(&first).await?;
    let load = shop.load(60).await?;
    let running = load.start();
    scene.when("a commit ships a version, and the canary holds at 30 %");
    let commit = delivery.commit(&[("shop.yaml", Some(&files("v2")))])?;
    shop.until_paused_at(1).await?;
    load.until_answers(|answers| answers.share_percent("v2") > 10.0).await?;
    scene.when("somebody changes an object by hand, twice");
    for hand in ["hand", "again"] {
        let change = json!({"data": {"key": hand}});
        scene.api::<ConfigMap>().patch("map", &PatchParams::default(), &Patch::Merge(change)).await?;
        delivery.until_data("map", "git").await?;
    }
    scene.then("that is healed, and the canary keeps its share: Synced all the while");
    let application = delivery
        .until("synced, its Rollout suspended", |application| {
            let status = &application["status"];
            status["sync"]["status"] == "Synced"
                && status["sync"]["revision"] == commit.as_str()
                && status["health"]["status"] == "Suspended"
        })
        .await?;
    let heals = &application["status"]["operationState"]["operation"]["sync"]["autoHealAttemptsCount"];
    ensure!(heals.as_i64().is_some_and(|count| count >= 1), "the last sync was no heal: {heals}");
    let answers = shop.fast(400)?.send(1000).await?;
    ensure_none_lost(&answers)?;
    ensure_share(&answers, "v2", 30.0)?;
    scene.when("it is promoted");
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    delivery.until_synced(&commit).await?;
    load.until_answers(|answers| answers.share_percent("v2") > 99.9).await?;
    ensure_none_lost(&running.stop().await?)?;
    delivery.close().await
}

pub(super) async fn says_what_it_cannot_do_and_does_the_rest(scene: Arc<Scene>) -> Result<()> {
    scene.given("one object that the server refuses beside a good one, and a field that is not acted on");
    let bad = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n";
    let delivery = Delivery::of(&scene, scene.namespace()).await?;
    delivery.commit(&[("good.yaml", Some(&map("good", "one"))), ("bad.yaml", Some(bad))])?;
    let policy = json!({"automated": {"prune": true, "selfHeal": true}, "retry": {"limit": 0}});
    delivery
        .install(json!({"syncPolicy": policy, "info": [{"name": "url", "value": "https://example.com"}]}))
        .await?;
    scene.then("the refusal is told with the object's name");
    let application = delivery
        .until("failed", |application| {
            let phase = &application["status"]["operationState"]["phase"];
            phase == "Failed" || phase == "Error"
        })
        .await?;
    let state = application["status"]["operationState"].to_string();
    ensure!(state.contains("bad") && state.contains("99999"), "the state is {state}");
    scene.when("the manifest is mended");
    let good = bad.replace("99999", "80");
    let commit = delivery.commit(&[("bad.yaml", Some(&good))])?;
    delivery.until_synced(&commit).await?;
    delivery.until_data("good", "one").await?;
    scene.when("the Application asks for a tool that is not there yet");
    let mut source = json!({"repoURL": Cluster::git_url_inside(&delivery.path), "targetRevision": "main", "path": "deploy"});
    source["kustomize"] = json!({"namePrefix": "x-"});
    delivery.install(json!({"source": source})).await?;
    scene.then("nothing is synced, and the field is named");
    delivery.until_told("ComparisonError", "kustomize").await?;
    ensure!(delivery.config_map("good").await?.is_some(), "the object is gone");
    source.as_object_mut().map(|source| source.remove("kustomize"));
    delivery.install(json!({"source": source})).await?;
    delivery.until_synced(&commit).await?;
    delivery.close().await
}

pub(super) async fn keeps_to_its_namespace(scene: Arc<Scene>) -> Result<()> {
    scene.given("a manifest that names another namespace, and one that belongs to none");
    let stray = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stray, namespace: default}\n";
    let delivery = Delivery::open(&scene, &[("a.yaml", &map("a", "one")), ("stray.yaml", stray)]).await?;
    scene.then("it is refused: the sync has no right there, and says so");
    let told = |application: &Value| application["status"].to_string().contains("default");
    let application = delivery.until("telling of the other namespace", told).await?;
    ensure!(application["status"]["sync"]["status"] != "Synced", "{}", application["status"]["sync"]);
    let elsewhere: Api<ConfigMap> = Api::namespaced(scene.client(), "default");
    ensure!(elsewhere.get_opt("stray").await?.is_none(), "the object is in namespace default");
    scene.when("the destination is a namespace that the installation does not name");
    let destination = json!({"server": "https://kubernetes.default.svc", "namespace": "kube-system"});
    delivery.install(json!({"destination": destination})).await?;
    delivery.until_told("InvalidSpecError", "sync.namespaces").await?;
    scene.when("all is in its place again");
    let commit = delivery.commit(&[("stray.yaml", None)])?;
    delivery.install(json!({})).await?;
    delivery.until_synced(&commit).await?;
    delivery.close().await
}
