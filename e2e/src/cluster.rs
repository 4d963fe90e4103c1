//! A real single-node Kubernetes cluster in a network namespace of its own, or
//! a cluster that somebody else runs. Tests see a `Cluster` and need not know which.

mod cgroup;
mod control;
mod network;
mod node;
mod pki;
mod place;
mod process;
mod removal;
pub(crate) mod simulated;
mod ssh;
mod surroundings;
pub(crate) mod traces;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

pub(crate) use self::place::Place;
use self::process::Processes;
pub(crate) use self::removal::{Guard, remove, remove_orphans};
pub(crate) use self::ssh::SshKeys;
pub(crate) use self::surroundings::GIT_CREDENTIALS;
use crate::foreign;
use crate::images::Images;
use crate::packages;
use crate::say;
use crate::tools::Tools;

/// A cluster to test on.
pub(crate) struct Cluster {
    client: Client,
    kubeconfig: PathBuf,
    own: Option<Own>,
}

/// What is known of a cluster that the harness runs itself.
struct Own {
    place: Place,
    processes: Processes,
    /// Dropping it removes the cluster.
    guard: Option<Guard>,
}

impl Drop for Own {
    fn drop(&mut self) {
        let Some(guard) = self.guard.take() else { return };
        drop(guard);
        self.processes.collect();
    }
}

/// Everything that must be built before a cluster can start.
#[derive(Clone)]
pub(crate) struct Parts {
    tools: Tools,
    images: Images,
}

impl Parts {
    /// Installs and builds what is missing.
    pub(crate) fn build() -> Result<Self> {
        if !packages::is_root() {
            bail!(
                "a cluster of one's own needs root; as another user give --kubeconfig FILE of a cluster you have"
            );
        }
        packages::install()?;
        let images = Images::build()?;
        Ok(Self { images, tools: Tools::build()? })
    }
}

/// How long a cluster lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// As long as the harness process: it goes with it, however it ends.
    Process,
    /// Until somebody takes it down.
    Kept,
}

impl Cluster {
    /// Starts a cluster and waits until pods can run on it.
    pub(crate) async fn start(name: &str, life: Life, parts: &Parts) -> Result<Self> {
        Self::start_by(name, life, async |place, processes| raise(place, parts, processes).await).await
    }

    /// Builds what is missing and starts a cluster that goes with this process.
    pub(crate) async fn start_own(purpose: &str) -> Result<Self> {
        let parts = tokio::task::spawn_blocking(Parts::build).await??;
        Self::start(&format!("{purpose}-{}", std::process::id()), Life::Process, &parts).await
    }

    /// The cluster of that name, or without a name one that goes with this process.
    pub(crate) async fn attach_or_start(name: Option<&str>, purpose: &str) -> Result<Self> {
        match name {
            Some(name) => Self::attach(name).await,
            None => Self::start_own(purpose).await,
        }
    }

    /// Starts a cluster in one way or another.
    async fn start_by(
        name: &str,
        life: Life,
        raise: impl AsyncFnOnce(&Place, &Processes) -> Result<Client>,
    ) -> Result<Self> {
        remove_orphans()?;
        let start = Instant::now();
        let owner = if life == Life::Process { Some(place::myself()?) } else { None };
        let place = Place::claim(name, owner)?;
        let mut removal = RemoveUnless { place: place.clone(), done: false };
        let guard = if life == Life::Process { Some(Guard::start(&place)?) } else { None };
        let processes = Processes::new(&place);
        let client =
            raise(&place, &processes).await.with_context(|| format!("cannot start the cluster {name}"))?;
        removal.done = true;
        say(format!("cluster {name} is up after {:.1} s", start.elapsed().as_secs_f64()));
        let kubeconfig = place.kubeconfig(pki::ADMIN);
        Ok(Self { client, kubeconfig, own: Some(Own { place, processes, guard }) })
    }

    /// Uses a cluster that `cluster up` has started.
    pub(crate) async fn attach(name: &str) -> Result<Self> {
        let place = Place::find(name)?.with_context(|| {
            format!("no cluster {name}: start it with `cargo run -p e2e -- cluster up {name}`")
        })?;
        let kubeconfig = place.kubeconfig(pki::ADMIN);
        let client = connect(&kubeconfig).await?;
        let processes = Processes::new(&place);
        Ok(Self { client, kubeconfig, own: Some(Own { place, processes, guard: None }) })
    }

