//! Tidegate installed over what is there, and taken away again, while users' requests go on.
//!
//! Argo's own CRDs come first, with objects as its controllers leave them. Every command of the README's section about
//! moving is run as it is written there. The kinds belong to the whole cluster, so this runs on one of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::shop::{Shop, ensure_none_lost, ensure_share, routed};
use crate::cluster::Cluster;
use crate::command::{command, output};
use crate::images::{self, TidegateImage};
use crate::scene::{self, Scene};
use crate::{argo, tools};

/// Objects as people wrote them for Argo Rollouts and Argo CD, and a stand-in for Argo's controller.
const BEFORE: &str = include_str!("takeover/before.yaml");
const README: &str = include_str!("../../../README.md");
const SECTION: &str = "## Moving from Argo Rollouts, and back\n";

/// Kinds of which every object must stay as it is, and whether they have a namespace.
const KEPT: [(&str, &str, bool); 12] = [
    ("argoproj.io/v1alpha1", "Rollout", true),
    ("argoproj.io/v1alpha1", "AnalysisTemplate", true),
    ("argoproj.io/v1alpha1", "ClusterAnalysisTemplate", false),
    ("argoproj.io/v1alpha1", "AnalysisRun", true),
    ("argoproj.io/v1alpha1", "Experiment", true),
    ("argoproj.io/v1alpha1", "Application", true),
    ("argoproj.io/v1alpha1", "AppProject", true),
    ("argoproj.io/v1alpha1", "ApplicationSet", true),
    ("apps/v1", "ReplicaSet", true),
    ("v1", "Pod", true),
    ("v1", "Service", true),
    ("networking.k8s.io/v1", "Ingress", true),
];

/// Installs over, and back, on a cluster that has none of the kinds yet.
pub(crate) async fn run(cluster: Arc<Cluster>) -> Result<()> {
    let scene = Arc::new(Scene::open(cluster, "shop").await?);
    match story(&scene).await {
        Ok(()) => Ok(()),
        Err(error) => Err(anyhow!("{error:#}\n{}", scene.report().await)),
    }
}

