//! Analyses that ask a web server, and analyses that are Jobs, on the real cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::shop::{RUN, Shop};
use crate::images::BUSYBOX;
use crate::scene::{PATIENCE, Scene};

/// A server that answers a file, and the Service that leads to it.
const CHECK: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: check}
spec: {selector: {app: check}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: check}
spec:
  selector: {matchLabels: {app: check}}
  template:
    metadata: {labels: {app: check}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: httpd
          image: IMAGE
          command: [sh, -c]
          args:
            - |
              mkdir /tmp/www
              echo '{"checks": [{"name": "slow", "ratio": 0.2}, {"name": "shop", "ratio": 0.97}]}' > /tmp/www/health.json
              exec httpd -f -p 8080 -h /tmp/www
          readinessProbe: {httpGet: {path: /health.json, port: 8080}, periodSeconds: 1}
"#;

/// A web metric and a Job; the Job does what an argument says.
const TEMPLATES: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: web}
spec:
  args: [{name: address}, {name: token, valueFrom: {secretKeyRef: {name: token, key: token}}}]
  metrics:
    - name: ratio
      count: 2
      interval: 1s
      successCondition: result >= 0.95
      provider:
        web:
          url: "{{args.address}}/health.json"
          headers: [{key: Authorization, value: "Bearer {{args.token}}"}]
          jsonPath: "{.checks[?(@.name=='shop')].ratio}"
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: job}
spec:
  args: [{name: script}]
  metrics:
    - name: smoke
      provider:
        job:
          metadata: {labels: {team: shop}}
          spec:
            backoffLimit: 0
            template:
              metadata: {labels: {kind: smoke}}
              spec:
                restartPolicy: Never
                terminationGracePeriodSeconds: 0
                containers: [{name: smoke, image: IMAGE, command: [sh, -c, "{{args.script}}"]}]
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {token: open-sesame}
"#;

async fn templates(scene: &Scene) -> Result<()> {
    scene.apply(&TEMPLATES.replace("IMAGE", BUSYBOX)).await
}

/// Starts the server and returns its address.
async fn check(scene: &Scene) -> Result<String> {
    scene.apply(&CHECK.replace("IMAGE", BUSYBOX)).await?;
    scene.until_deployed("check").await?;
    scene.until_endpoints("check", 1).await?;
    Ok(format!("http://check.{}.svc.cluster.local", scene.namespace()))
}

fn step(template: &str, argument: &str, value: &str) -> Value {
    json!({"analysis": {
        "templates": [{"templateName": template}], "args": [{"name": argument, "value": value}],
    }})
}

async fn runs(scene: &Scene) -> Result<Vec<Value>> {
    let runs = scene.api_of(RUN.0, RUN.1).await?.list(&ListParams::default()).await?;
    Ok(runs
        .items
        .into_iter()
        .map(|run| json!({"metadata": run.metadata, "status": run.data["status"]}))
        .collect())
}

async fn jobs(scene: &Scene) -> Result<Vec<Job>> {
    Ok(scene.api::<Job>().list(&ListParams::default()).await?.items)
}

pub(super) async fn promote_a_canary_by_the_web_and_a_job(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop whose canary asks a web server and then runs a Job");
    let address = check(&scene).await?;
    templates(&scene).await?;
    let steps = json!([
        {"setWeight": 50}, step("web", "address", &address), step("job", "script", "exit 0"), {"pause": {}},
    ]);
    let shop = Shop::open(&scene, 2, &json!({"steps": steps})).await?;
    scene.when("a new version ships");
    shop.ship("v2", json!([])).await?;
    scene.then("both succeed, and the steps go on");
    shop.until_paused_at(3).await?;
    let runs = runs(&scene).await?;
    let results = runs.iter().map(|run| &run["status"]["metricResults"][0]);
    let mut told: Vec<(&str, &Value)> = results
        .map(|result| (result["name"].as_str().unwrap_or_default(), &result["measurements"]))
        .collect();
    told.sort_by_key(|(name, _)| *name);
    ensure!(told.len() == 2 && told[0].0 == "ratio" && told[1].0 == "smoke", "the runs are {runs:?}");
    let values: Vec<&Value> = told[0].1.as_array().into_iter().flatten().map(|one| &one["value"]).collect();
    ensure!(values == ["0.97", "0.97"], "the web metric measured {values:?}");
    ensure!(!format!("{runs:?}").contains("open-sesame"), "a Secret is told in a run: {runs:?}");
    let jobs = jobs(&scene).await?;
    let [job] = jobs.as_slice() else { anyhow::bail!("there are {} Jobs and not one", jobs.len()) };
    ensure!(
        told[1].1[0]["metadata"]["job-name"] == json!(job.metadata.name),
        "the measurement tells {:?}",
        told[1].1
    );
    let owner = job.metadata.owner_references.iter().flatten().next();
    ensure!(owner.is_some_and(|owner| owner.kind == "AnalysisRun"), "the Job is owned by {owner:?}");
    shop.promote().await?;
    shop.until_promoted("v2").await.map(drop)
}

