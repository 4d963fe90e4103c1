//! The controller as a process: watches, election, loops, and how they end.
//!
//! Everything that touches the world is in this crate, one outside thing per file; every decision is in
//! `tidegate-engine`.

mod analysis;
mod apply;
mod aws;
mod bounded;
mod client;
mod cluster_metrics;
mod difference;
mod durations;
mod events;
mod experiment;
mod facts;
mod failure;
mod fetch;
mod gauges;
mod git;
mod google;
mod jobs;
mod kept;
mod kinds;
mod labels;
mod lease;
mod metrics;
#[cfg(test)]
mod mock;
mod observe;
mod optional;
mod options;
mod raw;
mod request;
#[cfg(test)]
mod rights;
mod rollout;
mod secrets;
mod serve;
mod services;
mod store;
pub mod survey;
mod sync;
mod telemetry;
mod watch;
mod webhook;
mod work;
mod workloads;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Config;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use prometheus_client::registry::Registry;
use tidegate_engine::metric::Defaults;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch as channel;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::analysis::Runs;
use crate::apply::Hand;
use crate::client::{Gate, Limit};
use crate::experiment::Experiments;
use crate::gauges::Gauges;
use crate::jobs::Jobs;
use crate::lease::Election;
use crate::metrics::Metrics;
use crate::options::LogFormat;
use crate::rollout::Rollouts;
use crate::services::{Services, selects_a_revision};
use crate::sync::{Applications, Counts};
use crate::watch::{Scene, Scope};
use crate::webhook::Deliveries;

pub use crate::options::{HoldAborted, Options, Part, SyncOptions};
pub use crate::serve::ServeError;

