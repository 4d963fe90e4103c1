//! `cargo verify`: everything that must hold before a change lands, as a list
//! of named, timed parts. A part that fails does not stop the next one.
//!
//! To add a part, write a function here or elsewhere and add it to `PARTS`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::cluster::{self, Cluster, Life, Parts, Place, traces};
use crate::command::{command, last_lines, output};
use crate::{cache, install, manifest, packages, say, tests, tools};

/// What `verify` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the parts whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Not the parts whose name contains this.
    #[arg(long)]
    skip: Vec<String>,
    /// Runs the cluster tests on this cluster instead of one of its own.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
}

type Run = for<'a> fn(&'a Verification) -> LocalBoxFuture<'a, Result<()>>;

/// One thing that must hold.
struct Part {
    name: &'static str,
    run: Run,
}

/// In order: what fails quickly comes first, the simulation has the machine for
/// itself, and Rust is compiled before Go, whose builds then run beside the
/// parts that leave a processor idle.
const PARTS: [Part; 12] = [
    Part { name: "format", run: |_| async { cargo(&["fmt", "--all", "--check"]) }.boxed_local() },
    Part { name: "clippy", run: |_| async { clippy() }.boxed_local() },
    Part { name: "engine fence", run: |_| async { engine_fence() }.boxed_local() },
    Part { name: "simulation", run: |v| simulation_alone(v).boxed_local() },
    Part { name: "unit tests", run: |_| async { unit_tests() }.boxed_local() },
    Part { name: "dependencies", run: |_| async { cargo_deny() }.boxed_local() },
    Part { name: "chart", run: |_| async { chart() }.boxed_local() },
    Part { name: "Go tools", run: |v| go_tools(v).boxed_local() },
    Part { name: "cluster after a crash", run: |v| cluster_after_a_crash(v).boxed_local() },
    Part { name: "install over Argo", run: |v| install_over_argo(v).boxed_local() },
    Part { name: "take-over", run: |v| take_over(v).boxed_local() },
    Part { name: "cluster tests", run: |v| cluster_tests(v).boxed_local() },
];

/// What the parts of one run share.
struct Verification {
    options: Options,
    go_tools: OnceCell<JoinHandle<Result<()>>>,
}

