//! Fields that others own beside Git, and how an Application says how its objects are.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::delivery::Delivery;
use crate::scene::Scene;

/// A Deployment of one container. `note` is what commits change.
fn web(note: &str) -> String {
    format!(
        r#"apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}, annotations: {{note: "{note}"}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: app
          image: tidegate.dev/app:v1
          env: [{{name: LEVEL, value: git}}]
          resources: {{requests: {{cpu: 1m}}}}
"#
    )
}

/// Changes the number of replicas as `kubectl scale --field-manager` does.
async fn scale(scene: &Scene, replicas: i32, manager: &str) -> Result<()> {
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let patch = json!({"spec": {"replicas": replicas}});
    scene.api::<Deployment>().patch_scale("web", &params, &Patch::Merge(patch)).await?;
    Ok(())
}

fn replicas(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.replicas
}

fn note(deployment: &Deployment) -> Option<String> {
    let template = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    template.annotations.as_ref()?.get("note").cloned()
}

/// An Application of the Deployment, with rules for differences and, if asked, respect for them.
async fn delivery(scene: &Arc<Scene>, rules: Value, respects: bool) -> Result<Delivery> {
    let delivery = Delivery::of(scene, scene.namespace()).await?;
    let commit = delivery.commit(&[("web.yaml", Some(&web("one")))])?;
    install(&delivery, rules, respects).await?;
    delivery.until_synced(&commit).await?;
    Ok(delivery)
}

async fn install(delivery: &Delivery, rules: Value, respects: bool) -> Result<()> {
    let options = if respects { vec!["RespectIgnoreDifferences=true"] } else { vec![] };
    let policy = json!({"automated": {"prune": true, "selfHeal": true}, "syncOptions": options});
    delivery.install(json!({"ignoreDifferences": rules, "syncPolicy": policy})).await
}

pub(super) async fn keeps_the_replicas_that_others_set(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Deployment from Git whose replicas are ignored and respected");
    let rules = json!([{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]);
    let delivery = delivery(&scene, rules.clone(), true).await?;
    scene.when("an autoscaler, which is not in Git, asks for two at least");
    scene
        .apply(
            r#"apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
"#,
        )
        .await?;
    scene.until::<Deployment>("web", "scaled to 2", |web| replicas(web) == Some(2)).await?;
    let commit = delivery.commit(&[("web.yaml", Some(&web("two")))])?;
    delivery.until_synced(&commit).await?;
    let live = scene.api::<Deployment>().get("web").await?;
    ensure!(replicas(&live) == Some(2) && note(&live).as_deref() == Some("two"), "{:?}", live.spec);
    scene.when("the autoscaler goes, and somebody scales by hand");
    scene.api::<HorizontalPodAutoscaler>().delete("web", &DeleteParams::default()).await?;
    scale(&scene, 3, "somebody").await?;
    let commit = delivery.commit(&[("web.yaml", Some(&web("three")))])?;
    delivery.until_synced(&commit).await?;
    let live = scene.api::<Deployment>().get("web").await?;
    ensure!(replicas(&live) == Some(3) && note(&live).as_deref() == Some("three"), "{:?}", live.spec);
    scene.when("they are only ignored, and no longer respected");
    install(&delivery, rules, false).await?;
    delivery.refresh().await?;
    let application = delivery.until_synced(&commit).await?;
    ensure!(application["status"].get("conditions").is_none(), "{}", application["status"]["conditions"]);
    ensure!(replicas(&scene.api::<Deployment>().get("web").await?) == Some(3), "an ignored field was healed");
    let commit = delivery.commit(&[("web.yaml", Some(&web("four")))])?;
    delivery.until_synced(&commit).await?;
    scene.then("the next sync sets them as Git says");
    ensure!(replicas(&scene.api::<Deployment>().get("web").await?) == Some(1), "replicas are not Git's");
    delivery.close().await
}

pub(super) async fn keeps_what_an_expression_selects(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Deployment whose image and one variable are others'");
    let rules = json!([{"group": "apps", "kind": "Deployment", "jqPathExpressions": [
        ".spec.template.spec.containers[] | select(.name == \"app\") | .image",
        ".spec.template.spec.containers[].env[]? | select(.name | startswith(\"LEV\")) | .value",
    ]}]);
    let delivery = delivery(&scene, rules, true).await?;
    scene.when("somebody changes both, and then a commit changes something else");
    let tuned = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "app", "image": "tidegate.dev/app:v2", "env": [{"name": "LEVEL", "value": "tuned"}]}]}}}});
    let params = PatchParams { field_manager: Some("tuner".to_owned()), ..PatchParams::default() };
    scene.api::<Deployment>().patch("web", &params, &Patch::Strategic(tuned)).await?;
    let application = delivery.refresh().await?;
    ensure!(application["status"]["sync"]["status"] == "Synced", "{}", application["status"]["sync"]);
    let commit = delivery.commit(&[("web.yaml", Some(&web("two")))])?;
    delivery.until_synced(&commit).await?;
    scene.then("both are as they were set");
    let live = serde_json::to_value(scene.api::<Deployment>().get("web").await?)?;
    let container = &live["spec"]["template"]["spec"]["containers"][0];
    ensure!(container["image"] == "tidegate.dev/app:v2", "{container}");
    ensure!(container["env"][0]["value"] == "tuned", "{container}");
    ensure!(live["spec"]["template"]["metadata"]["annotations"]["note"] == "two", "{live}");
    scene.when("an expression cannot be served");
    let rules = json!([{"group": "apps", "kind": "Deployment", "jqPathExpressions": ["env.HOME"]}]);
    install(&delivery, rules, true).await?;
    delivery.until_told("ComparisonError", "spec.ignoreDifferences[0].jqPathExpressions[0]").await?;
    install(&delivery, json!([]), false).await?;
    delivery.until("as Git says", |application| application["status"]["sync"]["status"] == "Synced").await?;
    scene
        .until::<Deployment>("web", "at Git's image", |web| {
            serde_json::to_value(web).is_ok_and(|web| {
                web["spec"]["template"]["spec"]["containers"][0]["image"] == "tidegate.dev/app:v1"
            })
        })
        .await?;
    delivery.close().await
}

