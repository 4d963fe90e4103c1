//! The controller killed without a warning, again and again, in the middle of one update under load.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::figures::Figures;
use super::shop::{Shop, is_current, routed};
use super::watched::Watched;
use crate::cluster::Cluster;
use crate::install;
use crate::scene::{self, PATIENCE, Scene};

/// The program that is killed.
pub(super) const PROGRAM: &str = "tidegate";
const PODS: &str = "app.kubernetes.io/name=tidegate";
/// Whose changes tell that the controller is writing.
const WRITTEN: [(&str, &str); 4] = [
    ("argoproj.io/v1alpha1", "Rollout"),
    ("apps/v1", "ReplicaSet"),
    ("networking.k8s.io/v1", "Ingress"),
    ("v1", "Service"),
];

pub(super) async fn of_the_controller_lose_nothing(scene: Arc<Scene>) -> Result<()> {
    scene.given("a controller for this test alone: killing the one for all would hold them up");
    let values = [
        "namespaced=true",
        "instanceId=killed",
        "crds.install=false",
        // It is dead before its successor is made, so no lease need be waited for.
        "extraArgs={--leader-elect=false}",
    ];
    install::in_namespace(scene.cluster(), scene.namespace(), &values).await?;
    let controller =
        Controller { namespace: scene.namespace().to_owned(), lease: None, instance: Some("killed") };
    killed(&scene, &controller, 3, Chance::fresh_seed(), 100).await?.ensure_clean()
}

/// A controller that can be killed.
pub(super) struct Controller {
    pub(super) namespace: String,
    /// What it works only with, if anything.
    pub(super) lease: Option<&'static str>,
    /// What its Rollouts are labelled with.
    pub(super) instance: Option<&'static str>,
}

impl Controller {
    /// The one that `install::with_values` installs.
    pub(super) fn installed() -> Self {
        Self {
            namespace: install::NAMESPACE.to_owned(),
            lease: Some("argo-rollouts-controller-lock"),
            instance: None,
        }
    }

    /// Waits until a pod of it is at work that is none of these, by uid.
    pub(super) async fn until_at_work(&self, cluster: &Cluster, dead: &BTreeSet<String>) -> Result<Pod> {
        let client = cluster.client();
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let follow = async {
            let mut changes =
                pin!(watcher::watcher(pods, watcher::Config::default().labels(PODS)).applied_objects());
            while let Some(change) = changes.next().await {
                // A watch that breaks is taken up again by the stream itself.
                let Ok(pod) = change else { continue };
                if is_ready(&pod) && !dead.contains(&uid(&pod)) {
                    return Some(pod);
                }
            }
            None
        };
        let pod = tokio::time::timeout(PATIENCE, follow).await.ok().flatten();
        let pod = pod.context("the killed controller has no successor")?;
        if let Some(lease) = self.lease {
            let kind = scene::resource(client, "coordination.k8s.io/v1", "Lease").await?;
            let leases = Api::namespaced_with(client.clone(), &self.namespace, &kind);
            let name = pod.metadata.name.clone().unwrap_or_default();
            let holds = |lease: &Value| {
                lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| holder.starts_with(&name))
            };
            scene::until_json(leases, lease, &format!("held by {name}"), PATIENCE, holds).await?;
        }
        Ok(pod)
    }

    /// Kills it. kubelet would let the container wait longer each time before it starts again; a new pod starts at once.
    pub(super) async fn kill(&self, cluster: &Cluster, pod: &Pod) -> Result<()> {
        cluster.kill_in_pod(&uid(pod), PROGRAM)?;
        let pods: Api<Pod> = Api::namespaced(cluster.client().clone(), &self.namespace);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        pods.delete(pod.metadata.name.as_deref().unwrap_or_default(), &now)
            .await
            .context("cannot delete the killed controller's pod")?;
        Ok(())
    }
}

