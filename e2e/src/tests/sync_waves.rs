//! Waves, hooks and rollbacks on a real cluster: what the kubelet and the Job controller make of them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Resource;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use super::delivery::{Delivery, map};
use crate::images::BUSYBOX;
use crate::scene::{self, Scene};

/// A Job that runs a script, as a hook, deleted by this policy.
fn hook(name: &str, phase: &str, policy: &str, script: &str) -> String {
    format!(
        "apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  annotations:
    argocd.argoproj.io/hook: {phase}
    argocd.argoproj.io/hook-delete-policy: {policy}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers:
        - name: script
          image: {BUSYBOX}
          command: [sh, -c, \"{script}\"]
"
    )
}

fn in_wave(manifest: &str, wave: &str) -> String {
    format!("{manifest}---\n").replacen(
        "metadata: {",
        &format!("metadata: {{annotations: {{argocd.argoproj.io/sync-wave: \"{wave}\"}}, "),
        1,
    )
}

/// A Deployment that is ready a few seconds after it started.
fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: script
          image: {BUSYBOX}
          command: [sh, -c, \"sleep 3; touch /tmp/ready; sleep 3600\"]
          readinessProbe: {{exec: {{command: [test, -f, /tmp/ready]}}, periodSeconds: 1}}
"
    )
}

/// When something was made, in whole seconds.
fn made<K: Resource>(object: &K) -> Result<Timestamp> {
    Ok(object.meta().creation_timestamp.as_ref().context("no time of creation")?.0)
}

/// When the condition of a Deployment became true.
fn since(deployment: &Deployment, condition: &str) -> Result<Timestamp> {
    let conditions = deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let found = conditions.into_iter().find(|found| found.type_ == condition && found.status == "True");
    Ok(found.and_then(|found| found.last_transition_time.as_ref()).context("the condition is not there")?.0)
}

/// Without automation, with a field merged into the spec.
fn by_hand() -> Value {
    json!({"syncPolicy": {"syncOptions": ["PrunePropagationPolicy=background"]}})
}

/// Asks for a sync as a client does, and waits for its end.
async fn sync(delivery: &Delivery, sync: Value) -> Result<Value> {
    let asked = json!({
        "operation": {"sync": sync, "initiatedBy": {"username": "e2e"}},
        "status": {"operationState": null},
    });
    delivery.applications.patch(delivery.name(), &PatchParams::default(), &Patch::Merge(asked)).await?;
    delivery
        .until("done with its sync", |application| {
            let phase = &application["status"]["operationState"]["phase"];
            application.get("operation").is_none()
                && ["Succeeded", "Failed", "Error"].iter().any(|end| phase == end)
        })
        .await
}

pub(super) async fn come_in_order_and_wait_for_each_other(scene: Arc<Scene>) -> Result<()> {
    scene.given("a migration before, three waves, and a job after");
    let migrate = hook("migrate", "PreSync", "HookSucceeded", "sleep 2");
    let smoke = hook("smoke", "PostSync", "BeforeHookCreation", "true");
    let (early, late) = (in_wave(&map("early", "one"), "-1"), in_wave(&map("late", "one"), "1"));
    let delivery = Delivery::open(
        &scene,
        &[
            ("a-late.yaml", late.as_str()),
            ("b-smoke.yaml", smoke.as_str()),
            ("c-web.yaml", &deployment("web")),
            ("d-early.yaml", early.as_str()),
            ("e-migrate.yaml", migrate.as_str()),
        ],
    )
    .await?;
    let running = delivery
        .until("waiting for the migration", |application| {
            application["status"]["operationState"]["message"]
                == "waiting for completion of hook batch/Job/migrate"
        })
        .await?;
    ensure!(delivery.config_map("early").await?.is_none(), "applied before the migration has run");
    let begun = running["status"]["operationState"]["startedAt"].clone();
    let commit = delivery.head()?;
    let application = delivery.until_synced(&commit).await?;
    scene.then("each began when the one before was well");
    let early = delivery.config_map("early").await?.context("no early")?;
    let late = delivery.config_map("late").await?.context("no late")?;
    let web = scene.api::<Deployment>().get("web").await?;
    let smoke = scene.api::<Job>().get("smoke").await?;
    let times = [made(&early)?, made(&web)?, since(&web, "Available")?, made(&late)?, made(&smoke)?];
    ensure!(times.is_sorted(), "out of order: {times:?}");
    ensure!(
        times[0].duration_since(begun.as_str().context("no start")?.parse()?).as_secs() >= 2,
        "no wait for the migration"
    );
    ensure!(times[1].duration_since(times[0]).as_secs() >= 1, "waves are not apart: {times:?}");
    scene.then("the migration is gone, the last job stays, and nothing is out of sync for that");
    // Deleting a Job takes its pod first.
    let gone = await_condition(scene.api::<Job>(), "migrate", |job: Option<&Job>| job.is_none());
    tokio::time::timeout(scene::PATIENCE, gone).await.context("HookSucceeded leaves the job")??;
    ensure!(smoke.metadata.finalizers.unwrap_or_default().is_empty(), "the last job is still held");
    let results = application["status"]["operationState"]["syncResult"]["resources"].clone();
    let hooks: Vec<_> = results
        .as_array()
        .into_iter()
        .flatten()
        .filter(|result| !result["hookType"].is_null())
        .map(|result| (result["hookType"].clone(), result["hookPhase"].clone()))
        .collect();
    ensure!(
        hooks == [(json!("PreSync"), json!("Succeeded")), (json!("PostSync"), json!("Succeeded"))],
        "the hooks are told as {hooks:?}"
    );
    scene.when("the next commit brings them again");
    let commit = delivery.commit(&[("c-web.yaml", Some(&deployment("web").replace("3600", "3601")))])?;
    delivery.until_synced(&commit).await?;
    let again = scene.api::<Job>().get("smoke").await?;
    ensure!(again.metadata.uid != smoke.metadata.uid, "the job did not run again");
    delivery.close().await
}