pub(super) async fn abort_a_canary_when_its_job_fails(scene: Arc<Scene>) -> Result<()> {
    scene.given("a shop whose canary runs a Job");
    templates(&scene).await?;
    let steps = json!([{"setWeight": 50}, step("job", "script", "exit 3"), {"pause": {}}]);
    let shop = Shop::open(&scene, 2, &json!({"steps": steps})).await?;
    scene.when("a version ships whose Job fails");
    shop.ship("v2", json!([])).await?;
    scene.then("the update is aborted, and says which metric it was");
    let rollout = shop.until_phase("Degraded").await?;
    let message = rollout["status"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("\"smoke\" assessed Failed"), "the message is {message:?}");
    Ok(())
}

/// A run with a Job that does not end by itself.
const ENDLESS: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata: {name: endless}
spec:
  metrics:
    - name: smoke
      provider:
        job:
          spec:
            template:
              spec:
                restartPolicy: Never
                terminationGracePeriodSeconds: 0
                containers: [{name: smoke, image: "SMOKE", command: [sleep, "3600"]}]
"#;

pub(super) async fn end_the_job_of_a_run_that_is_ended(scene: Arc<Scene>) -> Result<()> {
    scene.given("an AnalysisRun whose Job runs for an hour");
    scene.apply(&ENDLESS.replace("SMOKE", BUSYBOX)).await?;
    let begun =
        |run: &Value| !run["status"]["metricResults"][0]["measurements"][0]["metadata"]["job-name"].is_null();
    let run = scene.until_json(RUN, "endless", "measured by a Job", begun).await?;
    let measurement = &run["status"]["metricResults"][0]["measurements"][0];
    let name = measurement["metadata"]["job-name"].as_str().unwrap_or_default().to_owned();
    let active = |job: &Job| job.status.as_ref().and_then(|status| status.active) == Some(1);
    scene.until(&name, "active", active).await?;
    scene.when("the run is told to end");
    let body = Patch::Merge(json!({"spec": {"terminate": true}}));
    scene.api_of(RUN.0, RUN.1).await?.patch("endless", &PatchParams::default(), &body).await?;
    scene.then("it ends without a verdict, and its Job and pods are gone");
    let ended = |run: &Value| run["status"]["phase"] == "Inconclusive";
    let run = scene.until_json(RUN, "endless", "Inconclusive", ended).await?;
    let measurement = &run["status"]["metricResults"][0]["measurements"][0];
    ensure!(measurement["message"] == "Metric Terminated", "the measurement is {measurement}");
    let none_left = async {
        loop {
            let pods = scene.api::<Pod>().list(&ListParams::default()).await?.items;
            if jobs(&scene).await?.is_empty() && pods.is_empty() {
                return Ok::<(), anyhow::Error>(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let left = tokio::time::timeout(PATIENCE, none_left).await;
    ensure!(matches!(left, Ok(Ok(()))), "the Job or its pod stays");
    Ok(())
}

pub(super) async fn leave_an_image_that_is_missing_to_a_person(scene: Arc<Scene>) -> Result<()> {
    scene.given("an AnalysisRun whose Job has an image that nobody has");
    scene.apply(&ENDLESS.replace("SMOKE", "tidegate.dev/nobody:1")).await?;
    scene.then("it is Inconclusive, and says which image it is");
    let ended = |run: &Value| run["status"]["phase"] == "Inconclusive";
    let run = scene.until_json(RUN, "endless", "Inconclusive", ended).await?;
    let message = run["status"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("has terminal error") && message.contains("nobody"),
        "the message is {message:?}"
    );
    Ok(())
}
