//! A shop behind one of the routers, delivered by a Rollout: what the tests of canaries share.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::router::Router;
use crate::load::{Answers, Load};
use crate::say;
use crate::scene::Scene;

/// The kind under test.
pub(super) const ROLLOUT: (&str, &str) = ("argoproj.io/v1alpha1", "Rollout");
/// The kind of its analyses.
pub(super) const RUN: (&str, &str) = ("argoproj.io/v1alpha1", "AnalysisRun");

/// Services and Rollout; what is in capitals is filled in, and a route comes with them.
const SHOP: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: shop-stable}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop-canary}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop, labels: LABELS}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: shop}}
  template:
    metadata:
      labels: {app: shop}
      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
    spec:
      containers:
        - name: app
          image: IMAGE
          env: ENV
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
  strategy:
    canary: STRATEGY
"#;

/// A strategy with the NGINX router and these steps.
pub(super) fn routed(steps: &Value) -> Value {
    routed_by(Router::Nginx, steps)
}

/// A strategy with this router and these steps.
pub(super) fn routed_by(router: Router, steps: &Value) -> Value {
    json!({
        "stableService": "shop-stable",
        "canaryService": "shop-canary",
        "trafficRouting": router.routing(),
        "scaleDownDelaySeconds": 5,
        "abortScaleDownDelaySeconds": 5,
        "steps": steps,
    })
}

/// The shop of one test.
pub(super) struct Shop {
    pub(super) scene: Arc<Scene>,
    pub(super) host: String,
    pub(super) router: Router,
    /// The controller that its Rollout belongs to, where that is not the one for all tests.
    instance: Option<&'static str>,
    /// What its first version finds in its environment; null for nothing.
    env: Value,
}

impl Shop {
    /// Applies the shop at version v1 and waits until it is healthy.
    pub(super) async fn open(scene: &Arc<Scene>, replicas: i32, strategy: &Value) -> Result<Self> {
        Self::of(scene).opened(replicas, strategy).await
    }

    /// The same behind a router, with a canary of these steps.
    pub(super) async fn open_behind(
        scene: &Arc<Scene>,
        router: Router,
        replicas: i32,
        steps: &Value,
    ) -> Result<Self> {
        Self::behind(scene, router).opened(replicas, &routed_by(router, steps)).await
    }

    /// The same with a strategy that says more than steps.
    pub(super) async fn open_routed(
        scene: &Arc<Scene>,
        router: Router,
        replicas: i32,
        strategy: &Value,
    ) -> Result<Self> {
        Self::behind(scene, router).opened(replicas, strategy).await
    }

    /// The shop of a test that brings its objects itself.
    pub(super) fn of(scene: &Arc<Scene>) -> Self {
        Self::behind(scene, Router::Nginx)
    }

    /// The same, behind a router.
    pub(super) fn behind(scene: &Arc<Scene>, router: Router) -> Self {
        let host = format!("{}.example.com", scene.namespace());
        Self { scene: Arc::clone(scene), host, router, instance: None, env: Value::Null }
    }

    /// The same for the controller of this instance.
    pub(super) fn of_instance(self, instance: Option<&'static str>) -> Self {
        Self { instance, ..self }
    }

    /// The same with an environment for its first version.
    pub(super) fn with_env(self, env: Value) -> Self {
        Self { env, ..self }
    }

    /// Applies it at version v1 and waits until it is healthy.
    pub(super) async fn opened(self, replicas: i32, strategy: &Value) -> Result<Self> {
        self.router.until_known(&self.scene).await?;
        self.scene.apply(&self.manifest("v1", replicas, strategy)).await?;
        self.until_phase("Healthy").await?;
        Ok(self)
    }

    /// All its objects.
    pub(super) fn manifest(&self, version: &str, replicas: i32, strategy: &Value) -> String {
        let route = self.router.manifest(&self.host, "one");
        format!("{}\n---\n{route}", self.without_route(version, replicas, strategy))
    }

    /// All but the route.
    pub(super) fn without_route(&self, version: &str, replicas: i32, strategy: &Value) -> String {
        let labels = self.instance.map(|id| json!({"argo-rollouts.argoproj.io/controller-instance-id": id}));
        let without_env = SHOP.replace("          env: ENV\n", "");
        let shop = if self.env.is_null() { &without_env } else { SHOP };
        shop.replace("LABELS", &labels.unwrap_or_else(|| json!({})).to_string())
            .replace("IMAGE", &format!("tidegate.dev/app:{version}"))
            .replace("ENV", &self.env.to_string())
            .replace("REPLICAS", &replicas.to_string())
            .replace("STRATEGY", &strategy.to_string())
    }

