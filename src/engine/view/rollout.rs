//! The whole of a Rollout as people look at it: header, images, counts, and the tree by revision.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::{Rollout, RolloutPhase};

use super::experiment::{self, ExperimentView};
use super::icon::Icon;
use super::phase::client_phase;
use super::run::{self, RunView};
use super::set::{self, SetView};
use super::{step, waiting};
use crate::time::whole_seconds;

/// The objects to look at, as they were read, and when. Objects of other Rollouts are ignored.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    pub rollout: &'a Rollout,
    /// ReplicaSets.
    pub sets: &'a [Value],
    pub pods: &'a [Value],
    pub runs: &'a [AnalysisRun],
    pub experiments: &'a [Experiment],
    pub now: Timestamp,
}

/// A Rollout as people look at it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    pub name: String,
    pub namespace: String,
    pub created: Option<Timestamp>,
    /// When this view was taken, in whole seconds.
    pub now: Timestamp,
    pub status: RolloutPhase,
    pub icon: Icon,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What the Rollout waits for; absent when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    pub strategy: Strategy,
    /// Steps done and all steps, such as `2/8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Weight that the steps ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<i32>,
    /// Weight that the canary has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_weight: Option<i32>,
    pub images: Vec<ImageView>,
    pub replicas: ReplicaCounts,
    /// Newest first.
    pub revisions: Vec<RevisionView>,
}

/// How a Rollout updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Strategy {
    Canary,
    BlueGreen,
    /// The spec names no strategy.
    None,
}

impl Strategy {
    /// Returns the strategy of a Rollout.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Self {
        if rollout.spec.strategy.canary.is_some() {
            Self::Canary
        } else if rollout.spec.strategy.blue_green.is_some() {
            Self::BlueGreen
        } else {
            Self::None
        }
    }

    /// Returns the word that is shown; `none` where there is no strategy.
    #[must_use]
    pub fn as_str(self, none: &'static str) -> &'static str {
        match self {
            Self::Canary => "Canary",
            Self::BlueGreen => "BlueGreen",
            Self::None => none,
        }
    }
}

/// An image that runs, and the roles of the pods it runs in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageView {
    pub image: String,
    pub tags: Vec<String>,
}

/// How many pods there are, by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ReplicaCounts {
    pub desired: i32,
    pub current: i32,
    pub updated: i32,
    pub ready: i32,
    pub available: i32,
}

/// What belongs to one revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RevisionView {
    pub revision: i64,
    pub sets: Vec<SetView>,
    pub experiments: Vec<ExperimentView>,
    pub runs: Vec<RunView>,
}

impl RolloutView {
    /// Builds the view.
    #[must_use]
    pub fn new(objects: &Objects<'_>) -> Self {
        let rollout = objects.rollout;
        let uid = rollout.metadata.uid.as_deref().unwrap_or_default();
        let sets = set::sets(uid, Some(rollout), objects.sets, objects.pods);
        let experiments = experiment::experiments(uid, objects);
        let runs = run::runs(uid, objects.runs);
        let (status, message) = client_phase(rollout);
        let strategy = Strategy::of(rollout);
        let is_canary = strategy == Strategy::Canary;
        Self {
            name: rollout.metadata.name.clone().unwrap_or_default(),
            namespace: rollout.metadata.namespace.clone().unwrap_or_default(),
            created: rollout.metadata.creation_timestamp.as_ref().map(|time| time.0),
            now: whole_seconds(objects.now),
            status,
            icon: icon(status),
            message,
            waiting_for: waiting::waiting_for(rollout, &sets, &runs, objects.now),
            strategy,
            step: step::progress(rollout),
            set_weight: is_canary.then(|| step::set_weight(rollout)),
            actual_weight: is_canary.then(|| actual_weight(rollout, &sets)),
            images: images(&sets, &experiments),
            replicas: ReplicaCounts::of(rollout),
            revisions: revisions(sets, experiments, runs),
        }
    }
}

impl ReplicaCounts {
    /// Reads the counts from the status.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Self {
        let status = rollout.status.as_ref();
        Self {
            desired: rollout.spec.replicas.unwrap_or(1),
            current: status.map_or(0, |status| status.replicas),
            updated: status.map_or(0, |status| status.updated_replicas),
            ready: status.map_or(0, |status| status.ready_replicas),
            available: status.map_or(0, |status| status.available_replicas),
        }
    }
}

/// Chooses the icon of a phase.
pub(crate) fn icon(phase: RolloutPhase) -> Icon {
    match phase {
        RolloutPhase::Progressing => Icon::Progressing,
        RolloutPhase::Paused => Icon::Paused,
        RolloutPhase::Healthy => Icon::Good,
        RolloutPhase::Degraded => Icon::Bad,
        RolloutPhase::Unknown => Icon::Unknown,
    }
}

/// Returns the weight that the canary has: what the router was given, else its share of the available pods.
fn actual_weight(rollout: &Rollout, sets: &[SetView]) -> i32 {
    let max_weight = step::max_weight(rollout);
    let (Some(canary), Some(status)) = (step::canary(rollout), rollout.status.as_ref()) else { return 0 };
    if step::current(rollout).is_none() {
        return max_weight;
    }
    if status.available_replicas <= 0 {
        return 0;
    }
    if canary.traffic_routing.is_some() {
        return match &status.canary.weights {
            Some(weights) => weights.canary.weight,
            None => step::set_weight(rollout),
        };
    }
    let available = sets.iter().find(|set| set.tags.contains(&"canary")).map_or(0, |set| set.available);
    let weight = available * i64::from(max_weight) / i64::from(status.available_replicas);
    i32::try_from(weight).unwrap_or(max_weight)
}

/// Lists the images that run, by name, with the roles of all the pods they run in.
pub(super) fn images(sets: &[SetView], experiments: &[ExperimentView]) -> Vec<ImageView> {
    let mut images: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let own = sets.iter().map(|set| (set, set.tags.iter().map(|tag| (*tag).to_owned()).collect()));
    let tried = experiments.iter().flat_map(|experiment| &experiment.sets);
    let tried = tried.map(|set| (set, set.template.iter().map(|name| format!("Σ:{name}")).collect()));
    for (set, tags) in own.chain(tried) {
        let tags: Vec<String> = tags;
        for image in set.images.iter().filter(|_| set.replicas > 0) {
            merge(images.entry(image).or_default(), &tags);
        }
    }
    images.into_iter().map(|(image, tags)| ImageView { image: image.to_owned(), tags }).collect()
}

/// Adds tags to those of an image; roles of one set keep their order, those of several are sorted.
fn merge(known: &mut Vec<String>, tags: &[String]) {
    if known.is_empty() {
        known.extend_from_slice(tags);
        return;
    }
    let all: BTreeSet<String> = known.iter().chain(tags).cloned().collect();
    *known = all.into_iter().collect();
}

/// Sorts everything by revision, newest first.
fn revisions(sets: Vec<SetView>, experiments: Vec<ExperimentView>, runs: Vec<RunView>) -> Vec<RevisionView> {
    let mut revisions: BTreeMap<i64, RevisionView> = BTreeMap::new();
    for set in sets {
        revisions.entry(set.revision).or_default().sets.push(set);
    }
    for experiment in experiments {
        revisions.entry(experiment.revision).or_default().experiments.push(experiment);
    }
    for run in runs {
        revisions.entry(run.revision).or_default().runs.push(run);
    }
    let numbered = revisions.into_iter().rev();
    numbered.map(|(revision, view)| RevisionView { revision, ..view }).collect()
}