async fn story(scene: &Arc<Scene>) -> Result<()> {
    let person = Person::new(scene).await?;
    let [take_over, take_kinds, leave, go_back] = commands()?;
    scene.given("Argo's CRDs with objects as its controllers left them");
    person.argos_kinds().await?;
    tokio::time::timeout(scene::PATIENCE, until_served(scene))
        .await
        .context("Argo's kinds are not served")?;
    scene.apply(BEFORE).await?;
    leave_status(scene).await?;
    let shop = Shop::of(scene);
    let steps = json!([{"setWeight": 30}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": 1}}]);
    scene.apply(&shop.manifest("v1", 4, &routed(&steps))).await?;
    let (columns, left) = (person.sees(scene).await?, objects(scene).await?);

    scene.when("Tidegate is installed with the kinds that are there");
    person.types(&take_over).await?;
    shop.until_phase("Healthy").await?;
    let running = shop.load(60).await?.start();
    unchanged("after the installation", &left, &objects(scene).await?, &["shop"])?;
    shop.ship("v2", json!([])).await?;
    shop.until_paused_at(1).await?;
    let paused = objects(scene).await?;

    scene.when("the chart takes the kinds over, those of Git as well");
    person.types(&take_kinds).await?;
    person.types(&take_kinds.replace("crds.install=true", "crds.install=true,sync.enabled=true")).await?;
    still(&shop, "with the chart's kinds", &paused).await?;
    ensure!(person.sees(scene).await? == columns, "kubectl shows other columns: {columns:?}");

    scene.when("the chart is upgraded, and then uninstalled in the middle of a canary");
    person.types(&take_kinds.replace("crds.install=true", "crds.install=true,logLevel=debug")).await?;
    still(&shop, "after an upgrade", &paused).await?;
    person.types(&leave).await?;
    still(&shop, "without a controller", &paused).await?;
    let fast = scene.load(&shop.host, 400)?.send(2000).await?;
    ensure_none_lost(&fast)?;
    ensure_share(&fast, "v2", 30.0)?;

    scene.when("Argo's kinds and controller come back");
    person.types(&go_back).await?;
    person.argos_kinds().await?;
    still(&shop, "with Argo's kinds again", &paused).await?;
    ensure!(person.sees(scene).await? == columns, "kubectl shows other columns: {columns:?}");

    scene.when("Tidegate comes again, with its kinds at once, and somebody promotes");
    person.types(&take_over.replace("crds.install=false", "crds.install=true --take-ownership")).await?;
    still(&shop, "after the second installation", &paused).await?;
    shop.promote().await?;
    shop.until_promoted("v2").await?;
    scene.then("no request was lost on all these ways");
    ensure_none_lost(&running.stop().await?)
}

/// Waits until the API server tells clients of the kinds, some time after their definitions are established.
async fn until_served(scene: &Scene) {
    for (version, kind, _) in KEPT {
        while scene::resource(&scene.client(), version, kind).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The status that Argo's controllers wrote, which a manifest cannot carry where it is a subresource.
async fn leave_status(scene: &Scene) -> Result<()> {
    let status = json!({
        "phase": "Healthy", "observedGeneration": "1", "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
        "availableReplicas": 2, "HPAReplicas": 2, "currentPodHash": "6c9d7f4b5d", "stableRS": "6c9d7f4b5d",
        "selector": "app=blue,rollouts-pod-template-hash=6c9d7f4b5d", "collisionCount": 1,
        "blueGreen": {"activeSelector": "6c9d7f4b5d", "previewSelector": "6c9d7f4b5d", "scaleUpPreviewCheckPoint": true},
        "alb": {"loadBalancer": {"name": "lb", "arn": "arn:aws:lb", "fullName": "app/lb/1"}, "ingress": "blue"},
        "conditions": [{
            "type": "Healthy", "status": "True", "reason": "RolloutHealthy", "message": "Rollout is healthy",
            "lastTransitionTime": "2026-01-02T03:04:05Z", "lastUpdateTime": "2026-01-02T03:04:05Z",
        }],
    });
    let api = scene.api_of("argoproj.io/v1alpha1", "Rollout").await?;
    let patch = Patch::Merge(json!({ "status": status }));
    api.patch_status("blue", &PatchParams::default(), &patch).await.context("cannot write a status")?;
    Ok(())
}

/// Fails unless every object is what it was, whoever defines its kind and whether a controller runs or not.
async fn still(shop: &Shop, when: &str, before: &BTreeMap<String, Value>) -> Result<()> {
    shop.until_paused_at(1).await?;
    unchanged(when, before, &objects(&shop.scene).await?, &[])
}

/// Everything of the kinds above in the test's namespace, whole, by kind and name.
async fn objects(scene: &Scene) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    for (api_version, kind, namespaced) in KEPT {
        let api: Api<DynamicObject> = if namespaced {
            scene.api_of(api_version, kind).await?
        } else {
            Api::all_with(scene.client(), &scene::resource(&scene.client(), api_version, kind).await?)
        };
        for object in api.list(&ListParams::default()).await.with_context(|| format!("cannot list {kind}"))? {
            let name = object.metadata.name.clone().unwrap_or_default();
            all.insert(format!("{kind} {name}"), serde_json::to_value(object)?);
        }
    }
    Ok(all)
}

/// Compares two looks; objects of the names in `moving` are somebody's work and may differ.
fn unchanged(
    when: &str,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    moving: &[&str],
) -> Result<()> {
    let moves = |name: &str| moving.iter().any(|part| name.contains(part));
    for (name, object) in before.iter().filter(|(name, _)| !moves(name)) {
        let now = after.get(name).with_context(|| format!("{name} is gone {when}"))?;
        ensure!(object == now, "{name} differs {when}:\nbefore {object}\nafter  {now}");
    }
    let new: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name) && !moves(name)).collect();
    ensure!(new.is_empty(), "{new:?} are new {when}");
    Ok(())
}

/// The blocks of commands in the README's section, in order.
fn commands<const N: usize>() -> Result<[String; N]> {
    let (_, section) = README.split_once(SECTION).context("the README has no section about moving")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks: Vec<String> =
        section.split("```").skip(1).step_by(2).map(|block| block.trim().to_owned()).collect();
    let count = blocks.len();
    blocks.try_into().map_err(|_| anyhow!("the README's section has {count} blocks of commands and not {N}"))
}

/// Somebody at a terminal with kubectl and Helm, in this repository's directory.
struct Person {
    kubeconfig: PathBuf,
    path: String,
    image: TidegateImage,
    kinds: argo::Kinds,
}

impl Person {
    async fn new(scene: &Scene) -> Result<Self> {
        let (helm, kubectl, image, kinds) = tokio::task::spawn_blocking(|| {
            anyhow::Ok((tools::helm()?, tools::kubectl()?, images::tidegate()?, argo::kinds()?))
        })
        .await??;
        scene.cluster().import(&image.archive)?;
        let directories = [helm, kubectl].map(|tool| tool.parent().map(PathBuf::from).unwrap_or_default());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = directories.into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(all)?.to_string_lossy().into_owned();
        Ok(Self { kubeconfig: scene.cluster().kubeconfig().to_owned(), path, image, kinds })
    }

    /// Runs commands as written, but for what is elsewhere here: the image is this workspace's, and Argo's manifests
    /// are in Go's cache of modules.
    async fn types(&self, commands: &str) -> Result<String> {
        let TidegateImage { repository, tag, .. } = &self.image;
        let image = format!(
            "charts/tidegate --set image.repository={repository} --set image.tag={tag} --set image.pullPolicy=IfNotPresent"
        );
        let rollouts = format!("{}\"", self.kinds.rollouts.display());
        let source = "https://github.com/argoproj/argo-rollouts/manifests/crds?ref=v1.10.1\"";
        let script = commands.replace("charts/tidegate", &image).replace(source, &rollouts);
        ensure!(!script.contains("https://"), "this cannot be reached from here: {script}");
        let mut shell = command("sh", &["-euc", &script]);
        shell
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path);
        tokio::task::spawn_blocking(move || output(&mut shell)).await?
    }

    /// Applies the CRDs as Argo's own manifests have them.
    async fn argos_kinds(&self) -> Result<()> {
        for directory in [&self.kinds.rollouts, &self.kinds.cd] {
            let apply = "kubectl apply --server-side --force-conflicts --kustomize";
            self.types(&format!("{apply} \"{}\"", directory.display())).await?;
        }
        Ok(())
    }

    /// What kubectl knows of the kinds: names, short names, scopes and columns.
    async fn sees(&self, scene: &Scene) -> Result<Vec<String>> {
        let mut seen = vec![self.types("kubectl api-resources --api-group=argoproj.io -o wide").await?];
        for kind in ["ro", "at", "cat", "ar", "exp", "app", "appproj"] {
            let rows =
                self.types(&format!("kubectl get {kind} --namespace {} -o wide", scene.namespace())).await?;
            let header = rows.lines().next().with_context(|| format!("kubectl shows no {kind}"))?;
            seen.push(header.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        let scale =
            "kubectl get rollout blue --subresource=scale -o jsonpath={.spec.replicas}/{.status.selector}";
        seen.push(self.types(&format!("{scale} --namespace {}", scene.namespace())).await?);
        Ok(seen)
    }
}

#[cfg(test)]
mod unit {
    #[test]
    fn the_readme_has_the_commands_in_their_order() {
        let [take_over, take_kinds, leave, go_back]: [String; 4] = super::commands().unwrap();
        assert!(take_over.contains("crds.install=false"), "{take_over}");
        assert!(take_kinds.contains("crds.install=true"), "{take_kinds}");
        assert!(leave.contains("helm uninstall"), "{leave}");
        assert!(go_back.contains("manifests/crds"), "{go_back}");
    }
}
