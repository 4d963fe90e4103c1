//! What the controller can be told on its command line: upstream's flags and defaults, and those of the Git side.
//!
//! Input: arguments and environment. Output: typed options. Flags of upstream that name something which does not
//! exist here are accepted, so that its manifests start this controller, and have no effect.

mod accepted;
mod connection;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use tidegate_api::go_duration;
use tidegate_engine::sync::Reach;

use accepted::{Accepted, Refused};
use connection::Connection;

use crate::client::WRITE_WITHIN;
use crate::lease::Timing;
use crate::sync::SyncConfig;
use crate::webhook::WebhookConfig;

/// Applications looked at at once.
const SYNC_THREADS: usize = 10;

/// How many retry periods a renew deadline must exceed, as client-go demands.
const RETRY_ROOM: f64 = 1.2;

/// Where the namespace of a pod is written by Kubernetes.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Levels that upstream takes; the last three mean what the nearest of the first five does.
const LEVELS: [&str; 8] = ["trace", "debug", "info", "warn", "error", "warning", "fatal", "panic"];

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

impl LogFormat {
    /// The format that a text names, in whatever case; an empty one names that for people.
    pub(crate) fn named(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "" | "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Of which Rollouts content that was aborted is not shipped again by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HoldAborted {
    /// Of those that Tidegate's own Git sync applies.
    #[default]
    Synced,
    /// Of all.
    Always,
    /// Of none, as with Argo Rollouts.
    Never,
}

/// A part of the controller that can be had alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// AnalysisRuns.
    Analysis,
}

/// Options of `tidegate controller`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Seconds after which a Rollout is looked at again when nothing is heard of it
    #[arg(long, default_value_t = 900)]
    pub rollout_resync: u64,
    /// Work in one namespace only, without any right to cluster-wide objects
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub namespaced: bool,
    /// The namespace to work in with --namespaced; the controller's own by default
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// debug, info, warn or error
    #[arg(long, default_value = "info", ignore_case = true, value_parser = LEVELS)]
    pub loglevel: String,
    /// text or json; whatever else means text
    #[arg(long, default_value = "text")]
    pub logformat: String,
    /// Verbosity of the Kubernetes client, as klog counts it
    #[arg(long, default_value_t = 0)]
    pub kloglevel: u8,
    /// Port of /metrics
    #[arg(long = "metricsPort", alias = "metricsport", default_value_t = 8090)]
    pub metrics_port: u16,
    /// Port of /healthz and /readyz
    #[arg(long = "healthzPort", default_value_t = 8080)]
    pub healthz_port: u16,
    /// See only objects whose label argo-rollouts.argoproj.io/controller-instance-id has this value
    #[arg(long)]
    pub instance_id: Option<String>,
    /// Requests per second to the API server
    #[arg(long, default_value_t = 200.0)]
    pub qps: f64,
    /// Requests that may go out at once
    #[arg(long, default_value_t = 400)]
    pub burst: u32,
    /// Rollouts looked at at once
    #[arg(long, default_value_t = 10)]
    pub rollout_threads: usize,
    /// AnalysisRuns looked at at once
    #[arg(long, default_value_t = 30)]
    pub analysis_threads: usize,
    /// Experiments looked at at once
    #[arg(long, default_value_t = 10)]
    pub experiment_threads: usize,
    /// Act only while holding the Lease
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    pub leader_elect: bool,
    /// How long others wait for a holder that does not renew
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub leader_election_lease_duration: Duration,
    /// How long a holder that cannot renew goes on
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub leader_election_renew_deadline: Duration,
    /// The pause between attempts to get or renew the Lease
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub leader_election_retry_period: Duration,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Work on these only; all by default
    #[arg(long, value_enum, value_delimiter = ',')]
    pub controllers: Vec<Part>,
    /// Address of Prometheus for metrics that name none
    #[arg(long, env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS")]
    pub prometheus_address: Option<String>,
    /// Namespace for the Jobs of all analyses; that of each AnalysisRun by default
    #[arg(long, env = "ARGO_ROLLOUTS_ANALYSIS_JOB_NAMESPACE")]
    pub analysis_job_namespace: Option<String>,
    /// Path of a kubeconfig of the cluster to run the Jobs of analyses in; this one by default
    #[arg(long, env = "ARGO_ROLLOUTS_ANALYSIS_JOB_KUBECONFIG")]
    pub analysis_job_kubeconfig: Option<String>,
    /// Rollouts whose aborted content is not shipped again until somebody says so; the annotation
    /// tidegate.dev/hold-aborted-content on a Rollout decides for it alone
    #[arg(long, value_enum, default_value_t = HoldAborted::Synced)]
    pub hold_aborted_content: HoldAborted,
    #[command(flatten)]
    pub sync: SyncOptions,
    #[command(flatten)]
    pub(crate) accepted: Accepted,
    #[command(flatten)]
    pub(crate) refused: Refused,
}

