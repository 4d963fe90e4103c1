//! Gauges that are read from the stores when somebody scrapes them, under upstream's names.
//!
//! Input: stores. Output: series. Nothing is kept, so an object that is gone leaves no series behind.

mod queues;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, Metric};
use tidegate_api::rollout::{Rollout, RolloutCondition};
use tidegate_engine::analysis::dry_run_metrics;

use crate::client::Gate;
use crate::metrics::{Metrics, Stuck};
use crate::store::Key;
use crate::watch::Scene;

/// Phases as upstream's metric has them: from the reason of the condition Progressing, not from status.phase.
const ROLLOUT_PHASES: [&str; 7] =
    ["Completed", "Progressing", "Paused", "Timeout", "Error", "Abort", "InvalidSpec"];
const RUN_PHASES: [AnalysisPhase; 6] = [
    AnalysisPhase::Pending,
    AnalysisPhase::Running,
    AnalysisPhase::Successful,
    AnalysisPhase::Failed,
    AnalysisPhase::Error,
    AnalysisPhase::Inconclusive,
];

const BUILD_INFO: &str =
    "A metric with a constant '1' value labeled by version from which Argo-Rollouts was built.";

/// Reads the stores at each scrape.
pub(crate) struct Gauges {
    pub(crate) scene: Arc<Scene>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gate: Gate,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}

/// One series: labels and value.
type Series = (Vec<(&'static str, String)>, f64);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let version = || ("version", env!("CARGO_PKG_VERSION").to_owned());
        let info = "Running Argo-rollouts version";
        family(&mut encoder, "argo_rollouts_controller_info", info, vec![(vec![version()], 1.0)])?;
        family(&mut encoder, "build_info", BUILD_INFO, vec![(build(version()), 1.0)])?;
        let leads = f64::from(u8::from(self.gate.is_open()));
        single(&mut encoder, "tidegate_leader", "Whether this controller holds the lease", leads)?;
        self.rollouts(&mut encoder)?;
        self.runs(&mut encoder)?;
        self.experiments(&mut encoder)?;
        self.templates(&mut encoder)?;
        self.standings(&mut encoder)?;
        queues::encode(&self.scene, &mut encoder)?;
        process(&mut encoder)
    }
}

impl Gauges {
    fn rollouts(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut info = Vec::new();
        let mut phases = Vec::new();
        let mut replicas: [Vec<Series>; 4] = Default::default();
        for (key, facts) in self.scene.stores.rollouts.all() {
            let rollout = &facts.rollout;
            let (strategy, router, phase) = (strategy(rollout), traffic_router(rollout), phase(rollout));
            let mut labels = named(&key);
            labels.extend([("strategy", strategy.to_owned()), ("traffic_router", router.to_owned())]);
            labels.push(("phase", phase.to_owned()));
            info.push((labels, 1.0));
            for known in ROLLOUT_PHASES {
                let mut labels = named(&key);
                labels.extend([("strategy", strategy.to_owned()), ("phase", known.to_owned())]);
                phases.push((labels, f64::from(u8::from(known == phase))));
            }
            let status = rollout.status.as_ref();
            let count = |field: fn(&tidegate_api::rollout::RolloutStatus) -> i32| status.map_or(0, field);
            let available = count(|status| status.available_replicas);
            let counts = [
                available,
                count(|status| status.replicas) - available,
                rollout.spec.replicas.unwrap_or(1),
                count(|status| status.updated_replicas),
            ];
            for (series, count) in replicas.iter_mut().zip(counts) {
                series.push((named(&key), f64::from(count)));
            }
        }
        family(encoder, "rollout_info", "Information about rollout.", info)?;
        family(
            encoder,
            "rollout_phase",
            "Information on the state of the rollout (DEPRECATED - use rollout_info)",
            phases,
        )?;
        let [available, unavailable, desired, updated] = replicas;
        let help = "The number of available replicas per rollout.";
        family(encoder, "rollout_info_replicas_available", help, available)?;
        let help = "The number of unavailable replicas per rollout.";
        family(encoder, "rollout_info_replicas_unavailable", help, unavailable)?;
        family(
            encoder,
            "rollout_info_replicas_desired",
            "The number of desired replicas per rollout.",
            desired,
        )?;
        family(
            encoder,
            "rollout_info_replicas_updated",
            "The number of updated replicas per rollout.",
            updated,
        )
    }

