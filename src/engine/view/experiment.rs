//! An Experiment with its ReplicaSets and AnalysisRuns.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_api::analysis::AnalysisPhase;
use tidegate_api::experiment::Experiment;

use super::icon::Icon;
use super::rollout::Objects;
use super::run::{self, RunView};
use super::set::{self, SetView};
use crate::rollout::world::REVISION;

/// An Experiment with its ReplicaSets and AnalysisRuns.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentView {
    pub name: String,
    pub created: Option<Timestamp>,
    pub revision: i64,
    /// Absent until the Experiment was looked at for the first time.
    pub status: Option<AnalysisPhase>,
    pub icon: Icon,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub sets: Vec<SetView>,
    pub runs: Vec<RunView>,
}

/// Sums up the Experiments that belong to `owner`, newest revision first, oldest Experiment first.
pub(crate) fn experiments(owner: &str, objects: &Objects<'_>) -> Vec<ExperimentView> {
    let mut views: Vec<ExperimentView> = objects
        .experiments
        .iter()
        .filter(|experiment| {
            experiment.metadata.owner_references.iter().flatten().any(|reference| reference.uid == owner)
        })
        .map(|experiment| ExperimentView::new(experiment, objects))
        .collect();
    views.sort_by(|a, b| b.revision.cmp(&a.revision).then(a.created.cmp(&b.created)));
    views
}

impl ExperimentView {
    fn new(experiment: &Experiment, objects: &Objects<'_>) -> Self {
        let uid = experiment.metadata.uid.as_deref().unwrap_or_default();
        let status = experiment.status.clone().unwrap_or_default();
        let revision =
            experiment.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
        Self {
            name: experiment.metadata.name.clone().unwrap_or_default(),
            created: experiment.metadata.creation_timestamp.as_ref().map(|time| time.0),
            revision: revision.and_then(|text| text.parse().ok()).unwrap_or(0),
            status: status.phase,
            icon: run::icon(status.phase),
            message: status.message,
            sets: set::sets(uid, None, objects.sets, objects.pods),
            runs: run::runs(uid, objects.runs),
        }
    }
}