/// Options of the Git side.
#[derive(Clone, Debug, Args)]
pub struct SyncOptions {
    /// Bring Applications in line with Git
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub sync_enabled: bool,
    /// Namespaces that Applications may write to; repeatable, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub sync_namespaces: Vec<String>,
    /// Namespace of Applications, AppProjects and repository Secrets
    #[arg(long, default_value = "argocd")]
    pub application_namespace: String,
    /// ServiceAccount to act as in each namespace that is written to; without it, as the controller itself
    #[arg(long)]
    pub sync_service_account: Option<String>,
    /// Let Applications write to every namespace and to cluster-wide objects
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub sync_cluster_wide: bool,
    /// Directory for clones of repositories
    #[arg(long, default_value = "/var/cache/tidegate")]
    pub git_cache: PathBuf,
    /// Room on the disk for these clones, such as 512Mi or 2Gi; a fifth is kept free
    #[arg(long, value_parser = bytes, default_value = "2Gi")]
    pub git_cache_size: u64,
    /// Seconds between looks at a repository
    #[arg(long, default_value_t = 180)]
    pub sync_poll_seconds: u32,
    /// Allow repositories on the controller's own disk
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub sync_allow_file_repositories: bool,
    /// Port of /api/webhook, where Git servers tell of pushes; 0 for none
    #[arg(long, default_value_t = 0)]
    pub webhook_port: u16,
    /// Believe webhooks of providers that argocd-secret holds no secret for
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub webhook_allow_unsigned: bool,
}

impl Options {
    /// How often to look at an object about which nothing is heard.
    pub(crate) fn resync(&self) -> Duration {
        Duration::from_secs(self.rollout_resync.max(1))
    }

    /// Whether only AnalysisRuns are worked on.
    pub(crate) fn is_analysis_only(&self) -> bool {
        self.controllers == [Part::Analysis]
    }

    /// Checks what cannot be told of one flag alone, and that nothing is asked for which is not done.
    ///
    /// # Errors
    /// Names the flag, and what to do about it.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.refused.check()?;
        if self.is_analysis_only() && self.sync.sync_enabled {
            return Err("--sync-enabled and --controllers=analysis contradict each other".to_owned());
        }
        self.check_timing()
    }

    /// The namespace that the controller itself lives in: its Lease and the credentials of metric providers are there.
    pub(crate) fn own_namespace(&self) -> String {
        let named =
            std::env::var("POD_NAMESPACE").ok().or_else(|| std::fs::read_to_string(NAMESPACE_FILE).ok());
        let named = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        named.or_else(|| self.namespace.clone()).unwrap_or_else(|| "argo-rollouts".to_owned())
    }

    /// The namespace for the Jobs of all analyses; a variable without a text is none.
    pub(crate) fn job_namespace(&self) -> Option<String> {
        self.analysis_job_namespace.clone().filter(|namespace| !namespace.is_empty())
    }

    /// The kubeconfig for the Jobs of analyses, likewise.
    pub(crate) fn job_kubeconfig(&self) -> Option<&Path> {
        self.analysis_job_kubeconfig.as_deref().filter(|path| !path.is_empty()).map(Path::new)
    }

    /// What the Git side may do, and where.
    pub(crate) fn sync_config(&self, own_namespace: &str) -> SyncConfig {
        let sync = &self.sync;
        let reach = if sync.sync_cluster_wide {
            Reach::Cluster
        } else {
            Reach::Namespaces(sync.sync_namespaces.iter().cloned().collect())
        };
        SyncConfig {
            applications: sync.application_namespace.clone(),
            own_namespace: own_namespace.to_owned(),
            reach,
            impersonate: sync.sync_service_account.clone(),
            git_cache: sync.git_cache.clone(),
            // What a fetch brings is looked at from time to time only.
            git_cache_bytes: sync.git_cache_size / 5 * 4,
            allow_file_repositories: sync.sync_allow_file_repositories,
            poll: Duration::from_secs(sync.sync_poll_seconds.max(1).into()),
            threads: SYNC_THREADS,
        }
    }

    /// What the receiver of webhooks may do, if there is one.
    pub(crate) fn webhook_config(&self) -> Option<WebhookConfig> {
        let sync = &self.sync;
        (sync.sync_enabled && sync.webhook_port != 0).then(|| WebhookConfig {
            applications: sync.application_namespace.clone(),
            allow_unsigned: sync.webhook_allow_unsigned,
        })
    }

    /// Checks what two controllers at once could follow from.
    ///
    /// # Errors
    /// Names the flag, and what it may be: the Lease must outlast the renew deadline by the longest write, as a write
    /// that was begun in time may still land; and within the deadline there must be room for another attempt.
    fn check_timing(&self) -> Result<(), String> {
        if !self.leader_elect {
            return Ok(());
        }
        let Timing { duration, deadline, retry } = self.timing();
        let shortest = deadline + WRITE_WITHIN;
        if duration < shortest {
            return Err(format!(
                "--leader-election-lease-duration is {duration:?}, but must be {shortest:?} at least: the renew deadline \
                 and {WRITE_WITHIN:?} for a write that was begun before it"
            ));
        }
        if retry.is_zero() || deadline <= retry.mul_f64(RETRY_ROOM) {
            return Err(format!(
                "--leader-election-retry-period is {retry:?}, but must be above zero and less than the renew deadline of \
                 {deadline:?} divided by {RETRY_ROOM}"
            ));
        }
        Ok(())
    }

    pub(crate) fn timing(&self) -> Timing {
        Timing {
            duration: self.leader_election_lease_duration,
            deadline: self.leader_election_renew_deadline,
            retry: self.leader_election_retry_period,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let nanoseconds = go_duration::parse_nanoseconds(text)?;
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| format!("{text} is negative"))
}

