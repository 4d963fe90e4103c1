//! What many Rollouts cost the controller: its processor time, its memory and its requests, while they are made, while
//! nothing happens, and while all of them are updated at once.
//!
//! The API server is a real one, the nodes and pods are simulated. Processor time and memory come from `/proc`,
//! requests from the API server's audit log. Never part of `cargo verify`: figures depend on the machine.

mod audit;
mod goals;
mod herd;
mod report;
pub(crate) mod runs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;
use kube::runtime::wait::await_condition;
use serde_json::json;

use self::audit::{Log, Tally};
use self::herd::{Given, Herd};
use self::report::{Phase, Report, Run};
use crate::cluster::simulated::{Parts, Simulated};
use crate::install::{self, NAMESPACE};
use crate::subject::{Heading, Subject, tell, write};
use crate::usage::{cpu_seconds, memory};
use crate::{manifest, say};

/// The controller among the programs of the cluster.
const CONTROLLER: &str = "tidegate";
const LEASE: &str = "argo-rollouts-controller-lock";
/// How long nothing is done and watched.
const IDLE: Duration = Duration::from_secs(60);
/// Requests count to a phase until there was none for this long.
const QUIET: Duration = Duration::from_secs(3);
/// Between lines that tell how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many Rollouts; each number is measured on a cluster of its own.
    #[arg(long, value_delimiter = ',', default_value = "200,1000")]
    rollouts: Vec<usize>,
    #[command(flatten)]
    subject: Subject,
}

/// Measures, prints and keeps the figures.
pub(crate) async fn run(options: Options) -> Result<()> {
    let parts = tokio::task::spawn_blocking(Parts::build).await??;
    let program = options.subject.program().await?;
    let file = options.subject.file("scale.json");
    let mut report =
        Report { heading: Heading::now(&program, &options.subject.controller_flags), runs: Vec::new() };
    for count in options.rollouts {
        say(format!("{count} Rollouts"));
        let run = measure(count, &parts, &program, &report.heading.flags).await;
        report.runs.push(run.with_context(|| format!("{count} Rollouts cannot be measured"))?);
        write(&file, &report, &report.text())?;
    }
    tell(&file, &report.text());
    Ok(())
}

/// Measures so many Rollouts on a fresh cluster.
async fn measure(count: usize, parts: &Parts, program: &Path, flags: &[String]) -> Result<Run> {
    let cluster = Simulated::start(&format!("scale-{}", std::process::id()), install::USER, parts).await?;
    start_controller(&cluster, program, flags).await?;
    let mut herd = Herd::new(cluster.client(), count).await?;
    let mut meter = Meter::new(&cluster)?;
    // A second for each Rollout, and what every cluster takes.
    let limit = Duration::from_secs(180) + Duration::from_secs(1) * u32::try_from(count)?;
    let load_before = load();

    meter.begin()?;
    let given = herd.create().await?;
    let created = meter.end_when_healthy(Phase::CREATED, &mut herd, herd::FIRST, given, limit).await?;

    meter.begin()?;
    let start = Instant::now();
    tokio::time::sleep(IDLE).await;
    let idle = meter.end(Phase::IDLE, start.elapsed())?;

    meter.begin()?;
    let given = herd.update().await?;
    let updated = meter.end_when_healthy(Phase::UPDATED, &mut herd, herd::SECOND, given, limit).await?;
    Ok(Run {
        rollouts: count,
        pause_seconds: herd::PAUSE_SECONDS,
        load: [load_before, load()],
        phases: vec![created, idle, updated],
    })
}

/// Installs the kinds and the rights as the chart has them, and starts the controller beside the cluster.
async fn start_controller(cluster: &Simulated, program: &Path, flags: &[String]) -> Result<()> {
    let client = cluster.client();
    for namespace in [NAMESPACE, herd::NAMESPACE] {
        let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        manifest::apply_value(client, document, namespace).await?;
    }
    install::kinds_and_rights(client).await?;
    let mut args = vec!["controller".to_owned(), "--kubeconfig".to_owned()];
    args.push(cluster.audited_kubeconfig()?.display().to_string());
    args.extend(flags.iter().cloned());
    cluster.run(CONTROLLER, program, &args, &[("POD_NAMESPACE", NAMESPACE)])?;
    until_leading(client).await.with_context(|| {
        let log = cluster.log(CONTROLLER).map(|path| crate::command::last_lines_of(&path, 20));
        format!("the controller does not lead:\n{}", log.unwrap_or_default())
    })
}