/// What is in progress when the process is asked to end gets this long.
const FINISH_WITHIN: Duration = Duration::from_secs(15);
/// Services that are looked at in the same moment: each takes two requests at most.
const SERVICES_AT_ONCE: usize = 4;
/// Events that still wait then get this long.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// Why the controller cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kubeconfig cannot be used.
    #[error("cannot read the kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
    /// There is no cluster to be found.
    #[error("cannot find a cluster: neither in-cluster credentials nor a kubeconfig")]
    NoCluster(#[from] kube::config::InferConfigError),
    /// The client cannot be built.
    #[error("cannot build the Kubernetes client")]
    Client(#[from] kube::Error),
    /// A port cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The flags contradict each other, or one is not taken.
    #[error("{0}")]
    Flags(String),
    /// A watch ended for good, so its cache would stay as it is.
    #[error("a watch ended, which is a bug: starting again is the remedy")]
    Watch,
    /// Signals cannot be received.
    #[error("cannot listen for signals")]
    Signals(#[from] std::io::Error),
}

/// What of the cluster is looked at.
fn scope(options: &Options, own_namespace: &str) -> Scope {
    let named = || options.namespace.clone().unwrap_or_else(|| own_namespace.to_owned());
    Scope {
        namespace: options.namespaced.then(named),
        instance_id: options.instance_id.clone().filter(|id| !id.is_empty()),
        analysis_only: options.is_analysis_only(),
    }
}

/// Where Jobs of analyses are looked for.
fn job_scope(options: &Options, scope: &Scope) -> Scope {
    Scope { namespace: options.job_namespace().or_else(|| scope.namespace.clone()), ..scope.clone() }
}

fn defaults(options: &Options) -> Defaults {
    Defaults {
        prometheus_address: options.prometheus_address.clone(),
        job_namespace: options.job_namespace(),
        jobs_elsewhere: options.job_kubeconfig().is_some(),
    }
}

/// Begins the log, with what was asked for and is not done.
fn begin_log(options: &Options) {
    let format = LogFormat::named(&options.logformat);
    telemetry::install(&options.loglevel, options.kloglevel, format.unwrap_or_default());
    if format.is_none() {
        info!(logformat = options.logformat, "unknown log format, using text");
    }
    for flag in options.accepted.given() {
        warn!(flag, "flag is accepted and has no effect");
    }
}

/// Runs the controller until it is asked to end.
///
/// # Errors
/// Fails when it cannot start; afterwards it tries for ever whatever fails.
pub async fn run(options: Options) -> Result<(), RunError> {
    begin_log(&options);
    options.check().map_err(RunError::Flags)?;
    let stop = signals()?;
    let config = options.connection.config().await?;
    let metrics = Arc::new(Metrics::default());
    let scene = Arc::new(Scene::default());
    let gate = if options.leader_elect { Gate::default() } else { Gate::always_open() };
    let limit = || Limit::new(options.qps, options.burst);
    let client = client::build(&config, limit(), gate.clone(), Arc::clone(&metrics))?;
    // Events never wait for decisions, nor decisions for events, and neither for the lease.
    let talk = client::build(&config, limit(), Gate::always_open(), Arc::clone(&metrics))?;
    let claim = client::build(&config, Limit::new(0.0, 1), Gate::always_open(), Arc::clone(&metrics))?;

    let mut background = JoinSet::new();
    let (counts, deliveries) = (Counts::default(), Deliveries::default());
    serve(&options, &scene, &metrics, (&counts, &deliveries), &gate, &mut background).await?;
    receive_webhooks(&options, &config, &metrics, deliveries, &mut background).await?;
    let own_namespace = options.own_namespace();
    let scope = scope(&options, &own_namespace);
    info!(version = env!("CARGO_PKG_VERSION"), ?scope, own_namespace, cluster = %config.cluster_url, "starting");
    let job_client = match job_cluster(&options).await? {
        Some(cluster) => client::build(&cluster, limit(), gate.clone(), Arc::clone(&metrics))?,
        None => client.clone(),
    };
    let job_scope = job_scope(&options, &scope);
    let mut watches = watch::start(&client, &scope, (&job_client, &job_scope), &scene, &metrics);
    let (recorder, writer) = events::channel(talk, Arc::clone(&metrics));
    let writer = tokio::spawn(writer.run());

    let sync = options.sync.sync_enabled.then(|| options.sync_config(&own_namespace)).map(|sync| {
        Applications::new(sync, config.clone(), gate.clone(), Arc::clone(&metrics), recorder.clone(), counts)
    });
    let applications = sync.transpose()?;
    let hand = Hand::new(client.clone(), recorder.clone());
    let (jobs, defaults) = (Jobs::new(job_client), (defaults(&options), own_namespace.clone()));
    let runs = Runs::new(&scene, &client, hand.clone(), recorder.clone(), &metrics, jobs, defaults);
    let resync = options.resync();
    let services = Arc::new(Services { scene: Arc::clone(&scene), client: client.clone() });
    let experiments = Experiments::new(&scene, client, hand.clone(), recorder.clone(), &metrics, resync);
    let rollouts = Arc::new(Rollouts {
        scene: Arc::clone(&scene),
        hand,
        recorder,
        metrics: Arc::clone(&metrics),
        resync,
        hold: options.hold_aborted_content,
        memories: Mutex::default(),
    });
    let shell = Shell { options, scene, metrics, rollouts, runs, experiments, services, applications };
    let election = Election::new(
        Api::namespaced(claim, &own_namespace),
        lease::name(scope.instance_id.as_deref()),
        lease::identity(),
        shell.options.timing(),
        gate,
    );
    let outcome = tokio::select! {
        () = shell.live(election, stop) => Ok(()),
        // Watches never end but by a panic.
        Some(_) = watches.join_next() => Err(RunError::Watch),
    };
    drop((watches, shell));
    if tokio::time::timeout(FLUSH_WITHIN, writer).await.is_err() {
        warn!("some events are lost, because the API server is slow");
    }
    info!("ended");
    outcome
}

/// What the loops need, and the loops.
struct Shell {
    options: Options,
    scene: Arc<Scene>,
    metrics: Arc<Metrics>,
    rollouts: Arc<Rollouts>,
    runs: Arc<Runs>,
    experiments: Arc<Experiments>,
    services: Arc<Services>,
    /// The Git side, where it is turned on.
    applications: Option<Arc<Applications>>,
}

impl Shell {
    /// Leads whenever the Lease can be had, until `stop`; keeps caches warm in between.
    async fn live(&self, mut election: Election, stop: channel::Receiver<bool>) {
        let stopped = || {
            let mut stop = stop.clone();
            async move { drop(stop.wait_for(|stop| *stop).await) }
        };
        tokio::select! {
            () = self.scene.stores.wait_listed() => info!("caches are complete, ready to lead"),
            () = stopped() => return,
        }
        if !self.options.leader_elect {
            self.work(stopped).await;
            return;
        }
        loop {
            tokio::select! {
                () = election.win() => {}
                () = stopped() => break,
            }
            tokio::select! {
                // What is in progress ends at once when the Lease is lost; the gate stopped its writes before.
                () = election.keep() => {}
                () = self.work(stopped) => break,
            }
        }
        election.release().await;
    }

    /// Runs every loop until `stopped`, and then gives what is in progress some time.
    async fn work<F: Future<Output = ()>>(&self, stopped: impl Fn() -> F) {
        let stores = &self.scene.stores;
        let panicked = |key: &store::Key| self.metrics.panicked(key);
        let rollouts = async {
            let first = stores.rollouts.all().into_iter().map(|(key, _)| key).collect();
            let attend = |key| Arc::clone(&self.rollouts).attend(key);
            let limit = self.options.rollout_threads.max(1);
            self.scene.rollouts.work(first, limit, stopped(), attend, panicked).await;
        };
        let runs = async {
            let first = stores.runs.all().into_iter().map(|(key, _)| key).collect();
            let attend = |key| Arc::clone(&self.runs).attend(key);
            let limit = self.options.analysis_threads.max(1);
            self.scene.runs.work(first, limit, stopped(), attend, panicked).await;
        };
        let experiments = async {
            let first = stores.experiments.all().into_iter().map(|(key, _)| key).collect();
            let attend = |key| Arc::clone(&self.experiments).attend(key);
            let limit = self.options.experiment_threads.max(1);
            self.scene.experiments.work(first, limit, stopped(), attend, panicked).await;
        };
        let services = async {
            let all = stores.services.all().into_iter();
            let first = all.filter(|(_, service)| selects_a_revision(service)).map(|(key, _)| key).collect();
            let attend = |key| Arc::clone(&self.services).attend(key);
            self.scene.services.work(first, SERVICES_AT_ONCE, stopped(), attend, panicked).await;
        };
        let applications = async {
            if let Some(applications) = &self.applications {
                applications.work(stopped()).await;
            }
        };
        let all = async {
            if !self.options.is_analysis_only() {
                tokio::join!(rollouts, experiments, services, applications);
            }
        };
        let loops = async { tokio::join!(runs, all) };
        let overdue = async {
            stopped().await;
            tokio::time::sleep(FINISH_WITHIN).await;
        };
        tokio::select! {
            ((), ()) = loops => {}
            () = overdue => warn!("what is in progress takes too long, ending anyway"),
        }
    }
}

/// The cluster for Jobs of analyses, where it is another one.
async fn job_cluster(options: &Options) -> Result<Option<Config>, RunError> {
    let Some(path) = options.job_kubeconfig() else { return Ok(None) };
    let kubeconfig = Kubeconfig::read_from(path)?;
    Ok(Some(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?))
}

async fn serve(
    options: &Options,
    scene: &Arc<Scene>,
    metrics: &Arc<Metrics>,
    (counts, deliveries): (&Counts, &Deliveries),
    gate: &Gate,
    background: &mut JoinSet<std::io::Result<()>>,
) -> Result<(), RunError> {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    if options.sync.sync_enabled {
        counts.register(&mut registry);
    }
    if options.webhook_config().is_some() {
        deliveries.register(&mut registry);
    }
    let gauges = Gauges { scene: Arc::clone(scene), metrics: Arc::clone(metrics), gate: gate.clone() };
    registry.register_collector(Box::new(gauges));
    let listener = serve::listen("health", options.healthz_port).await?;
    background.spawn(serve::health(listener, Arc::clone(scene)));
    let listener = serve::listen("metrics", options.metrics_port).await?;
    background.spawn(serve::metrics(listener, Arc::new(registry)));
    Ok(())
}

/// Serves webhooks, where the installation asks for it. The client passes no gate: a request for a look is written by
/// any replica, and served by whoever leads.
async fn receive_webhooks(
    options: &Options,
    cluster: &Config,
    metrics: &Arc<Metrics>,
    deliveries: Deliveries,
    background: &mut JoinSet<std::io::Result<()>>,
) -> Result<(), RunError> {
    if let Some(config) = options.webhook_config() {
        let limit = Limit::new(options.qps, options.burst);
        let client = client::build(cluster, limit, Gate::always_open(), Arc::clone(metrics))?;
        let listener = serve::listen("webhooks", options.sync.webhook_port).await?;
        background.spawn(webhook::serve(listener, config, client, deliveries));
    }
    Ok(())
}

/// Turns SIGTERM and SIGINT into a flag.
fn signals() -> Result<channel::Receiver<bool>, RunError> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = channel::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => info!(signal = "SIGTERM", "asked to end"),
            _ = interrupt.recv() => info!(signal = "SIGINT", "asked to end"),
        }
        sender.send_replace(true);
        // A receiver that waits must not see a closed channel as a request.
        sender.closed().await;
    });
    Ok(receiver)
}
