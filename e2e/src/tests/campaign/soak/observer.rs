//! Watches the controller from outside while others act: its memory, what it counts, and what it logs, over all its lives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::super::super::kills::{PROGRAM, uid};
use crate::cluster::Cluster;
use crate::install;

/// Between two looks.
const PACE: Duration = Duration::from_secs(5);
/// Counters that must stay at nothing, and a gauge.
const NEVER: [&str; 7] = [
    "tidegate_rollout_stuck",
    "tidegate_panics",
    "tidegate_plan_breaches",
    "tidegate_malformed_objects",
    "tidegate_unserved_objects",
    "tidegate_events_dropped",
    "analysis_run_reconcile_error",
];
/// Growth of memory within one life that is no leak: caches and pools fill up.
const GROWTH_KIB: u64 = 8 * 1024;

/// Memory at one time.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    seconds: f64,
    pod: String,
    resident_kib: u64,
}

/// Everything that was seen.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Observed {
    memory: Vec<Memory>,
    /// The most of each watched metric.
    metrics: BTreeMap<String, f64>,
    /// Lines of the log above the level of information, without their times, and how often each came.
    warnings: BTreeMap<String, u32>,
    errors: BTreeMap<String, u32>,
}

impl Observed {
    pub(super) fn summary(&self) -> String {
        let (first, last) = self.last_life();
        format!(
            "{} warnings of {} kinds, {} errors; resident memory of the last life {first} to {last} KiB",
            self.warnings.values().sum::<u32>(),
            self.warnings.len(),
            self.errors.values().sum::<u32>()
        )
    }

    /// What should not have been seen.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> =
            self.errors.iter().map(|(line, count)| format!("logged {count} times: {line}")).collect();
        faults.extend(
            self.metrics
                .iter()
                .filter(|(_, most)| **most > 0.0)
                .map(|(name, most)| format!("{name} was {most}")),
        );
        let (first, last) = self.last_life();
        if last > first + GROWTH_KIB {
            faults.push(format!("resident memory grew from {first} to {last} KiB in one life"));
        }
        faults
    }

    /// The median of the first and of the last third of the last life's memory.
    fn last_life(&self) -> (u64, u64) {
        let pod = self.memory.last().map(|memory| memory.pod.clone());
        let life: Vec<u64> = self
            .memory
            .iter()
            .filter(|memory| Some(&memory.pod) == pod.as_ref())
            .map(|memory| memory.resident_kib)
            .collect();
        let third = life.len().div_ceil(3);
        (median(&life[..third]), median(&life[life.len() - third..]))
    }

    fn log(&mut self, line: &str) {
        // Text lines begin with the time and the level.
        let Some((_time, rest)) = line.split_once(char::is_whitespace) else { return };
        let rest = rest.trim_start();
        let (lines, text) = match rest.split_once(' ') {
            Some(("WARN", text)) => (&mut self.warnings, text),
            Some(("ERROR", text)) => (&mut self.errors, text),
            _ => return,
        };
        *lines.entry(text.chars().take(400).collect()).or_default() += 1;
    }
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Whoever watches.
pub(super) struct Observer {
    stop: watch::Sender<bool>,
    task: JoinHandle<Observed>,
}

impl Observer {
    pub(super) fn start(cluster: &Arc<Cluster>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(observe(Arc::clone(cluster), stopped));
        Self { stop, task }
    }

    pub(super) async fn stop(self) -> Result<Observed> {
        self.stop.send_replace(true);
        Ok(self.task.await?)
    }
}

async fn observe(cluster: Arc<Cluster>, mut stopped: watch::Receiver<bool>) -> Observed {
    let (start, mut observed, mut followed) = (Instant::now(), Observed::default(), BTreeSet::new());
    let (said, mut lines) = mpsc::unbounded_channel::<String>();
    let pods: Api<Pod> = Api::namespaced(cluster.client().clone(), install::NAMESPACE);
    let ours = ListParams::default().labels("app.kubernetes.io/name=tidegate");
    let mut pace = tokio::time::interval(PACE);
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => return observed,
            Some(line) = lines.recv() => observed.log(&line),
            _ = pace.tick() => {
                for pod in pods.list(&ours).await.map(|list| list.items).unwrap_or_default() {
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    look(&cluster, &pod, &name, start, &mut observed).await;
                    let runs = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
                    if runs && followed.insert(uid(&pod)) {
                        tokio::spawn(follow(pods.clone(), name, said.clone()));
                    }
                }
            }
        }
    }
}

/// One look at memory and metrics. A pod that is just starting or going tells nothing.
async fn look(cluster: &Cluster, pod: &Pod, name: &str, start: Instant, observed: &mut Observed) {
    for pid in cluster.pids_in_pod(&uid(pod), PROGRAM).unwrap_or_default() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        if let Some(kib) = resident.and_then(|text| text.split_whitespace().next()?.parse().ok()) {
            let seconds = start.elapsed().as_secs_f64();
            observed.memory.push(Memory { seconds, pod: name.to_owned(), resident_kib: kib });
        }
    }
    let path = format!("/api/v1/namespaces/{}/pods/{name}:8090/proxy/metrics", install::NAMESPACE);
    let Ok(request) = http::Request::get(path).body(Vec::new()) else { return };
    let Ok(text) = cluster.client().request_text(request).await else { return };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (Some(series), Some(value)) = (line.split(' ').next(), line.rsplit(' ').next()) else { continue };
        let family = series.split('{').next().unwrap_or_default();
        if NEVER.contains(&family.trim_end_matches("_total")) {
            let most = observed.metrics.entry(series.to_owned()).or_default();
            *most = most.max(value.parse().unwrap_or_default());
        }
    }
}

/// Passes on what a pod logs, up to its end: the log of a pod that is gone is gone as well.
async fn follow(pods: Api<Pod>, name: String, said: mpsc::UnboundedSender<String>) {
    let params = LogParams { follow: true, ..LogParams::default() };
    let Ok(log) = pods.log_stream(&name, &params).await else { return };
    let mut lines = log.lines();
    while let Some(Ok(line)) = lines.next().await {
        if said.send(line).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_metrics_and_growth_are_told_and_warnings_counted() {
        let mut observed = Observed::default();
        observed.log("2026-11-26T05:00:00Z  INFO leading lease=\"x\"");
        observed.log("2026-11-26T05:00:01Z  WARN no longer leading lease=\"x\"");
        observed.log("2026-11-26T05:00:02Z  WARN no longer leading lease=\"x\"");
        assert!(observed.faults().is_empty() && observed.warnings.values().eq([&2]));
        observed.log("2026-11-26T05:00:03Z ERROR a decision panicked");
        observed.metrics.insert("tidegate_panics_total".to_owned(), 1.0);
        let life = |pod: &str, kib: &[u64]| {
            let of = |kib: &u64| Memory { seconds: 0.0, pod: pod.to_owned(), resident_kib: *kib };
            kib.iter().map(of).collect::<Vec<_>>()
        };
        // Only one life counts: its caches fill up anew in each.
        observed.memory = [life("a", &[90_000]), life("b", &[20_000, 21_000, 20_500])].concat();
        assert_eq!(observed.faults().len(), 2, "{:?}", observed.faults());
        observed.memory = life("b", &[20_000, 25_000, 29_000]);
        assert_eq!(observed.faults().len(), 3, "{:?}", observed.faults());
    }
}