async fn until_leading(client: &Client) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let held = |lease: Option<&Lease>| {
        let spec = lease.and_then(|lease| lease.spec.as_ref());
        spec.is_some_and(|spec| spec.holder_identity.is_some())
    };
    tokio::time::timeout(Duration::from_secs(60), await_condition(leases, LEASE, held)).await??;
    Ok(())
}

/// Reads what one phase cost.
struct Meter<'a> {
    cluster: &'a Simulated,
    log: Log,
    /// Processor seconds of each program when the phase began.
    before: BTreeMap<String, f64>,
}

impl<'a> Meter<'a> {
    fn new(cluster: &'a Simulated) -> Result<Self> {
        Ok(Self { cluster, log: Log::new(cluster.audit_log()?), before: BTreeMap::new() })
    }

    fn begin(&mut self) -> Result<()> {
        self.log.read()?;
        // The highest memory of a phase is its own, not that of the one before it.
        let _unsupported = std::fs::write(controller(self.cluster)?.join("clear_refs"), "5");
        self.before = cpu(self.cluster)?;
        Ok(())
    }

    /// Ends a phase that took so long.
    fn end(&mut self, name: &'static str, took: Duration) -> Result<Phase> {
        let requests = self.log.read()?;
        self.phase(name, took, requests)
    }

    /// Ends a phase once every Rollout is Healthy with an image and the controller has said all it had to say.
    async fn end_when_healthy(
        &mut self,
        name: &'static str,
        herd: &mut Herd,
        image: &str,
        given: Given,
        limit: Duration,
    ) -> Result<Phase> {
        while given.start.elapsed() < limit && !herd.all_healthy(image, TELL_EVERY).await? {
            self.cluster.check()?;
            let healthy = herd.healthy(image);
            let (seconds, memory) = (given.start.elapsed().as_secs(), memory(&controller(self.cluster)?)?);
            say(format!("{name}: {healthy} Healthy after {seconds} s, {:.0} MiB", memory.now_mib));
        }
        let took = given.start.elapsed();
        ensure!(took < limit, "{name}: only {} are Healthy after {} s", herd.healthy(image), took.as_secs());
        let requests = self.settle().await?;
        let mut phase = self.phase(name, took, requests)?;
        phase.given_within_seconds = Some(given.within.as_secs_f64());
        phase.spread = herd.spread(image, &given);
        Ok(phase)
    }

    /// Waits until the controller makes no more requests for its objects.
    async fn settle(&mut self) -> Result<Tally> {
        let mut requests = self.log.read()?;
        loop {
            tokio::time::sleep(QUIET).await;
            let more = self.log.read()?;
            if more.is_quiet() {
                return Ok(requests + more);
            }
            requests = requests + more;
        }
    }

    fn phase(&self, name: &'static str, took: Duration, requests: Tally) -> Result<Phase> {
        let memory = memory(&controller(self.cluster)?)?;
        let mut cpu = since(&self.before, cpu(self.cluster)?);
        Ok(Phase {
            name,
            seconds: took.as_secs_f64(),
            given_within_seconds: None,
            spread: None,
            cpu_seconds: cpu.remove(CONTROLLER).unwrap_or_default(),
            memory_mib: memory.now_mib,
            peak_mib: memory.peak_mib,
            others_cpu_seconds: cpu,
            requests,
        })
    }
}

/// Where `/proc` tells of the controller.
fn controller(cluster: &Simulated) -> Result<PathBuf> {
    let mut programs = cluster.programs()?.into_iter();
    let found = programs.find(|(name, _)| name == CONTROLLER);
    found.map(|(_, process)| process).context("the controller has not been started")
}

/// Processor seconds of each program so far.
fn cpu(cluster: &Simulated) -> Result<BTreeMap<String, f64>> {
    let programs = cluster.programs()?.into_iter();
    let all = programs.chain([("this benchmark".to_owned(), PathBuf::from("/proc/self"))]);
    all.map(|(name, process)| Ok((name, cpu_seconds(&process)?))).collect()
}

/// Processor seconds of each program between two looks.
fn since(before: &BTreeMap<String, f64>, mut now: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    for (name, seconds) in &mut now {
        *seconds -= before.get(name).copied().unwrap_or_default();
    }
    now
}

/// How many processes wanted to run during the last minute, whoever started them.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default()
}
