//! Follows the demo's objects by watches and tells what happens to them: the
//! lines of the terminal and of the report, and the moments by which the load's
//! answers are sorted afterwards.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun};
use tidegate_api::rollout::{Rollout, RolloutPhase};
use tidegate_engine::view::{Objects, RolloutView};
use tokio::sync::watch;

use super::repository::Names;
use super::screen::{Screen, Style};

/// The label by which everything knows its pod template.
const HASH_LABEL: &str = "rollouts-pod-template-hash";
/// The name of the Rollout, and of the Application.
pub(super) const NAME: &str = "shop";

/// How the traffic shall be split from some moment on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// The version that has the rest.
    pub(super) stable: String,
    /// The version on its way, and its share in percent.
    pub(super) canary: Option<(String, i32)>,
}

/// A line of the story.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    pub(super) at: Timestamp,
    pub(super) style: Style,
    pub(super) text: String,
    /// Worth a mark in the plot.
    pub(super) is_marked: bool,
}

/// What has been seen so far.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) rollout: Option<Rollout>,
    pub(super) runs: BTreeMap<String, AnalysisRun>,
    pub(super) application: Value,
    pub(super) splits: Vec<(Timestamp, Split)>,
    pub(super) happenings: Vec<Happening>,
    /// The version behind each hash of a pod template.
    pub(super) versions: BTreeMap<String, String>,
}

/// What is seen, and where it is told.
pub(super) struct Story<'a> {
    seen: watch::Sender<Seen>,
    screen: &'a Screen,
}

/// One change of one object.
enum Change {
    Rollout(Box<Rollout>),
    Run(Box<AnalysisRun>),
    Application(Box<DynamicObject>),
}

impl<'a> Story<'a> {
    pub(super) fn new(screen: &'a Screen) -> Self {
        Self { seen: watch::Sender::new(Seen::default()), screen }
    }

    /// Follows the objects for ever.
    pub(super) async fn follow(&self, client: &Client, names: &Names) -> Result<()> {
        let config = watcher::Config::default();
        let rollouts: Api<Rollout> = Api::namespaced(client.clone(), &names.namespace);
        let runs: Api<AnalysisRun> = Api::namespaced(client.clone(), &names.namespace);
        let kind = ApiResource {
            group: "argoproj.io".to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: "argoproj.io/v1alpha1".to_owned(),
            kind: "Application".to_owned(),
            plural: "applications".to_owned(),
        };
        let applications: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &names.application_namespace, &kind);
        // A watch that breaks is taken up again by the stream itself.
        let rollouts = watcher(rollouts, config.clone()).default_backoff().applied_objects();
        let runs = watcher(runs, config.clone()).default_backoff().applied_objects();
        let applications = watcher(applications, config).default_backoff().applied_objects();
        let changes = [
            rollouts
                .filter_map(async |object| object.ok().map(|object| Change::Rollout(Box::new(object))))
                .boxed(),
            runs.filter_map(async |object| object.ok().map(|object| Change::Run(Box::new(object)))).boxed(),
            applications
                .filter_map(async |object| object.ok().map(|object| Change::Application(Box::new(object))))
                .boxed(),
        ];
        let mut changes = pin!(stream::select_all(changes));
        while let Some(change) = changes.next().await {
            match change {
                Change::Rollout(rollout) if rollout.name_any() == NAME => self.hear_rollout(*rollout),
                Change::Application(object) if object.name_any() == NAME => self.hear_application(&object),
                Change::Run(run) => self.hear_run(*run),
                Change::Rollout(_) | Change::Application(_) => {}
            }
        }
        bail!("the watches ended")
    }

    /// Tells something that the demo itself does or finds.
    pub(super) fn tell(&self, style: Style, text: impl Into<String>) {
        self.add(style, text.into(), false);
    }

    /// As `tell`, and marks the moment in the plot.
    pub(super) fn mark(&self, style: Style, text: impl Into<String>) {
        self.add(style, text.into(), true);
    }

    fn add(&self, style: Style, text: String, is_marked: bool) {
        self.screen.event(style, &text);
        let happening = Happening { at: Timestamp::now(), style, text, is_marked };
        self.seen.send_modify(|seen| seen.happenings.push(happening));
    }

    /// What has been seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what has been seen is as wanted.
    pub(super) async fn until(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Seen) -> bool,
    ) -> Result<()> {
        let mut receiver = self.seen.subscribe();
        let waited = tokio::time::timeout(limit, receiver.wait_for(holds)).await.map(drop);
        if waited.is_err() {
            let seen = self.seen();
            let why = seen.waiting_for().unwrap_or_else(|| "nothing".to_owned());
            bail!(
                "{what}: not within {} s; the rollout waits for {why}; {}",
                limit.as_secs(),
                seen.application_state()
            );
        }
        Ok(())
    }

    fn hear_rollout(&self, rollout: Rollout) {
        let before = self.seen.borrow().clone();
        let mut after = before.clone();
        after.learn(rollout);
        let mut told = Vec::new();
        let split = after.split();
        let is_new =
            split.as_ref().is_some_and(|split| before.splits.last().map(|(_, last)| last) != Some(split));
        if let Some(split) = split.filter(|_| is_new) {
            told.extend(before.tell_split(&split));
            after.splits.push((Timestamp::now(), split));
        }
        let aborted = (after.is_aborted() && !before.is_aborted())
            .then(|| format!("Tidegate aborts {}: {}", after.version(), after.phase().1));
        if after.phase().0 == Some(RolloutPhase::Paused) && before.phase().0 != Some(RolloutPhase::Paused) {
            let why = after.waiting_for().unwrap_or_default();
            told.push((Style::Plain, format!("the rollout is paused: it waits for {why}")));
        }
        self.seen.send_replace(after);
        if let Some(text) = aborted {
            self.mark(Style::Bad, text);
        }
        for (style, text) in told {
            self.add(style, text, style == Style::Good);
        }
    }

    fn hear_run(&self, run: AnalysisRun) {
        let seen = self.seen();
        let name = run.name_any();
        let was_over = seen.runs.get(&name).is_some_and(is_over);
        let told = (is_over(&run) && !was_over).then(|| {
            let phase = phase_of(&run).map_or("without a verdict", AnalysisPhase::as_str);
            let style =
                if phase_of(&run) == Some(AnalysisPhase::Successful) { Style::Good } else { Style::Bad };
            let version = seen.version_of(&run);
            (style, format!("Prometheus on {version}: success rate {} -> {phase}", values(&run).join(", ")))
        });
        self.seen.send_modify(|seen| drop(seen.runs.insert(name, run)));
        if let Some((style, text)) = told {
            self.tell(style, text);
        }
    }

    fn hear_application(&self, object: &DynamicObject) {
        let before = self.seen.borrow().application_state();
        let value = serde_json::to_value(object).unwrap_or_default();
        self.seen.send_modify(|seen| seen.application = value);
        let after = self.seen.borrow().application_state();
        if before != after {
            self.tell(Style::Git, after);
        }
    }
}