    fn runs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (mut info, mut phases, mut types, mut metric_phases) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, run) in self.scene.stores.runs.all() {
            let phase = run.status.as_ref().and_then(|status| status.phase);
            info.push(in_phase(&key, phase));
            phases.extend(of_phases(&key, phase));
            for metric in &run.spec.metrics {
                let mut labels = named(&key);
                labels.extend([("metric", metric.name.clone()), ("type", provider(metric).to_owned())]);
                types.push((labels, 1.0));
            }
            metric_phases.extend(of_metrics(&key, &run));
        }
        family(encoder, "analysis_run_info", "Information about analysis run.", info)?;
        family(
            encoder,
            "analysis_run_phase",
            "Information on the state of the Analysis Run (DEPRECATED - use analysis_run_info)",
            phases,
        )?;
        let help = "Information on the type of a specific metric in the Analysis Runs";
        family(encoder, "analysis_run_metric_type", help, types)?;
        let help = "Information on the duration of a specific metric in the Analysis Run";
        family(encoder, "analysis_run_metric_phase", help, metric_phases)
    }

    fn experiments(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (mut info, mut phases) = (Vec::new(), Vec::new());
        for (key, experiment) in self.scene.stores.experiments.all() {
            let phase = experiment.status.as_ref().and_then(|status| status.phase);
            info.push(in_phase(&key, phase));
            phases.extend(of_phases(&key, phase));
        }
        family(encoder, "experiment_info", "Information about Experiment.", info)?;
        family(
            encoder,
            "experiment_phase",
            "Information on the state of the experiment (DEPRECATED - use experiment_info)",
            phases,
        )
    }

    fn templates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (mut info, mut metrics) = (Vec::new(), Vec::new());
        let stores = &self.scene.stores;
        for (key, template) in stores.templates.all().into_iter().chain(stores.cluster_templates.all()) {
            info.push((named(&key), 1.0));
            for metric in &template.spec.metrics {
                let mut labels = named(&key);
                labels.extend([("type", provider(metric).to_owned()), ("metric", metric.name.clone())]);
                metrics.push((labels, 1.0));
            }
        }
        family(encoder, "analysis_template_info", "Information about analysis templates.", info)?;
        family(
            encoder,
            "analysis_template_metric_info",
            "Information on metrics in analysis templates.",
            metrics,
        )
    }

    fn standings(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut reasons: BTreeMap<String, f64> = BTreeMap::new();
        let mut stuck: BTreeMap<Stuck, f64> = Stuck::ALL.map(|why| (why, 0.0)).into();
        for standing in self.metrics.standings() {
            if let Some(why) = standing.stuck() {
                *stuck.entry(why).or_default() += 1.0;
            }
            if !standing.decided.reason.is_empty() {
                *reasons.entry(standing.decided.reason).or_default() += 1.0;
            }
        }
        let reasons = reasons.into_iter().map(|(reason, count)| (vec![("reason", reason)], count)).collect();
        family(encoder, "tidegate_rollout_waiting", "Rollouts by what they wait for", reasons)?;
        let help =
            "Rollouts that fail again and again, whose decision does not end, or that wait without a reason";
        let stuck = stuck.into_iter().map(|(why, count)| (vec![("why", why.name().to_owned())], count));
        family(encoder, "tidegate_rollouts_stuck", help, stuck.collect())
    }
}