    /// Uses a cluster that somebody else runs.
    pub(crate) async fn given(kubeconfig: &Path) -> Result<Self> {
        let client = connect(kubeconfig).await?;
        client
            .apiserver_version()
            .await
            .with_context(|| format!("the cluster of {} does not answer", kubeconfig.display()))?;
        Ok(Self { client, kubeconfig: kubeconfig.to_owned(), own: None })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// An administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The address of the data plane: requests go there with a Host header.
    pub(crate) fn ingress(&self) -> Result<SocketAddr> {
        if let Ok(own) = self.own() {
            return Ok((own.place.node_address(), surroundings::INGRESS_PORT).into());
        }
        let text = std::env::var("TIDEGATE_INGRESS").map_err(|_| {
            anyhow!("the cluster's data plane is unknown: set TIDEGATE_INGRESS=ADDRESS:PORT of its NGINX-compatible ingress controller")
        })?;
        text.parse().with_context(|| format!("TIDEGATE_INGRESS={text} is not ADDRESS:PORT"))
    }

    /// The address of the data plane that obeys OpenShift's Routes.
    pub(crate) fn openshift_router(&self) -> Result<SocketAddr> {
        Ok((self.node_address()?, surroundings::ROUTE_PORT).into())
    }

    /// Prometheus, from the host.
    pub(crate) fn prometheus_url(&self) -> Result<String> {
        Ok(format!("http://{}:{}", self.node_address()?, surroundings::PROMETHEUS_PORT))
    }

    /// Traefik's metrics and API, from the host.
    pub(crate) fn traefik_url(&self) -> Result<String> {
        Ok(format!("http://{}:{}", self.node_address()?, surroundings::TRAEFIK_PORT))
    }

    /// The directory of the repositories that the Git server serves.
    pub(crate) fn git_root(&self) -> Result<PathBuf> {
        Ok(surroundings::git_root(&self.own()?.place))
    }

    /// A repository's address, from the host.
    pub(crate) fn git_url(&self, repository: &str) -> Result<String> {
        Ok(format!("http://{}:{}/{repository}.git", self.node_address()?, surroundings::GIT_PORT))
    }

    /// A repository's address, from a pod. Repositories whose name begins with
    /// `private/` demand `surroundings::GIT_CREDENTIALS`.
    pub(crate) fn git_url_inside(repository: &str) -> String {
        format!("http://git.forge/{repository}.git")
    }

    /// The same over ssh, from a pod.
    pub(crate) fn git_ssh_url_inside(repository: &str) -> String {
        format!("git@git.forge:{repository}.git")
    }

    /// The keys of the ssh server.
    pub(crate) fn ssh_keys(&self) -> Result<SshKeys> {
        ssh::keys(&self.own()?.place)
    }

    pub(crate) fn node_address(&self) -> Result<Ipv4Addr> {
        Ok(self.own()?.place.node_address())
    }

    /// Makes an image known to the node. A given cluster must know it already.
    pub(crate) fn import(&self, archive: &Path) -> Result<()> {
        node::import(&self.own()?.place, archive)
    }

    /// The command that enters the cluster's network: Services and pods can be
    /// reached from there by their addresses.
    pub(crate) fn enter(&self) -> Result<Vec<String>> {
        Ok(vec!["nsenter".to_owned(), format!("--net={}", self.own()?.place.netns_path()), "--".to_owned()])
    }

    /// The processes of a program in a pod.
    pub(crate) fn pids_in_pod(&self, uid: &str, program: &str) -> Result<Vec<u32>> {
        let mut pids = cgroup::pids_of_pod(&self.own()?.place, uid);
        pids.retain(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim() == program)
        });
        Ok(pids)
    }

    /// Ends a program in a pod without a warning, as the kernel does when memory runs out.
    pub(crate) fn kill_in_pod(&self, uid: &str, program: &str) -> Result<()> {
        let pids = self.pids_in_pod(uid, program)?;
        if pids.is_empty() {
            bail!("the pod {uid} runs no {program}");
        }
        for pid in pids {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not a process id")?;
            kill_process(pid, Signal::KILL).with_context(|| format!("cannot kill {program}"))?;
        }
        Ok(())
    }

    /// Starts a program inside the cluster's network, which goes with the cluster; its output goes to a log of that name.
    pub(crate) fn start_program(&self, name: &str, program: &Path, args: &[String]) -> Result<()> {
        self.own()?.processes.start(name, program, args, &[])
    }

    /// Asks a program that this process started to end, and waits until it has.
    pub(crate) async fn stop_program(&self, name: &str) -> Result<()> {
        self.own()?.processes.stop(name).await
    }

    /// Fails, with the end of its log, when a program of the cluster has ended by itself.
    pub(crate) fn check(&self) -> Result<()> {
        self.own.as_ref().map_or(Ok(()), |own| own.processes.check())
    }

    fn own(&self) -> Result<&Own> {
        self.own
            .as_ref()
            .context("this needs a cluster that the harness runs itself: leave out --kubeconfig, as root")
    }
}