impl Seen {
    /// Takes in the Rollout's new state.
    fn learn(&mut self, rollout: Rollout) {
        if let Some(status) = &rollout.status {
            let is_observed =
                status.observed_generation == rollout.metadata.generation.unwrap_or(0).to_string();
            if is_observed && !status.current_pod_hash.is_empty() {
                self.versions.insert(status.current_pod_hash.clone(), version(&rollout));
            }
        }
        self.rollout = Some(rollout);
    }

    /// How the traffic shall be split, as the Rollout's status says.
    fn split(&self) -> Option<Split> {
        let status = self.rollout.as_ref()?.status.as_ref()?;
        let name = |hash: &str| self.versions.get(hash).cloned();
        let stable = name(&status.stable_rs)?;
        if status.current_pod_hash == status.stable_rs {
            return Some(Split { stable, canary: None });
        }
        let percent = status.canary.weights.as_ref().map_or(0, |weights| weights.canary.weight);
        Some(Split { stable, canary: Some((name(&status.current_pod_hash)?, percent)) })
    }

    /// Puts a new split into words.
    fn tell_split(&self, split: &Split) -> Option<(Style, String)> {
        let last = self.splits.last().map(|(_, split)| split);
        match &split.canary {
            None if last.is_some_and(|last| last.stable == split.stable) => {
                Some((Style::Good, format!("{} alone is wanted again", split.stable)))
            }
            None => Some((Style::Good, format!("{} is the stable version", split.stable))),
            Some((version, 0)) if last.is_some_and(|last| last.percent() > 0) => {
                Some((Style::Bad, format!("weight 0 % for {version}")))
            }
            Some((version, 0)) => {
                Some((Style::Plain, format!("{version} is on its way, still without traffic")))
            }
            Some((version, percent)) => Some((Style::Plain, format!("weight {percent} % for {version}"))),
        }
    }

    /// The version that the Rollout's spec asks for.
    pub(super) fn version(&self) -> String {
        self.rollout.as_ref().map(version).unwrap_or_default()
    }

    /// The version a run is about.
    pub(super) fn version_of(&self, run: &AnalysisRun) -> String {
        run.labels().get(HASH_LABEL).and_then(|hash| self.versions.get(hash)).cloned().unwrap_or_default()
    }

