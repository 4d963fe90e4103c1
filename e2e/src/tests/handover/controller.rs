//! The two controllers, each as a program beside the cluster, and what their metrics tell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::snapshot::Snapshot;
use crate::scene::Scene;
use crate::{images, tools};

/// No controller takes longer to look at everything once.
const PATIENCE: Duration = Duration::from_secs(90);
/// What changes objects.
const WRITES: [&str; 4] = ["Create", "Update", "Patch", "Delete"];

/// Whose controller runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Upstream,
    Tidegate,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Upstream => "rollouts-controller",
            Self::Tidegate => "tidegate",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Upstream => 8191,
            Self::Tidegate => 8291,
        }
    }

    /// The first argument, where one says what the program is to be.
    fn subcommand(self) -> Option<&'static str> {
        (self == Self::Tidegate).then_some("controller")
    }

    async fn program(self) -> Result<PathBuf> {
        tokio::task::spawn_blocking(move || match self {
            Self::Upstream => tools::argo_controller(),
            Self::Tidegate => images::tidegate_program(),
        })
        .await?
    }

    /// Starts it. Both take the same flags.
    pub(super) async fn start(self, scene: &Scene) -> Result<()> {
        let flags = [
            format!("--kubeconfig={}", scene.cluster().kubeconfig().display()),
            "--leader-elect=false".to_owned(),
            format!("--metricsPort={}", self.port()),
            format!("--healthzPort={}", self.port() + 1),
        ];
        let args: Vec<String> = self.subcommand().map(str::to_owned).into_iter().chain(flags).collect();
        scene.cluster().start_program(self.name(), &self.program().await?, &args)
    }

    /// Stops it, and waits until it has ended.
    pub(super) async fn stop(self, scene: &Scene) -> Result<()> {
        scene.cluster().stop_program(self.name()).await
    }

    /// Waits until it has looked at every object that is not at its end, and reads its metrics.
    pub(super) async fn until_it_has_seen(self, scene: &Scene, all: &Snapshot) -> Result<Metrics> {
        let deadline = Instant::now() + PATIENCE;
        let mut pace = tokio::time::interval(Duration::from_millis(250));
        loop {
            pace.tick().await;
            let unseen = match self.metrics(scene).await {
                Ok(metrics) => match metrics.unseen(scene.namespace(), all) {
                    unseen if unseen.is_empty() => return Ok(metrics),
                    unseen => unseen.join(", "),
                },
                Err(error) => format!("anything: {error:#}"),
            };
            scene.cluster().check()?;
            ensure!(Instant::now() < deadline, "{} has not looked at {unseen}", self.name());
        }
    }

    pub(super) async fn metrics(self, scene: &Scene) -> Result<Metrics> {
        let url = format!("http://{}:{}/metrics", scene.cluster().node_address()?, self.port());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let text = client.get(url).send().await?.error_for_status()?.text().await?;
        Ok(Metrics(text.lines().filter_map(sample).collect()))
    }
}

/// The samples of one scrape.
pub(super) struct Metrics(Vec<Sample>);

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Sample {
    /// The value of a label; empty where there is none.
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Metrics {
    /// Objects at which no look was taken yet.
    fn unseen(&self, namespace: &str, all: &Snapshot) -> Vec<String> {
        let seen = |family: &str, name: &str| {
            self.0.iter().any(|sample| {
                sample.name == format!("{family}_reconcile_count")
                    && sample.label("namespace") == namespace
                    && sample.label("name") == name
                    && sample.value > 0.0
            })
        };
        let live =
            |object: &Value| object["status"]["completedAt"].is_null() && !ended(&object["status"]["phase"]);
        let families =
            [("Rollout", "rollout"), ("AnalysisRun", "analysis_run"), ("Experiment", "experiment")];
        let wanted = families.into_iter().flat_map(|(kind, family)| {
            all.of_kind(kind).filter(|(_, object)| live(object)).map(move |(name, _)| (family, name))
        });
        wanted
            .filter(|(family, name)| !seen(family, name))
            .map(|(family, name)| format!("{family} {name}"))
            .collect()
    }

    /// The requests that changed something in a namespace, by verb and kind, but for Events.
    ///
    /// Other namespaces are not of this handover: one may be going still, and its Services are given back.
    pub(super) fn writes(&self, namespace: &str) -> BTreeMap<String, f64> {
        let mut writes = BTreeMap::new();
        for sample in &self.0 {
            if sample.name == "controller_clientset_k8s_request_total"
                && sample.label("namespace") == namespace
                && WRITES.contains(&sample.label("verb"))
                && sample.label("kind") != "events"
            {
                let request = format!("{} {}", sample.label("verb"), sample.label("kind"));
                *writes.entry(request).or_default() += sample.value;
            }
        }
        writes
    }
}

fn ended(phase: &Value) -> bool {
    phase.as_str().is_some_and(|phase| ["Successful", "Failed", "Error", "Inconclusive"].contains(&phase))
}

/// Reads `name{label="value",...} 1`; no value here has a quote or a comma in it.
fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.rsplit_once(' ')?;
    let (name, labels) = head.split_once('{').unwrap_or((head, ""));
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| {
        let (name, value) = label.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
}

/// Fails unless the controller has written nothing since it started, but for one look at each restless Service, and the
/// words that it adds to so many messages.
pub(super) async fn ensure_no_writes(
    side: Side,
    scene: &Scene,
    restless: &[String],
    spoken: usize,
) -> Result<()> {
    let mut writes = side.metrics(scene).await.context("no metrics")?.writes(scene.namespace());
    let at_most = |count: f64, most: usize| u32::try_from(most).is_ok_and(|most| count <= f64::from(most));
    writes.retain(|request, count| match request.as_str() {
        "Patch services" => !at_most(*count, restless.len()),
        "Patch rollouts" => !at_most(*count, spoken),
        _ => true,
    });
    ensure!(writes.is_empty(), "{} wrote: {writes:?}", side.name());
    Ok(())
}

#[cfg(test)]
mod unit {
    use std::collections::BTreeMap;

    use super::{Metrics, sample};

    #[test]
    fn writes_are_requests_that_change_something() {
        let text = r#"
# TYPE controller_clientset_k8s_request counter
controller_clientset_k8s_request_total{kind="rollouts",namespace="shop",name="a",verb="Patch",status_code="200"} 2
controller_clientset_k8s_request_total{kind="rollouts",namespace="shop",name="b",verb="Patch",status_code="200"} 1
controller_clientset_k8s_request_total{kind="rollouts",namespace="old",name="a",verb="Patch",status_code="200"} 4
controller_clientset_k8s_request_total{kind="events",namespace="shop",name="",verb="Create",status_code="201"} 9
controller_clientset_k8s_request_total{kind="pods",namespace="shop",name="",verb="List",status_code="200"} 1
"#;
        let metrics = Metrics(text.lines().filter_map(sample).collect());
        assert_eq!(metrics.writes("shop"), BTreeMap::from([("Patch rollouts".to_owned(), 3.0)]));
    }
}
