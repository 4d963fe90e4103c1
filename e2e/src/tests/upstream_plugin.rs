//! Argo Rollouts' own kubectl plugin as a client of Tidegate: what it shows, and what its commands do to the cluster.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};

use super::client::Client;
use super::shop::{Shop, ensure_none_lost, routed};
use crate::scene::Scene;

/// A run that ends well at once, and one that goes on until somebody ends it.
const CHECKS: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: passes}
spec:
  args: [{name: least, value: "1"}]
  metrics:
    - name: one
      successCondition: result[0] >= {{args.least}}
      provider: {prometheus: {address: ADDRESS, query: vector(1)}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: goes-on}
spec:
  metrics:
    - name: one
      interval: 1s
      successCondition: result[0] >= 1
      provider: {prometheus: {address: ADDRESS, query: vector(1)}}
"#;

/// Manifests of users, in the workspace.
const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/api/fixtures");

async fn given_checks(scene: &Scene) -> Result<()> {
    scene.apply(&CHECKS.replace("ADDRESS", &scene.cluster().prometheus_url()?)).await
}

/// Names of the shop's pods that nobody has told to go.
async fn pods(scene: &Scene) -> Result<BTreeSet<String>> {
    let pods: Api<Pod> = scene.api();
    let pods = pods.list(&ListParams::default().labels("app=shop")).await?;
    let staying = pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(staying.filter_map(|pod| pod.metadata.name).collect())
}

/// The shop at its first pause, as the plugin shows it.
async fn shows_the_pause(argo: &Client) -> Result<()> {
    argo.shows(
        "get rollout shop --no-color",
        &[
            &["Status: ॥ Paused"],
            &["Message: CanaryPauseStep"],
            &["Step: 1/5"],
            &["SetWeight: 25"],
            &["ActualWeight: 25"],
            &["tidegate.dev/app:v1 (stable)"],
            &["tidegate.dev/app:v2 (canary)"],
            &["Desired: 4"],
            &["Current: 5"],
            &["Updated: 1"],
            &["Ready: 5"],
            &["Available: 5"],
            &["# revision:2"],
            &["ReplicaSet ✔ Healthy", "canary"],
            &["# revision:1"],
            &["ReplicaSet ✔ Healthy", "stable"],
        ],
    )
    .await?;
    argo.shows(
        "list rollouts",
        &[
            &["NAME STRATEGY STATUS STEP SET-WEIGHT READY DESIRED UP-TO-DATE AVAILABLE"],
            &["shop Canary Paused 1/5 25 5/5 4 1 5"],
        ],
    )
    .await?;
    argo.expect("status shop --watch=false", 0, &["Paused - CanaryPauseStep"]).await?;
    argo.expect("status shop --timeout 1s", 1, &["Paused - CanaryPauseStep", "exceeded timeout"]).await?;
    Ok(())
}

