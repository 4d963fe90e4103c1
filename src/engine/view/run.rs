//! An AnalysisRun with the number of its measurements by outcome, and the Jobs it started.

use jiff::Timestamp;
use serde::Serialize;
use tidegate_api::analysis::{AnalysisPhase, AnalysisRun, JUDGE_PLUGIN, MetricResult};

use super::icon::Icon;
use crate::rollout::world::REVISION;

/// Where the Job provider notes the name of its Job.
const JOB_NAME: &str = "job-name";

/// An AnalysisRun with the number of its measurements by outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    pub name: String,
    pub created: Option<Timestamp>,
    pub revision: i64,
    /// Absent until the run was looked at for the first time.
    pub status: Option<AnalysisPhase>,
    pub icon: Icon,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub successful: i32,
    pub failed: i32,
    pub inconclusive: i32,
    pub error: i32,
    /// What the judge says while it has no verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobView>,
}

/// A Job that measured a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    pub name: String,
    pub started: Option<Timestamp>,
    pub status: Option<AnalysisPhase>,
    pub icon: Icon,
}

/// Sums up the AnalysisRuns that belong to `owner`, newest revision first, oldest run first.
pub(crate) fn runs(owner: &str, runs: &[AnalysisRun]) -> Vec<RunView> {
    let mut views: Vec<RunView> = runs
        .iter()
        .filter(|run| run.metadata.owner_references.iter().flatten().any(|reference| reference.uid == owner))
        .map(RunView::new)
        .collect();
    views.sort_by(|a, b| {
        b.revision.cmp(&a.revision).then(a.created.cmp(&b.created)).then_with(|| b.name.cmp(&a.name))
    });
    views
}

impl RunView {
    fn new(run: &AnalysisRun) -> Self {
        let status = run.status.clone().unwrap_or_default();
        let sum = |count: fn(&MetricResult) -> i32| status.metric_results.iter().map(count).sum();
        let revision = run.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
        Self {
            name: run.metadata.name.clone().unwrap_or_default(),
            created: run.metadata.creation_timestamp.as_ref().map(|time| time.0),
            revision: revision.and_then(|text| text.parse().ok()).unwrap_or(0),
            status: status.phase,
            icon: icon(status.phase),
            message: status.message.clone(),
            successful: sum(|result| result.successful),
            failed: sum(|result| result.failed),
            inconclusive: sum(|result| result.inconclusive),
            error: sum(|result| result.error),
            undecided: status.metric_results.iter().find_map(undecided),
            jobs: status.metric_results.iter().flat_map(jobs).collect(),
        }
    }

    /// Lists the outcomes that occurred, with their icons.
    pub(crate) fn counts(&self) -> Vec<(Icon, i32)> {
        let all = [
            (Icon::Good, self.successful),
            (Icon::Bad, self.failed),
            (Icon::Unknown, self.inconclusive),
            (Icon::Warning, self.error),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// Lists the Jobs that measured a metric.
fn jobs(result: &MetricResult) -> impl Iterator<Item = JobView> {
    result.measurements.iter().filter_map(|measurement| {
        Some(JobView {
            name: measurement.metadata.get(JOB_NAME)?.clone(),
            started: measurement.started_at.as_ref().map(|time| time.0),
            status: measurement.phase,
            icon: icon(measurement.phase),
        })
    })
}

fn undecided(result: &MetricResult) -> Option<String> {
    let last = result.measurements.last()?;
    let is_open = last.finished_at.is_none() && last.metadata.contains_key(JUDGE_PLUGIN);
    is_open.then(|| last.message.clone())
}

/// Chooses the icon of an analysis phase.
pub(crate) fn icon(phase: Option<AnalysisPhase>) -> Icon {
    match phase {
        Some(AnalysisPhase::Successful) => Icon::Good,
        Some(AnalysisPhase::Inconclusive) => Icon::Unknown,
        Some(AnalysisPhase::Failed) => Icon::Bad,
        Some(AnalysisPhase::Error) => Icon::Warning,
        Some(AnalysisPhase::Running) => Icon::Progressing,
        Some(AnalysisPhase::Pending) => Icon::Waiting,
        Some(AnalysisPhase::Unknown) | None => Icon::Blank,
    }
}
