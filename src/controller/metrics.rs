//! What the controller counts about itself, under upstream's names where they exist.
//!
//! Input: calls from the loops. Output: families for the registry. What can be read from the stores at the time of
//! a scrape is in `gauges.rs` instead, so that nothing here must be kept in step with objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;
use tidegate_engine::rollout::duration::Ended;
use tokio::time::Instant;

use crate::durations::Durations;
use crate::labels::{OfEvent, OfObject, OfRequest, Word, Words};
use crate::store::Key;

/// A Rollout that fails for this long, or is decided on for as long as a minute, is stuck.
const STUCK_FAILING: Duration = Duration::from_secs(300);
const STUCK_BUSY: Duration = Duration::from_secs(60);

/// What is counted about an object that is gone stays for a scrape of each minute, as with upstream.
const SCRAPED_WITHIN: Duration = Duration::from_secs(65);

/// Series of requests that name an object, at most; requests about others beyond that count without their names.
const NAMED_MAX: usize = 10_000;
/// What stands for a name that is not told, as upstream has it.
const NO_NAME: &str = "N/A";

type Labels<const N: usize> = [(&'static str, String); N];

/// A count whose name must not get the ending `_total`, because upstream's has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicU64>);

impl TypedMetric for Tally {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for Tally {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// How somebody should come to look at the controller's log: none of these is a Rollout's own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stuck {
    /// Rounds fail again and again.
    Failing,
    /// A round does not end.
    Endless,
    /// It is not done, nothing is written, and no reason is declared.
    Undeclared,
}

impl Stuck {
    /// All of them, so that each has a series.
    pub(crate) const ALL: [Self; 3] = [Self::Failing, Self::Endless, Self::Undeclared];

    /// Its name as a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Endless => "endless",
            Self::Undeclared => "undeclared",
        }
    }
}

/// What a round about a Rollout came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decided {
    /// The variant of its reason.
    pub(crate) reason: String,
    /// Whether it stands still without a declared reason.
    pub(crate) is_undeclared: bool,
}

/// How the decisions about one Rollout go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// What the last round that did not fail came to.
    pub(crate) decided: Decided,
    failing_since: Option<Instant>,
    busy_since: Option<Instant>,
    /// Types and reasons of its Events, so that their series can be forgotten with it.
    events: BTreeSet<[Word; 2]>,
}

impl Standing {
    /// How it is stuck, if it is.
    pub(crate) fn stuck(&self) -> Option<Stuck> {
        let longer = |since: Option<Instant>, limit| since.is_some_and(|since| since.elapsed() > limit);
        if longer(self.busy_since, STUCK_BUSY) {
            return Some(Stuck::Endless);
        }
        if longer(self.failing_since, STUCK_FAILING) {
            return Some(Stuck::Failing);
        }
        self.decided.is_undeclared.then_some(Stuck::Undeclared)
    }
}

/// The loops whose duration and failures upstream measures per object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    Rollout,
    Run,
    Experiment,
}

/// Every family.
#[derive(Debug)]
pub(crate) struct Metrics {
    rollout_reconcile: Family<OfObject, Histogram>,
    rollout_reconcile_error: Family<OfObject, Tally>,
    run_reconcile: Family<OfObject, Histogram>,
    run_reconcile_error: Family<OfObject, Tally>,
    experiment_reconcile: Family<OfObject, Histogram>,
    experiment_reconcile_error: Family<OfObject, Tally>,
    rollout_events: Family<OfEvent, Counter>,
    requests: Family<OfRequest, Counter>,
    /// The series of requests that name an object, so that they can be bounded and forgotten with it.
    named_requests: Mutex<BTreeSet<OfRequest>>,
    failures: Family<Labels<1>, Counter>,
    panics: Counter,
    breaches: Family<Labels<1>, Counter>,
    watch_failures: Family<Labels<1>, Counter>,
    malformed: Family<Labels<1>, Counter>,
    unserved: Family<Labels<1>, Counter>,
    events_dropped: Counter,
    durations: Durations,
    standings: Mutex<BTreeMap<Key, Standing>>,
    words: Words,
}