pub(super) async fn shows_a_canary_and_promotes_it(scene: Arc<Scene>) -> Result<()> {
    scene.given("a healthy shop of four pods behind a router");
    let argo = Client::upstream(&scene).await?;
    given_checks(&scene).await?;
    let analysis = json!({"analysis": {"templates": [{"templateName": "passes"}]}});
    let steps = json!([{"setWeight": 25}, {"pause": {}}, analysis, {"setWeight": 50}, {"pause": {}}]);
    let shop = Shop::open(&scene, 4, &routed(&steps)).await?;
    argo.expect("version", 0, &["kubectl-argo-rollouts: v1.10.1"]).await?;
    argo.expect("get rollout absent", 1, &["absent", "not found"]).await?;
    argo.expect("status shop", 0, &["Healthy"]).await?;
    argo.shows(
        "get rollout shop --no-color",
        &[
            &["Name: shop"],
            &["Status: ✔ Healthy"],
            &["Strategy: Canary"],
            &["Step: 5/5"],
            &["SetWeight: 100"],
            &["ActualWeight: 100"],
            &["Images: tidegate.dev/app:v1 (stable)"],
            &["Desired: 4"],
            &["Current: 4"],
            &["Updated: 4"],
            &["Ready: 4"],
            &["Available: 4"],
            &["shop Rollout ✔ Healthy"],
            &["# revision:1"],
            &["ReplicaSet ✔ Healthy", "stable"],
            &["Pod ✔ Running", "ready:1/1"],
        ],
    )
    .await?;
    scene.when("a version ships and stops at its pause");
    argo.expect("set image shop nobody=tidegate.dev/app:v2", 1, &["nobody"]).await?;
    argo.expect("set image shop app=tidegate.dev/app:v2", 0, &[r#"rollout "shop" image updated"#]).await?;
    shop.until_paused_at(1).await?;
    shows_the_pause(&argo).await?;
    scene.when("a person promotes it, and then fully");
    argo.expect("promote shop", 0, &["rollout 'shop' promoted"]).await?;
    shop.until_paused_at(4).await?;
    argo.shows(
        "get rollout shop --no-color",
        &[
            &["Step: 4/5"],
            &["SetWeight: 50"],
            &["ActualWeight: 50"],
            &["Current: 6"],
            &["Updated: 2"],
            &["AnalysisRun ✔ Successful", "✔ 1"],
        ],
    )
    .await?;
    argo.expect("promote shop --full", 0, &["rollout 'shop' fully promoted"]).await?;
    argo.expect("status shop --timeout 120s", 0, &["Healthy"]).await?;
    shop.until_promoted("v2").await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 4).await?;
    argo.shows(
        "get rollout shop --no-color",
        &[&["Step: 5/5"], &["tidegate.dev/app:v2 (stable)"], &["Updated: 4"], &["Available: 4"]],
    )
    .await
    .map(drop)
}

pub(super) async fn takes_a_canary_back(scene: Arc<Scene>) -> Result<()> {
    scene.given("a canary at half of the traffic");
    let argo = Client::upstream(&scene).await?;
    let shop = Shop::open(&scene, 4, &routed(&json!([{"setWeight": 50}, {"pause": {}}]))).await?;
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    scene.when("a person aborts it");
    argo.expect("abort shop", 0, &["rollout 'shop' aborted"]).await?;
    shop.until_phase("Degraded").await?;
    let why = "RolloutAborted: Rollout aborted update to revision 2";
    argo.expect("status shop", 1, &["Degraded", why]).await?;
    shop.until("at weight 0", |rollout| rollout["status"]["canary"]["weights"]["canary"]["weight"] == 0)
        .await?;
    argo.shows(
        "get rollout shop --no-color",
        &[
            &["Status: ✖ Degraded"],
            &["Message:", why],
            &["Step: 0/2"],
            &["SetWeight: 0"],
            &["ActualWeight: 0"],
        ],
    )
    .await?;
    scene.when("a person tries again, and then goes back");
    argo.expect("retry rollout shop", 0, &["rollout 'shop' retried"]).await?;
    shop.until_paused_at(1).await?;
    argo.expect("undo shop --to-revision=9", 1, &["unable to find specified revision 9"]).await?;
    argo.expect("undo shop", 0, &["rollout 'shop' undo"]).await?;
    let rollout = shop.until_promoted("v1").await?;
    let revision = &rollout["metadata"]["annotations"]["rollout.argoproj.io/revision"];
    ensure!(revision == "3", "the revision is {revision}");
    scene.when("a person goes to a revision by its number");
    argo.expect("undo shop --to-revision=2", 0, &["rollout 'shop' undo"]).await?;
    shop.until_paused_at(1).await?;
    argo.expect("undo shop --to-revision=4", 0, &["skipped rollback"]).await?;
    argo.shows("get rollout shop --no-color", &[&["# revision:4"], &["tidegate.dev/app:v2 (canary)"]])
        .await?;
    argo.expect("promote shop --full", 0, &["fully promoted"]).await?;
    shop.until_promoted("v2").await.map(drop)
}

pub(super) async fn pauses_and_restarts(scene: Arc<Scene>) -> Result<()> {
    scene.given("a healthy shop of four pods, under load");
    let (argo, own) = (Client::upstream(&scene).await?, Client::own(&scene).await?);
    let shop = Shop::open(&scene, 4, &routed(&json!([{"setWeight": 50}, {"pause": {}}]))).await?;
    let running = shop.load(50).await?.start();
    scene.when("a person pauses it, and ships");
    argo.expect("pause shop", 0, &["rollout 'shop' paused"]).await?;
    shop.until_phase("Paused").await?;
    argo.shows("get rollout shop --no-color", &[&["Status: ॥ Paused"], &["Message: manually paused"]])
        .await?;
    shop.ship("v2", json!([])).await?;
    shop.until_phase("Paused").await?;
    argo.expect("promote shop", 0, &["promoted"]).await?;
    shop.until_paused_at(1).await?;
    argo.expect("promote shop --full", 0, &["fully promoted"]).await?;
    shop.until_promoted("v2").await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 4).await?;
    scene.when("a person asks for new pods");
    let before = pods(&scene).await?;
    argo.expect("restart shop", 0, &["rollout 'shop' restarts in 0s"]).await?;
    until_restarted(&shop).await?;
    let after = pods(&scene).await?;
    ensure!(after.len() == 4 && after.is_disjoint(&before), "of {before:?} some are left in {after:?}");
    argo.expect("status shop", 0, &["Healthy"]).await?;
    scene.when("a disruption budget allows none to go");
    scene.apply(NOBODY_GOES).await?;
    own.expect("restart shop --in 1s", 0, &["rollout 'shop' restarts in 1s"]).await?;
    shop.until("restarting", |rollout| rollout["status"]["message"] == "rollout is restarting").await?;
    argo.expect("status shop --timeout 5s", 1, &["Progressing - rollout is restarting"]).await?;
    ensure!(pods(&scene).await? == after, "pods went against their disruption budget");
    scene.when("the budget is gone");
    let budgets = scene.api_of("policy/v1", "PodDisruptionBudget").await?;
    budgets.delete("nobody-goes", &DeleteParams::default()).await?;
    until_restarted(&shop).await?;
    ensure!(pods(&scene).await?.is_disjoint(&after), "some of {after:?} are left");
    scene.then("no request was lost on the way");
    ensure_none_lost(&running.stop().await?)
}

