//! A model of the AnalysisRun controller: runs start, take their time, and end well or not.
//!
//! Input: AnalysisRuns, and what chance has decided about each. Output: their status.

use std::collections::BTreeMap;

use serde_json::json;
use tidegate_api::analysis::{AnalysisRunStatus, AnalysisTemplateSpec};
use tidegate_api::phase::AnalysisPhase;

use crate::cluster::{Cluster, time};
use crate::random::Random;
use crate::shape::Temper;

const FAILURE: &str = "Metric \"success-rate\" assessed Failed due to failed (1) > failureLimit (0)";

/// What will become of each run, decided when it is first seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdicts {
    runs: BTreeMap<String, (i64, AnalysisPhase)>,
    /// What the next runs shall come to; chance decides when it is empty.
    pub(crate) script: Vec<AnalysisPhase>,
}

/// The template that all Rollouts here refer to: one finite metric.
pub(crate) fn template() -> AnalysisTemplateSpec {
    let template = json!({ "metrics": [{
        "name": "success-rate",
        "count": 1,
        "successCondition": "result >= 0.95",
        "provider": { "prometheus": { "address": "http://prometheus", "query": "rate" } },
    }] });
    serde_json::from_value(template).unwrap_or_default()
}

impl Verdicts {
    /// Moves a run one phase on; when to look at it again.
    pub(crate) fn sync(
        &mut self,
        cluster: &mut Cluster,
        name: &str,
        temper: &Temper,
        random: &mut Random,
    ) -> Option<i64> {
        let run = cluster.runs.object(name)?.clone();
        let uid = run.metadata.uid.clone().unwrap_or_default();
        let now = cluster.now;
        let phase = run.status.as_ref().and_then(|status| status.phase);
        if phase.is_some_and(AnalysisPhase::is_completed) {
            return None;
        }
        let script = &mut self.script;
        let (end, outcome) = *self.runs.entry(uid).or_insert_with(|| {
            let end = now + 100 + random.between(temper.run_length / 2, temper.run_length);
            (end, if script.is_empty() { outcome(temper, random) } else { script.remove(0) })
        });
        let (next, again) = if run.spec.terminate {
            (AnalysisPhase::Successful, None)
        } else if now >= end {
            (outcome, None)
        } else {
            (AnalysisPhase::Running, Some(end))
        };
        if phase != Some(next) {
            let at = |when: i64| serde_json::from_value(json!(time(when - when % 1000).to_string())).ok();
            let status = AnalysisRunStatus {
                phase: Some(next),
                message: if next == AnalysisPhase::Failed { FAILURE.to_owned() } else { String::new() },
                started_at: run
                    .status
                    .as_ref()
                    .and_then(|status| status.started_at.clone())
                    .or_else(|| at(now)),
                completed_at: if next.is_completed() { at(now) } else { None },
                ..AnalysisRunStatus::default()
            };
            let mut run = run;
            run.status = Some(status);
            cluster.put_run(name, run);
        }
        again
    }
}

fn outcome(temper: &Temper, random: &mut Random) -> AnalysisPhase {
    if !random.chance(temper.bad_runs) {
        return AnalysisPhase::Successful;
    }
    *random.pick(&[
        AnalysisPhase::Failed,
        AnalysisPhase::Failed,
        AnalysisPhase::Error,
        AnalysisPhase::Inconclusive,
    ])
}