/// Runs every part and says how many held.
pub(crate) async fn run(options: Options) -> Result<()> {
    let verification = Verification { options, go_tools: OnceCell::new() };
    let start = Instant::now();
    let (mut passed, mut failed, mut times) = (0, Vec::new(), Vec::new());
    for part in PARTS.iter().filter(|part| verification.wants(part.name)) {
        say(format!("== {}", part.name));
        let start = Instant::now();
        let result = (part.run)(&verification).await;
        let seconds = start.elapsed().as_secs_f64();
        times.push((part.name, seconds, result.is_ok()));
        match result {
            Ok(()) => {
                passed += 1;
                say(format!("   {} passed in {seconds:.1} s", part.name));
            }
            Err(error) => {
                failed.push(part.name);
                say(format!("   {} FAILED after {seconds:.1} s: {error:#}", part.name));
            }
        }
    }
    say("");
    for (name, seconds, held) in times {
        say(format!("{:24} {seconds:8.1} s  {}", name, if held { "passed" } else { "FAILED" }));
    }
    say(format!("{passed} passed, {} failed in {:.0} s", failed.len(), start.elapsed().as_secs_f64()));
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

impl Verification {
    fn wants(&self, name: &str) -> bool {
        self.options.only.as_ref().is_none_or(|only| name.contains(only))
            && !self.options.skip.iter().any(|skip| name.contains(skip))
    }

    /// Whether the harness runs clusters of its own in this run.
    fn has_own_clusters(&self) -> bool {
        self.options.kubeconfig.is_none() && packages::is_root()
    }

    /// The opposite, said of the part that would need one.
    fn leaves_out_clusters(&self) -> bool {
        let leaves_out = !self.has_own_clusters();
        if leaves_out {
            say("   left out: needs root and a cluster of one's own");
        }
        leaves_out
    }

    /// Starts the Go builds, once, beside whatever comes next.
    async fn start_go_tools(&self) -> &JoinHandle<Result<()>> {
        self.go_tools.get_or_init(|| std::future::ready(tokio::task::spawn_blocking(tools::build_all))).await
    }
}

fn clippy() -> Result<()> {
    cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}

/// Simulates while nothing else runs, so that its time is the machine's own; from then on the machine has idle moments
/// for the Go builds.
async fn simulation_alone(verification: &Verification) -> Result<()> {
    let result = blocking(simulation).await;
    if verification.wants("cluster") && verification.has_own_clusters() {
        verification.start_go_tools().await;
    }
    result
}

/// The engine decides everything and must not be able to do anything: no I/O
/// crate may be among its dependencies.
fn engine_fence() -> Result<()> {
    let args =
        ["tree", "--package", "tidegate-engine", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = output(&mut cargo_command(&args))?;
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(names.contains(&"tidegate-engine"), "cargo tree does not list the engine itself: {tree}");
    let forbidden: Vec<_> = ["tokio", "hyper", "kube-client", "kube", "reqwest", "rustls"]
        .into_iter()
        .filter(|name| names.contains(name))
        .collect();
    ensure!(
        forbidden.is_empty(),
        "the engine depends on {}: see `cargo tree -p tidegate-engine`",
        forbidden.join(", ")
    );
    Ok(())
}

/// Every test that needs no cluster: those of the workspace, and the harness's own.
fn unit_tests() -> Result<()> {
    cargo(&["test", "--quiet", "--workspace"])
}

/// Rollouts in a model of Kubernetes with faults and people: no seed may break a rule.
fn simulation() -> Result<()> {
    cargo(&["run", "--quiet", "--bin", "sim", "--", "--seeds", "20000", "--rounds", "100", "--brief"])
}

/// Licences, duplicate versions and sources of the dependencies. Advisories
/// need a database from the network and are the hosted workflow's part.
fn cargo_deny() -> Result<()> {
    const VERSION: &str = "0.20.2";
    let root = cache::dir()?.join(format!("tools/cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        say(format!("   installing cargo-deny (once; kept in {})", root.display()));
        let root = root.display().to_string();
        // Unoptimised, it is built in a third of the time and fast enough.
        let args = [
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "--root",
            &root,
            "cargo-deny",
            "--version",
            VERSION,
        ];
        output(&mut cargo_command(&args))?;
    }
    output(
        command(
            program,
            &["--log-level", "warn", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"],
        )
        .current_dir(workspace()),
    )?;
    Ok(())
}

/// The chart is well-formed with its own values and with the ones that change most.
fn chart() -> Result<()> {
    const VALUES: [&[&str]; 5] = [
        &[],
        &["namespaced=true", "instanceId=blue", "replicas=2"],
        &["sync.enabled=true", "sync.namespaces={shop,cart}"],
        &["sync.enabled=true", "sync.clusterWide=true", "crds.install=false", "rbac.aggregate=false"],
        &[
            "admissionPolicy.enabled=true",
            "admissionPolicy.action=Warn",
            "instanceId=blue",
            "namespaced=true",
            "rbac.providerSecrets={datadog,newrelic-eu}",
        ],
    ];
    let helm = tools::helm()?;
    let chart = install::chart().display().to_string();
    for values in VALUES {
        let with = |command: &mut Command| {
            for value in values {
                command.args(["--set", value]);
            }
            output(command).with_context(|| format!("with the values {values:?}"))
        };
        with(&mut command(&helm, &["lint", "--strict", "--quiet", &chart]))?;
        let text =
            with(&mut command(&helm, &["template", "tidegate", &chart, "--namespace", install::NAMESPACE]))?;
        let objects = manifest::parse(&text).with_context(|| format!("with the values {values:?}"))?;
        ensure!(
            objects.iter().any(|object| object["kind"] == "Deployment"),
            "no Deployment with the values {values:?}"
        );
        admission(&objects, values)?;
    }
    Ok(())
}

/// The policy that refuses invalid Rollouts is there where it is asked for, bound, and says of each rule what is wrong.
fn admission(objects: &[Value], values: &[&str]) -> Result<()> {
    let of_kind = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    let wanted = usize::from(values.contains(&"admissionPolicy.enabled=true"));
    let policies = of_kind("ValidatingAdmissionPolicy");
    let bindings = of_kind("ValidatingAdmissionPolicyBinding");
    ensure!(
        policies.len() == wanted && bindings.len() == wanted,
        "{} policies and {} bindings with the values {values:?}",
        policies.len(),
        bindings.len()
    );
    for (policy, binding) in policies.into_iter().zip(bindings) {
        ensure!(binding["spec"]["policyName"] == policy["metadata"]["name"], "the policy is not bound");
        for rule in policy["spec"]["validations"].as_array().context("the policy has no rules")? {
            let (expression, message) = (rule["expression"].as_str(), rule["message"].as_str());
            let message = message.with_context(|| format!("a rule says nothing: {expression:?}"))?;
            ensure!(message.starts_with("spec."), "{message:?} names no field");
            let parentheses = |text: &str, letter| text.matches(letter).count();
            let expression = expression.context("a rule has no expression")?;
            ensure!(
                parentheses(expression, '(') == parentheses(expression, ')'),
                "{expression:?} does not close what it opens"
            );
        }
    }
    Ok(())
}

async fn go_tools(verification: &Verification) -> Result<()> {
    if !verification.has_own_clusters() {
        return blocking(|| tools::helm().map(drop)).await;
    }
    verification.start_go_tools().await;
    let running = verification.go_tools.get().context("the Go builds have not started")?;
    while !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What is built is found in the cache; what failed fails again, at once and with its reason.
    blocking(tools::build_all).await
}

/// A cluster whose owner is killed is removed without a trace, while another
/// one next to it goes on working.
async fn cluster_after_a_crash(verification: &Verification) -> Result<()> {
    if verification.leaves_out_clusters() {
        return Ok(());
    }
    let parts = blocking(Parts::build).await?;
    let name = format!("crash-{}", std::process::id());
    let mut owner = tokio::process::Command::new(std::env::current_exe()?)
        .args(["cluster", "hold", &name])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().context("no output")?).lines();
    let neighbour = Cluster::start(&format!("beside-{}", std::process::id()), Life::Process, &parts).await?;
    while let Some(line) = lines.next_line().await? {
        say(format!("   {line}"));
        if line.starts_with("holding") {
            break;
        }
    }
    let place = Place::find(&name)?.with_context(|| format!("the cluster {name} did not start"))?;
    owner.kill().await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = traces::find(&place);
        if left.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            bail!("the cluster {name} left behind:\n{}", left.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let outcomes = tests::run(Arc::new(neighbour), "smoke::a_deployment").await?;
    summary(&outcomes)
}

/// Tidegate installed over Argo Rollouts and Argo CD, and back. The kinds belong to the whole cluster, so it has one of
/// its own.
async fn install_over_argo(verification: &Verification) -> Result<()> {
    if verification.leaves_out_clusters() {
        return Ok(());
    }
    tests::takeover::run(Arc::new(Cluster::start_own("over-argo").await?)).await
}

/// Tidegate takes over from upstream's running controller, and upstream's from Tidegate, in the states that matter most.
async fn take_over(verification: &Verification) -> Result<()> {
    if verification.leaves_out_clusters() {
        return Ok(());
    }
    let cluster = Arc::new(Cluster::start_own("handover").await?);
    tests::handover::run(cluster, &tests::handover::Options::short()).await
}

/// The tests on a real cluster.
async fn cluster_tests(verification: &Verification) -> Result<()> {
    let cluster = match &verification.options.kubeconfig {
        Some(kubeconfig) => use_given(kubeconfig).await?,
        None => Cluster::start_own("verify").await?,
    };
    summary(&tests::run(Arc::new(cluster), "").await?)
}

/// Connects to somebody's cluster and says what will happen to it.
pub(crate) async fn use_given(kubeconfig: &Path) -> Result<Cluster> {
    let cluster = Cluster::given(kubeconfig).await?;
    say(format!("   using the cluster of {}", kubeconfig.display()));
    say("   creating there: one namespace per test (label tidegate.dev/e2e), removed afterwards;");
    say(
        "   for the tests of Tidegate itself, its kinds (argoproj.io) and its chart in the namespace tidegate",
    );
    let images = blocking(crate::images::Images::build).await?;
    for archive in &images.archives {
        say(format!(
            "   the cluster must know the images of {} (kind load image-archive FILE)",
            archive.display()
        ));
    }
    Ok(cluster)
}

/// Turns failed tests into one error that names them.
pub(crate) fn summary(outcomes: &[tests::Outcome]) -> Result<()> {
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .map(|outcome| outcome.name.as_str())
        .collect();
    say(format!("   {} tests passed, {} failed", outcomes.len() - failed.len(), failed.len()));
    ensure!(!outcomes.is_empty(), "no test was run");
    ensure!(failed.is_empty(), "tests failed: {}", failed.join(", "));
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| anyhow!(error))?
}

fn cargo_command(args: &[&str]) -> Command {
    let mut cargo = command(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), args);
    cargo.current_dir(workspace());
    cargo
}

/// Runs cargo in the workspace and keeps the end of what it said for the error.
fn cargo(args: &[&str]) -> Result<()> {
    let done = cargo_command(args).output().context("cannot start cargo")?;
    if !done.status.success() {
        let said =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        bail!("`cargo {}` failed:\n{}", args.join(" "), last_lines(&said, 80));
    }
    Ok(())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Holds a cluster until this process is ended; the other half of `cluster_after_a_crash`.
pub(crate) async fn hold(name: &str) -> Result<()> {
    let parts = blocking(Parts::build).await?;
    let _cluster = Cluster::start(name, Life::Process, &parts).await?;
    cluster::remove_orphans()?;
    say(format!("holding {name}"));
    std::future::pending().await
}