fn family(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, series: Vec<Series>) -> fmt::Result {
    if series.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A family of counters, whose series get the ending `_total`.
fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: Vec<(Vec<(&'static str, String)>, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in series {
        ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A family of one series without labels.
fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn named(key: &Key) -> Vec<(&'static str, String)> {
    vec![("namespace", key.namespace.clone()), ("name", key.name.clone())]
}

/// What upstream tells of a build. There is no Go in this one, and a build from a package knows no commit: empty labels.
fn build(version: (&'static str, String)) -> Vec<(&'static str, String)> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let commit = option_env!("TIDEGATE_COMMIT").unwrap_or_default();
    vec![
        version,
        ("goversion", String::new()),
        ("goarch", architecture.to_owned()),
        ("commit", commit.to_owned()),
    ]
}

/// The phase of a run or an Experiment, which is an empty label before it has one.
fn in_phase(key: &Key, phase: Option<AnalysisPhase>) -> Series {
    let mut labels = named(key);
    labels.push(("phase", phase.map_or("", AnalysisPhase::as_str).to_owned()));
    (labels, 1.0)
}

/// A series for each phase, of which the one that it is in shows 1; without a phase it is pending.
fn of_phases(key: &Key, phase: Option<AnalysisPhase>) -> Vec<Series> {
    let phase = phase.unwrap_or(AnalysisPhase::Pending);
    let series = RUN_PHASES.map(|known| {
        let mut labels = named(key);
        labels.push(("phase", known.as_str().to_owned()));
        (labels, f64::from(u8::from(known == phase)))
    });
    series.into()
}

/// The phase of each metric of a run; one that has not begun is pending, and dry by the rules of the run already.
fn of_metrics(key: &Key, run: &AnalysisRun) -> Vec<Series> {
    let mut series = Vec::new();
    let dry = dry_run_metrics(run);
    let results = || run.status.iter().flat_map(|status| &status.metric_results);
    for metric in &run.spec.metrics {
        let result = results().find(|result| result.name == metric.name);
        let phase = result.and_then(|result| result.phase).unwrap_or(AnalysisPhase::Pending);
        let dry_run = dry.contains(metric.name.as_str());
        for known in RUN_PHASES {
            let mut labels = named(key);
            labels.extend([("metric", metric.name.clone()), ("type", provider(metric).to_owned())]);
            labels.extend([("dry_run", dry_run.to_string()), ("phase", known.as_str().to_owned())]);
            series.push((labels, f64::from(u8::from(phase == known))));
        }
    }
    series
}

fn strategy(rollout: &Rollout) -> &'static str {
    let strategy = &rollout.spec.strategy;
    match (&strategy.canary, &strategy.blue_green) {
        (_, Some(_)) => "blueGreen",
        (Some(_), None) => "canary",
        (None, None) => "none",
    }
}

/// Upstream's label knows these routers only, and is empty for the others; of several it names the last.
fn traffic_router(rollout: &Rollout) -> &'static str {
    let strategy = &rollout.spec.strategy;
    let canary = strategy.canary.as_ref().filter(|_| strategy.blue_green.is_none());
    let Some(routing) = canary.and_then(|canary| canary.traffic_routing.as_ref()) else { return "" };
    let known = [
        (routing.alb.is_some(), "ALB"),
        (routing.ambassador.is_some(), "Ambassador"),
        (routing.istio.is_some(), "Istio"),
        (routing.nginx.is_some(), "Nginx"),
        (routing.smi.is_some(), "SMI"),
        (routing.app_mesh.is_some(), "AppMesh"),
    ];
    known.into_iter().rfind(|(named, _)| *named).map_or("", |(_, name)| name)
}

fn phase(rollout: &Rollout) -> &'static str {
    let conditions = rollout.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let find = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    if find("InvalidSpec").is_some() {
        return "InvalidSpec";
    }
    let reason = |condition: &RolloutCondition| match condition.reason.as_str() {
        "NewReplicaSetAvailable" => "Completed",
        "RolloutPaused" => "Paused",
        "ServiceNotFound" | "ReplicaSetCreateError" => "Error",
        "ProgressDeadlineExceeded" => "Timeout",
        "RolloutAborted" => "Abort",
        _ => "Progressing",
    };
    find("Progressing").map_or("Progressing", reason)
}

/// The provider of a metric, as upstream names it.
fn provider(metric: &Metric) -> &'static str {
    let provider = &metric.provider;
    let known = [
        (provider.prometheus.is_some(), "Prometheus"),
        (provider.job.is_some(), "Job"),
        (provider.kayenta.is_some(), "Kayenta"),
        (provider.web.is_some(), "Web"),
        (provider.datadog.is_some(), "Datadog"),
        (provider.wavefront.is_some(), "Wavefront"),
        (provider.new_relic.is_some(), "NewRelic"),
        (provider.cloud_watch.is_some(), "CloudWatch"),
        (provider.graphite.is_some(), "Graphite"),
        (provider.influxdb.is_some(), "Influxdb"),
        (provider.skywalking.is_some(), "skywalking"),
        (!provider.plugin.is_empty(), "RPCPlugin"),
    ];
    known.into_iter().find(|(named, _)| *named).map_or("Unknown Provider", |(_, name)| name)
}

