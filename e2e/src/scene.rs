//! What a test on a cluster works with: a namespace of its own, objects applied
//! as YAML, waits that follow a watch, and a report when something does not come.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, DynamicObject, LogParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::pinned_kind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::images::BUSYBOX;
use crate::load::Load;
use crate::manifest;

/// How long a wait may take unless it says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One test's part of the cluster.
pub(crate) struct Scene {
    cluster: Arc<Cluster>,
    namespace: String,
    steps: Mutex<Vec<String>>,
    start: Instant,
}

impl Scene {
    /// Makes the namespace. Its service account must be there before pods may start.
    pub(crate) async fn open(cluster: Arc<Cluster>, namespace: &str) -> Result<Self> {
        Self::namespace_in(&cluster, namespace).await?;
        let scene =
            Self { cluster, namespace: namespace.to_owned(), steps: Mutex::default(), start: Instant::now() };
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = scene.api();
        until(accounts, "default", "there", PATIENCE, |_| true).await?;
        Ok(scene)
    }

    /// Makes a test's namespace, if it is not there yet.
    pub(crate) async fn namespace_in(cluster: &Cluster, namespace: &str) -> Result<()> {
        let document = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"tidegate.dev/e2e": "true"}},
        });
        manifest::apply_value(cluster.client(), document, namespace).await.map(drop)
    }

    /// Deletes the namespace with everything in it, without waiting for the end of it.
    pub(crate) async fn close(&self) -> Result<()> {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client());
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        namespaces.delete(&self.namespace, &params).await.context("cannot delete the test's namespace")?;
        Ok(())
    }

    /// Says what is the case before the test acts.
    pub(crate) fn given(&self, text: &str) {
        self.step("given", text);
    }

    /// Says what the test does.
    pub(crate) fn when(&self, text: &str) {
        self.step("when", text);
    }

    /// Says what must hold.
    pub(crate) fn then(&self, text: &str) {
        self.step("then", text);
    }

    fn step(&self, word: &str, text: &str) {
        let line = format!("{:6.1} s  {word:5} {text}", self.start.elapsed().as_secs_f64());
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn client(&self) -> Client {
        self.cluster.client().clone()
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Objects of one kind in the test's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.namespace)
    }

    /// Objects of a kind that has no Rust type here, as `("argoproj.io/v1alpha1", "Rollout")`.
    pub(crate) async fn api_of(&self, api_version: &str, kind: &str) -> Result<Api<DynamicObject>> {
        Ok(Api::namespaced_with(
            self.client(),
            &self.namespace,
            &resource(&self.client(), api_version, kind).await?,
        ))
    }

    /// Applies YAML documents, in the test's namespace unless they name one.
    pub(crate) async fn apply(&self, yaml: &str) -> Result<()> {
        manifest::apply(self.cluster.client(), yaml, &self.namespace).await
    }

    /// Waits until an object is as wanted; `what` finishes the sentence "the object is not …".
    pub(crate) async fn until<K>(&self, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize
            + Send
            + 'static,
        K::DynamicType: Default,
    {
        until(self.api(), name, what, PATIENCE, holds).await
    }

    /// As `until`, for a kind without a Rust type; the condition sees the whole object as JSON.
    pub(crate) async fn until_json(
        &self,
        kind: (&str, &str),
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.until_json_within(PATIENCE, kind, name, what, holds).await
    }

    /// The same with a limit of its own.
    pub(crate) async fn until_json_within(
        &self,
        limit: Duration,
        (api_version, kind): (&str, &str),
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        until_json(self.api_of(api_version, kind).await?, name, what, limit, holds).await
    }

    /// Waits until a Deployment has all its pods ready and no old ones left.
    pub(crate) async fn until_deployed(&self, name: &str) -> Result<Deployment> {
        self.until(name, "fully rolled out", |deployment: &Deployment| {
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            deployment.status.as_ref().is_some_and(|status| {
                status.observed_generation == deployment.metadata.generation
                    && status.updated_replicas == Some(wanted)
                    && status.ready_replicas == Some(wanted)
                    && status.replicas == Some(wanted)
            })
        })
        .await
    }

    /// Waits for a pod that runs to its end and returns what it wrote.
    pub(crate) async fn until_finished(&self, name: &str) -> Result<String> {
        let phase =
            |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
        let pod =
            self.until(name, "finished", |pod| matches!(phase(pod).as_str(), "Succeeded" | "Failed")).await?;
        let log = self.api::<Pod>().logs(name, &LogParams::default()).await.unwrap_or_default();
        if phase(&pod) != "Succeeded" {
            bail!("the pod {name} failed; it wrote:\n{log}");
        }
        Ok(log)
    }

    /// Runs a shell script in a pod of its own and returns what it wrote.
    pub(crate) async fn run_script(&self, name: &str, script: &str) -> Result<String> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "script", "image": BUSYBOX, "command": ["sh", "-c", script]}],
            },
        });
        manifest::apply_value(self.cluster.client(), pod, &self.namespace).await?;
        self.until_finished(name).await
    }

    /// Waits until a Service has that many ready endpoints.
    pub(crate) async fn until_endpoints(&self, service: &str, count: usize) -> Result<()> {
        let slices: Api<EndpointSlice> = self.api();
        let config = watcher::Config::default().labels(&format!("kubernetes.io/service-name={service}"));
        let mut known = BTreeMap::new();
        let follow = async {
            let mut changes = pin!(watcher::watcher(slices, config).applied_objects());
            while let Some(change) = changes.next().await {
                let Ok(slice) = change else { continue };
                let ready = slice.endpoints.iter().filter(|endpoint| {
                    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
                });
                known.insert(slice.metadata.name.clone(), ready.count());
                if known.values().sum::<usize>() == count {
                    break;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, follow).await.is_err() {
            bail!(
                "the Service {service} has {known:?} ready endpoints and not {count} after {} s",
                PATIENCE.as_secs()
            );
        }
        Ok(())
    }

    /// Asks Prometheus again and again, at its own pace of scraping, until the
    /// query has one value and that is as wanted.
    pub(crate) async fn until_prometheus(&self, query: &str, holds: impl Fn(f64) -> bool) -> Result<f64> {
        let url = format!("{}/api/v1/query", self.cluster.prometheus_url()?);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let deadline = Instant::now() + PATIENCE;
        let mut pace = tokio::time::interval(Duration::from_millis(250));
        loop {
            pace.tick().await;
            let asked = reqwest::Url::parse_with_params(&url, [("query", query)])?;
            let said: Value = serde_json::from_slice(&client.get(asked).send().await?.bytes().await?)?;
            let value = said["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse().ok());
            match value {
                Some(value) if holds(value) => return Ok(value),
                _ if Instant::now() > deadline => {
                    bail!("Prometheus says {said} to {query} after {} s", PATIENCE.as_secs())
                }
                _ => {}
            }
        }
    }

    /// A load on the data plane for one host.
    pub(crate) fn load(&self, host: &str, per_second: u32) -> Result<Load> {
        Ok(Load::new(self.cluster.ingress()?, host, per_second))
    }

    /// What was said so far, and when.
    pub(crate) fn story(&self) -> String {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Everything that helps to see why a test failed.
    pub(crate) async fn report(&self) -> String {
        let mut text = self.story();
        for (api_version, kind) in [
            ("argoproj.io/v1alpha1", "Rollout"),
            ("argoproj.io/v1alpha1", "AnalysisRun"),
            ("apps/v1", "Deployment"),
            ("v1", "Pod"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            ("route.openshift.io/v1", "Route"),
        ] {
            let Ok(api) = self.api_of(api_version, kind).await else { continue };
            let objects =
                api.list(&kube::api::ListParams::default()).await.map(|list| list.items).unwrap_or_default();
            for object in objects {
                let name = object.metadata.name.unwrap_or_default();
                let status = &object.data["status"];
                let status = match kind {
                    // Of a pod's long status, only its phase and its containers tell anything here.
                    "Pod" => json!([status["phase"], status["containerStatuses"][0]["state"]]),
                    "HTTPRoute" | "Route" => object.data.clone(),
                    _ => status.clone(),
                };
                text.push_str(&format!("\n{kind} {name}: {status}"));
            }
        }
        for application in self.applications().await {
            text.push_str(&format!("\nApplication: {application}"));
        }
        if let Err(error) = self.cluster.check() {
            text.push_str(&format!("\nthe cluster itself is broken: {error:#}"));
        }
        for line in self.events().await {
            text.push_str("\nevent  ");
            text.push_str(&line);
        }
        for line in self.controller_log().await {
            text.push_str("\ntidegate  ");
            text.push_str(&line);
        }
        text
    }

    /// The status of each Application that writes to this namespace.
    async fn applications(&self) -> Vec<String> {
        let Ok(kind) = resource(&self.client(), "argoproj.io/v1alpha1", "Application").await else {
            return Vec::new();
        };
        let all: Api<DynamicObject> = Api::all_with(self.client(), &kind);
        let all =
            all.list(&kube::api::ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        let here = |object: &&DynamicObject| {
            object.data.pointer("/spec/destination/namespace").and_then(Value::as_str)
                == Some(&self.namespace)
        };
        all.iter().filter(here).map(|object| object.data["status"].to_string()).collect()
    }

    /// The last events of the namespace, oldest first.
    async fn events(&self) -> Vec<String> {
        let events: Api<k8s_openapi::api::core::v1::Event> = self.api();
        let mut all =
            events.list(&kube::api::ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        all.sort_by_key(|event| event.metadata.creation_timestamp.clone().map(|time| time.0));
        let lines = all.iter().map(|event| {
            let about = &event.involved_object;
            format!(
                "{} {}: {}: {}",
                about.kind.as_deref().unwrap_or_default(),
                about.name.as_deref().unwrap_or_default(),
                event.reason.as_deref().unwrap_or_default(),
                event.message.as_deref().unwrap_or_default(),
            )
        });
        lines.skip(all.len().saturating_sub(40)).collect()
    }

    /// The lines of the controller's log that name this namespace.
    async fn controller_log(&self) -> Vec<String> {
        let pods: Api<Pod> = Api::all(self.client());
        let params = kube::api::ListParams::default().labels("app.kubernetes.io/name=tidegate");
        let mut lines = Vec::new();
        for pod in pods.list(&params).await.map(|list| list.items).unwrap_or_default() {
            let (Some(namespace), Some(name)) = (&pod.metadata.namespace, &pod.metadata.name) else {
                continue;
            };
            let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
            let params = LogParams { tail_lines: Some(2000), ..LogParams::default() };
            let log = pods.logs(name, &params).await.unwrap_or_default();
            lines.extend(log.lines().filter(|line| line.contains(&self.namespace)).map(str::to_owned));
        }
        lines.split_off(lines.len().saturating_sub(60))
    }
}

/// Asks the API server about a kind.
pub(crate) async fn resource(client: &Client, api_version: &str, kind: &str) -> Result<ApiResource> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let kind = GroupVersionKind::gvk(group, version, kind);
    let (resource, _) = pinned_kind(client, &kind)
        .await
        .with_context(|| format!("the API server knows no {} {}", api_version, kind.kind))?;
    Ok(resource)
}

/// As `until`, with the whole object as JSON.
pub(crate) async fn until_json(
    api: Api<DynamicObject>,
    name: &str,
    what: &str,
    limit: Duration,
    holds: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let as_json = |object: &DynamicObject| serde_json::to_value(object).unwrap_or_default();
    let found = until(api, name, what, limit, |object| holds(&as_json(object))).await?;
    Ok(as_json(&found))
}

/// Follows one object until it is as wanted.
async fn until<K>(
    api: Api<K>,
    name: &str,
    what: &str,
    limit: Duration,
    holds: impl Fn(&K) -> bool,
) -> Result<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let mut last: Option<K> = None;
    let follow = async {
        let mut states = pin!(watch_object(api, name));
        while let Some(state) = states.next().await {
            // A watch that breaks is taken up again by the stream itself.
            let Ok(state) = state else { continue };
            last = state;
            if last.as_ref().is_some_and(&holds) {
                return;
            }
        }
    };
    if tokio::time::timeout(limit, follow).await.is_ok() && last.as_ref().is_some_and(&holds) {
        return last.context("the watch lost its object");
    }
    let seen = match last {
        Some(object) => {
            let value = serde_json::to_value(&object)?;
            format!("its status is {}", value.get("status").unwrap_or(&Value::Null))
        }
        None => "it does not exist".to_owned(),
    };
    bail!("{name} is not {what} after {} s; {seen}", limit.as_secs())
}
