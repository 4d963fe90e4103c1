//! What runs beside the cluster, in its network namespace: CoreDNS, Traefik as
//! the data plane of Ingresses and HTTPRoutes, HAProxy as that of OpenShift's
//! Routes, Prometheus, and a Git server over http and ssh.
//!
//! | what        | from the host                 | from a pod                     |
//! |-------------|-------------------------------|--------------------------------|
//! | data plane  | `http://NODE` + Host header   | the same                       |
//! | HAProxy     | `http://NODE:8081` + Host header | the same                    |
//! | Traefik's own metrics | `http://NODE:8011/metrics` | the same               |
//! | Prometheus  | `http://NODE:9090`            | `http://prometheus.monitoring:9090` |
//! | Git         | `http://NODE:3000/NAME.git`   | `http://git.forge/NAME.git`    |
//! | the same over ssh | -                       | `git@git.forge:NAME.git`       |
//!
//! Repositories `private/NAME.git` demand `GIT_CREDENTIALS`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::Client;
use serde_json::{Value, json};

use crate::cluster::control::flags;
use crate::cluster::network::SERVICE_DNS;
use crate::cluster::place::Place;
use crate::cluster::process::Processes;
use crate::cluster::ssh;
use crate::debian::Program;
use crate::manifest;
use crate::tools::Tools;

pub(crate) const INGRESS_PORT: u16 = 80;
pub(crate) const ROUTE_PORT: u16 = 8081;
pub(crate) const TRAEFIK_PORT: u16 = 8011;
pub(crate) const PROMETHEUS_PORT: u16 = 9090;
pub(crate) const GIT_PORT: u16 = 3000;
/// What the Git server demands for repositories below `private/`, as USER:PASSWORD.
pub(crate) const GIT_CREDENTIALS: &str = "ada:lovelace";
pub(crate) const DNS_READY_PORT: u16 = 8181;

/// Applies the objects that stand for the programs beside the cluster.
pub(crate) async fn apply(place: &Place, client: &Client) -> Result<()> {
    let text = include_str!("surroundings.yaml")
        .replace("NODE_ADDRESS", &place.node_address().to_string())
        .replace("SERVICE_DNS", SERVICE_DNS);
    manifest::apply(client, &text, "default").await
}

/// Starts all of them.
pub(crate) fn start(place: &Place, tools: &Tools, processes: &Processes) -> Result<()> {
    start_dns(place, tools, processes)?;
    start_traefik(place, tools, processes)?;
    start_haproxy(place, tools, processes)?;
    start_scrape_targets(place, processes)?;
    start_prometheus(place, tools, processes)?;
    start_git(place, processes)?;
    ssh::start(place, &tools.sshd, processes)
}

/// The directory whose subdirectories the Git server serves.
pub(crate) fn git_root(place: &Place) -> PathBuf {
    place.data_dir().join("git")
}

fn start_dns(place: &Place, tools: &Tools, processes: &Processes) -> Result<()> {
    let config = place.run_dir().join("Corefile");
    let kubeconfig = place.kubeconfig("coredns");
    let text = format!(
        ".:53 {{
    errors
    ready {address}:{DNS_READY_PORT}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 1
    }}
    cache 1
}}
",
        address = place.node_address(),
        kubeconfig = kubeconfig.display(),
    );
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    processes.start("coredns", &tools.coredns, &["-conf".to_owned(), config.display().to_string()], &[])
}

fn start_traefik(place: &Place, tools: &Tools, processes: &Processes) -> Result<()> {
    let address = place.node_address();
    let kubeconfig = place.kubeconfig("traefik").display().to_string();
    processes.start(
        "traefik",
        &tools.traefik,
        &flags(&[
            ("entrypoints.web.address", &format!("{address}:{INGRESS_PORT}")),
            ("entrypoints.traefik.address", &format!("{address}:{TRAEFIK_PORT}")),
            ("providers.kubernetesingressnginx", "true"),
            // An Ingress without an address counts as not ready yet.
            ("providers.kubernetesingressnginx.publishstatusaddress", &address.to_string()),
            ("providers.kubernetesgateway", "true"),
            ("providers.kubernetesgateway.statusaddress.ip", &address.to_string()),
            ("metrics.prometheus", "true"),
            ("metrics.prometheus.addserviceslabels", "true"),
            ("metrics.prometheus.addrouterslabels", "true"),
            ("api.insecure", "true"),
            ("ping", "true"),
            ("global.checknewversion", "false"),
            ("global.sendanonymoususage", "false"),
            ("log.level", "INFO"),
        ]),
        &[("KUBECONFIG", &kubeconfig)],
    )
}

/// HAProxy is started and reloaded by a program that follows Routes.
fn start_haproxy(place: &Place, tools: &Tools, processes: &Processes) -> Result<()> {
    let me = std::env::current_exe().context("cannot find this program")?;
    let text = |path: &PathBuf| path.display().to_string();
    let mut args = vec![
        "openshift-router".to_owned(),
        text(&place.kubeconfig("openshift-router")),
        text(&tools.haproxy.path),
        text(&place.run_dir()),
        format!("{}:{ROUTE_PORT}", place.node_address()),
    ];
    for library in &tools.haproxy.libraries {
        args.extend(["--libraries".to_owned(), text(library)]);
    }
    processes.start("openshift-router", &me, &args, &[])
}

fn start_prometheus(place: &Place, tools: &Tools, processes: &Processes) -> Result<()> {
    let targets = place.run_dir().join("targets.json");
    let scrapes = json!([
        {
            "job_name": "traefik",
            "static_configs": [{"targets": [format!("{}:{TRAEFIK_PORT}", place.node_address())]}],
        },
        {"job_name": "pods", "file_sd_configs": [{"files": [targets]}]},
    ]);
    prometheus(place, &tools.prometheus, &scrapes, processes)
}

/// Starts Prometheus beside a cluster, to scrape as these `scrape_configs` say.
pub(super) fn prometheus(
    place: &Place,
    program: &Program,
    scrapes: &Value,
    processes: &Processes,
) -> Result<()> {
    let config = place.run_dir().join("prometheus.yaml");
    let document = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": scrapes,
    });
    fs::write(&config, serde_json::to_vec_pretty(&document)?)
        .with_context(|| format!("cannot write {}", config.display()))?;
    processes.start(
        "prometheus",
        &program.path,
        &flags(&[
            ("config.file", &config.display().to_string()),
            ("storage.tsdb.path", &place.data_dir().join("prometheus").display().to_string()),
            ("storage.tsdb.retention.time", "1d"),
            ("web.listen-address", &format!("{}:{PROMETHEUS_PORT}", place.node_address())),
            ("log.level", "warn"),
        ]),
        &[],
    )
}

/// Follows the pods on behalf of Prometheus.
fn start_scrape_targets(place: &Place, processes: &Processes) -> Result<()> {
    let me = std::env::current_exe().context("cannot find this program")?;
    let file = |path: PathBuf| path.display().to_string();
    let kubeconfig = file(place.kubeconfig("prometheus"));
    let args = ["scrape-targets".to_owned(), kubeconfig, file(place.run_dir().join("targets.json"))];
    processes.start("scrape-targets", &me, &args, &[])
}

fn start_git(place: &Place, processes: &Processes) -> Result<()> {
    let root = git_root(place);
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    let me = std::env::current_exe().context("cannot find this program")?;
    let address = format!("{}:{GIT_PORT}", place.node_address());
    let args = ["git-server", &root.display().to_string(), &address, "--credentials", GIT_CREDENTIALS];
    processes.start("git-server", &me, &args.map(str::to_owned), &[])
}
