//! The cluster with the controller beside it, and the run of one suite on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::Api;
use kube::runtime::wait::await_condition;
use serde_json::json;

use super::controller::{Controller, NAME};
use super::output::{Outcome, Output};
use super::program::TestProgram;
use super::report::{Played, rows};
use super::sites::Sites;
use super::suites::Suite;
use super::{Options, collection};
use crate::cluster::simulated::{Parts, Simulated};
use crate::debian::Program;
use crate::install::{self, NAMESPACE};
use crate::{manifest, say, tools};

/// No suite takes longer; the program itself then ends and tells where it was.
const SUITE_MINUTES: u32 = 20;
/// Between looks at what a suite has said.
const PACE: Duration = Duration::from_millis(500);

/// A cluster on which suites can be played.
pub(super) struct Stage {
    cluster: Simulated,
    tests: TestProgram,
    kubectl: PathBuf,
    only: Option<String>,
    patience: u32,
    logs: PathBuf,
}

impl Stage {
    /// Starts the cluster.
    pub(super) async fn start(
        parts: &Parts,
        tests: TestProgram,
        options: &Options,
        logs: PathBuf,
    ) -> Result<Self> {
        let kubectl = tokio::task::spawn_blocking(tools::kubectl).await??;
        let cluster =
            Simulated::start(&format!("suite-{}", std::process::id()), install::USER, parts).await?;
        let (only, patience) = (options.only.clone(), options.patience);
        let stage = Self { cluster, tests, kubectl, only, patience, logs };
        stage.open_namespace(NAMESPACE).await?;
        Ok(stage)
    }

    /// Starts a controller, and the sites that it is to reach.
    pub(super) async fn start_controller(
        &self,
        controller: &Controller,
        haproxy: &Program,
        flags: &[String],
    ) -> Result<()> {
        let kubeconfig = self.cluster.kubeconfig_of_namespace(NAMESPACE)?;
        let directory = kubeconfig.parent().context("the kubeconfig has no directory")?;
        let sites = Sites::start(&self.cluster, haproxy, directory)?;
        controller.start(&self.cluster, &sites, flags).await?;
        collection::until_working(self.cluster.client(), NAMESPACE).await
    }

    async fn open_namespace(&self, name: &str) -> Result<()> {
        let client = self.cluster.client();
        let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        manifest::apply_value(client, document, name).await?;
        // Pods are refused until it is there.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
        let is_there = await_condition(accounts, "default", |one: Option<&ServiceAccount>| one.is_some());
        tokio::time::timeout(Duration::from_secs(60), is_there)
            .await
            .with_context(|| format!("the namespace {name} gets no ServiceAccount"))??;
        Ok(())
    }

    /// Runs one suite in a namespace of its own.
    pub(super) async fn play(&self, suite: &Suite) -> Result<Played> {
        let namespace = suite.name.to_lowercase();
        self.open_namespace(&namespace).await?;
        let log = self.logs.join(format!("{}.log", suite.name));
        let start = Instant::now();
        let status = self.run(suite, &namespace, &log).await?;
        let output = read(&log, suite)?;
        // Which tests an expression leaves out, Go alone knows.
        let wanted = if self.only.is_none() { suite.tests(&self.tests) } else { Vec::new() };
        let problem = problem(status, &output);
        let tests = rows(suite, output, &wanted);
        Ok(Played { suite: suite.name, seconds: start.elapsed().as_secs_f64(), log, tests, problem })
    }

    /// Runs the test program to its end, and tells each result when it is known.
    async fn run(&self, suite: &Suite, namespace: &str, log: &Path) -> Result<ExitStatus> {
        let mut args = suite.selection();
        args.extend(["-test.v=test2json".to_owned(), format!("-test.timeout={SUITE_MINUTES}m")]);
        args.extend(self.only.iter().map(|only| format!("-testify.m={only}")));
        let kubeconfig = self.cluster.kubeconfig_of_namespace(namespace)?;
        let bin = self.kubectl.parent().context("kubectl has no directory")?.display().to_string();
        let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
        // kubectl keeps what it learns of an API server in its user's home: this one goes with the cluster.
        let home = kubeconfig.parent().context("the kubeconfig has no directory")?.display().to_string();
        let (kubeconfig, patience) = (kubeconfig.display().to_string(), self.patience.to_string());
        let env = [
            ("KUBECONFIG", kubeconfig.as_str()),
            ("PATH", &path),
            ("HOME", &home),
            ("E2E_WAIT_TIMEOUT", &patience),
        ];
        let mut child = self.cluster.spawn(&self.tests.program, &args, &env, &self.tests.directory, log)?;
        let mut told = BTreeSet::new();
        loop {
            let ended = child.try_wait().context("cannot wait for the test program")?;
            tell_new(suite, &read(log, suite)?, &mut told);
            if let Some(status) = ended {
                return Ok(status);
            }
            self.cluster.check()?;
            tokio::time::sleep(PACE).await;
        }
    }

    /// Keeps what the controller and the simulated nodes said beside what the suites did.
    pub(super) fn keep_logs(&self) -> Result<()> {
        for name in [NAME, "kwok"] {
            let (from, to) = (self.cluster.log(name)?, self.logs.join(format!("{name}.log")));
            fs::copy(&from, &to)
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }
}

fn read(log: &Path, suite: &Suite) -> Result<Output> {
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(Output::read(&String::from_utf8_lossy(&text), &suite.function()))
}

/// Says the results that have not been said yet.
fn tell_new(suite: &Suite, output: &Output, said: &mut BTreeSet<String>) {
    for test in &output.tests {
        if test.outcome != Outcome::Unfinished && said.insert(test.name.clone()) {
            let known = suite.known(&test.name).map_or(String::new(), |reason| format!(" ({reason})"));
            let outcome = format!("{:?}", test.outcome).to_lowercase();
            say(format!("{:10} {:58} {outcome} after {:.1} s{known}", suite.name, test.name, test.seconds));
        }
    }
}

/// What went wrong with a suite although none of its tests did.
fn problem(status: ExitStatus, output: &Output) -> Option<String> {
    let is_told = output.tests.iter().any(|test| !matches!(test.outcome, Outcome::Passed | Outcome::Skipped));
    (!status.success() && !is_told)
        .then(|| format!("the suite itself failed: its program ended with {status}"))
}
