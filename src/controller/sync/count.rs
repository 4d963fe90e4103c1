//! What sync counts about itself, under Argo CD's names.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tidegate_engine::sync::address;

type Labels<const N: usize> = [(&'static str, String); N];
/// Names of an Application and of its project.
type App = Labels<3>;

/// Every family.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    info: Family<Labels<10>, Gauge>,
    syncs: Family<Labels<4>, Counter>,
    rounds: Family<Labels<1>, Histogram>,
    git: Family<Labels<2>, Counter>,
    git_seconds: Family<Labels<1>, Histogram>,
    foreign: Family<Labels<2>, Gauge>,
}

fn histogram() -> Histogram {
    Histogram::new([0.05, 0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0])
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            info: Family::default(),
            syncs: Family::default(),
            rounds: Family::new_with_constructor(histogram),
            git: Family::default(),
            git_seconds: Family::new_with_constructor(histogram),
            foreign: Family::default(),
        }
    }
}

fn text(application: &Value, pointer: &str) -> String {
    application.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn app(application: &Value) -> App {
    [
        ("namespace", text(application, "/metadata/namespace")),
        ("name", text(application, "/metadata/name")),
        ("project", text(application, "/spec/project")),
    ]
}

impl Counts {
    /// Puts every family into a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("argocd_app_info", "Information about an Application", self.info.clone());
        registry.register("argocd_app_sync", "Syncs that ended, by phase", self.syncs.clone());
        registry.register(
            "argocd_app_reconcile",
            "Seconds that a look at an Application takes",
            self.rounds.clone(),
        );
        registry.register("argocd_git_request", "Looks at a Git repository, by outcome", self.git.clone());
        registry.register(
            "argocd_git_request_duration_seconds",
            "Seconds that a look at a Git repository takes",
            self.git_seconds.clone(),
        );
        registry.register(
            "tidegate_app_owned_elsewhere",
            "Applications left untouched because another controller looks after them",
            self.foreign.clone(),
        );
    }

    /// Notes how an Application stands now, in place of how it stood before.
    pub(crate) fn stands(&self, before: Option<&Value>, now: Option<&Value>) {
        let labels = |application: &Value| {
            let [namespace, name, project] = app(application);
            let automated = application.pointer("/spec/syncPolicy/automated");
            let enabled =
                automated.is_some_and(|automated| automated.get("enabled") != Some(&Value::Bool(false)));
            let running = application.get("operation").is_some_and(|operation| !operation.is_null());
            [
                namespace,
                name,
                project,
                ("autosync_enabled", enabled.to_string()),
                ("repo", address::normal(&text(application, "/spec/source/repoURL"))),
                ("dest_server", text(application, "/spec/destination/server")),
                ("dest_namespace", text(application, "/spec/destination/namespace")),
                ("sync_status", text(application, "/status/sync/status")),
                ("health_status", text(application, "/status/health/status")),
                ("operation", if running { "sync".to_owned() } else { String::new() }),
            ]
        };
        let (before, now) = (before.map(labels), now.map(labels));
        if before != now {
            before.map(|labels| self.info.remove(&labels));
            now.map(|labels| self.info.get_or_create(&labels).set(1));
        }
    }

    /// Notes that a sync ended.
    pub(crate) fn synced(&self, application: &Value, phase: &str) {
        let [namespace, name, project] = app(application);
        self.syncs.get_or_create(&[namespace, name, project, ("phase", phase.to_owned())]).inc();
    }

    /// Notes how long a look at an Application took.
    pub(crate) fn looked(&self, namespace: &str, took: Duration) {
        self.rounds.get_or_create(&[("namespace", namespace.to_owned())]).observe(took.as_secs_f64());
    }

    /// Notes how a look at a repository went.
    pub(crate) fn asked(&self, repository: &str, outcome: &str, took: Duration) {
        let repository = address::normal(repository);
        self.git.get_or_create(&[("repo", repository.clone()), ("outcome", outcome.to_owned())]).inc();
        self.git_seconds.get_or_create(&[("repo", repository)]).observe(took.as_secs_f64());
    }

    /// Notes whether another controller looks after an Application.
    pub(crate) fn owned_elsewhere(&self, namespace: &str, name: &str, is: bool) {
        let labels = [("namespace", namespace.to_owned()), ("name", name.to_owned())];
        if is {
            self.foreign.get_or_create(&labels).set(1);
        } else {
            self.foreign.remove(&labels);
        }
    }
}
