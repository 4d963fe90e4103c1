//! The harness itself, tested: what every other test takes for granted.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;

use crate::cluster::GIT_CREDENTIALS;
use crate::git::Repository;
use crate::scene::Scene;

/// A Deployment and its Service; `NAME` and `VERSION` are filled in.
const APP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata:
      labels: {app: NAME}
      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
    spec:
      containers:
        - name: app
          image: tidegate.dev/app:VERSION
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: 8080}]
"#;

const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: stable}
spec:
  ingressClassName: nginx
  rules:
    - host: HOST
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: stable, port: {number: 80}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: canary
  annotations:
    nginx.ingress.kubernetes.io/canary: "true"
    nginx.ingress.kubernetes.io/canary-weight: "20"
spec:
  ingressClassName: nginx
  rules:
    - host: HOST
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: canary, port: {number: 80}}}}]}
"#;

async fn deploy(scene: &Scene, name: &str, version: &str) -> Result<()> {
    scene.apply(&APP.replace("NAME", name).replace("VERSION", version)).await?;
    scene.until_deployed(name).await.map(drop)
}

pub(super) async fn a_deployment_becomes_ready(scene: Arc<Scene>) -> Result<()> {
    scene.given("an application of two pods");
    deploy(&scene, "app", "v1").await?;
    scene.then("both pods have addresses of their own");
    let pods = scene.api::<Pod>().list(&ListParams::default().labels("app=app")).await?;
    let mut addresses: Vec<_> =
        pods.items.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect();
    addresses.sort();
    addresses.dedup();
    ensure!(addresses.len() == 2, "the addresses are {addresses:?}");
    Ok(())
}

pub(super) async fn a_service_answers_through_kube_proxy(scene: Arc<Scene>) -> Result<()> {
    scene.given("an application behind a Service");
    deploy(&scene, "app", "v2").await?;
    let service = scene.until("app", "there", |_: &Service| true).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
    scene.when("a pod asks it by its address");
    let answer =
        scene.run_script("client", &format!("until wget -qO- http://{address}/; do :; done")).await?;
    scene.then("it answers with its version");
    ensure!(answer.trim().ends_with("v2"), "it answered {answer:?}");
    Ok(())
}

pub(super) async fn a_canary_ingress_splits_the_traffic(scene: Arc<Scene>) -> Result<()> {
    scene.given("a stable and a canary application behind Ingresses, the canary at weight 20");
    tokio::try_join!(deploy(&scene, "stable", "v1"), deploy(&scene, "canary", "v2"))?;
    let host = format!("{}.example.com", scene.namespace());
    scene.apply(&INGRESS.replace("HOST", &host)).await?;
    let load = scene.load(&host, 200)?;
    load.until_answers(|answers| answers.share_percent("v2") > 0.0 && answers.bad().count() == 0).await?;
    scene.when("a thousand requests are sent");
    let answers = load.send(1000).await?;
    scene.then("every one is answered, a fifth of them by the canary");
    if let Some(bad) = answers.first_bad() {
        bail!("{bad}");
    }
    let share = answers.share_percent("v2");
    ensure!((share - 20.0).abs() < 3.0, "the canary's share is {share} %");
    Ok(())
}

pub(super) async fn names_resolve_inside_pods(scene: Arc<Scene>) -> Result<()> {
    scene.given("a Service");
    deploy(&scene, "app", "v3").await?;
    scene.when("a pod asks it by its short name, and the API server by its long one");
    let script = "until wget -qO- http://app/; do :; done; nslookup kubernetes.default.svc.cluster.local";
    let said = scene.run_script("client", script).await?;
    scene.then("both names have addresses");
    ensure!(said.contains("v3"), "the pod wrote {said:?}");
    Ok(())
}

pub(super) async fn prometheus_counts_what_the_application_answered(scene: Arc<Scene>) -> Result<()> {
    scene.given("an application that Prometheus scrapes");
    deploy(&scene, "app", "v4").await?;
    scene.until_endpoints("app", 2).await?;
    scene.when("a pod asks it seven times");
    scene.run_script("client", "for i in 1 2 3 4 5 6 7; do wget -qO- http://app/; done").await?;
    scene.then("Prometheus counts seven");
    let query = format!("sum(http_requests_total{{namespace=\"{}\",version=\"v4\"}})", scene.namespace());
    scene.until_prometheus(&query, |value| (value - 7.0).abs() < 0.5).await?;
    Ok(())
}

pub(super) async fn a_repository_can_be_cloned_over_http(scene: Arc<Scene>) -> Result<()> {
    scene.given("a repository with one commit");
    let name = scene.namespace().to_owned();
    let repository = Repository::create(&scene.cluster().git_root()?, &name)?;
    let commit = repository.commit("first", &[("a.txt", Some("hello\n"))])?;
    scene.when("its branches are asked for over HTTP");
    let url = scene.cluster().git_url(&name)?;
    let heads = crate::command::output(&mut crate::command::command("git", &["ls-remote", "--heads", &url]))?;
    scene.then("the branch is at the commit");
    ensure!(heads.trim() == format!("{commit}\trefs/heads/main"), "the server said {heads:?}");
    Ok(())
}

pub(super) async fn a_private_repository_demands_credentials(scene: Arc<Scene>) -> Result<()> {
    scene.given("a private repository with one commit");
    let name = format!("private/{}", scene.namespace());
    Repository::create(&scene.cluster().git_root()?, &name)?
        .commit("first", &[("a.txt", Some("hello\n"))])?;
    let url = scene.cluster().git_url(&name)?;
    let ask = |url: &str| {
        // Without a terminal to ask on, Git gives up at once.
        let mut git = crate::command::command("git", &["ls-remote", "--heads", url]);
        crate::command::output(git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true"))
    };
    scene.then("it is refused without credentials and given with them");
    ensure!(ask(&url).is_err(), "the server gives {url} to everybody");
    ask(&url.replacen("http://", &format!("http://{GIT_CREDENTIALS}@"), 1))?;
    Ok(())
}
