//! A control plane whose nodes and pods are simulated, for more pods than a machine can run: no kubelet, no
//! container runtime, no data plane. The API server keeps an audit log of one user.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use serde_json::{Value, json};

use crate::cluster::control::{flags, start_api, start_controllers};
use crate::cluster::place::Place;
use crate::cluster::process::Processes;
use crate::cluster::{
    Cluster, Life, Own, accounts_ready, api_ready, cgroup, connect, network, node_ready, pki, surroundings,
};
use crate::debian::Program;
use crate::manifest;
use crate::packages;
use crate::tools::{ControlPlane, Kwok};

/// Simulated nodes, each of which takes any number of pods.
const NODES: usize = 4;
/// The kubeconfig of the user whose requests are logged.
const AUDITED: &str = "tidegate";
/// What is measured waits for the API server, never for a limit of its helpers.
const REQUESTS_PER_SECOND: u32 = 2000;

/// Everything that must be built before such a cluster can start.
pub(crate) struct Parts {
    control: ControlPlane,
    kwok: Kwok,
}

impl Parts {
    /// Installs and builds what is missing.
    pub(crate) fn build() -> Result<Self> {
        if !packages::is_root() {
            bail!("a cluster of one's own needs root");
        }
        packages::install()?;
        Ok(Self { control: ControlPlane::build()?, kwok: Kwok::build()? })
    }

    /// The same with pods that do as these stages say, written as YAML.
    pub(crate) fn with_pods(mut self, stages: &str) -> Self {
        self.kwok.pods = stages.to_owned();
        self
    }
}

/// A cluster of simulated nodes.
pub(crate) struct Simulated {
    cluster: Cluster,
}

impl Simulated {
    /// Starts a cluster that goes with this process; `user` is the one whose requests are logged.
    pub(crate) async fn start(name: &str, user: &str, parts: &Parts) -> Result<Self> {
        let raise = async |place: &Place, processes: &Processes| raise(place, user, parts, processes).await;
        Ok(Self { cluster: Cluster::start_by(name, Life::Process, raise).await? })
    }

    pub(crate) fn client(&self) -> &Client {
        self.cluster.client()
    }

    /// The kubeconfig of the user whose requests are logged.
    pub(crate) fn audited_kubeconfig(&self) -> Result<PathBuf> {
        Ok(self.own()?.place.kubeconfig(AUDITED))
    }

    pub(crate) fn audit_log(&self) -> Result<PathBuf> {
        Ok(audit_log(&self.own()?.place))
    }

    /// Starts a program inside the cluster's network.
    pub(crate) fn run(
        &self,
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(&str, &str)],
    ) -> Result<()> {
        self.processes()?.start(name, program, args, env)
    }

    /// Starts a program in a directory inside the cluster's network, for somebody who waits for its end; its output goes to
    /// a file.
    pub(crate) fn spawn(
        &self,
        program: &Path,
        args: &[String],
        env: &[(&str, &str)],
        directory: &Path,
        log: &Path,
    ) -> Result<Child> {
        self.processes()?.spawn(program, args, env, directory, log)
    }

    /// An administrator's kubeconfig for this namespace.
    pub(crate) fn kubeconfig_of_namespace(&self, namespace: &str) -> Result<PathBuf> {
        pki::write_kubeconfig_of_namespace(&self.own()?.place, namespace)
    }

    /// The address at which programs of the cluster listen.
    pub(crate) fn node_address(&self) -> Result<Ipv4Addr> {
        self.cluster.node_address()
    }

    /// Starts a Prometheus that scrapes nobody; its URL, which holds in the cluster's network and on this machine.
    pub(crate) fn start_prometheus(&self, program: &Program) -> Result<String> {
        let place = &self.own()?.place;
        surroundings::prometheus(place, program, &json!([]), self.processes()?)?;
        Ok(format!("http://{}:{}", place.node_address(), surroundings::PROMETHEUS_PORT))
    }

    /// Where `/proc` tells of each program of the cluster.
    pub(crate) fn programs(&self) -> Result<Vec<(String, PathBuf)>> {
        let pids = self.processes()?.pids().into_iter();
        Ok(pids.map(|(name, pid)| (name, PathBuf::from(format!("/proc/{pid}")))).collect())
    }

    /// Where a program's output goes.
    pub(crate) fn log(&self, name: &str) -> Result<PathBuf> {
        Ok(self.processes()?.log(name))
    }

    /// Fails, with the end of its log, when a program of the cluster has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.cluster.check()
    }

    fn own(&self) -> Result<&Own> {
        self.cluster.own()
    }

    fn processes(&self) -> Result<&Processes> {
        Ok(&self.own()?.processes)
    }
}

async fn raise(place: &Place, user: &str, parts: &Parts, processes: &Processes) -> Result<Client> {
    pki::create(place, &[(AUDITED, user)])?;
    cgroup::create(place)?;
    network::create(place)?;
    let policy = place.run_dir().join("audit.yaml");
    fs::write(&policy, serde_json::to_vec(&audit_policy(user))?)
        .with_context(|| format!("cannot write {}", policy.display()))?;
    let further = [
        ("audit-policy-file", &*policy.display().to_string()),
        ("audit-log-path", &*audit_log(place).display().to_string()),
        // In MiB: a log that is put aside would be read no more.
        ("audit-log-maxsize", "4096"),
    ];
    start_api(place, &parts.control, processes, &further)?;
    let client = connect(&place.kubeconfig(pki::ADMIN)).await?;
    api_ready(processes, &client).await?;
    start_controllers(place, &parts.control, processes, REQUESTS_PER_SECOND)?;
    start_kwok(place, &parts.kwok, processes)?;
    for index in 0..NODES {
        manifest::apply_value(&client, node(&node_name(place, index)), "default").await?;
    }
    let limit = Duration::from_secs(60);
    for index in 0..NODES {
        processes.during("the nodes", limit, node_ready(&node_name(place, index), &client)).await?;
    }
    processes.during("service accounts", limit, accounts_ready(&client)).await?;
    Ok(client)
}

fn start_kwok(place: &Place, kwok: &Kwok, processes: &Processes) -> Result<()> {
    let config = place.run_dir().join("kwok.yaml");
    let stages = [kwok.nodes.as_str(), &kwok.pods].join(Kwok::BETWEEN);
    fs::write(&config, stages).with_context(|| format!("cannot write {}", config.display()))?;
    processes.start(
        "kwok",
        &kwok.program,
        &flags(&[
            ("kubeconfig", &place.kubeconfig(pki::ADMIN).display().to_string()),
            ("config", &config.display().to_string()),
            ("manage-all-nodes", "true"),
            ("node-lease-duration-seconds", "40"),
            ("cidr", "10.0.0.0/8"),
        ]),
        // It writes its own settings beside its user's.
        &[("HOME", &place.run_dir().display().to_string())],
    )
}

fn node_name(place: &Place, index: usize) -> String {
    format!("{}-{index}", place.node_name())
}

fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}, "labels": {"kubernetes.io/hostname": name}},
    })
}

fn audit_log(place: &Place) -> PathBuf {
    place.log_dir().join("audit.log")
}

/// One line for each answer to that user, and nothing of others.
fn audit_policy(user: &str) -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata", "users": [user]}, {"level": "None"}],
    })
}