const NOBODY_GOES: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: nobody-goes}
spec: {minAvailable: 4, selector: {matchLabels: {app: shop}}}
";

async fn until_restarted(shop: &Shop) -> Result<Value> {
    shop.until("restarted", |rollout| {
        rollout["status"]["restartedAt"] == rollout["spec"]["restartAt"]
            && rollout["status"]["phase"] == "Healthy"
    })
    .await
}

pub(super) async fn lints_creates_and_ends(scene: Arc<Scene>) -> Result<()> {
    scene.given("manifests as users write them");
    let argo = Client::upstream(&scene).await?;
    for name in ["rollout-canary-nginx", "rollout-canary-services", "rollout-blue-green"] {
        argo.expect(&format!("lint -f {MANIFESTS}/{name}.yaml"), 0, &[]).await?;
    }
    let without_selector = format!("lint -f {MANIFESTS}/rollout-without-selector.yaml");
    argo.expect(&without_selector, 1, &["missing field '.spec.selector'"]).await?;
    let shop = Shop::of(&scene);
    let file = |name: &str, text: &str| -> Result<PathBuf> {
        let path = Path::new(&std::env::temp_dir()).join(format!("{}-{name}.yaml", scene.namespace()));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    let manifest = shop.without_route("v1", 2, &json!({"steps": [{"setWeight": 50}, {"pause": {}}]}));
    let rollout = manifest.split("---").last().context("the shop has no Rollout")?;
    let broken = file("broken", &rollout.replace("setWeight\":50", "setWeight\":500"))?;
    argo.expect(&format!("lint -f {}", broken.display()), 1, &["SetWeight needs to be between 0 and 100"])
        .await?;
    scene.when("a person creates a Rollout and a run");
    let good = file("good", rollout)?;
    argo.expect(&format!("lint -f {}", good.display()), 0, &[]).await?;
    argo.expect(&format!("create -f {}", good.display()), 0, &["rollout.argoproj.io/shop created"]).await?;
    shop.until_phase("Healthy").await?;
    given_checks(&scene).await?;
    let run = ("argoproj.io/v1alpha1", "AnalysisRun");
    argo.expect("create analysisrun --from passes --name ends", 0, &["analysisrun.argoproj.io/ends created"])
        .await?;
    scene.until_json(run, "ends", "Successful", |run| run["status"]["phase"] == "Successful").await?;
    argo.expect("create analysisrun --from passes --name fails -a least=2", 0, &["fails created"]).await?;
    scene.until_json(run, "fails", "Failed", |run| run["status"]["phase"] == "Failed").await?;
    argo.expect("create analysisrun --from goes-on --name goes-on", 0, &["goes-on created"]).await?;
    scene.until_json(run, "goes-on", "Running", |run| run["status"]["phase"] == "Running").await?;
    argo.expect("terminate analysisrun goes-on", 0, &["analysisRun 'goes-on' terminated"]).await?;
    let run =
        scene.until_json(run, "goes-on", "ended", |run| run["status"]["completedAt"].is_string()).await?;
    ensure!(run["status"]["message"] == "Run Terminated", "the run's status is {}", run["status"]);
    std::fs::remove_file(broken)?;
    std::fs::remove_file(good).map_err(Into::into)
}
