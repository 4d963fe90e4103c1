//! An Experiment with its ReplicaSets and AnalysisRuns.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun};
use tidegate_api::experiment::Experiment;
use tidegate_api::go_duration::parse_nanoseconds;

use super::duration::{age, human_duration};
use super::icon::{Icon, Line, Paint};
use super::rollout::{ImageView, Objects, images};
use super::run::{self, RunView};
use super::set::{self, SetView};
use super::table;
use crate::rollout::world::REVISION;
use crate::time::whole_seconds;

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
        .map(|experiment| {
            ExperimentView::new(experiment, ExperimentObjects::new(objects.sets, objects.pods, objects.runs))
        })
        .collect();
    views.sort_by(|a, b| b.revision.cmp(&a.revision).then(a.created.cmp(&b.created)));
    views
}

impl ExperimentView {
    fn new(experiment: &Experiment, objects: ExperimentObjects<'_>) -> Self {
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

/// The objects beside an Experiment, as they were read. Objects of others are ignored.
#[derive(Clone, Copy, Debug)]
pub struct ExperimentObjects<'a> {
    /// ReplicaSets.
    sets: &'a [Value],
    pods: &'a [Value],
    runs: &'a [AnalysisRun],
}

impl<'a> ExperimentObjects<'a> {
    /// Puts ReplicaSets, pods and AnalysisRuns together.
    #[must_use]
    pub fn new(sets: &'a [Value], pods: &'a [Value], runs: &'a [AnalysisRun]) -> Self {
        Self { sets, pods, runs }
    }
}

/// One Experiment on a page of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentPage {
    pub namespace: String,
    /// When this view was taken, in whole seconds.
    pub now: Timestamp,
    pub images: Vec<ImageView>,
    /// When its duration is over; absent without a duration, and once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_until: Option<Timestamp>,
    #[serde(flatten)]
    pub experiment: ExperimentView,
}

impl ExperimentPage {
    /// Looks at an Experiment with its objects.
    #[must_use]
    pub fn new(experiment: &Experiment, objects: ExperimentObjects<'_>, now: Timestamp) -> Self {
        let view = ExperimentView::new(experiment, objects);
        Self {
            namespace: experiment.metadata.namespace.clone().unwrap_or_default(),
            now: whole_seconds(now),
            images: images(&[], std::slice::from_ref(&view)),
            runs_until: end(experiment),
            experiment: view,
        }
    }
}

fn duration(experiment: &Experiment) -> Option<SignedDuration> {
    let text = experiment.spec.duration.as_deref()?;
    parse_nanoseconds(text).ok().map(SignedDuration::from_nanos)
}

/// When the duration of an Experiment that goes on is over.
fn end(experiment: &Experiment) -> Option<Timestamp> {
    let status = experiment.status.as_ref()?;
    let available =
        status.available_at.as_ref().filter(|_| !status.phase.is_some_and(AnalysisPhase::is_completed));
    available?.0.checked_add(duration(experiment)?).ok()
}

/// An Experiment in one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentRow {
    pub namespace: String,
    pub name: String,
    pub created: Option<Timestamp>,
    pub status: Option<AnalysisPhase>,
    /// How long it is to run, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// When its duration is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_until: Option<Timestamp>,
}

impl ExperimentRow {
    /// Sums up an Experiment.
    #[must_use]
    pub fn new(experiment: &Experiment) -> Self {
        Self {
            namespace: experiment.metadata.namespace.clone().unwrap_or_default(),
            name: experiment.metadata.name.clone().unwrap_or_default(),
            created: experiment.metadata.creation_timestamp.as_ref().map(|time| time.0),
            status: experiment.status.as_ref().and_then(|status| status.phase),
            duration: duration(experiment).map(human_duration),
            runs_until: end(experiment),
        }
    }
}

/// Renders Experiments in lines, with their namespaces if asked.
#[must_use]
pub fn render_experiments(
    rows: &[ExperimentRow],
    with_namespace: bool,
    now: Timestamp,
    paint: Paint,
) -> String {
    let words = ["NAMESPACE", "NAME", "STATUS", "DURATION", "REMAINING", "AGE"];
    let skipped = usize::from(!with_namespace);
    let mut lines: Vec<Vec<Line>> = vec![words.into_iter().skip(skipped).map(Line::from).collect()];
    for row in rows {
        let left = row.runs_until.map(|end| end.duration_since(now)).filter(SignedDuration::is_positive);
        let status = row.status.map_or("", AnalysisPhase::as_str);
        let cells = [
            row.namespace.as_str().into(),
            row.name.as_str().into(),
            Line::default().color(status, run::icon(row.status).color()),
            row.duration.clone().unwrap_or_else(|| "-".to_owned()).into(),
            left.map_or_else(|| "-".to_owned(), human_duration).into(),
            age(row.created, now).into(),
        ];
        lines.push(cells.into_iter().skip(skipped).collect());
    }
    table::render(&lines, &[], paint)
}