    /// The runs about a version that have come to an end, the oldest first.
    pub(super) fn ended_runs(&self, version: &str) -> Vec<&AnalysisRun> {
        let mut runs: Vec<&AnalysisRun> =
            self.runs.values().filter(|run| is_over(run) && self.version_of(run) == version).collect();
        runs.sort_by_key(|run| run.metadata.creation_timestamp.as_ref().map(|time| time.0));
        runs
    }

    /// The Rollout's phase and message, of a status that is up to date with its spec.
    pub(super) fn phase(&self) -> (Option<RolloutPhase>, String) {
        let Some(rollout) = &self.rollout else { return (None, String::new()) };
        let Some(status) = &rollout.status else { return (None, String::new()) };
        let is_observed = status.observed_generation == rollout.metadata.generation.unwrap_or(0).to_string();
        (status.phase.filter(|_| is_observed), status.message.clone())
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.rollout.as_ref().and_then(|rollout| rollout.status.as_ref()).is_some_and(|status| status.abort)
    }

    /// Whether a version is stable and all there is.
    pub(super) fn is_healthy_at(&self, version: &str) -> bool {
        let alone =
            self.splits.last().is_some_and(|(_, split)| split.stable == version && split.canary.is_none());
        alone && self.version() == version && self.phase().0 == Some(RolloutPhase::Healthy)
    }

    /// Whether the Application is synced to a commit.
    pub(super) fn is_synced_to(&self, commit: &str) -> bool {
        let sync = &self.application["status"]["sync"];
        sync["status"] == "Synced" && sync["revision"] == commit
    }

    pub(super) fn application_is_healthy(&self) -> bool {
        self.application["status"]["health"]["status"] == "Healthy"
    }

    /// The Application's state in one line.
    pub(super) fn application_state(&self) -> String {
        let text =
            |pointer: &str| self.application.pointer(pointer).and_then(Value::as_str).unwrap_or("unknown");
        let revision: String = text("/status/sync/revision").chars().take(7).collect();
        let mut state = format!(
            "Application: {} to {revision}, {}",
            text("/status/sync/status"),
            text("/status/health/status")
        );
        if text("/status/operationState/phase") == "Failed" {
            state.push_str(&format!(" ({})", text("/status/operationState/message")));
        }
        state
    }

    /// How things stand while there is no traffic.
    pub(super) fn wait(&self) -> String {
        match (&self.rollout, self.waiting_for()) {
            (Some(_), Some(why)) => format!("the rollout waits for {why}"),
            (Some(_), None) => "the rollout waits for nothing".to_owned(),
            (None, _) => self.application_state(),
        }
    }

    /// The wanted share of the version on its way.
    pub(super) fn percent(&self) -> i32 {
        self.splits.last().map_or(0, |(_, split)| split.percent())
    }

    /// Steps done and all steps.
    pub(super) fn step(&self) -> Option<String> {
        self.view()?.step
    }

    /// What the Rollout waits for.
    pub(super) fn waiting_for(&self) -> Option<String> {
        self.view()?.waiting_for
    }

    fn view(&self) -> Option<RolloutView> {
        let runs: Vec<AnalysisRun> = self.runs.values().cloned().collect();
        let rollout = self.rollout.as_ref()?;
        let now = Timestamp::now();
        Some(RolloutView::new(&Objects { rollout, sets: &[], pods: &[], runs: &runs, experiments: &[], now }))
    }
}

impl Split {
    /// The wanted share of the version on its way.
    pub(super) fn percent(&self) -> i32 {
        self.canary.as_ref().map_or(0, |(_, percent)| *percent)
    }
}

/// The tag of the image that the Rollout's pods run.
fn version(rollout: &Rollout) -> String {
    let spec = serde_json::to_value(&rollout.spec).unwrap_or_default();
    let image = spec.pointer("/template/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default();
    image.rsplit_once(':').map(|(_, tag)| tag.to_owned()).unwrap_or_default()
}

pub(super) fn phase_of(run: &AnalysisRun) -> Option<AnalysisPhase> {
    run.status.as_ref().and_then(|status| status.phase)
}

fn is_over(run: &AnalysisRun) -> bool {
    phase_of(run).is_some_and(AnalysisPhase::is_completed)
}

/// What was measured, as percentages; a measurement without a number says so.
pub(super) fn values(run: &AnalysisRun) -> Vec<String> {
    let results = run.status.iter().flat_map(|status| &status.metric_results);
    let measurements = results.flat_map(|result| &result.measurements);
    let text = measurements.map(|measurement| {
        let number = measurement.value.trim_start_matches('[').trim_end_matches(']').parse::<f64>();
        number.map_or_else(|_| "no data".to_owned(), |value| format!("{:.1} %", value * 100.0))
    });
    text.collect()
}
