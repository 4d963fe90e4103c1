//! What keeps pods from running on the real cluster, told by the Rollout itself while nobody has searched the pods.

use std::sync::Arc;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::DeleteParams;
use serde_json::Value;

use super::shop::ROLLOUT;
use crate::images::BUSYBOX;
use crate::scene::Scene;

/// A Rollout of two pods; `NAME`, `IMAGE`, `MORE` of the container and `REST` of the pod are filled in.
const MANIFEST: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  strategy: {canary: {}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: app, image: "IMAGE"MORE}]REST}
"#;

fn manifest(name: &str, image: &str, more: &str, rest: &str) -> String {
    MANIFEST.replace("NAME", name).replace("IMAGE", image).replace("MORE", more).replace("REST", rest)
}

/// Waits until the message of a Rollout has all of these words, and returns it.
async fn until_told(scene: &Scene, name: &str, words: &[&str]) -> Result<String> {
    let told = |rollout: &Value| {
        let message = rollout["status"]["message"].as_str().unwrap_or_default();
        words.iter().all(|word| message.contains(word))
    };
    let rollout = scene.until_json(ROLLOUT, name, &format!("telling {words:?}"), told).await?;
    Ok(rollout["status"]["message"].as_str().unwrap_or_default().to_owned())
}

pub(super) async fn names_what_keeps_pods_from_running(scene: Arc<Scene>) -> Result<()> {
    scene.given("Rollouts with an image, a command, a Secret and a node that are not there");
    let app = "tidegate.dev/app:v1";
    let missing = r#", envFrom: [{secretRef: {name: no-secret}}]"#;
    let ends = r#", command: ["sh", "-c", "echo password=hunter2; exit 3"], terminationMessagePolicy: FallbackToLogsOnError"#;
    scene.apply(&manifest("no-image", "tidegate.dev/app:nowhere", "", "")).await?;
    scene.apply(&manifest("no-end", BUSYBOX, ends, "")).await?;
    scene.apply(&manifest("no-config", app, missing, "")).await?;
    scene.apply(&manifest("no-node", app, "", ", nodeSelector: {disk: nowhere}")).await?;
    let pods = "updated replicas are still becoming available: 2 pods such as ";
    scene.then("each says how many pods, which container, and why");
    let image = "container app: image tidegate.dev/app:nowhere cannot be pulled: ";
    until_told(&scene, "no-image", &[pods, image]).await?;
    let message = until_told(&scene, "no-end", &[pods, "container app: ends with exit code 3"]).await?;
    ensure!(!message.contains("hunter2"), "a container's last words are in {message:?}");
    let config = "container app: CreateContainerConfigError: secret \"no-secret\" not found";
    until_told(&scene, "no-config", &[pods, config]).await?;
    until_told(&scene, "no-node", &[pods, "Unschedulable: 0/1 nodes are available"]).await?;
    scene.when("the Secret comes");
    scene.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: no-secret}\nstringData: {A: b}").await?;
    let healthy = |rollout: &Value| {
        rollout["status"]["phase"] == "Healthy" && rollout["status"].get("message").is_none()
    };
    scene.then("its Rollout is healthy, and says no more");
    scene.until_json(ROLLOUT, "no-config", "Healthy", healthy).await.map(drop)
}

pub(super) async fn names_the_quota(scene: Arc<Scene>) -> Result<()> {
    scene.given("a namespace with room for one pod, and a Rollout of two");
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: one-pod}\nspec: {hard: {pods: \"1\"}}";
    scene.apply(quota).await?;
    // Until the quota has counted, pods are not refused by it but for its being new.
    let counted = |quota: &ResourceQuota| quota.status.as_ref().is_some_and(|status| status.used.is_some());
    scene.until("one-pod", "counted", counted).await?;
    scene.apply(&manifest("shop", "tidegate.dev/app:v1", "", "")).await?;
    scene.then("the Rollout names the quota");
    let prefix = "more replicas need to be updated: FailedCreate: ";
    until_told(&scene, "shop", &[prefix, "exceeded quota: one-pod, requested: pods=1"]).await?;
    scene.when("the quota is gone");
    scene.api::<ResourceQuota>().delete("one-pod", &DeleteParams::default()).await?;
    scene.then("the Rollout gets its second pod");
    let healthy = |rollout: &Value| rollout["status"]["phase"] == "Healthy";
    scene.until_json(ROLLOUT, "shop", "Healthy", healthy).await.map(drop)
}
