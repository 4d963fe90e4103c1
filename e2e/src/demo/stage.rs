//! Everything that must be there before the first commit: the cluster with its
//! data plane, Prometheus and Git, Tidegate, and a repository. And its removal,
//! which happens when the stage is dropped, however the demo ends.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::task::JoinHandle;

use super::Options;
use super::kubectl::Kubectl;
use super::repository::Names;
use super::screen::{Screen, Style};
use crate::cluster::{self, Cluster, Life, Parts, Place};
use crate::command::{command, output};
use crate::git::{self, Repository};
use crate::{images, install, manifest, tools};

/// Where the Rollout lives.
const NAMESPACE: &str = "tidegate-demo";
/// Where the Application lives: beside the controller, as upstream's do.
const APPLICATION_NAMESPACE: &str = install::NAMESPACE;
/// The Host header of the load.
const HOST: &str = "shop.example.com";
const REPOSITORY: &str = "shop";
/// The name of a cluster that outlives the demo.
const KEPT: &str = "demo";
/// Where the Git repository is served on this machine for a cluster that somebody else runs.
const GIT_PORT: u16 = 3300;

/// The cluster and what was put on it.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) repository: Repository,
    pub(super) names: Names,
    pub(super) kubectl: Kubectl,
    /// Where the load goes.
    pub(super) ingress: SocketAddr,
    /// How the host reaches the repository.
    repository_url: String,
    timings: Vec<(String, Duration)>,
    /// Comes last: when it is dropped, nothing else uses the cluster any more.
    removal: Removal,
}

/// What has to be removed, and how.
#[derive(Default)]
struct Removal {
    /// An own cluster that nothing else would remove.
    kept: Option<String>,
    /// A cluster that somebody else runs, and kubectl and Helm for it.
    given: Option<Given>,
}

struct Given {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
    /// The directory of the repositories.
    git_root: PathBuf,
    server: JoinHandle<Result<()>>,
}

impl Stage {
    /// Builds and starts everything.
    pub(super) async fn set(options: &Options, screen: &Screen) -> Result<Self> {
        let mut timings = Vec::new();
        screen.title("1  A cluster with a data plane, Prometheus, Git and Tidegate");
        let mut clock = Clock { screen, timings: &mut timings };
        let program = match &options.kubeconfig {
            None => clock.time("everything is built", build()).await?,
            Some(_) => {
                clock.time("Tidegate is built", blocking(|| Ok((images::tidegate()?.program, None)))).await?
            }
        };
        let (program, parts) = program;
        let (cluster, removal) = match (&options.kubeconfig, parts) {
            (None, Some(parts)) => clock.time("the cluster is up", own(options.keep, &parts)).await?,
            (Some(kubeconfig), _) => {
                clock.time("the cluster answers", given(kubeconfig, options, screen)).await?
            }
            (None, None) => bail!("neither a cluster nor the parts of one"),
        };
        clock
            .time("Tidegate is installed by its chart", install_tidegate(&cluster, removal.given.is_some()))
            .await?;
        let kubectl = Kubectl::new(cluster.kubeconfig(), NAMESPACE, &program)?;
        let (root, url, inside) = match (&removal.given, options.machine) {
            (Some(given), Some(machine)) => {
                let url = format!("http://{}/{REPOSITORY}.git", SocketAddr::from((machine, GIT_PORT)));
                (given.git_root.clone(), url.clone(), url)
            }
            _ => (cluster.git_root()?, cluster.git_url(REPOSITORY)?, Cluster::git_url_inside(REPOSITORY)),
        };
        let repository = Repository::create(&root, REPOSITORY)?;
        screen.event(Style::Git, &format!("an empty repository is served at {url}"));
        let names = Names {
            namespace: NAMESPACE.to_owned(),
            application_namespace: APPLICATION_NAMESPACE.to_owned(),
            url: inside,
            host: HOST.to_owned(),
            prometheus: options.prometheus.clone(),
        };
        let ingress =
            options.ingress.filter(|_| removal.given.is_some()).map_or_else(|| cluster.ingress(), Ok)?;
        Ok(Self { cluster, repository, names, kubectl, ingress, repository_url: url, timings, removal })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.names.namespace
    }

