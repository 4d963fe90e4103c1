//! `cargo demo`: Tidegate's main job, done for real and measured while it is done.
//!
//! A cluster, a data plane, Prometheus and a Git repository; a good version that
//! is promoted, a bad one that is shut off, and one that a person steers. A load
//! runs through the data plane all the while, and everything that is printed was
//! counted in this run. Fails unless every claim of `claim.rs` held.

mod acts;
mod claim;
mod idle;
mod kubectl;
mod measure;
mod plot;
mod report;
mod repository;
mod screen;
mod stage;
mod story;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use self::acts::Play;
use self::claim::Ledger;
use self::report::Report;
use self::screen::{Screen, Style};
use self::stage::Stage;

/// What the demo is asked to do.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leaves the cluster up at the end and says how to look around.
    #[arg(long)]
    keep: bool,
    /// Uses a cluster that somebody else runs, and says what it creates there.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// With --kubeconfig: ADDRESS:PORT of the cluster's NGINX-compatible ingress controller.
    #[arg(long, env = "TIDEGATE_INGRESS")]
    ingress: Option<SocketAddr>,
    /// With --kubeconfig: the address by which pods reach this machine, where the Git repository is served.
    #[arg(long)]
    machine: Option<IpAddr>,
    /// Prometheus, as pods reach it. With --kubeconfig it must scrape annotated pods and keep their labels.
    #[arg(long, default_value = "http://prometheus.monitoring:9090")]
    prometheus: String,
    /// Where the report goes.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Plays the demo from beginning to end.
pub(crate) async fn run(options: Options) -> Result<()> {
    let screen = Screen::new();
    let (began, start) = (Timestamp::now(), Instant::now());
    screen.title("Tidegate: a canary from Git, on a real cluster, judged by Prometheus");
    let mut stage = Stage::set(&options, &screen).await?;
    let ledger = Ledger::default();
    let play = Play::new(&stage, &screen, &ledger);
    let played = play.run().await;
    if let Err(error) = &played {
        screen.clear();
        screen.line(&screen.paint(Style::Bad, &format!("the demo stops here: {error:#}")));
        screen.block(&stage.kubectl.diagnosis().await);
    }
    let measured = play.measured().await;
    screen.clear();
    let report = Report {
        began,
        took: start.elapsed(),
        timings: stage.timings().iter().chain(play.timings().iter()).cloned().collect(),
        machine: machine(),
        measured,
        claims: ledger.all(),
    };
    report.print(&screen);
    let path = options.report.clone().unwrap_or_else(|| target_dir().join("demo-report.html"));
    write(&path, &report.html())?;
    screen.line("");
    screen.line(&format!("report  {}", path.display()));
    drop(play);
    if options.keep {
        stage.keep(&screen)?;
    } else {
        let start = Instant::now();
        drop(stage);
        screen.line(&format!("removed everything in {:.1} s", start.elapsed().as_secs_f64()));
    }
    screen.line(&format!("took    {:.0} s in all", start.elapsed().as_secs_f64()));
    played.context("the demo did not come to its end")?;
    let broken = ledger.broken();
    ensure!(broken.is_empty(), "did not hold: {}", broken.join("; "));
    Ok(())
}

/// Where cargo puts what it builds: this program is `TARGET/PROFILE/e2e`.
pub(crate) fn target_dir() -> PathBuf {
    let me = std::env::current_exe().unwrap_or_default();
    me.ancestors().nth(2).map_or_else(|| PathBuf::from("target"), Path::to_path_buf)
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// This machine in a few words.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<f64>().ok());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let gib = kib.unwrap_or_default() / 1024.0 / 1024.0;
    format!("{cores} cores, {gib:.0} GiB, Linux {}", kernel.trim())
}
