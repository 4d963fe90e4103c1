//! The harness around Tidegate: real clusters, the tests on them, and the one
//! command that says whether everything holds.
//!
//! `cargo verify` runs every check; `cargo run -p e2e -- cluster up` starts a
//! cluster to look around in; `cargo run -p e2e -- test FILTER` runs tests on it.

mod argo;
mod cache;
mod cluster;
mod command;
mod debian;
mod demo;
mod foreign;
mod git;
mod haproxy;
mod image;
mod images;
mod install;
mod load;
mod manifest;
mod packages;
mod scale;
mod scene;
mod scrape;
mod subject;
mod tests;
mod tools;
mod upstream_suite;
mod usage;
mod verify;

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::cluster::{Cluster, Guard, Life, Parts, Place};

#[derive(Parser)]
#[command(about = "Real clusters for Tidegate's tests, the tests themselves, and `verify`")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Starts, enters, lists and removes clusters.
    Cluster {
        #[command(subcommand)]
        action: ClusterAction,
    },
    /// Shows Tidegate's main job on a real cluster, and measures it.
    Demo(demo::Options),
    /// Measures what many Rollouts cost the controller, on simulated nodes.
    Scale(scale::Options),
    /// Measures what many AnalysisRuns cost the controller, on the same.
    ScaleRuns(scale::runs::Options),
    /// Runs every check there is.
    Verify(verify::Options),
    /// Plays updates of every kind under load and fails when a request is lost.
    Lossless(tests::campaign::Lossless),
    /// Releases, aborts, scales and restarts for a long time, and looks at what is left behind.
    Soak(tests::campaign::Soak),
    /// Ships good and bad releases under load and counts those that the judge got wrong.
    Judge(tests::campaign::Judge),
    /// Runs the tests on a cluster whose names contain FILTER.
    Test {
        #[arg(default_value = "")]
        filter: String,
        /// A cluster that `cluster up` has started; without it, one is started and removed.
        #[arg(long)]
        cluster: Option<String>,
        /// A cluster that somebody else runs.
        #[arg(long, env = "KUBECONFIG", conflicts_with = "cluster")]
        kubeconfig: Option<PathBuf>,
    },
    /// Lets Tidegate take over from upstream's controller in every state that is served, and upstream's from Tidegate.
    UpstreamTakeOver {
        #[command(flatten)]
        options: tests::handover::Options,
        /// A cluster that `cluster up` has started and on which nothing is installed; without it, one is started and removed.
        #[arg(long)]
        cluster: Option<String>,
    },
    /// Runs upstream's own end-to-end tests against Tidegate, on simulated nodes.
    UpstreamSuite(upstream_suite::Options),
    /// Serves the bare repositories below a directory over HTTP.
    GitServer {
        root: PathBuf,
        listen: SocketAddr,
        /// Demands this user and password, as USER:PASSWORD, for what is below `private/`.
        #[arg(long)]
        credentials: Option<String>,
    },
    /// Keeps Prometheus' file of scrape targets up to date.
    #[command(hide = true)]
    ScrapeTargets { kubeconfig: PathBuf, targets: PathBuf },
    /// Runs HAProxy as the cluster's Routes say.
    #[command(hide = true)]
    OpenshiftRouter(haproxy::Options),
}

