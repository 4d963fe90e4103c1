//! What many AnalysisRuns cost: all of them ask one Prometheus again and again, for an hour.
//!
//! Runs that share a template ask the same, so there are fewer queries than runs. What is looked at is whether memory
//! stays flat, whether runs keep to their interval, and how many requests equal queries are. Never part of
//! `cargo verify`: it takes as long as it is told to.

mod figures;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::figures::{Figures, Minute, Run};
use super::audit::Log;
use super::{CONTROLLER, Simulated, controller, cpu, herd, since, start_controller};
use crate::cluster::simulated::Parts;
use crate::install;
use crate::scene::resource;
use crate::subject::{Heading, Subject, tell, write};
use crate::usage::memory;
use crate::{debian, say};

/// From one measurement of a run to the next one, in seconds.
const INTERVAL: u32 = 10;
/// Requests of the harness that are under way at once.
const AT_ONCE: usize = 16;
/// How long all runs may take to be measured for the first time.
const LIMIT: Duration = Duration::from_secs(300);
/// Objects in one answer to a list.
const PAGE: u32 = 250;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many AnalysisRuns there are.
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// How many different queries they ask.
    #[arg(long, default_value_t = 50)]
    queries: usize,
    /// For how long they are watched.
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    #[command(flatten)]
    subject: Subject,
}

/// Measures, prints and keeps the figures.
pub(crate) async fn run(options: Options) -> Result<()> {
    ensure!(options.runs > 0 && options.queries > 0 && options.minutes > 0, "nothing to measure");
    let parts = tokio::task::spawn_blocking(Parts::build).await??;
    let prometheus = tokio::task::spawn_blocking(debian::prometheus).await??;
    let program = options.subject.program().await?;
    let file = options.subject.file("scale-runs.json");
    let cluster = Simulated::start(&format!("runs-{}", std::process::id()), install::USER, &parts).await?;
    let address = cluster.start_prometheus(&prometheus)?;
    start_controller(&cluster, &program, &options.subject.controller_flags).await?;
    let stage = Stage::new(cluster, address).await?;
    stage.create(options.runs, options.queries).await?;
    let first = stage.until_measured(options.runs).await?;

    let mut figures = Figures {
        heading: Heading::now(&program, &options.subject.controller_flags),
        queries: options.queries,
        interval_seconds: INTERVAL,
        minutes: Vec::new(),
        runs: Vec::new(),
    };
    let mut meter = Meter::new(&stage).await?;
    let mut ends =
        tokio::time::interval_at(Instant::now() + Duration::from_secs(60), Duration::from_secs(60));
    for _ in 0..options.minutes {
        ends.tick().await;
        stage.cluster.check()?;
        let runs = stage.runs().await?;
        let minute = meter.minute(&runs).await?;
        say(minute.text());
        figures.minutes.push(minute);
        figures.runs = first.iter().map(|(name, before)| Run::of(before, runs.get(name))).collect();
        write(&file, &figures, &figures.text())?;
    }
    tell(&file, &figures.text());
    Ok(())
}

/// A cluster with a Prometheus, and the runs on it.
struct Stage {
    cluster: Simulated,
    /// URL of Prometheus.
    prometheus: String,
    api: Api<DynamicObject>,
    http: reqwest::Client,
}

impl Stage {
    async fn new(cluster: Simulated, prometheus: String) -> Result<Self> {
        let kind = resource(cluster.client(), "argoproj.io/v1alpha1", "AnalysisRun").await?;
        let api = Api::namespaced_with(cluster.client().clone(), herd::NAMESPACE, &kind);
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { cluster, prometheus, api, http })
    }

    async fn create(&self, runs: usize, queries: usize) -> Result<()> {
        let objects = (0..runs).map(|index| analysis_run(index, index % queries, &self.prometheus));
        stream::iter(objects)
            .map(|object| async move {
                let object: DynamicObject = serde_json::from_value(object)?;
                let created = self.api.create(&PostParams::default(), &object).await;
                created.context("cannot create an AnalysisRun").map(drop)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// Waits until each run was measured, and tells what is known of each.
    async fn until_measured(&self, count: usize) -> Result<BTreeMap<String, Value>> {
        let end = Instant::now() + LIMIT;
        loop {
            self.cluster.check()?;
            let runs = self.runs().await?;
            let measured = runs.values().filter(|run| figures::last_measured(run).is_some()).count();
            say(format!("{measured} of {count} are measured"));
            if measured >= count {
                return Ok(runs);
            }
            ensure!(Instant::now() < end, "only {measured} runs are measured after {} s", LIMIT.as_secs());
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    /// What the status of each run says of its metric.
    async fn runs(&self) -> Result<BTreeMap<String, Value>> {
        let mut runs = BTreeMap::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = self.api.list(&page).await.context("cannot list AnalysisRuns")?;
            let next = list.metadata.continue_.clone().filter(|next| !next.is_empty());
            runs.extend(list.into_iter().map(|run| {
                let status = &run.data["status"];
                (run.name_any(), json!({"phase": status["phase"], "metric": status["metricResults"][0]}))
            }));
            match next {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(runs),
            }
        }
    }

    /// How many queries Prometheus has answered.
    async fn answered(&self) -> Result<u64> {
        let text = self.http.get(format!("{}/metrics", self.prometheus)).send().await?.text().await?;
        Ok(figures::queries(&text))
    }
}

fn analysis_run(index: usize, query: usize, address: &str) -> Value {
    let prometheus = json!({"address": address, "query": format!("vector({query})")});
    let metric = json!({
        "name": "ratio", "interval": format!("{INTERVAL}s"), "successCondition": "result[0] >= 0",
        "provider": {"prometheus": prometheus},
    });
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {"name": format!("run-{index:04}"), "namespace": herd::NAMESPACE},
        "spec": {"metrics": [metric]},
    })
}

/// Reads what one minute cost.
struct Meter<'a> {
    stage: &'a Stage,
    log: Log,
    before: Counters,
}

/// What only grows.
#[derive(Default)]
struct Counters {
    /// Processor seconds of each program.
    cpu: BTreeMap<String, f64>,
    answered: u64,
    measured: u64,
}

impl<'a> Meter<'a> {
    async fn new(stage: &'a Stage) -> Result<Self> {
        let mut meter =
            Self { stage, log: Log::new(stage.cluster.audit_log()?), before: Counters::default() };
        meter.minute(&stage.runs().await?).await?;
        Ok(meter)
    }

    /// What was used since the last call.
    async fn minute(&mut self, runs: &BTreeMap<String, Value>) -> Result<Minute> {
        let cluster = &self.stage.cluster;
        let now = Counters {
            cpu: cpu(cluster)?,
            answered: self.stage.answered().await?,
            measured: runs.values().map(figures::count).sum(),
        };
        let before = std::mem::replace(&mut self.before, now);
        let now = &self.before;
        let mut others = since(&before.cpu, now.cpu.clone());
        Ok(Minute {
            memory_mib: memory(&controller(cluster)?)?.now_mib,
            cpu_seconds: others.remove(CONTROLLER).unwrap_or_default(),
            others_cpu_seconds: others,
            measurements: now.measured.saturating_sub(before.measured),
            queries: now.answered.saturating_sub(before.answered),
            requests: self.log.read()?,
        })
    }
}
