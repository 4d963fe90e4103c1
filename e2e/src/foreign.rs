//! Kinds of other projects that Rollouts route by: the Gateway API's and OpenShift's Route. Their CRDs are taken out
//! of their Go modules, pinned with checksums in `e2e/tools/kinds`, into the cache, and applied from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::ApiResource;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::Value;

use crate::cache;
use crate::command::{command, exists, output};
use crate::manifest;
use crate::say;
use crate::scene;

/// A module, and the directory of it, or the file, that has its CRDs.
const SOURCES: [(&str, &str); 2] = [
    // The standard channel: all that a gateway's provider asks for.
    ("sigs.k8s.io/gateway-api", "config/crd/standard"),
    // The variant without feature gates, which is the one there is for a plain API server.
    ("github.com/openshift/api", "route/v1/zz_generated.crd-manifests/routes.crd.yaml"),
];
/// What is served once the CRDs are established.
const GATEWAY: [(&str, &str); 2] =
    [("gateway.networking.k8s.io/v1", "Gateway"), ("gateway.networking.k8s.io/v1", "HTTPRoute")];
pub(crate) const ROUTE: (&str, &str) = ("route.openshift.io/v1", "Route");
/// How long a kind may take to be served.
const PATIENCE: Duration = Duration::from_secs(90);

/// Takes the CRDs into the cache, and returns the directory that has one of each module.
pub(crate) fn fetch() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/kinds");
    let target = cache::dir()?.join("tools").join(format!("kinds-{}", cache::key(&source, &[])?));
    let _lock = cache::lock("kinds")?;
    if target.is_dir() {
        return Ok(target);
    }
    if !exists("go") {
        bail!(
            "the CRDs of the Gateway API come from its Go module and Go is missing: install Go 1.26 or newer"
        );
    }
    say(format!("fetching the kinds of other projects (once; kept in {})", target.display()));
    let mut go = command("go", &["mod", "download", "-json"]);
    go.args(SOURCES.map(|(module, _)| module)).current_dir(&source).env("GOFLAGS", "").env("GOWORK", "off");
    let told = output(&mut go).context("cannot download the modules of tools/kinds")?;
    let fresh = target.with_extension("new");
    for module in serde_json::Deserializer::from_str(&told).into_iter::<Value>() {
        let module = module.context("cannot read what go mod download says")?;
        let text = |name: &str| module[name].as_str().unwrap_or_default();
        let (path, dir) = (text("Path"), text("Dir"));
        let found = SOURCES.iter().find(|(name, _)| *name == path);
        let (_, inside) = found.with_context(|| format!("go downloaded {path}, which nobody asked for"))?;
        copy(&Path::new(dir).join(inside), &fresh.join(folder(path)))?;
    }
    fs::rename(&fresh, &target).with_context(|| format!("cannot create {}", target.display()))?;
    cache::remove_old("kinds", &target)?;
    Ok(target)
}

/// Applies the Gateway API's CRDs and waits until they are served.
pub(crate) async fn apply_gateway(client: &Client) -> Result<()> {
    apply(client, SOURCES[0].0).await?;
    for (api_version, kind) in GATEWAY {
        until_known(client, api_version, kind).await?;
    }
    Ok(())
}

/// Applies the CRD of OpenShift's Route and waits until it is served.
pub(crate) async fn apply_route(client: &Client) -> Result<()> {
    apply(client, SOURCES[1].0).await?;
    until_known(client, ROUTE.0, ROUTE.1).await.map(drop)
}

/// Waits until the API server serves a kind, which is some time after its CRD is there.
pub(crate) async fn until_known(client: &Client, api_version: &str, kind: &str) -> Result<ApiResource> {
    let start = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    loop {
        pace.tick().await;
        match scene::resource(client, api_version, kind).await {
            Ok(kind) => return Ok(kind),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Err(_) => {}
        }
    }
}

/// Applies every CRD of a module, all at once.
async fn apply(client: &Client, module: &str) -> Result<()> {
    let dir = tokio::task::spawn_blocking(fetch).await??.join(folder(module));
    let mut documents = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        documents.extend(manifest::parse(&text)?);
    }
    // What else is shipped beside them, such as admission policies, is for clusters that are upgraded.
    documents.retain(|document| document["kind"] == "CustomResourceDefinition");
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    try_join_all(documents.into_iter().map(|document| async {
        let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        manifest::apply_value(client, document, "default").await?;
        let established = await_condition(crds.clone(), &name, conditions::is_crd_established());
        let done = tokio::time::timeout(PATIENCE, established).await;
        done.with_context(|| format!("the CRD {name} is not established"))??;
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}

/// A module's directory in the cache.
fn folder(module: &str) -> String {
    module.replace('/', "-")
}

/// Copies a file, or the files of a directory, into a directory. Those of a module are read-only.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let files = match fs::read_dir(from) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?,
        Err(_) => vec![from.to_owned()],
    };
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
        let text = fs::read(file).with_context(|| format!("the module has no {}", file.display()))?;
        let target = to.join(file.file_name().context("a file without a name")?);
        fs::write(&target, text).with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}
