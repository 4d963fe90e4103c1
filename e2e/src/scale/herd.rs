//! Many Rollouts of the same kind: a canary by replicas alone, two weights and two short pauses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::scene::resource;

pub(super) const NAMESPACE: &str = "scale";
pub(super) const FIRST: &str = "registry.example.com/shop/app:v1";
pub(super) const SECOND: &str = "registry.example.com/shop/app:v2";
/// The sum of the pauses of an update.
pub(super) const PAUSE_SECONDS: u32 = 2 * PAUSE;
const PAUSE: u32 = 5;
/// Pods of each Rollout.
const REPLICAS: u32 = 2;
/// Requests of the harness that are under way at once.
const AT_ONCE: usize = 16;

/// When each Rollout was made or changed.
pub(super) struct Given {
    pub(super) start: Instant,
    /// Until the last answer.
    pub(super) within: Duration,
    at: BTreeMap<String, Instant>,
}

/// From a Rollout's being made or changed until it was Healthy, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spread {
    pub(super) fastest: f64,
    pub(super) median: f64,
    pub(super) slowest: f64,
}

/// All Rollouts, and which of them are Healthy.
pub(super) struct Herd {
    api: Api<DynamicObject>,
    count: usize,
    states: States,
    changed: watch::Receiver<()>,
    /// Dropping it ends the watch.
    _watch: JoinSet<()>,
}

/// The image that each Rollout was last Healthy with, and since when.
type States = Arc<Mutex<BTreeMap<String, (String, Instant)>>>;

impl Herd {
    /// Prepares so many Rollouts, and begins to follow them.
    pub(super) async fn new(client: &Client, count: usize) -> Result<Self> {
        let kind = resource(client, "argoproj.io/v1alpha1", "Rollout").await?;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
        let states = States::default();
        let (sender, changed) = watch::channel(());
        let mut watch = JoinSet::new();
        watch.spawn(follow(api.clone(), Arc::clone(&states), sender));
        Ok(Self { api, count, states, changed, _watch: watch })
    }

    /// Makes all Rollouts.
    pub(super) async fn create(&self) -> Result<Given> {
        self.give(async |name| {
            let object: DynamicObject = serde_json::from_value(rollout(name))?;
            self.api.create(&PostParams::default(), &object).await.context("cannot create a Rollout")?;
            Ok(())
        })
        .await
    }

    /// Gives all Rollouts the second image.
    pub(super) async fn update(&self) -> Result<Given> {
        let image =
            json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": SECOND}]);
        let patch: Patch<Value> = Patch::Json(serde_json::from_value(image)?);
        self.give(async |name| {
            let params = PatchParams::default();
            self.api.patch(name, &params, &patch).await.context("cannot update a Rollout")?;
            Ok(())
        })
        .await
    }

    async fn give(&self, act: impl AsyncFn(&str) -> Result<()>) -> Result<Given> {
        let start = Instant::now();
        let names = (0..self.count).map(|index| format!("shop-{index:04}"));
        let act = &act;
        let at = stream::iter(names)
            .map(|name| async move {
                let at = Instant::now();
                act(&name).await?;
                anyhow::Ok((name, at))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Given { start, within: start.elapsed(), at })
    }

    /// How many are Healthy with an image.
    pub(super) fn healthy(&self, image: &str) -> usize {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.values().filter(|(with, _)| with == image).count()
    }

    /// Waits until all are Healthy with an image, but not longer than this; says whether they are.
    pub(super) async fn all_healthy(&mut self, image: &str, limit: Duration) -> Result<bool> {
        let end = tokio::time::Instant::now() + limit;
        while self.healthy(image) < self.count {
            match tokio::time::timeout_at(end, self.changed.changed()).await {
                Ok(changed) => changed.context("the watch of Rollouts has ended")?,
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// How long the Rollouts took to be Healthy with an image.
    pub(super) fn spread(&self, image: &str, given: &Given) -> Option<Spread> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let healthy = states.iter().filter(|(_, (with, _))| with == image);
        let took = healthy.filter_map(|(name, (_, at))| Some(at.duration_since(*given.at.get(name)?)));
        spread(took.map(|took| took.as_secs_f64()).collect())
    }
}

fn spread(mut seconds: Vec<f64>) -> Option<Spread> {
    seconds.sort_by(f64::total_cmp);
    Some(Spread {
        fastest: *seconds.first()?,
        median: *seconds.get(seconds.len() / 2)?,
        slowest: *seconds.last()?,
    })
}

async fn follow(api: Api<DynamicObject>, states: States, changed: watch::Sender<()>) {
    let mut events = watcher::watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        // A watch that breaks is taken up again by the stream itself.
        let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event else { continue };
        let Some(image) = healthy_image(&object) else { continue };
        let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.get(&object.name_any()).is_none_or(|(before, _)| before != image) {
            states.insert(object.name_any(), (image.to_owned(), Instant::now()));
            changed.send_replace(());
        }
    }
}

/// The image that a Rollout is Healthy with, if it is.
fn healthy_image(object: &DynamicObject) -> Option<&str> {
    let status = object.data.get("status")?;
    let observed = status["observedGeneration"].as_str()?;
    let is_current = object.metadata.generation.is_some_and(|generation| generation.to_string() == observed);
    let is_healthy = is_current && status["phase"] == "Healthy";
    object.data.pointer("/spec/template/spec/containers/0/image")?.as_str().filter(|_| is_healthy)
}

fn rollout(name: &str) -> Value {
    let pause = json!({"pause": {"duration": format!("{PAUSE}s")}});
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5});
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "shop"}},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop"}},
                "spec": {"containers": [{
                    "name": "app",
                    "image": FIRST,
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "env": [{"name": "SHOP", "value": name}, {"name": "LOG_LEVEL", "value": "info"}],
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                    "readinessProbe": probe,
                    "livenessProbe": probe,
                }]},
            },
            "strategy": {"canary": {"steps": [{"setWeight": 50}, pause, {"setWeight": 100}, pause]}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_counts_once_its_newest_spec_is_healthy() {
        let object = |observed: &str, phase: &str| -> DynamicObject {
            let mut object = rollout("shop-0001");
            object["metadata"]["generation"] = 2.into();
            object["status"] = json!({"observedGeneration": observed, "phase": phase});
            serde_json::from_value(object).unwrap()
        };
        assert_eq!(healthy_image(&object("2", "Healthy")), Some(FIRST));
        assert_eq!(healthy_image(&object("1", "Healthy")), None);
        assert_eq!(healthy_image(&object("2", "Progressing")), None);
        let spread = spread(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.fastest, spread.median, spread.slowest), (1.0, 2.0, 3.0));
    }
}
