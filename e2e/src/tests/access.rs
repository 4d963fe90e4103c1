//! A Git server that tells of pushes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::delivery::{Delivery, map};
use crate::cache::hex;
use crate::install::NAMESPACE;
use crate::manifest;
use crate::say;
use crate::scene::Scene;

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