pub(super) fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// One update, during which the controller is killed so many times, at moments that follow from the seed.
pub(super) async fn killed(
    scene: &Arc<Scene>,
    controller: &Controller,
    times: u32,
    seed: u64,
    per_second: u32,
) -> Result<Figures> {
    scene.given(&format!("a shop with an update of many steps, under load; seed {seed}"));
    let shop = Shop::of(scene).of_instance(controller.instance);
    // More steps than a controller can do in its lives before the last kill.
    let shop = shop.opened(4, &routed(&steps(i64::from(times) * 2))).await?;
    let mut watched = Watched::start(&shop, per_second, "v1").await?;
    let changes = Changes::follow(scene).await?;
    let mut chance = Chance::new(seed);
    let (mut dead, mut remarks) = (BTreeSet::new(), vec![format!("seed {seed}")]);
    watched.allow(&["v1", "v2"]);
    shop.ship("v2", json!([])).await?;
    for turn in 1..=times {
        let pod = controller.until_at_work(scene.cluster(), &dead).await?;
        let moment = Moment::random(&mut chance);
        moment.wait(&changes).await;
        controller.kill(scene.cluster(), &pod).await?;
        dead.insert(uid(&pod));
        let rollout = shop.until("there", |_| true).await?;
        let status = &rollout["status"];
        let remark = format!("kill {turn} {moment}, at step {}", status["currentStepIndex"]);
        scene.when(&remark);
        remarks.push(remark);
        ensure!(!is_over(&rollout), "the update was over before kill {turn}");
    }
    scene.then("the last successor finishes the update, and nothing was lost");
    controller.until_at_work(scene.cluster(), &dead).await?;
    shop.until_promoted("v2").await?;
    watched.settle(&["v2"]).await?;
    shop.until("down to the new pods", |rollout| rollout["status"]["replicas"] == 4).await?;
    Ok(Figures { remarks, ..watched.stop().await? })
}

/// Whether the update is done; one that the status does not know of yet has not begun.
fn is_over(rollout: &Value) -> bool {
    let status = &rollout["status"];
    is_current(rollout)
        && status["currentStepIndex"] != Value::Null
        && status["stableRS"] == status["currentPodHash"]
}

/// Weights that rise evenly, each for a second.
fn steps(count: i64) -> Value {
    let steps = (1..=count).flat_map(|turn| {
        let weight = (turn * 100 / (count + 1)).max(1);
        [json!({"setWeight": weight}), json!({"pause": {"duration": 1}})]
    });
    steps.collect()
}

/// When to kill, once a controller is at work. A fixed time hits its waits, a change the middle of its writes.
enum Moment {
    After(Duration),
    Change { nth: u64, then: Duration },
}

impl Moment {
    fn random(chance: &mut Chance) -> Self {
        if chance.below(2) == 0 {
            Self::After(Duration::from_millis(chance.below(2000)))
        } else {
            Self::Change { nth: 1 + chance.below(4), then: Duration::from_millis(chance.below(30)) }
        }
    }

    async fn wait(&self, changes: &Changes) {
        match self {
            Self::After(time) => tokio::time::sleep(*time).await,
            Self::Change { nth, then } => {
                let mut count = changes.count.clone();
                let enough = *count.borrow() + nth;
                // Where so many changes do not come, any moment will do. What is answered locks the count, and whoever counts on
                // would block its thread: it is let go before the pause.
                let wait = count.wait_for(|count| *count >= enough);
                drop(tokio::time::timeout(Duration::from_secs(3), wait).await);
                tokio::time::sleep(*then).await;
            }
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(time) => write!(f, "after {} ms", time.as_millis()),
            Self::Change { nth, then } => write!(f, "{} ms after change {nth}", then.as_millis()),
        }
    }
}

/// Counts the changes of what the controller writes to in a namespace.
struct Changes {
    count: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Changes {
    async fn follow(scene: &Scene) -> Result<Self> {
        let (counted, count) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for (api_version, kind) in WRITTEN {
            let (api, counted) = (scene.api_of(api_version, kind).await?, counted.clone());
            tasks.spawn(async move {
                let mut changes = pin!(watcher::watcher(api, watcher::Config::default()).applied_objects());
                while let Some(change) = changes.next().await {
                    counted.send_modify(|count| *count += u64::from(change.is_ok()));
                }
            });
        }
        Ok(Self { count, _tasks: tasks })
    }
}
