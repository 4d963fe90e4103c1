//! What a shop that is at rest may have: the pods of its spec, the ReplicaSets and runs of its history, and no more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::scene::{PATIENCE, Scene};

/// `revisionHistoryLimit` of the shops.
pub(super) const REVISIONS: usize = 3;
/// Both limits of runs.
pub(super) const RUNS: usize = 2;

/// What is there that should not be, after time enough to go.
pub(super) async fn left(scene: &Arc<Scene>, replicas: i64) -> Result<Vec<String>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = look(scene, replicas).await?;
        if left.is_empty() || Instant::now() > deadline {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn look(scene: &Scene, replicas: i64) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let all = ListParams::default();
    let sets: Api<ReplicaSet> = scene.api();
    let sets = sets.list(&all).await?.items;
    let size = |set: &ReplicaSet| set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    let in_use = sets.iter().filter(|set| size(set) > 0).count();
    if in_use != 1 || sets.len() > REVISIONS + 1 {
        left.push(format!("{} ReplicaSets, {in_use} of them with pods", sets.len()));
    }
    let pods: Api<Pod> = scene.api();
    let pods = pods.list(&ListParams::default().labels("app=shop")).await?.items;
    if i64::try_from(pods.len())? != replicas {
        left.push(format!("{} pods, not {replicas}", pods.len()));
    }
    let runs = scene.api_of("argoproj.io/v1alpha1", "AnalysisRun").await?.list(&all).await?.items;
    let count = |phases: &[&str]| {
        let phase = |run: &&kube::api::DynamicObject| {
            run.data["status"]["phase"].as_str().is_some_and(|phase| phases.contains(&phase))
        };
        runs.iter().filter(phase).count()
    };
    let (good, bad) = (count(&["Successful"]), count(&["Failed", "Error", "Inconclusive"]));
    // The run of the last update stands in the status and stays besides.
    if good > RUNS + 1 || bad > RUNS + 1 || good + bad != runs.len() {
        left.push(format!("{} AnalysisRuns, {good} of them successful and {bad} not", runs.len()));
    }
    let experiments = scene.api_of("argoproj.io/v1alpha1", "Experiment").await?.list(&all).await?.items;
    if !experiments.is_empty() {
        left.push(format!("{} Experiments", experiments.len()));
    }
    for ingress in scene.api_of("networking.k8s.io/v1", "Ingress").await?.list(&all).await?.items {
        let weight =
            serde_json::to_value(&ingress.metadata.annotations)?["nginx.ingress.kubernetes.io/canary-weight"]
                .clone();
        if !weight.is_null() && weight != "0" {
            left.push(format!("a canary Ingress of weight {}", Value::to_string(&weight)));
        }
    }
    Ok(left)
}