/// Removes a cluster whose start fails half-way.
struct RemoveUnless {
    place: Place,
    done: bool,
}

impl Drop for RemoveUnless {
    fn drop(&mut self) {
        if self.done || std::env::var_os("TIDEGATE_KEEP_FAILED").is_some() {
            return;
        }
        if let Err(error) = remove(&self.place) {
            say(format!("cannot remove the cluster {}: {error:#}", self.place.name));
        }
    }
}

/// Brings everything up, the slow parts side by side.
async fn raise(place: &Place, parts: &Parts, processes: &Processes) -> Result<Client> {
    pki::create(place, &[])?;
    cgroup::create(place)?;
    network::create(place)?;
    control::start_api(place, &parts.tools.control, processes, &[])?;
    node::start_runtime(place, processes)?;
    let socket = place.containerd_socket();
    let limit = Duration::from_secs(60);
    processes
        .until("containerd", limit, async || tokio::net::UnixStream::connect(&socket).await.is_ok())
        .await?;
    let (imports_of, archives) = (place.clone(), parts.images.archives.clone());
    let imports = tokio::task::spawn_blocking(move || {
        archives.iter().try_for_each(|archive| node::import(&imports_of, archive))
    });
    let client = connect(&place.kubeconfig(pki::ADMIN)).await?;
    api_ready(processes, &client).await?;
    control::start_controllers(place, &parts.tools.control, processes, control::REQUESTS_PER_SECOND)?;
    foreign::apply_gateway(&client).await?;
    imports.await??;
    node::start(place, &parts.tools, processes)?;
    surroundings::apply(place, &client).await?;
    surroundings::start(place, &parts.tools, processes)?;
    processes.during("the node", limit, node_ready(&place.node_name(), &client)).await?;
    processes.during("service accounts", limit, accounts_ready(&client)).await?;
    for (what, port) in [
        ("CoreDNS", surroundings::DNS_READY_PORT),
        ("Traefik", surroundings::TRAEFIK_PORT),
        ("HAProxy", surroundings::ROUTE_PORT),
        ("Prometheus", surroundings::PROMETHEUS_PORT),
        ("the Git server", surroundings::GIT_PORT),
        ("the ssh server", ssh::SSH_PORT),
    ] {
        let address = (place.node_address(), port);
        processes.until(what, limit, async || TcpStream::connect(address).await.is_ok()).await?;
    }
    Ok(client)
}

async fn api_ready(processes: &Processes, client: &Client) -> Result<()> {
    let ready = http::Request::get("/readyz").body(Vec::new())?;
    let is_ready = async || client.request_text(ready.clone()).await.is_ok();
    processes.until("the API server", Duration::from_secs(60), is_ready).await
}

async fn node_ready(name: &str, client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let ready = |node: Option<&Node>| {
        let conditions =
            node.and_then(|node| node.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    };
    await_condition(nodes, name, ready).await?;
    Ok(())
}

/// Pods are refused in a namespace that has no service account yet.
async fn accounts_ready(client: &Client) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    await_condition(accounts, "default", |account: Option<&ServiceAccount>| account.is_some()).await?;
    Ok(())
}

/// Makes a client of a kubeconfig's current context.
pub(crate) async fn connect(kubeconfig: &Path) -> Result<Client> {
    let text = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("cannot read the kubeconfig {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(text, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("the kubeconfig {} is not complete", kubeconfig.display()))?;
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config).context("cannot make a client")
}
