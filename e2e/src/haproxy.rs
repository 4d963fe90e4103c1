//! Stands in for OpenShift's router, which cannot be had on its own: follows Routes and EndpointSlices, writes
//! HAProxy's configuration from them, reloads it without losing a connection, and admits the Routes.

mod config;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, future, stream};
use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::reflector::{reflector, store::Writer};
use kube::runtime::{WatchStreamExt, watcher};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use self::config::Config;
use crate::foreign::{self, ROUTE};
use crate::{cluster, complain};

/// The name by which this router signs the status of Routes.
const ROUTER: &str = "default";
/// Changes that come together are written together.
const TOGETHER: Duration = Duration::from_millis(50);
/// How often HAProxy is asked which configuration it has.
const PACE: Duration = Duration::from_millis(50);
/// A reload that is not done by then is asked for again: a signal that comes while the last reload ends may be lost,
/// as 2 of 20 were under load.
const RELOAD: Duration = Duration::from_secs(1);
const RELOADS_MAX: u32 = 20;

/// What the router is given.
#[derive(clap::Args)]
pub(crate) struct Options {
    kubeconfig: PathBuf,
    /// The program.
    haproxy: PathBuf,
    /// Where its configuration and its socket go.
    dir: PathBuf,
    listen: SocketAddr,
    /// Directories of the libraries that it needs.
    #[arg(long)]
    libraries: Vec<PathBuf>,
}

/// Serves what the Routes say until HAProxy ends.
pub(crate) async fn follow(options: Options) -> Result<()> {
    let client = cluster::connect(&options.kubeconfig).await?;
    let (mut child, mut proxy) = Proxy::start(options)?;
    let serve = async {
        // The kind may be installed long after the cluster's start.
        let kind = loop {
            if let Ok(kind) = foreign::until_known(&client, ROUTE.0, ROUTE.1).await {
                break kind;
            }
        };
        proxy.obey(&client, &kind).await
    };
    tokio::select! {
        done = serve => done,
        ended = child.wait() => bail!("HAProxy ended: {}", ended?),
    }
}

/// HAProxy's master process and what it was told last.
struct Proxy {
    options: Options,
    pid: Pid,
    told: Config,
}

impl Proxy {
    /// Starts HAProxy without any Route.
    fn start(options: Options) -> Result<(Child, Self)> {
        let told = config::config(&options.dir, options.listen, &[], &[]);
        let file = config::file(&options.dir);
        std::fs::write(&file, &told.text).with_context(|| format!("cannot write {}", file.display()))?;
        // The master passes the listening sockets on to each new worker.
        let mut command = Command::new(&options.haproxy);
        command.arg("-W").arg("-f").arg(&file).kill_on_drop(true);
        if !options.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", std::env::join_paths(&options.libraries)?);
        }
        let child = command.spawn().context("cannot start HAProxy")?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        Ok((child, Self { options, pid: pid.context("HAProxy has no process id")?, told }))
    }

    /// Follows the cluster for ever.
    async fn obey(&mut self, client: &Client, kind: &ApiResource) -> Result<()> {
        let writer = Writer::<DynamicObject>::new(kind.clone());
        let routes = writer.as_reader();
        let all = Api::all_with(client.clone(), kind);
        let route_changes = reflector(writer, watcher(all, watcher::Config::default()).default_backoff());
        let writer = Writer::<EndpointSlice>::default();
        let slices = writer.as_reader();
        let all = Api::all(client.clone());
        let slice_changes = reflector(writer, watcher(all, watcher::Config::default()).default_backoff());
        // Watches that break are taken up again by themselves.
        let route_changes = route_changes.filter(|change| future::ready(change.is_ok())).map(drop);
        let slice_changes = slice_changes.filter(|change| future::ready(change.is_ok())).map(drop);
        let mut changes = pin!(stream::select(route_changes, slice_changes));
        while changes.next().await.is_some() {
            let begun = Instant::now();
            while tokio::time::timeout_at(begun + TOGETHER, changes.next())
                .await
                .is_ok_and(|one| one.is_some())
            {}
            let routes: Vec<Value> =
                routes.state().iter().filter_map(|route| serde_json::to_value(&**route).ok()).collect();
            self.tell(config::config(&self.options.dir, self.options.listen, &routes, &slices.state()))
                .await?;
            admit(client, kind, &routes).await;
        }
        bail!("the watches ended")
    }

    /// Lets HAProxy read another configuration.
    async fn tell(&mut self, config: Config) -> Result<()> {
        if config == self.told {
            return Ok(());
        }
        let file = config::file(&self.options.dir);
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, &config.text).with_context(|| format!("cannot write {}", fresh.display()))?;
        std::fs::rename(&fresh, &file).with_context(|| format!("cannot write {}", file.display()))?;
        self.told = config;
        for _attempt in 0..RELOADS_MAX {
            kill_process(self.pid, Signal::USR2).context("cannot reload HAProxy")?;
            if tokio::time::timeout(RELOAD, self.until_current()).await.is_ok() {
                return Ok(());
            }
        }
        bail!("HAProxy does not take its new configuration")
    }

    /// Waits until new connections are served by the configuration that was told last.
    async fn until_current(&self) {
        let mut pace = tokio::time::interval(PACE);
        loop {
            pace.tick().await;
            if self.ask().await.is_ok_and(|version| version == self.told.version) {
                return;
            }
        }
    }

    /// The configuration that HAProxy has.
    async fn ask(&self) -> Result<String> {
        // Each time on a connection of its own: the old worker goes on answering on those that it has.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        let request = client.get(format!("http://{}/", self.options.listen)).header("host", config::SELF);
        Ok(request.send().await?.text().await?)
    }
}

/// Says in the status of each Route that it is served, where that is not said yet.
async fn admit(client: &Client, kind: &ApiResource, routes: &[Value]) {
    for route in routes {
        let (host, metadata) = (&route["spec"]["host"], &route["metadata"]);
        let is_ours = |ingress: &Value| {
            ingress["routerName"] == ROUTER
                && ingress["host"] == *host
                && ingress["conditions"][0]["type"] == "Admitted"
                && ingress["conditions"][0]["status"] == "True"
        };
        let admitted = route["status"]["ingress"].as_array().is_some_and(|all| all.iter().any(is_ours));
        let (Some(namespace), Some(name)) = (metadata["namespace"].as_str(), metadata["name"].as_str())
        else {
            continue;
        };
        if admitted || !host.is_string() {
            continue;
        }
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let status = json!({"ingress": [{
            "host": host, "routerName": ROUTER, "wildcardPolicy": "None",
            "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": now}],
        }]});
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
        let patch = Patch::Merge(json!({ "status": status }));
        if let Err(error) = api.patch_status(name, &PatchParams::default(), &patch).await {
            complain(format!("cannot admit the Route {namespace}/{name}: {error}"));
        }
    }
}
