//! Ways into a repository and out of it: ssh, and a Git server that tells of pushes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::delivery::{Delivery, map};
use crate::cache::hex;
use crate::cluster::Cluster;
use crate::install::NAMESPACE;
use crate::manifest;
use crate::say;
use crate::scene::Scene;

pub(super) async fn reads_over_ssh_only_from_a_host_that_is_known(scene: Arc<Scene>) -> Result<()> {
    scene.given("a repository by its ssh address, and no key");
    let keys = scene.cluster().ssh_keys()?;
    let delivery = Delivery::of(&scene, scene.namespace()).await?;
    delivery.commit(&[("a.yaml", Some(&map("a", "one")))])?;
    let url = Cluster::git_ssh_url_inside(&delivery.path);
    delivery.install(json!({"source": {"repoURL": url, "targetRevision": "main", "path": "deploy"}})).await?;
    delivery.until_told("ComparisonError", "no Secret for it has sshPrivateKey").await?;
    scene.when("a Secret brings a key, and another key is known of the host");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": scene.namespace(), "namespace": NAMESPACE,
            "labels": {"argocd.argoproj.io/secret-type": "repository"},
        },
        "stringData": {"type": "git", "url": format!("ssh://{}", url.replacen(':', "/", 1)), "sshPrivateKey": keys.client},
    });
    manifest::apply_value(&scene.client(), secret, NAMESPACE).await?;
    let trust = async |key: &str| {
        let known = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-ssh-known-hosts-cm", "namespace": NAMESPACE},
            "data": {"ssh_known_hosts": format!("git.forge {key}\n")},
        });
        manifest::apply_value(&scene.client(), known, NAMESPACE).await.map(drop)
    };
    trust(&keys.other_host).await?;
    delivery.refresh().await?;
    scene.then("it is refused, with the host, the ConfigMap and the key that the host shows");
    let application = delivery.until_told("ComparisonError", "is not the one that is known").await?;
    let told = application["status"]["conditions"].to_string();
    for words in ["git.forge", "argocd-ssh-known-hosts-cm", "ssh-ed25519 SHA256:"] {
        ensure!(told.contains(words), "{words} is not in {told}");
    }
    ensure!(delivery.config_map("a").await?.is_none(), "it was synced from a host that is not known");
    scene.when("the host's key is known");
    trust(&keys.host).await?;
    delivery.refresh().await?;
    scene.then("the repository is followed, and nobody tells the key");
    delivery.until_data("a", "one").await?;
    let commit = delivery.commit(&[("a.yaml", Some(&map("a", "two")))])?;
    let application = delivery.until_synced(&commit).await?;
    delivery.until_data("a", "two").await?;
    let secret = keys.client.lines().nth(2).context("the key is short")?;
    ensure!(!application.to_string().contains(secret), "the key is in the Application");
    let secrets: Api<Secret> = Api::namespaced(scene.client(), NAMESPACE);
    secrets.delete(scene.namespace(), &DeleteParams::default()).await?;
    let maps: Api<ConfigMap> = Api::namespaced(scene.client(), NAMESPACE);
    maps.delete("argocd-ssh-known-hosts-cm", &DeleteParams::default()).await?;
    delivery.close().await
}

/// The way to the webhooks that somebody outside takes.
const INGRESS: &str = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: webhook, namespace: tidegate}
spec:
  ingressClassName: nginx
  rules:
    - host: webhook.example.com
      http: {paths: [{path: /api/webhook, pathType: Exact, backend: {service: {name: tidegate-webhook, port: {number: 80}}}}]}
"#;

/// Sends a push as GitHub would, signed with a secret; returns the status.
async fn push(scene: &Scene, secret: &str, repository: &str) -> Result<u16> {
    let body = json!({
        "ref": "refs/heads/main", "forced": false, "created": false,
        "repository": {"html_url": format!("http://git.forge/{repository}"), "default_branch": "main"},
    })
    .to_string();
    let request = reqwest::Client::new().post(format!("http://{}/api/webhook", scene.cluster().ingress()?));
    let answer = request
        .header("Host", "webhook.example.com")
        .header("Content-Type", "application/json")
        .header("X-GitHub-Event", "push")
        .header("X-Hub-Signature-256", format!("sha256={}", signature(secret, body.as_bytes())))
        .body(body)
        .send()
        .await
        .context("the webhook is not answered")?;
    Ok(answer.status().as_u16())
}

/// HMAC-SHA256 as RFC 2104 tells it, so that what signs here is not what checks there.
fn signature(secret: &str, body: &[u8]) -> String {
    const BLOCK: usize = 64;
    let padded = |pad: u8| -> Vec<u8> {
        (0..BLOCK).map(|at| secret.as_bytes().get(at).copied().unwrap_or(0) ^ pad).collect()
    };
    let inner = Sha256::digest([padded(0x36).as_slice(), body].concat());
    hex(&Sha256::digest([padded(0x5c).as_slice(), inner.as_slice()].concat()))
}

pub(super) async fn follows_a_push_that_the_server_tells_of(scene: Arc<Scene>) -> Result<()> {
    const ASKED_AT: &str = "/metadata/annotations/tidegate.dev~1webhook-at";
    scene.given("a synced Application and a secret that the Git server shares");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "namespace": NAMESPACE},
        "stringData": {"webhook.github.secret": "shared with git"},
    });
    manifest::apply_value(&scene.client(), secret, NAMESPACE).await?;
    manifest::apply(&scene.client(), INGRESS, NAMESPACE).await?;
    let delivery = Delivery::open(&scene, &[("a.yaml", &map("a", "one"))]).await?;
    delivery.until_data("a", "one").await?;
    scene.when("somebody who does not know the secret tells of a push");
    // The route takes a moment to be there, and what the controller knew of the Secret counts for some seconds.
    while push(&scene, "shared with git", "nobody-follows-this").await? != 200 {
        let guessed = push(&scene, "a guess", &delivery.path).await?;
        ensure!(guessed != 200, "a wrong signature is accepted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    ensure!(
        push(&scene, "a guess", &delivery.path).await? == 401,
        "a wrong signature is not refused with 401"
    );
    let application = delivery.until("there", |_| true).await?;
    ensure!(application.pointer(ASKED_AT).is_none(), "a look was asked for: {}", application["metadata"]);
    scene.when("a commit is pushed, and the server tells of it");
    let commit = delivery.commit(&[("a.yaml", Some(&map("a", "two")))])?;
    let begun = Instant::now();
    ensure!(push(&scene, "shared with git", &delivery.path).await? == 200, "a signed webhook is refused");
    scene.then("the Application follows");
    let application = delivery.until_synced(&commit).await?;
    delivery.until_data("a", "two").await?;
    say(format!("       followed {:.1} s after the webhook", begun.elapsed().as_secs_f64()));
    ensure!(application.pointer(ASKED_AT).is_some(), "nobody was asked: {}", application["metadata"]);
    delivery.close().await
}
