//! What the controller costs while there is nothing to do, read from `/proc`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use crate::install;
use crate::usage::{cpu_seconds, memory};

/// How long is watched.
const WATCHED: Duration = Duration::from_secs(10);
const CONTROLLER: &str = "app.kubernetes.io/name=tidegate";

/// Memory and processor time of the controller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) memory_mib: f64,
    /// The most memory it ever had.
    pub(super) peak_mib: f64,
    /// Of one core.
    pub(super) cpu_percent: f64,
    /// All it has used since it started.
    pub(super) cpu_seconds: f64,
    pub(super) watched: Duration,
}

/// Watches the controller for a while. Nothing comes of it when the controller
/// does not run on this machine.
pub(super) async fn watch(client: &Client) -> Result<Option<Idle>> {
    let mut process = None;
    for pod in pods(client).await? {
        process = process.or(find(&pod.uid().unwrap_or_default()));
    }
    let Some(process) = process else { return Ok(None) };
    let (start, before) = (Instant::now(), cpu_seconds(&process)?);
    tokio::time::sleep(WATCHED).await;
    let (watched, after) = (start.elapsed(), cpu_seconds(&process)?);
    let memory = memory(&process)?;
    Ok(Some(Idle {
        memory_mib: memory.now_mib,
        peak_mib: memory.peak_mib,
        cpu_percent: 100.0 * (after - before) / watched.as_secs_f64(),
        cpu_seconds: after,
        watched,
    }))
}

/// How often the controller's containers were started again, by pod.
pub(super) async fn restarts(client: &Client) -> Result<BTreeMap<String, i32>> {
    let count = |pod: &Pod| {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        statuses.into_iter().flatten().map(|container| container.restart_count).sum()
    };
    Ok(pods(client).await?.iter().map(|pod| (pod.name_any(), count(pod))).collect())
}

async fn pods(client: &Client) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), install::NAMESPACE);
    let list = pods
        .list(&ListParams::default().labels(CONTROLLER))
        .await
        .context("cannot list the controller's pods")?;
    Ok(list.items)
}

/// The process of a pod's container: its control group is named after the pod.
fn find(uid: &str) -> Option<PathBuf> {
    // With the systemd driver, dashes become underscores.
    let names = [uid.to_owned(), uid.replace('-', "_")];
    let is_ours = |process: &Path| {
        let read = |file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
        let group = read("cgroup");
        read("comm").trim() == "tidegate" && names.iter().any(|name| !name.is_empty() && group.contains(name))
    };
    let entries = std::fs::read_dir("/proc").ok()?;
    entries.filter_map(Result::ok).map(|entry| entry.path()).find(|path| is_ours(path))
}