#[derive(Subcommand)]
enum ClusterAction {
    /// Starts a cluster and leaves it running.
    Up {
        #[arg(default_value = "dev")]
        name: String,
    },
    /// Removes a cluster and everything it left on the machine.
    Down {
        #[arg(default_value = "dev")]
        name: String,
    },
    /// Opens a shell inside a cluster's network, with kubectl set up.
    Shell {
        #[arg(default_value = "dev")]
        name: String,
    },
    /// Lists the clusters on this machine.
    List,
    /// Removes a cluster when its standard input ends.
    #[command(hide = true)]
    Guard { name: String },
    /// Starts a cluster and holds it until this process ends.
    #[command(hide = true)]
    Hold { name: String },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        say("another TLS provider is installed already");
    }
    // A signal ends the work by dropping it, so that a cluster of this process goes with it.
    let done = tokio::select! {
        done = act(arguments.action) => done,
        () = interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn act(action: Action) -> Result<()> {
    match action {
        Action::Cluster { action } => act_on_cluster(action).await,
        Action::Demo(options) => demo::run(options).await,
        Action::Scale(options) => scale::run(options).await,
        Action::ScaleRuns(options) => scale::runs::run(options).await,
        Action::Verify(options) => verify::run(options).await,
        Action::Soak(options) => tests::campaign::soak(options).await,
        Action::Judge(options) => tests::campaign::judge(options).await,
        Action::Lossless(options) => tests::campaign::lossless(options).await,
        Action::Test { filter, cluster, kubeconfig } => {
            let cluster = match (cluster, kubeconfig) {
                (Some(name), _) => Cluster::attach(&name).await?,
                (None, Some(kubeconfig)) => verify::use_given(&kubeconfig).await?,
                (None, None) => Cluster::start_own("test").await?,
            };
            verify::summary(&tests::run(Arc::new(cluster), &filter).await?)
        }
        Action::UpstreamTakeOver { options, cluster } => {
            let cluster = Cluster::attach_or_start(cluster.as_deref(), "handover").await?;
            tests::handover::run(Arc::new(cluster), &options).await
        }
        Action::UpstreamSuite(options) => upstream_suite::run(options).await,
        Action::GitServer { root, listen, credentials } => git::serve(root, listen, credentials).await,
        Action::ScrapeTargets { kubeconfig, targets } => {
            scrape::follow(cluster::connect(&kubeconfig).await?, targets).await
        }
        Action::OpenshiftRouter(options) => haproxy::follow(options).await,
    }
}

async fn act_on_cluster(action: ClusterAction) -> Result<()> {
    match action {
        ClusterAction::Up { name } => {
            let parts = tokio::task::spawn_blocking(Parts::build).await??;
            let cluster = Cluster::start(&name, Life::Kept, &parts).await?;
            say(format!("export KUBECONFIG={}", cluster.kubeconfig().display()));
            say(format!(
                "data plane http://{}  Prometheus {}",
                cluster.ingress()?,
                cluster.prometheus_url()?
            ));
            Ok(())
        }
        ClusterAction::Down { name } => {
            cluster::remove_orphans()?;
            match Place::find(&name)? {
                Some(place) => cluster::remove(&place),
                None => {
                    say(format!("no cluster {name}"));
                    Ok(())
                }
            }
        }
        ClusterAction::Shell { name } => shell(&Cluster::attach(&name).await?),
        ClusterAction::List => {
            for place in Place::list()? {
                let life = match &place.owner {
                    None => "kept",
                    Some(_) if place.is_orphan() => "left behind",
                    Some(_) => "in use",
                };
                say(format!("{:24} {:14} {life}", place.name, place.node_address()));
            }
            Ok(())
        }
        ClusterAction::Guard { name } => tokio::task::spawn_blocking(move || Guard::stand(&name)).await?,
        ClusterAction::Hold { name } => verify::hold(&name).await,
    }
}

/// Becomes a shell inside the cluster's network.
fn shell(cluster: &Cluster) -> Result<()> {
    let kubectl = tools::kubectl()?;
    let bin = kubectl.parent().context("kubectl has no directory")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let enter = cluster.enter()?;
    let error = Command::new(&enter[0])
        .args(&enter[1..])
        .arg(std::env::var("SHELL").unwrap_or_else(|_| "bash".to_owned()))
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("PATH", format!("{}:{path}", bin.display()))
        .exec();
    Err(error).context("cannot open a shell")
}

/// Waits for Ctrl-C or a polite request to end.
async fn interrupted() {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Tells the person at the terminal something.
pub(crate) fn say(text: impl Display) {
    // A terminal that is gone is no reason to stop.
    let _gone = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: impl Display) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}