impl Default for Metrics {
    fn default() -> Self {
        // Upstream's buckets, so that dashboards fit.
        let reconcile = || Histogram::new([0.01, 0.15, 0.25, 0.5, 1.0]);
        Self {
            rollout_reconcile: Family::new_with_constructor(reconcile as fn() -> Histogram),
            rollout_reconcile_error: Family::default(),
            run_reconcile: Family::new_with_constructor(reconcile as fn() -> Histogram),
            run_reconcile_error: Family::default(),
            experiment_reconcile: Family::new_with_constructor(reconcile as fn() -> Histogram),
            experiment_reconcile_error: Family::default(),
            rollout_events: Family::default(),
            requests: Family::default(),
            named_requests: Mutex::default(),
            failures: Family::default(),
            panics: Counter::default(),
            breaches: Family::default(),
            watch_failures: Family::default(),
            malformed: Family::default(),
            unserved: Family::default(),
            events_dropped: Counter::default(),
            durations: Durations::default(),
            standings: Mutex::default(),
            words: Words::default(),
        }
    }
}

impl Metrics {
    /// Adds every family to a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.durations.register(registry);
        registry.register(
            "rollout_reconcile",
            "Rollout reconciliation performance",
            self.rollout_reconcile.clone(),
        );
        let errors = "Error occurring during the rollout";
        registry.register("rollout_reconcile_error", errors, self.rollout_reconcile_error.clone());
        registry.register(
            "analysis_run_reconcile",
            "Analysis Run reconciliation performance",
            self.run_reconcile.clone(),
        );
        let errors = "Error occurring during the analysis run";
        registry.register("analysis_run_reconcile_error", errors, self.run_reconcile_error.clone());
        registry.register(
            "experiment_reconcile",
            "Experiments reconciliation performance",
            self.experiment_reconcile.clone(),
        );
        let errors = "Error occurring during the experiment";
        registry.register("experiment_reconcile_error", errors, self.experiment_reconcile_error.clone());
        registry.register("rollout_events", "Count of rollout events", self.rollout_events.clone());
        let requests = "Number of kubernetes requests executed during application reconciliation";
        registry.register("controller_clientset_k8s_request", requests, self.requests.clone());
        registry.register(
            "tidegate_rollout_failures",
            "Failed rounds by class of error",
            self.failures.clone(),
        );
        registry.register("tidegate_panics", "Decisions that panicked", self.panics.clone());
        registry.register("tidegate_plan_breaches", "Safety rules that a plan broke", self.breaches.clone());
        registry.register(
            "tidegate_watch_failures",
            "Watches that failed and were started again",
            self.watch_failures.clone(),
        );
        registry.register(
            "tidegate_malformed_objects",
            "Objects of which nothing could be used",
            self.malformed.clone(),
        );
        registry.register(
            "tidegate_unserved_objects",
            "Objects that were left untouched, because they want what is not served yet",
            self.unserved.clone(),
        );
        registry.register(
            "tidegate_events_dropped",
            "Events that could not be written",
            self.events_dropped.clone(),
        );
    }

    /// Notes that a round of a loop begins.
    pub(crate) fn round_begins(&self, key: &Key) {
        self.stand(key, |standing| standing.busy_since = Some(Instant::now()));
    }

    /// Notes how a round about a Rollout went: what it came to, or the class of its failure.
    pub(crate) fn round_ended(&self, key: &Key, took: Duration, outcome: Result<Decided, &'static str>) {
        self.took(Loop::Rollout, key, took);
        if let Err(class) = &outcome {
            self.failed(Loop::Rollout, key);
            self.failures.get_or_create(&[("class", (*class).to_owned())]).inc();
        }
        self.stand(key, |standing| {
            standing.busy_since = None;
            match outcome {
                Ok(decided) => {
                    standing.decided = decided;
                    standing.failing_since = None;
                }
                Err(_) => {
                    standing.failing_since.get_or_insert_with(Instant::now);
                }
            }
        });
    }

    /// Forgets an object that is gone, and its series once they have been scraped a last time.
    pub(crate) fn forget(self: &Arc<Self>, which: Loop, key: &Key) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = if which == Loop::Rollout { standings.remove(key) } else { None };
        drop(standings);
        let events = standing.map(|standing| standing.events).unwrap_or_default();
        let (metrics, key) = (Arc::clone(self), key.clone());
        tokio::spawn(async move {
            tokio::time::sleep(SCRAPED_WITHIN).await;
            metrics.forget_series(which, &key, events);
        });
    }

    fn forget_series(&self, which: Loop, key: &Key, events: BTreeSet<[Word; 2]>) {
        let labels = self.words.object(key);
        match which {
            Loop::Rollout => {
                self.rollout_reconcile.remove(&labels);
                self.rollout_reconcile_error.remove(&labels);
                for event in events {
                    self.rollout_events.remove(&labels.clone().event(event));
                }
                self.forget_requests("rollouts", key);
            }
            Loop::Run => {
                self.run_reconcile.remove(&labels);
                self.run_reconcile_error.remove(&labels);
            }
            Loop::Experiment => {
                self.experiment_reconcile.remove(&labels);
                self.experiment_reconcile_error.remove(&labels);
            }
        }
    }

    /// Notes how long a round took.
    pub(crate) fn took(&self, which: Loop, key: &Key, took: Duration) {
        let family = match which {
            Loop::Rollout => &self.rollout_reconcile,
            Loop::Run => &self.run_reconcile,
            Loop::Experiment => &self.experiment_reconcile,
        };
        family.get_or_create(&self.words.object(key)).observe(took.as_secs_f64());
    }

    /// Notes that a round failed.
    pub(crate) fn failed(&self, which: Loop, key: &Key) {
        let family = match which {
            Loop::Rollout => &self.rollout_reconcile_error,
            Loop::Run => &self.run_reconcile_error,
            Loop::Experiment => &self.experiment_reconcile_error,
        };
        family.get_or_create(&self.words.object(key)).0.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a decision panicked.
    pub(crate) fn panicked(&self, key: &Key) {
        self.panics.inc();
        if let Some(standing) = self.standings.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            standing.busy_since = None;
        }
    }

    /// Notes that a plan broke a safety rule.
    pub(crate) fn breached(&self, rule: String) {
        self.breaches.get_or_create(&[("rule", rule)]).inc();
    }

    /// Notes an Event, written or not yet.
    pub(crate) fn event(&self, about: &str, key: &Key, kind: &str, reason: &str) {
        if about == "Rollout" {
            let event = [kind, reason].map(|word| self.words.get(word));
            self.rollout_events.get_or_create(&self.words.object(key).event(event.clone())).inc();
            self.stand(key, |standing| {
                standing.events.insert(event);
            });
        }
    }

    /// Notes an update that has ended, once its status says so.
    pub(crate) fn update_ended(&self, ended: &Ended) {
        self.durations.observe(ended);
    }

    /// Notes that an Event was lost.
    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Notes a request to the API server; status 0 means that there was no answer. `name` is the object's, if it is told.
    pub(crate) fn requested(
        &self,
        kind: &str,
        namespace: &str,
        name: Option<&str>,
        verb: &'static str,
        status: u16,
    ) {
        let labels = |name: &str| {
            let [kind, namespace, name] = [kind, namespace, name].map(|word| self.words.get(word));
            OfRequest { kind, namespace, name, verb, status_code: status }
        };
        let labels =
            name.map(labels).filter(|labels| self.may_name(labels)).unwrap_or_else(|| labels(NO_NAME));
        self.requests.get_or_create(&labels).inc();
    }

    fn may_name(&self, labels: &OfRequest) -> bool {
        let mut named = self.named_requests.lock().unwrap_or_else(PoisonError::into_inner);
        named.contains(labels) || named.len() < NAMED_MAX && named.insert(labels.clone())
    }

    fn forget_requests(&self, of: &str, key: &Key) {
        let mut named = self.named_requests.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|labels| {
            let OfRequest { kind, namespace, name, .. } = labels;
            let is_gone = **kind == *of && **namespace == *key.namespace && **name == *key.name;
            if is_gone {
                self.requests.remove(labels);
            }
            !is_gone
        });
    }

    /// Notes that a watch failed.
    pub(crate) fn watch_failed(&self, kind: &str) {
        self.watch_failures.get_or_create(&[("kind", kind.to_owned())]).inc();
    }

    /// Notes an object of which nothing could be used.
    pub(crate) fn malformed(&self, kind: &str) {
        self.malformed.get_or_create(&[("kind", kind.to_owned())]).inc();
    }

    /// Notes an object that was left untouched, because it wants what is not served.
    pub(crate) fn unserved(&self, kind: &str) {
        self.unserved.get_or_create(&[("kind", kind.to_owned())]).inc();
    }

    /// Returns how the decisions about each Rollout go.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn stand(&self, key: &Key, change: impl FnOnce(&mut Standing)) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        change(standings.entry(key.clone()).or_default());
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_those_that_dashboards_know() {
        let metrics = Arc::new(Metrics::default());
        let key = Key::new("ns", "shop");
        metrics.round_begins(&key);
        metrics.round_ended(&key, Duration::from_millis(2), Err("conflict"));
        for which in [Loop::Run, Loop::Experiment] {
            metrics.took(which, &key, Duration::from_millis(200));
            metrics.failed(which, &key);
        }
        metrics.event("Rollout", &key, "Normal", "RolloutUpdated");
        metrics.event("AnalysisRun", &key, "Normal", "MetricSuccessful");
        metrics.requested("rollouts", "ns", Some("shop"), "Patch", 200);
        metrics.requested("replicasets", "ns", None, "Patch", 409);
        let written = text(&metrics);
        for line in [
            r#"rollout_reconcile_error{namespace="ns",name="shop"} 1"#,
            r#"rollout_reconcile_bucket{le="0.01",namespace="ns",name="shop"} 1"#,
            r#"rollout_events_total{namespace="ns",name="shop",type="Normal",reason="RolloutUpdated"} 1"#,
            r#"controller_clientset_k8s_request_total{kind="rollouts",namespace="ns",name="shop",verb="Patch",status_code="200"} 1"#,
            r#"controller_clientset_k8s_request_total{kind="replicasets",namespace="ns",name="N/A",verb="Patch",status_code="409"} 1"#,
            r#"analysis_run_reconcile_bucket{le="0.25",namespace="ns",name="shop"} 1"#,
            r#"experiment_reconcile_bucket{le="0.15",namespace="ns",name="shop"} 0"#,
            r#"experiment_reconcile_error{namespace="ns",name="shop"} 1"#,
            "# HELP controller_clientset_k8s_request Number of kubernetes requests executed during application reconciliation.",
            "# HELP rollout_reconcile Rollout reconciliation performance.",
            "# HELP rollout_reconcile_error Error occurring during the rollout.",
            "# HELP analysis_run_reconcile Analysis Run reconciliation performance.",
            "# HELP analysis_run_reconcile_error Error occurring during the analysis run.",
            "# HELP experiment_reconcile Experiments reconciliation performance.",
            "# HELP experiment_reconcile_error Error occurring during the experiment.",
            "# HELP rollout_events Count of rollout events.",
            r#"tidegate_rollout_failures_total{class="conflict"} 1"#,
        ] {
            assert!(written.contains(line), "{line} is missing in\n{written}");
        }
        assert!(!written.contains("MetricSuccessful"));
        for which in [Loop::Rollout, Loop::Run, Loop::Experiment] {
            metrics.forget(which, &key);
        }
        assert_eq!(metrics.standings().len(), 0);
        tokio::time::sleep(SCRAPED_WITHIN - Duration::from_secs(1)).await;
        assert!(text(&metrics).contains("rollout_reconcile_error{"), "a last scrape is to come");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let written = text(&metrics);
        assert!(!written.contains("rollout_reconcile_error{") && !written.contains("rollout_events_total{"));
        assert!(!written.contains(r#"name="shop""#), "{written}");
        assert!(written.contains(r#"kind="replicasets""#));
    }

    #[test]
    fn requests_that_name_objects_are_bounded() {
        let metrics = Metrics::default();
        for number in 0..=NAMED_MAX {
            metrics.requested("services", "ns", Some(&format!("s{number}")), "Patch", 200);
        }
        let written = text(&metrics);
        assert!(written.contains(&format!(r#"name="s{}""#, NAMED_MAX - 1)));
        assert!(!written.contains(&format!(r#"name="s{NAMED_MAX}""#)));
        assert!(
            written
                .contains(r#"{kind="services",namespace="ns",name="N/A",verb="Patch",status_code="200"} 1"#)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_is_stuck_when_it_keeps_failing_never_ends_or_says_nothing() {
        let metrics = Metrics::default();
        let key = Key::new("ns", "shop");
        let stuck = || metrics.standings().iter().find_map(Standing::stuck);
        metrics.round_begins(&key);
        tokio::time::advance(STUCK_BUSY * 2).await;
        assert_eq!(stuck(), Some(Stuck::Endless));
        metrics.round_ended(&key, Duration::ZERO, Err("denied"));
        assert_eq!(stuck(), None);
        tokio::time::advance(STUCK_FAILING * 2).await;
        assert_eq!(stuck(), Some(Stuck::Failing));
        let decided = |is_undeclared| Decided { reason: "Settled".to_owned(), is_undeclared };
        metrics.round_begins(&key);
        metrics.round_ended(&key, Duration::ZERO, Ok(decided(true)));
        assert_eq!(stuck(), Some(Stuck::Undeclared));
        metrics.round_ended(&key, Duration::ZERO, Ok(decided(false)));
        assert_eq!(stuck(), None);
    }
}