/// Bytes of a size as Kubernetes writes it, in whole numbers.
fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let number: Option<u64> = number.parse().ok();
    let size = number.and_then(|number| number.checked_mul(unit)).filter(|size| *size > 0);
    size.ok_or_else(|| format!("{text} is no size such as 512Mi or 2Gi"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Options {
        Line::try_parse_from([&["tidegate"], arguments].concat()).unwrap().options
    }

    #[test]
    fn defaults_are_upstreams() {
        let options = parse(&[]);
        assert_eq!((options.metrics_port, options.healthz_port), (8090, 8080));
        assert_eq!(
            (
                options.rollout_resync,
                options.rollout_threads,
                options.analysis_threads,
                options.experiment_threads
            ),
            (900, 10, 30, 10)
        );
        assert!(options.leader_elect && !options.namespaced && !options.sync.sync_enabled);
        assert_eq!(options.timing().deadline, Duration::from_secs(10));
    }

    #[test]
    fn upstreams_command_lines_are_understood() {
        let options = parse(&[
            "--namespaced",
            "--instance-id=blue",
            "--leader-elect=false",
            "--metricsport",
            "9000",
            "--istio-api-version=v1beta1",
            "--leader-election-lease-duration=1m30s",
            "--loglevel",
            "debug",
        ]);
        assert!(options.namespaced && !options.leader_elect);
        assert_eq!((options.metrics_port, options.instance_id.as_deref()), (9000, Some("blue")));
        assert_eq!(options.timing().duration, Duration::from_secs(90));
        assert_eq!(options.accepted.given(), ["--istio-api-version"]);
    }

    #[test]
    fn an_unknown_log_format_is_no_reason_not_to_start() {
        for (given, wanted) in [
            ("text", Some(LogFormat::Text)),
            ("Text", Some(LogFormat::Text)),
            ("", Some(LogFormat::Text)),
            ("json", Some(LogFormat::Json)),
            ("JSON", Some(LogFormat::Json)),
            ("logfmt", None),
        ] {
            let options = parse(&[&format!("--logformat={given}")]);
            assert_eq!(LogFormat::named(&options.logformat), wanted, "{given}");
        }
        assert_eq!(LogFormat::named(&parse(&[]).logformat), Some(LogFormat::Text));
        assert_eq!(LogFormat::default(), LogFormat::Text);
    }

    #[test]
    fn an_empty_instance_id_is_none() {
        let id = |arguments: &[&str]| crate::scope(&parse(arguments), "tidegate").instance_id;
        assert_eq!((id(&[]), id(&["--instance-id="]), id(&["--instance-id", ""])), (None, None, None));
        assert_eq!(id(&["--instance-id=blue"]).as_deref(), Some("blue"));
    }

    /// Every flag of Argo Rollouts 1.10, as its manifests and its help write them.
    #[test]
    fn all_flags_of_upstream_are_known() {
        let without_effect = [
            "--service-threads=5",
            "--ingress-threads=5",
            "--ephemeral-metadata-threads=5",
            "--ephemeral-metadata-update-pod-retries=3",
            "--aws-target-group-binding-api-version=elbv2.k8s.aws/v1beta1",
            "--alb-tag-key-resource-id=ingress.k8s.aws/resource",
            "--istio-api-version=v1",
            "--ambassador-api-version=getambassador.io/v2",
            "--traffic-split-api-version=v1alpha1",
            "--traefik-api-group=traefik.io",
            "--traefik-api-version=traefik.io/v1alpha1",
            "--ingress-api-version=networking/v1",
            "--appmesh-crd-version=v1beta2",
            "--alb-ingress-classes=alb",
            "--nginx-ingress-classes=nginx",
            "--alb-verify-weight",
            "--aws-verify-target-group",
            "--self-service-notification-enabled",
            "--enable-pprof-address=:6060",
            "--disable-compression",
        ];
        let names = without_effect.map(|flag| flag.split('=').next().unwrap());
        assert_eq!(parse(&without_effect).accepted.given(), names);
        let options = parse(&[
            "--rollout-resync=60",
            "--kloglevel=2",
            "--logformat=json",
            "--healthzPort=1",
            "--metricsPort=2",
            "--qps=10",
            "--burst=20",
            "--rollout-threads=1",
            "--experiment-threads=2",
            "--analysis-threads=3",
            "--leader-election-renew-deadline=5s",
            "--leader-election-retry-period=1s",
            "--controllers=analysis",
            "--kubeconfig=/k",
            "--context=c",
            "-n=here",
        ]);
        assert!(options.is_analysis_only() && options.check().is_ok());
        assert_eq!((options.qps, options.burst, options.namespace.as_deref()), (10.0, 20, Some("here")));
    }

    #[test]
    fn what_is_not_known_or_not_taken_is_named() {
        let unknown = |arguments: &[&str]| {
            let error = Line::try_parse_from([&["tidegate"], arguments].concat()).err().unwrap();
            error.to_string()
        };
        assert!(unknown(&["--rollout-thread=1"]).contains("'--rollout-thread'"));
        assert!(unknown(&["--controllers=rollouts"]).contains("rollouts"));
        let refused = |flag: &str| parse(&[flag]).check().unwrap_err();
        assert!(refused("--token=secret").contains("--token is not taken from the command line"));
        assert!(!refused("--password=hunter2").contains("hunter2"));
        assert!(refused("--request-timeout=1s").contains("--request-timeout"));
        let both = parse(&["--controllers=analysis", "--sync-enabled"]).check().unwrap_err();
        assert!(both.contains("--controllers=analysis"));
    }

    #[test]
    fn jobs_run_beside_their_runs_unless_told_otherwise() {
        let options = parse(&["--analysis-job-namespace=", "--analysis-job-kubeconfig="]);
        assert_eq!((options.job_namespace(), options.job_kubeconfig()), (None, None));
        let options = parse(&["--analysis-job-namespace=jobs", "--analysis-job-kubeconfig=/etc/jobs"]);
        assert_eq!(options.job_namespace().as_deref(), Some("jobs"));
        assert_eq!(options.job_kubeconfig(), Some(Path::new("/etc/jobs")));
    }

    #[test]
    fn a_lease_shorter_than_its_writes_is_refused() {
        assert_eq!(parse(&[]).check_timing(), Ok(()));
        let refused = |flag: &str| parse(&[flag]).check_timing().unwrap_err();
        assert!(refused("--leader-election-lease-duration=8s").contains("must be 14s at least"));
        assert!(refused("--leader-election-retry-period=0s").contains("above zero"));
        assert!(refused("--leader-election-retry-period=9s").contains("renew deadline of 10s"));
    }

    #[test]
    fn webhooks_are_received_where_they_are_asked_for_and_of_use() {
        let config = |arguments: &[&str]| parse(arguments).webhook_config();
        assert!(config(&["--sync-enabled"]).is_none());
        assert!(config(&["--webhook-port=8083"]).is_none());
        let config = config(&["--sync-enabled", "--webhook-port=8083"]).unwrap();
        assert!(!config.allow_unsigned);
    }

    #[test]
    fn the_room_for_clones_is_less_than_the_volume() {
        let config = |arguments: &[&str]| parse(arguments).sync_config("tidegate").git_cache_bytes;
        assert_eq!(config(&["--git-cache-size=10Mi"]), 8 << 20);
        assert_eq!(config(&["--git-cache-size=1000"]), 800);
        assert_eq!(config(&[]), crate::git::Limits::default().stored_bytes);
        for other in ["", "0", "2.5Gi", "Gi", "-1", "2gi", "99999999999Ti"] {
            assert!(bytes(other).is_err(), "{other}");
        }
    }

    #[test]
    fn namespaces_of_the_git_side_may_be_listed_either_way() {
        let options = parse(&["--sync-enabled", "--sync-namespaces=a,b", "--sync-namespaces", "c"]);
        assert_eq!(options.sync.sync_namespaces, ["a", "b", "c"]);
        assert!(options.sync.sync_enabled);
    }
}
