//! The controller in front of which the tests run: Tidegate with the rights of its chart or, to compare, upstream's own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Options;
use super::sites::Sites;
use crate::cluster::simulated::Simulated;
use crate::command::last_lines_of;
use crate::{argo, install, tools};

/// Its name among the programs of the cluster.
pub(super) const NAME: &str = "controller";
/// The instance whose label upstream's tests give to all that they create. The metrics are at the port of their own, where
/// one of the tests asks for them.
const FLAGS: [&str; 2] = ["--instance-id=argo-rollouts-e2e", "--leader-elect=false"];
/// Both say at this port, and below this path, that they work.
const HEALTH: &str = "8080/healthz";
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose controller it is, and its program.
pub(super) enum Controller {
    Tidegate(PathBuf),
    Upstream(PathBuf),
}

impl Controller {
    /// The one that is asked for, built if need be.
    pub(super) async fn of(options: &Options) -> Result<Self> {
        if options.upstream {
            return Ok(Self::Upstream(tokio::task::spawn_blocking(tools::argo_controller).await??));
        }
        Ok(Self::Tidegate(options.subject.program().await?))
    }

    pub(super) fn program(&self) -> &Path {
        match self {
            Self::Tidegate(program) | Self::Upstream(program) => program,
        }
    }

    /// The name of the file of figures: what upstream's controller did overwrites nothing.
    pub(super) fn figures(&self) -> &'static str {
        match self {
            Self::Tidegate(_) => "upstream-suite.json",
            Self::Upstream(_) => "upstream-suite-of-upstream.json",
        }
    }

    /// Installs its kinds and starts it.
    pub(super) async fn start(&self, cluster: &Simulated, sites: &Sites, flags: &[String]) -> Result<()> {
        let (subcommand, kubeconfig) = match self {
            Self::Tidegate(_) => {
                install::kinds_and_rights(cluster.client()).await?;
                (Some("controller"), cluster.audited_kubeconfig()?)
            }
            Self::Upstream(_) => {
                argo::apply_rollouts(cluster.client()).await?;
                (None, cluster.kubeconfig_of_namespace(install::NAMESPACE)?)
            }
        };
        let mut args: Vec<String> = subcommand.into_iter().map(str::to_owned).collect();
        args.push(format!("--kubeconfig={}", kubeconfig.display()));
        args.extend(FLAGS.map(str::to_owned));
        args.extend(flags.iter().cloned());
        let (program, args) = sites.reachable(self.program(), args);
        cluster.run(NAME, &program, &args, &[("POD_NAMESPACE", install::NAMESPACE), sites.env()?])?;
        until_healthy(cluster).await
    }
}

async fn until_healthy(cluster: &Simulated) -> Result<()> {
    let url = format!("http://{}:{HEALTH}", cluster.node_address()?);
    let http = reqwest::Client::builder().no_proxy().build()?;
    let deadline = Instant::now() + PATIENCE;
    while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        cluster.check()?;
        ensure!(
            Instant::now() < deadline,
            "the controller is not healthy within {} s:\n{}",
            PATIENCE.as_secs(),
            last_lines_of(&cluster.log(NAME)?, 20)
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