pub(super) async fn a_failed_hook_stops_the_sync_and_says_why(scene: Arc<Scene>) -> Result<()> {
    scene.given("a migration that fails, and one who is told");
    let delivery = Delivery::of(&scene, scene.namespace()).await?;
    let files = |script: &str| {
        [
            ("a.yaml", map("a", "one")),
            ("migrate.yaml", hook("migrate", "PreSync", "BeforeHookCreation", script)),
            ("sorry.yaml", hook("sorry", "SyncFail", "HookFailed", "true")),
        ]
    };
    let commit = |script: &str| {
        let files = files(script);
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, Some(text.as_str()))).collect();
        delivery.commit(&files)
    };
    commit("exit 3")?;
    delivery.install(by_hand()).await?;
    delivery.until("compared", |application| application["status"]["sync"]["status"] == "OutOfSync").await?;
    let application = sync(&delivery, json!({})).await?;
    scene.then("nothing is applied, and the message names the job");
    let state = &application["status"]["operationState"];
    ensure!(state["phase"] == "Failed", "{state}");
    let message = state["message"].as_str().unwrap_or_default();
    ensure!(message.contains("batch/Job") && message.contains("migrate"), "it says: {message}");
    ensure!(delivery.config_map("a").await?.is_none(), "applied after a failed migration");
    let told = state["syncResult"]["resources"].to_string();
    ensure!(told.contains("SyncFail"), "the hook of the failed sync did not run: {told}");
    let jobs = scene.api::<Job>();
    ensure!(jobs.get("migrate").await?.metadata.finalizers.unwrap_or_default().is_empty(), "still held");
    scene.when("the migration is mended");
    commit("true")?;
    delivery.refresh().await?;
    let application = sync(&delivery, json!({})).await?;
    ensure!(application["status"]["operationState"]["phase"] == "Succeeded", "{}", application["status"]);
    delivery.until_data("a", "one").await?;
    scene.when("a sync is ended while its hook runs");
    commit("sleep 600")?;
    delivery.refresh().await?;
    let asked = json!({"operation": {"sync": {}}, "status": {"operationState": null}});
    delivery.applications.patch(delivery.name(), &PatchParams::default(), &Patch::Merge(asked)).await?;
    scene
        .until("migrate", "running", |job: &Job| {
            job.status.as_ref().is_some_and(|status| status.active == Some(1))
        })
        .await?;
    let end = json!({"status": {"operationState": {"phase": "Terminating"}}});
    delivery
        .until("running", |application| application["status"]["operationState"]["phase"] == "Running")
        .await?;
    delivery.applications.patch(delivery.name(), &PatchParams::default(), &Patch::Merge(end)).await?;
    let application = delivery.until("ended", |application| application.get("operation").is_none()).await?;
    ensure!(
        application["status"]["operationState"]["message"] == "Operation terminated",
        "{}",
        application["status"]["operationState"]
    );
    let left = jobs.get_opt("migrate").await?;
    ensure!(left.is_none_or(|job| job.metadata.deletion_timestamp.is_some()), "its hook runs on");
    delivery.close().await
}

pub(super) async fn go_back_to_an_older_commit(scene: Arc<Scene>) -> Result<()> {
    scene.given("two commits that were synced by hand");
    let delivery = Delivery::of(&scene, scene.namespace()).await?;
    let first = delivery.commit(&[("a.yaml", Some(&map("a", "one")))])?;
    delivery.install(by_hand()).await?;
    delivery.until("compared", |application| application["status"]["sync"]["status"] == "OutOfSync").await?;
    sync(&delivery, json!({"revision": first})).await?;
    let second = delivery.commit(&[("a.yaml", Some(&map("a", "two")))])?;
    delivery.refresh().await?;
    let application = sync(&delivery, json!({"revision": second})).await?;
    delivery.until_data("a", "two").await?;
    let entry = application["status"]["history"][0].clone();
    ensure!(entry["revision"] == first.as_str(), "the history is {}", application["status"]["history"]);
    scene.when("somebody rolls back to the first");
    let back =
        json!({"revision": entry["revision"], "source": entry["source"], "syncStrategy": {"apply": {}}});
    let application = sync(&delivery, back).await?;
    ensure!(application["status"]["operationState"]["phase"] == "Succeeded", "{}", application["status"]);
    delivery.until_data("a", "one").await?;
    scene.then("it stays there, out of sync with the branch, and the history says who it was");
    let application = delivery.refresh().await?;
    let status = &application["status"];
    ensure!(
        status["sync"]["status"] == "OutOfSync" && status["sync"]["revision"] == second.as_str(),
        "{}",
        status["sync"]
    );
    ensure!(status["history"][2]["revision"] == first.as_str(), "the history is {}", status["history"]);
    ensure!(status["history"][2]["initiatedBy"]["username"] == "e2e", "the history is {}", status["history"]);
    ensure!(
        delivery
            .config_map("a")
            .await?
            .and_then(|map: ConfigMap| map.data)
            .is_some_and(|data| data["key"] == "one"),
        "rolled forward"
    );
    delivery.close().await
}