    pub(super) fn timings(&self) -> &[(String, Duration)] {
        &self.timings
    }

    /// Leaves everything as it is and says how to look around.
    pub(super) fn keep(&mut self, screen: &Screen) -> Result<()> {
        let kept = self.removal.kept.take();
        let given = self.removal.given.take().is_some();
        let (ingress, host) = (self.ingress, HOST);
        screen.title("The cluster is still there");
        let mut lines = vec![format!("export KUBECONFIG={}", self.cluster.kubeconfig().display())];
        lines.push(format!(
            "kubectl tidegate get rollout shop -n {NAMESPACE}     (after: PATH={}:$PATH)",
            self.kubectl.path()
        ));
        lines.push(format!("curl -i -H 'Host: {host}' http://{ingress}/"));
        lines.push(format!("git clone {}     (commit, push, and watch it happen)", self.repository_url));
        if let Ok(prometheus) = self.cluster.prometheus_url() {
            lines.push(format!("{prometheus}/graph     {}/dashboard/", self.cluster.traefik_url()?));
        }
        if let Some(name) = kept {
            lines.push(format!("cargo run -p e2e -- cluster shell {name}     (a shell in its network)"));
            lines.push(format!("cargo run -p e2e -- cluster down {name}      (removes it)"));
        }
        if given {
            lines.push(format!("kubectl delete -n {APPLICATION_NAMESPACE} application shop; helm uninstall -n {} tidegate     (removes it)", install::NAMESPACE));
        }
        for line in lines {
            screen.line(&format!("  {line}"));
        }
        Ok(())
    }
}

/// Tells and notes how long things take.
struct Clock<'a> {
    screen: &'a Screen,
    timings: &'a mut Vec<(String, Duration)>,
}

impl Clock<'_> {
    async fn time<T>(&mut self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let start = Instant::now();
        let done = work.await?;
        let took = start.elapsed();
        self.screen.event(Style::Plain, &format!("{what} (took {:.1} s)", took.as_secs_f64()));
        self.timings.push((what.to_owned(), took));
        Ok(done)
    }
}

/// Builds the Rust half and the Go half side by side.
async fn build() -> Result<(PathBuf, Option<Parts>)> {
    let parts = blocking(|| {
        let parts = Parts::build()?;
        tools::helm()?;
        Ok(parts)
    });
    let (program, parts) = tokio::try_join!(blocking(|| Ok(images::tidegate()?.program)), parts)?;
    Ok((program, Some(parts)))
}

/// Starts a cluster of one's own.
async fn own(keep: bool, parts: &Parts) -> Result<(Cluster, Removal)> {
    let (name, life) = if keep {
        (KEPT.to_owned(), Life::Kept)
    } else {
        (format!("demo-{}", std::process::id()), Life::Process)
    };
    let taken = keep && Place::find(&name)?.is_some();
    // Armed before the start, so that Ctrl-C during the start leaves nothing behind.
    let removal = Removal { kept: (keep && !taken).then(|| name.clone()), given: None };
    let cluster = Cluster::start(&name, life, parts).await?;
    Ok((cluster, removal))
}