pub(super) async fn keeps_the_fields_of_a_manager_and_no_others(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Deployment, and a manager whose fields are its own");
    let rules = json!([{"group": "*", "kind": "Deployment", "managedFieldsManagers": ["scaler"]}]);
    let delivery = delivery(&scene, rules, true).await?;
    scene.when("it scales, and a commit changes something else");
    scale(&scene, 2, "scaler").await?;
    let commit = delivery.commit(&[("web.yaml", Some(&web("two")))])?;
    delivery.until_synced(&commit).await?;
    let live = scene.api::<Deployment>().get("web").await?;
    ensure!(replicas(&live) == Some(2) && note(&live).as_deref() == Some("two"), "{:?}", live.spec);
    scene.when("somebody else scales");
    scale(&scene, 3, "somebody").await?;
    scene.then("that is healed");
    scene.until::<Deployment>("web", "at 1", |web| replicas(web) == Some(1)).await?;
    delivery.close().await
}

pub(super) async fn tells_how_its_objects_are(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Deployment and a Job that cannot run, and a CronJob that is suspended");
    let broken = web("one")
        .replace("  replicas: 1\n", "  replicas: 1\n  progressDeadlineSeconds: 5\n")
        .replace("          env:", "          command: [/none]\n          env:");
    let job = r#"apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: app, image: tidegate.dev/app:v1, command: [/none]}]
"#;
    let cron = r#"apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  suspend: true
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: app, image: tidegate.dev/app:v1}]
"#;
    let delivery =
        Delivery::open(&scene, &[("web.yaml", &broken), ("job.yaml", job), ("cron.yaml", cron)]).await?;
    let is = |application: &Value, kind: &str, code: &str| {
        let mut resources = application["status"]["resources"].as_array().into_iter().flatten();
        resources.any(|resource| resource["kind"] == kind && resource["health"]["status"] == code)
    };
    scene.then("each is told, and the worst is the Application's");
    let application = delivery
        .until("telling of each", |application| {
            is(application, "Deployment", "Degraded")
                && is(application, "Job", "Degraded")
                && is(application, "CronJob", "Suspended")
        })
        .await?;
    let health = &application["status"]["health"];
    ensure!(health["status"] == "Degraded", "{health}");
    let resources = application["status"]["resources"].to_string();
    ensure!(resources.contains("exceeded its progress deadline"), "{resources}");
    let message = health["message"].as_str().context("no message")?;
    ensure!(message.starts_with("Caused by ") && message.contains("Job"), "{message}");
    scene.when("all is mended");
    let commit =
        delivery.commit(&[("web.yaml", Some(&web("two"))), ("job.yaml", None), ("cron.yaml", None)])?;
    delivery.until_synced(&commit).await?;
    delivery.close().await
}