/// Memory, files and processor time of this process, from /proc; left out where there is none.
fn process(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (status, stat) = (read("/proc/self/status"), read("/proc/self/stat"));
    let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    let files = files.and_then(|count| u32::try_from(count).ok()).map(f64::from);
    // Linux shows a hundred ticks per second to user space, whatever it counts itself.
    let seconds = |ticks: f64| ticks / 100.0;
    let start = start_ticks(&stat).zip(boot_seconds(&read("/proc/stat")));
    let bytes = |field: &str| memory(&status, field).map(|kibibytes| kibibytes * 1024.0);
    let known = [
        ("process_resident_memory_bytes", "Resident memory size in bytes.", bytes("VmRSS:")),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", bytes("VmSize:")),
        ("process_open_fds", "Number of open file descriptors.", files),
        (
            "process_max_fds",
            "Maximum number of open file descriptors.",
            max_files(&read("/proc/self/limits")),
        ),
        (
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            processor_ticks(&stat).map(seconds),
        ),
        (
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            start.map(|(ticks, boot)| boot + seconds(ticks)),
        ),
    ];
    known.into_iter().try_for_each(|(name, help, value)| match value {
        Some(value) => single(encoder, name, help, value),
        None => Ok(()),
    })
}

/// A line such as `VmRSS:  2048 kB` in kibibytes.
fn memory(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A field of `stat` by its number; the second is the program's name and may hold blanks.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// User and system time together.
fn processor_ticks(stat: &str) -> Option<f64> {
    Some(stat_field(stat, 14)? + stat_field(stat, 15)?)
}

/// When the process began, in ticks since the machine did.
fn start_ticks(stat: &str) -> Option<f64> {
    stat_field(stat, 22)
}

/// When the machine began, in seconds since 1970.
fn boot_seconds(of_machine: &str) -> Option<f64> {
    of_machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit of open files.
fn max_files(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use serde_json::json;
    use tidegate_api::experiment::Experiment;
    use tidegate_engine::analysis::Template;
    use tidegate_engine::fence::Seen;

    use super::*;
    use crate::facts::{Facts, RolloutFacts};

    /// What somebody reads who scrapes; all of these lines must be in it.
    fn shows(scene: Scene, lines: &[&str]) {
        let mut registry = Registry::default();
        let (scene, metrics) = (Arc::new(scene), Arc::new(Metrics::default()));
        registry.register_collector(Box::new(Gauges { scene, metrics, gate: Gate::always_open() }));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in lines {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_scrape_shows_rollouts_as_upstream_does() {
        let scene = Scene::default();
        let object = json!({
            "metadata": {"name": "shop", "namespace": "ns"},
            "spec": {"replicas": 5, "strategy": {"canary": {"trafficRouting": {"nginx": {"stableIngress": "shop"}}}}},
            "status": {"replicas": 4, "availableReplicas": 3, "updatedReplicas": 1, "conditions": [
                {"type": "Progressing", "status": "Unknown", "reason": "RolloutPaused", "message": ""},
            ]},
        });
        let seen = Seen { version: "1".to_owned(), uid: "u".to_owned() };
        scene.stores.rollouts.apply(Key::new("ns", "shop"), seen, RolloutFacts::keep(object, None).unwrap());
        let object = json!({
            "metadata": {"name": "wrong", "namespace": "ns"}, "spec": {"strategy": {}},
            "status": {"conditions": [
                {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": ""},
                {"type": "InvalidSpec", "status": "True", "reason": "InvalidSpec", "message": ""},
            ]},
        });
        let seen = Seen { version: "5".to_owned(), uid: "w".to_owned() };
        scene.stores.rollouts.apply(Key::new("ns", "wrong"), seen, RolloutFacts::keep(object, None).unwrap());
        shows(
            scene,
            &[
                r#"rollout_info{namespace="ns",name="shop",strategy="canary",traffic_router="Nginx",phase="Paused"} 1.0"#,
                r#"rollout_info{namespace="ns",name="wrong",strategy="none",traffic_router="",phase="InvalidSpec"} 1.0"#,
                r#"rollout_info_replicas_available{namespace="ns",name="shop"} 3.0"#,
                r#"rollout_info_replicas_unavailable{namespace="ns",name="shop"} 1.0"#,
                r#"rollout_info_replicas_desired{namespace="ns",name="shop"} 5.0"#,
                r#"rollout_info_replicas_updated{namespace="ns",name="shop"} 1.0"#,
                r#"rollout_phase{namespace="ns",name="shop",strategy="canary",phase="Abort"} 0.0"#,
                r#"rollout_phase{namespace="ns",name="shop",strategy="canary",phase="Paused"} 1.0"#,
                "# HELP rollout_info Information about rollout.\n",
                "# HELP rollout_info_replicas_updated The number of updated replicas per rollout.\n",
                "# HELP rollout_phase Information on the state of the rollout (DEPRECATED - use rollout_info)\n",
                "tidegate_leader 1.0",
                r#"workqueue_depth{name="Rollouts"} 0.0"#,
                r#"workqueue_adds_total{name="Experiments"} 0"#,
                r#"workqueue_retries_total{name="AnalysisRuns"} 0"#,
                "# HELP workqueue_adds Total number of adds handled by workqueue\n",
                r#"workqueue_queue_duration_seconds_count{name="Rollouts"} 0"#,
                r#"workqueue_queue_duration_seconds_bucket{le="0.001",name="Rollouts"} 0"#,
                r#"workqueue_work_duration_seconds_bucket{le="1000.0",name="AnalysisRuns"} 0"#,
                r#"workqueue_unfinished_work_seconds{name="Experiments"} 0.0"#,
                r#"workqueue_longest_running_processor_seconds{name="Experiments"} 0.0"#,
                r#"tidegate_rollouts_stuck{why="undeclared"} 0.0"#,
                "process_resident_memory_bytes ",
                "process_virtual_memory_bytes ",
                "process_open_fds ",
                "process_max_fds ",
                "process_cpu_seconds_total ",
                "process_start_time_seconds ",
            ],
        );
    }

    #[test]
    fn a_scrape_shows_analyses_and_experiments_as_upstream_does() {
        let scene = Scene::default();
        let object = json!({
            "metadata": {"name": "compare", "namespace": "ns"}, "spec": {"templates": []},
            "status": {"phase": "Running"},
        });
        let seen = Seen { version: "2".to_owned(), uid: "e".to_owned() };
        let experiment = Experiment::keep(object, None).unwrap();
        scene.stores.experiments.apply(Key::new("ns", "compare"), seen, experiment);
        let object = json!({
            "metadata": {"name": "check", "namespace": "ns"},
            "spec": {"metrics": [
                {"name": "errors", "provider": {"prometheus": {"query": "up"}}},
                {"name": "smoke", "provider": {"job": {"spec": {}}}},
            ]},
            "status": {"phase": "Running", "metricResults": [{"name": "errors", "phase": "Running"}]},
        });
        let seen = Seen { version: "3".to_owned(), uid: "a".to_owned() };
        scene.stores.runs.apply(Key::new("ns", "check"), seen, AnalysisRun::keep(object, None).unwrap());
        let object =
            json!({"spec": {"metrics": [{"name": "errors", "provider": {"web": {"url": "http://x"}}}]}});
        let seen = Seen { version: "4".to_owned(), uid: "t".to_owned() };
        let template = Template::keep(object, None).unwrap();
        scene.stores.templates.apply(Key::new("ns", "errors"), seen, template);
        shows(
            scene,
            &[
                r#"experiment_info{namespace="ns",name="compare",phase="Running"} 1.0"#,
                r#"experiment_phase{namespace="ns",name="compare",phase="Failed"} 0.0"#,
                r#"analysis_run_info{namespace="ns",name="check",phase="Running"} 1.0"#,
                r#"analysis_run_phase{namespace="ns",name="check",phase="Error"} 0.0"#,
                r#"analysis_run_metric_type{namespace="ns",name="check",metric="smoke",type="Job"} 1.0"#,
                r#"analysis_run_metric_phase{namespace="ns",name="check",metric="errors",type="Prometheus",dry_run="false",phase="Running"} 1.0"#,
                r#"analysis_run_metric_phase{namespace="ns",name="check",metric="smoke",type="Job",dry_run="false",phase="Pending"} 1.0"#,
                r#"analysis_template_info{namespace="ns",name="errors"} 1.0"#,
                r#"analysis_template_metric_info{namespace="ns",name="errors",type="Web",metric="errors"} 1.0"#,
                concat!(r#"argo_rollouts_controller_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1.0"#),
                concat!(r#"build_info{version=""#, env!("CARGO_PKG_VERSION"), r#"",goversion="",goarch=""#),
                "# HELP build_info A metric with a constant '1' value labeled by version from which Argo-Rollouts was built.\n",
                "# HELP experiment_info Information about Experiment.\n",
                "# HELP analysis_run_metric_phase Information on the duration of a specific metric in the Analysis Run\n",
            ],
        );
    }

    /// Metrics that have not begun are dry by the rules already.
    #[test]
    fn a_scrape_shows_what_has_not_begun() {
        let scene = Scene::default();
        let seen = Seen { version: "1".to_owned(), uid: "e".to_owned() };
        let object = json!({"metadata": {"name": "new", "namespace": "ns"}, "spec": {"templates": []}});
        let experiment = Experiment::keep(object, None).unwrap();
        scene.stores.experiments.apply(Key::new("ns", "new"), seen, experiment);
        let object = json!({"metadata": {"name": "new", "namespace": "ns"}, "spec": {
            "dryRun": [{"metricName": "^smo"}],
            "metrics": [
                {"name": "errors", "provider": {"prometheus": {"query": "up"}}},
                {"name": "smoke", "provider": {"job": {"spec": {}}}},
            ],
        }});
        let seen = Seen { version: "2".to_owned(), uid: "a".to_owned() };
        scene.stores.runs.apply(Key::new("ns", "new"), seen, AnalysisRun::keep(object, None).unwrap());
        shows(
            scene,
            &[
                r#"experiment_info{namespace="ns",name="new",phase=""} 1.0"#,
                r#"experiment_phase{namespace="ns",name="new",phase="Pending"} 1.0"#,
                r#"analysis_run_info{namespace="ns",name="new",phase=""} 1.0"#,
                r#"analysis_run_phase{namespace="ns",name="new",phase="Pending"} 1.0"#,
                r#"analysis_run_metric_phase{namespace="ns",name="new",metric="errors",type="Prometheus",dry_run="false",phase="Pending"} 1.0"#,
                r#"analysis_run_metric_phase{namespace="ns",name="new",metric="smoke",type="Job",dry_run="true",phase="Pending"} 1.0"#,
                r#"analysis_run_metric_phase{namespace="ns",name="new",metric="smoke",type="Job",dry_run="true",phase="Failed"} 0.0"#,
            ],
        );
    }

    #[test]
    fn providers_have_upstreams_names() {
        let rows = [
            (json!({"prometheus": {}}), "Prometheus"),
            (json!({"job": {"spec": {}}}), "Job"),
            (json!({"kayenta": {}}), "Kayenta"),
            (json!({"web": {}}), "Web"),
            (json!({"datadog": {}}), "Datadog"),
            (json!({"wavefront": {}}), "Wavefront"),
            (json!({"newRelic": {}}), "NewRelic"),
            (json!({"cloudWatch": {}}), "CloudWatch"),
            (json!({"graphite": {}}), "Graphite"),
            (json!({"influxdb": {}}), "Influxdb"),
            (json!({"skywalking": {}}), "skywalking"),
            (json!({"plugin": {"tidegate.dev/splunk": {}}}), "RPCPlugin"),
            (json!({}), "Unknown Provider"),
        ];
        for (from, wanted) in rows {
            let metric: Metric = serde_json::from_value(json!({"name": "m", "provider": from})).unwrap();
            assert_eq!(provider(&metric), wanted);
        }
    }

    #[test]
    fn the_router_is_named_as_upstream_does() {
        let rows = [
            (json!({}), ""),
            (json!({"canary": {"trafficRouting": {"plugins": {"a/b": {}}}}}), ""),
            (json!({"canary": {"trafficRouting": {"alb": {}, "istio": {}}}}), "Istio"),
            (json!({"canary": {"trafficRouting": {"nginx": {}}}, "blueGreen": {}}), ""),
        ];
        for (strategy, wanted) in rows {
            let rollout = json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"},
                "spec": {"strategy": strategy},
            });
            assert_eq!(traffic_router(&serde_json::from_value(rollout).unwrap()), wanted);
        }
    }

    /// Upstream's metric has phases of its own.
    #[test]
    fn phases_follow_the_reason_of_progressing() {
        let rows = [
            ("NewReplicaSetAvailable", "Completed"),
            ("RolloutPaused", "Paused"),
            ("ReplicaSetCreateError", "Error"),
            ("ProgressDeadlineExceeded", "Timeout"),
            ("RolloutAborted", "Abort"),
            ("ReplicaSetUpdated", "Progressing"),
        ];
        for (reason, wanted) in rows {
            let condition = json!({"type": "Progressing", "status": "True", "reason": reason, "message": ""});
            let rollout = json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"},
                "spec": {}, "status": {"conditions": [condition]},
            });
            assert_eq!(phase(&serde_json::from_value(rollout).unwrap()), wanted);
        }
    }

    #[test]
    fn processor_time_is_read_past_a_name_with_blanks() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1 2";
        assert_eq!(processor_ticks(stat), Some(300.0));
        assert_eq!(start_ticks(stat), Some(100.0));
        assert_eq!(memory("VmPeak: 9 kB\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(boot_seconds("ctxt 7\nbtime 1700000000\n"), Some(1_700_000_000.0));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024    4096   files\n";
        assert_eq!(max_files(limits), Some(1024.0));
    }
}