    /// A load on the shop's host once the data plane answers for it.
    pub(super) async fn load(&self, per_second: u32) -> Result<Load> {
        let load = self.fast(per_second)?;
        load.until_answers(|answers| answers.bad().count() == 0).await?;
        Ok(load)
    }

    /// A load on the shop's host, which answers already.
    pub(super) fn fast(&self, per_second: u32) -> Result<Load> {
        Ok(Load::new(self.router.data_plane(self.scene.cluster())?, &self.host, per_second))
    }

    pub(super) async fn rollouts(&self) -> Result<Api<DynamicObject>> {
        self.scene.api_of(ROLLOUT.0, ROLLOUT.1).await
    }

    /// Merges into the Rollout, as `kubectl patch --type merge` does.
    pub(super) async fn patch(&self, patch: Value) -> Result<()> {
        let api = self.rollouts().await?;
        api.patch("shop", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .context("cannot patch the Rollout")?;
        Ok(())
    }

    /// Merges into the Rollout's status, as the kubectl plugins do.
    pub(super) async fn patch_status(&self, patch: Value) -> Result<()> {
        let api = self.rollouts().await?;
        let patch = Patch::Merge(json!({ "status": patch }));
        api.patch_status("shop", &PatchParams::default(), &patch)
            .await
            .context("cannot patch the Rollout's status")?;
        Ok(())
    }

    /// Changes the image of the shop, and its environment.
    pub(super) async fn ship(&self, version: &str, env: Value) -> Result<()> {
        let container = json!({
            "name": "app", "image": format!("tidegate.dev/app:{version}"), "env": env,
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        });
        self.patch(json!({"spec": {"template": {"spec": {"containers": [container]}}}})).await
    }

    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        self.scene.until_json(ROLLOUT, "shop", what, holds).await
    }

    /// The same with a limit of its own.
    pub(super) async fn until_within(
        &self,
        limit: Duration,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.scene.until_json_within(limit, ROLLOUT, "shop", what, holds).await
    }

    /// Waits until the status speaks of the newest spec and has this phase.
    pub(super) async fn until_phase(&self, phase: &str) -> Result<Value> {
        self.until(&format!("{phase} at its newest generation"), |rollout| {
            rollout["status"]["phase"] == phase && is_current(rollout)
        })
        .await
    }

    /// Waits until it pauses at a step and its conditions say so as well, which a write of its own follows up.
    pub(super) async fn until_paused_at(&self, step: i64) -> Result<Value> {
        self.until(&format!("paused at step {step}"), |rollout| {
            let status = &rollout["status"];
            let conditions = status["conditions"].as_array();
            status["phase"] == "Paused"
                && status["currentStepIndex"] == step
                && conditions
                    .into_iter()
                    .flatten()
                    .any(|known| known["type"] == "Paused" && known["status"] == "True")
        })
        .await
    }

    /// Waits until all steps are done with this version everywhere.
    pub(super) async fn until_promoted(&self, version: &str) -> Result<Value> {
        let image = format!("tidegate.dev/app:{version}");
        self.until(&format!("promoted to {version}"), |rollout| {
            let status = &rollout["status"];
            status["phase"] == "Healthy"
                && status["stableRS"] == status["currentPodHash"]
                && rollout["spec"]["template"]["spec"]["containers"][0]["image"] == image.as_str()
                && is_current(rollout)
                && status["canary"]["weights"]["canary"]["weight"].as_i64().unwrap_or(0) == 0
        })
        .await
    }

    /// Ends a pause, as `promote` does.
    pub(super) async fn promote(&self) -> Result<()> {
        self.patch_status(json!({"pauseConditions": null})).await
    }
}

/// Whether the status speaks of the newest spec.
pub(super) fn is_current(rollout: &Value) -> bool {
    rollout["status"]["observedGeneration"] == rollout["metadata"]["generation"].to_string().as_str()
}

/// Fails unless every request was answered, and well.
pub(super) fn ensure_none_lost(answers: &Answers) -> Result<()> {
    let (bad, lost) = (answers.bad().count(), answers.lost().count());
    ensure!(
        bad == 0,
        "of {} requests {bad} went wrong, {lost} of them lost; the first: {:?}",
        answers.len(),
        answers.first_bad()
    );
    say(format!("       none of {} requests was lost or went wrong", answers.len()));
    Ok(())
}

/// Fails unless a version's share is within three points of `percent`.
pub(super) fn ensure_share(answers: &Answers, version: &str, percent: f64) -> Result<()> {
    let share = answers.share_percent(version);
    ensure!(
        (share - percent).abs() <= 3.0,
        "{version} answered {share:.1} % of {} requests, not {percent} % +- 3",
        answers.len()
    );
    say(format!("       {version} answered {share:.1} % of {} requests at weight {percent}", answers.len()));
    Ok(())
}
