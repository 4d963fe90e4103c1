//! Tells Prometheus which pods to scrape. Debian's build of it cannot ask
//! Kubernetes itself, but it rereads a file of targets whenever that changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

/// Keeps the file of targets as the annotations `prometheus.io/scrape`, `port`
/// and `path` of running pods say, until the process ends.
pub(crate) async fn follow(client: Client, targets: PathBuf) -> Result<()> {
    let pods: Api<Pod> = Api::all(client);
    let mut events = pin!(watcher::watcher(pods, watcher::Config::default()).default_backoff());
    let mut known = BTreeMap::new();
    let mut fresh = BTreeMap::new();
    loop {
        let event = match events.next().await {
            // The watch is taken up again by itself.
            Some(Err(_)) => continue,
            Some(Ok(event)) => event,
            None => return Ok(()),
        };
        match event {
            Event::Init => fresh.clear(),
            Event::InitApply(pod) => {
                put(&mut fresh, &pod);
                continue;
            }
            Event::InitDone => known = std::mem::take(&mut fresh),
            Event::Apply(pod) => put(&mut known, &pod),
            Event::Delete(pod) => drop(known.remove(&key(&pod))),
        }
        write(&targets, known.values())?;
    }
}

fn put(known: &mut BTreeMap<String, Value>, pod: &Pod) {
    match target(pod) {
        Some(target) => known.insert(key(pod), target),
        None => known.remove(&key(pod)),
    };
}

fn key(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// A pod's entry, when it wants to be scraped and can be.
fn target(pod: &Pod) -> Option<Value> {
    let annotation = |name: &str| pod.annotations().get(&format!("prometheus.io/{name}")).map(String::as_str);
    let status = pod.status.as_ref()?;
    if annotation("scrape") != Some("true") || status.phase.as_deref() != Some("Running") {
        return None;
    }
    let mut labels: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in pod.labels() {
        let name = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        labels.insert(name, value);
    }
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    labels.insert("namespace".to_owned(), &namespace);
    labels.insert("pod".to_owned(), &name);
    labels.insert("__metrics_path__".to_owned(), annotation("path").unwrap_or("/metrics"));
    Some(json!({
        "targets": [format!("{}:{}", status.pod_ip.as_deref()?, annotation("port").unwrap_or("8080"))],
        "labels": labels,
    }))
}

fn write<'a>(path: &Path, targets: impl Iterator<Item = &'a Value>) -> Result<()> {
    let text = serde_json::to_vec_pretty(&targets.collect::<Vec<_>>())?;
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text).with_context(|| format!("cannot write {}", fresh.display()))?;
    std::fs::rename(&fresh, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_pods_that_ask_for_it_are_scraped() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "a", "namespace": "n", "labels": {"app.kubernetes.io/name": "shop"},
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9"},
            },
            "status": {"phase": "Running", "podIP": "10.0.0.1"},
        }))
        .unwrap();
        let found = target(&pod).unwrap();
        assert_eq!(found["targets"][0], "10.0.0.1:9");
        assert_eq!(found["labels"]["app_kubernetes_io_name"], "shop");
        pod.status.as_mut().unwrap().phase = Some("Pending".to_owned());
        assert!(target(&pod).is_none());
    }
}