/// Connects to a cluster that somebody else runs, having said what will happen there.
async fn given(kubeconfig: &Path, options: &Options, screen: &Screen) -> Result<(Cluster, Removal)> {
    let Some(machine) = options.machine else {
        bail!(
            "the cluster's pods must reach the Git repository on this machine: say --machine ADDRESS \
             (for kind: the gateway of its docker network)"
        );
    };
    let cluster = Cluster::given(kubeconfig).await?;
    options.ingress.map_or_else(|| cluster.ingress(), Ok)?;
    let (kubectl, helm) =
        blocking(|| Ok((find("kubectl", tools::kubectl)?, find("helm", tools::helm)?))).await?;
    let release = output(
        command(&helm, &["status", "tidegate", "--namespace", install::NAMESPACE, "--kubeconfig"])
            .arg(kubeconfig),
    );
    if release.is_ok() {
        bail!(
            "Tidegate is installed already in the cluster of {}, and the demo would replace it: \
             uninstall it first, or use another cluster",
            kubeconfig.display()
        );
    }
    for line in [
        format!("using the cluster of {}", kubeconfig.display()),
        format!(
            "creating there: the release tidegate in the namespace {}, with its kinds (argoproj.io);",
            install::NAMESPACE
        ),
        format!("an Application in the same namespace, and what it syncs in the namespace {NAMESPACE};"),
        format!("all of it is removed at the end, except the kinds; Git is served on {machine}:{GIT_PORT}"),
    ] {
        screen.event(Style::Plain, &line);
    }
    for archive in blocking(images::Images::build).await?.archives {
        screen.event(Style::Plain, &format!("the cluster must know the images of {}", archive.display()));
    }
    let git_root = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
    std::fs::create_dir_all(&git_root).with_context(|| format!("cannot create {}", git_root.display()))?;
    let server = serve_git(git_root.clone(), machine);
    let given = Given { kubeconfig: kubeconfig.to_owned(), kubectl, helm, git_root, server };
    Ok((cluster, Removal { kept: None, given: Some(given) }))
}

fn serve_git(root: PathBuf, machine: IpAddr) -> JoinHandle<Result<()>> {
    tokio::spawn(git::serve(root, (machine, GIT_PORT).into(), None))
}

/// A program of the machine's own, else the one that is built.
fn find(program: &str, build: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    if crate::command::exists(program) { Ok(PathBuf::from(program)) } else { build() }
}

/// On a cluster of its own, Applications may make their namespace themselves.
/// On somebody else's they get one namespace and no right beyond it.
async fn install_tidegate(cluster: &Cluster, is_given: bool) -> Result<()> {
    let reach = if is_given {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        manifest::apply_value(cluster.client(), namespace, NAMESPACE).await?;
        format!("sync.namespaces={{{NAMESPACE}}}")
    } else {
        "sync.clusterWide=true".to_owned()
    };
    install::with_values(cluster, &["sync.enabled=true", "sync.pollSeconds=2", &reach]).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Some(name) = self.kept.take() {
            let removed = Place::find(&name).and_then(|place| place.as_ref().map_or(Ok(()), cluster::remove));
            if let Err(error) = removed {
                crate::say(format!("cannot remove the cluster {name}: {error:#}"));
            }
        }
        if let Some(given) = self.given.take() {
            given.remove();
        }
    }
}

impl Given {
    /// Removes what the demo made. The Application goes first: its finalizer
    /// needs the controller to remove what was synced.
    fn remove(&self) {
        self.server.abort();
        let delete = ["delete", "--ignore-not-found", "--timeout=60s"];
        let on_cluster = |program: &Path, args: &[&str]| -> Result<()> {
            let mut command: Command = command(program, args);
            output(command.arg("--kubeconfig").arg(&self.kubeconfig)).map(drop)
        };
        let application =
            [&delete[..], &["--namespace", APPLICATION_NAMESPACE, "application.argoproj.io", "shop"]]
                .concat();
        let namespace = [&delete[..], &["namespace", NAMESPACE]].concat();
        let release = ["uninstall", "tidegate", "--namespace", install::NAMESPACE, "--ignore-not-found"];
        for result in [
            on_cluster(&self.kubectl, &application),
            on_cluster(&self.kubectl, &namespace),
            on_cluster(&self.helm, &release),
        ] {
            if let Err(error) = result {
                crate::say(format!("not removed: {error:#}"));
            }
        }
        let _gone = std::fs::remove_dir_all(&self.git_root);
    }
}
